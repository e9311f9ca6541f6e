import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// For how long a job waits for executors that are known and say nothing.
@Suite struct BidTimesTests: OutlookFixtures {
    private let job = JobID(.hashing([1], codec: .dagCBOR))

    private func did(_ number: Int) throws -> DID {
        try Identity(seed: Array(repeating: 7, count: 30) + [UInt8(number / 256), UInt8(number % 256)]).did
    }

    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant.zero.advanced(milliseconds: milliseconds)
    }

    @Test("The wait is the least of what the gain, the executor's own pace and its silences are worth")
    func worth() {
        let limits = BidTimes.Limits()
        let rows: [(gain: UInt64, pace: UInt64?, silences: UInt64, window: UInt64, worth: UInt64)] = [
            (0, nil, 0, 1_000, 0), (0, 5_000, 0, 1_000, 0), (1, nil, 0, 1_000, 4), (25, nil, 0, 1_000, 100),
            (125, nil, 0, 1_000, 500), (249, nil, 0, 1_000, 996), (250, nil, 0, 1_000, 1_000),
            (1_000, nil, 0, 1_000, 1_000), (250, nil, 0, 100, 100), (125, nil, 0, 100, 50), (1_000, nil, 0, 0, 0),
            // By its pace: four times as long as it ever took, and 100 ms at least.
            (1_000, 0, 0, 1_000, 100), (1_000, 20, 0, 1_000, 100), (1_000, 60, 0, 1_000, 240),
            (1_000, 400, 0, 1_000, 1_000), (25, 60, 0, 1_000, 100), (1_000, .max, 0, 20_000, 20_000),
            // By its silences: half for each.
            (1_000, nil, 1, 1_000, 500), (1_000, nil, 3, 1_000, 125), (1_000, nil, 4, 1_000, 100),
            (1_000, 400, 2, 1_000, 250), (10, nil, 4, 1_000, 40), (1_000, nil, 4, 20_000, 1_250),
            (.max, .max, 0, .max, 14_400_000),
        ]
        for row in rows {
            let pace = BidTimes.Pace(milliseconds: row.pace, silences: row.silences)
            #expect(
                BidTimes.worth(pace, gain: row.gain, window: row.window, limits) == row.worth,
                "\(row)")
        }
        // A spare bid is worth a moment, and no more than its executor's silences leave.
        func spare(gain: UInt64, window: UInt64) -> UInt64 {
            BidTimes.worth(BidTimes.Pace(), gain: gain, isSpare: true, window: window, limits)
        }
        #expect(spare(gain: 0, window: 1_000) == 50 && spare(gain: 0, window: 30) == 30)
        #expect(spare(gain: 25, window: 1_000) == 100)
    }

    @Test("An executor's pace is its slowest bid, of which a part is kept; late bids count, others' do not")
    func pace() throws {
        var times = BidTimes()
        let one = try Identity(seed: Array(repeating: 7, count: 32))
        func worth(of executor: DID) -> UInt64 { times.worth(of: executor, gain: 1_000, window: 10_000) }
        times.bid(of: one.did, on: job, now: at(400))
        #expect(worth(of: one.did) == 10_000, "no such job was opened")
        times.opened(job, now: at(0))
        times.bid(of: one.did, on: job, now: at(400))
        #expect(worth(of: one.did) == 1_600)
        times.opened(job, now: at(1_000))
        times.bid(of: one.did, on: job, now: at(1_010))
        #expect(worth(of: one.did) == 1_200, "one quick bid does not make it quick")
        times.bid(of: try did(1), on: job, now: at(1_001))
        #expect(worth(of: one.did) == 1_200, "nobody is waited for less because others are quick")
        times.closed(job, now: at(1_020))
        times.late(from: one.peerID, on: job, now: at(1_700))
        #expect(worth(of: one.did) == 2_800)
    }

    @Test("Only who was waited for as long as it was worth, and said nothing, is waited for less; a bid mends it")
    func silences() throws {
        var times = BidTimes()
        let (slow, quick) = (try did(1), try did(2))
        func worth(of executor: DID) -> UInt64 { times.worth(of: executor, gain: 1_000, window: 1_000) }
        func round(from start: Int64, closedAfter milliseconds: Int64, gain: UInt64 = 1_000) -> MonotonicInstant? {
            times.opened(job, now: at(start))
            let until = times.awaits([(slow, gain)], on: job, window: 1_000)
            times.closed(job, now: at(start + milliseconds))
            return until
        }
        #expect(round(from: 0, closedAfter: 20) == at(1_000))
        #expect(worth(of: slow) == 1_000, "another closed the window before its time was over")
        _ = round(from: 0, closedAfter: 1_000, gain: 0)
        #expect(worth(of: slow) == 1_000, "nobody waited for it")
        for start in 1...4 { _ = round(from: Int64(start) * 2_000, closedAfter: 300, gain: 50) }
        #expect(worth(of: slow) == 1_000, "it had a part of the time that it may take")
        times.opened(job, now: at(9_000))
        _ = times.awaits([(slow, 1_000)], on: job, window: 1_000)
        times.wouldBid(slow, on: job)
        times.closed(job, now: at(10_000))
        #expect(worth(of: slow) == 1_000, "it said that it is busy")
        for (index, expected) in ([500, 250, 125, 100, 100] as [UInt64]).enumerated() {
            _ = round(from: 20_000 + Int64(index) * 10_000, closedAfter: 1_000)
            #expect(worth(of: slow) == expected)
            #expect(worth(of: quick) == 1_000)
        }
        times.bid(of: slow, on: job, now: at(60_300))
        #expect(worth(of: slow) == 1_000, "it took 300 ms")
    }

    @Test("The latest executors and jobs alone are remembered")
    func bounded() throws {
        var limits = BidTimes.Limits()
        (limits.executorsMax, limits.jobsMax) = (8, 4)
        var times = BidTimes(limits: limits)
        for number in 0..<20 {
            let job = JobID(.hashing([UInt8(number)], codec: .dagCBOR))
            times.opened(job, now: at(0))
            times.bid(of: try did(number), on: job, now: at(200))
        }
        #expect(times.counts == (8, 4))
        #expect(times.worth(of: try did(11), gain: 1_000, window: 1_000) == 1_000, "it was forgotten")
        #expect(times.worth(of: try did(12), gain: 1_000, window: 1_000) == 800)
    }

    @Test("A bid gains what its executor could have of the score beyond the best, if it does what it offers")
    func gain() throws {
        let originator = try Identity(seed: Array(repeating: 1, count: 32))
        let now = UnixMilliseconds(MarketWorld.epoch)
        func gain(
            _ price: UInt64, over best: UInt64?, ceiling: UInt64? = nil, load: UInt64 = 0,
            weights: SelectionWeights? = nil, latency: UInt64? = 0
        ) throws -> UInt64 {
            var params = MeshJobParams(wasmCID: .hashing([1], codec: .raw))
            params.maxFuel = 1_000_000
            params.executionPolicy = ExecutionPolicy()
            params.executionPolicy?.weights = weights
            params.maxAcceptableBidTokens = ceiling.map { TokenAmount($0) }
            let manifest = JobManifest(
                params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
                originatorAddresses: [], nonce: Array(repeating: 3, count: 16), submittedAt: now,
                biddingDeadline: now.advanced(milliseconds: 1_000), expiresAt: now.advanced(milliseconds: 100_000))
            let bidder = try Identity(seed: Array(repeating: 5, count: 32))
            let bids = try best.map { price in
                let terms = BidTerms(
                    price: TokenAmount(price), basePrice: .zero, pricePerMillionFuel: .zero, earliestStart: now,
                    deadline: now.advanced(milliseconds: 5_000))
                let bid = Bid(
                    jobID: job, originatorPeerID: originator.peerID, bidderDID: bidder.did,
                    bidderPeerID: bidder.peerID, terms: terms, loadPermille: load, issuedAt: now,
                    expiresAt: now.advanced(milliseconds: 9_000))
                return [ReceivedBid(signed: try SignedObject.sign(bid, with: bidder), arrivedAt: now)]
            }
            let selection = Selection(manifest: manifest, reputation: ReputationBook(), wallClock: now)
            let silent = offer(6) { offer in
                offer.basePrice = TokenAmount(price)
                offer.pricePerMillionFuel = .zero
            }
            return selection.gain(of: silent, over: bids ?? []) { $0 == bidder.peerID ? latency : nil }
        }
        #expect(try gain(100, over: 100) == 0, "the same again is nothing")
        #expect(try gain(200, over: 100) == 0, "nor what is dearer")
        #expect(try gain(50, over: 100) > 250, "half the price is worth the whole window")
        let little = try gain(95, over: 100)
        #expect(little > 0 && little < 50, "a little cheaper is worth a moment: \(little)")
        #expect(try gain(100, over: nil) > 0, "anything is better than nothing")
        #expect(try gain(50, over: 100, ceiling: 40) == 0, "it could not be taken")
        #expect(try gain(100, over: 100, load: 500) == 50, "it may be less busy")
        #expect(try gain(100, over: 100, latency: nil) == 50, "it may be near")
        let byRegion = SelectionWeights(price: 0, reputation: 0, region: 1, latency: 0, load: 0)
        #expect(try gain(1, over: 100, weights: byRegion) == 0, "what the policy does not weigh is no gain")
    }
}

