import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// What one originator, or many strangers, can take of an executor's bids, journal and memory.
@Suite("An executor's bids, shared out")
struct ExecutorShareTests {
    /// Somebody outside the world who announces jobs that nobody ever gives to anybody.
    static func announcement(
        by identity: Identity, _ number: Int, _ world: MarketWorld, bytes: Int = 0
    ) throws -> MeshProtocolMessage {
        var params = MarketWorld.request().params
        if bytes > 0 { params.args = [String(repeating: "x", count: bytes)] }
        let now = world.wallClock
        let nonce = (0..<16).map { UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8)) }
        let manifest = JobManifest(
            params: params, originatorDID: identity.did, originatorPeerID: identity.peerID, originatorAddresses: [],
            nonce: nonce, submittedAt: now, biddingDeadline: now.advanced(milliseconds: 30_000),
            expiresAt: now.advanced(milliseconds: 600_000))
        let signed = try SignedObject.sign(manifest, with: identity)
        return .jobAnnouncement(
            JobAnnouncementV1(
                jobID: JobID(signed.cid), manifest: signed.bytes, executionPolicy: nil,
                originatorPeerID: identity.peerID, providerAddresses: [], expiresAt: manifest.biddingDeadline))
    }

    static func stranger(_ number: Int) throws -> Identity {
        try Identity(seed: (0..<32).map { $0 < 2 ? UInt8(truncatingIfNeeded: number >> ($0 * 8)) : 77 })
    }

    private func openBids(_ world: MarketWorld, of identity: Identity) -> Int {
        world.parties[1].market.executedJobs.count {
            $0.isOpenBid && $0.manifest.originatorPeerID == identity.peerID
        }
    }

    private func announce(
        _ message: MeshProtocolMessage, by identity: Identity, to world: inout MarketWorld
    ) -> GossipJudgement? {
        let (verdict, transition) = world.parties[1].market.judge(
            message, author: identity.peerID, now: world.now, wallClock: world.wallClock)
        world.carryOut(transition, of: 1)
        return verdict
    }

    @Test("1,300 announcements of one key in 7.5 s: an honest job has its bid, and the journal takes a share of them")
    func flood() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.originator.sufficientBids = 1 }
        let flooder = try Self.stranger(1)
        var honest: JobID?
        for number in 0..<1300 {
            let message = try Self.announcement(by: flooder, number, world, bytes: 30_000)
            #expect(announce(message, by: flooder, to: &world) == .accept, "the forwarder is not blamed")
            world.now = world.now.advanced(milliseconds: number % 4 == 3 ? 5 : 6)
            if number == 1290 { honest = try world.submit() }
        }
        #expect(openBids(world, of: flooder) == 256, "a quarter of the open bids")
        #expect(world.parties[1].market.counters.declines["share_used_up"] == 1300 - 256)
        let id = try #require(honest)
        #expect(world.run(milliseconds: 2000) { $0.job(id)?.result == .completedSuccessfully })
        let bytes = world.parties[1].journal.reduce(0) { $0 + $1.count }
        #expect(bytes < 5 << 20, "\(bytes) bytes are in the journal")
        #expect(world.parties[1].market.counters.bidsNotWritten > 100)
        // The bids lapse, and the flooder has room for others.
        world.run(milliseconds: 31_000)
        #expect(openBids(world, of: flooder) == 0)
        let next = try Self.announcement(by: flooder, 5000, world)
        #expect(announce(next, by: flooder, to: &world) == .accept)
        #expect(openBids(world, of: flooder) == 1)
    }

    @Test("An author over its rate is ignored, not blamed, until its bucket fills; only so many authors are remembered")
    func rate() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.announcementBurstMax = 5
            configuration.limits.announcementsPerSecondMax = 2
            configuration.limits.announcementAuthorsMax = 2
        }
        let ignored = GossipJudgement.ignore(reason: "more announcements than an author may make")
        let first = try Self.stranger(1)
        func judgements(_ range: Range<Int>, of identity: Identity) throws -> [GossipJudgement?] {
            try range.map { number in
                announce(try Self.announcement(by: identity, number, world), by: identity, to: &world)
            }
        }
        #expect(try judgements(0..<7, of: first) == Array(repeating: .accept, count: 5) + [ignored, ignored])
        world.now = world.now.advanced(milliseconds: 1000)
        #expect(try judgements(10..<13, of: first) == [.accept, .accept, ignored])
        #expect(world.parties[1].market.counters.announcementsIgnored == 3)
        #expect(openBids(world, of: first) == 7)
        // Two more authors, and the first is forgotten.
        #expect(try judgements(0..<1, of: try Self.stranger(2)) == [.accept])
        #expect(try judgements(20..<21, of: first) == [ignored])
        #expect(try judgements(0..<1, of: try Self.stranger(3)) == [.accept])
        #expect(try judgements(30..<31, of: first) == [.accept])
    }

    @Test("Once it was paid, an executor keeps half of its bids for those that paid it; before that it keeps nothing")
    func reserve() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.sufficientBids = 1
            configuration.executor?.openBidsMax = 40
        }
        for key in 1...6 {
            for number in 0..<12 {
                let stranger = try Self.stranger(key)
                _ = announce(try Self.announcement(by: stranger, number, world), by: stranger, to: &world)
            }
        }
        #expect(world.parties[1].market.executedJobs.count(where: \.isOpenBid) == 40, "ten of each of four keys")
        world.run(milliseconds: 31_000)
        let paying = try world.submit()
        world.run(milliseconds: 5000)
        #expect(world.job(paying)?.result == .completedSuccessfully)
        #expect(world.parties[1].market.ledger.earned > .zero)
        for key in 1...6 {
            for number in 100..<112 {
                let stranger = try Self.stranger(key)
                _ = announce(try Self.announcement(by: stranger, number, world), by: stranger, to: &world)
            }
        }
        #expect(world.parties[1].market.executedJobs.count(where: \.isOpenBid) == 20, "half of them")
        let known = try world.submit(MarketWorld.request("again"))
        world.run(milliseconds: 2000)
        #expect(world.job(known)?.result == .completedSuccessfully)
    }

    @Test("A bid beyond the share of the journal is made, taken and run, and the journal of the run is whole")
    func notWritten() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.sufficientBids = 1
            configuration.limits.bidJournalBytesMax = 0
        }
        let id = try world.submit()
        world.run(milliseconds: 120_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.names(of: 1).first == "assignment_accepted")
        #expect(world.parties[1].market.counters.bidsNotWritten == 1)
        world.expectSameAfterReplay(1)
        // One that nobody takes leaves nothing behind on the disk.
        let stranger = try Self.stranger(1)
        let before = world.parties[1].journal.count
        _ = announce(try Self.announcement(by: stranger, 0, world), by: stranger, to: &world)
        #expect(openBids(world, of: stranger) == 1)
        world.run(milliseconds: 31_000)
        #expect(openBids(world, of: stranger) == 0)
        #expect(world.parties[1].journal.count == before)
    }

    @Test("What the journal was charged for bids that nobody took comes back when the store has pruned them")
    func journalShare() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.bidJournalBytesPerOriginatorMax = 3 * configuration.limits.bidJournalBytesMin
            configuration.limits.bidJournalBytesMax = 5 * configuration.limits.bidJournalBytesMin
        }
        let first = try Self.stranger(1)
        let second = try Self.stranger(2)
        func written(_ range: Range<Int>, of identity: Identity) throws -> Int {
            let before = world.names(of: 1).count { $0 == "bid_made" }
            for number in range {
                _ = announce(try Self.announcement(by: identity, number, world), by: identity, to: &world)
            }
            return world.names(of: 1).count { $0 == "bid_made" } - before
        }
        #expect(try written(0..<5, of: first) == 3)
        #expect(try written(0..<5, of: second) == 2)
        world.run(milliseconds: 60_000)
        #expect(try written(10..<15, of: first) == 0, "their lines are still there")
        world.run(milliseconds: 300_000)
        #expect(try written(20..<25, of: first) == 3)
    }

    @Test("Bids that came to nothing do not push runs out of memory")
    func closedBids() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.sufficientBids = 1
            configuration.limits.closedJobsMax = 2
            configuration.limits.closedBidsMax = 3
        }
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        let stranger = try Self.stranger(1)
        for number in 0..<8 {
            _ = announce(try Self.announcement(by: stranger, number, world), by: stranger, to: &world)
        }
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].market.executedJob(id)?.receipt != nil)
        #expect(world.parties[1].market.executedJobs.count == 4, "the run and three bids")
    }

    @Test("Manifests that are announced by CID are fetched for one originator up to its share, and for another too")
    func manifestFetches() throws {
        var world = MarketWorld(executors: 1)
        func fetches(_ range: Range<Int>, of identity: Identity) throws -> Int {
            try range.reduce(0) { sum, number in
                guard
                    case .jobAnnouncement(var announcement) = try Self.announcement(by: identity, number, world)
                else { return sum }
                announcement.manifest = nil
                let transition = world.parties[1].market.judge(
                    .jobAnnouncement(announcement), author: identity.peerID, now: world.now, wallClock: world.wallClock
                ).transition
                return sum + transition.actions.count
            }
        }
        #expect(try fetches(0..<20, of: try Self.stranger(1)) == 8)
        #expect(try fetches(0..<20, of: try Self.stranger(2)) == 8)
    }

    // MARK: Bids and crashes

    @Test("A bid that was acknowledged is there after a crash that loses what nobody waited for")
    func acknowledgedBid() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.originator.sufficientBids = 2 }
        let id = try world.submit()
        #expect(world.run(milliseconds: 500) { $0.job(id)?.bids.count == 1 })
        world.losesLazyEvents = true
        world.blocked = [.jobBid]
        try world.restart(0)
        #expect(world.job(id)?.bids.count == 1)
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    @Test("A job that is announced again has the open bid of its bidder again, which changes nothing twice")
    func announcedAgain() throws {
        var world = MarketWorld(executors: 1) { _, configuration in configuration.originator.sufficientBids = 2 }
        let id = try world.submit()
        #expect(world.run(milliseconds: 500) { $0.job(id)?.bids.count == 1 })
        world.run(milliseconds: 100)
        func bids() -> Int { world.log.count { $0.variant == .jobBid } }
        #expect(bids() == 1)
        let announcement = try #require(world.log.first { $0.variant == .jobAnnouncement })
        #expect(announce(announcement, by: world.parties[0].identity, to: &world) == .accept)
        #expect(bids() == 2)
        world.run(milliseconds: 5000)
        #expect(world.names(of: 0).count { $0 == "bid_received" } == 1)
        #expect(world.job(id)?.result == .completedSuccessfully)
        // An announcement of the job by somebody else is none.
        let stranger = try Self.stranger(1)
        guard case .reject = announce(announcement, by: stranger, to: &world) else {
            Issue.record("a stranger announced another's job")
            return
        }
    }
}
