import Determinism
import MeshTypes
import Multiformats
import SignedObjects

/// What gossip does with messages that the market itself does not use: it checks their author, form, size and dates
/// before forwarding them, and limits each author's rate (PROTOCOL.md, "What is checked before gossip is forwarded").
struct GossipRules: Sendable {
    private var capabilities = AnnouncementRates()
    private var heads = AnnouncementRates()
    private var receipts = AnnouncementRates()
    private var records = AnnouncementRates()

    /// Judges a message of an author.
    mutating func judgement(
        of message: MeshProtocolMessage, author: PeerID, _ context: MarketContext
    ) -> GossipJudgement {
        guard isWithinRate(message, author, context) else {
            return .ignore(reason: "more than an author may send")
        }
        switch message {
        case .capabilityAdvertisement(let advertisement):
            return Self.judgement(of: advertisement, author: author, context)
        case .executionReceiptAvailable(let notice): return Self.judgement(of: notice, author: author, context)
        case .anchorHeads(let heads): return Self.judgement(of: heads, context)
        case .reputationRecordAvailable(let notice): return Self.judgement(of: notice, author: author, context)
        // Those of jobs are judged by topic (`JobTopics`), those of logs by who follows logs.
        case .logHead, .logFork, .jobBid, .jobBidCommitment, .jobBidsSealed, .jobStatusUpdate:
            return .ignore(reason: "not followed here")
        case .jobInterest, .jobInquiry, .jobBidRefused, .assignJob, .cancelJob, .jobSettled, .jobDelivered,
            .jobInteractiveInput, .jobInteractiveOutput, .jobAnnouncement:
            return .reject(reason: "\(message.variant.rawValue) is not a gossip message")
        }
    }

    private mutating func isWithinRate(
        _ message: MeshProtocolMessage, _ author: PeerID, _ context: MarketContext
    ) -> Bool {
        let (limits, now) = (context.limits, context.now)
        switch message {
        case .capabilityAdvertisement:
            return capabilities.take(
                author, perSecond: limits.capabilitiesPerSecondMax, burst: limits.capabilityBurstMax, now: now,
                limits: limits)
        case .anchorHeads:
            return heads.take(
                author, perSecond: limits.headsPerSecondMax, burst: limits.headsBurstMax, now: now, limits: limits)
        case .reputationRecordAvailable:
            return records.take(
                author, perSecond: limits.recordsPerSecondMax, burst: limits.recordBurstMax, now: now, limits: limits)
        default:
            return receipts.take(
                author, perSecond: limits.receiptNoticesPerSecondMax, burst: limits.receiptNoticeBurstMax, now: now,
                limits: limits)
        }
    }

    private static func judgement(
        of advertisement: CapabilityAdvertisementV1, author: PeerID, _ context: MarketContext
    ) -> GossipJudgement {
        let bytesMax = context.limits.capabilityBytesMax
        guard advertisement.capability.count <= bytesMax else {
            return .reject(reason: "the capability is longer than \(bytesMax) bytes")
        }
        guard let signed = try? SignedObject<NodeCapability>(verifying: advertisement.capability),
            signed.body.peerID == author, signed.body.nodeDID.peerID == author
        else { return .reject(reason: "the capability is not its author's") }
        let rules = context.configuration.rules
        guard signed.body.addresses.count <= rules.addressCountMax else {
            return .reject(reason: "too many addresses")
        }
        let skew = rules.clockSkewMilliseconds
        if signed.body.validUntil.advanced(milliseconds: skew) <= context.wallClock {
            return .ignore(reason: "expired")
        }
        if signed.body.issuedAt > context.date(inMilliseconds: skew) { return .ignore(reason: "of the future") }
        return .accept
    }

    private static func judgement(
        of notice: ExecutionReceiptAvailableV1, author: PeerID, _ context: MarketContext
    ) -> GossipJudgement {
        if notice.receipt != nil { return .reject(reason: "a receipt is not gossiped, only its CID") }
        guard notice.executorDID.peerID == author else { return .reject(reason: "announced by another peer") }
        guard [notice.receiptCID, notice.jobID.cid].allSatisfy(\.namesObject) else {
            return .reject(reason: "a CID of another form than objects have")
        }
        guard notice.providerAddresses.count <= context.configuration.rules.addressCountMax else {
            return .reject(reason: "too many addresses")
        }
        return .accept
    }

    /// Only its rater gossips a rating, as only its executor gossips a capability: somebody who repeats others' could
    /// bring back what the rater has replaced, and would spend its own key's rate on them.
    private static func judgement(
        of notice: ReputationRecordAvailableV1, author: PeerID, _ context: MarketContext
    ) -> GossipJudgement {
        guard let signed = try? SignedObject<ReputationRecord>(verifying: notice.record) else {
            return .reject(reason: "the rating does not verify")
        }
        guard signed.body.raterDID.peerID == author else { return .reject(reason: "the rating is not its author's") }
        guard signed.body.subjectDID != signed.body.raterDID else { return .reject(reason: "a rating of oneself") }
        guard signed.body.receiptCID.namesObject else {
            return .reject(reason: "a CID of another form than objects have")
        }
        guard signed.body.verdict.isForOthers else { return .reject(reason: "its word alone shows nothing to others") }
        let pay = signed.body.pay
        guard pay.settlementCID.namesObject, pay.proofCID.namesObject, signed.body.weight > 0 else {
            return .reject(reason: "pay of another form")
        }
        let skew = context.configuration.rules.clockSkewMilliseconds
        if signed.body.recordedAt > context.date(inMilliseconds: skew) { return .ignore(reason: "of the future") }
        return .accept
    }

    private static func judgement(of heads: AnchorHeadsV1, _ context: MarketContext) -> GossipJudgement {
        guard heads.scope.utf8.elementsEqual(context.configuration.anchorScope.utf8) else {
            return .reject(reason: "heads of another scope")
        }
        guard (1...context.limits.headsAnnouncedMax).contains(heads.heads.count) else {
            return .reject(reason: "no heads, or too many")
        }
        guard heads.heads.allSatisfy(\.namesObject) else {
            return .reject(reason: "a CID of another form than objects have")
        }
        guard zip(heads.heads, heads.heads.dropFirst()).allSatisfy({ $0 < $1 }) else {
            return .reject(reason: "heads out of order or twice")
        }
        guard heads.height <= context.limits.anchorHeightMax else { return .reject(reason: "no such height") }
        return .accept
    }
}

extension CID {
    /// Whether this CID has the form of signed objects' CIDs.
    package var namesObject: Bool { namesEvidence && codec == .dagCBOR }
}
