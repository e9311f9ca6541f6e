import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// The edges of the executor's rules, each from both of its sides; the originators are keys outside the world.
@Suite("Edges of the executor's rules")
struct ExecutorEdgeTests {
    private let originator = Identity.generate()
    private let stranger = Identity.generate()

    private func manifest(
        _ world: MarketWorld, _ number: UInt8 = 1, _ change: (inout JobManifest) -> Void = { _ in }
    ) -> JobManifest {
        var manifest = JobManifest(
            params: MarketWorld.request().params, originatorDID: originator.did, originatorPeerID: originator.peerID,
            originatorAddresses: [], nonce: Array(repeating: number, count: 16), submittedAt: world.wallClock,
            biddingDeadline: world.wallClock.advanced(milliseconds: 30_000),
            expiresAt: world.wallClock.advanced(milliseconds: 600_000))
        change(&manifest)
        return manifest
    }

    /// Announces a job to the executor; the job, and what gossip is to do with it.
    private func announce(
        _ manifest: JobManifest, to world: inout MarketWorld, by author: Identity? = nil
    ) throws -> (id: JobID, verdict: GossipJudgement) {
        let signed = try SignedObject.sign(manifest, with: originator)
        let author = author ?? originator
        let announcement = JobAnnouncementV1(
            jobID: JobID(signed.cid), manifest: signed.bytes, originatorPeerID: author.peerID, providerAddresses: [],
            expiresAt: world.wallClock.advanced(milliseconds: 30_000))
        let (verdict, transition) = world.parties[1].market.judge(
            .jobAnnouncement(announcement), author: author.peerID, now: world.now, wallClock: world.wallClock)
        world.carryOut(transition, of: 1)
        return (JobID(signed.cid), verdict)
    }

    private func hasBid(_ world: MarketWorld, _ id: JobID) -> Bool {
        world.parties[1].market.executedJob(id)?.isOpenBid ?? false
    }

    /// The assignment of a job to the bid of the executor, as its originator would make it.
    private func assignment(
        _ job: ExecutedJob, _ world: MarketWorld, _ change: (inout Assignment) -> Void = { _ in }
    ) throws -> AssignJobV1 {
        var body = Assignment(
            jobID: job.id, originatorDID: originator.did, bidCID: job.bidCID, executorDID: job.bid.bidderDID,
            attempt: 1, leaseMilliseconds: 10_000, terms: job.bid.terms, assignedAt: world.wallClock,
            acceptBy: job.bid.expiresAt)
        change(&body)
        return AssignJobV1(
            manifest: job.signedManifest.bytes, bid: job.signedBid.bytes,
            assignment: try SignedObject.sign(body, with: originator).bytes)
    }

    /// Gives the executor an assignment; the code of its refusal, `nil` when it was taken.
    private func assign(
        _ message: AssignJobV1, to world: inout MarketWorld, by sender: Identity? = nil
    ) -> String? {
        let (reply, transition) = world.parties[1].market.receive(
            .assignJob(message), from: (sender ?? originator).peerID, now: world.now, wallClock: world.wallClock)
        world.carryOut(transition, of: 1)
        guard case .declined(let refusal) = reply else { return nil }
        return refusal.code.text
    }

    /// A world in which the executor has bid on a job of the originator.
    private func bidden(
        _ configure: (inout MarketConfiguration) -> Void = { _ in }
    ) throws -> (MarketWorld, ExecutedJob) {
        var world = MarketWorld(executors: 1) { _, configuration in configure(&configuration) }
        world.parties[1].run = .hang
        let (id, _) = try announce(manifest(world), to: &world)
        return (world, try #require(world.parties[1].market.executedJob(id)))
    }

    // MARK: Announcements and bids

    @Test func aManifestIsAnnouncedByItsOriginatorUnderItsOwnKey() throws {
        var world = MarketWorld(executors: 1)
        let other = try announce(manifest(world), to: &world, by: stranger)
        #expect(other.verdict == .reject(reason: "the manifest does not verify"))
        let (id, verdict) = try announce(
            manifest(world, 2) { $0.originatorPeerID = stranger.peerID }, to: &world, by: stranger)
        #expect(verdict == .reject(reason: "the manifest does not verify"))
        #expect(!hasBid(world, other.id) && !hasBid(world, id))
        let own = try announce(manifest(world, 3), to: &world)
        #expect(hasBid(world, own.id))
    }

    @Test func aDeniedOriginatorGetsNoBid() throws {
        for isDenied in [true, false] {
            let did = isDenied ? originator.did : stranger.did
            var world = MarketWorld(executors: 1) { $1.executor?.deniedOriginators = [did] }
            let (id, _) = try announce(manifest(world), to: &world)
            #expect(hasBid(world, id) == !isDenied)
            #expect(world.parties[1].market.counters.declines["originator_denied"] == (isDenied ? 1 : nil))
        }
    }

    @Test func aJobAtTheLimitsOfAnExecutorIsBidOn() throws {
        var world = MarketWorld(executors: 1)
        let limits = try #require(world.parties[1].configuration.executor).limitsMax
        let (id, _) = try announce(
            manifest(world) { manifest in
                manifest.params.timeoutSeconds = limits.timeoutSeconds
                manifest.params.maxFuel = limits.maxFuel
                manifest.params.maxMemoryBytes = limits.maxMemoryBytes
                manifest.params.maxOutputBytes = limits.maxOutputBytes
            }, to: &world)
        #expect(hasBid(world, id))
        let (beyond, _) = try announce(manifest(world, 2) { $0.params.maxFuel = limits.maxFuel + 1 }, to: &world)
        #expect(!hasBid(world, beyond))
    }

    @Test func aJobThatFoundNoPlaceIsBidOnOnceThereIsOne() throws {
        var (world, job) = try bidden { configuration in
            configuration.executor?.concurrentRunsMax = 1
            configuration.executor?.queuedRunsMax = 0
        }
        #expect(assign(try assignment(job, world), to: &world) == nil)
        let waiting = manifest(world, 2)
        let (id, _) = try announce(waiting, to: &world)
        #expect(!hasBid(world, id))
        #expect(world.parties[1].market.counters.declines["at_capacity"] == 1)
        world.run(milliseconds: 100)
        let order = try #require(world.parties[1].orders.first)
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1, of: 1, after: 1)
        world.run(milliseconds: 100)
        #expect(try announce(waiting, to: &world).id == id)
        #expect(hasBid(world, id))
    }

