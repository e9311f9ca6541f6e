public import Determinism
public import Multiformats
import OrderedCollections

/// The answering half of the core.
extension KademliaCore {
    /// Answers a request of a peer. `nil` means that the request was accepted and gets no answer (ADD_PROVIDER); on a
    /// refusal, reset the stream.
    public mutating func requestArrived(
        _ request: KademliaMessage, from peer: PeerID, now: MonotonicInstant
    ) -> Result<KademliaMessage?, RequestRefusal> {
        let result = answer(request, from: peer, now: now)
        switch result {
        case .success: counters.requestsServed += 1
        case .failure: counters.requestsRefused += 1
        }
        return result
    }

    /// The providers of a multihash that this node knows of itself: first itself, if it provides it.
    func localProviders(of multihash: [UInt8], now: MonotonicInstant) -> [PeerInfo] {
        var known = providers.providers(of: multihash, now: now)
        if publications.isProvided(multihash) {
            known.insert(PeerInfo(peerID: localPeer, addresses: localAddresses), at: 0)
        }
        return known
    }

    private mutating func answer(
        _ request: KademliaMessage, from peer: PeerID, now: MonotonicInstant
    ) -> Result<KademliaMessage?, RequestRefusal> {
        guard configuration.mode == .server else { return .failure(.notAServer) }
        if request.kind == .ping { return .success(KademliaMessage(kind: .ping)) }
        let key = request.key
        guard !key.isEmpty, key.count <= configuration.messages.keyBytesMax else {
            return .failure(.badKeyLength(key.count))
        }
        switch request.kind {
        case .ping: return .success(KademliaMessage(kind: .ping))
        case .putValue: return store(request, from: peer, now: now)
        case .addProvider: return addProvider(request, from: peer, now: now)
        case .findNode:
            return .success(KademliaMessage(kind: .findNode, key: key, closerPeers: nodes(for: key, asker: peer)))
        case .getValue:
            let value = records.value(for: key, now: now)
            return .success(
                KademliaMessage(
                    kind: .getValue, key: key, record: value.map { KademliaRecord(key: key, value: $0) },
                    closerPeers: closer(to: key, asker: peer)))
        case .getProviders:
            return .success(
                KademliaMessage(
                    kind: .getProviders, key: key, closerPeers: closer(to: key, asker: peer),
                    providerPeers: localProviders(of: key, now: now)))
        }
    }

    private func closer(to key: [UInt8], asker: PeerID) -> [PeerInfo] {
        table.closest(
            to: KademliaKey(hashing: key), count: configuration.lookup.closestPeersMax, excluding: asker)
    }

    /// The closest servers, with the wanted peer first, even if it is this node or no server.
    private func nodes(for key: [UInt8], asker: PeerID) -> [PeerInfo] {
        var nodes = closer(to: key, asker: asker)
        let own = PeerInfo(peerID: localPeer, addresses: localAddresses)
        if key == localPeer.bytes {
            nodes.insert(own, at: 0)
        } else if let target = try? PeerID(bytes: key), target != asker, let client = clients[target] {
            nodes.insert(client, at: 0)
        }
        // go-libp2p drops a server that names nobody, so a node that knows no other names itself.
        if nodes.isEmpty { nodes = [own] }
        if key == asker.bytes, let other = doubles.others(of: asker, now: table.member(asker) ?? clients[asker]) {
            nodes.append(other)
        }
        return nodes
    }

    private mutating func store(
        _ request: KademliaMessage, from peer: PeerID, now: MonotonicInstant
    ) -> Result<KademliaMessage?, RequestRefusal> {
        guard let record = request.record else { return .failure(.missingRecord) }
        do {
            try rules.check(record, under: request.key)
        } catch {
            return .failure(.record(error))
        }
        if let stored = records.value(for: record.key, now: now), stored != record.value,
            !rules.isSecondBetter(under: record.key, stored, record.value)
        {
            return .failure(.record(.olderThanStored))
        }
        guard keep(record, holder: peer, now: now) else { return .failure(.record(.storeFull)) }
        // The answer repeats the record: an empty one crashes go-libp2p's kad-dht 0.25.1.
        return .success(KademliaMessage(kind: .putValue, key: request.key, record: record))
    }

    private mutating func addProvider(
        _ request: KademliaMessage, from peer: PeerID, now: MonotonicInstant
    ) -> Result<KademliaMessage?, RequestRefusal> {
        guard request.key.count <= configuration.providers.keyBytesMax else {
            return .failure(.badKeyLength(request.key.count))
        }
        guard var provider = request.providerPeers.first(where: { $0.peerID == peer }) else {
            return .failure(.notTheProvider)
        }
        if provider.addresses.isEmpty { provider.addresses = (table.member(peer) ?? clients[peer])?.addresses ?? [] }
        guard let displaced = providers.add(provider, key: request.key, now: now) else {
            counters.providersRefusedAsFull += 1
            return .failure(.providerStoreFull)
        }
        counters.providersDisplaced += displaced
        return .success(nil)
    }
}
