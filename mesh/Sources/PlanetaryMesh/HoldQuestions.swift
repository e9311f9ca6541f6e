import Credit
import JobMarket
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Synchronization

/// What a node asks issuers about holds, each in a few questions: to hold for its jobs, and to book what became of it.
struct HoldQuestions: Sendable {
    /// Who asks.
    let member: MemberDesk

    private var identity: Identity { member.identity }
    private var store: MeshStore { member.store }
    private var tokens: TokenDesk { TokenDesk(member: member) }

    /// What came of a booking that an issuer was asked for.
    enum Asked: Sendable {
        /// It proved this entry about the hold.
        case proved(BookEntry)
        /// It does not take it, and says why.
        case refused(String)
    }

    // MARK: Membership

    /// What this node has at an issuer: whether it has a line in a unit there, and who decides disputes.
    func standing(at did: DID, in unit: CreditUnit) async throws(NodeServiceError) -> IssuerStanding {
        let issuer = try await member.meet(did)
        return Self.standing(at: issuer, try await member.lines(at: did).lines, in: unit)
    }

    /// The same by what issuers told before; none of those that it never met.
    func rememberedStandings(at trusted: [TrustedIssuer]) async throws(NodeServiceError) -> [IssuerStanding] {
        let known = try await member.all()
        return trusted.compactMap { issuer in
            known.first { $0.charter.did == issuer.issuerDID }.map { Self.standing(at: $0, $0.lines, in: issuer.unit) }
        }
    }

    private static func standing(at issuer: KnownIssuer, _ lines: [LineState], in unit: CreditUnit) -> IssuerStanding {
        let charter = issuer.charter.body
        return IssuerStanding(
            issuerDID: charter.issuerDID, unit: unit,
            isMember: issuer.fault.isEmpty && charter.unit == unit
                && lines.contains { $0.line.unit == unit && !$0.isFrozen },
            arbiters: Set(charter.arbiters))
    }

    /// The unit of an issuer, by its charter, for which it is asked if this node does not know it.
    func unit(of did: DID) async throws(NodeServiceError) -> CreditUnit {
        if let known = try await member.all().first(where: { $0.charter.did == did }) { return known.charter.body.unit }
        return try await member.meet(did).charter.body.unit
    }

    // MARK: Holds

    /// An issuer that keeps its word as far as is known, for which it is asked if this node never met it.
    func acquainted(_ did: DID) async throws(NodeServiceError) -> KnownIssuer {
        let known = try await member.all().first { $0.charter.did == did && $0.fault.isEmpty }
        if let known { return known }
        return try await member.meet(did)
    }

    /// The order for a wish, once it is made.
    struct Ordered: Sendable {
        /// What the issuer is asked to hold.
        fileprivate let order: SignedObject<PaymentOrder>
        /// Whether it is on the disk, or waits in front of whatever follows from it.
        fileprivate(set) var isWritten: Bool
    }

