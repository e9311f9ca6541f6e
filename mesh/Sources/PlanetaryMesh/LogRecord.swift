import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import SignedObjects

/// The node's log as the disk has it: the tree over all that it anchored, and the hashes that its proofs are made of.
struct LogRecord: Sendable {
    let store: MeshStore
    /// Entries that join the log in one transaction.
    private static let joiningMax = 512

    /// The tree of all entries, for the start of a node. Entries of versions without a log join it first, in their
    /// order.
    ///
    /// - Parameter heads: the heads of the anchored DAG, behind which the entries stand.
    func opened(heads: [CID]) async throws -> MerkleTree {
        var tree = try await tree()
        var earlier = try await unlogged(behind: heads)[...]
        while !earlier.isEmpty {
            let rows = earlier.prefix(Self.joiningMax).map { signed in
                AnchoredRow(
                    number: tree.size, entry: signed.cid, bytes: signed.bytes, payload: signed.body.payload,
                    hashes: tree.append(.leaf(signed.cid.bytes)).map(\.bytes))
            }
            try await store.commit(rows.map { .anchored($0) })
            earlier = earlier.dropFirst(Self.joiningMax)
        }
        return tree
    }

    /// The tree as it is stored, of a number of entries that it has.
    func tree(of count: UInt64? = nil) async throws(MeshStoreError) -> MerkleTree {
        let size: UInt64
        if let count { size = count } else { size = try await AnchoredRow.count(in: store) }
        let hashes = try await hashes(at: HashPlace.places(of: 0..<size))
        guard let tree = MerkleTree(size: size, peaks: HashPlace.places(of: 0..<size).compactMap { hashes[$0] }) else {
            throw .recordCorrupt(table: "anchor_hashes", row: Int64(clamping: HashPlace.count(of: size)))
        }
        return tree
    }

    /// A proof, from the hashes that are stored.
    func proof(_ plan: ProofPlan) async throws(MeshStoreError) -> [MerkleHash] {
        guard let proof = plan.proof(of: try await hashes(at: plan.places)) else {
            throw .recordCorrupt(table: "anchor_hashes", row: 0)
        }
        return proof
    }

    private func hashes(at places: [HashPlace]) async throws(MeshStoreError) -> [HashPlace: MerkleHash] {
        let stored = try await AnchoredRow.hashes(at: places.map(\.position), in: store)
        var hashes: [HashPlace: MerkleHash] = [:]
        for place in places { hashes[place] = stored[place.position].flatMap(MerkleHash.init(bytes:)) }
        return hashes
    }

    /// The entries behind the heads that are not in the log yet, the oldest first; what no block tells of any more is
    /// left out.
    private func unlogged(behind heads: [CID]) async throws -> [SignedObject<AnchorEntry>] {
        var (found, seen, waiting) = ([SignedObject<AnchorEntry>](), Set(heads), heads)
        while let cid = waiting.popLast() {
            if try await AnchoredRow.number(of: cid, in: store) != nil { continue }
            guard let block = try await readable(cid),
                let signed = try? SignedObject<AnchorEntry>(verifiedBefore: block)
            else { continue }
            found.append(signed)
            waiting += signed.body.parents.filter { seen.insert($0).inserted }
        }
        return found.sorted { $0.body.height < $1.body.height }
    }

    private func readable(_ cid: CID) async throws(MeshStoreError) -> [UInt8]? {
        do throws(MeshStoreError) {
            return try await store.block(cid)
        } catch {
            // A damaged one tells nothing, and must not keep the node from starting.
            if case .blockCorrupt = error { return nil }
            throw error
        }
    }
}
