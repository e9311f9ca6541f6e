import Determinism
import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

/// A run that was cut short, and its repetition with the fuel that it used: out of fuel at the same place, with the
/// same output, whatever the guest asks about fuel and time.
@Suite("A repetition of a run that was cut short")
struct RepeatedRunTests {
    /// Prints the fuel that it has left, both clocks and random bytes, over and over, between rounds of computing.
    private static func telling(rounds: Int, times: Int? = nil) -> String {
        let again = times.map { "(br_if $o (i32.lt_u (local.get $n) (i32.const \($0))))" } ?? "(br $o)"
        return """
            (module
              (import "mesh_host_v1" "fuel_left" (func $fuel (result i64)))
              (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
              (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start") (local $left i32) (local $n i32)
                (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 32))
                (loop $o
                  (local.set $n (i32.add (local.get $n) (i32.const 1)))
                  (i64.store (i32.const 64) (call $fuel))
                  (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 72)))
                  (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 80)))
                  (drop (call $random (i32.const 88) (i32.const 8)))
                  (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                  (local.set $left (i32.const \(rounds)))
                  (loop $i (br_if $i (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                  \(again))))
            """
    }

    private static func limits(_ job: inout ExecutionJob) {
        job.limits = ExecutionLimits(
            timeoutSeconds: 60, maxFuel: 1 << 40, maxMemoryBytes: 1 << 20, maxOutputBytes: 8 << 20)
        job.seed = 11
        job.clockStartNanoseconds = 1_700_000_000_000_000_000
    }

    private static func repetition(_ fuel: UInt64) -> ExecutionJob.Repetition {
        ExecutionJob.Repetition(fuelMax: fuel, wallClockMilliseconds: 600_000)
    }

    /// A run that is cancelled when the machine has looked at it so often.
    private static func stopped(_ text: String, atLook looks: Int, interval: UInt64) async throws -> ExecutionResult {
        let cancellation = ExecutionCancellation()
        let count = Mutex(0)
        let machine = try Machine { configuration in
            configuration.runWorker = nil
            configuration.limits.yieldIntervalFuel = interval
            configuration.limits.looked = {
                let isTime = count.withLock { count in
                    count += 1
                    return count == looks
                }
                if isTime { cancellation.cancel() }
            }
        }
        return try await machine.run(text, cancellation: cancellation, configure: limits)
    }

    @Test("is out of fuel at the yield or the call where the run was stopped, with the same output")
    func atYields() async throws {
        let seed = UInt64.random(in: 1...1_000_000)
        print("seed \(seed)")
        var dice = SeededGenerator(seed: seed)
        for _ in 0..<12 {
            let interval = 1_000 + dice.next() % 40_000
            let looks = Int(1 + dice.next() % 40)
            // Every call makes the engine count anew, so the rounds between two must be longer than a yield.
            let text = Self.telling(rounds: Int(interval + dice.next() % 5_000))
            let first = try await Self.stopped(text, atLook: looks, interval: interval)
            try #require(first.outcome == .cancelled)
            for machine in [try Machine { $0.runWorker = nil }, try Machine { $0.runWorker = Machine.worker }] {
                let again = try await machine.run(text) { job in
                    Self.limits(&job)
                    job.repetition = Self.repetition(first.usage.fuel)
                }
                #expect(again.outcome == .limitExceeded(.fuel))
                #expect(again.usage.fuel == first.usage.fuel)
                #expect(again.standardOutputCID == first.standardOutputCID && again.standardOutputCID != nil)
                #expect(again.usage.hostCalls == first.usage.hostCalls)
            }
        }
    }

    @Test("is out of fuel in the call in which the run was stopped")
    func inCalls() async throws {
        let guest = """
            (module
              (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (loop $l (drop (call $log (i32.const 1) (i32.const 0) (i32.const 4))) (br $l))))
            """
        for calls in [1, 2, 500] {
            let cancellation = ExecutionCancellation()
            let count = Mutex(0)
            let host = MemoryHost(onLog: {
                let isTime = count.withLock { count in
                    count += 1
                    return count == calls
                }
                if isTime { cancellation.cancel() }
            })
            let first = try await Machine(host: host) { $0.runWorker = nil }.run(
                guest, cancellation: cancellation, configure: Self.limits)
            try #require(first.outcome == .cancelled)
            let again = try await Machine().run(guest) { job in
                Self.limits(&job)
                job.repetition = Self.repetition(first.usage.fuel)
            }
            #expect(again.outcome == .limitExceeded(.fuel))
            #expect(again.usage.fuel == first.usage.fuel)
            #expect(again.logCID == first.logCID && again.logCID != nil)
        }
    }

    @Test("ends as its module does where a claim is higher than that, with the fuel that was used")
    func earlierEnd() async throws {
        let text = Self.telling(rounds: 100, times: 30)
        let machine = try Machine()
        let whole = try await machine.run(text, configure: Self.limits)
        try #require(whole.outcome == .exited(code: 0))
        let used = whole.usage.fuel
        for (claim, outcome) in [
            (used + 1, ExecutionOutcome.exited(code: 0)), (1 << 39, .exited(code: 0)), (1 << 50, .exited(code: 0)),
            (used / 2, .limitExceeded(.fuel)), (1, .limitExceeded(.fuel)), (0, .limitExceeded(.fuel)),
        ] {
            let again = try await machine.run(text) { job in
                Self.limits(&job)
                job.repetition = Self.repetition(claim)
            }
            #expect(again.outcome == outcome)
            #expect(again.usage.fuel == min(claim, used))
            #expect((again.standardOutputCID == whole.standardOutputCID) == (claim > used))
        }
    }

    @Test("ends at the same sleep as a run that sleeps past its time")
    func sleeping() async throws {
        let text = Guests.sleeping(nanoseconds: 7_000_000_000, forever: true)
        let machine = try Machine()
        let first = try await machine.run(text, configure: Self.limits)
        try #require(first.outcome == .limitExceeded(.wallClock))
        let again = try await machine.run(text) { job in
            Self.limits(&job)
            job.repetition = Self.repetition(first.usage.fuel)
        }
        #expect(again.outcome == first.outcome && again.usage.fuel == first.usage.fuel)
        let claimed = try await machine.run(text) { job in
            Self.limits(&job)
            job.repetition = Self.repetition(first.usage.fuel + 1_000)
        }
        #expect(claimed.outcome == first.outcome && claimed.usage.fuel == first.usage.fuel)
    }

    @Test("has a clock of its own, past the job's, and says nothing of the module when that runs out")
    func ownClock() async throws {
        let machine = try Machine.patient()
        func run(_ milliseconds: UInt64) async throws -> ExecutionResult {
            try await machine.run(Guests.endlessLoop) { job in
                Self.limits(&job)
                job.limits.timeoutSeconds = 1
                job.limits.maxFuel = 1 << 50
                job.repetition = .init(fuelMax: 1 << 49, wallClockMilliseconds: milliseconds)
            }
        }
        let result = try await run(1_300)
        #expect(result.outcome == .nodeFailed(reason: "the repetition did not end in its 1300 ms"))
        #expect(result.usage.wallMilliseconds >= 1_300)
    }
}
