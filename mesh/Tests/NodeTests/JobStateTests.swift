import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// The states of the RFC's life of a job, as real nodes go through them (PROTOCOL.md, "The life of a job").
@Suite("States of a job", .serialized)
struct JobStateTests {
    /// Counts down for some tenths of a second, and then writes more than waits in memory for the disk.
    private static let module = """
        (module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 8)
          (func (export "_start") (local $n i32)
            (local.set $n (i32.const 300000000))
            (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 409600))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
        """

    /// The states of a job at a node in their order, each once, when the last of them is there.
    private func states(of job: CID, at node: MeshNode, until last: JobStatus) async throws -> [JobStatus] {
        var states: [JobStatus] = []
        try await eventually("the job is \(last.rawValue)") {
            states = []
            for line in try await node.explain(job).lines {
                let status = try #require(JobStatus(rawValue: line.phase))
                if !states.contains(status) { states.append(status) }
            }
            return states.contains(last)
        }
        return states
    }

    @Test("A job that is checked goes through every state of both halves, in their order")
    func succeeded() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            await mesh.nodes[0].tellAtOnce()
            let job = try await mesh.submit(try Assembler.module(Self.module)) { submission in
                submission.verification = "replay"
                submission.limits.maxFuel = 8_000_000_000
            }
            #expect(try await mesh.result(of: job).ending == .succeeded)
            #expect(try await mesh.originator.job(job).status == StandardJobStatus.completedSuccessfully.rawValue)
            let originator = try await states(of: job, at: mesh.originator, until: .receiptAnchored)
            #expect(
                originator == [
                    .pendingAnnouncement, .announced, .biddingOpen, .biddingClosed, .awaitingAssignmentConfirmation,
                    .assigned, .preparingExecution, .running, .producingOutputs, .verifying, .completed,
                    .receiptGenerated, .receiptAnchored,
                ])
            let executor = try await states(of: job, at: mesh.nodes[0], until: .receiptAnchored)
            #expect(
                executor == [
                    .biddingOpen, .assigned, .preparingExecution, .running, .producingOutputs, .receiptGenerated,
                    .receiptAnchored,
                ])
        }
    }

    @Test("A job that is cancelled, and one that fails, end in these states") func ended() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let looping = try await mesh.submit(try Assembler.command("(loop (br 0))")) {
                $0.limits.maxFuel = 900_000_000_000
            }
            _ = try await states(of: looping, at: mesh.originator, until: .running)
            #expect(try await mesh.originator.job(looping).status == StandardJobStatus.running.rawValue)
            _ = try await mesh.originator.cancel(looping)
            #expect(try await mesh.result(of: looping).ending == .cancelled)
            #expect(try await states(of: looping, at: mesh.originator, until: .cancelled).contains(.running))
            #expect(try await mesh.originator.job(looping).status == StandardJobStatus.cancelled.rawValue)
            let trapped = try await mesh.submit(try Assembler.command("unreachable"))
            #expect(try await mesh.result(of: trapped).ending == .trapped)
            #expect(try await !states(of: trapped, at: mesh.originator, until: .failed).contains(.completed))
            #expect(try await mesh.originator.job(trapped).status == StandardJobStatus.failed.rawValue)
            // Nobody here is there, so it waits for bids until it is cancelled.
            let elsewhere = try await mesh.submit(try Assembler.command("nop")) { $0.policy.regions = ["nowhere"] }
            #expect(try await mesh.originator.job(elsewhere).status == StandardJobStatus.pending.rawValue)
            _ = try await mesh.originator.cancel(elsewhere)
            #expect(try await mesh.result(of: elsewhere).ending == .cancelled)
        }
    }
}

extension MeshNode {
    /// Reports from the first moment of a run on.
    fileprivate func tellAtOnce() { core.market.configuration.limits.statusQuietMilliseconds = 0 }
}
