import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// Bounds on what comes in messages, and on what is remembered of them, reached.
@Suite("Bounds of messages")
struct MessageLimitTests {
    @Test func moreLateReceiptsThanAreRecordedAreRefused() throws {
        var world = MarketWorld(executors: 3) { _, configuration in configuration.limits.lateReceiptsMax = 1 }
        world.parties[1].run = .hang
        world.parties[2].run = .hang
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        // Two executors are cut off, not dead; the third delivers.
        world.blocked = [.jobStatusUpdate, .cancelJob]
        #expect(world.run(milliseconds: 30_000) { $0.job(id)?.result != nil })
        for index in 1...2 {
            let order = try #require(world.parties[index].orders.first)
            world.finish(
                order.assignmentCID, .exited(code: 0), fuel: 1_000_000, of: index, after: Int64(100 * index))
        }
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.lateReceipts == [try #require(world.parties[1].market.executedJob(id)?.receiptCID)])
        #expect(world.parties[1].market.executedJob(id)?.verdict == .late)
        let second = try #require(world.parties[2].market.executedJob(id))
        #expect(
            second.delivery
                == .refused(code: .known(.tooManyLate), reason: "more than 1 receipts came after the result"))
        #expect(second.verdict == nil)
        #expect(world.parties[0].market.counters.refusals["receipt_too_many_late"] == 1)
        #expect(world.names(of: 0).count { $0 == "late_receipt" } == 1)
        world.run(milliseconds: 1_000_000)
        #expect(world.totalTokens == 1_000_000)
    }

