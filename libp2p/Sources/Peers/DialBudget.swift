package import Determinism
package import Multiformats
import OrderedCollections

/// How often a node knocks for a peer at addresses that others named, so that nobody can aim it at a third party.
///
/// A dial that succeeds costs nothing: who answers with the peer's key is the peer. One that fails may have been a
/// knock at somebody else's door, and after `failuresPerMinuteMax` of them within a minute no further one goes out.
/// Where the peer has answered before nobody else pointed, so dials to such addresses alone have a budget of their own:
/// that a peer is not where it was must not keep this node from trying where it is now.
package struct DialBudget: Sendable {
    /// Peers that are remembered; the one whose first failure is longest ago is forgotten for one more.
    package static let peersMax = 4_096
    /// How long failures are added up.
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
