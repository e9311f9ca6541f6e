package import Multiformats
package import SignedObjects

/// The signed form of a job on the wire: the canonical parameters, and what executors need to answer.
///
/// The CID of the signed block is the `JobID`. It carries the parameters whole, so `JobManifest` and `MeshJobParams`
/// cannot drift apart.
package struct JobManifest: Hashable, Sendable, SignedBody {
    /// The job, unchanged.
    package var params: MeshJobParams
    /// Who pays and decides.
    package var originatorDID: DID
    /// The libp2p spelling of the same key.
    package var originatorPeerID: PeerID
    /// Where the originator can be reached.
    package var originatorAddresses: [Multiaddr]
    /// Sixteen random bytes: makes equal jobs different.
    package var nonce: [UInt8]
    /// When the user submitted the job.
    package var submittedAt: UnixMilliseconds
    /// When the bidding ends.
    package var biddingDeadline: UnixMilliseconds
    /// When the whole job has ended, in whatever way.
    package var expiresAt: UnixMilliseconds
    /// What hides how the result will be checked, until it is settled; absent in manifests of earlier versions.
    package var verificationCommitment: [UInt8]?
    /// What decides a run of it besides its parameters; absent in manifests of earlier versions, where nonce and dates
    /// do.
    package var execution: ExecutionIdentity?

    package init(
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
    package static let typeName = "JobManifest"
    /// The originator signs.
    package var signerDID: DID { originatorDID }
    /// The policy that applies; an empty one if the job names none.
    package var policy: ExecutionPolicy { params.executionPolicy ?? ExecutionPolicy() }

    enum CodingKeys: String, CodingKey {
        case params
        case originatorDID = "originator_did"
        case originatorPeerID = "originator_peer_id"
        case originatorAddresses = "originator_addresses"
        case nonce
        case submittedAt = "submitted_at"
        case biddingDeadline = "bidding_deadline"
        case expiresAt = "expires_at"
        case verificationCommitment = "verification_commitment"
        case execution
    }
}
