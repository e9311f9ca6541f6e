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
    /// Every bound of it.
    typealias Limits = IssuerDeskLimits

    let identity: Identity
    let store: MeshStore
    let limits: Limits
    let clock: @Sendable () -> UnixMilliseconds
    /// The book with all that was decided; nil where this node is no issuer.
    private(set) var issuer: Issuer?
    /// The tree over what is on the disk.
    private(set) var written = MerkleTree()
    /// The tree over what others are shown: what is on the disk, and with witnesses, what a quorum of them keeps, too.
    private(set) var durable = MerkleTree()
    /// The secret from which the salts of the entries follow.
    private(set) var secret: [UInt8] = []
    /// Tells that there is more on the disk.
    nonisolated let growth: AsyncStream<Void>
    private nonisolated let grew: AsyncStream<Void>.Continuation
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
    /// Those who wait until so many entries may be shown.
    // BOUNDED: by the questions that are answered at once.
    private var waiters: [IssuerDeskWaiter] = []
    /// Holds for the lines of other issuers, which are followed there.
    private var acrossHolds = HoldsAcross()
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
        (growth, grew) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        evidence = EvidenceQuota(bytesPerDayMax: limits.evidenceBytesPerDayMax)
        rates = PeerRates(perSecond: limits.questionsPerSecondPerPeerMax, burst: limits.questionsBurstPerPeerMax)
        strangerRates = PeerRates(perSecond: limits.strangersPerSecondMax, burst: limits.strangersBurstMax)
    }

    // MARK: The disk

    /// Reads the book from the disk, and holds it against what it was when it was written.
    ///
    /// - Throws: a sentence that names the first entry that is damaged, or the table.
    func load() async throws(NodeServiceError) {
        guard issuer == nil, let stored = try await StoredBook.read(of: identity.did, in: store, limits) else { return }
        for kept in try await storedOrders() {
            // One that does not read can be proposed again.
            guard let read = try? DAGCBORDecoder().decode(WaitingOrder.self, from: kept.bytes),
                read.order.cid == kept.cid
            else { continue }
            waiting[kept.cid] = read
        }
        install(stored)
        graceUntil = .now + .milliseconds(limits.graceMilliseconds)
        // What others may have been shown its witnesses say (`BookReplicator`).
        guard hasNoWitnesses else {
            obstacle = Self.waitsForWitnesses
            return
        }
        durable = written
        if stored.isRestored {
            obstacle = "This home was restored from a backup, and others may know later entries: the book is closed."
        }
    }

    private func install(_ stored: StoredBook) {
        (issuer, written, lines, secret) = (stored.issuer, stored.issuer.tree, stored.lines, stored.secret)
        (acrossHolds, roots, head) = (HoldsAcross(of: stored.issuer.book), [:], nil)
    }

    private func storedOrders() async throws(NodeServiceError) -> [(cid: CID, bytes: [UInt8])] {
        try await stored { () throws(MeshStoreError) in try await IssuerWrite.orders(in: store) }
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
        let first = StoredBook.write(of: made.entry, made.opening, parties: [], in: MerkleTree())
        try await stored { () throws(MeshStoreError) in
            try await store.commit([.issuer(.founded(secret: secret)), .issuer(first)])
        }
        (issuer, written, self.secret) = (made.issuer, made.issuer.tree, secret)
        if charter.witnesses.isEmpty { durable = written } else { obstacle = Self.waitsForWitnesses }
        grew.yield()
    }

    // MARK: Events

    /// Takes an event, and returns once its entry may be shown: the entry, or none if that cannot be read again; nil
    /// where the book is closed, or its witnesses do not keep the entry in time.
    func take(_ event: BookEvent, with writes: [StoreWrite] = []) async -> Result<BookEntry?, BookRefusal>? {
        guard obstacle == nil, let parties = issuer.map({ event.parties(in: $0.book) }) else { return nil }
        let pair = self.parties(to: event)
        // No copy of the book is held from here on: it is changed in its place.
        guard let before = issuer?.tree, before.size - durable.size < limits.unshownMax,
            let result = issuer?.record(event, now: clock())
        else { return nil }
        switch result {
        case .failure(let refusal): return .failure(refusal)
        case .success(.known(let number)):
            await landed(number + 1)
            return number < durable.size ? .success(await entry(number)) : nil
        case .success(.entered(let entry, let opening)):
            if let pair { evidence.count(event.entryBytesMost, of: pair, at: entry.at) }
            let own = noted(entry, opening, parties, in: before)
            guard await commit(own + writes, of: event) else { return nil }
            await landed(entry.number + 1)
            return entry.number < durable.size ? .success(entry) : nil
        }
    }

    /// Notes what an entry changes beside the book, and returns its writes into a log with a tree.
    private func noted(
        _ entry: BookEntry, _ opening: EntryOpening, _ parties: Set<DID>, in tree: MerkleTree
    ) -> [StoreWrite] {
        if let line = entry.event.openedLine { lines[line.did, default: []].insert(line) }
        if let block = entry.event.holdOrder, let book = issuer?.book { acrossHolds.note(block, in: book) }
        let named = entry.event.isPublic ? [IssuerEntryRow.everybody] : parties.map(\.text).sorted()
        let own = StoredBook.write(of: entry, opening, parties: named, in: tree)
        let inherited = entry.event.move.map { IssuerWrite.inherited(by: $0.to.text, from: $0.from.text) }
        return ([own] + (inherited.map { [$0] } ?? [])).map { .issuer($0) }
    }

    /// Returns whether the writes are on the disk; their place in the order of writes is that of this call.
    private func commit(_ writes: [StoreWrite], of event: BookEvent) async -> Bool {
        guard let tree = issuer?.tree else { return false }
        let point = CrashPoint.Event(role: "issuer", name: event.name, kind: "book", state: "stored")
        let result = await withCheckedContinuation { continuation in
            store.enqueue(writes, of: [point], urgency: .now) { continuation.resume(returning: $0) }
        }
        switch result {
        case .success:
            if tree.size > written.size { written = tree }
            if hasNoWitnesses, written.size > durable.size { durable = written }
            grew.yield()
        case .failure(let error):
            close("The book could not be written, and is closed until the node starts again: \(error)")
        }
        resumeWaiters()
        if case .success = result { return true }
        return false
    }

    /// Takes nothing from now on, for the first reason that there is.
    func close(_ reason: String) {
        if obstacle == nil || obstacle == Self.waitsForWitnesses { obstacle = reason }
        resumeWaiters()
    }

    /// Returns once so many entries may be shown, or the book is closed, or it takes too long.
    func landed(_ size: UInt64) async {
        guard size > durable.size, obstacle == nil else { return }
        let until = ContinuousClock.now + .milliseconds(limits.shownMilliseconds)
        await withCheckedContinuation { waiters.append(IssuerDeskWaiter(size: size, until: until, continuation: $0)) }
    }

    /// Lets those go on who do not wait for anything any more, or have waited for too long for witnesses.
    func resumeWaiters() {
        let now = hasNoWitnesses ? nil : ContinuousClock.now
        let isReady = { [durable, obstacle] (waiter: IssuerDeskWaiter) in
            waiter.size <= durable.size || obstacle != nil || now.map { waiter.until < $0 } ?? false
        }
        let ready = waiters.filter(isReady)
        waiters.removeAll(where: isReady)
        for waiter in ready { waiter.continuation.resume() }
    }

    // MARK: Witnesses

    private static let waitsForWitnesses =
        "The issuer has started, and first asks a quorum of its witnesses what they keep of its book."
    static let superseded =
        "Another copy of this issuer's home has started since, and writes the book: this one is closed."

    /// Whether it may tell what it has: not before all is shown again that others may have been shown, nor once another
    /// copy writes the book.
    var isTelling: Bool { obstacle != Self.waitsForWitnesses && obstacle != Self.superseded }

    /// Shows the next entries, which a quorum of witnesses keeps, and returns the head of all; nil if they are not the
    /// next ones, or not those of the book.
    func show(_ batch: ReplicaBatch) -> [UInt8]? {
        guard batch.start == durable.size, batch.end <= written.size else { return nil }
        var tree = durable
        // What the disk has of hashes is not asked: a head over one that is damaged would be a second history.
        for entry in batch.entries { _ = tree.append(.leaf(entry.commitment)) }
        guard tree.size < written.size || tree == written else { return nil }
        durable = tree
        resumeWaiters()
        return try? note(TreeHead(tree))
    }

    /// The book as it stands before its term begins; nil where there is none, or it has no witnesses.
    var replicated: BookReplicator.Standing? {
        get async {
            guard !hasNoWitnesses, obstacle == nil || obstacle == Self.waitsForWitnesses,
                case .opened(let block)? = await entry(0)?.event,
                let charter = try? SignedObject<IssuerCharter>(reading: block, .stored)
            else { return nil }
            let kept = (try? await store.setting(IssuerWrite.termKey)) ?? nil
            return BookReplicator.Standing(
                charter: charter, seal: BookSeal(issuer: identity.did, secret: secret),
                term: kept.flatMap { try? DAGCBORDecoder().decode(BookTerm.self, from: $0) })
        }
    }

    /// Begins a term, in which others may have been shown a head already.
    func begin(_ term: BookTerm, shown head: TreeHead?) async throws(NodeServiceError) {
        do throws(MeshStoreError) {
            let tree = try await tree(of: head?.size ?? 0)
            guard let tree, TreeHead(tree) == head ?? TreeHead(MerkleTree()) else {
                throw .recordCorrupt(table: "issuer_hashes", row: Int64(clamping: head?.size ?? 0))
            }
            if let bytes = try? DAGCBOREncoder().encode(term) { try await store.commit([.issuer(.term(bytes))]) }
            durable = tree
        } catch {
            throw NodeServiceError(storage: error)
        }
    }

    /// The next entries that witnesses do not keep, sealed; or others.
    func batch(from start: UInt64? = nil, below end: UInt64? = nil, in term: BookTerm) async -> ReplicaBatch? {
        let (start, end) = (start ?? durable.size, end ?? written.size)
        let seal = BookSeal(issuer: identity.did, secret: secret)
        return await StoredBook.batch(from: start, below: end, in: term, by: seal, store)
    }

    /// The signed head of entries that are shown.
    func headOf(_ size: UInt64) async -> [UInt8]? {
        guard let root = try? await root(of: size) else { return nil }
        return try? note(TreeHead(size: size, root: root))
    }

    /// Opens the book for events, once everything that may have been shown is shown again.
    func open() { if obstacle == Self.waitsForWitnesses { obstacle = nil } }

    /// Takes entries that this issuer wrote in another life, as its witnesses kept them; returns false where they are
    /// not what follows here.
    func adopt(_ entries: [(entry: BookEntry, opening: EntryOpening)]) async throws(NodeServiceError) -> Bool {
        var writes: [StoreWrite] = []
        for (entry, opening) in entries {
            guard let before = issuer?.tree, let parties = issuer.map({ entry.event.parties(in: $0.book) }),
                (try? issuer?.replay(entry))?.commitment == opening.commitment
            else {
                // What came before it in memory did not come to the disk.
                try await reload()
                return false
            }
            writes += noted(entry, opening, parties, in: before)
        }
        guard let last = entries.last, await commit(writes, of: last.entry.event) else {
            throw NodeServiceError(.storageFailed, obstacle ?? "There is nothing to take.")
        }
        return true
    }

    /// Reads the book again, in the place of what is in memory.
    private func reload() async throws(NodeServiceError) {
        do {
            if let stored = try await StoredBook.read(of: identity.did, in: store, limits) { install(stored) }
        } catch {
            close("The book could not be read again, and is closed until the node starts again: \(error.message)")
            throw error
        }
    }

    /// Forgets the entries from a number on, which nobody was shown, and reads the book again.
    func cut(to size: UInt64) async throws(NodeServiceError) {
        do throws(MeshStoreError) {
            guard size > 0, size < written.size, let tree = try await tree(of: size) else { return }
            var heirs: [String] = []
            for number in size..<written.size {
                if let heir = await entry(number)?.event.move?.to { heirs.append(heir.text) }
            }
            try await store.commit([.issuer(.cut(size: size, root: tree.root.bytes, heirs: heirs))])
        } catch {
            throw NodeServiceError(storage: error)
        }
        try await reload()
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
            for event in due() where await take(event) == nil { break }
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
        issuer.flatMap { EvidenceQuota.Parties(to: event, in: $0.book) }
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

    /// Holds for other issuers' lines that are not over.
    func holdsAcross() -> [Hold] { issuer.map { acrossHolds.live(in: $0.book) } ?? [] }

    /// A hold for another issuer's line, and its order, which is on the disk; nil of all others.
    func orderAcross(_ id: CID) async -> (Hold, SignedObject<PaymentOrder>)? {
        guard let hold = acrossHolds.contains(id) ? issuer?.book.holds[id] : nil else { return nil }
        await landed(hold.entry + 1)
        guard let block = await entry(hold.entry)?.event.holdOrder,
            let order = try? SignedObject<PaymentOrder>(reading: block, .stored)
        else { return nil }
        return (hold, order)
    }

    /// A hold that is not over, for another issuer's line; nil of all others.
    func holdAcross(_ id: CID) -> Hold? {
        guard acrossHolds.contains(id), let hold = issuer?.book.holds[id], hold.isLive else { return nil }
        return hold
    }

    /// Notes that nothing can be paid any more of what was held at another issuer for a hold.
    func isOverBelow(_ hold: CID) { acrossHolds.isOverBelow(hold) }

    /// Whether nobody has claimed a hold, nor is it over.
    func isOpen(_ hold: CID) -> Bool { issuer?.book.holds[hold]?.state == .open }

    /// Whether nothing that is lodged with witnesses counts for this book.
    var hasNoWitnesses: Bool { issuer?.book.charter.witnesses.isEmpty ?? true }

    /// Whether nothing can be paid any more of what was held at another issuer for a hold.
    func isKnownOver(_ hold: CID) -> Bool { acrossHolds.isKnownOver(hold) }

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

    private func waitsBelow(_ event: BookEvent) -> Bool {
        issuer.map { acrossHolds.waits(event, in: $0.book, now: clock()) } ?? false
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
