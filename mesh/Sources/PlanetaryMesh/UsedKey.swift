import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// An idempotency key that was used before: it stands for one job and for no other.
struct UsedKey: Sendable {
    let store: MeshStore
    /// The job that was submitted under the key.
    let jobID: CID

    /// Refuses a submission that is not of the key's job. What a submission leaves to the node's defaults, which its
    /// owner may change, is not compared; neither is the label.
    func require(_ submission: JobSubmission, _ params: MeshJobParams) async throws(NodeServiceError) {
        guard let first = try await firstParams() else {
            throw NodeServiceError(
                .conflict, "The idempotency key was used for the job \(jobID), of which nothing is left to compare.",
                hint: "Give this job a key of its own.")
        }
        var others = Self.differences(submission, params, first)
        if let asked = submission.verification.map({ VerificationLevel(text: $0)?.description ?? $0 }),
            try await firstVerification() != asked
        {
            others.append("check")
        }
        guard !others.isEmpty else { return }
        throw NodeServiceError(
            .conflict,
            "The idempotency key was used for the job \(jobID), which has another \(others.joined(separator: ", ")).",
            hint: "Give this job a key of its own; mesh explain \(jobID) shows the other one.")
    }

    /// What the first job under the key asked for: its manifest may be evicted, its journal stays.
    private func firstParams() async throws(NodeServiceError) -> MeshJobParams? {
        if let block = try await stored({ () throws(MeshStoreError) in try await store.block(jobID) }),
            let manifest = try? SignedObject<JobManifest>(verifiedBefore: block)
        {
            return manifest.body.params
        }
        let journal = try await stored { () throws(MeshStoreError) in
            try await store.readableJournal(of: jobID, role: .originator)
        }
        for entry in journal.entries {
            if case .submitted(let manifest, _, _, _)? = (try? JobEvent.decode(entry.bytes))?.kind {
                return manifest.body.params
            }
        }
        return nil
    }

    /// How the first job's result is checked, as its journal says.
    private func firstVerification() async throws(NodeServiceError) -> String {
        let journal = try await stored { () throws(MeshStoreError) in
            try await store.readableJournal(of: jobID, role: .originator)
        }
        for entry in journal.entries {
            if case .verificationChosen(let opening)? = (try? JobEvent.decode(entry.bytes))?.kind {
                return opening.level.description
            }
        }
        return VerificationLevel.none.description
    }

    /// What of the things that a submission names is another in the first job, in words.
    static func differences(
        _ submission: JobSubmission, _ params: MeshJobParams, _ first: MeshJobParams
    ) -> [String] {
        let (limits, policy) = (submission.limits, submission.policy)
        let (asked, had) = (params.executionPolicy ?? ExecutionPolicy(), first.executionPolicy ?? ExecutionPolicy())
        let rows: [(name: String, isSame: Bool)] = [
            ("module", params.wasmCID == first.wasmCID),
            ("entry point", params.entryName.isSameBytes(as: first.entryName)),
            ("list of numbers", params.invoke == first.invoke),
            ("list of arguments", Self.areSameBytes(params.args, first.args)), ("environment", params.env == first.env),
            ("list of inputs", params.inputCIDs == first.inputCIDs),
            ("session", submission.hasSameSession(params.session, first.session)),
            ("set of files", submission.hasSameFiles(params.files, first.files)),
            ("timeout", limits.timeoutSeconds == nil || params.timeoutSeconds == first.timeoutSeconds),
            ("fuel limit", limits.maxFuel == nil || params.maxFuel == first.maxFuel),
            ("memory limit", limits.maxMemoryBytes == nil || params.maxMemoryBytes == first.maxMemoryBytes),
            ("output limit", limits.maxOutputBytes == nil || params.maxOutputBytes == first.maxOutputBytes),
            ("budget", submission.budget == nil || params.maxAcceptableBidTokens == first.maxAcceptableBidTokens),
            ("least reputation", policy.minReputation == nil || asked.minReputation == had.minReputation),
            (
                "list of regions",
                policy.regions == nil || Self.areSameBytes(asked.regionFilter ?? [], had.regionFilter ?? [])
            ),
            (
                "time for bids",
                policy.bidWindowMilliseconds == nil || asked.bidWindowMilliseconds == had.bidWindowMilliseconds
            ),
            ("number of bids", policy.sufficientBids == nil || asked.sufficientBids == had.sufficientBids),
            ("list of allowed nodes", policy.allowedDIDs == nil || asked.allowedDIDs == had.allowedDIDs),
            (
                "list of features",
                // The node itself asked for more: for its engine, for what the module imports.
                policy.requiredFeatures == nil
                    || Set((asked.requiredFeatures ?? []).map(ExactText.init))
                        .isSubset(of: (had.requiredFeatures ?? []).map(ExactText.init))
            ),
            ("list of resources", policy.resources == nil || params.resourcesRequired == first.resourcesRequired),
            // Who gives a time from now names another date each time.
            ("deadline", (asked.deadline == nil) == (had.deadline == nil)),
            ("set of weights", policy.weights == nil || asked.weights == had.weights),
            ("number of attempts", policy.maxAttempts == nil || asked.maxAttempts == had.maxAttempts),
            ("public bids", policy.publicBids == nil || asked.hasPublicBids == had.hasPublicBids),
            ("public status", policy.publicStatus == nil || asked.hasPublicStatus == had.hasPublicStatus),
            ("list of issuers", policy.payBy == nil || asked.payBy == had.payBy),
            ("token", policy.token == nil || params.scopedResourceToken == first.scopedResourceToken),
            ("answer to slow runs", policy.hedge == nil || asked.allowsHedge == had.allowsHedge),
            ("list of denied nodes", policy.deniedDIDs == nil || asked.deniedDIDs == had.deniedDIDs),
        ]
        return rows.filter { !$0.isSame }.map(\.name)
    }

    /// Text is compared by bytes, as everything that is signed.
    private static func areSameBytes(_ left: [String], _ right: [String]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { $0.isSameBytes(as: $1) }
    }
}

extension JobSubmission {
    /// Whether two jobs have the same session, but for the times that this submission leaves to the node.
    fileprivate func hasSameSession(_ asked: SessionTerms?, _ had: SessionTerms?) -> Bool {
        guard var asked, let had else { return asked == nil && had == nil }
        if session?.idleSeconds == nil { asked.idleSeconds = had.idleSeconds }
        if session?.transcript == nil { asked.transcript = had.transcript }
        if session?.waitingSeconds == nil { asked.waitingSeconds = had.waitingSeconds }
        return asked == had
    }

    /// Whether two jobs have the same files, but for the quotas that this submission leaves to the node.
    fileprivate func hasSameFiles(_ asked: JobFiles?, _ had: JobFiles?) -> Bool {
        guard var asked, let had else { return asked == nil && had == nil }
        if files?.maxBytes == nil { asked.maxBytes = had.maxBytes }
        if files?.maxEntries == nil { asked.maxEntries = had.maxEntries }
        return asked == had
    }
}
