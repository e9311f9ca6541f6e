import MeshTypes
import Testing

@testable import CoVM

@Suite("A cancellation")
struct CancellationTests {
    /// Logs once, then computes for ever: the log line shows that the guest runs.
    private static let announcedLoop = """
        (module
          (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))
            (loop $l (br $l))))
        """

    @Test("reaches a computing guest at its next yield")
    func computing() async throws {
        let cancellation = ExecutionCancellation()
        let host = MemoryHost(onLog: { cancellation.cancel() })
        let machine = try Machine(host: host)
        let result = try await machine.run(Self.announcedLoop, cancellation: cancellation) {
            $0.limits.maxFuel = .max
        }
        #expect(result.outcome == .cancelled)
        #expect(result.interruptions.afterCancel == 1)
        #expect(result.usage.fuel > 0)
        #expect(result.usage.fuel <= 2 * CoVMConfiguration.Limits().yieldIntervalFuel)
    }

    @Test("of the calling task does the same")
    func task() async throws {
        let (started, signal) = AsyncStream<Void>.makeStream()
        let machine = try Machine(host: MemoryHost(onLog: { signal.finish() }))
        let outcome = try await withThrowingTaskGroup(of: ExecutionOutcome.self) { group in
            group.addTask { try await machine.run(Self.announcedLoop) { $0.limits.maxFuel = .max }.outcome }
            for await _ in started {}
            group.cancelAll()
            return try await group.next()
        }
        #expect(outcome == .cancelled)
    }

    @Test("before the start means that nothing runs")
    func before() async throws {
        let cancellation = ExecutionCancellation()
        let machine = try Machine()
        let module = try Guests.assemble(Guests.writing("x"))
        _ = await machine.run(module)
        cancellation.cancel()
        let result = await machine.run(module, cancellation: cancellation)
        #expect(result.outcome == .cancelled)
        #expect(result.usage.fuel == 0)
        #expect(result.standardOutputCID == nil)
    }

    @Test("kills a compilation")
    func compiling() async throws {
        let cancellation = ExecutionCancellation()
        let machine = try Machine()
        let module = Guests.heavyToCompile
        cancellation.cancel()
        let result = await machine.run(module, cancellation: cancellation)
        #expect(result.outcome == .cancelled)
        #expect(result.moduleSource == .none)
    }

    @Test("keeps what was written until then")
    func partialOutput() async throws {
        let cancellation = ExecutionCancellation()
        let machine = try Machine(host: MemoryHost(onLog: { cancellation.cancel() }))
        let text = """
            (module
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 64) "partial")
              (func (export "_start")
                (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 7))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))
                (loop $l (br $l))))
            """
        let result = try await machine.run(text, cancellation: cancellation) { $0.limits.maxFuel = .max }
        #expect(result.outcome == .cancelled)
        #expect(machine.host.text(result.standardOutputCID) == "partial")
    }
}
