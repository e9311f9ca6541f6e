import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@Suite("The life of a job")
struct JobLifeTests {
    @Test func aJobIsBidOnRunPaidAndAnchored() throws {
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        let id = try world.submit()
        #expect(world.job(id)?.status == .pendingAnnouncement)
        let ended = world.run(milliseconds: 60_000) { $0.job(id)?.isClosed ?? false }
        #expect(ended)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.status == .receiptAnchored)
        #expect(job.bidCount == 3)
        // The cheapest executor: base price 10, and 1 per million fuel.
        #expect(job.attempts.map(\.assignment.executorDID) == [world.parties[1].identity.did])
        #expect(job.paid == TokenAmount(11))
        #expect(world.parties[0].market.ledger.wallet == TokenAmount(999_989))
        #expect(world.parties[0].market.ledger.escrowTotal == .zero)
        #expect(world.parties[1].market.ledger.wallet == TokenAmount(11))
        #expect(world.totalTokens == 1_000_000)
        #expect(
            world.names(of: 0) == [
                "submitted", "announced", "bid_received", "bid_received", "bid_received", "bidding_closed",
                "assignment_made", "assignment_confirmed", "acceptance_signed", "status_reported", "status_reported",
                "receipt_accepted", "result_reached", "settled", "anchored", "anchor_published",
                "settlement_delivered", "closed",
            ] || world.names(of: 0).suffix(3).sorted() == ["anchor_published", "closed", "settlement_delivered"])
        #expect(world.names(of: 0).count { ["result_reached", "failed", "cancelled"].contains($0) } == 1)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    @Test func theExecutorsJournalTellsItsSide() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.sufficientBids = 1
        }
        world.checksReplay = true
        let id = try world.submit()
        world.run(milliseconds: 120_000)
        let run = try #require(world.parties[1].market.executedJob(id))
        #expect(run.isClosed)
        #expect(run.status == .receiptAnchored)
        #expect(run.earned == TokenAmount(11))
        let names = world.names(of: 1)
        #expect(
            names.prefix(6) == [
                "bid_made", "assignment_accepted", "execution_started", "execution_progressed", "receipt_signed",
                "anchored",
            ])
        #expect(names.last == "closed")
        for event in world.parties[1].events + world.parties[0].events {
            #expect(!event.explanation.isEmpty)
            #expect(PlainText.isPlain(event.explanation))
        }
    }

    @Test func theSameSubmissionTwiceIsOneJob() throws {
        var world = MarketWorld(executors: 1)
        let first = try world.submit(MarketWorld.request("key"))
        let second = try world.submit(MarketWorld.request("key"))
        let third = try world.submit(MarketWorld.request("other"))
        #expect(first == second)
        #expect(first != third)
        #expect(world.names(of: 0).count { $0 == "submitted" } == 2)
    }

    @Test func aWindowWithTooFewBidsClosesAtItsEnd() throws {
        var world = MarketWorld(executors: 2)
        let id = try world.submit()
        world.run(milliseconds: 500)
        #expect(world.job(id)?.status == .biddingOpen)
        world.run(milliseconds: 600)
        #expect(world.job(id)?.attempts.count == 1)
        let closed = world.parties[0].events.compactMap { event in
            if case .biddingClosed(let cause, _) = event.kind { cause } else { nil }
        }
        #expect(closed == [.windowElapsed])
    }

    @Test func losersAreToldWhereTheyStood() throws {
        var world = MarketWorld(executors: 3)
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        let end = try #require(world.parties[3].market.executedJob(id)?.bidEnd)
        guard case .refused(.known(.otherBidTaken), let reason, _) = end else {
            Issue.record("the loser was told \(end)")
            return
        }
        #expect(reason.contains("rank 3 of 3"))
    }

    @Test func whoBidTooLateBidsAgainWhenTheWinnerWasLost() throws {
        var world = MarketWorld(executors: 2)
        world.checksReplay = true
        for index in 1...2 { world.parties[index].run = .hang }
        var policy = ExecutionPolicy()
        policy.sufficientBids = 1
        let id = try world.submit(MarketWorld.request { $0.executionPolicy = policy })
        #expect(world.run(milliseconds: 5_000) { $0.job(id)?.status == .running })
        let winner = world.parties[1].orders.isEmpty ? 2 : 1
        let late = 3 - winner
        guard case .refused(.known(.biddingClosed), _, _)? = world.parties[late].market.executedJob(id)?.bidEnd else {
            Issue.record("its bid ended by \(String(describing: world.parties[late].market.executedJob(id)?.bidEnd))")
            return
        }
        world.parties[winner].isDown = true
        world.parties[late].run = .succeed(fuel: 1_000_000)
        world.run(milliseconds: 60_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully, "\(String(describing: job.failure))")
        #expect(job.attempts.map(\.assignment.executorDID) == [winner, late].map { world.parties[$0].identity.did })
    }

    @Test func bidsThatLoseDoNotFillTheBook() throws {
        var world = MarketWorld(executors: 2) { _, configuration in
            configuration.executor?.openBidsMax = 2
            configuration.executor?.bidValidityMilliseconds = 600_000
        }
        for number in 0..<8 {
            let id = try world.submit(MarketWorld.request("\(number)"))
            world.run(milliseconds: 5000)
            #expect(world.job(id)?.bidCount == 2, "job \(number)")
        }
    }

    @Test func aUsersErrorIsFinalAndPaid() throws {
        for outcome in [
            ExecutionOutcome.trapped(kind: .unreachable, message: "unreachable"), .limitExceeded(.fuel),
            .limitExceeded(.wallClock), .exited(code: 3),
        ] {
            var world = MarketWorld(executors: 3)
            for index in 1...3 { world.parties[index].run = .end(outcome, fuel: 2_000_000) }
            let id = try world.submit()
            world.run(milliseconds: 60_000)
            let job = try #require(world.job(id))
            #expect(job.result == .failed)
            #expect(job.outcome == outcome)
            #expect(job.attempts.count == 1)
            #expect(job.paid == TokenAmount(12))
            #expect(world.totalTokens == 1_000_000)
        }
    }

    @Test func aNodesErrorIsRetriedElsewhereAndNotPaid() throws {
        var world = MarketWorld(executors: 3)
        world.checksReplay = true
        world.parties[1].run = .end(.nodeFailed(reason: "disk full"), fuel: 0)
        world.parties[2].run = .end(.fetchFailed(reason: "no provider"), fuel: 0)
        let id = try world.submit()
        world.run(milliseconds: 200_000)
        let job = try #require(world.job(id))
        #expect(job.result == .completedSuccessfully)
        #expect(job.attempts.map(\.assignment.executorDID) == (1...3).map { world.parties[$0].identity.did })
        #expect(job.paid == TokenAmount(31))
        #expect(world.parties[1].market.ledger.wallet == .zero)
        #expect(world.parties[2].market.ledger.wallet == .zero)
        let reputation = world.parties[0].market.reputation
        #expect(reputation.evidence(about: world.parties[1].identity.did).map(\.verdict) == [.abandoned])
        #expect(reputation.evidence(about: world.parties[3].identity.did).map(\.verdict) == [.fulfilled])
        #expect(job.isClosed)
    }

    @Test func aManifestTooLargeForGossipIsFetched() throws {
        var world = MarketWorld(executors: 3) { index, configuration in
            if index == 0 { configuration.originator.announcedManifestBytesMax = 10 }
        }
        let id = try world.submit()
        world.run(milliseconds: 60_000)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    private static func withFiles(_ params: inout MeshJobParams) {
        params.files = JobFiles(mounts: [JobFiles.Mount(emptyFolderAt: "/job")], workingFolder: "/job")
        params.executionPolicy = policy { $0.require(JobFiles.feature) }
    }

    private static func withNumbers(_ params: inout MeshJobParams) {
        (params.entry, params.invoke) = ("add", [WasmNumber(Int32(2))])
        params.executionPolicy = policy { $0.require(NumberCall.feature) }
    }

    @Test func anExecutorThatGivesFilesTakesAJobWithFiles() throws {
        var world = MarketWorld(executors: 2) { party, configuration in
            if party == 2 { configuration.executor?.features = [JobFiles.feature] }
        }
        let id = try world.submit(MarketWorld.request("job", Self.withFiles))
        world.run(milliseconds: 60_000)
        let receipt = try #require(world.job(id)?.receipt)
        #expect(receipt.receipt.executorDID == world.parties[2].identity.did)
        #expect(world.job(id)?.result == .completedSuccessfully)
    }

    @Test func everyExecutorThatCannotServeStaysSilentWithAReason() throws {
        let cases: [(String, (inout ExecutorConfiguration) -> Void, (inout MeshJobParams) -> Void)] = [
            ("not_accepting", { $0.acceptsJobs = false }, { _ in }),
            ("paused", { $0.ownerOrder = .pause }, { _ in }),
            ("draining", { $0.ownerOrder = .drain }, { _ in }),
            ("out_of_hours", { $0.isWithinHours = false }, { _ in }),
            ("limit_too_large", { $0.limitsMax.maxMemoryBytes = 1 << 20 }, { _ in }),
            (
                "region_not_accepted", { $0.region = "here" },
                { $0.executionPolicy = Self.policy { $0.regionFilter = ["there"] } }
            ),
            ("feature_missing", { _ in }, { $0.executionPolicy = Self.policy { $0.requiredFeatures = ["simd"] } }),
            // Executors of earlier versions do not state the feature.
            ("feature_missing", { _ in }, Self.withFiles), ("feature_missing", { _ in }, Self.withNumbers),
            (
                "feature_missing", { _ in },
                { $0.executionPolicy = Self.policy { $0.require(SessionTerms.callsFeature) } }
            ),
            (
                "limit_too_large",
                { executor in
                    executor.features = [JobFiles.feature]
                    executor.filesBytesMax = (256 << 20) - 1
                }, Self.withFiles
            ),
            ("resource_missing", { _ in }, { $0.resourcesRequired = ["memory_mib": 64] }),
            (
                "at_capacity",
                {
                    $0.concurrentRunsMax = 0
                    $0.queuedRunsMax = 0
                }, { _ in }
            ),
            ("too_many_open_bids", { $0.openBidsMax = 0 }, { _ in }),
        ]
        for (code, configure, change) in cases {
            var world = MarketWorld(executors: 1) { _, configuration in
                if var executor = configuration.executor {
                    configure(&executor)
                    configuration.executor = executor
                }
            }
            try world.submit(MarketWorld.request("job", change))
            world.run(milliseconds: 900)
            #expect(world.parties[1].market.counters.declines[code] == 1, "\(code)")
            #expect(world.parties[1].market.recentDeclines.first?.reason.code == code)
            #expect(world.names(of: 1).isEmpty)
        }
    }

    @Test func twoSpellingsOfALetterAreTwoIdempotencyKeys() throws {
        var world = MarketWorld(executors: 1)
        let first = try world.submit(MarketWorld.request("caf\u{E9}"))
        let second = try world.submit(MarketWorld.request("cafe\u{301}"))
        #expect(first != second)
        #expect(try world.submit(MarketWorld.request("caf\u{E9}")) == first)
        #expect(try world.submit(MarketWorld.request("cafe\u{301}")) == second)
        world.run(milliseconds: 60_000)
        #expect(world.job(first)?.result == .completedSuccessfully)
        #expect(world.job(second)?.result == .completedSuccessfully)
    }

    @Test func anExecutorWithoutRoomStaysSilentAndBidsAgainWhenThereIsSome() throws {
        for (state, code) in [
            (StorageState.full, "storage_full"), (.locked, "storage_locked"), (.diskFull, "disk_full"),
        ] {
            var world = MarketWorld(executors: 1) { party, configuration in
                if party > 0 { configuration.storage = state }
            }
            let id = try world.submit()
            world.run(milliseconds: 900)
            #expect(world.parties[1].market.counters.declines[code] == 1)
            #expect(world.names(of: 1).isEmpty)
            // The job is announced again, and by then there is room.
            world.parties[1].market.configuration.storage = .open
            world.run(milliseconds: 60_000)
            #expect(world.job(id)?.result == .completedSuccessfully)
        }
    }

    static func policy(_ change: (inout ExecutionPolicy) -> Void) -> ExecutionPolicy {
        var policy = ExecutionPolicy()
        change(&policy)
        return policy
    }
}
