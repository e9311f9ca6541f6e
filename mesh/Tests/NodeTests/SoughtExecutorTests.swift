import Foundation
import JobMarket
import Kademlia
import LibP2P
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

extension MeshNode {
    /// Forwards neither offers nor announcements.
    fileprivate func hush() {
        core.market.configuration.limits.capabilityBurstMax = 0
        core.market.configuration.limits.announcementBurstMax = 0
    }
}

/// An originator that has heard of no executor finds one in the DHT.
@Suite("Executors that are sought", .serialized)
struct SoughtExecutorTests {
    private func open(
        _ folder: URL, _ name: String, by entrance: MeshNode?, _ change: (inout NodeConfiguration) -> Void
    ) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        if let entrance {
            let key = entrance.identity.peerID
            configuration.bootstrap = await entrance.swarm.listenAddresses().map { $0.withPeerID(key) }
        }
        change(&configuration)
        return try await NodeMesh.open(folder.appendingPathComponent(name).path, configuration)
    }

    @Test("Features of an executor lead to it in the DHT, through a node that tells nobody of it")
    func feature() async throws {
        try await expectFound(
            by: OfferKeys.feature("fpga"), of: { $0.executor.features = ["fpga"] },
            asking: { $0.policy.requiredFeatures = ["fpga"] })
    }

    @Test("So does its region")
    func region() async throws {
        try await expectFound(
            by: OfferKeys.region("antarctica"), of: { $0.region = "antarctica" },
            asking: { $0.policy.regions = ["antarctica"] })
    }

    /// Has an executor run a job that asks for what it alone offers, of an originator that nobody told of it.
    private func expectFound(
        by key: CID, of offer: (inout NodeConfiguration) -> Void, asking ask: (inout JobSubmission) -> Void
    ) async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let hub = try await open(folder, "hub", by: nil) { _ in }
        await hub.hush()
        try await NodeMesh.running([hub]) {
            let executor = try await open(folder, "executor", by: hub) { configuration in
                configuration.executor.isEnabled = true
                offer(&configuration)
            }
            let originator = try await open(folder, "originator", by: hub) { $0.listen = [] }
            try await NodeMesh.running([executor, originator]) {
                try await eventually("the executor says what it offers") {
                    let providers = (try? await hub.dht.findProviders(key, limit: 2)) ?? []
                    return providers.map(\.peerID) == [executor.identity.peerID]
                }
                let common = try? await hub.dht.findProviders(OfferKeys.feature("files-v1"), limit: 1)
                #expect(common?.isEmpty ?? true, "everybody has it, so it leads to nobody")
                try await eventually("the originator has joined") { await !originator.dht.routingTable().isEmpty }
                let mesh = NodeMesh(nodes: [hub, executor, originator])
                let job = try await mesh.submit(try Assembler.command("nop"), ask)
                let result = try await mesh.result(of: job)
                #expect(result.ending == .succeeded, "\(result)")
                #expect(result.executorDID == executor.identity.did.text)
                // A lookup by itself: among so few nodes they may have met before.
                let answer = await originator.neighbourhood.seek(key)
                #expect(answer.isAnswered)
                #expect(originator.swarm.isConnected(executor.identity.peerID))
            }
        }
    }
}
