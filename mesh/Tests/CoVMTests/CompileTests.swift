import MeshTypes
import Multiformats
import Testing

@testable import CoVM

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("Compiling")
struct CompileTests {
    private static func outcome(
        _ module: [UInt8], configure: (inout CoVMConfiguration) -> Void
    ) async throws -> ExecutionOutcome {
        let machine = try Machine(configure: configure)
        let outcome = await machine.run(module).outcome
        // Whatever happened to the worker, this process compiles and runs the next module.
        #expect(try ModuleInspection(module).functionCount > 0)
        return outcome
    }

    @Test("is stopped at its processor time")
    func cpu() async throws {
        let outcome = try await Self.outcome(Guests.heavyToCompile) { configuration in
            configuration.compileLimits.cpuSeconds = 1
            configuration.compileLimits.wallMilliseconds = 300_000
        }
        #expect(outcome == .nodeFailed(reason: "compiling the module was stopped at this node's cpu limit"))
    }

    @Test("is stopped at its memory")
    func memory() async throws {
        let outcome = try await Self.outcome(Guests.heavyToCompile) { configuration in
            configuration.compileLimits.cpuSeconds = 60
            configuration.compileLimits.memoryBytes = 100 << 20
        }
        #expect(outcome == .nodeFailed(reason: "compiling the module was stopped at this node's memory limit"))
    }

    @Test("is stopped at its wall clock")
    func wallClock() async throws {
        let outcome = try await Self.outcome(Guests.heavyToCompile) { configuration in
            configuration.compileLimits.cpuSeconds = 60
            configuration.compileLimits.wallMilliseconds = 50
        }
        #expect(outcome == .nodeFailed(reason: "compiling the module was stopped at this node's wall clock limit"))
    }

    @Test("is refused when there is more machine code than allowed")
    func size() async throws {
        let outcome = try await Self.outcome(try Guests.assemble(Guests.chance)) {
            $0.limits.compiledModuleBytesMax = 1_000
        }
        #expect(outcome == .nodeFailed(reason: "compiling the module was stopped at this node's size limit"))
    }

    @Test("refuses what the engine does not validate")
    func invalid() async throws {
        var module = try Guests.assemble(#"(module (func (export "_start") (drop (i32.const 1))))"#)
        // The drop becomes an end: a value stays on the stack.
        let drop = try #require(module.lastIndex(of: 0x1A))
        module[drop] = 0x01
        let outcome = try await Machine().run(module).outcome
        guard case .moduleRefused(let reason) = outcome else {
            Issue.record("ended as \(outcome)")
            return
        }
        #expect(reason.hasPrefix("the module is not valid: "))
        #expect(reason.contains("values remaining on stack"))
    }

    @Test("without a worker is refused at the start")
    func noWorker() throws {
        #expect(throws: CoVMError.compileWorkerMissing(path: "/nowhere/worker")) {
            try Machine { $0.compileWorker = WorkerCommand(executable: "/nowhere/worker") }
        }
    }

    @Test("by a program that is no worker fails as the node's fault", arguments: ["/bin/false", "/etc/passwd"])
    func wrongWorker(path: String) async throws {
        let machine = try Machine { $0.compileWorker = WorkerCommand(executable: path) }
        let outcome = try await machine.run(Guests.nothing).outcome
        guard case .nodeFailed(let reason) = outcome else {
            Issue.record("ended as \(outcome)")
            return
        }
        #expect(reason.contains("compile worker"))
    }

    @Test("by a worker that somebody kills fails as the node's fault", arguments: ["KILL", "TERM", "HUP"])
    func killed(signal: String) async throws {
        let worker = WorkerCommand(executable: "/bin/sh", arguments: ["-c", "kill -\(signal) $$"])
        let machine = try Machine { $0.compileWorker = worker }
        let numbers = ["KILL": SIGKILL, "TERM": SIGTERM, "HUP": SIGHUP]
        let number = try #require(numbers[signal])
        let result = try await machine.run(Guests.nothing)
        #expect(result.outcome == .nodeFailed(reason: "the compile worker was killed by signal \(number)"))
        #expect(result.compileLimit == nil)
    }

    @Test("of a module beyond a limit that the owner sets is the node's failure, since another may take it")
    func beyondTheForm() async throws {
        let changes: [(String, @Sendable (inout ModuleLimits) -> Void)] = [
            ("functions but at most 0", { $0.functionsMax = 0 }),
            ("bytes but at most 1 are allowed", { $0.functionBodyBytesMax = 1 }),
            ("bytes but at most 9 are allowed", { $0.moduleBytesMax = 9 }),
        ]
        for (reason, change) in changes {
            let machine = try Machine { change(&$0.moduleLimits) }
            let result = try await machine.run(Guests.nothing)
            guard case .nodeFailed(let told) = result.outcome else {
                Issue.record("\(reason): \(result.outcome)")
                continue
            }
            #expect(told.contains(reason), "\(told)")
            #expect(result.formLimit != nil)
        }
    }

