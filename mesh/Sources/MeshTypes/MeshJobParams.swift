package import Multiformats

/// The canonical description of a job (PROTOCOL.md, "Job parameters"); the manifest carries it unchanged.
package struct MeshJobParams: Hashable, Sendable, Codable {
    /// The WebAssembly module.
    package var wasmCID: CID
    /// The exported function that starts it; absent means `_start`.
    package var entry: String?
    /// The numbers that it is called with, if it is called for its results; absent if it is a program's entry.
    package var invoke: [WasmNumber]?
    /// Arguments, without the program's name.
    package var args: [String]
    /// Environment variables.
    package var env: CanonicalMap<String>
    /// Input blocks by name; the one named `stdin` is standard input.
    package var inputCIDs: CanonicalMap<CID>
    /// Wall clock of the run, in seconds.
    package var timeoutSeconds: UInt64
    /// Fuel of the run.
    package var maxFuel: UInt64
    /// Linear memory, in bytes.
    package var maxMemoryBytes: UInt64
    /// All outputs together, in bytes.
    package var maxOutputBytes: UInt64
    /// What the executor must have, by resource type.
    package var resourcesRequired: ResourceAmounts
    /// The shape of the job.
    package var workflowType: WorkflowType
    /// The stages of a workflow; empty for a single module.
    package var stages: [WorkflowStage]
    /// Whether the user talks to the module while it runs.
    package var isInteractive: Bool
    /// What the executor must be like.
    package var executionPolicy: ExecutionPolicy?
    /// The budget of the job.
    package var maxAcceptableBidTokens: TokenAmount?
    /// A token that authorizes the use of resources, opaque here.
    package var scopedResourceToken: String?
    /// The profile asked for.
    package var determinism: DeterminismProfile
    /// How the result is to be checked.
    package var verification: VerificationPlan
    /// The schema that the outputs promise to follow.
    package var expectedOutputSchemaCID: CID?
    /// A description for people.
    package var description: String?
    /// The files that the module sees; absent if it sees none.
    package var files: JobFiles?
    /// How long it may wait for its user; absent if it is not interactive.
    package var session: SessionTerms?

    /// A single-module job with a client's default limits and no demands.
    package init(wasmCID: CID, limits: ExecutionLimits = .standard) {
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
    package var limits: ExecutionLimits {
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

    /// What the blocks of all outputs together may have, in bytes: a folder has blocks besides its files, a job with
    /// files has a list of what was read, and a session may have a transcript.
    package var outputBlockBytesMax: UInt64 {
        let transcript = session?.transcript == nil ? 0 : UInt64(SessionTerms.Limits.transcriptBytesMax)
        let files = files == nil ? 0 : maxOutputBytes / 64 + UInt64(ReadList.Limits().bytesMax)
        return maxOutputBytes + files + transcript
    }

    /// The exported function that starts the module, `_start` if none is named.
    package var entryName: String { entry ?? "_start" }

    /// The most that a bid may ask: the smaller of the policy's maximum price and the job's budget.
    package var priceCeiling: TokenAmount? {
        switch (executionPolicy?.maxPrice, maxAcceptableBidTokens) {
        case (let policy?, let budget?): min(policy, budget)
        case (let policy?, nil): policy
        case (nil, let budget): budget
        }
    }

    /// Whether nobody can repeat the run although it talks with nobody ("Attested runs").
    package var isAttestedAlone: Bool { determinism == .attested && session == nil }

    enum CodingKeys: String, CodingKey {
        case wasmCID = "wasm_cid"
        case entry
        case invoke
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
        case files
        case session
    }
}

/// How the originator checks the result of a job beyond its signature.
package enum VerificationPlan: Hashable, Sendable, Codable {
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
