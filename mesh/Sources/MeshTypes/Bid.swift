package import Multiformats
package import SignedObjects

/// The canonical bid: a signed, binding offer to run a job on given terms until a given date.
package struct Bid: Hashable, Sendable, SignedBody {
    /// The job.
    package var jobID: JobID
    /// Whose job it is.
    package var originatorPeerID: PeerID
    /// Who offers.
    package var bidderDID: DID
    /// The libp2p spelling of the same key.
    package var bidderPeerID: PeerID
    /// The offer.
    package var terms: BidTerms
    /// What the bidder stakes.
    package var collateral: TokenAmount?
    /// Where the bidder stands.
    package var region: String?
    /// Features that the bidder has, sorted; a policy's `required_features` are checked against them.
    package var features: [String]
    /// What the bidder has in total, by resource type; `resources_required` are checked against it.
    package var resources: ResourceAmounts
    /// How busy the bidder is, in thousandths of its capacity.
    package var loadPermille: UInt64
    /// The bidder's signed capability, for details.
    package var nodeMetadataCID: CID?
    /// When the bid was made.
    package var issuedAt: UnixMilliseconds
    /// Until when an assignment can take it up.
    package var expiresAt: UnixMilliseconds

    package init(
        jobID: JobID, originatorPeerID: PeerID, bidderDID: DID, bidderPeerID: PeerID, terms: BidTerms,
        collateral: TokenAmount? = nil, region: String? = nil, features: [String] = [],
        resources: ResourceAmounts = [:], loadPermille: UInt64 = 0, nodeMetadataCID: CID? = nil,
        issuedAt: UnixMilliseconds, expiresAt: UnixMilliseconds
    ) {
        self.jobID = jobID
        self.originatorPeerID = originatorPeerID
        self.bidderDID = bidderDID
        self.bidderPeerID = bidderPeerID
        self.terms = terms
        self.collateral = collateral
        self.region = region
        self.features = features
        self.resources = resources
        self.loadPermille = loadPermille
        self.nodeMetadataCID = nodeMetadataCID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }

    /// The type name that is signed.
    package static let typeName = "Bid"
    /// The executor signs.
    package var signerDID: DID { bidderDID }

    /// How long a run waits at most, behind others that the bidder has accepted, as it promises, in milliseconds by its
    /// own dates.
    package var queueMilliseconds: UInt64 { terms.earliestStart.milliseconds(since: issuedAt) }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case originatorPeerID = "originator_peer_id"
        case bidderDID = "bidder_did"
        case bidderPeerID = "bidder_peer_id"
        case terms
        case collateral
        case region
        case features
        case resources
        case loadPermille = "load_permille"
        case nodeMetadataCID = "node_metadata_cid"
        case issuedAt = "issued_at"
        case expiresAt = "expires_at"
    }
}
