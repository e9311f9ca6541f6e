import Foundation
import MeshStore
import Multiformats
import NodeAPI
import P2PTesting
import Testing

@testable import PlanetaryMesh

/// The node reads the owner's files itself: what it gives, and what it does not open.
@Suite("Parts of files")
struct OwnerFilePartTests {
    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func path(_ name: String) -> String { folder.path + "/" + name }

    /// A part of a path as somebody names it who sees there what this process sees.
    private func part(_ name: String, offset: UInt64 = 0, chunks: Int = 4, chunkBytes: Int = 10) throws -> FilePart {
        var information = stat()
        try #require(lstat(path(name), &information) == 0)
        return FilePart(
            path: path(name), device: UInt64(information.st_dev), inode: UInt64(information.st_ino), offset: offset,
            chunks: chunks, chunkBytes: chunkBytes)
    }

    private func refusal(_ part: FilePart) async -> NodeServiceError? {
        do throws(NodeServiceError) {
            _ = try await OwnerFilePart.chunks(of: part)
            return nil
        } catch {
            return error
        }
    }

    @Test("A part is cut into chunks, and ends with the file")
    func chunks() async throws {
        let bytes = (0..<45).map { UInt8($0) }
        try Data(bytes).write(to: URL(filePath: path("file")))
        func cut(_ offset: UInt64) async throws -> [[UInt8]] {
            try await OwnerFilePart.chunks(of: part("file", offset: offset)).map(\.bytes)
        }
        #expect(try await cut(0) == [0, 10, 20, 30].map { Array(bytes[$0..<$0 + 10]) })
        #expect(try await cut(40) == [Array(bytes[40...])])
        #expect(try await cut(45).isEmpty)
        #expect(try await cut(1_000).isEmpty)
        let first = try await OwnerFilePart.chunks(of: part("file"))[0]
        #expect(first.cid == CID.hashing(Array(bytes[..<10]), codec: .raw))
    }

    @Test("What is no file, another file than was meant, or not to be read is refused at once")
    func refused() async throws {
        try Data([1]).write(to: URL(filePath: path("file")))
        try Data([2]).write(to: URL(filePath: path("other")))
        try #require(mkfifo(path("pipe"), 0o600) == 0)
        mkdir(path("folder"), 0o700)
        symlink(path("file"), path("link"))
        for name in ["pipe", "folder"] {
            let error = try #require(await refusal(part(name)))
            #expect(error.code == .permissionDenied && error.message.contains("another file"), "\(name): \(error)")
        }
        var moved = try part("other")
        moved.path = path("file")
        #expect(await refusal(moved)?.code == .permissionDenied)
        moved.path = path("nothing")
        #expect(await refusal(moved)?.message.contains("No such file") == true)
        // A link by its own number is not what it leads to.
        #expect(try await refusal(part("link"))?.code == .permissionDenied)
    }

    @Test("A part has at most FilePart.bytesMax bytes")
    func bounds() async throws {
        try Data([1]).write(to: URL(filePath: path("file")))
        for (chunks, chunkBytes) in [(0, 1), (1, 0), (-1, 1), (1, -1), (2, FilePart.bytesMax), (Int.max, 2)] {
            #expect(try await refusal(part("file", chunks: chunks, chunkBytes: chunkBytes))?.code == .invalidRequest)
        }
        #expect(try await refusal(part("file", offset: .max))?.code == .invalidRequest)
        #expect(try await refusal(part("file", chunks: 1, chunkBytes: FilePart.bytesMax)) == nil)
    }
}
