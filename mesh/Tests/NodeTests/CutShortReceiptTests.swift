import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// A third node repeats runs that were stopped, with the fuel that is claimed for them, and finds out who claims too
/// much.
@Suite("Replays of runs that were cut short", .serialized)
struct CutShortReceiptTests {
    /// The receipt of a job's result as its executor signed it, and who that was.
    private func receipt(
        of job: CID, in mesh: NodeMesh
    ) async throws -> (cid: CID, body: ExecutionReceipt, executor: MeshNode, auditor: MeshNode) {
        let result = try await mesh.result(of: job)
        let cid = try CID(named: try #require(result.receiptCID), "receipt")
        let executor = try #require(mesh.nodes.first { $0.identity.did.text == result.executorDID })
        let auditor = try #require(mesh.nodes.dropLast().first { $0.identity.did.text != result.executorDID })
        let block = try #require(try await executor.store.block(cid))
        return (cid, try SignedObject<ExecutionReceipt>(verifying: block).body, executor, auditor)
    }

    /// Signs another receipt as its executor, and has a third node verify and replay it.
    private func replay(
        _ body: ExecutionReceipt, by executor: MeshNode, at auditor: MeshNode, in mesh: NodeMesh
    ) async throws -> ReceiptReport {
        var body = body
        let block = try #require(try await executor.store.block(body.assignmentCID))
        let terms = try SignedObject<Assignment>(verifying: block).body.terms
        body.status = body.outcome.standardStatus
        body.price = terms.due(for: body.outcome, fuel: body.resourceUsage.fuel)
        let signed = try SignedObject.sign(body, with: executor.identity)
        try await executor.store.commit([.block(cid: signed.cid, bytes: signed.bytes)])
        // An auditor that has seen neither the real receipt nor another forged one of this assignment.
        return try await auditor.replayReceipt(signed.cid)
    }

    private func fuel(_ report: ReceiptReport) throws -> ReceiptReport.Line {
        try #require(report.lines.first { $0.name == "no earlier end" })
    }

    @Test("A run that its clock stopped is out of fuel at the same place, and wrote the same")
    func clock() async throws {
        try await NodeMesh.run(prices: [10, 900]) { mesh in
            // It sleeps past its time, which is the same on every machine.
            let module = try Assembler.command(
                """
                (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 8))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (i32.store (i32.const 144) (i32.const 1)) (i64.store (i32.const 152) (i64.const 7000000000))
                (loop $l (drop (call $poll (i32.const 128) (i32.const 192) (i32.const 1) (i32.const 256))) (br $l))
                """)
            let (cid, body, _, auditor) = try await receipt(of: try await mesh.submit(module), in: mesh)
            #expect(body.outcome == .limitExceeded(.wallClock))
            #expect(body.resourceUsage.fuel > 0 && body.stdoutCID != nil)
            let report = try await auditor.replayReceipt(cid)
            #expect(report.isValid && report.lines.allSatisfy { $0.verdict == .passed }, "\(report.lines)")
            #expect(try fuel(report).verdict == .passed)
        }
    }

    @Test("An executor that claims more for a run cut short than its module uses is refuted; to the unit")
    func claims() async throws {
        // The rate that bids promise by default allows this much for the time between any two dates.
        let more: UInt64 = 1
        for (extra, outcome) in [
            (0, ExecutionOutcome.cancelled), (more, .cancelled), (more, .limitExceeded(.wallClock)),
        ] {
            try await NodeMesh.run(prices: [10, 900]) { mesh in
                let module = try Assembler.command(
                    """
                    (local $n i32)
                    (local.set $n (i32.const 100000))
                    (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
                    """)
                var (_, body, executor, auditor) = try await receipt(of: try await mesh.submit(module), in: mesh)
                #expect(body.outcome == .exited(code: 0))
                let used = body.resourceUsage.fuel
                body.outcome = outcome
                body.resourceUsage.fuel += extra
                let report = try await replay(body, by: executor, at: auditor, in: mesh)
                let line = try fuel(report)
                #expect(line.verdict == (extra == 0 ? .passed : .failed), "\(report.lines)")
                #expect(report.isValid == (extra == 0))
                if extra > 0 {
                    let words = "the module ended with exit code 0 after \(GroupedNumber.of(used))"
                    #expect(line.detail.hasSuffix(words), "\(line.detail)")
                }
            }
        }
    }

    @Test("An executor that forges what a stopped run wrote is refuted")
    func forgedOutput() async throws {
        try await NodeMesh.run(prices: [10, 900]) { mesh in
            let module = try Assembler.command("(loop $l (br $l))")
            let job = try await mesh.submit(module) { $0.limits.maxFuel = 30_000_000 }
            var (_, body, executor, auditor) = try await receipt(of: job, in: mesh)
            #expect(body.outcome == .limitExceeded(.fuel))
            body.outcome = .cancelled
            body.resourceUsage.fuel = 10_000_000
            let words = Array("what nobody wrote".utf8)
            let forged = CID.hashing(words, codec: .raw)
            try await executor.store.commit([.block(cid: forged, bytes: words)])
            body.stdoutCID = forged
            body.resourceUsage.bytesWritten = UInt64(words.count)
            let report = try await replay(body, by: executor, at: auditor, in: mesh)
            #expect(try fuel(report).verdict == .passed, "\(report.lines)")
            #expect(report.lines.filter { $0.verdict == .failed }.map(\.name) == ["same standard output"])
        }
    }

    @Test("A repetition has a time of its own, after which nothing is known of the claim")
    func slow() async throws {
        try await NodeMesh.run(prices: [10, 900]) { mesh in
            let module = try Assembler.command("(loop $l (br $l))")
            let job = try await mesh.submit(module) { submission in
                submission.limits.maxFuel = 900_000_000_000
                submission.limits.timeoutSeconds = 2
            }
            try await eventually("it runs") {
                try await mesh.originator.job(job).phase == "Running"
            }
            _ = try await mesh.originator.cancel(job)
            var (_, body, executor, auditor) = try await receipt(of: job, in: mesh)
            // As much as the rate allows for a time that the executor invents.
            body.outcome = .cancelled
            body.executionEndedAt = body.executionStartedAt.advanced(milliseconds: 60_000)
            body.resourceUsage.fuel = 500_000_000_000
            let report = try await replay(body, by: executor, at: auditor, in: mesh)
            #expect(!report.isValid && report.lines.allSatisfy { $0.verdict != .failed }, "\(report.lines)")
            #expect(try fuel(report).verdict == .skipped)
            // On a busy machine it may not even have half of that time.
            let reasons = ["the repetition did not end in its 8000 ms", "the run had the processor for "]
            let detail = try fuel(report).detail
            #expect(reasons.contains { detail.contains($0) }, "\(detail)")
        }
    }
}
