import ArgumentParser
import CWasmtime
import CoVM
import Foundation
import MeshTypes
import Multiformats

/// What it costs that a guest yields to its thread every two million units of fuel: the same module with that interval
/// and with one that never comes, in turn, in one process.
struct YieldBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "yields", abstract: "A run that computes, with and without yielding by fuel; the goal is 5 %.")

    @Option(help: "Runs of each kind.") var runs = 15
    @Option(help: "How long the modules compute; 1 is some tenths of a second each.") var scale = 1.0
    @Option(help: "Units of fuel between two yields.") var interval = CoVMConfiguration.Limits().yieldIntervalFuel
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mesh-yields-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var kinds: [Kind] = []
        for module in try ComputingModule.all(scale: scale) {
            for interval in [Self.never, interval] {
                var machine = CoVMConfiguration(
                    cacheDirectory: folder.appendingPathComponent("\(module.name)-\(interval)").path)
                machine.limits.yieldIntervalFuel = interval
                kinds.append(
                    Kind(
                        name: "\(module.name), " + (interval == Self.never ? "no yields" : "every \(interval) fuel"),
                        module: module.bytes, machine: try CoVM(configuration: machine)))
            }
        }
        // In turn, so that a machine that becomes slower slows all of them; the first round compiles and warms up.
        for round in 0...runs {
            for index in kinds.indices {
                let seconds = try await kinds[index].run()
                if round > 0 { kinds[index].seconds.append(seconds) }
            }
        }
        try Measurement.report(kinds.map(\.measurement), asJSON: json)
        guard !json else { return }
        for pair in stride(from: 0, to: kinds.count, by: 2) {
            let (without, with) = (kinds[pair], kinds[pair + 1])
            let medians = with.measurement.microsecondsP50 / without.measurement.microsecondsP50
            let fastest = (with.seconds.min() ?? 0) / (without.seconds.min() ?? 1)
            print(
                with.name.padding(toLength: 34, withPad: " ", startingAt: 0)
                    + String(
                        format: "%+.2f %% by the medians, %+.2f %% by the fastest runs", (medians - 1) * 100,
                        (fastest - 1) * 100))
        }
    }

    /// An interval that no run reaches.
    private static let never = UInt64(1) << 62

    /// A module on a machine, and how long its runs took.
    private struct Kind {
        let name: String
        let module: [UInt8]
        let machine: CoVM
        var seconds: [Double] = []

        /// Runs the module once; the processor time of this process from the call to the result, so that others on the
        /// machine count less.
        func run() async throws -> Double {
            var limits = ExecutionLimits.standard
            limits.maxFuel = 1_000_000_000_000
            limits.timeoutSeconds = 600
            let job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module, limits: limits)
            let begun = clock()
            let result = await machine.execute(job, host: NoHost())
            let used = clock() - begun
            guard result.outcome == .exited(code: 0) else { throw RunFailure(outcome: result.outcome) }
            return Double(used) / Double(CLOCKS_PER_SEC)
        }

        var measurement: Measurement {
            Measurement(name, microseconds: seconds.map { $0 * 1_000_000 })
        }
    }

    private struct RunFailure: Error, CustomStringConvertible {
        let outcome: ExecutionOutcome
        var description: String { "a run ended otherwise: \(outcome)" }
    }
}

/// The node of a job that asks for nothing.
private struct NoHost: ExecutionHost {
    func readInput(_ cid: CID) -> [UInt8]? { nil }
    func storeBlock(_ bytes: [UInt8]) -> CID? { CID.hashing(bytes, codec: .raw) }
    func log(_ level: ExecutionLogLevel, _ text: String) {}
    func progress(permille: Int) {}
    func burnt(fuel: UInt64) {}
}

/// Modules that compute and call nobody, as many rounds as they are told.
private struct ComputingModule {
    let name: String
    let bytes: [UInt8]

    struct NotAModule: Error {
        let name: String
    }

