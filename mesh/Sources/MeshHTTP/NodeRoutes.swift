import Foundation
import Hummingbird
import IPLD
import Multiformats
import NIOCore
import NodeAPI

/// The routes of version 1, each one call of the node's service.
struct NodeRoutes: Sendable {
    let service: any NodeService
    let limits: MeshHTTPLimits
    var gateway: GatewayServer?
    var web: WebServer?
    private let known: KnownTexts

    init(
        service: any NodeService, limits: MeshHTTPLimits, gateway: GatewayServer? = nil, web: WebServer? = nil
    ) {
        (self.service, self.limits, self.gateway, self.web) = (service, limits, gateway, web)
        known = KnownTexts(limits)
    }

    /// A router for the socket with all operations, failures as problem+json.
    func router() -> Router<ConnectionContext> {
        let table = table()
        let router = Router(context: ConnectionContext.self)
        router.add(middleware: ProblemMiddleware(table: table))
        table.add(to: router)
        return router
    }

    /// Every operation.
    func table() -> APITable {
        var table = APITable()
        addJobs(to: &table)
        addReceipts(to: &table)
        addProofs(to: &table)
        addLogs(to: &table)
        CreditRoutes(routes: self).add(to: &table)
        TokenRoutes(routes: self).add(to: &table)
        addNode(to: &table)
        addMoney(to: &table)
        addPeers(to: &table)
        addFiles(to: &table)
        addTrees(to: &table)
        addWorkflows(to: &table)
        return table
    }

    private func addJobs(to table: inout APITable) {
        table.post(
            "/v1/jobs", "Submits a job, durably",
            headers: [.init("Idempotency-Key", .text), .init("Traceparent", .text)],
            body: .json(JobSubmission.self), answer: .json(JobAccepted.self), status: 201
        ) { request, _ in
            var submission: JobSubmission = try await decode(request)
            submission.traceparent = submission.traceparent ?? Self.traceparent(of: request)
            submission.idempotencyKey = try IdempotencyKey.of(
                request, orBody: submission.idempotencyKey, bytesMax: limits.idempotencyKeyBytesMax)
            return try json(await service.submit(submission), status: .created)
        }
        table.get(
            "/v1/jobs", "The jobs that this node asked for, bid on or ran, the newest first",
            query: JobQueryItems.parameters + [limit], answer: .json(JobPage.self)
        ) { request, _ in
            let query = try JobQueryItems.query(request, limit: number(request, "limit", default: 50))
            let page = try await service.jobs(query)
            return try NextPage.link(to: page.next, from: json(page, for: request), for: request)
        }
        table.get(
            "/v1/jobs/:cid", "One job", answer: .json(JobView.self)
        ) { request, context in try json(await service.job(cid(context)), in: known.jobs, for: request) }
        table.get(
            "/v1/jobs/:cid/description", "Everything that this node knows of a job", answer: .json(JobDescription.self)
        ) { _, context in try json(await service.describe(cid(context))) }
        table.get(
            "/v1/jobs/:cid/explanation", "The journal of a job in words", answer: .json(JobExplanation.self)
        ) { _, context in try json(await service.explain(cid(context))) }
        // It says that what came before was shown.
        table.get(
            "/v1/jobs/:cid/session", "Waits for what an interactive job wrote from a place on", for: .change,
            query: Self.placeParameters, answer: .bytes("application/vnd.ipld.dag-cbor")
        ) { request, context in
            let (job, place) = try (cid(context), place(request))
            let news = try await service.hear(job, from: place)
            return bytes(try DAGCBOREncoder().encode(news), type: "application/vnd.ipld.dag-cbor")
        }
        table.post(
            "/v1/jobs/:cid/session", "Gives input to an interactive job",
            query: Self.placeParameters + [.init("last", .flag)],
            body: .bytes("application/octet-stream"), answer: .json(SessionPlace.self)
        ) { request, context in
            let (job, place) = try (cid(context), place(request))
            let isLast = request.uri.queryParameters["last"] == "true"
            let said = try await body(request, bytesMax: SessionCalls.saidBytesMax)
            return try json(await service.say(said, isLast: isLast, to: job, at: place))
        }
        table.get(
            "/v1/jobs/:cid/output", "Waits for what a running job writes, from a place on",
            query: Array(Self.placeParameters.dropFirst()), answer: .bytes("application/vnd.ipld.dag-cbor")
        ) { request, context in
            let place = try OutputPlace(attempt: count(request, "attempt"), position: count(request, "position"))
            let news = try await service.output(of: cid(context), from: place)
            return bytes(try DAGCBOREncoder().encode(news), type: "application/vnd.ipld.dag-cbor")
        }
        table.post(
            "/v1/jobs/:cid/cancel", "Cancels a job; of one that has ended nothing changes",
            answer: .json(JobCancellation.self)
        ) { _, context in try json(await service.cancel(cid(context))) }
        table.get(
            "/v1/jobs/:cid/events", "What happened to a job and what happens, until its result",
            query: [.init("scope", .oneOf(ProgressScope.allCases.map(\.rawValue)))], answer: .lines(JobProgress.self)
        ) { request, context in
            let events = try await service.progress(of: cid(context), scope(request))
            return Response(
                status: .ok, headers: [.contentType: "application/x-ndjson"], body: lines(events, for: request))
        }
    }

