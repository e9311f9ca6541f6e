import Economics
import MeshTypes
import Multiformats
import SignedObjects

/// The phase that an originated job is in, each with its own deadline and its own reason when that passes.
public enum JobPhase: String, Hashable, Sendable, CaseIterable {
    /// The announcement is being published.
    case announcement
    /// Bids are collected.
    case bidding
    /// The price cannot be held yet, and other jobs hold tokens that may come back.
    case funds
    /// An executor is to confirm its assignment.
    case confirmation
    /// The executor fetches and compiles.
    case fetching
    /// The module runs.
    case execution
    /// The receipt and its outputs are awaited.
    case receipt
    /// A cancelled run's receipt is awaited.
    case cancellation
    /// The result is there.
    case over
}

/// A job of this node: the fold of its journal.
public struct OriginatedJob: MarketJob, Hashable, Sendable {
    /// The job.
    public let id: JobID
    /// What was asked, as this node signed it.
    public let signedManifest: SignedObject<JobManifest>
    /// Who asked.
    public let requester: DID
    /// The client's key of the submission.
    public let idempotencyKey: String
    /// The detailed state.
    public internal(set) var status = JobStatus.pendingAnnouncement
    /// What the job ended with.
    public internal(set) var result: StandardJobStatus?
    /// How the module ended, where a receipt counts.
    public internal(set) var outcome: ExecutionOutcome?
    /// Why it failed, where no receipt counts.
    public internal(set) var failure: JobFailure?
    /// Why it was, or is to be, cancelled.
    public internal(set) var cancelReason: String?
    /// The phase that the job is in.
    public internal(set) var phase = JobPhase.announcement
    /// When the phase is over.
    public internal(set) var phaseUntil: UnixMilliseconds?
    /// How often the job was opened for bids.
    public internal(set) var round: UInt64 = 0
    /// When the bid window of this round closes.
    public internal(set) var windowUntil: UnixMilliseconds?
    /// The acceptable bids that are kept, in the order of their arrival; none once the job has its result.
    public internal(set) var bids: [ReceivedBid] = []
    /// Refused bids for the user to read, one of each bidder; none once the job has its result.
    public internal(set) var refusedBids: [RefusedBid] = []
    /// The bids that the journal tells of, those that were refused or displaced since among them.
    public internal(set) var bidCount: UInt64 = 0
    /// Bytes of the evidence that its journal holds.
    public internal(set) var evidenceBytes = 0
    /// All assignments, in order.
    public internal(set) var attempts: [Attempt] = []
    /// Valid receipts that wait for their outputs, side by side, in the order of their arrival: the first that has all
    /// of its outputs here counts.
    public internal(set) var candidateReceipts: [CandidateReceipt] = []
    /// The receipt that counts, once there is one.
    public internal(set) var receipt: AcceptedReceipt?
    /// The signed settlement of it.
    public internal(set) var settlementCID: CID?
    /// What was paid.
    public internal(set) var paid = TokenAmount.zero
    /// Settlements that executors are still to be told.
    public internal(set) var notices: [SettlementNotice] = []
    /// Receipts that came too late.
    public internal(set) var lateReceipts: [CID] = []
    /// The anchoring of the receipt.
    public internal(set) var anchor = AnchorState.none
    /// Whether the journal has ended.
    public internal(set) var isClosed = false
    /// When the job's time is over, by this node's own dates: the calendar may be set meanwhile.
    public let endsAt: UnixMilliseconds
    /// When the last event happened.
    public internal(set) var lastEventAt: UnixMilliseconds

    /// What was asked.
    public var manifest: JobManifest { signedManifest.body }
    /// The attempt that may still give the result; there is at most one.
    public var liveAttempt: Attempt? { attempts.last(where: \.isLive) }

    /// Whether the outputs of a receipt are still wanted.
    public func awaitsOutputs(of receipt: CID) -> Bool {
        result == nil && candidateReceipts.contains { $0.accepted.cid == receipt }
    }

    /// Whether the latest attempt delivered its receipt, and nobody else is to be asked before its outputs are here.
    var isDelivered: Bool { attempts.last?.awaitsOutputs ?? false }

    /// The index of the live attempt.
    var liveIndex: Int? { attempts.lastIndex(where: \.isLive) }

    /// Whether a superseded executor may still be running the job.
    var hasUnknownAttempt: Bool { attempts.contains(where: \.fateIsUnknown) }

    var cameToNothing: Bool { false }

    var ledgerKeys: [LedgerEntry.Key] {
        attempts.map { LedgerEntry.Key(.hold, $0.cid.text) }
            + [LedgerEntry.Key(.settle, id.description), LedgerEntry.Key(.refund, id.description)]
    }

    /// What timers hang on.
    struct Marks: Hashable {
        let phase: JobPhase
        let phaseUntil: UnixMilliseconds?
        let round: UInt64
        let liveAttempt: Attempt?
        let candidateReceipts: Int
        let anchor: AnchorState
        let notices: Int
    }

