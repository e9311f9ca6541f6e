import Credit
import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// A cooperative with members, officers, witnesses and an arbiter, whose keys are all known.
struct CreditWorld {
    static let unit = CreditUnit(name: "kWh", decimals: 3)
    static let start = UnixMilliseconds(1_764_288_000_000)
    static let salts = EntrySalts(secret: [UInt8](repeating: 9, count: 32))
    static let engine = EngineDescription(name: "wasmtime", version: "1", configurationDigest: "00")

    let issuer = Self.identity(1)
    let officers = [Self.identity(2), Self.identity(3), Self.identity(4)]
    let witnesses = (5...8).map { Self.identity($0) }
    let arbiter = Self.identity(10)
    let members = (20...25).map { Self.identity($0) }
    var core: Issuer
    var now = Self.start
    var entries: [BookEntry] = []
    var openings: [EntryOpening] = []
    private var orderNumber: UInt64 = 0
    private var nonce: UInt64 = 0

    var book: IssuerBook { core.book }

    static func identity(_ number: UInt8) -> Identity {
        guard let identity = try? Identity(seed: [UInt8](repeating: number, count: 32)) else {
            preconditionFailure("32 bytes are a seed")
        }
        return identity
    }

    init(
        witnesses hasWitnesses: Bool = false, limits: IssuerBook.Limits = IssuerBook.Limits(), unit: CreditUnit = unit,
        issuer number: UInt8 = 1, lines: UInt64 = 10_000, _ change: (inout IssuerCharter) -> Void = { _ in }
    ) throws {
        let issuer = Self.identity(number)
        let witnesses = hasWitnesses ? (5...8).map { Self.identity($0).did } : []
        var charter = IssuerCharter(
            issuerDID: issuer.did, unit: unit, officers: (2...4).map { Self.identity($0).did }, approvals: 2,
            witnesses: witnesses, arbiters: [Self.identity(10).did], openedAt: Self.start)
        change(&charter)
        let opened = try Issuer.open(
            charter: SignedObject.sign(charter, with: issuer).bytes, salts: Self.salts, limits: limits)
        (core, entries, openings) = (opened.issuer, [opened.entry], [opened.opening])
        if lines > 0 {
            for member in members { try open(LineID(member.did, unit), owed: lines, owing: lines) }
        }
    }

    // MARK: Entries

    /// Records an event, which has to become a new entry.
    @discardableResult
    mutating func enter(_ event: BookEvent) throws -> BookEntry {
        switch core.record(event, now: now) {
        case .success(.entered(let entry, let opening)):
            entries.append(entry)
            openings.append(opening)
            book.checkInvariants()
            return entry
        case .success(.known(let number)):
            Issue.record("it was entry \(number) before")
            throw BookRefusal.otherBook
        case .failure(let refusal): throw refusal
        }
    }

    /// Why an event is refused; fails if it is not, and if it changes anything.
    mutating func refusal(_ event: BookEvent) -> BookRefusal? {
        let before = book
        guard case .failure(let refusal) = core.record(event, now: now) else {
            Issue.record("it was taken")
            return nil
        }
        #expect(book == before)
        return refusal
    }

    /// Records an event that was recorded before: the number of the entry that it is.
    mutating func again(_ event: BookEvent) -> UInt64? {
        let before = book
        guard case .success(.known(let number)) = core.record(event, now: now) else { return nil }
        #expect(book == before)
        return number
    }

    /// Records what is due until nothing is.
    mutating func passTime(_ milliseconds: UInt64) throws {
        now = now.advanced(milliseconds: milliseconds)
        for event in book.dueEvents(now: now) { try enter(event) }
    }

    // MARK: Officers

    func approvals(_ order: OfficerOrder, by approvers: [Identity]) throws -> [[UInt8]] {
        let cid = try #require(order.cid)
        return try approvers.map { approver in
            try SignedObject.sign(
                Approval(
                    approverDID: approver.did, orderCID: cid, approvedAt: now,
                    validUntil: now.advanced(milliseconds: 60_000)),
                with: approver
            ).bytes
        }
    }

