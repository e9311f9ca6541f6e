import IPLD
package import Multiformats
import NIOCore
import NIOHTTP1
package import NodeAPI

/// A node's service across its Unix socket: the same calls, answered by the node that runs in the home folder.
///
/// One connection per call at a time, kept for a moment for the next call. A node that does not run, an unreadable
/// answer and a node that goes away before its answer is complete are each an error of their own.
package struct NodeClient: NodeService {
    let exchange: HTTPExchange
    let bounds: MeshHTTPLimits

    /// A client of the node that listens on a socket; it opens nothing before the first call.
    package init(socketPath: String, limits: MeshHTTPLimits = MeshHTTPLimits()) {
        exchange = HTTPExchange(socketPath: socketPath, limits: limits)
        bounds = limits
    }

    package func status() async throws(NodeServiceError) -> NodeStatus { try await get("/v1/status") }

    package func limits() async throws(NodeServiceError) -> NodeLimits { try await get("/v1/limits") }

    /// A link with which a browser signs in once; refused where the node's API does not listen on TCP.
    package func signInLink(isReadOnly: Bool) async throws(NodeServiceError) -> SignInLink {
        try await post("/v1/sign-in-links?read_only=\(isReadOnly)")
    }

    package func submit(_ submission: JobSubmission) async throws(NodeServiceError) -> JobAccepted {
        try await post("/v1/jobs", body: submission)
    }

    package func jobs(_ query: JobQuery) async throws(NodeServiceError) -> JobPage {
        try await get("/v1/jobs?" + JobQueryItems.text(query))
    }

    package func job(_ jobID: CID) async throws(NodeServiceError) -> JobView { try await get("/v1/jobs/\(jobID.text)") }

    package func progress(
        of jobID: CID, _ scope: ProgressScope
    ) async throws(NodeServiceError) -> AsyncStream<JobProgress> {
        try await exchange.lines(JobProgress.self, path: "/v1/jobs/\(jobID.text)/events?scope=\(scope.rawValue)")
    }

    package func explain(_ jobID: CID) async throws(NodeServiceError) -> JobExplanation {
        try await get("/v1/jobs/\(jobID.text)/explanation")
    }

    package func describe(_ jobID: CID) async throws(NodeServiceError) -> JobDescription {
        try await get("/v1/jobs/\(jobID.text)/description")
    }

    package func cancel(_ jobID: CID) async throws(NodeServiceError) -> JobCancellation {
        try await post("/v1/jobs/\(jobID.text)/cancel")
    }

    package func hear(_ jobID: CID, from place: SessionPlace) async throws(NodeServiceError) -> SessionNews {
        try await news("/v1/jobs/\(jobID.text)/session?\(query(place))")
    }

    package func output(of jobID: CID, from place: OutputPlace) async throws(NodeServiceError) -> OutputNews {
        try await news("/v1/jobs/\(jobID.text)/output?attempt=\(place.attempt)&position=\(place.position)")
    }

    /// An answer with bytes of a module in it.
    private func news<News: Decodable>(_ path: String) async throws(NodeServiceError) -> News {
        let body = try await exchange.answer(
            .GET, path, bytesMax: bounds.responseBytesMax, seconds: bounds.answerSeconds)
        do {
            return try DAGCBORDecoder().decode(News.self, from: body)
        } catch {
            throw HTTPExchange.unreadable
        }
    }

    package func say(
        _ bytes: [UInt8], isLast: Bool, to jobID: CID, at place: SessionPlace
    ) async throws(NodeServiceError) -> SessionPlace {
        try decode(
            await exchange.answer(
                .POST, "/v1/jobs/\(jobID.text)/session?\(query(place))&last=\(isLast)", body: bytes,
                contentType: "application/octet-stream", bytesMax: bounds.responseBytesMax,
                seconds: bounds.answerSeconds))
    }

    private func query(_ place: SessionPlace) -> String {
        "client=\(place.client)&attempt=\(place.attempt)&position=\(place.position)"
    }

    package func receipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptView {
        try await get("/v1/receipts/\(cid.text)", seconds: bounds.longAnswerSeconds)
    }

    package func verifyReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        try await post("/v1/receipts/\(cid.text)/verify", seconds: bounds.longAnswerSeconds)
    }

    package func replayReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        try await post("/v1/receipts/\(cid.text)/replay", seconds: bounds.longAnswerSeconds)
    }

    package func exportReceipt(_ cid: CID, withOutputs: Bool) async throws(NodeServiceError) -> [UInt8] {
        try await exchange.answer(
            .GET, "/v1/receipts/\(cid.text)/archive?outputs=\(withOutputs)", bytesMax: bounds.archiveBytesMax,
            seconds: bounds.longAnswerSeconds)
    }

    package func proofs(against receipt: CID?, limit: Int) async throws(NodeServiceError) -> [ProofView] {
        try await get("/v1/proofs?limit=\(limit)" + (receipt.map { "&receipt=\($0.text)" } ?? ""))
    }

    package func proof(_ cid: CID) async throws(NodeServiceError) -> ProofView {
        try await get("/v1/proofs/\(cid.text)", seconds: bounds.longAnswerSeconds)
    }

    package func verifyProof(_ cid: CID) async throws(NodeServiceError) -> ProofReport {
        try await post("/v1/proofs/\(cid.text)/verify", seconds: bounds.longAnswerSeconds)
    }

    package func log(below number: UInt64?, limit: Int) async throws(NodeServiceError) -> [LogEntryView] {
        try await get("/v1/dag/log?limit=\(limit)" + (number.map { "&after=\($0)" } ?? ""))
    }

    package func logHead(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView {
        try await get("/v1/dag/head" + (size.map { "?since=\($0)" } ?? ""))
    }

    package func witnessKey() async throws(NodeServiceError) -> WitnessKeyView {
        try await get("/v1/dag/witness")
    }

    package func logProof(of cid: CID) async throws(NodeServiceError) -> LogProofView {
        try await get("/v1/dag/proofs/\(cid.text)")
    }

    package func followedLogs() async throws(NodeServiceError) -> [FollowedLogView] {
        try await get("/v1/dag/logs")
    }

    package func log(
        of author: String, below number: UInt64?, limit: Int
    ) async throws(NodeServiceError) -> [LogEntryView] {
        let below = number.map { "&after=\($0)" } ?? ""
        return try await get("/v1/dag/log?limit=\(limit)&author=\(JobQueryItems.encoded(author))" + below)
    }

    package func logBlocks(
        of author: String, from number: UInt64, limit: Int
    ) async throws(NodeServiceError) -> [LogBlockView] {
        try await get("/v1/dag/blocks?limit=\(limit)&author=\(JobQueryItems.encoded(author))&from=\(number)")
    }

    package func syncLogs(of author: String?) async throws(NodeServiceError) -> [LogSyncView] {
        try await post(
            "/v1/dag/sync" + (author.map { "?author=\(JobQueryItems.encoded($0))" } ?? ""),
            seconds: bounds.longAnswerSeconds)
    }

    package func logForks(
        of author: String?, after: String?, limit: Int
    ) async throws(NodeServiceError) -> [LogForkView] {
        let author = author.map { "&author=\(JobQueryItems.encoded($0))" } ?? ""
        let after = after.map { "&after=\(JobQueryItems.encoded($0))" } ?? ""
        return try await get("/v1/dag/forks?limit=\(limit)" + author + after)
    }

    package func forgetLog(of author: String) async throws(NodeServiceError) -> ForgottenLog {
        try decode(
            await exchange.answer(
                .DELETE, "/v1/dag/logs?author=\(JobQueryItems.encoded(author))", bytesMax: bounds.responseBytesMax,
                seconds: bounds.longAnswerSeconds))
    }

    package func peers() async throws(NodeServiceError) -> [PeerView] { try await get("/v1/peers") }

    package func connect(_ address: Multiaddr) async throws(NodeServiceError) -> PeerView {
        try await post("/v1/peers", body: PeerAddress(address: address))
    }

    package func reputation(of executor: String?) async throws(NodeServiceError) -> ReputationView {
        try await get(executor.map { "/v1/reputation?of=\(JobQueryItems.encoded($0))" } ?? "/v1/reputation")
    }

    package func bans() async throws(NodeServiceError) -> [PeerBan] { try await get("/v1/bans") }

    package func obey(
        _ order: PeerOrder, about peer: OrderedPeer
    ) async throws(NodeServiceError) -> PeerOrderOutcome {
        try await post("/v1/peers/\(order.rawValue)", body: peer)
    }

    package func settings() async throws(NodeServiceError) -> [RunningSetting] { try await get("/v1/settings") }

    package func reloadSettings() async throws(NodeServiceError) -> SettingsReload {
        try await post("/v1/settings/reload")
    }

    package func change(_ settings: SettingChanges) async throws(NodeServiceError) -> SettingsReload {
        try await post("/v1/settings", body: settings)
    }

    package func network() async throws(NodeServiceError) -> NetworkView { try await get("/v1/network") }

    package func wallet(_ query: WalletQuery) async throws(NodeServiceError) -> WalletView {
        let kind = query.kind.map { "&kind=\($0.rawValue)" } ?? ""
        return try await get(
            "/v1/wallet?entries=\(query.limit)" + (query.before.map { "&after=\($0)" } ?? "") + kind)
    }

    package func activity(_ query: ActivityQuery) async throws(NodeServiceError) -> ActivityView {
        try await get("/v1/activity?until=\(query.until)&step=\(query.stepMilliseconds)&parts=\(query.parts)")
    }

    package func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile {
        guard bytes.count <= bounds.fileBytesMax else {
            throw NodeServiceError(
                .tooLarge, "The file has more than the \(bounds.fileBytesMax) bytes that a node accepts.")
        }
        return try decode(
            await exchange.answer(
                .POST, "/v1/files", body: bytes, contentType: "application/octet-stream",
                bytesMax: bounds.responseBytesMax, seconds: bounds.longAnswerSeconds))
    }

    package func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        try await exchange.answer(
            .GET, "/v1/files/\(cid.text)", bytesMax: bounds.fileBytesMax, seconds: bounds.longAnswerSeconds)
    }

    package func block(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        try await exchange.answer(
            .GET, "/v1/blocks/\(cid.text)", bytesMax: bounds.responseBytesMax, seconds: bounds.longAnswerSeconds)
    }

    package func block(_ cid: CID, of root: CID) async throws(NodeServiceError) -> [UInt8] {
        try await exchange.answer(
            .GET, "/v1/blocks/\(cid.text)?of=\(root.text)", bytesMax: bounds.responseBytesMax,
            seconds: bounds.longAnswerSeconds)
    }

    package func missing(_ cids: [CID]) async throws(NodeServiceError) -> [CID] {
        let answer: AskedBlocks = try await post("/v1/blocks/missing", body: AskedBlocks(cids: cids.map(\.text)))
        return try answer.cids.map { text throws(NodeServiceError) in
            guard let cid = try? CID(parsing: text) else { throw HTTPExchange.unreadable }
            return cid
        }
    }

    package func put(_ blocks: [ContentBlock]) async throws(NodeServiceError) {
        let body = CAR(roots: [], blocks: blocks.map { CAR.Block(cid: $0.cid, bytes: $0.bytes) }).encoded
        _ = try await exchange.answer(
            .POST, "/v1/blocks", body: body, contentType: "application/vnd.ipld.car; version=1",
            bytesMax: bounds.responseBytesMax, seconds: bounds.longAnswerSeconds)
    }

    package func put(_ part: FilePart) async throws(NodeServiceError) -> FileLeaves {
        try await post("/v1/files/parts", body: part, seconds: bounds.longAnswerSeconds)
    }

    package func pin(_ root: CID, fetching: Bool) async throws(NodeServiceError) -> PinnedTree {
        try await post("/v1/pins/\(root.text)?fetch=\(fetching)", seconds: bounds.longAnswerSeconds)
    }

    package func pins(after next: Int64?, limit: Int) async throws(NodeServiceError) -> PinPage {
        try await get("/v1/pins?limit=\(limit)" + (next.map { "&after=\($0)" } ?? ""))
    }

    package func publish(_ root: CID, isPublic: Bool) async throws(NodeServiceError) -> Publication {
        try await post("/v1/pins/\(root.text)/\(isPublic ? "public" : "private")")
    }

    package func warm(_ module: CID) async throws(NodeServiceError) -> WarmModule {
        try await post("/v1/modules/\(module.text)/warm", seconds: bounds.longAnswerSeconds)
    }

    package func offers(for submission: JobSubmission?) async throws(NodeServiceError) -> OffersView {
        guard let submission else { return try await get("/v1/offers") }
        return try await post("/v1/offers", body: submission, seconds: bounds.longAnswerSeconds)
    }

    package func order(_ order: ExecutorOrder) async throws(NodeServiceError) -> ExecutorState {
        try await post("/v1/executor/\(order.rawValue)")
    }

    package func begin(_ workflow: WorkflowSubmission) async throws(NodeServiceError) -> WorkflowView {
        try await post("/v1/workflows", body: workflow)
    }

    package func workflows(limit: Int) async throws(NodeServiceError) -> [WorkflowListing] {
        try await get("/v1/workflows?limit=\(limit)")
    }

    package func workflow(_ id: CID, past version: UInt64?) async throws(NodeServiceError) -> WorkflowView {
        try await get(
            "/v1/workflows/\(id.text)" + (version.map { "?past=\($0)" } ?? ""), seconds: bounds.longAnswerSeconds)
    }

    /// The name of a stage has only letters that a query may have.
    package func items(of id: CID, _ query: WorkflowItemQuery) async throws(NodeServiceError) -> [WorkflowItemView] {
        var path = "/v1/workflows/\(id.text)/items?limit=\(query.limit)"
        if let stage = query.stage { path += "&stage=\(stage)" }
        if let phase = query.phase { path += "&phase=\(phase.rawValue)" }
        if let after = query.after { path += "&after=\(JobQueryItems.encoded(after.text))" }
        return try await get(path)
    }

    package func obey(_ order: WorkflowOrder, of id: CID) async throws(NodeServiceError) -> WorkflowView {
        try await post("/v1/workflows/\(id.text)/\(order.rawValue)")
    }

    package func collectGarbage() async throws(NodeServiceError) -> RemovedBlocks {
        try await post("/v1/gc", seconds: bounds.longAnswerSeconds)
    }

    package func remove(_ cid: CID) async throws(NodeServiceError) -> RemovedBlocks {
        try decode(
            await exchange.answer(
                .DELETE, "/v1/blocks/\(cid.text)", bytesMax: bounds.responseBytesMax, seconds: bounds.longAnswerSeconds)
        )
    }

    package func shutdown() async throws(NodeServiceError) {
        _ = try await exchange.answer(
            .POST, "/v1/shutdown", bytesMax: bounds.responseBytesMax, seconds: bounds.answerSeconds)
    }

    func get<Value: Decodable>(_ path: String, seconds: Int? = nil) async throws(NodeServiceError) -> Value {
        try decode(
            await exchange.answer(
                .GET, path, bytesMax: bounds.responseBytesMax, seconds: seconds ?? bounds.answerSeconds))
    }

    func post<Value: Decodable>(_ path: String, seconds: Int? = nil) async throws(NodeServiceError) -> Value {
        try decode(
            await exchange.answer(
                .POST, path, bytesMax: bounds.responseBytesMax, seconds: seconds ?? bounds.answerSeconds))
    }

    func post<Value: Decodable>(
        _ path: String, body: some Encodable, seconds: Int? = nil
    ) async throws(NodeServiceError) -> Value {
        let bytes: [UInt8]
        do {
            bytes = try MeshJSON.encode(body)
        } catch {
            throw NodeServiceError(.invalidRequest, "The request cannot be written as JSON.")
        }
        return try decode(
            await exchange.answer(
                .POST, path, body: bytes, contentType: "application/json", bytesMax: bounds.responseBytesMax,
                seconds: seconds ?? bounds.answerSeconds))
    }

    func decode<Value: Decodable>(_ bytes: [UInt8]) throws(NodeServiceError) -> Value {
        do {
            return try MeshJSON.decode(Value.self, from: bytes)
        } catch {
            throw HTTPExchange.unreadable
        }
    }
}
