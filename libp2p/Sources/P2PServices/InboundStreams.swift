import DequeModule
import Determinism
import LibP2P
import Multiformats
import OrderedCollections

/// The streams that peers opened to one service, bounded per peer and in total, without silent ones.
///
/// A stream past its peer's bound is refused, or waits unread until another of the peer's ends (`wait`); the peer can
/// send no more than the stream's window meanwhile.
struct InboundStreams {
    /// The place of a stream that waited; ends without one if the waiting task is cancelled.
    typealias Turn = AsyncStream<UInt64>

    private struct Waiter {
        let stream: any PeerStream
        let turn: Turn.Continuation
    }

    private struct Entry {
        let stream: any PeerStream
        var activeAt: MonotonicInstant
    }

    private let perPeerMax: Int
    private let inAllMax: Int
    private let waitingPerPeerMax: Int
    private var waiters: [PeerID: Deque<Waiter>] = [:]
    private var entries: OrderedDictionary<UInt64, Entry> = [:]
    private var nextID: UInt64 = 0

    init(perPeerMax: Int, inAllMax: Int, waitingPerPeerMax: Int = 0) {
        self.perPeerMax = perPeerMax
        self.inAllMax = inAllMax
        self.waitingPerPeerMax = waitingPerPeerMax
    }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// A place for one more stream; `nil` at a limit, which is counted.
    mutating func admit(
        _ stream: any PeerStream, now: MonotonicInstant, counters: inout ServiceStreamCounters
    ) -> UInt64? {
        if count(of: stream.remotePeer) >= perPeerMax {
            counters.refusedPerPeer += 1
            return nil
        }
        if entries.count >= inAllMax {
            counters.refusedInAll += 1
            return nil
        }
        return enter(stream, now: now)
    }

    /// The turn of a stream whose peer has as many as are read at once; `nil` if it has not, or if as many of its
    /// streams wait as may.
    mutating func wait(_ stream: any PeerStream) -> Turn? {
        let peer = stream.remotePeer
        guard count(of: peer) >= perPeerMax, waiters[peer]?.count ?? 0 < waitingPerPeerMax else { return nil }
        let (turn, input) = Turn.makeStream(bufferingPolicy: .bufferingNewest(1))
        waiters[peer, default: []].append(Waiter(stream: stream, turn: input))
        return turn
    }

    /// Streams of a peer that wait for their turn.
    func waitingCount(of peer: PeerID) -> Int { waiters[peer]?.count ?? 0 }

    private func count(of peer: PeerID) -> Int { entries.values.count { $0.stream.remotePeer == peer } }

    private mutating func enter(_ stream: any PeerStream, now: MonotonicInstant) -> UInt64 {
        nextID += 1
        entries[nextID] = Entry(stream: stream, activeAt: now)
        return nextID
    }

    /// Gives the places that a peer has free to its streams that wait longest.
    private mutating func passOn(_ peer: PeerID, now: MonotonicInstant) {
        while count(of: peer) < perPeerMax, let waiter = waiters[peer]?.popFirst() {
            let id = enter(waiter.stream, now: now)
            if case .terminated = waiter.turn.yield(id) { entries.removeValue(forKey: id) }
            waiter.turn.finish()
        }
        if waiters[peer]?.isEmpty == true { waiters.removeValue(forKey: peer) }
    }

    /// Notes that a message came on the stream.
    mutating func wasActive(_ id: UInt64, now: MonotonicInstant) { entries[id]?.activeAt = now }

    /// Frees the place of a stream that ended.
    mutating func remove(_ id: UInt64, now: MonotonicInstant) {
        guard let ended = entries.removeValue(forKey: id) else { return }
        passOn(ended.stream.remotePeer, now: now)
    }

    /// Removes and counts those that were silent for longer than this, for the caller to reset.
    mutating func takeSilent(
        milliseconds: Int64, now: MonotonicInstant, counters: inout ServiceStreamCounters
    ) -> [any PeerStream] {
        let silent = entries.filter { now.milliseconds(since: $0.value.activeAt) > milliseconds }
        for id in silent.keys { entries.removeValue(forKey: id) }
        counters.inboundIdle += silent.count
        for entry in silent.values { passOn(entry.stream.remotePeer, now: now) }
        return silent.values.map(\.stream)
    }
}
