package import Multiformats
package import SignedObjects

/// What running a job again gave.
package struct ReplayedResult: Hashable, Sendable, Codable {
    /// How the run ended.
    package var outcome: ExecutionOutcome
    /// Named outputs.
    package var outputs: CanonicalMap<CID>
    /// Standard output.
    package var stdoutCID: CID?
    /// Standard error.
    package var stderrCID: CID?
    /// The log.
    package var logCID: CID?
    /// What it read of the job's files.
    package var readCID: CID?
    /// Blocks that it anchored.
    package var anchoredCIDs: [CID]
    /// The fuel that it used.
    package var fuel: UInt64
    /// The engine that ran it.
    package var engine: EngineDescription

    package init(
        outcome: ExecutionOutcome, outputs: CanonicalMap<CID>, stdoutCID: CID?, stderrCID: CID?, logCID: CID?,
        readCID: CID?, anchoredCIDs: [CID], fuel: UInt64, engine: EngineDescription
    ) {
        self.outcome = outcome
        self.outputs = outputs
        self.stdoutCID = stdoutCID
        self.stderrCID = stderrCID
        self.logCID = logCID
        self.readCID = readCID
        self.anchoredCIDs = anchoredCIDs
        self.fuel = fuel
        self.engine = engine
    }

    enum CodingKeys: String, CodingKey {
        case outcome
        case outputs
        case stdoutCID = "stdout_cid"
        case stderrCID = "stderr_cid"
        case logCID = "log_cid"
        case readCID = "read_cid"
        case anchoredCIDs = "anchored_cids"
        case fuel
        case engine
    }
}

/// The signed account of a receipt that a replay refuted (PROTOCOL.md, "FraudProof"): anybody can run the same again.
///
/// What it says is its maker's word; what proves the fraud is the replay of whoever reads it.
package struct FraudProof: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// The assignment that the receipt answers.
    package var assignmentCID: CID
    /// The receipt that says what is not so.
    package var receiptCID: CID
    /// Who signed the receipt.
    package var executorDID: DID
    /// Who ran the job again.
    package var makerDID: DID
    /// What that gave.
    package var found: ReplayedResult
    /// The most fuel that this run had; the guest does not see it.
    package var fuelMax: UInt64
    /// When.
    package var madeAt: UnixMilliseconds

    package init(
        jobID: JobID, assignmentCID: CID, receiptCID: CID, executorDID: DID, makerDID: DID, found: ReplayedResult,
        fuelMax: UInt64, madeAt: UnixMilliseconds
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.receiptCID = receiptCID
        self.executorDID = executorDID
        self.makerDID = makerDID
        self.found = found
        self.fuelMax = fuelMax
        self.madeAt = madeAt
    }

    /// The type name that is signed.
    package static let typeName = "FraudProof"
    /// Whoever ran the job again signs.
    package var signerDID: DID { makerDID }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case receiptCID = "receipt_cid"
        case executorDID = "executor_did"
        case makerDID = "maker_did"
        case found
        case fuelMax = "fuel_max"
        case madeAt = "made_at"
    }
}
