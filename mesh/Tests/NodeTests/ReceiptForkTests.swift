import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// An auditor that has seen two receipts after one, or two for one assignment, says so.
@Suite("Forked chains of receipts", .serialized)
struct ReceiptForkTests {
    private func predecessor(_ report: ReceiptReport) throws -> ReceiptReport.Line {
        try #require(report.lines.first { $0.name == "one after the receipt before it" })
    }

    @Test("A chain holds; a second successor that an auditor has seen fails, one that is gone is unknown")
    func verify() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            var receipts: [CID] = []
            for _ in 0..<2 {
                let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
                receipts.append(try CID(named: try #require(result.receiptCID), "receipt"))
            }
            let first = try await mesh.originator.verifyReceipt(receipts[0])
            #expect(first.isValid)
            #expect(try predecessor(first).detail == "the first receipt of its executor")
            let second = try await mesh.originator.verifyReceipt(receipts[1])
            #expect(second.isValid)
            #expect(try predecessor(second).detail == "after \(receipts[0])")

            // The executor signs another one after the first: what is stored with a receipt is enough to see it.
            let executor = mesh.nodes[0]
            let block = try #require(try await executor.store.block(receipts[1]))
            var body = try SignedObject<ExecutionReceipt>(verifying: block).body
            body.executionEndedAt = body.executionEndedAt.advanced(milliseconds: 1)
            let forked = try SignedObject.sign(body, with: executor.identity)
            try await executor.store.commit([.block(cid: forked.cid, bytes: forked.bytes)])
            let fork = try await mesh.originator.verifyReceipt(forked.cid)
            #expect(!fork.isValid)
            #expect(try predecessor(fork).verdict == .failed)
            #expect(try predecessor(fork).detail == "the executor signed \(receipts[1]) after \(receipts[0]) too")
            // The auditor remembers it: now the other one fails as well.
            #expect(try predecessor(try await mesh.originator.verifyReceipt(receipts[1])).verdict == .failed)

            body.previousReceiptCID = CID.hashing([1], codec: .dagCBOR)
            let orphan = try SignedObject.sign(body, with: executor.identity)
            try await executor.store.commit([.block(cid: orphan.cid, bytes: orphan.bytes)])
            let lost = try await mesh.originator.verifyReceipt(orphan.cid)
            // It has its own place in the chain; what it contradicts is the other account of the same run.
            #expect(
                lost.lines.filter { $0.verdict == .failed }.map(\.detail)
                    == ["the executor signed \(receipts[1]) for the same assignment too"])
            let told = try await mesh.originator.verifyReceipt(receipts[1]).lines.filter { $0.verdict == .failed }
            #expect(told.map(\.detail).contains("the executor signed \(forked.cid) for the same assignment too"))
            #expect(try await mesh.originator.verifyReceipt(receipts[0]).isValid)
            #expect(try predecessor(lost).verdict == .skipped)
            #expect(try predecessor(lost).detail.hasPrefix("unknown: the receipt before it, "))
        }
    }
}
