/// A receipt, for people; `get` returns its block.
public struct ReceiptView: Hashable, Sendable, Codable {
    /// The receipt's CID.
    public var receiptCID: String
    /// The job.
    public var jobID: String
    /// The assignment that it answers.
    public var assignmentCID: String
    /// Who asked for the job.
    public var originatorDID: String
    /// Who ran it and signed this.
    public var executorDID: String
    /// Which attempt at the job it was, from one.
    public var attempt: UInt64
    /// The module that ran.
    public var moduleCID: String
    /// The inputs; the text is a CID.
    public var inputs: [NamedText]
    /// The StandardJobStatus.
    public var status: String
    /// The outcome as a sentence.
    public var outcome: String
    /// Named outputs; the text is a CID.
    public var outputs: [NamedText]
    /// Standard output.
    public var stdoutCID: String?
    /// Standard error.
    public var stderrCID: String?
    /// The log.
    public var logCID: String?
    /// The metered fuel.
    public var fuel: UInt64
    /// The most memory it had, in bytes.
    public var peakMemoryBytes: UInt64
    /// How long it ran, in milliseconds.
    public var wallMilliseconds: UInt64
    /// The price that the executor charges, in the smallest unit.
    public var price: UInt64
    /// The engine, with its version.
    public var engine: String
    /// `deterministic` or `attested`.
    public var determinism: String
    /// When the run began, in milliseconds since the Unix epoch.
    public var startedAt: UInt64
    /// When it ended, in milliseconds since the Unix epoch.
    public var endedAt: UInt64
    /// The executor's receipt before this one.
    public var previousReceiptCID: String?
    /// Where the receipt came from: `here`, a peer or the DHT.
    public var source: String

    public init(
        receiptCID: String, jobID: String, assignmentCID: String, originatorDID: String, executorDID: String,
        attempt: UInt64, moduleCID: String, inputs: [NamedText], status: String, outcome: String,
        outputs: [NamedText], stdoutCID: String?, stderrCID: String?, logCID: String?, fuel: UInt64,
        peakMemoryBytes: UInt64, wallMilliseconds: UInt64, price: UInt64, engine: String, determinism: String,
        startedAt: UInt64, endedAt: UInt64, previousReceiptCID: String?, source: String
    ) {
        self.receiptCID = receiptCID
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.originatorDID = originatorDID
        self.executorDID = executorDID
        self.attempt = attempt
        self.moduleCID = moduleCID
        self.inputs = inputs
        self.status = status
        self.outcome = outcome
        self.outputs = outputs
        self.stdoutCID = stdoutCID
        self.stderrCID = stderrCID
        self.logCID = logCID
        self.fuel = fuel
        self.peakMemoryBytes = peakMemoryBytes
        self.wallMilliseconds = wallMilliseconds
        self.price = price
        self.engine = engine
        self.determinism = determinism
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.previousReceiptCID = previousReceiptCID
        self.source = source
    }

    private enum CodingKeys: String, CodingKey {
        case attempt, inputs, status, outcome, outputs, fuel, price, engine, determinism, source
        case receiptCID = "receipt_cid"
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case originatorDID = "originator_did"
        case executorDID = "executor_did"
        case moduleCID = "module_cid"
        case stdoutCID = "stdout_cid"
        case stderrCID = "stderr_cid"
        case logCID = "log_cid"
        case peakMemoryBytes = "peak_memory_bytes"
        case wallMilliseconds = "wall_ms"
        case startedAt = "execution_started_at"
        case endedAt = "execution_ended_at"
        case previousReceiptCID = "previous_receipt_cid"
    }
}

/// What checking or replaying a receipt found.
public struct ReceiptReport: Hashable, Sendable, Codable {
    /// One check.
    public struct Line: Hashable, Sendable, Codable {
        /// How a check went.
        public enum Verdict: String, Hashable, Sendable, Codable {
            /// It passed.
            case passed
            /// It failed.
            case failed
            /// It could not be made; the detail says why.
            case skipped
        }

        /// What was checked, in a few words.
        public var name: String
        /// How it went.
        public var verdict: Verdict
        /// What was found.
        public var detail: String

        /// A check.
        public init(name: String, verdict: Verdict, detail: String) {
            self.name = name
            self.verdict = verdict
            self.detail = detail
        }
    }

    /// The receipt.
    public var receiptCID: String
    /// Whether no check failed and no required one was skipped.
    public var isValid: Bool
    /// The checks, in the order they were made.
    public var lines: [Line]

    public init(receiptCID: String, isValid: Bool, lines: [Line]) {
        self.receiptCID = receiptCID
        self.isValid = isValid
        self.lines = lines
    }

    private enum CodingKeys: String, CodingKey {
        case lines
        case receiptCID = "receipt_cid"
        case isValid = "valid"
    }
}
