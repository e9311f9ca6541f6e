import MeshTypes
import Multiformats
import SignedObjects

/// The users' jobs by submission key: the same key of the same requester names the same job.
struct Submissions: Sendable {
    private struct Key: Hashable, Sendable {
        let requester: DID
        let key: ExactText
    }

    private var jobs: [Key: JobID] = [:]

    /// The job that a key names; an empty key names none.
    func job(of requester: DID, key: String) -> JobID? {
        key.isEmpty ? nil : jobs[Key(requester: requester, key: ExactText(key))]
    }

    mutating func insert(_ job: JobID, of requester: DID, key: String) {
        jobs[Key(requester: requester, key: ExactText(key))] = job
    }

    mutating func remove(of requester: DID, key: String) {
        jobs[Key(requester: requester, key: ExactText(key))] = nil
    }
}

/// A job as a user asks for it, before anything is signed.
struct JobDraft: Sendable {
    let params: MeshJobParams
    var nonce: [UInt8]
    let level: VerificationLevel
    /// What the manifest says of the level.
    var commitment: [UInt8]?
    /// What decides the run besides the parameters.
    let execution: ExecutionIdentity?

    init(
        params: MeshJobParams, nonce: [UInt8], level: VerificationLevel, commitment: [UInt8]?,
        execution: ExecutionIdentity?
    ) {
        var params = params
        if let execution {
            var policy = params.executionPolicy ?? ExecutionPolicy()
            policy.require(execution.feature)
            params.executionPolicy = policy
        }
        self.params = params
        self.nonce = nonce
        self.level = level
        self.commitment = commitment
        self.execution = execution
    }

    /// Why it is refused.
    ///
    /// - Parameter openCount: the jobs of this node that are open.
    func refusal(openCount: Int, _ context: MarketContext) -> SubmissionRefusal? {
        if let refusal = context.configuration.rules.refusal(of: params) { return .jobRefused(refusal) }
        if let refusal = context.configuration.rules.refusal(of: level, for: params) { return .jobRefused(refusal) }
        let outputBytesMax = context.configuration.originator.outputBytesMax
        if params.maxOutputBytes > outputBytesMax {
            return .outputsTooLarge(bytes: params.maxOutputBytes, bytesMax: outputBytesMax)
        }
        if nonce.count != JobRules.nonceBytes { return .badNonce }
        if level.executorsMost > 1, execution == nil {
            return .jobRefused(.notVerifiable("executors whose results are compared need one engine for all"))
        }
        let jobsMax = context.limits.originatedJobsMax
        if openCount + Int(level.executors) > jobsMax { return .tooManyJobs(max: jobsMax) }
        if let deadline = params.executionPolicy?.deadline, deadline <= context.wallClock {
            return .jobRefused(.expired)
        }
        return nil
    }

    /// The manifest to sign: dated, with as much time as its attempts may take.
    func manifest(_ context: MarketContext) -> JobManifest {
        let times = context.configuration.originator
        let attempts = params.executionPolicy?.maxAttempts ?? times.maxAttempts
        let perAttempt = params.attemptMilliseconds(times)
        // The time for the wait for others' results and for a check, whatever the level, which the manifest must not
        // tell.
        let lifetime =
            times.announcementMilliseconds + times.biddingMilliseconds + attempts * perAttempt
            + times.agreementMilliseconds(timeoutSeconds: params.timeoutSeconds)
            + times.checkMilliseconds(timeoutSeconds: params.timeoutSeconds)
        let bounded = min(lifetime, context.configuration.rules.lifetimeMillisecondsMax)
        var expiresAt = context.calendarDate(inMilliseconds: bounded)
        if let deadline = params.executionPolicy?.deadline { expiresAt = min(expiresAt, deadline) }
        let bidding = context.calendarDate(
            inMilliseconds: times.announcementMilliseconds + times.biddingMilliseconds)
        var manifest = JobManifest(
            params: params, originatorDID: context.did, originatorPeerID: context.peerID,
            originatorAddresses: context.addresses, nonce: nonce, submittedAt: context.wallClock,
            biddingDeadline: min(bidding, expiresAt), expiresAt: expiresAt)
        manifest.verificationCommitment = commitment
        manifest.execution = execution
        return manifest
    }
}
