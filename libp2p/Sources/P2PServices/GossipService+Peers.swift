import Determinism
import GossipSub
import LibP2P
import Logging
import Multiformats
import NIOCore

// Peers come and go: each has one outlet and one writer, and a reader for every stream that it opens.
extension GossipService {
    func begin(connected peers: [PeerID]) {
        for peer in peers { connected(peer) }
    }

    func peerEvent(_ event: PeerEvent) {
        switch event {
        case .connected(let peer): connected(peer)
        case .identified(let peer, let protocols, _):
            if protocols.contains(where: { GossipSubVersion(protocolID: $0) != nil }) { connected(peer) }
        case .disconnected(let peer): gone(peer)
        }
    }

    /// Handles a new connection to a peer: starts a writer that opens a stream to it.
    func connected(_ peer: PeerID) {
        guard peers[peer] == nil, peer != host.localPeer, peers.count < limits.core.peersMax else { return }
        let outlet = GossipOutlet(peer: peer, limits: limits)
        guard jobs.start(outlet) else { return }
        peers[peer] = Peer(outlet: outlet)
    }

    /// Handles the end of the last connection to a peer, or giving up the peer.
    func gone(_ peer: PeerID) {
        guard let known = peers.removeValue(forKey: peer) else { return }
        known.outlet.close()
        core.disconnected(peer, now: SwarmClock.now)
    }

    // MARK: Writing

    /// Keeps a stream to a peer open and writes what is queued for it, until the peer is gone.
    func perform(_ outlet: GossipOutlet) async {
        var failures = 0
        while !Task.isCancelled, isCurrent(outlet) {
            let begunAt = SwarmClock.now
            do {
                // Opening a stream would dial a peer that has just left.
                guard await host.connectedPeers().contains(outlet.peer) else { break }
                let stream = try await host.openStream(to: outlet.peer, protocols: GossipSubVersion.protocolIDs)
                await opened(stream, outlet)
                await write(outlet, to: stream)
                failed(outlet)
            } catch OpenStreamError.protocolsNotSupported {
                break
            } catch {
                logger.debug("gossip: no stream", metadata: ["peer": "\(outlet.peer)", "reason": "\(error)"])
            }
            let isSteady = SwarmClock.now.milliseconds(since: begunAt) > limits.steadyStreamMilliseconds
            failures = isSteady ? 1 : failures + 1
            guard failures < limits.openAttemptsMax else { break }
            try? await Task.sleep(for: .milliseconds(limits.reopenMilliseconds << failures))
        }
        if isCurrent(outlet) { gone(outlet.peer) }
        outlet.close()
    }

    private func isCurrent(_ outlet: GossipOutlet) -> Bool {
        peers[outlet.peer]?.outlet === outlet
    }

    /// Handles an opened stream: tells the router what the peer speaks, and greets the peer unless done already.
    private func opened(_ stream: any PeerStream, _ outlet: GossipOutlet) async {
        let isOutbound = await host.isOutbound(outlet.peer)
        guard isCurrent(outlet), let version = GossipSubVersion(protocolID: stream.protocolID) else { return }
        greet(outlet.peer, version: version, isOutbound: isOutbound)
    }

    private func greet(_ peer: PeerID, version: GossipSubVersion, isOutbound: Bool) {
        let isGreeted = peers[peer]?.isGreeted ?? true
        let isReopened = core.isConnected(peer)
        peers[peer]?.isGreeted = true
        let hello = core.connected(peer, version: version, isOutbound: isOutbound, now: SwarmClock.now)
        if !isGreeted { carryOut(isReopened ? core.streamReopened(peer, now: SwarmClock.now) : hello) }
    }

    /// Handles a lost stream: what was on it is lost too, so the next one begins with a new hello.
    private func failed(_ outlet: GossipOutlet) {
        guard isCurrent(outlet) else { return }
        outlet.discard()
        peers[outlet.peer]?.isGreeted = false
    }

    /// Writes until the stream fails or the outlet closes.
    private nonisolated func write(_ outlet: GossipOutlet, to stream: any PeerStream) async {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    for await _ in outlet.signals() {
                        while let batch = outlet.nextBatch() { try await stream.write(batch) }
                    }
                } catch {}
                return true
            }
            group.addTask {
                // Peers never send anything back on this stream; reading shows at once when the peer resets it.
                do {
                    while try await stream.read() != nil {}
                    return false
                } catch {
                    return true
                }
            }
            for await isOver in group where isOver { break }
            await stream.reset()
            group.cancelAll()
        }
    }

    // MARK: Reading

    /// Reads the RPCs of a stream that a peer opened, until it ends or misbehaves.
    func serve(_ stream: any PeerStream) async {
        guard let version = GossipSubVersion(protocolID: stream.protocolID),
            let id = await accepted(stream, version: version)
        else { return await stream.reset() }
        defer { inbound.remove(id, now: SwarmClock.now) }
        await withTaskGroup(of: Void.self) { group in
            var validating = 0
            while let rpc = await self.nextRPC(stream) {
                let (validations, resets) = received(rpc, from: stream.remotePeer)
                if resets { break }
                for validation in validations {
                    if validating >= limits.validationsPerStreamMax {
                        await group.next()
                        validating -= 1
                    }
                    group.addTask { await self.validate(validation) }
                    validating += 1
                }
            }
            await stream.reset()
        }
    }

    /// The next RPC; `nil` at the end of the stream, or after one that was too long.
    private nonisolated func nextRPC(_ stream: any PeerStream) async -> [UInt8]? {
        do {
            return try await stream.readFrame(bytesMax: limits.core.rpcBytesMax).map { Array($0.readableBytesView) }
        } catch StreamError.frameTooLarge(let announced, let bytesMax) {
            let error = GossipSubCodecError.tooLong(bytes: Int(clamping: announced), bytesMax: bytesMax)
            await refused(error, from: stream.remotePeer)
            return nil
        } catch {
            return nil
        }
    }

    private func refused(_ error: GossipSubCodecError, from peer: PeerID) {
        carryOut(core.refused(error, from: peer))
    }

    /// A place for one more stream of a peer; nil at its limit. The router knows the peer from now on, because its
    /// hello may come before this node's own stream to it is open.
    private func accepted(_ stream: any PeerStream, version: GossipSubVersion) async -> UInt64? {
        let peer = stream.remotePeer
        connected(peer)
        guard peers[peer] != nil,
            let id = inbound.admit(stream, now: SwarmClock.now, counters: &streamCounters)
        else { return nil }
        guard !core.isConnected(peer) else { return id }
        let isOutbound = await host.isOutbound(peer)
        greet(peer, version: version, isOutbound: isOutbound)
        return id
    }

    private func received(_ rpc: [UInt8], from peer: PeerID) -> (validations: [Validation], resets: Bool) {
        carryOut(core.received(rpc, from: peer, now: SwarmClock.now))
    }

    private nonisolated func validate(_ validation: Validation) async {
        let verdict = await validation.validator(validation.message)
        await validated(validation.message.id, verdict)
    }

    private func validated(_ id: MessageID, _ verdict: GossipVerdict) {
        carryOut(core.validated(id, verdict, now: SwarmClock.now))
    }
}
