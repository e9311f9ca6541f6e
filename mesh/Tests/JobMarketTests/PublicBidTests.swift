import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// Jobs whose bids are public: committed to first, then shown.
@Suite struct PublicBidTests {
    private func world(executors: Int, seed: UInt64 = 1) -> MarketWorld {
        var world = MarketWorld(executors: executors, seed: seed) { _, configuration in
            configuration.executor?.features = [PublicJob.feature]
        }
        world.checksReplay = true
        return world
    }

    private func request(_ key: String = "job", _ change: (inout ExecutionPolicy) -> Void = { _ in }) -> JobRequest {
        var policy = ExecutionPolicy()
        policy.publicBids = true
        policy.require(PublicJob.feature)
        change(&policy)
        return MarketWorld.request(key) { $0.executionPolicy = policy }
    }

    /// A bid of somebody who is no party.
    private func bid(
        on job: JobID, by identity: Identity, price: UInt64, _ world: MarketWorld
    ) throws -> SignedObject<Bid> {
        let now = world.wallClock
        return try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: world.parties[0].peer, bidderDID: identity.did,
                bidderPeerID: identity.peerID,
                terms: BidTerms(
                    price: TokenAmount(price), basePrice: TokenAmount(price), pricePerMillionFuel: .zero,
                    earliestStart: now, deadline: now.advanced(milliseconds: 1_000)),
                features: [PublicJob.feature], issuedAt: now, expiresAt: now.advanced(milliseconds: 30_000)),
            with: identity)
    }

    private func commitment(to bid: SignedObject<Bid>, by identity: Identity) throws -> MeshProtocolMessage {
        .jobBidCommitment(JobBidCommitmentV1(try SignedObject.sign(BidCommitment(to: bid), with: identity)))
    }

    /// What the originator answers, and what follows.
    private func answer(
        _ message: MeshProtocolMessage, from peer: PeerID, _ world: inout MarketWorld
    ) -> RefusalCode? {
        let (reply, transition) = world.parties[0].market.receive(
            message, from: peer, now: world.instant(of: 0), wallClock: world.calendar(of: 0))
        world.carryOut(transition, of: 0)
        if case .refused(let refusal) = reply { return refusal.code }
        return nil
    }

    private func key(_ number: Int) throws -> Identity {
        try Identity(seed: Array(repeating: 200, count: 31) + [UInt8(number)])
    }

    private func seal(_ world: MarketWorld, _ id: JobID) -> SealedBids.Seal? { world.job(id)?.bidding.sealed.seal }

    @Test("Bids are committed to, shown when no more are taken, and the cheapest has the job")
    func life() throws {
        var world = world(executors: 3)
        let id = try world.submit(request())
        world.run(milliseconds: 900)
        #expect(world.job(id)?.bidding.sealed.commitments.count == 3)
        #expect(!world.log.contains { $0.variant == .jobBid }, "a bid was shown while others could still bid")
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [world.parties[1].identity.did])
        #expect(world.job(id)?.result == .completedSuccessfully)
        let names = world.names(of: 0).filter { $0.hasPrefix("bid") }
        #expect(
            names == Array(repeating: "bid_committed", count: 3) + ["bids_sealed"]
                + Array(repeating: "bid_received", count: 3) + ["bidding_closed"])
        let topic = MeshTopics.bids(on: id)
        #expect(world.told.allSatisfy { $0.topic == topic })
        let variants = world.told.map(\.message.variant)
        #expect(
            variants == Array(repeating: .jobBidCommitment, count: 3) + [.jobBidsSealed]
                + Array(repeating: .jobBid, count: 3), "everybody is told the same, each once")
        for event in world.parties[0].events { #expect(PlainText.isPlain(event.explanation)) }
    }

    @Test("The window closes as for other jobs: at its end, with as many as the policy names, when all have spoken")
    func closing() throws {
        let rows: [(change: (inout ExecutionPolicy) -> Void, speaks: Bool, cause: BiddingClosure)] = [
            ({ _ in }, false, .windowElapsed), ({ $0.sufficientBids = 2 }, false, .sufficientBids),
            ({ _ in }, true, .everybodySpoke), ({ $0.bidWindowMilliseconds = 0 }, false, .firstAcceptableBid),
        ]
        for row in rows {
            var world = world(executors: 2)
            let id = try world.submit(request("job", row.change))
            world.run(milliseconds: 200)
            if row.speaks { world.give(.everybodySpoke(id), to: 0) }
            world.run(milliseconds: 30_000)
            let causes = world.parties[0].events.compactMap { event -> [BiddingClosure]? in
                switch event.kind {
                case .bidsSealed(let cause, _), .biddingClosed(let cause, _): [cause]
                default: nil
                }
            }.flatMap(\.self)
            #expect(causes == [row.cause, row.cause])
            #expect(world.job(id)?.result == .completedSuccessfully)
        }
    }

    @Test("Whoever waits for the others' bids comes too late")
    func lastMoment() throws {
        var world = world(executors: 2)
        world.blocked = [.jobBidsSealed]
        let id = try world.submit(request())
        world.run(milliseconds: 1_100)
        try #require(seal(world, id) != nil)
        let late = try key(1)
        let cheap = try bid(on: id, by: late, price: 1, world)
        #expect(answer(try commitment(to: cheap, by: late), from: late.peerID, &world) == .known(.biddingClosed))
        #expect(
            answer(.jobBid(JobBidV1(bid: ProtocolBid(cheap))), from: late.peerID, &world) == .known(.bidNotCommitted))
        // Nor does a bidder that committed show a cheaper one.
        let known = world.parties[1].identity
        let cheaper = try bid(on: id, by: known, price: 1, world)
        #expect(answer(try commitment(to: cheaper, by: known), from: known.peerID, &world) == .known(.tooManyBids))
        #expect(
            answer(.jobBid(JobBidV1(bid: ProtocolBid(cheaper))), from: known.peerID, &world)
                == .known(.bidNotCommitted))
        world.blocked = []
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.attempts.map(\.assignment.executorDID) == [known.did])
    }

    @Test("Who commits and shows nothing is waited for once, and ranks last the next time")
    func hidden() throws {
        var world = world(executors: 1)
        let silent = try key(1)
        func run(_ name: String) throws -> (milliseconds: Int64, ranking: [DID]) {
            let id = try world.submit(request(name) { $0.sufficientBids = 2 })
            let bid = try bid(on: id, by: silent, price: 1, world)
            #expect(answer(try commitment(to: bid, by: silent), from: silent.peerID, &world) == nil)
            #expect(world.run(milliseconds: 5_000) { $0.job(id)?.bidding.sealed.seal != nil })
            let sealedAt = world.now
            #expect(world.run(milliseconds: 60_000) { $0.job(id)?.assignments.isEmpty == false })
            let took = world.now.milliseconds(since: sealedAt)
            if name == "third" {
                #expect(answer(.jobBid(JobBidV1(bid: ProtocolBid(bid))), from: silent.peerID, &world) != nil)
            }
            #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
            let ranking = world.parties[0].events.last { $0.jobID == id && $0.kindName == "bidding_closed" }
            guard case .biddingClosed(_, let bids)? = ranking?.kind else { return (took, []) }
            return (took, bids.map(\.bidder))
        }
        let honest = world.parties[1].identity.did
        let first = try run("first")
        #expect(first.milliseconds >= 2_000 && first.milliseconds < 2_100 && first.ranking == [honest])
        let second = try run("second")
        #expect(second.milliseconds < 100 && second.ranking == [honest], "it is not waited for again")
    }

    @Test("A bid of who was silent before ranks last although it is the cheapest")
    func ranksLast() throws {
        var world = world(executors: 1)
        let silent = try key(1)
        for (name, shows) in [("first", false), ("second", true)] {
            let id = try world.submit(request(name) { $0.sufficientBids = 2 })
            let bid = try bid(on: id, by: silent, price: 1, world)
            // Shown at once, before the other bid can be there.
            world.blocked = shows ? [.jobBid] : []
            #expect(answer(try commitment(to: bid, by: silent), from: silent.peerID, &world) == nil)
            #expect(world.run(milliseconds: 5_000) { $0.job(id)?.bidding.sealed.seal != nil })
            if shows {
                #expect(answer(.jobBid(JobBidV1(bid: ProtocolBid(bid))), from: silent.peerID, &world) == nil)
                world.blocked = []
            }
            #expect(world.run(milliseconds: 60_000) { $0.job(id)?.result == .completedSuccessfully })
            #expect(world.job(id)?.attempts.first?.assignment.executorDID == world.parties[1].identity.did)
            if shows {
                let closed = world.parties[0].events.last { $0.kindName == "bidding_closed" }
                guard case .biddingClosed(_, let bids)? = closed?.kind else { return }
                #expect(bids.map(\.bidder) == [world.parties[1].identity.did, silent.did])
            }
        }
    }

    @Test("Where nobody shows a bid others may bid, as long as the time for bids lasts; then the job fails")
    func nobodyShows() throws {
        var world = world(executors: 1)
        world.blocked = [.jobBid]
        let id = try world.submit(request())
        world.run(milliseconds: 4_000)
        #expect(world.job(id)?.round ?? 0 >= 2)
        world.blocked = []
        world.run(milliseconds: 20_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        var others = self.world(executors: 1)
        others.blocked = [.jobBid]
        let lost = try others.submit(request())
        others.run(milliseconds: 120_000)
        #expect(others.job(lost)?.result == .failed)
        let rounds = others.parties[0].events.count { $0.kindName == "announced" }
        #expect(rounds >= 2 && rounds <= 20, "\(rounds) rounds")
    }

    @Test("A commitment that is another's, for another job, not signed or too long is refused by its reason")
    func forged() throws {
        var world = world(executors: 0)
        let denied = try key(3)
        let id = try world.submit(request { $0.deniedDIDs = [denied.did] })
        world.run(milliseconds: 100)
        let (bidder, other) = (try key(1), try key(2))
        let offer = try bid(on: id, by: bidder, price: 1, world)
        let good = try commitment(to: offer, by: bidder)
        func changed(_ change: (inout BidCommitment) -> Void) throws -> MeshProtocolMessage {
            var body = BidCommitment(to: offer)
            change(&body)
            var message = JobBidCommitmentV1(try SignedObject.sign(body, with: bidder))
            message.jobID = id
            return .jobBidCommitment(message)
        }
        func broken(_ change: (inout [UInt8]) -> Void) throws -> MeshProtocolMessage {
            var message = JobBidCommitmentV1(try SignedObject.sign(BidCommitment(to: offer), with: bidder))
            change(&message.commitment)
            return .jobBidCommitment(message)
        }
        let stranger = JobID(CID.hashing([1], codec: .dagCBOR))
        let rows: [(MeshProtocolMessage, PeerID, RefusalName?)] = [
            (good, other.peerID, .notVerified),
            (try changed { $0.jobID = stranger }, bidder.peerID, .notVerified),
            (try changed { $0.originatorPeerID = other.peerID }, bidder.peerID, .notVerified),
            (try changed { $0.bidCID = CID.hashing([1], codec: .raw) }, bidder.peerID, .notVerified),
            (try broken { $0[$0.count - 1] ^= 1 }, bidder.peerID, .notVerified),
            (
                try broken { $0 += [UInt8](repeating: 0, count: PublicJob.Limits().commitmentBytesMax) }, bidder.peerID,
                .notVerified
            ),
            (
                try commitment(to: try bid(on: stranger, by: bidder, price: 1, world), by: bidder), bidder.peerID,
                .jobNotOpen
            ),
            (
                try commitment(to: try bid(on: id, by: denied, price: 1, world), by: denied), denied.peerID,
                .bidderDenied
            ),
            (.jobBid(JobBidV1(bid: ProtocolBid(offer))), bidder.peerID, .bidNotCommitted),
            (good, bidder.peerID, nil), (good, bidder.peerID, nil),
            (.jobBid(JobBidV1(bid: ProtocolBid(offer))), bidder.peerID, .bidNotCommitted),
        ]
        for (index, row) in rows.enumerated() {
            #expect(answer(row.0, from: row.1, &world) == row.2.map { .known($0) }, "row \(index)")
        }
        #expect(world.job(id)?.bidding.sealed.commitments.count == 1)
    }

    @Test("A job takes no more than commitmentsMax commitments; who proved itself goes before the newest stranger")
    func bounded() throws {
        var world = world(executors: 1)
        try world.submit(MarketWorld.request("paid"))
        world.run(milliseconds: 60_000)
        let proven = world.parties[1].identity
        try #require(world.parties[0].market.isProven(proven.did))
        world.parties[1].isDown = true
        let id = try world.submit(request { $0.bidWindowMilliseconds = 10_000 })
        world.run(milliseconds: 100)
        let max = PublicJob.Limits().commitmentsMax
        for number in 0...max {
            let key = try key(number)
            let bid = try bid(on: id, by: key, price: 1, world)
            let code = answer(try commitment(to: bid, by: key), from: key.peerID, &world)
            #expect(code == (number < max ? nil : .known(.tooManyBids)), "\(number)")
        }
        let offer = try bid(on: id, by: proven, price: 1, world)
        #expect(answer(try commitment(to: offer, by: proven), from: proven.peerID, &world) == nil)
        let taken = try #require(world.job(id)?.bidding.sealed)
        #expect(taken.commitments.count == max && taken.commitment(of: proven.did) != nil)
        let (first, last) = (try key(0), try key(max - 1))
        #expect(taken.commitment(of: last.did) == nil && taken.commitment(of: first.did) != nil)
    }

    @Test("A restart of either side, after committing and after sealing, loses nothing and opens nothing")
    func restarts() throws {
        for (index, event) in [(0, "bid_committed"), (0, "bids_sealed"), (1, "bid_made"), (2, "bid_made")] {
            var world = world(executors: 2, seed: UInt64(index + 7))
            let id = try world.submit(request())
            #expect(world.run(milliseconds: 5_000) { $0.names(of: index).contains(event) })
            try world.restart(index, afterMilliseconds: 300)
            if event == "bids_sealed" {
                let late = try key(1)
                let cheap = try bid(on: id, by: late, price: 1, world)
                let code = answer(try commitment(to: cheap, by: late), from: late.peerID, &world)
                #expect(code == .known(.biddingClosed))
            }
            world.run(milliseconds: 60_000)
            #expect(world.job(id)?.result == .completedSuccessfully, "\(index) \(event)")
            #expect(world.job(id)?.attempts.count == 1)
        }
    }

    @Test("A bidder shows its bid to nobody but the job's originator, when it says that the bid counts")
    func shown() throws {
        var world = world(executors: 1)
        let id = try world.submit(request())
        world.run(milliseconds: 100)
        let bid = try #require(world.parties[1].market.executedJob(id)?.bidCID)
        let stranger = try key(1).peerID
        let rows: [(JobID, [CID], PeerID, RefusalName?)] = [
            (id, [bid], stranger, .wrongPeer), (id, [id.cid], world.parties[0].peer, .bidUnknown),
            (JobID(bid), [bid], world.parties[0].peer, .bidUnknown),
            (id, Array(repeating: bid, count: 65), world.parties[0].peer, .bidUnknown),
            (id, [bid], world.parties[0].peer, nil),
        ]
        for (index, row) in rows.enumerated() {
            let (reply, transition) = world.parties[1].market.receive(
                .jobBidsSealed(JobBidsSealedV1(jobID: row.0, bids: row.1)), from: row.2, now: world.instant(of: 1),
                wallClock: world.calendar(of: 1))
            var code: RefusalCode?
            if case .refused(let refusal) = reply { code = refusal.code }
            #expect(code == row.3.map { .known($0) }, "row \(index)")
            let shows = transition.actions.contains { if case .tellEverybody = $0 { true } else { false } }
            #expect(shows == (row.3 == nil), "row \(index)")
        }
    }

    @Test("The state of a run is told to everybody if the policy asks for it, and not otherwise")
    func status() throws {
        for isPublic in [true, false] {
            var world = world(executors: 1)
            world.parties[1].run = .hang
            let id = try world.submit(
                request {
                    $0.publicBids = nil
                    $0.publicStatus = isPublic ? true : nil
                })
            world.run(milliseconds: 10_000)
            let told = world.told.filter { $0.topic == MeshTopics.status(of: id) }
            let states = told.compactMap {
                if case .jobStatusUpdate(let update) = $0.message { update.status } else { nil }
            }
            #expect(states.contains(.running) == isPublic && told.count == world.told.count)
        }
    }
}
