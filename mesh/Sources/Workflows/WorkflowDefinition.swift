package import MeshTypes

/// A plan over simple jobs (docs/workflows.md): stages, where each has what it reads from, and what comes out.
///
/// A definition that was read from a file names files and folders by their paths; one that is handed to a node names
/// all of them by their CIDs.
package struct WorkflowDefinition: Hashable, Sendable, Codable {
    /// The version of the form; 1.
    package var version: UInt64 = 1
    /// What to call it.
    package var name: String
    /// The most that all jobs together may cost, in the smallest unit; nil for no bound.
    package var budget: UInt64?
    /// Jobs that run at the same time; nil for `WorkflowLimits.parallelUsual`.
    package var parallel: UInt64?
    /// How results are checked where a stage does not say, as in `mesh run --verify`; nil for the node's default.
    package var verification: String?
    /// Which earlier results serve where a stage does not say; nil for none.
    package var memo: MemoRule?
    /// Files and folders by name.
    package var inputs: CanonicalMap<WorkflowContent>
    /// The stages, in the order in which they are shown.
    package var stages: [StageDefinition]
    /// What comes out, by name.
    package var outputs: CanonicalMap<WorkflowSource>

    package init(
        name: String, inputs: CanonicalMap<WorkflowContent> = [:], stages: [StageDefinition],
        outputs: CanonicalMap<WorkflowSource> = [:], budget: UInt64? = nil, parallel: UInt64? = nil
    ) {
        self.name = name
        self.inputs = inputs
        self.stages = stages
        self.outputs = outputs
        self.budget = budget
        self.parallel = parallel
    }

    enum CodingKeys: String, CodingKey {
        case version, name, budget, parallel, memo, inputs, stages, outputs
        case verification = "verify"
    }

    /// The inputs with their names, in order.
    package var namedInputs: [(name: String, content: WorkflowContent)] {
        inputs.map { (name: $0.key, content: $0.value) }
    }

    /// How the results of a stage are checked; nil for the node's default.
    package func verification(of stage: StageDefinition) -> String? {
        stage.verification ?? (stage.isAttested ? "\(VerificationLevel.none)" : verification)
    }

    /// The same, read.
    func level(of stage: StageDefinition) -> VerificationLevel? {
        verification(of: stage).flatMap { VerificationLevel(text: $0) }
    }

    /// Which earlier results serve in place of a stage's jobs.
    package func memo(of stage: StageDefinition) -> MemoRule {
        stage.memo ?? (stage.isAttested ? .off : memo) ?? .off
    }

    /// Has the same earlier results serve in all stages.
    package mutating func serve(_ rule: MemoRule) {
        memo = rule
        for index in stages.indices { stages[index].memo = nil }
    }

    /// Sets an input.
    package mutating func setInput(_ name: String, _ content: WorkflowContent) { inputs[name] = content }
}

/// A file or a folder that a workflow is given.
package struct WorkflowContent: Hashable, Sendable, Codable {
    /// A path, or a CID.
    package var source: String
    /// Whether it is a folder.
    package var isFolder: Bool

    package init(source: String, isFolder: Bool) {
        self.source = source
        self.isFolder = isFolder
    }

    enum CodingKeys: String, CodingKey {
        case source
        case isFolder = "folder"
    }
}

/// Where a stage has something from. It is written as `inputs.NAME`, `stages.STAGE.OUTPUT` or `item`.
///
/// The output of a fan-out is a folder with the outputs of all its items, by the names of the items.
package enum WorkflowSource: Hashable, Sendable {
    /// An input of the workflow.
    case input(String)
    /// An output of an earlier stage.
    case output(stage: String, name: String)
    /// The file or folder that this item of a fan-out stands for.
    case item

    /// Reads one; nil if it is none.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard !parts.contains("") else { return nil }
        switch (parts.first, parts.count) {
        case ("item", 1): self = .item
        case ("inputs", 2): self = .input(parts[1])
        case ("stages", 3): self = .output(stage: parts[1], name: parts[2])
        default: return nil
        }
    }

    /// As it is written.
    package var text: String {
        switch self {
        case .input(let name): "inputs.\(name)"
        case .output(let stage, let name): "stages.\(stage).\(name)"
        case .item: "item"
        }
    }
}

extension WorkflowSource: Codable {
    /// Reads the text.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let source = WorkflowSource(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no source")
        }
        self = source
    }

    /// Writes the text.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// One stage: a job, or one job for each item of a fan-out.
