import CoVM
import JobMarket
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

/// Jobs that several real nodes run, and peers among them that lie.
@Suite("Quorum of real nodes", .serialized)
struct QuorumTests {
    /// A module that writes all that could differ from one executor to another: random bytes, the time, who runs it and
    /// what its job is called.
    private static func module() throws -> [UInt8] {
        try Assembler.module(
            """
            (module
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
              (import "mesh_host_v1" "job_id" (func $job (param i32 i32) (result i32)))
              (import "mesh_host_v1" "executor_did" (func $executor (param i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (drop (call $random (i32.const 100) (i32.const 32)))
                (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 132)))
                (i32.store (i32.const 140) (call $executor (i32.const 144) (i32.const 100)))
                (drop (call $job (i32.const 244) (i32.const 100)))
                (i32.store (i32.const 0) (i32.const 100))
                (i32.store (i32.const 4) (i32.const 244))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
            """)
    }

    private func jobs(of originator: MeshNode) async -> [OriginatedJob] {
        await originator.core.market.originatedJobs
    }

    /// The job that its user knows, and its replicas.
    private func submit(
        _ mesh: NodeMesh, _ level: String, bids: UInt64
    ) async throws -> (job: CID, all: [JobID]) {
        let job = try await mesh.submit(Self.module()) { submission in
            submission.verification = level
            submission.policy.sufficientBids = bids
            submission.policy.bidWindowMilliseconds = 20_000
        }
        let replicas = await jobs(of: mesh.originator).filter { $0.replicaOf == JobID(job) }
        return (job, [JobID(job)] + replicas.map(\.id))
    }

