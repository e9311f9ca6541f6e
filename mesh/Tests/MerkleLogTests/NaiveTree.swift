import Crypto
import MerkleLog

/// RFC 9162, section 2.1, word for word: each hash of a tree, and each proof, from all its entries.
enum NaiveTree {
    static func hash(_ entries: ArraySlice<[UInt8]>) -> [UInt8] {
        switch entries.count {
        case 0: return Array(SHA256.hash(data: [UInt8]()))
        case 1: return Array(SHA256.hash(data: [0] + entries[entries.startIndex]))
        default:
            let (left, right) = halves(entries)
            return Array(SHA256.hash(data: [1] + hash(left) + hash(right)))
        }
    }

    static func path(_ index: Int, _ entries: ArraySlice<[UInt8]>) -> [[UInt8]] {
        if entries.count == 1 { return [] }
        let (left, right) = halves(entries)
        if index < left.count { return path(index, left) + [hash(right)] }
        return path(index - left.count, right) + [hash(left)]
    }

    static func consistency(_ first: Int, _ entries: ArraySlice<[UInt8]>, isWhole: Bool = true) -> [[UInt8]] {
        if first == entries.count { return isWhole ? [] : [hash(entries)] }
        let (left, right) = halves(entries)
        if first <= left.count { return consistency(first, left, isWhole: isWhole) + [hash(right)] }
        return consistency(first - left.count, right, isWhole: false) + [hash(left)]
    }

    private static func halves(_ entries: ArraySlice<[UInt8]>) -> (ArraySlice<[UInt8]>, ArraySlice<[UInt8]>) {
        var count = 1
        while count * 2 < entries.count { count *= 2 }
        return (entries.prefix(count), entries.dropFirst(count))
    }
}

/// A tree, with all hashes that it made, in their order.
struct StoredTree {
    private(set) var tree = MerkleTree()
    private(set) var heads = [TreeHead(MerkleTree())]
    private var stored: [MerkleHash] = []

    init(_ entries: some Sequence<[UInt8]>) {
        for entry in entries {
            stored += tree.append(.leaf(entry))
            heads.append(TreeHead(tree))
        }
    }

    var storedCount: Int { stored.count }

    func proof(_ plan: ProofPlan) -> [MerkleHash]? {
        plan.proof(
            of: Dictionary(uniqueKeysWithValues: plan.places.map { ($0, stored[Int($0.position)]) }))
    }
}
