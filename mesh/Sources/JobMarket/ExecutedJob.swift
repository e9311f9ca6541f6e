import Economics
import MeshTypes
import Multiformats
import SignedObjects

/// A job that this node bid on or runs: the fold of its journal.
public struct ExecutedJob: MarketJob, Hashable, Sendable {
    /// The job.
    public let id: JobID
    /// What was asked.
    public let manifest: JobManifest
    /// The signed block of it.
    public let manifestBlock: [UInt8]
    /// The signed bid of this node.
    public internal(set) var bidCID: CID
    /// What it says.
    public internal(set) var bid: Bid
    /// The signed block of it.
    public internal(set) var bidBlock: [UInt8]
    /// The detailed state; `biddingOpen` until the bid is taken up.
    public internal(set) var status = JobStatus.biddingOpen
    /// The assignment that was taken.
    public internal(set) var assignmentCID: CID?
    /// What it says.
    public internal(set) var assignment: Assignment?
    /// Whether the run was ordered.
    public internal(set) var isStarted = false
    /// When the run is given up.
    public internal(set) var giveUpAt: UnixMilliseconds?
    /// Why the run was asked to stop.
    public internal(set) var stopReason: String?
    /// The signed receipt.
    public internal(set) var receiptCID: CID?
    /// What it says.
    public internal(set) var receipt: ExecutionReceipt?
    /// The signed block of it.
    public internal(set) var receiptBlock: [UInt8]?
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

    /// Whether it takes a place or waits for one.
    public var occupiesPlace: Bool { assignment != nil && receipt == nil }

    /// Whether it is a bid that may still be taken up.
    public var isOpenBid: Bool { assignment == nil && !isClosed }

    var cameToNothing: Bool { assignment == nil }

    var ledgerKeys: [LedgerEntry.Key] {
        receiptCID.map { [LedgerEntry.Key(.income, $0.text)] } ?? []
    }

    init(manifest: SignedObject<JobManifest>, bid: SignedObject<Bid>, at: UnixMilliseconds) {
        id = JobID(manifest.cid)
        self.manifest = manifest.body
        manifestBlock = manifest.bytes
        bidCID = bid.cid
        self.bid = bid.body
        bidBlock = bid.bytes
        bidLapsesAt = at.advanced(milliseconds: bid.body.expiresAt.milliseconds(since: bid.body.issuedAt))
        lastEventAt = at
    }

    /// Folds one event into the state: a pure function of the two.
    mutating func fold(_ event: JobEvent, evidence: EvidenceDesk) throws(JobEventError) {
        lastEventAt = event.at
        switch event.kind {
        case .bidClosed(let reason):
            bidEnd = reason
            isClosed = true
        case .assignmentAccepted(_, _, let block):
            let signed = try evidence.assignment(block)
            assignmentCID = signed.cid
            assignment = signed.body
            status = .assigned
        case .executionStarted(let date):
            isStarted = true
            giveUpAt = date
            status = .preparingExecution
        case .executionProgressed(let reported):
            status = reported
        case .stopRequested(let reason, _):
            stopReason = reason
        case .receiptSigned(let block, let until):
            let signed = try evidence.receipt(block)
            receiptCID = signed.cid
            receipt = signed.body
            receiptBlock = block
            deliverUntil = until
            giveUpAt = nil
            status = .receiptGenerated
        case .receiptDelivered(let end, let until):
            delivery = end
            settleUntil = until
        case .settlementReceived(let block):
            let signed = try evidence.settlement(block)
            earned = signed.body.amountPaid
            verdict = signed.body.verdict
        case .settlementOverdue:
            isOverdue = true
        case .anchored(let block, let until):
            anchor = .pending(try evidence.anchor(block).cid, until: until)
            status = .receiptAnchored
        case .anchorPublished(let inTime):
            if case .pending(let cid, _) = anchor { anchor = .done(cid, inTime: inTime) }
        case .closed:
            isClosed = true
        default: break
        }
    }
}
