import Determinism
import Multiformats

/// Decides when a node tells the mesh what it offers: when somebody listens who has not heard it, and regularly.
///
/// Gossip is not kept for those who come later: an advertisement that goes out before there are peers reaches nobody.
/// Peers that come and go cannot make a node talk more often than `minimumMilliseconds` allows.
struct AdvertisementSchedule: Sendable {
    /// The bounds of advertising, in milliseconds.
    struct Limits: Sendable {
        /// Between two advertisements while nobody new listens.
        var regularMilliseconds: Int64 = 60_000
        /// Between two advertisements however many new peers listen.
        var minimumMilliseconds: Int64 = 5_000
        /// Between two looks at who listens.
        var lookMilliseconds: Int64 = 250
    }

    private let limits: Limits
    private var told: Set<PeerID> = []
    private var lastAt: MonotonicInstant?

    /// A schedule of a node that has told nobody yet.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What was told was taken back: everybody is to be told anew.
    mutating func withdrawn() { told = [] }

    /// Whether to advertise now, to those who listen; when it says so, they count as told.
    mutating func isDue(listeners: [PeerID], now: MonotonicInstant) -> Bool {
        // Who was away may have forgotten what it heard.
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
