import Foundation
import MeshStore
import NIOPosix
import NodeAPI

/// Reads and hashes parts of the owner's own files, away from the threads that tasks share: a disk may be slow.
enum OwnerFilePart {
    /// The chunks of a part, in their order.
    static func chunks(
        of part: FilePart, on threads: NIOThreadPool = .singleton
    ) async throws(NodeServiceError) -> [HashedBlock] {
        guard part.chunks > 0, part.chunkBytes > 0, part.chunks <= FilePart.bytesMax / part.chunkBytes,
            part.offset <= UInt64(Int64.max) - UInt64(FilePart.bytesMax)
        else {
            throw NodeServiceError(.invalidRequest, "A part of a file has 1 to \(FilePart.bytesMax) bytes.")
        }
        do {
            return try await threads.runIfActive { try read(part) }
        } catch let error as NodeServiceError {
            throw error
        } catch {
            throw NodeServiceError(.shuttingDown, "The node stops.")
        }
    }

    private static func read(_ part: FilePart) throws -> [HashedBlock] {
        // Without waiting for the other end of what may be a pipe by now.
        let descriptor = open(part.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw refusal(part, String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG,
            UInt64(information.st_dev) == part.device, UInt64(information.st_ino) == part.inode
        else { throw refusal(part, "it is another file here") }
        var blocks: [HashedBlock] = []
        for index in 0..<part.chunks {
            let bytes = try chunk(part, at: Int64(part.offset) + Int64(index * part.chunkBytes), descriptor)
            if bytes.isEmpty { break }
            blocks.append(HashedBlock(hashing: bytes))
            if bytes.count < part.chunkBytes { break }
        }
        return blocks
    }

    /// The bytes of one chunk; fewer at the end of the file.
    private static func chunk(_ part: FilePart, at offset: Int64, _ descriptor: CInt) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: part.chunkBytes) { buffer, filled in
            while filled < part.chunkBytes {
                // SAFETY: the rebased part of the buffer has room for its count during the call.
                let rest = UnsafeMutableBufferPointer(rebasing: buffer[filled..<part.chunkBytes])
                let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(filled))
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw refusal(part, String(cString: strerror(errno))) }
                if got == 0 { break }
                filled += got
            }
        }
    }

    private static func refusal(_ part: FilePart, _ reason: String) -> NodeServiceError {
        NodeServiceError(
            .permissionDenied, "The node cannot read \(part.path) itself: \(reason).",
            hint: "Send it the file's blocks instead.")
    }
}
