import Determinism
import Multiformats

/// The messages that peers promised by IHAVE and were asked for; one message per request is tracked.
struct PromiseTable: Sendable {
    private let entriesMax: Int
    private var promises: [MessageID: [PeerID: MonotonicInstant]] = [:]
    private(set) var count = 0

    init(entriesMax: Int) {
        self.entriesMax = entriesMax
    }

    /// Tracks a request, if the table has room.
    mutating func add(_ id: MessageID, by peer: PeerID, until: MonotonicInstant) {
        guard count < entriesMax, promises[id]?[peer] == nil else { return }
        promises[id, default: [:]][peer] = until
        count += 1
    }

    /// The message arrived from any peer: releases all that promised it.
    mutating func fulfilled(_ id: MessageID) {
        guard !promises.isEmpty else { return }
        count -= promises.removeValue(forKey: id)?.count ?? 0
    }

    mutating func disconnected(_ peer: PeerID) {
        for id in promises.keys where promises[id]?.removeValue(forKey: peer) != nil {
            count -= 1
            if promises[id]?.isEmpty == true { promises[id] = nil }
        }
    }

    /// Removes overdue promises; returns how many each peer broke, in the order of peers.
    mutating func takeBroken(now: MonotonicInstant) -> [(peer: PeerID, broken: Int)] {
        var broken: [PeerID: Int] = [:]
        for (id, peers) in promises {
            for (peer, until) in peers where until < now {
                broken[peer, default: 0] += 1
                promises[id]?[peer] = nil
                count -= 1
            }
            if promises[id]?.isEmpty == true { promises[id] = nil }
        }
        return broken.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    func checkInvariants() {
        precondition(count <= max(0, entriesMax), "\(count) promises of \(entriesMax)")
        precondition(promises.values.reduce(0) { $0 + $1.count } == count, "promise count is not \(count)")
    }
}