    private func addReceipts(to table: inout APITable) {
        table.get(
            "/v1/receipts/:cid", "A receipt, from here or from the mesh", conditions: .tag,
            answer: .json(ReceiptView.self)
        ) { request, context in
            let receipt = try await service.receipt(cid(context))
            let text = try KnownTexts.text(of: receipt, at: request.uri.string, in: known.receipts, isTagged: true)
            if let tag = text.tag, tag.isKnown(to: request) { return unchanged(tag) }
            return json(text)
        }
        table.post(
            "/v1/receipts/:cid/verify", "Checks everything that a receipt claims", for: .read,
            answer: .json(ReceiptReport.self)
        ) { _, context in
            try json(await service.verifyReceipt(cid(context)))
        }
        table.post(
            "/v1/receipts/:cid/replay", "Runs a receipt's job again and compares", answer: .json(ReceiptReport.self)
        ) { _, context in try json(await service.replayReceipt(cid(context))) }
        table.get(
            "/v1/receipts/:cid/archive", "A receipt and its evidence in one file", query: [.init("outputs", .flag)],
            conditions: .tag, answer: .bytes("application/vnd.ipld.car; version=1")
        ) { request, context in
            let withOutputs = request.uri.queryParameters["outputs"] == "true"
            let archive = try await service.exportReceipt(cid(context), withOutputs: withOutputs)
            return tagged(bytes(archive, type: "application/vnd.ipld.car; version=1"), archive, for: request)
        }
    }

    private func addNode(to table: inout APITable) {
        table.get(
            "/v1/status", "Who the node is and how it is doing", answer: .json(NodeStatus.self)
        ) { _, _ in try json(await status()) }
        table.get(
            "/metrics", "What the node counts, for a Prometheus", answer: .bytes(MetricsText.type)
        ) { _, _ in
            let metrics = NodeMetrics(try await status(), try await service.wallet(WalletQuery(limit: 0)))
            return bytes(Array(MetricsText.text(metrics.families).utf8), type: MetricsText.type)
        }
        table.get(
            "/v1/network", "The topics that the node follows, and its part of the DHT",
            answer: .json(NetworkView.self)
        ) { _, _ in try json(await service.network()) }
        table.get(
            "/v1/limits", "What the node takes from its owner", answer: .json(NodeLimits.self)
        ) { _, _ in try json(await service.limits()) }
        table.get(
            "/v1/offers", "The executors that are known", answer: .json(OffersView.self)
        ) { _, _ in try json(await service.offers(for: nil)) }
        table.post(
            "/v1/offers", "What keeps each executor from a job, without submitting it",
            body: .json(JobSubmission.self), answer: .json(OffersView.self)
        ) { request, _ in
            let asked: JobSubmission = try await decode(request)
            return try json(await service.offers(for: asked))
        }
        for order in ExecutorOrder.allCases {
            table.post(
                "/v1/executor/\(order.rawValue)", "Tells the executor to \(order.rawValue)",
                answer: .json(ExecutorState.self)
            ) { _, _ in try json(await service.order(order)) }
        }
        // It lets a browser in: for whoever can open the socket.
        table.post(
            "/v1/sign-in-links", "A link with which a browser signs in once", for: .socketOnly,
            query: [.init("read_only", .flag)], answer: .json(SignInLink.self), status: 201
        ) { request, _ in
            guard let web else { throw WebGate.absent }
            let isReadOnly = request.uri.queryParameters["read_only"] == "true"
            return try json(web.gate.link(isReadOnly ? .read : .full), status: .created)
        }
        table.post(
            "/v1/shutdown", "Asks the node to stop", status: 202
        ) { _, _ in
            try await service.shutdown()
            return Response(status: .accepted)
        }
    }

