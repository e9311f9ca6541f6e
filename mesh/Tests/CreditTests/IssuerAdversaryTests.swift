import Credit
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("What debtors, witnesses and officers try for themselves")
struct IssuerAdversaryTests {
    private static let other = CreditUnit(name: "EUR", decimals: 2)

    // MARK: Rates

    @Test("Rates are the officers': a debtor pays no less, for payments and for holds")
    func rates() throws {
        var limits = IssuerBook.Limits()
        limits.ratesMax = 1
        var world = try CreditWorld(limits: limits)
        let foreign = LineID(world.members[5].did, Self.other)
        try world.open(foreign, owed: 1_000, owing: 1_000)
        func rate(_ debit: UInt64, _ credit: UInt64) -> CreditRate {
            CreditRate(unit: CreditWorld.unit, debit: debit, credit: credit)
        }
        func refusal(_ rate: CreditRate, hold: HoldTerms? = nil) throws -> BookRefusal? {
            let order = try world.payment(
                from: world.members[0], to: foreign.did, 100, unit: Self.other, rate: rate, hold: hold)
            return world.refusal(hold == nil ? .transferred(order: order.bytes) : .holdGranted(order: order.bytes))
        }
        #expect(try refusal(rate(1, 1 << 32)) == .rateTooLow(least: nil))
        let least = rate(10, 3)
        try world.enter(try world.order(.rate(unit: Self.other, rate: least)))
        #expect(try refusal(rate(1, 1 << 32)) == .rateTooLow(least: least))
        #expect(try refusal(rate(3_333_333_333, 1_000_000_000)) == .rateTooLow(least: least))
        let job = try HeldJob(
            1, from: world.members[0], to: world.members[5], arbiter: world.arbiter.did, now: world.now)
        #expect(try refusal(rate(1, 3), hold: job.terms) == .rateTooLow(least: least))
        for good in [rate(20, 6), rate(11, 3)] {
            let order = try world.payment(
                from: world.members[0], to: foreign.did, 100, unit: Self.other, rate: good)
            try world.enter(.transferred(order: order.bytes))
        }
        #expect(world.balance(0) == -334 - 367)
        // The other way there is none, and no room for one; this one may change.
        let pump = CreditRate(unit: Self.other, debit: 299, credit: 1_000)
        #expect(world.refusal(try world.order(.rate(unit: CreditWorld.unit, rate: pump))) == .rateGains(least))
        let back = CreditRate(unit: Self.other, debit: 3, credit: 10)
        #expect(world.refusal(try world.order(.rate(unit: CreditWorld.unit, rate: back))) == .tooMany(.rates))
        try world.enter(try world.order(.rate(unit: Self.other, rate: rate(4, 1))))
        #expect(try refusal(rate(11, 3)) == .rateTooLow(least: rate(4, 1)))
        let same = CreditRate(unit: Self.other, debit: 1, credit: 1)
        #expect(
            world.refusal(try world.order(.rate(unit: Self.other, rate: same)))
                == .malformed(.outOfBounds(field: "action")))
    }

    // MARK: Terms

    @Test("Only the charter's arbiters decide, and a dispute costs no more than the hold or the charter's most")
    func arbiters() throws {
        var world = try CreditWorld { $0.disputeBudgetMax = TokenAmount(400) }
        func refusal(_ price: UInt64, _ change: (inout HoldTerms) -> Void) throws -> BookRefusal? {
            var job = try HeldJob(
                1, from: world.members[0], to: world.members[1], arbiter: world.arbiter.did, price: price,
                now: world.now)
            change(&job.terms)
            return world.refusal(.holdGranted(order: try world.order(job).bytes))
        }
        let sock = CreditWorld.identity(77).did
        #expect(try refusal(1_000) { $0.arbiterDID = sock } == .unknownArbiter)
        #expect(try refusal(1_000) { $0.disputeBudget = TokenAmount(401) } == .budgetTooHigh(most: 400))
        #expect(try refusal(50) { $0.disputeBudget = TokenAmount(51) } == .budgetTooHigh(most: 50))
        _ = try world.held(1) { $0.disputeBudget = TokenAmount(400) }
    }

    @Test("A hold goes over one issuer, and only where the hold there has room")
    func hops() throws {
        var world = try CreditWorld { $0.marginMilliseconds = 60_000 }
        let issuers = [CreditWorld.identity(40), CreditWorld.identity(41)]
        for issuer in issuers {
            try world.open(LineID(issuer.did, CreditWorld.unit), owed: 2_000, owing: 2_000, isIssuer: true)
        }
        var job = try HeldJob(
            1, from: CreditWorld.identity(50), to: CreditWorld.identity(51), arbiter: world.arbiter.did,
            now: world.now)
        let far = try world.payment(from: issuers[0], to: issuers[1].did, 1_000, hold: job.terms)
        #expect(world.refusal(.holdGranted(order: far.bytes)) == .twoHops)

        job.terms.originatorDID = world.members[0].did
        func refusal(_ change: (inout HoldTerms) -> Void) throws -> BookRefusal? {
            var terms = job.terms
            change(&terms)
            let order = try world.payment(from: world.members[0], to: issuers[0].did, 1_000, hold: terms)
            return world.refusal(.holdGranted(order: order.bytes))
        }
        #expect(try refusal { $0.windowMilliseconds = 86_400_000 } == .noDownstream(field: "window_ms"))
        #expect(try refusal { $0.extensionMilliseconds = 86_400_000 } == .noDownstream(field: "extension_ms"))
        let soon = world.now.advanced(milliseconds: 60_000)
        #expect(try refusal { ($0.deliverBy, $0.claimBy) = (world.now, soon) } == .noDownstream(field: "claim_by"))
        let order = try world.payment(from: world.members[0], to: issuers[0].did, 1_000, hold: job.terms)
        try world.enter(.holdGranted(order: order.bytes))
    }

    // MARK: Entries

    @Test("An entry that could not be read again is refused before it changes anything")
    func poison() throws {
        var world = try CreditWorld(witnesses: true)
        let (job, hold) = try world.held(1)
        world.now = world.now.advanced(milliseconds: 1_000)
        let reports = try world.witnesses.map { try world.report(by: $0, until: world.now) }
        func junk(_ bytes: Int, _ seed: UInt8 = 0) -> [UInt8] { [UInt8](repeating: seed, count: bytes) }
        func caughtUp(_ refused: [[UInt8]]) -> BookRefusal? {
            world.refusal(.caughtUp(reports: reports, refused: refused))
        }
        #expect(caughtUp([junk(HoldClaim.bytesMax + 1)]) == .tooLarge(bytesMax: HoldClaim.bytesMax))
        let many = (0..<4).map { junk(524_289, UInt8($0)) }
        #expect(caughtUp(many) == .tooLarge(bytesMax: WitnessReport.refusedBytesMax))
        let flood = Array(repeating: reports[0], count: IssuerCharter.Limits.namedMax + 1)
        #expect(world.refusal(.caughtUp(reports: flood, refused: [])) == .tooMany(.reports))
        guard case .ordered(let order, let approvals) = try world.order(.reverse(entry: 1, reason: "")) else { return }
        let crowd = Array(repeating: approvals[0], count: OfficerOrder.approvalsMax + 1)
        #expect(world.refusal(.ordered(order: order, approvals: crowd)) == .tooMany(.approvals))
        let receipt = try job.receipt()
        guard case .holdSettled(_, let settlement, _, let assignment) = try job.settled(hold, receipt, pays: 100)
        else { return }
        let fat = BookEvent.holdSettled(
            hold: hold, settlement: settlement, receipt: junk(BookEntry.bytesMax), assignment: assignment)
        #expect(world.refusal(fat) == .tooLarge(bytesMax: BookEntry.bytesMax))
        // As much as there may be is read again.
        let full = (0..<4).map { junk(524_288, UInt8($0)) }
        try world.enter(.caughtUp(reports: reports, refused: full))
        let opening = try #require(world.openings.last)
        #expect(opening.entry.count > 2 << 20 && opening.read == world.entries.last)
    }

    @Test("Long blocks that mean nothing are shown by and by, and do not hold up the book")
    func longJunk() throws {
        var world = try CreditWorld(witnesses: true)
        let blocks = (0..<5).map { [UInt8](repeating: UInt8($0), count: HoldClaim.bytesMax) }
        let listed = blocks.enumerated().map { number, block in
            (CID.hashing(block, codec: .dagCBOR), world.now.advanced(milliseconds: UInt64(number + 1)))
        }
        world.now = world.now.advanced(milliseconds: 1_000)
        let reports = try world.witnesses.map { try world.report(by: $0, until: world.now, listed) }
        #expect(
            world.refusal(.caughtUp(reports: reports, refused: blocks))
                == .tooLarge(bytesMax: WitnessReport.refusedBytesMax))
        try world.enter(.caughtUp(reports: reports, refused: Array(blocks.prefix(3))))
        #expect(world.book.caughtUpUntil.advanced(milliseconds: 1) == listed[3].1)
        let rest = try world.witnesses.map { try world.report(by: $0, until: world.now, Array(listed.suffix(2))) }
        try world.enter(.caughtUp(reports: rest, refused: Array(blocks.suffix(2))))
        #expect(world.book.caughtUpUntil == world.now)
    }

    // MARK: Witnesses

    @Test("Who is a party to a hold says neither that it was delivered nor when something was lodged")
    func parties() throws {
        let executor = CreditWorld.identity(21)
        var world = try CreditWorld(witnesses: true) { $0.witnesses = ($0.witnesses + [executor.did]).sorted() }
        let (job, hold) = try world.held(1)
        #expect(job.executor.did == executor.did)
        let own = try job.claim(try job.receipt(), kept: executor, at: world.now)
        #expect(world.refusal(.claimLodged(hold: hold, claim: own.bytes, lodging: nil)) == .wrongSigner)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        let early = world.now
        world.now = world.now.advanced(milliseconds: 120_001)
        let word = try world.lodging(claim.cid, at: early, by: executor)
        #expect(world.refusal(.claimLodged(hold: hold, claim: claim.bytes, lodging: word)) == .wrongSigner)
        // Nor does its report hold up the book, which four others need.
        let three = try world.witnesses.prefix(3).map { try world.report(by: $0, until: world.now) }
        let fourth = try world.report(by: executor, until: world.now, [(claim.cid, early)])
        try world.enter(.caughtUp(reports: three + [fourth], refused: [claim.bytes]))
        try world.passTime(0)
        #expect(world.book.holds[hold]?.isLive == false && world.balance(1) == 0)
        // For others it is a witness like the rest.
        let (third, next) = try world.held(2, from: 2, to: 3)
        let kept = try third.claim(try third.receipt(), kept: executor, at: world.now)
        try world.enter(.claimLodged(hold: next, claim: kept.bytes, lodging: nil))
    }

    // MARK: Claims

    @Test("An attempt has one hold, whoever gives it, and a claim is that of one hold")
    func sharedClaim() throws {
        var world = try CreditWorld()
        let issuer = CreditWorld.identity(40)
        try world.open(LineID(issuer.did, CreditWorld.unit), owed: 2_000, owing: 2_000, isIssuer: true)
        let (job, hold) = try world.held(1)
        let second = try world.payment(from: issuer, to: job.executor.did, 10, hold: job.terms)
        #expect(world.refusal(.holdGranted(order: second.bytes)) == .attemptHeld)
        let (other, ended) = try world.held(2)
        try world.enter(try other.settled(ended, try other.receipt(), pays: 100))
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        let entry = try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        #expect(world.again(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil)) == entry.number)
        #expect(world.refusal(.claimLodged(hold: ended, claim: claim.bytes, lodging: nil)) == .notOfThisHold)
        let dispute = try world.disputed(claim, by: job.originator)
        try world.enter(.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: nil))
        #expect(world.refusal(.claimDisputed(hold: ended, dispute: dispute.bytes, lodging: nil)) == .notOfThisHold)
        let late = try other.claim(try other.receipt(), kept: world.arbiter, at: world.now)
        #expect(world.refusal(.claimLodged(hold: ended, claim: late.bytes, lodging: nil)) == .holdEnded)
    }

    @Test("Once there is a claim, no other receipt settles the hold for less")
    func otherReceipt() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let small = try job.receipt(millions: 1)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        #expect(world.refusal(try job.settled(hold, small, pays: 11)) == .notDue(due: 100))
        try world.enter(try job.settled(hold, try job.receipt(millions: 190), pays: 200))
        #expect(world.balance(0) == -200 && world.balance(1) == 200)
    }

    @Test("Who gives in after a dispute pays its budget: the originator that settles, the executor that releases")
    func givingIn() throws {
        func disputed() throws -> (CreditWorld, HeldJob, CID) {
            var world = try CreditWorld()
            let (job, hold) = try world.held(1) { $0.disputeBudget = TokenAmount(30) }
            let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
            try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
            let dispute = try world.disputed(claim, by: job.originator)
            try world.enter(.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: nil))
            return (world, job, hold)
        }
        var (world, job, hold) = try disputed()
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        #expect(world.balance(0) == -130 && world.balance(1) == 100)
        (world, job, hold) = try disputed()
        let release = try SignedObject.sign(
            HoldRelease(executorDID: job.executor.did, holdCID: hold, releasedAt: world.now), with: job.executor)
        try world.enter(.holdReleased(hold: hold, release: release.bytes))
        #expect(world.balance(0) == 0 && world.balance(1) == -30)
        #expect(world.book.accounts.balance(of: .fees, CreditWorld.unit) == 30)
    }

    // MARK: Officers

    @Test("Approvals expire, are for one order, and an officer has no voice about its own line")
    func approvals() throws {
        let officer = CreditWorld.identity(2)
        var world = try CreditWorld()
        let own = LineID(officer.did, CreditWorld.unit)
        let action = OfficerOrder.Action.limit(line: own, owed: TokenAmount(9), owing: .zero, issuer: false)
        #expect(world.refusal(try world.order(action)) == .notApproved(given: 1))
        let late = try world.order(action, by: Array(world.officers.dropFirst()))
        world.now = world.now.advanced(milliseconds: 60_001)
        #expect(world.refusal(late) == .notApproved(given: 0))
        guard case .ordered(let order, _) = try world.order(action, by: []) else { return }
        let good = try world.approvals(order, by: Array(world.officers.dropFirst()))
        var far = order
        far.number += OfficerOrder.numberStepMax
        #expect(world.refusal(.ordered(order: far, approvals: [])) == .orderNumber(last: 6))
        var elsewhere = order
        elsewhere.charterCID = CID.hashing([1], codec: .dagCBOR)
        #expect(world.refusal(.ordered(order: elsewhere, approvals: good)) == .otherBook)
        // What was approved of another order is skipped.
        let foreign = try world.approvals(elsewhere, by: world.officers)
        try world.enter(.ordered(order: order, approvals: foreign + good))
        let approval = Approval(
            approverDID: officer.did, orderCID: elsewhere.charterCID, approvedAt: world.now,
            validUntil: world.now.advanced(milliseconds: Approval.validMillisecondsMax + 1))
        #expect(approval.fieldOutOfBounds == "valid_until")
    }

    @Test("An officer whose payment is undone has no voice about it")
    func ownReversal() throws {
        var world = try CreditWorld()
        let officer = world.officers[0]
        try world.open(
            LineID(officer.did, CreditWorld.unit), owed: 500, owing: 500, by: Array(world.officers.dropFirst()))
        let order = try world.payment(from: officer, to: world.members[0].did, 300)
        let entry = try world.enter(.transferred(order: order.bytes))
        let reverse = OfficerOrder.Action.reverse(entry: entry.number, reason: "mine")
        #expect(world.refusal(try world.order(reverse)) == .notApproved(given: 1))
        try world.enter(try world.order(reverse, by: Array(world.officers.dropFirst())))
    }

    @Test("Orders are for the book of one charter, and a line's holds are bounded as long as they are remembered")
    func bound() throws {
        var limits = IssuerBook.Limits()
        limits.holdsRememberedPerLineMax = 2
        var world = try CreditWorld(limits: limits)
        var order = try world.payment(from: world.members[0], to: world.members[1].did, 1).body
        order.charterCID = CID.hashing([1], codec: .dagCBOR)
        let foreign = try SignedObject.sign(order, with: world.members[0])
        #expect(world.refusal(.transferred(order: foreign.bytes)) == .otherBook)
        for number in 1...2 {
            let (job, hold) = try world.held(UInt64(number))
            try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        }
        #expect(throws: BookRefusal.tooMany(.holdsRemembered)) { _ = try world.held(3) }
        try world.passTime(limits.rememberedMilliseconds + 1)
        let payment = try world.payment(from: world.members[1], to: world.members[0].did, 1)
        try world.enter(.transferred(order: payment.bytes))
        _ = try world.held(4)
    }
}
