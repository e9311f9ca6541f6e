import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// TCP sockets over IPv4 and IPv6: from multiaddrs to NIO's channels and back.
struct TCPTransport: Sendable {
    /// Where a multiaddr leads.
    enum Target: Hashable, Sendable {
        case ip(String, port: Int, isIPv6: Bool)
        case name(String, port: Int)
    }

    let shared: SwarmContext
    let group: any EventLoopGroup

    /// Where an address leads; `nil` unless it is plain TCP.
    static func target(of address: Multiaddr) -> Target? {
        let components = address.withoutPeerID().components
        guard components.count == 2, case .tcp(let port) = components[1] else { return nil }
        switch components[0] {
        case .ip4(let bytes):
            return .ip(bytes.map(String.init).joined(separator: "."), port: Int(port), isIPv6: false)
        case .ip6(let bytes):
            let groups = stride(from: 0, to: 16, by: 2).map { index in
                String(UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]), radix: 16)
            }
            return .ip(groups.joined(separator: ":"), port: Int(port), isIPv6: true)
        case .dns(let name), .dns4(let name), .dns6(let name): return .name(name, port: Int(port))
        default: return nil
        }
    }

    /// The multiaddr of a socket address.
    static func multiaddr(_ address: SocketAddress?) -> Multiaddr? {
        guard let address, let port = address.port, let text = address.ipAddress else { return nil }
        // A scope such as %eth0 has no place in ip6.
        let plain = text.prefix { $0 != "%" }
        switch address {
        case .v4: return try? Multiaddr(parsing: "/ip4/\(plain)/tcp/\(port)")
        case .v6: return try? Multiaddr(parsing: "/ip6/\(plain)/tcp/\(port)")
        case .unixDomainSocket: return nil
        }
    }

    // MARK: Listening

    /// Binds one address. The registry admits each accepted channel before anything is read from it.
    func listen(on address: Multiaddr) async throws -> any Channel {
        guard case .ip(let host, let port, let isIPv6)? = Self.target(of: address) else {
            throw SwarmError.cannotListen(address, reason: "only ip4 and ip6 with tcp can be listened on")
        }
        let shared = shared
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(ChannelOptions.backlog, value: shared.limits.acceptQueueMax)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Self.acceptGate(shared))
                }
            }
            .childChannelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(ChannelOptions.writeBufferWaterMark, value: Self.waterMark(shared))
            .childChannelOption(ChannelOptions.recvAllocator, value: Self.receiveBuffers)
            .childChannelInitializer { channel in Self.admit(channel, shared: shared) }
        if isIPv6 {
            // So that the same port can serve IPv4 as well.
            bootstrap = bootstrap.serverChannelOption(
                ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 1)
        }
        do {
            // Not by name: a machine whose interfaces have no address yet resolves 0.0.0.0 to ::ffff:0.0.0.0.
            return try await bootstrap.bind(to: SocketAddress(ipAddress: host, port: port)).get()
        } catch {
            throw SwarmError.cannotListen(address, reason: SystemWords.of(error))
        }
    }

    /// Admits connections while few of those already in are within their time to say something.
    private static func acceptGate(_ shared: SwarmContext) -> AcceptGate {
        let limits = shared.limits
        return AcceptGate(
            pauseMilliseconds: limits.acceptPauseMilliseconds, pauseMillisecondsMax: limits.acceptPauseMillisecondsMax,
            what: "peers", logger: shared.logger, onPause: { shared.count(.acceptingPaused) },
            isOpen: { shared.withRegistry { $0.newHandshakeCount } < limits.newHandshakesMax })
    }

    private static func waterMark(_ shared: SwarmContext) -> ChannelOptions.Types.WriteBufferWaterMark {
        let high = shared.limits.unsentBytesPerConnectionMax
        return .init(low: high / 4, high: high)
    }

    private static let receiveBuffers = AdaptiveRecvByteBufferAllocator(
        minimum: 1_024, initial: 4_096, maximum: 256 * 1024)

    private static func admit(_ channel: any Channel, shared: SwarmContext) -> EventLoopFuture<Void> {
        let address = multiaddr(channel.remoteAddress)
        switch shared.admitInbound(channel, from: address) {
        case .failure(let refusal): return channel.eventLoop.makeFailedFuture(refusal)
        case .success(let ticket):
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    ConnectionHandler(
                        shared: shared, role: .listener, ticket: ticket,
                        remoteAddress: address ?? Multiaddr([]), expectedPeer: nil, upgradePromise: nil))
            }
        }
    }

    // MARK: Dialing

    /// Connects to one address and upgrades the connection. Cancelling the task closes the connection.
    func dial(_ address: Multiaddr, expecting peer: PeerID?) async -> Result<Connection, DialFailure> {
        guard let target = Self.target(of: address) else {
            return .failure(DialFailure(address: address, reason: "only TCP over ip4, ip6 and dns can be dialed"))
        }
        let ticket: ConnectionTicket
        switch shared.admitOutbound() {
        case .failure(let refusal):
            return .failure(DialFailure(address: address, reason: "\(refusal)"))
        case .success(let admitted): ticket = admitted
        }
        let promise = group.any().makePromise(of: Connection.self)
        let attempt = DialAttempt()
        return await withTaskCancellationHandler {
            await connect(target, address: address, peer: peer, ticket: ticket, promise: promise, attempt: attempt)
        } onCancel: {
            attempt.cancel()
        }
    }

    private func connect(
        _ target: Target, address: Multiaddr, peer: PeerID?, ticket: ConnectionTicket,
        promise: EventLoopPromise<Connection>, attempt: DialAttempt
    ) async -> Result<Connection, DialFailure> {
        let shared = shared
        let bootstrap = ClientBootstrap(group: promise.futureResult.eventLoop)
            .channelOption(ChannelOptions.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(ChannelOptions.writeBufferWaterMark, value: Self.waterMark(shared))
            .channelOption(ChannelOptions.recvAllocator, value: Self.receiveBuffers)
            .connectTimeout(.milliseconds(shared.limits.connectTimeoutMilliseconds))
            // The peer may speak first, so nothing is read before a handler is there to read it.
            .channelOption(ChannelOptions.autoRead, value: false)
            .channelInitializer { channel in
                attempt.started(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
        do {
            let channel: any Channel
            switch target {
            case .ip(let host, let port, _):
                channel = try await bootstrap.connect(to: SocketAddress(ipAddress: host, port: port)).get()
            case .name(let host, let port):
                channel = try await bootstrap.connect(host: host, port: port).get()
            }
            let added = channel.eventLoop.submit {
                try channel.pipeline.syncOperations.addHandler(
                    ConnectionHandler(
                        shared: shared, role: .dialer, ticket: ticket, remoteAddress: address.withoutPeerID(),
                        expectedPeer: peer, upgradePromise: promise))
                channel.setOption(ChannelOptions.autoRead, value: true).cascadeFailure(to: promise)
            }
            try await added.get()
        } catch {
            // No handler is in place to return the ticket.
            attempt.cancel()
            shared.release(ticket, peer: nil)
            promise.fail(error)
            return .failure(DialFailure(address: address, reason: SystemWords.of(error)))
        }
        do {
            return .success(try await promise.futureResult.get())
        } catch OpenStreamError.connectionLost(let reason) {
            return .failure(DialFailure(address: address, reason: reason))
        } catch {
            return .failure(DialFailure(address: address, reason: SystemWords.of(error)))
        }
    }
}

/// Why one address did not lead to a connection.
struct DialFailure: Error, Hashable, Sendable, CustomStringConvertible {
    let address: Multiaddr
    let reason: String

    var description: String { "\(address): \(reason)" }
}

/// The sockets of an attempt, so that a cancelled task can close them.
private final class DialAttempt: Sendable {
    private struct State: Sendable {
        var channels: [any Channel] = []
        var isCancelled = false
    }

    private let state = NIOLockedValueBox(State())

    func started(_ channel: any Channel) {
        let isCancelled = state.withLockedValue { state in
            state.channels.append(channel)
            return state.isCancelled
        }
        if isCancelled { channel.close(promise: nil) }
    }

    func cancel() {
        let channels = state.withLockedValue { state in
            state.isCancelled = true
            defer { state.channels.removeAll() }
            return state.channels
        }
        for channel in channels { channel.close(promise: nil) }
    }
}
