package import MeshTypes
package import Multiformats
import Receipts
package import SignedObjects

/// Everything that a shell needs to run a job of this node, of which executors say that they failed it.
package struct TrialOrder: Hashable, Sendable {
    /// The job.
    package let jobID: JobID
    /// The assignment whose failure is looked at; it names the trial.
    package let assignmentCID: CID
    /// The manifest of the job.
    package let manifest: JobManifest
    /// Who failed it.
    package let executorDID: DID
    /// The most wall clock of a run, in milliseconds.
    package let wallClockMilliseconds: UInt64

    package init(
        jobID: JobID, assignmentCID: CID, manifest: JobManifest, executorDID: DID, wallClockMilliseconds: UInt64
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.manifest = manifest
        self.executorDID = executorDID
        self.wallClockMilliseconds = wallClockMilliseconds
    }
}

/// This node's own run of a job that executors failed.
enum JobTrial: Hashable, Sendable {
    /// It runs, or waits for its turn.
    case underWay(assignment: CID)
    /// It came to an end, or did not.
    case over(isRunnable: Bool)

    /// The assignment whose failure is being looked at.
    var assignment: CID? { if case .underWay(let assignment) = self { assignment } else { nil } }
}

extension ReplayFinding {
    /// What the trial of a job shows: that the job can be run, or why that is not known.
    var ofTrial: (isRunnable: Bool, reason: String) {
        switch self {
        case .claimRefuted(let reason): (true, reason)
        case .notMade(let reason), .doubtful(let reason), .refuted(_, _, let reason): (false, reason)
        case .confirmed, .fuelUnknown: (false, "it fails here, too")
        }
    }
}
