import Foundation
import Logging
import MeshHTTP
import Multiformats
import P2PTesting
import PlanetaryMesh

/// A node's service whose answers the test chooses; every call is answered from the script or refused.
struct ScriptedNode: NodeService {
    /// What one test wants to differ; the rest answers with the samples.
    struct Script: Sendable {
        var failure: NodeServiceError?
        var events: AsyncStream<JobProgress>?
        var files: [CID: [UInt8]] = [:]
        var submitted: @Sendable (JobSubmission) -> Void = { _ in }
        /// What happens before a submission is answered.
        var delayed: @Sendable () async -> Void = {}
        var followed: @Sendable (ProgressScope) -> Void = { _ in }
    }

    var script = Script()

    func status() async throws(NodeServiceError) -> NodeStatus { try answer(Samples.status) }

    func submit(_ submission: JobSubmission) async throws(NodeServiceError) -> JobAccepted {
        script.submitted(submission)
        await script.delayed()
        return try answer(JobAccepted(jobID: Samples.jobID.text, isDuplicate: submission.idempotencyKey == "again"))
    }

    func jobs(limit: Int) async throws(NodeServiceError) -> [JobView] {
        try answer(Array(repeating: Samples.job, count: limit))
    }

    func job(_ jobID: CID) async throws(NodeServiceError) -> JobView {
        guard jobID == Samples.jobID else { throw NodeServiceError(.jobNotFound, "No job \(jobID) here.") }
        return try answer(Samples.job)
    }

    func progress(
        of jobID: CID, _ scope: ProgressScope
    ) async throws(NodeServiceError) -> AsyncStream<JobProgress> {
        script.followed(scope)
        return try answer(script.events ?? AsyncStream { $0.finish() })
    }

    func explain(_ jobID: CID) async throws(NodeServiceError) -> JobExplanation {
        let line = JobExplanation.Line(at: 12, phase: "BiddingOpen", text: "price 40 > max 30")
        return try answer(JobExplanation(job: Samples.job, lines: [line]))
    }

    func cancel(_ jobID: CID) async throws(NodeServiceError) -> JobView { try answer(Samples.job) }
    func receipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptView { try answer(Samples.receipt) }
    func verifyReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport { try answer(Samples.report) }
    func replayReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport { try answer(Samples.report) }
    func peers() async throws(NodeServiceError) -> [PeerView] { try answer([Samples.peer]) }

    func connect(_ address: Multiaddr) async throws(NodeServiceError) -> PeerView {
        var peer = Samples.peer
        peer.addresses = [address.text]
        return try answer(peer)
    }

    func wallet(entriesLimit: Int) async throws(NodeServiceError) -> WalletView { try answer(Samples.wallet) }

    func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile {
        try answer(AddedFile(cid: CID.hashing(bytes, codec: .raw).text, size: bytes.count))
    }

    func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        guard let bytes = script.files[cid] else { throw NodeServiceError(.blockNotFound, "Nobody has \(cid).") }
        return try answer(bytes)
    }

    func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks {
        try answer(RemovedBlocks(blocks: 2, bytes: 3_000_000))
    }

    func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks {
        guard script.files[cid] != nil else { throw NodeServiceError(.conflict, "\(cid) is not removed.") }
        return try answer(RemovedBlocks(blocks: 1, bytes: 1_000))
    }

    func shutdown() async throws(NodeServiceError) { try answer(()) }

    private func answer<Value>(_ value: Value) throws(NodeServiceError) -> Value {
        if let failure = script.failure { throw failure }
        return value
    }
}

/// One value of each kind, every field set.
enum Samples {
    static let jobID = CID.hashing(Array("job".utf8), codec: .dagCBOR)
    static let receiptCID = CID.hashing(Array("receipt".utf8), codec: .dagCBOR)

