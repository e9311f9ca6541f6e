package import Multiformats
package import SignedObjects

/// Gossip: what an executor offers, as the block of a signed `NodeCapability`.
package struct CapabilityAdvertisementV1: Hashable, Sendable, Codable {
    /// The signed `NodeCapability`.
    package var capability: [UInt8]

    /// An advertisement of a signed capability.
    package init(capability: [UInt8]) {
        self.capability = capability
    }
}

/// Gossip: a job that wants bids. It carries the signed manifest if that is small, else where to fetch it.
package struct JobAnnouncementV1: Hashable, Sendable, Codable {
    /// The job: the CID of its manifest block.
    package var jobID: JobID
    /// The signed `JobManifest`, if small enough for gossip.
    package var manifest: [UInt8]?
    /// The policy, so that executors can filter before they fetch the manifest; absent if the manifest is here.
    package var executionPolicy: ExecutionPolicy?
    /// Whose job it is.
    package var originatorPeerID: PeerID
    /// Who has the manifest and the blocks.
    package var providerAddresses: [Multiaddr]
    /// The date after which the announcement means nothing.
    package var expiresAt: UnixMilliseconds
    /// The originator's span (`TraceContext`), where it records the job; nobody relies on it.
    package var traceparent: String?

    package init(
        jobID: JobID, manifest: [UInt8]?, executionPolicy: ExecutionPolicy? = nil, originatorPeerID: PeerID,
        providerAddresses: [Multiaddr], expiresAt: UnixMilliseconds
    ) {
        self.jobID = jobID
        self.manifest = manifest
        self.executionPolicy = executionPolicy
        self.originatorPeerID = originatorPeerID
        self.providerAddresses = providerAddresses
        self.expiresAt = expiresAt
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case manifest
        case executionPolicy = "execution_policy"
        case originatorPeerID = "originator_peer_id"
        case providerAddresses = "provider_addresses"
        case expiresAt = "expires_at"
        case traceparent
    }
}

/// Direct, executor to originator: the executor would bid on a job and cannot now, and why; it binds nobody.
package struct JobInterestV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// Who is interested.
    package var executorDID: DID
    /// Where it stands.
    package var region: String?
    /// A stable name of what keeps it from bidding now; absent in messages of earlier versions.
    package var code: RefusalCode?
    /// The same for people.
    package var reason: String?

    /// What keeps it from bidding now.
    package var refusal: Refusal? { code.map { Refusal(code: $0, text: reason ?? "") } }

    package init(jobID: JobID, executorDID: DID, region: String? = nil, _ refusal: Refusal? = nil) {
        self.jobID = jobID
        self.executorDID = executorDID
        self.region = region
        code = refusal?.code
        reason = refusal?.text
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case executorDID = "executor_did"
        case region, code, reason
    }
}

/// Direct, originator to executor: why is there no bid on a job that was announced?
///
/// The answer is `Ack` where a bid is made, `Declined` with a code where the executor does not bid, and `Refused` where
/// it does not know the job or is asked too often.
package struct JobInquiryV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID

    /// A question about a job.
    package init(jobID: JobID) {
        self.jobID = jobID
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
    }
}

/// A bid: direct, and gossip on the job's topic of bids if the policy asks for public bids.
package struct JobBidV1: Hashable, Sendable, Codable {
    /// The lean bid that contains the signed canonical one.
    package var bid: ProtocolBid

    package init(bid: ProtocolBid) {
        self.bid = bid
    }
}

/// Direct, originator to bidder: the originator declined the bid, and why.
package struct JobBidRefusedV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The declined signed bid.
    package var bidCID: CID
    /// A stable name of the reason.
    package var code: RefusalCode
    /// The reason for people.
    package var reason: String
    /// Who has the job now, where another bid was taken.
    package var winnerDID: DID?
    /// The most that the winner may charge.
    package var winnerPrice: TokenAmount?

    /// The refusal, as the bidder takes it.
    package var refusal: Refusal {
        var refusal = Refusal(code: code, text: reason)
        refusal.lostTo = BidWinner(winnerDID, winnerPrice)
        return refusal
    }

    /// A notice to a bidder why its bid was declined.
    package init(jobID: JobID, bidCID: CID, _ refusal: Refusal) {
        self.jobID = jobID
        self.bidCID = bidCID
        code = refusal.code
        reason = refusal.text
        winnerDID = refusal.lostTo?.did
        winnerPrice = refusal.lostTo?.price
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case bidCID = "bid_cid"
        case code
        case reason
        case winnerDID = "winner_did"
        case winnerPrice = "winner_price"
    }
}

/// Direct, originator to executor: the whole chain up to the assignment, so that the executor need not remember its
/// bid.
package struct AssignJobV1: Hashable, Sendable, Codable {
    /// The signed `JobManifest`.
    package var manifest: [UInt8]
    /// The signed `Bid` that the assignment takes up.
    package var bid: [UInt8]
    /// The signed `Assignment`.
    package var assignment: [UInt8]
    /// The `HoldCertificate` that the assignment links; absent where the job costs tokens.
    package var hold: [UInt8]?
    /// The originator's span (`TraceContext`), where it records the job; nobody relies on it.
    package var traceparent: String?

    /// An assignment with the chain it rests on.
    package init(manifest: [UInt8], bid: [UInt8], assignment: [UInt8], hold: [UInt8]? = nil) {
        self.manifest = manifest
        self.bid = bid
        self.assignment = assignment
        self.hold = hold
    }
}

/// Direct, originator to executor: stop; a receipt follows nevertheless.
package struct CancelJobV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The signed assignment to end.
    package var assignmentCID: CID
    /// Why, for people.
    package var reason: String

    package init(jobID: JobID, assignmentCID: CID, reason: String) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case reason
    }
}

