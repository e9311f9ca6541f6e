package import Multiformats

/// The shape of a job.
package enum WorkflowType: String, Hashable, Sendable, Codable, CaseIterable {
    /// One module, run once.
    case singleWasmModule = "SingleWasmModule"
    /// Stages in sequence, each reading what the one before wrote.
    case sequentialPipeline = "SequentialPipeline"
    /// Stages that form a directed acyclic graph.
    case dagWorkflow = "DagWorkflow"
}

/// One stage of a workflow.
package struct WorkflowStage: Hashable, Sendable, Codable {
    /// The name of the stage, unique in its job.
    package var id: String
    /// The module it runs.
    package var wasmCID: CID
    /// Where each named input comes from.
    package var inputs: CanonicalMap<StageInput>
    /// Its own fuel, or the job's.
    package var maxFuel: UInt64?
    /// Its own wall clock in seconds, or the job's.
    package var timeoutSeconds: UInt64?
    /// How often the stage is retried after a failure of the node.
    package var maxRetries: UInt64?

    package init(
        id: String, wasmCID: CID, inputs: CanonicalMap<StageInput> = [:], maxFuel: UInt64? = nil,
        timeoutSeconds: UInt64? = nil, maxRetries: UInt64? = nil
    ) {
        self.id = id
        self.wasmCID = wasmCID
        self.inputs = inputs
        self.maxFuel = maxFuel
        self.timeoutSeconds = timeoutSeconds
        self.maxRetries = maxRetries
    }

    enum CodingKeys: String, CodingKey {
        case id
        case wasmCID = "wasm_cid"
        case inputs
        case maxFuel = "max_fuel"
        case timeoutSeconds = "timeout_seconds"
        case maxRetries = "max_retries"
    }
}

/// Where an input of a stage comes from: `{"job_input": {"name": "data"}}`, `{"stage_output": {…}}` or `{"none": {}}`.
package enum StageInput: Hashable, Sendable, Codable {
    /// An input of the job.
    case jobInput(name: String)
    /// A named output of an earlier stage.
    case stageOutput(stage: String, name: String)
    /// Nothing.
    case none

    enum CodingKeys: String, CodingKey {
        case jobInput = "job_input"
        case stageOutput = "stage_output"
        case none
    }
}
