package import Determinism
package import Multiformats

/// What a node tells the DHT that it has: the roots of files that users put, and of outputs and receipts of jobs.
///
/// All of it is read from the store, page by page: at the start and every 22 hours, files first and then the newest
/// outputs and receipts, at a bounded pace. So what a restart forgot is found again, and memory does not grow with what
/// is kept. What comes meanwhile is announced when it comes, at the same pace; where outputs and receipts come faster,
/// the newest are, and the others with the next round.
package struct RootAnnouncements: Sendable {
    /// The bounds of announcing.
    package struct Limits: Sendable {
        /// Between the beginnings of two rounds, in milliseconds; records last for 48 hours.
        package var roundMilliseconds: Int64 = 22 * 3_600_000
        /// From one file to the next, in milliseconds.
        package var filePauseMilliseconds: Int64 = 100
        /// From one output or receipt to the next, in milliseconds, those of a round and those that are new taken
        /// together: two a second, 158,400 in a round.
        package var jobRootPauseMilliseconds: Int64 = 500
        /// New outputs and receipts that are announced between two looks for others.
        package var newJobRootsMax = 16
        /// Roots read from the store at once.
        package var rootsPerPageMax = 256
        /// Between two looks for new outputs and receipts, or for a server of the DHT while none is known, and the
        /// least between two rounds, in milliseconds.
        package var lookMilliseconds: Int64 = 1_000
        /// Attempts to announce one root.
        package var attemptsMax = 3

        /// The defaults.
        package init() {}
    }

    /// Something that the DHT is to be told of, in the order of coming.
    package struct Root: Sendable {
        let sequence: Int64
        let cid: CID

        /// A root at a place.
        package init(sequence: Int64, cid: CID) {
            self.sequence = sequence
            self.cid = cid
        }
    }

    /// What is to be done next.
    package enum Step: Hashable {
        /// Read the next page of roots, older than that one, and hand it over with `wasRead`.
        case read(files: Bool, before: Int64)
        /// Announce a root, unless it is repeated and the DHT repeats it by itself.
        case announce(CID, isFile: Bool, isRepeated: Bool)
        /// The round is over; the next one begins after so many milliseconds.
        case rest(milliseconds: Int64)
    }

    package let limits: Limits
    /// Rounds that came to their end.
    package private(set) var roundCount = 0
    private var beganAt: MonotonicInstant?
    private var isOver = false
    private var isAtFiles = true
    private var before = Int64.max
    private var page: ArraySlice<Root> = []
    private var fileFreeAt = MonotonicInstant.zero
    private var jobRootFreeAt = MonotonicInstant.zero

    /// Nothing was announced yet.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What is to be done now: the first round begins with the first question.
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

    /// A page of roots was read, an empty one where there are no older ones; whether the round is over with it.
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
        // A round that took longer than it may is followed by the next, yet not without a pause.
        let latest = now.advanced(milliseconds: limits.lookMilliseconds - limits.roundMilliseconds)
        beganAt = beganAt.map { max($0, latest) }
        return true
    }

    /// Takes the next place in the pace of files, or of outputs and receipts; how long it is until then.
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
