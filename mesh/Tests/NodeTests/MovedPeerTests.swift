import Foundation
import JobMarket
import LibP2P
import MeshStore
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

/// A peer that came back at another address is found by its ID through the DHT, by somebody who has no connection to it
/// and knows only where it was.
///
/// The one that stayed cannot be dialed, since it tells an address at which nobody listens: it has to find the other.
/// Between them stands a node that runs no jobs, and it alone knows where the other is now: it tells that in the DHT.
@Suite("Peers that moved", .serialized)
struct MovedPeerTests {
    private struct Scene {
        let folder: URL
        let relay: MeshNode
        let entrance: [Multiaddr]

        init() async throws {
            folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
            var configuration = try NodeMesh.loopback()
            configuration.executor.isEnabled = false
            let relay = try await NodeMesh.open(folder.path + "/r", configuration)
            self.relay = relay
            entrance = await relay.swarm.listenAddresses().map { $0.withPeerID(relay.identity.peerID) }
        }

        /// A node that begins with the relay.
        func open(_ name: String, executes: Bool, isHidden: Bool, _ identity: Identity) async throws -> MeshNode {
            var configuration = try NodeMesh.loopback()
            configuration.bootstrap = entrance
            configuration.executor.isEnabled = executes
            if isHidden { configuration.announce = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")] }
            return try await NodeMesh.open(folder.path + "/" + name, configuration, identity: identity)
        }
    }

    /// A module that runs for some seconds.
    private static func long() throws -> [UInt8] {
        try Assembler.command(
            """
            (local $i i64) (local.set $i (i64.const 3000000000))
            (loop $l (br_if $l (i64.ne (i64.const 0) (local.tee $i (i64.sub (local.get $i) (i64.const 1))))))
            """)
    }

    @Test("An executor brings its receipt to an originator that was started again elsewhere while the job ran")
    func originator() async throws {
        let scene = try await Scene()
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let (asks, executes) = (Identity.generate(), Identity.generate())
        let executor = try await scene.open("e", executes: true, isHidden: true, executes)
        let before = try await scene.open("o", executes: false, isHidden: false, asks)
        try await NodeMesh.running([scene.relay, executor]) {
            var old: [Multiaddr] = []
            var job: CID?
            try await NodeMesh.running([before]) {
                old = await before.swarm.listenAddresses()
                try await eventually("the executor hears of jobs") {
                    await scene.relay.gossip.peers(of: MeshTopics.jobAnnouncements).count == 2
                }
                job = try await NodeMesh(nodes: [before]).submit(try Self.long()) { submission in
                    submission.limits.maxFuel = 100_000_000_000
                    submission.limits.timeoutSeconds = 600
                }
                try await eventually("the job runs") { await before.runs(try #require(job)) }
            }
            try await eventually("the connection is gone") {
                await !executor.swarm.connectedPeers().contains(asks.peerID)
            }
            let after = try await scene.open("o", executes: false, isHidden: false, asks)
            try await NodeMesh.running([after]) {
                #expect(await after.swarm.listenAddresses() != old)
                let result = try await NodeMesh(nodes: [after]).result(of: try #require(job))
                #expect(result.ending == .succeeded, "\(result.detail)")
                #expect(result.executorDID == executes.did.text)
                let known = await executor.swarm.addresses(of: asks.peerID)
                #expect(known.contains(try #require(await after.swarm.listenAddresses().first)))
            }
        }
    }

    @Test("An originator reaches a bidder that was started again elsewhere, and assigns the job to it")
    func executor() async throws {
        let scene = try await Scene()
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let (asks, executes) = (Identity.generate(), Identity.generate())
        let originator = try await scene.open("o", executes: false, isHidden: true, asks)
        let before = try await scene.open("e", executes: true, isHidden: false, executes)
        try await NodeMesh.running([scene.relay, originator]) {
            await originator.isPatient()
            let mesh = NodeMesh(nodes: [originator])
            var job: CID?
            var old: [Multiaddr] = []
            try await NodeMesh.running([before]) {
                old = await before.swarm.listenAddresses()
                try await originator.swarm.connect(to: executes.peerID, addresses: old)
                try await eventually("the bidder hears of jobs") {
                    await originator.gossip.peers(of: MeshTopics.jobAnnouncements).count == 2
                }
                job = try await mesh.submit(try Assembler.command("nop")) { submission in
                    submission.policy.sufficientBids = 2
                    submission.policy.bidWindowMilliseconds = 15_000
                }
                try await eventually("the bidder has bid") { await originator.knowsBid(of: executes.did) }
            }
            try await eventually("the connection is gone") {
                await !originator.swarm.connectedPeers().contains(executes.peerID)
            }
            let after = try await scene.open("e", executes: true, isHidden: false, executes)
            try await NodeMesh.running([after]) {
                #expect(await after.swarm.listenAddresses() != old)
                let result = try await mesh.result(of: try #require(job))
                #expect(result.ending == .succeeded, "\(result.detail)")
                #expect(result.attempts == 1)
                let known = await originator.swarm.addresses(of: executes.peerID)
                #expect(known.contains(try #require(await after.swarm.listenAddresses().first)))
            }
        }
    }
}

extension MeshNode {
    /// Whether an executor's bid on some job of this node is there.
    fileprivate func knowsBid(of executor: DID) async -> Bool {
        for row in (try? await store.openJobs(role: .originator)) ?? [] {
            let bids = core.market.originatedJob(JobID(row.jobID))?.bids ?? []
            if bids.contains(where: { $0.bid.bidderDID == executor }) { return true }
        }
        return false
    }

    /// Whether a job of this node runs somewhere.
    fileprivate func runs(_ job: CID) -> Bool { core.market.originatedJob(JobID(job))?.status == .running }

    /// Waits longer for a stranger to confirm, who has to be found first.
    fileprivate func isPatient() {
        core.market.configuration.originator.confirmationMilliseconds = 30_000
        core.market.configuration.originator.unprovenConfirmationMilliseconds = 30_000
    }
}
