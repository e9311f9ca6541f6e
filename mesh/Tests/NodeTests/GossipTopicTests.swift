import GossipSub
import MeshStore
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

/// A gossip message has to be of its topic: a valid one is nothing on the topic of another kind.
@Suite("Topics of gossip", .serialized)
struct GossipTopicTests {
    private static let kinds: [HostileScene.Kind] = [
        .announcement, .capability, .receiptNotice, .anchorHeads, .reputation, .interest,
    ]
    private static let topics = [
        MeshTopics.jobAnnouncements, MeshTopics.capabilities, MeshTopics.receipts,
        MeshTopics.anchorHeads(scope: "global"), MeshTopics.reputation,
    ]

    private func bytes(_ message: HostileMessage) throws -> [UInt8] {
        try message.bytes(with: message.message, at: HostileMessage.Place(object: nil, path: []))
    }

    /// Publishes a valid message of a kind on all topics but its own, each until it is held against its author.
    private func misplace(_ kind: HostileScene.Kind, in scene: HostileScene, at node: MeshNode) async throws {
        let author = scene.peer.identity
        for topic in Self.topics where topic != kind.topic {
            let before = await node.core.tallies["misbehaviours", default: 0]
            let message = try bytes(try await scene.message(kind, to: node))
            let name = try MeshProtocolMessage.decode(message).variant.rawValue
            try await scene.peer.publish(message, topic: topic, to: [node])
            try await eventually("\(name) on \(topic) is held against its author") {
                await node.core.tallies["misbehaviours", default: 0] > before
            }
            try await eventually("the fault is written down") {
                await node.note(about: author.peerID) == "gossip: \(name) is not for this topic"
            }
            #expect(await node.core.tallies["misbehaviours"] == before + 1)
        }
        #expect(await node.offer(of: author.did) == nil, "a capability was taken from another topic")
    }

    /// The same kinds on their own topics are taken and forwarded, by the same way as the others would be.
    private func place(in scene: HostileScene, at node: MeshNode, beyond: MeshNode) async throws {
        let order = try bytes(try await scene.message(.announcement, to: node))
        guard case .jobAnnouncement(let announced) = try MeshProtocolMessage.decode(order) else {
            Issue.record("an announcement is something else")
            return
        }
        try await scene.peer.publish(order, topic: MeshTopics.jobAnnouncements, to: [node])
        let job = await scene.peer.awaiting { message -> JobID? in
            if case .jobBid(let bid) = message { bid.bid.jobID } else { nil }
        }
        #expect(job == announced.jobID, "a job was bid on that was announced on another topic")
        let offer = try bytes(try await scene.message(.capability, to: node))
        try await scene.peer.publish(offer, topic: MeshTopics.capabilities, to: [node])
        let did = scene.peer.identity.did
        try await eventually("the offer is known, and forwarded") {
            guard await node.offer(of: did) != nil else { return false }
            return await beyond.offer(of: did) != nil
        }
    }

    @Test("A valid message on the topic of another kind is held against its author, and neither acted on nor forwarded")
    func otherTopics() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (node, beyond) = (mesh.nodes[0], mesh.originator)
            let module = CID.hashing(try Assembler.command("nop"), codec: .raw)
            for kind in Self.kinds {
                // A key of its own for each: gossip does not listen for long to one that sends such messages. It knows
                // the executor alone, so the originator gets what the executor forwards.
                try await HostilePeer.meeting([node]) { peer in
                    let scene = HostileScene(mesh: mesh, peer: peer, module: module)
                    try await misplace(kind, in: scene, at: node)
                    try await place(in: scene, at: node, beyond: beyond)
                }
            }
            #expect(await beyond.core.tallies["misbehaviours"] == nil, "a message on another topic was forwarded")
            #expect(await node.core.tallies["misbehaviours"] == 25)
        }
    }

    @Test("Everybody who listens hears of a receipt, and gets it by its CID from a node that had no part in the job")
    func receipts() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            try await HostilePeer.meeting(mesh.nodes) { peer in
                let messages = try await peer.gossip.subscribe(MeshTopics.receipts) { _ in .accept }
                try await eventually("the nodes know who listens") {
                    for node in mesh.nodes {
                        let listeners = await node.gossip.peers(of: MeshTopics.receipts)
                        guard listeners.contains(peer.identity.peerID) else { return false }
                    }
                    return true
                }
                let job = try await mesh.submit(try Assembler.command("nop"))
                let result = try await mesh.result(of: job)
                var notice: ExecutionReceiptAvailableV1?
                for await message in messages {
                    guard case .executionReceiptAvailable(let heard) = try MeshProtocolMessage.decode(message.data)
                    else { continue }
                    notice = heard
                    break
                }
                let heard = try #require(notice)
                #expect(heard.jobID.cid == job && heard.receiptCID.text == result.receiptCID)
                #expect(heard.executorDID.description == result.executorDID)
                let stranger = try #require(
                    mesh.nodes.first {
                        $0 !== mesh.originator && $0.identity.did.description != result.executorDID
                    })
                #expect(try await stranger.verifyReceipt(heard.receiptCID).isValid)
            }
        }
    }
}

extension MeshNode {
    fileprivate func offer(of executor: DID) -> NodeCapability? { core.offer(of: executor, at: moment) }

    /// What the store says about a peer's latest fault.
    fileprivate func note(about peer: PeerID) async -> String? {
        carryOut([.writeFaults(core.takeFaults())])
        try? await store.persisted()
        return (try? await store.peers(limit: 64))?.first { $0.peerID == peer }?.note
    }
}
