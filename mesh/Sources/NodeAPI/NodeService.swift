package import Multiformats

/// What a node does for its owner: the one seam between the node and everything that shows it to people.
///
/// The node implements it, the HTTP server offers it on a Unix socket, and that server's client implements it again, so
/// a CLI command is the same with a node in its own process and with one across the socket. All values are plain data
/// that encodes to JSON in snake_case. Every failure is a `NodeServiceError`.
package protocol NodeService: CreditService, TokenService {
    /// Who the node is and how it is doing.
    func status() async throws(NodeServiceError) -> NodeStatus
    /// What the node takes from its owner.
    func limits() async throws(NodeServiceError) -> NodeLimits

    /// Checks, records and announces a job; when this returns, the job is durable.
    ///
    /// The same idempotency key submits once: a second call returns the first job's ID.
    func submit(_ submission: JobSubmission) async throws(NodeServiceError) -> JobAccepted
    /// The executors that are known, and what keeps each from a job, without submitting it; without a job, who is
    /// there.
    func offers(for submission: JobSubmission?) async throws(NodeServiceError) -> OffersView
    /// A page of the jobs that this node asked for, bid on or ran, newest first.
    func jobs(_ query: JobQuery) async throws(NodeServiceError) -> JobPage
    /// One job.
    func job(_ jobID: CID) async throws(NodeServiceError) -> JobView
    /// Follows a job: first what happened so far, then what happens; the event with the result ends it. A reader that
    /// is too slow loses the oldest events, never the last. To wait only for the end, ask for `result`, which costs the
    /// node much less.
    func progress(
        of jobID: CID, _ scope: ProgressScope
    ) async throws(NodeServiceError) -> AsyncStream<JobProgress>
    /// The journal in words: who was asked, who bid what, why each bid was accepted or refused, what happened when.
    func explain(_ jobID: CID) async throws(NodeServiceError) -> JobExplanation
    /// Everything that this node knows about a job.
    func describe(_ jobID: CID) async throws(NodeServiceError) -> JobDescription
    /// Cancels a job; cancelling a job that has ended changes nothing, and says so.
    func cancel(_ jobID: CID) async throws(NodeServiceError) -> JobCancellation

    /// Waits for news in the session of an interactive job that this node asked for: what its module wrote from a place
    /// on. What is before that place was shown, and is not kept. The answer without news comes after some seconds.
    func hear(_ jobID: CID, from place: SessionPlace) async throws(NodeServiceError) -> SessionNews
    /// Gives input to the module of an interactive job, and returns the place behind what was taken, which is all of it
    /// or the first part; of another attempt than the place's nothing is.
    func say(
        _ bytes: [UInt8], isLast: Bool, to jobID: CID, at place: SessionPlace
    ) async throws(NodeServiceError) -> SessionPlace

    /// Waits for news of what a job writes while it runs that this node asked for, from a place on; takes nothing away
    /// from others. It is the executor's word, until the receipt is here. The answer without news comes after some
    /// seconds.
    func output(of jobID: CID, from place: OutputPlace) async throws(NodeServiceError) -> OutputNews

    /// A receipt by its CID, from this node or from the mesh.
    func receipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptView
    /// Checks everything that a receipt claims, from its CID alone, one line per check.
    func verifyReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport
    /// Runs the receipt's job again and compares outputs and fuel, one line per comparison.
    func replayReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport
    /// A receipt and the evidence behind it as one file (PROTOCOL.md, "Receipts in a file"), with the bytes of its
    /// outputs or only their CIDs. What cannot be had is not in it.
    func exportReceipt(_ cid: CID, withOutputs: Bool) async throws(NodeServiceError) -> [UInt8]

    /// The proofs of fraud that this node made, newest first, at most so many; or those against one receipt.
    func proofs(against receipt: CID?, limit: Int) async throws(NodeServiceError) -> [ProofView]
    /// A proof of fraud by its CID, from this node or from the mesh, with what checking it costs.
    func proof(_ cid: CID) async throws(NodeServiceError) -> ProofView
    /// Runs the job of a proof again, and says whether the proof holds.
    func verifyProof(_ cid: CID) async throws(NodeServiceError) -> ProofReport

    /// What this node anchored, below a number, the newest first, at most so many.
    func log(below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView]
    /// The signed head of the log of what this node anchored; behind the proof that it continues the head of a size, if
    /// one is named.
    func logHead(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView
    /// The key with which this node cosigns as a witness, and for whom.
    func witnessKey() async throws(NodeServiceError) -> WitnessKeyView
    /// The proof that the log has the entry that anchors a receipt or another block.
    func logProof(of cid: CID) async throws(NodeServiceError) -> LogProofView

    /// The logs of others that this node keeps, follows or has heard of.
    func followedLogs() async throws(NodeServiceError) -> [FollowedLogView]
    /// What an author anchored, as far as its log is kept here, below a number, the newest first, at most so many.
    func log(of author: String, below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView]
    /// The signed entries of an author's log from a number on, in their order, at most so many.
    func logBlocks(
        of author: String, from number: UInt64, limit: Int
    ) async throws(NodeServiceError) -> [LogBlockView]
    /// Fetches the log of an author, or all that are followed, and says what that brought.
    func syncLogs(of author: String?) async throws(NodeServiceError) -> [LogSyncView]
    /// The proofs that authors told two histories of their logs, in the order of the authors' DIDs: that about one
    /// author, or those behind one, at most so many.
    func logForks(
        of author: String?, after: String?, limit: Int
    ) async throws(NodeServiceError) -> [LogForkView]
    /// Removes what is kept of the logs of an author that is not followed, and says what that was.
    func forgetLog(of author: String) async throws(NodeServiceError) -> ForgottenLog

    /// The connected and the remembered peers.
    func peers() async throws(NodeServiceError) -> [PeerView]
    /// Connects to an address and returns the peer that answered.
    func connect(_ address: Multiaddr) async throws(NodeServiceError) -> PeerView
    /// What this node thinks of executors by its own evidence: of all of whom it has any, or of one, which is named by
    /// its DID or peer ID, with each receipt.
    func reputation(of executor: String?) async throws(NodeServiceError) -> ReputationView
    /// Whom the owner banned, the oldest ban first.
    func bans() async throws(NodeServiceError) -> [PeerBan]
    /// Obeys an order about a peer; returns once that is durable, and what it has changed.
    func obey(_ order: PeerOrder, about peer: OrderedPeer) async throws(NodeServiceError) -> PeerOrderOutcome
    /// The settings that the node runs with, and where each comes from.
    func settings() async throws(NodeServiceError) -> [RunningSetting]
    /// Reads the settings again, and takes those that change while a node runs; one that no node can work with is
    /// refused, and changes nothing.
    func reloadSettings() async throws(NodeServiceError) -> SettingsReload
    /// Writes settings into the file, all or none, and reads it again. Refuses those that need a restart, and those
    /// that an option or a variable decides.
    func change(_ settings: SettingChanges) async throws(NodeServiceError) -> SettingsReload
    /// The topics that it follows, and what it does for the DHT.
    func network() async throws(NodeServiceError) -> NetworkView
    /// Balances, holds and movements, newest first.
    func wallet(_ query: WalletQuery) async throws(NodeServiceError) -> WalletView
    /// What ended, and what was earned and paid, in equal parts of a time.
    func activity(_ query: ActivityQuery) async throws(NodeServiceError) -> ActivityView

    /// Stores a file and offers it to the mesh; returns once it is durable.
    func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile
    /// A file by its CID, from this node or from the mesh, every block verified.
    func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8]
    /// One block by its CID, such as a receipt's, from this node or from the mesh, verified.
    func block(_ cid: CID) async throws(NodeServiceError) -> [UInt8]
    /// One block of the file or folder under a root, from this node or from whoever has the root, verified.
    func block(_ cid: CID, of root: CID) async throws(NodeServiceError) -> [UInt8]

    /// Those of the CIDs whose blocks are not on this node, in their order; at most `ContentBlock.askedMax` CIDs.
    func missing(_ cids: [CID]) async throws(NodeServiceError) -> [CID]
    /// Stores blocks, which may be evicted until a file or folder that has them is pinned; returns once they are
    /// durable. At most `ContentBlock.sentMax` blocks; their bytes are bounded by what brings them (over HTTP 16 MiB,
    /// `MeshHTTPLimits.uploadBytesMax`).
    func put(_ blocks: [ContentBlock]) async throws(NodeServiceError)
    /// Reads a part of a file on the node's machine and stores its chunks like `put`; refuses a file that the node
    /// cannot read (`permissionDenied`), whose blocks are put then.
    func put(_ part: FilePart) async throws(NodeServiceError) -> FileLeaves
    /// Keeps the file or folder under a root until it is removed, and offers it to the mesh.
    ///
    /// With `fetching` the node fetches what it lacks; after a few seconds it answers how far it is, and the caller
    /// asks again. Without, it answers what is missing.
    func pin(_ root: CID, fetching: Bool) async throws(NodeServiceError) -> PinnedTree
    /// A page of what is kept, the newest first, from behind `next` of the page before.
    func pins(after next: Int64?, limit: Int) async throws(NodeServiceError) -> PinPage

    /// Makes what is kept under a root public, so that strangers may have it over the node's gateway, or private again.
    func publish(_ root: CID, isPublic: Bool) async throws(NodeServiceError) -> Publication

    /// Makes a module ready for jobs on this node: compiles it, unless that was done before. The module is on this node
    /// or in the mesh.
    func warm(_ module: CID) async throws(NodeServiceError) -> WarmModule

    /// Orders the node to take no more jobs of others, or to take them again; returns once that is durable.
    func order(_ order: ExecutorOrder) async throws(NodeServiceError) -> ExecutorState

    /// Begins a workflow; returns once that is durable. The same key and definition return the workflow that was begun.
    func begin(_ workflow: WorkflowSubmission) async throws(NodeServiceError) -> WorkflowView
    /// The newest workflows.
    func workflows(limit: Int) async throws(NodeServiceError) -> [WorkflowListing]
    /// A workflow, as it is now, or, if it has this version and is not over, as it is after the next thing that happens
    /// to it, for which the node waits some seconds.
    func workflow(_ id: CID, past version: UInt64?) async throws(NodeServiceError) -> WorkflowView
    /// A page of the items of a workflow's stages, stage by stage.
    func items(of id: CID, _ query: WorkflowItemQuery) async throws(NodeServiceError) -> [WorkflowItemView]
    /// Cancels or resumes a workflow; returns once that is durable.
    func obey(_ order: WorkflowOrder, of id: CID) async throws(NodeServiceError) -> WorkflowView

    /// Evicts what no open job and no user needs; returns what it removed.
    func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks
    /// Forgets a file, a block, or the evidence and outputs of a job; returns what it removed.
    func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks

    /// Asks the node to stop; returns before it has.
    func shutdown() async throws(NodeServiceError)
}

/// How much a follower of a job wants to know.
package enum ProgressScope: String, Hashable, Sendable, CaseIterable {
    /// What happened so far, and everything that happens.
    case everything
    /// The event with the result.
    case result
}

extension NodeService {
    /// The newest jobs.
    package func jobs(limit: Int) async throws(NodeServiceError) -> [JobView] {
        try await jobs(JobQuery(limit: limit)).jobs
    }

    /// A workflow, as it is now.
    package func workflow(_ id: CID) async throws(NodeServiceError) -> WorkflowView {
        try await workflow(id, past: nil)
    }

    /// Everything that happened and happens to a job.
    package func progress(of jobID: CID) async throws(NodeServiceError) -> AsyncStream<JobProgress> {
        try await progress(of: jobID, .everything)
    }
}
