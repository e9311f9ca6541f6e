import DequeModule
import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// When bids on this node's jobs came, and so how long it is worth waiting for executors that are known to be able and
/// have not bid yet (PROTOCOL.md, "Selection"). Not journalled: a restart forgets it.
///
/// An executor is waited for as long as the least of these: a part of the window, as what its bid could gain over the
/// best one is a part of `gainPermille`; a few times what its own bids took before; and half the window for each time
/// that it was waited for in vain. So nobody but an executor itself makes others wait for it less, except by a bid that
/// it could hardly beat.
struct BidTimes: Sendable {
    /// The bounds of waiting.
    struct Limits: Sendable {
        /// A gain in the score that is worth the whole window, in thousandths.
        var gainPermille: UInt64 = 250
        /// What a bid is worth that gains nothing, and may be needed if the best executor fails, in milliseconds.
        var spareMilliseconds: UInt64 = 50
        /// An executor is waited for so many times as long as its slowest bid lately took,
        var paceTimes: UInt64 = 4
        /// and at least so long by its pace, in milliseconds: messages take their time.
        var paceMillisecondsMin: UInt64 = 100
        /// A slower bid counts as one that took so long, in milliseconds.
        var paceMillisecondsMax: UInt64 = 3_600_000
        /// What is kept of it with each bid that is faster, in percent: one slow bid is forgotten in time.
        var paceKeptPercent: UInt64 = 75
        /// So many silences halve the wait at most.
        var silencesMax: UInt64 = 4
        /// Executors whose bids are remembered, and jobs whose openings are; for one more the eldest is forgotten.
        var executorsMax = 1_024
        var jobsMax = 4_096
        /// How often the time for bids of a job begins anew because executors that would bid are busy.
        var wideningsMax = 4
    }

    /// What is known of how fast an executor bids.
    struct Pace: Hashable, Sendable {
        /// The slowest of its latest bids, from the announcement on; `nil` before its first.
        var milliseconds: UInt64?
        /// How often it was waited for in vain since its last bid.
        var silences: UInt64 = 0
    }

    /// For how long an executor is waited for.
    struct Wait: Hashable, Sendable {
        let until: MonotonicInstant
        /// Whether it had at least half of the time that it may take: where its bid would be of little use it had less,
        /// and its silence says nothing.
        let isWhole: Bool
    }

    /// A job that collects bids.
    private struct Opening {
        let at: MonotonicInstant
        /// Until when each executor is waited for that is known to be able and silent.
        var awaited: [DID: Wait] = [:]
        /// Whether one that would bid said that it is busy.
        var isWanted = false
        var widenings = 0
    }

    let limits: Limits
    private var paces: [DID: Pace] = [:]
    private var executors = Deque<DID>()
    private var openings: [JobID: Opening] = [:]
    private var jobs = Deque<JobID>()

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// How many executors, and how many jobs, are remembered.
    var counts: (executors: Int, jobs: Int) { (paces.count, openings.count) }

    // MARK: Facts

    /// A round of bidding began.
    mutating func opened(_ job: JobID, now: MonotonicInstant) {
        let widenings = openings[job]?.widenings ?? 0
        if openings.updateValue(Opening(at: now, widenings: widenings), forKey: job) == nil {
            jobs.append(job)
            if jobs.count > limits.jobsMax, let eldest = jobs.popFirst() { openings[eldest] = nil }
        }
    }

    /// A bid came after the bidding was closed: its sender is slow, but not silent.
    mutating func late(from peer: PeerID, on job: JobID, now: MonotonicInstant) {
        if let executor = try? PublicKey(peerID: peer).did { bid(of: executor, on: job, now: now) }
    }

    /// A bid came.
    mutating func bid(of executor: DID, on job: JobID, now: MonotonicInstant) {
        guard let opening = openings[job] else { return }
        let took = min(UInt64(clamping: now.milliseconds(since: opening.at)), limits.paceMillisecondsMax)
        let kept = (paces[executor]?.milliseconds).map { $0 * limits.paceKeptPercent / 100 }
        set(Pace(milliseconds: max(took, kept ?? 0)), of: executor)
        openings[job]?.awaited[executor] = nil
    }

