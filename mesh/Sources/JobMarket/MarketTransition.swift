package import Credit
package import Determinism
package import MeshTypes
package import Multiformats
package import Reputation
package import SignedObjects

/// The result of one input.
///
/// The shell writes `blocks` and `events` (with the ledger entries that the events carry) in one transaction and in the
/// order of the transitions, then answers and carries out `actions`; `needsDurability` and `acknowledges` say which of
/// the two waits for the disk. The market's state has already moved on, so the next input can be handled at once, and
/// transitions can share a disk flush. A node that cannot write stops, and restarts in the state of its journal.
package struct MarketTransition: Sendable {
    /// What happened, in order.
    package var events: [JobEvent] = []
    /// Evidence to store as blocks: manifests, bids, assignments, receipts, settlements, anchors.
    package var blocks: [EvidenceBlock] = []
    /// What became part of this node's log, in order.
    package internal(set) var logged: [LoggedEntry] = []
    /// What is to be booked at issuers, in the same transaction as the events.
    package internal(set) var bookings: [HoldBooking] = []
    /// What the events showed of others, in order, in the same transaction.
    package internal(set) var judged: [ReputationChange] = []
    /// Whether nothing of it is to be written.
    package var writesNothing: Bool { events.isEmpty && blocks.isEmpty && bookings.isEmpty && judged.isEmpty }
    /// What to do once the events are durable.
    package var actions: [MarketAction] = []
    /// Jobs on which this node does not bid, where `MarketConfiguration.tellsDeclines` asks for them.
    package internal(set) var declined: [DeclinedJob] = []
    /// The earliest moment at which something is due; the shell then reports `deadlineReached`. Also here, because
    /// asking the market costs its owner a copy of all its references.
    package var nextDeadline: MonotonicInstant?
    /// `JobMarket.clockOffsetMilliseconds`.
    package var clockOffsetMilliseconds: Int64?
    /// Whether actions and reply must wait until the events are durable. If not, losing the events in a crash harms
    /// nobody, and the shell may continue while they are being written.
    package var needsDurability: Bool { !logged.isEmpty || events.contains { $0.kind.needsDurability } }
    /// Whether the reply must wait for the disk although the actions need not: it acknowledges events of this
    /// transition, or repeats an answer whose events may still be on their way to the disk. A peer that was answered
    /// does not ask again, so what the answer promises must survive a crash.
    package internal(set) var acknowledges = false

    /// A transition in which nothing happened.
    package init() {}
}

/// A block of the evidence chain.
package struct EvidenceBlock: Hashable, Sendable {
    /// Its CID.
    package let cid: CID
    /// Its bytes.
    package let bytes: [UInt8]
    /// The job it belongs to.
    package let jobID: JobID
    /// Its content, if it is a receipt.
    package let receipt: SignedObject<ExecutionReceipt>?
    /// Its content, if it is the proof of a fraud.
    package let proof: SignedObject<FraudProof>?
    /// Whether it is a receipt that contradicts an earlier one of the same assignment.
    package let isContradiction: Bool

    /// The block of a signed object.
    package init<Body: SignedBody>(_ signed: SignedObject<Body>, of job: JobID, isContradiction: Bool = false) {
        self.isContradiction = isContradiction
        cid = signed.cid
        bytes = signed.bytes
        jobID = job
        receipt = signed as? SignedObject<ExecutionReceipt>
        proof = signed as? SignedObject<FraudProof>
    }
}

/// What gossip does with a message.
package enum GossipJudgement: Hashable, Sendable {
    /// Valid: forward it.
    case accept
    /// Neither forward it nor blame the sender: expired, seen, or of another version.
    case ignore(reason: String)
    /// Invalid: do not forward it, and score the sender.
    case reject(reason: String)
}