    mutating func order(_ action: OfficerOrder.Action, by approvers: [Identity]? = nil) throws -> BookEvent {
        orderNumber += 1
        let order = OfficerOrder(
            issuerDID: book.issuer, charterCID: book.charterCID, number: orderNumber, action: action)
        return .ordered(order: order, approvals: try approvals(order, by: approvers ?? Array(officers.prefix(2))))
    }

    mutating func open(
        _ line: LineID, owed: UInt64, owing: UInt64, isIssuer: Bool = false, by approvers: [Identity]? = nil
    ) throws {
        try enter(
            try order(
                .limit(line: line, owed: TokenAmount(owed), owing: TokenAmount(owing), issuer: isIssuer),
                by: approvers))
    }

    func balance(_ member: Int) -> Int64? { book.accounts[LineID(members[member].did, Self.unit)]?.balance }

    // MARK: Orders

    mutating func payment(
        from debtor: Identity, to creditor: DID, _ amount: UInt64, unit: CreditUnit = unit, rate: CreditRate? = nil,
        hold: HoldTerms? = nil, validMilliseconds: UInt64 = 3_600_000
    ) throws -> SignedObject<PaymentOrder> {
        nonce += 1
        return try SignedObject.sign(
            PaymentOrder(
                issuerDID: book.issuer, charterCID: book.charterCID, debtorDID: debtor.did, creditorDID: creditor,
                amount: TokenAmount(amount), unit: unit, rate: rate, hold: hold,
                nonce: [UInt8](repeating: 0, count: 8) + withUnsafeBytes(of: nonce.bigEndian, Array.init),
                validUntil: now.advanced(milliseconds: validMilliseconds)), with: debtor)
    }

    /// The order of a job's originator to hold its price.
    mutating func order(_ job: HeldJob) throws -> SignedObject<PaymentOrder> {
        try payment(from: job.originator, to: job.executor.did, job.price, hold: job.terms)
    }

    /// A job of one member for another, and its hold.
    mutating func held(
        _ number: UInt64, from originator: Int = 0, to executor: Int = 1, price: UInt64 = 1_000,
        _ change: (inout HoldTerms) -> Void = { _ in }
    ) throws -> (job: HeldJob, hold: CID) {
        var job = try HeldJob(
            number, from: members[originator], to: members[executor], arbiter: arbiter.did, price: price, now: now)
        change(&job.terms)
        let order = try order(job)
        try enter(.holdGranted(order: order.bytes))
        return (job, order.bodyCID)
    }
}

/// A job that is paid by a hold: all that its two sides sign.
struct HeldJob {
    let originator: Identity
    let executor: Identity
    let price: UInt64
    var terms: HoldTerms
    let assignment: SignedObject<Assignment>

    init(
        _ number: UInt64, from originator: Identity, to executor: Identity, arbiter: DID, price: UInt64 = 1_000,
        now: UnixMilliseconds, attempt: UInt64 = 1
    ) throws {
        (self.originator, self.executor, self.price) = (originator, executor, price)
        let job = JobID(CID.hashing(Array("job \(number)".utf8), codec: .dagCBOR))
        let bid = CID.hashing(Array("bid \(number) \(attempt)".utf8), codec: .dagCBOR)
        terms = HoldTerms(
            jobID: job, attempt: attempt, bidCID: bid, originatorDID: originator.did, executorDID: executor.did,
            arbiterDID: arbiter, deliverBy: now.advanced(milliseconds: 60_000),
            claimBy: now.advanced(milliseconds: 120_000), windowMilliseconds: 10_000, extensionMilliseconds: 20_000)
        assignment = try SignedObject.sign(
            Assignment(
                jobID: job, originatorDID: originator.did, bidCID: bid, executorDID: executor.did, attempt: attempt,
                leaseMilliseconds: 10_000,
                terms: BidTerms(
                    price: TokenAmount(price), basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(1),
                    earliestStart: now, deadline: now.advanced(milliseconds: 50_000)),
                assignedAt: now, acceptBy: now.advanced(milliseconds: 5_000)), with: originator)
    }