    var marks: Marks {
        Marks(
            phase: phase, phaseUntil: phaseUntil, round: round, liveAttempt: liveAttempt,
            candidateReceipts: candidateReceipts.count, anchor: anchor, notices: notices.count)
    }

    /// Executors that had the job and did not deliver.
    func isExcluded(_ did: DID) -> Bool {
        attempts.contains { !$0.isLive && $0.assignment.executorDID == did }
    }

    /// Acceptable bids that can still be taken up.
    func candidates(at date: UnixMilliseconds) -> [ReceivedBid] {
        bids.filter { bid in
            date < bid.takeUpUntil && !isExcluded(bid.bid.bidderDID)
                && !attempts.contains { $0.assignment.bidCID == bid.cid }
        }
    }
}

/// A bid as the originator keeps it.
public struct ReceivedBid: Hashable, Sendable {
    /// The bid as its bidder signed it.
    public let signed: SignedObject<Bid>
    /// When it came.
    public let arrivedAt: UnixMilliseconds

    /// Names the bid.
    public var cid: CID { signed.cid }
    /// What it says.
    public var bid: Bid { signed.body }
    /// Until when it can be taken up, on this node's clock: the bid's own validity counted from its arrival, because
    /// the bidder's clock may differ.
    public var takeUpUntil: UnixMilliseconds {
        arrivedAt.advanced(milliseconds: bid.expiresAt.milliseconds(since: bid.issuedAt))
    }
}

/// One assignment of a job.
public struct Attempt: Hashable, Sendable {
    /// The assignment as this node signed it.
    public let signed: SignedObject<Assignment>
    /// The executor took it.
    public internal(set) var isConfirmed = false
    /// Where its run stands.
    public internal(set) var status = JobStatus.awaitingAssignmentConfirmation
    /// What the module reported about itself.
    public internal(set) var progressPermille: UInt64?
    /// How it ended without a result.
    public internal(set) var end: AttemptEnd?
    /// A valid receipt of it waits for its outputs.
    public internal(set) var awaitsOutputs = false
    /// Its receipt counts.
    public internal(set) var hasWon = false
    /// A receipt of it came, counting or not.
    public internal(set) var hasReceipt = false

    init(signed: SignedObject<Assignment>) { self.signed = signed }

    /// Names the assignment.
    public var cid: CID { signed.cid }
    /// What it says.
    public var assignment: Assignment { signed.body }
    /// The executor's peer.
    public var executorPeerID: PeerID { assignment.executorDID.peerID }
    /// Whether it may still give the result.
    public var isLive: Bool { end == nil && !hasWon && !awaitsOutputs }
    /// Whether its executor may still be running it although nobody waits for it.
    public var fateIsUnknown: Bool {
        guard let end, !hasReceipt else { return false }
        switch end {
        case .declined, .forgotten, .nodeFailed, .receiptInvalid, .outputsMissing: return false
        case .unconfirmed, .leaseExpired, .fetchTimedOut, .executionTimedOut, .receiptTimedOut, .overtaken: return true
        }
    }
}

extension OriginatedJob {
    /// Attempts that their executors ended by a receipt with `node_failed`.
    var nodeFailures: Int {
        attempts.count { attempt in
            if case .nodeFailed(_, .nodeFailed) = attempt.end { true } else { false }
        }
    }
}

/// The receipt that a job ends with.
public struct AcceptedReceipt: Hashable, Sendable {
    /// The receipt as its executor signed it.
    public let signed: SignedObject<ExecutionReceipt>

    /// Names the receipt.
    public var cid: CID { signed.cid }
    /// What it says.
    public var receipt: ExecutionReceipt { signed.body }
    /// The assignment that it answers.
    public var assignmentCID: CID { signed.body.assignmentCID }
}

/// A valid receipt whose outputs are being fetched.
public struct CandidateReceipt: Hashable, Sendable {
    /// The receipt as it will count.
    public let accepted: AcceptedReceipt
    /// How long its outputs are waited for.
    public let outputsUntil: UnixMilliseconds

    /// The outputs that are missing, where none is known to be here.
    var missingCount: UInt64 { UInt64(accepted.receipt.outputBlocks.count) }
}

/// A settlement that an executor is to be told.
public struct SettlementNotice: Hashable, Sendable {
    /// The settlement as this node signed it.
    public let signed: SignedObject<Settlement>
    /// How long the executor is told.
    public let until: UnixMilliseconds

    /// The receipt that it settles.
    public var receiptCID: CID { signed.body.receiptCID }
    /// The executor.
    public var executorDID: DID { signed.body.executorDID }
}

/// How far the anchoring of a receipt is.
public enum AnchorState: Hashable, Sendable {
    /// Nothing is anchored.
    case none
    /// The entry is signed; its heads are to be published until a date.
    case pending(CID, until: UnixMilliseconds)
    /// The heads are published, or their time was over.
    case done(CID, inTime: Bool)

    var isPending: Bool {
        if case .pending = self { true } else { false }
    }

    var isNone: Bool { self == .none }
}
