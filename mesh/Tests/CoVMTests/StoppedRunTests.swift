import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("The fuel of a run")
struct StoppedRunTests {
    /// Logs, computes without any call for a known time, logs again, then computes for ever.
    private static func computing(rounds: Int) -> String {
        """
        (module
          (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start") (local $left i64)
            (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))
            (local.set $left (i64.const \(rounds)))
            (loop $l
              (br_if $l (i64.ne (i64.const 0) (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
            (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))))
        """
    }

    @Test("that is cancelled in a loop without calls is what it used, within one yield", arguments: [1, 7, 100])
    func cancelled(yields: UInt64) async throws {
        let interval: UInt64 = 100_000
        let machine = try Machine { $0.limits.yieldIntervalFuel = interval }
        // A round costs the same fuel everywhere: two finished runs tell how much.
        let short = try await machine.run(Self.computing(rounds: 1_000)).usage.fuel
        let long = try await machine.run(Self.computing(rounds: 2_000)).usage.fuel
        let perRound = (long - short) / 1_000
        let first = short - 1_000 * perRound
        // The machine looks at a run as often as it yields; at the given look it finds the run cancelled.
        let cancellation = ExecutionCancellation()
        let looks = Mutex<UInt64>(0)
        let stopping = try Machine { configuration in
            configuration.runWorker = nil
            configuration.limits.yieldIntervalFuel = interval
            configuration.limits.looked = {
                let count = looks.withLock { looks in
                    looks += 1
                    return looks
                }
                if count == yields { cancellation.cancel() }
            }
        }
        let stopped = try await stopping.run(Self.computing(rounds: .max >> 1), cancellation: cancellation) {
            $0.limits.maxFuel = 1 << 40
        }
        #expect(stopped.outcome == .cancelled)
        #expect(looks.withLock { $0 } == yields)
        let fuel = stopped.usage.fuel
        #expect(fuel >= yields * interval && fuel <= yields * (interval + perRound) + first, "\(fuel) of \(perRound)")
    }

    private static let logging = """
        (import "mesh_host_v1" "log" (func $call (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (loop $l (drop (call $call (i32.const 1) (i32.const 0) (i32.const 0))) (br $l)))
        """

    /// Guests that do nothing but call the host, which never yield; and by calls that make no output, whose limit a
    /// fast machine would meet first.
    private static let calling = [
        """
        (import "wasi_snapshot_preview1" "clock_time_get" (func $call (param i32 i64 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (loop $l (drop (call $call (i32.const 0) (i64.const 1) (i32.const 0))) (br $l)))
        """,
        """
        (import "wasi_snapshot_preview1" "random_get" (func $call (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (loop $l (drop (call $call (i32.const 0) (i32.const 0))) (br $l)))
        """,
        """
        (import "wasi_snapshot_preview1" "fd_write" (func $call (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
          (loop $l (drop (call $call (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 8))) (br $l)))
        """,
    ]

    @Test("of a guest that only calls the host is stopped by the clock as any other", arguments: calling)
    func callingUntilTheClock(guest: String) async throws {
        let result = try await Machine.patient().run("(module \(guest))") { job in
            job.limits.maxFuel = 1 << 50
            job.limits.timeoutSeconds = 1
        }
        #expect(result.outcome == .limitExceeded(.wallClock))
        #expect(result.usage.fuel > 0 && result.usage.fuel < 1 << 50)
    }

    @Test("of a guest that only calls the host is stopped by a cancellation in its next call")
    func callingUntilCancelled() async throws {
        let cancellation = ExecutionCancellation()
        let calls = Mutex(0)
        let host = MemoryHost(onLog: {
            let count = calls.withLock { calls in
                calls += 1
                return calls
            }
            if count == 1_000 { cancellation.cancel() }
        })
        let result = try await Machine(host: host) { $0.runWorker = nil }.run(
            "(module \(Self.logging))", cancellation: cancellation
        ) {
            $0.limits.maxFuel = 1 << 50
        }
        #expect(result.outcome == .cancelled)
        #expect(calls.withLock { $0 } == 1_000)
    }

