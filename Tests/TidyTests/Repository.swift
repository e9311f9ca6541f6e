import Foundation

/// The working tree that these tests were built from.
struct Repository {
    let root: URL
    /// Paths of the files that are tracked or would be, from the root.
    let paths: [String]

    /// All Swift files, taken apart once for all checks.
    private static let parsed = Result {
        let repository = try Repository()
        return try repository.paths.filter { $0.hasSuffix(".swift") }
            .map { SourceFile(path: $0, text: String(decoding: try repository.bytes($0), as: UTF8.self)) }
    }

    init() throws {
        root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        paths = try Self.listFiles(root).sorted()
    }

    /// Asks git, because only git knows what is ignored.
    private static func listFiles(_ root: URL) throws -> [String] {
        let git = Process()
        git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        git.arguments = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        git.currentDirectoryURL = root
        let output = Pipe()
        git.standardOutput = output
        try git.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else { throw ListingFailed(status: git.terminationStatus) }
        let paths = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return paths.filter { FileManager.default.fileExists(atPath: root.appendingPathComponent($0).path) }
    }

    struct ListingFailed: Error {
        var status: Int32
    }

    func bytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: root.appendingPathComponent(path)))
    }

    /// The Swift files under the given folders, taken apart.
    static func swiftFiles(under folders: [String]) throws -> [SourceFile] {
        try parsed.get().filter { file in folders.contains { file.path.hasPrefix($0) } }
    }
}
