import Determinism
import MeshTypes
import Multiformats
import OrderedCollections

/// Whether this node's calendar is wrong, judging by the signed times of its peers on arrival.
///
/// One peer may be wrong, or lie; the median of three or more counts, and it only leads to a sentence for the owner.
struct ClockWatch: Sendable {
    /// Peers that must have been heard.
    static let peersMin = 3
    /// Peers whose last time is remembered.
    static let peersMax = 64
    /// How long a peer's time counts, in milliseconds.
    static let freshMilliseconds: Int64 = 600_000

    private var heard: OrderedDictionary<PeerID, (ahead: Int64, at: MonotonicInstant)> = [:]
    /// How far the peers are ahead of this node, in milliseconds, if that is more than clocks may differ.
    private(set) var offsetMilliseconds: Int64?

    /// Takes the time of something that a peer signed just now.
    mutating func heard(
        _ peer: PeerID, signedAt: UnixMilliseconds, calendar: UnixMilliseconds, now: MonotonicInstant,
        skewMilliseconds: UInt64
    ) {
        let signed = Int64(clamping: min(signedAt.value, UInt64(Int64.max / 4)))
        let ahead = signed - Int64(clamping: min(calendar.value, UInt64(Int64.max / 4)))
        heard.removeValue(forKey: peer)
        heard[peer] = (ahead, now)
        if heard.count > Self.peersMax { heard.removeFirst() }
        let fresh = heard.values.filter { now.milliseconds(since: $0.at) <= Self.freshMilliseconds }.map(\.ahead)
        let median = fresh.sorted()[fresh.count / 2]
        let isWrong = fresh.count >= Self.peersMin && median.magnitude > skewMilliseconds
        offsetMilliseconds = isWrong ? median : nil
    }
}
