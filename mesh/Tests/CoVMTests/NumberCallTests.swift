import MeshTypes
import Multiformats
import Testing

@testable import CoVM

/// Functions that are called with numbers and whose results become an output.
@Suite("A call with numbers")
struct NumberCallTests {
    private static let math = """
        (module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (global $base (mut i32) (i32.const 0))
          (func (export "_initialize") (global.set $base (i32.const 100)))
          (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
          (func (export "based") (param i32) (result i32) (i32.add (global.get $base) (local.get 0)))
          (func (export "swap") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
            (local.get 3) (local.get 2) (local.get 1) (local.get 0))
          (func (export "quotient") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
          (func (export "nan") (result f32 f64)
            (f32.reinterpret_i32 (i32.const 0xffa00001)) (f64.div (f64.const 0) (f64.const 0)))
          (func (export "nothing") (param i32))
          (func (export "quit") (param i32) (result i32) (call $exit (local.get 0)) unreachable)
          (func (export "wide") (param v128))
          (func (export "reference") (result funcref) (ref.null func))
          (func (export "forever") (param i64) (result i64) (loop $l (br $l)) unreachable))
        """

    private func call(
        _ name: String, _ numbers: [WasmNumber], on machine: Machine, configure: (inout ExecutionJob) -> Void = { _ in }
    ) async throws -> (result: ExecutionResult, text: String?) {
        let result = try await machine.run(Self.math) { job in
            job.entry = name
            job.numbers = numbers
            configure(&job)
        }
        return (result, machine.host.text(result.outputs.first { $0.name == "result" }?.cid))
    }

    /// In the node's own process, and in one of the run's own.
    static let machines: [@Sendable () throws -> Machine] = [
        { try Machine { $0.runWorker = nil } }, { try Machine { $0.runWorker = Machine.worker } },
    ]

    @Test("takes numbers of every type and returns as many, with the same fuel in every process")
    func returns() async throws {
        var fuel: Set<UInt64> = []
        for machine in try Self.machines.map({ try $0() }) {
            let sum = try await call("add", [WasmNumber(Int32(2)), WasmNumber(Int32(40))], on: machine)
            #expect(sum.result.outcome == .exited(code: 0) && sum.text == "42\n", "\(sum.result.outcome)")
            #expect(sum.result.usage.bytesWritten == 3 && sum.result.standardOutputCID == nil)
            fuel.insert(sum.result.usage.fuel)
            let all = [WasmNumber(Int32.min), WasmNumber(Int64.max), WasmNumber(Float(0.1)), WasmNumber(-0.0)]
            #expect(try await call("swap", all, on: machine).text == "-0\n0.1\n9223372036854775807\n-2147483648\n")
            #expect(try await call("nan", [], on: machine).text == "nan\nnan\n")
        }
        #expect(fuel.count == 1)
    }

    @Test("initializes a reactor first")
    func initializes() async throws {
        #expect(try await call("based", [WasmNumber(Int32(7))], on: Machine()).text == "107\n")
    }

