public import Multiformats

/// A peer and where it may be reached. The addresses are hearsay; only a dial proves them.
public struct PeerInfo: Hashable, Sendable {
    /// The peer.
    public var peerID: PeerID
    /// Addresses to dial, without `/p2p` of the peer itself.
    public var addresses: [Multiaddr]

    /// A peer with its addresses.
    public init(peerID: PeerID, addresses: [Multiaddr]) {
        self.peerID = peerID
        self.addresses = addresses
    }
}
