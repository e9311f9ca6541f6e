public import Determinism
public import Multiformats
import OrderedCollections

// What peers send: RPCs, with subscriptions, messages and control entries.
extension GossipSubRouter {
    /// Takes in the bytes of one RPC from a peer.
    ///
    /// Counts undecodable bytes against the peer, and asks the shell to reset its stream.
    public mutating func received(
        _ bytes: [UInt8], from peer: PeerID, now: MonotonicInstant
    ) -> [GossipSubAction] {
        do {
            return received(try GossipSubCodec.decode(bytes, limits: limits), from: peer, now: now)
        } catch {
            return refused(error, from: peer)
        }
    }

    /// Notes that the shell refused an RPC of a peer undecoded, because of its length.
    public mutating func refused(_ error: GossipSubCodecError, from peer: PeerID) -> [GossipSubAction] {
        scoring.note(.malformedRPC, by: peer)
        return [.resetStream(peer, error)]
    }

    /// Takes in one RPC from a peer.
    public mutating func received(
        _ rpc: GossipSubRPC, from peer: PeerID, now: MonotonicInstant
    ) -> [GossipSubAction] {
        guard peers[peer] != nil else {
            counters.unknownPeerInputs += 1
            return []
        }
        guard !scoring.isGraylisted(peer) else {
            counters.graylistedRPCs += 1
            return []
        }
        if rpc.entriesLeftOut > 0 {
            counters.entriesLeftOut += UInt64(rpc.entriesLeftOut)
            scoring.note(.entryFlood, by: peer)
        }
        var answer = GossipSubRPC()
        subscriptionsArrived(rpc.subscriptions, from: peer, answer: &answer, now: now)
        var actions: [GossipSubAction] = []
        for encoded in rpc.messages { actions += messageArrived(encoded, from: peer, now: now) }
        controlArrived(rpc, from: peer, answer: &answer, now: now)
        // The same RPC may have subscribed and then pruned.
        answer.graft.removeAll { meshes[$0]?.contains(peer) != true }
        if !answer.isEmpty { actions.append(.send(answer, to: [peer])) }
        actions += answers(to: rpc.iwant, from: peer)
        return actions
    }

    private mutating func subscriptionsArrived(
        _ changes: [GossipSubRPC.Subscription], from peer: PeerID, answer: inout GossipSubRPC, now: MonotonicInstant
    ) {
        for change in changes {
            guard change.subscribes else {
                peers.unsubscribe(peer, from: change.topic)
                meshes.remove(peer, from: change.topic)
                fanouts[change.topic]?.peers.remove(peer)
                continue
            }
            switch peers.subscribe(peer, to: change.topic) {
            case nil:
                counters.entriesLeftOut += 1
                scoring.note(.entryFlood, by: peer)
                return
            case false?: continue
            case true?: break
            }
            // Waiting for the heartbeat would leave a young network without a mesh for up to a second.
            if let mesh = meshes[change.topic], mesh.count < parameters.meshDegreeLow, !mesh.contains(peer),
                meshes.isGraftable(peer, in: change.topic, peers, scoring, now: now), meshes.add(peer, to: change.topic)
            {
                answer.graft.append(change.topic)
                counters.graftsSent += 1
            }
        }
    }

    private mutating func messageArrived(
        _ encoded: [UInt8], from peer: PeerID, now: MonotonicInstant
    ) -> [GossipSubAction] {
        let unverified: UnverifiedMessage
        do {
            unverified = try UnverifiedMessage(encoded: encoded, topicBytesMax: limits.topicBytesMax)
        } catch {
            return badMessage(from: peer)
        }
        guard meshes[unverified.topic] != nil else {
            counters.unwantedTopics += 1
            return []
        }
        // An echo of our own message is honest: the peer may have it from another peer.
        guard unverified.source != localPeer, !seen.contains(unverified.id) else {
            counters.duplicates += 1
            pending.sent(unverified.id, by: peer)
            return []
        }
        guard pending.hasRoom(for: encoded.count) else {
            counters.validationOverflows += 1
            return []
        }
        guard let message = try? unverified.verified() else { return badMessage(from: peer) }
        counters.messagesArrived += 1
        seen.insert(message.id, now: now)
        promises.fulfilled(message.id)
        pending.insert(message, from: peer, now: now)
        return [.validate(message, from: peer)]
    }

    private mutating func badMessage(from peer: PeerID) -> [GossipSubAction] {
        counters.badSignatures += 1
        scoring.note(.invalidMessage, by: peer)
        return []
    }

