import Foundation
import GRDB
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// What an executor keeps of bids that nobody takes.
@Suite("Bids that nobody takes", .serialized)
struct UnwantedBidTests {
    /// What stands in the journal and in the table of jobs.
    private struct Footprint: Equatable {
        var journalRows = 0
        var journalBytes = 0
        var jobs = 0
        var evidenceBlocks = 0

        init(_ node: MeshNode) throws {
            let queue = try DatabaseQueue(path: node.store.path)
            try queue.read { db in
                func sum(_ sql: String) throws -> Int { try Int.fetchOne(db, sql: sql) ?? 0 }
                journalRows = try sum("SELECT count(*) FROM journal")
                journalBytes = try sum("SELECT coalesce(sum(length(bytes) + length(reason)), 0) FROM journal")
                jobs = try sum("SELECT count(*) FROM jobs")
                evidenceBlocks = try sum("SELECT count(*) FROM block_uses WHERE evidence = 1")
            }
            try queue.close()
        }
    }

    @Test("A flood of announcements that nobody assigns leaves nothing once the bids have lapsed, and what ran stays")
    func flood() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            await executor.letBidsLapse(milliseconds: 5_000)
            let job = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: job).ending == .succeeded)
            try await eventually("the job is closed at its executor") {
                try await executor.store.job(job, role: .executor)?.isTerminal == true
            }
            let before = try Footprint(executor)
            #expect(before.jobs == 1 && before.journalRows > 1)
            try await HostilePeer.meeting([executor]) { peer in
                for number in 0..<200 { try await announce(number, by: peer, to: executor) }
                try await eventually("there are bids") { try Footprint(executor).jobs > 100 }
                let flooded = try Footprint(executor)
                #expect(flooded.journalBytes > before.journalBytes + 100 * 500)
                try await eventually("they are forgotten") { try Footprint(executor) == before }
                #expect(try await executor.count("jobs_executed_open") == 0)
            }
        }
    }

    @Test("A node's bid on its own job is no job besides, so that status counts as the listing of open jobs does")
    func ownJob() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.nodes[0]
            let own = NodeMesh(nodes: [mesh.nodes[1], node])
            let job = try await own.submit(try Assembler.command("(loop (br 0))")) { submission in
                submission.policy.allowedDIDs = [node.identity.did.text]
                submission.limits.maxFuel = 900_000_000_000
            }
            try await eventually("it runs its own job") {
                await node.core.market.executedJob(JobID(job))?.isStarted == true
            }
            #expect(try await node.count("jobs_originated_open") == 1)
            #expect(try await node.count("jobs_executed_open") == 0)
            let open = try await node.jobs(JobQuery(limit: 10, statuses: [try #require(JobStatusName("open"))]))
            #expect(open.jobs.map(\.jobID) == [job.text])
            _ = try await node.cancel(job)
            #expect(try await own.result(of: job).ending == .cancelled)
        }
    }

    private func announce(_ number: Int, by peer: HostilePeer, to node: MeshNode) async throws {
        let now = NodeClock.wallClock
        let manifest = JobManifest(
            params: MeshJobParams(wasmCID: CID.hashing([1], codec: .raw)), originatorDID: peer.identity.did,
            originatorPeerID: peer.identity.peerID, originatorAddresses: [],
            nonce: [UInt8](repeating: UInt8(number), count: 16), submittedAt: now,
            biddingDeadline: now.advanced(milliseconds: 30_000), expiresAt: now.advanced(milliseconds: 120_000))
        let signed = try SignedObject.sign(manifest, with: peer.identity)
        let announcement = JobAnnouncementV1(
            jobID: JobID(signed.cid), manifest: signed.bytes, originatorPeerID: peer.identity.peerID,
            providerAddresses: [], expiresAt: now.advanced(milliseconds: 60_000))
        try await peer.publish(
            try MeshProtocolMessage.jobAnnouncement(announcement).encoded(), topic: MeshTopics.jobAnnouncements,
            to: [node])
    }
}

extension MeshNode {
    /// Bids of this node lapse after a while, and clocks differ by as much.
    fileprivate func letBidsLapse(milliseconds: UInt64) {
        core.market.configuration.executor?.bidValidityMilliseconds = milliseconds
        core.market.configuration.rules.clockSkewMilliseconds = milliseconds
    }
}
