public import Determinism
import Multiformats
import OrderedCollections

/// The asking half of the core: operations, their requests and their ends.
extension KademliaCore {
    /// Takes in the answer to a request; answers to requests that are not under way are ignored.
    public mutating func responseArrived(
        _ id: RequestID, _ answer: KademliaMessage, now: MonotonicInstant
    ) -> [KademliaAction] {
        guard let request = pending[id] else { return [] }
        guard answer.kind == request.question.kind else {
            counters.wrongAnswers += 1
            let violation = KademliaViolation.wrongKind(asked: request.question.kind, answered: answer.kind)
            return [.peerMisbehaved(request.peer.peerID, violation)] + requestFailed(id, now: now)
        }
        pending.removeValue(forKey: id)
        var actions: [KademliaAction] = []
        if !table.answered(request.peer.peerID, now: now) { actions += admit(request.peer, now: now) }
        if request.question.key == localPeer.bytes {
            doubles.named(answer.closerPeers.filter { $0.peerID == localPeer }, notAt: localAddresses)
        }
        if answer.kind == .findNode { wholeAnswers.received(answer.closerPeers, from: request.peer.peerID, now: now) }
        guard let queryID = request.query, var query = queries[queryID] else { return actions }
        query.requests.remove(id)
        switch query.phase {
        case .walking:
            query.lookup.answered(request.peer.peerID, closer: answer.closerPeers)
            actions += gather(answer, from: request.peer.peerID, into: &query)
        case .storing(let asked, var confirmed):
            if answer.record?.key ?? answer.key == query.operation.key {
                confirmed.append(request.peer.peerID)
            } else {
                counters.wrongAnswers += 1
                actions.append(.peerMisbehaved(request.peer.peerID, .wrongConfirmation))
            }
            query.phase = .storing(asked: asked, confirmed: confirmed)
        }
        queries[queryID] = query
        return actions + drive(queryID, now: now)
    }

    /// Notes that a request without an answer was written.
    public mutating func requestDelivered(_ id: RequestID, now: MonotonicInstant) -> [KademliaAction] {
        guard let request = pending.removeValue(forKey: id) else { return [] }
        guard let queryID = request.query, var query = queries[queryID] else { return [] }
        query.requests.remove(id)
        if case .storing(let asked, let confirmed) = query.phase {
            query.phase = .storing(asked: asked, confirmed: confirmed + [request.peer.peerID])
        }
        queries[queryID] = query
        return drive(queryID, now: now)
    }

    /// Notes that a request got no answer: no connection, no time, or a refusal.
    public mutating func requestFailed(_ id: RequestID, now: MonotonicInstant) -> [KademliaAction] {
        guard let request = pending[id] else { return [] }
        if let queryID = request.query, case .storing = queries[queryID]?.phase {
            // A server may refuse to store and still be alive.
        } else {
            table.failed(request.peer.peerID, now: now)
        }
        wholeAnswers.forget(request.peer.peerID)
        return requestDropped(id, now: now)
    }

    /// Notes that a request was never sent, because too many wait at this node. Its operation goes on without it, and
    /// the peer keeps its place in the table.
    public mutating func requestDropped(_ id: RequestID, now: MonotonicInstant) -> [KademliaAction] {
        guard let request = pending.removeValue(forKey: id) else { return [] }
        guard let queryID = request.query, queries[queryID] != nil else { return [] }
        queries[queryID]?.requests.remove(id)
        if case .walking = queries[queryID]?.phase { queries[queryID]?.lookup.failed(request.peer.peerID) }
        return drive(queryID, now: now)
    }

