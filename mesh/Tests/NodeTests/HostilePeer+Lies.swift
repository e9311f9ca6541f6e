import CoVM
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What an executor does that bids, takes jobs, and signs receipts of runs that it never made.
extension HostilePeer {
    /// What it was ordered to run.
    struct Order: Sendable {
        let manifest: JobManifest
        let assignment: SignedObject<Assignment>
    }

    /// Bids on a job, at most ten tokens.
    func bid(on job: JobID, of originator: MeshNode) async throws {
        let now = NodeClock.wallClock
        let terms = BidTerms(
            price: TokenAmount(10), basePrice: TokenAmount(1), pricePerMillionFuel: TokenAmount(1),
            earliestStart: now, deadline: now.advanced(milliseconds: 60_000))
        let bid = try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: originator.identity.peerID, bidderDID: identity.did,
                bidderPeerID: identity.peerID, terms: terms, features: [originator.engineFeature], issuedAt: now,
                expiresAt: now.advanced(milliseconds: 30_000)), with: identity)
        let bidding = try MeshProtocolMessage.jobBid(JobBidV1(bid: ProtocolBid(bid))).encoded()
        #expect(try await send(bidding, to: originator) == .ack)
    }

    /// The next assignment.
    func order() async throws -> Order {
        let order = try #require(
            await awaiting { message -> AssignJobV1? in
                if case .assignJob(let order) = message { order } else { nil }
            })
        return Order(
            manifest: try SignedObject<JobManifest>(verifying: order.manifest).body,
            assignment: try SignedObject<Assignment>(verifying: order.assignment))
    }

    /// A receipt of a run that it did not make, on the engine that the manifest fixes.
    func receipt(
        of order: Order, _ outcome: ExecutionOutcome, fuel: UInt64,
        _ change: (inout ExecutionReceipt) -> Void = { _ in }
    ) throws -> SignedObject<ExecutionReceipt> {
        let (assignment, now) = (order.assignment.body, NodeClock.wallClock)
        let engine = try #require(order.manifest.execution?.engine)
        var receipt = ExecutionReceipt(
            jobID: assignment.jobID, assignmentCID: order.assignment.cid, originatorDID: assignment.originatorDID,
            executorDID: identity.did, attempt: assignment.attempt, moduleCID: order.manifest.params.wasmCID,
            inputCIDs: order.manifest.params.inputCIDs, outcome: outcome, resourceUsage: ResourceUsage(fuel: fuel),
            price: assignment.terms.due(for: outcome, fuel: fuel), engine: engine, determinism: .deterministic,
            executionStartedAt: now, executionEndedAt: now)
        change(&receipt)
        return try SignedObject.sign(receipt, with: identity)
    }

    /// Gives a receipt to its originator.
    func deliver(_ signed: SignedObject<ExecutionReceipt>, to originator: MeshNode) async throws {
        let reply = try await offer(signed, to: originator)
        #expect(reply == .ack)
    }

    /// Gives a receipt to its originator; returns the answer.
    func offer(
        _ signed: SignedObject<ExecutionReceipt>, to originator: MeshNode
    ) async throws -> MeshProtocolReply? {
        let notice = ExecutionReceiptAvailableV1(
            jobID: signed.body.jobID, receiptCID: signed.cid, executorDID: signed.body.executorDID,
            status: signed.body.status, receipt: signed.bytes)
        return try await send(try MeshProtocolMessage.executionReceiptAvailable(notice).encoded(), to: originator)
    }

    /// The next settlement.
    func settlement() async throws -> Settlement {
        try #require(
            await awaiting { message -> Settlement? in
                guard case .jobSettled(let settled) = message else { return nil }
                return try? SignedObject<Settlement>(verifying: settled.settlement).body
            })
    }
}

extension MeshNode {
    /// What an executor must state that takes this node's jobs.
    nonisolated var engineFeature: String { ExecutionIdentity.feature(of: parts.machine.engineDescription) }
}
