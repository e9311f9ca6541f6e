import DequeModule
import Determinism
import MeshTypes
import SignedObjects

/// An executor's places: accepted assignments that wait, fetch, wait to run, or run.
///
/// Fetching takes no place for running, so several fetch while one runs. Originators share everything, turn by turn
/// (`FairQueue`, `ShareTable`). Events tell which job fetches and which runs; only this table knows which has all its
/// blocks, because after a restart the job looks for them again.
struct RunPlaces: Sendable {
    /// A job whose module and inputs are being fetched, then compiled.
    struct Fetch: Sendable {
        let startedAt: MonotonicInstant
        var bytes: UInt64 = 0
        /// When compiling has to end; nil before it began.
        var compilesUntil: MonotonicInstant?
        /// When it began.
        var compilesSince: MonotonicInstant?
    }

    /// Accepted assignments without a receipt.
    private(set) var accepted = ShareTable<DID>()
    /// The longest that each of them may run, in seconds, and the sum.
    private var seconds: [JobID: UInt64] = [:]
    private var secondsTotal: UInt64 = 0
    /// Those that have not begun to fetch.
    private(set) var waiting = FairQueue<DID>()
    /// Those that fetch their blocks.
    private(set) var fetches: [JobID: Fetch] = [:]
    private(set) var fetchShares = ShareTable<DID>()
    /// Those that have all their blocks and wait to run.
    private(set) var ready = FairQueue<DID>()
    /// Those that run.
    private(set) var running: Set<JobID> = []
    /// Those of them that have waited for blocks of their mounts: they take no place of another from then on. The
    /// machine has its own bound on what really runs at once.
    private(set) var parked: Set<JobID> = []
    private(set) var runShares = ShareTable<DID>()
    private var died = DeadFetches()

    // MARK: Steps of a job

    /// Notes an accepted job, which may run for so many seconds.
    mutating func accept(_ job: JobID, of owner: DID, isStranger: Bool, seconds: UInt64) {
        accepted.add(to: owner, isStranger: isStranger)
        self.seconds[job] = seconds
        secondsTotal += seconds
        waiting.append(job, of: owner)
    }

    mutating func fetch(_ job: JobID, of owner: DID, isStranger: Bool, now: MonotonicInstant) {
        leave(job, of: owner)
        fetches[job] = Fetch(startedAt: now)
        fetchShares.add(to: owner, isStranger: isStranger)
    }

    mutating func fetched(_ job: JobID, bytes: UInt64) {
        guard let before = fetches[job]?.bytes else { return }
        let (sum, overflow) = before.addingReportingOverflow(bytes)
        fetches[job]?.bytes = overflow ? .max : sum
    }

    /// `false` when it did not fetch.
    mutating func compiles(_ job: JobID, now: MonotonicInstant, until: MonotonicInstant) -> Bool {
        fetches[job]?.compilesUntil = until
        fetches[job]?.compilesSince = now
        return fetches[job] != nil
    }

    /// `false` when it did not fetch.
    mutating func prepared(_ job: JobID, of owner: DID) -> Bool {
        guard fetches[job] != nil else { return false }
        leave(job, of: owner)
        ready.append(job, of: owner)
        return true
    }

    mutating func run(_ job: JobID, of owner: DID, isStranger: Bool) {
        guard !running.contains(job) else { return }
        leave(job, of: owner)
        running.insert(job)
        runShares.add(to: owner, isStranger: isStranger)
    }

    /// Whether more take a place than there are.
    func runsMoreThan(_ configuration: ExecutorConfiguration?) -> Bool {
        running.count - parked.count > configuration?.concurrentRunsMax ?? 0
    }

    /// Frees the place of a job that waits while it runs; `false` if it has none.
    mutating func park(_ job: JobID, of owner: DID) -> Bool {
        guard running.contains(job), parked.insert(job).inserted else { return false }
        runShares.remove(from: owner)
        return true
    }

    mutating func end(_ job: JobID, of owner: DID) {
        leave(job, of: owner)
        accepted.remove(from: owner)
        secondsTotal -= seconds.removeValue(forKey: job) ?? 0
    }

    /// How long a further job waits at the most until it may run, in milliseconds: nothing while a place is free, else
    /// as if every accepted job took all the time that it may.
    func queueMilliseconds(_ configuration: ExecutorConfiguration) -> UInt64 {
        let places = max(1, configuration.concurrentRunsMax)
        return accepted.total < places ? 0 : secondsTotal * 1_000 / UInt64(places)
    }

