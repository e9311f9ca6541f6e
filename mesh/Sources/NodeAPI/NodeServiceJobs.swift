/// A job, as a listing shows it.
package struct JobView: Hashable, Sendable, Codable {
    /// The job's ID.
    package var jobID: String
    /// `originator` or `executor`: this node's side of the job.
    package var role: String
    /// The state, by the name of its `JobStatus`.
    package var phase: String
    /// The StandardJobStatus: `Pending`, `Running`, `CompletedSuccessfully`, `Failed`, `Cancelled`; `NotAssigned` for a
    /// bid that came to nothing, since this node knows no more of the job.
    package var status: String
    /// What became of it, or how far it is.
    package var outcome: JobOutcome
    /// The module's exit code, if it exited.
    package var exitCode: Int32?
    /// The limit that it hit: `fuel`, `memory`, `table`, `stack`, `output`, `wall_clock`.
    package var limit: String?
    /// How far the module says it is, in thousandths, while it runs and if it says so.
    package var progressPermille: UInt64?
    /// How far it is with what comes before the run, while that goes on and if the executor says so.
    package var preparation: JobPreparation?
    /// At an executor with a receipt: whether it was paid.
    package var payment: JobPayment?
    /// At an executor that lost: who has the job instead, as its originator says.
    package var winnerDID: String?
    /// The most that the winner may charge, in the smallest unit.
    package var winnerPrice: UInt64?
    /// The receipt that counts, once there is one.
    package var receiptCID: String?
    /// Why it is in this state; empty if the state says it all.
    package var reason: String
    /// Whether it is over: it has its end, or this node's run of it its receipt, or its bid came to nothing. What is
    /// paid for it may still be on its way (`payment`).
    package var isTerminal: Bool
    /// When it was submitted, in milliseconds since the Unix epoch.
    package var submittedAt: UInt64
    /// When it last changed, in milliseconds since the Unix epoch.
    package var updatedAt: UInt64
    /// The other side's DID, once known.
    package var counterpartyDID: String?
    /// True if the other side is this node itself, else absent: the listing shows the job once, from its originator's
    /// side.
    package var isOwnRun: Bool?
    /// The owner's name for the job.
    package var label: String?
    /// The price agreed or paid, in the smallest unit.
    package var price: UInt64?
    /// What prices are counted in, where it is paid by the credit of an issuer; nil where that is tokens.
    package var unit: String?
    /// The decimal places of that unit.
    package var decimals: UInt64?
    /// The end, once this node knows it.
    package var result: JobResult?

    package init(
        jobID: String, role: String, phase: String, status: String, outcome: JobOutcome, reason: String,
        isTerminal: Bool, submittedAt: UInt64, updatedAt: UInt64, counterpartyDID: String? = nil,
        isOwnRun: Bool? = nil, label: String? = nil, price: UInt64? = nil, result: JobResult? = nil
    ) {
        self.jobID = jobID
        self.role = role
        self.phase = phase
        self.status = status
        self.outcome = outcome
        self.reason = reason
        self.isTerminal = isTerminal
        self.submittedAt = submittedAt
        self.updatedAt = updatedAt
        self.counterpartyDID = counterpartyDID
        self.isOwnRun = isOwnRun
        self.label = label
        self.price = price
        self.result = result
    }

    private enum CodingKeys: String, CodingKey {
        case role, phase, status, outcome, limit, preparation, payment, reason, label, price, unit, decimals, result
        case jobID = "job_id"
        case isTerminal = "terminal"
        case submittedAt = "submitted_at"
        case updatedAt = "updated_at"
        case counterpartyDID = "counterparty_did"
        case isOwnRun = "own_run"
        case exitCode = "exit_code"
        case progressPermille = "progress_permille"
        case winnerDID = "winner_did"
        case winnerPrice = "winner_price"
        case receiptCID = "receipt_cid"
    }
}

/// What an order to cancel a job did.
package struct JobCancellation: Hashable, Sendable, Codable {
    /// The job, as it is now.
    package var job: JobView
    /// Whether it was over before, so that nothing was cancelled.
    package var wasOver: Bool

    package init(job: JobView, wasOver: Bool) {
        self.job = job
        self.wasOver = wasOver
    }

    private enum CodingKeys: String, CodingKey {
        case job
        case wasOver = "was_over"
    }
}

/// How a job ended, and so whose doing it was: the job's own, or the mesh's.
package enum JobEnding: String, Hashable, Sendable, Codable, CaseIterable {
    /// The module ran and exited with zero.
    case succeeded
    /// The module ran and exited with another code.
    case exitedNonZero = "exited_non_zero"
    /// The module trapped.
    case trapped
    /// One of its limits stopped the module.
    case limitExceeded = "limit_exceeded"
    /// The executor refused the module before it ran.
    case moduleRefused = "module_refused"
    /// What the job mounts, or what it collects, is no proper file or folder.
    case filesRefused = "files_refused"
    /// The owner cancelled it.
    case cancelled
    /// Nobody bid.
    case noBids = "no_bids"
    /// There were bids, and none was acceptable.
    case noAcceptableBid = "no_acceptable_bid"
    /// Every executor tried was lost, declined or failed.
    case executorsFailed = "executors_failed"
    /// The module crashed the engine at two executors.
    case crashesEngine = "crashes_engine"
    /// No executor could fetch module or inputs.
    case fetchFailed = "fetch_failed"
    /// The job's deadline passed.
    case deadlinePassed = "deadline_passed"
    /// The balance did not cover the agreed price.
    case insufficientFunds = "insufficient_funds"
    /// The receipt does not verify.
    case receiptInvalid = "receipt_invalid"
    /// The result was to be checked, and was not borne out.
    case unverified
}

