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

    init(heads: [CID], height: UInt64, tree: MerkleTree) {
        self.heads = heads.sorted()
        self.height = height
        self.tree = tree
    }

    /// Whether an entry of this node is among the heads or before them; each entry is higher than the last.
    func covers(_ entry: AnchorEntry) -> Bool { !heads.isEmpty && entry.height <= height }

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
        return LoggedEntry(number: number, cid: cid, bytes: signed.bytes, payload: entry.payload, hashes: hashes)
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
    /// The hashes of the subtrees that it completes, in the order of `HashPlace.position`.
    package let hashes: [[UInt8]]
}
