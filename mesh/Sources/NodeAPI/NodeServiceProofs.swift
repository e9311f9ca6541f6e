package import MeshTypes
import Multiformats
package import SignedObjects

/// The proof of a fraud: a receipt that a replay refutes, and what that replay gave.
package struct ProofView: Hashable, Sendable, Codable {
    /// What a run says that it gave.
    package struct Run: Hashable, Sendable, Codable {
        /// How it ended, as a sentence.
        package var outcome: String
        /// Named outputs.
        package var outputs: [NamedCID]
        /// Standard output.
        package var stdoutCID: String?
        /// Standard error.
        package var stderrCID: String?
        /// The log.
        package var logCID: String?
        /// The fuel.
        package var fuel: UInt64
        /// The engine, with its version.
        package var engine: String

        private enum CodingKeys: String, CodingKey {
            case outcome, outputs, fuel, engine
            case stdoutCID = "stdout_cid"
            case stderrCID = "stderr_cid"
            case logCID = "log_cid"
        }
    }

    /// What it costs to run the job again, at most.
    package struct Cost: Hashable, Sendable, Codable {
        /// The fuel.
        package var fuelMax: UInt64
        /// The memory of the run, in bytes.
        package var memoryBytesMax: UInt64
        /// The wall clock, in seconds.
        package var secondsMax: UInt64
        /// Module and inputs, in bytes, as far as their sizes are known here; the rest has to be fetched first.
        package var bytes: UInt64
        /// Whether all of these are here.
        package var isAllHere: Bool

        package init(fuelMax: UInt64, memoryBytesMax: UInt64, secondsMax: UInt64, bytes: UInt64, isAllHere: Bool) {
            self.fuelMax = fuelMax
            self.memoryBytesMax = memoryBytesMax
            self.secondsMax = secondsMax
            self.bytes = bytes
            self.isAllHere = isAllHere
        }

        private enum CodingKeys: String, CodingKey {
            case bytes
            case fuelMax = "fuel_max"
            case memoryBytesMax = "memory_bytes_max"
            case secondsMax = "seconds_max"
            case isAllHere = "all_here"
        }
    }

    /// The proof's CID.
    package var proofCID: String
    /// The receipt that is refuted.
    package var receiptCID: String
    /// The job.
    package var jobID: String
    /// Who signed the receipt.
    package var executorDID: String
    /// Who ran the job again and signed the proof.
    package var makerDID: String
    /// When, in milliseconds since the Unix epoch.
    package var madeAt: UInt64
    /// What the replay gave.
    package var found: Run
    /// What the receipt says; nil where it is not here.
    package var claimed: Run?
    /// What checking it costs; nil where the job's manifest cannot be had.
    package var cost: Cost?
    /// Where the proof came from: `here`, a peer or the DHT.
    package var source: String

    private enum CodingKeys: String, CodingKey {
        case found, claimed, cost, source
        case proofCID = "proof_cid"
        case receiptCID = "receipt_cid"
        case jobID = "job_id"
        case executorDID = "executor_did"
        case makerDID = "maker_did"
        case madeAt = "made_at"
    }

    /// A signed proof, as the API shows it.
    package init(_ signed: SignedObject<FraudProof>, source: String) {
        let proof = signed.body
        proofCID = signed.cid.text
        receiptCID = proof.receiptCID.text
        jobID = proof.jobID.cid.text
        executorDID = proof.executorDID.text
        makerDID = proof.makerDID.text
        madeAt = proof.madeAt.value
        found = Run(proof.found)
        self.source = source
    }
}

extension ProofView.Run {
    /// What a replay gave.
    init(_ result: ReplayedResult) {
        outcome = result.outcome.description
        outputs = result.outputs.map { NamedCID(name: $0.key, cid: $0.value.text) }
        (stdoutCID, stderrCID, logCID) = (result.stdoutCID?.text, result.stderrCID?.text, result.logCID?.text)
        fuel = result.fuel
        engine = "\(result.engine.name) \(result.engine.version)"
    }

    /// What a receipt says.
    package init(_ receipt: ExecutionReceipt) {
        outcome = receipt.outcome.description
        outputs = receipt.outputs.map { NamedCID(name: $0.key, cid: $0.value.text) }
        (stdoutCID, stderrCID, logCID) = (receipt.stdoutCID?.text, receipt.stderrCID?.text, receipt.logCID?.text)
        fuel = receipt.resourceUsage.fuel
        engine = "\(receipt.engine.name) \(receipt.engine.version)"
    }
}

/// What running the job of a proof again showed.
package struct ProofReport: Hashable, Sendable, Codable {
    /// Whether a proof holds.
    package enum Verdict: String, Hashable, Sendable, Codable, CaseIterable {
        /// This node's own run refutes the receipt, too.
        case holds
        /// It bears the receipt out, or the proof is about something else than it says.
        case fails
        /// It could not be found out.
        case unknown
    }

    /// The proof.
    package var proofCID: String
    /// The receipt.
    package var receiptCID: String
    /// Whether it holds.
    package var verdict: Verdict
    /// Why, as a sentence without a full stop.
    package var detail: String

    package init(proofCID: String, receiptCID: String, verdict: Verdict, detail: String) {
        self.proofCID = proofCID
        self.receiptCID = receiptCID
        self.verdict = verdict
        self.detail = detail
    }

    private enum CodingKeys: String, CodingKey {
        case verdict, detail
        case proofCID = "proof_cid"
        case receiptCID = "receipt_cid"
    }
}

extension JobSubmission {
    /// A way to check a result, as its owner names it, in its usual spelling; nil if there is no such way.
    package static func verification(_ text: String) -> String? { VerificationLevel(text: text)?.description }

    /// How many executors have to agree of how many, by a way to check a result; nil if one runs the job.
    package static func executors(_ text: String) -> (agreeing: UInt64, all: UInt64)? {
        guard case .quorum(let agreeing, let all)? = VerificationLevel(text: text) else { return nil }
        return (agreeing, all)
    }

    /// Whether another executor makes the second run, by a way to check a result.
    package static func isByExecutor(_ text: String) -> Bool { VerificationLevel(text: text)?.isByExecutor ?? false }

    /// Whether a way to check a result may run the job again here.
    package static func mayReplay(_ text: String) -> Bool { VerificationLevel(text: text)?.mayReplay ?? false }
}