    @Test("that the clock stopped is what it used, and never more than it may")
    func clock() async throws {
        let machine = try Machine.patient()
        let interval = CoVMConfiguration.Limits().yieldIntervalFuel
        let result = try await machine.run(Guests.endlessLoop) { job in
            job.limits.maxFuel = 1 << 50
            job.limits.timeoutSeconds = 1
        }
        #expect(result.outcome == .limitExceeded(.wallClock))
        let looks = result.interruptions.count
        #expect(looks > 10)
        // Every look is one interval later than the one before it, give or take a round of the loop.
        #expect(result.usage.fuel >= looks * interval && result.usage.fuel <= looks * interval + looks * 100)
        #expect(result.usage.fuel <= 1 << 50)
    }

    /// What release ea6c709 metered, with receipts out there that say so; but for the stack, which went as far as
    /// 87,372 fuel there.
    @Test(
        "that ends by itself does not depend on how often it yields",
        arguments: [1_000, 12_347, 2_000_000, UInt64.max])
    func golden(interval: UInt64) async throws {
        let rows: [(text: String, maxFuel: UInt64, outcome: ExecutionOutcome, fuel: UInt64)] = [
            (Guests.chance, 100_000_000, .exited(code: 0), 500_500),
            (Guests.endlessRecursion, 1_000_000_000, .limitExceeded(.stack), 131_060),
            (Guests.memoryBomb, 100_000_000, .limitExceeded(.memory), 1_408),
            (Guests.blockFlood, 20_000_000, .limitExceeded(.output), 8_428_856),
            (Guests.fillFlood, 200_000_000, .limitExceeded(.fuel), 200_000_000),
            (Guests.writing("hello", times: 1_000), 100_000_000, .exited(code: 0), 123_016),
        ]
        let machine = try Machine { $0.limits.yieldIntervalFuel = interval }
        for row in rows {
            let result = try await machine.run(row.text) { job in
                job.limits.maxFuel = row.maxFuel
                job.seed = 7
            }
            #expect(result.outcome == row.outcome)
            #expect(result.usage.fuel == row.fuel)
        }
    }

    @Test("that is used up is all of it, wherever the yields fall", arguments: [999_999, 1_000_000, 1_000_001])
    func usedUp(maxFuel: UInt64) async throws {
        let machine = try Machine { $0.limits.yieldIntervalFuel = 1_000 }
        for guest in [Guests.endlessLoop, Guests.hostCallFlood] {
            let result = try await machine.run(guest) { $0.limits.maxFuel = maxFuel }
            #expect(result.outcome == .limitExceeded(.fuel))
            #expect(result.usage.fuel == maxFuel)
        }
    }
}

@Suite("A wall clock that passes")
struct WallClockTests {
    /// A clock that tests turn.
    private final class Hands: Sendable {
        private let nanoseconds = Mutex<UInt64>(5_000_000_000)
        var now: UInt64 { nanoseconds.withLock { $0 } }
        func turn(milliseconds: UInt64) { nanoseconds.withLock { $0 += milliseconds * 1_000_000 } }
    }

    private static func job(seconds: UInt64, cutTo milliseconds: UInt64? = nil) -> ExecutionJob {
        var job = ExecutionJob(moduleCID: CID.hashing([], codec: .raw), module: [])
        job.limits.timeoutSeconds = seconds
        job.wallClockMilliseconds = milliseconds
        return job
    }

    /// What a run is told whose node ticks as often as given, and whose thread has some of the time.
    private static func stop(
        _ job: ExecutionJob, steps: [UInt64], processorPercent: UInt64
    ) -> HostStop? {
        let hands = Hands()
        let standstills = StandstillWatch(
            tickMilliseconds: 50, standstillMilliseconds: 1_000, now: { hands.now })
        let start = hands.now
        _ = standstills.stoodStill(since: start)
        let watch = WallClockWatch(
            job: job, now: start, standstills: standstills, processorPercentMin: 50,
            threadNanoseconds: { (hands.now - start) / 100 * processorPercent })
        for step in steps {
            hands.turn(milliseconds: step)
            _ = standstills.stoodStill(since: start)
        }
        return watch.stop(now: hands.now)
    }