    private func addMoney(to table: inout APITable) {
        table.get(
            "/v1/wallet", "Balances, holds and movements, the newest first",
            query: [
                .init("after", .number(1...Int64.max)), .init("entries", .number(listing)),
                .init("kind", .oneOf(WalletQuery.Kind.allCases.map(\.rawValue))),
            ],
            answer: .json(WalletView.self)
        ) { request, _ in
            let limit = try number(request, "entries", default: 50)
            let before = request.uri.queryParameters["after"].flatMap { Int64($0) }
            let kind = request.uri.queryParameters["kind"].flatMap { WalletQuery.Kind(rawValue: String($0)) }
            let wallet = try await service.wallet(WalletQuery(limit: limit, before: before, kind: kind))
            let last = wallet.entries.count == limit ? wallet.entries.last?.number : nil
            return try NextPage.link(
                to: last.flatMap { $0 > 1 ? String($0) : nil }, from: json(wallet), for: request)
        }
        table.get(
            "/v1/activity", "What ended, and what was earned and paid, in equal parts of a time",
            query: [
                .init("until", .number(0...Int64.max)),
                .init("step", .number(Int64(steps.lowerBound)...Int64(steps.upperBound))),
                .init("parts", .number(1...Int64(ActivityQuery.partsMax))),
            ], answer: .json(ActivityView.self)
        ) { request, _ in
            func asked(_ name: Substring, _ fallback: UInt64) -> UInt64 {
                request.uri.queryParameters[name].flatMap { UInt64($0) } ?? fallback
            }
            let now = UInt64(max(0, Date().timeIntervalSince1970 * 1_000))
            return try json(
                await service.activity(
                    ActivityQuery(
                        until: asked("until", now), stepMilliseconds: asked("step", 120_000),
                        parts: Int(asked("parts", 30)))))
        }
    }

    private func addProofs(to table: inout APITable) {
        table.get(
            "/v1/proofs", "The proofs of fraud that this node made, the newest first",
            query: [.init("receipt", .cid), .init("after", .cid), limit], answer: .json([ProofView].self)
        ) { request, _ in
            let receipt = try request.uri.queryParameters["receipt"].map { try cid(String($0)) }
            let page = try await page(request, default: 50, missing: .blockNotFound, \.proofCID) {
                limit throws(NodeServiceError) in
                try await service.proofs(against: receipt, limit: limit)
            }
            return try NextPage.link(to: page.next, from: json(page.items), for: request)
        }
        table.get(
            "/v1/proofs/:cid", "A proof of fraud, from here or from the mesh", conditions: .tag,
            answer: .json(ProofView.self)
        ) { request, context in
            let proof = try MeshJSON.encode(await service.proof(cid(context)))
            return tagged(bytes(proof, type: "application/json"), proof, for: request)
        }
        table.post(
            "/v1/proofs/:cid/verify", "Runs the job of a proof again", answer: .json(ProofReport.self)
        ) { _, context in try json(await service.verifyProof(cid(context))) }
    }

