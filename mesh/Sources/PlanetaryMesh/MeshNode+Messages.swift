import GossipSub
import JobMarket
import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import PeerIdentity
import SignedObjects

extension MeshNode {
    // MARK: Direct messages

    /// Serves `/icn/mesh/message/1.0.0`: one request and one reply per stream (PROTOCOL.md, "Messages").
    func serve(_ stream: any MeshStream) async {
        guard !isShunned(stream.remotePeer) else { return await stream.reset() }
        do {
            let bytesMax = MeshProtocolMessage.Limits().directBytesMax
            let frame = try await withDeadline(milliseconds: limits.requestMilliseconds) {
                try await stream.readFrame(bytesMax: bytesMax)
            }
            // What is not answered is asked again at the next start.
            guard let frame, !isLeaving else { return await stream.reset() }
            let (reply, isNewBidder) = await answer(Array(frame.readableBytesView), from: stream.remotePeer)
            try await stream.writeFrame(ByteBuffer(bytes: try reply.encoded()))
            try await stream.closeWrite()
            if isNewBidder { await measureNewcomer(stream.remotePeer) }
        } catch StreamError.frameTooLarge(let announced, _) {
            await note(stream.remotePeer, "a direct message of \(announced) bytes")
            await stream.reset()
        } catch StreamError.malformedLength {
            await note(stream.remotePeer, "a direct message with a malformed length")
            await stream.reset()
        } catch {
            await stream.reset()
        }
    }

    /// Tells the market how far away a bidder is, by the pings of its connection; whether one was answered yet.
    private func measureLatency(of peer: PeerID) async -> Bool {
        guard let milliseconds = swarm.roundTripMilliseconds(to: peer) else { return false }
        await take(.latencyMeasured(peer, milliseconds: milliseconds))
        return true
    }

    /// Measures a bidder whose connection is so young that its first ping is not answered yet; the window for bids
    /// gives the time.
    private func measureNewcomer(_ peer: PeerID) async {
        guard let elapsed = try? await swarm.ping(peer, timeoutMilliseconds: limits.doubtMilliseconds) else { return }
        let (seconds, attoseconds) = elapsed.components
        let milliseconds = UInt64(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000)
        await take(.latencyMeasured(peer, milliseconds: milliseconds))
    }

    /// The reply, and whether it goes to a bidder whose distance is not known.
    private func answer(
        _ bytes: [UInt8], from peer: PeerID
    ) async -> (reply: MeshProtocolReply, isNewBidder: Bool) {
        let message: MeshProtocolMessage
        do {
            message = try MeshProtocolMessage.decode(bytes)
        } catch MeshMessageError.unknownVariant(let name) {
            tally("messages_unknown")
            return (.refused(code: "unknown_variant", reason: "this version does not know \(name)"), false)
        } catch {
            await note(peer, "a direct message that does not read: \(error)")
            return (.refused(code: error.code, reason: "\(error)"), false)
        }
        let isBid = if case .jobBid = message { true } else { false }
        let isMeasured = isBid ? await measureLatency(of: peer) : true
        let reply = await take(.directMessage(message, from: peer)).reply ?? .ack
        if isBid, reply == .ack { solitude.bidArrived(now: NodeClock.now) }
        if case .refused(let code, let reason) = reply {
            let isFault =
                Self.blamesSender(code) || Self.isUnknown(code) && conduct.asked(peer, now: NodeClock.now)
            if isFault { await note(peer, "\(code): \(reason)") }
        }
        return (reply, !isMeasured)
    }

    /// Whether a refusal says that the sender asked about something that is not known here.
    private static func isUnknown(_ code: String) -> Bool {
        code == "assignment_unknown" || code == "receipt_unknown" || code == "bid_unknown"
    }

    /// Whether a refusal says that the sender forged something, rather than came late or lost a race.
    private static func blamesSender(_ code: String) -> Bool {
        code.contains("not_verified") || code.contains("mismatch") || code.contains("malformed")
            || code == "wrong_executor" || code == "not_direct"
    }

    /// Sends a direct message and reports its reply, or why there is none. What this node owes to itself goes no way.
    ///
    /// The peer is reached by its ID: over a connection, else at the addresses that it told or that the message brings,
    /// else at those that the DHT knows.
    func deliver(_ delivery: Delivery) async {
        if delivery.peer == identity.peerID {
            let reply = await take(.directMessage(delivery.message, from: delivery.peer)).reply ?? .ack
            await take(.deliveryReplied(delivery.id, reply))
            return
        }
        await swarm.addAddresses(delivery.addresses, for: delivery.peer)
        do {
            let bytes = try delivery.message.encoded()
            let reply: MeshProtocolReply
            do {
                reply = try await exchange(bytes, with: delivery.peer)
            } catch let error as OpenStreamError where error.isUnreachable {
                guard await find(delivery.peer) else { throw error }
                reply = try await exchange(bytes, with: delivery.peer)
            }
            await take(.deliveryReplied(delivery.id, reply))
        } catch {
            await take(.deliveryFailed(delivery.id, reason: "\(error)"))
        }
    }

