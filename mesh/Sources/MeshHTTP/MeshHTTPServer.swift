import Foundation
import Hummingbird
import HummingbirdCore
import LibP2P
package import Logging
import NIOCore
package import NodeAPI
import ServiceLifecycle

/// Offers a node's service over HTTP/1.1 on a Unix socket that only its owner can open.
///
/// Bodies, headers, connections and idle time are bounded (`MeshHTTPLimits`); every failure is problem+json. It refuses
/// the socket of a running node, and replaces a stale one.
package struct MeshHTTPServer: Sendable {
    private let service: any NodeService
    private let socket: SocketFile
    private let limits: MeshHTTPLimits
    private let gateway: GatewayServer?
    private let web: WebServer?
    private let logger: Logger

    /// A server for a node; it opens nothing before `run`. The status that it gives tells of the gateway and the API
    /// over TCP, too.
    package init(
        service: any NodeService, socketPath: String, limits: MeshHTTPLimits = MeshHTTPLimits(),
        gateway: GatewayServer? = nil, web: WebServer? = nil, logger: Logger
    ) {
        self.service = service
        self.web = web
        self.gateway = gateway
        self.socket = SocketFile(path: socketPath)
        self.limits = limits
        self.logger = logger
    }

    /// Serves until `stopped` returns, then answers the requests under way, for at most `goodbyeSeconds`, and removes
    /// the socket. Cancelling the task interrupts them.
    ///
    /// - Parameters:
    ///   - listening: called once when connections are accepted.
    ///   - stopped: waits for what ends the service; by default for ever.
    package func run(
        listening: @escaping @Sendable () async -> Void = {},
        until stopped: @escaping @Sendable () async -> Void = Self.never
    ) async throws {
        try socket.claim()
        // The socket is owner-only from its first connection on: by the mask while it is bound, then by its mode.
        let mask = umask(0o077)
        let (socket, log, quiet) = (self.socket, logger, Self.quiet(logger))
        let http = HTTP1Channel.Configuration(
            idleTimeout: .seconds(Int64(limits.idleSeconds)),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.headerBytesMax, maxHeaderListSize: limits.headerBytesMax,
                maxHeaderFieldCount: limits.headerFieldsMax))
        let application = Application(
            router: NodeRoutes(service: service, limits: limits, gateway: gateway, web: web).router(),
            server: HTTPServerBuilder { DroppableConnections(http: HTTP1Channel(responder: $0, configuration: http)) },
            configuration: .init(
                address: .unixDomainSocket(path: socket.path), serverName: "mesh",
                availableConnectionsDelegate: .maximum(limits.connectionsMax, logger: quiet)),
            onServerRunning: { channel in
                await Self.gate(channel, "the owner's programs", log)
                umask(mask)
                try? socket.restrict()
                await listening()
            },
            logger: quiet)
        defer { socket.remove() }
        do {
            try await Self.run(application, until: stopped, goodbyeSeconds: limits.goodbyeSeconds, quiet)
        } catch let error as IOError {
            umask(mask)
            throw NodeServiceError.noPermission(for: .making, of: socket.path)
                ?? NodeServiceError(
                    .addressInUse,
                    "The socket \(socket.path) cannot be opened: \(SystemWords.system(error.errnoCode)).",
                    hint: "Choose another --home.")
        }
    }

    /// Makes a server pause when it cannot accept, as `AcceptGate` does.
    static func gate(_ channel: any Channel, _ what: String, _ logger: Logger) async {
        try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(AcceptGate(what: what, logger: logger), position: .first)
        }.get()
    }

    /// Returns when the task is cancelled.
    @Sendable package static func never() async {
        // BOUNDED: nothing is ever sent.
        let (nothing, _) = AsyncStream.makeStream(of: Void.self)
        for await _ in nothing {}
    }

    /// Runs a server until `stopped` returns, then lets it end within so many seconds.
    static func run(
        _ application: some ApplicationProtocol, until stopped: @escaping @Sendable () async -> Void,
        goodbyeSeconds: Int, _ logger: Logger
    ) async throws {
        var configuration = ServiceGroupConfiguration(services: [application], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(goodbyeSeconds)
        let services = ServiceGroup(configuration: configuration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await services.run()
                throw CancellationError()
            }
            group.addTask {
                await stopped()
                await services.triggerGracefulShutdown()
            }
            do {
                while try await group.next() != nil {}
            } catch is CancellationError {
                group.cancelAll()
            }
        }
    }

    /// Hummingbird logs every start and stop; the node's own log does so already.
    static func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        // It logs every cancelled connection as an error, even when the node stops.
        logger.logLevel = .critical
        return logger
    }
}