    @Test("by a worker that crashes on the module is the module's fault")
    func crashed() async throws {
        let worker = WorkerCommand(executable: "/bin/sh", arguments: ["-c", "kill -SEGV $$"])
        let machine = try Machine { $0.compileWorker = worker }
        let outcome = try await machine.run(Guests.nothing).outcome
        let reason = "the module is not valid: the compiler crashed on it (signal \(SIGSEGV))"
        #expect(outcome == .moduleRefused(reason: reason))
    }

    @Test("by a worker that ignores its end and says nothing is stopped at the wall clock")
    func hiding() async throws {
        let worker = WorkerCommand(
            executable: "/bin/sh", arguments: ["-c", "trap '' TERM HUP INT; exec >&- 2>&-; while :; do :; done"])
        let machine = try Machine { configuration in
            configuration.compileWorker = worker
            configuration.compileLimits.wallMilliseconds = 200
        }
        let result = try await machine.run(Guests.nothing)
        #expect(
            result.outcome == .nodeFailed(reason: "compiling the module was stopped at this node's wall clock limit"))
        #expect(result.compileLimit == .wallClock)
    }

    @Test("by a worker that cannot be started fails as the node's fault, and the next one that can does it")
    func notStarted() async throws {
        let worker = try Scratch()
        let path = worker.path + "/worker"
        #expect(PrivateFile.create(path, with: Array("not a program".utf8)))
        let machine = try Machine { $0.compileWorker = WorkerCommand(executable: path) }
        let reason = "the compile worker \(path) could not be run: "
        var expected = ExecutionOutcome.nodeFailed(reason: reason + "Permission denied")
        #expect(try await machine.run(Guests.nothing).outcome == expected)
        unlink(path)
        expected = .nodeFailed(reason: reason + "No such file or directory")
        #expect(try await machine.run(Guests.nothing).outcome == expected)
    }

    @Test("by a worker whose standard input cannot be handed over is a value, not a trap")
    func badDescriptor() throws {
        let wake = try #require(WorkerProcess.Wake())
        let process = WorkerProcess(
            executable: "/bin/true", arguments: [], environment: [], outputBytesMax: 1, errorBytesMax: 1,
            wallMilliseconds: 600_000)
        guard case .failed(let reason) = process.run(input: -1, wake: wake) else {
            Issue.record("it was started")
            return
        }
        #expect(reason == "Bad file descriptor")
    }

    @Test("happens once for jobs that come at the same time")
    func once() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.nothing)
        let sources = await withTaskGroup(of: ExecutionResult.ModuleSource.self) { group in
            for _ in 0..<8 { group.addTask { await machine.run(module).moduleSource } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(sources.count { $0 == .compiled } == 1)
        // One that looked just before the module was in memory finds it on the disk.
        #expect(sources.count { $0 == .memory || $0 == .disk } == 7)
    }
}

@Suite("The cache of compiled modules")
struct CacheTests {
    private static func again(_ machine: Machine) throws -> CoVM {
        try CoVM(configuration: CoVMConfiguration(cacheDirectory: machine.scratch.path))
    }

    private static func entries(_ machine: Machine) -> [String] {
        machine.scratch.files().filter { $0.hasSuffix(".compiled") }
    }