    mutating func start(
        _ operation: KademliaOperation, owner: KademliaQuery.Owner, now: MonotonicInstant
    ) -> (id: QueryID, actions: [KademliaAction]) {
        let id = QueryID(number: newNumber())
        if let outcome = prepare(operation, owner: owner, now: now) { return (id, [.finished(id, outcome)]) }
        guard queries.count < configuration.queriesMax else {
            let outcome = KademliaOutcome.failed(.tooManyOperations(max: configuration.queriesMax))
            published(operation, outcome, now: now)
            return (id, [.finished(id, outcome)])
        }
        let target = KademliaKey(hashing: operation.key)
        var seeds = table.closest(to: target, count: configuration.lookup.closestPeersMax)
        if seeds.isEmpty { seeds = table.formerMembers }
        let lookup = Lookup(target: target, seeds: seeds, localPeer: localPeer, limits: configuration.lookup)
        var query = KademliaQuery(
            id: id, operation: operation, owner: owner,
            deadline: now.advanced(milliseconds: configuration.queryTimeoutMilliseconds), lookup: lookup)
        if case .findProviders(let multihash, _) = operation {
            for provider in localProviders(of: multihash, now: now) { query.providers[provider.peerID] = provider }
        }
        guard !seeds.isEmpty else {
            let outcome = outcomeSoFar(of: query) ?? .failed(.noPeersKnown)
            published(operation, outcome, now: now)
            return (id, owner == .caller ? [.finished(id, outcome)] : [])
        }
        queries[id] = query
        return (id, drive(id, now: now))
    }

    /// The best result of an operation that must end now.
    func outcomeSoFar(of query: KademliaQuery) -> KademliaOutcome? {
        switch query.operation {
        case .findPeer(let peer):
            return query.lookup.heard(of: peer).flatMap { $0.addresses.isEmpty ? nil : .peerFound($0) }
        case .findClosest:
            let closest = query.lookup.closestAnswered
            return closest.isEmpty ? nil : .closest(closest)
        case .getValue:
            guard var best = query.values.first else { return nil }
            for candidate in query.values.dropFirst()
            where rules.isSecondBetter(under: query.operation.key, best.value, candidate.value) {
                best = candidate
            }
            return .valueFound(best.value, from: best.from)
        case .putValue:
            guard case .storing(_, let confirmed) = query.phase, !confirmed.isEmpty else { return nil }
            return .stored(at: confirmed)
        case .provide:
            guard case .storing(_, let confirmed) = query.phase, !confirmed.isEmpty else { return nil }
            return .provided(at: confirmed)
        case .findProviders(_, let limit):
            guard !query.providers.isEmpty else { return nil }
            return .providersFound(Array(query.providers.values.prefix(max(limit, 1))))
        }
    }

    mutating func finish(_ id: QueryID, _ outcome: KademliaOutcome, now: MonotonicInstant) -> [KademliaAction] {
        guard let query = queries.removeValue(forKey: id) else { return [] }
        published(query.operation, outcome, now: now)
        var actions: [KademliaAction] = []
        for request in query.requests {
            pending.removeValue(forKey: request)
            actions.append(.cancel(request, .notNeeded))
        }
        switch query.owner {
        case .caller: actions.append(.finished(id, outcome))
        case .refresh: actions += continueRefresh(now: now)
        case .republication: actions += republish(now: now)
        }
        return actions
    }

    /// Uses what this node knows without asking, and does what must come before asking.
    private mutating func prepare(
        _ operation: KademliaOperation, owner: KademliaQuery.Owner, now: MonotonicInstant
    ) -> KademliaOutcome? {
        switch operation {
        case .findPeer(let peer):
            if peer == localPeer { return .peerFound(PeerInfo(peerID: peer, addresses: localAddresses)) }
            let known = table.member(peer) ?? clients[peer]
            return known.flatMap { $0.addresses.isEmpty ? nil : .peerFound($0) }
        case .getValue(let key):
            guard rules.validator(for: key) != nil else { return .failed(.recordRefused(.unknownNamespace)) }
            if let value = records.value(for: key, now: now) { return .valueFound(value, from: nil) }
            return publications.value(under: key).map { .valueFound($0, from: nil) }
        case .putValue(let key, let value):
            let record = KademliaRecord(key: key, value: value)
            do {
                try rules.check(record, under: key)
            } catch {
                // A validator may later refuse what it accepted; then its announcements end.
                published(operation, .failed(.recordRefused(error)), now: now)
                return .failed(.recordRefused(error))
            }
            if owner == .caller {
                // If there is no room here, others still get the value, and the publications repeat it.
                _ = keep(record, holder: localPeer, now: now)
                remember(operation, now: now)
            }
            return nil
        case .provide:
            if owner == .caller { remember(operation, now: now) }
            return nil
        case .findProviders(let multihash, let limit):
            let known = localProviders(of: multihash, now: now)
            return known.count >= max(limit, 1) ? .providersFound(Array(known.prefix(max(limit, 1)))) : nil
        case .findClosest:
            return nil
        }
    }

