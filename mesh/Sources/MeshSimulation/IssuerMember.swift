import Credit
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// A member of a cooperative in a scenario: an originator and an executor, honest or not.
struct IssuerMember: Sendable {
    typealias Letter = IssuingPart.Letter

    /// What a member does.
    enum Kind: String, CaseIterable, Sendable {
        /// What it should.
        case honest
        /// As an originator, takes results and never says anything.
        case silent
        /// Disputes every claim.
        case denier
        /// Claims without having delivered anything.
        case claimer
        /// Delivers wrong results.
        case liar
    }

    struct Originated: Sendable {
        let number: UInt64
        let executor: Int
        let assignment: SignedObject<Assignment>
        let hold: CID
        let isAcross: Bool
        var certificate: [UInt8]?
        /// The hold of the certificate: at the executor's issuer.
        var held: CID?
        var refusal: String?
        var receipt: SignedObject<ExecutionReceipt>?
        /// A claim that it disputes, until there is a decision.
        var disputed: [UInt8]?
        var isOver = false
    }

    struct Executed: Sendable {
        let number: UInt64
        let originator: Int
        let terms: HoldTerms
        let hold: CID
        let readyAt: UnixMilliseconds
        let receipt: SignedObject<ExecutionReceipt>
        let assignment: [UInt8]
        var statement: SignedObject<DeliveryStatement>?
        var hasClaimed = false
    }

    let index: Int
    let town: IssuerTown
    let kind: Kind
    private(set) var originated: [JobID: Originated] = [:]
    private(set) var executed: [JobID: Executed] = [:]
    /// When it heard first of a claim to a job of its own.
    private(set) var told: [JobID: UnixMilliseconds] = [:]
    /// Proofs that an issuer told two histories.
    private(set) var faults: Set<Int> = []
    private var asks = IssuerAsks()
    private var askedFor: [UInt64: JobID] = [:]
    private var heads: [Int: [UInt64: SignedNote]] = [:]

    init(_ index: Int, town: IssuerTown, kind: Kind) { (self.index, self.town, self.kind) = (index, town, kind) }

    private var identity: Identity { town.identities[index] }
    private var issuer: Int { IssuerTown.issuer(of: index) }

    // MARK: Originator

