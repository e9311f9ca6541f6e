import Foundation
import Multiformats
import Testing

@Suite
struct MultiformatsVectorTests {
    struct VarintFile: Decodable {
        struct Valid: Decodable {
            let value: String
            let hex: String
            let consumed: Int
        }
        struct Negative: Decodable {
            let hex: String
            let why: String
        }
        let valid: [Valid]
        let negatives: [Negative]
    }

    @Test func varints() throws {
        let files = try Fixtures.all("varint", as: VarintFile.self)
        for row in files.flatMap(\.valid) {
            let bytes = try hex(row.hex)
            let (value, rest) = try Varint.decode(bytes[...])
            #expect(String(value) == row.value)
            #expect(bytes.count - rest.count == row.consumed)
            #expect(Varint.encode(value) == Array(bytes[..<row.consumed]))
            #expect(Varint.encodedCount(value) == row.consumed)
        }
        for row in files.flatMap(\.negatives) {
            let bytes = try hex(row.hex)
            let expected: VarintError =
                row.why.hasPrefix("non-minimal")
                ? .notMinimal : row.why.hasPrefix("truncated") || bytes.isEmpty ? .truncated : .tooLong
            #expect(throws: expected, "\(row.why)") { try Varint.decode(bytes[...]) }
        }
    }

    struct MultibaseFile: Decodable {
        struct Valid: Decodable {
            let base: String
            let text: String
            let dataHex: String
            let encodesToText: Bool
        }
        struct Negative: Decodable {
            let text: String
            let why: String
        }
        let valid: [Valid]
        let negatives: [Negative]
    }

    @Test func multibase() throws {
        let files = try Fixtures.all("multibase", as: MultibaseFile.self)
        for row in files.flatMap(\.valid) where row.base != "base256emoji" {
            let data = try hex(row.dataHex)
            #expect(try Multibase.decode(row.text) == data, "\(row.base)")
            let prefix = try #require(row.text.utf8.first)
            let base = try #require(Multibase.Base(rawValue: prefix))
            #expect("\(base)" == row.base)
            if row.encodesToText { #expect(Multibase.encode(data, base) == row.text) }
        }
        for row in files.flatMap(\.negatives) {
            #expect(throws: MultibaseError.self, "\(row.why): \(row.text)") { try Multibase.decode(row.text) }
        }
    }

    struct MultihashFile: Decodable {
        struct Row: Decodable {
            let code: UInt64
            let inputHex: String
            let multihash: String
            let acceptInProjectCid: Bool
        }
        struct Negative: Decodable {
            let hex: String
            let why: String
        }
        let valid: [Row]
        let more: [Row]
        let negatives: [Negative]
    }

    @Test func multihashes() throws {
        let file = try Fixtures.json("multihash", as: MultihashFile.self)
        for row in file.valid + file.more {
            let bytes = try hex(row.multihash)
            let multihash = try Multihash(bytes: bytes)
            #expect(multihash.code == row.code)
            #expect(multihash.bytes == bytes)
            let cid = CID(codec: .raw, multihash: multihash)
            #expect(cid.namesMeshContent == row.acceptInProjectCid)
            let input = try hex(row.inputHex)
            if row.acceptInProjectCid {
                #expect(Multihash.sha256(of: input) == multihash)
                #expect(cid == CID.hashing(input, codec: .raw))
            }
            if cid.isSHA256 || row.code == Multihash.identityCode { #expect(cid.matches(input)) }
        }
        for row in file.negatives {
            #expect(throws: MultihashError.self, "\(row.why)") { try Multihash(bytes: hex(row.hex)) }
        }
    }

    struct CIDFile: Decodable {
        struct Valid: Decodable {
            let text: String
            let bytes: String
            let version: UInt8
            let codec: UInt64
            let hash: UInt64
            let digest: String
            let canonicalText: String
            let project: String
        }
        struct Negative: Decodable {
            let text: String?
            let bytes: String?
            let why: String
        }
        let valid: [Valid]
        let negatives: [Negative]
    }

    @Test func cids() throws {
        let file = try Fixtures.json("cid", as: CIDFile.self)
        for row in file.valid {
            let cid = try CID(parsing: row.text)
            #expect(cid.bytes == (try hex(row.bytes)))
            #expect(try CID(bytes: hex(row.bytes)) == cid)
            #expect(cid.version.rawValue == row.version)
            #expect(cid.codec.rawValue == row.codec)
            #expect(cid.multihash.code == row.hash)
            #expect(cid.multihash.digest == (try hex(row.digest)))
            #expect(cid.text == row.canonicalText)
            #expect(cid.namesMeshContent == (row.project == "accept"), "\(row.text)")
        }
        for row in file.negatives {
            if let text = row.text {
                #expect(throws: CIDError.self, "\(row.why)") { try CID(parsing: text) }
            }
            if let bytes = row.bytes {
                #expect(throws: CIDError.self, "\(row.why)") { try CID(bytes: hex(bytes)) }
            }
        }
    }

    struct MultiaddrFile: Decodable {
        struct Valid: Decodable {
            let text: String
            let core: Bool
            let bytes: String?
        }
        struct Negative: Decodable {
            let text: String
            let core: Bool
        }
        struct Normal: Decodable {
            let input: String
            let output: String
        }
        struct BinaryNegative: Decodable {
            let hex: String
            let why: String
        }
        let valid: [Valid]
        let negatives: [Negative]
        let normalize: [Normal]
        let binaryNegatives: [BinaryNegative]
    }

    @Test func multiaddrs() throws {
        let file = try Fixtures.json("multiaddr", as: MultiaddrFile.self)
        for row in file.valid {
            guard let address = try? Multiaddr(parsing: row.text) else {
                #expect(!row.core, "\(row.text)")
                continue
            }
            #expect(try Multiaddr(parsing: address.text) == address)
            #expect(try Multiaddr(bytes: address.bytes) == address)
            // The Unix rows come from py-multiaddr, which leaves the leading slash of the path out; go-multiaddr, which
            // we follow, keeps it.
            guard let bytes = row.bytes, !row.text.contains("/unix/") else { continue }
            #expect(address.bytes == (try hex(bytes)), "\(row.text)")
        }
        for row in file.normalize {
            #expect(try Multiaddr(parsing: row.input) == Multiaddr(parsing: row.output))
            if !row.input.hasPrefix("/ipfs/") { #expect(try Multiaddr(parsing: row.input).text == row.output) }
        }
        for row in file.negatives {
            #expect(throws: MultiaddrError.self, "\(row.text)") { try Multiaddr(parsing: row.text) }
        }
        for row in file.binaryNegatives {
            #expect(throws: MultiaddrError.self, "\(row.why)") { try Multiaddr(bytes: hex(row.hex)) }
        }
    }
}
