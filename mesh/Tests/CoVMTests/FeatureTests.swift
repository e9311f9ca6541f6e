import MeshTypes
import Testing

@testable import CoVM

@Suite("Features of WebAssembly")
struct FeatureTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        var feature: ModuleFeature
        var text: String
        var testDescription: String { feature.rawValue }
    }

    /// Each computes 0 in a way that takes its feature, and exits with it.
    static let on: [Sample] = [
        Sample(
            feature: .bulkMemory,
            text: """
                (module (memory (export "memory") 1) (func (export "_start") (result i32)
                  (memory.fill (i32.const 0) (i32.const 7) (i32.const 9))
                  (memory.copy (i32.const 100) (i32.const 8) (i32.const 1))
                  (i32.sub (i32.load (i32.const 100)) (i32.const 7))))
                """),
        Sample(
            feature: .referenceTypes,
            text: """
                (module (table $t 3 externref) (func (export "_start") (result i32)
                  (drop (table.grow $t (ref.null extern) (i32.const 2)))
                  (i32.sub (table.size $t) (i32.const 5))))
                """),
        Sample(
            feature: .simd,
            text: """
                (module (func (export "_start") (result i32)
                  (i32x4.extract_lane 3
                    (i32x4.sub (v128.const i32x4 1 2 3 4) (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
                      (v128.const i32x4 4 3 2 4) (v128.const i32x4 0 0 0 0))))))
                """),
        Sample(
            feature: .relaxedSIMD,
            text: """
                (module (func (export "_start") (result i32)
                  (i32.trunc_f32_s (f32x4.extract_lane 0 (f32x4.relaxed_madd
                    (v128.const f32x4 2 2 2 2) (v128.const f32x4 3 3 3 3) (v128.const f32x4 -6 -6 -6 -6))))))
                """),
        Sample(
            feature: .tailCalls,
            text: """
                (module
                  (func $down (param i32) (result i32)
                    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
                    (return_call $down (i32.sub (local.get 0) (i32.const 1))))
                  (func (export "_start") (result i32) (call $down (i32.const 3000000))))
                """),
        Sample(
            feature: .multipleMemories,
            text: """
                (module (memory (export "memory") 1) (memory $b 1) (func (export "_start") (result i32)
                  (i32.store $b (i32.const 0) (i32.const 5))
                  (i32.load (i32.const 0))))
                """),
        Sample(
            feature: .functionReferences,
            text: """
                (module (type $t (func (param i32) (result i32)))
                  (func $f (type $t) (i32.sub (local.get 0) (i32.const 9)))
                  (table $funcs 1 (ref $t) (ref.func $f))
                  (func (export "_start") (result i32) (local $r (ref $t))
                    (local.set $r (table.get $funcs (i32.const 0)))
                    (call_ref $t (i32.const 9) (local.get $r))))
                """),
        Sample(feature: .exceptions, text: Guests.exceptions(count: 10)),
        Sample(
            feature: .atomics,
            text: """
                (module (memory 1) (func (export "_start") (result i32)
                  (atomic.fence)
                  (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 3)))
                  (drop (memory.atomic.notify (i32.const 8) (i32.const 1)))
                  (i32.sub (i32.atomic.load (i32.const 8)) (i32.const 3))))
                """),
    ]

    @Test("run", arguments: on)
    func runs(_ sample: Sample) async throws {
        let machine = try Machine()
        let module = try Guests.assemble(sample.text)
        #expect(try machine.covm.inspect(module).moduleBytes == module.count)
        #expect(ModuleInspection.featuresUsed(by: module).contains(sample.feature))
        let first = await machine.run(module)
        #expect(first.outcome == .exited(code: 0))
        // The same fuel again, however often the run yields.
        let again = try Machine { $0.limits.yieldIntervalFuel = 1_000 }
        #expect(await again.run(module).usage.fuel == first.usage.fuel)
    }

    private static func featureless(_ body: [UInt8], memory: Bool = false) -> [UInt8] {
        [0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0]
            + (memory ? [5, 3, 1, 0, 1] : []) + [7, 10, 1, 6] + Array("_start".utf8) + [0, 0]
            + [10, UInt8(body.count + 4), 1, UInt8(body.count + 2), 0] + body + [0x0B]
    }

    /// Modules that need what is off, with the feature that their refusal names.
    static let off: [(feature: ModuleFeature, module: [UInt8])] = {
        func text(_ text: String) -> [UInt8] { (try? Guests.assemble(text)) ?? [] }
        return [
            // try (no result), nop, catch_all, end
            (.legacyExceptions, featureless([0x06, 0x40, 0x01, 0x19, 0x0B])),
            (.legacyExceptions, featureless([0x06, 0x40, 0x06, 0x40, 0x18, 0x00, 0x19, 0x0B])),
            (
                .sharedMemory,
                text("(module (import \"env\" \"memory\" (memory 1 1 shared)) (func (export \"_start\")))")
            ),
            (.sharedMemory, text("(module (memory 1 1 shared) (func (export \"_start\")))")),
            (.memory64, text("(module (memory i64 1) (func (export \"_start\")))")),
            (.table64, text("(module (table i64 1 funcref) (func (export \"_start\")))")),
            (.garbageCollection, text("(module (type (struct (field i32))) (func (export \"_start\")))")),
            (.garbageCollection, text("(module (rec (type (func)) (type (func))) (func (export \"_start\")))")),
            (.garbageCollection, text("(module (func (param anyref)) (func (export \"_start\")))")),
            (.garbageCollection, text("(module (func (export \"_start\") (drop (ref.i31 (i32.const 1)))))")),
            (.garbageCollection, text("(module (func (export \"_start\") (drop (ref.null any))))")),
            (.customPageSizes, text("(module (memory 1 (pagesize 1)) (func (export \"_start\")))")),
            (.stackSwitching, text("(module (type $f (func)) (type (cont $f)) (func (export \"_start\")))")),
            (
                .wideArithmetic,
                text(
                    """
                    (module (func (export "_start")
                      (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)) drop drop))
                    """)
            ),
        ]
    }()

    @Test("that are off are refused by name, with what to build with", arguments: off.indices)
    func refuses(index: Int) async throws {
        let (feature, module) = Self.off[index]
        let machine = try Machine()
        #expect(throws: ModuleRefusal.unsupported(feature: feature)) { try machine.covm.inspect(module) }
        let remedy = try #require(feature.remedy)
        let clause = remedy.prefix(1).lowercased() + remedy.dropFirst().dropLast()
        let reason = "the module needs \(feature.rawValue), which is switched off; \(clause)"
        // Also by an executor, whose worker refuses it.
        #expect(await machine.run(module).outcome == .moduleRefused(reason: reason))
    }

    @Test("of a component are WASI preview 2, which says what to build instead")
    func component() throws {
        let refusal = ModuleRefusal.component
        #expect(refusal.reason.contains("WASI preview 2"))
        #expect(refusal.reason.contains("build a core module for WASI preview 1"))
        #expect(throws: refusal) { try ModuleInspection([0, 0x61, 0x73, 0x6D, 0x0D, 0, 1, 0]) }
    }

    @Test("that are off have a remedy each, and each has a module here")
    func complete() {
        let refused = Set(Self.off.map(\.feature)).union([.compactImports])
        let run = Set(Self.on.map(\.feature))
        #expect(refused.union(run) == Set(ModuleFeature.allCases))
        #expect(ModuleFeature.allCases.filter(\.isOff).allSatisfy(refused.contains))
        #expect(ModuleFeature.allCases.filter { !$0.isOff }.allSatisfy(run.contains))
    }

    @Test("are read from code that is damaged without a trap, and the engine's words stay for what is malformed")
    func damaged() throws {
        let machine = try Machine()
        var module = try Guests.assemble(#"(module (func (export "_start") (drop (i32.const 1))))"#)
        let drop = try #require(module.lastIndex(of: 0x1A))
        module[drop] = 0x01
        let refusal = #expect(throws: ModuleRefusal.self) { try machine.covm.inspect(module) }
        guard case .invalid = refusal else {
            Issue.record("refused as \(String(describing: refusal))")
            return
        }
        for sample in Self.on {
            let module = try Guests.assemble(sample.text)
            for place in 8..<module.count {
                for value in [UInt8(0), 0x1F, 0xFC, 0xFD, 0xFF] {
                    var damaged = module
                    damaged[place] = value
                    #expect(ModuleInspection.featuresUsed(by: damaged).count <= ModuleFeature.allCases.count)
                }
            }
        }
    }
}

