package import MeshTypes
package import Multiformats
package import Receipts
package import Reputation
package import SignedObjects

/// A fact that the shell reports to the market. Inputs with an answer are functions of `JobMarket`: `submit`, `cancel`,
/// `receive`, `judge`.
package enum MarketInput: Sendable {
    /// Gossip has a job's announcement.
    case announcementPublished(JobID)
    /// Gossip refused a job's announcement; the market retries until the announcement deadline.
    case announcementFailed(JobID, reason: String)
    /// The block of a manifest requested by `MarketAction.fetchManifest`; `nil` if not available.
    case manifestFetched(JobID, block: [UInt8]?)
    /// The result of `MarketAction.lookUpModule`: whether what the store has shows that the module is longer than this
    /// executor accepts.
    case moduleLookedUp(CID, isBeyondLimits: Bool)
    /// A direct message was answered.
    case deliveryReplied(DeliveryID, MeshProtocolReply)
    /// A direct message was not answered; the market decides whether to try again.
    case deliveryFailed(DeliveryID, reason: String)
    /// This many more bytes of a job's module and inputs are here; a fetch lasts only while they come fast enough.
    case blocksFetched(assignment: CID, bytes: UInt64)
    /// Module and inputs of a job are here, and the module is compiled, which may take so long.
    case moduleCompiles(assignment: CID, milliseconds: UInt64)
    /// Module and inputs of a job are here, and it may run as soon as a place is free.
    case executionPrepared(assignment: CID)
    /// The state of a run: `preparingExecution`, `running` or `producingOutputs`.
    case executionProgressed(assignment: CID, JobStatus, progressPermille: UInt64?)
    /// A run has used at least so much fuel, which its next report says.
    case fuelBurnt(assignment: CID, fuel: UInt64)
    /// A run waits for blocks of its mounts, and takes no place of another from now on.
    case executionWaits(assignment: CID)
    /// A run ended, in whatever way.
    case executionFinished(assignment: CID, ExecutionReport)
    /// Outputs requested by `MarketAction.fetchOutputs` are stored here, or some are missing.
    case outputsFetched(JobID, receipt: CID, missing: [CID])
    /// What `MarketAction.checkReceipt` found.
    case receiptChecked(JobID, receipt: CID, ReplayFinding)
    /// Gossip has the anchored heads with this job's receipt.
    case anchorPublished(JobID)
    /// This node signed the receipt of a workflow, which has to become a part of its log.
    case workflowReceiptSigned(workflow: CID, receipt: CID)
    /// Another's log is kept up to this entry.
    case headKept(CID, of: DID)
    /// A proof of a fault holds, whoever it came from: this node checked it. The market dates it.
    case faultProved(ReputationEvidence)
    /// A record of somebody else holds: this node checked what it cites.
    case recordChecked(ReputationEvidence, rater: DID)
    /// An issuer told two histories: nothing that it booked is evidence any more.
    case issuerConvicted(DID)
    /// The round trip to a peer, for the latency weight of selections.
    case latencyMeasured(PeerID, milliseconds: UInt64)
    /// The parts of the open internet from which a bidder is connected; none for a neighbour.
    case networksSeen(PeerID, [AddressGroup])
    /// This node has no connection, and none is being made: nobody can hear of its jobs.
    case nobodyReachable
    /// This node has connections but knows no executor: jobs without a bid for this long, in milliseconds, need not
    /// wait.
    case nobodyExecutes(afterMilliseconds: UInt64)
    /// Who could run a job that waits for its first acceptable bid; and after how long, in milliseconds, the job need
    /// not wait for executors that nobody here knows, where that is known.
    case executorsJudged(JobID, ExecutorOutlook, patienceMilliseconds: UInt64?)
    /// Every executor that is known to be able to run this job has bid on it, or will not.
    case everybodySpoke(JobID)
    /// These executors are known to be able to run this job, and have said nothing so far, by their offers.
    case bidsAwaited(JobID, [NodeCapability])
    /// An executor that is known and able would bid on this job, and cannot now.
    case executorBusy(JobID, DID)
    /// The owner lets this node start accepted jobs again.
    case runsMayBegin
    /// The owner's pause lasts longer than accepted jobs wait: others are to run them.
    case runsGivenUp(reason: String)
    /// What came of `MarketAction.orderHold`, for this attempt.
    case holdAnswered(JobID, attempt: UInt64, HoldAnswer)
    /// The block of the statement by which an arbiter has what `MarketAction.lodgeResult` left with it.
    case resultLodged(JobID, statement: [UInt8])
    /// What an issuer that this executor trusts says of it.
    case issuerTold(IssuerStanding)
    /// `nextDeadline` was reached.
    case deadlineReached
}

/// What the executing shell reports about a run; the market turns it into the receipt.
package struct ExecutionReport: Hashable, Sendable {
    /// How the run ended.
    package var outcome: ExecutionOutcome
    /// Named outputs.
    package var outputs: CanonicalMap<CID>
    /// Standard output.
    package var stdoutCID: CID?
    /// Standard error.
    package var stderrCID: CID?
    /// The log.
    package var logCID: CID?
    /// What of the job's files the module read.
    package var readCID: CID?
    /// What the user of an interactive job did, if a transcript is kept.
    package var transcriptCID: CID?
    /// Blocks that the module anchored.
    package var anchoredCIDs: [CID]
    /// What the run used.
    package var usage: ResourceUsage
    /// Whether a replay must give the same.
    package var determinism: DeterminismProfile
    /// Whether the module is larger, or more to compile, than this executor's own limits allow.
    package var isModuleBeyondLimits = false
    /// When the module started.
    package var startedAt: UnixMilliseconds
    /// When it ended.
    package var endedAt: UnixMilliseconds

    /// A report of a run without outputs; set what it had.
    package init(
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
