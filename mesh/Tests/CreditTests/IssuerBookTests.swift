import Credit
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@Suite("The book of an issuer: lines, orders and holds")
struct IssuerBookTests {
    @Test("A hold is reserved on both lines, settled by metered fuel, and paid once")
    func holdAndSettle() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        #expect(world.balance(0) == 0 && world.balance(1) == 0)
        #expect(world.book.accounts[LineID(world.members[0].did, CreditWorld.unit)]?.spendable == 9_000)
        #expect(world.book.accounts[LineID(world.members[1].did, CreditWorld.unit)]?.room == 9_000)
        let receipt = try job.receipt()
        let settled = try job.settled(hold, receipt, pays: 100)
        let entry = try world.enter(settled)
        #expect(world.balance(0) == -100 && world.balance(1) == 100)
        #expect(world.again(settled) == entry.number)
        #expect(world.refusal(.holdExpired(hold: hold)) == .holdEnded)
        #expect(world.book.nextDeadline == nil)
    }

    @Test("Less than is due is for a dispute, and more is not asked for")
    func amountDue() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let receipt = try job.receipt()
        #expect(world.refusal(try job.settled(hold, receipt, pays: 99)) == .notDue(due: 100))
        #expect(world.refusal(try job.settled(hold, receipt, pays: 101)) == .notDue(due: 100))
        let other = world.members[2]
        #expect(world.refusal(try job.settled(hold, receipt, pays: 100, by: other)) == .wrongSigner)
        let wrong = try job.receipt(price: 1_000)
        #expect(world.refusal(try job.settled(hold, wrong, pays: 1_000)) == .wrongPrice)
        // A run that the node failed costs nothing, and ends the hold.
        let failed = try job.receipt(outcome: .nodeFailed(reason: ""))
        try world.enter(try job.settled(hold, failed, pays: 0))
        #expect(world.balance(1) == 0 && world.book.holds[hold]?.isLive == false)
    }

    @Test("The price of the bid is the most that is paid")
    func cappedPrice() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1, price: 50)
        let receipt = try job.receipt(millions: 5_000)
        try world.enter(try job.settled(hold, receipt, pays: 50))
        #expect(world.balance(1) == 50)
    }

    @Test("A receipt of another attempt, job or assignment settles nothing")
    func otherEvidence() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let (other, _) = try world.held(2)
        let receipt = try other.receipt()
        #expect(world.refusal(try other.settled(hold, receipt, pays: 100)) == .notOfThisHold)
        let strange = try job.receipt { $0.attempt = 2 }
        #expect(world.refusal(try job.settled(hold, strange, pays: 100)) == .notOfThisHold)
        let unknown = CID.hashing([1], codec: .dagCBOR)
        #expect(world.refusal(try job.settled(unknown, receipt, pays: 100)) == .unknownHold)
    }

    @Test("An order is carried out once, by its body, whatever its signature")
    func orderOnce() throws {
        var world = try CreditWorld()
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 300)
        let entry = try world.enter(.transferred(order: order.bytes))
        let again = try SignedObject.sign(order.body, with: world.members[0])
        #expect(again.bodyCID == order.bodyCID)
        #expect(world.again(.transferred(order: again.bytes)) == entry.number)
        #expect(world.balance(0) == -300 && world.balance(1) == 300)
        #expect(
            world.refusal(
                .holdGranted(order: try world.payment(from: world.members[0], to: world.members[1].did, 1).bytes))
                == .notThisKind)
        try world.passTime(3_600_001)
        let late = try world.payment(from: world.members[0], to: world.members[1].did, 1, validMilliseconds: 0)
        try world.passTime(1)
        #expect(world.refusal(.transferred(order: late.bytes)) == .outOfDate)
        let long = try world.payment(from: world.members[0], to: world.members[1].did, 1, validMilliseconds: 86_400_001)
        #expect(world.refusal(.transferred(order: long.bytes)) == .outOfDate)
        var elsewhere = order.body
        elsewhere.issuerDID = world.members[3].did
        let foreign = try SignedObject.sign(elsewhere, with: world.members[0])
        #expect(world.refusal(.transferred(order: foreign.bytes)) == .otherBook)
    }

    @Test("What is forgotten after a week cannot come again")
    func forgotten() throws {
        var world = try CreditWorld()
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 300)
        try world.enter(.transferred(order: order.bytes))
        let (_, hold) = try world.held(1)
        try world.passTime(120_001)
        #expect(world.book.holds[hold] != nil)
        try world.passTime(7 * 86_400_000 + 1)
        try world.enter(.transferred(order: world.payment(from: world.members[0], to: world.members[1].did, 1).bytes))
        #expect(world.book.holds[hold] == nil)
        #expect(world.refusal(.transferred(order: order.bytes)) == .outOfDate)
        #expect(world.refusal(try world.order(.reverse(entry: 7, reason: ""))) == .notReversible)
    }

    @Test("Lines are not exceeded by payments, holds and both")
    func exhausted() throws {
        var world = try CreditWorld(lines: 1_000)
        _ = try world.held(1, price: 600)
        let more = try world.payment(from: world.members[0], to: world.members[2].did, 401)
        #expect(world.refusal(.transferred(order: more.bytes)) == .insufficient(spendable: 400))
        try world.enter(.transferred(order: world.payment(from: world.members[0], to: world.members[2].did, 400).bytes))
        // The executor may be owed 1,000, of which 600 are on their way.
        let full = try world.payment(from: world.members[2], to: world.members[1].did, 401)
        #expect(world.refusal(.transferred(order: full.bytes)) == .noRoom(room: 400))
        let nobody = try world.payment(from: world.members[2], to: world.arbiter.did, 1)
        #expect(world.refusal(.transferred(order: nobody.bytes)) == .noLine)
    }

    @Test("An attempt has one hold, another attempt another")
    func oneHold() throws {
        var world = try CreditWorld()
        let (job, _) = try world.held(1)
        #expect(world.refusal(.holdGranted(order: try world.order(job).bytes)) == .attemptHeld)
        var second = job
        second.terms.attempt = 2
        try world.enter(.holdGranted(order: try world.order(second).bytes))
    }

    @Test("Holds end at their date, or by the executor's word, and not before")
    func ends() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let (other, second) = try world.held(2)
        try world.passTime(120_000)
        #expect(world.refusal(.holdExpired(hold: hold)) == .notYet)
        let release = try SignedObject.sign(
            HoldRelease(executorDID: other.executor.did, holdCID: second, releasedAt: world.now), with: other.executor)
        #expect(world.refusal(.holdReleased(hold: hold, release: release.bytes)) == .notOfThisHold)
        let entry = try world.enter(.holdReleased(hold: second, release: release.bytes))
        #expect(world.again(.holdReleased(hold: second, release: release.bytes)) == entry.number)
        let forged = try SignedObject.sign(
            HoldRelease(executorDID: job.originator.did, holdCID: hold, releasedAt: world.now), with: job.originator)
        #expect(world.refusal(.holdReleased(hold: hold, release: forged.bytes)) == .wrongSigner)
        try world.passTime(1)
        guard case .ended(.expired, _)? = world.book.holds[hold]?.state else { return #expect(Bool(false)) }
        #expect(world.book.accounts[LineID(world.members[0].did, CreditWorld.unit)]?.leaving == 0)
    }

    @Test("Terms are bounded: a day at most, an arbiter who is no party, a budget")
    func terms() throws {
        var world = try CreditWorld { $0.disputeBudgetMin = TokenAmount(20) }
        func refusal(_ change: (inout HoldTerms) -> Void) throws -> BookRefusal? {
            var job = try HeldJob(
                1, from: world.members[0], to: world.members[1], arbiter: world.arbiter.did, now: world.now)
            job.terms.disputeBudget = TokenAmount(20)
            change(&job.terms)
            return world.refusal(.holdGranted(order: try world.order(job).bytes))
        }
        #expect(try refusal { $0.disputeBudget = TokenAmount(19) } == .budgetTooLow(budget: 20))
        #expect(try refusal { $0.claimBy = world.now.advanced(milliseconds: 86_400_001) } == .outOfDate)
        let before = UnixMilliseconds(world.now.value - 60_000)
        #expect(try refusal { ($0.claimBy, $0.deliverBy) = (world.now, before) } == .outOfDate)
        #expect(try refusal { $0.claimBy = $0.deliverBy } == .malformed(.outOfBounds(field: "claim_by")))
        #expect(try refusal { $0.windowMilliseconds = 999 } == .malformed(.outOfBounds(field: "window_ms")))
        #expect(try refusal { $0.arbiterDID = $0.executorDID } == .malformed(.outOfBounds(field: "arbiter_did")))
        #expect(try refusal { $0.deliverBy = .init(.max >> 1) } == .malformed(.outOfBounds(field: "deliver_by")))
        _ = try world.held(1) { $0.disputeBudget = TokenAmount(20) }
        #expect(world.book.accounts[LineID(world.members[0].did, CreditWorld.unit)]?.spendable == 8_980)
    }

    @Test("Holds are bounded by originator, executor, pair, line and all, and cost a fee beyond some a day")
    func quotas() throws {
        typealias Change = (inout IssuerBook.Limits) -> Void
        let quotas: [(IssuerBook.Quota, Change)] = [
            (.holds, { $0.holdsMax = 2 }), (.holdsOfOriginator, { $0.holdsPerOriginatorMax = 2 }),
            (.holdsOfExecutor, { $0.holdsPerExecutorMax = 2 }), (.holdsOfPair, { $0.holdsPerPairMax = 2 }),
            (.holdsOfLine, { $0.holdsPerLineMax = 2 }), (.ordersOfDay, { $0.ordersPerDayMax = 2 }),
        ]
        for (quota, change) in quotas {
            var limits = IssuerBook.Limits()
            change(&limits)
            var world = try CreditWorld(limits: limits)
            for number in 1...2 { _ = try world.held(UInt64(number), price: 10) }
            #expect(throws: BookRefusal.tooMany(quota)) { _ = try world.held(3, price: 10) }
        }
        var limits = IssuerBook.Limits()
        limits.linesMax = 6
        var world = try CreditWorld(limits: limits) { ($0.holdsFreePerDay, $0.holdFee) = (1, TokenAmount(7)) }
        #expect(throws: BookRefusal.tooMany(.lines)) {
            try world.open(LineID(world.arbiter.did, CreditWorld.unit), owed: 1, owing: 1)
        }
        _ = try world.held(1)
        #expect(throws: BookRefusal.feeTooLow(fee: 7)) { _ = try world.held(2) }
        _ = try world.held(3) { $0.feeMax = TokenAmount(7) }
        #expect(world.balance(0) == -7 && world.book.accounts.balance(of: .fees, CreditWorld.unit) == 7)
        // The next day begins anew.
        try world.passTime(86_400_000)
        _ = try world.held(4)
    }

    @Test("Only an issuer's line stands for others, without fee and budget, and no payment or reversal moves it")
    func across() throws {
        var world = try CreditWorld { ($0.holdsFreePerDay, $0.disputeBudgetMin) = (0, TokenAmount(10)) }
        let line = LineID(CreditWorld.identity(40).did, CreditWorld.unit)
        var job = try HeldJob(
            1, from: world.members[0], to: world.members[1], arbiter: world.arbiter.did, now: world.now)
        job.terms.disputeBudget = TokenAmount(10)
        // A member names somebody else as the originator, or gets it for somebody else.
        let sock = try world.payment(from: world.members[2], to: job.executor.did, 1_000, hold: job.terms)
        #expect(world.refusal(.holdGranted(order: sock.bytes)) == .notItsOwn)
        let friend = try world.payment(from: job.originator, to: world.members[2].did, 1_000, hold: job.terms)
        #expect(world.refusal(.holdGranted(order: friend.bytes)) == .notItsOwn)
        try world.open(line, owed: 2_000, owing: 2_000, isIssuer: true)
        let below = try world.payment(
            from: CreditWorld.identity(40), to: job.executor.did, 1_000, hold: job.terms)
        try world.enter(.holdGranted(order: below.bytes))
        #expect(world.book.accounts[line]?.leaving == 1_000 && world.book.accounts[line]?.balance == 0)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        try world.enter(.claimLodged(hold: below.bodyCID, claim: claim.bytes, lodging: nil))
        let dispute = try world.disputed(claim, by: job.originator)
        try world.enter(.claimDisputed(hold: below.bodyCID, dispute: dispute.bytes, lodging: nil))
        let decision = try world.decided(claim, payable: 100)
        let paid = try world.enter(.claimDecided(hold: below.bodyCID, decision: decision.bytes, lodging: nil))
        #expect(world.book.accounts[line]?.balance == -100 && world.balance(1) == 100)
        #expect(world.refusal(try world.order(.reverse(entry: paid.number, reason: ""))) == .notReversible)
        let payment = try world.payment(from: world.members[0], to: line.did, 5)
        #expect(world.refusal(.transferred(order: payment.bytes)) == .notThisKind)
        var own = try HeldJob(
            2, from: CreditWorld.identity(40), to: world.members[1], arbiter: world.arbiter.did, now: world.now)
        own.terms.disputeBudget = TokenAmount(10)
        #expect(world.refusal(.holdGranted(order: try world.order(own).bytes)) == .notItsOwn)
    }

    // MARK: Officers

    @Test("Limits change by enough officers' approvals, in order, and not below what is owed")
    func officers() throws {
        var world = try CreditWorld()
        let line = LineID(world.members[0].did, CreditWorld.unit)
        try world.enter(.transferred(order: world.payment(from: world.members[0], to: world.members[1].did, 500).bytes))
        let action = OfficerOrder.Action.limit(line: line, owed: TokenAmount(600), owing: .zero, issuer: false)
        let few = try world.order(action, by: [world.officers[0], world.officers[0], world.issuer])
        #expect(world.refusal(few) == .notApproved(given: 1))
        let low = try world.order(.limit(line: line, owed: TokenAmount(499), owing: .zero, issuer: false))
        #expect(world.refusal(low) == .exposed)
        let good = try world.order(action)
        let entry = try world.enter(good)
        #expect(world.again(good) == entry.number)
        #expect(world.book.accounts[line]?.spendable == 100)
        // An older order comes too late, whatever it says.
        #expect(world.refusal(few) == .orderNumber(last: 9))
        guard case .ordered(let order, _) = good else { return }
        var next = order
        next.number += 1
        let stolen = BookEvent.ordered(order: next, approvals: try world.approvals(order, by: world.officers))
        #expect(world.refusal(stolen) == .notApproved(given: 0))
    }

    @Test("Who is frozen gives no orders; what is held for others is paid")
    func frozen() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let line = LineID(world.members[0].did, CreditWorld.unit)
        try world.enter(try world.order(.freeze(line: line, frozen: true)))
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 1)
        #expect(world.refusal(.transferred(order: order.bytes)) == .frozen)
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        #expect(world.balance(1) == 100)
        try world.enter(try world.order(.freeze(line: line, frozen: false)))
        try world.enter(.transferred(order: order.bytes))
    }

    @Test("A payment is undone once, and a debt that is written off is the cooperative's loss")
    func corrections() throws {
        var world = try CreditWorld()
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 300)
        let entry = try world.enter(.transferred(order: order.bytes))
        try world.enter(try world.order(.reverse(entry: entry.number, reason: "paid twice")))
        #expect(world.balance(0) == 0 && world.balance(1) == 0)
        #expect(world.refusal(try world.order(.reverse(entry: entry.number, reason: ""))) == .notReversible)
        try world.enter(.transferred(order: world.payment(from: world.members[0], to: world.members[1].did, 200).bytes))
        let line = LineID(world.members[0].did, CreditWorld.unit)
        let all = try world.order(.writeOff(line: line, amount: TokenAmount(201), reason: "left"))
        #expect(world.refusal(all) == .debtSmaller(debt: 200))
        try world.enter(try world.order(.writeOff(line: line, amount: TokenAmount(150), reason: "left")))
        #expect(world.balance(0) == -50)
        #expect(world.book.accounts.balance(of: .losses, CreditWorld.unit) == -150)
    }

    @Test("What is paid in and out elsewhere needs the member's word besides the officers'")
    func cash() throws {
        var world = try CreditWorld()
        let (member, line) = (world.members[0], LineID(world.members[0].did, CreditWorld.unit))
        let paidIn = OfficerOrder.Action.deposit(line: line, amount: TokenAmount(70), reference: "receipt 4")
        #expect(world.refusal(try world.order(paidIn)) == .notCountersigned)
        try world.enter(try world.order(paidIn, by: world.officers + [member]))
        #expect(world.balance(0) == 70 && world.book.accounts.balance(of: .cash, CreditWorld.unit) == -70)
        let paidOut = OfficerOrder.Action.withdraw(line: line, amount: TokenAmount(70), reference: "")
        try world.enter(try world.order(paidOut, by: world.officers + [member]))
        #expect(world.balance(0) == 0)
        let bounds = BookRefusal.malformed(.outOfBounds(field: "action"))
        let long = String(repeating: "a", count: OfficerOrder.reasonBytesMax + 1)
        #expect(world.refusal(try world.order(.reverse(entry: 1, reason: long))) == bounds)
        #expect(world.refusal(try world.order(.writeOff(line: line, amount: .zero, reason: ""))) == bounds)
        let over = TokenAmount(CreditLine.limitMax.units + 1)
        #expect(world.refusal(try world.order(.limit(line: line, owed: over, owing: .zero, issuer: false))) == bounds)
    }

    // MARK: Units

    @Test("Across units the debtor pays the rate of its order, rounded up, and every unit adds up to zero")
    func units() throws {
        var world = try CreditWorld()
        let other = CreditUnit(name: "EUR", decimals: 2)
        let foreign = LineID(world.members[5].did, other)
        try world.open(foreign, owed: 1_000, owing: 1_000)
        let rate = CreditRate(unit: CreditWorld.unit, debit: 10, credit: 3)
        try world.enter(try world.order(.rate(unit: other, rate: rate)))
        let order = try world.payment(
            from: world.members[0], to: foreign.did, 100, unit: other, rate: rate)
        try world.enter(.transferred(order: order.bytes))
        #expect(world.balance(0) == -334 && world.book.accounts[foreign]?.balance == 100)
        #expect(world.book.accounts.balance(of: .exchange, other) == -100)
        #expect(world.book.accounts.balance(of: .exchange, CreditWorld.unit) == 334)
        #expect(rate.debit(for: 1 << 53) == nil && CreditRate(unit: other, debit: 1, credit: 1).debit(for: 9) == 9)
    }
}
