public import Determinism
import Multiformats
import OrderedCollections

// Once per heartbeat the router decays scores, brings meshes to their degree, announces messages and drops old state.
extension GossipSubRouter {
    /// `nextDeadline` has passed.
    public mutating func deadlineReached(now: MonotonicInstant) -> [GossipSubAction] {
        guard now >= nextHeartbeat else { return [] }
        // A process that slept does not make up for the heartbeats it missed.
        nextHeartbeat = now.advanced(milliseconds: max(1, parameters.heartbeatMilliseconds))
        counters.heartbeats += 1
        for (peer, broken) in promises.takeBroken(now: now) { scoring.note(.brokenPromise, by: peer, times: broken) }
        scoring.heartbeat(now: now)
        peers.heartbeat()
        seen.expire(now: now)
        counters.validationsOverdue += UInt64(pending.expire(now: now))
        if counters.heartbeats % 15 == 0 {
            meshes.expireBackoffs(now: now)
        }

        var outbox: OrderedDictionary<PeerID, GossipSubRPC> = [:]
        for topic in meshes.topics { maintainMesh(topic, outbox: &outbox, now: now) }
        maintainFanouts(now: now)
        var actions = outbox.map { GossipSubAction.send($0.value, to: [$0.key]) }
        actions += announceRecentMessages()
        cache.shift()
        return actions
    }

    // MARK: Meshes

    private mutating func maintainMesh(
        _ topic: String, outbox: inout OrderedDictionary<PeerID, GossipSubRPC>, now: MonotonicInstant
    ) {
        for peer in meshes[topic] ?? [] where scoring.score(of: peer) < 0 {
            leaveMesh(topic, peer, outbox: &outbox, now: now)
        }
        let degree = meshes[topic]?.count ?? 0
        if degree < parameters.meshDegreeLow {
            let chosen = graftCandidates(topic, now: now).prefix(max(0, parameters.meshDegree - degree))
            for peer in chosen { joinMesh(topic, peer, outbox: &outbox) }
        } else if degree > parameters.meshDegreeHigh {
            shrinkMesh(topic, outbox: &outbox, now: now)
        }
        if (meshes[topic]?.count ?? 0) >= parameters.meshDegreeLow {
            let outbound = meshes.outboundCount(in: topic, peers)
            let candidates = graftCandidates(topic, now: now).filter { peers[$0]?.isOutbound == true }
            for peer in candidates.prefix(max(0, parameters.meshDegreeOutbound - outbound)) {
                joinMesh(topic, peer, outbox: &outbox)
            }
        }
    }

    /// Prunes a mesh to D: the best by score stay, then as many outbound peers as wanted, then a random choice.
    private mutating func shrinkMesh(
        _ topic: String, outbox: inout OrderedDictionary<PeerID, GossipSubRPC>, now: MonotonicInstant
    ) {
        let mesh = (meshes[topic] ?? []).shuffled(using: &generator)
        // The sort is stable in effect: equal scores keep the order of the shuffle.
        let ranked = mesh.enumerated().sorted {
            (scoring.score(of: $1.element), $0.offset) < (scoring.score(of: $0.element), $1.offset)
        }.map(\.element)
        let best = ranked.prefix(min(parameters.meshDegreeScore, parameters.meshDegree))
        let rest = ranked.dropFirst(best.count).shuffled(using: &generator)
        let outboundKept = best.filter { peers[$0]?.isOutbound == true }.count
        let outboundMissing = max(0, parameters.meshDegreeOutbound - outboundKept)
        let outbound = rest.filter { peers[$0]?.isOutbound == true }.prefix(outboundMissing)
        let staying = OrderedSet((Array(best) + outbound + rest.filter { !outbound.contains($0) }))
            .prefix(parameters.meshDegree)
        for peer in mesh where !staying.contains(peer) { leaveMesh(topic, peer, outbox: &outbox, now: now) }
    }

