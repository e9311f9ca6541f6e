import Determinism
import LibP2P
import MeshStore
import Multiformats

/// What a node tells the DHT that it has: the roots of files that users put, and of outputs and receipts of jobs.
///
/// All of it is read from the store, page by page: at the start and every 22 hours, files first and then the newest
/// outputs and receipts, at a bounded pace. So what a restart forgot is found again, and memory does not grow with what
/// is kept. What comes meanwhile is announced when it comes, at the same pace; where outputs and receipts come faster,
/// the newest are, and the others with the next round.
struct RootAnnouncements: Sendable {
    /// The bounds of announcing.
    struct Limits: Sendable {
        /// Between the beginnings of two rounds, in milliseconds; records last for 48 hours.
        var roundMilliseconds: Int64 = 22 * 3_600_000
        /// From one file to the next, in milliseconds.
        var filePauseMilliseconds: Int64 = 100
        /// From one output or receipt to the next, in milliseconds, those of a round and those that are new taken
        /// together: two a second, 158,400 in a round.
        var jobRootPauseMilliseconds: Int64 = 500
        /// New outputs and receipts that are announced between two looks for others.
        var newJobRootsMax = 16
        /// Roots read from the store at once.
        var rootsPerPageMax = 256
        /// Between two looks for new outputs and receipts, or for a server of the DHT while none is known, and the
        /// least between two rounds, in milliseconds.
        var lookMilliseconds: Int64 = 1_000
        /// Attempts to announce one root.
        var attemptsMax = 3
    }

    /// What is to be done next.
    enum Step: Hashable {
        /// Read the next page of roots, older than that one, and hand it over with `wasRead`.
        case read(files: Bool, before: Int64)
        /// Announce a root, unless it is repeated and the DHT repeats it by itself.
        case announce(CID, isFile: Bool, isRepeated: Bool)
        /// The round is over; the next one begins after so many milliseconds.
        case rest(milliseconds: Int64)
    }

    let limits: Limits
    /// Rounds that came to their end.
    private(set) var roundCount = 0
    private var beganAt: MonotonicInstant?
    private var isOver = false
    private var isAtFiles = true
    private var before = Int64.max
    private var page: ArraySlice<StoredRoot> = []
    private var fileFreeAt = MonotonicInstant.zero
    private var jobRootFreeAt = MonotonicInstant.zero

    /// Nothing was announced yet.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What is to be done now: the first round begins with the first question.
    mutating func next(now: MonotonicInstant) -> Step {
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
    mutating func wasRead(_ roots: [StoredRoot], now: MonotonicInstant) -> Bool {
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
    mutating func placeMilliseconds(isFile: Bool, now: MonotonicInstant) -> Int64 {
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

extension MeshNode {
    /// Tells the DHT of the files that users put, one after the other.
    func announceNewFiles() async {
        for await cid in provided { await announce(cid) }
    }

    /// Tells the DHT of everything in the store that is to be found there, round after round.
    func announceStoredRoots() async {
        while await someServerIsKnown() {
            switch rootAnnouncements.next(now: NodeClock.now) {
            case .read(let files, let before):
                let limit = limits.announcements.rootsPerPageMax
                let page = (try? await store.roots(files: files, before: before, limit: limit)) ?? []
                if rootAnnouncements.wasRead(page, now: NodeClock.now) { tally("announcement_rounds") }
            case .announce(let cid, let isFile, let isRepeated):
                // What the DHT keeps announced by itself need not be repeated.
                if isRepeated, await dht.isProviding(cid) { continue }
                guard await waitForPlace(isFile: isFile) else { return }
                await announce(cid)
            case .rest(let milliseconds):
                guard (try? await Task.sleep(for: .milliseconds(milliseconds))) != nil else { return }
            }
        }
    }

    /// Tells the DHT of outputs and receipts as they come, the newest first.
    func announceNewJobRoots() async {
        let limits = limits.announcements
        var newest = (try? await store.roots(files: false, limit: 1))?.first?.sequence ?? 0
        while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil {
            guard let page = try? await store.roots(files: false, after: newest, limit: limits.newJobRootsMax),
                let last = page.first, await someServerIsKnown()
            else { continue }
            newest = last.sequence
            for root in page {
                guard await waitForPlace(isFile: false) else { return }
                await announce(root.cid)
            }
        }
    }

    /// Waits for a place in the pace of announcements; `false` when the node stops.
    private func waitForPlace(isFile: Bool) async -> Bool {
        let wait = rootAnnouncements.placeMilliseconds(isFile: isFile, now: NodeClock.now)
        guard wait > 0 else { return true }
        return (try? await Task.sleep(for: .milliseconds(wait))) != nil
    }

    private func someServerIsKnown() async -> Bool {
        while await dht.routingTable().isEmpty {
            let pause = limits.announcements.lookMilliseconds
            guard (try? await Task.sleep(for: .milliseconds(pause))) != nil else { return false }
        }
        return true
    }

    private func announce(_ cid: CID) async {
        for attempt in 1...limits.announcements.attemptsMax {
            do {
                try await dht.provide(cid)
                return tally("roots_provided")
            } catch {
                guard attempt == limits.announcements.attemptsMax, !Task.isCancelled else {
                    guard await someServerIsKnown() else { return }
                    continue
                }
                tally("roots_not_provided")
                logger.info("A file was not announced.", metadata: ["cid": "\(cid)", "reason": "\(error)"])
            }
        }
    }

    /// Looks at what is free on the disk, and has a store that stands full look for room again: others fill the disk,
    /// and what the store keeps grows old, without anything happening here.
    func keepRoom() async {
        var isShort = false
        repeat {
            store.lookAtDisk()
            let standing = store.standing
            if case .diskFull(let freeBytes, let reserveBytes) = standing {
                if !isShort { logger.warning("\(Self.diskSentence(store.path, freeBytes, reserveBytes))") }
                isShort = true
            } else if isShort, standing == .open {
                logger.notice("The disk has room again: the node takes new work.")
                isShort = false
            }
            guard standing != .open, !store.isStuck else { continue }
            store.enqueue([], urgency: .idle) { _ in }
        } while (try? await Task.sleep(for: .milliseconds(limits.roomMilliseconds))) != nil
    }
}
