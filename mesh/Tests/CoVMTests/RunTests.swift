import MeshTypes
import Multiformats
import P2PTesting
import Testing

@testable import CoVM

@Suite("A run")
struct RunTests {
    @Test("ends with exit code zero when the entry returns")
    func returns() async throws {
        let result = try await Machine().run(Guests.nothing)
        #expect(result.outcome == .exited(code: 0))
        #expect(result.moduleSource == .compiled)
        #expect(result.standardOutputCID == nil)
        #expect(result.usage.peakMemoryBytes == 65_536)
        #expect(result.usage.fuel > 0)
        #expect(result.engine.name == "wasmtime")
        #expect(result.engine.configurationDigest.count == 64)
    }

    @Test("stores what was written to the standard streams")
    func writes() async throws {
        let machine = try Machine()
        let output = try await machine.run(Guests.writing("Grüße\n"))
        #expect(output.outcome == .exited(code: 0))
        #expect(machine.host.text(output.standardOutputCID) == "Grüße\n")
        #expect(output.standardOutputCID == CID.hashing(Array("Grüße\n".utf8), codec: .raw))
        #expect(output.usage.bytesWritten == 8)
        #expect(output.usage.hostCalls["wasi_snapshot_preview1.fd_write"] == 1)
        let error = try await machine.run(Guests.writing("oh\n", descriptor: 2))
        #expect(machine.host.text(error.standardErrorCID) == "oh\n")
        #expect(error.standardOutputCID == nil)
    }

    @Test("tells the exit code", arguments: [0, 1, 42, 255])
    func exits(code: Int) async throws {
        let result = try await Machine().run(Guests.exiting(code))
        #expect(result.outcome == .exited(code: Int32(code)))
    }

    @Test("takes the i32 of a named entry as exit code")
    func namedEntry() async throws {
        let text = #"(module (func (export "seven") (result i32) (i32.const 7)))"#
        let result = try await Machine().run(text) { $0.entry = "seven" }
        #expect(result.outcome == .exited(code: 7))
    }

    @Test("calls the initializer of a reactor first")
    func reactor() async throws {
        let text = """
            (module (global $g (mut i32) (i32.const 0))
              (func (export "_initialize") (global.set $g (i32.const 5)))
              (func (export "run") (result i32) (global.get $g)))
            """
        let result = try await Machine().run(text) { $0.entry = "run" }
        #expect(result.outcome == .exited(code: 5))
    }

    struct Trap: Sendable, CustomTestStringConvertible {
        var kind: TrapKind
        var message: String
        var body: String
        var testDescription: String { message }
    }

    static let traps: [Trap] = [
        Trap(kind: .unreachable, message: "unreachable executed in function 0 (start)", body: "unreachable"),
        Trap(
            kind: .memoryOutOfBounds, message: "out of bounds memory access in function 0 (start)",
            body: "(drop (i32.load (i32.const 65536)))"),
        Trap(
            kind: .memoryOutOfBounds, message: "out of bounds memory access in function 0 (start)",
            body: "(drop (i32.load offset=4294967295 (i32.const -1)))"),
        Trap(
            kind: .tableOutOfBounds, message: "out of bounds table access in function 0 (start)",
            body: "(call_indirect (i32.const 9))"),
        Trap(
            kind: .badIndirectCall, message: "indirect call to null in function 0 (start)",
            body: "(call_indirect (i32.const 1))"),
        Trap(
            kind: .badIndirectCall, message: "indirect call of another signature in function 0 (start)",
            body: "(drop (call_indirect (result i32) (i32.const 0)))"),
        Trap(
            kind: .arithmetic, message: "integer division by zero in function 0 (start)",
            body: "(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        Trap(
            kind: .arithmetic, message: "integer overflow in function 0 (start)",
            body: "(drop (i32.div_s (i32.const -2147483648) (i32.const -1)))"),
        Trap(
            kind: .arithmetic, message: "invalid conversion to integer in function 0 (start)",
            body: "(drop (i32.trunc_f32_s (f32.const nan)))"),
    ]

    @Test("tells traps by kind and place", arguments: traps)
    func trap(_ trap: Trap) async throws {
        let text = """
            (module (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) $start)
              (func $start (export "_start") \(trap.body)))
            """
        let result = try await Machine().run(text)
        #expect(result.outcome == .trapped(kind: trap.kind, message: trap.message))
    }

    @Test("refuses bytes that are not those of the CID")
    func wrongBytes() async throws {
        let machine = try Machine()
        let result = try await machine.run(Guests.nothing) { $0.moduleCID = CID.hashing([1], codec: .raw) }
        let cid = CID.hashing([1], codec: .raw)
        #expect(result.outcome == .nodeFailed(reason: "the module's bytes do not hash to \(cid)"))
    }

    @Test("fails as the node's fault when blocks cannot be stored")
    func fullDisk() async throws {
        let machine = try Machine(host: MemoryHost(storedBlocksMax: 0))
        let result = try await machine.run(Guests.writing("x"))
        #expect(result.outcome == .nodeFailed(reason: "what the job wrote could not be stored"))
    }

    @Test("more jobs than threads wait their turn, and more than the queue holds are refused")
    func queue() async throws {
        let machine = try Machine { configuration in
            configuration.limits.concurrentRunsMax = 1
            configuration.limits.queuedRunsMax = 1
        }
        let module = try Guests.assemble(Guests.nothing)
        _ = await machine.run(module)
        let loop = try Guests.assemble(Guests.endlessLoop)
        let (first, second) = (ExecutionCancellation(), ExecutionCancellation())
        try await withThrowingTaskGroup(of: ExecutionOutcome.self) { group in
            group.addTask { await machine.run(loop, cancellation: first) { $0.limits.maxFuel = .max }.outcome }
            try await eventually("the first runs") { machine.covm.load.running == 1 }
            group.addTask { await machine.run(loop, cancellation: second) { $0.limits.maxFuel = .max }.outcome }
            try await eventually("the second waits") { machine.covm.load.queued == 1 }
            let third = await machine.run(module)
            #expect(third.outcome == .nodeFailed(reason: "too many jobs are waiting for a place"))
            second.cancel()
            #expect(try await group.next() == .cancelled)
            #expect(machine.covm.load.running == 1)
            first.cancel()
            #expect(try await group.next() == .cancelled)
        }
        #expect(await machine.run(module).outcome == .exited(code: 0))
    }
}
