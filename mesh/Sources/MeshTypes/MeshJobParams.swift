public import Multiformats

/// The canonical description of a job (PROTOCOL.md, "Job parameters"); the manifest carries it unchanged.
public struct MeshJobParams: Hashable, Sendable, Codable {
    /// The WebAssembly module.
    public var wasmCID: CID
    /// The exported function that starts it; absent means `_start`.
    public var entry: String?
    /// Arguments, without the program's name.
    public var args: [String]
    /// Environment variables.
    public var env: CanonicalMap<String>
    /// Input blocks by name; the one named `stdin` is standard input.
    public var inputCIDs: CanonicalMap<CID>
    /// Wall clock of the run, in seconds.
    public var timeoutSeconds: UInt64
    /// Fuel of the run.
    public var maxFuel: UInt64
    /// Linear memory, in bytes.
    public var maxMemoryBytes: UInt64
    /// All outputs together, in bytes.
    public var maxOutputBytes: UInt64
    /// What the executor must have, by resource type.
    public var resourcesRequired: ResourceAmounts
    /// The shape of the job.
    public var workflowType: WorkflowType
    /// The stages of a workflow; empty for a single module.
    public var stages: [WorkflowStage]
    /// Whether the user talks to the module while it runs.
    public var isInteractive: Bool
    /// What the executor must be like.
    public var executionPolicy: ExecutionPolicy?
    /// The budget of the job.
    public var maxAcceptableBidTokens: TokenAmount?
    /// A token that authorizes the use of resources, opaque here.
    public var scopedResourceToken: String?
    /// The profile asked for.
    public var determinism: DeterminismProfile
    /// How the result is to be checked.
    public var verification: VerificationPlan
    /// The schema that the outputs promise to follow.
    public var expectedOutputSchemaCID: CID?
    /// A description for people.
    public var description: String?

    /// A single-module job with a client's default limits and no demands.
    public init(wasmCID: CID, limits: ExecutionLimits = .standard) {
        self.wasmCID = wasmCID
        args = []
        env = [:]
        inputCIDs = [:]
        timeoutSeconds = limits.timeoutSeconds
        maxFuel = limits.maxFuel
        maxMemoryBytes = limits.maxMemoryBytes
        maxOutputBytes = limits.maxOutputBytes
        resourcesRequired = [:]
        workflowType = .singleWasmModule
        stages = []
        isInteractive = false
        determinism = .deterministic
        verification = .none
    }

    /// The four limits together.
    public var limits: ExecutionLimits {
        get {
            ExecutionLimits(
                timeoutSeconds: timeoutSeconds, maxFuel: maxFuel, maxMemoryBytes: maxMemoryBytes,
                maxOutputBytes: maxOutputBytes)
        }
        set {
            timeoutSeconds = newValue.timeoutSeconds
            maxFuel = newValue.maxFuel
            maxMemoryBytes = newValue.maxMemoryBytes
            maxOutputBytes = newValue.maxOutputBytes
        }
    }

    /// The exported function that starts the module, `_start` if none is named.
    public var entryName: String { entry ?? "_start" }

    /// The most that a bid may ask: the smaller of the policy's maximum price and the job's budget.
    public var priceCeiling: TokenAmount? {
        switch (executionPolicy?.maxPrice, maxAcceptableBidTokens) {
        case (let policy?, let budget?): min(policy, budget)
        case (let policy?, nil): policy
        case (nil, let budget): budget
        }
    }

    enum CodingKeys: String, CodingKey {
        case wasmCID = "wasm_cid"
        case entry
        case args
        case env
        case inputCIDs = "input_cids"
        case timeoutSeconds = "timeout_seconds"
        case maxFuel = "max_fuel"
        case maxMemoryBytes = "max_memory_bytes"
        case maxOutputBytes = "max_output_bytes"
        case resourcesRequired = "resources_required"
        case workflowType = "workflow_type"
        case stages
        case isInteractive = "is_interactive"
        case executionPolicy = "execution_policy"
        case maxAcceptableBidTokens = "max_acceptable_bid_tokens"
        case scopedResourceToken = "scoped_resource_token"
        case determinism
        case verification
        case expectedOutputSchemaCID = "expected_output_schema_cid"
        case description
    }
}

/// How the originator checks the result of a job beyond its signature.
public enum VerificationPlan: Hashable, Sendable, Codable {
    /// The signed receipt is enough.
    case none
    /// The originator replays a share of jobs, in thousandths.
    case spotCheck(permille: UInt64)
    /// The job runs on several executors and this many must agree.
    case quorum(agreeing: UInt64, of: UInt64)

    enum CodingKeys: String, CodingKey {
        case none
        case spotCheck = "spot_check"
        case quorum
    }
}
