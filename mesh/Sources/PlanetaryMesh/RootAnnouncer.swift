import LibP2P
import Logging
import MeshStore
import Multiformats
import NodeCore
import P2PServices

/// Announces to the DHT what this node has, as `RootAnnouncements` decides.
actor RootAnnouncer {
    /// Files that wait to be announced to the DHT; a further one is announced in the next round.
    static let filesToAnnounceMax = 1_024
    /// Roots of results that are private yet and wait for that to end; of more the next round takes care.
    static let privateRootsMax = 4_096

    private let parts: NodeParts
    /// What this node offers as an executor, as keys.
    private let offer: [CID]
    private let limits: RootAnnouncements.Limits
    private var announcements: RootAnnouncements
    private let files: AsyncStream<CID>
    private let filesIn: AsyncStream<CID>.Continuation

    init(parts: NodeParts, offer: [CID] = [], limits: RootAnnouncements.Limits = RootAnnouncements.Limits()) {
        self.parts = parts
        self.offer = offer
        self.limits = limits
        announcements = RootAnnouncements(limits: limits)
        (files, filesIn) = AsyncStream.makeStream(
            of: CID.self, bufferingPolicy: .bufferingOldest(Self.filesToAnnounceMax))
    }

    /// Announces a file that was added, soon.
    nonisolated func added(_ root: CID) { filesIn.yield(root) }

    /// Announces until the node stops.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { for await cid in self.files { await self.announce(cid) } }
            group.addTask { await self.announceOffer() }
            group.addTask { await self.announceStoredRoots() }
            group.addTask { await self.announceNewJobRoots() }
        }
    }

    /// Announces everything in the store that others may look for, round after round.
    private func announceStoredRoots() async {
        while await someServerIsKnown() {
            switch announcements.next(now: NodeClock.now) {
            case .read(let files, let before):
                let page = try? await parts.store.roots(files: files, before: before, limit: limits.rootsPerPageMax)
                if announcements.wasRead(page?.map(\.place) ?? [], now: NodeClock.now) {
                    parts.tallies.add("announcement_rounds")
                }
            case .announce(let cid, let isFile, let isRepeated):
                if await isPrivate(cid) { continue }
                // What the DHT announces again by itself needs no repetition.
                if isRepeated, await parts.dht.isProviding(cid) { continue }
                guard await waitForPlace(isFile: isFile) else { return }
                await announce(cid)
            case .rest(let milliseconds):
                guard (try? await Task.sleep(for: .milliseconds(milliseconds))) != nil else { return }
            }
        }
    }

    /// Announces what this node offers, once: the DHT announces it again by itself as long as the node runs.
    private func announceOffer() async {
        for key in offer {
            guard await someServerIsKnown() else { return }
            await announce(key)
        }
    }

    /// Announces outputs and receipts as they come, the newest first.
    private func announceNewJobRoots() async {
        var newest = (try? await parts.store.roots(files: false, limit: 1))?.first?.sequence ?? 0
        var hidden: [CID] = []
        while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil {
            let page = (try? await parts.store.roots(files: false, after: newest, limit: limits.newJobRootsMax)) ?? []
            newest = page.first?.sequence ?? newest
            let waiting = page.map(\.cid) + hidden
            hidden = []
            for cid in waiting {
                if await isPrivate(cid) {
                    if hidden.count < Self.privateRootsMax { hidden.append(cid) }
                    continue
                }
                guard await someServerIsKnown(), await waitForPlace(isFile: false) else { return }
                await announce(cid)
            }
        }
    }

    private func isPrivate(_ root: CID) async -> Bool { await parts.results.hides(root, in: parts.store) }

    /// Waits for the next slot of announcements; `false` if the node stops.
    private func waitForPlace(isFile: Bool) async -> Bool {
        let wait = announcements.placeMilliseconds(isFile: isFile, now: NodeClock.now)
        guard wait > 0 else { return true }
        return (try? await Task.sleep(for: .milliseconds(wait))) != nil
    }

    private func someServerIsKnown() async -> Bool {
        while await parts.dht.routingTable().isEmpty {
            guard (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil else { return false }
        }
        return true
    }

    private func announce(_ cid: CID) async {
        for attempt in 1...limits.attemptsMax {
            do {
                try await parts.dht.provide(cid)
                return parts.tallies.add("roots_provided")
            } catch {
                guard attempt == limits.attemptsMax, !Task.isCancelled else {
                    guard await someServerIsKnown() else { return }
                    continue
                }
                parts.tallies.add("roots_not_provided")
                parts.logger.info(
                    "A file was not announced.", metadata: ["cid": "\(cid)", "reason": "\(error)"])
            }
        }
    }
}

extension StoredRoot {
    /// A root, as the announcements take it.
    fileprivate var place: RootAnnouncements.Root { RootAnnouncements.Root(sequence: sequence, cid: cid) }
}