    private func addPeers(to table: inout APITable) {
        table.get(
            "/v1/peers", "The connected and the remembered peers", answer: .json([PeerView].self)
        ) { _, _ in try json(await service.peers()) }
        table.post(
            "/v1/peers", "Connects to an address", body: .json(PeerAddress.self), answer: .json(PeerView.self)
        ) { request, _ in
            let asked: PeerAddress = try await decode(request)
            return try json(await service.connect(asked.address))
        }
        table.get(
            "/v1/reputation", "What this node thinks of executors, and why of one", query: [.init("of", .text)],
            answer: .json(ReputationView.self)
        ) { request, _ in
            try json(await service.reputation(of: request.uri.queryParameters["of"].map(String.init)))
        }
        table.get(
            "/v1/bans", "The peers that the owner banned, the oldest ban first", answer: .json([PeerBan].self)
        ) { _, _ in try json(await service.bans()) }
        for order in PeerOrder.allCases {
            let summary =
                switch order {
                case .ban: "Has nothing to do with a peer from now on"
                case .allow: "Lifts the ban of a peer"
                case .forget: "Drops what the node knows of a peer, but for evidence"
                }
            table.post(
                "/v1/peers/\(order.rawValue)", summary, body: .json(OrderedPeer.self),
                answer: .json(PeerOrderOutcome.self)
            ) { request, _ in
                let asked: OrderedPeer = try await decode(request)
                return try json(await service.obey(order, about: asked))
            }
        }
        table.get(
            "/v1/settings", "The settings that the node runs with", answer: .json([RunningSetting].self)
        ) { _, _ in try json(await service.settings()) }
        table.post(
            "/v1/settings/reload", "Reads the settings again", answer: .json(SettingsReload.self)
        ) { _, _ in
            // The settings count, whatever becomes of the certificate, and the other way round.
            var fault: String?
            do throws(NodeServiceError) { try web?.renewCertificate() } catch { fault = "\(error)" }
            var reload = try await service.reloadSettings()
            reload.certificate = fault
            return try json(reload)
        }
        table.post(
            "/v1/settings", "Changes settings while the node runs, all or none", body: .json(SettingChanges.self),
            answer: .json(SettingsReload.self)
        ) { request, _ in
            let asked: SettingChanges = try await decode(request)
            return try json(await service.change(asked))
        }
    }

    private func addFiles(to table: inout APITable) {
        table.post(
            "/v1/files", "Keeps a file and offers it to the mesh", body: .bytes("application/octet-stream"),
            answer: .json(AddedFile.self), status: 201
        ) { request, _ in
            try json(await keptFile(request), status: .created)
        }
        table.delete(
            "/v1/blocks/:cid", "Forgets a file, a block, or the evidence and outputs of a job",
            answer: .json(RemovedBlocks.self)
        ) { _, context in try json(await service.remove(cid(context))) }
        table.post(
            "/v1/modules/:cid/warm", "Compiles a module for later", answer: .json(WarmModule.self)
        ) { _, context in try json(await service.warm(cid(context))) }
        table.post(
            "/v1/gc", "Deletes what nothing needs", answer: .json(RemovedBlocks.self)
        ) { _, _ in try json(await service.collectGarbage()) }
        table.get(
            "/v1/files/:cid", "A file, from here or from the mesh", conditions: .tagAndRange,
            answer: .bytes("application/octet-stream")
        ) { request, context in try await file(cid(context), for: request) }
        table.get(
            "/v1/blocks/:cid", "A block, from here or from the mesh", query: [.init("of", .cid)],
            conditions: .tagAndRange, answer: .bytes("application/vnd.ipld.raw")
        ) { request, context in
            let cid = try cid(context)
            let tag = EntityTag(cid.version1.text)
            if tag.isNamed(by: request) { return unchanged(tag) }
            let block =
                if let root = request.uri.queryParameters["of"] {
                    try await service.block(cid, of: self.cid(String(root)))
                } else {
                    try await service.block(cid)
                }
            return try part(of: block, type: "application/vnd.ipld.raw", tag, for: request)
        }
    }