/// How a job's market waits for those that say nothing.
@Suite struct WaitingTests: OutlookFixtures {
    /// A world in which executor 1, the cheapest, proved itself, and a job of which it alone hears.
    private func world(isProven: Bool) throws -> (MarketWorld, JobID) {
        var world = MarketWorld(executors: 1)
        if isProven {
            try world.submit(MarketWorld.request("proof"))
            world.run(milliseconds: 60_000)
        }
        let id = try world.submit(MarketWorld.request("job"))
        #expect(world.run(milliseconds: 500) { $0.job(id)?.bids.isEmpty == false })
        return (world, id)
    }

    private func closure(_ world: MarketWorld, _ id: JobID) -> BiddingClosure? {
        for event in world.parties[0].events where event.jobID == id {
            if case .biddingClosed(let cause, _) = event.kind { return cause }
        }
        return nil
    }

    /// One that would cost so many tokens.
    private func silent(_ seed: UInt8 = 50, price: UInt64) -> NodeCapability {
        offer(seed) { offer in
            offer.basePrice = TokenAmount(price)
            offer.pricePerMillionFuel = .zero
        }
    }

    @Test("A job does not wait for who could not do better, and for a while for who could")
    func gains() throws {
        var (world, id) = try world(isProven: true)
        world.give(.bidsAwaited(id, [silent(price: 1_000)]), to: 0)
        #expect(closure(world, id) == nil, "one bid is too few, if its executor fails")
        world.run(milliseconds: 60)
        #expect(closure(world, id) == .nothingToGain)

        (world, id) = try self.world(isProven: true)
        world.give(.bidsAwaited(id, [silent(price: 1_000), silent(51, price: 1)]), to: 0)
        #expect(closure(world, id) == nil, "one of them is cheap")
        world.run(milliseconds: 550)
        #expect(closure(world, id) == nil, "by far")
        world.run(milliseconds: 450)
        #expect(closure(world, id) == .nothingToGain, "and was worth a part of the window")
        // It said nothing, so the next job waits half as long for it.
        let next = try world.submit(MarketWorld.request("next"))
        let began = world.now
        #expect(world.run(milliseconds: 100) { $0.job(next)?.bids.isEmpty == false })
        world.give(.bidsAwaited(next, [silent(51, price: 1)]), to: 0)
        #expect(world.run(milliseconds: 900) { closure($0, next) != nil })
        #expect(closure(world, next) == .nothingToGain)
        #expect((490...520).contains(world.now.milliseconds(since: began)), "\(world.now.milliseconds(since: began))")
    }

