import CSandbox
import GuestFiles
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

/// Runs in processes of their own, started as nodes start them; `MESH_RUN_PROCESSES=1` puts every other suite there.
@Suite("A run in a process of its own") struct RunProcessTests {
    private static func machine(_ host: MemoryHost = MemoryHost()) throws -> Machine {
        try Machine(host: host) { $0.runWorker = Machine.worker }
    }

    /// Says something, stores an output, and ends as it is told; `loop` goes on for ever after its first line.
    private static func speaking(_ end: String) -> String {
        """
        (module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
          (memory (export "memory") 2)
          (data (i32.const 0) "\\10\\00\\00\\00\\0c\\00\\00\\00")
          (data (i32.const 16) "hello there\\n")
          (func (export "_start")
            (drop (call $random (i32.const 20) (i32.const 4)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100)))
            \(end)))
        """
    }

    @Test(
        "ends as it does in the node, with the same output and the same fuel",
        arguments: [
            "", "(call $exit (i32.const 3))", "unreachable", "(loop $l (br $l))",
            "(if (i32.eq (memory.grow (i32.const 5000)) (i32.const -1)) (then unreachable))",
            "(i32.store (i32.const 0x7fffffff) (i32.const 1))", "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
        ])
    func sameAsHere(end: String) async throws {
        let here = try await Machine { $0.runWorker = nil }.run(Self.speaking(end))
        let there = try await Self.machine().run(Self.speaking(end))
        #expect(there.outcome == here.outcome)
        #expect(there.standardOutputCID == here.standardOutputCID && there.standardOutputCID != nil)
        #expect(there.usage.fuel == here.usage.fuel)
        #expect(there.usage.hostCalls == here.usage.hostCalls)
        #expect(there.usage.peakMemoryBytes == here.usage.peakMemoryBytes)
        #expect(there.engine == here.engine)
    }

    /// A run that has begun, its machine, and what becomes of it.
    private func begun(
        _ cancellation: ExecutionCancellation = ExecutionCancellation(), on machine: (MemoryHost) throws -> Machine
    ) async throws -> (machine: Machine, run: Task<ExecutionResult, any Error>) {
        let (begun, begins) = AsyncStream<Void>.makeStream()
        let machine = try machine(MemoryHost(onLog: { begins.yield() }))
        let text = """
            (module
              (import "mesh_host_v1" "log" (func $log (param i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (drop (call $log (i32.const 1) (i32.const 0) (i32.const 4)))
                (loop $l (br $l))))
            """
        let run = Task {
            try await machine.run(text, cancellation: cancellation) { $0.limits.maxFuel = 1 << 60 }
        }
        for await _ in begun { break }
        return (machine, run)
    }