/// The end of a job.
package struct JobResult: Hashable, Sendable, Codable {
    /// How it ended.
    package var ending: JobEnding
    /// One sentence about it: the trap, the limit, the price of bids that were too dear.
    package var detail: String
    /// The module's exit code, if it exited.
    package var exitCode: Int32?
    /// The limit that it hit: `fuel`, `memory`, `table`, `stack`, `output`, `wall_clock`.
    package var limit: String?
    /// The receipt's CID, if the job was assigned.
    package var receiptCID: String?
    /// Whether every check of the receipt passed here.
    package var isReceiptVerified: Bool
    /// Who ran it.
    package var executorDID: String?
    /// True if the originator ran it itself, else absent.
    package var isOwnRun: Bool?
    /// Standard output.
    package var stdoutCID: String?
    /// Standard error.
    package var stderrCID: String?
    /// The job's log.
    package var logCID: String?
    /// Named outputs.
    package var outputs: [NamedCID]
    /// The metered fuel.
    package var fuel: UInt64?
    /// The most memory it had, in bytes.
    package var peakMemoryBytes: UInt64?
    /// How long it ran, in milliseconds.
    package var wallMilliseconds: UInt64?
    /// What was paid, or is due by the credit of an issuer, in the smallest unit.
    package var paid: UInt64?
    /// What that is counted in, where it is no token.
    package var unit: String?
    /// The decimal places of that unit.
    package var decimals: UInt64?
    /// What this node found when it checked the result: `confirmed`, `agreed`, `fuel_unknown`, `waived`,
    /// `unverified`; nil if
    /// it was not to be checked.
    package var finding: String?
    /// How many executors were assigned, this one included.
    package var attempts: UInt64
    /// Which of them gave the receipt, counted from 1.
    package var attempt: UInt64?
    /// Who could have run it, if nobody did.
    package var executors: ExecutorsView?
    /// What to do next, as a sentence, if the node knows more than the ending says.
    package var hint: String?

    /// An end of which only the kind and a sentence are known.
    package init(ending: JobEnding, detail: String, attempts: UInt64 = 0) {
        self.ending = ending
        self.detail = detail
        self.attempts = attempts
        isReceiptVerified = false
        outputs = []
    }

    private enum CodingKeys: String, CodingKey {
        case ending, detail, limit, outputs, fuel, paid, unit, decimals, finding, attempts, attempt, executors, hint
        case exitCode = "exit_code"
        case receiptCID = "receipt_cid"
        case isReceiptVerified = "receipt_verified"
        case executorDID = "executor_did"
        case isOwnRun = "own_run"
        case stdoutCID = "stdout_cid"
        case stderrCID = "stderr_cid"
        case logCID = "log_cid"
        case peakMemoryBytes = "peak_memory_bytes"
        case wallMilliseconds = "wall_ms"
    }
}

/// One thing that happened to a job.
package struct JobProgress: Hashable, Sendable, Codable {
    /// What kind of thing.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The job has changed its state.
        case phase
        /// Something notable within the state: a bid, a refusal, a retry.
        case note
        /// A line that the module logged.
        case log
        /// The module reported its progress, or its executor how far the preparation is.
        case progress
        /// The end; `result` is set, and nothing follows.
        case result
    }

    /// What kind of thing.
    package var kind: Kind
    /// The job's current state, by the name of its `JobStatus`.
    package var phase: String
    /// The reason, the note or the line.
    package var text: String
    /// When, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// The module's progress, in thousandths.
    package var permille: UInt32?
    /// How far the executor is with what comes before the run.
    package var preparation: JobPreparation?
    /// The end.
    package var result: JobResult?
    /// What the event says beside its sentence; nil if nothing, or from an older node.
    package var news: JobNews?

    /// Something that happened.
    package init(
        kind: Kind, phase: String, text: String, at: UInt64, permille: UInt32? = nil, result: JobResult? = nil,
        news: JobNews? = nil
    ) {
        self.kind = kind
        self.phase = phase
        self.text = text
        self.at = at
        self.permille = permille
        self.result = result
        self.news = news
    }
}

/// The journal of a job, in words.
package struct JobExplanation: Hashable, Sendable, Codable {
    /// One line of it.
    package struct Line: Hashable, Sendable, Codable {
        /// When, in milliseconds since the Unix epoch.
        package var at: UInt64
        /// The job's state afterwards.
        package var phase: String
        /// What happened and why, as a sentence.
        package var text: String
        /// What the event says beside its sentence; nil if nothing, or from an older node.
        package var news: JobNews?

        package init(at: UInt64, phase: String, text: String, news: JobNews? = nil) {
            self.at = at
            self.phase = phase
            self.text = text
            self.news = news
        }
    }

    /// The job.
    package var job: JobView
    /// The lines, oldest first.
    package var lines: [Line]
    /// The job's trace, in hex, if this node records it (docs/traces.md).
    package var traceID: String?

    /// A job and its lines.
    package init(job: JobView, lines: [Line], traceID: String? = nil) {
        self.job = job
        self.lines = lines
        self.traceID = traceID
    }

    private enum CodingKeys: String, CodingKey {
        case job, lines
        case traceID = "trace_id"
    }
}
