import Foundation
import Logging
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
import PlanetaryMesh

/// Whole nodes in this process, which listen on loopback and run no jobs.
enum BenchNode {
    /// Opens the node of a home folder, which is made where it is missing.
    static func open(
        _ path: String, _ identity: Identity, _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> MeshNode {
        let home = NodeHome(path: path)
        _ = try home.create()
        var configuration = NodeConfiguration()
        configuration.listen = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]
        configuration.executor.isEnabled = false
        configuration.drainSeconds = 0
        change(&configuration)
        var logger = Logger(label: "benchmark")
        logger.logLevel = .critical
        return try await MeshNode.open(home: home, configuration: configuration, identity: identity, logger: logger)
    }

    /// Runs a node as long as `body` needs it.
    static func running<Value: Sendable>(
        _ node: MeshNode, _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await node.run() }
            let value = try await body()
            try await node.shutdown()
            try await group.waitForAll()
            return value
        }
    }
}
