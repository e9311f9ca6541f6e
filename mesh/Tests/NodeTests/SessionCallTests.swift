import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import Testing

@testable import PlanetaryMesh

/// Jobs between real nodes whose modules talk by calls of `mesh_host_v1` alone.
@Suite("Session calls between nodes", .serialized)
struct SessionCallTests {
    /// Says back what it receives: one byte, and then what waits behind it. Where it has no session it exits with the
    /// number of that, negated.
    private static let echo = """
        (module
          (import "mesh_host_v1" "session_receive" (func $receive (param i32 i32) (result i32)))
          (import "mesh_host_v1" "session_send" (func $send (param i32 i32) (result i32)))
          (import "mesh_host_v1" "session_waiting" (func $waiting (result i32)))
          (memory (export "memory") 2)
          (func (export "run") (result i32) (local $got i32) (local $more i32)
            (loop $l
              (local.set $got (call $receive (i32.const 1024) (i32.const 1)))
              (if (i32.eq (local.get $got) (i32.const 1)) (then
                (local.set $more (call $waiting))
                (if (i32.gt_s (local.get $more) (i32.const 0)) (then
                  (local.set $got
                    (i32.add (local.get $got) (call $receive (i32.const 1025) (local.get $more))))))
                (br_if $l (i32.eqz (call $send (i32.const 1024) (local.get $got)))))))
            (i32.sub (i32.const 0) (local.get $got))))
        """

    private func features(of job: CID, _ mesh: NodeMesh) async throws -> String? {
        try await mesh.originator.describe(job).request?.policy.first { $0.name == "features" }?.text
    }

    @Test("A job that knows only the calls is talked with, waits, and is repeated from its transcript by both sides")
    func talk() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await mesh.submit(try Assembler.module(Self.echo)) { submission in
                submission.entry = "run"
                submission.session = JobSubmission.Session()
            }
            let user = try await SessionUser(mesh.originator, job)
            let result = try await user.hearsEachLine(of: job, in: mesh)
            #expect(
                try await features(of: job, mesh)
                    == "interactive-v1, interactive-transcript-v1, interactive-calls-v1")
            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            #expect(try await mesh.originator.receipt(receipt).transcriptCID != nil)
            for node in mesh.nodes {
                let report = try await node.replayReceipt(receipt)
                #expect(report.isValid, "\(report.lines)")
                #expect(report.lines.first { $0.name == "same calls of its user" }?.verdict == .passed)
            }
        }
    }

    @Test("A job without a session is told by each call that it has none, requires the calls, and can be checked")
    func withoutSession() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            // The second submission meets a module that was inspected before.
            for label in ["first", "second"] {
                let job = try await mesh.submit(try Assembler.module(Self.echo)) { submission in
                    (submission.entry, submission.label) = ("run", label)
                    submission.verification = "replay"
                }
                let result = try await mesh.result(of: job)
                #expect(result.exitCode == 5, "\(result.detail)")
                #expect(try await features(of: job, mesh) == "interactive-calls-v1")
                let receipt = try CID(named: try #require(result.receiptCID), "receipt")
                let report = try await mesh.nodes[0].replayReceipt(receipt)
                #expect(report.isValid, "\(report.lines)")
            }
            let other = try await mesh.submit(try Assembler.command("nop"))
            _ = try await mesh.result(of: other)
            #expect(try await features(of: other, mesh) == nil, "what it does not import it does not require")
        }
    }
}