    /// An executor that is known and able said that it would bid, and cannot now.
    mutating func wouldBid(_ executor: DID, on job: JobID) {
        openings[job]?.isWanted = true
        openings[job]?.awaited[executor] = nil
    }

    /// The bidding closed: who was waited for long enough, and said nothing, is waited for less the next time.
    mutating func closed(_ job: JobID, now: MonotonicInstant) {
        guard let awaited = openings[job]?.awaited else { return }
        openings[job]?.awaited = [:]
        let silent = awaited.filter { $0.value.isWhole && $0.value.until <= now }
        for executor in silent.keys.sorted(by: { $0.text < $1.text }) {
            var pace = paces[executor] ?? Pace()
            pace.silences = min(pace.silences + 1, limits.silencesMax)
            set(pace, of: executor)
        }
    }

    private mutating func set(_ pace: Pace, of executor: DID) {
        guard paces.updateValue(pace, forKey: executor) == nil else { return }
        executors.append(executor)
        if executors.count > limits.executorsMax, let eldest = executors.popFirst() { paces[eldest] = nil }
    }

    // MARK: Rules

    /// How long an executor is waited for, from the announcement on, in milliseconds, in a window of so many.
    ///
    /// - Parameters:
    ///   - gain: by how much its bid could beat the best one, in thousandths of the score.
    ///   - isSpare: whether it is of use although it gains nothing.
    func worth(of executor: DID, gain: UInt64, isSpare: Bool = false, window: UInt64) -> UInt64 {
        Self.worth(paces[executor] ?? Pace(), gain: gain, isSpare: isSpare, window: window, limits)
    }

    /// How long one that bids as fast as this is waited for, whatever its bid could gain.
    static func patience(with pace: Pace, window: UInt64, _ limits: Limits) -> UInt64 {
        let bySilence = max(window >> pace.silences, limits.paceMillisecondsMin)
        let byPace = pace.milliseconds.map { slowest in
            max(min(slowest, limits.paceMillisecondsMax) * limits.paceTimes, limits.paceMillisecondsMin)
        }
        return min(window, bySilence, byPace ?? .max)
    }

    /// How long one that bids as fast as this is worth waiting for.
    static func worth(
        _ pace: Pace, gain: UInt64, isSpare: Bool = false, window: UInt64, _ limits: Limits
    ) -> UInt64 {
        let part = window.multipliedFullWidth(by: min(gain, limits.gainPermille))
        let byGain = gain < limits.gainPermille ? limits.gainPermille.dividingFullWidth(part).quotient : window
        let byUse = max(byGain, isSpare ? limits.spareMilliseconds : 0)
        return min(byUse, patience(with: pace, window: window, limits))
    }

    /// Takes down for how long each is waited for; returns until when the job waits.
    ///
    /// - Parameters:
    ///   - gains: executors that are known to be able and have said nothing, each with what its bid could gain.
    ///   - areSpare: whether their bids are of use although they gain nothing.
    mutating func awaits(
        _ gains: [(executor: DID, gain: UInt64)], areSpare: Bool = false, on job: JobID, window: UInt64
    ) -> MonotonicInstant? {
        guard let at = openings[job]?.at else { return nil }
        var awaited: [DID: Wait] = [:]
        for (executor, gain) in gains {
            let worth = worth(of: executor, gain: gain, isSpare: areSpare, window: window)
            let patience = Self.patience(with: paces[executor] ?? Pace(), window: window, limits)
            // Who could gain nothing is not waited for.
            guard worth > 0 else { continue }
            awaited[executor] = Wait(
                until: at.advanced(milliseconds: Int64(clamping: worth)), isWhole: worth >= patience / 2)
        }
        openings[job]?.awaited = awaited
        return awaited.values.map(\.until).max() ?? at
    }

    /// Whether a job whose time for bids is over gets as much again, because executors that would bid are busy; counts
    /// it.
    mutating func widens(_ job: JobID) -> Bool {
        guard let opening = openings[job], opening.isWanted, opening.widenings < limits.wideningsMax else {
            return false
        }
        openings[job]?.widenings += 1
        return true
    }
}