    @Test("Three nodes give the same to the byte, whatever the module looks at; the user sees one job")
    func agreement() async throws {
        try await NodeMesh.run(prices: [10, 20, 30]) { mesh in
            let (job, all) = try await submit(mesh, "quorum:2/3", bids: 3)
            #expect(all.count == 3)
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded && result.finding == "agreed", "\(result.detail)")
            try await eventually("all are over") {
                await jobs(of: mesh.originator).allSatisfy { $0.result == .completedSuccessfully }
            }
            #expect(await Set(jobs(of: mesh.originator).compactMap { $0.receipt?.receipt.executorDID }).count == 3)
            let listed = try await mesh.originator.jobs(limit: 10)
            #expect(listed.map(\.jobID) == [job.text])
            let lines = try await mesh.originator.explain(job).lines.map(\.text)
            #expect(lines.contains { $0.contains("The same work goes to 2 more executors") })
            #expect(lines.count { $0.contains("agrees with enough others") } == 2, "\(lines)")
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            let report = try await mesh.originator.verifyReceipt(receipt)
            #expect(report.lines.first { $0.name == "check as committed" }?.verdict == .passed, "\(report.lines)")
            let replay = try await mesh.nodes[0].replayReceipt(receipt)
            #expect(replay.lines.allSatisfy { $0.verdict == .passed }, "\(replay.lines)")
            await #expect(throws: NodeServiceError.self) {
                try await mesh.submit(Self.module()) { $0.idempotencyKey = ReplicaKey.prefix + "mine" }
            }
        }
    }

    @Test("Whoever lies is caught with a proof and unpaid, whatever it says; the others are paid, the user is served")
    func cheat() async throws {
        let lies: [(outcome: ExecutionOutcome, fuel: UInt64)] = [
            (.exited(code: 0), 1), (.moduleRefused(reason: "no"), 0), (.trapped(kind: .unreachable, message: "no"), 10),
            (.limitExceeded(.wallClock), 900_000),
        ]
        try await NodeMesh.run(prices: [900, 901]) { mesh in
            for lie in lies {
                try await HostilePeer.meeting([mesh.originator]) { peer in
                    let (job, all) = try await submit(mesh, "quorum:2/3", bids: 3)
                    for id in all { try await peer.bid(on: id, of: mesh.originator) }
                    let order = try await peer.order()
                    let receipt = try peer.receipt(of: order, lie.outcome, fuel: lie.fuel)
                    try await peer.deliver(receipt, to: mesh.originator)
                    let settled = try await peer.settlement()
                    #expect(settled.receiptCID == receipt.cid && settled.amountPaid == .zero, "\(lie)")
                    #expect(settled.verdict == .refuted, "\(lie)")
                    let result = try await mesh.result(of: job)
                    #expect(result.ending == .succeeded, "\(lie): \(result.detail)")
                    #expect(result.executorDID != peer.identity.did.text)
                    let proof = try #require(settled.proofCID)
                    // A node that saw nothing of it, from the proof's CID alone.
                    let report = try await mesh.nodes[0].verifyProof(proof)
                    #expect(report.verdict == .holds, "\(lie): \(report.detail)")
                }
            }
            let paid = await jobs(of: mesh.originator).filter { $0.paid > .zero }
            #expect(paid.count >= 2 * lies.count)
        }
    }

    @Test("Two that agree on a lie outvote nobody: the third differs, and a run here finds both")
    func pair() async throws {
        try await NodeMesh.run(prices: [900]) { mesh in
            try await HostilePeer.meeting([mesh.originator]) { first in
                try await HostilePeer.meeting([mesh.originator]) { second in
                    let (job, all) = try await submit(mesh, "quorum:2/3", bids: 3)
                    for id in all {
                        for peer in [first, second] { try await peer.bid(on: id, of: mesh.originator) }
                    }
                    for peer in [first, second] {
                        let order = try await peer.order()
                        let receipt = try peer.receipt(of: order, .exited(code: 7), fuel: 4_321)
                        try await peer.deliver(receipt, to: mesh.originator)
                    }
                    for peer in [first, second] {
                        #expect(try await peer.settlement().verdict == .refuted)
                    }
                    let result = try await mesh.result(of: job)
                    #expect(result.ending == .succeeded, "\(result.detail)")
                    #expect(result.executorDID == mesh.nodes[0].identity.did.text)
                    #expect(try await mesh.originator.proofs(against: nil, limit: 10).count == 2)
                }
            }
        }
    }

    @Test("Whoever waits for another's result to copy it finds it nowhere until it has committed to its own")
    func copier() async throws {
        // One of the nodes takes no job: it stands for whoever looks for the other one's result.
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            try await HostilePeer.meeting([mesh.originator]) { peer in
                let (job, all) = try await submit(mesh, "quorum:2/2", bids: 3)
                for id in all { try await peer.bid(on: id, of: mesh.originator) }
                let order = try await peer.order()
                try await eventually("the honest one has committed") {
                    await jobs(of: mesh.originator).contains {
                        !$0.candidateReceipts.isEmpty && $0.status == .verifying
                    }
                }
                let committed = try #require(
                    await jobs(of: mesh.originator).compactMap(\.candidateReceipts.first?.accepted).first)
                let looker = try #require(
                    mesh.nodes.dropLast().first { $0.identity.did != committed.receipt.executorDID })
                let givers = [committed.receipt.executorDID.peerID, mesh.originator.identity.peerID]
                let secret = try #require(committed.receipt.stdoutCID)
                for cid in [committed.cid, secret] {
                    for giver in givers {
                        await #expect(throws: (any Error).self) { try await looker.bitswap.fetch(cid, from: [giver]) }
                    }
                }
                let value = try? await looker.dht.getValue(key: MeshTopics.receiptKey(committed.cid))
                #expect(value == nil)
                try await peer.deliver(
                    try peer.receipt(of: order, .exited(code: 0), fuel: 99) { $0.stdoutCID = nil }, to: mesh.originator)
                #expect(try await peer.settlement().verdict == .refuted)
                _ = try await mesh.result(of: job)
                // Settled, it is anybody's.
                try await eventually("the result is public") {
                    (try? await looker.bitswap.fetch(committed.cid, from: [givers[0]])) == committed.signed.bytes
                }
                let output = try await looker.bitswap.fetch(secret, from: [givers[0]])
                #expect(output.count == 244)
            }
        }
    }

    @Test("A result of an engine that the manifest does not name is none, and ends the attempt")
    func otherEngine() async throws {
        try await NodeMesh.run(prices: [900]) { mesh in
            try await HostilePeer.meeting([mesh.originator]) { peer in
                let job = try await mesh.submit(Self.module()) { submission in
                    submission.policy.sufficientBids = 2
                    submission.policy.bidWindowMilliseconds = 20_000
                }
                try await peer.bid(on: JobID(job), of: mesh.originator)
                let order = try await peer.order()
                let receipt = try peer.receipt(of: order, .exited(code: 0), fuel: 1) { $0.engine.version = "0" }
                guard case .refused(let refusal)? = try await peer.offer(receipt, to: mesh.originator) else {
                    Issue.record("a receipt of another engine was taken")
                    return
                }
                #expect(refusal.code == .known(.chainMismatch) && refusal.text.contains("engine"))
                #expect(try await mesh.result(of: job).executorDID == mesh.nodes[0].identity.did.text)
            }
        }
    }
}
