import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What orders a run and what stops it reach the machine in this order.
@Suite("Runs that are stopped at once", .serialized)
struct StopOrderTests {
    private struct Orders {
        let job: JobID
        let originator: PeerID
        let assign: MeshProtocolMessage
        let stop: MeshProtocolMessage
    }

    /// A job of somebody who has no node, assigned to an executor, and the order to stop it.
    private func orders(for executor: MeshNode, _ number: UInt8) async throws -> Orders {
        let originator = Identity.generate()
        let module = try await executor.add(try Assembler.command("(loop (br 0))"))
        var params = MeshJobParams(wasmCID: try CID(named: module.cid, "module"))
        params.timeoutSeconds = 20
        params.maxFuel = 900_000_000_000
        let now = NodeClock.wallClock
        let manifest = try SignedObject.sign(
            JobManifest(
                params: params, originatorDID: originator.did, originatorPeerID: originator.peerID,
                originatorAddresses: [], nonce: [UInt8](repeating: number, count: 16), submittedAt: now,
                biddingDeadline: now.advanced(milliseconds: 30_000), expiresAt: now.advanced(milliseconds: 600_000)),
            with: originator)
        let job = JobID(manifest.cid)
        let terms = BidTerms(
            price: TokenAmount(10), basePrice: TokenAmount(10), pricePerMillionFuel: .zero, earliestStart: now,
            deadline: now.advanced(milliseconds: 60_000))
        let bid = try SignedObject.sign(
            Bid(
                jobID: job, originatorPeerID: originator.peerID, bidderDID: executor.identity.did,
                bidderPeerID: executor.identity.peerID, terms: terms, issuedAt: now,
                expiresAt: now.advanced(milliseconds: 60_000)),
            with: executor.identity)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: job, originatorDID: originator.did, bidCID: bid.cid, executorDID: executor.identity.did,
                attempt: 1, leaseMilliseconds: 60_000, terms: terms, assignedAt: now,
                acceptBy: now.advanced(milliseconds: 60_000)),
            with: originator)
        let message = AssignJobV1(manifest: manifest.bytes, bid: bid.bytes, assignment: assignment.bytes)
        let cancel = CancelJobV1(jobID: job, assignmentCID: assignment.cid, reason: "no longer needed")
        return Orders(
            job: job, originator: originator.peerID, assign: .assignJob(message), stop: .cancelJob(cancel))
    }

    private func outcome(of job: JobID, at executor: MeshNode) async -> ExecutionOutcome? {
        try? await eventually("the run ends") { await executor.outcome(of: job) != nil }
        return await executor.outcome(of: job)
    }

    @Test("A run that is to stop before it has begun is stopped all the same")
    func stopBeforeStart() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            for number in 0..<5 as Range<UInt8> {
                let orders = try await orders(for: executor, number)
                try await executor.take(orders.assign, then: orders.stop, from: orders.originator)
                #expect(await outcome(of: orders.job, at: executor) == .cancelled, "run \(number)")
            }
        }
    }

    @Test("A run that is cancelled as soon as it is accepted ends with a receipt of the cancelled run")
    func cancelledAtOnce() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            for number in 0..<20 {
                let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
                    submission.limits.maxFuel = 900_000_000_000
                    submission.label = "\(number)"
                }
                try await eventually("job \(number) is confirmed") { await mesh.originator.isConfirmed(JobID(job)) }
                _ = try await mesh.originator.cancel(job)
                let result = try await mesh.result(of: job)
                #expect(result.ending == .cancelled, "job \(number): \(result.detail)")
                #expect(result.receiptCID != nil, "job \(number)")
            }
        }
    }
}

extension MeshNode {
    fileprivate func outcome(of job: JobID) -> ExecutionOutcome? { core.market.executedJob(job)?.receipt?.outcome }

    fileprivate func isConfirmed(_ job: JobID) -> Bool {
        core.market.originatedJob(job)?.liveAttempt?.isConfirmed ?? false
    }

    /// Takes two messages of a peer, the second before anything that follows from the first has begun.
    fileprivate func take(_ first: MeshProtocolMessage, then second: MeshProtocolMessage, from peer: PeerID) throws {
        for message in [first, second] {
            take(.message(try message.encoded(), from: peer, roundTripMilliseconds: nil, request: 0))
        }
    }
}
