package import Multiformats
package import SignedObjects

/// Jobs of which everybody may follow the bidding or the run, on topics of their own (PROTOCOL.md, "Public bids").
package enum PublicJob {
    /// What an executor that takes them has among its features; every job that is public in a way requires it.
    package static let feature = "public-jobs-v1"

    /// The bounds of what is said on the topics of a job.
    package struct Limits: Sendable {
        /// A signed commitment, in bytes.
        package var commitmentBytesMax = 1 << 10
        /// Commitments that count for one round of bidding.
        package var commitmentsMax = 64

        /// The limits of PROTOCOL.md.
        package init() {}
    }
}

/// A bidder's word that it made a bid, without a word of what is in it: the bid is shown once nobody can make another.
///
/// The CID of a signed bid hides it, because nobody else can guess the signature in it, and binds its bidder.
package struct BidCommitment: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// Whose job it is.
    package var originatorPeerID: PeerID
    /// Who bids.
    package var bidderDID: DID
    /// The signed `Bid`.
    package var bidCID: CID
    /// When the bid was made.
    package var committedAt: UnixMilliseconds

    /// The commitment to a signed bid.
    package init(to bid: SignedObject<Bid>) {
        jobID = bid.body.jobID
        originatorPeerID = bid.body.originatorPeerID
        bidderDID = bid.body.bidderDID
        bidCID = bid.cid
        committedAt = bid.body.issuedAt
    }

    /// The type name that is signed.
    package static let typeName = "BidCommitment"
    /// The bidder signs.
    package var signerDID: DID { bidderDID }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case originatorPeerID = "originator_peer_id"
        case bidderDID = "bidder_did"
        case bidCID = "bid_cid"
        case committedAt = "committed_at"
    }
}

/// Direct, bidder to originator, and gossip on the job's topic of bids: a bid was made, which is shown later.
package struct JobBidCommitmentV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The signed `BidCommitment`.
    package var commitment: [UInt8]

    /// A notice of a signed commitment.
    package init(_ signed: SignedObject<BidCommitment>) {
        jobID = signed.body.jobID
        commitment = signed.bytes
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case commitment
    }
}

/// Direct, originator to bidders, and gossip on the job's topic of bids: these bids count, no other is taken, and each
/// is to be shown now.
package struct JobBidsSealedV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The signed bids that count, ascending.
    package var bids: [CID]

    package init(jobID: JobID, bids: [CID]) {
        self.jobID = jobID
        self.bids = bids
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case bids
    }
}
