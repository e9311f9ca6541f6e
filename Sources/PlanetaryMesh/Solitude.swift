import Determinism

/// Judges whether a node is alone for good: it has no connection, and none is being made.
///
/// A node that dialed all that it knows and reached nobody is alone at once. One that still dials, or that had peers
/// and lost them, is given time, since it dials again.
struct Solitude: Sendable {
    /// The bounds of being alone, in milliseconds.
    struct Limits: Sendable {
        /// Without a connection, until a node that may yet find one counts as alone.
        var patienceMilliseconds: Int64 = 10_000
        /// Between two looks at the connections.
        var lookMilliseconds: Int64 = 250
    }

    private let limits: Limits
    private var since: MonotonicInstant?
    private var hasDialed = false
    private var hasMet = false

    /// A node that has dialed nobody yet.
    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// All addresses known at the start were dialed, or there were none.
    mutating func dialedAtStart() { hasDialed = true }

    /// Whether a node with this many connections is alone now.
    mutating func isAlone(connections: Int, now: MonotonicInstant) -> Bool {
        guard connections == 0 else {
            hasMet = true
            since = nil
            return false
        }
        let began = since ?? now
        since = began
        if hasDialed, !hasMet { return true }
        return now.milliseconds(since: began) >= limits.patienceMilliseconds
    }
}

extension MeshNode {
    /// All addresses known at the start were dialed.
    func dialedAtStart() { solitude.dialedAtStart() }

    /// Tells the market when nobody can hear of its jobs, until the node stops.
    func watchSolitude() async {
        repeat {
            let connections = await swarm.connectedPeers().count
            guard solitude.isAlone(connections: connections, now: NodeClock.now), market.openCounts.originated > 0
            else { continue }
            await take(.nobodyReachable)
        } while (try? await Task.sleep(for: .milliseconds(Solitude.Limits().lookMilliseconds))) != nil
    }
}
