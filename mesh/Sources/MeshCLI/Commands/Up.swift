import ArgumentParser
import Foundation
package import Logging
import MeshHTTP
package import NodeAPI
package import NodeSetup
package import PeerIdentity

/// A node that `mesh up` keeps running.
package protocol RunningNode: NodeService, PublicContent, ChangeSource, LogWitness {
    /// Works until the node has stopped as asked; throws the reason if it stops by itself.
    func run() async throws

    /// One element when the node's own loop has turned, which it does several times in a second; a reader who is late
    /// gets one for all that he missed. Ends with the loop.
    var beats: AsyncStream<Void> { get }
}

/// Opens the node of a home: the one thing of the command line for which the node has to be linked.
package struct NodeOpener: Sendable {
    /// Opens a node with a configuration, and with the sources that it can read again, where there are any.
    package typealias Opening =
        @Sendable (NodeHome, NodeConfiguration, ConfigurationLayers?, Identity, Logger) async throws -> any RunningNode

    let open: Opening

    /// Opens nodes by a call, which throws a `NodeServiceError` where there can be no node.
    package init(_ open: @escaping Opening) { self.open = open }
}

/// A command that opens a node in this very process, or may; `Mesh.start` gives it what opens one.
protocol NodeOpeningCommand: AsyncParsableCommand {
    /// Does the work.
    mutating func run(opening node: NodeOpener) async throws
}

