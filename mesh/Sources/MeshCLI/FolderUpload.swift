import Foundation
import IPLD
import Multiformats
import NodeAPI

/// Sends a local file or folder to a node as UnixFS: cuts it into blocks as it is read, and sends those that the node
/// lacks. It holds a few MiB, however large the file is. A large file is read by the node itself where it can
/// (`FileHandover`).
///
/// What the user names is followed if it is a link; links inside a folder are kept as links. What was sent before, by a
/// run that was interrupted too, is not sent again.
struct FolderUpload {
    /// The bounds of one upload.
    struct Limits {
        /// Folders in each other.
        var depthMax = 256
        /// Files, folders and links together.
        var entriesMax = 1_000_000
        /// Bytes of blocks that are sent at once.
        var batchBytes = 4 << 20
        /// Blocks that are sent at once.
        var batchBlocks = 512
        /// Batches under way at the same time.
        var batchesMax = 2
        /// The least bytes of a file that the node is asked to read itself.
        var handedBytesMin: UInt64 = 8 << 20
        /// Parts of such a file that it reads at the same time.
        var handedPartsMax = 3
    }

    /// How a file or folder is written.
    struct Options {
        /// How it is cut into blocks.
        var profile = UnixFSProfile.v1in2025
        /// Whether permissions and times are kept too.
        var preserves = false
        /// Whether names that begin with a dot are left out.
        var skipsHidden = false
    }

    /// How far an upload is.
    struct Progress: Hashable, Sendable {
        /// Files that are read to their end.
        var files = 0
        /// Bytes that are read.
        var bytes: UInt64 = 0
        /// Bytes that there were when it began; nil of a stream.
        var bytesTotal: UInt64?
    }

    /// What was sent.
    struct Uploaded: Hashable, Sendable {
        /// The root, of version 1.
        var root: CID
        /// Files.
        var files = 0
        /// Folders.
        var folders = 0
        /// Symbolic links.
        var links = 0
        /// Bytes of the files.
        var bytes: UInt64 = 0
        /// Blocks that the node lacked.
        var blocksSent = 0
        /// Their bytes.
        var bytesSent: UInt64 = 0
    }

    private let node: any NodeService
    private let options: Options
    private let limits: Limits
    private let progress: (Progress) -> Void

    /// An upload to a node.
    /// - Parameter progress: hears how far it is, each time that a few MiB were read.
    init(
        to node: any NodeService, _ options: Options = Options(), limits: Limits = Limits(),
        progress: @escaping (Progress) -> Void = { _ in }
    ) {
        self.node = node
        self.options = options
        self.limits = limits
        self.progress = progress
    }

    /// Sends the file or folder at a path, and has the node keep it; `-` is standard input.
    func send(_ path: String) async throws -> Uploaded {
        let item = try path == LocalFile.stream ? LocalItem.standardInput : LocalItem(following: path)
        var walk = Walk(node: node, limits: limits, options: options, progress: progress)
        if path != LocalFile.stream { walk.state.bytesTotal = try walk.measure(item) }
        let node = node
        let root = try await withThrowingTaskGroup(of: Sent.self) { group in
            var sender = BlockSender(node: node, limits: limits)
            let root = try await walk.add(item, depth: 0) { blocks throws in
                try await sender.take(blocks, &group)
            }
            try await sender.finish(&group)
            walk.uploaded.blocksSent += sender.sent.blocks
            walk.uploaded.bytesSent += sender.sent.bytes
            return root
        }
        let kept = try await node.pin(root.cid, fetching: false)
        guard kept.isPinned else {
            throw NodeServiceError(
                .storageFull, "\(path): the node lost \(kept.missing.count) blocks of it before it had the rest.",
                hint: "See what mesh gc frees, or raise limits.block_bytes_max in config.json; then add it again.")
        }
        walk.uploaded.root = root.cid
        return walk.uploaded
    }

    /// Blocks that the node took.
    struct Sent: Sendable {
        var blocks = 0
        var bytes: UInt64 = 0
    }
}

