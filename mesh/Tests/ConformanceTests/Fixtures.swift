import Foundation
import Multiformats
import Testing

/// The vectors of the repository, and what may not be copied into it.
enum Fixtures {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

    /// `mesh/Tests/Vectors`, whose NOTICE says where each file comes from.
    static let directory = tests.appending(path: "Vectors")

    /// `../shared/fixtures` beside the repository: the same vectors, with the rows that are not copied; nil if missing.
    static let uncopied: URL? = {
        let repository = tests.deletingLastPathComponent().deletingLastPathComponent()
        let directory = repository.deletingLastPathComponent().appending(path: "shared/fixtures")
        guard FileManager.default.fileExists(atPath: directory.path) else {
            print("ConformanceTests: \(directory.path) is missing, so rows that are not copied are skipped (NOTICE.md)")
            return nil
        }
        return directory
    }()

    /// The repository's vectors of a name.
    static func json<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
        try decode(directory.appending(path: "\(name).json"))
    }

    /// The repository's vectors of a name, and the whole published file where it is beside the repository.
    static func all<Value: Decodable>(_ name: String, as type: Value.Type) throws -> [Value] {
        let published = try uncopied.map { try decode($0.appending(path: "vectors/\(name).json")) as Value }
        return try [json(name, as: type)] + [published].compactMap(\.self)
    }

    private static func decode<Value: Decodable>(_ file: URL) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Value.self, from: Data(contentsOf: file))
    }
}

/// The bytes of hexadecimal text.
func hex(_ text: String) throws -> [UInt8] {
    try Multibase.decodeWithoutPrefix(text, .base16)
}
