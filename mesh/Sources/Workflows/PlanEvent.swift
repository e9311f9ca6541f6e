package import MeshTypes
package import Multiformats
package import SignedObjects

/// One attempt at one item of one stage: a job.
package struct ChildKey: Hashable, Sendable, Codable {
    /// The stage.
    package var stage: String
    /// The position of the item; 0 in a stage that runs once.
    package var item: Int
    /// The attempt, counted from 0, on over all rounds of a workflow that is resumed.
    package var attempt: Int

    package init(stage: String, item: Int, attempt: Int) {
        self.stage = stage
        self.item = item
        self.attempt = attempt
    }

    /// The idempotency key under which the job is submitted: however often that happens, it is one job.
    package func idempotencyKey(of workflow: CID) -> String {
        "workflow/\(workflow.text)/\(stage)/\(item)/\(attempt)"
    }

    /// The workflow that a key names; nil if it is no key of a workflow's job.
    package static func workflow(ofKey key: String) -> CID? {
        let parts = key.split(separator: "/")
        guard parts.count == 5, parts[0] == "workflow" else { return nil }
        return try? CID(parsing: String(parts[1]))
    }
}

/// How a job of a plan ended.
package enum ChildOutcome: Hashable, Sendable, Codable {
    /// The module ran to its end.
    case exited(code: Int64)
    /// The job has no exit code; `ofMesh` if it may end otherwise another time.
    case failed(reason: String, ofMesh: Bool)
    /// It was cancelled.
    case cancelled
}

/// An output of a job.
package struct ChildOutput: Hashable, Sendable, Codable {
    /// The name.
    package var name: String
    /// What it is.
    package var cid: CID
    /// Whether it is a folder.
    package var isFolder: Bool

    package init(name: String, cid: CID, isFolder: Bool) {
        self.name = name
        self.cid = cid
        self.isFolder = isFolder
    }

    enum CodingKeys: String, CodingKey {
        case name, cid
        case isFolder = "folder"
    }
}

/// The end of a job of a plan.
package struct ChildEnd: Hashable, Sendable, Codable {
    /// How.
    package var outcome: ChildOutcome
    /// The job; nil if it was refused before it was one.
    package var jobID: CID?
    /// Its receipt, if it has one that counts.
    package var receiptCID: CID?
    /// Its outputs.
    package var outputs: [ChildOutput]
    /// What was paid, in the smallest unit; with the most that may have to be paid to others for the same work.
    package var paid: UInt64
    /// Who had run the job, if it is an earlier one whose result served, so that none ran.
    package var servedBy: DID?

    package init(
        _ outcome: ChildOutcome, jobID: CID? = nil, receiptCID: CID? = nil, outputs: [ChildOutput] = [],
        paid: UInt64 = 0
    ) {
        self.outcome = outcome
        self.jobID = jobID
        self.receiptCID = receiptCID
        self.outputs = outputs
        self.paid = paid
    }

    enum CodingKeys: String, CodingKey {
        case outcome, outputs, paid
        case jobID = "job_id"
        case receiptCID = "receipt_cid"
        case servedBy = "served_by"
    }
}

extension ExecutionReceipt {
    /// All that came out, by the names that stages read it by.
    package var namedOutputs: [(name: String, cid: CID)] {
        [("stdout", stdoutCID), ("stderr", stderrCID), ("log", logCID)].compactMap { name, cid in
            cid.map { (name: name, cid: $0) }
        } + outputs.map { (name: $0.key, cid: $0.value) }
    }
}

/// What a plan is told. Its journal is the list of these: a plan that is told the same again is the same plan.
package enum PlanEvent: Hashable, Sendable, Codable {
    /// What a folder of a fan-out has in it.
    case listed(stage: String, round: Int, entries: [ChildOutput])
    /// A folder cannot be listed, or outputs not be gathered.
    case contentFailed(stage: String, round: Int, reason: String)
    /// A job ended.
    case ended(ChildKey, ChildEnd)
    /// The outputs of a fan-out's items are folders now.
    case gathered(stage: String, round: Int, outputs: [ChildOutput])
    /// The owner cancels the workflow.
    case cancelled
    /// The owner has what failed, and what was not run, run again.
    case resumed
    /// The receipt of the workflow's end is signed.
    case receiptSigned(CID)

    enum EndedCodingKeys: String, CodingKey {
        case _0 = "child"
        case _1 = "end"
    }

    enum ReceiptSignedCodingKeys: String, CodingKey {
        case _0 = "receipt"
    }
}

extension PlanEvent {
    /// The names of all writes of a workflow's journal.
    package enum Name: String, CaseIterable, Sendable {
        /// The manifest, with which the journal begins.
        case begun
        /// What a folder of a fan-out has in it.
        case listed
        /// A folder cannot be listed, or outputs not be gathered.
        case contentFailed = "content_failed"
        /// A job ended.
        case ended
        /// The outputs of a fan-out's items are folders now.
        case gathered
        /// The owner cancels the workflow.
        case cancelled
        /// The owner has what failed run again.
        case resumed
        /// The receipt of the workflow's end is signed.
        case receiptSigned = "receipt_signed"
    }

    /// Its name.
    package var name: Name {
        switch self {
        case .listed: .listed
        case .contentFailed: .contentFailed
        case .ended: .ended
        case .gathered: .gathered
        case .cancelled: .cancelled
        case .resumed: .resumed
        case .receiptSigned: .receiptSigned
        }
    }
}

/// What a plan wants done. All of it may be done again: after a crash it is.
package enum PlanEffect: Hashable, Sendable {
    /// List a folder.
    case list(stage: String, round: Int, folder: CID)
    /// Submit a job under its key, and tell its end.
    case submit(ChildKey)
    /// Cancel a job that was submitted.
    case cancel(ChildKey)
    /// Make folders of the outputs of a stage's items (`WorkflowPlan.gatherings`).
    case gather(stage: String, round: Int)
    /// The workflow has ended: sign its receipt, and tell which it is.
    case finish
}

/// Where a workflow is.
package enum WorkflowStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// Jobs run, or will.
    case running
    /// A stage failed; what still runs is being cancelled.
    case failing
    /// It is being cancelled.
    case cancelling
    /// Every stage succeeded or was skipped.
    case succeeded
    /// A stage failed.
    case failed
    /// The owner cancelled it.
    case cancelled

    /// Whether it is over.
    package var isOver: Bool {
        switch self {
        case .succeeded, .failed, .cancelled: true
        case .running, .failing, .cancelling: false
        }
    }
}

/// Where a stage is.
package enum StageStatus: String, Hashable, Sendable, Codable, CaseIterable {
    /// What it needs is not there yet.
    case waiting
    /// The folder of its fan-out is being listed.
    case listing
    /// Its jobs run, or will.
    case running
    /// The outputs of its items become folders.
    case gathering
    /// It has what it was for.
    case succeeded
    /// It failed.
    case failed
    /// It was not run, by a condition or a rule.
    case skipped

    /// Whether nothing comes of it any more.
    package var isSettled: Bool { self == .succeeded || self == .failed || self == .skipped }
}
