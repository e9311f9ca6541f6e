import NodeAPI
import Testing

@testable import MeshCLI

/// What `mesh run` tells while a job goes on.
@Suite struct CLIStandingTests {
    private static let near = "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXnearest"
    private static let far = "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXfarthst"
    private static let dear = "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXdearest"

    private func event(_ at: UInt64, _ phase: String, _ news: JobNews?, _ text: String = "") -> JobProgress {
        JobProgress(kind: .phase, phase: phase, text: text, at: at, news: news)
    }

    private func news(_ kind: JobNews.Kind, _ change: (inout JobNews) -> Void = { _ in }) -> JobNews {
        var news = JobNews(kind)
        change(&news)
        return news
    }

    private func bid(_ did: String, _ price: UInt64, own: Bool = false, _ refusal: String? = nil) -> JobNews {
        let bid = JobNews.Bid(bidderDID: did, isOwn: own, priceMax: price, region: own ? nil : "eu", refusal: refusal)
        return JobNews(.bid, bids: [bid])
    }

    private func offer(_ did: String, _ price: UInt64, attempt: UInt64 = 1) -> JobNews {
        news(.offer) { ($0.executorDID, $0.priceMax, $0.round) = (did, price, attempt) }
    }

    @Test func bidsStandUnderTheirBiddersTheWinnerFirst() {
        var standing = JobStanding()
        var lines = standing.received(event(1_000, "Announced", news(.announced) { $0.round = 1 }))
        lines += standing.received(
            event(1_010, "BiddingOpen", bid(Self.dear, 1_200_000, "price 1,200,000 is above 100")))
        lines += standing.received(event(1_020, "BiddingOpen", bid(Self.far, 100_075)))
        #expect(standing.now(for: .milliseconds(20)) == "waiting for bids 20 ms, 2 bids, best at most 100,075 tokens")
        lines += standing.received(event(1_030, "BiddingOpen", bid(Self.near, 80)))
        let ranking = JobNews(
            .ranking,
            bids: [.init(bidderDID: Self.near, priceMax: 80), .init(bidderDID: Self.far, priceMax: 100_075)])
        lines += standing.received(event(2_000, "BiddingClosed", ranking))
        lines += standing.received(event(2_001, "AwaitingAssignmentConfirmation", offer(Self.near, 80)))
        lines += standing.received(event(2_005, "Assigned", news(.taken)))
        #expect(
            lines == [
                "   0 ms  waiting for bids",
                "  1.0 s  3 bids, the one taken first:",
                "         …Xnearest  at most        80 tokens, region eu",
                "         …Xfarthst  at most   100,075 tokens, region eu",
                "         …Xdearest  at most 1,200,000 tokens, region eu; refused: price 1,200,000 is above 100",
                "  1.0 s  taken by …Xnearest, for at most 80 tokens",
            ])
    }

    @Test func aStartIsCalledThatUntilTheModuleRunsAndThePriceIsToldAsFarAsItIsKnown() {
        var standing = JobStanding()
        _ = standing.received(event(0, "AwaitingAssignmentConfirmation", offer(Self.near, 80_100)))
        #expect(
            standing.received(event(300, "PreparingExecution", news(.state)))
                == [" 300 ms  fetching module and inputs, compiling"])
        #expect(
            standing.now(for: .seconds(12)) == "fetching module and inputs, compiling 12.0 s, at most 80,100 tokens")
        #expect(standing.received(event(13_000, "Running", news(.state))) == [" 13.0 s  starting"])
        #expect(standing.now(for: .seconds(1)) == "starting 1.0 s, at most 80,100 tokens")
        #expect(standing.received(event(13_500, "Running", news(.state))) == [])
        let progress = JobProgress(kind: .progress, phase: "Running", text: "", at: 14_000, permille: 421)
        #expect(standing.received(progress) == [" 14.0 s  running"], "told once, when it shows")
        #expect(standing.received(progress) == [])
        #expect(standing.now(for: .seconds(1)) == "running 1.0 s, 42.1 %, at most 80,100 tokens")
        var cost = JobProgress(kind: .progress, phase: "Running", text: "", at: 14_500, news: news(.state))
        cost.news?.price = 1_200
        #expect(standing.received(cost) == [])
        #expect(
            standing.now(for: .seconds(2)) == "running 2.0 s, 42.1 %, at least 1,200, at most 80,100 tokens")
        let receipt = news(.receipt) { $0.price = 1_234 }
        #expect(
            standing.received(event(15_000, "ProducingOutputs", receipt))
                == [" 15.0 s  the receipt is here, price 1,234 tokens"])
        #expect(standing.now(for: .zero) == "fetching outputs 0 ms, 1,234 tokens")
    }

    private func preparing(_ at: UInt64, _ preparation: JobPreparation) -> JobProgress {
        var event = JobProgress(kind: .progress, phase: "PreparingExecution", text: "", at: at)
        event.preparation = preparation
        return event
    }

    @Test func fetchingCompilingAndWaitingAreToldApart() {
        var standing = JobStanding()
        _ = standing.received(event(0, "AwaitingAssignmentConfirmation", offer(Self.near, 80)))
        _ = standing.received(event(300, "PreparingExecution", news(.state)))
        #expect(standing.received(preparing(400, JobPreparation(step: "fetching", fetchedBytes: 0))) == [])
        #expect(standing.now(for: .seconds(1)) == "fetching module and inputs 1.0 s, at most 80 tokens")
        #expect(standing.received(preparing(900, JobPreparation(step: "fetching", fetchedBytes: 3 << 20))) == [])
        #expect(
            standing.now(for: .seconds(2)) == "fetching module and inputs 2.0 s, 3.00 MiB so far, at most 80 tokens")
        let stage = standing.stage
        var compiling = JobPreparation(
            step: "compiling", compilingMilliseconds: 500, compilingMillisecondsMax: 600_000)
        #expect(standing.received(preparing(5_000, compiling)) == ["  5.0 s  compiling the module"])
        #expect(standing.stage != stage, "its time is counted anew")
        #expect(
            standing.now(for: .seconds(12)) == "compiling the module 12.5 s of at most 10 min, at most 80 tokens")
        compiling.compilingMilliseconds = 9_000
        #expect(standing.received(preparing(14_000, compiling)) == [], "told once")
        #expect(standing.now(for: .seconds(9)) == "compiling the module 9.5 s of at most 10 min, at most 80 tokens")
        #expect(
            standing.received(preparing(15_000, JobPreparation(step: "waiting")))
                == [" 15.0 s  waiting for other runs to end"])
        #expect(
            standing.received(preparing(16_000, JobPreparation(step: "baking")))
                == [" 16.0 s  fetching module and inputs, compiling"], "of a later version")
        #expect(standing.received(event(17_000, "Running", news(.state))) == [" 17.0 s  starting"])
        #expect(standing.now(for: .seconds(1)) == "starting 1.0 s, at most 80 tokens")
        let endless = JobPreparation(step: "compiling", compilingMilliseconds: .max, compilingMillisecondsMax: .max)
        _ = standing.received(preparing(18_000, endless))
        #expect(standing.now(for: .seconds(1))?.hasPrefix("compiling the module ") == true, "no trap")
    }

    @Test func anotherAttemptAndAnotherRoundAreTold() {
        var standing = JobStanding()
        _ = standing.received(event(0, "AwaitingAssignmentConfirmation", offer(Self.near, 80)))
        #expect(
            standing.received(event(10, "BiddingClosed", news(.attemptEnded), "The attempt ended: it is full."))
                == ["  10 ms  The attempt ended: it is full."])
        _ = standing.received(event(20, "AwaitingAssignmentConfirmation", offer(Self.far, 90, attempt: 2)))
        #expect(
            standing.received(event(30, "Assigned", news(.taken)))
                == ["  30 ms  attempt 2, taken by …Xfarthst, for at most 90 tokens"])
        #expect(
            standing.received(event(40, "Announced", news(.announced) { $0.round = 2 }))
                == ["  40 ms  waiting for bids again, round 2"])
    }

    @Test func aJobWithoutAnAcceptableBidListsThemAtItsEnd() {
        var standing = JobStanding()
        _ = standing.received(event(0, "BiddingOpen", bid(Self.far, 100, "price 100 is above 10")))
        #expect(standing.now(for: .zero) == "waiting for bids 0 ms, 1 bid, none acceptable yet")
        let end = JobProgress(kind: .result, phase: "Failed", text: "", at: 30_000)
        #expect(
            standing.received(end) == [
                " 30.0 s  1 bid, none acceptable:",
                "         …Xfarthst  at most 100 tokens, region eu; refused: price 100 is above 10",
            ])
    }

    @Test func theNodesOwnBidAndManyBidsAreTold() {
        var standing = JobStanding()
        let own = event(0, "BiddingOpen", bid(Self.near, 5, own: true), "This node bids itself.")
        #expect(standing.received(own) == ["   0 ms  This node bids itself."])
        for number in 0..<300 { _ = standing.received(event(1, "BiddingOpen", bid("did:key:bidder\(number)", 9))) }
        let lines = standing.received(event(2, "AwaitingAssignmentConfirmation", offer(Self.near, 5)))
        #expect(lines.first == "   2 ms  301 bids, the one taken first:")
        #expect(lines[1] == "         this node  at most 5 tokens", "\(lines[1])")
        #expect(lines.count == 2 + JobStanding.bidsShownMax)
        #expect(lines.last == "         and 293 more; see mesh explain last")
        #expect(standing.received(event(3, "Assigned", news(.taken))).first?.contains("taken by this node") == true)
    }

    @Test func everyStateHasWords() {
        let states = [
            "PendingAnnouncement", "Announced", "BiddingOpen", "BiddingClosed", "AwaitingAssignmentConfirmation",
            "Assigned", "PreparingExecution", "Running", "AwaitingInputs", "ProducingOutputs", "Completed", "Failed",
            "Cancelled", "ReceiptGenerated", "ReceiptAnchored",
        ]
        for state in states { #expect(JobStanding.words(for: state).allSatisfy { !$0.isUppercase }, "\(state)") }
        #expect(JobStanding.words(for: "Later") == "Later")
    }
}