    /// The application's verdict on a message that `.validate` asked about; a second verdict changes nothing.
    public mutating func validated(
        _ id: MessageID, _ verdict: GossipVerdict, now: MonotonicInstant
    ) -> [GossipSubAction] {
        guard let entry = pending.take(id) else { return [] }
        let message = entry.message
        switch verdict {
        case .ignore:
            counters.ignored += 1
            return []
        case .reject:
            counters.rejected += 1
            for sender in entry.senders { scoring.note(.invalidMessage, by: sender) }
            return []
        case .accept:
            break
        }
        // The topic may have been left while the application was thinking.
        guard let mesh = meshes[message.topic] else { return [] }
        cache.insert(id, topic: message.topic, encoded: message.encoded)
        var recipients = mesh
        for peer in peers.floodsubPeers where peers[peer]?.topics.contains(ExactText(message.topic)) == true {
            recipients.append(peer)
        }
        let others = recipients.filter { $0 != message.source && !entry.senders.contains($0) }
        counters.messagesDelivered += 1
        return forward(message.encoded, to: Array(others)) + [.deliver(message)]
    }

    // MARK: GRAFT and PRUNE

    private mutating func controlArrived(
        _ rpc: GossipSubRPC, from peer: PeerID, answer: inout GossipSubRPC, now: MonotonicInstant
    ) {
        // A floodsub peer has no say in meshes.
        guard rpc.hasControl, peers[peer]?.version.hasMesh == true else { return }
        for topic in rpc.graft { graftArrived(topic, from: peer, answer: &answer, now: now) }
        for entry in rpc.prune {
            counters.exchangedPeersIgnored += UInt64(entry.exchangedPeers)
            meshes.pruneArrived(entry.topic, from: peer, backoffSeconds: entry.backoffSeconds, now: now)
        }
        if let wanted = announced(rpc.ihave, by: peer, now: now) { answer.iwant.append(wanted) }
    }

    private mutating func graftArrived(
        _ topic: String, from peer: PeerID, answer: inout GossipSubRPC, now: MonotonicInstant
    ) {
        switch meshes.graftArrived(topic, from: peer, peers, scoring, now: now) {
        case .known, .taken: return
        case .unknownTopic:
            // Neither remembered nor answered: a flood of made-up topics must not fill memory or echo.
            scoring.note(.graftUnknownTopic, by: peer)
            return
        case .tooSoon(let isFlood): scoring.note(.graftDuringBackoff, by: peer, times: isFlood ? 2 : 1)
        case .refused: break
        }
        meshes.startBackoff(topic, peer, milliseconds: parameters.pruneBackoffMilliseconds, now: now)
        answer.prune.append(prune(topic, for: peer, milliseconds: parameters.pruneBackoffMilliseconds))
        counters.prunesSent += 1
    }

    // MARK: IHAVE and IWANT

    /// The IDs to ask the peer for; `nil` when there is nothing to ask or it has announced too much.
    private mutating func announced(
        _ entries: [GossipSubRPC.IHave], by peer: PeerID, now: MonotonicInstant
    ) -> [MessageID]? {
        guard !entries.isEmpty, scoring.mayGossip(peer), var known = peers[peer] else { return nil }
        var unseen = OrderedSet<MessageID>()
        for entry in entries {
            known.ihaveEntries += 1
            guard known.ihaveEntries <= limits.ihaveEntriesPerHeartbeatMax else {
                scoring.note(.ihaveFlood, by: peer)
                break
            }
            guard meshes[entry.topic] != nil else { continue }
            for id in entry.messageIDs where !seen.contains(id) { unseen.append(id) }
        }
        let room = max(0, limits.ihaveIDsPerHeartbeatMax - known.idsAsked)
        // A random choice, so that the node asks peers that announce the same for different messages.
        let wanted =
            unseen.count > room ? Array(unseen.shuffled(using: &generator).prefix(room)) : Array(unseen)
        known.idsAsked += wanted.count
        peers.update(peer) { $0 = known }
        guard let followed = wanted.randomElement(using: &generator) else { return nil }
        promises.add(followed, by: peer, until: now.advanced(milliseconds: parameters.promiseMilliseconds))
        return wanted
    }

    /// The messages that a peer asked for, one RPC each.
    private mutating func answers(to requests: [[MessageID]], from peer: PeerID) -> [GossipSubAction] {
        guard !requests.isEmpty, scoring.mayGossip(peer), var known = peers[peer] else { return [] }
        guard known.version.hasMesh else { return [] }
        var actions: [GossipSubAction] = []
        var isFlood = false
        for id in requests.joined() {
            known.idsWanted += 1
            guard known.idsWanted <= limits.iwantIDsPerHeartbeatMax else {
                isFlood = true
                break
            }
            guard let found = cache.message(id, for: peer) else { continue }
            guard found.retransmissions < parameters.retransmissionsMax else {
                isFlood = true
                continue
            }
            guard known.bytesRetransmitted + found.encoded.count <= limits.iwantBytesPerHeartbeatMax else { break }
            known.bytesRetransmitted += found.encoded.count
            cache.retransmitted(id, to: peer)
            counters.messagesRetransmitted += 1
            actions += forward(found.encoded, to: [peer])
        }
        if isFlood { scoring.note(.iwantFlood, by: peer) }
        peers.update(peer) { $0 = known }
        return actions
    }
}
