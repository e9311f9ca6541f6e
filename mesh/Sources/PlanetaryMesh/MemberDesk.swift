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

/// This node at issuers, its own among them: asks, pays, approves, audits, and believes none of them.
///
/// The newest head of each is on the disk; what comes next has to continue it. Two heads of one size are a proof
/// against the issuer, which is kept.
package actor MemberDesk {
    /// Every bound of it.
    struct Limits: Sendable {
        /// Issuers that are known; one more is not asked.
        var issuersMax = 256
        /// Own entries of one statement.
        var statementEntriesMax = 100_000
        /// Bytes of these.
        var statementBytesMax = 67_108_864
        /// Own lines at an issuer.
        var linesMax = 256
        /// How often a head is asked for again where another question changed meanwhile what is known.
        var meetsMax = 8
        /// Entries of a log that is audited.
        var auditEntriesMax: UInt64 = 1_000_000
        /// Bytes of these.
        var auditBytesMax = 536_870_912
        /// Entries of one part of a ledger.
        var ledgerEntriesMax = 10_000
        /// Pages that an issuer is asked for in a row, before each further one waits.
        var pagesAtOnceMax = 32
        /// How long that is, in milliseconds: an issuer reads 64 questions of a peer in a second.
        var pageMilliseconds: Int64 = 20
        /// How long all pages of one statement, audit or search may take, in milliseconds.
        var pagesMilliseconds: Int64 = 600_000
        /// Bytes of what an issuer says in words.
        var textBytesMax = 1_024
        /// How long a payment may be taken, in milliseconds.
        var paymentMilliseconds: UInt64 = 3_600_000
        /// How long an approval counts, in milliseconds: 7 days.
        var approvalMilliseconds: UInt64 = 604_800_000
        /// Bytes of a key of a payment.
        var keyBytesMax = 256

        /// The defaults.
        init() {}
    }

    let identity: Identity
    let store: MeshStore
    let limits: Limits
    let own: IssuerDesk
    private let exchange: CreditExchange
    // BOUNDED: by `Limits.issuersMax`.
    private var known: [DID: KnownIssuer] = [:]
    private var isLoaded = false
    /// Issuers that did not prove that their log goes on from a head that they signed.
    // BOUNDED: by `Limits.issuersMax`.
    private var doubted: Set<DID> = []
    /// Whether a statement or an audit is made: each may take much memory, so that one at a time has it.
    private var isChecking = false

    init(identity: Identity, host: any StreamHost, own: IssuerDesk, limits: Limits = Limits()) {
        (self.identity, store, self.own, self.limits) = (identity, own.store, own, limits)
        exchange = CreditExchange(host: host)
    }

    /// Joins the protocol, as an issuer.
    func begin(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) async throws(NodeServiceError) {
        try await own.load()
        await exchange.serve { [own] peer in
            if await admits(peer) { await own.admits(peer) } else { false }
        } blame: { peer, fault in
            await blame(peer, fault)
        } answer: { [own] peer, question in
            await own.answer(question, to: peer)
        }
    }

    // MARK: What is known

    private func load() async throws(NodeServiceError) {
        guard !isLoaded else { return }
        let rows = try await stored { () throws(MeshStoreError) in try await KnownIssuerRow.all(in: store) }
        guard !isLoaded else { return }
        for row in rows {
            guard let issuer = KnownIssuer(row) else {
                throw NodeServiceError(
                    .storageFailed, "What is kept of the issuer \(row.issuer) is damaged.",
                    hint: "The last head is what its next one is held against. mesh restore makes a home of a backup.")
            }
            known[issuer.charter.did] = issuer
        }
        isLoaded = true
    }

    /// The issuers that are known.
    func all() async throws(NodeServiceError) -> [KnownIssuer] {
        try await load()
        return known.values.sorted { $0.charter.did < $1.charter.did }
    }

    /// What is known of an issuer; nil if nothing is.
    func known(_ issuer: DID) async throws(NodeServiceError) -> KnownIssuer? {
        try await load()
        return known[issuer]
    }

    /// Believes nothing of an issuer until the next start: it does not prove that its log goes on from a head that it
    /// signed, which is no proof to others.
    func doubt(_ issuer: DID) {
        if known[issuer] != nil { doubted.insert(issuer) }
    }

    /// Keeps what is known of an issuer; a smaller head never takes the place of a larger one.
    private func keep(_ issuer: KnownIssuer) async throws(NodeServiceError) -> KnownIssuer {
        let issuer = remember(issuer)
        // In the order of what is known, so that no older head comes last.
        try await store.commitInOrder([.issuer(.known(issuer.row))])
        return issuer
    }

    /// Writes down what is known of an issuer now, and waits for it.
    func keepKnown(_ issuer: DID) async throws(NodeServiceError) {
        if let now = known[issuer] { _ = try await keep(now) }
    }

    private func remember(_ issuer: KnownIssuer) -> KnownIssuer {
        var issuer = issuer
        let did = issuer.charter.did
        if let last = known[did] {
            if last.head.size > issuer.head.size { (issuer.note, issuer.head) = (last.note, last.head) }
            if issuer.fault.isEmpty { issuer.fault = last.fault }
        }
        known[did] = issuer
        return issuer
    }

    // MARK: Asking

    /// Asks an issuer, or this node itself; a refusal is an error.
    func ask(_ issuer: DID, _ question: CreditQuestion) async throws(NodeServiceError) -> CreditAnswer {
        try taken(try await answer(of: issuer, to: question))
    }

    /// An answer that is no refusal.
    nonisolated func taken(_ answer: CreditAnswer) throws(NodeServiceError) -> CreditAnswer {
        guard case .refused(let reason, let text) = answer else { return answer }
        throw reason == .tooMany ? busy(text) : refusal(text)
    }

    nonisolated func refusal(_ text: String) -> NodeServiceError {
        NodeServiceError(
            .issuerRefused, "The issuer refuses. \(text.cut(bytesMax: limits.textBytesMax))",
            hint:
                "mesh wallet shows what each line can give, and mesh issuer orders what officers have yet to approve; "
                + "officers set what a line may owe.")
    }

    /// It may be asked again: it has too much to do, or cannot do that now.
    nonisolated func busy(_ text: String) -> NodeServiceError {
        NodeServiceError(
            .overloaded, "The issuer cannot do that now. \(text.cut(bytesMax: limits.textBytesMax))",
            hint: "Ask again in a moment.")
    }

    func answer(of issuer: DID, to question: CreditQuestion) async throws(NodeServiceError) -> CreditAnswer {
        if issuer == identity.did { return await own.answer(question, for: identity.did) }
        do {
            return try await exchange.ask(question, of: issuer.peerID)
        } catch {
            switch error {
            case .none(let reason):
                throw NodeServiceError(
                    .peerUnreachable, "The issuer did not answer: \(reason).",
                    hint: "mesh connect ADDRESS reaches it where it is not connected; a node that is no issuer answers "
                        + "nobody, and one that asks too often none for a second.")
            case .tooLong:
                throw NodeServiceError(.tooLarge, "A question has at most \(CreditQuestion.bytesMax) bytes.")
            case .malformed: throw Self.faulty("its answer does not read")
            }
        }
    }

    /// Has an issuer take an event: its answer, and the entry if that showed it under a head that continues the one
    /// kept. Where it did not, or something else was learnt of the issuer meanwhile, the entry is asked for.
    ///
    /// The new head goes to the disk with the next write of this node, before whatever follows from the entry there.
    ///
    /// - Throws: `issuerFaulty` if the head that it shows is not its own, or does not continue the one kept.
    func submit(
        _ event: BookEvent, to did: DID
    ) async throws(NodeServiceError) -> (answer: CreditAnswer, entry: ProvedEntry?) {
        try await load()
        let before = known[did].flatMap { $0.fault.isEmpty ? $0 : nil }
        let answer = try await answer(of: did, to: .submit(event: event, since: before?.head.size))
        guard case .taken(let number, _, let shown?) = answer, let before, let now = known[did] else {
            return (answer, nil)
        }
        guard let note = SignedNote(bytes: shown.note), let head = KnownIssuer.head(of: note, by: did) else {
            throw Self.faulty("its head is not signed by it")
        }
        if now.fault.isEmpty, now.head.size == head.size, now.head.root != head.root {
            try await convict(now, note)
        }
        guard head.size >= before.head.size, let proof = MerkleHash.list(of: shown.continues),
            head.extends(before.head, proof: proof)
        else {
            throw try await apart(now, note, head, before.head)
        }
        guard !doubted.contains(did), let found = ProvedEntry(shown.entry, under: head),
            found.entry.number == number,
            try await isOneLog(now.head, head, before: before.head, of: did), var newest = known[did],
            newest.fault.isEmpty, newest.head == now.head
        else { return (answer, nil) }
        if newest.head.size < head.size {
            (newest.note, newest.head) = (note, head)
            // What fails here is written the next time that this node meets the issuer.
            store.enqueue([.issuer(.known(remember(newest).row))], urgency: .idle) { _ in }
        }
        return (answer, found)
    }

    /// Whether two heads that both continue an earlier one are of one log: another question may have brought one of
    /// them meanwhile, and then the issuer is asked.
    private func isOneLog(
        _ one: TreeHead, _ other: TreeHead, before earlier: TreeHead, of issuer: DID
    ) async throws(NodeServiceError) -> Bool {
        if one == earlier || one == other { return true }
        let (first, last) = one.size < other.size ? (one, other) : (other, one)
        guard first.size < last.size,
            case .head(_, let proof) = try await answer(of: issuer, to: .head(since: first.size, size: last.size)),
            let hashes = MerkleHash.list(of: proof)
        else { return false }
        return last.extends(first, proof: hashes)
    }

    /// Why a head that was shown is no answer: it does not continue the one kept. What the issuer signs of that size
    /// when it is asked may be the proof.
    private func apart(
        _ issuer: KnownIssuer, _ note: SignedNote, _ head: TreeHead, _ kept: TreeHead
    ) async throws(NodeServiceError) -> NodeServiceError {
        var shown = issuer
        (shown.note, shown.head) = (note, head)
        let then = try? await answer(of: issuer.charter.did, to: .head(since: 0, size: head.size))
        if issuer.fault.isEmpty, case .head(let bytes, _)? = then, let other = SignedNote(bytes: bytes),
            let again = KnownIssuer.head(of: other, by: issuer.charter.did), again.size == head.size,
            again.root != head.root
        {
            try await convict(shown, other)
        }
        return Self.faulty("its head of \(head.size) entries does not continue that of \(kept.size)")
    }

    static func faulty(_ reason: String) -> NodeServiceError {
        NodeServiceError(
            .issuerFaulty, "The issuer's word does not hold: \(reason).",
            hint: "Nothing of it was taken over. Ask its officers, and an auditor.")
    }

    /// Makes a statement or an audit, one at a time.
    func checking<Value>(
        _ body: () async throws(NodeServiceError) -> Value
    ) async throws(NodeServiceError) -> Value {
        guard !isChecking else {
            throw NodeServiceError(
                .overloaded, "Another statement or audit is made at the moment.", hint: "Try again when it is done.")
        }
        isChecking = true
        defer { isChecking = false }
        return try await body()
    }

    /// What is known of an issuer that told two histories; nil of all others.
    func convicted(_ issuer: DID) async throws(NodeServiceError) -> KnownIssuer? {
        try await load()
        return known[issuer].flatMap { $0.fault.isEmpty ? nil : $0 }
    }

    /// Asks for the head, holds it against the last one, and asks whoever is met first for its charter.
    func meet(_ issuer: DID) async throws(NodeServiceError) -> KnownIssuer {
        for _ in 0..<limits.meetsMax {
            if let found = try await metOnce(issuer) { return found }
        }
        throw NodeServiceError(
            .overloaded, "Too many questions to that issuer are under way.", hint: "Try again in a few seconds.")
    }

    /// The same, or nil where another question changed meanwhile what is known: then what it showed is not held
    /// against what is known now, but for two heads of one size.
    private func metOnce(_ issuer: DID) async throws(NodeServiceError) -> KnownIssuer? {
        try await load()
        let before = known[issuer]
        guard before?.fault.isEmpty ?? true else {
            throw Self.faulty("it signed two heads of one size, so its log has two histories")
        }
        guard !doubted.contains(issuer) else {
            throw Self.faulty("it does not show that its log goes on from a head that it signed for others")
        }
        guard before != nil || known.count < limits.issuersMax else {
            throw NodeServiceError(.tooLarge, "This node knows \(limits.issuersMax) issuers, which is all that it may.")
        }
        let (note, head, proof) = try await self.head(of: issuer, since: before?.head.size ?? 0)
        guard var found = before else {
            let charter = try await charter(of: issuer, under: head)
            guard known[issuer] == nil, known.count < limits.issuersMax else { return nil }
            return try await keep(KnownIssuer(charter: charter, note: note, head: head))
        }
        if let now = known[issuer], now.head != found.head || !now.fault.isEmpty {
            if now.head.size == head.size, now.head.root != head.root { return try await convict(now, note) }
            return nil
        }
        if head.size == found.head.size, head.root != found.head.root { return try await convict(found, note) }
        guard head.size >= found.head.size else {
            throw Self.faulty("it showed \(found.head.size) entries before, and now \(head.size)")
        }
        guard head.extends(found.head, proof: proof) else {
            // What it signs of that size now is the proof.
            let then = try? await answer(of: issuer, to: .head(since: 0, size: found.head.size))
            if case .head(let bytes, _)? = then, let other = SignedNote(bytes: bytes),
                let earlier = KnownIssuer.head(of: other, by: issuer), earlier.size == found.head.size,
                earlier.root != found.head.root
            {
                return try await convict(found, other)
            }
            throw Self.faulty("its head of \(head.size) entries does not continue that of \(found.head.size)")
        }
        (found.note, found.head) = (note, head)
        // What was told meanwhile is not older.
        if let now = known[issuer] { (found.lines, found.toldAt) = (now.lines, now.toldAt) }
        return try await keep(found)
    }

    /// Keeps the proof that an issuer told two histories.
    @discardableResult
    func convict(_ issuer: KnownIssuer, _ other: SignedNote) async throws(NodeServiceError) -> KnownIssuer {
        var issuer = issuer
        if IssuerFault.twoHistories(issuer.note, other).holds(against: issuer.charter.did.publicKey) {
            issuer.fault = [issuer.note, other]
            _ = try await keep(issuer)
        }
        throw Self.faulty("it signed two heads of \(issuer.head.size) entries, so its log has two histories")
    }

    private func head(
        of issuer: DID, since: UInt64
    ) async throws(NodeServiceError) -> (SignedNote, TreeHead, [MerkleHash]) {
        var answer = try await answer(of: issuer, to: .head(since: since, size: nil))
        // One that lost entries cannot prove anything about them; what it has shows that.
        if case .refused(.unknown, _) = answer, since > 0 {
            answer = try await self.answer(of: issuer, to: .head(since: 0, size: nil))
        }
        if case .refused(let reason, let text) = answer { throw reason == .tooMany ? busy(text) : refusal(text) }
        guard case .head(let bytes, let proof) = answer, let note = SignedNote(bytes: bytes),
            let head = KnownIssuer.head(of: note, by: issuer), let hashes = MerkleHash.list(of: proof)
        else { throw Self.faulty("its head is not signed by it, or the proof that it goes on does not read") }
        return (note, head, hashes)
    }

    private func charter(
        of issuer: DID, under head: TreeHead
    ) async throws(NodeServiceError) -> SignedObject<IssuerCharter> {
        guard case .entries(let entries, _) = try await ask(issuer, .charter(size: head.size)),
            let first = entries.first, let entry = first.entry(under: head), entry.number == 0,
            case .opened(let block) = entry.event,
            let charter = try? SignedObject<IssuerCharter>(reading: block), charter.did == issuer
        else { throw Self.faulty("the first entry of its log is not its charter") }
        return charter
    }

    /// Asks for this node's lines, and keeps them.
    func lines(at issuer: DID) async throws(NodeServiceError) -> (lines: [LineState], size: UInt64) {
        guard case .lines(let lines, let size) = try await ask(issuer, .lines),
            lines.count <= limits.linesMax,
            lines.allSatisfy({ $0.line.did == identity.did && $0.line.unit.isPossible })
        else { throw Self.faulty("it tells other lines than this node's") }
        if var found = known[issuer] {
            (found.lines, found.toldAt) = (lines, NodeClock.wallClock)
            _ = try await keep(found)
        }
        return (lines, size)
    }

    /// This node's entries from a number on, each proved under a head.
    nonisolated func entries(
        at issuer: KnownIssuer, from start: UInt64 = 0, limit: Int? = nil,
        where isWanted: @Sendable (BookEntry) -> Bool = { _ in true }
    ) async throws(NodeServiceError) -> [BookEntry] {
        var pages = IssuerPages(of: issuer, for: self)
        return try await pages.entries(from: start, limit: limit, where: isWanted)
    }
}
