import ArgumentParser
import Foundation
import GossipSub
import LibP2P
import Logging
import MeshTypes
import Multiformats
import NIOCore
import P2PServices
import PeerIdentity
import SignedObjects

/// An executor that lies, for the demo and for trying out checks: it bids on every job that it hears of, runs nothing,
/// and signs that the module exited with code 0. It is no part of `mesh`.
@main
struct MeshCheat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh-cheat", abstract: "An executor that signs results of runs that it never made.")

    @Option(help: "The address of a node of the mesh, with its PeerID.")
    var bootstrap: String

    @Option(help: "The most that a job may cost, in tokens.")
    var price: UInt64 = 10

    @Option(help: "The fuel that it claims.")
    var fuel: UInt64 = 1_000_000

    func run() async throws {
        var logger = Logger(label: "mesh-cheat")
        logger.logLevel = .critical
        let entrance = try Multiaddr(parsing: bootstrap)
        guard let peer = entrance.peerID else { throw ValidationError("The address must end in /p2p/ and a PeerID.") }
        let identity = Identity.generate()
        let swarm = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        let gossip = GossipService(host: swarm, identity: identity, logger: logger)
        let liar = Liar(identity: identity, swarm: swarm, price: TokenAmount(price), fuel: fuel)
        try await withThrowingTaskGroup(of: Void.self) { group in
            await swarm.handle(MeshTopics.directMessages) { stream in await liar.serve(stream) }
            group.addTask { try await swarm.run() }
            group.addTask { await gossip.run() }
            try await swarm.connect(to: peer, addresses: [entrance.withoutPeerID()])
            let jobs = try await gossip.subscribe(MeshTopics.jobAnnouncements) { _ in .accept }
            // Whoever it hears from has heard that it listens.
            while await gossip.peers(of: MeshTopics.jobAnnouncements).isEmpty {
                try await Task.sleep(for: .milliseconds(50))
            }
            Liar.print("mesh-cheat \(identity.did) listens for jobs")
            for await message in jobs { await liar.hear(message.data) }
            group.cancelAll()
        }
    }
}

/// What the liar says to whom.
struct Liar: Sendable {
    let identity: Identity
    let swarm: Swarm
    let price: TokenAmount
    let fuel: UInt64

    /// Bids on a job that is announced with its manifest.
    func hear(_ bytes: [UInt8]) async {
        guard case .jobAnnouncement(let announced)? = try? MeshProtocolMessage.decode(bytes),
            let block = announced.manifest, let manifest = try? SignedObject<JobManifest>(verifying: block).body
        else { return }
        await swarm.addAddresses(announced.providerAddresses, for: announced.originatorPeerID)
        let now = Self.now
        let terms = BidTerms(
            price: price, basePrice: price, pricePerMillionFuel: .zero, earliestStart: now,
            deadline: now.advanced(milliseconds: 60_000))
        let bid = Bid(
            jobID: announced.jobID, originatorPeerID: announced.originatorPeerID, bidderDID: identity.did,
            bidderPeerID: identity.peerID, terms: terms, features: (manifest.policy.requiredFeatures ?? []).sorted(),
            issuedAt: now, expiresAt: now.advanced(milliseconds: 30_000))
        guard let signed = try? SignedObject.sign(bid, with: identity) else { return }
        await say(.jobBid(JobBidV1(bid: ProtocolBid(signed))), to: announced.originatorPeerID)
    }

    /// Takes what it is told: an assignment is accepted and lied about, a settlement printed.
    func serve(_ stream: any PeerStream) async {
        guard let frame = try? await stream.readFrame(bytesMax: MeshProtocolMessage.Limits().directBytesMax),
            let message = try? MeshProtocolMessage.decode(Array(frame.readableBytesView))
        else { return await stream.reset() }
        var reply = MeshProtocolReply.ack
        if case .assignJob(let order) = message {
            reply = .accepted(assignmentCID: CID.hashing(order.assignment, codec: .dagCBOR))
        }
        if let bytes = try? reply.encoded() {
            try? await stream.writeFrame(ByteBuffer(bytes: bytes))
            try? await stream.closeWrite()
        }
        switch message {
        case .assignJob(let order): await lie(order)
        case .jobSettled(let settled): tell(settled.settlement)
        default: break
        }
    }

    private func lie(_ order: AssignJobV1) async {
        guard let assignment = try? SignedObject<Assignment>(verifying: order.assignment),
            let manifest = try? SignedObject<JobManifest>(verifying: order.manifest).body,
            let engine = manifest.execution?.engine
        else { return }
        let outcome = ExecutionOutcome.exited(code: 0)
        let receipt = ExecutionReceipt(
            jobID: assignment.body.jobID, assignmentCID: assignment.cid, originatorDID: manifest.originatorDID,
            executorDID: identity.did, attempt: assignment.body.attempt, moduleCID: manifest.params.wasmCID,
            inputCIDs: manifest.params.inputCIDs, outcome: outcome, resourceUsage: ResourceUsage(fuel: fuel),
            price: assignment.body.terms.due(for: outcome, fuel: fuel), engine: engine,
            determinism: manifest.params.determinism, executionStartedAt: Self.now, executionEndedAt: Self.now)
        guard let signed = try? SignedObject.sign(receipt, with: identity) else { return }
        let notice = ExecutionReceiptAvailableV1(
            jobID: receipt.jobID, receiptCID: signed.cid, executorDID: identity.did, status: receipt.status,
            receipt: signed.bytes)
        await say(.executionReceiptAvailable(notice), to: manifest.originatorPeerID)
    }

    private func tell(_ block: [UInt8]) {
        guard let settlement = try? SignedObject<Settlement>(verifying: block).body else { return }
        Self.print("settled: \(settlement.verdict.rawValue), \(settlement.amountPaid) tokens")
    }

    /// Writes a line at once.
    static func print(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    private func say(_ message: MeshProtocolMessage, to peer: PeerID) async {
        guard let bytes = try? message.encoded(),
            let stream = try? await swarm.openStream(to: peer, protocols: [MeshTopics.directMessages])
        else { return }
        try? await stream.writeFrame(ByteBuffer(bytes: bytes))
        try? await stream.closeWrite()
        _ = try? await stream.readFrame(bytesMax: MeshProtocolReply.bytesMax)
    }

    private static var now: UnixMilliseconds { UnixMilliseconds(UInt64(Date().timeIntervalSince1970 * 1_000)) }
}
