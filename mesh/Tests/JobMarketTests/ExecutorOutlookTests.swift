import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What an originator says about the executors that it knows, by their offers, their bids and their answers.
@Suite struct ExecutorOutlookTests {
    private static let originator = try! Identity(seed: Array(repeating: 1, count: 32))
    private static let executor = try! Identity(seed: Array(repeating: 2, count: 32))

    private func manifest(_ change: (inout MeshJobParams) -> Void) -> JobManifest {
        let params = MarketWorld.request("x", change).params
        let now = UnixMilliseconds(MarketWorld.epoch)
        return JobManifest(
            params: params, originatorDID: Self.originator.did, originatorPeerID: Self.originator.peerID,
            originatorAddresses: [], nonce: [UInt8](repeating: 0, count: 16), submittedAt: now, biddingDeadline: now,
            expiresAt: now)
    }

    private func offer(_ seed: UInt8 = 2, _ change: (inout NodeCapability) -> Void = { _ in }) -> NodeCapability {
        let identity = try! Identity(seed: Array(repeating: seed, count: 32))
        let now = UnixMilliseconds(MarketWorld.epoch)
        var offer = NodeCapability(nodeDID: identity.did, peerID: identity.peerID, issuedAt: now, validUntil: now)
        var configuration = ExecutorConfiguration()
        configuration.region = "eu"
        configuration.features = ["simd"]
        configuration.resources = [resource(.memoryMiB): 1_024]
        configuration.nodeLimits = [
            "module_bytes": 100, "module_functions": 10, "function_bytes": 50, "input_bytes": 1_000,
            "compile_seconds": 10,
        ]
        offer.describe(configuration)
        change(&offer)
        return offer
    }

    private func resource(_ type: ResourceType) -> String { type.rawValue }

    private var sizes: JobSizes {
        var sizes = JobSizes()
        sizes.moduleBytes = 101
        sizes.moduleFunctions = 11
        sizes.functionBytes = 51
        sizes.inputBytes = 1_001
        return sizes
    }

    private func obstacles(
        _ offer: NodeCapability, _ sizes: JobSizes = JobSizes(), _ change: (inout MeshJobParams) -> Void
    ) -> [Obstacle] {
        OfferJudgement(
            manifest: manifest(change), sizes: sizes, reputation: ReputationBook(),
            wallClock: UnixMilliseconds(MarketWorld.epoch)
        ).obstacles(to: offer)
    }

    private func policy(_ change: (inout ExecutionPolicy) -> Void) -> ExecutionPolicy {
        var policy = ExecutionPolicy()
        change(&policy)
        return policy
    }

    @Test("Every limit that an offer names is held against what the job asks for, and what it does not name is open")
    func everyLimit() {
        #expect(obstacles(offer()) { _ in } == [])
        let asked: [(change: (inout MeshJobParams) -> Void, obstacle: Obstacle)] = [
            ({ $0.maxMemoryBytes = 3 << 30 }, .limit(.memoryBytes, asked: 3 << 30, offered: 1 << 30)),
            ({ $0.maxFuel = 2_000_000_000_000 }, .limit(.fuel, asked: 2_000_000_000_000, offered: 1_000_000_000_000)),
            ({ $0.timeoutSeconds = 3_601 }, .limit(.timeoutSeconds, asked: 3_601, offered: 3_600)),
            ({ $0.maxOutputBytes = 1 << 30 }, .limit(.outputBytes, asked: 1 << 30, offered: 256 << 20)),
            (
                { params in
                    params.files = JobFiles()
                    params.files?.maxBytes = (1 << 30) + 1
                }, .limit(.filesBytes, asked: (1 << 30) + 1, offered: 1 << 30)
            ),
            (
                { $0.resourcesRequired = ["memory_mib": 2_048, "gpu": 1] },
                .resource("gpu", needed: 1, offered: 0)
            ),
        ]
        for (change, obstacle) in asked { #expect(obstacles(offer(), JobSizes(), change).contains(obstacle)) }
        let measured = obstacles(offer(), sizes) { _ in }
        #expect(
            measured == [
                .limit(.moduleBytes, asked: 101, offered: 100), .limit(.moduleFunctions, asked: 11, offered: 10),
                .limit(.functionBytes, asked: 51, offered: 50), .limit(.inputBytes, asked: 1_001, offered: 1_000),
            ])
        // An executor of an earlier version names none.
        #expect(obstacles(offer { $0.limits = nil }, sizes) { $0.maxMemoryBytes = 4 << 30 } == [])
    }

