import GuestFiles
import IPLD
import MeshTypes
import Multiformats

/// Makes UnixFS of what a run left in its files, and names it among the outputs.
///
/// The blocks depend on the files alone: they are of one profile, and neither modes nor times are written. What is the
/// same in a mount is named by the mount's own CID, and its blocks are taken over, if a receipt that names them would
/// verify. Everything counts as output: each entry, the bytes of files, and the blocks that are taken over.
struct FileCollection {
    /// How files and folders are cut.
    static let profile = UnixFSProfile.v1in2025
    /// Bytes of a file that are read at once.
    private static let pieceBytes = 1 << 20

    /// Bytes that an entry counts, besides those of a file.
    static let entryBytes = 512
    /// Blocks of all that is collected.
    static let blocksMax = 65_536

    private let run: JobRun
    /// Blocks that are kept, with their sizes.
    private var kept: [CID: Int] = [:]
    /// Roots of mounted files and blocks of mounted folders that are in the present output.
    private var seen: Set<CID> = []
    private var takenOver = TakenOver()

    /// What is taken over of mounts, as it is kept and as a verifier counts it, who meets what is in two outputs, and a
    /// block that has two places in a file, twice.
    private struct TakenOver {
        var blocks = 0
        var blockBytes: UInt64 = 0
        var places = 0
        var fileBytes: UInt64 = 0
    }

    /// The time of collecting begins with this; it is what is left of the run's.
    init(_ run: JobRun) {
        self.run = run
        run.collectingBegins()
    }

    /// Collects one selection after the other, in the order of the job.
    mutating func collect() throws(HostStop) {
        for (name, selection) in run.job.collect {
            guard let node = try node(of: selection) else { continue }
            seen = []
            let built = try build(node)
            run.addReserved(name, built.cid)
        }
    }

    private func checkTime() throws(HostStop) {
        if let stop = run.reasonToStop { throw stop }
    }

    private var world: GuestWorld { run.world(fuelLeft: 0) }

    private func node(of selection: FileSelection) throws(HostStop) -> CollectedNode? {
        var node: CollectedNode?
        let run = run
        try asking { () throws(FileStop) in
            node = try run.files?.collect(selection, in: world) { run.reasonToStop != nil }
        }
        return node
    }

    /// Asks the files again until they have what they need.
    private func asking(_ body: () throws(FileStop) -> Void) throws(HostStop) {
        try run.repeating { () throws(HostStop) in
            do throws(FileStop) {
                try body()
                return nil
            } catch {
                switch error {
                case .needs(let wants): return wants
                case .stopped:
                    try checkTime()
                    return nil
                case .errno(.nameTooLong): throw .filesRefused("what is to be collected is nested too deep")
                case .outOfMemory: throw .memory
                case .errno, .broken, .tooManyCollected: throw .filesRefused("\(error)")
                }
            }
        }
    }

    private mutating func build(_ node: CollectedNode) throws(HostStop) -> UnixFSBuilt {
        try checkTime()
        try run.reserveOutput(Self.entryBytes)
        switch node {
        case .mounted(let cid): return try mounted(cid)
        case .file(let file): return try build(file)
        case .symbolicLink(let target, _):
            try run.reserveOutput(target.count)
            let (link, blocks) = UnixFSDirectoryBuilder.symbolicLink(to: target)
            try keep(blocks)
            return link
        case .directory(let entries, _):
            var built: [UnixFSEntry] = []
            for entry in entries {
                let below = try build(entry.node)
                built.append(UnixFSEntry(name: entry.name.bytes, cid: below.cid, totalBytes: below.treeBytes))
            }
            let (directory, blocks) = try folder(built)
            try keep(blocks)
            return directory
        }
    }

    private func folder(
        _ entries: [UnixFSEntry]
    ) throws(HostStop) -> (directory: UnixFSBuilt, blocks: [UnixFSBuiltBlock]) {
        do {
            return try UnixFSDirectoryBuilder.directory(entries, profile: Self.profile)
        } catch {
            throw .filesRefused("a folder that is to be collected cannot be written: \(error)")
        }
    }

