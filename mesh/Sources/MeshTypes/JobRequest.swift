package import SignedObjects

/// What a user hands to a node: the job, who asks for it, and a key that makes asking twice harmless.
package struct JobRequest: Hashable, Sendable, Codable {
    /// Who asks.
    package var requesterDID: DID
    /// When it was asked.
    package var submittedAt: UnixMilliseconds
    /// The job.
    package var params: MeshJobParams
    /// What the executor must be like; overrides the policy in `params`.
    package var executionPolicy: ExecutionPolicy?
    /// Chosen by the client; the same key from the same requester gives the same job.
    package var idempotencyKey: String
    /// How the result is to be checked; absent means not at all. No executor learns of it before the job is settled.
    package var verification: VerificationLevel?
    /// What decides its run besides the parameters, where it is to give what another job gives; absent means that the
    /// node makes one up.
    package var execution: ExecutionIdentity?

    package init(
        requesterDID: DID, submittedAt: UnixMilliseconds, params: MeshJobParams,
        executionPolicy: ExecutionPolicy? = nil,
        idempotencyKey: String
    ) {
        self.requesterDID = requesterDID
        self.submittedAt = submittedAt
        self.params = params
        self.executionPolicy = executionPolicy
        self.idempotencyKey = idempotencyKey
    }

    /// The parameters as the manifest will carry them, with the policy that applies.
    package var effectiveParams: MeshJobParams {
        var effective = params
        if let executionPolicy { effective.executionPolicy = executionPolicy }
        return effective
    }

    enum CodingKeys: String, CodingKey {
        case requesterDID = "requester_did"
        case submittedAt = "submitted_at"
        case params
        case executionPolicy = "execution_policy"
        case idempotencyKey = "idempotency_key"
        case verification
        case execution
    }
}
