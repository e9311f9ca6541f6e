import Determinism
import Multiformats

/// From which two other peers this node heard last, and when: somebody whom nobody reaches must not take its own
/// absence for another's silence.
struct Hearing: Sendable {
    private var latest: (peer: PeerID, at: MonotonicInstant)?
    private var before: (peer: PeerID, at: MonotonicInstant)?

    /// Notes that something came of a peer.
    mutating func heard(_ peer: PeerID, now: MonotonicInstant) {
        if let latest, latest.peer != peer { before = latest }
        latest = (peer, now)
    }

    /// Whether anything came of another peer within a time, in milliseconds.
    func heardOther(than peer: PeerID, withinMilliseconds milliseconds: UInt64, now: MonotonicInstant) -> Bool {
        [latest, before].contains { heard in
            guard let heard, heard.peer != peer else { return false }
            return now.milliseconds(since: heard.at) <= Int64(clamping: milliseconds)
        }
    }
}
