import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Blocks that are never served, on real nodes.
@Suite("Blocks that never come", .serialized)
struct StarvedFetchTests {
    /// An assignment by somebody who has no node, of a module that nobody has.
    private func assignment(by originator: Identity, to executor: MeshNode, _ number: UInt8) throws -> AssignJobV1 {
        let now = NodeClock.wallClock
        let module = CID.hashing([number] + Array("a module that nobody has".utf8), codec: .raw)
        let manifest = try SignedObject.sign(
            JobManifest(
                params: MeshJobParams(wasmCID: module), originatorDID: originator.did,
                originatorPeerID: originator.peerID, originatorAddresses: [],
                nonce: [UInt8](repeating: number, count: 16), submittedAt: now,
                biddingDeadline: now.advanced(milliseconds: 30_000), expiresAt: now.advanced(milliseconds: 600_000)),
            with: originator)
        let terms = BidTerms(
            price: TokenAmount(10), basePrice: TokenAmount(10), pricePerMillionFuel: .zero, earliestStart: now,
            deadline: now.advanced(milliseconds: 60_000))
        let bid = try SignedObject.sign(
            Bid(
                jobID: JobID(manifest.cid), originatorPeerID: originator.peerID, bidderDID: executor.identity.did,
                bidderPeerID: executor.identity.peerID, terms: terms, issuedAt: now,
                expiresAt: now.advanced(milliseconds: 60_000)), with: executor.identity)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: JobID(manifest.cid), originatorDID: originator.did, bidCID: bid.cid,
                executorDID: executor.identity.did, attempt: 1, leaseMilliseconds: 60_000, terms: terms,
                assignedAt: now, acceptBy: now.advanced(milliseconds: 60_000)), with: originator)
        return AssignJobV1(manifest: manifest.bytes, bid: bid.bytes, assignment: assignment.bytes)
    }

    @Test("An honest job runs while the blocks of six others, more than there are places to run, do not come")
    func honestJobRuns() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            let stranger = Identity.generate()
            var jobs: [JobID] = []
            for number in 0..<6 as Range<UInt8> {
                let message = try assignment(by: stranger, to: executor, number)
                jobs.append(JobID(CID.hashing(message.manifest, codec: .dagCBOR)))
                let bytes = try MeshProtocolMessage.assignJob(message).encoded()
                let reply = await executor.answer(bytes, from: stranger.peerID)
                guard case .accepted? = reply else {
                    Issue.record("assignment \(number) got \(String(describing: reply))")
                    return
                }
            }
            let honest = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: honest).ending == .succeeded)
            var ended = 0
            for job in jobs where await executor.core.market.executedJob(job)?.receipt != nil { ended += 1 }
            #expect(ended < jobs.count, "the honest job waited until the last of them was given up")
        }
    }
}
