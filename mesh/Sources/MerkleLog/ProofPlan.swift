/// Which stored hashes make a proof: first it names their places, then it makes the proof of what was read there.
package struct ProofPlan: Sendable {
    private let ranges: [Range<UInt64>]

    /// The proof that the leaf of a number is in a tree (RFC 9162, section 2.1.3.1); nil if the tree has no such leaf.
    package static func inclusion(of index: UInt64, in size: UInt64) -> ProofPlan? {
        guard index < size, size <= MerkleTree.sizeMax else { return nil }
        var (ranges, low, high) = ([Range<UInt64>](), UInt64(0), size)
        while high - low > 1 {
            let middle = low + half(of: high - low)
            if index < middle {
                ranges.append(middle..<high)
                high = middle
            } else {
                ranges.append(low..<middle)
                low = middle
            }
        }
        return ProofPlan(ranges: ranges.reversed())
    }

    /// The proof that a tree begins with a smaller one (RFC 9162, section 2.1.4.1); nil if it is not smaller or equal.
    package static func consistency(of first: UInt64, in size: UInt64) -> ProofPlan? {
        guard first <= size, size <= MerkleTree.sizeMax else { return nil }
        guard first > 0, first < size else { return ProofPlan(ranges: []) }
        var (ranges, low, high, isWhole) = ([Range<UInt64>](), UInt64(0), size, true)
        while first != high {
            let middle = low + half(of: high - low)
            if first <= middle {
                ranges.append(middle..<high)
                high = middle
            } else {
                ranges.append(low..<middle)
                (low, isWhole) = (middle, false)
            }
        }
        if !isWhole { ranges.append(low..<high) }
        return ProofPlan(ranges: ranges.reversed())
    }

    /// How many hashes the proof has.
    package var count: Int { ranges.count }

    /// The places to read, each once.
    package var places: [HashPlace] { ranges.flatMap(HashPlace.places) }

    /// The proof; nil if one of the places was not read.
    package func proof(of read: [HashPlace: MerkleHash]) -> [MerkleHash]? {
        var proof: [MerkleHash] = []
        for range in ranges {
            let subtrees = HashPlace.places(of: range).compactMap { read[$0] }
            guard subtrees.count == (range.upperBound - range.lowerBound).nonzeroBitCount else { return nil }
            proof.append(MerkleTree.joined(subtrees))
        }
        return proof
    }

    /// The largest power of two below a number of leaves, which is 2 or more.
    private static func half(of leaves: UInt64) -> UInt64 { 1 << UInt64(63 - (leaves - 1).leadingZeroBitCount) }
}
