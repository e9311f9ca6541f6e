import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats

/// Something that once went wrong in a mesh, played on a few nodes, with what users may rely on since. The rounds of
/// `MarketScenario` meet these only by rare chance, or make up for them otherwise.
package enum Situation: String, CaseIterable, Sendable {
    /// An originator moves while its job runs, to where it alone can dial: the receipt finds it.
    case originatorMoves = "originator-moves"
    /// A bidder moves before its assignment, and cannot dial the originator: the assignment finds it.
    case bidderMoves = "bidder-moves"
    /// The only bootstrap address is gone and all connections with it: a node finds those that it met.
    case entranceGone = "entrance-gone"
    /// Calendars are set by an hour: everything goes on as if they had not been.
    case calendarSet = "calendar-set"
    /// The chosen executor falls silent, and the others bid too late or lost: one of them gets the job within seconds.
    case executorSilent = "executor-silent"
    /// The same after all bids lapsed: those that lost bid again.
    case executorSilentLate = "executor-silent-late"
    /// A node without peers runs its own job.
    case ownJob = "own-job"
    /// A node that can run nothing and has no peers says so.
    case alone
    /// An executor is known, and has no place yet: the job waits for it.
    case executorBusy = "executor-busy"
    /// Jobs whose modules never come leave places to others.
    case flood
    /// The same by many keys, while the executor knows somebody who paid.
    case floodOfKeys = "flood-of-keys"
    /// An executor restarts before its outputs were fetched, and was dialed in vain as often as may be: it comes back
    /// to the originator, which fetches them.
    case outputsWanted = "outputs-wanted"
    /// A receipt without outputs comes while another executor runs the job: the result is the latter's.
    case outputsGone = "outputs-gone"
    /// The best executor's machine is broken: the next gets the job.
    case executorBroken = "executor-broken"
    /// All machines are broken, the originator's, too: two try.
    case executorsBroken = "executors-broken"
    /// A module crashes the engine wherever it runs: two executors try, and the job says so.
    case engineCrashes = "engine-crashes"
    /// Other jobs hold the tokens that a job needs: it waits for them.
    case tokensHeld = "tokens-held"
    /// A run that lasted longer than its lease is interrupted by a restart: it begins again.
    case longRun = "long-run"
    /// A job is cancelled while its module is fetched: the executor stops.
    case cancelled
    /// Dear bids of new keys come first: the cheap one is awaited.
    case dearBidsFirst = "dear-bids-first"
    /// Bids that nobody took leave the disk.
    case bidsUntaken = "bids-untaken"

    /// Plays it.
    package func run(seed: UInt64) throws -> MarketReport {
        if self == .calendarSet { return try calendarSet(seed: seed) }
        var mesh = try SmallMesh(seed: seed, setups)
        switch self {
        case .originatorMoves: originatorMoves(&mesh)
        case .bidderMoves: bidderMoves(&mesh)
        case .entranceGone: entranceGone(&mesh, telling: seed)
        case .executorSilent: executorSilent(&mesh)
        case .executorSilentLate: executorSilentLate(&mesh)
        case .ownJob: ownJob(&mesh)
        case .alone: alone(&mesh)
        case .executorBusy: executorBusy(&mesh)
        case .flood: flood(&mesh)
        case .floodOfKeys: floodOfKeys(&mesh)
        case .outputsWanted: outputsWanted(&mesh)
        case .outputsGone: outputsGone(&mesh)
        case .executorBroken: executorBroken(&mesh)
        case .executorsBroken: executorsBroken(&mesh)
        case .engineCrashes: engineCrashes(&mesh)
        case .tokensHeld: tokensHeld(&mesh)
        case .longRun: longRun(&mesh)
        case .cancelled: cancelled(&mesh)
        case .dearBidsFirst: dearBidsFirst(&mesh)
        case .bidsUntaken: bidsUntaken(&mesh)
        case .calendarSet: break
        }
        return mesh.end()
    }

    // MARK: Who is there

    /// The module of a flood: its blocks never come.
    static let floodModule = CID.hashing(Array("flood".utf8), codec: .raw)

    private var setups: [MarketNode.Setup] {
        let (plain, executor) = (Self.node(), Self.executor(price: 20))
        return switch self {
        case .originatorMoves, .bidderMoves, .longRun, .calendarSet:
            [plain, plain, Self.executor(price: 20, runMilliseconds: self == .longRun ? 30_000 : 3_000)]
        case .entranceGone, .bidsUntaken: [plain, plain, Self.executor(price: 10), executor]
        case .executorSilent: [plain, Self.executor(price: 10), executor]
        case .executorSilentLate: [plain, Self.executor(price: 10, runMilliseconds: 60_000), executor]
        case .ownJob: [Self.executor(price: 20) { $0.bidsOnOwnJobs = true }]
        case .alone: [plain]
        case .executorBusy:
            [
                plain,
                Self.executor(price: 20, runMilliseconds: 12_000) { ($0.concurrentRunsMax, $0.queuedRunsMax) = (1, 0) },
            ]
        case .cancelled: [plain, Self.floodable]
        case .flood, .floodOfKeys: [Self.floodable, plain, plain, plain]
        // So many that nobody who restarts dials everybody at once.
        case .outputsWanted: [plain, plain, executor] + Array(repeating: plain, count: 7)
        case .outputsGone:
            [plain, Self.executor(price: 10), Self.executor(price: 20, runMilliseconds: 15_000)].enumerated()
                .map { index, setup in
                    var setup = setup
                    setup.lostOutputPermille = index == 1 ? 1_000 : 0
                    return setup
                }
        case .executorBroken: [plain, Self.broken(price: 10), executor, Self.executor(price: 30)]
        case .executorsBroken: Self.allBroken(by: "disk full")
        case .engineCrashes: Self.allBroken(by: CrashedRun.reason("signal 11"))
        case .tokensHeld: [Self.node(grant: 120), Self.metered, Self.metered]
        case .dearBidsFirst:
            [plain, Self.executor(price: 90), Self.executor(price: 90), Self.executor(price: 90), executor]
        }
    }

    /// A node that executes nothing, and to which nothing happens by chance.
    static func node(grant: UInt64 = 1_000_000) -> MarketNode.Setup {
        var setup = MarketNode.Setup()
        setup.grant = TokenAmount(grant)
        (setup.nodeFailurePermille, setup.stalledFetchPermille) = (0, 0)
        (setup.failedLookUpPermille, setup.lostOutputPermille) = (0, 0)
        return setup
    }

    /// An executor at a fixed price.
    static func executor(
        price: UInt64, runMilliseconds: Int64 = 1_000, _ change: (inout ExecutorConfiguration) -> Void = { _ in }
    ) -> MarketNode.Setup {
        var setup = node()
        setup.runMilliseconds = runMilliseconds
        var executor = ExecutorConfiguration()
        executor.basePrice = TokenAmount(price)
        change(&executor)
        setup.market.executor = executor
        return setup
    }

    private static func broken(price: UInt64, by reason: String = "disk full") -> MarketNode.Setup {
        var setup = executor(price: price)
        setup.brokenBy = .nodeFailed(reason: reason)
        return setup
    }

    /// An originator and three executors, none of which can run anything.
    private static func allBroken(by reason: String) -> [MarketNode.Setup] {
        var originator = node()
        originator.brokenBy = .nodeFailed(reason: reason)
        return [originator] + [10, 20, 30].map { broken(price: $0, by: reason) }
    }

    /// Has six places, and never gets the module of a flood.
    private static var floodable: MarketNode.Setup {
        var setup = executor(price: 20) { ($0.concurrentRunsMax, $0.queuedRunsMax) = (1, 5) }
        setup.stalledModules = [floodModule]
        return setup
    }

    /// Takes 50 tokens at most, and at least 20 less for what the simulator's runs need.
    private static var metered: MarketNode.Setup {
        executor(price: 5) { ($0.pricePerMillionFuel, $0.priceMax) = (TokenAmount(1), TokenAmount(50)) }
    }
}
