import Foundation
import GossipSub
import LibP2P
import Multiformats
import P2PServices
import PeerIdentity

/// A running peer: the swarm and the services on it, and the commands that reach them.
struct PeerServices: Sendable {
    let identity: Identity
    let swarm: Swarm
    let shelf: BlockShelf
    let gossip: GossipService
    let dht: KademliaService
    let bitswap: BitswapService
    let discovery: LocalDiscoveryService?

    /// Why a command was not carried out.
    struct CommandFailure: Error, CustomStringConvertible {
        var description: String
    }

    /// Runs everything until the requests end.
    func serve(_ lines: LineChannel) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await gossip.run() }
            group.addTask { await dht.run() }
            group.addTask { await bitswap.run() }
            try await swarm.listen()
            group.addTask { try await swarm.run() }
            if let discovery { group.addTask { await discovery.run() } }
            await lines.send(
                PeerNotice(
                    event: "ready", peerId: identity.peerID.text, addrs: await listenTexts(),
                    pid: ProcessInfo.processInfo.processIdentifier))
            try await withThrowingDiscardingTaskGroup { requests in
                try await lines.requests { request in
                    requests.addTask { await answer(request, on: lines) }
                }
                requests.cancelAll()
            }
            group.cancelAll()
        }
    }

    private func answer(_ request: PeerRequest, on lines: LineChannel) async {
        var reply: PeerReply
        var messages: AsyncStream<GossipMessage>?
        do {
            if request.cmd == "subscribe" {
                messages = try await gossip.subscribe(request.required(\.topic, "topic")) { _ in .accept }
                reply = PeerReply()
            } else {
                reply = try await perform(request)
            }
        } catch {
            reply = PeerReply(ok: false, error: "\(type(of: error)): \(error)")
        }
        reply.id = request.id
        await lines.send(reply)
        // The task of the request lives on as the reader of the topic.
        if let messages { await tell(messages, on: lines) }
    }

    private func tell(_ messages: AsyncStream<GossipMessage>, on lines: LineChannel) async {
        for await message in messages {
            await lines.send(
                PeerNotice(
                    event: "message", topic: message.topic, from: message.source.text, dataHex: message.data.hex,
                    signed: true))
        }
    }

    private func perform(_ request: PeerRequest) async throws -> PeerReply {
        switch request.cmd {
        case "id": return PeerReply(peerId: identity.peerID.text, addrs: await listenTexts())
        case "connect": _ = try await swarm.dial(Multiaddr(parsing: request.required(\.addr, "addr")))
        case "disconnect": await swarm.disconnect(try request.peerID())
        case "peers": return PeerReply(peers: await swarm.connectedPeers().map(\.text))
        case "identify": return try await identify(request.peerID())
        case "ping": return try await ping(request.peerID(), count: request.count ?? 1)
        case "handle-echo": try await handleEcho(request)
        case "handle-sink": try await handleSink(request)
        case "open-stream": return try await openStream(request)
        case "send-bytes": return try await sendBytes(request)
        case "round-trips": return try await roundTrips(request)
        case "connects": return try await connects(request)
        case "publish-stamped": return try await publishStamped(request)
        case "receive-stamped": return try await receiveStamped(request)
        case "unsubscribe": await gossip.unsubscribe(try request.required(\.topic, "topic"))
        case "publish":
            _ = try await gossip.publish(request.payload(), topic: request.required(\.topic, "topic"))
        case "topic-peers": return try await topicPeers(request)
        case "dht-put": _ = try await dht.putValue(key: request.keyBytes(), value: request.valueBytes())
        case "dht-get": return PeerReply(valueHex: try await dht.getValue(key: request.keyBytes()).hex)
        case "provide": _ = try await dht.provide(request.contentID())
        case "find-providers": return try await findProviders(request)
        case "find-peer": return try await findPeer(request.peerID())
        case "add-block":
            let cid = await shelf.add(try request.payload())
            return PeerReply(cid: cid.text, cidHex: cid.bytes.hex)
        case "bitswap-get": return try await fetchBlock(request)
        default: throw CommandFailure(description: "unknown command \(request.cmd)")
        }
        return PeerReply()
    }

    private func listenTexts() async -> [String] {
        await swarm.listenAddresses().map(\.text)
    }
}
