import Multiformats

/// A host that knows which side opened the connection to a peer.
///
/// The router keeps some peers in each mesh that this node chose itself, so that strangers who all dial it cannot fill
/// the mesh. A host without this protocol is taken to have been dialed by everybody, which is the cautious guess.
public protocol ConnectionDirections: Sendable {
    /// Whether this node opened the connection to a peer.
    func isOutbound(_ peer: PeerID) async -> Bool
}

extension Swarm: ConnectionDirections {
    /// Whether this node opened its oldest connection to a peer.
    public nonisolated func isOutbound(_ peer: PeerID) -> Bool {
        shared.withRegistry { $0.connection(to: peer)?.ticket.direction == .outbound }
    }
}