package struct StageDefinition: Hashable, Sendable, Codable {
    /// The name of the stage.
    package var id: String
    /// The module: a path, or a CID.
    package var module: String
    /// The function to call; nil means `_start`.
    package var entry: String?
    /// Arguments; `{item}` and `{index}` stand for the item of a fan-out.
    package var args: [String] = []
    /// The environment, with the same words.
    package var env: CanonicalMap<String> = [:]
    /// Inputs by name; the one named `stdin` is standard input.
    package var inputs: CanonicalMap<WorkflowSource> = [:]
    /// What the module finds at which path.
    package var mounts: [StageMount] = []
    /// Where relative paths begin.
    package var workingFolder: String?
    /// Whether there is an empty folder `/tmp` to write to.
    package var hasTemporaryFolder = false
    /// Patterns of files to keep, by the names of outputs.
    package var collect: CanonicalMap<String> = [:]
    /// Outputs that the module itself writes by name, beside stdout, stderr and log.
    package var outputs: [String] = []
    /// The limits of each job.
    package var limits = StageLimits()
    /// Who may run it.
    package var policy = StagePolicy()
    /// The most that one job may cost, in the smallest unit; nil for no bound.
    package var jobBudget: UInt64?
    /// How often a job is submitted again that the mesh failed.
    package var retries: UInt64 = 0
    /// How results are checked, as in `mesh run --verify`; nil for what the workflow says.
    package var verification: String?
    /// Which earlier results serve in place of a run; nil for what the workflow says.
    package var memo: MemoRule?
    /// `deterministic`, the same as nil, or `attested` for jobs that nobody can repeat.
    package var determinism: String?
    /// What a failure of the stage, or of an item, does.
    package var onFailure = FailureRule.fail
    /// The exit codes that count as success.
    package var accept: [Int64] = [0]
    /// What the stage runs once for each of; nil for once.
    package var forEach: FanOut?
    /// What must be so that the stage runs at all; else it is skipped.
    package var when: [StageCondition] = []

    package init(id: String, module: String) {
        self.id = id
        self.module = module
    }

    enum CodingKeys: String, CodingKey {
        case id, module, entry, args, env, inputs, mounts, collect, outputs, limits, policy, retries, memo, accept, when
        case determinism
        case workingFolder = "workdir"
        case hasTemporaryFolder = "tmp"
        case jobBudget = "job_budget"
        case verification = "verify"
        case onFailure = "on_failure"
        case forEach = "for_each"
    }

    /// Whether nobody can repeat its jobs.
    package var isAttested: Bool { determinism == DeterminismProfile.attested.rawValue }

    /// Whether the job has files.
    package var hasFiles: Bool {
        !mounts.isEmpty || workingFolder != nil || hasTemporaryFolder || collect.map(\.key) != []
    }

    /// All that it reads, with the place in the stage where that stands.
    package var sources: [(place: String, source: WorkflowSource)] {
        var all = inputs.map { (place: "inputs.\($0.key)", source: $0.value) }
        for (index, mount) in mounts.enumerated() {
            if let source = mount.source { all.append((place: "mounts[\(index)].from", source: source)) }
        }
        if case .folder(let source) = forEach { all.append((place: "for_each.folder", source: source)) }
        return all
    }

    /// The stages that must be over before it begins, each once.
    package var needs: [String] {
        var names: [String] = []
        for (_, source) in sources {
            if case .output(let stage, _) = source, !names.contains(stage) { names.append(stage) }
        }
        for condition in when where !names.contains(condition.stage) { names.append(condition.stage) }
        return names
    }
}

/// What a module finds at a path.
package struct StageMount: Hashable, Sendable, Codable {
    /// The path, from the root.
    package var path: String
    /// What is there; nil for an empty folder to write to.
    package var source: WorkflowSource?
    /// Whether the module may change its copy.
    package var isWritable: Bool

    package init(path: String, source: WorkflowSource?, isWritable: Bool = false) {
        self.path = path
        self.source = source
        self.isWritable = isWritable
    }

    enum CodingKeys: String, CodingKey {
        case path
        case source = "from"
        case isWritable = "writable"
    }
}

/// The limits of a stage's jobs; nil means the node's default.
package struct StageLimits: Hashable, Sendable, Codable {
    /// Seconds of wall clock.
    package var timeoutSeconds: UInt64?
    /// Units of fuel.
    package var maxFuel: UInt64?
    /// Bytes of linear memory.
    package var maxMemoryBytes: UInt64?
    /// Bytes of all outputs together.
    package var maxOutputBytes: UInt64?
    /// Bytes of files of its own.
    package var maxFileBytes: UInt64?
    /// Files, folders and links of its own.
    package var maxEntries: UInt64?

    package init() {}

    enum CodingKeys: String, CodingKey {
        case timeoutSeconds = "timeout"
        case maxFuel = "fuel"
        case maxMemoryBytes = "memory"
        case maxOutputBytes = "output"
        case maxFileBytes = "files"
        case maxEntries = "entries"
    }
}

