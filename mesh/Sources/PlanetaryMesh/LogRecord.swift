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
            var rows: [AnchoredRow] = []
            for cid in earlier.prefix(Self.joiningMax) {
                guard let signed = try await entry(cid) else { continue }
                rows.append(
                    AnchoredRow(
                        number: tree.size, entry: cid, bytes: signed.bytes, payload: signed.body.payload,
                        hashes: tree.append(.leaf(cid.bytes)).map(\.bytes)))
            }
            try await store.commit(rows.map { .anchored($0) })
            earlier = earlier.dropFirst(Self.joiningMax)
        }
        return tree
    }

    /// The tree as it is stored, held against its newest entry, which signs the tree before it. So a hash that the disk
    /// changed is found before a head is signed over it, which would be a second history.
    func tree() async throws(MeshStoreError) -> MerkleTree {
        let size = try await AnchoredRow.count(in: store)
        let tree = try await tree(of: size)
        guard size > 0 else { return tree }
        // More may have joined meanwhile; what was there stays as it was.
        guard let row = try await AnchoredRow.newest(below: size, limit: 1, in: store).first, row.number == size - 1,
            let entry = try? SignedObject<AnchorEntry>(verifiedBefore: row.bytes).body
        else { throw .recordCorrupt(table: "anchor_log", row: Int64(clamping: size - 1)) }
        var before = try await self.tree(of: size - 1)
        let isSigned = entry.root.map { $0 == before.root.bytes } ?? true
        _ = before.append(.leaf(row.entry.bytes))
        guard isSigned, before == tree else { throw corrupt(of: size) }
        return tree
    }

    /// The tree of the first entries, held against the entry behind them, which signs it.
    func tree(ofFirst size: UInt64) async throws(MeshStoreError) -> MerkleTree {
        guard size < (try await AnchoredRow.count(in: store)) else { return try await tree() }
        let tree = try await tree(of: size)
        guard let row = try await AnchoredRow.newest(below: size + 1, limit: 1, in: store).first, row.number == size,
            let entry = try? SignedObject<AnchorEntry>(verifiedBefore: row.bytes).body
        else { throw .recordCorrupt(table: "anchor_log", row: Int64(clamping: size)) }
        guard entry.root.map({ $0 == tree.root.bytes }) ?? true else { throw corrupt(of: size) }
        return tree
    }

    private func corrupt(of size: UInt64) -> MeshStoreError {
        .recordCorrupt(table: "anchor_hashes", row: Int64(clamping: HashPlace.count(of: size)))
    }

    /// The tree as it is stored, of a number of entries that it has.
    func tree(of size: UInt64) async throws(MeshStoreError) -> MerkleTree {
        let hashes = try await hashes(at: HashPlace.places(of: 0..<size))
        guard let tree = MerkleTree(size: size, peaks: HashPlace.places(of: 0..<size).compactMap { hashes[$0] }) else {
            throw corrupt(of: size)
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
    /// left out. Only their names are kept: a home may have a million.
    private func unlogged(behind heads: [CID]) async throws -> [CID] {
        var (found, seen, waiting) = ([(height: UInt64, cid: CID)](), Set(heads), heads)
        while let cid = waiting.popLast() {
            if try await AnchoredRow.number(of: cid, in: store) != nil { continue }
            guard let entry = try await entry(cid)?.body else { continue }
            found.append((entry.height, cid))
            waiting += entry.parents.filter { seen.insert($0).inserted }
        }
        return found.sorted { $0.height < $1.height }.map(\.cid)
    }

    private func entry(_ cid: CID) async throws(MeshStoreError) -> SignedObject<AnchorEntry>? {
        try await readable(cid).flatMap { try? SignedObject<AnchorEntry>(verifiedBefore: $0) }
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
