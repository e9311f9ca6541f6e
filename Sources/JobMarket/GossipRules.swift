import MeshIdentity
import MeshTypes
import Multiformats

/// What gossip is to do with messages that the market itself has no use for: their signatures and dates are checked
/// before they are forwarded (PROTOCOL.md, "Messages").
enum GossipRules {
    static func judgement(
        of message: MeshProtocolMessage, author: PeerID, wallClock: UnixMilliseconds, rules: JobRules
    ) -> GossipJudgement {
        switch message {
        case .capabilityAdvertisement(let advertisement):
            guard let signed = try? SignedObject<NodeCapability>(verifying: advertisement.capability),
                signed.body.peerID == author, signed.body.nodeDID.peerID == author
            else { return .reject(reason: "the capability is not its author's") }
            let isOver = signed.body.validUntil.advanced(milliseconds: rules.clockSkewMilliseconds) <= wallClock
            return isOver ? .ignore(reason: "expired") : .accept
        case .executionReceiptAvailable(let notice):
            if notice.receipt != nil { return .reject(reason: "a receipt is not gossiped, only its CID") }
            return notice.executorDID.peerID == author ? .accept : .reject(reason: "announced by another peer")
        case .reputationRecordAvailable(let notice):
            guard let signed = try? SignedObject<ReputationRecord>(verifying: notice.record),
                signed.body.raterDID != signed.body.subjectDID
            else { return .reject(reason: "the rating does not verify") }
            return .accept
        case .anchorHeads(let heads):
            let fits = heads.heads.count <= 64 && heads.scope.utf8.count <= rules.nameBytesMax
            return fits ? .accept : .reject(reason: "too many heads")
        case .jobBid, .jobStatusUpdate: return .ignore(reason: "not followed here")
        case .jobInterest, .jobBidRefused, .assignJob, .cancelJob, .jobSettled, .jobInteractiveInput,
            .jobInteractiveOutput, .jobAnnouncement:
            return .reject(reason: "\(message.variant.rawValue) is not a gossip message")
        }
    }
}