    private mutating func joinMesh(
        _ topic: String, _ peer: PeerID, outbox: inout OrderedDictionary<PeerID, GossipSubRPC>
    ) {
        guard meshes.add(peer, to: topic) else { return }
        outbox[peer, default: GossipSubRPC()].graft.append(topic)
        counters.graftsSent += 1
    }

    private mutating func leaveMesh(
        _ topic: String, _ peer: PeerID, outbox: inout OrderedDictionary<PeerID, GossipSubRPC>, now: MonotonicInstant
    ) {
        meshes.prune(peer, from: topic, now: now)
        let entry = prune(topic, for: peer, milliseconds: parameters.pruneBackoffMilliseconds)
        outbox[peer, default: GossipSubRPC()].prune.append(entry)
        counters.prunesSent += 1
    }

    /// The peers that the router could graft, in random order.
    mutating func graftCandidates(_ topic: String, now: MonotonicInstant) -> [PeerID] {
        let mesh = meshes[topic] ?? []
        let candidates = peers.peers(of: topic).filter {
            !mesh.contains($0) && meshes.isGraftable($0, in: topic, peers, scoring, now: now)
        }
        return candidates.shuffled(using: &generator)
    }

    // MARK: Fanout

    private mutating func maintainFanouts(now: MonotonicInstant) {
        let fanoutMilliseconds = parameters.fanoutMilliseconds
        fanouts.removeAll { $0.lastPublished.advanced(milliseconds: fanoutMilliseconds) <= now }
        for topic in fanouts.keys {
            guard var entry = fanouts[topic] else { continue }
            fillFanout(&entry.peers, topic: topic)
            fanouts[topic] = entry
        }
    }

    mutating func fillFanout(_ members: inout OrderedSet<PeerID>, topic: String) {
        let possible = peers.peers(of: topic).filter {
            peers[$0]?.version.hasMesh == true && scoring.mayPublish($0)
        }
        members.removeAll { !possible.contains($0) }
        let missing = parameters.meshDegree - members.count
        guard missing > 0 else { return }
        let others = possible.filter { !members.contains($0) }.shuffled(using: &generator)
        members.append(contentsOf: others.prefix(missing))
    }

    // MARK: Gossip

    private mutating func announceRecentMessages() -> [GossipSubAction] {
        let recent = cache.recentIDs()
        var actions: [GossipSubAction] = []
        let topics = meshes.all.map { ($0.key, $0.value) } + fanouts.map { ($0.key, $0.value.peers) }
        for (topic, inside) in topics {
            guard let all = recent[ExactText(topic)] else { continue }
            let outside = peers.peers(of: topic).filter {
                !inside.contains($0) && peers[$0]?.version.hasMesh == true && scoring.mayGossip($0)
            }
            let part = outside.count * max(0, min(100, parameters.gossipFactorPercent)) / 100
            let chosen = outside.shuffled(using: &generator).prefix(max(parameters.gossipDegree, part))
            guard !chosen.isEmpty else { continue }
            let idsMax = limits.ihaveIDsSentMax
            let ids = all.count > idsMax ? Array(all.shuffled(using: &generator).prefix(idsMax)) : all
            var rpc = GossipSubRPC()
            rpc.ihave = [.init(topic: topic, messageIDs: ids)]
            actions.append(.send(rpc, to: Array(chosen)))
        }
        return actions
    }

    // MARK: Invariants

    /// Stops the process if the router contradicts itself or a table is over its limit; for tests and the simulator.
    public func checkInvariants() {
        peers.checkInvariants()
        meshes.checkInvariants(peers)
        cache.checkInvariants()
        seen.checkInvariants()
        promises.checkInvariants()
        pending.checkInvariants()
        precondition(fanouts.count <= max(1, limits.fanoutTopicsMax), "\(fanouts.count) fanout topics")
        precondition(scoring.recordCounts.connected == peers.count, "a score without a peer, or a peer without")
        precondition(scoring.recordCounts.departed <= limits.departedScoresMax, "too many departed scores")
    }
}
