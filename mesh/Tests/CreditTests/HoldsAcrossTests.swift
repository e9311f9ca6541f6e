import Credit
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// Orders and holds for one attempt at two issuers.
@Suite("Holds across two issuers") struct HoldsAcrossTests {
    private let unit = CreditWorld.unit
    private let originator = CreditWorld.identity(20)
    private let executor = CreditWorld.identity(60)
    private let marginMilliseconds: UInt64 = 30_000

    private func wish(across: SignedObject<IssuerCharter>, from issuer: DID) -> HoldWish {
        var wish = HoldWish(
            issuerDID: issuer, unit: unit, jobID: JobID(CID.hashing([1], codec: .dagCBOR)), attempt: 3,
            bidCID: CID.hashing([2], codec: .dagCBOR), executorDID: executor.did, amount: TokenAmount(700),
            useBy: CreditWorld.start.advanced(milliseconds: 10_000),
            deliverBy: CreditWorld.start.advanced(milliseconds: 600_000),
            claimBy: CreditWorld.start.advanced(milliseconds: 4_000_000), windowMilliseconds: 600_000,
            extensionMilliseconds: 3_600_000)
        wish.acrossDID = across.did
        return wish
    }

    /// Two books with lines for each other.
    private func books(
        _ change: (inout IssuerCharter) -> Void = { _ in }
    ) throws -> (above: CreditWorld, below: CreditWorld) {
        var above = try CreditWorld { $0.marginMilliseconds = marginMilliseconds }
        var below = try CreditWorld(issuer: 41, change)
        let issuers = (above.book.issuer, below.book.issuer)
        try above.open(LineID(issuers.1, unit), owed: 5_000, owing: 5_000, isIssuer: true)
        try below.open(LineID(issuers.0, unit), owed: 5_000, owing: 5_000, isIssuer: true)
        try below.open(LineID(executor.did, unit), owed: 5_000, owing: 5_000)
        return (above, below)
    }

    private func charter(_ world: CreditWorld) throws -> SignedObject<IssuerCharter> {
        guard case .opened(let block) = world.entries[0].event else { throw BookRefusal.otherBook }
        return try SignedObject(reading: block)
    }

