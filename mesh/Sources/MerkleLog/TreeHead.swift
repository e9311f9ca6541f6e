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

    /// Whether there can be such a tree: the one without leaves has one root.
    package var isPossible: Bool { size > 0 || root == .empty }

    /// Whether a proof shows that the leaf of a number is in the tree (RFC 9162, section 2.1.3.2).
    package func includes(_ leaf: MerkleHash, at index: UInt64, proof: [MerkleHash]) -> Bool {
        before(leaf, at: index, proof: proof) != nil
    }

    /// The tree of all leaves before that of a number, which a proof that the leaf is in this tree shows as well: what
    /// stands to its left on the way are the roots of the complete subtrees that they fall into. Nil if the proof does
    /// not lead to the root.
    package func before(_ leaf: MerkleHash, at index: UInt64, proof: [MerkleHash]) -> MerkleTree? {
        guard index < size else { return nil }
        var (place, last, hash) = (index, size - 1, leaf)
        var peaks: [MerkleHash] = []
        for other in proof {
            guard last > 0 else { return nil }
            if place & 1 == 1 || place == last {
                hash = .node(other, hash)
                peaks.append(other)
                Self.climb(&place, &last)
            } else {
                hash = .node(hash, other)
            }
            place >>= 1
            last >>= 1
        }
        return last == 0 && hash == root ? MerkleTree(size: index, peaks: peaks.reversed()) : nil
    }

    /// Whether a proof shows that the tree begins with a smaller or equal one (RFC 9162, section 2.1.4.2). Of an empty
    /// tree, and of itself, it needs none and takes none.
    package func extends(_ first: TreeHead, proof: [MerkleHash]) -> Bool {
        beginning(of: first.size, said: first.root, proof: proof) == first
    }

    /// The smaller or equal tree with which a proof shows this one to begin; nil if it does not lead to the root.
    ///
    /// - Parameters:
    ///   - first: the smaller tree's size.
    ///   - said: its root as somebody says. A proof has it where the size is no power of two; else it has to be said.
    ///   - proof: the proof of RFC 9162, section 2.1.4.
    package func beginning(of first: UInt64, said: MerkleHash?, proof: [MerkleHash]) -> TreeHead? {
        guard first > 0 else { return proof.isEmpty && (size > 0 || root == .empty) ? TreeHead(MerkleTree()) : nil }
        guard first < size else { return first == size && proof.isEmpty ? self : nil }
        var hashes = proof[...]
        guard let start = first.nonzeroBitCount == 1 ? said : hashes.popFirst() else { return nil }
        var (place, last) = (first - 1, size - 1)
        while place & 1 == 1 {
            place >>= 1
            last >>= 1
        }
        var (before, after) = (start, start)
        for other in hashes {
            guard last > 0 else { return nil }
            if place & 1 == 1 || place == last {
                (before, after) = (.node(other, before), .node(other, after))
                Self.climb(&place, &last)
            } else {
                after = .node(after, other)
            }
            place >>= 1
            last >>= 1
        }
        return last == 0 && after == root ? TreeHead(size: first, root: before) : nil
    }

    /// Skips the levels at which the last node of an incomplete tree has none to its right.
    private static func climb(_ place: inout UInt64, _ last: inout UInt64) {
        while place & 1 == 0, place > 0 {
            place >>= 1
            last >>= 1
        }
    }
}
