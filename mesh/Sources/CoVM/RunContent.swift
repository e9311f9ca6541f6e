import GuestFiles
import IPLD
import Multiformats

/// The content of a run's mounts in the run's own process: UnixFS out of blocks that its node hands over, of which it
/// keeps those that came last.
///
/// The node has verified each of them. Nothing here decides what a run computes or what that costs: the same file gives
/// the same answers however many of its blocks are kept.
// SAFETY: used by the run's one thread alone.
final class RunContent: MountSource, @unchecked Sendable {
    /// Bounds of what is kept and asked for.
    struct Limits {
        /// Blocks that are kept, in bytes, but for the one that came last; part of the process's own memory
        /// (`CoVMConfiguration.Limits.processOverheadBytes`).
        var keptBytesMax = 16 << 20
        /// Files whose nodes and last chunk are kept.
        var openFilesMax = 4
        /// Folders whose entries are kept in the order of their names.
        var listedFoldersMax = 8
        /// Entries of one of these.
        var listedEntriesMax = 4_096
        /// The most entries that are asked for ahead of a reader who goes through a folder.
        var aheadMax = 32
        /// How many of the next entries may be passed over by such a reader.
        var passedOverMax = 8
        /// Times that the blocks of one range are asked for all at once; after that, one by one.
        var batchesMax = 8
    }

    /// A file that is being read.
    private struct OpenFile {
        let cid: CID
        var reader: UnixFSRangeReader
        /// Where the last read ended.
        var end: UInt64 = 0
        /// As far as the node knows of reads that followed each other.
        var toldEnd: UInt64 = 0
    }

    /// A folder that was listed, and how far its reader has come.
    private struct ListedFolder {
        let entries: [CID]
        /// The one behind the last that was asked for, and the one behind those that were asked for ahead.
        var next = 0
        var aheadEnd = 0
        /// How many to ask for ahead.
        var ahead = 2
    }

    private struct Kept {
        let cid: CID
        let bytes: Int
    }

    private let limits: Limits
    private let ask: (RunRequest) -> [HandedBlock]
    private let tell: (RunRequest) -> Void
    private var blocks: [CID: [UInt8]] = [:]
    private var order: [Kept] = []
    private var oldest = 0
    private var files: [OpenFile] = []
    private var folders: [ListedFolder] = []

    /// Bytes of the blocks that are kept.
    private(set) var keptBytes = 0

    /// - Parameters:
    ///   - ask: gets blocks from the node, as far as it has them.
    ///   - tell: tells the node what is read.
    init(
        limits: Limits = Limits(), ask: @escaping (RunRequest) -> [HandedBlock], tell: @escaping (RunRequest) -> Void
    ) {
        self.limits = limits
        self.ask = ask
        self.tell = tell
    }

    // MARK: Blocks

    /// A block that is kept, or that the node has.
    private func block(named cid: CID) -> [UInt8]? {
        if let block = blocks[cid] { return block }
        bring([cid], ahead: following(cid))
        return blocks[cid]
    }

    /// Asks for these blocks, and for others if they are at hand; whether the first of these came.
    @discardableResult private func bring(_ cids: [CID], ahead: [CID] = []) -> Bool {
        let asked = Array(cids.prefix(RunBlocks.askedMax))
        for block in ask(.blocks(asked, ahead: Array(ahead.prefix(RunBlocks.askedMax - asked.count)))) { keep(block) }
        return asked.first.map { blocks[$0] != nil } ?? false
    }

    private func keep(_ block: HandedBlock) {
        guard blocks.updateValue(block.bytes, forKey: block.cid) == nil else { return }
        order.append(Kept(cid: block.cid, bytes: block.bytes.count))
        keptBytes += block.bytes.count
        while keptBytes > limits.keptBytesMax, oldest < order.count - 1 {
            keptBytes -= order[oldest].bytes
            blocks[order[oldest].cid] = nil
            oldest += 1
        }
        if oldest > order.count / 2 {
            order.removeFirst(oldest)
            oldest = 0
        }
    }

    /// The entries of a folder that come after this one, if its reader seems to take one after the other.
    private func following(_ cid: CID) -> [CID] {
        for index in folders.indices.reversed() {
            let folder = folders[index]
            let window = folder.next..<min(folder.aheadEnd + limits.passedOverMax, folder.entries.count)
            guard let found = window.first(where: { folder.entries[$0] == cid }) else { continue }
            let ahead = folder.entries[(found + 1)...].prefix(folder.ahead)
            folders[index].next = found + 1
            folders[index].aheadEnd = ahead.endIndex
            folders[index].ahead = min(2 * folder.ahead, limits.aheadMax)
            return ahead.filter { $0.codec == cid.codec && $0.ownBlock == nil && blocks[$0] == nil }
        }
        return []
    }

    // MARK: What a guest sees of them

    private var held: MountedBlocks { MountedBlocks { [self] in block(named: $0) } }

    func node(_ cid: CID) -> SourceAnswer<MountedNode> { held.node(cid) }
    func block(_ cid: CID) -> SourceAnswer<[UInt8]> { held.block(cid) }

    func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> {
        do {
            var reader = UnixFSDirectoryReader(root: cid)
            while let next = reader.next {
                if next.ownBlock == nil, blocks[next] == nil {
                    bring(reader.needed.filter { $0.ownBlock == nil && blocks[$0] == nil })
                }
                guard let block = next.ownBlock ?? blocks[next] else { return .notHere }
                try reader.received(block)
            }
            note(reader.entries)
            return .here(reader.entries.map { MountedEntry(name: $0.name, cid: $0.cid) })
        } catch {
            return .broken
        }
    }

    private func note(_ entries: [UnixFSEntry]) {
        if folders.count == limits.listedFoldersMax { folders.removeFirst() }
        // Guests see them in this order.
        let sorted = entries.prefix(limits.listedEntriesMax).sorted { $0.name.lexicographicallyPrecedes($1.name) }
        folders.append(ListedFolder(entries: sorted.map(\.cid)))
    }

    func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> {
        var file = opened(cid)
        defer { files.append(file) }
        // A read that has to wait for blocks is made again, and is the same read.
        if range.lowerBound != file.end { file.toldEnd = range.lowerBound }
        file.end = range.lowerBound
        for _ in 0..<limits.batchesMax {
            let answer: UnixFSAnswer<[UInt8]>
            do {
                answer = try file.reader.read(range) { [self] in $0.ownBlock ?? blocks[$0] }
            } catch {
                return .broken
            }
            switch answer {
            case .here(let bytes):
                file.end = range.upperBound
                return .here(bytes)
            case .missing(let cids):
                if cid.codec != .raw, file.toldEnd < range.upperBound {
                    tell(.reads(cid, from: file.toldEnd, to: range.upperBound))
                    file.toldEnd = range.upperBound
                }
                guard bring(cids, ahead: cids == [cid] ? following(cid) : []) else { return .notHere }
            }
        }
        // More blocks than are kept at the same time.
        file.end = range.upperBound
        return held.bytes(&file.reader, range)
    }

    func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]> {
        var file = opened(cid)
        defer { files.append(file) }
        return held.way(&file.reader, to: offset)
    }

    /// A file, taken out of the open ones; the one that was read first makes room.
    private func opened(_ cid: CID) -> OpenFile {
        let index = files.firstIndex { $0.cid == cid }
        let file = index.map { files.remove(at: $0) } ?? OpenFile(cid: cid, reader: UnixFSRangeReader(root: cid))
        if files.count == limits.openFilesMax { files.removeFirst() }
        return file
    }
}