    private func addTrees(to table: inout APITable) {
        table.post(
            "/v1/blocks/missing", "Which blocks are not here", for: .read, body: .json(AskedBlocks.self),
            answer: .json(AskedBlocks.self)
        ) { request, _ in
            let asked: AskedBlocks = try await decode(request)
            guard asked.cids.count <= ContentBlock.askedMax else {
                throw NodeServiceError(.tooLarge, "More than \(ContentBlock.askedMax) CIDs at once.")
            }
            let missing = try await service.missing(asked.cids.map(cid))
            return try json(AskedBlocks(cids: missing.map(\.text)))
        }
        table.post(
            "/v1/blocks", "Stores the blocks of a CAR", body: .bytes("application/vnd.ipld.car"), status: 201
        ) { request, _ in
            try await service.put(blocks(body(request, bytesMax: limits.uploadBytesMax)))
            return Response(status: .created)
        }
        // It reads the owner's files by their paths: only for a socket that none but the owner can open.
        table.post(
            "/v1/files/parts", "Stores a part of a file that the node reads by its path", for: .socketOnly,
            body: .json(FilePart.self), answer: .json(FileLeaves.self), status: 201
        ) { request, _ in
            let part: FilePart = try await decode(request)
            return try json(await service.put(part), status: .created)
        }
        table.post(
            "/v1/pins/:cid", "Keeps a file or folder", query: [.init("fetch", .flag)], answer: .json(PinnedTree.self)
        ) { request, context in
            let isFetched = request.uri.queryParameters["fetch"] == "true"
            return try json(await service.pin(cid(context), fetching: isFetched))
        }
        table.post(
            "/v1/pins/:cid/public", "Lets strangers have what is kept", answer: .json(Publication.self)
        ) { _, context in
            try json(await service.publish(cid(context), isPublic: true))
        }
        table.post(
            "/v1/pins/:cid/private", "Takes that back", answer: .json(Publication.self)
        ) { _, context in
            try json(await service.publish(cid(context), isPublic: false))
        }
        table.get(
            "/v1/pins", "What is kept, the newest first", query: [.init("after", .number(0...Int64.max)), limit],
            answer: .json(PinPage.self)
        ) { request, _ in
            let next = request.uri.queryParameters["after"].flatMap { Int64($0) }
            let page = try await service.pins(after: next, limit: number(request, "limit", default: 50))
            return try NextPage.link(to: page.next.map(String.init), from: json(page), for: request)
        }
    }

    private func addWorkflows(to table: inout APITable) {
        table.post(
            "/v1/workflows", "Begins a workflow", body: .json(WorkflowSubmission.self),
            answer: .json(WorkflowView.self), status: 201
        ) { request, _ in
            let submission: WorkflowSubmission = try await decode(request)
            return try json(await service.begin(submission), status: .created)
        }
        table.get(
            "/v1/workflows", "The workflows of this node, the newest first", query: [.init("after", .cid), limit],
            answer: .json([WorkflowListing].self)
        ) { request, _ in
            let page = try await page(
                request, default: 20, missing: .jobNotFound, \.workflowID, of: service.workflows)
            return try NextPage.link(to: page.next, from: json(page.items), for: request)
        }
        table.get(
            "/v1/workflows/:cid", "A workflow, now or after the next thing that happens to it",
            query: [.init("past", .number(0...Int64.max))], answer: .json(WorkflowView.self)
        ) { request, context in
            let version = request.uri.queryParameters["past"].flatMap { UInt64($0) }
            return try json(await service.workflow(cid(context), past: version))
        }
        table.get(
            "/v1/workflows/:cid/items", "The items of a workflow's stages, stage by stage",
            query: [
                .init("stage", .text),
                .init("phase", .oneOf(WorkflowItemQuery.Phase.allCases.map(\.rawValue))), .init("after", .text), limit,
            ], answer: .json([WorkflowItemView].self)
        ) { request, context in
            func text(_ name: Substring) -> String? { request.uri.queryParameters[name].map(String.init) }
            var query = WorkflowItemQuery(
                stage: text("stage"), phase: text("phase").flatMap(WorkflowItemQuery.Phase.init),
                limit: try number(request, "limit", default: 1_000))
            if let after = text("after") {
                guard let place = WorkflowItemQuery.Place(text: after) else {
                    throw NodeServiceError(
                        .invalidRequest, "after must be a stage, a slash and a number.",
                        hint: "Follow the link that the page before came with.")
                }
                query.after = place
            }
            let items = try await service.items(of: cid(context), query)
            let last = items.count == query.limit ? items.last?.place : nil
            return try NextPage.link(to: last?.text, from: json(items), for: request)
        }
        for order in WorkflowOrder.allCases {
            table.post(
                "/v1/workflows/:cid/\(order.rawValue)", "Tells a workflow to \(order.rawValue)",
                answer: .json(WorkflowView.self)
            ) { _, context in
                try json(await service.obey(order, of: cid(context)))
            }
        }
    }

