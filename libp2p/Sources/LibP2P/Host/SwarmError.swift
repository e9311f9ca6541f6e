public import Multiformats

/// Why a swarm cannot run.
public enum SwarmError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The swarm cannot listen on an address.
    case cannotListen(Multiaddr, reason: String)

    /// One sentence for a person.
    public var description: String {
        switch self {
        case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
        }
    }
}
