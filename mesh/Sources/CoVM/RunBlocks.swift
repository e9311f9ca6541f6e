import GuestFiles
import IPLD
import Multiformats

/// A block that a node hands to the process of a run.
struct HandedBlock: Codable {
    var cid: CID
    var bytes: [UInt8]
}

/// The blocks of a run's mounts as its node hands them to the run's process: those that the mounts begin with, and
/// those that a block names which was handed over before. It asks for no others, and gets none.
struct RunBlocks {
    /// Blocks that are asked for in one message.
    static let askedMax = 64
    /// Bytes of blocks in one answer, besides the first.
    static let answerBytesMax = 4 << 20
    /// The same of blocks that are given ahead.
    static let aheadBytesMax = 256 << 10

    /// Why a process gets nothing more.
    enum Fault: Error, CustomStringConvertible {
        /// It asked for what nothing that it has names.
        case notNamed
        /// It asked for too much at once.
        case tooManyAtOnce
        /// The blocks that it was given name too many others.
        case tooManyNamed(max: Int)

        var description: String {
            switch self {
            case .notNamed: "the process of the run asked for a block that the job's files do not name"
            case .tooManyAtOnce: "the process of the run asked for too many blocks at once"
            case .tooManyNamed(let max): "the job's files name more than \(max) blocks where they were read"
            }
        }
    }

    private let content: any MountSource
    /// Blocks that may be named by those that were handed over.
    private let namesMax: Int
    /// Hashes of their CIDs, with a key that only this process knows: eight bytes instead of forty for each.
    private var named: Set<Int> = []

    init(of plan: FileSystemPlan, from content: any MountSource, namesMax: Int = 1 << 21) {
        self.content = content
        self.namesMax = namesMax
        var roots: [CID] = []
        for mount in plan.mounts { if case .tree(let cid) = mount.content { roots.append(cid) } }
        if case .file(let cid) = plan.standardInput { roots.append(cid) }
        name(roots)
    }

    /// The blocks that are at hand: of those that are asked for as many as fit, and then of those ahead.
    mutating func handOver(_ asked: [CID], ahead: [CID]) throws(Fault) -> [HandedBlock] {
        guard asked.count + ahead.count <= Self.askedMax else { throw .tooManyAtOnce }
        guard (asked + ahead).allSatisfy(isNamed) else { throw .notNamed }
        var handed: [HandedBlock] = []
        var bytes = 0
        for (cids, bytesMax) in [(asked, Self.answerBytesMax), (ahead, Self.aheadBytesMax)] {
            for cid in cids where handed.isEmpty || bytes < bytesMax {
                guard case .here(let block) = content.block(cid) else { continue }
                if !handed.isEmpty, bytes + block.count > bytesMax { break }
                bytes += block.count
                handed.append(HandedBlock(cid: cid, bytes: block))
                try noteLinks(of: block, cid)
            }
        }
        return handed
    }

    /// Whether all that these want is the run's to want.
    func mayWant(_ wants: [ContentWant]) -> Bool {
        wants.allSatisfy { want in
            switch want {
            case .node(let cid), .listing(let cid), .block(let cid), .bytes(let cid, _): isNamed(cid)
            }
        }
    }

    private func isNamed(_ cid: CID) -> Bool { named.contains(cid.version1.hashValue) }

    private mutating func noteLinks(of block: [UInt8], _ cid: CID) throws(Fault) {
        // A block that is no UnixFS leads nowhere: the run finds that out as well.
        guard cid.codec != .raw, let node = try? UnixFSBlock(block, of: cid) else { return }
        name(node.links)
        guard named.count <= namesMax else { throw .tooManyNamed(max: namesMax) }
    }

    /// Notes these, and what those name that hold their own block: these are never asked for.
    private mutating func name(_ cids: [CID]) {
        var left = cids
        while let cid = left.popLast() {
            guard named.insert(cid.version1.hashValue).inserted, cid.codec != .raw, let own = cid.ownBlock,
                let node = try? UnixFSBlock(own, of: cid)
            else { continue }
            left += node.links
        }
    }
}
