public import Multiformats
public import SignedObjects

/// The signed form of a job on the wire: the canonical parameters, and what executors need to answer.
///
/// The CID of the signed block is the `JobID`. It carries the parameters whole, so `JobManifest` and `MeshJobParams`
/// cannot drift apart.
public struct JobManifest: Hashable, Sendable, SignedBody {
    /// The job, unchanged.
    public var params: MeshJobParams
    /// Who pays and decides.
    public var originatorDID: DID
    /// The libp2p spelling of the same key.
    public var originatorPeerID: PeerID
    /// Where the originator can be reached.
    public var originatorAddresses: [Multiaddr]
    /// Sixteen random bytes: makes equal jobs different, and breaks ties between equal bids.
    public var nonce: [UInt8]
    /// When the user submitted the job.
    public var submittedAt: UnixMilliseconds
    /// When the bidding ends.
    public var biddingDeadline: UnixMilliseconds
    /// When the whole job has ended, in whatever way.
    public var expiresAt: UnixMilliseconds

    public init(
        params: MeshJobParams, originatorDID: DID, originatorPeerID: PeerID, originatorAddresses: [Multiaddr],
        nonce: [UInt8], submittedAt: UnixMilliseconds, biddingDeadline: UnixMilliseconds, expiresAt: UnixMilliseconds
    ) {
        self.params = params
        self.originatorDID = originatorDID
        self.originatorPeerID = originatorPeerID
        self.originatorAddresses = originatorAddresses
        self.nonce = nonce
        self.submittedAt = submittedAt
        self.biddingDeadline = biddingDeadline
        self.expiresAt = expiresAt
    }

    /// The type name that is signed.
    public static let typeName = "JobManifest"
    /// The originator signs.
    public var signerDID: DID { originatorDID }
    /// The policy that applies; an empty one if the job names none.
    public var policy: ExecutionPolicy { params.executionPolicy ?? ExecutionPolicy() }

    enum CodingKeys: String, CodingKey {
        case params
        case originatorDID = "originator_did"
        case originatorPeerID = "originator_peer_id"
        case originatorAddresses = "originator_addresses"
        case nonce
        case submittedAt = "submitted_at"
        case biddingDeadline = "bidding_deadline"
        case expiresAt = "expires_at"
    }
}