    /// Takes from an answer what the operation wants.
    private mutating func gather(
        _ answer: KademliaMessage, from peer: PeerID, into query: inout KademliaQuery
    ) -> [KademliaAction] {
        switch query.operation {
        case .getValue(let key):
            guard let record = answer.record else { return [] }
            do {
                try rules.check(record, under: key)
                query.values.append((record.value, peer))
                return []
            } catch {
                counters.invalidRecordsReceived += 1
                query.invalidRecords += 1
                query.lastRefusal = error
                return [.peerMisbehaved(peer, .invalidRecord(error))]
            }
        case .findProviders(_, let limit):
            for provider in answer.providerPeers
            where query.providers[provider.peerID] == nil && query.providers.count < max(limit, 1) {
                query.providers[provider.peerID] = provider
            }
            return []
        case .findPeer, .findClosest, .putValue, .provide: return []
        }
    }

    /// Advances an operation: asks further peers, or ends it.
    private mutating func drive(_ id: QueryID, now: MonotonicInstant) -> [KademliaAction] {
        guard let query = queries[id] else { return [] }
        switch query.phase {
        case .walking:
            if hasEnough(query), let outcome = outcomeSoFar(of: query) { return finish(id, outcome, now: now) }
            var actions: [KademliaAction] = []
            for peer in nextToAsk(id, now: now) { actions.append(send(query.question, to: peer, for: id, now: now)) }
            if queries[id]?.lookup.isFinished == true { actions += walkFinished(id, now: now) }
            return actions
        case .storing(let asked, _):
            guard query.requests.isEmpty else { return [] }
            return finish(id, outcomeSoFar(of: query) ?? .failed(.storedNowhere(asked: asked)), now: now)
        }
    }

    /// Whom a walk has to ask, after what is known of the answers of others.
    private mutating func nextToAsk(_ id: QueryID, now: MonotonicInstant) -> [PeerInfo] {
        guard var query = queries[id] else { return [] }
        var asked: [PeerInfo] = []
        while true {
            let next = query.lookup.next()
            if next.isEmpty { break }
            for peer in next {
                if query.operation.mayReuseAnswers, let closer = wholeAnswers.answer(of: peer.peerID, now: now) {
                    query.lookup.answered(peer.peerID, closer: closer)
                } else {
                    asked.append(peer)
                }
            }
        }
        queries[id] = query
        return asked
    }

    private func hasEnough(_ query: KademliaQuery) -> Bool {
        switch query.operation {
        case .findPeer(let peer): query.lookup.heard(of: peer)?.addresses.isEmpty == false
        case .getValue: query.values.count >= configuration.valueQuorum
        case .findProviders(_, let limit): query.providers.count >= max(limit, 1)
        case .findClosest, .putValue, .provide: false
        }
    }

    private mutating func walkFinished(_ id: QueryID, now: MonotonicInstant) -> [KademliaAction] {
        guard let query = queries[id] else { return [] }
        let closest = query.lookup.closestAnswered
        let message: KademliaMessage
        switch query.operation {
        case .putValue(let key, let value):
            message = KademliaMessage(kind: .putValue, key: key, record: KademliaRecord(key: key, value: value))
        case .provide(let multihash):
            let provider = PeerInfo(peerID: localPeer, addresses: localAddresses)
            message = KademliaMessage(kind: .addProvider, key: multihash, providerPeers: [provider])
        case .findPeer, .findClosest, .getValue, .findProviders:
            let failure: KademliaFailure
            if let reason = query.lastRefusal {
                failure = .onlyInvalidRecords(count: query.invalidRecords, lastReason: reason)
            } else {
                failure = .notFound(asked: query.lookup.requestsMade)
            }
            return finish(id, outcomeSoFar(of: query) ?? .failed(failure), now: now)
        }
        guard !closest.isEmpty else {
            return finish(id, .failed(.notFound(asked: query.lookup.requestsMade)), now: now)
        }
        // Requests of the walk that are still out concern peers farther than the k closest.
        var actions: [KademliaAction] = []
        for request in query.requests {
            pending.removeValue(forKey: request)
            actions.append(.cancel(request, .notNeeded))
        }
        queries[id]?.requests = []
        queries[id]?.phase = .storing(asked: closest.count, confirmed: [])
        for peer in closest { actions.append(send(message, to: peer, for: id, now: now)) }
        return actions
    }
}
