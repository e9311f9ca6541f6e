package import MeshTypes
import Multiformats
package import SignedObjects

/// What a plan asks of a job, held against a manifest.
package struct PlannedJob {
    private let planned: MeshJobParams

    package init(_ planned: MeshJobParams) { self.planned = planned }

    /// The first thing in which a manifest is another than planned, in words; `nil` if there is none.
    func difference(from made: MeshJobParams) -> String? {
        let policy = (planned.executionPolicy ?? ExecutionPolicy(), made.executionPolicy ?? ExecutionPolicy())
        let rows: [(Bool, String)] = [
            (planned.maxAcceptableBidTokens == made.maxAcceptableBidTokens, "budget"),
            (
                policy.0.minReputation == policy.1.minReputation
                    && Self.areSame(policy.0.regionFilter, policy.1.regionFilter)
                    && policy.0.allowedDIDs == policy.1.allowedDIDs && policy.0.deniedDIDs == policy.1.deniedDIDs
                    && policy.0.allowsHedge == policy.1.allowsHedge
                    && planned.resourcesRequired == made.resourcesRequired
                    // A module may take more than the plan knows: features of what it imports.
                    && Set((policy.0.requiredFeatures ?? []).map(ExactText.init))
                        .isSubset(of: (policy.1.requiredFeatures ?? []).map(ExactText.init))
                    && policy.0.deadline == policy.1.deadline && policy.0.weights == policy.1.weights
                    && policy.0.maxAttempts == policy.1.maxAttempts
                    && policy.0.hasPublicBids == policy.1.hasPublicBids
                    && policy.0.hasPublicStatus == policy.1.hasPublicStatus,
                "policy"
            ),
        ]
        return differenceInWork(from: made) ?? rows.first { !$0.0 }?.1
    }

    /// The first thing in which a manifest asks for another work, whoever may do it at what price.
    private func differenceInWork(from made: MeshJobParams) -> String? {
        let rows: [(Bool, String)] = [
            (planned.wasmCID == made.wasmCID, "module"),
            (planned.entryName.isSameBytes(as: made.entryName) && made.invoke == nil, "entry"),
            (Self.areSame(planned.args, made.args), "list of arguments"),
            (planned.env == made.env, "environment"),
            (planned.inputCIDs == made.inputCIDs, "list of inputs"),
            (Self.areSame(planned.files, made.files), "list of files"),
            (planned.limits == made.limits, "list of limits"),
            (planned.workflowType == made.workflowType && !made.isInteractive, "kind of job"),
            (planned.determinism == made.determinism, "profile"),
        ]
        return rows.first { !$0.0 }?.1
    }

    /// Why an earlier job's result cannot serve, in words for a sentence about the receipt; `nil` if it can.
    ///
    /// - Parameters:
    ///   - manifest: that of the earlier job.
    ///   - executor: who ran it.
    package func reasonNotServed(by manifest: JobManifest, executor: DID) -> String? {
        if let what = differenceInWork(from: manifest.params) { return "is of a job with another \(what)" }
        guard manifest.isRepeatable else { return "is of a job whose seed and clock were its own" }
        let policy = planned.executionPolicy
        let isAdmitted =
            policy?.allowedDIDs?.contains(executor) ?? true && !(policy?.deniedDIDs?.contains(executor) ?? false)
        return isAdmitted ? nil : "is of an executor that the policy does not admit, \(executor)"
    }

    private static func areSame(_ planned: [String]?, _ made: [String]?) -> Bool {
        planned?.map(ExactText.init) == made?.map(ExactText.init)
    }

    /// Whether files are the same. Whether a mounted `dag-pb` block is a file or a folder shows only in the block: an
    /// executor refuses the wrong one, so it makes no difference to what ran.
    private static func areSame(_ planned: JobFiles?, _ made: JobFiles?) -> Bool {
        guard var planned, let made else { return planned == nil && made == nil }
        guard planned.mounts.count == made.mounts.count else { return false }
        for index in planned.mounts.indices where planned.mounts[index].cid?.codec == .dagPB {
            planned.mounts[index].isFolder = made.mounts[index].isFolder
        }
        return planned == made
    }
}