    /// One message and its reply. A connection that lets it wait has to prove that it is alive.
    private func exchange(_ bytes: [UInt8], with peer: PeerID) async throws -> MeshProtocolReply {
        try await withDeadline(
            milliseconds: limits.replyMilliseconds,
            warning: (limits.doubtMilliseconds, { [swarm] in swarm.doubt(peer) })
        ) { [swarm] in try await Self.exchange(bytes, with: peer, on: swarm) }
    }

    /// Looks in the DHT where a peer is now, and connects to it; whether it is connected.
    private func find(_ peer: PeerID) async -> Bool {
        tally("peers_looked_for")
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

    // MARK: Gossip

    /// Subscribes to the topics of the mesh; every message is judged by the market before it is forwarded.
    func subscribe() async throws {
        let topics = [
            MeshTopics.jobAnnouncements, MeshTopics.receipts, MeshTopics.capabilities,
            MeshTopics.anchorHeads(scope: market.configuration.anchorScope),
        ]
        for topic in topics {
            // What is accepted was taken in by the validator; the stream of accepted messages is not needed.
            _ = try await gossip.subscribe(topic) { [weak self] message in
                await self?.judge(message) ?? .ignore
            }
        }
    }

    private func judge(_ gossiped: GossipMessage) async -> GossipVerdict {
        guard gossiped.source != identity.peerID else { return .accept }
        // Its forwarders are not to blame.
        guard !isShunned(gossiped.source) else { return .ignore }
        let message: MeshProtocolMessage
        do {
            message = try MeshProtocolMessage.decode(
                gossiped.data, bytesMax: MeshProtocolMessage.Limits().gossipBytesMax)
        } catch MeshMessageError.unknownVariant {
            tally("messages_unknown")
            return .ignore
        } catch MeshMessageError.numberTooLarge(let max) {
            // Its author signed it; a forwarder of an earlier version takes such numbers.
            await note(gossiped.source, "a gossip message with a number above \(max)")
            return .ignore
        } catch {
            await note(gossiped.source, "a gossip message that does not read: \(error)")
            return .reject
        }
        guard belongs(message, to: gossiped.topic) else {
            await note(gossiped.source, "gossip: \(message.variant.rawValue) is not for this topic")
            return .reject
        }
        switch await take(.gossipMessage(message, author: gossiped.source)).verdict {
        case .accept, nil:
            if case .capabilityAdvertisement(let advertisement) = message { remember(advertisement) }
            return .accept
        case .ignore: return .ignore
        case .reject(let reason):
            await note(gossiped.source, "gossip: \(reason)")
            return .reject
        }
    }

    private func remember(_ advertisement: CapabilityAdvertisementV1) {
        guard let signed = try? SignedObject<NodeCapability>(verifiedBefore: advertisement.capability) else { return }
        capabilities.heard(signed.body, byteCount: advertisement.capability.count, now: NodeClock.now)
    }

    /// Whether a message is one of those that a topic is for.
    private func belongs(_ message: MeshProtocolMessage, to topic: String) -> Bool {
        switch message {
        case .jobAnnouncement: topic == MeshTopics.jobAnnouncements
        case .executionReceiptAvailable: topic == MeshTopics.receipts
        case .capabilityAdvertisement: topic == MeshTopics.capabilities
        case .anchorHeads: topic == MeshTopics.anchorHeads(scope: market.configuration.anchorScope)
        case .reputationRecordAvailable: topic == MeshTopics.reputation
        default: false
        }
    }

    /// Whether a peer's messages are dropped unread, because it sent too many bad ones.
    private func isShunned(_ peer: PeerID) -> Bool {
        guard conduct.isShunned(peer, now: NodeClock.now) else { return false }
        tally("messages_unread")
        return true
    }

    /// Notes that a peer misbehaved, and parts with one that does so again and again.
    func note(_ peer: PeerID, _ fault: String) async {
        // It may quote the peer.
        let what = PlainText.sanitized(fault, bytesMax: limits.noteBytesMax)
        tally("misbehaviours")
        logger.info("A peer misbehaved.", metadata: ["peer": "\(peer)", "what": "\(what)"])
        let hasRoom = peerNotes.add(
            what, about: peer, isMet: swarm.isConnected(peer), at: NodeClock.wallClock.value)
        if !hasRoom { tally("misbehaviours_not_written") }
        guard conduct.faulted(peer, now: NodeClock.now) else { return }
        tally("peers_shunned")
        logger.notice("A peer is shunned for a while.", metadata: ["peer": "\(peer)", "last": "\(what)"])
        await peerService.avoid(peer, milliseconds: conduct.limits.shunMilliseconds)
        await swarm.disconnect(peer)
    }

    /// Writes down what peers did wrong, again and again until the node stops.
    func writeNotesRegularly() async {
        while (try? await Task.sleep(for: .milliseconds(peerNotes.limits.pauseMilliseconds))) != nil { writeNotes() }
    }

    /// Queues what is noted about peers as one commit that nobody waits for; never a second one, and none while the
    /// store waits for a lock or for room on the disk.
    func writeNotes() {
        switch storageState {
        case .locked, .diskFull: return
        case .open, .full: break
        }
        guard peerNotes.count > 0, !areNotesUnderway.exchange(true, ordering: .relaxed) else { return }
        store.enqueue(peerNotes.takeAll(), isUrgent: false) { [self] _ in
            areNotesUnderway.store(false, ordering: .relaxed)
        }
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
