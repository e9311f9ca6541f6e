import MeshTypes
import Multiformats
import SignedObjects

/// The heads of one scope of the anchored DAG as this node knows them; merging is a set union, bounded.
struct AnchorLog: Sendable, Hashable {
    private(set) var heads: [CID] = []
    private(set) var height: UInt64 = 0

    init(heads: [CID], height: UInt64) {
        self.heads = heads.sorted()
        self.height = height
    }

    /// Whether an entry of this node is among the heads or before them; each entry is higher than the last.
    func covers(_ entry: AnchorEntry) -> Bool { !heads.isEmpty && entry.height <= height }

    /// A new entry replaces the heads that it follows.
    mutating func append(_ entry: AnchorEntry, cid: CID, headsMax: Int) {
        heads.removeAll { entry.parents.contains($0) }
        if !heads.contains(cid) { heads.append(cid) }
        heads.sort()
        if heads.count > headsMax { heads.removeFirst(heads.count - headsMax) }
        height = max(height, entry.height)
    }
}
