import Foundation
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Who may have what of results that are not settled.
@Suite("Private results")
struct PrivateResultsTests {
    private let originator = try! Identity(seed: Array(repeating: 1, count: 32))
    private let executor = try! Identity(seed: Array(repeating: 2, count: 32))
    private let job = CID.hashing(Array("job".utf8), codec: .dagCBOR)
    private let output = Array("output".utf8)
    private var stranger: PeerID { Identity.generate().peerID }

    private func signed(outputs: [CID]) throws -> SignedObject<ExecutionReceipt> {
        var receipt = ExecutionReceipt(
            jobID: JobID(job), assignmentCID: job, originatorDID: originator.did, executorDID: executor.did, attempt: 1,
            moduleCID: job, inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: .none, price: TokenAmount(1),
            engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: UnixMilliseconds(5), executionEndedAt: UnixMilliseconds(6))
        receipt.outputs = CanonicalMap(outputs.enumerated().map { ("\($0.offset)", $0.element) })
        return try SignedObject.sign(receipt, with: executor)
    }

    private func event(_ kind: JobEventKind, _ role: JobRole, of job: CID? = nil) -> JobEvent {
        JobEvent(jobID: JobID(job ?? self.job), role: role, at: UnixMilliseconds(9), kind: kind)
    }

    private func withStore(_ body: (MeshStore) async throws -> Void) async throws {
        let path = "/tmp/pr-\(UUID().uuidString.prefix(8)).sqlite"
        defer {
            for end in ["", "-wal", "-shm", ".reserve"] { try? FileManager.default.removeItem(atPath: path + end) }
        }
        try await body(try MeshStore(path: path, owner: executor.did.text))
    }

    @Test("An executor gives it to the originator alone until it is settled, overdue or given up")
    func executor() async throws {
        let cid = CID.hashing(output, codec: .raw)
        let receipt = try signed(outputs: [cid])
        let settlement = try SignedObject.sign(
            Settlement(
                jobID: JobID(job), receiptCID: receipt.cid, originatorDID: originator.did, executorDID: executor.did,
                amountPaid: .zero, amountRefunded: .zero, verdict: .paid, settledAt: UnixMilliseconds(9)),
            with: originator)
        try await withStore { store in
            try await store.commit([.output(cid: cid, bytes: output, jobID: job)])
            for end in [JobEventKind.settlementReceived(settlement: settlement), .settlementOverdue, .closed] {
                let results = PrivateResults()
                results.follow(event(.receiptSigned(receipt: receipt, deliverUntil: UnixMilliseconds(9)), .executor))
                let source = StoreBlockSource(store: store, results: results)
                for secret in [cid, receipt.cid] {
                    #expect(await results.hides(secret, from: stranger, in: store))
                    #expect(await results.hides(secret, in: store))
                    #expect(await !results.hides(secret, from: originator.peerID, in: store))
                }
                #expect(await source.block(cid, for: stranger) == nil)
                #expect(await !source.hasBlock(cid, for: stranger))
                #expect(await source.block(cid, for: originator.peerID) == output)
                #expect(await source.block(cid) == output)
                results.follow(event(end, .executor))
                #expect(await source.block(cid, for: stranger) == output)
                #expect(await !results.hides(receipt.cid, from: stranger, in: store))
            }
        }
    }

    @Test("An originator gives it to nobody until the job has its result, and that of one job ends no other's secret")
    func originated() async throws {
        let cid = CID.hashing(output, codec: .raw)
        let (receipt, other) = (try signed(outputs: [cid]), CID.hashing([9], codec: .dagCBOR))
        let accepted = JobEventKind.receiptAccepted(
            assignment: job, receipt: receipt, outputsUntil: UnixMilliseconds(9))
        try await withStore { store in
            try await store.commit([.output(cid: cid, bytes: output, jobID: job)])
            let results = PrivateResults()
            results.follow(event(accepted, .originator))
            results.follow(event(accepted, .originator, of: other))
            #expect(await results.hides(cid, from: executor.peerID, in: store))
            results.follow(
                event(.resultReached(result: .completedSuccessfully, outcome: .exited(code: 0)), .originator))
            #expect(await !results.hides(receipt.cid, from: stranger, in: store) == false)
            results.follow(event(.cancelled(reason: "no"), .originator, of: other))
            #expect(await !results.hides(cid, from: stranger, in: store))
        }
    }

    @Test("What is here for another reason is served as ever, and outputs beyond the bound are")
    func others() async throws {
        let cid = CID.hashing(output, codec: .raw)
        try await withStore { store in
            // Another job made the same before.
            try await store.commit([.output(cid: cid, bytes: output, jobID: CID.hashing([1], codec: .dagCBOR))])
            let results = PrivateResults()
            let receipt = try signed(outputs: [cid])
            results.follow(event(.receiptSigned(receipt: receipt, deliverUntil: UnixMilliseconds(9)), .executor))
            #expect(await !results.hides(cid, from: stranger, in: store))
            #expect(await results.hides(receipt.cid, from: stranger, in: store))
        }
        try await withStore { store in
            let max = PrivateResults.Limits().outputsPerReceiptMax
            let cids = (0...max).map { CID.hashing([UInt8($0)], codec: .raw) }
            let results = PrivateResults()
            let receipt = try signed(outputs: cids)
            results.follow(event(.receiptSigned(receipt: receipt, deliverUntil: UnixMilliseconds(9)), .executor))
            for (number, cid) in cids.enumerated() {
                try await store.commit([.output(cid: cid, bytes: [UInt8(number)], jobID: job)])
            }
            var hidden = 0
            for cid in cids where await results.hides(cid, from: stranger, in: store) { hidden += 1 }
            #expect(hidden == max)
        }
    }
}
