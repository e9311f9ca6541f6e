import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

extension MeshNode {
    /// Invites where more executors than this are known, and announces a job without bids again after a time.
    fileprivate func invites(above everybodyMax: Int, atOnce: Int, perJob: Int, againMilliseconds: UInt64 = 1_000) {
        core.market.configuration.originator.reannounceMilliseconds = againMilliseconds
        core.invitations.limits.everybodyMax = everybodyMax
        core.invitations.limits.atOnceMax = atOnce
        core.invitations.limits.perJobMax = perJob
    }
}

/// A job is announced to some of many executors, in person.
@Suite("Invitations", .serialized)
struct InvitationTests {
    private func know(_ executors: Int, _ mesh: NodeMesh) async throws {
        try await eventually("the originator knows its executors") {
            let core = await mesh.originator.core
            return core.capabilities.count == executors && core.solitude.knowsItsExecutors
        }
    }

    @Test("Of many executors a few are invited, one of them runs the job, and nobody else hears of it")
    func invited() async throws {
        try await NodeMesh.run(prices: [10, 20, 30, 40]) { mesh in
            try await know(4, mesh)
            // However slow the machine is, it is announced once.
            await mesh.originator.invites(above: 3, atOnce: 2, perJob: 4, againMilliseconds: 60_000)
            let job = try await mesh.submit(try Assembler.command("nop")) { $0.policy.sufficientBids = 2 }
            #expect(try await mesh.result(of: job).ending == .succeeded)
            #expect(await mesh.originator.core.tallies["invitations"] == 2)
            try await eventually("those who were invited made a bid, and nobody else did") {
                var bidders = 0
                for node in mesh.nodes.dropLast() {
                    if try await node.jobs(limit: 10).contains(where: { $0.jobID == job.text }) { bidders += 1 }
                }
                return bidders == 2
            }
        }
    }

    @Test("If none of the invited bids, others are invited, and at last everybody is told")
    func silent() async throws {
        try await NodeMesh.run(prices: [10, 20, 30]) { mesh in
            try await know(3, mesh)
            await mesh.originator.invites(above: 2, atOnce: 1, perJob: 2)
            // The two cheapest are invited one after the other, and have no place; the third hears of it by gossip.
            for node in mesh.nodes.prefix(2) { await node.fill() }
            let job = try await mesh.submit(try Assembler.command("nop"))
            let result = try await mesh.result(of: job)
            #expect(result.executorDID == mesh.nodes[2].identity.did.text)
            #expect(await mesh.originator.core.tallies["invitations"] == 2)
        }
    }

    @Test("An invitation is its originator's own, or it is refused")
    func forged() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            try await know(1, mesh)
            let job = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: job).ending == .succeeded)
            let manifest = try #require(try await mesh.originator.store.block(job))
            let announcement = JobAnnouncementV1(
                jobID: JobID(job), manifest: manifest,
                originatorPeerID: mesh.nodes[0].identity.peerID, providerAddresses: [],
                expiresAt: NodeClock.wallClock.advanced(milliseconds: 10_000))
            let messages = DirectMessages(host: mesh.originator.swarm)
            let reply = try await messages.send(.jobAnnouncement(announcement), to: mesh.nodes[0].identity.peerID)
            guard case .refused(let refusal) = reply else { return #expect(Bool(false), "\(reply)") }
            #expect(refusal.code == .known(.wrongPeer))
        }
    }
}
