import Foundation
import IPLD
import Multiformats
import Testing

@Suite(.enabled(if: Fixtures.areHere, "the published fixtures are not here"))
struct IPLDFixtureTests {
    /// Fixtures that a model of 64-bit integers cannot hold, with the reason.
    static let outsideTheModel = [
        "int--11959030306112471732":
            "below -2^63, the least signed 64-bit integer; values from there to -2^64 are refused"
    ]

    private static func folders() throws -> [URL] {
        let root = try #require(Fixtures.directory).appending(path: "ipld-codec-fixtures")
        return try FileManager.default.contentsOfDirectory(at: root, includingPropertiesForKeys: nil)
            .filter { $0.hasDirectoryPath && $0.lastPathComponent != "negative-fixtures" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    @Test func everyBlockInItsCodecs() throws {
        var checked = 0
        var refused: [String] = []
        for folder in try Self.folders() {
            let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            let blocks = try Dictionary(
                uniqueKeysWithValues: files.map { file in (file.pathExtension, [UInt8](try Data(contentsOf: file))) })
            let names = Dictionary(uniqueKeysWithValues: files.map { ($0.pathExtension, $0.deletingPathExtension()) })
            guard let cbor = blocks["dag-cbor"], let json = blocks["dag-json"] else { continue }
            if Self.outsideTheModel[folder.lastPathComponent] != nil {
                #expect(throws: DAGCBORError.integerOutOfRange(offset: 0)) { try DAGCBOR.decode(cbor) }
                #expect(throws: DAGJSONError.numberOutOfRange(offset: 0)) { try DAGJSON.decode(json) }
                refused.append(folder.lastPathComponent)
                continue
            }
            let value = try DAGCBOR.decode(cbor)
            #expect(try DAGJSON.decode(json) == value, "\(folder.lastPathComponent)")
            #expect(try DAGCBOR.encode(value) == cbor, "\(folder.lastPathComponent)")
            #expect(try DAGJSON.encode(value) == json, "\(folder.lastPathComponent)")
            #expect(CID.hashing(cbor, codec: .dagCBOR).text == names["dag-cbor"]?.lastPathComponent)
            #expect(CID.hashing(json, codec: .dagJSON).text == names["dag-json"]?.lastPathComponent)
            checked += 1
        }
        #expect(refused == Self.outsideTheModel.keys.sorted())
        #expect(checked == 127)
    }

    struct Negative: Decodable {
        let name: String
        let hex: String
    }

    private static func negatives(_ codec: String) throws -> [Negative] {
        let folder = try #require(Fixtures.directory)
            .appending(path: "ipld-codec-fixtures/negative-fixtures/\(codec)/decode")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        return try files.flatMap { try JSONDecoder().decode([Negative].self, from: Data(contentsOf: $0)) }
    }

    @Test func negativeFixtures() throws {
        for row in try Self.negatives("dag-cbor") {
            #expect(throws: DAGCBORError.self, "\(row.name)") { try DAGCBOR.decode(hex(row.hex)) }
        }
        for row in try Self.negatives("dag-json") {
            #expect(throws: DAGJSONError.self, "\(row.name)") { try DAGJSON.decode(hex(row.hex), form: .relaxed) }
        }
    }
}