    @Test("Region, features, reputation and the job's own lists are held against an offer as against a bid")
    func policies() {
        let rows: [(policy: ExecutionPolicy, obstacle: Obstacle?)] = [
            (policy { $0.regionFilter = ["mars"] }, .region(asked: ["mars"], there: ["eu"])),
            (policy { $0.regionFilter = ["mars", "eu"] }, nil),
            (policy { $0.requiredFeatures = ["simd"] }, nil),
            (policy { $0.requiredFeatures = ["gpu"] }, .feature("gpu")),
            (policy { $0.minReputation = 1 }, .reputation(best: 0, min: 1)),
            (policy { $0.allowedDIDs = [Self.originator.did] }, .excluded),
            (policy { $0.allowedDIDs = [Self.executor.did] }, nil),
            (policy { $0.deniedDIDs = [Self.executor.did] }, .excluded),
        ]
        for row in rows {
            let found = obstacles(offer()) { $0.executionPolicy = row.policy }
            #expect(found == (row.obstacle.map { [$0] } ?? []), "\(row.policy)")
        }
        // Features that an offer had no room for may be there.
        let abridged = offer {
            $0.features = []
            $0.isAbridged = true
        }
        #expect(obstacles(abridged) { $0.executionPolicy = policy { $0.requiredFeatures = ["gpu"] } } == [])
    }

    private func standing(_ seed: UInt8, _ obstacles: [Obstacle], isHere: Bool = false) -> ExecutorStanding {
        ExecutorStanding(did: offer(seed).nodeDID, isHere: isHere, obstacles: obstacles)
    }

    private func memory(_ offered: UInt64) -> Obstacle {
        .limit(.memoryBytes, asked: 3 << 30, offered: offered)
    }

    @Test("Executors are counted, and what keeps them is summed up with the least that is missing")
    func sums() {
        let full = Obstacle.answered(code: "at_capacity", text: "all places and the queue are full")
        let rows: [(standings: [ExecutorStanding], text: String, advice: String?, isHopeless: Bool)] = [
            ([], "no executor is known", nil, false),
            (
                [2, 3, 4].map { standing($0, [memory(1 << 30)]) },
                "3 executors are known; all refuse: memory 3 GiB is above their limit of 1 GiB "
                    + "(executor.memory_mib on the executor's side)",
                "Ask for less with --max-memory, or raise executor.memory_mib in an executor's config.json and "
                    + "restart it.",
                true
            ),
            (
                [
                    standing(2, [memory(1 << 30)]), standing(3, [memory(2 << 30)]), standing(4, [full]),
                    standing(5, []),
                ],
                "4 executors are known; 2 refuse: memory 3 GiB is above their limits (up to 2 GiB) "
                    + "(executor.memory_mib on the executor's side); 1 cannot now: all places and the queue are full; "
                    + "1 has not bid yet",
                "Ask for less with --max-memory, or raise executor.memory_mib in an executor's config.json and "
                    + "restart it.",
                false
            ),
            (
                [standing(2, [memory(1 << 30)], isHere: true)],
                "this node is the only executor known; it refuses: memory 3 GiB is above its limit of 1 GiB "
                    + "(executor.memory_mib in this node's config.json)",
                "Ask for less with --max-memory, or raise executor.memory_mib in this node's config.json and "
                    + "restart it.",
                true
            ),
            (
                [
                    standing(2, [.region(asked: ["mars"], there: ["eu"])]),
                    standing(3, [.region(asked: ["mars"], there: [])]),
                ],
                "2 executors are known; all refuse: the region mars is asked for, and named are eu "
                    + "(region on the executor's side)",
                "Ask for another --region, or set region in an executor's config.json and restart it.", true
            ),
            (
                [standing(2, [full])],
                "1 executor is known; it cannot now: all places and the queue are full", nil, false
            ),
        ]
        for row in rows {
            let outlook = ExecutorOutlook(row.standings)
            #expect(outlook.description == row.text)
            #expect(outlook.advice == row.advice)
            #expect(outlook.isHopeless == row.isHopeless)
        }
    }