/// Offers as people see them.
@Suite struct OffersTextTests {
    private func offer(_ name: String, _ price: UInt64, _ obstacles: [String] = []) -> OfferView {
        var offer = OfferView(
            did: "did:key:z6MkvZcEntatYV3XoqugdBKNmrswsznFWpN2k7BBE1Ruv\(name)", isHere: false, obstacles: obstacles,
            basePrice: 10, pricePerMillionFuel: 2)
        offer.priceMax = price
        offer.usualPrice = price / 2
        return offer
    }

    @Test func aDescribedJobIsTablePriceAndWhatIsKnownOfItsModule() {
        let job = OffersView.Job(
            moduleCID: "x", maxFuel: 100, budget: nil, usualFuel: 4_000, pastRuns: 2, balance: 30)
        let text = OffersText(view: OffersView(offers: [offer("cA8", 40), offer("cB9", 60, ["it rests"])], job: job))
        #expect(text.table.contains("no: it rests") && text.table.contains("yes"))
        #expect(
            text.summary(job) == [
                "1 executor would run it, for at most 40 tokens; that much is held when it is assigned.",
                "2 runs of this module are known, which used 4,000 fuel (median): 20 tokens.",
                "The balance of 30 tokens does not cover that: lower --max-fuel, or see mesh wallet.",
            ])
        let left = OffersText(view: OffersView(offers: [], job: job, banned: 2)).summary(job)
        #expect(left.first?.hasPrefix("No executor is known that you did not ban.") == true)
        #expect(left.last?.hasPrefix("2 executors are left out, since you banned them: mesh peers bans") == true)
        let none = OffersText(view: OffersView(offers: [offer("cB9", 60, ["it rests"])], job: job))
        #expect(none.summary(job) == ["No executor that is known would run this job as it is."])
        #expect(
            OffersText(view: OffersView(offers: [], job: job)).summary(job).first?
                .hasPrefix("No executor is known yet.") == true)
    }
}
