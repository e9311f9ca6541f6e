/// A receipt, for people; `get` returns its block.
package struct ReceiptView: Hashable, Sendable, Codable {
    /// The receipt's CID.
    package var receiptCID: String
    /// The job.
    package var jobID: String
    /// The assignment that it answers.
    package var assignmentCID: String
    /// Who asked for the job.
    package var originatorDID: String
    /// Who ran it and signed this.
    package var executorDID: String
    /// Which attempt at the job it was, from one.
    package var attempt: UInt64
    /// The module that ran.
    package var moduleCID: String
    /// The inputs.
    package var inputs: [NamedCID]
    /// The StandardJobStatus.
    package var status: String
    /// The outcome as a sentence.
    package var outcome: String
    /// Named outputs.
    package var outputs: [NamedCID]
    /// Standard output.
    package var stdoutCID: String?
    /// Standard error.
    package var stderrCID: String?
    /// The log.
    package var logCID: String?
    /// What it read of the job's files.
    package var readCID: String?
    /// What the user of an interactive job did.
    package var transcriptCID: String?
    /// The files of the job, where its manifest is here.
    package var files: JobSubmission.Files?
    /// The metered fuel.
    package var fuel: UInt64
    /// The most memory it had, in bytes.
    package var peakMemoryBytes: UInt64
    /// How long it ran, in milliseconds.
    package var wallMilliseconds: UInt64
    /// The price that the executor charges, in the smallest unit.
    package var price: UInt64
    /// The engine, with its version.
    package var engine: String
    /// `deterministic` or `attested`.
    package var determinism: String
    /// When the run began, in milliseconds since the Unix epoch.
    package var startedAt: UInt64
    /// When it ended, in milliseconds since the Unix epoch.
    package var endedAt: UInt64
    /// The executor's receipt before this one.
    package var previousReceiptCID: String?
    /// Where the receipt came from: `here`, a peer or the DHT.
    package var source: String

    package init(
        receiptCID: String, jobID: String, assignmentCID: String, originatorDID: String, executorDID: String,
        attempt: UInt64, moduleCID: String, inputs: [NamedCID], status: String, outcome: String,
        outputs: [NamedCID], stdoutCID: String?, stderrCID: String?, logCID: String?, fuel: UInt64,
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
        case attempt, inputs, files, status, outcome, outputs, fuel, price, engine, determinism, source
        case receiptCID = "receipt_cid"
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case originatorDID = "originator_did"
        case executorDID = "executor_did"
        case moduleCID = "module_cid"
        case stdoutCID = "stdout_cid"
        case stderrCID = "stderr_cid"
        case logCID = "log_cid"
        case readCID = "read_cid"
        case transcriptCID = "transcript_cid"
        case peakMemoryBytes = "peak_memory_bytes"
        case wallMilliseconds = "wall_ms"
        case startedAt = "execution_started_at"
        case endedAt = "execution_ended_at"
        case previousReceiptCID = "previous_receipt_cid"
    }
}

/// What checking or replaying a receipt found.
package struct ReceiptReport: Hashable, Sendable, Codable {
    /// One check.
    package struct Line: Hashable, Sendable, Codable {
        /// How a check went.
        package enum Verdict: String, Hashable, Sendable, Codable, CaseIterable {
            /// It passed.
            case passed
            /// It failed.
            case failed
            /// It could not be made; the detail says why.
            case skipped
        }

        /// What was checked, in a few words.
        package var name: String
        /// How it went.
        package var verdict: Verdict
        /// What was found.
        package var detail: String

        /// A check.
        package init(name: String, verdict: Verdict, detail: String) {
            self.name = name
            self.verdict = verdict
            self.detail = detail
        }
    }

    /// The receipt.
    package var receiptCID: String
    /// Whether no check failed and no required one was skipped.
    package var isValid: Bool
    /// The checks, in the order they were made.
    package var lines: [Line]
    /// What a receipt that holds does not show, as one sentence; nil where it does not hold.
    package var doesNotShow: String?
    /// The first entry of this node's log that anchors the receipt; nil if none does, or no node was asked.
    package var anchored: LogEntryView?

    package init(receiptCID: String, isValid: Bool, lines: [Line], doesNotShow: String? = nil) {
        self.receiptCID = receiptCID
        self.isValid = isValid
        self.lines = lines
        self.doesNotShow = doesNotShow
    }

    private enum CodingKeys: String, CodingKey {
        case lines, anchored
        case receiptCID = "receipt_cid"
        case isValid = "valid"
        case doesNotShow = "does_not_show"
    }
}
