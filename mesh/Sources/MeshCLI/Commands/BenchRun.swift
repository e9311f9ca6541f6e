import ArgumentParser
import MeshHTTP
import NodeAPI
import Subprocess
import SystemPackage

/// `mesh bench run`: how long the command takes that users type.
struct BenchRun: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Call mesh run with a small module again and again, and measure each call as a whole.",
        discussion: """
            Each call is a process of its own, from its start to its end, without options; the module comes from \
            standard input. The exit code is that of the first call that failed.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many calls, one after the other; by default 100.", transform: Quantity.number("above 0"))
    var count = 100

    @Option(
        help: "How many calls to make first without counting them; by default 5.",
        transform: Quantity.number("from 0 on")
    )
    var warmUp = 5

    @Option(help: "The module to run; by default one that returns at once.", completion: .file())
    var module: String?

    func validate() throws {
        guard count > 0, warmUp >= 0 else {
            throw ValidationError("--count must be above 0, and --warm-up at least 0.")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let bytesMax = try await global.node.limits().moduleBytesMax
        let bytes = try module.map { try LocalFile.read($0, bytesMax: bytesMax) } ?? BenchJobs.emptyModule
        let program = try Devnet.executable()
        for _ in 0..<warmUp { _ = try await call(program, bytes) }
        var times: [Duration] = []
        var failure: Int32?
        for _ in 0..<count {
            let (took, status) = try await call(program, bytes)
            times.append(took)
            if failure == nil, status != 0 { failure = status }
        }
        let report = RunBenchReport(times)
        if global.json { try console.json(report) } else { console.out(report.text) }
        return ExitCode(failure ?? 0)
    }

    /// Calls the command once; returns how long it took, and its exit code.
    private func call(_ program: String, _ module: [UInt8]) async throws -> (took: Duration, status: Int32) {
        let began = ContinuousClock.now
        let result = try await Subprocess.run(
            .path(.init(program)), arguments: ["run", "--home", global.nodeHome.path, LocalFile.stream],
            input: .array(module), output: .discarded, error: .discarded)
        let took = ContinuousClock.now - began
        guard case .exited(let code) = result.terminationStatus else {
            throw NodeServiceError(.internalError, "mesh run was killed.")
        }
        return (took, code)
    }
}

/// What `mesh bench run` measured.
struct RunBenchReport: Encodable {
    let calls: Int
    let p50Milliseconds: Double
    let p99Milliseconds: Double
    let maxMilliseconds: Double

    init(_ times: [Duration]) {
        let sorted = times.map { BenchReport.milliseconds($0) }.sorted()
        calls = sorted.count
        p50Milliseconds = BenchReport.percentile(50, of: sorted)
        p99Milliseconds = BenchReport.percentile(99, of: sorted)
        maxMilliseconds = sorted.last ?? 0
    }

    private enum CodingKeys: String, CodingKey {
        case calls
        case p50Milliseconds = "p50_ms"
        case p99Milliseconds = "p99_ms"
        case maxMilliseconds = "max_ms"
    }

    /// The figures for people.
    var text: String {
        Table.facts([
            ("calls", String(calls)), ("p50", "\(BenchReport.tenths(p50Milliseconds)) ms"),
            ("p99", "\(BenchReport.tenths(p99Milliseconds)) ms"), ("max", "\(BenchReport.tenths(maxMilliseconds)) ms"),
        ])
    }
}