    /// Has an issuer hold what is wished for: its certificate, whose entry its log has, or its refusal. The same wish
    /// is the same order, whenever it is made again.
    ///
    /// The order is in the transaction of the assignment that follows from it, at the latest. A node that dies before
    /// that forgets it, and its issuer says so of the next one (`held`).
    ///
    /// - Parameters:
    ///   - wish: what is to be held.
    ///   - ordered: the order, from the first time on; whoever asks again hands it in again, as it may not be on the
    ///     disk yet.
    ///   - unwritten: how many orders are out that are not on the disk yet; where it takes no more, the disk comes
    ///     first.
    /// - Throws: `issuerFaulty` if what the issuer says does not hold; others where it may be asked again.
    func hold(
        _ wish: HoldWish, _ ordered: inout Ordered?, _ unwritten: UnwrittenOrders
    ) async throws(NodeServiceError) -> HoldAnswer {
        let did = wish.issuerDID
        let issuer = try await acquainted(did)
        var other: KnownIssuer?
        if let across = wish.acrossDID { other = try await acquainted(across) }
        let chain: TokenChain?
        do throws(NodeServiceError) {
            chain = try await tokens.chain(of: wish.jobID)
        } catch {
            guard error.code == .invalidRequest else { throw error }
            return .refused(error.message, isOwn: true)
        }
        if ordered == nil { ordered = try await order(for: wish, by: chain, at: issuer, across: other) }
        guard let made = ordered else {
            let rules = issuer.charter.body
            if other != nil, !wish.hasRoom(forMarginMilliseconds: rules.marginMilliseconds) {
                return .refused(
                    "its window or decision (holds.window_seconds, holds.decision_seconds) leaves no room for the "
                        + "\(rules.marginMilliseconds / 1_000) s that lie between the dates of the two issuers",
                    isOwn: true)
            }
            let who = other == nil ? "its charter names" : "its charter and that of the executor's issuer name"
            return .refused(
                "\(who) no arbiter for the two, or another unit than \(wish.unit)",
                isOwn: rules.unit != wish.unit || rules.arbiters.allSatisfy { $0 == identity.did })
        }
        let order = made.order
        let event = try await tokens.event(for: order)
        if !made.isWritten {
            try await write(order, of: wish, unwritten)
            ordered?.isWritten = true
        }
        let (answer, shown) = try await member.submit(event, to: did)
        switch answer {
        case .taken(_, nil, _): return .refused("the hold is over", isOwn: false)
        case .taken(let number, let block?, _):
            guard let certificate = try? SignedObject<HoldCertificate>(reading: block),
                wish.isMet(
                    by: certificate.body, for: identity.did,
                    marginMilliseconds: issuer.charter.body.marginMilliseconds), certificate.body.entry == number,
                certificate.body.charterCID == issuer.charter.bodyCID, certificate.body.holdCID == order.bodyCID
            else { throw MemberDesk.faulty("its certificate is not for the order") }
            let entry = try await proved(number, at: did, shown, committedTo: certificate.body.commitment)
            guard let granted = entry.event.holdOrder,
                (try? SignedObject<PaymentOrder>(reading: granted))?.bodyCID == order.bodyCID
            else { throw MemberDesk.faulty("entry \(number) is not the hold that it promises") }
            guard let other else { return .given(block, below: nil) }
            return try await below(order.bodyCID, wish, at: issuer, other, beside: block)
        case .refused(.held, let text): return .held(text.cut(bytesMax: member.limits.textBytesMax))
        case .refused(.book, let text): return try await refused(wish, order.body, by: chain, text, isPassing: false)
        case .refused(.later, let text): return try await refused(wish, order.body, by: chain, text, isPassing: true)
        case .refused(_, let text): throw member.busy(text)
        default: throw MemberDesk.faulty("its answer is another one")
        }
    }

    /// What the issuer had held at the executor's for a hold of its own. Whether that one's log has it, the executor
    /// sees; what this node pays depends on its own issuer's hold alone.
    private func below(
        _ hold: CID, _ wish: HoldWish, at issuer: KnownIssuer, _ other: KnownIssuer, beside block: [UInt8]
    ) async throws(NodeServiceError) -> HoldAnswer {
        switch try await member.answer(of: issuer.charter.did, to: .below(hold: hold)) {
        case .below(let below):
            guard let certificate = try? SignedObject<HoldCertificate>(reading: below),
                certificate.body.charterCID == other.charter.bodyCID,
                wish.isMetAcross(by: certificate.body, for: identity.did)
            else { throw MemberDesk.faulty("its certificate of the executor's issuer is not for the order") }
            return .given(block, below: below)
        case .refused(.book, let text):
            return .refused(text.cut(bytesMax: member.limits.textBytesMax), isOwn: false)
        case .refused(_, let text): throw member.busy(text)
        default: throw MemberDesk.faulty("its answer is another one")
        }
    }

