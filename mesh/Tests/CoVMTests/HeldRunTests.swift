import MeshTypes
import Synchronization
import Testing

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A run that its owner lets stand still.
@Suite("A run that is held")
struct HeldRunTests {
    /// Logs, computes for a while, and ends.
    private static let computing = """
        (module
          (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start") (local $left i32)
            (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))
            (local.set $left (i32.const 2000000))
            (loop $l (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))))
        """

    /// It stands still at its next yield or host call for longer than its clock allows, and its clock with it; what it
    /// computes and what it costs is the same.
    @Test("stands still with its clock, and then goes on as if nothing had been")
    func standsStill() async throws {
        let plain = try await Machine().run(Self.computing)
        let cancellation = ExecutionCancellation()
        let (held, signal) = AsyncStream<Void>.makeStream()
        let machine = try Machine.patient(
            host: MemoryHost(onLog: {
                cancellation.hold(true)
                signal.yield(())
            }))
        let start = SystemClock.nanoseconds()
        async let running = machine.run(Self.computing, cancellation: cancellation) { $0.limits.timeoutSeconds = 1 }
        // Each of the two log lines holds it; a pause of the test lets it go on.
        var holds = 0
        for await _ in held {
            holds += 1
            poll(nil, 0, 1_200)
            cancellation.hold(false)
            if holds == 2 { break }
        }
        let result = try await running
        #expect(SystemClock.nanoseconds() - start > 1_200_000_000)
        #expect(result.outcome == .exited(code: 0))
        #expect(result.usage.fuel == plain.usage.fuel)
        #expect(result.usage.wallMilliseconds < 1_000)
    }

    @Test("is cancelled all the same")
    func cancelled() async throws {
        let cancellation = ExecutionCancellation()
        let (held, signal) = AsyncStream<Void>.makeStream()
        let machine = try Machine(
            host: MemoryHost(onLog: {
                cancellation.hold(true)
                signal.finish()
            })
        ) { $0.runWorker = nil }
        async let running = machine.run(Self.computing, cancellation: cancellation)
        for await _ in held {}
        #expect(cancellation.isHeld)
        cancellation.cancel()
        #expect(try await running.outcome == .cancelled)
        cancellation.hold(true)
        #expect(!cancellation.isHeld, "a cancelled run waits for nothing")
    }

    @Test("tells those who asked whenever that changes")
    func handlers() {
        let cancellation = ExecutionCancellation()
        let told = Mutex<[Bool]>([])
        let key = cancellation.onHold { isHeld in told.withLock { $0.append(isHeld) } }
        cancellation.hold(true)
        cancellation.hold(false)
        cancellation.removeHoldHandler(key)
        cancellation.hold(true)
        #expect(told.withLock { $0 } == [true, false])
        _ = cancellation.onHold { isHeld in told.withLock { $0.append(isHeld) } }
        #expect(told.withLock { $0 } == [true, false, true])
    }

    #if os(Linux)
        @Test("A run is as nice as its owner wants, and no other thread", arguments: [0, 7, 19] as [Int32])
        func nice(level: Int32) async throws {
            let seen = Mutex<Int32?>(nil)
            let machine = try Machine(
                host: MemoryHost(onLog: {
                    let priority = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
                    seen.withLock { $0 = priority }
                })
            ) {
                $0.runWorker = nil
                $0.limits.nice = level
            }
            let before = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(getpid()))
            #expect(try await machine.run(Self.computing).outcome == .exited(code: 0))
            #expect(seen.withLock { $0 } == max(level, before))
            #expect(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(getpid())) == before)
        }
    #endif
}
