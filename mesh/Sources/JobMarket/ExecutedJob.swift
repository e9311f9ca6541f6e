import Economics
import MeshTypes
import Multiformats
import SignedObjects

/// A job that this node bid on or runs: the fold of its journal.
public struct ExecutedJob: MarketJob, Hashable, Sendable {
    /// The job.
    public let id: JobID
    /// What was asked, as its originator signed it.
    public let signedManifest: SignedObject<JobManifest>
    /// The bid of this node.
    public let signedBid: SignedObject<Bid>
    /// The detailed state; `biddingOpen` until the bid is taken up.
    public internal(set) var status = JobStatus.biddingOpen
    /// The assignment that was taken.
    public internal(set) var signedAssignment: SignedObject<Assignment>?
    /// Whether the run was ordered.
    public internal(set) var isStarted = false
    /// When the run is given up.
    public internal(set) var giveUpAt: UnixMilliseconds?
    /// Why the run was asked to stop.
    public internal(set) var stopReason: String?
    /// The receipt of this node.
    public internal(set) var signedReceipt: SignedObject<ExecutionReceipt>?
    /// Until when the receipt is offered.
    public internal(set) var deliverUntil: UnixMilliseconds?
    /// How its delivery ended.
    public internal(set) var delivery: DeliveryEnd?
    /// Until when a settlement is awaited.
    public internal(set) var settleUntil: UnixMilliseconds?
    /// What was earned, once the settlement came.
    public internal(set) var earned: TokenAmount?
    /// What the settlement says.
    public internal(set) var verdict: SettlementVerdict?
    /// Whether the settlement did not come in time.
    public internal(set) var isOverdue = false
    /// The anchoring of the receipt.
    public internal(set) var anchor = AnchorState.none
    /// Why the bid came to nothing.
    public internal(set) var bidEnd: BidEnd?
    /// Whether the journal has ended.
    public internal(set) var isClosed = false
    /// When the bid lapses, by this node's own dates: its validity counted from when it was made.
    public let bidLapsesAt: UnixMilliseconds
    /// When the last event happened; the lease of a restarted executor counts from it.
    public internal(set) var lastEventAt: UnixMilliseconds

    /// What was asked.
    public var manifest: JobManifest { signedManifest.body }
    /// Names the bid of this node.
    public var bidCID: CID { signedBid.cid }
    /// What it says.
    public var bid: Bid { signedBid.body }
    /// Names the assignment that was taken.
    public var assignmentCID: CID? { signedAssignment?.cid }
    /// What it says.
    public var assignment: Assignment? { signedAssignment?.body }
    /// Names the receipt of this node.
    public var receiptCID: CID? { signedReceipt?.cid }
    /// What it says.
    public var receipt: ExecutionReceipt? { signedReceipt?.body }

    /// Whether it takes a place or waits for one.
    public var occupiesPlace: Bool { signedAssignment != nil && signedReceipt == nil }

    /// Whether it is a bid that may still be taken up.
    public var isOpenBid: Bool { signedAssignment == nil && !isClosed }

    var cameToNothing: Bool { signedAssignment == nil }

    var ledgerKeys: [LedgerEntry.Key] {
        receiptCID.map { [LedgerEntry.Key(.income, $0.text)] } ?? []
    }

    init(manifest: SignedObject<JobManifest>, bid: SignedObject<Bid>, at: UnixMilliseconds) {
        id = JobID(manifest.cid)
        signedManifest = manifest
        signedBid = bid
        bidLapsesAt = at.advanced(milliseconds: bid.body.expiresAt.milliseconds(since: bid.body.issuedAt))
        lastEventAt = at
    }

    /// Folds one event into the state: a pure function of the two.
    mutating func fold(_ event: JobEvent) {
        lastEventAt = event.at
        switch event.kind {
        case .bidClosed(let reason):
            bidEnd = reason
            isClosed = true
        case .assignmentAccepted(_, _, let assignment):
            signedAssignment = assignment
            status = .assigned
        case .executionStarted(let date):
            isStarted = true
            giveUpAt = date
            status = .preparingExecution
        case .executionProgressed(let reported):
            status = reported
        case .stopRequested(let reason, _):
            stopReason = reason
        case .receiptSigned(let receipt, let until):
            signedReceipt = receipt
            deliverUntil = until
            giveUpAt = nil
            status = .receiptGenerated
        case .receiptDelivered(let end, let until):
            delivery = end
            settleUntil = until
        case .settlementReceived(let settlement):
            earned = settlement.body.amountPaid
            verdict = settlement.body.verdict
        case .settlementOverdue:
            isOverdue = true
        case .anchored(let entry, let until):
            anchor = .pending(entry.cid, until: until)
            status = .receiptAnchored
        case .anchorPublished(let inTime):
            if case .pending(let cid, _) = anchor { anchor = .done(cid, inTime: inTime) }
        case .closed:
            isClosed = true
        default: break
        }
    }
}
