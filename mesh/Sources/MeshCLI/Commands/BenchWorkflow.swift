import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI
import Workflows

/// `mesh bench workflow`: what a plan costs over its jobs.
struct BenchWorkflow: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "workflow",
        abstract: "Run pipelines and a fan-out, and the same jobs without a plan in turn with them, and compare.",
        discussion: "The exit code is 0 if every job and workflow succeeded, else 217.")

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many pipelines; by default 50.", transform: Quantity.number("above 0"))
    var count = 50

    @Option(help: "Stages of a pipeline, 1 to 64; by default 3.", transform: Quantity.number("from 1 to 64"))
    var stages = 3

    @Option(
        help: "Items of the fan-out, 0 to 10000; by default 1000. 0 leaves it out.",
        transform: Quantity.number("from 0 to 10000"))
    var items = 1_000

    @Option(help: "Jobs of the fan-out at once, 1 to 256; by default 32.", transform: Quantity.number("from 1 to 256"))
    var parallel = 32

    func validate() throws {
        let limits = WorkflowLimits()
        guard count > 0, (1...limits.stagesMax).contains(stages), (0...limits.itemsMax).contains(items),
            (1...limits.parallelMax).contains(parallel)
        else {
            throw ValidationError("a number is out of its bounds; mesh bench workflow --help tells them.")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let module = try await node.add(BenchJobs.emptyModule).cid
        _ = try await chain(module, node)
        var report = WorkflowBenchReport(stages: stages)
        // In turn, so that what the machine does besides hits both.
        for _ in 0..<count {
            report.add(jobs: try await chain(module, node), pipeline: try await run(pipeline(module), node))
        }
        if items > 0 {
            let clock = ContinuousClock()
            let began = clock.now
            let runs = try await BenchJobs.measure(
                jobs: items, inFlight: parallel, module: module, sufficientBids: nil, node)
            let jobs = BenchReport(runs: runs, count: items, inFlight: parallel, elapsed: clock.now - began)
            var memory = MemoryFigures(before: try await node.status().residentBytes)
            let elapsed = try await run(fanOut(module), node, &memory)
            memory.after = try await node.status().residentBytes
            report.add(fanOut: elapsed, items: items, jobs: jobs, memory: memory)
        }
        if global.json { try console.json(report) } else { console.out(report.text) }
        return report.failed == 0 ? .success : ExitCode(ExitStatus.workflowFailed.rawValue)
    }

    /// The jobs of a pipeline, one after the other; the time that they take together, or `nil` if one failed.
    private func chain(_ module: String, _ node: NodeClient) async throws -> Duration? {
        let clock = ContinuousClock()
        let began = clock.now
        for _ in 0..<stages {
            guard case .verified = try await BenchJobs.runOne(module, nil, node).outcome else { return nil }
        }
        return clock.now - began
    }

    private func run(_ definition: WorkflowDefinition, _ node: NodeClient) async throws -> Duration? {
        var memory = MemoryFigures(before: 0)
        return try await run(definition, node, &memory)
    }

    /// A workflow from submission until its receipt is on the disk; the time, or `nil` if it failed. The node's memory
    /// is looked at once a second.
    private func run(
        _ definition: WorkflowDefinition, _ node: NodeClient, _ memory: inout MemoryFigures
    ) async throws -> Duration? {
        let clock = ContinuousClock()
        let began = clock.now
        var view = try await node.begin(WorkflowSubmission(definition: definition, key: UUID().uuidString))
        let id = try JobReference.cid(view.workflowID)
        var looked = began
        while !view.isOver {
            view = try await node.workflow(id, past: view.version)
            guard clock.now - looked >= .seconds(1) else { continue }
            looked = clock.now
            memory.saw(try await node.status().residentBytes)
        }
        return view.status == .succeeded ? clock.now - began : nil
    }

    private func pipeline(_ module: String) -> WorkflowDefinition {
        WorkflowDefinition(
            name: "bench",
            stages: (0..<stages).map { number in
                var stage = StageDefinition(id: "s\(number)", module: module)
                if number > 0 { stage.when = [StageCondition(stage: "s\(number - 1)", exitCodes: [0])] }
                return stage
            })
    }

    private func fanOut(_ module: String) -> WorkflowDefinition {
        var stage = StageDefinition(id: "each", module: module)
        stage.forEach = .range(from: 1, through: Int64(items))
        return WorkflowDefinition(name: "bench", stages: [stage], parallel: UInt64(parallel))
    }
}