    @Test("stops nothing before its time")
    func early() {
        let steps = Array(repeating: UInt64(50), count: 199)
        #expect(Self.stop(Self.job(seconds: 10), steps: steps, processorPercent: 100) == nil)
    }

    @Test("is the module's doing when its thread had at least half of the time", arguments: [50, 100])
    func module(percent: UInt64) {
        let steps = Array(repeating: UInt64(50), count: 200)
        #expect(Self.stop(Self.job(seconds: 10), steps: steps, processorPercent: percent) == .wallClock)
        // A tick that comes late by less than a second is a busy machine.
        let late = steps.dropLast(20) + [1_000]
        #expect(Self.stop(Self.job(seconds: 10), steps: Array(late), processorPercent: percent) == .wallClock)
    }

    @Test("gives collecting what is left, within bounds", arguments: [(0, 4_000), (8_500, 1_500), (9_700, 1_000)])
    func collecting(ranMilliseconds: UInt64, given: UInt64) {
        let hands = Hands()
        let standstills = StandstillWatch(tickMilliseconds: 50, standstillMilliseconds: 100_000, now: { hands.now })
        let start = hands.now
        var watch = WallClockWatch(
            job: Self.job(seconds: 10), now: start, standstills: standstills, processorPercentMin: 50,
            threadNanoseconds: { hands.now - start })
        hands.turn(milliseconds: ranMilliseconds + 300)
        watch.stoodStill(nanoseconds: 300_000_000)
        watch.collectingBegins(now: hands.now, millisecondsMin: 1_000, millisecondsMax: 4_000)
        hands.turn(milliseconds: given - 1)
        #expect(watch.stop(now: hands.now) == nil)
        hands.turn(milliseconds: 1)
        #expect(watch.stop(now: hands.now) == .wallClock)
    }

    @Test("is the node's doing when the thread had less than half of it")
    func starved() {
        let steps = Array(repeating: UInt64(50), count: 200)
        #expect(
            Self.stop(Self.job(seconds: 10), steps: steps, processorPercent: 49)
                == .nodeFailed("the run had the processor for 4900 of 10000 ms only"))
    }

    @Test("is the node's doing when the node stood still for over a second")
    func stoodStill() {
        let steps = Array(repeating: UInt64(50), count: 178) + [1_100]
        #expect(
            Self.stop(Self.job(seconds: 10), steps: steps, processorPercent: 90)
                == .nodeFailed("the executor stood still during the run"))
    }

    @Test("is the node's doing when the executor had less time than the job asks for")
    func cutShort() {
        let steps = Array(repeating: UInt64(50), count: 100)
        #expect(
            Self.stop(Self.job(seconds: 10, cutTo: 5_000), steps: steps, processorPercent: 100)
                == .nodeFailed("the executor had less time for the run than the job asks for"))
    }

    @Test("in a run whose thread waits for the disk is the node's doing")
    func waitingHost() async throws {
        // The host call sits there until the time is over, as a dying disk does.
        let host = MemoryHost(onLog: {
            let start = SystemClock.nanoseconds()
            var none = pollfd(fd: -1, events: 0, revents: 0)
            while SystemClock.nanoseconds() - start < 1_000_000_000 { poll(&none, 0, 100) }
        })
        let text = """
            (module
              (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (drop (call $log (i32.const 1) (i32.const 0) (i32.const 0)))
                (loop $l (br $l))))
            """
        let machine = try Machine(host: host) { $0.limits.standstillMilliseconds = 3_600_000 }
        let result = try await machine.run(text) { job in
            job.limits.maxFuel = .max
            job.limits.timeoutSeconds = 1
        }
        guard case .nodeFailed(let reason) = result.outcome else {
            Issue.record("ended as \(result.outcome)")
            return
        }
        #expect(reason.hasPrefix("the run had the processor for "))
        #expect(result.usage.fuel > 0)
    }
}
