import Determinism
import Multiformats

/// Decides when a node advertises what it offers: regularly, and when somebody listens who has not heard it.
///
/// Nobody keeps gossip for latecomers: an advertisement sent before there are peers reaches nobody. Peers that come and
/// go cannot make a node advertise more often than `minimumMilliseconds` allows.
struct AdvertisementSchedule: Sendable {
    /// The bounds of advertising, in milliseconds.
    struct Limits: Sendable {
        /// The time between two advertisements while nobody new listens.
        var regularMilliseconds: Int64 = 60_000
        /// The shortest time between two advertisements, however many new peers listen.
        var minimumMilliseconds: Int64 = 5_000
    }

    private let limits: Limits
    private var told: Set<PeerID> = []
    private var lastAt: MonotonicInstant?

    /// The schedule of a node that has not advertised yet.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Notes that the node withdrew its offer: it has to tell everybody anew.
    mutating func withdrawn() { told = [] }

    /// Whether to advertise to the listeners now; if so, they count as told.
    mutating func isDue(listeners: [PeerID], now: MonotonicInstant) -> Bool {
        // A peer that was away may have forgotten what it heard.
        told.formIntersection(listeners)
        guard !listeners.isEmpty else { return false }
        let elapsed = lastAt.map { now.milliseconds(since: $0) }
        if let elapsed, elapsed < limits.minimumMilliseconds { return false }
        let isRegular = (elapsed ?? .max) >= limits.regularMilliseconds
        guard isRegular || listeners.contains(where: { !told.contains($0) }) else { return false }
        lastAt = now
        told = Set(listeners)
        return true
    }
}