@Suite("Atomic instructions")
struct AtomicTests {
    @Test("that would wait for another thread trap, since there is none")
    func waiting() async throws {
        let text = """
            (module (memory 1) (func (export "_start")
              (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
            """
        let outcome = try await Machine().run(text).outcome
        guard case .trapped(.other, let message) = outcome else {
            Issue.record("ended as \(outcome)")
            return
        }
        #expect(message.hasPrefix("waiting on memory that no other thread shares"))
    }
}

@Suite("Exceptions")
struct ExceptionTests {
    @Test("that nothing catches end the run as a trap of the module's own, with the place")
    func uncaught() async throws {
        let text = """
            (module (tag $e (param i32)) (memory (export "memory") 1)
              (func $deep (throw $e (i32.const 3)))
              (func (export "_start") (call $deep)))
            """
        let expected = ExecutionOutcome.trapped(
            kind: .other, message: "an exception that nothing catches in function 0 (deep)")
        let outcome = try await Machine().run(text).outcome
        #expect(outcome == expected, "\(outcome)")
    }

    @Test("cross host functions and frames of many calls, and cost the same fuel each time")
    func deep() async throws {
        let machine = try Machine()
        let first = try await machine.run(Guests.exceptions(count: 50_000))
        #expect(first.outcome == .exited(code: 0))
        #expect(try await machine.run(Guests.exceptions(count: 50_000)).usage.fuel == first.usage.fuel)
        #expect(first.usage.fuel > 500_000)
    }