    /// The receipt of a run that costs so much beyond the base price of 10.
    func receipt(
        millions: UInt64 = 90, outcome: ExecutionOutcome = .exited(code: 0), price: UInt64? = nil,
        _ change: (inout ExecutionReceipt) -> Void = { _ in }
    ) throws -> SignedObject<ExecutionReceipt> {
        let fuel = millions * 1_000_000
        var body = ExecutionReceipt(
            jobID: terms.jobID, assignmentCID: assignment.cid, originatorDID: originator.did,
            executorDID: executor.did, attempt: terms.attempt, moduleCID: terms.bidCID, inputCIDs: [:],
            outcome: outcome, resourceUsage: ResourceUsage(fuel: fuel),
            price: price.map { TokenAmount($0) } ?? assignment.body.terms.due(for: outcome, fuel: fuel),
            engine: CreditWorld.engine, determinism: .deterministic, executionStartedAt: CreditWorld.start,
            executionEndedAt: CreditWorld.start)
        change(&body)
        return try SignedObject.sign(body, with: executor)
    }

    func settled(
        _ hold: CID, _ receipt: SignedObject<ExecutionReceipt>, pays amount: UInt64, by signer: Identity? = nil
    ) throws -> BookEvent {
        let signer = signer ?? originator
        let settlement = Settlement(
            jobID: terms.jobID, receiptCID: receipt.cid, originatorDID: signer.did, executorDID: executor.did,
            amountPaid: TokenAmount(amount), amountRefunded: .zero, verdict: .paid, settledAt: CreditWorld.start)
        return .holdSettled(
            hold: hold, settlement: try SignedObject.sign(settlement, with: signer).bytes, receipt: receipt.bytes,
            assignment: assignment.bytes)
    }

    /// The claim to a receipt that somebody says was delivered.
    func claim(
        _ receipt: SignedObject<ExecutionReceipt>, kept keeper: Identity, of bid: CID? = nil, at: UnixMilliseconds,
        by signer: Identity? = nil
    ) throws -> SignedObject<HoldClaim> {
        let delivery = try SignedObject.sign(
            DeliveryStatement(
                keeperDID: keeper.did, receiptCID: receipt.cid,
                bidCID: keeper.did == originator.did ? nil : bid ?? terms.bidCID, deliveredAt: at), with: keeper)
        let signer = signer ?? executor
        return try SignedObject.sign(
            HoldClaim(
                executorDID: signer.did, receipt: receipt.bytes, assignment: assignment.bytes, delivery: delivery.bytes,
                claimedAt: at), with: signer)
    }
}

extension CreditWorld {
    func disputed(_ claim: SignedObject<HoldClaim>, by debtor: Identity) throws -> SignedObject<HoldDispute> {
        try SignedObject.sign(
            HoldDispute(disputerDID: debtor.did, claimCID: claim.bodyCID, reason: "wrong result", disputedAt: now),
            with: debtor)
    }

    func decided(
        _ claim: SignedObject<HoldClaim>, payable: UInt64, by signer: Identity? = nil
    ) throws -> SignedObject<HoldDecision> {
        let signer = signer ?? arbiter
        return try SignedObject.sign(
            HoldDecision(
                arbiterDID: signer.did, claimCID: claim.bodyCID, payable: TokenAmount(payable), decidedAt: now),
            with: signer)
    }

    func lodging(_ object: CID, at: UnixMilliseconds, by witness: Identity) throws -> [UInt8] {
        try SignedObject.sign(
            LodgingStatement(witnessDID: witness.did, issuerDID: book.issuer, objectCID: object, lodgedAt: at),
            with: witness
        ).bytes
    }

    func report(
        by witness: Identity, until: UnixMilliseconds, _ lodged: [(CID, UnixMilliseconds)] = []
    ) throws -> [UInt8] {
        try SignedObject.sign(
            WitnessReport(
                witnessDID: witness.did, issuerDID: book.issuer, from: book.caughtUpUntil, until: until,
                lodged: lodged.map { WitnessReport.Lodged(objectCID: $0.0, lodgedAt: $0.1) }), with: witness
        ).bytes
    }
}
