import Foundation
import JobMarket
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import P2PTesting
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What a node still knows when it is started again.
@Suite("Restarts", .serialized)
struct RestartTests {
    @Test("A receipt that was not the one its job ended with proves nobody, also after a restart")
    func receiptsThatDoNotCount() async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let (owner, counted, late) = (Identity.generate(), Identity.generate(), Identity.generate())
        let first = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: owner)
        var writes: [StoreWrite] = []
        for (number, executor) in [counted, late].enumerated() {
            let job = CID.hashing([UInt8(number)], codec: .dagCBOR)
            let receipt = try SignedObject.sign(
                ExecutionReceipt(
                    jobID: JobID(job), assignmentCID: job, originatorDID: owner.did, executorDID: executor.did,
                    attempt: 1, moduleCID: CID.hashing([1], codec: .raw), inputCIDs: [:], outcome: .exited(code: 0),
                    resourceUsage: .none, price: .zero,
                    engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
                    determinism: .deterministic, executionStartedAt: NodeClock.wallClock,
                    executionEndedAt: NodeClock.wallClock), with: executor)
            writes.append(.block(cid: receipt.cid, bytes: receipt.bytes, pinned: true))
            writes.append(
                .receipt(
                    ReceiptRow(
                        cid: receipt.cid, jobID: job, executorDID: executor.did.text,
                        status: receipt.body.status.rawValue, at: NodeClock.wallClock.value, isVerified: true)))
            writes.append(
                .job(
                    JobRow(
                        jobID: job, role: .originator, status: JobStatus.failed.rawValue, isTerminal: true,
                        submittedAt: 1, updatedAt: 1, receiptCID: executor.did == counted.did ? receipt.cid : nil)))
        }
        // As an earlier version left it, which knew by receipts alone.
        try await first.store.commit(writes + [.setting(key: NodeOpening.conductKey, value: [0])])
        try first.store.close()
        let again = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: owner)
        #expect(await again.isProven(counted.did))
        #expect(await !again.isProven(late.did))
        #expect(try await ConductRow.all(in: again.store).map(\.subject) == [counted.did.text], "it is written down")
        #expect(try await again.store.setting(NodeOpening.conductKey) == [1])
    }

    @Test("A listing has the results of jobs from before a restart, and a job may be removed as soon as it has its own")
    func results() async throws {
        var before: [JobResult?] = []
        var owner: Identity?
        try await NodeMesh.run(prices: [1]) { mesh in
            owner = mesh.originator.identity
            let module = try Assembler.command("(call $exit (i32.const 3))")
            for key in ["kept", "removed"] {
                let job = try await mesh.submit(module) { $0.idempotencyKey = key }
                let result = try await mesh.result(of: job)
                #expect(result.exitCode == 3)
                if key == "removed" { #expect(try await mesh.originator.remove(job).blocks > 0) }
            }
            try await eventually("the books of all jobs are closed") {
                await mesh.originator.core.market.unclosedJobs.originated.isEmpty
            }
            before = try await mesh.originator.jobs(limit: 10).map(\.result)
        } afterwards: { folder in
            let again = try await NodeMesh.open(
                folder.path + "/1", NodeMesh.loopback(), identity: try #require(owner))
            try await NodeMesh.running([again]) {
                let after = try await again.jobs(limit: 10).map(\.result)
                #expect(after.count == 2 && after == before && after.allSatisfy { $0?.exitCode == 3 }, "\(after)")
                #expect(again.parts.endedResults.count == 2)
            }
        }
    }

    @Test("What a node thinks of others is the same after a restart, on both sides, number by number")
    func reputation() async throws {
        var before: [(identity: Identity, view: ReputationView)] = []
        try await NodeMesh.run(prices: [1]) { mesh in
            let module = try Assembler.command("nop")
            for number in 0..<2 {
                _ = try await mesh.result(of: try await mesh.submit(module) { $0.label = "\(number)" })
            }
            try await eventually("the books of all jobs are closed") {
                var open = 0
                for node in mesh.nodes {
                    let jobs = await node.core.market.unclosedJobs
                    open += jobs.originated.count + jobs.executed.count
                }
                return open == 0
            }
            for node in mesh.nodes { before.append((node.identity, try await node.reputation(of: nil))) }
            let (executor, originator) = (try #require(before.first), try #require(before.last))
            #expect(originator.view.subjects.map(\.receipts) == [["fulfilled": 2]])
            #expect(executor.view.originators.map(\.receipts) == [["fulfilled": 2]])
        } afterwards: { folder in
            for (number, node) in before.enumerated() {
                let path = folder.appendingPathComponent("\(number)").path
                let again = try await NodeMesh.open(path, NodeMesh.loopback(), identity: node.identity)
                let date = UnixMilliseconds(node.view.at)
                #expect(try await ReputationView(again.core.market, of: nil, at: date) == node.view)
            }
        }
    }

    @Test("Of results from before a restart so many are kept in memory; with more, all are read again")
    func resultsKept() {
        let results = EndedResults()
        let job = CID.hashing([1], codec: .dagCBOR)
        for number in 0..<EndedResults.resultsMax {
            let bytes = withUnsafeBytes(of: UInt64(number)) { Array($0) }
            results.keep(JobResult(ending: .succeeded, detail: ""), of: CID.hashing(bytes, codec: .dagCBOR))
        }
        #expect(results.count == EndedResults.resultsMax)
        results.keep(JobResult(ending: .trapped, detail: "late"), of: job)
        #expect(results.count == 1 && results[job]?.detail == "late")
    }

    @Test("After a restart, too, a crash is held against its executor only where its job did not end by crashes")
    func crashes() async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let owner = Identity.generate()
        let first = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: owner)
        let crash = CrashedRun.reason("the process of the run was ended by signal 11")
        // What the receipt says, how the job stands, whether it is closed, and what is held against the executor.
        let cases: [(reason: String, outcome: JobOutcome, isClosed: Bool, verdicts: [ReputationVerdict])] = [
            (crash, .crashesEngine, true, []), (crash, .succeeded, true, [.abandoned]),
            (crash, .executorsFailed, true, [.abandoned]), (crash, .running, false, []),
            ("disk full", .crashesEngine, true, [.abandoned]), ("disk full", .running, false, [.abandoned]),
        ]
        var executors: [DID] = []
        for (number, item) in cases.enumerated() {
            let executor = Identity.generate()
            executors.append(executor.did)
            let job = CID.hashing([UInt8(number)], codec: .dagCBOR)
            let receipt = try SignedObject.sign(
                ExecutionReceipt(
                    jobID: JobID(job), assignmentCID: job, originatorDID: owner.did, executorDID: executor.did,
                    attempt: 1, moduleCID: CID.hashing([1], codec: .raw), inputCIDs: [:],
                    outcome: .nodeFailed(reason: item.reason), resourceUsage: .none, price: .zero,
                    engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
                    determinism: .deterministic, executionStartedAt: NodeClock.wallClock,
                    executionEndedAt: NodeClock.wallClock), with: executor)
            try await first.store.commit([
                .block(cid: receipt.cid, bytes: receipt.bytes, pinned: true),
                .receipt(
                    ReceiptRow(
                        cid: receipt.cid, jobID: job, executorDID: executor.did.text,
                        status: receipt.body.status.rawValue, at: NodeClock.wallClock.value, isVerified: true)),
                .job(
                    JobRow(
                        jobID: job, role: .originator, status: JobStatus.failed.rawValue, isTerminal: item.isClosed,
                        submittedAt: 1, updatedAt: 1, outcome: item.outcome.rawValue)),
            ])
        }
        // As an earlier version left it, which knew by receipts alone.
        try await first.store.commit([.setting(key: NodeOpening.conductKey, value: [0])])
        try first.store.close()
        let again = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: owner)
        for (executor, item) in zip(executors, cases) {
            #expect(await again.verdicts(about: executor) == item.verdicts, "\(item)")
        }
    }

    @Test("The anchored DAG goes on where it was")
    func anchoredHeads() async throws {
        var before: [(identity: Identity, heads: [CID], height: UInt64, log: MerkleTree)] = []
        try await NodeMesh.run(prices: [10]) { mesh in
            let module = try Assembler.command("nop")
            for height in 0..<3 as Range<UInt64> {
                _ = try await mesh.result(of: try await mesh.submit(module) { $0.label = "\(height)" })
                for node in mesh.nodes {
                    try await eventually("height \(height) is anchored") { await node.hasAnchored(height) }
                }
            }
            for node in mesh.nodes {
                let (heads, height) = await node.anchorHeads
                before.append((node.identity, heads, height, await node.log))
            }
        } afterwards: { folder in
            for (number, node) in before.enumerated() {
                #expect(node.heads.count == 1)
                #expect(node.height == 2)
                let path = folder.appendingPathComponent("\(number)").path
                let again = try await NodeMesh.open(path, NodeMesh.loopback(), identity: node.identity)
                #expect(await again.anchorHeads.heads == node.heads)
                #expect(await again.anchorHeads.height == node.height)
                #expect(node.log.size == 3)
                #expect(await again.log == node.log)
            }
        }
    }
}

extension MeshNode {
    fileprivate var anchorHeads: (heads: [CID], height: UInt64) { core.market.anchorHeads }

    fileprivate var log: MerkleTree { core.market.log }

    fileprivate func verdicts(about executor: DID) -> [ReputationVerdict] {
        core.market.reputation.evidence(about: executor).map(\.verdict)
    }

    fileprivate func isProven(_ executor: DID) -> Bool { core.market.reputation.isProven(executor) }

    fileprivate func hasAnchored(_ height: UInt64) -> Bool {
        !anchorHeads.heads.isEmpty && anchorHeads.height >= height
    }
}
