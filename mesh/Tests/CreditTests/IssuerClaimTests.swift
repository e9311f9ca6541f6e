import Credit
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@Suite("Claims of executors whose originators are silent, and issuers that are away")
struct IssuerClaimTests {
    @Test("A claim is paid when its window is over, although the originator never said anything")
    func silent() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let receipt = try job.receipt()
        let claim = try job.claim(receipt, kept: world.arbiter, at: world.now)
        let event = BookEvent.claimLodged(hold: hold, claim: claim.bytes, lodging: nil)
        let entry = try world.enter(event)
        #expect(world.again(event) == entry.number)
        try world.passTime(10_000)
        #expect(world.refusal(.claimPaid(hold: hold)) == .notYet)
        #expect(world.refusal(.holdExpired(hold: hold)) == .notNow)
        try world.passTime(1)
        #expect(world.balance(0) == -100 && world.balance(1) == 100)
        #expect(world.again(event) == entry.number)
        // It was paid: nothing pays it again.
        #expect(world.refusal(try job.settled(hold, receipt, pays: 100)) == .holdEnded)
        #expect(world.again(.claimPaid(hold: hold)) == world.book.count - 1)
    }

    @Test("A claim without delivery, of somebody else, too late, or to nothing is refused")
    func badClaims() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let receipt = try job.receipt()
        func refusal(_ claim: SignedObject<HoldClaim>) -> BookRefusal? {
            world.refusal(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        }
        #expect(refusal(try job.claim(receipt, kept: job.executor, at: world.now)) == .wrongSigner)
        #expect(refusal(try job.claim(receipt, kept: world.members[3], at: world.now)) == .wrongSigner)
        let late = world.now.advanced(milliseconds: 60_001)
        #expect(refusal(try job.claim(receipt, kept: world.arbiter, at: late)) == .notDelivered)
        // What an arbiter keeps for another hold is nothing of this one.
        let other = try job.claim(receipt, kept: world.arbiter, of: receipt.cid, at: world.now)
        #expect(refusal(other) == .notOfThisHold)
        let thief = world.members[2]
        #expect(refusal(try job.claim(receipt, kept: world.arbiter, at: world.now, by: thief)) == .wrongSigner)
        let failed = try job.receipt(outcome: .nodeFailed(reason: ""))
        #expect(refusal(try job.claim(failed, kept: world.arbiter, at: world.now)) == .nothingDue)
        let dear = try job.receipt(price: 1_000)
        #expect(refusal(try job.claim(dear, kept: world.arbiter, at: world.now)) == .wrongPrice)
        let statement = try job.claim(try job.receipt(millions: 1), kept: world.arbiter, at: world.now)
        var mixed = try job.claim(receipt, kept: world.arbiter, at: world.now).body
        mixed.delivery = statement.body.delivery
        #expect(refusal(try SignedObject.sign(mixed, with: job.executor)) == .notOfThisHold)
        world.now = world.now.advanced(milliseconds: 120_001)
        #expect(refusal(try job.claim(receipt, kept: world.arbiter, at: CreditWorld.start)) == .late)
    }

    @Test("The originator's own word is a proof of delivery, and a witness's of the charter")
    func keepers() throws {
        for keeper in [0, 1] {
            var world = try CreditWorld(witnesses: true)
            let (job, hold) = try world.held(1)
            let claim = try job.claim(
                try job.receipt(), kept: [job.originator, world.witnesses[0]][keeper], at: world.now)
            try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        }
    }

    private func disputed(budget: UInt64 = 30) throws -> (CreditWorld, HeldJob, CID, SignedObject<HoldClaim>) {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1) { $0.disputeBudget = TokenAmount(budget) }
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        let dispute = try world.disputed(claim, by: job.originator)
        let event = BookEvent.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: nil)
        let entry = try world.enter(event)
        #expect(world.again(event) == entry.number)
        return (world, job, hold, claim)
    }

    @Test("A dispute that nobody decides pays the claim after one extension, and costs who disputed")
    func undecided() throws {
        var (world, _, hold, claim) = try disputed()
        let second = try world.disputed(claim, by: world.members[0])
        world.now = world.now.advanced(milliseconds: 1)
        let again = try world.disputed(claim, by: world.members[0])
        #expect(second.bodyCID != again.bodyCID)
        #expect(world.refusal(.claimDisputed(hold: hold, dispute: again.bytes, lodging: nil)) == .notNow)
        try world.passTime(29_999)
        #expect(world.balance(1) == 0)
        try world.passTime(1)
        #expect(world.balance(0) == -130 && world.balance(1) == 100)
        #expect(world.book.accounts.balance(of: .fees, CreditWorld.unit) == 30)
    }

    @Test("The arbiter decides, once; whoever loses pays the budget, as far as it has it")
    func decided() throws {
        var (world, job, hold, claim) = try disputed()
        let forged = try world.decided(claim, payable: 0, by: world.members[4])
        #expect(world.refusal(.claimDecided(hold: hold, decision: forged.bytes, lodging: nil)) == .wrongSigner)
        let more = try world.decided(claim, payable: 101)
        #expect(world.refusal(.claimDecided(hold: hold, decision: more.bytes, lodging: nil)) == .notDue(due: 100))
        let decision = try world.decided(claim, payable: 40)
        let event = BookEvent.claimDecided(hold: hold, decision: decision.bytes, lodging: nil)
        let entry = try world.enter(event)
        #expect(world.again(event) == entry.number)
        #expect(world.balance(0) == -40 && world.balance(1) == 10)
        let other = try world.decided(claim, payable: 100)
        #expect(world.refusal(.claimDecided(hold: hold, decision: other.bytes, lodging: nil)) == .holdEnded)
        #expect(world.refusal(try job.settled(hold, try job.receipt(), pays: 100)) == .holdEnded)

        (world, _, hold, claim) = try disputed()
        try world.enter(.claimDecided(hold: hold, decision: try world.decided(claim, payable: 100).bytes, lodging: nil))
        #expect(world.balance(0) == -130 && world.balance(1) == 100)

        // An executor without credit loses what it has.
        (world, _, hold, claim) = try disputed(budget: 500)
        let line = LineID(world.members[1].did, CreditWorld.unit)
        try world.open(line, owed: 0, owing: 10_000)
        try world.enter(.claimDecided(hold: hold, decision: try world.decided(claim, payable: 40).bytes, lodging: nil))
        #expect(world.balance(0) == -40 && world.balance(1) == 0)
    }

    @Test("Nobody but the debtor disputes, and only within the window")
    func lateDispute() throws {
        var world = try CreditWorld()
        let (job, hold) = try world.held(1)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        let early = try world.disputed(claim, by: job.originator)
        #expect(world.refusal(.claimDisputed(hold: hold, dispute: early.bytes, lodging: nil)) == .notNow)
        try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        let other = try world.disputed(claim, by: world.members[3])
        #expect(world.refusal(.claimDisputed(hold: hold, dispute: other.bytes, lodging: nil)) == .wrongSigner)
        world.now = world.now.advanced(milliseconds: 10_001)
        #expect(world.refusal(.claimDisputed(hold: hold, dispute: early.bytes, lodging: nil)) == .late)
    }

    // MARK: Away

    /// Four witnesses, of whom one may lie: three make a quorum.
    @Test("What was lodged while the issuer was away is taken up, and no expiry overtakes it")
    func away() throws {
        var world = try CreditWorld(witnesses: true)
        let (job, hold) = try world.held(1)
        let (_, unclaimed) = try world.held(2)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        let lodgedAt = world.now.advanced(milliseconds: 119_000)
        // Away for three days; both dates are over.
        world.now = world.now.advanced(milliseconds: 3 * 86_400_000)
        #expect(world.book.dueEvents(now: world.now).isEmpty)
        #expect(world.refusal(.holdExpired(hold: hold)) == .notYet)
        #expect(throws: BookRefusal.notCaughtUp) { _ = try world.held(3) }
        // The reports of those that have the claim count until just before it, and no three do without one of them.
        let listed = [(claim.cid, lodgedAt)]
        let reports = [
            try world.report(by: world.witnesses[0], until: world.now),
            try world.report(by: world.witnesses[1], until: world.now, listed),
            try world.report(by: world.witnesses[2], until: world.now, listed),
        ]
        try world.enter(.caughtUp(reports: reports, refused: []))
        #expect(world.book.caughtUpUntil.advanced(milliseconds: 1) == lodgedAt)
        #expect(world.book.dueEvents(now: world.now).isEmpty)
        #expect(world.refusal(.caughtUp(reports: reports, refused: [])) == .notTaken(claim.cid))
        #expect(world.refusal(.caughtUp(reports: reports, refused: [claim.bytes])) == .notTaken(claim.cid))
        let late = BookEvent.claimLodged(hold: hold, claim: claim.bytes, lodging: nil)
        #expect(world.refusal(late) == .late)
        let word = try world.lodging(claim.cid, at: lodgedAt, by: world.witnesses[1])
        try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: word))
        try world.enter(.caughtUp(reports: reports, refused: []))
        #expect(world.refusal(.caughtUp(reports: reports, refused: [])) == .nothingNew)
        try world.passTime(0)
        guard case .ended(.expired, _)? = world.book.holds[unclaimed]?.state else { return #expect(Bool(false)) }
        #expect(world.book.holds[hold]?.claim != nil, "its window begins with the issuer's return")
        try world.passTime(10_001)
        #expect(world.balance(1) == 0, "a dispute may have been lodged meanwhile")
        let quiet = try world.witnesses.map { try world.report(by: $0, until: world.now, listed) }
        try world.enter(.caughtUp(reports: quiet, refused: []))
        try world.passTime(0)
        #expect(world.balance(1) == 100)
        _ = try world.held(3)
    }

    @Test("One lying witness neither holds up the book nor hurries it")
    func lyingWitness() throws {
        var world = try CreditWorld(witnesses: true)
        let (_, hold) = try world.held(1)
        world.now = world.now.advanced(milliseconds: 200_000)
        let far = UnixMilliseconds(world.now.value * 2)
        let bogus = CID.hashing([1], codec: .dagCBOR)
        let honest = try [1, 2].map { try world.report(by: world.witnesses[$0], until: world.now) }
        let liar = try world.report(by: world.witnesses[0], until: far, [(bogus, world.book.caughtUpUntil)])
        #expect(world.refusal(.caughtUp(reports: honest + [liar], refused: [])) == .notTaken(bogus))
        let alone = try world.report(by: world.witnesses[0], until: far)
        #expect(world.refusal(.caughtUp(reports: [alone, alone, alone], refused: [])) == .nothingNew)
        let stranger = try world.report(by: world.members[0], until: world.now)
        #expect(world.refusal(.caughtUp(reports: honest + [stranger], refused: [])) == .wrongSigner)
        let third = try world.report(by: world.witnesses[3], until: world.now)
        try world.enter(.caughtUp(reports: honest + [liar, third], refused: []))
        #expect(world.book.caughtUpUntil == world.now)
        try world.passTime(0)
        #expect(world.book.holds[hold]?.isLive == false)
    }

    @Test("Garbage that a witness was given is shown and refused, and a report names so many at most")
    func garbage() throws {
        var world = try CreditWorld(witnesses: true)
        let (job, _) = try world.held(1)
        let claim = try job.claim(try job.receipt(), kept: job.executor, at: world.now)
        let junk: [UInt8] = [0xA0]
        let next = world.now.advanced(milliseconds: 1)
        let listed = [(claim.cid, world.now), (CID.hashing(junk, codec: .dagCBOR), next)]
        world.now = world.now.advanced(milliseconds: 1_000)
        let reports = try world.witnesses.map { try world.report(by: $0, until: world.now, listed) }
        #expect(world.refusal(.caughtUp(reports: reports, refused: [junk])) == .notTaken(claim.cid))
        let entry = try world.enter(.caughtUp(reports: reports, refused: [junk, claim.bytes]))
        #expect(world.entries.last == entry)
        #expect(
            world.refusal(
                .caughtUp(
                    reports: [try world.report(by: world.witnesses[0], until: world.now, listed.reversed())],
                    refused: [])) == .malformed(.outOfBounds(field: "lodged")))
        let many = (0...WitnessReport.lodgedMax).map { number in
            let date = UnixMilliseconds(CreditWorld.start.value + UInt64(number))
            return (CID.hashing([UInt8(number & 0xFF)], codec: .raw), date)
        }
        let full = try world.report(by: world.witnesses[0], until: world.now, many)
        #expect(world.refusal(.caughtUp(reports: [full], refused: [])) == .malformed(.outOfBounds(field: "lodged")))
        let blocks = many.map { _ in junk }
        #expect(world.refusal(.caughtUp(reports: reports, refused: blocks)) == .tooMany(.refusedBlocks))
    }

    @Test("A dispute that was lodged with a witness counts by its date, and delays the payment")
    func disputeAway() throws {
        var world = try CreditWorld(witnesses: true)
        let (job, hold) = try world.held(1)
        let claim = try job.claim(try job.receipt(), kept: world.arbiter, at: world.now)
        try world.enter(.claimLodged(hold: hold, claim: claim.bytes, lodging: nil))
        let (dispute, date) = (try world.disputed(claim, by: job.originator), world.now)
        world.now = world.now.advanced(milliseconds: 25_000)
        let listed = [(dispute.cid, date)]
        let reports = try world.witnesses.map { try world.report(by: $0, until: world.now, listed) }
        #expect(world.refusal(.caughtUp(reports: reports, refused: [dispute.bytes])) == .notTaken(dispute.cid))
        let word = try world.lodging(dispute.cid, at: date, by: world.witnesses[3])
        let foreign = try world.lodging(dispute.cid, at: date, by: world.members[3])
        #expect(
            world.refusal(.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: foreign)) == .wrongSigner)
        try world.enter(.claimDisputed(hold: hold, dispute: dispute.bytes, lodging: word))
        try world.enter(.caughtUp(reports: reports, refused: []))
        let decision = try world.decided(claim, payable: 0)
        try world.enter(.claimDecided(hold: hold, decision: decision.bytes, lodging: nil))
        #expect(world.balance(0) == 0 && world.balance(1) == 0)
    }
}
