import MerkleLog
import MeshTypes
package import Multiformats
import SignedObjects

/// The heads of one scope of the anchored DAG as this node knows them, which merge as a bounded set union, and the tree
/// over the entries of this node.
struct AnchorLog: Sendable, Hashable {
    private(set) var heads: [CID] = []
    private(set) var height: UInt64 = 0
    /// The CIDs of this node's entries are the leaves, in the order of anchoring.
    private(set) var tree: MerkleTree
    /// Of each log that is kept the newest entry, as long as none of this node's names it; the newest comes last.
    private var others: [OtherHead] = []

    /// The newest entry of another's log.
    private struct OtherHead: Hashable {
        let author: DID
        let head: CID
    }

    /// Authors whose newest entries wait to be named; of more the oldest is forgotten.
    static let othersMax = 256

    init(heads: [CID], height: UInt64, tree: MerkleTree) {
        self.heads = heads.sorted()
        self.height = height
        self.tree = tree
    }

    /// Whether an entry of this node is among the heads or before them; each entry is higher than the last.
    func covers(_ entry: AnchorEntry) -> Bool { !heads.isEmpty && entry.height <= height }

    /// Another's log is kept up to an entry.
    mutating func kept(_ head: CID, of author: DID) {
        others.removeAll { $0.author == author }
        others.append(OtherHead(author: author, head: head))
        if others.count > Self.othersMax { others.removeFirst() }
    }

    /// The heads of others that the next entry names: the newest ones, which are named once.
    mutating func takeOthers() -> [CID] {
        let taken = others.suffix(AnchorEntry.headsMax).map(\.head)
        others.removeLast(taken.count)
        return taken.sorted()
    }

    /// A new entry replaces the heads that it follows, and becomes the last leaf.
    mutating func append(_ signed: SignedObject<AnchorEntry>, headsMax: Int) -> LoggedEntry {
        let (entry, cid) = (signed.body, signed.cid)
        heads.removeAll { entry.parents.contains($0) }
        if !heads.contains(cid) { heads.append(cid) }
        heads.sort()
        if heads.count > headsMax { heads.removeFirst(heads.count - headsMax) }
        height = max(height, entry.height)
        let number = tree.size
        let hashes = tree.append(.leaf(cid.bytes)).map(\.bytes)
        return LoggedEntry(
            number: number, cid: cid, bytes: signed.bytes, payload: entry.payload, heads: entry.heads ?? [],
            hashes: hashes)
    }
}

/// An entry of this node's log as it goes to the disk.
package struct LoggedEntry: Hashable, Sendable {
    /// From 0, in the order of anchoring.
    package let number: UInt64
    /// The signed entry.
    package let cid: CID
    /// Its block.
    package let bytes: [UInt8]
    /// What it anchors.
    package let payload: [CID]
    /// The heads of others that it names.
    package let heads: [CID]
    /// The hashes of the subtrees that it completes, in the order of `HashPlace.position`.
    package let hashes: [[UInt8]]
}
