import Determinism
import MerkleLog
import Multiformats
import Testing

@Suite("The tree of RFC 9162, and its proofs")
struct MerkleTreeTests {
    /// The entries that the tests of Certificate Transparency have used since 2012, and the roots of their trees.
    private static let published: [(entry: [UInt8], root: String)] = [
        ([], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        ([0x00], "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        ([0x10], "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        ([0x20, 0x21], "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        ([0x30, 0x31], "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        ([0x40, 0x41, 0x42, 0x43], "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
        (Array(0x50...0x57), "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (Array(0x60...0x6F), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ]

    private static func entries(_ count: Int) -> [[UInt8]] { (0..<count).map { Array("entry \($0)".utf8) } }

    @Test("Published roots come out")
    func publishedRoots() {
        var tree = MerkleTree()
        #expect(tree.root == MerkleHash.empty)
        for (entry, root) in Self.published {
            _ = tree.append(.leaf(entry))
            #expect(Multibase.encodeWithoutPrefix(tree.root.bytes, .base16) == root)
        }
    }

    @Test("Every root and proof is that of the definition, and is verified")
    func definition() throws {
        let entries = Self.entries(40)
        let stored = StoredTree(entries)
        for size in 0...entries.count {
            let head = stored.heads[size]
            #expect(head.root.bytes == NaiveTree.hash(entries[..<size]))
            for index in 0..<size {
                let plan = try #require(ProofPlan.inclusion(of: UInt64(index), in: UInt64(size)))
                let proof = try #require(stored.proof(plan))
                #expect(proof.map(\.bytes) == NaiveTree.path(index, entries[..<size]))
                #expect(head.includes(.leaf(entries[index]), at: UInt64(index), proof: proof))
            }
            for first in 0...size {
                let plan = try #require(ProofPlan.consistency(of: UInt64(first), in: UInt64(size)))
                let proof = try #require(stored.proof(plan))
                if first > 0 { #expect(proof.map(\.bytes) == NaiveTree.consistency(first, entries[..<size])) }
                #expect(head.extends(stored.heads[first], proof: proof))
            }
        }
    }

    @Test("A growing tree makes its hashes in the order of their positions, and goes on from its peaks")
    func order() throws {
        let entries = Self.entries(70)
        for size in 0...entries.count {
            let stored = StoredTree(entries.prefix(size))
            #expect(HashPlace.count(of: UInt64(size)) == UInt64(stored.storedCount))
            var again = try #require(MerkleTree(size: UInt64(size), peaks: stored.tree.peaks))
            #expect(HashPlace.places(of: 0..<UInt64(size)).count == stored.tree.peaks.count)
            _ = again.append(.leaf([7]))
            #expect(again.root.bytes == NaiveTree.hash(entries[..<size] + [[7]]))
            if size > 0 { #expect(MerkleTree(size: UInt64(size), peaks: Array(stored.tree.peaks.dropLast())) == nil) }
        }
    }

    @Test("What a tree does not have is not proved")
    func absent() {
        #expect(ProofPlan.inclusion(of: 0, in: 0) == nil)
        #expect(ProofPlan.inclusion(of: 8, in: 8) == nil)
        #expect(ProofPlan.inclusion(of: 0, in: MerkleTree.sizeMax + 1) == nil)
        #expect(ProofPlan.consistency(of: 9, in: 8) == nil)
        #expect(MerkleTree(size: MerkleTree.sizeMax + 1, peaks: [.empty, .empty]) == nil)
        #expect(ProofPlan.inclusion(of: 3, in: 8)?.proof(of: [:]) == nil)
        #expect(TreeHead(size: 1, root: .empty).extends(TreeHead(size: 0, root: .leaf([])), proof: []) == false)
    }

    @Test("A full tree takes no leaf")
    func full() throws {
        var tree = try #require(MerkleTree(size: MerkleTree.sizeMax, peaks: [.empty]))
        #expect(tree.append(.leaf([])).isEmpty)
        #expect(tree.size == MerkleTree.sizeMax)
    }

    /// A proof that was changed somewhere: a bit, a hash more, less, or elsewhere.
    private static func changed(_ proof: [MerkleHash], _ chance: inout SeededGenerator) -> [MerkleHash] {
        var changed = proof
        switch Int.random(in: 0..<4, using: &chance) {
        case 0 where !proof.isEmpty: changed.removeLast()
        case 1 where proof.count > 1: changed.swapAt(0, proof.count - 1)
        case 2 where !proof.isEmpty:
            let at = Int.random(in: 0..<proof.count, using: &chance)
            var bytes = proof[at].bytes
            bytes[Int.random(in: 0..<32, using: &chance)] ^= 1 << UInt8.random(in: 0..<8, using: &chance)
            changed[at] = MerkleHash(bytes: bytes) ?? .empty
        default: changed.insert(.leaf([9]), at: Int.random(in: 0...proof.count, using: &chance))
        }
        return changed
    }

    @Test("A changed proof, number, leaf or head is never verified", arguments: [UInt64(1), 2, 3])
    func fuzzed(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        let entries = Self.entries(200)
        let stored = StoredTree(entries)
        for _ in 0..<2_000 {
            let size = Int.random(in: 2...200, using: &chance)
            let (index, first) = (Int.random(in: 0..<size, using: &chance), Int.random(in: 1..<size, using: &chance))
            let (head, leaf) = (stored.heads[size], MerkleHash.leaf(entries[index]))
            let inclusion = try #require(
                ProofPlan.inclusion(of: UInt64(index), in: UInt64(size)).flatMap(stored.proof))
            #expect(head.includes(leaf, at: UInt64(index), proof: inclusion))
            let bad = Self.changed(inclusion, &chance)
            #expect(bad == inclusion || !head.includes(leaf, at: UInt64(index), proof: bad))
            #expect(!head.includes(.leaf([1, 2, 3]), at: UInt64(index), proof: inclusion))
            #expect(!stored.heads[first].includes(leaf, at: UInt64(first), proof: inclusion))
            let consistency = try #require(
                ProofPlan.consistency(of: UInt64(first), in: UInt64(size)).flatMap(stored.proof))
            let before = stored.heads[first]
            #expect(head.extends(before, proof: consistency))
            let wrong = Self.changed(consistency, &chance)
            #expect(wrong == consistency || !head.extends(before, proof: wrong))
            #expect(!head.extends(TreeHead(size: before.size, root: .leaf([1, 2, 3])), proof: consistency))
            #expect(!TreeHead(size: head.size, root: .leaf([1, 2, 3])).extends(before, proof: consistency))
        }
    }
}