    @Test("Executors that the job's own terms exclude do not refuse it")
    func exclusions() {
        let dear = Obstacle.price(.init(cheapest: TokenAmount(80), budget: TokenAmount(1), fuel: 5))
        let asks =
            "the cheapest bid asks up to 80 tokens, above the budget of 1 (a bid's ceiling follows from "
            + "--max-fuel, here 5)"
        let unproven = Obstacle.reputation(best: 600, min: 900)
        let lacks = "reputation 900 is asked for, and the best has 600 here"
        let rows: [(obstacles: [[Obstacle]], text: String)] = [
            ([[dear], [dear], [dear]], "3 executors are known; your budget excludes all of them: \(asks)"),
            ([[dear], []], "2 executors are known; your budget excludes 1 of them: \(asks); 1 has not bid yet"),
            ([[unproven]], "1 executor is known; your least reputation excludes it: \(lacks)"),
            ([[.excluded], [.excluded]], "2 executors are known; the job's own lists exclude all of them"),
            (
                [[dear, unproven]],
                "1 executor is known; your own terms exclude it: \(asks) (1); \(lacks) (1)"
            ),
            (
                [[dear], [memory(1 << 30)]],
                "2 executors are known; none of them fits the job: memory 3 GiB is above its limit of 1 GiB "
                    + "(executor.memory_mib on the executor's side) (1); \(asks) (1)"
            ),
        ]
        for row in rows {
            let standings = row.obstacles.enumerated().map { standing(UInt8($0.offset + 2), $0.element) }
            #expect(ExecutorOutlook(standings).description == row.text)
        }
        let refusal = BidRefusal.reputationTooLow(reputation: 600, min: 900)
        #expect(refusal.description == "the reputation 600 is below the 900 that the job asks for")
    }

