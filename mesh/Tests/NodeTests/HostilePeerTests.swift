import Determinism
import Foundation
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NIOCore
import NodeAPI
import NodeSetup
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// What peers get that send rubbish, forge, or claim to be somebody else: a refusal, a count, a note, and no change.
@Suite("Hostile peers", .serialized)
struct HostilePeerTests {
    /// Sends one direct message from a peer with a key of its own; the reply, or nil when the stream was reset.
    private func send(_ bytes: [UInt8], from identity: Identity, to node: MeshNode) async throws -> MeshProtocolReply? {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let swarm = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            defer { group.cancelAll() }
            try await swarm.connect(to: node.identity.peerID, addresses: await node.swarm.listenAddresses())
            guard let frame = try? await Self.exchange(bytes, with: node.identity.peerID, on: swarm) else { return nil }
            return try MeshProtocolReply.decode(Array(frame.readableBytesView))
        }
    }

    /// The node may end the stream, or the connection, at any of these steps.
    private static func exchange(_ bytes: [UInt8], with peer: PeerID, on swarm: Swarm) async throws -> ByteBuffer? {
        let stream = try await swarm.openStream(to: peer, protocols: [MeshTopics.directMessages])
        try await stream.writeFrame(ByteBuffer(bytes: bytes))
        try await stream.closeWrite()
        return try await stream.readFrame(bytesMax: 4096)
    }

    /// Whether a misbehaviour of a peer is written down; the note is queued for the disk while the reply is sent.
    private func isNoted(_ identity: Identity, at node: MeshNode) async throws -> Bool {
        let deadline = NodeClock.now.advanced(milliseconds: 30_000)
        while NodeClock.now < deadline {
            let peer = try await node.peers().first { $0.peerID == identity.peerID.text }
            if let peer, peer.misbehaviourCount > 0 { return true }
        }
        return false
    }

    private func bid(
        by identity: Identity, on job: JobID, originator: Identity, features: [String] = []
    ) throws -> SignedObject<Bid> {
        let now = NodeClock.wallClock
        let terms = BidTerms(
            price: TokenAmount(1), basePrice: TokenAmount(1), pricePerMillionFuel: .zero, earliestStart: now,
            deadline: now.advanced(milliseconds: 600_000))
        return try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: originator.peerID, bidderDID: identity.did, bidderPeerID: identity.peerID,
                terms: terms, features: features, issuedAt: now, expiresAt: now.advanced(milliseconds: 60_000)),
            with: identity)
    }

    @Test("Rubbish, forgeries and a stranger's bid are refused, counted and noted; the job goes on as if they were not")
    func forgeries() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            let job = JobID(try await mesh.submit(try Assembler.command("nop")))
            let rubbisher = Identity.generate()
            let rubbish = try await send([0xFF, 0x00, 0x01], from: rubbisher, to: node)
            guard case .refused(let told)? = rubbish, told.code == .known(.malformed) else {
                Issue.record("rubbish got \(String(describing: rubbish))")
                return
            }
            #expect(try await isNoted(rubbisher, at: node))

            let stranger = Identity.generate()
            let honest = try bid(by: Identity.generate(), on: job, originator: node.identity)
            let stolen = MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(honest)))
            let answer = try await send(try stolen.encoded(), from: stranger, to: node)
            guard case .refused? = answer else {
                Issue.record("a bid of another key got \(String(describing: answer))")
                return
            }

            let forger = Identity.generate()
            let forged = try bid(by: forger, on: job, originator: node.identity)
            var lean = ProtocolBid(forged)
            lean.signedBid[lean.signedBid.count - 1] ^= 1
            let refusal = try await send(
                try MeshProtocolMessage.jobBid(JobBidV1(bid: lean)).encoded(), from: forger, to: node)
            guard case .refused? = refusal else {
                Issue.record("a bid with a broken signature got \(String(describing: refusal))")
                return
            }
            #expect(try await isNoted(forger, at: node))
            let lines = try await node.explain(job.cid).lines
            #expect(!lines.contains { $0.text.contains("bids at most") }, "a forged bid stands in the journal")
        }
    }

    @Test("A peer that goes on forging is disconnected, and what it sends is dropped unread; others are still heard")
    func shunned() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            let limit = PeerConduct.Limits().faultsMax
            let forger = Identity.generate()
            for _ in 0...limit {
                guard case .refused? = try await send([0xFF], from: forger, to: node) else {
                    // The last one's answer may be cut off with the connection.
                    break
                }
            }
            #expect(try await reaches(1, "peers_shunned", of: node))
            #expect(try await count("misbehaviours", of: node) == limit + 1)
            let unread = try await send([0xFF], from: forger, to: node)
            #expect(unread == nil)
            #expect(try await reaches(1, "messages_unread", of: node))
            #expect(try await count("misbehaviours", of: node) == limit + 1, "no check was made of it")
            guard case .refused? = try await send([0xFF], from: Identity.generate(), to: node) else {
                Issue.record("another peer is not heard")
                return
            }
        }
    }

    @Test("A peer that asks about assignments that were never made is shunned for it; one that asks a few times is not")
    func unknownAssignments() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.nodes[0]
            let limits = PeerConduct.Limits()
            let asker = Identity.generate()
            let unknown = CID.hashing(Array("no assignment".utf8), codec: .dagCBOR)
            let question = try MeshProtocolMessage.cancelJob(
                CancelJobV1(jobID: JobID(unknown), assignmentCID: unknown, reason: "what of it")
            ).encoded()
            let answers = try await ask(
                question, times: limits.questionsPerFault * (limits.faultsMax + 2), from: asker, node)
            #expect(answers >= limits.questionsPerFault * limits.faultsMax)
            #expect(answers <= limits.questionsPerFault * (limits.faultsMax + 1))
            #expect(try await reaches(1, "peers_shunned", of: node))
            let few = try await ask(question, times: limits.questionsPerFault - 1, from: Identity.generate(), node)
            #expect(few == limits.questionsPerFault - 1)
            #expect(try await count("peers_shunned", of: node) == 1)
        }
    }

    /// Sends one message again and again; how often it was answered before the connection was cut off.
    private func ask(_ bytes: [UInt8], times: Int, from identity: Identity, _ node: MeshNode) async throws -> Int {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let swarm = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            defer { group.cancelAll() }
            try await swarm.connect(to: node.identity.peerID, addresses: await node.swarm.listenAddresses())
            for number in 0..<times {
                let frame = try? await Self.exchange(bytes, with: node.identity.peerID, on: swarm)
                if frame.flatMap({ $0 }) == nil { return number }
            }
            return times
        }
    }

    @Test("A bid that is acknowledged stands in the journal on the disk by then")
    func acknowledgedBid() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let bidder = Identity.generate()
            let swarm = Swarm(configuration: SwarmConfiguration(), identity: bidder, logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await swarm.run() }
                defer { group.cancelAll() }
                try await swarm.connect(to: node.identity.peerID, addresses: await node.swarm.listenAddresses())
                for _ in 0..<5 {
                    let job = JobID(
                        try await mesh.submit(try Assembler.command("nop")) { $0.policy.sufficientBids = 2 })
                    let bid = try bid(
                        by: bidder, on: job, originator: node.identity, features: [node.engineFeature])
                    let message = MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(bid)))
                    let frame = try await Self.exchange(
                        try message.encoded(), with: node.identity.peerID, on: swarm)
                    let reply = try frame.map { try MeshProtocolReply.decode(Array($0.readableBytesView)) }
                    #expect(reply == .ack)
                    let kinds = try await node.store.journal(of: job.cid).map(\.kind)
                    #expect(kinds.contains("bid_received"), "\(kinds)")
                }
            }
        }
    }

    /// Whether a counter gets there; what it counts may go on after the reply.
    private func reaches(_ value: Int, _ name: String, of node: MeshNode) async throws -> Bool {
        let deadline = NodeClock.now.advanced(milliseconds: 30_000)
        while NodeClock.now < deadline {
            if try await count(name, of: node) >= value { return true }
        }
        return false
    }

    private func count(_ name: String, of node: MeshNode) async throws -> Int {
        Int(try await node.status().counters.first { $0.name == name }?.value ?? 0)
    }

    @Test("A message that is too long is cut off before it is read, and noted")
    func tooLong() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let flooder = Identity.generate()
            let reply = try await send([UInt8](repeating: 0, count: (1 << 20) + 1), from: flooder, to: mesh.originator)
            #expect(reply == nil)
            #expect(try await isNoted(flooder, at: mesh.originator))
        }
    }

    @Test("A port in use and a damaged database are one sentence each")
    func cannotOpen() async throws {
        let folder = "/tmp/mn-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await NodeMesh.run(prices: []) { mesh in
            var configuration = try NodeMesh.loopback()
            configuration.listen = await mesh.originator.swarm.listenAddresses()
            do {
                _ = try await NodeMesh.open(folder + "a", configuration)
                Issue.record("two nodes listen on one port")
            } catch let error as NodeServiceError {
                #expect(error.code == .addressInUse, "\(error)")
            }
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data([UInt8](repeating: 0x5A, count: 8192)).write(to: URL(fileURLWithPath: folder + "/mesh.sqlite"))
        do {
            _ = try await NodeMesh.open(folder, try NodeMesh.loopback())
            Issue.record("a damaged database was opened")
        } catch let error as NodeServiceError {
            #expect(error.code == .storageFailed, "\(error)")
        }
        try? FileManager.default.removeItem(atPath: folder + "a")
    }
}
