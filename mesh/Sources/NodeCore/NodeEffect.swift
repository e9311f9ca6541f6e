package import Credit
package import JobMarket
package import MeshTypes
package import Multiformats
package import Reputation
package import SignedObjects

/// What a shell has to do, in this order. Every effect is idempotent.
package enum NodeEffect: Sendable {
    /// Write to the disk, in the order of the numbers; report `written`.
    case write(NodeWrite)
    /// Write to the disk, if there is room for what nobody relies on; report `faultsWritten`.
    case writeFaults([PeerFault])
    /// Delete bids from the disk that nobody took and that were closed before a date.
    case pruneBids(before: UnixMilliseconds)
    /// Answer a direct message.
    case answer(request: UInt64, MeshProtocolReply)
    /// Tell those who follow a job of this node what happened to it.
    case tell(JobEvent)
    /// Begin what has to wait; the effects after it do not.
    case errand(NodeErrand)
    /// Run what was prepared; report `executionProgressed` and `runEnded`.
    case letRun(assignment: CID)
    /// Stop a run; report `runEnded` with the outcome `cancelled`.
    case stopRun(assignment: CID)
    /// Stop a check of a receipt; report `receiptChecked` all the same.
    case stopCheck(receipt: CID)
    /// Let all runs stand still, those that begin later too, or go on.
    case holdRuns(Bool)
    /// Join the topic of a job, whose messages the core judges; in the order of the effects.
    case joinTopic(String)
    /// Leave the topic of a job; in the order of the effects.
    case leaveTopic(String)
    /// Log that this node does not bid on a job.
    case declined(DeclinedJob)
    /// Log a peer's fault.
    case misbehaved(PeerID, String)
    /// Log, once, that this machine's calendar differs from its peers'.
    case warnOfClock(offsetMilliseconds: Int64)
    /// Stop: nothing is left to wait for; this many runs are left to the next start.
    case leave(runsLeft: Int)
}

/// What waits for peers, the disk or a guest: a shell begins each at once, side by side, and reports its result.
package enum NodeErrand: Sendable {
    /// Publish a job; report `announcementPublished` or `announcementFailed`.
    case announce(JobID, JobAnnouncementV1)
    /// Publish the heads of the anchored DAG; report `headsPublished` once gossip has them.
    case publishHeads(AnchorHeadsV1, of: [JobID])
    /// Publish a message on the topic of a job.
    case publish(MeshProtocolMessage, topic: String)
    /// Put a receipt into the DHT, and announce it by gossip.
    case publishReceipt(receipt: CID, block: [UInt8], ExecutionReceiptAvailableV1)
    /// Publish what this node offers, and keep its block; an offer without engines withdraws it.
    case advertise(SignedObject<NodeCapability>)
    /// Send a direct message; report `deliveryReplied` or `deliveryFailed`.
    case deliver(Delivery)
    /// Ask an executor why it does not bid on a job; report `inquiryAnswered`.
    case inquire(JobID, of: DID, addresses: [Multiaddr])
    /// Look up in the DHT who offers what a key stands for, and connect to some; report `executorsSought`.
    case seekExecutors(key: CID)
    /// Look up a peer in the DHT, and connect to it; report `lookedUp`.
    case lookUp(PeerID, for: DeliveryID)
    /// Fetch the block of a manifest; report `manifestFetched`.
    case fetchManifest(JobID, from: PeerID, addresses: [Multiaddr], bytesMax: Int)
    /// Look up a module's length on the node's own disk; report `moduleLookedUp`.
    case lookUpModule(CID)
    /// Fetch module and inputs; report `blocksFetched`, `moduleCompiles` if it has to be compiled, then
    /// `executionPrepared`; or `runEnded` if they are not available.
    case startRun(ExecutionOrder)
    /// Check a receipt of a job of this node; report `receiptChecked`, in any case.
    case checkReceipt(CheckOrder)
    /// Runs a job of this node that executors failed.
    case tryJob(TrialOrder)
    /// Have the price of a bid held by an issuer; report `holdAnswered`.
    case orderHold(HoldWish)
    /// Leave a result with the arbiter of its hold; report `resultLodged`.
    case lodgeResult(LodgingOrder)
    /// Check what a record of somebody else cites, if there is time for it; report `recordChecked` if it holds.
    case checkRecord(ReputationRecord)
    /// Put the proof of a fraud into the DHT.
    case publishProof(proof: CID, block: [UInt8])
    /// Fetch an output from its executor; report `outputFetched`.
    case fetchOutput(OutputRequest)
    /// Measure the round trip to a peer; report `latencyMeasured`.
    case measure(PeerID)
    /// Disconnect a peer, and leave it alone for a while.
    case shun(PeerID, milliseconds: Int64, last: String)
}

/// A transition of the market as it goes to the disk: whole, in one transaction, in the order of the numbers.
package struct NodeWrite: Sendable {
    /// One more than that of the write before.
    package let number: UInt64
    /// Who waits for it.
    package let haste: Haste
    /// What happened, in order.
    package let events: [JobEvent]
    /// The evidence that the events name.
    package let evidence: [EvidenceBlock]
    /// Blocks that a run of this node made, or that others made for a job of this node, with their job.
    package let outputs: [(job: JobID, block: MadeBlock)]
    /// The state of the events' jobs after them, once for each side.
    package let jobs: [JobStanding]
    /// The heads of the anchored DAG, if they changed.
    package let anchorHeads: AnchorHeadsV1?
    /// What became part of this node's log, in order.
    package let logged: [LoggedEntry]
    /// What is to be booked at issuers.
    package let bookings: [HoldBooking]
    /// What the events showed of others, in order.
    package let judged: [ReputationChange]
    /// The receipt that this node signed last, if it changed.
    package let lastReceipt: CID?
    /// When.
    package let at: UnixMilliseconds
}

extension NodeWrite {
    /// Who waits for a write.
    package enum Haste: Sendable {
        /// What leaves this node.
        case urgent
        /// The answer to a message, for which only its sender's outbox waits.
        case answer
        /// Nobody.
        case none
    }
}

/// The state of one side of a job.
package enum JobStanding: Sendable {
    /// A job of this node's own.
    case originated(OriginatedJob)
    /// A job that this node bid on or runs.
    case executed(ExecutedJob)
}