    @Test("Reasons always stand in the same order: those of most executors first, then what one option changes")
    func order() {
        let region = Obstacle.region(asked: ["mars"], there: ["eu"])
        let rows: [(standings: [ExecutorStanding], codes: [String])] = [
            (
                [standing(2, [region, .excluded]), standing(3, [memory(1 << 30)])],
                ["max_memory_bytes", "region_not_accepted", "bidder_not_allowed"]
            ),
            (
                [standing(2, [memory(1 << 30)]), standing(3, [.excluded, region])],
                ["max_memory_bytes", "region_not_accepted", "bidder_not_allowed"]
            ),
            (
                [standing(2, [memory(1 << 30), .late]), standing(3, [.late])],
                ["deadline_too_late", "max_memory_bytes"]
            ),
        ]
        for row in rows { #expect(ExecutorOutlook(row.standings).reasons.map(\.obstacle.code) == row.codes) }
        let bids = [
            RefusedBid(bidder: Self.executor.did, price: TokenAmount(1), refusal: .regionNotAccepted(region: nil)),
            RefusedBid(bidder: offer(2).nodeDID, price: TokenAmount(9), refusal: .bidderDenied),
            RefusedBid(bidder: offer(3).nodeDID, price: TokenAmount(8), refusal: .bidderDenied),
        ]
        #expect(bids.ranked.map(\.price.units) == [9, 8, 1])
    }

    @Test("Bids that are too dear say what budget, or how much less fuel, would do")
    func advice() {
        let dear = RefusedBid(
            bidder: Self.executor.did, price: TokenAmount(300),
            refusal: .priceTooHigh(price: TokenAmount(300), max: TokenAmount(50)), affordableFuel: 4_000_000)
        let denied = RefusedBid(bidder: offer(2).nodeDID, price: TokenAmount(9), refusal: .bidderDenied)
        #expect(
            JobFailure.noAcceptableBid(bids: 2, refusals: [dear, denied]).advice
                == "Raise --budget to 300, or lower --max-fuel to 4000000.")
        #expect(JobFailure.noAcceptableBid(bids: 2, refusals: [denied, denied, dear]).advice == nil)
        #expect(
            JobFailure.cannotHold(needed: TokenAmount(9), available: .zero).advice?.hasPrefix("Lower --max-fuel, ")
                == true)
    }

    @Test("A price says what the cheapest asks, and for how much fuel the budget would do")
    func price() throws {
        let dear = offer {
            $0.basePrice = TokenAmount(100)
            $0.pricePerMillionFuel = TokenAmount(10)
        }
        let judgement = OfferJudgement(
            manifest: manifest { params in
                params.maxFuel = 10_000_000_000
                params.maxAcceptableBidTokens = TokenAmount(600)
            }, sizes: JobSizes(), reputation: ReputationBook(), wallClock: UnixMilliseconds(MarketWorld.epoch))
        let obstacle = try #require(judgement.price(by: dear))
        let outlook = ExecutorOutlook([standing(2, [obstacle])])
        #expect(
            outlook.description
                == "1 executor is known; your budget excludes it: the cheapest bid asks up to 100,100 tokens, above "
                + "the budget of 600 (a bid's ceiling follows from --max-fuel, here 10,000,000,000)")
        #expect(outlook.advice == "Raise --budget to 100100, or lower --max-fuel to 50000000.")
        #expect(outlook.isTooDear && outlook.isHopeless)
        // The advice is right to the unit.
        for (fuel, isAffordable) in [(UInt64(50_000_000), true), (50_000_001, false)] {
            let cost = BidTerms.uncapped(
                basePrice: dear.basePrice, pricePerMillionFuel: dear.pricePerMillionFuel, fuel: fuel)
            #expect((cost <= TokenAmount(600)) == isAffordable)
        }
        #expect(
            BidTerms.affordableFuel(
                for: TokenAmount(100), basePrice: dear.basePrice, pricePerMillionFuel: dear.pricePerMillionFuel) == nil)
    }

    @Test("What others call themselves cannot disturb a line")
    func hostileText() {
        let evil = "a\u{1B}[2J\u{202E}"
        let outlook = ExecutorOutlook([
            standing(2, [.region(asked: ["mars"], there: [evil]), .answered(code: "x", text: evil)])
        ])
        #expect(!outlook.description.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{202E}" })
    }

    // MARK: What a job does about it

    private func hopeless() -> ExecutorOutlook { ExecutorOutlook([standing(2, [memory(1 << 30)])]) }

    @Test("A job that all known executors refuse ends when nobody else is to be expected, and not before")
    func patience() throws {
        for (patience, isOver) in [(nil, false), (7_000, false), (750, true)] as [(UInt64?, Bool)] {
            var world = MarketWorld(executors: 0)
            world.checksReplay = true
            let id = try world.submit()
            world.run(milliseconds: 500)
            world.give(.executorsJudged(id, hopeless(), patienceMilliseconds: patience), to: 0)
            #expect(world.job(id)?.result == nil, "the window is open")
            #expect(world.names(of: 0).last == "executors_judged")
            world.run(milliseconds: 600)
            world.give(.executorsJudged(id, hopeless(), patienceMilliseconds: patience), to: 0)
            #expect((world.job(id)?.result == .failed) == isOver, "\(String(describing: patience))")
            guard isOver else { continue }
            #expect(world.job(id)?.failure == .noExecutor(hopeless(), bids: 0))
            let told = world.parties[0].events.map(\.explanation)
            #expect(told.contains { $0.hasPrefix("1 executor is known; it refuses: memory 3 GiB") })
            #expect(told.contains { $0.hasPrefix("The job failed: no executor took the job: 1 executor is known") })
        }
    }

    @Test("Once all refuse, the owner is told for how long the job waits; that is no news by itself, and no failure")
    func wait() throws {
        var world = MarketWorld(executors: 0)
        world.checksReplay = true
        let id = try world.submit()
        world.run(milliseconds: 500)
        func judge(wait: UInt64?, patience: UInt64?) {
            var outlook = hopeless()
            outlook.waitMilliseconds = wait
            world.give(.executorsJudged(id, outlook, patienceMilliseconds: patience), to: 0)
        }
        judge(wait: 6_201, patience: nil)
        judge(wait: 6_001, patience: nil)
        world.run(milliseconds: 600)
        judge(wait: 0, patience: 750)
        #expect(world.job(id)?.failure == .noExecutor(hopeless(), bids: 0))
        let told = world.parties[0].events.map(\.explanation)
        let sentence = " The job waits up to 7 s for executors that are not known yet."
        #expect(told.count { $0.hasPrefix("1 executor is known; it refuses: ") && $0.hasSuffix(sentence) } == 1)
        #expect(told.count { $0.contains("waits up to") } == 1, "\(told)")
    }

    @Test("A wait that is over at once is not told")
    func shortWait() {
        var outlook = hopeless()
        for (milliseconds, words) in [(nil, nil), (1_499, nil), (1_500, "2 s"), (2_000, "2 s"), (7_000, "7 s")]
            as [(UInt64?, String?)]
        {
            outlook.waitMilliseconds = milliseconds
            let isTold = outlook.account.contains("waits up to")
            #expect(isTold == (words != nil))
            if let words { #expect(outlook.account.hasSuffix("up to \(words) for executors that are not known yet.")) }
        }
    }

    private func standings(
        _ world: MarketWorld, _ id: JobID, sizes: JobSizes = JobSizes(), wasKnown: Bool = false
    ) -> [ExecutorStanding] {
        world.parties[0].market.standings(
            of: id, offers: [], sizes: sizes, answers: [:], wasKnown: { _ in wasKnown })
    }

    /// Who refuses, or asks too much, and when the job ends for that.
    private enum Bidder: CaseIterable { case unwanted, stranger, known, proven }

    @Test("A job whose bids are too dear ends with its window only if a bidder is no stranger; else it waits on")
    func tooDear() throws {
        for bidder in Bidder.allCases {
            var world = MarketWorld(executors: 1)
            if bidder == .proven {
                let first = try world.submit(MarketWorld.request("first"))
                world.run(milliseconds: 20_000)
                try #require(world.job(first)?.result == .completedSuccessfully)
            }
            let isDear = bidder != .unwanted
            let id = try world.submit(
                MarketWorld.request { params in
                    params.executionPolicy = ExecutionPolicy()
                    params.executionPolicy?.minReputation = isDear ? nil : 500
                    params.maxAcceptableBidTokens = isDear ? TokenAmount(3) : nil
                })
            func judge() {
                let standings = standings(world, id, wasKnown: bidder == .known)
                let outlook = ExecutorOutlook(standings)
                #expect(outlook.isTooDear == isDear && outlook.isHopeless)
                world.give(
                    .executorsJudged(id, outlook, patienceMilliseconds: standings.patience(milliseconds: 7_000)), to: 0)
            }
            world.run(milliseconds: 900)
            judge()
            #expect(world.job(id)?.result == nil, "\(bidder): the window is open")
            world.run(milliseconds: 200)
            judge()
            let endsEarly = bidder == .known || bidder == .proven
            #expect((world.job(id)?.result == .failed) == endsEarly, "\(bidder)")
            if !endsEarly {
                world.run(milliseconds: 5_800)
                judge()
                #expect(world.job(id)?.result == nil, "\(bidder)")
                world.run(milliseconds: 200)
                judge()
            }
            guard case .noExecutor(let told, let bids)? = world.job(id)?.failure else {
                Issue.record("\(bidder): \(String(describing: world.job(id)?.failure))")
                continue
            }
            #expect(bids == 1 && told.isTooDear == isDear)
            if isDear { #expect("\(told)".contains("asks up to 20 tokens, above the budget of 3"), "\(told)") }
        }
    }

    @Test("A too dear bid of a stranger takes nobody the time to bid, and the end of the bidding says what it asked")
    func dearStranger() throws {
        var world = MarketWorld(executors: 1) { _, configuration in
            configuration.originator.biddingMilliseconds = 5_000
        }
        let id = try world.submit(MarketWorld.request { $0.maxAcceptableBidTokens = TokenAmount(3) })
        world.run(milliseconds: 2_000)
        let told = standings(world, id)
        #expect(told.patience(milliseconds: nil) == nil)
        world.give(.executorsJudged(id, ExecutorOutlook(told), patienceMilliseconds: nil), to: 0)
        world.run(milliseconds: 2_900)
        #expect(world.job(id)?.result == nil)
        world.run(milliseconds: 1_000)
        #expect(world.job(id)?.failure == .noExecutor(ExecutorOutlook(told), bids: 1))
    }

    @Test("A bid of an executor that cannot hold the module, by its own offer, is refused and counted by that limit")
    func shortage() throws {
        var sizes = JobSizes()
        sizes.moduleFunctions = 11
        let shortage = try #require(OfferedShortage(of: offer(), for: sizes))
        var world = MarketWorld(executors: 1)
        world.blocked = [.jobBid]
        let id = try world.submit()
        world.run(milliseconds: 100)
        let bid = try #require(world.log.first { $0.variant == .jobBid })
        let executor = world.parties[1].peer
        let (reply, _) = world.parties[0].market.receive(
            bid, from: executor, bidderLacking: shortage, now: world.now, wallClock: world.wallClock)
        #expect(reply == .refused(Refusal(.resourceMissing, "module_functions 10 < 11")))
        let outlook = ExecutorOutlook(standings(world, id, sizes: sizes))
        #expect(outlook.reasons.map(\.obstacle) == [.limit(.moduleFunctions, asked: 11, offered: 10)])
        let (again, _) = world.parties[0].market.receive(
            bid, from: executor, now: world.now, wallClock: world.wallClock)
        #expect(again == .ack, "it is judged by what is known of it now")
    }

    @Test("A window that the owner named runs its course, and so does one of this node's own executor")
    func ownWindow() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit(
            MarketWorld.request {
                $0.executionPolicy = ExecutionPolicy()
                $0.executionPolicy?.bidWindowMilliseconds = 15_000
            })
        world.run(milliseconds: 14_000)
        world.give(.executorsJudged(id, hopeless(), patienceMilliseconds: 750), to: 0)
        #expect(world.job(id)?.result == nil)

        var alone = MarketWorld(executors: 0) { _, configuration in
            configuration.executor = ExecutorConfiguration()
            configuration.executor?.bidsOnOwnJobs = true
        }
        let big = try alone.submit(MarketWorld.request { $0.maxMemoryBytes = 2 << 30 })
        alone.run(milliseconds: 900)
        func outlook() -> ExecutorOutlook { ExecutorOutlook(standings(alone, big)) }
        #expect(outlook().isHere && outlook().isHopeless)
        alone.run(milliseconds: 200)
        alone.give(.executorsJudged(big, outlook(), patienceMilliseconds: nil), to: 0)
        #expect(alone.job(big)?.result == nil)
        // Without a connection nobody else is to be expected.
        alone.give(.nobodyReachable, to: 0)
        guard case .noExecutor(let told, 0)? = alone.job(big)?.failure else {
            Issue.record("\(String(describing: alone.job(big)?.failure))")
            return
        }
        #expect("\(told)".contains("this node is the only executor known; it refuses: memory 2 GiB"))
    }

    @Test("The journal records a bounded number of accounts, and each only once")
    func bounded() throws {
        var world = MarketWorld(executors: 0)
        let id = try world.submit()
        world.run(milliseconds: 100)
        for offered in 1...20 {
            for _ in 0..<2 {
                let outlook = ExecutorOutlook([standing(2, [memory(UInt64(offered))])])
                world.give(.executorsJudged(id, outlook, patienceMilliseconds: nil), to: 0)
            }
        }
        #expect(world.names(of: 0).count { $0 == "executors_judged" } == MarketLimits().outlooksPerJobMax)
    }

    // MARK: Questions

    private func ask(_ world: inout MarketWorld, _ job: JobID, from peer: PeerID) -> MeshProtocolReply {
        world.parties[1].market.receive(
            .jobInquiry(JobInquiryV1(jobID: job)), from: peer, now: world.instant(of: 1),
            wallClock: world.calendar(of: 1)
        ).reply
    }

    @Test("An executor tells the originator of a job why it does not bid, and nobody else; private lists stay private")
    func answers() throws {
        let rows: [(change: (inout ExecutorConfiguration) -> Void, code: RefusalName)] = [
            ({ $0.limitsMax.maxFuel = 1 }, .limitTooLarge),
            ({ $0.deniedOriginators = [try! Identity(seed: Array(repeating: 1, count: 32)).did] }, .noOffer),
            ({ $0.openBidsMax = 0 }, .noOffer),
            (
                {
                    $0.concurrentRunsMax = 0
                    $0.queuedRunsMax = 0
                }, .atCapacity
            ),
            ({ $0.acceptsJobs = false }, .notAccepting),
        ]
        for (change, code) in rows {
            var world = MarketWorld(executors: 1) { index, configuration in
                if index == 1, var executor = configuration.executor {
                    change(&executor)
                    configuration.executor = executor
                }
            }
            let id = try world.submit()
            world.run(milliseconds: 100)
            guard case .declined(let refusal) = ask(&world, id, from: world.parties[0].peer) else {
                Issue.record("no answer for \(code)")
                continue
            }
            #expect(refusal.code == .known(code))
            #expect(!refusal.text.contains("originator"), "\(refusal.text)")
            let stranger = Identity.generate().peerID
            if code != .notAccepting {
                #expect(
                    ask(&world, id, from: stranger)
                        == .refused(Refusal(.jobUnknown, "the job has not been announced here")))
            }
        }
    }

    @Test("A denied originator gets the answer that others get, whatever keeps the executor, and so cannot tell")
    func deniedAlike() throws {
        let long = CID.hashing(Array("long".utf8), codec: .raw)
        let rows: [(change: (inout ExecutorConfiguration) -> Void, asked: (inout MeshJobParams) -> Void, RefusalName)] =
            [
                ({ $0.limitsMax.maxFuel = 1 }, { _ in }, .limitTooLarge),
                ({ $0.looksModulesUp = true }, { $0.wasmCID = long }, .moduleBeyondLimits),
                (
                    { $0.region = "eu" },
                    {
                        $0.executionPolicy = ExecutionPolicy()
                        $0.executionPolicy?.regionFilter = ["mars"]
                    }, .regionNotAccepted
                ),
                (
                    {
                        $0.concurrentRunsMax = 0
                        $0.queuedRunsMax = 0
                    }, { _ in }, .atCapacity
                ),
            ]
        for (change, asked, code) in rows {
            let answers = try [false, true].map { isDenied in
                var world = MarketWorld(executors: 1) { index, configuration in
                    guard index == 1, var executor = configuration.executor else { return }
                    change(&executor)
                    if isDenied { executor.deniedOriginators = [Self.originator.did] }
                    configuration.executor = executor
                }
                try #require(world.parties[0].identity.did == Self.originator.did)
                world.parties[1].longModules = [long]
                let id = try world.submit(MarketWorld.request("job", asked))
                world.run(milliseconds: 200)
                return ask(&world, id, from: world.parties[0].peer)
            }
            #expect(answers[0] == answers[1], "\(code)")
            guard case .declined(let refusal) = answers[0] else {
                Issue.record("no answer for \(code): \(answers[0])")
                continue
            }
            #expect(refusal.code == .known(code))
        }
    }

    @Test("One that bids says so, and one that is asked too often stops answering for a while")
    func rate() throws {
        var world = MarketWorld(executors: 1)
        let id = try world.submit()
        world.run(milliseconds: 100)
        let limits = MarketLimits()
        for _ in 0..<limits.inquiryBurstMax { #expect(ask(&world, id, from: world.parties[0].peer) == .ack) }
        guard case .refused(let refusal) = ask(&world, id, from: world.parties[0].peer) else {
            Issue.record("it still answers")
            return
        }
        #expect(refusal.code == .known(.tooManyQuestions) && refusal.blame == .none)
        world.now = world.now.advanced(milliseconds: 1_000)
        #expect(ask(&world, id, from: world.parties[0].peer) == .ack)
    }

    @Test("It remembers a bounded number of jobs that it did not bid on")
    func forgotten() throws {
        var world = MarketWorld(executors: 1) { index, configuration in
            configuration.limits.declinesToldMax = 3
            if index == 1 { configuration.executor?.limitsMax.maxFuel = 1 }
        }
        let jobs = try (0..<4).map { try world.submit(MarketWorld.request("job-\($0)")) }
        world.run(milliseconds: 100)
        let asked = world.parties[0].peer
        let known = jobs.count { job in
            if case .declined = ask(&world, job, from: asked) { true } else { false }
        }
        #expect(known == 3)
    }
}
