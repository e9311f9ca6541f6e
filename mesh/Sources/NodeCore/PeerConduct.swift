import DequeModule
import Determinism
import Multiformats

/// Counts what peers do wrong, and says whose messages to ignore for a while.
///
/// Every forged message costs this node a signature check and a row in its store. The node disconnects a peer that
/// sends more of them than an honest one can by accident, and drops what it sends unread for `shunMilliseconds`.
struct PeerConduct: Sendable {
    /// The bounds of patience.
    struct Limits: Sendable {
        /// Faults of one peer within `windowMilliseconds` that the node tolerates; with one more it shuns the peer.
        var faultsMax = 30
        /// Questions about runs, receipts or bids unknown here that make one fault: an honest peer may ask for what
        /// this node has forgotten.
        var questionsPerFault = 20
        /// How long faults and questions add up, in milliseconds.
        var windowMilliseconds: Int64 = 60_000
        /// How long a peer is shunned, in milliseconds.
        var shunMilliseconds: Int64 = 600_000
        /// Peers remembered; one more replaces the one whose first fault is oldest.
        var peersMax = 4_096
    }

    private struct Record {
        var windowBegan: MonotonicInstant
        var faults = 0
        var questions = 0
        var shunnedUntil: MonotonicInstant?
    }

    let limits: Limits
    private var records: [PeerID: Record] = [:]
    /// In the order of their first faults.
    private var order = Deque<PeerID>()

    /// An empty record.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Counts a fault; returns whether it was one too many, so that the node disconnects the peer.
    mutating func faulted(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        var record = record(of: peer, now: now)
        record.faults += 1
        let isTooMany = record.faults > limits.faultsMax && !isShunned(record, now: now)
        if isTooMany { record.shunnedUntil = now.advanced(milliseconds: limits.shunMilliseconds) }
        keep(record, of: peer)
        return isTooMany
    }

    /// Counts a question about something unknown here; returns whether it makes a fault.
    mutating func asked(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        var record = record(of: peer, now: now)
        record.questions += 1
        let isFault = record.questions >= limits.questionsPerFault
        if isFault { record.questions = 0 }
        keep(record, of: peer)
        return isFault
    }

    /// What is known of a peer; what was before its window does not count any more.
    private func record(of peer: PeerID, now: MonotonicInstant) -> Record {
        var record = records[peer] ?? Record(windowBegan: now)
        if now.milliseconds(since: record.windowBegan) >= limits.windowMilliseconds {
            (record.windowBegan, record.faults, record.questions) = (now, 0, 0)
        }
        return record
    }

    /// Keys cost nothing, so the table may stay full; it finds the first to go without looking at the others.
    private mutating func keep(_ record: Record, of peer: PeerID) {
        if records.updateValue(record, forKey: peer) != nil { return }
        order.append(peer)
        if order.count > limits.peersMax, let first = order.popFirst() { records[first] = nil }
    }

    /// Forgets what a peer did; its place in the order goes, too, so that it is no place of a later record.
    mutating func forget(_ peer: PeerID) {
        if records.removeValue(forKey: peer) != nil { order.removeAll { $0 == peer } }
    }

    /// Whether to drop what a peer sends unread.
    func isShunned(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        guard let record = records[peer] else { return false }
        return isShunned(record, now: now)
    }

    private func isShunned(_ record: Record, now: MonotonicInstant) -> Bool {
        record.shunnedUntil.map { now < $0 } ?? false
    }
}
