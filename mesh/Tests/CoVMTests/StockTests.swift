import MeshTypes
import Multiformats
import Testing

@testable import CoVM

@Suite("The stock of modules")
struct StockTests {
    /// A worker that is a shell script, with this machine's real one as `$real` and the module's bytes as `$3`.
    private static func worker(_ script: String) -> WorkerCommand {
        let real = ModuleCompiler.standardWorker()
        let command = ([real.executable] + real.arguments).joined(separator: " ")
        return WorkerCommand(executable: "/bin/sh", arguments: ["-c", "real='\(command)'; \(script)", "worker"])
    }

    private static func name(_ module: [UInt8]) -> CID { CID.hashing(module, codec: .raw) }

    @Test("gives a small module less processor time than a large one, within the owner's limit")
    func scaledLimits() {
        var limits = CompileLimits()
        limits.cpuSeconds = 120
        limits.wallMilliseconds = 360_000
        #expect(limits.cpuSeconds(moduleBytes: 100) == 15)
        #expect(limits.cpuSeconds(moduleBytes: 4_449_347) == 35)
        #expect(limits.cpuSeconds(moduleBytes: 26_267_204) == 120)
        #expect(limits.wallMilliseconds(moduleBytes: 100) == 45_000)
        #expect(limits.wallMilliseconds(moduleBytes: 26_267_204) == 360_000)
        limits.cpuSeconds = 1
        #expect(limits.cpuSeconds(moduleBytes: 26_267_204) == 1)
        limits.wallMilliseconds = .max
        #expect(limits.wallMilliseconds(moduleBytes: 100) == .max)
    }

    @Test("compiles a small module while a large one takes its time")
    func lanes() async throws {
        // The large one's worker ends only when it is cancelled.
        let machine = try Machine {
            $0.compileWorker = Self.worker("if [ $3 -gt 2097152 ]; then exec sleep 600; fi; exec $real $@")
        }
        let cancellation = ExecutionCancellation()
        async let large = machine.run(Guests.heavyToCompile, cancellation: cancellation)
        #expect(try await machine.run(Guests.nothing).outcome == .exited(code: 0))
        cancellation.cancel()
        #expect(await large.outcome == .cancelled)
    }

    @Test("remembers for a while what could not be had, and compiles it once for all jobs")
    func failures() async throws {
        for (kept, compiled) in [(UInt64(600_000), 1), (0, 3)] {
            let counts = try Scratch()
            let path = counts.path + "/count"
            let script = "echo x >>\(path); echo 'no good' >&2; exit 65"
            let machine = try Machine {
                $0.compileWorker = Self.worker(script)
                $0.limits.failureKeptMilliseconds = kept
            }
            for _ in 0..<3 {
                let outcome = try await machine.run(Guests.nothing).outcome
                #expect(outcome == .moduleRefused(reason: "the module is not valid: no good"))
            }
            #expect(PublicFile.read(path)?.count == 2 * compiled)
        }
    }

    @Test("forgets the oldest failures beyond its number")
    func failuresMax() {
        let failed = FailedModules(countMax: 2, milliseconds: 600_000)
        for index in 0..<4 { failed.insert(.beyond(.cpu), [UInt8(index)]) }
        #expect((0..<4).map { failed[[UInt8($0)]] != nil } == [false, false, true, true])
        failed.insert(.node("no process"), [9])
        failed.insert(.cancelled, [9])
        #expect(failed[[9]] == nil, "what says nothing about the module")
    }

    @Test("tells how long compiling may take, and only when it is needed")
    func announces() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.nothing)
        let told = Told()
        for _ in 0..<2 {
            let result = await machine.covm.prepare(
                module, named: Self.name(module), cancellation: ExecutionCancellation()
            ) { await told.add($0) }
            #expect((try? result.get()) != nil)
        }
        #expect(await told.all == [600_000])
    }

    private actor Told {
        var all: [UInt64] = []
        func add(_ milliseconds: UInt64) { all.append(milliseconds) }
    }

    @Test("runs a module in memory without its bytes, by each of its names")
    func withoutBytes() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.exiting(7))
        let names = (0..<6).map { CID.hashing([UInt8($0)], codec: .dagPB) }
        #expect(machine.covm.prepared(names[0]) == nil)
        for name in names {
            let result = await machine.covm.prepare(module, named: name, cancellation: ExecutionCancellation())
            #expect((try? result.get()) != nil)
        }
        // A module has at most so many names; whoever brings it by another one reads it.
        #expect(names.count { machine.covm.prepared($0) != nil } == LoadedModules.namesMax)
        let prepared = try #require(machine.covm.prepared(names[1]))
        var job = ExecutionJob(moduleCID: names[1], module: [])
        #expect(await machine.covm.execute(job, with: prepared, host: machine.host).outcome == .exited(code: 7))
        job.entry = "main"
        let outcome = await machine.covm.execute(job, with: prepared, host: machine.host).outcome
        #expect(outcome == .moduleRefused(reason: "the module exports no function main; it exports _start"))
    }

    @Test("forgets names with their module")
    func eviction() async throws {
        let machine = try Machine { $0.limits.loadedModulesMax = 1 }
        let first = try Guests.assemble(Guests.exiting(1))
        _ = await machine.run(first)
        #expect(machine.covm.prepared(Self.name(first)) != nil)
        _ = try await machine.run(Guests.nothing)
        #expect(machine.covm.prepared(Self.name(first)) == nil)
        #expect(await machine.run(first).moduleSource == .disk)
    }
}
