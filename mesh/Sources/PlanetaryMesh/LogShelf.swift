import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects

/// A log as the disk has it, this node's own or one that it follows, from which ranges with their proofs are made.
struct LogShelf: Sendable {
    private enum Source: Sendable {
        case own
        case followed(String)
    }

    private let store: MeshStore
    private let source: Source
    /// The name of the log.
    let origin: ExactText
    /// How many entries it has under the head.
    let size: UInt64
    /// The signed head, with its cosignatures.
    let note: [UInt8]

    /// This node's own log.
    init(own desk: LogDesk) async throws(NodeServiceError) {
        let (checkpoint, note) = try await desk.signedHead()
        (store, source) = (desk.store, .own)
        (origin, size, self.note) = (ExactText(checkpoint.origin), checkpoint.head.size, note.bytes)
    }

    /// A log that this node follows; nil unless all entries under its head are here, as else nothing can be proved.
    init?(_ log: FollowedLog, in store: MeshStore) {
        guard log.isComplete else { return nil }
        (self.store, source) = (store, .followed(log.origin.text))
        (origin, size, note) = (log.origin, log.tree.size, log.note)
    }

    /// The range that was asked for, or the head alone.
    func range(
        _ request: LogRangeRequest, limits: FollowedLog.Limits = FollowedLog.Limits()
    ) async throws(MeshStoreError) -> LogRange {
        let nothing = LogRange(note: note, start: request.start)
        if let other = request.origin, ExactText(other) != origin { return nothing }
        guard request.start < size else { return nothing }
        let most = min(request.entriesMax, limits.entriesPerRangeMax, size - request.start)
        let bytesMax = min(request.entryBytesMax, limits.entryBytesPerRangeMax)
        var (entries, bytes) = ([[UInt8]](), UInt64(0))
        for block in try await blocks(from: request.start, limit: Int(clamping: most)) {
            bytes += UInt64(block.count)
            guard entries.isEmpty || bytes <= bytesMax, block.count <= limits.entryBytesMax else { break }
            entries.append(block)
        }
        guard !entries.isEmpty else { return nothing }
        let last = request.start + UInt64(entries.count) - 1
        return LogRange(
            note: note, start: request.start, entries: entries, first: try await proof(of: request.start),
            last: try await proof(of: last))
    }

    private func blocks(from number: UInt64, limit: Int) async throws(MeshStoreError) -> [[UInt8]] {
        var (next, blocks) = (number, [[UInt8]]())
        func add(_ found: UInt64, _ bytes: [UInt8]) {
            // A damaged row is left out of what was read: what is behind it is another range.
            guard found == next else { return }
            blocks.append(bytes)
            next += 1
        }
        switch source {
        case .own:
            for row in try await AnchoredRow.entries(from: number, limit: limit, in: store) {
                add(row.number, row.bytes)
            }
        case .followed(let origin):
            for row in try await FollowedRow.entries(of: origin, from: number, limit: limit, in: store) {
                add(row.number, row.bytes)
            }
        }
        return blocks
    }

    /// The proof that an entry is under the head, 32 bytes a hash.
    func proof(of number: UInt64) async throws(MeshStoreError) -> [UInt8] {
        guard let plan = ProofPlan.inclusion(of: number, in: size) else { return [] }
        let found = try await hashes(at: plan.places)
        guard let proof = plan.proof(of: found) else {
            throw .recordCorrupt(table: "hashes", row: Int64(clamping: number))
        }
        return proof.flatMap(\.bytes)
    }

    /// The tree of the first entries.
    func tree(of size: UInt64) async throws(MeshStoreError) -> MerkleTree? {
        let places = HashPlace.places(of: 0..<size)
        let found = try await hashes(at: places)
        return MerkleTree(size: size, peaks: places.compactMap { found[$0] })
    }

    /// The evidence that an entry is under the head, as `LogEvidence` reads it; nil if it is not here.
    func evidence(of number: UInt64) async throws(MeshStoreError) -> [UInt8]? {
        guard let block = try await blocks(from: number, limit: 1).first, let read = SignedNote(bytes: note),
            let name = LogName(origin.text)
        else { return nil }
        let bytes = try await proof(of: number)
        let hashes = stride(from: 0, to: bytes.count, by: MerkleHash.byteCount).compactMap {
            MerkleHash(bytes: Array(bytes[$0..<$0 + MerkleHash.byteCount]))
        }
        return LogProof(extra: block, index: number, hashes: hashes, note: FollowedLog.signedAlone(read, name)).bytes
    }

    private func hashes(at places: [HashPlace]) async throws(MeshStoreError) -> [HashPlace: MerkleHash] {
        let positions = places.map(\.position)
        let stored =
            switch source {
            case .own: try await AnchoredRow.hashes(at: positions, in: store)
            case .followed(let origin): try await FollowedRow.hashes(of: origin, at: positions, in: store)
            }
        var hashes: [HashPlace: MerkleHash] = [:]
        for place in places { hashes[place] = stored[place.position].flatMap(MerkleHash.init(bytes:)) }
        return hashes
    }
}
