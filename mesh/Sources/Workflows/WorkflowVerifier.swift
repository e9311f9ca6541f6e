package import MeshTypes
package import Multiformats
package import Receipts
package import SignedObjects

/// Checks the receipt of a workflow from blocks alone: that the plan, given what the receipts of the jobs say, asks for
/// exactly these jobs and comes to exactly these outputs. It lets the very plan go on that originators run
/// (`WorkflowPlan`), and holds each job's manifest against what that asks for.
///
/// It is pure. Whoever has not all blocks gives what there is, and is told what is missing.
package struct WorkflowVerifier: Sendable {
    /// The receipt of a job, checked, with what it proves.
    package struct Job: Sendable {
        /// Every check of the receipt.
        package var report: VerificationReport
        /// The receipt.
        package var receipt: ExecutionReceipt
        /// The manifest of its job.
        package var manifest: JobManifest

        package init(report: VerificationReport, receipt: ExecutionReceipt, manifest: JobManifest) {
            self.report = report
            self.receipt = receipt
            self.manifest = manifest
        }
    }

    /// What is known of a job by its receipt.
    package enum Finding: Sendable {
        /// It was looked at.
        case found(Job)
        /// What is under its CID is no receipt; why, as a sentence without a full stop.
        case wrong(String)
        /// Its receipt or its manifest cannot be had; why, as a sentence without a full stop.
        case gone(String)
        /// Nobody looked yet.
        case unknown
    }

    /// What is known of a block.
    package enum Block: Sendable {
        /// Its bytes, which may be wrong.
        case bytes([UInt8])
        /// It cannot be had.
        case gone
        /// Nobody looked yet.
        case unknown
    }

    /// What was found, and what has to be looked for so that more is.
    package struct Result: Sendable {
        /// One line for each check.
        package var report: VerificationReport
        /// Blocks that nobody looked for yet, in the order in which they were missed.
        package var blocks: [CID] = []
        /// Receipts of jobs that nobody looked at yet.
        package var receipts: [CID] = []
        /// The receipts of all jobs, as far as they are known.
        package var jobs: [CID] = []
        /// The receipts of the ends before, the last one first, as far as they are known.
        package var ends: [SignedObject<WorkflowReceipt>] = []
    }

    private let block: @Sendable (CID) -> Block
    private let job: @Sendable (CID) -> Finding

    /// A verifier of what is at hand.
    package init(block: @escaping @Sendable (CID) -> Block, job: @escaping @Sendable (CID) -> Finding) {
        self.block = block
        self.job = job
    }

    /// Checks the receipt of a CID.
    ///
    /// - Parameter twins: for this receipt and those of the ends before, others that are known of the same originator
    ///   for the same end of the same workflow.
    package func verify(_ receipt: CID, twins: [CID: [CID]] = [:]) -> Result {
        var examination = WorkflowExamination(block: block, job: job)
        examination.examine(receipt, twins: twins)
        return examination.result(of: receipt)
    }
}

extension WorkflowReceipt {
    /// What two receipts contradict each other by, unless they are one: the workflow, and the receipt before.
    package var place: [CID] { [workflowCID] + [previousReceiptCID].compactMap(\.self) }
}
