import Foundation
import IPLD
import Multiformats
import Testing

@Suite struct IPLDFixtureTests {
    /// One value as a block in each codec.
    struct Block: Decodable {
        let name: String
        let cborCid: String
        let cbor: String
        let jsonCid: String
        let json: String
    }

    struct Negative: Decodable {
        let name: String
        let hex: String
    }

    struct File: Decodable {
        let blocks: [Block]
        let dagCborNegatives: [Negative]
        let dagJsonNegatives: [Negative]
    }

    /// Fixtures that a model of 64-bit integers cannot hold, with the reason.
    static let outsideTheModel = [
        "int--11959030306112471732":
            "below -2^63, the least signed 64-bit integer; values from there to -2^64 are refused"
    ]

    @Test func everyBlockInItsCodecs() throws {
        let blocks = try Fixtures.json("ipld_codecs", as: File.self).blocks
        #expect(try blocks.count(where: Self.isRead) == 110)
        #expect(Self.outsideTheModel.keys.allSatisfy { name in blocks.contains { $0.name == name } })
    }

    @Test(.enabled(if: Fixtures.uncopied != nil, "the blocks that are not copied are not here"))
    func everyPublishedBlock() throws {
        let root = try #require(Fixtures.uncopied).appending(path: "ipld-codec-fixtures")
        let blocks = try FileManager.default.contentsOfDirectory(at: root, includingPropertiesForKeys: nil)
            .filter(\.hasDirectoryPath).compactMap(Self.block)
        #expect(try blocks.count(where: Self.isRead) == 127)
    }

    /// Whether a block is within the model; within it, both codecs read the same value and write the same bytes again.
    private static func isRead(_ block: Block) throws -> Bool {
        let cbor = try hex(block.cbor)
        let json = Array(block.json.utf8)
        if outsideTheModel[block.name] != nil {
            #expect(throws: DAGCBORError.integerOutOfRange(offset: 0)) { try DAGCBOR.decode(cbor) }
            #expect(throws: DAGJSONError.numberOutOfRange(offset: 0)) { try DAGJSON.decode(json) }
            return false
        }
        let value = try DAGCBOR.decode(cbor)
        #expect(try DAGJSON.decode(json) == value, "\(block.name)")
        #expect(try DAGCBOR.encode(value) == cbor, "\(block.name)")
        #expect(try DAGJSON.encode(value) == json, "\(block.name)")
        #expect(CID.hashing(cbor, codec: .dagCBOR).text == block.cborCid)
        #expect(CID.hashing(json, codec: .dagJSON).text == block.jsonCid)
        return true
    }

    /// The block of a published folder; its files are named by CID and codec.
    private static func block(_ folder: URL) throws -> Block? {
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        guard let cbor = files.first(where: { $0.pathExtension == "dag-cbor" }),
            let json = files.first(where: { $0.pathExtension == "dag-json" })
        else { return nil }
        return Block(
            name: folder.lastPathComponent, cborCid: cbor.deletingPathExtension().lastPathComponent,
            cbor: Multibase.encodeWithoutPrefix([UInt8](try Data(contentsOf: cbor)), .base16),
            jsonCid: json.deletingPathExtension().lastPathComponent, json: try String(contentsOf: json, encoding: .utf8)
        )
    }

    @Test func negativeFixtures() throws {
        let file = try Fixtures.json("ipld_codecs", as: File.self)
        #expect(!file.dagCborNegatives.isEmpty && !file.dagJsonNegatives.isEmpty)
        for row in file.dagCborNegatives {
            #expect(throws: DAGCBORError.self, "\(row.name)") { try DAGCBOR.decode(hex(row.hex)) }
        }
        for row in file.dagJsonNegatives {
            #expect(throws: DAGJSONError.self, "\(row.name)") { try DAGJSON.decode(hex(row.hex), form: .relaxed) }
        }
    }
}
