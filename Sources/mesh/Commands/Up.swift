import ArgumentParser
import Foundation
import Logging
import MeshHTTP
import PlanetaryMesh

/// `mesh up`: the node itself.
struct Up: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start the node and keep it running until Ctrl-C or mesh stop.",
        discussion: "Options override config.json for this run. The log goes to standard error.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var settings: NodeSettings

    @Flag(help: "Stop when standard input ends; for programs that start nodes.")
    var untilInputEnds = false

    func perform(_ console: Console) async throws -> ExitCode {
        // Everything that the node writes is its owner's alone.
        umask(0o077)
        let home = global.nodeHome
        try home.requireInitialised()
        var configuration = try NodeConfiguration.load(path: home.configurationPath)
        try settings.apply(to: &configuration)
        let key = KeyStore(path: home.keyPath)
        let passphrase = try key.isEncrypted() ? Passphrase.forKey(at: home.keyPath) : nil
        let identity = try key.load(passphrase: passphrase)
        let logger = SafeLogHandler.logger(level: Logger.Level(rawValue: configuration.logLevel) ?? .notice)
        let node = try await MeshNode.open(
            home: home, configuration: configuration, identity: identity, logger: logger)
        let server = MeshHTTPServer(service: node, socketPath: home.socketPath, logger: logger)
        try await run(node, server, console)
        return .success
    }

    /// Runs node and server until the node has stopped.
    private func run(_ node: MeshNode, _ server: MeshHTTPServer, _ console: Console) async throws {
        let interrupts = Interrupts()
        let isJSON = global.json
        let endsWithInput = untilInputEnds
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await node.run()
                throw CancellationError()
            }
            group.addTask { try await server.run { await Self.announce(node, console, json: isJSON) } }
            group.addTask { try await Self.stop(node, after: interrupts) }
            if endsWithInput {
                group.addTask {
                    await InputEnd().wait()
                    try await node.shutdown()
                }
            }
            do {
                while try await group.next() != nil {}
            } catch is CancellationError {
                // The node has stopped, and takes the rest with it.
            }
            group.cancelAll()
        }
    }

    /// Tells that the node is up: who it is and where.
    private static func announce(_ node: MeshNode, _ console: Console, json: Bool) async {
        guard let status = try? await node.status() else { return }
        if json {
            try? console.jsonLine(status)
        } else {
            var facts: [(name: String, value: String)] = [("node", status.peerID), ("did", status.did)]
            facts += status.addresses.map { ("listens on", $0) }
            console.out(Table.facts(facts))
        }
    }

    /// The first signal asks the node to stop, the second one ends the process.
    private static func stop(_ node: MeshNode, after interrupts: Interrupts) async throws {
        var count = 0
        for await _ in interrupts.signals {
            count += 1
            if count > 1 { _exit(ExitStatus.interrupted.rawValue) }
            try await node.shutdown()
        }
    }
}