/// `mesh up`: the node itself.
struct Up: NodeOpeningCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start the node and keep it running until Ctrl-C or mesh stop.",
        discussion: """
            Options override variables such as MESH_EXECUTOR_PRICE_BASE, and these config.json. The log goes to \
            standard error. At a first signal the node lets running jobs end, for at most drain_seconds; at a second \
            one it stops at once. At SIGHUP it reads its settings again, as it does after mesh config set.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var settings: NodeSettings

    @Flag(help: "Stop when standard input ends, which /dev/null does at once; for programs that start nodes.")
    var untilInputEnds = false

    func run(opening node: NodeOpener) async throws {
        try await global.report { console in try await perform(node, console) }
    }

    private func perform(_ node: NodeOpener, _ console: Console) async throws -> ExitCode {
        defer {
            LogWriter.standardError.flush(milliseconds: LogWriter.goodbyeMilliseconds)
            LogWriter.standardOutput.flush(milliseconds: LogWriter.goodbyeMilliseconds)
        }
        do {
            return try await start(node)
        } catch let error as NodeServiceError {
            // After the log's own lines, and like them never held up by a reader.
            let status = ExitStatus(error.code)
            LogWriter.standardError.write(console.failureLine(error, status: status, json: global.json))
            return ExitCode(status.rawValue)
        }
    }

    private func start(_ opening: NodeOpener) async throws -> ExitCode {
        // Everything that the node writes is its owner's alone.
        umask(0o077)
        let home = global.nodeHome
        try home.requireInitialised()
        var layers = try global.layers(options: try settings.values())
        var configuration = try layers.read().configuration
        let key = KeyStore(path: home.keyPath)
        let passphrase = try key.isEncrypted() ? Passphrase.forKey(at: home.keyPath) : nil
        let identity = try key.load(passphrase: passphrase)
        let threshold = SafeLogHandler.Threshold(Logger.Level(rawValue: configuration.logLevel) ?? .notice)
        let format = LogFormat(rawValue: configuration.logFormat) ?? .text
        LogWriter.standardError.use(format)
        let logger = SafeLogHandler.logger(threshold, format: format)
        layers.onLogLevel = { threshold.level = Logger.Level(rawValue: $0) ?? .notice }
        for sentence in UnknownVariables.sentences(in: ProcessInfo.processInfo.environment) {
            logger.warning("\(sentence)")
        }
        let descriptors = DescriptorPlan.raisingLimit(for: configuration)
        if descriptors.isShort {
            logger.warning(
                "Fewer files may be open than this configuration may use; so fewer connections are taken.",
                metadata: [
                    "allowed": "\(descriptors.allowed)", "wanted": "\(descriptors.wanted)",
                    "connections": "\(descriptors.connectionsMax)", "advice": "raise ulimit -n",
                ])
        }
        configuration.limits.connectionsMax = descriptors.connectionsMax
        var limits = MeshHTTPLimits()
        limits.connectionsMax = min(limits.connectionsMax, descriptors.apiConnectionsMax)
        limits.fileBytesMax = min(limits.fileBytesMax, configuration.limits.addedBytesMax)
        limits.webConnectionsMax = min(limits.webConnectionsMax, DescriptorPlan.webConnectionsMax)
        let node = try await opening.open(home, configuration, layers, identity, logger)
        var bounds = GatewayLimits()
        bounds.connectionsMax = descriptors.gatewayConnectionsMax
        bounds.connectionsPerAddressMax = configuration.gateway.connectionsPerAddressMax
        let gateway = configuration.gateway.place.map { place in
            GatewayServer(
                content: node, witness: configuration.witness.authors.isEmpty ? nil : node, host: place.host,
                port: place.port, limits: bounds, logger: logger)
        }
        if gateway == nil, !configuration.witness.authors.isEmpty {
            logger.warning("witness.authors names logs, but nobody can hand them in: gateway.listen is not set.")
        }
        let courier = WitnessCourier(
            log: node, witnesses: configuration.log.addresses, seconds: configuration.log.witnessSeconds, logger: logger
        )
        let web = try configuration.api.place.map { place in
            WebServer(
                service: node, changes: node, host: place.host, port: place.port, name: configuration.api.name,
                certificate: try TLSFiles(configuration.api).map { files in
                    try WebCertificate(for: configuration.api.name ?? place.host, logger: logger) {
                        () throws(NodeServiceError) in try files.read()
                    }
                }, tokens: try APITokens.obtain(in: home), limits: limits, gateway: gateway, logger: logger)
        }
        let server = MeshHTTPServer(
            service: node, socketPath: home.socketPath, limits: limits, gateway: gateway, web: web, logger: logger)
        let notices = ServiceNotices(ProcessInfo.processInfo.environment, logger: logger)
        try await run(node, server, gateway, web, courier, notices)
        return .success
    }

    /// What listens beside the socket: it opens, and closes when it is told to.
    private struct Listener: Sendable {
        let run:
            @Sendable (@escaping @Sendable () async -> Void, @escaping @Sendable () async -> Void) async throws ->
                Void
        // BOUNDED: each only ends; nothing is sent.
        let opened = AsyncStream.makeStream(of: Void.self)
        let closed = AsyncStream.makeStream(of: Void.self)

        func serve() async throws {
            try await run {
                opened.continuation.finish()
            } _: {
                for await _ in closed.stream {}
            }
            // Also where it was stopped before it listened; where it failed, the node is never said to be up.
            opened.continuation.finish()
        }
    }

    private static func listeners(_ gateway: GatewayServer?, _ web: WebServer?) -> [Listener] {
        var listeners: [Listener] = []
        if let gateway { listeners.append(Listener { try await gateway.run(listening: $0, until: $1) }) }
        if let web { listeners.append(Listener { try await web.run(listening: $0, until: $1) }) }
        return listeners
    }

    /// Runs node, server and what else listens until the node has stopped and the server has answered requests under
    /// way; throws the reason if the node stopped by itself.
    private func run(
        _ node: any RunningNode, _ server: MeshHTTPServer, _ gateway: GatewayServer?, _ web: WebServer?,
        _ courier: WitnessCourier, _ notices: ServiceNotices?
    ) async throws {
        let interrupts = Interrupts()
        let isJSON = global.json
        let endsWithInput = untilInputEnds
        let listeners = Self.listeners(gateway, web)
        // BOUNDED: it only ends; nothing is sent.
        let (stopped, stop) = AsyncStream.makeStream(of: Void.self)
        // Each child that knows why the node stopped ends with that reason.
        let reason = try await withThrowingTaskGroup(of: (any Error)?.self) { group in
            group.addTask {
                defer {
                    stop.finish()
                    for listener in listeners { listener.closed.continuation.finish() }
                }
                do { try await node.run() } catch { return error }
                return nil
            }
            for listener in listeners {
                group.addTask {
                    try await listener.serve()
                    return nil
                }
            }
            group.addTask {
                // Whoever hears that the node is up may use all of it.
                for listener in listeners { for await _ in listener.opened.stream {} }
                try Task.checkCancellation()
                try await server.run {
                    await Self.announce(node, await gateway?.status(), web?.address, json: isJSON)
                    notices?.tell(.ready)
                } until: {
                    for await _ in stopped {}
                }
                throw CancellationError()
            }
            group.addTask {
                await notices?.follow(node.beats)
                return nil
            }
            group.addTask {
                await courier.run()
                return nil
            }
            group.addTask {
                try await Self.stop(node, web, after: interrupts)
                return nil
            }
            if endsWithInput {
                group.addTask {
                    await InputEnd(isDeviceEndless: false).wait()
                    try await node.shutdown()
                    return nil
                }
            }
            var reason: (any Error)?
            do {
                while let ended = try await group.next() { reason = reason ?? ended }
            } catch is CancellationError {
                // Node and server have stopped: so ends the rest.
            }
            group.cancelAll()
            while let ended = await group.nextResult() { if let known = try? ended.get() { reason = reason ?? known } }
            return reason
        }
        if let reason { throw reason }
    }

    /// Says that the node is up, who it is and where. The node does not wait for its readers.
    private static func announce(
        _ node: any RunningNode, _ gateway: NodeStatus.Gateway?, _ api: String?, json: Bool
    ) async {
        guard var status = try? await node.status() else { return }
        status.gateway = gateway
        status.apiAddress = api
        if json {
            guard let line = try? Console.line(status) else { return }
            LogWriter.standardOutput.write(line)
        } else {
            var facts = NodeNames.facts(did: status.did, peerID: status.peerID)
            facts += status.addresses.map { ("listens on", $0) }
            if let gateway { facts.append(("gateway", gateway.address)) }
            if let api { facts.append(("API", api)) }
            let text = Table.facts(facts)
            LogWriter.standardOutput.write(text.hasSuffix("\n") ? String(text.dropLast()) : text)
        }
    }

    /// A hang-up has the node read its settings again, unless it comes from a terminal that was closed; the first
    /// signal of any other kind asks it to stop, the second one ends the process.
    private static func stop(
        _ node: any RunningNode, _ web: WebServer?, after interrupts: Interrupts
    ) async throws {
        let hadTerminal = Interrupts.hasTerminal
        var count = 0
        for await number in interrupts.signals {
            let isReload = number == SIGHUP && !(hadTerminal && !Interrupts.hasTerminal)
            guard !isReload else {
                // The node logs what became of it, a refusal too.
                _ = try? await node.reloadSettings()
                try? web?.renewCertificate()
                continue
            }
            count += 1
            if count > 1 { _exit(ExitStatus.signalled(number)) }
            try await node.shutdown()
        }
    }
}
