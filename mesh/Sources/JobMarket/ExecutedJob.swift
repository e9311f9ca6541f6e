package import Credit
import Economics
package import MeshTypes
package import Multiformats
package import SignedObjects

/// A job that this node bid on or runs: the fold of its journal.
package struct ExecutedJob: MarketJob, Hashable, Sendable {
    /// Its stage, with what exists only at that stage.
    enum Stage: Hashable, Sendable {
        /// This node bid on it; with why the bid failed, once it did.
        case bid(end: BidEnd?)
        /// The node accepted its assignment.
        case run(ExecutedRun)
        /// The run ended, and its receipt is signed.
        case receipt(ReceiptDelivery)
    }

    /// The job.
    package let id: JobID
    /// The job's manifest, as its originator signed it.
    package let signedManifest: SignedObject<JobManifest>
    /// The bid of this node.
    package let signedBid: SignedObject<Bid>
    /// The detailed state; `biddingOpen` until the bid is taken up, `biddingClosed` once it came to nothing.
    package private(set) var status = JobStatus.biddingOpen
    private(set) var stage = Stage.bid(end: nil)
    /// Whether the journal has ended.
    package private(set) var isClosed = false
    /// When the bid lapses, by this node's clock: its validity counted from when it was made.
    package let bidLapsesAt: UnixMilliseconds
    /// When the last event happened; a restarted executor's lease counts from it.
    package private(set) var lastEventAt: UnixMilliseconds

    init(manifest: SignedObject<JobManifest>, bid: SignedObject<Bid>, at: UnixMilliseconds) {
        id = JobID(manifest.cid)
        signedManifest = manifest
        signedBid = bid
        bidLapsesAt = at.advanced(milliseconds: bid.body.expiresAt.milliseconds(since: bid.body.issuedAt))
        lastEventAt = at
    }

    // MARK: Fold

    /// Folds one event into the state: a pure function of the two.
    mutating func fold(_ event: JobEvent) {
        lastEventAt = event.at
        switch (event.kind, stage) {
        case (.bidClosed(let reason), .bid):
            stage = .bid(end: reason)
            status = .biddingClosed
            isClosed = true
        case (.assignmentAccepted(_, _, let assignment), .bid):
            stage = .run(ExecutedRun(signed: assignment, acceptedAt: event.at))
            status = .assigned
        case (.closed, _):
            isClosed = true
        case (_, .run(let run)):
            fold(event.kind, during: run)
        case (_, .receipt(var delivery)):
            if case .anchored = event.kind { status = .receiptAnchored }
            delivery.fold(event)
            stage = .receipt(delivery)
        default: break
        }
    }

    private mutating func fold(_ kind: JobEventKind, during run: ExecutedRun) {
        var run = run
        switch kind {
        case .executionStarted:
            run.isStarted = true
            stage = .run(run)
            status = .preparingExecution
        case .executionProgressed(let reported):
            status = reported
        case .holdTaken(let certificate):
            run.hold = certificate
            stage = .run(run)
        case .stopRequested(let reason, let byOriginator):
            run.stopReason = reason
            run.isStoppedHere = !byOriginator
            stage = .run(run)
        case .receiptSigned(let receipt, let until):
            stage = .receipt(ReceiptDelivery(run: run, signed: receipt, until: until))
            status = .receiptGenerated
        default: break
        }
    }
}

extension ExecutedJob {
    /// The job's manifest.
    package var manifest: JobManifest { signedManifest.body }
    /// Names the bid of this node.
    package var bidCID: CID { signedBid.cid }
    /// What it says.
    package var bid: Bid { signedBid.body }
    /// Why the bid failed.
    package var bidEnd: BidEnd? { if case .bid(let end) = stage { end } else { nil } }

    /// The run, also once it has a receipt.
    var run: ExecutedRun? {
        switch stage {
        case .bid: nil
        case .run(let run): run
        case .receipt(let delivery): delivery.run
        }
    }

    /// Names the accepted assignment.
    package var assignmentCID: CID? { run?.signed.cid }
    /// What it says.
    package var assignment: Assignment? { run?.signed.body }
    /// Whether the run was ordered.
    package var isStarted: Bool { run?.isStarted ?? false }
    /// Why the run was asked to stop.
    package var stopReason: String? { run?.stopReason }

    /// Whether this node's owner ended the run, so that its originator pays nothing for it.
    package var isGivenUp: Bool { receiptDelivery?.isGivenUp ?? false }

    /// The receipt of this node, and what happened to it.
    var receiptDelivery: ReceiptDelivery? { if case .receipt(let delivery) = stage { delivery } else { nil } }
    /// The receipt of this node, as it was signed.
    package var signedReceipt: SignedObject<ExecutionReceipt>? { receiptDelivery?.signed }
    /// Names the receipt of this node.
    package var receiptCID: CID? { receiptDelivery?.signed.cid }
    /// What it says.
    package var receipt: ExecutionReceipt? { receiptDelivery?.signed.body }
    /// How its delivery ended.
    package var delivery: DeliveryEnd? { receiptDelivery?.end }
    /// The hold by which its run is paid; `nil` where it costs tokens.
    package var hold: SignedObject<HoldCertificate>? { run?.hold }
    /// What was earned, once the settlement came.
    package var earned: TokenAmount? {
        if case .received(let amount, _) = receiptDelivery?.settlement { amount } else { nil }
    }
    /// What the settlement says.
    package var verdict: SettlementVerdict? {
        if case .received(_, let verdict) = receiptDelivery?.settlement { verdict } else { nil }
    }
    /// Whether the settlement did not come in time.
    package var isOverdue: Bool { receiptDelivery?.settlement == .overdue }

