public import Multiformats
public import SignedObjects

/// The executor's signed account of one assigned run: every accepted assignment ends in one.
public struct ExecutionReceipt: Hashable, Sendable, SignedBody {
    /// The job.
    public var jobID: JobID
    /// The assignment that this answers.
    public var assignmentCID: CID
    /// Whose job it is.
    public var originatorDID: DID
    /// Who ran it.
    public var executorDID: DID
    /// The attempt of the assignment.
    public var attempt: UInt64
    /// The module that ran.
    public var moduleCID: CID
    /// The inputs it was given.
    public var inputCIDs: CanonicalMap<CID>
    /// Receipts of the stages of a workflow.
    public var stageReceipts: [CID]
    /// The canonical status; follows from `outcome`.
    public var status: StandardJobStatus
    /// How the run ended, exactly.
    public var outcome: ExecutionOutcome
    /// Named outputs.
    public var outputs: CanonicalMap<CID>
    /// Standard output.
    public var stdoutCID: CID?
    /// Standard error.
    public var stderrCID: CID?
    /// The log that the module wrote through the host ABI.
    public var logCID: CID?
    /// Blocks that the module anchored through the host ABI.
    public var anchoredCIDs: [CID]
    /// What the run used.
    public var resourceUsage: ResourceUsage
    /// What the executor charges, by the price formula of the agreed terms; zero for a failure of the node.
    public var price: TokenAmount
    /// The engine that ran it.
    public var engine: EngineDescription
    /// Whether anybody can reproduce it.
    public var determinism: DeterminismProfile
    /// When the run began.
    public var executionStartedAt: UnixMilliseconds
    /// When it ended.
    public var executionEndedAt: UnixMilliseconds
    /// The receipt that the executor signed before this one.
    public var previousReceiptCID: CID?

    /// A receipt with the fields that every run has; set the others.
    public init(
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
    public static let typeName = "ExecutionReceipt"
    /// The executor signs.
    public var signerDID: DID { executorDID }

    /// Every block that the receipt promises: named outputs, standard output and error, log, in this order.
    public var outputBlocks: [CID] {
        var seen: Set<CID> = []
        let all = outputs.values + [stdoutCID, stderrCID, logCID].compactMap(\.self)
        return all.filter { seen.insert($0).inserted }
    }

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
