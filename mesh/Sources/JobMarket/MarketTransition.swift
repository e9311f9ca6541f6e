public import Determinism
public import MeshTypes
public import Multiformats
public import SignedObjects

/// What one input led to.
///
/// The shell writes `blocks` and `events` (with the ledger entries that the events carry) in one transaction and in the
/// order of the transitions, then answers and carries out `actions`; `needsDurability` and `acknowledges` say
/// which of the two waits for the disk. The market's state has moved on already, so the next input can be handled at
/// once and transitions can share a disk flush; a node that cannot write stops, and finds itself after restart in the
/// state of its journal.
public struct MarketTransition: Sendable {
    /// What happened, in order.
    public var events: [JobEvent] = []
    /// Evidence to store as blocks: manifests, bids, assignments, receipts, settlements, anchors.
    public var blocks: [EvidenceBlock] = []
    /// What to do once the events are durable.
    public var actions: [MarketAction] = []
    /// The earliest moment at which something is due; the shell then gives `deadlineReached`. Here too, and not only in
    /// the market, because asking the market costs its owner a copy of all its references.
    public var nextDeadline: MonotonicInstant?
    /// `JobMarket.clockOffsetMilliseconds`.
    public var clockOffsetMilliseconds: Int64?
    /// Whether actions and reply must wait until the events are durable. Where it is false, losing the events in a
    /// crash harms nobody, and the shell may go on while they are being written.
    public var needsDurability: Bool { events.contains { $0.kind.needsDurability } }
    /// Whether the reply must wait until what was given to the disk before is there, although the actions need not:
    /// it acknowledges events of this transition, or repeats an answer whose events may still be on their way. Who was
    /// answered does not ask again, so what was answered must survive a crash.
    public internal(set) var acknowledges = false

    /// A transition in which nothing happened.
    public init() {}
}

/// A block of the evidence chain.
public struct EvidenceBlock: Hashable, Sendable {
    /// Its CID.
    public let cid: CID
    /// Its bytes.
    public let bytes: [UInt8]
    /// The job that it belongs to.
    public let jobID: JobID
    /// What it says, where it is a receipt.
    public let receipt: SignedObject<ExecutionReceipt>?

    /// The block of a signed object.
    public init<Body: SignedBody>(_ signed: SignedObject<Body>, of job: JobID) {
        cid = signed.cid
        bytes = signed.bytes
        jobID = job
        receipt = signed as? SignedObject<ExecutionReceipt>
    }
}

/// What gossip is to do with a message.
public enum GossipJudgement: Hashable, Sendable {
    /// Valid: forward it.
    case accept
    /// Neither forward it nor blame the sender: expired, seen, or of another version.
    case ignore(reason: String)
    /// Invalid: do not forward it, and score the sender.
    case reject(reason: String)
}
