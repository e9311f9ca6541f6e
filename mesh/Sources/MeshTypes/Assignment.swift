package import Multiformats
package import SignedObjects

/// The originator's signed order to run a job, on exactly the terms of one bid.
package struct Assignment: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// Who gives the order and will pay.
    package var originatorDID: DID
    /// The signed bid that it takes up.
    package var bidCID: CID
    /// Who is to run the job.
    package var executorDID: DID
    /// Counts the assignments of a job from 1.
    package var attempt: UInt64
    /// Which replica of the job this is; 0 if there is only one.
    package var replicaSlot: UInt64
    /// How long the executor may stay silent, in milliseconds.
    package var leaseMilliseconds: UInt64
    /// The terms of the bid, repeated.
    package var terms: BidTerms
    /// When the order was given.
    package var assignedAt: UnixMilliseconds
    /// Until when the executor may accept it; the bid's date.
    package var acceptBy: UnixMilliseconds
    /// The block of the `HoldCertificate` by which the job is paid; absent where it costs tokens.
    package var holdCID: CID?
    /// What the result is sealed to where it is left with the arbiter of that hold: the public half of a key of X25519
    /// for this attempt alone, 32 bytes; absent where there is no hold.
    package var sealingKey: [UInt8]?

    package init(
        jobID: JobID, originatorDID: DID, bidCID: CID, executorDID: DID, attempt: UInt64, replicaSlot: UInt64 = 0,
        leaseMilliseconds: UInt64, terms: BidTerms, assignedAt: UnixMilliseconds, acceptBy: UnixMilliseconds
    ) {
        self.jobID = jobID
        self.originatorDID = originatorDID
        self.bidCID = bidCID
        self.executorDID = executorDID
        self.attempt = attempt
        self.replicaSlot = replicaSlot
        self.leaseMilliseconds = leaseMilliseconds
        self.terms = terms
        self.assignedAt = assignedAt
        self.acceptBy = acceptBy
    }

    /// The type name that is signed.
    package static let typeName = "Assignment"
    /// The originator signs.
    package var signerDID: DID { originatorDID }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case originatorDID = "originator_did"
        case bidCID = "bid_cid"
        case executorDID = "executor_did"
        case attempt
        case replicaSlot = "replica_slot"
        case leaseMilliseconds = "lease_ms"
        case terms
        case assignedAt = "assigned_at"
        case acceptBy = "accept_by"
        case holdCID = "hold_cid"
        case sealingKey = "sealing_key"
    }
}
