/// Where the hash of a complete subtree stands: at which level above the leaves, and how many stand before it there.
package struct HashPlace: Hashable, Sendable {
    /// 0 for a leaf.
    package let level: UInt64
    /// From 0, at its level.
    package let index: UInt64

    package init(level: UInt64, index: UInt64) {
        self.level = level
        self.index = index
    }

    /// Its number among all hashes of complete subtrees, in the order in which a growing tree makes them. So a store
    /// only ever appends, and never moves a hash.
    package var position: UInt64 {
        let leaf = ((index + 1) << level) - 1
        return Self.count(of: leaf) + level
    }

    /// How many hashes a tree of this size has made.
    package static func count(of size: UInt64) -> UInt64 { 2 * size - UInt64(size.nonzeroBitCount) }

    /// The complete subtrees that leaves fall into, the largest first. The range begins where a subtree of its length
    /// may begin, as all ranges of RFC 9162 do.
    package static func places(of leaves: Range<UInt64>) -> [HashPlace] {
        var (places, start) = ([HashPlace](), leaves.lowerBound)
        while start < leaves.upperBound {
            let level = UInt64(63 - (leaves.upperBound - start).leadingZeroBitCount)
            places.append(HashPlace(level: level, index: start >> level))
            start += 1 << level
        }
        return places
    }
}
