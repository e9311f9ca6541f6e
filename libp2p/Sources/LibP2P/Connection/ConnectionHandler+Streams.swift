import Determinism
import Multistream
import NIOCore
import Yamux

extension ConnectionHandler {
    // MARK: From the session

    func handle(_ event: YamuxEvent) {
        switch event {
        case .streamOpened(let id): inboundOpened(id)
        case .data(let id, let bytes): received(bytes, on: id)
        case .remoteClosed(let id): remoteClosed(id)
        case .reset(let id): streamFailed(id, .connectionLost("the peer reset the stream"))
        case .roundTrip(let nanoseconds): connection?.roundTripNanoseconds = nanoseconds
        case .windowOpened, .goAway: return
        }
    }

    private func makeSlot(_ id: YamuxStreamID, _ negotiation: StreamSlot.Negotiation) -> StreamSlot? {
        guard let eventLoop, let connectionCharge else { return nil }
        let link = StreamLink(id: id, handler: NIOLoopBound(self, eventLoop: eventLoop), eventLoop: eventLoop)
        let charge = StreamCharge(connectionCharge)
        let channel = StreamChannel(
            inbox: StreamInbox {
                charge.taken($0)
                link.consumed($0)
            },
            outbox: StreamOutbox(
                bytesMax: shared.limits.unsentBytesPerStreamMax, charge: charge, onShortage: { link.shortOfRoom() },
                onOutput: { link.outputWritten() }))
        let slot = StreamSlot(channel: channel, link: link, charge: charge, negotiation: negotiation)
        let deadline = SwarmClock.now.advanced(
            milliseconds: shared.limits.streamNegotiationTimeoutMilliseconds)
        slot.deadline = deadline
        arm(deadline)
        idleSince = nil
        return slot
    }

    private func makeStream(_ slot: StreamSlot, protocolID: String) -> BufferedStream? {
        guard let connection else { return nil }
        let (channel, link) = (slot.channel, slot.link)
        return BufferedStream(
            remotePeer: connection.remotePeer, protocolID: protocolID, channel: channel,
            onReset: { link.reset() }, onRelease: { if !channel.isFinished { link.release() } })
    }

    private func inboundOpened(_ id: YamuxStreamID) {
        slots[id] = makeSlot(id, .listener(MultistreamListener(protocols: shared.protocolNames)))
    }

    private func received(_ bytes: ByteBuffer, on id: YamuxStreamID) {
        guard let slot = slots[id], charge(bytes.readableBytes, received: id) else { return }
        if slot.negotiation == nil {
            slot.channel.inbox.deliver(bytes)
        } else {
            negotiate(bytes, on: id)
        }
    }

    private func negotiate(_ bytes: ByteBuffer, on id: YamuxStreamID) {
        guard let slot = slots[id] else { return }
        let before = slot.negotiationInput.readableBytes + bytes.readableBytes
        do throws(MultistreamError) {
            let (answer, agreed) = try slot.negotiate(bytes)
            let taken = before - slot.negotiationInput.readableBytes
            slot.charge.taken(taken)
            session?.consumed(taken, on: id, now: SwarmClock.now)
            if !answer.isEmpty {
                slot.uncountedBytes += answer.count
                _ = session?.send(ByteBuffer(bytes: answer), on: id)
            }
            if let agreed { agreedOn(agreed, id) }
        } catch {
            if case .listener = slot.negotiation { shared.count(.streamNegotiationFailed) }
            session?.reset(id)
            let isRefusal = error == .noneSupported
            streamFailed(
                id,
                isRefusal
                    ? .protocolsNotSupported(slot.request?.protocols ?? []) : .connectionLost("\(error)"))
        }
    }

    private func agreedOn(_ protocolID: String, _ id: YamuxStreamID) {
        guard let slot = slots[id], let negotiation = slot.negotiation else { return }
        slot.negotiation = nil
        // A stream opened lazily may have been released before the peer agreed; its time keeps running.
        if !slot.isAbandoned { slot.deadline = nil }
        let rest = slot.negotiationInput
        slot.negotiationInput = ByteBuffer()
        let request = slot.request
        slot.request = nil
        if rest.readableBytes > 0 { slot.channel.inbox.deliver(rest) }
        if let request {
            guard let stream = makeStream(slot, protocolID: protocolID) else { return }
            request.continuation.resume(returning: .success(stream))
        } else if case .listener = negotiation {
            // If the handler is refused, releasing the stream resets it.
            guard let connection, let stream = makeStream(slot, protocolID: protocolID) else { return }
            _ = shared.accept(stream, on: connection)
        }
    }

    private func remoteClosed(_ id: YamuxStreamID) {
        guard let slot = slots[id] else { return }
        if slot.negotiation != nil {
            if case .listener = slot.negotiation { shared.count(.streamNegotiationFailed) }
            session?.reset(id)
            streamFailed(id, .connectionLost("the peer closed the stream during negotiation"))
            return
        }
        slot.channel.inbox.finish()
        let unreported = slot.link.endReached()
        if unreported > 0 { session?.consumed(unreported, on: id, now: SwarmClock.now) }
    }

