import GossipSub
import JobMarket
import LibP2P
import MeshTypes
import Multiformats
import NodeCore
import P2PServices

/// Messages on their way from and to peers.
extension MeshNode {
    // MARK: Direct messages

    /// Answers the direct messages of peers; one that is shunned is not read.
    nonisolated func serveMessages() async {
        await messages.serve { [weak self] peer in
            await self?.admits(peer) ?? false
        } blame: { [weak self] peer, fault in
            await self?.take(.misbehaved(peer, fault, isConnected: true))
        } answer: { [weak self] peer, bytes in
            await self?.answer(bytes, from: peer)
        }
    }

    private func admits(_ peer: PeerID) -> Bool { !core.isShunned(peer, at: moment) }

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
        guard let elapsed = try? await swarm.ping(peer, timeoutMilliseconds: DirectMessages.doubtMilliseconds) else {
            return
        }
        let (seconds, attoseconds) = elapsed.components
        let milliseconds = UInt64(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
        take(.fact(.latencyMeasured(peer, milliseconds: milliseconds)))
    }

    /// Sends a direct message and reports its reply, or why there is none.
    func deliver(_ delivery: Delivery) async {
        await swarm.addAddresses(delivery.addresses, for: delivery.peer)
        do {
            take(.deliveryReplied(delivery.id, try await messages.send(delivery.message, to: delivery.peer)))
        } catch {
            take(.deliveryFailed(delivery, reason: "\(error)", isUnreachable: error.isUnreachable))
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
