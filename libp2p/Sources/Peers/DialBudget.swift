package import Determinism
package import Multiformats
import OrderedCollections

/// How often a node dials a peer at addresses that others named, so that nobody can aim it at a third party.
///
/// A successful dial costs nothing: whoever answers with the peer's key is the peer. A failed one may have hit a third
/// party, and after `Limits.failuresPerMinuteMax` of them within a minute the node dials no more. Dials to only those
/// addresses at which the peer has answered before have their own budget, since no third party is at risk: a peer that
/// moved must not keep this node from trying its new address.
package struct DialBudget: Sendable {
    /// The bounds of a budget.
    package struct Limits: Sendable {
        /// Dials of a peer that may fail within a minute.
        package var failuresPerMinuteMax = 2
        /// Peers remembered; one more replaces the one whose first failure is oldest.
        package var peersMax = 4_096

        /// The defaults.
        package init() {}
    }

    private static let minuteMilliseconds: Int64 = 60_000

    private struct Record: Sendable {
        var began: MonotonicInstant
        var failures: Int
    }

    private let limits: Limits
    private var records: OrderedDictionary<PeerID, Record> = [:]

    /// A budget of which nothing is spent.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Peers remembered; for tests.
    package var count: Int { records.count }

    /// Whether a peer may be dialed.
    package func admits(_ peer: PeerID, now: MonotonicInstant) -> Bool {
        guard let record = records[peer], now.milliseconds(since: record.began) < Self.minuteMilliseconds else {
            return true
        }
        return record.failures < limits.failuresPerMinuteMax
    }

    /// Notes that a dial of a peer failed.
    package mutating func failed(_ peer: PeerID, now: MonotonicInstant) {
        if let record = records[peer], now.milliseconds(since: record.began) < Self.minuteMilliseconds {
            records[peer]?.failures = record.failures + 1
            return
        }
        records[peer] = nil
        if records.count >= limits.peersMax { records.removeFirst() }
        records[peer] = Record(began: now, failures: 1)
    }

    /// Notes that the peer answered.
    package mutating func succeeded(_ peer: PeerID) {
        records[peer] = nil
    }
}
