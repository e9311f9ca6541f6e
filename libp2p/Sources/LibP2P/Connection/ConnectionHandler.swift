import Determinism
import Logging
import Multiformats
import NIOCore
import Noise
import PeerIdentity
import Yamux

/// The event by which a connection learns that its unfinished handshake lost its place to a newcomer.
struct HandshakeDisplaced: Sendable {}

/// One connection on its event loop: owns the upgrade, then the Noise and Yamux cores, and moves bytes between the
/// socket and the streams' buffers. Nothing here waits, and no frame costs a hop off the loop.
///
/// Confined to its event loop; other threads reach it through `Connection` and `StreamLink`.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How many bytes a connection may be charged for before it asks whether the socket has taken them.
    static let untoldBytesMax = 4_096

    let shared: SwarmContext
    private let role: ConnectionUpgrade.Role
    private let expectedPeer: PeerID?
    private let ticket: ConnectionTicket
    private let remoteAddress: Multiaddr
    private var upgradePromise: EventLoopPromise<Connection>?

    private var context: ChannelHandlerContext?
    private var upgrade: ConnectionUpgrade?
    private var transport: NoiseTransport?
    var session: YamuxSession?
    private(set) var connection: Connection?
    var slots: [YamuxStreamID: StreamSlot] = [:]
    /// What this connection is charged for; present once the handshake is finished.
    private(set) var connectionCharge: ConnectionCharge?
    /// Streams with a writer that waits because its bytes cannot be charged.
    var shortStreams: Set<YamuxStreamID> = []
    var roomWantedAt: MonotonicInstant?
    /// Charged bytes that the socket has not taken, as far as this handler has asked.
    private(set) var socketBytes = 0
    /// Those it has not asked about yet.
    private var untoldBytes = 0
    /// Since when no stream is open.
    var idleSince: MonotonicInstant?

    private var handshakeDeadline: MonotonicInstant
    private var timer: Scheduled<Void>?
    private var timerAt = MonotonicInstant.distantFuture
    private var isPumping = false
    private var pumpsAgain = false
    private var isClosing = false
    private var isReleased = false
    /// Whether a sign of life is awaited, and who waits for the result.
    private var isProbing = false
    private var probes: [CheckedContinuation<Bool, Never>] = []
    private var hasSpoken = false
    private var hasStarted = false

    init(
        shared: SwarmContext, role: ConnectionUpgrade.Role, ticket: ConnectionTicket, remoteAddress: Multiaddr,
        expectedPeer: PeerID?, upgradePromise: EventLoopPromise<Connection>?
    ) {
        self.shared = shared
        self.role = role
        self.ticket = ticket
        self.remoteAddress = remoteAddress
        self.expectedPeer = expectedPeer
        self.upgradePromise = upgradePromise
        handshakeDeadline = SwarmClock.now.advanced(milliseconds: shared.limits.handshakeTimeoutMilliseconds)
    }

    var eventLoop: (any EventLoop)? { context?.eventLoop }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        guard !hasStarted else { return }
        hasStarted = true
        arm(handshakeDeadline)
        if role == .listener {
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: .milliseconds(shared.limits.handshakeGraceMilliseconds)) {
                bound.value.judgeSilence()
            }
            return
        }
        do throws(UpgradeError) {
            let first = try beginUpgrade()
            if first.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(first), promise: nil) }
        } catch {
            upgradeFailed(error)
        }
    }

    /// Checks whether the peer of a handshake said nothing within its time.
    private func judgeSilence() {
        guard !hasSpoken, !isClosing, let context else { return }
        if SocketInput.isWaiting(in: context.channel) {
            // It spoke, but this loop was too busy to read it.
            shared.withRegistry { $0.handshakeSpoke(ticket) }
        } else {
            shared.withRegistry { $0.handshakeWasHeard(ticket) }
        }
    }

    /// Makes the keys of a handshake (a listener does so only once its peer has said something); returns the first
    /// bytes to send.
    private func beginUpgrade() throws(UpgradeError) -> ByteBuffer {
        var upgrade = ConnectionUpgrade(role: role, credentials: try shared.credentials(), expectedPeer: expectedPeer)
        let first = try upgrade.start()
        self.upgrade = upgrade
        return first
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        let bytes = unwrapInboundIn(data)
        if session == nil { upgradeReceived(bytes) } else { muxerReceived(bytes) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { pump() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if connection == nil, !isClosing { shared.count(.handshakeAbandoned) }
        closed("the peer closed the connection")
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is HandshakeDisplaced else { return context.fireUserInboundEventTriggered(event) }
        if connection == nil { close("displaced by a newer handshake") }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A peer that leaves with bytes of ours unread resets the connection: NIO reports an error, not an end.
        if connection == nil, !isClosing { shared.count(.handshakeAbandoned) }
        close(SystemWords.of(error))
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        closed("the connection is gone")
        self.context = nil
        // The connection still holds this handler; its charge and its cores are of no more use.
        connection = nil
        session = nil
        transport = nil
        connectionCharge = nil
    }

    // MARK: Upgrade

    private func upgradeReceived(_ bytes: ByteBuffer) {
        guard let context else { return }
        if role == .listener, !hasSpoken {
            hasSpoken = true
            shared.withRegistry { $0.handshakeSpoke(ticket) }
        }
        do throws(UpgradeError) {
            if upgrade == nil { _ = try beginUpgrade() }
            guard let progress = try upgrade?.received(bytes) else { return }
            if progress.send.readableBytes > 0 {
                context.writeAndFlush(wrapOutboundOut(progress.send), promise: nil)
            }
            if let upgraded = progress.upgraded { self.upgraded(upgraded) }
        } catch {
            upgradeFailed(error)
        }
    }

    private func upgradeFailed(_ error: UpgradeError) {
        switch error {
        case .negotiation: shared.count(.handshakeNegotiationFailed)
        case .noise(.wrongPeer): shared.count(.handshakeWrongPeer)
        case .noise: shared.count(.handshakeNoiseFailed)
        }
        close("\(error)")
    }

    private func upgraded(_ upgraded: ConnectionUpgrade.Upgraded) {
        guard let context else { return }
        if upgraded.remoteKey.peerID == shared.localPeer {
            shared.metOwnKey(staticKey: upgraded.remoteStaticKey, at: remoteAddress)
        }
        let connection = Connection(
            ticket: ticket, remotePeer: upgraded.remoteKey.peerID, remoteAddress: remoteAddress,
            channel: context.channel, handler: NIOLoopBound(self, eventLoop: context.eventLoop))
        switch shared.establish(connection) {
        case .failure(let refusal):
            close("\(refusal)")
        case .success(let count):
            upgrade = nil
            self.connection = connection
            connectionCharge = shared.budget.addAccount(for: connection.remotePeer)
            transport = upgraded.transport
            let now = SwarmClock.now
            var session = YamuxSession(
                role: role == .dialer ? .dialer : .listener, limits: shared.limits.yamux, now: now)
            if count > 1 {
                session.lowerReceiveBudget(to: shared.limits.furtherConnectionReceiveBytesMax)
            }
            self.session = session
            idleSince = now
            upgradePromise?.succeed(connection)
            upgradePromise = nil
            muxerReceived(plaintext: upgraded.leftover)
            rearm()
            pump()
            if !shared.enqueue(.identify(connection)) { shared.count(.identifyFailed) }
        }
    }

    // MARK: Muxer

    private func muxerReceived(_ bytes: ByteBuffer) {
        var bytes = bytes
        do throws(NoiseError) {
            while let plaintext = try transport?.open(&bytes) {
                muxerReceived(plaintext: plaintext)
                if isClosing { return }
            }
        } catch {
            shared.count(.decryptionFailed)
            close("\(error)")
            return
        }
        pump()
    }

    private func muxerReceived(plaintext: ByteBuffer) {
        guard plaintext.readableBytes > 0 else { return }
        do throws(YamuxViolation) {
            guard let events = try session?.received(plaintext, now: SwarmClock.now) else { return }
            if isProbing { probed(isAlive: true) }
            for event in events { handle(event) }
            forgetFinishedStreams()
        } catch {
            violated(error)
        }
    }

    private func violated(_ violation: YamuxViolation) {
        shared.count(violation == .keepAliveTimeout ? .keepAliveTimedOut : .muxerViolation)
        pump()
        close("\(violation)")
    }

    /// Writes what the session has to send, as long as the socket takes it.
    func pump() {
        guard !isPumping else {
            pumpsAgain = true
            return
        }
        isPumping = true
        defer { isPumping = false }
        repeat {
            pumpsAgain = false
            guard let context, context.channel.isActive, session?.hasOutput == true else { return }
            writeOutput(context)
            context.flush()
        } while pumpsAgain
    }

    private func writeOutput(_ context: ChannelHandlerContext) {
        let bytesMax = NoiseTransport.plaintextBytesMax
        let isBulk = (session?.queuedBytes ?? 0) > 2_048
        var plaintext = context.channel.allocator.buffer(capacity: isBulk ? bytesMax : 2_304)
        while context.channel.isWritable, session?.hasOutput == true {
            plaintext.clear()
            let drained = session?.nextOutput(bytesMax: bytesMax, into: &plaintext) ?? []
            guard plaintext.readableBytes > 0 else { return }
            let charged = drained.reduce(0) { $0 + self.drained($1) }
            var message = context.channel.allocator.buffer(
                capacity: plaintext.readableBytes + 2 + NoiseCipher.tagByteCount)
            do throws(NoiseError) {
                try transport?.seal(plaintext, into: &message)
            } catch {
                close("\(error)")
                return
            }
            context.write(wrapOutboundOut(message), promise: taking(charged, context))
        }
        forgetFinishedStreams()
    }

    /// Learns when the socket has taken bytes and all before them; asks only once there are enough to be worth it.
    private func taking(_ count: Int, _ context: ChannelHandlerContext) -> EventLoopPromise<Void>? {
        socketBytes += count
        untoldBytes += count
        guard untoldBytes > Self.untoldBytesMax else { return nil }
        let count = untoldBytes
        untoldBytes = 0
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { _ in
            bound.value.socketBytes -= count
            bound.value.connectionCharge?.socketTook(count)
        }
        return promise
    }

    // MARK: Timer

    /// Makes `tick` run at `deadline` or earlier.
    func arm(_ deadline: MonotonicInstant) {
        guard deadline < timerAt, let context else { return }
        timer?.cancel()
        timerAt = deadline
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let at = NIODeadline.uptimeNanoseconds(UInt64(clamping: deadline.nanoseconds))
        timer = context.eventLoop.scheduleTask(deadline: at) { bound.value.tick() }
    }

    private func tick() {
        timerAt = .distantFuture
        let now = SwarmClock.now
        if session == nil {
            guard handshakeDeadline <= now else { return rearm() }
            shared.count(.handshakeTimedOut)
            return close("the handshake took longer than \(shared.limits.handshakeTimeoutMilliseconds) ms")
        }
        do throws(YamuxViolation) {
            try session?.wake(now: now)
        } catch {
            return violated(error)
        }
        expireStreams(now: now)
        makeRoomForWriters(now: now)
        if let idleSince,
            idleSince.advanced(milliseconds: shared.limits.idleTimeoutMilliseconds) <= now
        {
            shared.count(.idleClosed)
            return closeGracefully()
        }
        pump()
        rearm()
    }

    private func rearm() {
        guard session != nil else { return arm(handshakeDeadline) }
        var next = session?.nextDeadline ?? .distantFuture
        for slot in slots.values { next = min(next, slot.deadline ?? .distantFuture) }
        if let idleSince {
            next = min(next, idleSince.advanced(milliseconds: shared.limits.idleTimeoutMilliseconds))
        }
        arm(min(next, roomWantedAt ?? .distantFuture))
    }

    // MARK: Probing

    /// Asks the peer for a sign of life; without one in time, closes the connection as its keep-alive would.
    func probe(_ continuation: CheckedContinuation<Bool, Never>?) {
        guard !isGone, !isReleased else {
            continuation?.resume(returning: false)
            return
        }
        isProbing = true
        if let continuation { probes.append(continuation) }
        session?.probe(milliseconds: shared.limits.probeTimeoutMilliseconds, now: SwarmClock.now)
        pump()
        rearm()
    }

    private func probed(isAlive: Bool) {
        isProbing = false
        if isAlive, let connection { shared.withRegistry { $0.proved(connection) } }
        for waiter in probes { waiter.resume(returning: isAlive) }
        probes = []
    }

    // MARK: Closing

    /// Says goodbye, hands the socket what it takes at once, and closes.
    func closeGracefully() {
        guard !isClosing else { return }
        session?.goAway(.normal)
        pump()
        close("closed by this node")
    }

    /// Closes once the socket's buffer is sent.
    func close(_ reason: String) {
        guard !isClosing, let context else { return }
        isClosing = true
        shared.logger.debug(
            "connection closed", metadata: ["reason": "\(reason)", "address": "\(remoteAddress)"])
        context.flush()
        // Before the channel reports that it is inactive, which would look like the peer's doing.
        closed(reason)
        context.close(promise: nil)
    }

    /// Tells everything that waits for this connection that it is gone. Does nothing the second time.
    private func closed(_ reason: String) {
        isClosing = true
        guard !isReleased else { return }
        isReleased = true
        timer?.cancel()
        timer = nil
        upgrade = nil
        probed(isAlive: false)
        let open = slots
        slots.removeAll()
        for id in open.keys.sorted() {
            open[id]?.channel.fail(.reset)
            open[id]?.charge.close()
            open[id]?.request?.continuation.resume(returning: .failure(.connectionLost(reason)))
        }
        connectionCharge?.close()
        upgradePromise?.fail(OpenStreamError.connectionLost(reason))
        upgradePromise = nil
        shared.release(ticket, peer: connection?.remotePeer)
    }

    var isGone: Bool { isClosing || session == nil }
}
