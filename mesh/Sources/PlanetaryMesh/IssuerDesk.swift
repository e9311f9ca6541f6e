import Credit
import Determinism
import IPLD
import LibP2P
import MerkleLog
package import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
package import PeerIdentity
import SignedObjects

/// This node as an issuer: it owns the book, writes each entry to the disk before anybody hears of it, and answers
/// what others ask.
///
/// An event is judged and takes its place in the order of writes in one step; its answer waits for the disk. Heads are
/// signed of what is there, where a number is given once: so no two of one size are signed, wherever the node is
/// killed. Where a write failed, the book in memory is ahead of the disk, and is closed until the next start.
package actor IssuerDesk {
    /// Every bound of it; those of the book are in `IssuerBook.Limits`.
    struct Limits: Sendable {
        /// Questions of a peer in a second.
        var questionsPerSecondPerPeerMax = 64
        /// Questions of a peer at once.
        var questionsBurstPerPeerMax = 256
        /// Questions in a second of all peers together that have no part in the book: keys cost nothing.
        var strangersPerSecondMax = 32
        /// Questions of these at once.
        var strangersBurstMax = 64
        /// Questions that are answered at the same time; one more is refused.
        var answeredAtOnceMax = 64
        /// Of these, those of peers that have no part in the book.
        var strangersAtOnceMax = 8
        /// Orders that wait of one officer.
        var ordersPerOfficerMax = 16
        /// Bytes of such an order without its approvals.
        var orderBytesMax = 2_048
        /// Entries of an answer.
        var entriesPerAnswerMax = 256
        /// Bytes of the entries of an answer; it has one at least.
        var entryBytesPerAnswerMax = 524_288
        /// Commitments of an answer.
        var commitmentsPerAnswerMax = 8_192
        /// Lines of an answer.
        var linesPerAnswerMax = 256
        /// How old the sums may be that are told, in milliseconds: adding up takes all lines.
        var totalsMilliseconds: Int64 = 1_000
        /// How often it looks what is due, in milliseconds.
        var lookMilliseconds: Int64 = 1_000
        /// What time alone decides, that is booked in one look.
        var duePerLookMax = 256
        /// For how long nothing expires after a start, or after the machine stood still, in milliseconds: who could
        /// not reach the issuer meanwhile asks again before that (`HoldDesk.Limits.pauseMilliseconds`).
        var graceMilliseconds: Int64 = 120_000
        /// How late a look has to be for that, in milliseconds.
        var stillMilliseconds: Int64 = 10_000
        /// Bytes of what two members show about holds of one from the other within a day, beside the first 4 KiB of
        /// each event.
        var evidenceBytesPerDayMax = 16_777_216
        /// Entries that are read at once as the book is opened.
        var replayedAtOnceMax = 1_024
        /// Bytes of these; one is read at least.
        var replayedBytesMax = 4_194_304
        /// Earlier heads whose root is remembered.
        var headsRememberedMax = 64
        /// The bounds of the book.
        var book = IssuerBook.Limits()

        /// The defaults.
        init() {}
    }

    let identity: Identity
    let store: MeshStore
    let limits: Limits
    let clock: @Sendable () -> UnixMilliseconds
    /// The book with all that was decided; nil where this node is no issuer.
    private(set) var issuer: Issuer?
    /// The tree over what is on the disk.
    private(set) var durable = MerkleTree()
    /// Why it takes nothing, a sentence.
    private(set) var obstacle: String?
    /// The lines of each member.
    // BOUNDED: by `IssuerBook.Limits.linesMax`.
    private(set) var lines: [DID: Set<LineID>] = [:]
    /// The officers' orders that wait.
    // BOUNDED: by the officers, and `Limits.ordersPerOfficerMax`.
    var waiting: [CID: WaitingOrder] = [:]
    var toldTotals: (at: MonotonicInstant, totals: [UnitTotal])?
    var roots: [UInt64: MerkleHash] = [:]
    var head: (size: UInt64, note: [UInt8])?
    /// Those who wait until so many entries are on the disk.
    // BOUNDED: by the questions that are answered at once.
    private var waiters: [(size: UInt64, continuation: CheckedContinuation<Void, Never>)] = []
    /// Holds for the lines of other issuers, which are followed there.
    // BOUNDED: by the holds of the book.
    private var holdsForOthers: Set<CID> = []
    /// Of these, those that are over there.
    // BOUNDED: like `holdsForOthers`.
    private var overBelow: Set<CID> = []
    /// Who follows them.
    private(set) weak var across: AcrossDesk?
    /// Who asks the witnesses of the charter.
    private(set) weak var witnesses: IssuerWitnesses?
    private var isFounding = false
    /// Until when nothing expires.
    private var graceUntil: ContinuousClock.Instant?
    private var evidence: EvidenceQuota
    private var rates: PeerRates
    private var strangerRates: PeerRates
    private var answeredNow = 0
    private var strangersNow = 0

    /// The desk of a node, with the standard bounds.
    package init(identity: Identity, store: MeshStore) {
        self.init(identity: identity, store: store, limits: Limits())
    }

    init(
        identity: Identity, store: MeshStore, limits: Limits = Limits(),
        clock: @escaping @Sendable () -> UnixMilliseconds = { NodeClock.wallClock }
    ) {
        (self.identity, self.store, self.limits, self.clock) = (identity, store, limits, clock)
        evidence = EvidenceQuota(bytesPerDayMax: limits.evidenceBytesPerDayMax)
        rates = PeerRates(perSecond: limits.questionsPerSecondPerPeerMax, burst: limits.questionsBurstPerPeerMax)
        strangerRates = PeerRates(perSecond: limits.strangersPerSecondMax, burst: limits.strangersBurstMax)
    }

    // MARK: The disk

    /// Reads the book from the disk, and holds it against what it was when it was written.
    ///
    /// - Throws: a sentence that names the first entry that is damaged, or the table.
    func load() async throws(NodeServiceError) {
        guard issuer == nil else { return }
        let row = try await stored { () throws(MeshStoreError) in try await IssuerRow.read(in: store) }
        guard let row else { return }
        let salts = EntrySalts(secret: row.secret)
        var (issuer, next) = (Issuer?.none, UInt64(0))
        while next < row.size {
            let start = next
            let page = try await stored { () throws(MeshStoreError) in
                try await IssuerEntryRow.entries(
                    from: start, limit: limits.replayedAtOnceMax, bytesMax: limits.replayedBytesMax, in: store)
            }
            if page.isEmpty { throw Self.damaged("entry \(next) is missing") }
            for entry in page {
                guard entry.number == next else { throw Self.damaged("entry \(next) is missing") }
                try Self.replay(entry, salts, limits.book, &issuer)
                note(lineOf: entry)
                next += 1
            }
        }
        guard let issuer, issuer.tree.size == row.size, issuer.tree.root.bytes == row.root else {
            throw Self.damaged("its entries are not those that were written")
        }
        guard issuer.book.issuer == identity.did else { throw Self.damaged("it is the book of \(issuer.book.issuer)") }
        for kept in try await stored({ () throws(MeshStoreError) in try await IssuerWrite.orders(in: store) }) {
            // One that does not read can be proposed again.
            guard let read = try? DAGCBORDecoder().decode(WaitingOrder.self, from: kept.bytes),
                read.order.cid == kept.cid
            else { continue }
            waiting[kept.cid] = read
        }
        (self.issuer, durable) = (issuer, issuer.tree)
        holdsForOthers = Set(issuer.book.holds.values.filter { $0.isLive && !$0.isForExecutor }.map(\.id))
        graceUntil = .now + .milliseconds(limits.graceMilliseconds)
        if row.isRestored {
            obstacle = "This home was restored from a backup, and others may know later entries: the book is closed."
        }
    }

    private static func replay(
        _ row: IssuerEntryRow, _ salts: EntrySalts, _ limits: IssuerBook.Limits, _ issuer: inout Issuer?
    ) throws(NodeServiceError) {
        guard let entry = EntryOpening(salt: salts.salt(of: row.number), entry: row.entry).read else {
            throw damaged("entry \(row.number) does not read")
        }
        do throws(ReplayFault) {
            let opening: EntryOpening?
            if issuer == nil {
                issuer = try Issuer(replayingFirst: entry, salts: salts, limits: limits)
                opening = try? salts.opening(of: entry)
            } else {
                opening = try issuer?.replay(entry)
            }
            guard opening?.commitment == row.commitment else {
                throw ReplayFault(entry: row.number, reason: .outOfOrder)
            }
        } catch {
            throw damaged("\(error)")
        }
    }

    private static func damaged(_ what: String) -> NodeServiceError {
        NodeServiceError(
            .storageFailed, "The book of this issuer is damaged: \(what).",
            hint: "Keep the home folder as it is, and never start an old copy of it: it would contradict what members "
                + "hold. mesh restore makes a home of a backup, which shows the book; a new issuer goes on from there."
        )
    }

    private func note(lineOf row: IssuerEntryRow) {
        guard let entry = try? DAGCBORDecoder().decode(BookEntry.self, from: row.entry) else { return }
        note(lineOf: entry.event)
    }

    private func note(lineOf event: BookEvent) {
        if let line = event.openedLine { lines[line.did, default: []].insert(line) }
    }

    // MARK: Founding

    /// Opens the book of a new issuer.
    func found(_ charter: IssuerCharter) async throws(NodeServiceError) {
        guard issuer == nil, !isFounding else {
            throw NodeServiceError(.conflict, "This node is an issuer already.", hint: "mesh issuer show shows it.")
        }
        if let field = charter.fieldOutOfBounds {
            throw NodeServiceError(
                .invalidRequest, "The charter is impossible: its field \(field) is out of bounds.",
                hint:
                    "Officers are 2 to 16 others, each named once; of them at least 2 approve. Witnesses are up to 16 "
                    + "others, each named once.")
        }
        isFounding = true
        defer { isFounding = false }
        // The backup may be of before the book: a second one of this key would be a second history of its log.
        let restored = try await stored { () throws(MeshStoreError) in
            try await store.setting(StoreCopy.restoredKey)
        }
        guard restored == nil else {
            throw NodeServiceError(
                .conflict, "This home was restored from a backup, so this key may have a book already.",
                hint: "Found the issuer on a new node, with a key of its own.")
        }
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<EntryOpening.saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let made: (issuer: Issuer, entry: BookEntry, opening: EntryOpening)
        do {
            let signed = try SignedObject.sign(charter, with: identity)
            made = try Issuer.open(charter: signed.bytes, salts: EntrySalts(secret: secret), limits: limits.book)
        } catch {
            throw NodeServiceError(.invalidRequest, "The charter cannot be signed: \(error).")
        }
        let first = write(of: made.entry, made.opening, parties: [], in: MerkleTree())
        try await stored { () throws(MeshStoreError) in
            try await store.commit([.issuer(.founded(secret: secret)), .issuer(first)])
        }
        (issuer, durable) = (made.issuer, made.issuer.tree)
    }

    // MARK: Events

    /// Takes an event, and returns once its entry is on the disk: the entry, or none if that cannot be read again; nil
    /// where the book is closed.
    func take(_ event: BookEvent, with writes: [StoreWrite] = []) async -> Result<BookEntry?, BookRefusal>? {
        guard obstacle == nil, let parties = issuer.map({ event.parties(in: $0.book) }) else { return nil }
        let pair = self.parties(to: event)
        // No copy of the book is held from here on: it is changed in its place.
        guard let before = issuer?.tree, let result = issuer?.record(event, now: clock()) else { return nil }
        switch result {
        case .failure(let refusal): return .failure(refusal)
        case .success(.known(let number)):
            await landed(number + 1)
            return obstacle == nil ? .success(await entry(number)) : nil
        case .success(.entered(let entry, let opening)):
            note(lineOf: event)
            if let block = event.holdOrder { note(holdOf: block) }
            if let pair { evidence.count(event.entryBytesMost, of: pair, at: entry.at) }
            let named = event.isPublic ? [IssuerEntryRow.everybody] : parties.map(\.text).sorted()
            let own = write(of: entry, opening, parties: named, in: before)
            let inherited = event.move.map { IssuerWrite.inherited(by: $0.to.text, from: $0.from.text) }
            let all = [own] + (inherited.map { [$0] } ?? [])
            return await commit(all.map { .issuer($0) } + writes, of: event) ? .success(entry) : nil
        }
    }

    /// The write of an entry into a log with a tree.
    private func write(
        of entry: BookEntry, _ opening: EntryOpening, parties: [String], in tree: MerkleTree
    ) -> IssuerWrite {
        var tree = tree
        let commitment = opening.commitment
        let hashes = tree.append(.leaf(commitment)).map(\.bytes)
        return .entered(
            IssuerEntryRow(number: entry.number, entry: opening.entry, commitment: commitment), parties: parties,
            hashes: hashes, root: tree.root.bytes)
    }

    /// Returns whether the writes are on the disk; their place in the order of writes is that of this call.
    private func commit(_ writes: [StoreWrite], of event: BookEvent) async -> Bool {
        guard let tree = issuer?.tree else { return false }
        let point = CrashPoint.Event(role: "issuer", name: event.name, kind: "book", state: "stored")
        let result = await withCheckedContinuation { continuation in
            store.enqueue(writes, of: [point], urgency: .now) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success: if tree.size > durable.size { durable = tree }
        case .failure(let error):
            obstacle = obstacle ?? "The book could not be written, and is closed until the node starts again: \(error)"
        }
        let ready = waiters.filter { $0.size <= durable.size || obstacle != nil }
        waiters.removeAll { $0.size <= durable.size || obstacle != nil }
        for waiter in ready { waiter.continuation.resume() }
        if case .success = result { return true }
        return false
    }

    /// Returns once so many entries are on the disk, or the book is closed.
    func landed(_ size: UInt64) async {
        guard size > durable.size, obstacle == nil else { return }
        await withCheckedContinuation { waiters.append((size, $0)) }
    }

    /// An entry that is on the disk.
    private func entry(_ number: UInt64) async -> BookEntry? {
        let rows = try? await IssuerEntryRow.entries(from: number, limit: 1, bytesMax: 0, in: store)
        guard let row = rows?.first, row.number == number else { return nil }
        return try? DAGCBORDecoder().decode(BookEntry.self, from: row.entry)
    }

    /// Books what time alone decides, until the task is cancelled.
    func run() async {
        var looked = ContinuousClock.now
        while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil {
            let late = looked + .milliseconds(limits.lookMilliseconds + limits.stillMilliseconds)
            if ContinuousClock.now > late { graceUntil = .now + .milliseconds(limits.graceMilliseconds) }
            for event in due() { _ = await take(event) }
            looked = .now
        }
    }

    private func due() -> [BookEvent] {
        guard obstacle == nil, !isInGrace, let book = issuer?.book, let next = book.nextDeadline, next <= clock() else {
            return []
        }
        return Array(book.dueEvents(now: clock()).lazy.filter { !self.waitsBelow($0) }.prefix(limits.duePerLookMax))
    }

    /// Whether those who could not reach this issuer have their time still.
    private var isInGrace: Bool { graceUntil.map { ContinuousClock.now < $0 } ?? false }

    private func parties(to event: BookEvent) -> EvidenceQuota.Parties? {
        // A manifest is evidence, too, of whose line pays: who is paid did not send it.
        if case .holdGrantedByToken(_, let tokens, _) = event,
            let chain = try? TokenChain(reading: tokens, .stored)
        {
            return EvidenceQuota.Parties(debtor: chain.line, creditor: chain.line)
        }
        return event.hold.flatMap { issuer?.book.holds[$0] }.map {
            EvidenceQuota.Parties(debtor: $0.debtorLine, creditor: $0.creditorLine)
        }
    }

    /// Why an event that somebody brings is not taken now, though the book would take it; nil if it may be.
    func reasonNotNow(_ event: BookEvent) -> String? {
        switch event {
        case .holdExpired, .claimPaid:
            if waitsBelow(event) { return "What became of it at the executor's issuer is not known yet." }
            guard isInGrace else { return nil }
            return "The issuer was away, and first gives others their time."
        default:
            guard let parties = parties(to: event) else { return nil }
            if evidence.allows(event.entryBytesMost, of: parties, at: clock()) { return nil }
            return "What these two members show about holds is more than \(limits.evidenceBytesPerDayMax) bytes today."
        }
    }

    /// Notes who asks the witnesses of the charter.
    func join(_ desk: IssuerWitnesses) { witnesses = desk }

    /// What the book says, which is not copied.
    func read<Value>(_ body: (IssuerBook) throws -> Value) rethrows -> Value? { try issuer.map { try body($0.book) } }

    // MARK: Across two issuers

    /// Notes who follows the holds for other issuers' lines.
    func join(_ desk: AcrossDesk) { across = desk }

    private func note(holdOf block: [UInt8]) {
        guard let order = try? SignedObject<PaymentOrder>(reading: block, .stored),
            let hold = issuer?.book.holds[order.bodyCID], !hold.isForExecutor
        else { return }
        holdsForOthers.insert(hold.id)
    }

    /// Holds for other issuers' lines that are not over.
    func holdsAcross() -> [Hold] {
        let found = holdsForOthers.compactMap { issuer?.book.holds[$0] }.filter(\.isLive)
        holdsForOthers = Set(found.map(\.id))
        overBelow.formIntersection(holdsForOthers)
        return found
    }

    /// A hold for another issuer's line, and its order, which is on the disk; nil of all others.
    func orderAcross(_ id: CID) async -> (Hold, SignedObject<PaymentOrder>)? {
        guard holdsForOthers.contains(id), let hold = issuer?.book.holds[id] else { return nil }
        await landed(hold.entry + 1)
        guard let block = await entry(hold.entry)?.event.holdOrder,
            let order = try? SignedObject<PaymentOrder>(reading: block, .stored)
        else { return nil }
        return (hold, order)
    }

    /// A hold that is not over, for another issuer's line; nil of all others.
    func holdAcross(_ id: CID) -> Hold? {
        guard holdsForOthers.contains(id), let hold = issuer?.book.holds[id], hold.isLive else { return nil }
        return hold
    }

    /// Notes that nothing can be paid any more of what was held at another issuer for a hold.
    func isOverBelow(_ hold: CID) { if holdsForOthers.contains(hold) { overBelow.insert(hold) } }

    /// Whether nobody has claimed a hold, nor is it over.
    func isOpen(_ hold: CID) -> Bool { issuer?.book.holds[hold]?.state == .open }

    /// Whether nothing that is lodged with witnesses counts for this book.
    var hasNoWitnesses: Bool { issuer?.book.charter.witnesses.isEmpty ?? true }

    /// Whether nothing can be paid any more of what was held at another issuer for a hold.
    func isKnownOver(_ hold: CID) -> Bool { overBelow.contains(hold) }

    /// Whether a hold is over.
    func isEnded(_ hold: CID) -> Bool { issuer?.book.holds[hold].map { !$0.isLive } ?? true }

    /// How much earlier than its members' holds end those that it orders for them, in milliseconds.
    var marginMilliseconds: UInt64 { issuer?.book.charter.marginMilliseconds ?? 0 }

    /// The lines of other issuers that take orders, those first that take most.
    func issuerLines() -> [LineID] {
        // A book that winds down holds nothing more.
        guard issuer?.book.rules.winding == nil else { return [] }
        let all = issuer?.book.accounts.sorted.filter { $0.line.isIssuer && !$0.line.isFrozen } ?? []
        return all.map { LineState($0.id, $0.line) }.sorted { left, right in
            (left.receivable, right.line) > (right.receivable, left.line)
        }.map(\.line)
    }

    /// Whether what time alone decides has to wait for what becomes of the hold at the other issuer, whose dates are
    /// later by the margin: for a week at most.
    private func waitsBelow(_ event: BookEvent) -> Bool {
        switch event {
        case .holdExpired, .claimPaid: break
        default: return false
        }
        guard let id = event.hold, holdsForOthers.contains(id), !overBelow.contains(id),
            let hold = issuer?.book.holds[id], let due = hold.dueAt
        else { return false }
        return clock() <= due.advanced(milliseconds: HoldTerms.Limits.belowMilliseconds)
    }

    // MARK: Who asks

    /// Whether a peer has a part in the book.
    private func isKnown(_ did: DID) -> Bool {
        guard let book = issuer?.book else { return false }
        return lines[did] != nil || book.charter.officers.contains(did) || book.rules.auditors.contains(did)
            || book.charter.arbiters.contains(did) || book.hasHolds(of: did)
    }

    /// Whether a peer's question is read at all.
    func admits(_ peer: PeerID) -> Bool {
        guard issuer != nil, let did = (try? PublicKey(peerID: peer))?.did else { return false }
        let now = NodeClock.now
        // Of strangers all together have what one of them may ask: keys cost nothing.
        if !isKnown(did), !strangerRates.take(identity.peerID, now: now) { return false }
        return rates.take(peer, now: now)
    }

    /// Answers a peer's question, if there are not too many.
    func answer(_ question: CreditQuestion, to peer: PeerID) async -> CreditAnswer {
        guard let did = (try? PublicKey(peerID: peer))?.did else {
            return .refused(reason: .notForYou, text: "The key has no DID.")
        }
        let isStranger = !isKnown(did)
        guard answeredNow < limits.answeredAtOnceMax, !isStranger || strangersNow < limits.strangersAtOnceMax else {
            return .refused(reason: .tooMany, text: "The issuer has as many questions as it takes at once.")
        }
        answeredNow += 1
        if isStranger { strangersNow += 1 }
        defer {
            answeredNow -= 1
            if isStranger { strangersNow -= 1 }
        }
        return await answer(question, for: did)
    }
}

extension BookEvent {
    /// The name of the event, as on the wire.
    var name: String {
        switch self {
        case .opened: "opened"
        case .ordered: "ordered"
        case .transferred: "transferred"
        case .holdGranted: "hold_granted"
        case .holdGrantedByToken: "hold_granted_by_token"
        case .tokenRevoked: "token_revoked"
        case .holdSettled: "hold_settled"
        case .holdReleased: "hold_released"
        case .holdExpired: "hold_expired"
        case .claimLodged: "claim_lodged"
        case .claimDisputed: "claim_disputed"
        case .claimDecided: "claim_decided"
        case .claimPaid: "claim_paid"
        case .caughtUp: "caught_up"
        }
    }
}
