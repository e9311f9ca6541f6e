import Hummingbird
import HummingbirdCore
import LibP2P
package import Logging
import NIOCore
package import NodeAPI

/// Offers a node's service over HTTP/1.1, to programs with a token and to browsers that signed in: on a loopback
/// address, or over TLS.
///
/// Everybody on the machine reaches it, and so does every page in the owner's browser: `WebGate` tells them apart.
package struct WebServer: Sendable {
    let gate: WebGate
    private let service: any NodeService
    private let changes: any ChangeSource
    private let desk: EventDesk
    private let host: String
    private let port: Int
    private let limits: MeshHTTPLimits
    private let gateway: GatewayServer?
    private let certificate: WebCertificate?
    private let logger: Logger

    /// A server at an IP address and a port; it opens nothing before `run`.
    ///
    /// - Parameters:
    ///   - name: what clients call it, if that is not its address.
    ///   - certificate: what it speaks TLS with; without, it has to be an address of this machine alone.
    ///   - seconds: a clock that is never set back, for tests.
    package init(
        service: any NodeService, changes: any ChangeSource, host: String, port: Int, name: String? = nil,
        certificate: WebCertificate? = nil, tokens: APITokens, limits: MeshHTTPLimits = MeshHTTPLimits(),
        gateway: GatewayServer? = nil, logger: Logger,
        seconds: (@Sendable () -> Double)? = nil
    ) {
        self.service = service
        self.changes = changes
        desk = EventDesk(limits: limits)
        self.host = host
        self.port = port
        self.limits = limits
        self.gateway = gateway
        self.certificate = certificate
        self.logger = logger
        gate = WebGate(
            tokens: tokens, limits: limits, name: name, isSecure: certificate != nil,
            seconds: seconds ?? WebGate.clock())
    }

    /// Reads its certificate again, if it has one; where that cannot be used, it goes on with what it has.
    package func renewCertificate() throws(NodeServiceError) { try certificate?.renew() }

    /// What it speaks TLS with, by the SHA-256 of the certificate; nil without TLS.
    var fingerprint: String? { certificate?.fingerprint }

    /// Where it listens, as a URL; nil before it does.
    package var address: String? { gate.url }

    /// Serves until `stopped` returns, then ends the answers under way, for at most `goodbyeSeconds`.
    ///
    /// - Parameters:
    ///   - listening: called once when connections are accepted.
    ///   - stopped: waits for what ends the service; by default for ever.
    package func run(
        listening: @escaping @Sendable () async -> Void = {},
        until stopped: @escaping @Sendable () async -> Void = MeshHTTPServer.never
    ) async throws {
        let http = HTTP1Channel.Configuration(
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.headerBytesMax, maxHeaderListSize: limits.headerBytesMax,
                maxHeaderFieldCount: limits.headerFieldsMax))
        let (gate, limits, log, quiet) = (gate, limits, logger, MeshHTTPServer.quiet(logger))
        let tls = certificate.map { ($0, TLSVisitors(limits: limits)) }
        let routes = NodeRoutes(service: service, limits: limits, gateway: gateway, web: self)
        let application = Application(
            router: WebRoutes(routes: routes, gate: gate, desk: desk).router(),
            server: HTTPServerBuilder {
                WebConnections(http: HTTP1Channel(responder: $0, configuration: http), limits: limits, tls: tls)
            },
            configuration: .init(
                address: .hostname(host, port: port), serverName: "mesh",
                availableConnectionsDelegate: .maximum(limits.webConnectionsMax, logger: quiet)),
            onServerRunning: { channel in
                await MeshHTTPServer.gate(channel, "the owner's programs over TCP", log)
                if let address = channel.localAddress { gate.listens(on: address) }
                await listening()
            },
            logger: quiet)
        let (desk, changes) = (desk, changes)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.follow(changes) }
                try await MeshHTTPServer.run(
                    application,
                    until: {
                        await stopped()
                        // Its readers would hold up the stop.
                        desk.close()
                    }, goodbyeSeconds: limits.goodbyeSeconds, quiet)
                group.cancelAll()
            }
        } catch let error as IOError {
            throw NodeServiceError(
                .addressInUse,
                "The API cannot listen on \(host) with port \(port): \(SystemWords.system(error.errnoCode)).",
                hint: "Set another address under \"api\" in config.json, or stop the program that uses it.")
        }
    }
}
