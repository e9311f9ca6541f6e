import Credit
import IPLD
import LibP2P
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects

/// This node as a witness that keeps the books of issuers which its owner named, and cannot read them.
///
/// An issuer believes an answer to be on the disk, so each waits for that. Questions of one issuer are decided one
/// after the other, in the order of their writes.
actor ReplicaDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Books that are kept.
        var issuersMax = 16
        /// Bytes of the entries of one.
        var bytesPerIssuerMax: UInt64 = 8 << 30
        /// Questions of a peer that are read in a second, and at once.
        var questionsPerSecondPerPeerMax = 256
        var questionsBurstPerPeerMax = 512
        /// Questions that are answered at once: each may have an entry of the longest in memory.
        var answeredAtOnceMax = 16

        /// The defaults.
        init() {}
    }

    /// A book that is kept.
    private struct Kept {
        let charter: [UInt8]
        var replica: BookReplica
        var bytes: UInt64
        let isRestored: Bool
        /// Writes of it that are on their way to the disk.
        var writing = 0
        /// Whether a write failed: what is in memory is ahead of the disk, until the next start.
        var isBroken = false
    }

    private let identity: Identity
    private let store: MeshStore
    private let issuers: Set<DID>
    private let limits: Limits
    private let exchange: ReplicaExchange
    // BOUNDED: by `Limits.issuersMax`.
    private var kept: [DID: Kept] = [:]
    private var isLoaded = false
    /// When this home was restored from a backup, in milliseconds since the Unix epoch; 0 where it was not.
    private var restoredAt: UInt64 = 0
    private var rates: PeerRates
    private var answeredNow = 0

    init(identity: Identity, store: MeshStore, host: any StreamHost, issuers: Set<DID>, limits: Limits = Limits()) {
        (self.identity, self.store, self.issuers, self.limits) = (identity, store, issuers, limits)
        exchange = ReplicaExchange(host: host)
        rates = PeerRates(perSecond: limits.questionsPerSecondPerPeerMax, burst: limits.questionsBurstPerPeerMax)
    }

    /// Joins the protocol, if the owner named issuers.
    func begin(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) async throws(NodeServiceError) {
        guard !issuers.isEmpty else { return }
        try await load()
        await exchange.serve { [weak self] peer in
            if await admits(peer) { await self?.takes(from: peer) ?? false } else { false }
        } blame: { peer, fault in
            await blame(peer, fault)
        } answer: { [weak self] peer, question in
            await self?.answer(question, from: peer) ?? .refused(reason: .full, text: "This node ends.")
        }
    }

    /// Reads what is kept from the disk.
    func load() async throws(NodeServiceError) {
        guard !isLoaded else { return }
        let since = try await stored({ () throws(MeshStoreError) in
            try await store.setting(StoreCopy.witnessSinceKey)
        })
        restoredAt = since.flatMap { UInt64(String(decoding: $0, as: UTF8.self)) } ?? 0
        for row in try await stored({ () throws(MeshStoreError) in try await ReplicaRow.all(in: store) }) {
            guard let book = Self.read(row) else {
                throw NodeServiceError(
                    .storageFailed, "What is kept of the book of the issuer \(row.issuer) is damaged.",
                    hint: "mesh restore makes a home of a backup, which is a witness of that issuer no more.")
            }
            kept[book.replica.issuer] = book
        }
        isLoaded = true
    }

    private static func read(_ row: ReplicaRow) -> Kept? {
        let hashes = stride(from: 0, to: row.peaks.count, by: MerkleHash.byteCount).compactMap {
            MerkleHash(bytes: Array(row.peaks[$0...].prefix(MerkleHash.byteCount)))
        }
        guard let charter = try? SignedObject<IssuerCharter>(reading: row.charter, .stored),
            charter.did.text == row.issuer, let tree = MerkleTree(size: row.size, peaks: hashes)
        else { return nil }
        let promised = row.promised.map { try? DAGCBORDecoder().decode(BookTerm.self, from: $0) }
        let batch = row.batch.map { try? DAGCBORDecoder().decode(ReplicaBatch.self, from: $0) }
        if case .some(nil) = promised { return nil }
        if case .some(nil) = batch { return nil }
        return Kept(
            charter: row.charter,
            replica: BookReplica(
                issuer: charter.did, charterCID: charter.bodyCID, promised: promised ?? nil, tree: tree, head: row.head,
                batch: batch ?? nil),
            bytes: row.bytes, isRestored: row.isRestored)
    }

    private func takes(from peer: PeerID) -> Bool {
        guard let did = (try? PublicKey(peerID: peer))?.did, issuers.contains(did) else { return false }
        return rates.take(peer, now: NodeClock.now)
    }

    // MARK: Answers

    func answer(_ question: ReplicaQuestion, from peer: PeerID) async -> ReplicaAnswer {
        guard let did = (try? PublicKey(peerID: peer))?.did, issuers.contains(did) else {
            return .refused(reason: .notForYou, text: "This node is no witness for that issuer.")
        }
        guard answeredNow < limits.answeredAtOnceMax else {
            return .refused(reason: .full, text: "\(limits.answeredAtOnceMax) questions are answered at once already.")
        }
        answeredNow += 1
        defer { answeredNow -= 1 }
        if case .promise(_, let charter) = question, kept[did] == nil {
            if let refusal = begin(did, charter) { return refusal }
        }
        guard let book = kept[did] else {
            return .refused(reason: .invalid, text: "The first question is for a promise, with the charter.")
        }
        if case .kept(let number) = question {
            return await entries(of: did, from: number, below: book.replica.tree.size)
        }
        if book.isRestored { return Self.restored }
        if book.isBroken {
            return .refused(
                reason: .full, text: "This witness could not write, and keeps nothing until it starts again.")
        }
        return await step(question, of: did, book)
    }

    private static let restored = ReplicaAnswer.refused(
        reason: .restored, text: "This witness was restored from a backup, and may have forgotten what it promised.")

    /// Begins to keep a book; or says why not.
    private func begin(_ issuer: DID, _ block: [UInt8]) -> ReplicaAnswer? {
        guard let charter = try? SignedObject<IssuerCharter>(reading: block), charter.did == issuer,
            charter.body.witnesses.contains(identity.did)
        else { return .refused(reason: .invalid, text: "The charter is not that issuer's, or names other witnesses.") }
        // A backup of before the first promise has nothing of the book, and cannot tell that it was kept here.
        guard charter.body.openedAt.value > restoredAt else { return Self.restored }
        guard kept.count < limits.issuersMax else {
            return .refused(
                reason: .full, text: "This witness keeps the books of \(limits.issuersMax) issuers already.")
        }
        kept[issuer] = Kept(
            charter: block, replica: BookReplica(issuer: issuer, charterCID: charter.bodyCID), bytes: 0,
            isRestored: false)
        return nil
    }

    /// Decides about a question, and answers once what comes of it is on the disk.
    private func step(_ question: ReplicaQuestion, of issuer: DID, _ before: Kept) async -> ReplicaAnswer {
        var book = before
        let step: BookReplica.Step
        let name: String
        switch question {
        case .promise(let term, let charter):
            guard (try? SignedObject<IssuerCharter>(reading: charter))?.bodyCID == book.replica.charterCID else {
                return .refused(reason: .invalid, text: "This witness knows another charter of that issuer.")
            }
            (step, name) = (BookReplica.Step(answer: book.replica.promise(term)), "promised")
        case .propose(let term, let head, let batch):
            (step, name) = (book.replica.propose(term, head: head, batch), "accepted")
        case .fill(let head, let batch): (step, name) = (book.replica.fill(head, batch), "accepted")
        case .kept: return .refused(reason: .invalid, text: "It is no question.")
        }
        let entries = (step.headed?.entries ?? []).compactMap { try? DAGCBOREncoder().encode($0) }
        book.bytes += entries.reduce(0) { $0 + UInt64($1.count) }
        guard book.bytes <= limits.bytesPerIssuerMax else {
            return .refused(
                reason: .full, text: "This witness keeps \(limits.bytesPerIssuerMax) bytes of a book, and has them.")
        }
        guard book.replica != before.replica || book.writing > 0 else { return step.answer }
        // What changes nothing tells of what may be on its way to the disk, where each write is that of one caller: so
        // it is written once more.
        book.writing += 1
        kept[issuer] = book
        let write = StoreWrite.replica(.kept(row(of: book), from: step.headed?.start ?? 0, entries: entries))
        let result = await withCheckedContinuation { continuation in
            store.enqueue([write], of: [.ofReplica(name)], urgency: .now) { continuation.resume(returning: $0) }
        }
        kept[issuer]?.writing -= 1
        if case .failure = result {
            kept[issuer]?.isBroken = true
            return .refused(reason: .full, text: "This witness could not write.")
        }
        return step.answer
    }

    private func row(of book: Kept) -> ReplicaRow {
        let replica = book.replica
        return ReplicaRow(
            issuer: replica.issuer.text, charter: book.charter,
            promised: replica.promised.flatMap { try? DAGCBOREncoder().encode($0) }, size: replica.tree.size,
            peaks: replica.tree.peaks.flatMap(\.bytes), head: replica.head,
            batch: replica.batch.flatMap { try? DAGCBOREncoder().encode($0) }, bytes: book.bytes,
            isRestored: book.isRestored)
    }

    private func entries(of issuer: DID, from number: UInt64, below end: UInt64) async -> ReplicaAnswer {
        let limit = Int(clamping: min(UInt64(ReplicaBatch.Limits.entriesMax), end - min(number, end)))
        let found = try? await ReplicaRow.entries(
            of: issuer.text, from: number, limit: limit, bytesMax: ReplicaBatch.Limits.bytesMax, in: store)
        let entries = found?.map { try? DAGCBORDecoder().decode(ReplicaEntry.self, from: $0) }
        guard let entries, entries.allSatisfy({ $0 != nil }) else {
            return .refused(reason: .full, text: "This witness cannot read what it keeps.")
        }
        let batch = ReplicaBatch(start: number, entries: entries.compactMap(\.self))
        return .entries(batch: batch, more: batch.end < end)
    }
}
