public import Determinism
public import Multiformats

/// A proof that another process runs with this node's key: a handshake that only the key's holder can finish.
public struct OwnKeySighting: Hashable, Sendable {
    /// The other end of the connection.
    public let address: Multiaddr
    /// When, on the clock of the swarm.
    public let at: MonotonicInstant
}
