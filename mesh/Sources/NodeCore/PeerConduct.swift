import DequeModule
import Determinism
import Multiformats

/// Counts what peers do wrong, and says whose messages are not read for a while.
///
/// Every forged message costs this node a signature check and a line in its store. A peer that sends more of them than
/// an honest one can by accident is disconnected, and until `shunMilliseconds` have passed what it sends is dropped
/// before it is read.
struct PeerConduct: Sendable {
    /// The bounds of patience.
    struct Limits: Sendable {
        /// Faults of one peer within `windowMilliseconds` that are borne; one more and it is shunned.
        var faultsMax = 30
        /// Questions about runs, receipts or bids that are not known here that make one fault: an honest peer may ask
        /// for what this node has forgotten.
        var questionsPerFault = 20
        /// How long faults are added up, in milliseconds.
        var windowMilliseconds: Int64 = 60_000
        /// How long a peer is shunned, in milliseconds.
        var shunMilliseconds: Int64 = 600_000
        /// Peers that are remembered; the one whose first fault is longest ago is forgotten for one more.
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

    /// A clean slate.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Counts a fault; returns whether it was the one too many, so that the peer is to be disconnected.
    mutating func faulted(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        var record = records[peer] ?? Record(windowBegan: now)
        if now.milliseconds(since: record.windowBegan) >= limits.windowMilliseconds {
            record.windowBegan = now
            record.faults = 0
        }
        record.faults += 1
        let isTooMany = record.faults > limits.faultsMax && !isShunned(record, now: now)
        if isTooMany { record.shunnedUntil = now.advanced(milliseconds: limits.shunMilliseconds) }
        keep(record, of: peer)
        return isTooMany
    }

    /// Counts a question about something that is not known here; returns whether it makes a fault.
    mutating func asked(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        var record = records[peer] ?? Record(windowBegan: now)
        record.questions += 1
        let isFault = record.questions >= limits.questionsPerFault
        if isFault { record.questions = 0 }
        keep(record, of: peer)
        return isFault
    }

    /// Keys cost nothing, so the table may be full for long, and the first to go is found without a look at the others.
    private mutating func keep(_ record: Record, of peer: PeerID) {
        if records.updateValue(record, forKey: peer) != nil { return }
        order.append(peer)
        if order.count > limits.peersMax, let first = order.popFirst() { records[first] = nil }
    }

    /// Whether what a peer sends is to be dropped unread.
    func isShunned(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        guard let record = records[peer] else { return false }
        return isShunned(record, now: now)
    }

    private func isShunned(_ record: Record, now: MonotonicInstant) -> Bool {
        record.shunnedUntil.map { now < $0 } ?? false
    }
}
