import GossipSub
import JobMarket
import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import NodeCore
import P2PServices

/// Messages on their way from and to peers.
extension MeshNode {
    // MARK: Direct messages

    /// Serves `/icn/mesh/message/1.0.0`: one request and one reply per stream (PROTOCOL.md, "Messages").
    func serve(_ stream: any PeerStream) async {
        let peer = stream.remotePeer
        guard !core.isShunned(peer, at: moment) else { return await stream.reset() }
        do {
            let bytesMax = MeshProtocolMessage.Limits().directBytesMax
            let frame = try await withDeadline(milliseconds: limits.requestMilliseconds) {
                try await stream.readFrame(bytesMax: bytesMax)
            }
            // What is not answered is asked again at the next start.
            guard let frame, let reply = await answer(Array(frame.readableBytesView), from: peer) else {
                return await stream.reset()
            }
            try await stream.writeFrame(ByteBuffer(bytes: try reply.encoded()))
            try await stream.closeWrite()
        } catch StreamError.frameTooLarge(let announced, _) {
            take(.misbehaved(peer, "a direct message of \(announced) bytes", isConnected: true))
            await stream.reset()
        } catch StreamError.malformedLength {
            take(.misbehaved(peer, "a direct message with a malformed length", isConnected: true))
            await stream.reset()
        } catch {
            await stream.reset()
        }
    }

    /// The reply to a message, once what it acknowledges is on the disk; `nil` where the node stops before.
    func answer(_ bytes: [UInt8], from peer: PeerID) async -> MeshProtocolReply? {
        guard !core.isLeaving else { return nil }
        askedCount += 1
        let request = askedCount
        let milliseconds = swarm.roundTripMilliseconds(to: peer)
        return await withCheckedContinuation { continuation in
            asked[request] = continuation
            take(.message(bytes, from: peer, roundTripMilliseconds: milliseconds, request: request))
        }
    }

    /// Tells the core how far away a peer is.
    func measure(_ peer: PeerID) async {
        guard let elapsed = try? await swarm.ping(peer, timeoutMilliseconds: limits.doubtMilliseconds) else { return }
        let (seconds, attoseconds) = elapsed.components
        let milliseconds = UInt64(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
        take(.fact(.latencyMeasured(peer, milliseconds: milliseconds)))
    }

    /// Sends a direct message and reports its reply, or why there is none.
    func deliver(_ delivery: Delivery) async {
        await swarm.addAddresses(delivery.addresses, for: delivery.peer)
        do {
            let bytes = try delivery.message.encoded()
            take(.deliveryReplied(delivery.id, try await exchange(bytes, with: delivery.peer)))
        } catch {
            let isUnreachable = (error as? OpenStreamError)?.isUnreachable ?? false
            take(.deliveryFailed(delivery, reason: "\(error)", isUnreachable: isUnreachable))
        }
    }

    /// One message and its reply. A connection that lets it wait has to prove that it is alive.
    private func exchange(_ bytes: [UInt8], with peer: PeerID) async throws -> MeshProtocolReply {
        try await withDeadline(
            milliseconds: limits.replyMilliseconds,
            warning: (limits.doubtMilliseconds, { [swarm] in swarm.doubt(peer) })
        ) { [swarm] in try await Self.exchange(bytes, with: peer, on: swarm) }
    }

    private static func exchange(
        _ bytes: [UInt8], with peer: PeerID, on host: any StreamHost
    ) async throws -> MeshProtocolReply {
        let stream = try await host.openStream(to: peer, protocols: [MeshTopics.directMessages])
        do {
            try await stream.writeFrame(ByteBuffer(bytes: bytes))
            try await stream.closeWrite()
            guard let frame = try await stream.readFrame(bytesMax: 4096) else { throw StreamError.endOfStream }
            return try MeshProtocolReply.decode(Array(frame.readableBytesView))
        } catch {
            await stream.reset()
            throw error
        }
    }

    /// Looks in the DHT where a peer is now, and connects to it; whether it is connected.
    func find(_ peer: PeerID) async -> Bool {
        let known = await swarm.addresses(of: peer)
        // The nearest servers are asked even when this node has an address: it is the one that did not work.
        let found = try? await withDeadline(milliseconds: limits.findPeerMilliseconds) { [dht] in
            let near = try await dht.findClosest(key: peer.bytes).first { $0.peerID == peer }
            if let near { return near.addresses }
            return try await dht.findPeer(peer)
        }
        guard let found, found.contains(where: { !known.contains($0) }) else { return false }
        do {
            try await swarm.connect(to: peer, addresses: found)
            return true
        } catch {
            return false
        }
    }

    // MARK: Gossip

    /// Subscribes to the topics of the mesh; every message is judged by the core before it is forwarded.
    func subscribe() async throws {
        let topics = [
            MeshTopics.jobAnnouncements, MeshTopics.receipts, MeshTopics.capabilities,
            MeshTopics.anchorHeads(scope: core.market.configuration.anchorScope),
        ]
        for topic in topics {
            // What is accepted was taken in by the validator; the stream of accepted messages is not needed.
            _ = try await gossip.subscribe(topic) { [weak self] message in
                await self?.judge(message) ?? .ignore
            }
        }
    }

    private func judge(_ message: GossipMessage) -> GossipVerdict {
        let (verdict, effects) = core.judge(
            message.data, topic: message.topic, author: message.source,
            isAuthorConnected: swarm.isConnected(message.source), at: moment)
        carryOut(effects)
        switch verdict {
        case .accept: return .accept
        case .ignore: return .ignore
        case .reject: return .reject
        }
    }

    // MARK: The neighbourhood

    /// Tells the core what this node sees around itself, again and again until the node stops.
    func lookAround() async {
        repeat {
            take(.looked(await surroundings()))
        } while (try? await Task.sleep(
            for: .milliseconds(limits.lookMilliseconds))) != nil
    }

    private func surroundings() async -> Surroundings {
        var around = Surroundings()
        let peers = await swarm.connectedPeers()
        around.connectionCount = peers.count
        around.listeners = await gossip.peers(of: MeshTopics.capabilities)
        guard around.listeners.isEmpty else { return around }
        for peer in peers where await mayPassOn(peer) {
            around.mayPassOn = true
            break
        }
        return around
    }

    /// Whether a peer speaks gossip, or has not told yet what it speaks.
    private func mayPassOn(_ peer: PeerID) async -> Bool {
        let protocols = await swarm.protocols(of: peer)
        return protocols.isEmpty || protocols.contains { GossipSubVersion(protocolID: $0) != nil }
    }
}

extension OpenStreamError {
    /// Whether the peer was not reached at all.
    fileprivate var isUnreachable: Bool {
        switch self {
        case .noAddresses, .dialFailed: true
        case .protocolsNotSupported, .limitReached, .connectionLost: false
        }
    }
}