    @Test(
        "The hold below has the dates of the wish, the one above lasts longer by the margin; both certificates meet it")
    func dates() throws {
        var (above, below) = try books()
        let (upper, lower) = (try charter(above), try charter(below))
        let wish = wish(across: lower, from: above.book.issuer)
        let order = try #require(
            wish.order(of: originator.did, under: upper, across: lower, nonce: [UInt8](repeating: 1, count: 16)))
        let signed = try SignedObject.sign(order, with: originator)
        try above.enter(.holdGranted(order: signed.bytes))
        let next = try #require(order.below(signed.bodyCID, marginMilliseconds: marginMilliseconds, under: lower))
        #expect(next == order.below(signed.bodyCID, marginMilliseconds: marginMilliseconds, under: lower))
        #expect(next.hold?.claimBy == wish.claimBy && next.hold?.deliverBy == wish.deliverBy)
        #expect(next.hold?.windowMilliseconds == wish.windowMilliseconds)
        #expect(next.hold?.extensionMilliseconds == wish.extensionMilliseconds)
        #expect(order.hold?.claimBy == wish.claimBy.advanced(milliseconds: marginMilliseconds))
        let granted = try below.enter(.holdGranted(order: SignedObject.sign(next, with: above.issuer).bytes))
        let certificate = try #require(try below.core.certificate(of: granted))
        #expect(wish.isMetAcross(by: certificate, for: originator.did))
        #expect(!wish.isMet(by: certificate, for: originator.did, marginMilliseconds: marginMilliseconds))
        let entry = try #require(above.entries.last)
        let own = try #require(try above.core.certificate(of: entry))
        #expect(wish.isMet(by: own, for: originator.did, marginMilliseconds: marginMilliseconds))
        #expect(!wish.isMet(by: own, for: originator.did, marginMilliseconds: 0))
        #expect(!wish.isMetAcross(by: own, for: originator.did))
    }

    @Test("Without a common arbiter who is none of the four, one unit, or room for the margin nothing is ordered")
    func impossible() throws {
        let nonce = [UInt8](repeating: 1, count: 16)
        let (above, below) = try books()
        let (upper, lower) = (try charter(above), try charter(below))
        let good = wish(across: lower, from: above.book.issuer)
        #expect(good.order(of: originator.did, under: upper, across: lower, nonce: nonce) != nil)
        // The other charter has to be there, and no other.
        #expect(good.order(of: originator.did, under: upper, nonce: nonce) == nil)
        #expect(good.order(of: originator.did, under: upper, across: upper, nonce: nonce) == nil)
        #expect(good.order(of: CreditWorld.identity(10).did, under: upper, across: lower, nonce: nonce) == nil)
        for others in [[CreditWorld.identity(11).did], [below.book.issuer]] {
            let alone = try charter(CreditWorld(issuer: 41) { $0.arbiters = others })
            #expect(good.order(of: originator.did, under: upper, across: alone, nonce: nonce) == nil, "\(others)")
        }
        let foreign = try charter(CreditWorld(unit: CreditUnit(name: "hours", decimals: 2), issuer: 41, lines: 0))
        #expect(good.order(of: originator.did, under: upper, across: foreign, nonce: nonce) == nil)
        for field in [\HoldWish.windowMilliseconds, \.extensionMilliseconds] {
            var short = good
            short[keyPath: field] = marginMilliseconds + 999
            #expect(short.order(of: originator.did, under: upper, across: lower, nonce: nonce) == nil)
            short[keyPath: field] += 1
            #expect(short.order(of: originator.did, under: upper, across: lower, nonce: nonce) != nil)
        }
    }

    @Test("What an executor gives up counts for its bid above, and for its own hold alone below")
    func released() throws {
        var (above, below) = try books()
        let job = try HeldJob(1, from: above.members[0], to: executor, arbiter: above.arbiter.did, now: above.now)
        let order = try above.payment(from: job.originator, to: below.book.issuer, 1_000, hold: job.terms)
        try above.enter(.holdGranted(order: order.bytes))
        let next = try #require(
            order.body.below(
                order.bodyCID, marginMilliseconds: marginMilliseconds, under: try charter(below)))
        let lower = try SignedObject.sign(next, with: above.issuer)
        try below.enter(.holdGranted(order: lower.bytes))
        func release(_ hold: CID, _ bid: CID?) throws -> [UInt8] {
            try SignedObject.sign(
                HoldRelease(executorDID: executor.did, holdCID: hold, bidCID: bid, releasedAt: above.now),
                with: executor
            ).bytes
        }
        let other = CID.hashing([7], codec: .dagCBOR)
        for (hold, bid) in [(other, nil), (other, other), (lower.bodyCID, nil), (lower.bodyCID, other)] {
            let refusal = above.refusal(.holdReleased(hold: order.bodyCID, release: try release(hold, bid)))
            #expect(refusal == .notOfThisHold)
        }
        #expect(
            below.refusal(.holdReleased(hold: lower.bodyCID, release: try release(other, job.terms.bidCID)))
                == .notOfThisHold)
        let given = try release(lower.bodyCID, job.terms.bidCID)
        try below.enter(.holdReleased(hold: lower.bodyCID, release: given))
        try above.enter(.holdReleased(hold: order.bodyCID, release: given))
        #expect(above.balance(0) == 0 && above.book.holds[order.bodyCID]?.isLive == false)
    }

    @Test("A claim that was in time below is booked above later, for a week; below it has to be in time")
    func lateClaim() throws {
        var (above, below) = try books()
        let job = try HeldJob(1, from: above.members[0], to: executor, arbiter: above.arbiter.did, now: above.now)
        let order = try above.payment(from: job.originator, to: below.book.issuer, 1_000, hold: job.terms)
        try above.enter(.holdGranted(order: order.bytes))
        let next = try #require(
            order.body.below(order.bodyCID, marginMilliseconds: marginMilliseconds, under: try charter(below)))
        let lower = try SignedObject.sign(next, with: above.issuer)
        try below.enter(.holdGranted(order: lower.bytes))
        let claim = try job.claim(try job.receipt(), kept: above.arbiter, at: above.now)
        let last = try #require(above.book.holds[order.bodyCID]).claimableUntil
        #expect(last == job.terms.claimBy.advanced(milliseconds: HoldTerms.Limits.belowMilliseconds))
        above.now = last.advanced(milliseconds: 1)
        below.now = above.now
        #expect(below.refusal(.claimLodged(hold: lower.bodyCID, claim: claim.bytes, lodging: nil)) == .late)
        #expect(above.refusal(.claimLodged(hold: order.bodyCID, claim: claim.bytes, lodging: nil)) == .late)
        above.now = last
        try above.enter(.claimLodged(hold: order.bodyCID, claim: claim.bytes, lodging: nil))
        var member = MemberBook(of: job.originator.did, at: try charter(above))
        for entry in above.entries.suffix(2) { _ = try member.take(entry) }
        try above.passTime(job.terms.windowMilliseconds + 1)
        #expect(above.balance(0) == -100)
    }
}
