import LibP2P
import Logging
import MeshTypes
import Multiformats
import NIOCore
import P2PServices
import P2PTesting
import PeerIdentity
import Testing

@testable import PlanetaryMesh

/// A peer with a key of its own that speaks the protocols of the mesh by hand: it takes every assignment, forgets it
/// when it is cancelled, and answers everything else with an ack.
struct HostilePeer: Sendable {
    let identity: Identity
    let swarm: Swarm
    let gossip: GossipService
    /// The direct messages that it was sent.
    let inbox: AsyncStream<MeshProtocolMessage>
    private let received: AsyncStream<MeshProtocolMessage>.Continuation

    private init(identity: Identity) {
        var logger = Logger(label: "hostile")
        logger.logLevel = .critical
        self.identity = identity
        swarm = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        gossip = GossipService(host: swarm, identity: identity, logger: logger)
        (inbox, received) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
    }

    /// Makes a peer that is connected to all nodes, runs `body`, and lets the peer go.
    static func meeting(
        _ nodes: [MeshNode], as identity: Identity = .generate(), _ body: (HostilePeer) async throws -> Void
    ) async throws {
        let peer = HostilePeer(identity: identity)
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Not the peer itself, which holds the swarm that would hold it.
            let received = peer.received
            await peer.swarm.handle(MeshTopics.directMessages) { stream in await serve(stream, received) }
            group.addTask { try await peer.swarm.run() }
            group.addTask { await peer.gossip.run() }
            defer {
                peer.received.finish()
                group.cancelAll()
            }
            for node in nodes {
                try await peer.swarm.connect(
                    to: node.identity.peerID, addresses: await node.swarm.listenAddresses())
            }
            try await body(peer)
        }
    }

    private static func serve(
        _ stream: any PeerStream, _ received: AsyncStream<MeshProtocolMessage>.Continuation
    ) async {
        guard let frame = try? await stream.readFrame(bytesMax: 1 << 20),
            let message = try? MeshProtocolMessage.decode(Array(frame.readableBytesView))
        else { return await stream.reset() }
        var reply = MeshProtocolReply.ack
        switch message {
        case .assignJob(let order):
            reply = .accepted(assignmentCID: CID.hashing(order.assignment, codec: .dagCBOR))
        case .cancelJob: reply = .refused(Refusal(.assignmentUnknown, "forgotten"))
        default: break
        }
        if let bytes = try? reply.encoded() {
            try? await stream.writeFrame(ByteBuffer(bytes: bytes))
            try? await stream.closeWrite()
        }
        received.yield(message)
    }

    /// The first message in the inbox of which `body` makes something.
    func awaiting<Value>(_ body: (MeshProtocolMessage) -> Value?) async -> Value? {
        for await message in inbox {
            if let value = body(message) { return value }
        }
        return nil
    }

    /// Sends a direct message; the reply, or nil when the node ended the stream. A reply is never longer than 4 KiB.
    func send(_ bytes: [UInt8], to node: MeshNode) async throws -> MeshProtocolReply? {
        guard let frame = try? await exchange(bytes, with: node.identity.peerID) else { return nil }
        return try MeshProtocolReply.decode(Array(frame.readableBytesView))
    }

    /// The node may end the stream, or the connection, at any of these steps.
    private func exchange(_ bytes: [UInt8], with peer: PeerID) async throws -> ByteBuffer? {
        let stream = try await swarm.openStream(to: peer, protocols: [MeshTopics.directMessages])
        try await stream.writeFrame(ByteBuffer(bytes: bytes))
        try await stream.closeWrite()
        return try await stream.readFrame(bytesMax: 4096)
    }

    /// Waits until gossip has told that all nodes listen to a topic, then publishes.
    func publish(_ bytes: [UInt8], topic: String, to nodes: [MeshNode]) async throws {
        let listeners = nodes.map(\.identity.peerID)
        try? await eventually("all nodes listen to \(topic)", within: 10) {
            await Set(gossip.peers(of: topic)).isSuperset(of: listeners)
        }
        _ = try? await gossip.publish(bytes, topic: topic)
    }
}