/// Who may run a stage's jobs; nil means the node's default.
package struct StagePolicy: Hashable, Sendable, Codable {
    /// The least reputation of an executor, from 0 to 1000.
    package var minReputation: UInt64?
    /// Allowed regions.
    package var regions: [String]?
    /// Allowed DIDs.
    package var allowedDIDs: [String]?
    /// Denied DIDs.
    package var deniedDIDs: [String]?
    /// How long bids are waited for, in milliseconds.
    package var bidWindowMilliseconds: UInt64?
    /// How many acceptable bids end the wait early.
    package var sufficientBids: UInt64?
    /// Features that an executor must state.
    package var features: [String]?
    /// What an executor must have, by the name of the resource.
    package var resources: ResourceAmounts?
    /// When an executor must promise the result, in milliseconds since the Unix epoch.
    package var deadline: UInt64?
    /// How the acceptable bids are compared.
    package var weights: SelectionWeights?
    /// How many executors are tried in turn.
    package var maxAttempts: UInt64?
    /// Whether bids are committed to first, and shown to everybody after the window.
    package var publicBids: Bool?
    /// Whether the executor tells the state of the run to everybody.
    package var publicStatus: Bool?
    /// Whether another executor is asked as well where a run is slow.
    package var hedge: Bool?

    package init() {}

    enum CodingKeys: String, CodingKey {
        case minReputation = "min_reputation"
        case regions, features, resources, deadline, weights
        case maxAttempts = "attempts"
        case publicBids = "public_bids"
        case publicStatus = "public_status"
        case allowedDIDs = "allow"
        case deniedDIDs = "deny"
        case bidWindowMilliseconds = "bid_window_ms"
        case sufficientBids = "sufficient_bids"
        case hedge
    }
}

/// Which results of earlier jobs serve in place of a run of the same work (docs/workflows.md, "Results that serve
/// again").
package enum MemoRule: String, Hashable, Sendable, Codable, CaseIterable {
    /// None: every job runs.
    case off
    /// Those that this node has checked itself, or ran itself.
    case own
    /// Also those that it believed, of executors whom the stage's policy admits.
    case trusted
}

/// What the failure of a stage does.
package enum FailureRule: String, Hashable, Sendable, Codable, CaseIterable {
    /// It fails the workflow.
    case fail
    /// The stage, or the item, counts as skipped.
    case skip
}

/// What a stage runs once for each of.
package enum FanOut: Hashable, Sendable, Codable {
    /// The entries of a folder.
    case folder(WorkflowSource)
    /// Texts.
    case list([String])
    /// The numbers from the first to the last, both included.
    case range(from: Int64, through: Int64)

    enum FolderCodingKeys: String, CodingKey {
        case _0 = "of"
    }

    enum ListCodingKeys: String, CodingKey {
        case _0 = "items"
    }

    enum RangeCodingKeys: String, CodingKey {
        case from
        case through = "to"
    }
}

/// That a stage ended with one of some exit codes.
package struct StageCondition: Hashable, Sendable, Codable {
    /// The stage, which is no fan-out.
    package var stage: String
    /// The codes.
    package var exitCodes: [Int64]

    package init(stage: String, exitCodes: [Int64]) {
        self.stage = stage
        self.exitCodes = exitCodes
    }

    enum CodingKeys: String, CodingKey {
        case stage
        case exitCodes = "exit_codes"
    }
}

extension WorkflowDefinition {
    /// The commonest workflow: one job for each file of a folder, which reads it as standard input. An item that fails
    /// is left out, and the others go on.
    package static func map(
        _ stage: StageDefinition, over folder: String, name: String, parallel: UInt64?
    ) -> WorkflowDefinition {
        var stage = stage
        stage.forEach = .folder(.input("items"))
        stage.inputs["stdin"] = .item
        stage.onFailure = .skip
        return WorkflowDefinition(
            name: name, inputs: ["items": WorkflowContent(source: folder, isFolder: true)], stages: [stage],
            outputs: ["stdout": .output(stage: stage.id, name: "stdout")], parallel: parallel)
    }

    /// Whether this is such a workflow, by whatever name and terms: its owner asked for every item.
    package var isMap: Bool {
        guard let stage = stages.first, stages.count == 1, inputs.count == 1, let folder = inputs["items"]?.source
        else { return false }
        let map = Self.map(stage, over: folder, name: name, parallel: parallel)
        return stages == map.stages && outputs == map.outputs
    }
}