/// Direct, executor to originator, and gossip on the job's topic of status if the policy asks for that: the state of
/// the run; it renews the lease.
package struct JobStatusUpdateV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The signed assignment.
    package var assignmentCID: CID
    /// Who runs it.
    package var executorDID: DID
    /// The detailed status.
    package var status: JobStatus
    /// What the module reported about itself, in thousandths.
    package var progressPermille: UInt64?
    /// The fuel that the run has used at least, once that is known.
    package var fuelSoFar: UInt64?
    /// How far the executor is with what comes before the run, while that goes on.
    package var preparation: Preparation?
    /// Counts the updates of one assignment; one older than the last changes nothing.
    package var sequence: UInt64

    package init(
        jobID: JobID, assignmentCID: CID, executorDID: DID, status: JobStatus, progressPermille: UInt64? = nil,
        fuelSoFar: UInt64? = nil, preparation: Preparation? = nil, sequence: UInt64
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.executorDID = executorDID
        self.status = status
        self.progressPermille = progressPermille
        self.fuelSoFar = fuelSoFar
        self.preparation = preparation
        self.sequence = sequence
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case executorDID = "executor_did"
        case status
        case progressPermille = "progress_permille"
        case fuelSoFar = "fuel_so_far"
        case preparation, sequence
    }
}

/// Gossip, and direct to the originator with the block itself: a receipt exists.
package struct ExecutionReceiptAvailableV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The signed receipt.
    package var receiptCID: CID
    /// Who signed it.
    package var executorDID: DID
    /// The canonical status in it.
    package var status: StandardJobStatus
    /// The block of the signed receipt; always present in the direct form.
    package var receipt: [UInt8]?
    /// Who has the receipt and the outputs.
    package var providerAddresses: [Multiaddr]

    package init(
        jobID: JobID, receiptCID: CID, executorDID: DID, status: StandardJobStatus, receipt: [UInt8]? = nil,
        providerAddresses: [Multiaddr] = []
    ) {
        self.jobID = jobID
        self.receiptCID = receiptCID
        self.executorDID = executorDID
        self.status = status
        self.receipt = receipt
        self.providerAddresses = providerAddresses
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case receiptCID = "receipt_cid"
        case executorDID = "executor_did"
        case status
        case receipt
        case providerAddresses = "provider_addresses"
    }
}

/// Direct, originator to executor: the payment for a receipt.
package struct JobSettledV1: Hashable, Sendable, Codable {
    /// The signed `Settlement`.
    package var settlement: [UInt8]

    /// A notice of a signed settlement.
    package init(settlement: [UInt8]) {
        self.settlement = settlement
    }
}

/// On a stream of its own (`MeshTopics.sessions`): data between the user and a running module, in either direction; or
/// (`MeshTopics.outputs`) what a module writes, without input.
package struct JobInteractiveDataV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The assignment, and so the attempt, that the session belongs to.
    package var assignmentCID: CID
    /// Position of the first byte in the stream of this direction.
    package var sequence: UInt64
    /// The bytes, in all `SessionTerms.Limits.messageBytesMax` at most.
    package var data: [UInt8]
    /// Up to which position the sender needs the other direction no more.
    package var acknowledged: UInt64
    /// How many bytes of the other direction the sender accepts beyond that.
    package var credit: UInt64
    /// Whether these are the last bytes of this direction.
    package var isLast: Bool
    /// Whether the module wrote these to standard error; never so in the direction to the module.
    package var isError: Bool
    /// The signed `InputStatement` about all input up to the end of these bytes; only in the direction to the module,
    /// and only where a transcript is kept.
    package var statement: [UInt8]?

    package init(
        jobID: JobID, assignmentCID: CID, sequence: UInt64, data: [UInt8], acknowledged: UInt64, credit: UInt64,
        isLast: Bool, isError: Bool = false, statement: [UInt8]? = nil
    ) {
        self.statement = statement
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.sequence = sequence
        self.data = data
        self.acknowledged = acknowledged
        self.credit = credit
        self.isLast = isLast
        self.isError = isError
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case sequence
        case data
        case acknowledged
        case credit
        case isLast = "is_last"
        case isError = "is_error"
        case statement
    }
}

/// Gossip: a signed rating.
package struct ReputationRecordAvailableV1: Hashable, Sendable, Codable {
    /// The signed `ReputationRecord`.
    package var record: [UInt8]

    /// A notice of a signed rating.
    package init(record: [UInt8]) {
        self.record = record
    }
}

/// Gossip: the newest entries of an anchored DAG, as one node sees it.
package struct AnchorHeadsV1: Hashable, Sendable, Codable {
    /// The DAG.
    package var scope: String
    /// Its heads, sorted.
    package var heads: [CID]
    /// The greatest height among them.
    package var height: UInt64

    package init(scope: String, heads: [CID], height: UInt64) {
        self.scope = scope
        self.heads = heads
        self.height = height
    }
}

/// Gossip: the newest signed head of its author's log.
package struct LogHeadV1: Hashable, Sendable, Codable {
    /// The head as a note, with the cosignatures that its author has (C2SP's tlog-checkpoint).
    package var note: [UInt8]

    package init(note: [UInt8]) { self.note = note }
}

/// Gossip: the proof that somebody told two histories of a log.
package struct LogForkV1: Hashable, Sendable, Codable {
    /// The proof as a text (PROTOCOL.md, "Logs").
    package var proof: [UInt8]

    package init(proof: [UInt8]) { self.proof = proof }
}
