import Foundation
import Multiformats
import Testing

/// The published test data beside the repository, read in place.
enum Fixtures {
    /// `../shared/fixtures` of the package; nil with a printed note where it is missing.
    static let directory: URL? = {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let directory = package.deletingLastPathComponent().appending(path: "shared/fixtures")
        guard FileManager.default.fileExists(atPath: directory.path) else {
            print("ConformanceTests: \(directory.path) is missing, its vectors are skipped")
            return nil
        }
        return directory
    }()

    static var areHere: Bool { directory != nil }

    static func json<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
        let directory = try #require(directory)
        let data = try Data(contentsOf: directory.appending(path: "vectors/\(name).json"))
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: data)
    }
}

/// The bytes of hexadecimal text.
func hex(_ text: String) throws -> [UInt8] {
    try Multibase.decodeWithoutPrefix(text, .base16)
}