    @Test func onlyItsOriginatorRefusesABid() throws {
        var (world, job) = try bidden()
        let message = MeshProtocolMessage.jobBidRefused(
            JobBidRefusedV1(jobID: job.id, bidCID: job.bidCID, Refusal(.otherBidTaken, "another was taken")))
        world.give(message, from: stranger.peerID, to: 1)
        #expect(hasBid(world, job.id))
        #expect(world.parties[1].market.counters.refusals["bid_refusal_wrong_peer"] == 1)
        world.give(message, from: originator.peerID, to: 1)
        #expect(!hasBid(world, job.id))
    }

    @Test func aJobWhoseBidLapsedIsBidOnAgain() throws {
        var (world, job) = try bidden()
        let manifest = job.manifest
        world.run(milliseconds: 31_000)
        #expect(!hasBid(world, job.id))
        #expect(try announce(manifest, to: &world).id == job.id)
        #expect(hasBid(world, job.id))
    }

    // MARK: Assignments

    @Test func theDateOfTheBidStandsInItsAssignment() throws {
        var (world, job) = try bidden()
        let changed = try assignment(job, world) { $0.acceptBy = $0.acceptBy.advanced(milliseconds: 1) }
        #expect(assign(changed, to: &world) == "terms_changed")
        #expect(assign(try assignment(job, world), to: &world) == nil)
    }

    @Test func aBidIsKeptUntilTheMomentItLapses() throws {
        for (milliseconds, code) in [(29_999, nil), (30_000, "expired")] as [(Int64, String?)] {
            var (world, job) = try bidden()
            world.now = world.now.advanced(milliseconds: milliseconds)
            #expect(assign(try assignment(job, world), to: &world) == code)
        }
    }

    @Test func aBidThatIsForgottenIsKeptUntilItsDate() throws {
        for (milliseconds, code) in [(29_999, nil), (30_000, "expired")] as [(Int64, String?)] {
            var (world, job) = try bidden()
            world.parties[1].journal = []
            world.parties[1].isForced = []
            try world.restart(1)
            #expect(world.parties[1].market.executedJob(job.id) == nil)
            world.now = world.now.advanced(milliseconds: milliseconds)
            #expect(assign(try assignment(job, world), to: &world) == code)
        }
    }

    @Test func aJobHasOneAttemptHere() throws {
        var (world, job) = try bidden()
        let first = try assignment(job, world)
        #expect(assign(first, to: &world) == nil)
        #expect(assign(first, to: &world) == nil, "the same one again")
        #expect(assign(try assignment(job, world) { $0.attempt = 2 }, to: &world) == "other_attempt_here")
        #expect(assign(first, to: &world, by: stranger) == "chain_mismatch", "and nobody else learns of it")
        #expect(world.names(of: 1).count { $0 == "assignment_accepted" } == 1)
    }

    @Test func anAssignmentWhoseModuleTurnedOutTooLargeIsNotTaken() throws {
        var (world, job) = try bidden()
        let (id, _) = try announce(manifest(world, 2), to: &world)
        let other = try #require(world.parties[1].market.executedJob(id))
        #expect(assign(try assignment(job, world), to: &world) == nil)
        world.run(milliseconds: 100)
        var report = ExecutionReport(
            outcome: .nodeFailed(reason: "too large"), startedAt: world.wallClock, endedAt: world.wallClock)
        report.isModuleBeyondLimits = true
        let order = try #require(world.parties[1].orders.first)
        world.give(.executionFinished(assignment: order.assignmentCID, report), to: 1)
        #expect(assign(try assignment(other, world), to: &world) == "module_beyond_limits")
    }

    // MARK: Runs