    private mutating func leave(_ job: JobID, of owner: DID) {
        if waiting.remove(job, of: owner) || ready.remove(job, of: owner) { return }
        if fetches.removeValue(forKey: job) != nil { fetchShares.remove(from: owner) }
        if running.remove(job) != nil, parked.remove(job) == nil { runShares.remove(from: owner) }
    }

    mutating func met(_ owner: DID) {
        accepted.met(owner)
        fetchShares.met(owner)
        runShares.met(owner)
    }

    /// How far a job is that is fetched, compiled, or waits to run.
    func preparation(of job: JobID, now: MonotonicInstant) -> Preparation {
        guard let fetch = fetches[job] else { return Preparation(.waiting) }
        guard let since = fetch.compilesSince, let until = fetch.compilesUntil else {
            return Preparation(.fetching, fetchedBytes: fetch.bytes)
        }
        return Preparation(
            .compiling, compilingMilliseconds: UInt64(clamping: now.milliseconds(since: since)),
            compilingMillisecondsMax: UInt64(clamping: until.milliseconds(since: since)))
    }

    // MARK: Turns

    /// Removes and returns the next job that may fetch.
    mutating func nextToFetch(_ context: MarketContext) -> JobID? {
        let max = context.limits.fetchesMax
        let owner = waiting.owners.first { owner in
            let each = died.reduced(context.limits.fetchesPerOriginatorMax, of: owner, context)
            return fetchShares.hasRoom(
                of: owner, max: max, each: each, strangers: context.strangersMax(of: max, for: owner))
        }
        return owner.flatMap { waiting.take(of: $0) }
    }

    /// Removes and returns the next job that may run.
    mutating func nextToRun(_ configuration: ExecutorConfiguration, _ context: MarketContext) -> JobID? {
        let max = configuration.concurrentRunsMax
        let owner = ready.owners.first { owner in
            runShares.hasRoom(of: owner, max: max, each: max, strangers: context.strangersMax(of: max, for: owner))
        }
        return owner.flatMap { ready.take(of: $0) }
    }

    /// Whether all places are taken.
    func isFull(_ configuration: ExecutorConfiguration) -> Bool { accepted.total >= configuration.placesMax }

    /// Whether one more job of an originator has a place.
    func hasRoom(for owner: DID, _ configuration: ExecutorConfiguration, _ context: MarketContext) -> Bool {
        let max = configuration.placesMax
        let each = died.reduced(configuration.placesPerOriginatorMax, of: owner, context)
        return accepted.hasRoom(of: owner, max: max, each: each, strangers: context.strangersMax(of: max, for: owner))
    }

    /// Notes that the blocks of a job did not come: its originator has fewer places for a while.
    mutating func fetchDied(of owner: DID, _ context: MarketContext) { died.add(owner, context) }

    /// When the fetch of a job has to end, given the blocks so far, or its compiling.
    func fetchUntil(_ job: JobID, _ configuration: ExecutorConfiguration, _ limits: MarketLimits) -> MonotonicInstant? {
        guard let fetch = fetches[job] else { return nil }
        if let until = fetch.compilesUntil { return until }
        let seconds = fetch.bytes / max(1, limits.fetchBytesPerSecondMin)
        let earned = limits.fetchGraceMilliseconds + min(seconds, 1 << 32) * 1000
        return fetch.startedAt.advanced(
            milliseconds: Int64(clamping: min(earned, configuration.preparationMilliseconds + 5000)))
    }
}

/// How many fetches of an originator died lately; halves with time.
private struct DeadFetches: Sendable {
    private var counts: [DID: (count: Int, at: MonotonicInstant)] = [:]
    private var order = Deque<DID>()

    private func count(_ owner: DID, _ context: MarketContext) -> Int {
        guard let entry = counts[owner] else { return 0 }
        let halvings = context.now.milliseconds(since: entry.at) / Int64(context.limits.deadFetchHalfLifeMilliseconds)
        return halvings > 30 ? 0 : entry.count >> Int(max(0, halvings))
    }

    mutating func add(_ owner: DID, _ context: MarketContext) {
        let count = min(count(owner, context) + 1, 64)
        if counts.updateValue((count, context.now), forKey: owner) == nil {
            order.append(owner)
            while order.count > context.limits.deadFetchersMax, let oldest = order.popFirst() { counts[oldest] = nil }
        }
    }

    /// A share, halved for each fetch that died lately; at least one.
    func reduced(_ share: Int, of owner: DID, _ context: MarketContext) -> Int {
        min(share, max(1, share >> min(count(owner, context), 30)))
    }
}
