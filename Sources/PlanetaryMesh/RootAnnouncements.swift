import MeshStore
import Multiformats
import Swarm

/// What a node tells the DHT that it has: the roots of files that users put, and of outputs and receipts of jobs.
///
/// All of it is read from the store, page by page: after the start and every 22 hours, files first and then the newest
/// outputs and receipts, at a bounded pace. So what a restart forgot is found again, and memory does not grow with what
/// is kept. What comes meanwhile is announced when it comes; where outputs and receipts come faster than the pace, the
/// newest are, and the others with the next round.
enum RootAnnouncements {
    /// The bounds of announcing.
    struct Limits: Sendable {
        /// Between the beginnings of two rounds, in milliseconds; records last for 48 hours.
        var roundMilliseconds: Int64 = 22 * 3_600_000
        /// After each file, in milliseconds.
        var filePauseMilliseconds: Int64 = 100
        /// After each output or receipt, in milliseconds: at most 158,400 of them in a round.
        var jobRootPauseMilliseconds: Int64 = 500
        /// New outputs and receipts that are announced between two looks for others.
        var newJobRootsMax = 16
        /// Roots read from the store at once.
        var rootsPerPageMax = 256
        /// Between two looks for new outputs and receipts, or for a server of the DHT while none is known, in
        /// milliseconds.
        var lookMilliseconds: Int64 = 1_000
        /// Attempts to announce one root.
        var attemptsMax = 3
    }
}

extension MeshNode {
    /// Tells the DHT of the files that users put, one after the other.
    func announceNewFiles() async {
        for await cid in provided { await announce(cid) }
    }

    /// Tells the DHT of everything in the store that is to be found there, round after round.
    func announceStoredRoots() async {
        let limits = limits.announcements
        var round = 0
        while await someServerIsKnown() {
            let beginning = NodeClock.now
            for isOfFiles in [true, false] {
                let pause = isOfFiles ? limits.filePauseMilliseconds : limits.jobRootPauseMilliseconds
                var last = Int64.max
                while let page = try? await store.roots(files: isOfFiles, before: last, limit: limits.rootsPerPageMax),
                    let end = page.last
                {
                    last = end.sequence
                    for root in page {
                        // What the DHT keeps announced by itself need not be repeated.
                        if round > 0, await dht.isProviding(root.cid) { continue }
                        await announce(root.cid)
                        guard (try? await Task.sleep(for: .milliseconds(pause))) != nil else { return }
                    }
                }
            }
            round += 1
            tally("announcement_rounds")
            let rest = limits.roundMilliseconds - NodeClock.now.milliseconds(since: beginning)
            guard (try? await Task.sleep(for: .milliseconds(max(rest, limits.lookMilliseconds)))) != nil else { return }
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
                await announce(root.cid)
                guard (try? await Task.sleep(for: .milliseconds(limits.jobRootPauseMilliseconds))) != nil else {
                    return
                }
            }
        }
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

    /// Has a store that stands full look for room again, since what it keeps grows old without anything happening.
    func keepRoom() async {
        while (try? await Task.sleep(for: .milliseconds(limits.roomMilliseconds))) != nil {
            guard case .full = store.standing else { continue }
            store.enqueue([], isUrgent: false) { _ in }
        }
    }
}