/// Sends blocks in batches, some at the same time, after asking which of them the node lacks.
struct BlockSender {
    private let node: any NodeService
    private let limits: FolderUpload.Limits
    private(set) var sent = FolderUpload.Sent()
    private var batch: [ContentBlock] = []
    private var batchBytes = 0
    private var running = 0

    init(node: any NodeService, limits: FolderUpload.Limits) {
        self.node = node
        self.limits = limits
    }

    mutating func take(
        _ blocks: [UnixFSBuiltBlock], _ group: inout ThrowingTaskGroup<FolderUpload.Sent, any Error>
    ) async throws {
        for block in blocks {
            batch.append(ContentBlock(cid: block.cid, bytes: block.bytes))
            batchBytes += block.bytes.count
            if batchBytes >= limits.batchBytes || batch.count >= limits.batchBlocks { try await send(&group) }
        }
    }

    mutating func finish(_ group: inout ThrowingTaskGroup<FolderUpload.Sent, any Error>) async throws {
        try await send(&group)
        while running > 0 { try await wait(&group) }
    }

    private mutating func send(_ group: inout ThrowingTaskGroup<FolderUpload.Sent, any Error>) async throws {
        guard !batch.isEmpty else { return }
        while running >= limits.batchesMax { try await wait(&group) }
        let (node, blocks) = (node, batch)
        batch = []
        batchBytes = 0
        running += 1
        group.addTask {
            let missing = Set(try await node.missing(blocks.map(\.cid)))
            var seen: Set<CID> = []
            let lacked = blocks.filter { missing.contains($0.cid) && seen.insert($0.cid).inserted }
            if !lacked.isEmpty { try await node.put(lacked) }
            return FolderUpload.Sent(
                blocks: lacked.count, bytes: lacked.reduce(0) { $0 + UInt64($1.bytes.count) })
        }
    }

    private mutating func wait(_ group: inout ThrowingTaskGroup<FolderUpload.Sent, any Error>) async throws {
        guard let done = try await group.next() else { return }
        running -= 1
        sent.blocks += done.blocks
        sent.bytes += done.bytes
    }
}

/// Goes through a local file or folder, and builds blocks of it.
private struct Walk {
    /// Takes blocks that were built.
    typealias Taker = ([UnixFSBuiltBlock]) async throws -> Void

    let node: any NodeService
    let limits: FolderUpload.Limits
    let options: FolderUpload.Options
    let progress: (FolderUpload.Progress) -> Void
    var state = FolderUpload.Progress()
    var uploaded = FolderUpload.Uploaded(root: CID.hashing([], codec: .raw))
    private var entriesLeft: Int

    init(
        node: any NodeService, limits: FolderUpload.Limits, options: FolderUpload.Options,
        progress: @escaping (FolderUpload.Progress) -> Void
    ) {
        self.node = node
        self.limits = limits
        self.options = options
        self.progress = progress
        entriesLeft = limits.entriesMax
    }

    /// The bytes of all files, and whether everything can be sent at all.
    func measure(_ item: LocalItem) throws -> UInt64 {
        var counted = 0
        return try measure(item, depth: 0, &counted)
    }

    private func measure(_ item: LocalItem, depth: Int, _ counted: inout Int) throws -> UInt64 {
        counted += 1
        guard counted <= limits.entriesMax, depth <= limits.depthMax else { throw tooMany(item, depth: depth) }
        switch item.kind {
        case .file(let bytes): return bytes
        case .symbolicLink, .stream: return 0
        case .folder:
            var sum: UInt64 = 0
            for name in try names(in: item) {
                sum += try measure(item.entry(name), depth: depth + 1, &counted)
            }
            return sum
        }
    }

    private func tooMany(_ item: LocalItem, depth: Int) -> LocalFileError {
        let reason =
            depth > limits.depthMax
            ? "nested deeper than \(limits.depthMax) folders"
            : "the folder has more than \(limits.entriesMax) files, folders and links"
        return LocalFileError(path: item.path, reason: reason, hint: "Add parts of it.")
    }

    private func names(in folder: LocalItem) throws -> [[UInt8]] {
        let names = try folder.names()
        return options.skipsHidden ? names.filter { $0.first != UInt8(ascii: ".") } : names
    }

