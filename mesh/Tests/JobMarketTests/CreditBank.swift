import Credit
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// An issuer's real book for the markets of a test, with two officers and an arbiter.
struct CreditBank {
    static let unit = CreditUnit(name: "hours", decimals: 2)
    static let identity = Self.key(200)
    static let arbiter = Self.key(203)

    var issuer: Issuer
    var entries: [BookEntry]
    /// Whether it does not answer.
    var isAway = false
    /// Whether it says of every attempt that it holds for it already.
    var alwaysHolds = false
    /// For whom it holds nothing now.
    var busyFor: Set<DID> = []
    /// Orders by the attempts, as the shell of an originator keeps them: behind the wish, so who forgets that forgets
    /// the order, too.
    private var orders: [Attempt: (wish: HoldWish, order: SignedObject<PaymentOrder>)] = [:]
    private var ordersMade: UInt8 = 0
    private let charter: SignedObject<IssuerCharter>

    private struct Attempt: Hashable {
        let job: JobID
        let number: UInt64
    }
    private var orderNumber: UInt64 = 0

    private static func key(_ number: UInt8) -> Identity {
        guard let identity = try? Identity(seed: [UInt8](repeating: number, count: 32)) else {
            preconditionFailure("32 bytes are a seed")
        }
        return identity
    }

    /// The issuer as an executor trusts it, with prices like those in tokens.
    static func trusted(basePrice: UInt64) -> TrustedIssuer {
        var issuer = TrustedIssuer(
            issuerDID: identity.did, unit: unit, basePrice: TokenAmount(basePrice), pricePerMillionFuel: TokenAmount(1))
        (issuer.isMember, issuer.arbiters) = (true, [arbiter.did])
        return issuer
    }

    /// A book in which these have a line of so much.
    init(members: [DID], lines: UInt64 = 100_000, now: UnixMilliseconds) throws {
        let officers = [Self.key(201), Self.key(202)]
        charter = try SignedObject.sign(
            IssuerCharter(
                issuerDID: Self.identity.did, unit: Self.unit, officers: officers.map(\.did), approvals: 2,
                arbiters: [Self.arbiter.did], openedAt: now), with: Self.identity)
        let opened = try Issuer.open(
            charter: charter.bytes, salts: EntrySalts(secret: [UInt8](repeating: 7, count: 32)))
        (issuer, entries) = (opened.issuer, [opened.entry])
        for member in members {
            orderNumber += 1
            let order = OfficerOrder(
                issuerDID: Self.identity.did, charterCID: charter.bodyCID, number: orderNumber,
                action: .limit(
                    line: LineID(member, Self.unit), owed: TokenAmount(lines), owing: TokenAmount(lines),
                    issuer: false))
            let approvals = try officers.map { officer in
                try SignedObject.sign(
                    Approval(
                        approverDID: officer.did, orderCID: order.cid ?? charter.bodyCID, approvedAt: now,
                        validUntil: now.advanced(milliseconds: 60_000)), with: officer
                ).bytes
            }
            _ = try enter(.ordered(order: order, approvals: approvals), now: now).get()
        }
    }

    func balance(_ did: DID) -> Int64 { issuer.book.accounts[LineID(did, Self.unit)]?.balance ?? 0 }

    /// Holds that are not over.
    var liveHolds: Int { issuer.book.holds.values.count(where: \.isLive) }

    /// Takes an event, or knows it; the entry that it is.
    mutating func enter(_ event: BookEvent, now: UnixMilliseconds) -> Result<BookEntry, BookRefusal> {
        defer { issuer.book.checkInvariants() }
        switch issuer.record(event, now: now) {
        case .success(.entered(let entry, _)):
            entries.append(entry)
            return .success(entry)
        case .success(.known(let number)): return .success(entries[Int(number)])
        case .failure(let refusal): return .failure(refusal)
        }
    }

    /// Books what is due by itself.
    mutating func passTime(to now: UnixMilliseconds) {
        for event in issuer.book.dueEvents(now: now) { _ = enter(event, now: now) }
    }

    /// Holds what an originator wishes, as its shell asks for it.
    mutating func hold(_ wish: HoldWish, for debtor: Identity, now: UnixMilliseconds) -> HoldAnswer {
        if isAway || busyFor.contains(wish.executorDID) { return .delayed("the issuer did not answer") }
        let attempt = Attempt(job: wish.jobID, number: wish.attempt)
        if alwaysHolds { return .held("the attempt has a hold already") }
        ordersMade &+= 1
        let kept = orders[attempt].flatMap { $0.wish == wish ? $0.order : nil }
        guard
            let body = wish.order(
                of: debtor.did, under: charter, nonce: [UInt8](repeating: ordersMade, count: 16)),
            let order = try? kept ?? SignedObject.sign(body, with: debtor)
        else { return .refused("there is no arbiter for it", isOwn: true) }
        orders[attempt] = (wish, order)
        switch enter(.holdGranted(order: order.bytes), now: now) {
        case .failure(.attemptHeld): return .held("the attempt has a hold already")
        case .failure(let refusal):
            let line = issuer.book.accounts[LineID(debtor.did, Self.unit)]
            let most = line.map { $0.isFrozen ? 0 : Int128($0.owedMax.units) + Int128($0.balance) } ?? 0
            if most < Int128(wish.amount.units) { return .refused("\(refusal)", isOwn: true) }
            return refusal.isPassing ? .delayed("\(refusal)") : .refused("\(refusal)", isOwn: false)
        case .success(let entry):
            guard let certificate = try? issuer.certificate(of: entry),
                let signed = try? SignedObject.sign(certificate, with: Self.identity)
            else { return .refused("the hold is over", isOwn: false) }
            return .given(signed.bytes, below: nil)
        }
    }

    /// Whether its arbiter takes results.
    var hasArbiter = true

    /// The arbiter's word that it has a result.
    func keep(_ order: LodgingOrder, now: UnixMilliseconds) -> [UInt8]? {
        guard hasArbiter, now <= order.certificate.body.terms.deliverBy,
            order.certificate.body.terms.arbiterDID == Self.arbiter.did
        else { return nil }
        let statement = DeliveryStatement(
            keeperDID: Self.arbiter.did, receiptCID: order.receipt.cid,
            bidCID: order.certificate.body.terms.bidCID, deliveredAt: now)
        return try? SignedObject.sign(statement, with: Self.arbiter).bytes
    }

    /// What ended a hold.
    func ending(of hold: CID) -> BookEntry? {
        entries.last { entry in
            switch entry.event {
            case .holdSettled(hold, _, _, _), .holdReleased(hold, _), .holdExpired(hold), .claimPaid(hold): true
            default: false
            }
        }
    }
}