    /// When the result goes to the arbiter of its hold, unless it was paid, or its originator said that it has it: in
    /// the middle of the time for its delivery. `nil` if it need not.
    var lodgeAt: UnixMilliseconds? {
        guard let delivery = receiptDelivery, let hold = run?.hold?.body, delivery.statement == nil,
            delivery.signed.body.price > .zero, !delivery.isGivenUp
        else { return nil }
        if case .received(let amount, _) = delivery.settlement, amount >= min(delivery.signed.body.price, hold.amount) {
            return nil
        }
        let ended = delivery.signed.body.executionEndedAt
        return ended.advanced(milliseconds: hold.terms.deliverBy.milliseconds(since: ended) / 2)
    }
    /// The anchoring of the receipt.
    package var anchor: AnchorState { receiptDelivery?.anchor ?? .none }

    /// Whether it takes a place or waits for one.
    package var occupiesPlace: Bool { if case .run = stage { true } else { false } }
    /// Whether it is a bid that may still be taken up.
    package var isOpenBid: Bool { if case .bid = stage { !isClosed } else { false } }
    var cameToNothing: Bool { if case .bid = stage { true } else { false } }

    var ledgerKeys: [LedgerEntry.Key] {
        receiptCID.map { [LedgerEntry.Key(.income, $0.text)] } ?? []
    }
}

/// An accepted assignment, and how far its run has come.
struct ExecutedRun: Hashable, Sendable {
    /// The assignment as its originator signed it.
    let signed: SignedObject<Assignment>
    /// When this node accepted it.
    let acceptedAt: UnixMilliseconds
    /// The hold by which it is paid; `nil` where it costs tokens.
    fileprivate(set) var hold: SignedObject<HoldCertificate>?
    /// Whether the run was ordered.
    fileprivate(set) var isStarted = false
    /// Why the run was asked to stop.
    fileprivate(set) var stopReason: String?
    /// Whether this node's owner asked it to stop.
    fileprivate(set) var isStoppedHere = false

    init(signed: SignedObject<Assignment>, acceptedAt: UnixMilliseconds) {
        self.signed = signed
        self.acceptedAt = acceptedAt
    }
}

/// A receipt of this node on its way to the originator, to its payment and into the anchored DAG.
struct ReceiptDelivery: Hashable, Sendable {
    /// Whether it was paid.
    enum Payment: Hashable, Sendable {
        /// Not yet.
        case awaited
        /// The settlement came.
        case received(TokenAmount, SettlementVerdict)
        /// The settlement did not come in time, but may still come.
        case overdue
    }

    /// The run that it is of.
    let run: ExecutedRun
    /// The receipt as this node signed it.
    let signed: SignedObject<ExecutionReceipt>
    /// How its delivery ended.
    private(set) var end: DeliveryEnd?
    /// What the originator paid for it.
    private(set) var settlement = Payment.awaited
    /// The originator's word that it was delivered, or its arbiter's, where it is paid by a hold.
    private(set) var statement: SignedObject<DeliveryStatement>?
    /// The anchoring of it.
    private(set) var anchor = AnchorState.none
    /// When its delivery ended, from when on its settlement is awaited.
    private(set) var endedAt: UnixMilliseconds?
    private let until: UnixMilliseconds
    private var paymentUntil: UnixMilliseconds?

    init(run: ExecutedRun, signed: SignedObject<ExecutionReceipt>, until: UnixMilliseconds) {
        self.run = run
        self.signed = signed
        self.until = until
    }

    /// Until when it is offered; `nil` once that has ended.
    var deliverUntil: UnixMilliseconds? { end == nil ? until : nil }

    /// Until when its settlement is awaited; `nil` while it is offered, and if none is awaited.
    var settleUntil: UnixMilliseconds? { settlement == .awaited && !isGivenUp ? paymentUntil : nil }

    /// Whether this node's owner ended the run, so that its originator pays nothing for it.
    var isGivenUp: Bool { run.isStoppedHere && signed.body.outcome == .cancelled }

    /// Whether a settlement is still due: nobody settles an accepted receipt that costs nothing, or of a run that its
    /// executor gave up.
    var expectsSettlement: Bool {
        end == .acknowledged && signed.body.price > .zero && settlement == .awaited && !isGivenUp
    }

    fileprivate mutating func fold(_ event: JobEvent) {
        switch event.kind {
        case .receiptDelivered(let end, let until):
            self.end = end
            endedAt = event.at
            paymentUntil = until
        case .settlementReceived(let signed):
            settlement = .received(signed.body.amountPaid, signed.body.verdict)
        case .settlementOverdue:
            settlement = .overdue
        case .deliveryProved(let statement):
            self.statement = statement
        case .anchored(let entry, let until):
            anchor = .pending(entry.cid, until: until)
        case .anchorPublished(let inTime):
            anchor.published(inTime: inTime)
        default: break
        }
    }
}