    @Test("has no output where the function returns nothing, traps, exits by itself, or is stopped")
    func withoutResults() async throws {
        let machine = try Machine()
        let nothing = try await call("nothing", [WasmNumber(Int32(1))], on: machine)
        #expect(nothing.result.outcome == .exited(code: 0) && nothing.result.outputs.isEmpty)
        let trapped = try await call("quotient", [WasmNumber(Int32(1)), WasmNumber(Int32(0))], on: machine)
        #expect(
            trapped.result.outcome
                == .trapped(kind: .arithmetic, message: "integer division by zero in function 5"))
        #expect(trapped.result.outputs.isEmpty)
        let quit = try await call("quit", [WasmNumber(Int32(3))], on: machine)
        #expect(quit.result.outcome == .exited(code: 3) && quit.result.outputs.isEmpty)
        let stopped = try await call("forever", [WasmNumber(Int64(1))], on: machine) { $0.limits.maxFuel = 1_000_000 }
        #expect(stopped.result.outcome == .limitExceeded(.fuel) && stopped.result.outputs.isEmpty)
    }

    @Test("counts what it returns to the output limit")
    func outputLimit() async throws {
        let numbers = [WasmNumber(Int32(2)), WasmNumber(Int32(40))]
        for (bytes, outcome) in [(3, .exited(code: 0)), (2, .limitExceeded(.output))] as [(UInt64, ExecutionOutcome)] {
            let ran = try await call("add", numbers, on: Machine()) { $0.limits.maxOutputBytes = bytes }
            #expect(ran.result.outcome == outcome && ran.result.outputs.isEmpty == (bytes == 2))
        }
    }

    @Test("is refused where the executor finds other types than it is given, before anything runs")
    func refused() async throws {
        let machine = try Machine()
        let cases: [(String, [WasmNumber], String)] = [
            (
                "add", [WasmNumber(Int32(1))], "add(i32, i32) -> i32 is called with other numbers: (i32)"
            ),
            (
                "add", [WasmNumber(Int32(1)), WasmNumber(Int64(1))],
                "add(i32, i32) -> i32 is called with other numbers: (i32, i64)"
            ),
            (
                "wide", [],
                "wide(v128) cannot be called: it takes or returns v128, and only i32, i64, f32 and f64 can be given or "
                    + "printed"
            ),
            (
                "reference", [],
                "reference() -> funcref cannot be called: it takes or returns funcref, and only i32, i64, f32 and f64 "
                    + "can be given or printed"
            ),
        ]
        for (name, numbers, reason) in cases {
            let ran = try await call(name, numbers, on: machine)
            #expect(ran.result.outcome == .moduleRefused(reason: reason))
            #expect(ran.result.usage.fuel == 0)
        }
        let missing = try await call("sub", [], on: machine).result.outcome
        guard case .moduleRefused(let reason) = missing else {
            Issue.record("\(missing)")
            return
        }
        #expect(
            reason.hasPrefix("the module exports no function sub; it exports _initialize(), add(i32, i32) -> i32, "))
        #expect(reason.contains("swap(i32, i64, f32, f64) -> (f64, f32, i64, i32)") && !reason.contains("wide"))
    }

    @Test("takes at most as many numbers as a call may have, and names no more functions than people read")
    func bounds() async throws {
        let most = NumberCall.Limits.parametersMax
        func module(_ parameters: Int, _ results: Int, functions: Int = 1) throws -> ModuleInspection {
            let body = String(repeating: "(i32.const 1)", count: results)
            let types =
                "(param \(String(repeating: "i32 ", count: parameters)))"
                + "(result \(String(repeating: "i32 ", count: results)))"
            let all = (0..<functions).map { "(func (export \"f\($0)\") \(types) \(body))" }.joined()
            return try ModuleInspection(Guests.assemble("(module \(all))"))
        }
        #expect(try module(most, most).numericType(ofFunction: "f0").parameters.count == most)
        for (parameters, results) in [(most + 1, 0), (0, NumberCall.Limits.resultsMax + 1)] {
            let inspection = try module(parameters, results)
            #expect(throws: ModuleRefusal.self) { try inspection.numericType(ofFunction: "f0") }
            #expect(inspection.callableSignatures.isEmpty)
        }
        let many = try module(0, 1, functions: ModuleRefusal.signaturesNamedMax + 3)
        #expect(throws: ModuleRefusal.self) { try many.numericType(ofFunction: "g") }
        #expect(ModuleRefusal.list(many.callableSignatures).hasSuffix("f15() -> i32 and 3 more"))
    }

    @Test("keeps its output's name from the module, which may use it otherwise")
    func reservedName() async throws {
        let text = """
            (module
              (import "mesh_host_v1" "output_write" (func $output (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1) (data (i32.const 0) "result")
              (func $try (export "try") (result i32)
                (call $output (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 6)))
              (func (export "_start") (drop (call $try))))
            """
        let machine = try Machine()
        let called = try await machine.run(text) { ($0.entry, $0.numbers) = ("try", []) }
        #expect(called.outputs.map(\.name) == ["result"])
        let returned = machine.host.text(called.outputs.first?.cid)
        #expect(returned?.hasPrefix("-") == true, "the module is told that the name is taken: \(returned ?? "")")
        let own = try await machine.run(text)
        #expect(machine.host.text(own.outputs.first?.cid) == "result")
    }
}