    /// The issuers that an issuer pays for this node, in a unit.
    func neighbours(of did: DID, in unit: CreditUnit) async throws(NodeServiceError) -> [DID] {
        guard case .issuers(let lines) = try await member.ask(did, .issuers) else {
            throw MemberDesk.faulty("its answer is another one")
        }
        return lines.filter { $0.unit == unit }.map(\.did)
    }

    /// What a refusal means: it is for good where this node's line could not give so much if nothing else were held,
    /// and else for the executor, unless it passes.
    private func refused(
        _ wish: HoldWish, _ order: PaymentOrder, by chain: TokenChain?, _ text: String, isPassing: Bool
    ) async throws(NodeServiceError) -> HoldAnswer {
        let words = text.cut(bytesMax: member.limits.textBytesMax)
        let most =
            if let chain { try await tokens.most(of: chain) } else {
                Self.most(of: try await member.lines(at: wish.issuerDID).lines, in: wish.unit)
            }
        let asked = [wish.amount, order.hold?.disputeBudget ?? .zero, order.hold?.feeMax ?? .zero]
        if most < asked.reduce(0, { $0 + Int128($1.units) }) { return .refused(words, isOwn: true) }
        if isPassing { throw member.busy(text) }
        return .refused(words, isOwn: false)
    }

    /// What a line in a unit could give if nothing were held.
    private static func most(of lines: [LineState], in unit: CreditUnit) -> Int128 {
        lines.first { $0.line.unit == unit && !$0.isFrozen }.map {
            Int128($0.owedMax.units) + Int128($0.owed) - Int128($0.owing)
        } ?? 0
    }

    /// What this node could have held at an issuer, as it says now, or said last where it does not answer; nil if this
    /// node never asked it.
    func most(at did: DID, in unit: CreditUnit) async throws(NodeServiceError) -> Int128? {
        if let told = try? await member.lines(at: did) { return Self.most(of: told.lines, in: unit) }
        return try await member.all().first { $0.charter.did == did }.map { Self.most(of: $0.lines, in: unit) }
    }

    /// The order for a wish; nil if the issuer has no rules for it.
    private func order(
        for wish: HoldWish, by chain: TokenChain?, at issuer: KnownIssuer, across other: KnownIssuer?
    ) async throws(NodeServiceError) -> Ordered? {
        let row = try await stored { () throws(MeshStoreError) in
            try await HoldOrderRow.of(wish.jobID.cid, attempt: wish.attempt, in: store)
        }
        if let row {
            guard let order = try? SignedObject<PaymentOrder>(reading: row.bytes, .stored) else {
                throw NodeServiceError(.storageFailed, "What is kept of the order of a hold is damaged.")
            }
            return Ordered(order: order, isWritten: true)
        }
        guard
            var body = wish.order(
                of: identity.did, under: issuer.charter, across: other?.charter, nonce: MemberDesk.random(16))
        else { return nil }
        body.tokenCID = chain?.last.bodyCID
        guard body.fieldOutOfBounds == nil else { return nil }
        guard let order = try? SignedObject.sign(body, with: identity) else {
            throw NodeServiceError(.internalError, "The order could not be signed.")
        }
        return Ordered(order: order, isWritten: false)
    }

    /// Writes an order down, behind the wish for it and before what follows from it: waits for that only if as many
    /// are out as may be.
    private func write(
        _ order: SignedObject<PaymentOrder>, of wish: HoldWish, _ unwritten: UnwrittenOrders
    ) async throws(NodeServiceError) {
        let row = HoldOrderRow(jobID: wish.jobID.cid, attempt: wish.attempt, bytes: order.bytes)
        let write = StoreWrite.issuer(.holdOrder(row))
        if !store.isStuck, unwritten.add() {
            store.enqueue([write], of: [.ofBooking("hold_ordered")], urgency: .idle) { [store] result in
                unwritten.remove()
                // A disk that takes nothing now may take the assignment in a moment, and a claim on the hold is
                // disputed by the order.
                if case .failure = result { store.enqueue([write], urgency: .now) { _ in } }
            }
            return
        }
        try await stored { () throws(MeshStoreError) in
            try await store.commit([write], of: .ofBooking("hold_ordered"))
        }
    }

