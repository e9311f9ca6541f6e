package import Determinism
package import Multiformats
import OrderedCollections

/// How often a node dials a peer at addresses that others named, so that nobody can aim it at a third party.
///
/// A successful dial costs nothing: whoever answers with the peer's key is the peer. A failed one may have hit a third
/// party, and after `failuresPerMinuteMax` of them within a minute the node dials no more. Dials to only those
/// addresses at which the peer has answered before have their own budget, since no third party is at risk: a peer that
/// moved must not keep this node from trying its new address.
package struct DialBudget: Sendable {
    /// Peers remembered; one more replaces the one whose first failure is oldest.
    package static let peersMax = 4_096
    /// How long failures add up.
    package static let windowMilliseconds: Int64 = 60_000

    private struct Record: Sendable {
        var began: MonotonicInstant
        var failures: Int
    }

    private let failuresPerMinuteMax: Int
    private var records: OrderedDictionary<PeerID, Record> = [:]

    package init(failuresPerMinuteMax: Int) {
        self.failuresPerMinuteMax = failuresPerMinuteMax
    }

    /// Peers remembered; for tests.
    package var count: Int { records.count }

    /// Whether a peer may be dialed.
    package func admits(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        guard let record = records[peer], now.milliseconds(since: record.began) < Self.windowMilliseconds else {
            return true
        }
        return record.failures < failuresPerMinuteMax
    }

    /// Notes that a dial of a peer failed.
    package mutating func failed(_ peer: PeerID, now: MonotonicInstant) {
        if let record = records[peer], now.milliseconds(since: record.began) < Self.windowMilliseconds {
            records[peer]?.failures = record.failures + 1
            return
        }
        records[peer] = nil
        if records.count >= Self.peersMax { records.removeFirst() }
        records[peer] = Record(began: now, failures: 1)
    }

    /// Notes that the peer answered.
    package mutating func succeeded(_ peer: PeerID) {
        records[peer] = nil
    }
}