    @Test("The bid of a key that nobody knows shortens nothing, however good it is; nor does one where it may not")
    func strangers() throws {
        var (world, id) = try world(isProven: false)
        world.give(.bidsAwaited(id, [silent(price: 1_000)]), to: 0)
        #expect(closure(world, id) == nil)
        world.run(milliseconds: 1_200)
        #expect(closure(world, id) == .windowElapsed)
        let changes: [(inout ExecutionPolicy) -> Void] = [
            { $0.bidWindowMilliseconds = 1_000 }, { $0.sufficientBids = 5 },
        ]
        for (index, change) in changes.enumerated() {
            (world, id) = try self.world(isProven: true)
            let named = try world.submit(
                MarketWorld.request("named \(index)") { params in
                    var policy = ExecutionPolicy()
                    change(&policy)
                    params.executionPolicy = policy
                })
            #expect(world.run(milliseconds: 500) { $0.job(named)?.bids.isEmpty == false })
            world.give(.bidsAwaited(named, [silent(price: 1_000)]), to: 0)
            #expect(closure(world, named) == nil, "its owner named a window, or a number")
        }
    }

    @Test("Where an able executor is busy, the time for bids begins anew, wideningsMax times; else the job fails")
    func busy() throws {
        func rounds(isWanted: Bool) throws -> Int {
            var world = MarketWorld(executors: 1) { index, configuration in
                guard index == 1 else { return }
                configuration.executor?.concurrentRunsMax = 0
                configuration.executor?.queuedRunsMax = 0
            }
            let id = try world.submit()
            let bidding = OriginatorConfiguration().biddingMilliseconds
            for _ in 0..<8 where world.job(id)?.isOpen == true {
                world.run(milliseconds: 2_000)
                if isWanted { world.give(.executorBusy(id, world.parties[1].identity.did), to: 0) }
                world.run(milliseconds: Int64(bidding) - 1_990)
            }
            guard case .noAcceptableBid = world.job(id)?.failure else {
                Issue.record("\(String(describing: world.job(id)?.failure))")
                return 0
            }
            var rounds = 0
            for event in world.parties[0].events { if case .announced = event.kind { rounds += 1 } }
            return rounds
        }
        #expect(try rounds(isWanted: false) == 1)
        #expect(try rounds(isWanted: true) == 1 + BidTimes.Limits().wideningsMax)
    }
}