    @Test func anAnnouncementThatWasForgottenIsJudgedAgain() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.announcementsMax = 2
            configuration.executor?.limitsMax.timeoutSeconds = 1
        }
        for number in 0..<3 { try world.submit(MarketWorld.request("job \(number)")) }
        let announcements = world.log.compactMap { message -> MeshProtocolMessage? in
            if case .jobAnnouncement = message { message } else { nil }
        }
        #expect(announcements.count == 3)
        func judged(after numbers: [Int]) -> UInt64? {
            for number in numbers {
                let verdict = world.parties[1].market.judge(
                    announcements[number], author: world.parties[0].peer, now: world.now, wallClock: world.wallClock
                ).verdict
                #expect(verdict == .accept, "it is forwarded all the same")
            }
            return world.parties[1].market.counters.declines["limit_too_large"]
        }
        #expect(judged(after: [0, 1, 0, 1]) == 2)
        #expect(judged(after: [2]) == 3)
        #expect(judged(after: [1, 2]) == 3, "the latest two are remembered")
        #expect(judged(after: [0]) == 4, "the eldest was not")
        #expect(judged(after: [2, 0]) == 4)
        #expect(judged(after: [1]) == 5)
    }

    @Test func theEvidenceOfAJobHasOneBound() throws {
        // The job alone takes more than half: no bid can be kept.
        var full = MarketWorld(executors: 1) { _, configuration in configuration.limits.jobEvidenceBytesMax = 1_000 }
        let refused = try full.submit()
        full.run(milliseconds: 500)
        #expect(full.job(refused)?.bids.isEmpty == true)
        #expect(full.parties[0].market.counters.refusals["bid_too_many_bids"] ?? 0 >= 1)
        // Room for job, bid and assignment, and none for the receipt.
        var scarce = MarketWorld(executors: 1)
        let id = try scarce.submit()
        let isRunning = scarce.run(milliseconds: 5000) { $0.job(id)?.status == .running }
        #expect(isRunning)
        let kept = try #require(scarce.job(id)).evidenceBytes
        #expect(kept > 500 && kept < 10_000)
        scarce.parties[0].market.configuration.limits.jobEvidenceBytesMax = kept + 10
        scarce.run(milliseconds: 5000)
        #expect(scarce.job(id)?.receipt == nil)
        #expect(scarce.parties[0].market.counters.refusals["receipt_too_many"] ?? 0 >= 1)
    }

    @Test func bidsThatAreTooLong() throws {
        var world = MarketWorld(executors: 1) { index, configuration in
            if index == 0 { configuration.limits.evidenceBytesMax = 100 }
        }
        let id = try world.submit()
        world.run(milliseconds: 500)
        let reason = "the bid does not verify: longer than 100 bytes"
        #expect(world.parties[1].market.executedJob(id)?.bidEnd == .refused(code: .known(.notVerified), reason: reason))
        #expect(world.job(id)?.bids.isEmpty == true)
        #expect(world.parties[0].market.counters.refusals["bid_not_verified"] == 1)
    }

    @Test func assignmentsThatAreTooLong() throws {
        var world = MarketWorld(executors: 1)
        world.blocked = [.assignJob]
        try world.submit()
        world.run(milliseconds: 2000)
        let good = try #require(
            world.log.compactMap { message -> AssignJobV1? in
                if case .assignJob(let assignment) = message { assignment } else { nil }
            }.first)
        var body = try SignedObject<Assignment>(verifying: good.assignment).body
        body.terms.resourceGuarantees = CanonicalMap((0..<30).map { ("resource number \($0)", 1) })
        var long = good
        long.assignment = try SignedObject.sign(body, with: world.parties[0].identity).bytes
        #expect(long.assignment.count > good.bid.count)
        func reply(_ message: AssignJobV1, bytesMax: Int) -> MeshProtocolReply? {
            world.parties[1].market.configuration.limits.evidenceBytesMax = bytesMax
            return world.parties[1].market.receive(
                .assignJob(message), from: world.parties[0].peer, now: world.now, wallClock: world.wallClock
            ).reply
        }
        let bytesMax = good.bid.count
        #expect(
            reply(good, bytesMax: bytesMax - 1)
                == .declined(Refusal(.notVerified, "the bid does not verify")))
        #expect(
            reply(long, bytesMax: bytesMax)
                == .declined(Refusal(.notVerified, "the assignment does not verify")))
        #expect(
            reply(long, bytesMax: long.assignment.count)
                == .declined(Refusal(.termsChanged, "the terms are not those of the bid")))
        let cid = CID.hashing(good.assignment, codec: .dagCBOR)
        guard case .accepted(cid, .some)? = reply(good, bytesMax: bytesMax) else {
            Issue.record("not accepted, or without the executor's word")
            return
        }
    }

    @Test func settlementsThatAreTooLong() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.parties[1].market.configuration.limits.evidenceBytesMax = 100
        world.run(milliseconds: 5000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.parties[1].market.counters.refusals["settlement_not_verified"] == 1)
        #expect(world.parties[1].market.executedJob(id)?.verdict == nil)
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(world.job(id)?.notices.isEmpty == true, "it was answered, so it is not told again")
    }

    @Test func receiptsThatAreTooLong() throws {
        var world = MarketWorld(executors: 2) { index, configuration in
            configuration.originator.sufficientBids = 2
            configuration.originator.receiptMilliseconds = 1000
            if index == 0 { configuration.limits.receiptBytesMax = 100 }
        }
        world.parties[1].run = .produce
        let id = try world.submit()
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .producingOutputs })
        let order = try #require(world.parties[1].orders.first)
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1, of: 1, after: 1)
        #expect(world.run(milliseconds: 20_000) { $0.job(id)?.attempts.first?.end != nil })
        let reason = "the receipt does not verify: longer than 100 bytes"
        #expect(
            world.parties[1].market.executedJob(id)?.delivery == .refused(code: .known(.notVerified), reason: reason))
        #expect(world.job(id)?.attempts.first?.end == .receiptTimedOut, "a receipt that is not read ends nothing")
        #expect(world.parties[0].market.counters.refusals["receipt_not_verified"] == 1)
        #expect(world.job(id)?.receipt == nil)
    }

    @Test func manifestsThatAreTooLong() throws {
        var world = MarketWorld(executors: 1) { index, configuration in
            if index == 1 { configuration.limits.manifestBytesMax = 100 }
        }
        try world.submit()
        let announcement = try #require(world.log.first)
        let verdict = world.parties[1].market.judge(
            announcement, author: world.parties[0].peer, now: world.now, wallClock: world.wallClock
        ).verdict
        #expect(verdict == .reject(reason: "the manifest does not verify"))
    }

    @Test func openJobsOfAnExecutor() throws {
        var world = MarketWorld(executors: 1) { index, configuration in
            if index == 1 { configuration.limits.executedJobsMax = 2 }
        }
        world.parties[1].run = .hang
        for number in 0..<3 { try world.submit(MarketWorld.request("job \(number)")) }
        world.run(milliseconds: 500)
        #expect(world.parties[1].market.openCounts.executed == 2)
        #expect(world.parties[1].market.counters.declines["too_many_open_bids"] == 1)
    }

    @Test func pausesBetweenDeliveries() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.limits.deliveryRetryMilliseconds = 100
            configuration.limits.deliveryRetryMillisecondsMax = 350
        }
        try world.submit()
        let announcement = try #require(world.log.first)
        var transition = world.parties[1].market.judge(
            announcement, author: world.parties[0].peer, now: world.now, wallClock: world.wallClock
        ).transition
        var pauses: [Int64] = []
        for _ in 0..<5 {
            let deliveries = transition.actions.compactMap { action in
                if case .deliver(let delivery) = action { delivery.id } else { nil }
            }
            let id = try #require(deliveries.first)
            _ = world.parties[1].market.handle(
                .deliveryFailed(id, reason: "lost"), now: world.now, wallClock: world.wallClock)
            let next = try #require(world.parties[1].market.nextDeadline)
            pauses.append(next.milliseconds(since: world.now))
            world.now = next
            transition = world.parties[1].market.handle(
                .deadlineReached, now: world.now, wallClock: world.wallClock)
        }
        #expect(pauses == [100, 200, 350, 350, 350])
    }
}
