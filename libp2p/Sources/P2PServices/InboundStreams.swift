import Determinism
import LibP2P
import Multiformats
import OrderedCollections

/// The streams that peers opened to one service, bounded per peer and in total, without silent ones.
struct InboundStreams {
    private struct Entry {
        let stream: any PeerStream
        var activeAt: MonotonicInstant
    }

    private let perPeerMax: Int
    private let inAllMax: Int
    private var entries: OrderedDictionary<UInt64, Entry> = [:]
    private var nextID: UInt64 = 0

    init(perPeerMax: Int, inAllMax: Int) {
        self.perPeerMax = perPeerMax
        self.inAllMax = inAllMax
    }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// A place for one more stream; `nil` at a limit, which is counted.
    mutating func admit(
        _ stream: any PeerStream, now: MonotonicInstant, counters: inout ServiceStreamCounters
    ) -> UInt64? {
        if entries.values.count(where: { $0.stream.remotePeer == stream.remotePeer }) >= perPeerMax {
            counters.refusedPerPeer += 1
            return nil
        }
        if entries.count >= inAllMax {
            counters.refusedInAll += 1
            return nil
        }
        nextID += 1
        entries[nextID] = Entry(stream: stream, activeAt: now)
        return nextID
    }

    /// Notes that a message came on the stream.
    mutating func wasActive(_ id: UInt64, now: MonotonicInstant) { entries[id]?.activeAt = now }

    /// Frees the place of a stream that ended.
    mutating func remove(_ id: UInt64) { entries.removeValue(forKey: id) }

    /// Removes and counts those that were silent for longer than this, for the caller to reset.
    mutating func takeSilent(
        milliseconds: Int64, now: MonotonicInstant, counters: inout ServiceStreamCounters
    ) -> [any PeerStream] {
        let silent = entries.filter { now.milliseconds(since: $0.value.activeAt) > milliseconds }
        for id in silent.keys { entries.removeValue(forKey: id) }
        counters.inboundIdle += silent.count
        return silent.values.map(\.stream)
    }
}
