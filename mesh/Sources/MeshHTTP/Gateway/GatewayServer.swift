import Hummingbird
import HummingbirdCore
import LibP2P
package import Logging
import NIOCore
package import NodeAPI

/// Serves what a node's owner made public to strangers: a trustless gateway over HTTP/1.1, on an address of its own.
///
/// Nothing of the node's API is behind it: it has a `PublicContent` and nothing else. Source:
/// https://specs.ipfs.tech/http-gateways/trustless-gateway/
package struct GatewayServer: Sendable {
    private let content: any PublicContent
    private let witness: (any LogWitness)?
    private let host: String
    private let port: Int
    private let limits: GatewayLimits
    private let logger: Logger
    private let tally = GatewayTally()

    /// A gateway at an IP address and a port; it opens nothing before `run`. With a witness it answers what logs ask of
    /// one, too.
    package init(
        content: any PublicContent, witness: (any LogWitness)? = nil, host: String, port: Int,
        limits: GatewayLimits = GatewayLimits(), logger: Logger
    ) {
        self.content = content
        self.witness = witness
        self.host = host
        self.port = port
        self.limits = limits
        self.logger = logger
    }

    /// Where it listens and how much it serves; nil before it listens.
    package func status() async -> NodeStatus.Gateway? {
        tally.status(publicRoots: (try? await content.publicRootCount()) ?? 0)
    }

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
        let (limits, tally, log, hasWitness) = (limits, tally, logger, witness != nil)
        let answers = GatewayAnswers(content: content, witness: witness, limits: limits, tally: tally)
        let addresses = AddressCounts()
        let quiet = MeshHTTPServer.quiet(logger)
        let application = Application(
            responder: CallbackResponder<ConnectionContext> { await answers.answer($0, on: $1.channel) },
            server: HTTPServerBuilder {
                GatewayConnections(
                    http: HTTP1Channel(responder: $0, configuration: http), limits: limits, tally: tally,
                    addresses: addresses, hasWitness: hasWitness)
            },
            configuration: .init(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: .maximum(limits.connectionsMax, logger: quiet)),
            onServerRunning: { channel in
                await MeshHTTPServer.gate(channel, "strangers over HTTP", log)
                if let address = channel.localAddress { tally.listens(on: Self.url(of: address)) }
                await listening()
            },
            logger: quiet)
        do {
            try await MeshHTTPServer.run(application, until: stopped, goodbyeSeconds: limits.goodbyeSeconds, quiet)
        } catch let error as IOError {
            throw NodeServiceError(
                .addressInUse,
                "The gateway cannot listen on \(host) with port \(port): \(SystemWords.system(error.errnoCode)).",
                hint: "Set another address under \"gateway\" in config.json, or stop the program that uses it.")
        }
    }

    /// The address as a browser writes it.
    private static func url(of address: SocketAddress) -> String {
        let host = address.ipAddress ?? ""
        return "http://\(host.contains(":") ? "[\(host)]" : host):\(address.port ?? 0)"
    }
}
