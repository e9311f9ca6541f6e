import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import Synchronization

/// `mesh bench`: measures the node it runs against.
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the mesh around this node.",
        subcommands: [BenchJobs.self, BenchRun.self, BenchSession.self, BenchWorkflow.self, BenchCredit.self])
}

/// `mesh bench jobs`: many jobs, from submission to verified receipt.
struct BenchJobs: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "Submit many small jobs and measure from submission to verified receipt.",
        discussion: "The exit code is that of mesh run for the first job that failed.")

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many jobs; by default 200.", transform: Quantity.number("above 0"))
    var count = 200

    @Option(help: "How many jobs at once; by default 32.", transform: Quantity.number("above 0"))
    var inFlight = 32

    @Option(
        help: "How many jobs to run first without counting them; by default 5.", transform: Quantity.number("from 0 on")
    )
    var warmUp = 5

    @Option(help: "The module to run; by default one that returns at once.", completion: .file())
    var module: String?

    @Option(help: "Acceptable bids that end the wait for bids.", transform: Quantity.whole("a number of bids"))
    var sufficientBids: UInt64?

    func validate() throws {
        guard count > 0, inFlight > 0 else {
            throw ValidationError("--count and --in-flight must be above 0.")
        }
        guard warmUp >= 0 else { throw ValidationError("--warm-up must be at least 0.") }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let bytesMax = try await node.limits().moduleBytesMax
        let bytes = try module.map { try LocalFile.read($0, bytesMax: bytesMax) }
        let cid = try await node.add(bytes ?? Self.emptyModule).cid
        func measure(_ jobs: Int) async throws -> [BenchReport.Run] {
            try await Self.measure(
                jobs: jobs, inFlight: inFlight, module: cid, sufficientBids: sufficientBids, node)
        }
        if warmUp > 0 { _ = try await measure(warmUp) }
        let clock = ContinuousClock()
        let began = clock.now
        let runs = try await measure(count)
        let report = BenchReport(runs: runs, count: count, inFlight: inFlight, elapsed: clock.now - began)
        if global.json { try console.json(report) } else { console.out(report.text) }
        return ExitCode(report.exitCode)
    }

    /// Runs jobs with at most `inFlight` at once.
    static func measure(
        jobs: Int, inFlight: Int, module: String, sufficientBids: UInt64?, _ node: NodeClient
    ) async throws -> [BenchReport.Run] {
        try await withThrowingTaskGroup(of: BenchReport.Run.self) { group in
            var started = 0
            var runs: [BenchReport.Run] = []
            while started < min(inFlight, jobs) {
                started += 1
                group.addTask { try await runOne(module, sufficientBids, node) }
            }
            while let run = try await group.next() {
                runs.append(run)
                guard started < jobs else { continue }
                started += 1
                group.addTask { try await runOne(module, sufficientBids, node) }
            }
            return runs
        }
    }

    /// Runs one job from submission to its verified end; it costs tokens, or an issuer pays it.
    static func runOne(
        _ module: String, _ sufficientBids: UInt64?, _ node: NodeClient,
        paidBy credit: (issuer: String, budget: UInt64)? = nil
    ) async throws -> BenchReport.Run {
        let clock = ContinuousClock()
        let began = clock.now
        var submission = JobSubmission(moduleCID: module, label: "bench")
        submission.policy.sufficientBids = sufficientBids
        if let credit { (submission.policy.payBy, submission.budget) = ([credit.issuer], credit.budget) }
        let accepted = try await node.submit(submission)
        let submitted = clock.now
        let jobID = try JobReference.cid(accepted.jobID)
        for await event in try await node.progress(of: jobID, .result) {
            guard let result = event.result else { continue }
            let code = ExitStatus.code(for: result)
            let failure = BenchReport.Run.Outcome.failed(
                result.detail, code == 0 ? ExitStatus.receiptInvalid.rawValue : code)
            return .init(
                submitted: submitted - began, ended: clock.now - began,
                outcome: code == 0 && result.isReceiptVerified ? .verified : failure)
        }
        return .init(submitted: submitted - began, ended: clock.now - began, outcome: .lost)
    }

    /// A module with a memory and a `_start` that returns at once.
    static let emptyModule: [UInt8] = [
        0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00,
        0x01, 0x04, 0x01, 0x60, 0x00, 0x00,  // type 0: no parameters, no results
        0x03, 0x02, 0x01, 0x00,  // function 0 of type 0
        0x05, 0x03, 0x01, 0x00, 0x01,  // a memory of one page
        0x07, 0x13, 0x02,  // two exports
        0x06, 0x6D, 0x65, 0x6D, 0x6F, 0x72, 0x79, 0x02, 0x00,  // "memory"
        0x06, 0x5F, 0x73, 0x74, 0x61, 0x72, 0x74, 0x00, 0x00,  // "_start"
        0x0A, 0x04, 0x01, 0x02, 0x00, 0x0B,  // its body: end
    ]
}
