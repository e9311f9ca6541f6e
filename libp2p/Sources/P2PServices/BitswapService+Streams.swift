import Bitswap
import DequeModule
import Determinism
import LibP2P
import Logging
import Multiformats
import NIOCore
import OrderedCollections

/// The service's streams: one to each peer, and those that peers open.
extension BitswapService {
    private enum ReadFailure: Error, CustomStringConvertible {
        case unaskedMessageTooLarge

        var description: String { "a message that nobody asked for is too large" }
    }

    // MARK: Sending

    /// Sends a peer what waits for it, then what it wants, until nothing is left.
    func send(to peer: PeerID) async {
        do {
            while true {
                if let message = takeMessages(for: peer) {
                    try await write(message, to: peer)
                } else if let rate = servingRates[peer], rate.freeAt > SwarmClock.now {
                    if core.hasWants(of: peer) { servingPauses += 1 }
                    outboxes[peer]?.isRunning = false
                    rearm()
                    return
                } else if let want = core.nextWant(of: peer) {
                    let found = await lookUp(want, for: peer)
                    if case .block(let block) = found { served(block.count, to: peer) }
                    guard let answer = core.lookedUp(want.cid, for: peer, found) else { continue }
                    try await write(answer, to: peer)
                } else {
                    outboxes[peer]?.isRunning = false
                    return
                }
            }
        } catch {
            logger.debug("sending blocks failed", metadata: ["peer": "\(peer)", "error": "\(error)"])
            outboxes.removeValue(forKey: peer)
            carryOut(core.peerLost(peer, now: SwarmClock.now))
        }
    }

    /// All waiting messages as one: wants and presences add up.
    private func takeMessages(for peer: PeerID) -> BitswapMessage? {
        guard var merged = outboxes[peer]?.messages.popFirst() else { return nil }
        while merged.wants.count + merged.presences.count < limits.joinedEntriesMax,
            let next = outboxes[peer]?.messages.popFirst()
        {
            merged.wants += next.wants
            merged.presences += next.presences
        }
        return merged
    }

    private func served(_ byteCount: Int, to peer: PeerID) {
        guard let bytesPerSecond = limits.servedBytesPerSecondPerPeerMax else { return }
        var rate = servingRates[peer] ?? ServingRate(bytesPerSecond: bytesPerSecond, now: SwarmClock.now)
        rate.served(byteCount, now: SwarmClock.now)
        servingRates[peer] = rate
        servingChanges(rate, now: SwarmClock.now)
    }

    private func lookUp(_ want: WantedBlock, for peer: PeerID) async -> BlockLookup {
        switch want.kind {
        case .have: await store.hasBlock(want.cid, for: peer) ? .present : .missing
        case .block: await store.block(want.cid, for: peer).map(BlockLookup.block) ?? .missing
        }
    }

    private func write(_ message: BitswapMessage, to peer: PeerID) async throws {
        let frame = ByteBuffer(bytes: BitswapMessageCoding.encode(message))
        outboxes[peer]?.activeAt = SwarmClock.now
        if let stream = outboxes[peer]?.stream {
            do {
                try await stream.writeFrame(frame)
                outboxes[peer]?.activeAt = SwarmClock.now
                return
            } catch {
                // The peer may have closed it in the meantime; then a fresh one decides. A peer that did not read has
                // had its time.
                if outboxes[peer]?.isOverdue == true { throw error }
                outboxes[peer]?.stream = nil
            }
        }
        let stream = try await host.openStream(to: peer, protocols: [Self.protocolID])
        nextStreamID += 1
        if outboxes[peer] == nil { outboxes[peer] = Outbox(isRunning: true, activeAt: SwarmClock.now) }
        outboxes[peer]?.stream = stream
        outboxes[peer]?.streamID = nextStreamID
        // Answers may come on this stream too; unread, they would fill its window.
        guard start(.read(stream, streamID: nextStreamID)) else {
            await stream.reset()
            throw StreamError.reset
        }
        try await stream.writeFrame(frame)
        outboxes[peer]?.activeAt = SwarmClock.now
    }

    // MARK: Receiving

    /// Reads what a peer sends on the stream that this node opened, until it ends.
    func readAnswers(on stream: any PeerStream, streamID: UInt64) async {
        await readMessages(on: stream) {}
        let peer = stream.remotePeer
        if outboxes[peer]?.streamID == streamID {
            outboxes[peer]?.stream = nil
            try? await stream.closeWrite()
        }
    }

    /// Reads what a peer sends on a stream that it opened, until it ends.
    func serve(_ stream: any PeerStream) async {
        guard let id = await place(for: stream) else {
            refusedMessages += 1
            return await stream.reset()
        }
        defer { inbound.remove(id, now: SwarmClock.now) }
        rearm()
        await readMessages(on: stream) { inbound.wasActive(id, now: SwarmClock.now) }
        try? await stream.closeWrite()
    }

    /// A place to read a stream: at once, or once another of its peer's ends. Only what a peer was asked for is worth
    /// waiting: go-bitswap sends each block on a stream of its own, so that many answers are many streams, and a stream
    /// that is reset is an answer lost, which it does not send again.
    private func place(for stream: any PeerStream) async -> UInt64? {
        if core.isAsked(stream.remotePeer), let turn = inbound.wait(stream) {
            for await place in turn { return place }
            return nil
        }
        return inbound.admit(stream, now: SwarmClock.now, counters: &streamCounters)
    }

    private func readMessages(on stream: any PeerStream, _ onMessage: () -> Void) async {
        do {
            while let length = try await readLength(on: stream) {
                let bytes = try await stream.readExactly(length)
                onMessage()
                let message = try BitswapMessageCoding.decode(
                    Array(bytes.readableBytesView), limits: limits.core.messages)
                carryOut(core.messageArrived(message, from: stream.remotePeer, now: SwarmClock.now))
            }
        } catch {
            switch error {
            case is BitswapMessageError, is ReadFailure, StreamError.frameTooLarge, StreamError.malformedLength:
                refusedMessages += 1
            default: break
            }
            logger.debug("block stream ended", metadata: ["peer": "\(stream.remotePeer)", "error": "\(error)"])
            await stream.reset()
        }
    }

    /// The length of the next message. Its bound depends on whether the peer was asked for a block when the message
    /// comes, so `readFrame` cannot know it beforehand.
    private func readLength(on stream: any PeerStream) async throws -> Int? {
        guard var next = try await stream.readSome() else { return nil }
        var bytes: [UInt8] = []
        while let byte = next.readInteger(as: UInt8.self) {
            bytes.append(byte)
            if byte < 0x80 { break }
            guard bytes.count < Varint.bytesMax else { throw StreamError.malformedLength }
            next = try await stream.readExactly(1)
        }
        guard let length = Varint.decode(exactly: bytes), length <= UInt64(limits.core.messages.messageBytesMax) else {
            throw StreamError.malformedLength
        }
        guard length <= UInt64(limits.unaskedMessageBytesMax) || core.isAsked(stream.remotePeer) else {
            throw ReadFailure.unaskedMessageTooLarge
        }
        return Int(length)
    }
}

extension PeerStream {
    /// One byte, or `nil` at a clean end.
    fileprivate func readSome() async throws -> ByteBuffer? {
        do {
            return try await readExactly(1)
        } catch StreamError.endOfStream {
            return nil
        }
    }
}
