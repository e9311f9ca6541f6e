import MeshTypes
import Multiformats
import Testing

@testable import CoVM

@Suite("Runs are deterministic and isolated")
struct DeterminismTests {
    private struct Trace: Hashable {
        var outcome: ExecutionOutcome
        var output: CID?
        var fuel: UInt64
        var peak: UInt64
        var calls: CanonicalMap<UInt64>

        init(_ result: ExecutionResult) {
            outcome = result.outcome
            output = result.standardOutputCID
            fuel = result.usage.fuel
            peak = result.usage.peakMemoryBytes
            calls = result.usage.hostCalls
        }
    }

    @Test("twenty runs on two engines, compiled, from disk and from memory, give the same output and the same fuel")
    func sameEverywhere() async throws {
        let module = try Guests.assemble(Guests.chance)
        var traces: Set<Trace> = []
        var sources: Set<ExecutionResult.ModuleSource> = []
        for _ in 0..<2 {
            let machine = try Machine()
            for round in 0..<10 {
                if round == 5 {
                    var configuration = CoVMConfiguration(cacheDirectory: machine.scratch.path)
                    configuration.limits.yieldIntervalFuel = 1_000
                    let second = try CoVM(configuration: configuration)
                    let job = Self.job(module)
                    let result = await second.execute(job, host: machine.host)
                    sources.insert(result.moduleSource)
                    traces.insert(Trace(result))
                }
                let result = await machine.covm.execute(Self.job(module), host: machine.host)
                sources.insert(result.moduleSource)
                traces.insert(Trace(result))
            }
        }
        #expect(traces.count == 1)
        #expect(traces.first?.outcome == .exited(code: 0))
        #expect(traces.first?.output != nil)
        #expect(sources == [.compiled, .disk, .memory])
    }

    private static func job(_ module: [UInt8]) -> ExecutionJob {
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        job.seed = 7
        job.clockStartNanoseconds = 1_800_000_000_000_000_000
        return job
    }

    @Test("twenty runs at the same time give the same output and the same fuel")
    func sameInParallel() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.chance)
        let traces = await withTaskGroup(of: Trace.self) { group in
            for _ in 0..<20 {
                group.addTask { Trace(await machine.covm.execute(Self.job(module), host: machine.host)) }
            }
            return await group.reduce(into: Set<Trace>()) { $0.insert($1) }
        }
        #expect(traces.count == 1)
    }

    @Test("random bytes depend on the seed, the calendar on the given start")
    func seeds() async throws {
        let machine = try Machine()
        let module = try Guests.assemble(Guests.chance)
        var outputs: [[UInt8]] = []
        for (seed, start) in [(UInt64(1), UInt64(0)), (2, 0), (1, 5_000_000_000)] {
            let result = await machine.run(module) { job in
                job.seed = seed
                job.clockStartNanoseconds = start
            }
            outputs.append(try #require(result.standardOutputCID.flatMap { machine.host.readInput($0) }))
        }
        #expect(outputs[0][0..<10] != outputs[1][0..<10])
        #expect(outputs[0][0..<10] == outputs[2][0..<10])
        #expect(outputs[0][16..<24] != outputs[2][16..<24])
        #expect(outputs[0][24..<32] == outputs[2][24..<32])
        // Canonical NaNs: the quiet bit alone, positive.
        #expect(outputs[0][32..<36] == [0x00, 0x00, 0xC0, 0x7F])
        #expect(outputs[0][40..<48] == [0, 0, 0, 0, 0, 0, 0xF8, 0x7F])
    }

    @Test("a run sees nothing of the one before it")
    func isolation() async throws {
        let machine = try Machine { $0.limits.concurrentRunsMax = 1 }
        for _ in 0..<10 {
            let result = try await machine.run(Guests.zeroChecker)
            #expect(result.outcome == .exited(code: 0))
        }
    }

    @Test("the process survives every hostile guest, many times and at once")
    func survives() async throws {
        let machine = try Machine()
        let guests = try [
            Guests.endlessLoop, Guests.endlessRecursion, Guests.memoryBomb, Guests.hostCallFlood, Guests.fillFlood,
            Guests.sleeping(nanoseconds: 1, forever: true), Guests.writing("flood", times: 10_000_000),
        ].map { try Guests.assemble($0) }
        let expected: [ExecutionOutcome] = [
            .limitExceeded(.fuel), .limitExceeded(.stack), .limitExceeded(.memory), .limitExceeded(.fuel),
            .limitExceeded(.fuel), .limitExceeded(.fuel), .limitExceeded(.output),
        ]
        for _ in 0..<3 {
            await withTaskGroup(of: (Int, ExecutionOutcome).self) { group in
                for (index, guest) in guests.enumerated() {
                    group.addTask {
                        let result = await machine.run(guest) { job in
                            job.limits.maxFuel = 10_000_000
                            job.limits.maxOutputBytes = 10_000
                        }
                        return (index, result.outcome)
                    }
                }
                for await (index, outcome) in group {
                    #expect(outcome == expected[index])
                }
            }
        }
        #expect(try await machine.run(Guests.nothing).outcome == .exited(code: 0))
    }
}