    /// An entry of this node that an issuer says it made, once the log has it: as it was shown with the answer, or as
    /// it is asked for.
    func proved(
        _ number: UInt64, at did: DID, _ shown: ProvedEntry? = nil, committedTo commitment: [UInt8]? = nil
    ) async throws(NodeServiceError) -> BookEntry {
        var found = shown
        if found == nil {
            let now = try await member.meet(did)
            if number < now.head.size,
                case .entries(let page, _) = try await member.ask(did, .statement(from: number, size: now.head.size))
            {
                found = page.first.flatMap { ProvedEntry($0, under: now.head) }
            }
        }
        guard let found, found.entry.number == number, commitment == nil || commitment == found.commitment else {
            throw MemberDesk.faulty("it says that it made entry \(number), and does not show that entry")
        }
        return found.entry
    }

    // MARK: Bookings

    /// Asks an issuer to book something about a hold.
    ///
    /// What it shows counts if it is what was asked for, or if the entries of the hold justify it.
    func book(_ event: BookEvent, of booking: HoldBooking) async throws(NodeServiceError) -> Asked {
        let did = booking.issuerDID
        let (answer, shown) = try await member.submit(event, to: did)
        switch answer {
        case .taken(let number, _, _):
            let entry = try await proved(number, at: did, shown)
            if entry.event == event, event != .claimPaid(hold: booking.hold) { return .proved(entry) }
            guard try await story(of: booking).contains(entry) else {
                throw MemberDesk.faulty("entry \(number) is not what it was asked to book")
            }
            return .proved(entry)
        case .refused(.book, let text), .refused(.later, let text):
            // The other side may have ended it.
            let ending = try await story(of: booking).last { $0.event.endsHold }
            return ending.map { .proved($0) } ?? .refused(text.cut(bytesMax: member.limits.textBytesMax))
        case .refused(_, let text): throw member.busy(text)
        default: throw MemberDesk.faulty("its answer is another one")
        }
    }

    private func story(of booking: HoldBooking) async throws(NodeServiceError) -> [BookEntry] {
        try await story(
            of: booking.hold, from: booking.heldBy, at: try await member.meet(booking.issuerDID))
    }

    /// The entries about a hold since it was granted, each with what justifies it.
    func story(
        of hold: CID, from heldBy: UInt64, at issuer: KnownIssuer
    ) async throws(NodeServiceError) -> [BookEntry] {
        var book = MemberBook(of: identity.did, at: issuer.charter)
        var story: [BookEntry] = []
        let entries = try await member.entries(at: issuer, from: heldBy) {
            $0.number == heldBy || $0.event.hold == hold
        }
        for entry in entries {
            do throws(MemberBook.Unjustified) {
                _ = try book.take(entry)
            } catch {
                throw MemberDesk.faulty("\(error)")
            }
            story.append(entry)
        }
        return story
    }
}

/// How many orders of holds may be with issuers before the disk has them: a node that dies forgets those.
final class UnwrittenOrders: Sendable {
    private let countMax: Int
    private let count = Mutex(0)

    init(countMax: Int) { self.countMax = countMax }

    /// Counts one more, if there may be one.
    func add() -> Bool {
        count.withLock { count in
            guard count < countMax else { return false }
            count += 1
            return true
        }
    }

    /// Counts one less.
    func remove() { count.withLock { $0 -= 1 } }
}

extension BookEvent {
    /// Whether a hold is over by it.
    var endsHold: Bool {
        switch self {
        case .holdSettled, .holdReleased, .holdExpired, .claimDecided, .claimPaid: true
        default: false
        }
    }
}
