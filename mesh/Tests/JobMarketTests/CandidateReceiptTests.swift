import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import Testing

/// Valid receipts of one job wait side by side: one whose outputs never come takes nothing from one that has them.
@Suite("Receipts side by side")
struct CandidateReceiptTests {
    /// A world in which executor 1 was silent and its attempt superseded, and executor 2 runs the job; no run ends.
    private func superseded(
        executors: Int = 2, _ configure: (inout MarketConfiguration) -> Void = { _ in }
    ) throws -> (MarketWorld, JobID) {
        var world = MarketWorld(executors: executors) { _, configuration in configure(&configuration) }
        for index in 1...executors { world.parties[index].run = .hang }
        let id = try world.submit(MarketWorld.request("job") { $0.timeoutSeconds = 100 })
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.blocked = [.jobStatusUpdate]
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.attempts.count == 2 })
        world.blocked = []
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        return (world, id)
    }

    private func finish(_ world: inout MarketWorld, _ index: Int) throws {
        let assignment = try #require(world.parties[index].orders.last?.assignmentCID)
        world.finish(assignment, .exited(code: 0), fuel: 1_000_000, of: index, after: 1)
    }

    private func receipt(_ world: MarketWorld, _ index: Int, _ id: JobID) -> CID? {
        world.parties[index].market.executedJob(id)?.receiptCID
    }

    private func expectPaid(_ world: MarketWorld, _ id: JobID, _ index: Int, _ comment: Comment? = nil) {
        #expect(world.job(id)?.result == .completedSuccessfully, comment)
        #expect(world.job(id)?.receipt?.cid == receipt(world, index, id), comment)
        #expect(world.parties[0].market.ledger.entries.count { $0.kind == .settle } == 1, comment)
        #expect(world.parties[0].market.ledger.escrowTotal == .zero, comment)
        #expect(world.totalTokens == 1_000_000, comment)
        #expect(world.job(id)?.isClosed == true, comment)
    }

    @Test func aReceiptWhoseOutputsNeverComeDoesNotDestroyTheHonestOne() throws {
        var (world, id) = try superseded()
        world.checksReplay = true
        world.withheldOutputs = [1]
        try finish(&world, 1)
        world.run(milliseconds: 10_000)
        let waiting = try #require(world.job(id))
        #expect(waiting.candidateReceipts.map(\.accepted.cid) == [receipt(world, 1, id)])
        #expect(waiting.status == .running, "the live attempt goes on")
        #expect(waiting.lateReceipts.isEmpty)
        #expect(world.parties[2].market.executedJob(id)?.stopReason == nil, "nobody told it to stop")
        try finish(&world, 2)
        world.run(milliseconds: 300_000)
        expectPaid(world, id, 2)
        #expect(world.job(id)?.lateReceipts == [try #require(receipt(world, 1, id))])
        #expect(world.parties[1].market.executedJob(id)?.verdict == .late)
        let names = world.names(of: 0)
        let result = try #require(names.firstIndex(of: "result_reached"))
        #expect(try #require(names.firstIndex(of: "late_receipt")) > result, "late exists only after the result")
        #expect(names.contains("receipt_chosen"))
    }

    @Test func theSecondMayHaveItsOutputsFirst() throws {
        var (world, id) = try superseded()
        world.checksReplay = true
        world.withheldOutputs = [1, 2]
        try finish(&world, 1)
        world.run(milliseconds: 100)
        try finish(&world, 2)
        world.run(milliseconds: 100)
        #expect(world.job(id)?.candidateReceipts.count == 2)
        #expect(throws: CancellationRefusal.resultReached) { try world.cancel(id) }
        // The outputs of the receipt that came first are here now.
        let first = try #require(receipt(world, 1, id))
        world.give(.outputsFetched(id, receipt: first, missing: []), to: 0)
        world.run(milliseconds: 300_000)
        expectPaid(world, id, 1)
        #expect(world.job(id)?.attempts.map(\.end) == [nil, .overtaken(receipt: first)])
        #expect(world.parties[2].market.executedJob(id)?.verdict == .late)
    }

    @Test func whoStillRunsTheJobIsToldToStopOnceItHasItsResult() throws {
        var (world, id) = try superseded()
        try finish(&world, 1)
        world.run(milliseconds: 1000)
        #expect(world.job(id)?.result == .completedSuccessfully)
        #expect(world.parties[2].market.executedJob(id)?.stopReason == "the job has ended")
    }

    @Test func theOutputsThatAreAwaitedLongestAreGivenUpFirst() throws {
        var (world, id) = try superseded()
        world.withheldOutputs = [1, 2]
        for index in [1, 2] {
            try finish(&world, index)
            world.run(milliseconds: 5000)
        }
        let receipts = try [1, 2].map { try #require(receipt(world, $0, id)) }
        #expect(world.job(id)?.candidateReceipts.map(\.accepted.cid) == receipts)
        // Nobody says that they are missing; their time is over.
        world.packets.removeAll { item in
            if case .input(to: 0, .outputsFetched) = item.packet { true } else { false }
        }
        #expect(world.run(milliseconds: 60_000) { $0.job(id)?.candidateReceipts.count == 1 })
        #expect(world.job(id)?.candidateReceipts.map(\.accepted.cid) == [receipts[1]])
    }

    @Test func theNextAttemptFollowsWhileAReceiptWaits() throws {
        var (world, id) = try superseded(executors: 3)
        world.checksReplay = true
        world.withheldOutputs = [1]
        try finish(&world, 1)
        world.run(milliseconds: 100)
        let live = try #require(world.parties[2].orders.last?.assignmentCID)
        world.finish(live, .nodeFailed(reason: "test"), fuel: 0, of: 2, after: 1)
        #expect(world.run(milliseconds: 5000) { $0.parties[3].orders.count == 1 }, "it is not waited for the outputs")
        try finish(&world, 3)
        world.run(milliseconds: 300_000)
        expectPaid(world, id, 3)
    }

    @Test func aJobWithoutFurtherAttemptsWaitsForTheOutputsItMayStillHave() throws {
        for comes in [true, false] {
            var (world, id) = try superseded { $0.originator.maxAttempts = 2 }
            world.checksReplay = true
            world.withheldOutputs = [1]
            try finish(&world, 1)
            world.run(milliseconds: 100)
            let live = try #require(world.parties[2].orders.last?.assignmentCID)
            world.finish(live, .nodeFailed(reason: "test"), fuel: 0, of: 2, after: 1)
            world.run(milliseconds: 30_000)
            #expect(world.job(id)?.result == nil)
            let first = try #require(receipt(world, 1, id))
            if comes {
                world.give(.outputsFetched(id, receipt: first, missing: []), to: 0)
                world.run(milliseconds: 300_000)
                expectPaid(world, id, 1)
            } else {
                world.run(milliseconds: 31_000)
                guard case .attemptsExhausted(2, .nodeFailed) = world.job(id)?.failure else {
                    Issue.record("\(String(describing: world.job(id)?.failure))")
                    continue
                }
                #expect(world.job(id)?.attempts.first?.end == .outputsMissing(receipt: first, missing: 1))
                #expect(world.parties[0].market.ledger.wallet == TokenAmount(1_000_000))
            }
        }
    }

    @Test func biddingGoesOnWhileAReceiptWaits() throws {
        var world = MarketWorld(executors: 1)
        world.checksReplay = true
        world.parties[1].run = .hang
        let id = try world.submit(MarketWorld.request("job") { $0.timeoutSeconds = 100 })
        #expect(world.run(milliseconds: 5000) { $0.job(id)?.status == .running })
        world.blocked = [.jobStatusUpdate]
        #expect(world.run(milliseconds: 15_000) { $0.job(id)?.round == 2 })
        world.withheldOutputs = [1]
        try finish(&world, 1)
        world.run(milliseconds: 1000)
        #expect(world.job(id)?.candidateReceipts.count == 1)
        #expect(world.job(id)?.phase == .bidding)
        // The bidding deadline passes first; the job waits for what it may still get, then it fails.
        world.run(milliseconds: 45_000)
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 60_000)
        guard case .attemptsExhausted(1, .outputsMissing) = world.job(id)?.failure else {
            Issue.record("\(String(describing: world.job(id)?.failure))")
            return
        }
        #expect(world.job(id)?.isClosed == true)
    }

    @Test func receiptsThatWaitAreBounded() throws {
        var (world, id) = try superseded { $0.limits.candidateReceiptsMax = 1 }
        world.checksReplay = true
        world.withheldOutputs = [1]
        try finish(&world, 1)
        world.run(milliseconds: 100)
        let first = try #require(receipt(world, 1, id))
        try finish(&world, 2)
        world.run(milliseconds: 300_000)
        #expect(world.job(id)?.attempts.first?.end == .outputsMissing(receipt: first, missing: 1))
        expectPaid(world, id, 2)
    }

    /// kill -9 of the originator at every line of its journal while two receipts wait.
    @Test func atEveryEvent() throws {
        func play(_ world: inout MarketWorld, _ id: JobID) throws {
            world.withheldOutputs = [1]
            try finish(&world, 1)
            world.run(milliseconds: 500)
            try finish(&world, 2)
        }
        var (reference, id) = try superseded()
        let start = reference.parties[0].journal.count
        try play(&reference, id)
        reference.run(milliseconds: 300_000)
        let length = reference.parties[0].journal.count
        #expect(length > start + 5)
        for count in start...length {
            var (world, id) = try superseded()
            world.withheldOutputs = [1]
            try finish(&world, 1)
            _ = world.run(milliseconds: 500) { $0.parties[0].journal.count >= count }
            if world.parties[0].journal.count < count {
                try finish(&world, 2)
                #expect(world.run(milliseconds: 300_000) { $0.parties[0].journal.count >= count })
                try world.restart(0, afterMilliseconds: 50)
            } else {
                try world.restart(0, afterMilliseconds: 50)
                try finish(&world, 2)
            }
            world.checksReplay = true
            world.run(milliseconds: 600_000)
            expectPaid(world, id, 2, "killed at line \(count)")
        }
    }
}
