package import Multiformats
package import SignedObjects

/// The executor's signed account of one assigned run: every accepted assignment ends in one.
package struct ExecutionReceipt: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// The assignment that this answers.
    package var assignmentCID: CID
    /// Whose job it is.
    package var originatorDID: DID
    /// Who ran it.
    package var executorDID: DID
    /// The attempt of the assignment.
    package var attempt: UInt64
    /// The module that ran.
    package var moduleCID: CID
    /// The inputs it was given.
    package var inputCIDs: CanonicalMap<CID>
    /// Receipts of the stages of a workflow.
    package var stageReceipts: [CID]
    /// The canonical status; follows from `outcome`.
    package var status: StandardJobStatus
    /// How the run ended, exactly.
    package var outcome: ExecutionOutcome
    /// Named outputs.
    package var outputs: CanonicalMap<CID>
    /// Standard output.
    package var stdoutCID: CID?
    /// Standard error.
    package var stderrCID: CID?
    /// The log that the module wrote through the host ABI.
    package var logCID: CID?
    /// What of the job's files the module read, as the block of a `ReadList`; absent if the job has no files.
    package var readCID: CID?
    /// What the user of an interactive job did, as the block of a `SessionTranscript`; absent where none is kept.
    package var transcriptCID: CID?
    /// Blocks that the module anchored through the host ABI.
    package var anchoredCIDs: [CID]
    /// What the run used.
    package var resourceUsage: ResourceUsage
    /// What the executor charges, by the price formula of the agreed terms; zero for a failure of the node.
    package var price: TokenAmount
    /// The engine that ran it.
    package var engine: EngineDescription
    /// Whether anybody can reproduce it.
    package var determinism: DeterminismProfile
    /// When the run began.
    package var executionStartedAt: UnixMilliseconds
    /// When it ended.
    package var executionEndedAt: UnixMilliseconds
    /// The receipt that the executor signed before this one.
    package var previousReceiptCID: CID?

    /// A receipt with the fields that every run has; set the others.
    package init(
        jobID: JobID, assignmentCID: CID, originatorDID: DID, executorDID: DID, attempt: UInt64, moduleCID: CID,
        inputCIDs: CanonicalMap<CID>, outcome: ExecutionOutcome, resourceUsage: ResourceUsage, price: TokenAmount,
        engine: EngineDescription, determinism: DeterminismProfile, executionStartedAt: UnixMilliseconds,
        executionEndedAt: UnixMilliseconds
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.originatorDID = originatorDID
        self.executorDID = executorDID
        self.attempt = attempt
        self.moduleCID = moduleCID
        self.inputCIDs = inputCIDs
        self.outcome = outcome
        self.resourceUsage = resourceUsage
        self.price = price
        self.engine = engine
        self.determinism = determinism
        self.executionStartedAt = executionStartedAt
        self.executionEndedAt = executionEndedAt
        status = outcome.standardStatus
        stageReceipts = []
        outputs = [:]
        anchoredCIDs = []
    }

    /// The type name that is signed.
    package static let typeName = "ExecutionReceipt"
    /// The executor signs.
    package var signerDID: DID { executorDID }

    /// Every root that the receipt promises: named outputs, standard output and error, log, what was read, in this
    /// order.
    package var outputBlocks: [CID] {
        var seen: Set<CID> = []
        let all = outputs.values + [stdoutCID, stderrCID, logCID, readCID].compactMap(\.self)
        return all.filter { seen.insert($0).inserted }
    }

    /// All that the originator fetches before it pays: these, and the transcript.
    package var owedBlocks: [CID] { outputBlocks + [transcriptCID].compactMap(\.self) }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case originatorDID = "originator_did"
        case executorDID = "executor_did"
        case attempt
        case moduleCID = "module_cid"
        case inputCIDs = "input_cids"
        case stageReceipts = "stage_receipts"
        case status
        case outcome
        case outputs
        case stdoutCID = "stdout_cid"
        case stderrCID = "stderr_cid"
        case logCID = "log_cid"
        case readCID = "read_cid"
        case transcriptCID = "transcript_cid"
        case anchoredCIDs = "anchored_cids"
        case resourceUsage = "resource_usage"
        case price
        case engine
        case determinism
        case executionStartedAt = "execution_started_at"
        case executionEndedAt = "execution_ended_at"
        case previousReceiptCID = "previous_receipt_cid"
    }
}
