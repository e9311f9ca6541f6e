/// A tree of RFC 9162 that grows at its end: of all its hashes it holds only the roots of the complete subtrees that it
/// falls into, one for each bit of its size. An entry costs O(log n) at most, and two hashes on average.
package struct MerkleTree: Hashable, Sendable {
    /// The most leaves: what every reader of integers can hold.
    package static let sizeMax: UInt64 = 1 << 53

    /// How many leaves it has.
    package private(set) var size: UInt64
    /// The roots of its complete subtrees, from the largest to the smallest.
    package private(set) var peaks: [MerkleHash]

    /// The tree without leaves.
    package init() { (size, peaks) = (0, []) }

    /// A tree as it was stored; nil if these are not the peaks of a tree of that size.
    package init?(size: UInt64, peaks: [MerkleHash]) {
        guard size <= Self.sizeMax, peaks.count == size.nonzeroBitCount else { return nil }
        (self.size, self.peaks) = (size, peaks)
    }

    /// Adds a leaf, and returns the hashes of the subtrees that it completes, in the order of `HashPlace.position`: the
    /// leaf itself comes first. A full tree takes none, and returns none.
    package mutating func append(_ leaf: MerkleHash) -> [MerkleHash] {
        guard size < Self.sizeMax else { return [] }
        var (made, hash, rest) = ([leaf], leaf, size)
        while rest & 1 == 1, let left = peaks.popLast() {
            hash = .node(left, hash)
            made.append(hash)
            rest >>= 1
        }
        peaks.append(hash)
        size += 1
        return made
    }

    /// The hash that stands for all leaves in their order.
    package var root: MerkleHash { Self.joined(peaks) }

    /// The hash above complete subtrees, the largest of which comes first.
    static func joined(_ subtrees: [MerkleHash]) -> MerkleHash {
        guard var hash = subtrees.last else { return .empty }
        for left in subtrees.dropLast().reversed() { hash = .node(left, hash) }
        return hash
    }
}
