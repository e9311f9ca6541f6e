import DequeModule
import Determinism
import Kademlia
import LibP2P
import Logging
import Multiformats
import NIOCore
import OrderedCollections

/// The service's streams: its own requests, and those of peers.
extension KademliaService {
    private enum ExchangeFailure: Error, CustomStringConvertible {
        case endOfStream

        var description: String { "the peer ended the stream without an answer" }
    }

    // MARK: Asking

    /// Performs requests one after another until none waits.
    func work(from first: KademliaRequest) async {
        var next: KademliaRequest? = first
        while let request = next {
            if core.isUnderWay(request.id) { await perform(request) }
            next = queue.popFirst()
        }
        requestsUnderWay -= 1
    }

    private func perform(_ request: KademliaRequest) async {
        do {
            let answer = try await exchange(request)
            let now = SwarmClock.now
            if let answer {
                carryOut(core.responseArrived(request.id, answer, now: now))
            } else {
                carryOut(core.requestDelivered(request.id, now: now))
            }
        } catch {
            logger.trace("DHT request failed", metadata: ["peer": "\(request.peer.peerID)", "error": "\(error)"])
            carryOut(core.requestFailed(request.id, now: SwarmClock.now))
        }
        active[request.id] = nil
    }

    /// The answer to a request; `nil` for one that has no answer and was written.
    private func exchange(_ request: KademliaRequest) async throws -> KademliaMessage? {
        let peer = request.peer.peerID
        let frame = ByteBuffer(bytes: KademliaMessageCoding.encode(request.message, limits: configuration.messages))
        if request.expectsAnswer, let stream = takeIdle(peer) {
            // The server may have closed it in the meantime; then a fresh one decides.
            if let answer = try? await ask(frame, request, on: stream) { return answer }
            await stream.reset()
            guard core.isUnderWay(request.id) else { throw ExchangeFailure.endOfStream }
        }
        if !connected.contains(peer) { try await host.connect(to: peer, addresses: request.peer.addresses) }
        let stream = try await host.openStream(to: peer, protocols: [configuration.protocolID])
        guard core.isUnderWay(request.id) else {
            await stream.reset()
            throw ExchangeFailure.endOfStream
        }
        do {
            if request.expectsAnswer { return try await ask(frame, request, on: stream) }
            active[request.id] = stream
            try await stream.writeFrame(frame)
            try await stream.closeWrite()
            return nil
        } catch {
            await stream.reset()
            throw error
        }
    }

    private func ask(
        _ frame: ByteBuffer, _ request: KademliaRequest, on stream: any PeerStream
    ) async throws -> KademliaMessage {
        active[request.id] = stream
        try await stream.writeFrame(frame)
        guard let bytes = try await stream.readFrame(bytesMax: configuration.messages.messageBytesMax) else {
            throw ExchangeFailure.endOfStream
        }
        let answer = try KademliaMessageCoding.decode(Array(bytes.readableBytesView), limits: configuration.messages)
        await putIdle(stream)
        return answer
    }

    private func takeIdle(_ peer: PeerID) -> (any PeerStream)? {
        guard var entries = idle[peer], let entry = entries.popLast() else { return nil }
        idle[peer] = entries.isEmpty ? nil : entries
        idleCount -= 1
        return entry.stream
    }

    private func putIdle(_ stream: any PeerStream) async {
        let peer = stream.remotePeer
        guard idleCount < limits.idleStreamsMax, idle[peer, default: []].count < limits.idleStreamsPerPeerMax else {
            streamCounters.ownSurplus += 1
            try? await stream.closeWrite()
            return
        }
        nextStreamID += 1
        idle[peer, default: []].append(IdleStream(id: nextStreamID, stream: stream, since: SwarmClock.now))
        idleCount += 1
        rearm()
    }

    // MARK: Serving

    /// Answers the requests that come on a stream, one after another.
    func serve(_ stream: any PeerStream) async {
        let peer = stream.remotePeer
        guard let id = inbound.admit(stream, now: SwarmClock.now, counters: &streamCounters) else {
            refusedMessages += 1
            return await stream.reset()
        }
        defer { inbound.remove(id, now: SwarmClock.now) }
        rearm()
        do {
            while let bytes = try await stream.readFrame(bytesMax: configuration.messages.messageBytesMax) {
                inbound.wasActive(id, now: SwarmClock.now)
                let wire = Array(bytes.readableBytesView)
                let request = try KademliaMessageCoding.decode(wire, limits: configuration.messages)
                guard let answer = try core.requestArrived(request, from: peer, now: SwarmClock.now).get() else {
                    continue
                }
                let frame = KademliaMessageCoding.encode(answer, limits: configuration.messages)
                try await stream.writeFrame(ByteBuffer(bytes: frame))
            }
            try await stream.closeWrite()
        } catch {
            if error is RequestRefusal || error is KademliaMessageError { refusedMessages += 1 }
            logger.debug("DHT stream refused", metadata: ["peer": "\(peer)", "error": "\(error)"])
            await stream.reset()
        }
    }
}
