import Foundation
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Meshes in which nobody runs jobs.
@Suite("Without executors", .serialized)
struct ExecutorlessTests {
    private static let reason = "no node in reach is known to run jobs"

    /// A node that runs no jobs, and what is connected to it.
    private func asker(_ body: (NodeMesh) async throws -> Void) async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        let node = try await NodeMesh.open(folder.path, configuration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await node.run() }
            try await body(NodeMesh(nodes: [node]))
            try await node.shutdown()
            try await group.waitForAll()
        }
    }

    @Test("A job fails at once where the only peer does not even speak gossip, though there is a connection")
    func deafPeer() async throws {
        try await asker { mesh in
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let deaf = Swarm(configuration: SwarmConfiguration(), identity: .generate(), logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await deaf.run() }
                defer { group.cancelAll() }
                let node = mesh.originator
                try await deaf.connect(to: node.identity.peerID, addresses: await node.swarm.listenAddresses())
                let job = try await mesh.submit(try Assembler.command("nop"))
                let result = try await mesh.result(of: job)
                #expect(result.ending == .noBids)
                #expect(result.detail.contains(Self.reason), "\(result.detail)")
                let unknown = UInt64(Solitude.Limits().unknownMilliseconds)
                let waited = try #require(await node.lifeMilliseconds(of: JobID(job)))
                #expect(waited < unknown, "it waited for executors that cannot hear of the job")
            }
        }
    }
}

extension MeshNode {
    /// From the submission of a job to its latest event, by its journal.
    fileprivate func lifeMilliseconds(of job: JobID) async throws -> UInt64? {
        let journal = try await store.journal(of: job.cid)
        guard let first = journal.first, let last = journal.last(where: { $0.kind == "failed" }) else { return nil }
        return last.at - first.at
    }
}
