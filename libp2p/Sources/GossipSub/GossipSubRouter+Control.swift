import Determinism
import Multiformats
import OrderedCollections

// GRAFT, PRUNE, IHAVE and IWANT of peers.
extension GossipSubRouter {
    mutating func controlArrived(
        _ rpc: GossipSubRPC, from peer: PeerID, answer: inout GossipSubRPC, now: MonotonicInstant
    ) {
        // A floodsub peer has no say in meshes.
        guard rpc.hasControl, peers[peer]?.version.hasMesh == true else { return }
        for topic in rpc.graft { graftArrived(topic, from: peer, answer: &answer, now: now) }
        for entry in rpc.prune { pruneArrived(entry, from: peer, now: now) }
        if let wanted = announced(rpc.ihave, by: peer, now: now) { answer.iwant.append(wanted) }
    }

    // MARK: GRAFT and PRUNE

    private mutating func graftArrived(
        _ topic: String, from peer: PeerID, answer: inout GossipSubRPC, now: MonotonicInstant
    ) {
        guard let mesh = meshes[topic] else {
            // Neither remembered nor answered: a flood of made-up topics must not fill memory or echo.
            scoring.note(.graftUnknownTopic, by: peer)
            return
        }
        if mesh.contains(peer) { return }
        if let end = backoffs.end(topic: topic, peer: peer), end > now {
            let sinceFlood = now.advanced(
                milliseconds: parameters.pruneBackoffMilliseconds - parameters.graftFloodMilliseconds)
            scoring.note(.graftDuringBackoff, by: peer, times: end > sinceFlood ? 2 : 1)
            return refuseGraft(topic, of: peer, answer: &answer, now: now)
        }
        // The specification admits every outbound peer to a full mesh. A node that dialed all its peers would then
        // admit them all, prune most at the heartbeat, and be in back-off with the rest of the network for a minute.
        // D_out of them are enough against strangers that fill the mesh.
        let isFull =
            mesh.count >= parameters.meshDegreeHigh
            && (peers[peer]?.isOutbound != true || outboundCount(in: mesh) >= parameters.meshDegreeOutbound)
        guard scoring.score(of: peer) >= 0, !isFull, mesh.count < limits.meshPeersMax else {
            return refuseGraft(topic, of: peer, answer: &answer, now: now)
        }
        meshes[topic]?.append(peer)
    }

    func outboundCount(in mesh: OrderedSet<PeerID>) -> Int {
        mesh.reduce(0) { $0 + (peers[$1]?.isOutbound == true ? 1 : 0) }
    }

    private mutating func refuseGraft(
        _ topic: String, of peer: PeerID, answer: inout GossipSubRPC, now: MonotonicInstant
    ) {
        startBackoff(topic: topic, peer: peer, milliseconds: parameters.pruneBackoffMilliseconds, now: now)
        answer.prune.append(prune(topic, for: peer, milliseconds: parameters.pruneBackoffMilliseconds))
        counters.prunesSent += 1
    }

    private mutating func pruneArrived(_ entry: GossipSubRPC.Prune, from peer: PeerID, now: MonotonicInstant) {
        counters.exchangedPeersIgnored += UInt64(entry.exchangedPeers)
        // A back-off for a topic that this node never joined would let strangers fill memory.
        guard meshes[entry.topic] != nil else { return }
        meshes[entry.topic]?.remove(peer)
        let asked = entry.backoffSeconds ?? 0
        let secondsMax = UInt64(max(0, parameters.pruneBackoffMillisecondsMax)) / 1_000
        let milliseconds =
            asked == 0 ? parameters.pruneBackoffMilliseconds : Int64(min(asked, secondsMax)) * 1_000
        startBackoff(topic: entry.topic, peer: peer, milliseconds: milliseconds, now: now)
    }

    func prune(_ topic: String, for peer: PeerID, milliseconds: Int64) -> GossipSubRPC.Prune {
        let seconds = peers[peer]?.version.hasBackoff == true ? UInt64(max(0, milliseconds)) / 1_000 : nil
        return .init(topic: topic, backoffSeconds: seconds)
    }

    mutating func startBackoff(topic: String, peer: PeerID, milliseconds: Int64, now: MonotonicInstant) {
        let bounded = min(max(0, milliseconds), parameters.pruneBackoffMillisecondsMax)
        backoffs.start(topic: topic, peer: peer, until: now.advanced(milliseconds: bounded))
    }

    /// Whether this node may graft the peer itself.
    func isGraftable(_ peer: PeerID, in topic: String, now: MonotonicInstant) -> Bool {
        guard peers[peer]?.version.hasMesh == true, scoring.score(of: peer) >= 0 else { return false }
        guard let end = backoffs.end(topic: topic, peer: peer) else { return true }
        return end.advanced(milliseconds: parameters.backoffSlackMilliseconds) <= now
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
    mutating func answers(to requests: [[MessageID]], from peer: PeerID) -> [GossipSubAction] {
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
