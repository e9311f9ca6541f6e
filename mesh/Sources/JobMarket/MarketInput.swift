public import MeshTypes
public import Multiformats
import SignedObjects

/// A fact that the shell reports to the market. What has an answer is a function of `JobMarket`: `submit`, `cancel`,
/// `receive`, `judge`.
public enum MarketInput: Sendable {
    /// A job's announcement was handed to gossip.
    case announcementPublished(JobID)
    /// Gossip did not take a job's announcement; the market tries again until the announcement deadline.
    case announcementFailed(JobID, reason: String)
    /// The block of a manifest that was asked for by `MarketAction.fetchManifest`; `nil` when it cannot be had.
    case manifestFetched(JobID, block: [UInt8]?)
    /// The own store was asked for a module by `MarketAction.lookUpModule`; whether what is there shows that it is
    /// longer than this executor takes.
    case moduleLookedUp(CID, isBeyondLimits: Bool)
    /// A direct message was answered.
    case deliveryReplied(DeliveryID, MeshProtocolReply)
    /// A direct message was not answered; the market decides whether to try again.
    case deliveryFailed(DeliveryID, reason: String)
    /// So many more bytes of a job's module and inputs are here; a fetch lasts only while they come fast enough.
    case blocksFetched(assignment: CID, bytes: UInt64)
    /// Module and inputs of a job are here, and it may run as soon as there is a place for it.
    case executionPrepared(assignment: CID)
    /// Where a run stands: `preparingExecution`, `running` or `producingOutputs`.
    case executionProgressed(assignment: CID, JobStatus, progressPermille: UInt64?)
    /// A run ended, in whichever way.
    case executionFinished(assignment: CID, ExecutionReport)
    /// Outputs that were asked for by `MarketAction.fetchOutputs` are stored here, or some are missing.
    case outputsFetched(JobID, receipt: CID, missing: [CID])
    /// The anchored heads with this job's receipt were handed to gossip.
    case anchorPublished(JobID)
    /// The round trip to a peer, for the latency weight of selections.
    case latencyMeasured(PeerID, milliseconds: UInt64)
    /// This node has no connection, and none is being made: whom nobody hears, nobody bids for.
    case nobodyReachable
    /// This node has connections and knows of no executor: jobs that nobody bid on for so long, in milliseconds, need
    /// not wait.
    case nobodyExecutes(afterMilliseconds: UInt64)
    /// `nextDeadline` was reached.
    case deadlineReached
}

/// What the executing shell reports about a run; the market makes the receipt of it.
public struct ExecutionReport: Hashable, Sendable {
    /// How the run ended.
    public var outcome: ExecutionOutcome
    /// Named outputs.
    public var outputs: CanonicalMap<CID>
    /// Standard output.
    public var stdoutCID: CID?
    /// Standard error.
    public var stderrCID: CID?
    /// The log.
    public var logCID: CID?
    /// Blocks that the module anchored.
    public var anchoredCIDs: [CID]
    /// What the run used.
    public var usage: ResourceUsage
    /// Whether a replay must give the same.
    public var determinism: DeterminismProfile
    /// Whether the module is larger, or more to compile, than this executor's own limits allow.
    public var isModuleBeyondLimits = false
    /// When the module started.
    public var startedAt: UnixMilliseconds
    /// When it ended.
    public var endedAt: UnixMilliseconds

    /// A report of a run without outputs; set what it had.
    public init(
        outcome: ExecutionOutcome, usage: ResourceUsage = .none, determinism: DeterminismProfile = .deterministic,
        startedAt: UnixMilliseconds, endedAt: UnixMilliseconds
    ) {
        self.outcome = outcome
        self.usage = usage
        self.determinism = determinism
        self.startedAt = startedAt
        self.endedAt = endedAt
        outputs = [:]
        anchoredCIDs = []
    }
}
