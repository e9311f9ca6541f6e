import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket

/// What an originator says about the executors that it knows, by their offers, their bids and their answers.
@Suite struct ExecutorOutlookTests: OutlookFixtures {
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
                [standing(2, [.feature(SessionTerms.callsFeature)])],
                "1 executor is known; it refuses: the module imports session calls, and its version has none",
                "Build the module without the session calls of mesh_host_v1, for standard input and output; "
                    + "executors of this version have them: update theirs.",
                true
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

    @Test("Executors that the owner banned are told beside those that are known, and where nobody else is")
    func bans() {
        var none = ExecutorOutlook([])
        #expect(!none.isBannedAll && none.description == "no executor is known")
        none.banned = 1
        #expect(none.isBannedAll && !none.isHopeless)
        #expect(none.description == "no executor is known but the one that this node's owner banned")
        #expect(none.advice?.contains("mesh peers allow") == true)
        none.banned = 12
        #expect(none.description == "no executor is known but the 12 that this node's owner banned")
        var some = ExecutorOutlook([standing(2, [.unreachable])])
        some.banned = 2
        #expect(
            some.description
                == "1 executor is known; it cannot now: no connection to it from here lasts; it may be down, "
                + "or its owner may have banned this node; 2 more are banned by this node's owner")
        #expect(!some.isBannedAll && some.busy == 1 && some.advice?.contains("mesh peers bans") == true)
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
                == "Raise --budget to 300, or lower --max-fuel to 4000000: it is the most that "
                + "the job may cost, and only the fuel that it uses is paid.")
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
        #expect(
            outlook.advice
                == "Raise --budget to 100100, or lower --max-fuel to 50000000: it is the most that "
                + "the job may cost, and only the fuel that it uses is paid.")
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
}
