import Kademlia
import LibP2P
import Multiformats
import P2PServices

/// The commands that reach gossip, DHT and Bitswap.
extension PeerServices {
    /// The largest block that is fetched.
    private static let blockBytesMax = 2 << 20
    private static let fetchSeconds = 20

    func topicPeers(_ request: PeerRequest) async throws -> PeerReply {
        let topic = try request.required(\.topic, "topic")
        let mesh = await gossip.meshPeers(topic).map(\.text)
        return PeerReply(peers: await gossip.peers(of: topic).map(\.text), mesh: mesh)
    }

    func findProviders(_ request: PeerRequest) async throws -> PeerReply {
        let found = try await dht.findProviders(request.contentID(), limit: request.count ?? 20)
        return PeerReply(providers: found.map { .init(id: $0.peerID.text, addrs: $0.addresses.map(\.text)) })
    }

    func findPeer(_ peer: PeerID) async throws -> PeerReply {
        let addresses = try await dht.findPeer(peer)
        return PeerReply(peer: .init(id: peer.text, addrs: addresses.map(\.text)))
    }

    func fetchBlock(_ request: PeerRequest) async throws -> PeerReply {
        let block = try await bitswap.fetch(
            request.contentID(), from: [request.peerID()], maxBytes: Self.blockBytesMax,
            timeout: .seconds(Self.fetchSeconds))
        return PeerReply(dataHex: block.hex)
    }
}