    /// Asks its issuer to hold the price of a job for an executor.
    mutating func submit(
        _ number: UInt64, to executor: Int, price: TokenAmount, now: UnixMilliseconds
    ) throws -> [Letter] {
        let job = JobID(CID.hashing(Array("job \(number)".utf8), codec: .dagCBOR))
        let bid = CID.hashing(Array("bid \(number)".utf8), codec: .dagCBOR)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: job, originatorDID: identity.did, bidCID: bid, executorDID: town.did(executor), attempt: 1,
                leaseMilliseconds: 10_000,
                terms: BidTerms(
                    price: price, basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(1), earliestStart: now,
                    deadline: now.advanced(milliseconds: 20_000)), assignedAt: now,
                acceptBy: now.advanced(milliseconds: 30_000)), with: identity)
        let terms = HoldTerms(
            jobID: job, attempt: 1, bidCID: bid, originatorDID: identity.did, executorDID: town.did(executor),
            arbiterDID: town.did(IssuerTown.arbiter), deliverBy: now.advanced(milliseconds: 60_000),
            claimBy: now.advanced(milliseconds: 150_000), windowMilliseconds: 30_000, extensionMilliseconds: 40_000,
            disputeBudget: TokenAmount(50), feeMax: TokenAmount(20))
        let there = IssuerTown.issuer(of: executor)
        let isAcross = there != issuer
        let order = try SignedObject.sign(
            PaymentOrder(
                issuerDID: town.did(issuer), charterCID: town.charters[issuer].bodyCID, debtorDID: identity.did,
                creditorDID: town.did(isAcross ? there : executor), amount: price, unit: IssuerTown.unit(of: there),
                rate: isAcross ? IssuerTown.rate(of: issuer) : nil, hold: terms, nonce: Array(bid.bytes.suffix(16)),
                validUntil: now.advanced(milliseconds: 600_000)), with: identity)
        originated[job] = Originated(
            number: number, executor: executor, assignment: assignment, hold: order.bodyCID, isAcross: isAcross)
        let (asked, message) = asks.add(.holdGranted(order: order.bytes), to: issuer)
        askedFor[asked] = job
        return [(issuer, message)]
    }

    mutating func answered(_ number: UInt64, _ refusal: String?, _ certificate: [UInt8]?) -> [Letter] {
        guard asks.answered(number) != nil, let job = askedFor.removeValue(forKey: number) else { return [] }
        originated[job]?.refusal = refusal
        guard let certificate, let found = try? SignedObject<HoldCertificate>(reading: certificate) else { return [] }
        originated[job]?.certificate = certificate
        originated[job]?.held = found.body.holdCID
        return work(job)
    }

    private func work(_ job: JobID) -> [Letter] {
        guard let own = originated[job], let certificate = own.certificate, own.number < IssuerScenario.idleJobs else {
            return []
        }
        return [(own.executor, .work(assignment: own.assignment.bytes, certificate: certificate))]
    }

    /// Tells both books of a hold the same.
    private mutating func tell(_ own: Originated, _ event: (CID) -> BookEvent) -> [Letter] {
        var letters: [Letter] = [(issuer, asks.add(event(own.hold), to: issuer).message)]
        if own.isAcross, let held = own.held {
            letters.append((1 - issuer, asks.add(event(held), to: 1 - issuer).message))
        }
        return letters
    }

    private static func isWrong(_ receipt: ExecutionReceipt) -> Bool { receipt.outputs["wrong"] != nil }

    private mutating func received(_ receipt: SignedObject<ExecutionReceipt>, now: UnixMilliseconds) -> [Letter] {
        guard kind != .silent, var own = originated[receipt.body.jobID], own.executor == town.node(receipt.did) else {
            return []
        }
        var letters: [Letter] = []
        let word = DeliveryStatement(keeperDID: identity.did, receiptCID: receipt.cid, deliveredAt: now)
        if let statement = try? SignedObject.sign(word, with: identity) {
            letters.append((own.executor, .delivered(statement: statement.bytes)))
        }
        guard own.receipt == nil else { return letters }
        own.receipt = receipt
        originated[receipt.body.jobID] = own
        guard kind != .denier, !Self.isWrong(receipt.body) else { return letters }
        let settlement = Settlement(
            jobID: receipt.body.jobID, receiptCID: receipt.cid, originatorDID: identity.did, executorDID: receipt.did,
            amountPaid: receipt.body.price, amountRefunded: .zero, verdict: .paid, settledAt: now)
        guard let signed = try? SignedObject.sign(settlement, with: identity) else { return letters }
        return letters
            + tell(own) {
                .holdSettled(
                    hold: $0, settlement: signed.bytes, receipt: receipt.bytes, assignment: own.assignment.bytes)
            }
    }

    /// An issuer has a claim: it is disputed if the result was wrong, or if one disputes whatever comes.
    mutating func noticed(_ block: [UInt8], now: UnixMilliseconds) -> [Letter] {
        guard let claim = try? SignedObject<HoldClaim>(reading: block),
            let receipt = try? SignedObject<ExecutionReceipt>(verifying: claim.body.receipt),
            let own = originated[receipt.body.jobID]
        else { return [] }
        if told[receipt.body.jobID] == nil { told[receipt.body.jobID] = now }
        guard own.disputed == nil, !own.isOver, kind != .silent, kind == .denier || Self.isWrong(receipt.body) else {
            return []
        }
        originated[receipt.body.jobID]?.disputed = block
        let dispute = HoldDispute(
            disputerDID: identity.did, claimCID: claim.bodyCID, reason: "another result", disputedAt: now)
        guard let signed = try? SignedObject.sign(dispute, with: identity) else { return [] }
        return tell(own) { .claimDisputed(hold: $0, dispute: signed.bytes, lodging: nil) }
            + [(IssuerTown.arbiter, .disputed(claim: block))]
    }

    /// The arbiter decided; either side tells both books.
    mutating func decided(_ block: [UInt8]) -> [Letter] {
        guard let decision = try? SignedObject<HoldDecision>(reading: block),
            kind != .denier || decision.body.payable == .zero
        else { return [] }
        for (job, own) in originated.sorted(by: { $0.key < $1.key }) {
            guard let disputed = own.disputed, let claim = try? SignedObject<HoldClaim>(reading: disputed),
                claim.bodyCID == decision.body.claimCID
            else { continue }
            originated[job]?.disputed = nil
            originated[job]?.isOver = true
            return tell(own) { .claimDecided(hold: $0, decision: block, lodging: nil) }
        }
        return []
    }

    // MARK: Executor

    private func accepts(_ promise: HoldCertificate, for assignment: Assignment, now: UnixMilliseconds) -> Bool {
        let accepted = HoldAcceptance(
            arbiters: [town.did(IssuerTown.arbiter)], disputeBudgetMax: TokenAmount(200),
            windowMillisecondsMax: 60_000, extensionMillisecondsMax: 70_000)
        let unit = IssuerTown.unit(of: issuer)
        return promise.reasonNotPay(assignment, in: unit, accepting: accepted, now: now) == nil
    }

    /// Takes a job if its certificate is one of its own issuer, and pays.
    mutating func assigned(_ block: [UInt8], _ certificate: [UInt8], by node: Int, now: UnixMilliseconds) {
        guard let assignment = try? SignedObject<Assignment>(verifying: block),
            executed[assignment.body.jobID] == nil, town.node(assignment.did) == node,
            let promise = try? SignedObject<HoldCertificate>(reading: certificate),
            promise.did == town.did(issuer), accepts(promise.body, for: assignment.body, now: now)
        else { return }
        let (body, number) = (assignment.body, UInt64(executed.count) * 37 + assignment.body.assignedAt.value)
        let fuel = IssuerTown.fuel(of: number)
        var receipt = ExecutionReceipt(
            jobID: body.jobID, assignmentCID: assignment.cid, originatorDID: body.originatorDID,
            executorDID: identity.did, attempt: 1, moduleCID: body.bidCID, inputCIDs: [:], outcome: .exited(code: 0),
            resourceUsage: ResourceUsage(fuel: fuel), price: body.terms.due(for: .exited(code: 0), fuel: fuel),
            engine: EngineDescription(name: "sim", version: "1", configurationDigest: "00"),
            determinism: .deterministic, executionStartedAt: now, executionEndedAt: now)
        if kind == .liar { receipt.outputs["wrong"] = body.bidCID }
        guard let signed = try? SignedObject.sign(receipt, with: identity) else { return }
        executed[body.jobID] = Executed(
            number: number, originator: node, terms: promise.body.terms, hold: promise.body.holdCID,
            readyAt: now.advanced(milliseconds: 500 + number % 1_500), receipt: signed, assignment: block)
    }

    mutating func delivered(_ block: [UInt8]) {
        guard let statement = try? SignedObject<DeliveryStatement>(reading: block) else { return }
        for (job, own) in executed where own.statement == nil && own.receipt.cid == statement.body.receiptCID {
            guard [own.terms.originatorDID, own.terms.arbiterDID].contains(statement.did) else { continue }
            executed[job]?.statement = statement
        }
    }

    private mutating func execute(_ job: JobID, now: UnixMilliseconds) -> [Letter] {
        guard let own = executed[job], now >= own.readyAt, !own.hasClaimed else { return [] }
        let elapsed = now.milliseconds(since: own.readyAt)
        guard own.statement != nil || kind == .claimer else {
            let keeper = elapsed < 4_000 ? own.originator : IssuerTown.arbiter
            return [(keeper, .result(receipt: own.receipt.bytes, bid: own.terms.bidCID))]
        }
        // The originator is given the time to settle.
        guard elapsed > 8_000, let delivery = delivery(of: own, now) else { return [] }
        executed[job]?.hasClaimed = true
        let claim = HoldClaim(
            executorDID: identity.did, receipt: own.receipt.bytes, assignment: own.assignment, delivery: delivery,
            claimedAt: now)
        guard let signed = try? SignedObject.sign(claim, with: identity) else { return [] }
        let event = BookEvent.claimLodged(hold: own.hold, claim: signed.bytes, lodging: nil)
        var letters: [Letter] = [(issuer, asks.add(event, to: issuer).message)]
        if IssuerTown.issuer(of: own.originator) != issuer {
            letters.append((1 - issuer, asks.add(event, to: 1 - issuer).message))
        }
        return letters + [(own.originator, .notice(claim: signed.bytes))]
    }

    /// The statement that it has; who delivered nothing makes one up.
    private func delivery(of own: Executed, _ now: UnixMilliseconds) -> [UInt8]? {
        if let statement = own.statement { return statement.bytes }
        return try? SignedObject.sign(
            DeliveryStatement(keeperDID: identity.did, receiptCID: own.receipt.cid, deliveredAt: now), with: identity
        ).bytes
    }

    // MARK: Both

    mutating func received(_ message: IssuerMessage, from node: Int, now: UnixMilliseconds) -> [Letter] {
        switch message {
        case .answer(let number, let refusal, let certificate): return answered(number, refusal, certificate)
        case .work(let assignment, let certificate): assigned(assignment, certificate, by: node, now: now)
        case .result(let block, _):
            guard let receipt = try? SignedObject<ExecutionReceipt>(verifying: block) else { return [] }
            return received(receipt, now: now)
        case .delivered(let statement): delivered(statement)
        case .notice(let claim): return noticed(claim, now: now)
        case .decided(let decision): return decided(decision)
        case .lodged(let object, let issuer, let statement): asks.lodged(object, statement, for: issuer)
        case .head(let note, let issuer): return heard(note, of: issuer, from: node)
        default: break
        }
        return []
    }

    mutating func ticked(now: UnixMilliseconds) -> [Letter] {
        var letters: [Letter] = asks.again()
        for (job, own) in originated.sorted(by: { $0.key < $1.key }) {
            if let claim = own.disputed { letters.append((IssuerTown.arbiter, .disputed(claim: claim))) }
            let isYoung = now.milliseconds(since: own.assignment.body.assignedAt) < 30_000
            if own.receipt == nil, isYoung { letters += work(job) }
        }
        for job in executed.keys.sorted() { letters += execute(job, now: now) }
        return letters
    }

    /// Keeps the heads that it hears of, shows them to its neighbour, and finds those that contradict each other.
    private mutating func heard(_ bytes: [UInt8], of issuer: Int, from node: Int) -> [Letter] {
        guard let note = SignedNote(bytes: bytes), let checkpoint = Checkpoint(text: note.text) else { return [] }
        guard let known = heads[issuer]?[checkpoint.head.size] else {
            heads[issuer, default: [:]][checkpoint.head.size] = note
            guard IssuerTown.issuers.contains(node) else { return [] }
            let neighbour = index + 1 < IssuerTown.members.upperBound ? index + 1 : IssuerTown.members.lowerBound
            return [(neighbour, .head(note: bytes, issuer: issuer))]
        }
        if known.text != note.text,
            IssuerFault.twoHistories(known, note).holds(against: town.identities[issuer].publicKey)
        {
            faults.insert(issuer)
        }
        return []
    }
}
