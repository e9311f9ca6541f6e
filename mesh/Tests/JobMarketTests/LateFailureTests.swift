import Determinism
import Economics
import MeshTypes
import Multiformats
import Receipts
import SignedObjects
import Testing

@testable import JobMarket

/// Executors that nobody waits for any more, and that say then that they failed: the job collects bids again.
@Suite("Late failures")
struct LateFailureTests {
    private static let engine = EngineDescription(name: "none", version: "0", configurationDigest: "")
    private static let failure = ExecutionOutcome.nodeFailed(reason: "restarted after its lease")

    private func world(_ executors: Int) -> MarketWorld {
        var world = MarketWorld(executors: executors) { _, configuration in
            configuration.originator.engine = Self.engine
            configuration.executor?.features = [ExecutionIdentity.feature(of: Self.engine)]
        }
        world.checksReplay = true
        world.trial = { _ in .claimRefuted(reason: "here the module ended with exit code 0") }
        return world
    }

    /// Has each executor that runs something fall silent, until all jobs of the work collect bids with so many attempts
    /// behind them.
    private func silence(_ world: inout MarketWorld, _ executors: ClosedRange<Int>, ofAttempts count: Int) {
        for index in executors { world.parties[index].run = .hang }
        let end = world.now.advanced(milliseconds: 600_000)
        var areSilent = false
        while !areSilent, world.step(until: end) {
            for index in executors where !world.parties[index].orders.isEmpty { world.parties[index].isDown = true }
            let jobs = world.parties[0].market.originatedJobs
            areSilent =
                jobs.allSatisfy { $0.phase == .bidding && $0.status != .biddingClosed }
                && jobs.reduce(0) { $0 + $1.attempts.count } == count
        }
        #expect(areSilent, "\(world.parties[0].market.originatedJobs.map { ($0.attempts.count, $0.phase) })")
    }

    /// They are back, and say that they failed.
    private func confess(_ world: inout MarketWorld, _ executors: some Sequence<Int>) {
        for index in executors {
            world.parties[index].isDown = false
            for order in world.parties[index].orders {
                world.finish(order.assignmentCID, Self.failure, fuel: 0, of: index, after: 1)
            }
        }
    }

    @Test("Two of them end no job: it is run here, and the next one that bids has it")
    func simple() throws {
        var world = world(3)
        world.parties[3].isDown = true
        let id = try world.submit()
        silence(&world, 1...2, ofAttempts: 2)
        confess(&world, 1...2)
        #expect(world.run(milliseconds: 5_000) { !$0.tried.isEmpty }, "it waits for no bid")
        let closure = world.parties[0].events.compactMap { event in
            if case .biddingClosed(let cause, _) = event.kind { cause } else { nil }
        }.last
        #expect(closure == .attemptsFailed)
        world.parties[3].isDown = false
        world.run(milliseconds: 120_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully, "\(String(describing: job.failure))")
        #expect(job.attempts.last?.assignment.executorDID == world.parties[3].identity.did)
        #expect(world.tried.count == 1 && world.totalTokens == 1_000_000)
    }

    @Test("An executor that declined uses up no attempt and counts for no failure, whatever it signs afterwards")
    func declined() throws {
        var attempts = Attempts()
        let world = world(1)
        let originator = world.parties[0].identity
        let terms = BidTerms(
            price: TokenAmount(1), basePrice: .zero, pricePerMillionFuel: .zero,
            earliestStart: UnixMilliseconds(MarketWorld.epoch), deadline: UnixMilliseconds(MarketWorld.epoch + 1))
        let body = Assignment(
            jobID: JobID(.hashing([1], codec: .dagCBOR)), originatorDID: originator.did,
            bidCID: .hashing([2], codec: .dagCBOR), executorDID: world.parties[1].identity.did, attempt: 1,
            leaseMilliseconds: 1, terms: terms, assignedAt: UnixMilliseconds(MarketWorld.epoch),
            acceptBy: UnixMilliseconds(MarketWorld.epoch + 1))
        let signed = try SignedObject.sign(body, with: originator)
        attempts.made(signed, at: UnixMilliseconds(MarketWorld.epoch))
        let end = AttemptEnd.nodeFailed(receipt: .hashing([3], codec: .dagCBOR), outcome: Self.failure)
        _ = attempts.update(signed.cid) { attempt in
            attempt.ended(.declined(code: .known(.atCapacity), reason: "full"))
            attempt.ended(end)
        }
        #expect(attempts.lastEnd == end && attempts.used(declinesMax: 16) == 0 && attempts.nodeFailures == 0)
    }

    @Test("In a quorum they end neither the node nor its jobs, whichever of them speak, and after a restart")
    func quorum() throws {
        for (choice, isOver) in [([1, 2, 3, 4], true), ([2, 4], true), ([1, 3], false)] {
            for restarts in [false, true] {
                var world = world(4)
                var request = MarketWorld.request("job")
                request.verification = .quorum(agreeing: 2, of: 2)
                let id = try world.submit(request)
                silence(&world, 1...4, ofAttempts: 4)
                confess(&world, choice)
                world.run(milliseconds: 1_000)
                if restarts { try world.restart(0) }
                world.run(milliseconds: 150_000)
                #expect(!world.tried.isEmpty, "it is looked whether it runs here")
                // Where two are silent, the time of the job goes on: one of them may still give it.
                #expect((world.job(id)?.failure != nil) == isOver, "\(choice)")
                #expect(world.totalTokens == 1_000_000)
                #expect(world.parties[0].market.ledger.escrowTotal == .zero || !isOver)
            }
        }
    }
}