    mutating func add(_ item: LocalItem, depth: Int, _ take: Taker) async throws -> UnixFSBuilt {
        guard entriesLeft > 0, depth <= limits.depthMax else { throw tooMany(item, depth: depth) }
        entriesLeft -= 1
        try Task.checkCancellation()
        let attributes = options.preserves ? item.attributes : .none
        switch item.kind {
        case .file, .stream: return try await addFile(item, attributes, take)
        case .folder: return try await addFolder(item, attributes, depth: depth, take)
        case .symbolicLink:
            uploaded.links += 1
            // As elsewhere, a link has no permissions of its own.
            let (link, blocks) = UnixFSDirectoryBuilder.symbolicLink(
                to: try item.target(), attributes: UnixFSAttributes(modified: attributes.modified))
            try await take(blocks)
            return link
        }
    }

    private mutating func addFolder(
        _ item: LocalItem, _ attributes: UnixFSAttributes, depth: Int, _ take: Taker
    ) async throws -> UnixFSBuilt {
        uploaded.folders += 1
        var entries: [UnixFSEntry] = []
        for name in try names(in: item) {
            let built = try await add(try item.entry(name), depth: depth + 1, take)
            entries.append(UnixFSEntry(name: name, cid: built.cid, totalBytes: built.treeBytes))
        }
        let (folder, blocks): (UnixFSBuilt, [UnixFSBuiltBlock])
        do {
            (folder, blocks) = try UnixFSDirectoryBuilder.directory(entries, profile: profile, attributes: attributes)
        } catch {
            throw LocalFileError(path: item.path, reason: "\(error)", hint: "Spread its files over more folders.")
        }
        try await take(blocks)
        return folder
    }

    private mutating func addFile(
        _ item: LocalItem, _ attributes: UnixFSAttributes, _ take: Taker
    ) async throws -> UnixFSBuilt {
        uploaded.files += 1
        if let file = try await handOver(item, attributes, take) { return file }
        let file = try item.open()
        var builder = UnixFSFileBuilder(profile: profile, attributes: attributes)
        while let bytes = try item.read(file, profile.chunkBytes) {
            try Task.checkCancellation()
            try await take(builder.append(bytes))
            uploaded.bytes += UInt64(bytes.count)
            state.bytes += UInt64(bytes.count)
            progress(state)
        }
        let (built, blocks) = builder.finish()
        try await take(blocks)
        state.files += 1
        progress(state)
        return built
    }

    /// Has the node read a large file; nil if it cannot, or if its chunks would be no raw blocks.
    private mutating func handOver(
        _ item: LocalItem, _ attributes: UnixFSAttributes, _ take: Taker
    ) async throws -> UnixFSBuilt? {
        let profile = profile
        guard profile.hasRawLeaves, attributes == .none, case .file(let bytes) = item.kind,
            bytes >= limits.handedBytesMin, let path = item.absolutePath
        else { return nil }
        let part = FilePart(
            path: path, device: item.identity.device, inode: item.identity.inode,
            chunks: max(1, FilePart.bytesMax / profile.chunkBytes), chunkBytes: profile.chunkBytes)
        var builder = UnixFSFileBuilder(profile: profile)
        var built: [UnixFSBuiltBlock] = []
        let handover = FileHandover(node: node, partsMax: limits.handedPartsMax)
        let isRead = try await handover.read(part) { leaves in
            for leaf in try leaves.links(chunkBytes: profile.chunkBytes) { built += builder.append(leaf: leaf) }
            try await take(built)
            built = []
            uploaded.bytes += leaves.bytes
            uploaded.blocksSent += leaves.newBlocks
            uploaded.bytesSent += leaves.newBytes
            state.bytes += leaves.bytes
            progress(state)
        }
        guard isRead else { return nil }
        let (file, blocks) = builder.finish()
        try await take(blocks)
        state.files += 1
        progress(state)
        return file
    }

    private var profile: UnixFSProfile { options.preserves ? options.profile.withoutRawLeaves : options.profile }
}
