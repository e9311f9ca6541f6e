/// What a tree is at one size, and what a proof says about it.
package struct TreeHead: Hashable, Sendable {
    /// How many leaves the tree has.
    package let size: UInt64
    /// Its root.
    package let root: MerkleHash

    package init(size: UInt64, root: MerkleHash) {
        self.size = size
        self.root = root
    }

    /// What a tree is now.
    package init(_ tree: MerkleTree) { self.init(size: tree.size, root: tree.root) }

    /// Whether a proof shows that the leaf of a number is in the tree (RFC 9162, section 2.1.3.2).
    package func includes(_ leaf: MerkleHash, at index: UInt64, proof: [MerkleHash]) -> Bool {
        guard index < size else { return false }
        var (place, last, hash) = (index, size - 1, leaf)
        for other in proof {
            guard last > 0 else { return false }
            if place & 1 == 1 || place == last {
                hash = .node(other, hash)
                Self.climb(&place, &last)
            } else {
                hash = .node(hash, other)
            }
            place >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    /// Whether a proof shows that the tree begins with a smaller or equal one (RFC 9162, section 2.1.4.2). Of an empty
    /// tree, and of itself, it needs none and takes none.
    package func extends(_ first: TreeHead, proof: [MerkleHash]) -> Bool {
        guard first.size > 0 else { return first.root == .empty && proof.isEmpty && (size > 0 || root == .empty) }
        guard first.size < size else { return first == self && proof.isEmpty }
        var hashes = proof[...]
        guard let start = first.size.nonzeroBitCount == 1 ? first.root : hashes.popFirst() else { return false }
        var (place, last) = (first.size - 1, size - 1)
        while place & 1 == 1 {
            place >>= 1
            last >>= 1
        }
        var (before, after) = (start, start)
        for other in hashes {
            guard last > 0 else { return false }
            if place & 1 == 1 || place == last {
                (before, after) = (.node(other, before), .node(other, after))
                Self.climb(&place, &last)
            } else {
                after = .node(after, other)
            }
            place >>= 1
            last >>= 1
        }
        return last == 0 && before == first.root && after == root
    }

    /// Skips the levels at which the last node of an incomplete tree has none to its right.
    private static func climb(_ place: inout UInt64, _ last: inout UInt64) {
        while place & 1 == 0, place > 0 {
            place >>= 1
            last >>= 1
        }
    }
}
