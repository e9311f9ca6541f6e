import IPLD
import Multiformats
import Testing

/// Files by the CARv1 specification: its published fixture, and rows on every rule that a reader has to keep.
@Suite struct CARFixtureTests {
    struct Accepted: Decodable {
        struct Block: Decodable {
            let cid: String
            let bytes: String
        }

        let name: String
        let car: String
        let roots: [String]
        let blocks: [Block]
    }

    struct Refused: Decodable {
        let name: String
        let car: String
        let says: String
    }

    struct File: Decodable {
        let accepted: [Accepted]
        let refused: [Refused]
    }

    @Test func whatTheFormatAllowsIsReadAndWrittenAgainByteForByte() throws {
        let rows = try Fixtures.json("car", as: File.self).accepted
        #expect(rows.count == 6)
        for row in rows {
            let bytes = try hex(row.car)
            let archive = try CAR(decoding: bytes)
            #expect(archive.roots.map(\.text) == row.roots, "\(row.name)")
            #expect(archive.blocks.map(\.cid.text) == row.blocks.map(\.cid), "\(row.name)")
            #expect(archive.blocks.map(\.bytes) == (try row.blocks.map { try hex($0.bytes) }), "\(row.name)")
            #expect(archive.encoded == bytes, "\(row.name)")
            #expect(CAR.isLikely(bytes), "\(row.name)")
            let built = CAR(
                roots: try row.roots.map(CID.init(parsing:)),
                blocks: try row.blocks.map { CAR.Block(cid: try CID(parsing: $0.cid), bytes: try hex($0.bytes)) })
            #expect(built.encoded == bytes, "\(row.name)")
        }
    }

    @Test func whatTheFormatForbidsIsRefusedWithASentence() throws {
        let rows = try Fixtures.json("car", as: File.self).refused
        #expect(rows.count == 26)
        for row in rows {
            do {
                _ = try CAR(decoding: try hex(row.car))
                Issue.record("\(row.name) was read")
            } catch let error as CARError {
                #expect("\(error)".contains(row.says), "\(row.name): \(error)")
            }
        }
    }
}
