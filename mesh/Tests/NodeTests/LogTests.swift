import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// The log of what nodes anchored, as their owners and strangers see it.
@Suite struct LogTests {
    @Test("Both parties prove that a receipt is anchored, to who has only the file")
    func proofs() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let module = try Assembler.command("nop")
            let job = try await mesh.submit(module) { $0.label = "1" }
            let first = try await mesh.result(of: job)
            let receipt = try CID(parsing: try #require(first.receiptCID))
            for node in mesh.nodes {
                try await eventually("\(receipt) is anchored") { (try? await node.logProof(of: receipt)) != nil }
                let proof = try await node.logProof(of: receipt)
                #expect(proof.text.utf8.count <= LogProof.bytesMax && proof.entry.number == 0)
                let evidence = try LogEvidence(verifying: Array(proof.text.utf8))
                #expect(evidence.author == node.identity.did)
                #expect(evidence.included?.entry.body.payload.contains(receipt) == true)
                let report = try await node.verifyReceipt(receipt)
                #expect(report.anchored == proof.entry)
                let listed = try await node.log(below: nil, limit: 10)
                #expect(listed == [proof.entry])
                let description = try await node.describe(job)
                #expect(description.anchored == report.anchored)
            }
            let before = try await mesh.originator.logHead(since: nil)
            let second = try await mesh.result(of: try await mesh.submit(module) { $0.label = "2" })
            let later = try CID(parsing: try #require(second.receiptCID))
            try await eventually("\(later) is anchored") { (try? await mesh.originator.logProof(of: later)) != nil }
            let after = try await mesh.originator.logHead(since: before.size)
            #expect(before.size == 1 && after.size == 2 && before.origin == after.origin)
            let (one, other) = (
                try LogEvidence(verifying: Array(before.text.utf8)), try LogEvidence(verifying: Array(after.text.utf8))
            )
            #expect(one.compared(with: other) == .consistent)
            await #expect(throws: NodeServiceError.self) { _ = try await mesh.originator.logHead(since: 3) }
            let unknown = CID.hashing([1, 2, 3], codec: .dagCBOR)
            await #expect(throws: NodeServiceError.self) { _ = try await mesh.originator.logProof(of: unknown) }
        }
    }

    @Test("The receipt of a workflow that a crash kept from the log is anchored by the next start")
    func owedReceipts() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.originator
            let (receipt, workflow) = (CID.hashing([2], codec: .dagCBOR), CID.hashing([9], codec: .dagCBOR))
            try await node.parts.store.commit([.anchorOwed(receipt, workflow: workflow)])
            let desk = WorkflowDesk(parts: node.parts, end: node.end)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await desk.run(on: node) }
                try await eventually("it is anchored") { (try? await node.logProof(of: receipt)) != nil }
                group.cancelAll()
            }
            let owed = try await AnchoredRow.owed(in: node.parts.store)
            #expect(owed.isEmpty)
            let listed = try await node.log(below: nil, limit: 10)
            #expect(listed.map(\.anchors) == [[receipt.text]])
        }
    }
}