    func streamFailed(_ id: YamuxStreamID, _ error: OpenStreamError) {
        guard let slot = slots.removeValue(forKey: id) else { return }
        slot.channel.fail(.reset)
        slot.charge.close()
        slot.request?.continuation.resume(returning: .failure(error))
        becameIdleIfEmpty()
    }

    /// Sends a stream's bytes to the socket; returns how many of them the connection is charged for from now on.
    func drained(_ part: YamuxDrained) -> Int {
        guard let slot = slots[part.streamID] else { return 0 }
        let uncounted = min(slot.uncountedBytes, part.byteCount)
        slot.uncountedBytes -= uncounted
        let count = part.byteCount - uncounted
        guard count > 0 else { return 0 }
        let isCharged = slot.charge.movedToSocket(count)
        slot.channel.outbox.drained(count)
        return isCharged ? count : 0
    }

    func forgetFinishedStreams() {
        guard let finished = session?.takeFinishedStreams(), !finished.isEmpty else { return }
        for id in finished { streamFailed(id, .connectionLost("the stream ended")) }
    }

    private func becameIdleIfEmpty() {
        guard slots.isEmpty, idleSince == nil else { return }
        let now = SwarmClock.now
        idleSince = now
        arm(now.advanced(milliseconds: shared.limits.idleTimeoutMilliseconds))
    }

    // MARK: From the streams' users

    func openStream(_ request: StreamRequest) {
        func refuse(_ error: OpenStreamError) {
            request.continuation.resume(returning: .failure(error))
        }
        guard !isGone, let opened = session?.openStream(now: SwarmClock.now) else {
            return refuse(.connectionLost("the connection is closed"))
        }
        let id: YamuxStreamID
        switch opened {
        case .success(let opened): id = opened
        case .failure(.sessionClosing): return refuse(.connectionLost("the peer opens no more streams"))
        case .failure(let refusal): return refuse(.limitReached("\(refusal)"))
        }
        let dialer = MultistreamDialer(protocols: request.protocols)
        let proposal = dialer.start()
        guard let slot = makeSlot(id, .dialer(dialer)) else {
            return refuse(.connectionLost("the connection is closed"))
        }
        slot.uncountedBytes = proposal.count
        slots[id] = slot
        _ = session?.send(ByteBuffer(bytes: proposal), on: id)
        if request.isLazy, let name = request.protocols.first, let stream = makeStream(slot, protocolID: name) {
            request.continuation.resume(returning: .success(stream))
        } else {
            slot.request = request
        }
        pump()
    }

    /// The task that waits for a stream was cancelled.
    func cancelOpening(_ token: UInt64) {
        guard let id = slots.first(where: { $0.value.request?.token == token })?.key else { return }
        session?.reset(id)
        streamFailed(id, .connectionLost("cancelled"))
        _ = session?.takeFinishedStreams()
        pump()
    }

    func collectOutput(of id: YamuxStreamID) {
        guard !isGone, let slot = slots[id] else { return }
        let output = slot.channel.outbox.take()
        for chunk in output.chunks { _ = session?.send(chunk, on: id) }
        if output.closes { session?.closeWrite(id) }
        pump()
    }

    func consumed(_ count: Int, on id: YamuxStreamID) {
        guard !isGone, let charge = slots[id]?.charge else { return }
        session?.consumed(count, on: id, now: SwarmClock.now) { charge.grant($0) }
        forgetFinishedStreams()
        pump()
    }

    func resetStream(_ id: YamuxStreamID) {
        guard !isGone, slots[id] != nil else { return }
        session?.reset(id)
        forgetFinishedStreams()
        pump()
    }

    /// Handles a stream that nobody holds any more. What was written before a half-close still goes out; then the peer
    /// has some time to end its side.
    func releaseStream(_ id: YamuxStreamID) {
        guard !isGone, let slot = slots[id] else { return }
        guard slot.channel.outbox.isClosed else { return resetStream(id) }
        slot.channel.inbox.discard()
        let deadline = SwarmClock.now.advanced(
            milliseconds: shared.limits.abandonedStreamTimeoutMilliseconds)
        slot.isAbandoned = true
        slot.deadline = deadline
        arm(deadline)
    }

    /// Resets the streams whose time is up.
    func expireStreams(now: MonotonicInstant) {
        let expired = slots.filter { ($0.value.deadline ?? .distantFuture) <= now }.keys.sorted()
        for id in expired {
            let isAbandoned = slots[id]?.isAbandoned == true
            shared.count(isAbandoned ? .abandonedStreamTimedOut : .streamNegotiationTimedOut)
            session?.reset(id)
            streamFailed(id, .connectionLost("the negotiation took too long"))
        }
        _ = session?.takeFinishedStreams()
    }
}
