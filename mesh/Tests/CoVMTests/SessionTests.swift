import Dispatch
import GuestFiles
import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

/// Runs that talk to a user while they run.
@Suite("Sessions")
struct SessionTests {
    /// Says back what it reads, until the end.
    static let echo = """
        (module
          (import "\(Guests.wasi)" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "\(Guests.wasi)" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "\(Guests.wasi)" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 2)
          (func (export "_start")
            (i32.store (i32.const 0) (i32.const 1024))
            (loop $l
              (i32.store (i32.const 4) (i32.const 65536))
              (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
                (then (call $exit (i32.const 9))))
              (if (i32.eqz (i32.load (i32.const 8))) (then (call $exit (i32.const 0))))
              (i32.store (i32.const 4) (i32.load (i32.const 8)))
              (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
              (br $l))))
        """

    /// Waits for input or 20 ms, and exits with what was ready: 1 the timer, 2 input, 3 both, plus 4 where the input
    /// has ended; plus 8 if its clock moved by 20 ms at least.
    static let polling = """
        (module
          (import "\(Guests.wasi)" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "\(Guests.wasi)" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
          (import "\(Guests.wasi)" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start") (local $code i32) (local $at i32) (local $left i32) (local $before i64)
            (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 1000)))
            (local.set $before (i64.load (i32.const 1000)))
            (i64.store (i32.const 0) (i64.const 1))
            (i32.store (i32.const 16) (i32.const 1))
            (i64.store (i32.const 24) (i64.const 20000000))
            (i64.store (i32.const 48) (i64.const 2))
            (i32.store8 (i32.const 56) (i32.const 1))
            (if (call $poll (i32.const 0) (i32.const 200) (i32.const 2) (i32.const 400))
              (then (call $exit (i32.const 99))))
            (local.set $left (i32.load (i32.const 400)))
            (local.set $at (i32.const 200))
            (loop $l
              (local.set $code (i32.or (local.get $code) (i32.load (local.get $at))))
              (if (i32.load16_u offset=24 (local.get $at))
                (then (local.set $code (i32.or (local.get $code) (i32.const 4)))))
              (local.set $at (i32.add (local.get $at) (i32.const 32)))
              (br_if $l (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 1000)))
            (if (i64.ge_u (i64.sub (i64.load (i32.const 1000)) (local.get $before)) (i64.const 20000000))
              (then (local.set $code (i32.or (local.get $code) (i32.const 8)))))
            (call $exit (local.get $code))))
        """

    private func machine(_ configure: (inout CoVMConfiguration) -> Void = { _ in }) throws -> Machine {
        try Machine.patient { configuration in
            configuration.runWorker = Machine.worker
            configure(&configuration)
        }
    }

    private func run(
        _ text: String, _ user: ScriptedUser, on machine: Machine, terms: SessionTerms = SessionTerms(),
        cancellation: ExecutionCancellation = ExecutionCancellation(), maxOutput: UInt64 = 1 << 20,
        timeoutSeconds: UInt64 = 60
    ) async throws -> ExecutionResult {
        let module = try Guests.assemble(text)
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        job.limits = ExecutionLimits(
            timeoutSeconds: timeoutSeconds, maxFuel: 1_000_000_000, maxMemoryBytes: 64 << 20,
            maxOutputBytes: maxOutput)
        job.session = terms
        return await machine.covm.execute(
            job, host: TalkingHost(memory: machine.host, session: user), cancellation: cancellation)
    }

    /// Its user answers each line only when it was said back, so neither can run ahead of the other.
    @Test("What is typed while it runs is read, and what is written is seen at once") func echoed() async throws {
        let machine = try machine()
        let user = ScriptedUser { heard in
            switch heard {
            case "": .bytes(Array("one\n".utf8))
            case "one\n": .bytes(Array("two\n".utf8))
            case "one\ntwo\n": .end
            default: .nothing
            }
        }
        let result = try await run(Self.echo, user, on: machine)
        #expect(result.outcome == .exited(code: 0))
        #expect(machine.host.text(result.standardOutputCID) == "one\ntwo\n")
        #expect(user.heard == "one\ntwo\n")
    }

    @Test("A module that has no session finds the end of input") func withoutSession() async throws {
        #expect(try await machine().run(Self.echo).outcome == .exited(code: 0))
    }

    @Test("poll_oneoff waits for input as long as its timer says, and moves the clock")
    func polled() async throws {
        let machine = try machine()
        #expect(try await run(Self.polling, ScriptedUser { _ in .nothing }, on: machine).outcome == .exited(code: 9))
        let ready = try await run(Self.polling, ScriptedUser { _ in .bytes([1]) }, on: machine)
        #expect(ready.outcome == .exited(code: 2))
        #expect(try await run(Self.polling, ScriptedUser { _ in .end }, on: machine).outcome == .exited(code: 6))
    }