    private static func run(_ covm: CoVM, _ module: [UInt8]) async -> ExecutionResult {
        await covm.execute(
            ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module), host: MemoryHost())
    }

    @Test("is private and survives a restart")
    func restart() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.nothing)
        #expect(await machine.run(module).moduleSource == .compiled)
        #expect(await machine.run(module).moduleSource == .memory)
        #expect(await Self.run(try Self.again(machine), module).moduleSource == .disk)
        var status = stat()
        #expect(stat(machine.scratch.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        for file in machine.scratch.files() {
            #expect(stat(file, &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
        #expect(machine.scratch.files().count == 2)
    }

    @Test("never loads an entry of which one bit is flipped, wherever it is")
    func bitFlips() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.chance)
        let expected = await machine.run(module)
        let file = try #require(Self.entries(machine).first)
        let bytes = try #require(PrivateFile.read(file, bytesMax: 1 << 20))
        // The magic, the keyed hash, the head of the machine code, and places all over it.
        let places = [0, 32, 33, 40, 64, 65, 66, 130] + stride(from: 200, to: bytes.count, by: bytes.count / 12)
        for (round, place) in (places + [bytes.count - 1]).enumerated() {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(round % 8)
            #expect(PrivateFile.replace(file, with: damaged))
            let covm = try Self.again(machine)
            let result = await Self.run(covm, module)
            #expect(result.moduleSource == .compiled)
            #expect(result.outcome == expected.outcome)
            #expect(result.usage.fuel == expected.usage.fuel)
            #expect(covm.corruptedCacheEntries == 1)
        }
        #expect(await Self.run(try Self.again(machine), module).moduleSource == .disk)
    }

    @Test("never loads an entry that is cut, empty, readable by others, or another module's")
    func foreignEntries() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.nothing)
        let other = try Guests.assemble(Guests.exiting(3))
        _ = await machine.run(module)
        let file = try #require(Self.entries(machine).first)
        _ = await machine.run(other)
        let otherFile = try #require(Self.entries(machine).first { $0 != file })
        let bytes = try #require(PrivateFile.read(file, bytesMax: 1 << 20))
        let otherBytes = try #require(PrivateFile.read(otherFile, bytesMax: 1 << 20))
        for foreign in [[], Array(bytes.prefix(30)), Array(bytes.dropLast()), otherBytes] {
            #expect(PrivateFile.replace(file, with: foreign))
            let result = await Self.run(try Self.again(machine), module)
            #expect(result.moduleSource == .compiled)
            #expect(result.outcome == .exited(code: 0))
        }
        #expect(chmod(file, 0o644) == 0)
        #expect(await Self.run(try Self.again(machine), module).moduleSource == .compiled)
    }

    @Test("of another key is compiled anew")
    func otherKey() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.nothing)
        _ = await machine.run(module)
        #expect(PrivateFile.replace(machine.scratch.path + "/cache.key", with: [UInt8](repeating: 1, count: 32)))
        #expect(await Self.run(try Self.again(machine), module).moduleSource == .compiled)
        #expect(await Self.run(try Self.again(machine), module).moduleSource == .disk)
    }

    @Test("keeps to its size, the least recently used go first")
    func eviction() async throws {
        let scratch = try Scratch()
        let cache = try CompiledModuleCache(
            directory: scratch.path, entryBytesMax: 1_000, bytesMax: 2_000, context: "test")
        for index in 0..<10 {
            cache.store([UInt8(index)], [UInt8](repeating: UInt8(index), count: 800))
        }
        let files = PrivateFile.list(scratch.path, suffix: ".compiled")
        #expect(files.count == 2)
        #expect(files.reduce(0) { $0 + $1.bytes } <= 2_000)
        guard case .hit(let bytes) = cache.load([9]) else {
            Issue.record("the newest entry is gone")
            return
        }
        #expect(bytes == [UInt8](repeating: 9, count: 800))
        guard case .missing = cache.load([0]) else {
            Issue.record("the oldest entry is still there")
            return
        }
        cache.store([99], [UInt8](repeating: 0, count: 5_000))
        guard case .missing = cache.load([99]) else {
            Issue.record("an entry larger than the cache was kept")
            return
        }
    }

    @Test("in memory keeps to its number")
    func memory() async throws {
        let machine = try Machine { $0.limits.loadedModulesMax = 2 }
        let modules = try (1...3).map { try Guests.assemble(Guests.exiting($0)) }
        for module in modules { #expect(await machine.run(module).moduleSource == .compiled) }
        #expect(await machine.run(modules[2]).moduleSource == .memory)
        #expect(await machine.run(modules[0]).moduleSource == .disk)
    }

    @Test("is refused in a directory that others can read, that is a file, or whose key is damaged")
    func unusable() throws {
        let scratch = try Scratch()
        func reason() -> String? {
            do {
                _ = try CoVM(configuration: CoVMConfiguration(cacheDirectory: scratch.path))
                return nil
            } catch {
                guard case .cacheUnusable(_, let reason) = error else { return "\(error)" }
                return reason
            }
        }
        #expect(reason() == nil)
        #expect(chmod(scratch.path, 0o755) == 0)
        #expect(reason() == "others can read it; run chmod 700 on it")
        #expect(chmod(scratch.path, 0o700) == 0)
        #expect(PrivateFile.replace(scratch.path + "/cache.key", with: [1, 2, 3]))
        #expect(reason() == "its key is damaged or readable by others; delete the directory")
        #expect(PrivateFile.replace(scratch.path + "/file", with: []))
        #expect(throws: CoVMError.cacheUnusable(path: scratch.path + "/file", reason: "it is not a directory")) {
            try CoVM(configuration: CoVMConfiguration(cacheDirectory: scratch.path + "/file"))
        }
    }
}