    static let status = NodeStatus(
        version: "0.1.0", peerID: "12D3KooW", did: "did:key:z6Mk", addresses: ["/ip4/127.0.0.1/tcp/4001"],
        uptimeMilliseconds: 61_000, residentBytes: 48 << 20, connectedPeers: 3, isExecutor: true, region: "eu",
        processID: 42, counters: [.init(name: "jobs", value: 7)],
        storage: .init(
            state: "full", blocks: 12, blockBytes: 15 << 30, blockBytesMax: 16 << 30, highWaterBytes: 14 << 30,
            databaseBytes: 17 << 30))

    static var result: JobResult {
        var result = JobResult(ending: .succeeded, detail: "exited with 0", attempts: 1)
        result.exitCode = 0
        result.receiptCID = receiptCID.text
        result.isReceiptVerified = true
        result.executorDID = "did:key:z6Mkexecutor"
        result.stdoutCID = CID.hashing(Array("hello\n".utf8), codec: .raw).text
        result.outputs = [NamedText(name: "report", text: receiptCID.text)]
        result.fuel = 1_234_567
        result.paid = 40
        result.wallMilliseconds = 12
        return result
    }

    static let job = JobView(
        jobID: jobID.text, role: "originator", phase: "ReceiptAnchored", status: "CompletedSuccessfully", reason: "",
        isTerminal: true, submittedAt: 1_700_000_000_000, updatedAt: 1_700_000_000_025,
        counterpartyDID: "did:key:z6Mkexecutor", label: "count", price: 40, result: result)

    static let receipt = ReceiptView(
        receiptCID: receiptCID.text, jobID: jobID.text, assignmentCID: jobID.text, originatorDID: "did:key:z6Mka",
        executorDID: "did:key:z6Mkb", attempt: 1, moduleCID: jobID.text,
        inputs: [NamedText(name: "stdin", text: jobID.text)], status: "CompletedSuccessfully",
        outcome: "exited with 0", outputs: [], stdoutCID: nil, stderrCID: nil, logCID: nil, fuel: 5,
        peakMemoryBytes: 65_536, wallMilliseconds: 3, price: 40, engine: "wasmtime 48.0.0",
        determinism: "deterministic", startedAt: 1, endedAt: 4, previousReceiptCID: nil, source: "here")

    static let report = ReceiptReport(
        receiptCID: receiptCID.text, isValid: true,
        lines: [.init(name: "signature", verdict: .passed, detail: "by did:key:z6Mkb")])

    static let peer = PeerView(
        peerID: "12D3KooW", did: "did:key:z6Mk", isConnected: true, addresses: ["/ip4/10.0.0.1/tcp/4001"],
        lastSeen: 5, reputation: 3, capability: "eu, 10 per Mfuel", misbehaviourCount: 1)

    static let wallet = WalletView(
        did: "did:key:z6Mk", available: 900, held: 60, paid: 40, earned: 0,
        holds: [.init(jobID: jobID.text, amount: 60)],
        entries: [.init(at: 1, kind: "grant", debit: "mint", credit: "me", amount: 1_000, jobID: nil)])
}

extension TestFolder {
    var socket: String { path + "/api.sock" }
}

/// Serves a scripted node on a socket while `body` runs.
func withServer(
    _ script: ScriptedNode.Script = .init(), limits: MeshHTTPLimits = MeshHTTPLimits(),
    until stopped: @escaping @Sendable () async -> Void = MeshHTTPServer.never,
    _ body: @Sendable (NodeClient, String) async throws -> Void
) async throws {
    let folder = try TestFolder()
    let server = MeshHTTPServer(
        service: ScriptedNode(script: script), socketPath: folder.socket, limits: limits,
        logger: Logger(label: "test"))
    let (listening, signal) = AsyncStream.makeStream(of: Void.self)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { signal.finish() }
            try await server.run(listening: { signal.yield() }, until: stopped)
        }
        for await _ in listening { break }
        do {
            try await body(NodeClient(socketPath: folder.socket, limits: limits), folder.socket)
        } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
        while let outcome = await group.nextResult() {
            if case .failure(let error) = outcome, !(error is CancellationError) { throw error }
        }
    }
}
