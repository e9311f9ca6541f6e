import GossipSub
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import P2PServices
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Jobs whose bids, or state, everybody may follow on topics of their own.
@Suite("Public bids and status", .serialized)
struct PublicBidTests {
    /// Submits a job that waits for three commitments, two of which come from the executors of the mesh.
    private func job(_ mesh: NodeMesh) async throws -> JobID {
        let job = JobID(
            try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.policy.publicBids = true
                submission.policy.sufficientBids = 3
                submission.policy.bidWindowMilliseconds = 20_000
                // So little that base prices make the difference.
                submission.limits.maxFuel = 100_000
            })
        try await eventually("both executors have committed to a bid") {
            await mesh.originator.core.market.originatedJob(job)?.committedCount == 2
        }
        return job
    }

    private func bid(on job: JobID, price: UInt64, by peer: HostilePeer, _ mesh: NodeMesh) throws -> SignedObject<Bid> {
        let now = NodeClock.wallClock
        return try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: mesh.originator.identity.peerID, bidderDID: peer.identity.did,
                bidderPeerID: peer.identity.peerID,
                terms: BidTerms(
                    price: TokenAmount(price), basePrice: TokenAmount(price), pricePerMillionFuel: .zero,
                    earliestStart: now, deadline: now.advanced(milliseconds: 60_000)),
                features: [mesh.originator.engineFeature, PublicJob.feature], issuedAt: now,
                expiresAt: now.advanced(milliseconds: 30_000)), with: peer.identity)
    }

    private func commitment(to bid: SignedObject<Bid>, by peer: HostilePeer) throws -> [UInt8] {
        try MeshProtocolMessage.jobBidCommitment(
            JobBidCommitmentV1(try SignedObject.sign(BidCommitment(to: bid), with: peer.identity))
        ).encoded()
    }

    private func shown(_ bid: SignedObject<Bid>) throws -> [UInt8] {
        try MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(bid))).encoded()
    }

    /// Follows a topic, of which the nodes know.
    private func follow(
        _ topic: String, by peer: HostilePeer, _ mesh: NodeMesh
    ) async throws -> AsyncStream<GossipMessage> {
        let messages = try await peer.gossip.subscribe(topic) { _ in .accept }
        try await eventually("the nodes know who follows \(topic)") {
            for node in mesh.nodes {
                guard await node.gossip.peers(of: topic).contains(peer.identity.peerID) else { return false }
            }
            return true
        }
        return messages
    }

    /// What is said on a topic until enough of it was heard.
    private func heard(
        _ messages: AsyncStream<GossipMessage>, until isEnough: ([MeshProtocolMessage]) -> Bool
    ) async throws -> [MeshProtocolMessage] {
        var all: [MeshProtocolMessage] = []
        for await message in messages {
            all.append(try MeshProtocolMessage.decode(message.data))
            if isEnough(all) { break }
        }
        return all
    }

    private func story(_ job: JobID, _ mesh: NodeMesh) async throws -> String {
        try await mesh.originator.explain(job.cid).lines.map(\.text).joined(separator: "\n")
    }

    @Test("Everybody sees the bids when nobody can bid any more, and whoever undercuts them then comes too late")
    func lastMoment() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let job = try await job(mesh)
                let topic = MeshTopics.bids(on: job)
                let messages = try await follow(topic, by: peer, mesh)
                let committed = try bid(on: job, price: 500, by: peer, mesh)
                #expect(try await peer.send(try commitment(to: committed, by: peer), to: mesh.originator) == .ack)
                let said = try await heard(messages) { all in all.count { $0.variant == .jobBid } == 2 }
                let bidders = said.compactMap { if case .jobBid(let bid) = $0 { bid.bid.executorDID } else { nil } }
                #expect(Set(bidders) == Set(mesh.nodes.prefix(2).map(\.identity.did)))
                let sealed = said.compactMap { if case .jobBidsSealed(let sealed) = $0 { sealed.bids } else { nil } }
                #expect(sealed.first?.count == 3 && sealed.first?.contains(committed.cid) ?? false)
                // It knows the others' bids now, and its own is not shown.
                let cheap = try bid(on: job, price: 1, by: peer, mesh)
                for (bytes, code) in [
                    (try shown(cheap), RefusalName.bidNotCommitted),
                    (try commitment(to: cheap, by: peer), .tooManyBids),
                ] {
                    guard case .refused(let refusal)? = try await peer.send(bytes, to: mesh.originator) else {
                        Issue.record("\(code) was expected")
                        continue
                    }
                    #expect(refusal.code == .known(code))
                }
                #expect(try await mesh.result(of: job.cid).ending == .succeeded)
                let story = try await story(job, mesh)
                #expect(story.contains("No more bids are taken"), "\(story)")
                #expect(!story.contains("\(peer.identity.did.short) bids"), "\(story)")
                let winner = await mesh.originator.core.market.originatedJob(job)?.attempts.first
                #expect(winner?.assignment.executorDID == mesh.nodes[0].identity.did)
                try await eventually("nobody follows the topic any more") {
                    for node in mesh.nodes where await node.core.jobTopics.count > 0 { return false }
                    return await peer.gossip.peers(of: topic).isEmpty
                }
            }
        }
    }

    @Test(
        "A bid counts that its bidder can only gossip, and a word that is not its author's is held against its author")
    func gossiped() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let job = try await job(mesh)
                let topic = MeshTopics.bids(on: job)
                let bid = try bid(on: job, price: 50, by: peer, mesh)
                try await peer.publish(try commitment(to: bid, by: peer), topic: topic, to: [mesh.originator])
                let isAsked = await peer.awaiting { message -> Bool? in
                    if case .jobBidsSealed(let sealed) = message { sealed.bids.contains(bid.cid) } else { nil }
                }
                #expect(isAsked == true)
                try await peer.publish(try shown(bid), topic: topic, to: [mesh.originator])
                #expect(try await mesh.result(of: job.cid).ending == .succeeded)
                #expect(try await story(job, mesh).contains("\(peer.identity.did.short) bids"))
                #expect(await mesh.originator.core.tallies["misbehaviours"] == nil)
            }
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let job = try await job(mesh)
                let topic = MeshTopics.bids(on: job)
                // Nobody but the originator says which bids count.
                let sealed = MeshProtocolMessage.jobBidsSealed(JobBidsSealedV1(jobID: job, bids: [job.cid]))
                try await peer.publish(try sealed.encoded(), topic: topic, to: [mesh.originator])
                try await eventually("it is held against its author") {
                    await mesh.originator.core.tallies["misbehaviours"] == 1
                }
                _ = try await mesh.originator.cancel(job.cid)
            }
        }
    }

    @Test("If the policy asks for it, everybody is told the state of a run, the originator by this way, too")
    func status() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let job = JobID(
                    try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
                        submission.policy.publicStatus = true
                        submission.limits.maxFuel = 900_000_000_000
                        submission.limits.timeoutSeconds = 300
                    })
                let messages = try await peer.gossip.subscribe(MeshTopics.status(of: job)) { _ in .accept }
                let said = try await heard(messages) { all in
                    all.contains {
                        if case .jobStatusUpdate(let update) = $0 { update.status == .running } else { false }
                    }
                }
                #expect(said.allSatisfy { $0.variant == .jobStatusUpdate })
                try await eventually("the originator heard it by gossip, too") {
                    await mesh.originator.core.tallies["heard_of_jobs", default: 0] > 0
                }
                #expect(await mesh.originator.core.tallies["misbehaviours"] == nil)
                _ = try await mesh.originator.cancel(job.cid)
                _ = try await mesh.result(of: job.cid)
            }
        }
    }
}