    /// How the node is doing, with what serves it.
    private func status() async throws -> NodeStatus {
        var status = try await service.status()
        status.gateway = await gateway?.status()
        (status.apiAddress, status.apiCertificate) = (web?.address, web?.fingerprint)
        return status
    }

    private var steps: ClosedRange<UInt64> { ActivityQuery.stepRange }
    /// How many entries a listing has at most.
    private var listing: ClosedRange<Int64> { 0...Int64(limits.listingMax) }
    var limit: APIOperation.Parameter { .init("limit", .number(listing)) }
    private static let placeParameters = ["client", "attempt", "position"].map {
        APIOperation.Parameter($0, .number(0...Int64.max))
    }

    /// A page of a list that the service gives from its beginning.
    private func page<Item>(
        _ request: Request, default fallback: Int, missing: NodeServiceError.Code, _ name: (Item) -> String,
        of list: (Int) async throws(NodeServiceError) -> [Item]
    ) async throws -> NextPage.Cut<Item> {
        let count = try number(request, "limit", default: fallback)
        guard let after = request.uri.queryParameters["after"] else {
            return NextPage.Cut(try await list(min(count + 1, limits.listingMax)), to: count, name)
        }
        let cursor = try cid(String(after)).text
        let all = try await list(limits.listingMax)
        guard let place = all.firstIndex(where: { name($0) == cursor }) else {
            throw NodeServiceError(
                missing, "Nothing in the list is called \(cursor).",
                hint: "Follow the link that the page before came with, or leave after out to begin anew.")
        }
        return NextPage.Cut(Array(all.dropFirst(place + 1)), to: count, name)
    }

    /// The blocks in the body of a request, a CAR without roots.
    private func blocks(_ bytes: [UInt8]) throws -> [ContentBlock] {
        var bounds = CAR.Limits()
        bounds.bytesMax = limits.uploadBytesMax
        bounds.blocksMax = ContentBlock.sentMax
        do {
            // The node's store holds each against its CID.
            return try CAR(decoding: bytes, limits: bounds, checksHashes: false).blocks
                .map { ContentBlock(cid: $0.cid, bytes: $0.bytes) }
        } catch {
            throw NodeServiceError(.invalidRequest, "The blocks cannot be read: \(error).")
        }
    }

    func bytes(_ bytes: [UInt8], type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type, .contentLength: String(bytes.count)],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// A JSON answer whose text is kept for the next request of the same address.
    private func json<Value: Encodable>(
        _ value: Value, in known: StampedMemo<String, Value, KnownTexts.Text>, for request: Request
    ) throws -> Response { json(try KnownTexts.text(of: value, at: request.uri.string, in: known)) }

    private func json(_ page: JobPage, for request: Request) throws -> Response {
        json(try known.text(of: page, at: request.uri.string))
    }

