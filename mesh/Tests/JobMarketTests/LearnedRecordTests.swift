import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What a market does with others' records, once they were checked.
@Suite("Learned records") struct LearnedRecordTests {
    private let payer = Identity.generate().did
    private let rater = Identity.generate().did
    private let unit = CreditUnit(name: "hours", decimals: 2)

    private func paid(_ subject: DID, by payer: DID, at date: UnixMilliseconds, _ number: UInt8 = 1)
        -> ReputationEvidence
    {
        let cids = (1...3).map { CID.hashing([number, $0], codec: .dagCBOR) }
        return ReputationEvidence(
            subject: subject, payer: payer, assignmentCID: cids[0], receiptCID: cids[1], verdict: .fulfilled, at: date,
            pay: ProvedPay(issuerDID: payer, amount: 100, unit: unit, proofCID: cids[2]))
    }

    private func known(_ world: MarketWorld) -> [ReputationEvidence] {
        world.parties[0].market.reputation.elsewhere.evidence(about: world.parties[1].identity.did)
    }

    @Test("They count at once, are written down, and are no later than now")
    func counts() throws {
        var world = MarketWorld(executors: 1)
        let executor = world.parties[1].identity.did
        let future = world.wallClock.advanced(milliseconds: 1_000_000)
        world.give(.recordChecked(paid(executor, by: payer, at: future), rater: rater), to: 0)
        #expect(known(world).map(\.at) == [world.wallClock])
        #expect(world.parties[0].market.reputation.score(of: executor, at: world.wallClock) == 250)
        #expect(!world.parties[0].market.isProven(executor))
        #expect(world.parties[0].conduct.map(\.side) == [.elsewhere])
        try world.restart(0)
        #expect(known(world).count == 1)
        world.give(.recordChecked(paid(executor, by: payer, at: future), rater: rater), to: 0)
        #expect(world.parties[0].conduct.count == 1, "once")
    }

    @Test("Nothing of this node's own jobs, of itself, or of one who told two histories is learned")
    func refused() {
        var world = MarketWorld(executors: 1)
        let (own, executor) = (world.parties[0].identity.did, world.parties[1].identity.did)
        let now = world.wallClock
        world.give(.recordChecked(paid(executor, by: own, at: now), rater: rater), to: 0)
        world.give(.recordChecked(paid(own, by: payer, at: now), rater: rater), to: 0)
        let fork = ReputationEvidence(
            subject: payer, payer: own, assignmentCID: CID.hashing([9], codec: .raw),
            receiptCID: CID.hashing([8], codec: .raw), verdict: .equivocated, at: now)
        world.give(.faultProved(fork), to: 0)
        world.give(.recordChecked(paid(executor, by: payer, at: now), rater: rater), to: 0)
        #expect(world.parties[0].market.reputation.elsewhere.count == 0)
        world.give(.recordChecked(paid(executor, by: Identity.generate().did, at: now), rater: rater), to: 0)
        #expect(known(world).count == 1)
        world.give(
            .recordChecked(paid(executor, by: Identity.generate().did, at: now, 2), rater: payer), to: 0)
        #expect(known(world).count == 1, "nor what the author of two histories had run")
    }

    @Test("What is not believed any more is forgotten, on the disk, too")
    func forgotten() throws {
        var world = MarketWorld(executors: 1)
        let (own, executor) = (world.parties[0].identity.did, world.parties[1].identity.did)
        let now = world.wallClock
        let issuer = Identity.generate().did
        var other = paid(executor, by: rater, at: now, 2)
        other.pay?.issuerDID = issuer
        world.give(.recordChecked(paid(executor, by: payer, at: now), rater: rater), to: 0)
        world.give(.recordChecked(other, rater: rater), to: 0)
        #expect(known(world).count == 2)
        world.give(.issuerConvicted(issuer), to: 0)
        #expect(known(world).map(\.payer) == [payer])
        #expect(world.parties[0].conduct.last?.dropped == [other])
        let fork = ReputationEvidence(
            subject: payer, payer: own, assignmentCID: CID.hashing([9], codec: .raw),
            receiptCID: CID.hashing([8], codec: .raw), verdict: .equivocated, at: now)
        world.give(.faultProved(fork), to: 0)
        #expect(known(world).isEmpty)
    }
}