    private mutating func build(_ file: CollectedFile) throws(HostStop) -> UnixFSBuilt {
        try run.reserveOutput(Int(clamping: file.bytes))
        var builder = UnixFSFileBuilder(profile: Self.profile)
        var offset: UInt64 = 0
        while offset < file.bytes {
            try checkTime()
            var piece: [UInt8] = []
            try asking { () throws(FileStop) in
                piece = try run.files?.contents(of: file, at: offset, count: Self.pieceBytes, in: world) ?? []
            }
            guard !piece.isEmpty else { throw .nodeFailed("a file of the job is shorter than it says") }
            offset += UInt64(piece.count)
            try keep(builder.append(piece))
        }
        let (built, blocks) = builder.finish()
        try keep(blocks)
        return built
    }

    // MARK: What is as in its mount

    /// What a mount has: all its blocks, so that whoever takes the output in gets them here. They are held against what
    /// a verifier of the receipt and the originator demand of them.
    private mutating func mounted(_ cid: CID) throws(HostStop) -> UnixFSBuilt {
        let root = try block(cid).block
        var wanted = seen.insert(cid).inserted ? [cid] : []
        while let next = wanted.popLast() {
            try checkTime()
            let node = next == cid ? root : try block(next).block
            if case .file = node.kind {
                try file(next)
                continue
            }
            takenOver.places += 1
            for link in node.links where seen.insert(link).inserted { wanted.append(link) }
            if blocksLeft < 0 { throw .output }
        }
        return UnixFSBuilt(cid: cid, treeBytes: root.treeBytes)
    }

    /// Blocks that a verifier may still meet.
    private var blocksLeft: Int { Self.blocksMax - (kept.count - takenOver.blocks) - takenOver.places }

    /// Takes a file of a mount over, in the way in which a verifier reads it.
    private mutating func file(_ root: CID) throws(HostStop) {
        var walk = UnixFSWalk(root: root, blocksMax: max(0, blocksLeft), depthMax: UnixFSLimits().fileDepthMax)
        while let cid = walk.next {
            try checkTime()
            if cid.codec == .raw, let count = kept[cid] {
                try checking(root) { () throws(UnixFSError) in try walk.received(chunkBytes: UInt64(count)) }
                continue
            }
            let bytes = try block(cid).bytes
            try checking(root) { () throws(UnixFSError) in
                if cid.codec == .raw {
                    try walk.received(chunkBytes: UInt64(bytes.count))
                } else {
                    try walk.received(UnixFSNode(bytes, of: cid))
                }
            }
        }
        takenOver.places += walk.blockCount
        let (sum, isOver) = takenOver.fileBytes.addingReportingOverflow(walk.fileBytes)
        let others = run.bytesWritten - takenOver.blockBytes
        guard !isOver, sum <= run.job.limits.maxOutputBytes, others <= run.job.limits.maxOutputBytes - sum else {
            throw .output
        }
        takenOver.fileBytes = sum
    }

    private func checking(_ file: CID, _ body: () throws(UnixFSError) -> Void) throws(HostStop) {
        do throws(UnixFSError) {
            try body()
        } catch {
            if case .tooManyBlocks = error { throw .output }
            throw .filesRefused("the file \(file) of a mount cannot be an output: \(error)")
        }
    }

    /// Takes a block of a mount over.
    private mutating func block(_ cid: CID) throws(HostStop) -> (block: UnixFSBlock, bytes: [UInt8]) {
        guard cid.namesFileContent else {
            throw .filesRefused("\(cid) of a mount cannot be in an output: it is of no form that outputs have")
        }
        var bytes: [UInt8] = []
        let world = world
        try run.repeating { () throws(HostStop) in
            switch world.source.block(cid) {
            case .here(let block):
                bytes = block
                return nil
            case .notHere: return [.block(cid)]
            case .broken: throw .filesRefused("\(MountFault.notFiles(cid))")
            }
        }
        let block: UnixFSBlock
        do {
            block = try UnixFSBlock(bytes, of: cid)
        } catch {
            throw .filesRefused("\(error)")
        }
        if kept[cid] == nil {
            try run.reserveOutput(bytes.count)
            takenOver.blocks += 1
            takenOver.blockBytes += UInt64(bytes.count)
            try keep(cid, bytes)
        }
        return (block, bytes)
    }

    private mutating func keep(_ blocks: [UnixFSBuiltBlock]) throws(HostStop) {
        for block in blocks { try keep(block.cid, block.bytes) }
    }

    private mutating func keep(_ cid: CID, _ bytes: [UInt8]) throws(HostStop) {
        guard kept.updateValue(bytes.count, forKey: cid) == nil else { return }
        guard kept.count <= Self.blocksMax else { throw .output }
        try run.keep(cid, bytes)
    }
}