    /// The processes below this one that run modules: those of modules and, below them, those of runs.
    private static func children(of parent: pid_t) -> [pid_t] {
        let tasks = "/proc/\(parent)/task"
        guard let folder = opendir(tasks) else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let file = fopen("\(tasks)/\(name)/children", "r") else { continue }
            defer { fclose(file) }
            var child: pid_t = 0
            while withUnsafeMutablePointer(to: &child, { pointer in withVaList([pointer]) { vfscanf(file, "%d", $0) } })
                == 1
            {
                found.append(child)
            }
        }
        return found
    }

    @Test("is cancelled at its next yield, and its fuel is told")
    func cancelled() async throws {
        let cancellation = ExecutionCancellation()
        let (_, run) = try await begun(cancellation) { try Self.machine($0) }
        cancellation.cancel()
        let result = try await run.value
        #expect(result.outcome == .cancelled)
        #expect(result.usage.fuel > 0)
        #expect(result.interruptions.afterCancel <= 1)
    }

    @Test("stands still when it is held, goes on, and is cancelled all the same")
    func held() async throws {
        let cancellation = ExecutionCancellation()
        let (_, run) = try await begun(cancellation) { try Self.machine($0) }
        cancellation.hold(true)
        cancellation.hold(false)
        cancellation.hold(true)
        cancellation.cancel()
        let result = try await run.value
        #expect(result.outcome == .cancelled)
        #expect(result.usage.fuel > 0)
    }

    @Test("that is killed fails the node, and the next one runs", arguments: [SIGKILL, SIGABRT, SIGTERM])
    func killed(signal: Int32) async throws {
        let worker = try StandIn.counted(Machine.worker)
        let (machine, run) = try await begun { host in try Machine(host: host) { $0.runWorker = worker.command } }
        let module = try worker.process()
        let runs = Self.children(of: module)
        try #require(runs.count == 1)
        kill(runs[0], signal)
        let result = try await run.value
        #expect(CrashedRun.way(result.outcome) == "the process of the run was ended by signal \(signal)")
        let next = try await machine.run("(module (func (export \"_start\")))")
        #expect(next.outcome == .exited(code: 0))
    }

    @Test("whose module's process is killed fails the node, and the module is loaded anew")
    func moduleKilled() async throws {
        let worker = try StandIn.counted(Machine.worker)
        let (machine, run) = try await begun { host in try Machine(host: host) { $0.runWorker = worker.command } }
        kill(try worker.process(), SIGKILL)
        let result = try await run.value
        #expect(CrashedRun.way(result.outcome) == "the process that holds the module was lost")
        let module = try Guests.assemble("(module (func (export \"_start\")))")
        #expect(await machine.run(module).outcome == .exited(code: 0))
        // One that was killed while nothing ran in it costs nobody a run.
        let idle = try worker.process()
        kill(idle, SIGKILL)
        var end = siginfo_t()
        try #require(waitid(P_PID, id_t(idle), &end, WEXITED | WNOWAIT) == 0)
        #expect(await machine.run(module).outcome == .exited(code: 0))
        #expect(try worker.process() != idle)
    }

    @Test("that could not begin, or whose node took no answer, is no crash; every other end of its process is")
    func ownCodes() {
        for code in RunWorker.ownCodes { #expect(CrashedRun.way(LostRun.ended(code: code).outcome) == nil, "\(code)") }
        for lost in [LostRun.ended(code: 0), .ended(code: 1), .killed(signal: SIGSYS), .withItsModule] {
            #expect(CrashedRun.way(lost.outcome) == lost.description)
        }
    }

    @Test("has its sockets and nothing else of the node's open")
    func descriptors() async throws {
        let worker = try StandIn.counted(Machine.worker)
        let secret = open("/dev/zero", O_RDONLY)
        defer { close(secret) }
        let cancellation = ExecutionCancellation()
        let (_, run) = try await begun(cancellation) { host in
            try Machine(host: host) { $0.runWorker = worker.command }
        }
        let module = try worker.process()
        for process in [module] + Self.children(of: module) {
            var open: [String] = []
            for number in 0..<1_024 {
                var target = [CChar](repeating: 0, count: 256)
                let count = readlink("/proc/\(process)/fd/\(number)", &target, target.count)
                guard count > 0 else { continue }
                open.append(String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            let sockets = open.filter { $0.hasPrefix("socket:") }
            #expect(sockets.count == 1, "\(open)")
            #expect(open.filter { !$0.hasPrefix("socket:") }.allSatisfy { $0 == "/dev/null" }, "\(open)")
        }
        cancellation.cancel()
        #expect(try await run.value.outcome == .cancelled)
    }

    @Test("can reach nothing", arguments: 0..<Int32(SANDBOX_TRIES))
    func sandboxed(attempt: Int32) {
        // The same attempt is refused by the sandbox and by nothing else.
        let isAllowedOutside = attempt != Int32(SANDBOX_TRY_TRACE)
        if isAllowedOutside, attempt != Int32(SANDBOX_TRY_EXEC) { #expect(sandbox_tried(attempt, 1) == 0) }
        #expect(sandbox_tried(attempt, 0) == EPERM)
    }

    private static let gone = "the process of the run ended with code 0"
    private static let astray = "the process of the run asked for a block that the job's files do not name"

    private static let noMessage = "the process of the run sent what is no message"
    private static let other = CID.hashing([], codec: .raw)

    private static let lies: [(StandIn.Answer, String)] = [
        (.bytes("ff ff ff ff"), noMessage), (.bytes("05 00 00 00 01 02 03 04 05"), noMessage),
        (.bytes("01 00 00"), gone),
        (.report(fuel: 1 << 62), "the process of the run told an end that no run has"),
        (.output(bytes: 8 << 20), noMessage),
        (.bytes("01 24 00 00 a1 63 6c 6f 67" + String(repeating: " 00", count: 27)), noMessage),
        (.request(.blocks([other], ahead: [])), astray), (.request(.blocks([], ahead: [other])), astray),
        (.request(.fetch([.listing(other)], keeping: 0)), astray),
    ]

    @Test("has two threads, and cannot have more")
    func threads() async throws {
        let worker = try StandIn.counted(Machine.worker)
        let cancellation = ExecutionCancellation()
        let (_, run) = try await begun(cancellation) { host in try Machine(host: host) { $0.runWorker = worker.command }
        }
        let runs = Self.children(of: try worker.process())
        try #require(runs.count == 1)
        #expect(PrivateFile.list("/proc/\(runs[0])/task", suffix: "").count <= 2)
        cancellation.cancel()
        #expect(try await run.value.outcome == .cancelled)
    }

    @Test(
        "that lies in its messages ruins itself alone",
        arguments: lies)
    func lying(answer: StandIn.Answer, reason: String) async throws {
        let worker = try StandIn.lying(answer)
        let machine = try Machine { $0.runWorker = worker.command }
        let result = try await machine.run("(module (func (export \"_start\")))")
        #expect(CrashedRun.way(result.outcome) == reason)
        #expect(result.outputs.isEmpty && result.usage.fuel == 0)
    }

    @Test("begins only where its module's process loads the module and answers, each in its time")
    func late() async throws {
        let text = "(module (func (export \"_start\")))"
        let sleeping = WorkerCommand(executable: "/bin/sleep", arguments: ["600"])
        let unloaded = try await Machine {
            $0.runWorker = sleeping
            $0.limits.moduleLoadMilliseconds = 20
        }.run(text)
        #expect(
            unloaded.outcome
                == .nodeFailed(reason: "the compiled module could not be loaded: its process did not load it"))
        let deaf = try StandIn.deaf()
        let unanswered = try await Machine {
            $0.runWorker = deaf.command
            $0.limits.moduleAnswerMilliseconds = 20
        }.run(text)
        #expect(unanswered.outcome == .nodeFailed(reason: "the process that holds the module was lost"))
    }

    @Test("has the memory that it was given, and no more")
    func memory() {
        #expect(sandbox_tried(Int32(SANDBOX_TRY_MEMORY), 1) == 0)
        #expect(sandbox_tried(Int32(SANDBOX_TRY_MEMORY), 0) == ENOMEM)
    }

    @Test("that does not stop is killed when its time is over")
    func silent() async throws {
        let worker = try StandIn.lying(.nothing)
        let machine = try Machine {
            $0.runWorker = worker.command
            $0.limits.stopMilliseconds = 10
            $0.limits.collectMillisecondsMax = 10
        }
        let result = try await machine.run("(module (func (export \"_start\")))") { $0.limits.timeoutSeconds = 1 }
        #expect(
            result.outcome == .nodeFailed(reason: "the process of the run did not stop when its time was over"))
        let cancellation = ExecutionCancellation()
        cancellation.cancel()
        let stopped = try await machine.run(
            "(module (func (export \"_start\")))", cancellation: cancellation)
        #expect(stopped.outcome == .cancelled)
    }

    @Test("of a program that cannot be a worker is refused with the reason")
    func noWorker() async throws {
        let machine = try Machine { $0.runWorker = WorkerCommand(executable: "/bin/false") }
        let result = try await machine.run("(module (func (export \"_start\")))")
        #expect(
            result.outcome
                == .nodeFailed(
                    reason: "the compiled module could not be loaded: its process did not load it (exit code 1)"))
    }
}
