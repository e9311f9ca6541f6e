public import Multiformats

/// What keeps a swarm from running.
public enum SwarmError: Error, Hashable, Sendable, CustomStringConvertible {
    /// An address cannot be listened on.
    case cannotListen(Multiaddr, reason: String)

    /// One sentence for a person.
    public var description: String {
        switch self {
        case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
        }
    }
}
