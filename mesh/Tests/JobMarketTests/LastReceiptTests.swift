import Economics
import JobMarket
import MeshTypes
import Multiformats
import Testing

/// The chain of an executor's receipts over a restart.
@Suite("The last receipt")
struct LastReceiptTests {
    @Test func aReplayOfOpenJobsDoesNotMoveTheEndOfTheChain() throws {
        var world = MarketWorld(executors: 1)
        world.parties[1].configuration.executor?.concurrentRunsMax = 2
        world.parties[1].market.configuration.executor?.concurrentRunsMax = 2
        // The one that was submitted first ends last.
        world.parties[1].run = .hang
        let slow = try world.submit(MarketWorld.request("slow"))
        try #require(world.run(milliseconds: 20_000) { $0.job(slow)?.status == .running })
        world.parties[1].run = .succeed(fuel: 1)
        let quick = try world.submit(MarketWorld.request("quick"))
        try #require(world.run(milliseconds: 9_000) { $0.job(quick)?.result == .completedSuccessfully })
        let order = try #require(world.parties[1].orders.first)
        world.finish(order.assignmentCID, .exited(code: 0), fuel: 1, of: 1, after: 1)
        try #require(world.run(milliseconds: 9_000) { $0.job(slow)?.result == .completedSuccessfully })
        let last = try #require(world.parties[1].market.executedJob(slow)?.receiptCID)
        let before = try #require(world.parties[1].market.executedJob(quick)?.receiptCID)
        #expect(world.parties[1].market.executedJob(slow)?.receipt?.previousReceiptCID == before)
        #expect(world.parties[1].market.lastReceipt == last)
        // A start reads the journals job by job, in the order of submission.
        var fresh = JobMarket(
            identity: world.parties[1].identity, configuration: world.parties[1].configuration, lastReceipt: last)
        for id in [slow, quick] {
            for event in world.parties[1].events where event.jobID == id { try fresh.replay(event) }
        }
        #expect(fresh.lastReceipt == last)
    }
}
