import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// The market forgets closed jobs, and the book with them; what was booked stays booked, once.
@Suite("Forgotten jobs")
struct JobForgettingTests {
    private static let remembered = 3

    /// A world in which many more jobs ran than are remembered.
    private func world(jobs: Int) throws -> (MarketWorld, [JobID]) {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.originator.sufficientBids = 2
            // The cheaper one is asked first, whatever it did.
            configuration.originator.failedExecutorMilliseconds = 0
            configuration.limits.closedJobsMax = Self.remembered
            configuration.limits.closedBidsMax = 0
        }
        var ids: [JobID] = []
        for number in 0..<jobs {
            // Every third job ends by the failure of the cheaper executor on the dearer one.
            let failure = FakeRun.end(.nodeFailed(reason: "test"), fuel: 0)
            world.parties[1].run = number % 3 == 0 ? failure : .succeed(fuel: 900_000)
            ids.append(try world.submit(MarketWorld.request("job \(number)")))
            world.run(milliseconds: 20_000)
            #expect(world.job(ids[number])?.result == .completedSuccessfully)
            for index in world.parties.indices { world.expectSameAfterReplay(index) }
        }
        world.run(milliseconds: 1_000_000)
        for index in world.parties.indices { world.expectSameAfterReplay(index) }
        return (world, ids)
    }

    @Test func entriesHeldStayBoundedAndBalancesAreWhatTheJobsCost() throws {
        let (world, ids) = try world(jobs: Self.remembered + 12)
        for party in world.parties {
            #expect(party.market.originatedJobs.count + party.market.executedJobs.count <= Self.remembered)
            // A job has at most two holds here, a settlement and a refund; the grant is of no job.
            #expect(party.market.ledger.entryCount <= 4 * Self.remembered + 1)
        }
        #expect(world.job(ids[0]) == nil)
        let booked = world.parties.map { $0.events.flatMap(\.ledger) }
        #expect(booked[0].count > 3 * ids.count)
        // The same as a book that keeps everything.
        for (party, entries) in zip(world.parties, booked) {
            let whole = try Ledger(entries: party.grants + entries)
            #expect(party.market.ledger.accounts.map(\.account) == whole.accounts.map(\.account))
            #expect(party.market.ledger.accounts.map(\.balance) == whole.accounts.map(\.balance))
        }
        #expect(world.totalTokens == 1_000_000)
        #expect(world.parties[0].market.ledger.escrowTotal == .zero)
    }

    @Test func nothingAboutAForgottenJobIsBookedAgain() throws {
        var (world, ids) = try world(jobs: Self.remembered + 5)
        let before = world.parties.map(\.market.ledger)
        var codes: Set<String> = []
        let forgotten = Set(ids.filter { world.job($0) == nil })
        #expect(forgotten.count == 5)
        for message in Set(world.log) {
            guard let job = Self.job(of: message), forgotten.contains(job) else { continue }
            for receiver in world.addressee(of: message) == 0 ? [0] : [1, 2] {
                guard receiver == 0 || world.parties[receiver].market.executedJob(job) == nil else { continue }
                for sender in world.parties.indices where sender != receiver {
                    let (reply, transition) = world.parties[receiver].market.receive(
                        message, from: world.parties[sender].peer, now: world.now, wallClock: world.wallClock)
                    #expect(transition.events.isEmpty, "\(message.variant)")
                    let name = message.variant.rawValue
                    switch reply {
                    case .refused(let refusal), .declined(let refusal): codes.insert("\(name) \(refusal.code)")
                    default: Issue.record("\(name): \(String(describing: reply))")
                    }
                }
            }
        }
        #expect(
            codes.isSuperset(of: [
                "JobSettledV1 receipt_unknown", "ExecutionReceiptAvailableV1 job_unknown", "JobBidV1 job_not_open",
                "AssignJobV1 expired", "JobStatusUpdateV1 assignment_unknown",
            ]), "\(codes)")
        #expect(world.parties.map(\.market.ledger) == before)
    }

    @Test func anEventOfAForgottenJobIsRefusedBeforeItsEntriesAreBooked() throws {
        // The dearer executor runs every third of them.
        var (world, _) = try world(jobs: 3 * Self.remembered + 1)
        for index in world.parties.indices {
            let before = world.parties[index].market.ledger
            var refused = 0
            for event in world.parties[index].events where !event.ledger.isEmpty {
                let isKnown =
                    event.role == .originator
                    ? world.parties[index].market.originatedJob(event.jobID) != nil
                    : world.parties[index].market.executedJob(event.jobID) != nil
                if isKnown { continue }
                #expect(throws: JobEventError.jobUnknown(event: event.kindName)) {
                    try world.parties[index].market.replay(event)
                }
                refused += 1
            }
            #expect(refused > 0)
            #expect(world.parties[index].market.ledger == before)
        }
    }

    @Test func aSettlementThatCannotBeBookedIsRefused() throws {
        var world = MarketWorld(executors: 1)
        let grant = try world.parties[1].market.grant(Ledger.broughtMax, reference: "all", wallClock: world.wallClock)
        world.parties[1].grants = [try #require(grant)]
        let id = try world.submit()
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.parties[1].market.counters.refusals["settlement_not_bookable"] == 1)
        #expect(world.parties[1].market.executedJob(id)?.verdict == nil)
        #expect(world.parties[1].market.ledger.earned == .zero)
    }

    private static func job(of message: MeshProtocolMessage) -> JobID? {
        switch message {
        case .jobBid(let bid): bid.bid.jobID
        case .assignJob(let assignment): JobID(CID.hashing(assignment.manifest, codec: .dagCBOR))
        case .jobStatusUpdate(let update): update.jobID
        case .executionReceiptAvailable(let notice): notice.jobID
        case .jobSettled(let notice):
            (try? SignedObject<Settlement>(verifying: notice.settlement)).map(\.body.jobID)
        default: nil
        }
    }
}
