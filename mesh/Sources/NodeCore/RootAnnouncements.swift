package import Determinism
package import Multiformats

/// What a node announces to the DHT: the roots of files that users put, and of outputs and receipts of jobs.
///
/// It reads everything from the store, page by page, at the start and every 22 hours: files first, then the newest
/// outputs and receipts, at a bounded pace. So a restart forgets nothing, and memory does not grow with what is stored.
/// It announces new ones as they come, at the same pace; if outputs and receipts come faster, it announces the newest,
/// and the others in the next round.
package struct RootAnnouncements: Sendable {
    /// The bounds of announcing.
    package struct Limits: Sendable {
        /// The time from the start of one round to the next, in milliseconds; records last 48 hours.
        package var roundMilliseconds: Int64 = 22 * 3_600_000
        /// The time from one file to the next, in milliseconds.
        package var filePauseMilliseconds: Int64 = 100
        /// The time from one output or receipt to the next, in milliseconds, old and new together: two a second,
        /// 158,400 in a round.
        package var jobRootPauseMilliseconds: Int64 = 500
        /// New outputs and receipts announced between two checks for others.
        package var newJobRootsMax = 16
        /// Roots read from the store at once.
        package var rootsPerPageMax = 256
        /// The time between two checks for new outputs and receipts, or for a DHT server while none is known, and the
        /// shortest pause between two rounds, in milliseconds.
        package var lookMilliseconds: Int64 = 1_000
        /// Attempts to announce one root.
        package var attemptsMax = 3

        /// The defaults.
        package init() {}
    }

    /// Something to announce to the DHT, in the order of arrival.
    package struct Root: Sendable {
        let sequence: Int64
        let cid: CID

        /// A root at a place.
        package init(sequence: Int64, cid: CID) {
            self.sequence = sequence
            self.cid = cid
        }
    }

    /// What to do next.
    package enum Step: Hashable {
        /// Read the next page of roots, older than this one, and report it with `wasRead`.
        case read(files: Bool, before: Int64)
        /// Announce a root, unless it is a repetition that the DHT makes by itself.
        case announce(CID, isFile: Bool, isRepeated: Bool)
        /// The round is over; the next one begins after this many milliseconds.
        case rest(milliseconds: Int64)
    }

    /// The bounds of a round.
    package let limits: Limits
    /// Completed rounds.
    package private(set) var roundCount = 0
    private var beganAt: MonotonicInstant?
    private var isOver = false
    private var isAtFiles = true
    private var before = Int64.max
    private var page: ArraySlice<Root> = []
    private var fileFreeAt = MonotonicInstant.zero
    private var jobRootFreeAt = MonotonicInstant.zero

    /// A node that has announced nothing yet.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What to do now; the first call begins the first round.
    package mutating func next(now: MonotonicInstant) -> Step {
        let began = beganAt ?? now
        beganAt = began
        if isOver {
            let rest = limits.roundMilliseconds - now.milliseconds(since: began)
            guard rest <= 0 else { return .rest(milliseconds: rest) }
            beganAt = now
            isOver = false
        }
        guard let root = page.popFirst() else { return .read(files: isAtFiles, before: before) }
        return .announce(root.cid, isFile: isAtFiles, isRepeated: roundCount > 0)
    }

    /// Takes in a page of roots, empty if there are no older ones; returns whether it ends the round.
    package mutating func wasRead(_ roots: [Root], now: MonotonicInstant) -> Bool {
        page = roots[...]
        if let oldest = roots.last {
            before = oldest.sequence
            return false
        }
        before = .max
        isAtFiles.toggle()
        guard isAtFiles else { return false }
        roundCount += 1
        isOver = true
        // The next round follows one that took too long, but not without a pause.
        let latest = now.advanced(milliseconds: limits.lookMilliseconds - limits.roundMilliseconds)
        beganAt = beganAt.map { max($0, latest) }
        return true
    }

    /// Reserves the next slot of files, or of outputs and receipts; returns how long it is until then.
    package mutating func placeMilliseconds(isFile: Bool, now: MonotonicInstant) -> Int64 {
        let at = max(now, isFile ? fileFreeAt : jobRootFreeAt)
        let pause = isFile ? limits.filePauseMilliseconds : limits.jobRootPauseMilliseconds
        if isFile {
            fileFreeAt = at.advanced(milliseconds: pause)
        } else {
            jobRootFreeAt = at.advanced(milliseconds: pause)
        }
        return at.milliseconds(since: now)
    }
}
