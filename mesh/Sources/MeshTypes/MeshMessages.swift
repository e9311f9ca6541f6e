public import Multiformats
public import SignedObjects

/// Gossip: what an executor offers, as the block of a signed `NodeCapability`.
public struct CapabilityAdvertisementV1: Hashable, Sendable, Codable {
    /// The signed `NodeCapability`.
    public var capability: [UInt8]

    /// An advertisement of a signed capability.
    public init(capability: [UInt8]) {
        self.capability = capability
    }
}

/// Gossip: a job that wants bids. It carries the signed manifest if that is small, else where to fetch it.
public struct JobAnnouncementV1: Hashable, Sendable, Codable {
    /// The job: the CID of its manifest block.
    public var jobID: JobID
    /// The signed `JobManifest`, if small enough for gossip.
    public var manifest: [UInt8]?
    /// The policy, so that executors can filter before they fetch the manifest; absent if the manifest is here.
    public var executionPolicy: ExecutionPolicy?
    /// Whose job it is.
    public var originatorPeerID: PeerID
    /// Who has the manifest and the blocks.
    public var providerAddresses: [Multiaddr]
    /// The date after which the announcement means nothing.
    public var expiresAt: UnixMilliseconds

    public init(
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
    }
}

/// Direct: non-binding interest in a job.
public struct JobInterestV1: Hashable, Sendable, Codable {
    /// The job.
    public var jobID: JobID
    /// Who is interested.
    public var executorDID: DID
    /// Where it stands.
    public var region: String?

    public init(jobID: JobID, executorDID: DID, region: String? = nil) {
        self.jobID = jobID
        self.executorDID = executorDID
        self.region = region
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case executorDID = "executor_did"
        case region
    }
}

/// A bid: direct, or gossip if the policy asks for public bids.
public struct JobBidV1: Hashable, Sendable, Codable {
    /// The lean bid that contains the signed canonical one.
    public var bid: ProtocolBid

    public init(bid: ProtocolBid) {
        self.bid = bid
    }
}

/// Direct, originator to bidder: the originator declined the bid, and why.
public struct JobBidRefusedV1: Hashable, Sendable, Codable {
    /// The job.
    public var jobID: JobID
    /// The declined signed bid.
    public var bidCID: CID
    /// A stable name of the reason.
    public var code: RefusalCode
    /// The reason for people.
    public var reason: String

    /// A notice to a bidder why its bid was declined.
    public init(jobID: JobID, bidCID: CID, _ refusal: Refusal) {
        self.jobID = jobID
        self.bidCID = bidCID
        code = refusal.code
        reason = refusal.text
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case bidCID = "bid_cid"
        case code
        case reason
    }
}

/// Direct, originator to executor: the whole chain up to the assignment, so that the executor need not remember its
/// bid.
public struct AssignJobV1: Hashable, Sendable, Codable {
    /// The signed `JobManifest`.
    public var manifest: [UInt8]
    /// The signed `Bid` that the assignment takes up.
    public var bid: [UInt8]
    /// The signed `Assignment`.
    public var assignment: [UInt8]

    /// An assignment with the chain it rests on.
    public init(manifest: [UInt8], bid: [UInt8], assignment: [UInt8]) {
        self.manifest = manifest
        self.bid = bid
        self.assignment = assignment
    }
}

/// Direct, originator to executor: stop; a receipt follows nevertheless.
public struct CancelJobV1: Hashable, Sendable, Codable {
    /// The job.
    public var jobID: JobID
    /// The signed assignment to end.
    public var assignmentCID: CID
    /// Why, for people.
    public var reason: String

    public init(jobID: JobID, assignmentCID: CID, reason: String) {
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

/// Direct, executor to originator: the state of the run; it renews the lease.
public struct JobStatusUpdateV1: Hashable, Sendable, Codable {
    /// The job.
    public var jobID: JobID
    /// The signed assignment.
    public var assignmentCID: CID
    /// Who runs it.
    public var executorDID: DID
    /// The detailed status.
    public var status: JobStatus
    /// What the module reported about itself, in thousandths.
    public var progressPermille: UInt64?
    /// Counts the updates of one assignment; one older than the last changes nothing.
    public var sequence: UInt64

    public init(
        jobID: JobID, assignmentCID: CID, executorDID: DID, status: JobStatus, progressPermille: UInt64? = nil,
        sequence: UInt64
    ) {
        self.jobID = jobID
        self.assignmentCID = assignmentCID
        self.executorDID = executorDID
        self.status = status
        self.progressPermille = progressPermille
        self.sequence = sequence
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case assignmentCID = "assignment_cid"
        case executorDID = "executor_did"
        case status
        case progressPermille = "progress_permille"
        case sequence
    }
}

/// Gossip, and direct to the originator with the block itself: a receipt exists.
public struct ExecutionReceiptAvailableV1: Hashable, Sendable, Codable {
    /// The job.
    public var jobID: JobID
    /// The signed receipt.
    public var receiptCID: CID
    /// Who signed it.
    public var executorDID: DID
    /// The canonical status in it.
    public var status: StandardJobStatus
    /// The block of the signed receipt; always present in the direct form.
    public var receipt: [UInt8]?
    /// Who has the receipt and the outputs.
    public var providerAddresses: [Multiaddr]

    public init(
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
public struct JobSettledV1: Hashable, Sendable, Codable {
    /// The signed `Settlement`.
    public var settlement: [UInt8]

    /// A notice of a signed settlement.
    public init(settlement: [UInt8]) {
        self.settlement = settlement
    }
}

/// Direct: data between the user and a running module, in either direction.
public struct JobInteractiveDataV1: Hashable, Sendable, Codable {
    /// The job.
    public var jobID: JobID
    /// Position of the first byte in the stream of this direction.
    public var sequence: UInt64
    /// The bytes.
    public var data: [UInt8]
    /// How many more bytes the sender accepts in the other direction.
    public var credit: UInt64
    /// Whether these are the last bytes of this direction.
    public var isLast: Bool

    public init(jobID: JobID, sequence: UInt64, data: [UInt8], credit: UInt64, isLast: Bool) {
        self.jobID = jobID
        self.sequence = sequence
        self.data = data
        self.credit = credit
        self.isLast = isLast
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case sequence
        case data
        case credit
        case isLast = "is_last"
    }
}

/// Gossip: a signed rating.
public struct ReputationRecordAvailableV1: Hashable, Sendable, Codable {
    /// The signed `ReputationRecord`.
    public var record: [UInt8]

    /// A notice of a signed rating.
    public init(record: [UInt8]) {
        self.record = record
    }
}

/// Gossip: the newest entries of an anchored DAG, as one node sees it.
public struct AnchorHeadsV1: Hashable, Sendable, Codable {
    /// The DAG.
    public var scope: String
    /// Its heads, sorted.
    public var heads: [CID]
    /// The greatest height among them.
    public var height: UInt64

    public init(scope: String, heads: [CID], height: UInt64) {
        self.scope = scope
        self.heads = heads
        self.height = height
    }
}
