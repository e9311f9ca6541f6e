import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What an executor thinks of originators: whether they paid what it ran.
@Suite("Reputation of originators")
struct PayerTests {
    private func evidence(_ world: MarketWorld, at index: Int = 1) -> [ReputationEvidence] {
        world.parties[index].market.payers.evidence(about: world.parties[0].identity.did)
    }

    /// Lets up to an hour pass until something counts, while a peer says something each minute.
    private func wait(_ world: inout MarketWorld, _ id: JobID, hearing peer: PeerID) {
        for _ in 0..<60 where evidence(world).isEmpty {
            world.run(milliseconds: 60_000)
            world.give(.jobInquiry(JobInquiryV1(jobID: id)), from: peer, to: 1)
        }
    }

    /// The settlement that the originator signed of a receipt.
    private func settlement(of receipt: CID?, in world: MarketWorld) throws -> [UInt8] {
        try #require(
            world.parties[0].blocks.values.first { block in
                (try? SignedObject<Settlement>(verifying: block))?.body.receiptCID == receipt
            })
    }

    @Test("A paid receipt counts for its originator, and names the settlement")
    func paid() throws {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        let item = try #require(evidence(world).first)
        #expect(item.verdict == .fulfilled && evidence(world).count == 1)
        let block = try #require(world.parties[1].blocks[item.receiptCID])
        #expect(try SignedObject<Settlement>(verifying: block).body.amountPaid == world.job(id)?.paid)
        let market = world.parties[1].market
        #expect(market.payers.score(of: world.parties[0].identity.did, at: world.wallClock) == 250)
        #expect(market.reputation.evidence(about: world.parties[0].identity.did).isEmpty, "it ran nothing")
        #expect(world.parties[0].market.payers.subjects.isEmpty)
        // Where it was not written down, as by an earlier version, the journals of open jobs say it.
        var bare = world.parties[1]
        var replayed = try bare.replayed()
        #expect(replayed.takeReplayed().isEmpty)
        bare.conduct = []
        replayed = try bare.replayed()
        #expect(replayed.takeReplayed().map(\.recorded) == [item])
        #expect(replayed.takeReplayed().isEmpty)
    }

    @Test("What is left unpaid counts against its originator, until it pays; whom that leaves too little gets no bid")
    func unpaid() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.minOriginatorReputation = 100
        }
        world.blocked = [.jobSettled]
        let unsettled = try world.submit()
        wait(&world, unsettled, hearing: Identity.generate().peerID)
        #expect(evidence(world).map(\.verdict) == [.unpaid])
        #expect(evidence(world).map(\.receiptCID) == world.parties[1].market.executedJobs.compactMap(\.receiptCID))
        #expect(world.names(of: 1).contains("settlement_overdue"))
        let refused = try world.submit(MarketWorld.request("refused"))
        world.run(milliseconds: 20_000)
        #expect(world.job(refused)?.bidCount == 0)

        var lenient = world
        lenient.parties[1].market.configuration.executor?.minOriginatorReputation = 0
        let served = try lenient.submit(MarketWorld.request("served"))
        lenient.run(milliseconds: 20_000)
        #expect(lenient.job(served)?.bidCount == 1)

        // The settlement comes after all.
        let first = try #require(world.parties[1].market.executedJobs.first { $0.isOverdue })
        let settlement = try settlement(of: first.receiptCID, in: world)
        world.give(.jobSettled(JobSettledV1(settlement: settlement)), from: world.parties[0].peer, to: 1)
        #expect(evidence(world).map(\.verdict) == [.fulfilled])
        let again = try world.submit(MarketWorld.request("again"))
        world.run(milliseconds: 20_000)
        #expect(world.job(again)?.bidCount == 1)
    }

    @Test("Nothing counts where the originator owed nothing, or this node may have missed the settlement itself")
    func innocent() throws {
        let stranger = Identity.generate().peerID
        // Not delivered; cancelled; the node was restarted; heard itself alone.
        for number in 0..<4 {
            var world = MarketWorld(executors: 1)
            world.blocked = number == 0 ? [.executionReceiptAvailable] : [.jobSettled]
            if number == 1 { world.parties[1].run = .hang }
            let id = try world.submit()
            if number == 1 {
                #expect(world.run(milliseconds: 20_000) { $0.job(id)?.status == .running })
                try world.cancel(id)
            }
            #expect(world.run(milliseconds: 60_000) { $0.parties[1].market.executedJob(id)?.receipt != nil })
            #expect(world.parties[1].market.executedJob(id)?.receipt?.price ?? .zero > .zero, "case \(number)")
            if number == 2 {
                world.run(milliseconds: 120_000)
                try world.restart(1)
            }
            wait(&world, id, hearing: number == 3 ? world.parties[1].peer : stranger)
            #expect(evidence(world).isEmpty, "case \(number)")
            if number > 1 { #expect(world.names(of: 1).contains("settlement_overdue"), "case \(number)") }
        }
    }

    @Test("An executor that was away while it was told of its payment is told again by its receipt")
    func away() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.settlementDeliveryMilliseconds = 5_000
        }
        world.checksReplay = true
        world.blocked = [.jobSettled]
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].market.executedJob(id)?.delivery == .acknowledged)
        world.blocked = []
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].market.executedJob(id)?.verdict == nil, "nobody tells it any more")
        try world.restart(1)
        world.run(milliseconds: 100)
        #expect(world.parties[1].market.executedJob(id)?.verdict == .paid)
        #expect(evidence(world).map(\.verdict) == [.fulfilled])
    }

    @Test("Less than the price counts as paid, down to what the terms give for any run; a refusal shows nothing")
    func less() throws {
        let cases: [(UInt64, SettlementVerdict, ReputationVerdict?)] = [
            (11, .paid, .fulfilled), (10, .paid, .fulfilled), (0, .paid, .unpaid), (1, .paid, .unpaid),
            (0, .unverified, nil), (0, .late, nil), (0, .refuted, nil),
        ]
        for (paid, verdict, expected) in cases {
            var world = MarketWorld(executors: 1) { _, configuration in
                configuration.executor?.pricePerMillionFuel = .zero
            }
            if paid == 11 { world.parties[1].market.configuration.executor?.pricePerMillionFuel = TokenAmount(1) }
            world.blocked = [.jobSettled]
            let id = try world.submit()
            world.run(milliseconds: 20_000)
            let receipt = try #require(world.parties[1].market.executedJob(id)?.signedReceipt)
            #expect(receipt.body.price == TokenAmount(max(10, paid)))
            let originator = world.parties[0].identity
            let settlement = try SignedObject.sign(
                Settlement(
                    jobID: id, receiptCID: receipt.cid, originatorDID: originator.did,
                    executorDID: receipt.body.executorDID, amountPaid: TokenAmount(paid), amountRefunded: .zero,
                    verdict: verdict, settledAt: world.wallClock), with: originator)
            world.give(.jobSettled(JobSettledV1(settlement: settlement.bytes)), from: originator.peerID, to: 1)
            #expect(evidence(world).map(\.verdict) == [expected].compactMap(\.self), "\(paid) \(verdict)")
        }
    }

    @Test("An originator that owes nothing is served, however little it has paid")
    func newcomers() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.minOriginatorReputation = 1_000
        }
        for key in ["first", "second"] {
            let id = try world.submit(MarketWorld.request(key))
            world.run(milliseconds: 60_000)
            #expect(world.job(id)?.result == .completedSuccessfully, "\(key)")
        }
        #expect(evidence(world).count == 2)
    }

    @Test("Who told two histories is believed on neither side, once, and a proved fraud resets the record")
    func proofs() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.executor?.minOriginatorReputation = 1
        }
        try world.submit()
        world.run(milliseconds: 60_000)
        let (originator, executor) = (world.parties[0].identity.did, world.parties[1].identity.did)
        let found = world.wallClock
        world.run(milliseconds: 60_000)
        func fault(
            _ subject: DID, by judge: DID, _ verdict: ReputationVerdict, _ number: UInt8, at date: UnixMilliseconds
        ) -> MarketInput {
            .faultProved(
                ReputationEvidence(
                    subject: subject, payer: judge, assignmentCID: CID.hashing([1], codec: .raw),
                    receiptCID: CID.hashing([number], codec: .raw), verdict: verdict, at: date))
        }
        #expect(world.parties[1].market.hasJudged(originator) && !world.parties[0].market.hasJudged(originator))
        for number: UInt8 in 1...3 {
            world.give(fault(originator, by: executor, .equivocated, number, at: found), to: 1)
        }
        #expect(evidence(world).map(\.verdict).filter { $0 == .equivocated }.count == 1)
        let date = try #require(evidence(world).first { $0.verdict == .equivocated }?.at)
        #expect(date == found, "by when this node had it, as often as it is told")
        #expect(world.parties[1].market.reputation.evidence(about: originator).map(\.verdict) == [.equivocated])
        #expect(world.parties[1].market.payers.score(of: originator, at: world.wallClock) == 0)
        let refused = try world.submit(MarketWorld.request("refused"))
        world.run(milliseconds: 20_000)
        #expect(world.job(refused)?.bidCount == 0)

        let future = world.wallClock.advanced(milliseconds: 86_400_000)
        world.give(fault(executor, by: originator, .invalid, 1, at: future), to: 0)
        #expect(world.parties[0].conduct.last?.recorded?.at == world.wallClock, "and never later than now")
        #expect(world.parties[0].market.reputation.score(of: executor, at: world.wallClock) == 0)
        #expect(!world.parties[0].market.reputation.isProven(executor))
        #expect(world.parties[0].conduct.last?.recorded?.verdict == .invalid, "it is written down")
        world.give(fault(executor, by: executor, .equivocated, 1, at: found), to: 1)
        #expect(world.parties[1].market.reputation.evidence(about: executor).isEmpty, "nobody judges oneself")
    }
}
