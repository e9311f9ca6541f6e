package import Credit
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What the shell has to do once the events of the same transition are durable. Every action is idempotent.
package enum MarketAction: Sendable, Hashable {
    /// Publish on `MeshTopics.jobAnnouncements`; report `announcementPublished` or `announcementFailed`.
    case announce(JobID, JobAnnouncementV1)
    /// Send a direct message; report `deliveryReplied` or `deliveryFailed` with its id.
    case deliver(Delivery)
    /// Publish on a topic of a job; nothing to report.
    case tellEverybody(JobID, topic: String, MeshProtocolMessage)
    /// Publish on a topic; nothing to report unless `anchorOf` names a job, then `anchorPublished`.
    case gossip(topic: String, MeshProtocolMessage, anchorOf: JobID?)
    /// Fetch the block of a manifest; report `manifestFetched`.
    case fetchManifest(JobID, from: PeerID, addresses: [Multiaddr], bytesMax: Int)
    /// Look up a module's length in the node's own store, fetching nothing; report `moduleLookedUp`.
    case lookUpModule(CID)
    /// Fetch module and inputs; report `blocksFetched` as they come, then `executionPrepared`, or `executionFinished`
    /// if they are not available. A second order with the same assignment while the first is under way changes nothing.
    case fetchInputs(ExecutionOrder)
    /// Run what was prepared; report `executionProgressed` and `executionFinished`.
    case execute(assignment: CID)
    /// Stop a run; report `executionFinished` with the outcome `cancelled`.
    case cancelExecution(assignment: CID, reason: String)
    /// Fetch blocks from the executor, verify and store them; report `outputsFetched`.
    case fetchOutputs(JobID, receipt: CID, from: PeerID, blocks: [CID], deadlineMilliseconds: Int64)
    /// Check a receipt, by the job's level or because it refuses the module; report `receiptChecked`, in any case. A
    /// second order with the same receipt while the first is under way changes nothing.
    case checkReceipt(CheckOrder)
    /// Runs a job of this node that executors failed, and answers as to a check, with the assignment for the receipt.
    case tryJob(TrialOrder)
    /// Stop a check; report `receiptChecked` all the same.
    case stopCheck(receipt: CID)
    /// Put the proof of a fraud into the DHT under `MeshTopics.proofKey`.
    case publishProof(JobID, proof: CID, block: [UInt8])
    /// Have the price of a bid held by an issuer; report `holdAnswered`. The same wish again is the same hold.
    case orderHold(HoldWish)
    /// Leave a result with the arbiter of its hold, or hear that it has it, until the date for claims; report
    /// `resultLodged`. A second order with the same receipt while the first is under way changes nothing.
    case lodgeResult(LodgingOrder)
    /// Put the receipt into the DHT under `MeshTopics.receiptKey`, a long one as a provider record, and announce it by
    /// gossip.
    case publishReceipt(receipt: CID, block: [UInt8], ExecutionReceiptAvailableV1)
}

/// A direct message that waits for its answer.
package struct Delivery: Hashable, Sendable {
    /// Names it in the report of its answer.
    package let id: DeliveryID
    /// To whom.
    package let peer: PeerID
    /// Where the peer said it can be reached; may be empty.
    package let addresses: [Multiaddr]
    /// What.
    package let message: MeshProtocolMessage

    package init(id: DeliveryID, peer: PeerID, addresses: [Multiaddr], message: MeshProtocolMessage) {
        self.id = id
        self.peer = peer
        self.addresses = addresses
        self.message = message
    }
}

/// The name of a delivery: equal messages of a job have equal names, so that a repetition is recognized.
package struct DeliveryID: Hashable, Sendable {
    /// What is delivered.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        /// A bid, by the bidder.
        case bid
        /// A commitment to a bid that is shown later, by the bidder.
        case bidCommitment
        /// That a bid is to be shown now.
        case bidsSealed
        /// Why somebody who could bid does not now; never retried.
        case interest
        /// The announcement of a job to one executor; never retried.
        case invitation
        /// Why a bid was declined.
        case bidRefusal
        /// An assignment.
        case assignment
        /// An order to stop.
        case cancellation
        /// The state of a run; never retried, since the next one follows anyway.
        case status
        /// A receipt.
        case receipt
        /// A settlement.
        case settlement
        /// That a receipt was delivered.
        case delivery
    }

    /// The job.
    package let jobID: JobID
    /// What is delivered.
    package let kind: Kind
    /// The bid, the assignment or the receipt that the message is about.
    package let subject: CID

    package init(jobID: JobID, kind: Kind, subject: CID) {
        self.jobID = jobID
        self.kind = kind
        self.subject = subject
    }
}

/// Everything that a shell needs to run an assigned job.
package struct ExecutionOrder: Hashable, Sendable {
    /// The job.
    package let jobID: JobID
    /// The signed assignment, which names the run.
    package let assignmentCID: CID
    /// The manifest: module, inputs, limits, arguments.
    package let manifest: JobManifest
    /// Who runs it.
    package let executorDID: DID
    /// Which attempt of the job it is.
    package let attempt: UInt64
}