    @Test("Waiting costs fuel by the millisecond, and no wall clock") func price() async throws {
        let machine = try machine()
        let user = ScriptedUser(delayMilliseconds: 1_500) { $0.isEmpty ? .bytes([1]) : .end }
        let result = try await run(Self.echo, user, on: machine, timeoutSeconds: 1)
        #expect(result.outcome == .exited(code: 0))
        #expect(result.usage.fuel >= 1_500 * SessionTerms.Limits.fuelPerMillisecond)
        #expect(result.usage.wallMilliseconds < 1_000)
    }

    @Test("A job that waits longer than it may at once, or in all, is stopped by that") func idle() async throws {
        let machine = try machine()
        let silent = try await run(
            Self.echo, ScriptedUser { _ in .nothing }, on: machine, terms: SessionTerms(idleSeconds: 1))
        #expect(silent.outcome == .limitExceeded(.idle))
        let second = 1_000 * SessionTerms.Limits.fuelPerMillisecond
        #expect(silent.usage.fuel >= second, "a wait that ended the job costs what others do")
        // It hears something every 600 ms, which is never too long at once.
        let slow = ScriptedUser(delayMilliseconds: 600) { _ in .bytes([1]) }
        let waits = SessionTerms(idleSeconds: 10, waitingSeconds: 1)
        #expect(try await run(Self.echo, slow, on: machine, terms: waits).outcome == .limitExceeded(.idle))
        // One that nobody reads waits for room.
        let full = ScriptedUser(room: 0) { _ in .bytes([1]) }
        let stuck = try await run(Self.echo, full, on: machine, terms: SessionTerms(idleSeconds: 1))
        #expect(stuck.outcome == .limitExceeded(.idle))
        #expect(stuck.usage.fuel >= second, "a wait for room, too")
    }

    @Test("A run that waits can be cancelled, and gives its place away meanwhile") func waits() async throws {
        let machine = try machine { configuration in
            configuration.limits.concurrentRunsMax = 1
            configuration.limits.placeKeptMilliseconds = 1
        }
        let cancellation = ExecutionCancellation()
        let waiting = ScriptedUser { _ in .nothing }
        async let run = run(Self.echo, waiting, on: machine, cancellation: cancellation)
        for await isWaiting in waiting.turns where isWaiting { break }
        // The only place is free for another.
        #expect(try await machine.run(Guests.nothing).outcome == .exited(code: 0))
        cancellation.cancel()
        #expect(try await run.outcome == .cancelled)
    }
}

/// A host whose runs talk to somebody.
struct TalkingHost: ExecutionHost {
    let memory: MemoryHost
    let session: (any GuestSession)?

    func readInput(_ cid: CID) -> [UInt8]? { memory.readInput(cid) }
    func storeBlock(_ bytes: [UInt8]) -> CID? { memory.storeBlock(bytes) }
    func log(_ level: ExecutionLogLevel, _ text: String) { memory.log(level, text) }
    func progress(permille: Int) { memory.progress(permille: permille) }
    func burnt(fuel: UInt64) { memory.burnt(fuel: fuel) }
}

/// A user whose next words follow from what they have heard.
final class ScriptedUser: GuestSession {
    private let script: @Sendable (String) -> SessionInput
    private let delayMilliseconds: Int
    private let room: Int
    private let said = Mutex<[UInt8]>([])
    private let timers = Mutex<(isOver: Bool, count: Int)>((false, 0))
    let turns: AsyncStream<Bool>
    private let turnsIn: AsyncStream<Bool>.Continuation

    init(delayMilliseconds: Int = 0, room: Int = .max, _ script: @escaping @Sendable (String) -> SessionInput) {
        self.script = script
        self.delayMilliseconds = delayMilliseconds
        self.room = room
        (turns, turnsIn) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(8))
    }

    var heard: String { said.withLock { String(decoding: $0, as: UTF8.self) } }

    func read(bytesMax: Int, orElse wake: @escaping @Sendable () -> Void) -> SessionInput {
        if delayMilliseconds > 0,
            !timers.withLock({ state in
                defer { state.isOver = false }
                return state.isOver
            })
        {
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(delayMilliseconds)) {
                self.timers.withLock { $0.isOver = true }
                wake()
            }
            return .nothing
        }
        return script(heard)
    }

    func write(
        _ bytes: ArraySlice<UInt8>, to stream: StreamWrite.Stream, orElse wake: @escaping @Sendable () -> Void
    ) -> Int {
        let taken = bytes.prefix(room)
        said.withLock { $0 += taken }
        return taken.count
    }

    func waits(_ isWaiting: Bool) { turnsIn.yield(isWaiting) }
}
