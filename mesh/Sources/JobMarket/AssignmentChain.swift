import Credit
import MeshTypes
import Multiformats
import SignedObjects

/// An assignment with this node's bid that it answers, and the manifest of the bid.
struct AssignmentChain: Sendable {
    let manifest: SignedObject<JobManifest>
    let bid: SignedObject<Bid>
    let assignment: SignedObject<Assignment>
    /// The hold by which it is paid; `nil` where it costs tokens.
    var hold: SignedObject<HoldCertificate>?
    var id: JobID { JobID(manifest.cid) }
    /// The leases that an executor accepts: a longer one would outlast what it means, a shorter one no report could
    /// renew.
    private static let leaseMilliseconds: ClosedRange<UInt64> = 100...3_600_000

    /// The chain of a message, if every link verifies and the assignment takes up a valid bid of this node unchanged.
    ///
    /// - Parameter known: what this node remembers of the job; it verified what it bid on then, and the bid is its own.
    static func verified(
        _ message: AssignJobV1, from peer: PeerID, known: ExecutedJob?, _ context: MarketContext
    ) -> Result<Self, AssignmentRefusal> {
        let bytesMax = context.limits.evidenceBytesMax
        let isKnown = known?.signedManifest.bytes == message.manifest && known?.signedBid.bytes == message.bid
        guard message.manifest.count <= context.limits.manifestBytesMax,
            let manifest = isKnown
                ? known?.signedManifest : try? SignedObject<JobManifest>(verifying: message.manifest)
        else { return .failure(.notVerified(part: "manifest")) }
        guard message.bid.count <= bytesMax,
            let bid = isKnown ? known?.signedBid : try? SignedObject<Bid>(verifying: message.bid)
        else { return .failure(.notVerified(part: "bid")) }
        guard message.assignment.count <= bytesMax,
            let assignment = try? SignedObject<Assignment>(verifying: message.assignment)
        else { return .failure(.notVerified(part: "assignment")) }
        let chain = Self(manifest: manifest, bid: bid, assignment: assignment)
        if let field = chain.mismatch(from: peer) { return .failure(.chainMismatch(field: field)) }
        guard bid.body.bidderDID == context.did, assignment.body.executorDID == context.did else {
            return .failure(.notOwnBid)
        }
        // No job has slots: each replica is a job of its own.
        guard assignment.body.replicaSlot == 0 else { return .failure(.chainMismatch(field: "replica_slot")) }
        guard assignment.body.terms == bid.body.terms, assignment.body.acceptBy == bid.body.expiresAt,
            leaseMilliseconds.contains(assignment.body.leaseMilliseconds)
        else { return .failure(.termsChanged) }
        guard chain.isBidValid(known, context) else { return .failure(.expired) }
        return .success(chain)
    }

    private func mismatch(from peer: PeerID) -> String? {
        let manifest = manifest.body
        if manifest.originatorPeerID != peer || manifest.originatorDID.peerID != peer { return "originator_peer_id" }
        if assignment.body.originatorDID != manifest.originatorDID { return "originator_did" }
        if assignment.body.jobID != id || bid.body.jobID != id { return "job_id" }
        if assignment.body.bidCID != bid.cid { return "bid_cid" }
        return nil
    }

    /// Whether the bid can still be taken up: by the steady clock if it is remembered, after a restart by its date.
    private func isBidValid(_ known: ExecutedJob?, _ context: MarketContext) -> Bool {
        if let known, known.bidCID == bid.cid { return context.steady < known.bidLapsesAt }
        return context.wallClock < bid.body.expiresAt && !mayBeAnswered(context)
    }

    /// Whether the bid may be of before this home was restored from a backup: its receipt may be signed then. The clock
    /// of the machine that made it may have been ahead.
    private func mayBeAnswered(_ context: MarketContext) -> Bool {
        guard let opened = context.chainOpenedAt else { return false }
        return bid.body.issuedAt
            <= opened.advanced(milliseconds: context.configuration.rules.clockSkewMilliseconds)
    }

    /// Why the rules refuse the job. This node judged what it bid on then, and its calendar may have been set since.
    func ruleRefusal(known: ExecutedJob?, _ context: MarketContext) -> JobRefusal? {
        let rules = context.configuration.rules
        return known?.bidCID == bid.cid
            ? rules.refusal(of: manifest.body.params)
            : rules.refusal(of: manifest.body, wallClock: context.wallClock)
    }
}
