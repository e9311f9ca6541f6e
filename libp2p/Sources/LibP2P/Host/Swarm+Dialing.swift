public import Multiformats
package import Peers

/// A task that waits for a dial made by `run`.
struct DialWaiter: Sendable {
    let id: UInt64
    let continuation: CheckedContinuation<Result<Void, OpenStreamError>, Never>
}

extension Swarm {
    /// Connects to a peer at the given and the known addresses, or returns at once if connected. The addresses are
    /// hearsay: `AddressPolicy` decides which of them to dial, and `failedDialsPerMinuteMax` how often.
    ///
    /// Callers that want the same peer share one dial.
    public func connect(to peer: PeerID, addresses: [Multiaddr]) async throws(OpenStreamError) {
        if isConnected(peer), !isDenied(peer) { return }
        if !addresses.isEmpty { addAddresses(addresses, for: peer) }
        try await dialHearsay(peer, book.order(of: peer))
    }

    private func dialHearsay(_ peer: PeerID, _ known: [Multiaddr]) async throws(OpenStreamError) {
        if dials[peer] == nil, case .failure(let refusal) = book.admits(peer, at: known, now: SwarmClock.now) {
            shared.count(.refusedDialBudget)
            let limit = refusal.failuresPerMinuteMax
            throw .dialFailed(["\(limit) dials of \(peer) failed within a minute; no further one is made for now"])
        }
        try await dial(peer, known)
    }

    /// Connects to a peer that somebody at a known distance claims to be at these addresses, the best first: as far as
    /// that one may name them, after the known ones, and as often as hearsay is dialed. What answers is remembered.
    package func connect(
        to peer: PeerID, foundAt addresses: [Multiaddr], from author: AddressReach
    ) async throws(OpenStreamError) {
        if isConnected(peer), !isDenied(peer) { return }
        let known = book.order(of: peer)
        let found = policy.admitted(addresses, from: author).map { $0.withoutPeerID() }.filter { !known.contains($0) }
        try await dialHearsay(peer, known + found.prefix(shared.limits.hearsayAddressesPerDialMax))
        let answered = connectionAddresses(to: peer).map { $0.withoutPeerID() }
        book.addresses.add(found.filter { answered.contains($0) }, for: peer, isConnected: isConnected)
    }