    @Test func aRunIsStoppedOnce() throws {
        var (world, job) = try bidden()
        let message = try assignment(job, world)
        #expect(assign(message, to: &world) == nil)
        world.run(milliseconds: 100)
        let assignment = try #require(world.parties[1].market.executedJob(job.id)?.assignmentCID)
        for reason in ["first", "second"] {
            world.give(
                .cancelJob(CancelJobV1(jobID: job.id, assignmentCID: assignment, reason: reason)),
                from: originator.peerID, to: 1)
        }
        #expect(world.names(of: 1).count { $0 == "stop_requested" } == 1)
        #expect(world.parties[1].market.executedJob(job.id)?.stopReason == "first")
    }

    @Test func aRunBeginsAgainOnlyWithinItsLease() throws {
        for (milliseconds, isOver) in [(9999, false), (10_000, true)] as [(Int64, Bool)] {
            var (world, job) = try bidden()
            #expect(assign(try assignment(job, world), to: &world) == nil)
            // Its last event is that the fetch began, at this moment.
            try world.restart(1, afterMilliseconds: milliseconds)
            #expect((world.parties[1].market.executedJob(job.id)?.receipt != nil) == isOver)
        }
    }

    @Test func aBidOfBeforeTheChainBeganAgainIsNotTakenUp() throws {
        let skew = Int64(JobRules().clockSkewMilliseconds)
        for (milliseconds, code) in [(-skew, "expired"), (-skew - 1, nil)] as [(Int64, String?)] {
            var (world, job) = try bidden()
            let message = try assignment(job, world)
            let opened = UInt64(Int64(job.bid.issuedAt.value) + milliseconds)
            world.parties[1].market = JobMarket(
                identity: world.parties[1].identity, configuration: world.parties[1].configuration,
                chainOpenedAt: UnixMilliseconds(opened))
            #expect(assign(message, to: &world) == code)
        }
    }

    @Test func aReplayLeavesTheReceiptThatTheStoreCallsTheLast() throws {
        var (world, job) = try bidden()
        world.parties[1].run = .succeed(fuel: 1)
        #expect(assign(try assignment(job, world), to: &world) == nil)
        world.run(milliseconds: 1000)
        let party = world.parties[1]
        #expect(party.market.lastReceipt == party.market.executedJob(job.id)?.receiptCID)
        let later = CID.hashing([1], codec: .dagCBOR)
        var fresh = JobMarket(identity: party.identity, configuration: party.configuration, lastReceipt: later)
        for event in party.events { try fresh.replay(event) }
        #expect(fresh.executedJob(job.id)?.receipt != nil)
        #expect(fresh.lastReceipt == later)
    }

    @Test func aRunThatWaitsEndsAtOnceWhenItIsStopped() throws {
        var (world, job) = try bidden { $0.limits.fetchesMax = 1 }
        world.parties[1].run = .starve
        let (id, _) = try announce(manifest(world, 2), to: &world)
        let waiting = try #require(world.parties[1].market.executedJob(id))
        #expect(assign(try assignment(job, world), to: &world) == nil)
        #expect(assign(try assignment(waiting, world), to: &world) == nil)
        #expect(world.parties[1].market.executedJob(id)?.isStarted == false)
        let cid = try #require(world.parties[1].market.executedJob(id)?.assignmentCID)
        world.give(
            .cancelJob(CancelJobV1(jobID: id, assignmentCID: cid, reason: "")), from: originator.peerID, to: 1)
        #expect(world.parties[1].market.executedJob(id)?.receipt?.outcome == .cancelled)
        #expect(world.parties[1].market.runCounts == (0, 1))
    }

    // MARK: Settlement

    @Test func aSettlementIsBookedOnce() throws {
        var world = MarketWorld(executors: 1)
        try world.submit()
        world.run(milliseconds: 10_000)
        let settlement = try #require(world.log.last { $0.variant == .jobSettled })
        let duplicates = world.parties[1].market.counters.duplicates
        world.give(settlement, from: world.parties[0].peer, to: 1)
        #expect(world.names(of: 1).count { $0 == "settlement_received" } == 1)
        #expect(world.parties[1].market.counters.duplicates == duplicates + 1)
        #expect(world.parties[1].market.ledger.wallet == TokenAmount(11))
    }

    @Test func aRunIsClosedOnceItIsPaidOrWillNotBe() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.jobSettled]
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.parties[1].market.executedJob(id)?.delivery == .acknowledged)
        #expect(world.parties[1].market.executedJob(id)?.isClosed == false)
        world.run(milliseconds: 600_000)
        #expect(world.parties[1].market.executedJob(id)?.isOverdue == true)
        #expect(world.parties[1].market.executedJob(id)?.isClosed == true)
    }

    @Test func aRunIsRememberedAsOpenAsLongAsItsAssignmentMayComeAgain() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        world.run(milliseconds: 25_000)
        #expect(world.parties[1].market.executedJob(id)?.earned == TokenAmount(11))
        #expect(world.parties[1].market.executedJob(id)?.isClosed == false)
        world.run(milliseconds: 10_000)
        #expect(world.parties[1].market.executedJob(id)?.isClosed == true)
    }
}