    /// A module whose loop does `body`; `$n` counts down, `$x`, `$i`, `$j`, `$k` and `$f` are there to be used.
    private init(_ name: String, rounds: Int64, _ body: String) throws {
        self.name = name
        let text = """
            (module (memory (export "memory") 16) (func (export "_start")
              (local $n i64) (local $x i64) (local $i i32) (local $j i32) (local $k i32) (local $f f64)
              (local.set $n (i64.const \(rounds)))
              (loop $on \(body)
                (br_if $on (i64.ne (local.tee $n (i64.sub (local.get $n) (i64.const 1))) (i64.const 0))))))
            """
        var made = wasm_byte_vec_t()
        if let error = wasmtime_wat2wasm(text, text.utf8.count, &made) {
            wasmtime_error_delete(error)
            throw NotAModule(name: name)
        }
        defer { wasm_byte_vec_delete(&made) }
        bytes = [UInt8](UnsafeBufferPointer(start: made.data, count: made.size))
    }

    /// All of them, each of some tenths of a second at the scale 1.
    static func all(scale: Double) throws -> [ComputingModule] {
        func rounds(_ count: Double) -> Int64 { max(1, Int64(count * scale)) }
        return [
            // Each step waits for the one before.
            try ComputingModule(
                "arithmetic", rounds: rounds(2e8),
                """
                (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1)))
                """),
            // As many steps a cycle as the processor does: the least that a loop over memory can be.
            try ComputingModule(
                "tight loop", rounds: rounds(4e8),
                """
                (local.set $i (i32.and (i32.shl (i32.wrap_i64 (local.get $n)) (i32.const 3)) (i32.const 0x3ff8)))
                (i64.store (local.get $i) (i64.add (i64.load (local.get $i)) (local.get $n)))
                """),
            // Branches that depend on what is in memory, in nested loops.
            try ComputingModule("sieve", rounds: rounds(1e3), sieve),
            // Shifts and multiplications over a table of 512 KiB.
            try ComputingModule(
                "hash table", rounds: rounds(1e8),
                """
                (local.set $x (i64.xor (local.get $x) (i64.add (local.get $n) (i64.const 0x9e3779b97f4a7c15))))
                (local.set $x (i64.mul (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 30)))
                  (i64.const 0xbf58476d1ce4e5b9)))
                (local.set $i (i32.and (i32.wrap_i64 (i64.shr_u (local.get $x) (i64.const 27))) (i32.const 0x7fff8)))
                (if (i64.lt_u (i64.load (local.get $i)) (local.get $x))
                  (then (i64.store (local.get $i) (local.get $x)))
                  (else (i64.store (local.get $i) (i64.add (i64.load (local.get $i)) (i64.const 1)))))
                """),
            // Floating point over three matrices.
            try ComputingModule("matrices", rounds: rounds(5e2), matrices),
        ]
    }

    /// Marks the multiples below 65,536.
    private static let sieve = """
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))
        (local.set $i (i32.const 2))
        (loop $next
          (if (i32.eqz (i32.load8_u (local.get $i))) (then
            (local.set $j (i32.mul (local.get $i) (local.get $i)))
            (if (i32.lt_u (local.get $j) (i32.const 65536)) (then
              (loop $mark
                (i32.store8 (local.get $j) (i32.const 1))
                (br_if $mark (i32.lt_u (local.tee $j (i32.add (local.get $j) (local.get $i))) (i32.const 65536))))))))
          (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 256))))
        """

    /// Multiplies two matrices of 64 by 64.
    private static let matrices = """
        (local.set $i (i32.const 0))
        (loop $row
          (local.set $j (i32.const 0))
          (loop $column
            (local.set $k (i32.const 0))
            (local.set $f (f64.const 0))
            (loop $sum
              (local.set $f (f64.add (local.get $f) (f64.mul
                (f64.load (i32.add (i32.shl (local.get $i) (i32.const 9)) (i32.shl (local.get $k) (i32.const 3))))
                (f64.load offset=32768
                  (i32.add (i32.shl (local.get $k) (i32.const 9)) (i32.shl (local.get $j) (i32.const 3)))))))
              (br_if $sum (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 64))))
            (f64.store offset=65536
              (i32.add (i32.shl (local.get $i) (i32.const 9)) (i32.shl (local.get $j) (i32.const 3))) (local.get $f))
            (br_if $column (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 64))))
          (br_if $row (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
        """
}
