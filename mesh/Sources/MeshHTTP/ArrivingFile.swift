import IPLD
import Multiformats
import NodeAPI

/// A file that comes in pieces: what is complete of it goes to the node, so that a few blocks of it wait in memory,
/// however long it is.
struct ArrivingFile: Sendable {
    /// The bytes of blocks that wait at the most until they are given to the node; a block more is being cut.
    static let waitingBytesMax = 4 << 20

    private let service: any NodeService
    // Of the profile in which a node names files that it is given as a whole.
    private var builder = UnixFSFileBuilder(profile: .v1in2025)
    private var waiting: [ContentBlock] = []
    private var waitingBytes = 0
    private(set) var byteCount = 0

    init(for service: any NodeService) { self.service = service }

    /// Takes the next bytes.
    mutating func take(_ bytes: [UInt8]) async throws(NodeServiceError) {
        byteCount += bytes.count
        for block in builder.append(bytes) {
            waiting.append(ContentBlock(cid: block.cid, bytes: block.bytes))
            waitingBytes += block.bytes.count
        }
        if waitingBytes >= Self.waitingBytesMax { try await give() }
    }

    /// Takes the end, and has the node keep the whole.
    mutating func end() async throws(NodeServiceError) -> AddedFile {
        let (file, blocks) = builder.finish()
        waiting += blocks.map { ContentBlock(cid: $0.cid, bytes: $0.bytes) }
        try await give()
        let kept = try await service.pin(file.cid, fetching: false)
        guard kept.isPinned else {
            throw NodeServiceError(
                .storageFull, "The node had to delete parts of the file while the rest of it came.",
                hint:
                    "Make room first: mesh pin ls lists what is kept, and limits.block_bytes_max says how much may be.")
        }
        return AddedFile(cid: file.cid.text, size: byteCount)
    }

    private mutating func give() async throws(NodeServiceError) {
        let blocks = waiting
        (waiting, waitingBytes) = ([], 0)
        try await service.put(blocks)
    }
}
