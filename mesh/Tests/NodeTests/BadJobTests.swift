import CWasmtime
import Foundation
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What bad jobs get, from submission to the receipt: the exact reason, each time.
@Suite("Bad jobs", .serialized)
struct BadJobTests {
    @Test("A module that cannot run is refused at submission, with the reason")
    func refusedModules() async throws {
        let good = try Assembler.module(#"(module (memory (export "memory") 1) (func (export "_start")))"#)
        let cases: [(name: String, module: [UInt8], reason: String)] = [
            ("not a module", Array("hello".utf8), "not a WebAssembly module"),
            ("truncated", Array(good.dropLast(3)), "truncated"),
            (
                "unknown imports",
                try Assembler.module(#"(module (import "env" "abort" (func)) (func (export "_start")))"#), "env.abort"
            ),
            ("no entry point", try Assembler.module(#"(module (func (export "main")))"#), "_start"),
            (
                "too large a table", try Assembler.module(#"(module (table 100001 funcref) (func (export "_start")))"#),
                "at least 100,001 table elements from its start; a run has at most 100,000"
            ),
            ("too large", good + [0, 0xFF, 0xFF, 0xFF, 0x07] + [UInt8](repeating: 0, count: 17 << 20), "larger than"),
        ]
        try await NodeMesh.run(prices: []) { _, configuration in
            configuration.limits.moduleBytesMax = 16 << 20
        } _: { mesh in
            for bad in cases {
                do {
                    _ = try await mesh.submit(bad.module)
                    Issue.record("\(bad.name) was accepted")
                } catch let error as NodeServiceError {
                    #expect(error.code == .moduleRefused, "\(bad.name): \(error)")
                    #expect(error.message.contains(bad.reason), "\(bad.name): \(error)")
                }
            }
            #expect(try await mesh.originator.jobs(limit: 10).isEmpty)
        }
    }

    @Test("A module that starts with more memory than its job may have is refused at submission, and nothing is paid")
    func memoryFromTheStart() async throws {
        func module(pages: Int) throws -> [UInt8] {
            try Assembler.module(#"(module (memory (export "memory") \#(pages)) (func (export "_start")))"#)
        }
        try await NodeMesh.run(prices: [10]) { mesh in
            let before = try await mesh.originator.wallet(WalletQuery(limit: 0))
            let huge = try module(pages: 49_152)
            // The second time the node remembers its inspection.
            for _ in 0..<2 {
                let refusal = NodeServiceError(
                    .moduleRefused,
                    "The module needs at least 3 GiB of memory from its start; the job's limit is 256 MiB.",
                    hint: "Raise it with --max-memory, or build the module with a smaller initial memory.")
                await #expect(throws: refusal) { try await mesh.submit(huge) }
            }
            #expect(try await mesh.originator.jobs(limit: 10).isEmpty)
            #expect(try await mesh.originator.wallet(WalletQuery(limit: 0)) == before)
            // As much as the job may have is not too much, and another limit is another job.
            let fitting = try await mesh.submit(try module(pages: 32)) { $0.limits.maxMemoryBytes = 2 << 20 }
            #expect(try await mesh.result(of: fitting).ending == .succeeded)
            await #expect(throws: NodeServiceError.self) {
                try await mesh.submit(try module(pages: 33)) { $0.limits.maxMemoryBytes = 2 << 20 }
            }
        }
    }

    @Test("A loop with much fuel is stopped by the clock: its doing where it had the processor, else the node's")
    func clock() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) {
                $0.limits.maxFuel = 900_000_000_000
                $0.limits.timeoutSeconds = 1
            }
            let result = try await mesh.result(of: job)
            if result.ending == .limitExceeded {
                #expect(result.limit == "wall_clock")
                #expect((result.fuel ?? 0) > 1_000_000, "what it used is charged")
            } else {
                // A busy machine, and an executor that says so.
                #expect(result.ending == .executorsFailed)
                let reasons = ["the run had the processor for ", "the executor stood still during the run"]
                #expect(reasons.contains { result.detail.contains($0) }, "\(result.detail)")
            }
        }
    }

    @Test("A job that misbehaves ends in a receipt that names the trap or the limit")
    func outcomes() async throws {
        let cases:
            [(name: String, text: String, change: (inout JobSubmission) -> Void, ending: JobEnding, limit: String?)] = [
                ("trap", "unreachable", { _ in }, .trapped, nil),
                ("infinite loop", "(loop (br 0))", { $0.limits.maxFuel = 100_000 }, .limitExceeded, "fuel"),
                (
                    "memory bomb",
                    "(loop (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br 0))",
                    { $0.limits.maxMemoryBytes = 4 << 20 }, .limitExceeded, "memory"
                ),
                ("endless recursion", "(call $self)", { _ in }, .limitExceeded, "stack"),
                (
                    "output flood",
                    """
                    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 60000))
                    (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0))
                    """, { $0.limits.maxOutputBytes = 1 << 20 }, .limitExceeded, "output"
                ),
                (
                    "sleeping guest",
                    """
                    (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 3600000000000))
                    (loop (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))) (br 0))
                    """, { $0.limits.timeoutSeconds = 2 }, .limitExceeded, "wall_clock"
                ),
                ("exit code", "(call $exit (i32.const 3))", { _ in }, .exitedNonZero, nil),
            ]
        try await NodeMesh.run(prices: [10]) { mesh in
            for bad in cases {
                let job = try await mesh.submit(try Assembler.command(bad.text), bad.change)
                let result = try await mesh.result(of: job)
                #expect(result.ending == bad.ending, "\(bad.name): \(result.detail)")
                #expect(result.limit == bad.limit, "\(bad.name): \(result.detail)")
                #expect(result.attempts == 1, "\(bad.name): a user's error is not retried")
                let receipt = try CID(named: try #require(result.receiptCID), "receipt")
                let report = try await mesh.originator.verifyReceipt(receipt)
                #expect(report.isValid, "\(bad.name): \(report.lines.filter { $0.verdict != .passed })")
            }
        }
    }

    @Test("Without an executor, or with only too dear ones, the job fails at the bidding deadline and says why")
    func noExecutor() async throws {
        try await NodeMesh.run(prices: [], biddingMilliseconds: 1_500) { mesh in
            let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            #expect(result.ending == .noBids)
            #expect(result.receiptCID == nil)
        }
        try await NodeMesh.run(prices: [500, 700], biddingMilliseconds: 1_500) { mesh in
            let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.budget = 20
                submission.limits.maxFuel = 1_000_000
            }
            let result = try await mesh.result(of: job)
            #expect(result.ending == .noAcceptableBid)
            #expect(
                result.detail.contains("the cheapest bid asks up to 510 tokens, above the budget of 20"),
                "\(result.detail)")
            let lines = try await mesh.originator.explain(job).lines.map(\.text)
            for price in [510, 710] {
                #expect(lines.contains { $0.contains("at most \(price) tokens") }, "\(price): \(lines)")
            }
            #expect(try await mesh.originator.wallet(WalletQuery(limit: 10)).held == 0)
        }
    }

    @Test("A cancelled job ends with a receipt of the cancelled run")
    func cancelled() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
                submission.limits.maxFuel = 900_000_000_000
            }
            for await event in try await mesh.originator.progress(of: job) {
                if event.phase == "Running" { break }
            }
            _ = try await mesh.originator.cancel(job)
            let result = try await mesh.result(of: job)
            #expect(result.ending == .cancelled, "\(result.detail)")
            #expect(result.receiptCID != nil)
        }
    }
}

/// Small modules from WebAssembly text.
enum Assembler {
    struct Failure: Error {
        let text: String
    }

    static func module(_ text: String) throws -> [UInt8] {
        var bytes = wasm_byte_vec_t()
        if let error = wasmtime_wat2wasm(text, text.utf8.count, &bytes) {
            wasmtime_error_delete(error)
            throw Failure(text: text)
        }
        defer { wasm_byte_vec_delete(&bytes) }
        return [UInt8](UnsafeBufferPointer(start: bytes.data, count: bytes.size))
    }

    /// A WASI command whose `_start` does `body`.
    static func command(_ body: String) throws -> [UInt8] {
        try module(
            """
            (module
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 2)
              (func $self (export "_start") \(body)))
            """)
    }
}
