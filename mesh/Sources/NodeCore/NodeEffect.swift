package import JobMarket
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What a shell is to do, in this order. Every effect is idempotent.
package enum NodeEffect: Sendable {
    /// Put on the disk, in the order of their numbers; report `written`.
    case write(NodeWrite)
    /// Put on the disk, as far as there is room for what nobody owes; report `faultsWritten`.
    case writeFaults([PeerFault])
    /// Let the disk forget bids that nobody took and that were closed before a date.
    case pruneBids(before: UnixMilliseconds)
    /// Answer a direct message.
    case answer(request: UInt64, MeshProtocolReply)
    /// Tell whoever follows a job of this node what happened to it.
    case tell(JobEvent)
    /// Publish a job; report `announcementPublished` or `announcementFailed`.
    case announce(JobID, JobAnnouncementV1)
    /// Publish the heads of the anchored DAG; report `headsPublished` where gossip took them.
    case publishHeads(AnchorHeadsV1, of: [JobID])
    /// Put a receipt into the DHT, and announce it by gossip.
    case publishReceipt(receipt: CID, block: [UInt8], ExecutionReceiptAvailableV1)
    /// Publish what this node offers, and keep the block of it; nothing is offered any more where it has no engines.
    case advertise(SignedObject<NodeCapability>)
    /// Send a direct message; report `deliveryReplied` or `deliveryFailed`.
    case deliver(Delivery)
    /// Look in the DHT where a peer is, and connect to it; report `lookedUp`.
    case lookUp(PeerID, for: DeliveryID)
    /// Fetch the block of a manifest; report `manifestFetched`.
    case fetchManifest(JobID, from: PeerID, addresses: [Multiaddr], bytesMax: Int)
    /// Look how long a module is, as far as the own disk tells; report `moduleLookedUp`.
    case lookUpModule(CID)
    /// Fetch module and inputs; report `blocksFetched`, then `executionPrepared`, or `runEnded` where they cannot be
    /// had.
    case startRun(ExecutionOrder)
    /// Run what was prepared; report `executionProgressed` and `runEnded`.
    case letRun(assignment: CID)
    /// Stop a run; report `runEnded` with the outcome `cancelled`.
    case stopRun(assignment: CID)
    /// Fetch an output from its executor; report `outputFetched`.
    case fetchOutput(OutputRequest)
    /// Measure the round trip to a peer; report `latencyMeasured`.
    case measure(PeerID)
    /// A peer did wrong; for the log.
    case misbehaved(PeerID, String)
    /// Part with a peer, and leave it alone for a while.
    case shun(PeerID, milliseconds: Int64, last: String)
    /// The calendar of this machine differs from those of its peers, for the log; told once.
    case warnOfClock(offsetMilliseconds: Int64)
    /// Nothing is waited for any more: stop; so many runs are left to the next start.
    case leave(runsLeft: Int)
}

/// A transition of the market as it goes to the disk: whole, in one transaction, and in the order of the numbers.
package struct NodeWrite: Sendable {
    /// One more than that of the write before.
    package let number: UInt64
    /// Who waits for it.
    package let haste: Haste
    /// What happened, in order.
    package let events: [JobEvent]
    /// The evidence that the events name.
    package let evidence: [EvidenceBlock]
    /// Blocks that a run of this node made, with their job.
    package let outputs: [(job: JobID, block: MadeBlock)]
    /// Blocks that others made for a job of this node.
    package let fetched: [MadeBlock]
    /// The jobs of the events as they stand after them, each once for each side.
    package let jobs: [JobStanding]
    /// The heads of the anchored DAG, where they changed.
    package let anchorHeads: AnchorHeadsV1?
    /// The receipt that this node signed last, where it changed.
    package let lastReceipt: CID?
    /// When.
    package let at: UnixMilliseconds
}

extension NodeWrite {
    /// Who waits for a write.
    package enum Haste: Sendable {
        /// What leaves this node.
        case urgent
        /// The answer to a message, for which nobody waits but its sender's outbox.
        case answer
        /// Nobody.
        case none
    }
}

/// One side of a job as it stands.
package enum JobStanding: Sendable {
    /// A job of this node's own.
    case originated(OriginatedJob)
    /// A job that this node bid on or runs.
    case executed(ExecutedJob)
}