    private func dial(_ peer: PeerID, _ known: [Multiaddr]) async throws(OpenStreamError) {
        guard peer != localPeer else { throw .dialFailed(["\(peer) is this node"]) }
        if isDenied(peer) {
            shared.count(.refusedDenied)
            throw .dialFailed(["\(peer): \(ConnectionRefusal(counter: .refusedDenied))"])
        }
        guard !known.isEmpty else { throw .noAddresses }
        nextWaiterID += 1
        let id = nextWaiterID
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                wait(DialWaiter(id: id, continuation: continuation), for: peer, known)
            }
        } onCancel: {
            // The waiter belongs to the actor; `run` delivers the message.
            _ = shared.enqueue(.cancelDial(peer, waiter: id))
        }
        try result.get()
    }

    private func wait(_ waiter: DialWaiter, for peer: PeerID, _ addresses: [Multiaddr]) {
        if dials[peer] != nil {
            dials[peer]?.append(waiter)
            return
        }
        guard shared.enqueue(.dial(peer, addresses)) else {
            let reason: OpenStreamError =
                isStopped ? .connectionLost("the swarm has stopped") : .limitReached("queuedWorkMax")
            waiter.continuation.resume(returning: .failure(reason))
            return
        }
        dials[peer] = [waiter]
    }

    func cancelDial(_ peer: PeerID, waiter id: UInt64) {
        guard let index = dials[peer]?.firstIndex(where: { $0.id == id }) else { return }
        let waiter = dials[peer]?.remove(at: index)
        waiter?.continuation.resume(returning: .failure(.connectionLost("cancelled")))
    }

    nonisolated func performDial(_ peer: PeerID, _ addresses: [Multiaddr]) async {
        let result = await race(addresses, expecting: peer)
        await finishDial(peer, addresses, result)
    }

    private func finishDial(
        _ peer: PeerID, _ addresses: [Multiaddr], _ result: Result<Connection, OpenStreamError>
    ) {
        let waiters = dials.removeValue(forKey: peer) ?? []
        // The peer may have dialed this node in the meantime.
        let outcome: Result<Void, OpenStreamError> = isConnected(peer) ? .success(()) : result.map { _ in () }
        let isThere = if case .success = outcome { true } else { false }
        book.dialEnded(
            peer, tried: addresses, answeredAt: (try? result.get())?.remoteAddress, now: SwarmClock.now,
            isConnected: { $0 == peer ? isThere : isConnected($0) })
        for waiter in waiters { waiter.continuation.resume(returning: outcome) }
    }

    func failAllDials(_ error: OpenStreamError) {
        let all = dials
        dials = [:]
        for peer in all.keys.sorted() {
            for waiter in all[peer] ?? [] { waiter.continuation.resume(returning: .failure(error)) }
        }
    }

    /// Dials an address that this node's owner named, then the known ones. Its peer need not be known before; with
    /// `/p2p` it must be that peer. Existing connections to the peer that prove to be alive are good enough.
    public func dial(_ address: Multiaddr) async throws(OpenStreamError) -> PeerID {
        if let peer = address.peerID {
            // Whoever proves to be this peer is this node, or has its key: the handshake finds out (`ownKeyElsewhere`).
            if peer == localPeer, case .failure(let failure) = await transport.dial(address, expecting: peer) {
                throw .dialFailed([failure.description])
            }
            if await isAlive(peer) { return peer }
            try await dial(peer, book.order(of: peer, first: address))
            book.addresses.add([address.withoutPeerID()], for: peer, isConnected: isConnected)
            return peer
        }
        switch await transport.dial(address, expecting: nil) {
        case .success(let connection):
            book.addresses.add([address], for: connection.remotePeer, isConnected: isConnected)
            book.addresses.answered(address, by: connection.remotePeer, isConnected: isConnected)
            return connection.remotePeer
        case .failure(let failure): throw .dialFailed([failure.description])
        }
    }

    /// Dials addresses at which others say that this node is, and which are not its own: a handshake shows whether
    /// another process has its key (`ownKeyElsewhere`). They are hearsay: `AddressPolicy` decides, at most four are
    /// dialed, and one where nobody had the key rests, longer each time.
    package func lookForOwnKey(at addresses: [Multiaddr]) async {
        let (own, now) = (listenAddresses(), SwarmClock.now)
        let others = policy.admitted(addresses, from: nil).map { $0.withoutPeerID() }
            .filter { !own.contains($0) && !ownKeyRests.isResting($0, now: now) }
        for address in others.prefix(Self.ownKeyDialsMax) {
            let known = ownKeyElsewhere()
            _ = await transport.dial(address, expecting: localPeer)
            if ownKeyElsewhere() == known {
                ownKeyRests.failed(address, now: SwarmClock.now)
            } else {
                ownKeyRests.succeeded(address)
            }
        }
    }

    /// The most addresses that one call of `lookForOwnKey` dials.
    static let ownKeyDialsMax = 4

    /// Whether any connection to a peer answers.
    private func isAlive(_ peer: PeerID) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            for connection in shared.withRegistry({ $0.doubt(peer) }) {
                group.addTask { await connection.isAlive() }
            }
            for await isAlive in group where isAlive { return true }
            return false
        }
    }

    private enum RaceStep: Sendable {
        case connected(Connection)
        case failed(String)
        case headStartOver
    }

    /// Tries addresses in order, each with a head start over the next; the first connection wins.
    private nonisolated func race(
        _ addresses: [Multiaddr], expecting peer: PeerID
    ) async -> Result<Connection, OpenStreamError> {
        let limits = shared.limits
        let transport = transport
        return await withTaskGroup(of: RaceStep.self) { group in
            var waiting = addresses.prefix(limits.addressesPerPeerMax)[...]
            var running = 0
            var reasons: [String] = []
            func startNext() {
                guard running < limits.concurrentAttemptsMax, let address = waiting.popFirst() else { return }
                running += 1
                group.addTask {
                    switch await transport.dial(address, expecting: peer) {
                    case .success(let connection): .connected(connection)
                    case .failure(let failure): .failed(failure.description)
                    }
                }
                guard !waiting.isEmpty else { return }
                group.addTask {
                    try? await Task.sleep(for: .milliseconds(limits.attemptHeadStartMilliseconds))
                    return .headStartOver
                }
            }
            startNext()
            while running > 0, let step = await group.next() {
                switch step {
                case .connected(let connection):
                    group.cancelAll()
                    return .success(connection)
                case .failed(let reason):
                    running -= 1
                    reasons.append(reason)
                    startNext()
                case .headStartOver: startNext()
                }
            }
            group.cancelAll()
            return .failure(.dialFailed(reasons))
        }
    }
}