    @Test("take their heap from the memory of the run: a run that keeps them all ends at its limit")
    func heap() async throws {
        let machine = try Machine()
        for mebibytes: UInt64 in [2, 8] {
            let result = try await machine.run(Guests.exceptionChain) { $0.limits.maxMemoryBytes = mebibytes << 20 }
            #expect(result.outcome == .limitExceeded(.memory))
            #expect(result.usage.peakMemoryBytes <= mebibytes << 20)
            // Most of the limit was the heap's: the module's own memory is one page.
            #expect(result.usage.peakMemoryBytes > mebibytes << 19)
        }
    }

    @Test("that are dropped do not fill the heap")
    func collected() async throws {
        let result = try await Machine().run(Guests.exceptions(count: 200_000)) { $0.limits.maxMemoryBytes = 1 << 20 }
        #expect(result.outcome == .exited(code: 0))
        #expect(result.usage.peakMemoryBytes <= 1 << 20)
    }

    @Test("for ever are stopped by fuel, by the clock and by cancel")
    func storm() async throws {
        let machine = try Machine.patient()
        let storm = Guests.exceptions(count: 0)
        #expect(try await machine.run(storm).outcome == .limitExceeded(.fuel))
        let timed = try await machine.run(storm) { job in
            job.limits.maxFuel = 1 << 50
            job.limits.timeoutSeconds = 1
        }
        #expect(timed.outcome == .limitExceeded(.wallClock))
    }
}

@Suite("Memory")
struct MemoryTests {
    @Test("of all memories together keeps to the limit, from the start and while they grow")
    func together() async throws {
        let machine = try Machine()
        let start = #"(module (memory 512) (memory 512) (memory 512) (func (export "_start")))"#
        #expect(try await machine.run(start).outcome == .limitExceeded(.memory))
        let growing = """
            (module (memory 1) (memory $b 1) (func (export "_start")
              (loop $l
                (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
                (if (i32.eq (memory.grow $b (i32.const 16)) (i32.const -1)) (then unreachable))
                (br $l))))
            """
        let result = try await machine.run(growing) { $0.limits.maxMemoryBytes = 8 << 20 }
        #expect(result.outcome == .limitExceeded(.memory))
        #expect(result.usage.peakMemoryBytes <= 8 << 20 && result.usage.peakMemoryBytes > 6 << 20)
    }

    @Test(
        "that the machine lacks fails the node, whatever the guest makes of it",
        arguments: [
            // Gives up, goes on for ever, exits well, is told by a host call: after the growth that was refused.
            "(if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))",
            "(drop (memory.grow (i32.const 64))) (loop $l (br $l))",
            "(drop (memory.grow (i32.const 64))) (drop (memory.grow (i32.const 1)))",
            "(drop (memory.grow (i32.const 64))) (call $exit (i32.const 0))",
        ])
    func machineShort(body: String) async throws {
        let machine = try Machine {
            $0.runWorker = nil
            $0.limits.hasMachine = { $0 < 1 << 20 }
        }
        let text = """
            (module
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1) (func (export "_start") \(body)))
            """
        let result = try await machine.run(text) { $0.limits.maxFuel = 1 << 40 }
        #expect(result.outcome == .nodeFailed(reason: "the machine had no memory left for the job"))
        // A limit of the job stays the job's.
        let limited = try await machine.run(text) { $0.limits.maxMemoryBytes = 1 << 16 }
        #expect(limited.outcome != .nodeFailed(reason: "the machine had no memory left for the job"))
    }
}

@Suite("The engine's class")
struct EngineClassTests {
    @Test("names the instruction set and the baseline that code is compiled for")
    func description() throws {
        let engine = try Machine().covm.engineDescription
        #expect(ProcessorBaseline.candidates.map(\.name).contains(engine.processorBaseline ?? ""))
        #expect(engine.instructionSet == ProcessorBaseline.candidates[0].instructionSet)
        #expect(engine.configurationDigest == EngineProfile.digest)
    }

    @Test("passes over a baseline that this processor does not run, and the digest stays")
    func fallback() throws {
        let baselines = [
            ProcessorBaseline(instructionSet: "none", name: "no target", target: "no-such-target", flags: [])
        ]
        let last = try #require(ProcessorBaseline.candidates.last)
        let engine = try WasmEngine(baselines: baselines + [last])
        #expect(engine.description.processorBaseline == last.name)
        #expect(engine.description.hasSameProfile(as: try WasmEngine().description))
        #expect(throws: CoVMError.engineUnavailable(reason: "it compiles no code that this processor runs")) {
            try WasmEngine(baselines: baselines)
        }
    }

    @Test("decides about machine code: that for one baseline is not another's")
    func context() throws {
        let contexts = try ProcessorBaseline.candidates.map { try WasmEngine(baselines: [$0]).codeContext }
        #expect(Set(contexts).count == ProcessorBaseline.candidates.count)
    }
}
