import Determinism
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import Peers

/// A secured and multiplexed connection, as the swarm's tasks see it; its handler does the work on its event loop.
final class Connection: Identifiable, Sendable {
    /// What this node knows of this connection alone, not of others to the same peer.
    private struct State: Sendable {
        var protocols: Set<String> = []
        var roundTripNanoseconds: Int64?
    }

    let ticket: ConnectionTicket
    /// The number of its ticket.
    var id: UInt64 { ticket.id }
    let remotePeer: PeerID
    let remoteAddress: Multiaddr
    /// How far away the other end is; the open internet if unknown.
    let reach: AddressReach
    let eventLoop: any EventLoop
    let channel: any Channel
    let handler: NIOLoopBound<ConnectionHandler>
    private let state = NIOLockedValueBox(State())
    private let pushes = NIOLockedValueBox(PushAllowance())
    private let nextToken = NIOLockedValueBox<UInt64>(0)

    init(
        ticket: ConnectionTicket, remotePeer: PeerID, remoteAddress: Multiaddr, channel: any Channel,
        handler: NIOLoopBound<ConnectionHandler>
    ) {
        self.ticket = ticket
        self.remotePeer = remotePeer
        self.remoteAddress = remoteAddress
        self.channel = channel
        // A dialed host name is no address yet; the socket knows what it resolved to.
        let isName = remoteAddress.components.first.map { if case .ip4 = $0 { false } else { true } } ?? true
        let socket = isName ? TCPTransport.multiaddr(channel.remoteAddress) ?? remoteAddress : remoteAddress
        reach = socket.reach ?? .open
        eventLoop = channel.eventLoop
        self.handler = handler
    }

    /// Opens a stream. With `isLazy` the first protocol counts as agreed (the peer said that it speaks it): the stream
    /// opens at once, and fails with a reset if the peer refuses.
    func openStream(protocols: [String], isLazy: Bool) async throws(OpenStreamError) -> BufferedStream {
        let token = nextToken.withLockedValue { token in
            token += 1
            return token
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<StreamResult, Never>) in
                eventLoop.execute { [handler] in
                    handler.value.openStream(
                        StreamRequest(
                            token: token, protocols: protocols, isLazy: isLazy, continuation: continuation))
                }
            }
        } onCancel: {
            eventLoop.execute { [handler] in handler.value.cancelOpening(token) }
        }
        return try result.get()
    }

    /// The protocols that the peer announced on this connection; empty before identify.
    var protocols: Set<String> {
        get { state.withLockedValue { $0.protocols } }
        set { state.withLockedValue { $0.protocols = newValue } }
    }

    /// The round trip as the last ping of the muxer measured it; `nil` before the first answer.
    var roundTripNanoseconds: Int64? {
        get { state.withLockedValue { $0.roundTripNanoseconds } }
        set { state.withLockedValue { $0.roundTripNanoseconds = newValue } }
    }

    /// Asks the peer for a sign of life, and closes the connection when none comes within the swarm's
    /// `probeTimeoutMilliseconds`. Until it is decided, the registry doubts it: streams are opened over other
    /// connections where there are any.
    func probe() {
        eventLoop.execute { [handler] in handler.value.probe(nil) }
    }

    /// Like `probe`, and waits for what comes out of it: whether the connection is alive.
    func isAlive() async -> Bool {
        await withCheckedContinuation { continuation in
            eventLoop.execute { [handler] in handler.value.probe(continuation) }
        }
    }

    /// Whether this node accepts one more identify push of the peer now.
    func takesPush(_ limits: SwarmConfiguration.Limits, now: MonotonicInstant) -> Bool {
        pushes.withLockedValue {
            $0.take(
                perMinute: limits.identifyPushesPerMinuteMax, burst: limits.identifyPushesAtOnceMax, now: now)
        }
    }

    /// Gives up streams whose data nobody takes while the connection is charged for more than this many bytes.
    func giveUp(above bytes: Int) {
        eventLoop.execute { [handler] in handler.value.giveUp(above: bytes) }
    }

    /// What the connection is charged for, and what its streams and its socket are charged for; for tests of the books.
    func charges() async throws -> (connection: Int, streams: Int, socket: Int, shortStreams: Int) {
        try await eventLoop.submit { [handler] in
            let charges = handler.value.charges
            return (charges.connection, charges.streams, charges.socket, handler.value.shortStreams.count)
        }.get()
    }

    /// Says goodbye, hands the socket what it takes at once, and closes; returns when closed.
    func close() async {
        eventLoop.execute { [handler] in handler.value.closeGracefully() }
        try? await channel.closeFuture.get()
    }
}

/// The result of opening a stream.
typealias StreamResult = Result<BufferedStream, OpenStreamError>

/// A stream that a task waits for.
struct StreamRequest: Sendable {
    let token: UInt64
    let protocols: [String]
    let isLazy: Bool
    let continuation: CheckedContinuation<StreamResult, Never>
}
