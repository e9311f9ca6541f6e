import CoVM
import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Results of real nodes that other real nodes check, for pay, and peers that lie.
@Suite("Checks by other real nodes", .serialized)
struct ExecutorCheckTests {
    private static func module() throws -> [UInt8] {
        try Assembler.module(
            """
            (module
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 100) "checked")
              (func (export "_start")
                (i32.store (i32.const 0) (i32.const 100))
                (i32.store (i32.const 4) (i32.const 7))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
            """)
    }

    private func jobs(of originator: MeshNode) async -> [OriginatedJob] {
        await originator.core.market.originatedJobs
    }

    private func submit(_ mesh: NodeMesh, bids: UInt64) async throws -> CID {
        try await mesh.submit(Self.module()) { submission in
            submission.verification = "replay@executor"
            submission.policy.sufficientBids = bids
            submission.policy.bidWindowMilliseconds = 20_000
        }
    }

    /// The job of the executor that checks, once there is one.
    private func checker(of job: CID, _ mesh: NodeMesh) async throws -> JobID {
        try await eventually("another executor is asked") {
            await jobs(of: mesh.originator).contains { $0.replicaOf == JobID(job) }
        }
        return try #require(await jobs(of: mesh.originator).first { $0.replicaOf == JobID(job) }?.id)
    }

    @Test("Two strangers give the same and are paid; the node runs it once, as it knows neither, and says all that")
    func agreement() async throws {
        try await NodeMesh.run(prices: [10, 20]) { mesh in
            let job = try await submit(mesh, bids: 2)
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded && result.finding == "confirmed", "\(result.detail)")
            try await eventually("both are over") {
                await jobs(of: mesh.originator).allSatisfy { $0.result == .completedSuccessfully }
            }
            let all = await jobs(of: mesh.originator)
            #expect(all.count == 2)
            #expect(all.allSatisfy { $0.paid > .zero && $0.finding == .confirmed })
            #expect(Set(all.compactMap { $0.receipt?.receipt.executorDID }).count == 2)
            #expect(try await mesh.originator.jobs(limit: 10).map(\.jobID) == [job.text])
            let lines = try await mesh.originator.explain(job).lines.map(\.text)
            #expect(lines.contains { $0.contains("(replay@executor)") }, "\(lines)")
            #expect(lines.contains { $0.contains("The same work goes to 1 more executor") }, "\(lines)")
            #expect(lines.contains { $0.contains("a run here bears its result out") }, "\(lines)")
            for receipt in all.compactMap({ $0.receipt?.cid }) {
                let report = try await mesh.originator.verifyReceipt(receipt)
                #expect(report.lines.first { $0.name == "check as committed" }?.verdict == .passed, "\(report.lines)")
            }
        }
    }

    @Test("Nobody else bids: the node checks it itself, and says why")
    func alone() async throws {
        try await NodeMesh.run(prices: [10], biddingMilliseconds: 1_000) { mesh in
            let job = try await mesh.submit(Self.module()) { $0.verification = "spot:100%@executor" }
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded && result.finding == "confirmed", "\(result.detail)")
            let lines = try await mesh.originator.explain(job).lines.map(\.text)
            #expect(lines.contains { $0.contains("No other executor checks the result") }, "\(lines)")
        }
    }

    @Test("Whoever checks and lies is caught with a proof and unpaid; the job's own executor is believed")
    func lyingChecker() async throws {
        try await NodeMesh.run(prices: [900]) { mesh in
            try await HostilePeer.meeting([mesh.originator]) { peer in
                let job = try await submit(mesh, bids: 1)
                try await peer.bid(on: checker(of: job, mesh), of: mesh.originator)
                let order = try await peer.order()
                // What it is asked tells nothing of what was claimed.
                #expect(order.manifest.params.verification == .none)
                let receipt = try peer.receipt(of: order, .exited(code: 0), fuel: 1)
                try await peer.deliver(receipt, to: mesh.originator)
                let settled = try await peer.settlement()
                #expect(settled.receiptCID == receipt.cid && settled.amountPaid == .zero)
                #expect(settled.verdict == .refuted)
                let result = try await mesh.result(of: job)
                #expect(result.ending == .succeeded && result.finding == "confirmed", "\(result.detail)")
                #expect(result.executorDID == mesh.nodes[0].identity.did.text)
                let report = try await mesh.nodes[0].verifyProof(try #require(settled.proofCID))
                #expect(report.verdict == .holds, "\(report.detail)")
                let lines = try await mesh.originator.explain(job).lines.map(\.text)
                #expect(lines.contains { $0.contains("a run here refutes its result") }, "\(lines)")
            }
        }
    }

    @Test("Whoever does the work and lies is found because the checker differs; another does the job")
    func lyingExecutor() async throws {
        try await NodeMesh.run(prices: [900]) { mesh in
            try await HostilePeer.meeting([mesh.originator]) { peer in
                let job = try await submit(mesh, bids: 2)
                try await peer.bid(on: JobID(job), of: mesh.originator)
                let order = try await peer.order()
                let receipt = try peer.receipt(of: order, .exited(code: 0), fuel: 1)
                try await peer.deliver(receipt, to: mesh.originator)
                // It would check itself, and is not let.
                try await peer.bid(on: checker(of: job, mesh), of: mesh.originator)
                let settled = try await peer.settlement()
                #expect(settled.receiptCID == receipt.cid && settled.verdict == .refuted)
                let result = try await mesh.result(of: job)
                #expect(result.ending == .succeeded, "\(result.detail)")
                #expect(result.executorDID == mesh.nodes[0].identity.did.text)
                let all = await jobs(of: mesh.originator)
                #expect(all.flatMap(\.attempts).count { $0.assignment.executorDID == peer.identity.did } == 1)
            }
        }
    }
}