/// How much memory a node's process had in a fan-out, in bytes.
struct MemoryFigures: Encodable {
    let before: UInt64
    /// The most that was seen.
    private(set) var peak: UInt64
    var after: UInt64 {
        didSet { saw(after) }
    }

    init(before: UInt64) {
        self.before = before
        peak = before
        after = before
    }

    mutating func saw(_ bytes: UInt64) { peak = max(peak, bytes) }

    private enum CodingKeys: String, CodingKey {
        case before = "before_bytes"
        case peak = "peak_bytes"
        case after = "after_bytes"
    }
}

/// The figures of `mesh bench workflow`.
struct WorkflowBenchReport: Encodable {
    let stages: Int
    private(set) var pipelines = 0
    private(set) var failed = 0
    private var jobTimes: [Double] = []
    private var pipelineTimes: [Double] = []
    /// Items of the fan-out.
    private(set) var items: Int?
    /// Items a second of the fan-out.
    private(set) var itemsPerSecond: Double?
    /// Jobs a second without a plan, as many of them.
    private(set) var jobsPerSecond: Double?
    /// The originator's memory in the fan-out.
    private(set) var memory: MemoryFigures?

    init(stages: Int) { self.stages = stages }

    /// Takes a pipeline, and its jobs without one; `nil` stands for a failure.
    mutating func add(jobs: Duration?, pipeline: Duration?) {
        pipelines += 1
        guard let jobs, let pipeline else {
            failed += 1
            return
        }
        jobTimes.append(BenchReport.milliseconds(jobs))
        pipelineTimes.append(BenchReport.milliseconds(pipeline))
    }

    /// Takes the fan-out, and as many jobs without one.
    mutating func add(fanOut: Duration?, items: Int, jobs: BenchReport, memory: MemoryFigures) {
        self.items = items
        self.memory = memory
        jobsPerSecond = jobs.jobsPerSecond
        if let fanOut { itemsPerSecond = Double(items) * 1_000 / BenchReport.milliseconds(fanOut) }
        if fanOut == nil || jobs.verified < jobs.count { failed += 1 }
    }

    /// The median time of a pipeline's jobs without one, in milliseconds.
    var jobsP50Milliseconds: Double { BenchReport.percentile(50, of: jobTimes.sorted()) }
    /// The median time of a pipeline, in milliseconds.
    var pipelineP50Milliseconds: Double { BenchReport.percentile(50, of: pipelineTimes.sorted()) }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(stages, forKey: .stages)
        try container.encode(pipelines, forKey: .pipelines)
        try container.encode(failed, forKey: .failed)
        try container.encode(jobsP50Milliseconds, forKey: .jobsP50)
        try container.encode(pipelineP50Milliseconds, forKey: .pipelineP50)
        try container.encodeIfPresent(items, forKey: .items)
        try container.encodeIfPresent(itemsPerSecond, forKey: .itemsPerSecond)
        try container.encodeIfPresent(jobsPerSecond, forKey: .jobsPerSecond)
        try container.encodeIfPresent(memory, forKey: .memory)
    }

    private enum CodingKeys: String, CodingKey {
        case stages, pipelines, failed, items, memory
        case jobsP50 = "jobs_p50_ms"
        case pipelineP50 = "pipeline_p50_ms"
        case itemsPerSecond = "items_per_second"
        case jobsPerSecond = "jobs_per_second"
    }

    /// The figures for people.
    var text: String {
        let over = pipelineP50Milliseconds - jobsP50Milliseconds
        var facts = [
            ("pipelines", "\(pipelines) of \(stages) stages, \(failed) failed"),
            ("jobs alone", "p50 \(BenchReport.tenths(jobsP50Milliseconds)) ms for the jobs of one"),
            ("pipeline", "p50 \(BenchReport.tenths(pipelineP50Milliseconds)) ms"),
            ("overhead", "\(BenchReport.tenths(over)) ms"),
        ]
        if let items, let itemsPerSecond, let jobsPerSecond {
            facts.append(("fan-out", "\(items) items, \(BenchReport.tenths(itemsPerSecond)) a second"))
            facts.append(("as many jobs", "\(BenchReport.tenths(jobsPerSecond)) a second"))
        }
        if let memory {
            let words = [memory.before, memory.peak, memory.after].map(Readable.bytes)
            facts.append(("memory", "\(words[0]) before the fan-out, at most \(words[1]), \(words[2]) after it"))
        }
        return Table.facts(facts)
    }
}