    /// The text of an answer, with its tag if it has one.
    private func json(_ text: KnownTexts.Text) -> Response {
        var headers: HTTPFields = [.contentType: "application/json", .contentLength: String(text.bytes.readableBytes)]
        if let tag = text.tag { headers[.eTag] = tag.text }
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: text.bytes))
    }

    func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        bytes(try MeshJSON.encode(value), type: "application/json", status: status)
    }

    /// One JSON object per line, sent as it happens; ends early if the reader hangs up.
    private func lines(_ events: AsyncStream<JobProgress>, for request: Request) -> ResponseBody {
        ResponseBody { writer in
            try await request.body.consumeWithCancellationOnInboundClose { _ in
                for await event in events {
                    try await writer.write(ByteBuffer(bytes: MeshJSON.encode(event) + [0x0A]))
                }
            }
            try await writer.finish(nil)
        }
    }

    func cid(_ context: ConnectionContext) throws -> CID {
        try cid(context.parameters.get("cid") ?? "")
    }

    private func cid(_ text: String) throws -> CID {
        do {
            return try CID(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "\"\(text.cut(bytesMax: 128))\" is no CID.",
                hint: "CIDs are printed by mesh run and mesh jobs.")
        }
    }

    private func place(_ request: Request) throws -> SessionPlace {
        try SessionPlace(
            client: count(request, "client"), attempt: count(request, "attempt"),
            position: count(request, "position"))
    }

    private func count(_ request: Request, _ name: String) throws -> UInt64 {
        guard let text = request.uri.queryParameters[Substring(name)] else { return 0 }
        guard let number = UInt64(text), number <= UInt64(Int64.max) else {
            throw NodeServiceError(.invalidRequest, "\(name) must be a number.")
        }
        return number
    }

    func size(_ request: Request, _ name: String) throws -> UInt64? {
        request.uri.queryParameters[Substring(name)] == nil ? nil : try count(request, name)
    }

    func number(_ request: Request, _ name: String, default fallback: Int) throws -> Int {
        guard let text = request.uri.queryParameters[Substring(name)] else { return fallback }
        guard let number = Int(text), (0...limits.listingMax).contains(number) else {
            throw NodeServiceError(.invalidRequest, "\(name) must be a number from 0 to \(limits.listingMax).")
        }
        return number
    }

    private func scope(_ request: Request) throws -> ProgressScope {
        guard let text = request.uri.queryParameters["scope"] else { return .everything }
        guard let scope = ProgressScope(rawValue: String(text)) else {
            let names = ProgressScope.allCases.map(\.rawValue).joined(separator: " or ")
            throw NodeServiceError(.invalidRequest, "scope must be \(names).")
        }
        return scope
    }

    /// The body of a request; one with a field that nobody reads is refused, as a misspelt limit would be none.
    func decode<Value: Codable>(_ request: Request, bytesMax: Int? = nil) async throws -> Value {
        let bytes = try await body(request, bytesMax: bytesMax ?? limits.requestBytesMax)
        let hint = "GET /openapi.json describes it."
        let value: Value
        do {
            value = try MeshJSON.decode(Value.self, from: bytes)
        } catch {
            let place = (error as? DecodingError).map(MeshJSON.words) ?? "\(error)"
            throw NodeServiceError(.invalidRequest, "The body is not a \(Value.self) in JSON: \(place).", hint: hint)
        }
        if let field = try MeshJSON.unread(bytes, by: value) {
            throw NodeServiceError(.invalidRequest, "The body has \(field), and a \(Value.self) has not.", hint: hint)
        }
        return value
    }

    /// The caller's span, as its header says (https://www.w3.org/TR/trace-context-2/).
    private static func traceparent(of request: Request) -> String? {
        HeaderName("traceparent").flatMap { request.headers[$0] }
    }

    /// Has the node keep the body as a file: one chunk as a whole, more in pieces as they come.
    private func keptFile(_ request: Request) async throws -> AddedFile {
        let tooLarge = NodeServiceError(
            .tooLarge, "The body has more than the \(limits.fileBytesMax) bytes that this route accepts.",
            hint: "Cut the file up, or raise limits.file_bytes_max in config.json and restart the node.")
        // What is told to be too long is not begun with.
        let told = request.headers[.contentLength].flatMap { Int($0) }
        guard told ?? 0 <= limits.fileBytesMax else { throw tooLarge }
        var first: [UInt8] = []
        var file: ArrivingFile?
        for try await buffer in request.body {
            guard (file?.byteCount ?? first.count) + buffer.readableBytes <= limits.fileBytesMax else { throw tooLarge }
            if file == nil {
                first.append(contentsOf: buffer.readableBytesView)
                guard first.count > UnixFSFile.chunkBytes else { continue }
                file = ArrivingFile(for: service)
                try await file?.take(first)
                first = []
            } else {
                try await file?.take(Array(buffer.readableBytesView))
            }
        }
        guard var file else { return try await service.add(first) }
        return try await file.end()
    }

    func body(_ request: Request, bytesMax: Int, hint: String? = nil) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await buffer in request.body {
            guard bytes.count + buffer.readableBytes <= bytesMax else {
                throw NodeServiceError(
                    .tooLarge, "The body has more than the \(bytesMax) bytes that this route accepts.", hint: hint)
            }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }
}

/// The body of a request to connect.
struct PeerAddress: Codable {
    let address: Multiaddr
}
