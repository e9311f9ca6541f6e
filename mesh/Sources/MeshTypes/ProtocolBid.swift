package import Multiformats
package import SignedObjects

/// The lean bid that `JobBidV1` carries: what an originator reads first, with the signed canonical bid inside.
///
/// Conversion loses nothing in either direction: `ProtocolBid(SignedObject<Bid>)` repeats fields of the canonical bid,
/// and `verified()` returns that bid after checking its signature and that the repeated fields agree with it.
package struct ProtocolBid: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The node the bid is for.
    package var jobOriginator: PeerID
    /// Who offers.
    package var executorDID: DID
    /// The most that the run can cost.
    package var price: TokenAmount
    /// The libp2p spelling of the executor's key.
    package var executionNodeID: PeerID
    /// Where the executor stands.
    package var region: String?
    /// The block of the signed canonical bid.
    package var signedBid: [UInt8]

    /// The lean form of a signed canonical bid.
    package init(_ signed: SignedObject<Bid>) {
        jobID = signed.body.jobID
        jobOriginator = signed.body.originatorPeerID
        executorDID = signed.body.bidderDID
        price = signed.body.terms.price
        executionNodeID = signed.body.bidderPeerID
        region = signed.body.region
        signedBid = signed.bytes
    }

    /// The signed canonical bid, checked: its signature verifies, and the lean fields repeat it exactly.
    package func verified() throws(ProtocolBidError) -> SignedObject<Bid> {
        let signed: SignedObject<Bid>
        do {
            signed = try SignedObject<Bid>(verifying: signedBid)
        } catch {
            throw .notVerified(error)
        }
        guard signed.body.bidderDID.peerID == signed.body.bidderPeerID else { throw .peerIDOfAnotherKey }
        guard ProtocolBid(signed) == self else { throw .leanFieldsDiffer }
        return signed
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case jobOriginator = "job_originator"
        case executorDID = "executor_did"
        case price
        case executionNodeID = "execution_node_id"
        case region
        case signedBid = "signed_bid"
    }
}

/// Why a lean bid does not represent a canonical one.
package enum ProtocolBidError: Error, Hashable, Sendable {
    /// The embedded bid is not a valid signed object.
    case notVerified(SignedObjectError)
    /// The bidder's PeerID and DID come from different keys.
    case peerIDOfAnotherKey
    /// A lean field differs from the signed bid.
    case leanFieldsDiffer
}

extension ProtocolBidError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notVerified(let error): "the bid does not verify: \(error)"
        case .peerIDOfAnotherKey: "the bidder's peer ID belongs to another key"
        case .leanFieldsDiffer: "the bid differs from what was signed"
        }
    }
}
