import Foundation
import Logging
import MeshHTTP
import Multiformats
import NodeAPI
import NodeAPITesting
import Testing

/// The server and its client across a real socket, with a node whose answers the test chooses.
@Suite struct HTTPServerTests {
    @Test func everyCallArrivesAndItsAnswerComesBackAsItWas() async throws {
        let bytes = Array("hello\n".utf8)
        let cid = CID.hashing(bytes, codec: .raw)
        var script = ScriptedNode.Script(files: [cid: bytes])
        script.archives[Samples.receiptCID] = [1, 2, 3]
        try await withServer(script) { node, _ in
            let address = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/4001")
            #expect(try await node.status() == Samples.status)
            #expect(try await node.limits() == Samples.limits)
            #expect(try await node.jobs(limit: 3) == [Samples.job, Samples.job, Samples.job])
            #expect(try await node.job(Samples.jobID) == Samples.job)
            #expect(try await node.explain(Samples.jobID).lines.map(\.text) == ["price 40 > max 30"])
            #expect(try await node.describe(Samples.jobID) == Samples.description)
            #expect(try await node.cancel(Samples.jobID) == JobCancellation(job: Samples.job, wasOver: true))
            let place = SessionPlace(client: 2, attempt: 3, position: 4)
            let news = SessionNews(
                place: place, pieces: [.init(isError: true, bytes: Array("echo".utf8))], inputPosition: 9, isOver: true)
            #expect(try await node.hear(Samples.jobID, from: place) == news)
            let behind = SessionPlace(client: 2, attempt: 3, position: 10)
            #expect(try await node.say(bytes, isLast: true, to: Samples.jobID, at: place) == behind)
            let most = [UInt8](repeating: 1, count: SessionCalls.saidBytesMax)
            #expect(try await node.say(most, isLast: false, to: Samples.jobID, at: place).position == 4 + 65_536)
            await #expect(throws: NodeServiceError.self) {
                try await node.say(most + [1], isLast: false, to: Samples.jobID, at: place)
            }
            let seen = OutputPlace(attempt: 2, position: 7)
            let output = try await node.output(of: Samples.jobID, from: seen)
            #expect(output.place == seen && output.end.position == 11 && output.prospect == .over)
            #expect(output.pieces == [.init(isError: false, position: 7, bytes: Array("live".utf8))])
            #expect(try await node.receipt(Samples.receiptCID) == Samples.receipt)
            #expect(try await node.verifyReceipt(Samples.receiptCID) == Samples.report)
            #expect(try await node.replayReceipt(Samples.receiptCID) == Samples.report)
            #expect(try await node.peers() == [Samples.peer])
            #expect(try await node.reputation(of: nil).subjects.first?.reasons == nil)
            let asked = try await node.reputation(of: "did:key:z6Mk&=?").subjects.first
            #expect(asked?.did == "did:key:z6Mk&=?" && asked?.reasons?.count == 1)
            #expect(try await node.connect(address).addresses == [address.text])
            #expect(try await node.wallet(WalletQuery(limit: 5)) == Samples.wallet)
            #expect(try await node.add(bytes) == AddedFile(cid: cid.text, size: 6))
            #expect(try await node.get(cid) == bytes)
            #expect(try await node.block(cid) == bytes)
            #expect(try await node.block(cid, of: Samples.jobID) == bytes)
            let other = ContentBlock(cid: CID.hashing([1, 2], codec: .dagPB), bytes: [1, 2])
            #expect(try await node.missing([cid, other.cid]) == [other.cid])
            try await node.put([other])
            #expect(try await node.block(other.cid) == [1, 2])
            #expect(try await node.pin(other.cid, fetching: true).isPinned)
            #expect(try await node.pin(cid, fetching: false).cid == cid.text)
            for isPublic in [false, true] {
                let published = Publication(cid: other.cid.text, isPublic: isPublic, isServed: false)
                #expect(try await node.publish(other.cid, isPublic: isPublic) == published)
            }
            let page = PinPage(pins: [other.cid.text], publicPins: [other.cid.text], next: 1)
            #expect(try await node.pins(after: nil, limit: 1) == page)
            #expect(try await node.pins(after: 1, limit: 1) == PinPage(pins: [cid.text], publicPins: []))
            #expect(try await node.exportReceipt(Samples.receiptCID, withOutputs: false) == [1, 2, 3])
            #expect(try await node.exportReceipt(Samples.receiptCID, withOutputs: true) == [1, 2, 3, 0])
            #expect(try await node.collectGarbage() == RemovedBlocks(blocks: 2, bytes: 3_000_000))
            #expect(try await node.remove(cid) == RemovedBlocks(blocks: 1, bytes: 1_000))
            await #expect(throws: NodeServiceError(.conflict, "\(Samples.jobID) is not removed.")) {
                _ = try await node.remove(Samples.jobID)
            }
            try await node.shutdown()
        }
    }

    @Test func changesOfSettingsArriveWhole() async throws {
        try await withServer(.init()) { node, _ in
            #expect(try await node.settings().first?.standard == ["100"])
            let changes = [
                SettingChange(key: "executor.hours", value: []), SettingChange(key: "log_level", value: nil),
                SettingChange(key: "drain_seconds", value: ["5"]),
            ]
            let applied = try await node.change(SettingChanges(changes: changes)).applied
            #expect(applied == ["executor.hours=", "log_level=default", "drain_seconds=5"])
            #expect(try await node.network() == Samples.network)
        }
    }

    @Test func aQuestionForJobsArrivesWhole() async throws {
        let (seen, sink) = AsyncStream.makeStream(of: JobQuery.self)
        var asked = [
            JobQuery(limit: 0),
            JobQuery(
                limit: 2, after: Samples.receiptCID, role: .executor,
                statuses: ["failed", "no-executor", "trapped"].compactMap(JobStatusName.init), since: UInt64(Int64.max),
                label: "a&b=c %+ \u{1F411}/?#", named: "abcd"),
        ]
        asked[0].role = .originator
        var script = ScriptedNode.Script(listed: { sink.yield($0) })
        script.jobs = [Samples.job, Samples.job, Samples.job]
        try await withServer(script) { [asked] node, _ in
            for query in asked { _ = try await node.jobs(query) }
            #expect(try await node.jobs(JobQuery(limit: 1)).next == Samples.jobID.text)
            #expect(try await node.jobs(JobQuery(limit: 3)).next == nil)
        }
        sink.finish()
        var arrived: [JobQuery] = []
        for await query in seen { arrived.append(query) }
        #expect(Array(arrived.prefix(2)) == asked)
    }

    @Test func aSubmissionArrivesWhole() async throws {
        let (seen, sink) = AsyncStream.makeStream(of: JobSubmission.self)
        var submission = JobSubmission(moduleCID: Samples.jobID.text, args: ["-n", "5"], label: "tab\tand \"quote\"")
        submission.env = [NamedText(name: "B", text: "2"), NamedText(name: "A", text: "1")]
        submission.limits.maxFuel = .max
        submission.policy.regions = ["eu"]
        submission.idempotencyKey = "again"
        let sent = submission
        try await withServer(.init(submitted: { sink.yield($0) })) { node, _ in
            let accepted = try await node.submit(sent)
            #expect(accepted == JobAccepted(jobID: Samples.jobID.text, isDuplicate: true))
        }
        sink.finish()
        for await arrived in seen { #expect(arrived == submission) }
    }

    @Test(arguments: NodeServiceError.Code.allCases)
    func everyFailureKeepsItsCodeItsSentenceAndItsAdvice(_ code: NodeServiceError.Code) async throws {
        let failure = NodeServiceError(code, "The module imports \"env.abort\".", hint: "Build it without.")
        try await withServer(.init(failure: failure)) { node, _ in
            await #expect(throws: failure) { _ = try await node.status() }
            await #expect(throws: failure) { _ = try await node.progress(of: Samples.jobID) }
        }
    }

    @Test func eventsComeOneByOneWhileTheJobRuns() async throws {
        let (events, job) = AsyncStream.makeStream(of: JobProgress.self)
        try await withServer(.init(events: events)) { node, _ in
            var seen = try await node.progress(of: Samples.jobID).makeAsyncIterator()
            let bid = JobProgress(kind: .note, phase: "BiddingOpen", text: "a bid of 40", at: 1)
            job.yield(bid)
            #expect(await seen.next() == bid)
            let log = JobProgress(kind: .log, phase: "Running", text: "two\nlines \u{1B}[31m", at: 2)
            job.yield(log)
            #expect(await seen.next() == log)
            let end = JobProgress(
                kind: .result, phase: "ReceiptAnchored", text: "", at: 3, permille: 1_000, result: Samples.result)
            job.yield(end)
            job.finish()
            #expect(await seen.next() == end)
            #expect(await seen.next() == nil)
        }
    }

    @Test func whatIsUnderWayIsAnsweredWhenTheNodeStops() async throws {
        let (stopped, stop) = AsyncStream.makeStream(of: Void.self)
        let stopping = ScriptedNode.Script(
            failure: NodeServiceError(.storageFull, "The disk is full."), delayed: { stop.finish() })
        try await withServer(stopping) {
            for await _ in stopped {}
        } _: { node, _ in
            await #expect(throws: NodeServiceError(.storageFull, "The disk is full.")) {
                _ = try await node.submit(JobSubmission(moduleCID: Samples.jobID.text))
            }
        }
    }

    @Test func anAnswerThatTakesTooLongIsCutOffWhenTheNodeStops() async throws {
        let (stopped, stop) = AsyncStream.makeStream(of: Void.self)
        var limits = MeshHTTPLimits()
        limits.goodbyeSeconds = 1
        let stalling = ScriptedNode.Script(delayed: {
            stop.finish()
            await MeshHTTPServer.never()
        })
        try await withServer(stalling, limits: limits) {
            for await _ in stopped {}
        } _: { node, _ in
            await #expect {
                _ = try await node.submit(JobSubmission(moduleCID: Samples.jobID.text))
            } throws: { ($0 as? NodeServiceError)?.code == .nodeNotRunning }
        }
    }

    @Test func aFollowerSaysHowMuchItWantsToHear() async throws {
        let (seen, sink) = AsyncStream.makeStream(of: ProgressScope.self)
        try await withServer(.init(followed: { sink.yield($0) })) { node, socket in
            for scope in ProgressScope.allCases { _ = try await node.progress(of: Samples.jobID, scope) }
            let path = "/v1/jobs/\(Samples.jobID.text)/events?scope=nothing"
            let answer = try await RawSocket.exchange(
                socket, "GET \(path) HTTP/1.1\r\nhost: mesh\r\nconnection: close\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 400 "))
            #expect(answer.contains("scope must be everything or result."))
        }
        sink.finish()
        var scopes: [ProgressScope] = []
        for await scope in seen { scopes.append(scope) }
        #expect(scopes == [.everything, .result])
    }

    @Test func aReaderThatHangsUpEndsTheStreamInTheNode() async throws {
        let (events, job) = AsyncStream.makeStream(of: JobProgress.self)
        let (ended, signal) = AsyncStream.makeStream(of: Void.self)
        job.onTermination = { _ in signal.finish() }
        try await withServer(.init(events: events)) { node, _ in
            job.yield(JobProgress(kind: .phase, phase: "Announced", text: "", at: 1))
            for await _ in try await node.progress(of: Samples.jobID) { break }
            for await _ in ended {}
        }
    }

    @Test func bodiesAboveTheLimitAreRefusedOnBothSides() async throws {
        var small = MeshHTTPLimits()
        small.fileBytesMax = 1_000
        small.requestBytesMax = 200
        let stored = [UInt8](repeating: 7, count: 1_001)
        let cid = CID.hashing(stored, codec: .raw)
        try await withServer(.init(files: [cid: stored]), limits: small) { node, socket in
            let generous = NodeClient(socketPath: socket)
            let tooLarge = NodeServiceError(
                .tooLarge, "The body has more than the 1000 bytes that this route accepts.",
                hint: "Cut the file up, or raise limits.file_bytes_max in config.json and restart the node.")
            await #expect(throws: tooLarge) { _ = try await generous.add(stored) }
            let refusedHere = NodeServiceError(.tooLarge, "The file has more than the 1000 bytes that a node accepts.")
            await #expect(throws: refusedHere) { _ = try await node.add(stored) }
            let answer = NodeServiceError(.tooLarge, "The node's answer has more than 1000 bytes.")
            await #expect(throws: answer) { _ = try await node.get(cid) }
            let long = JobSubmission(moduleCID: String(repeating: "b", count: 200))
            let request = NodeServiceError(.tooLarge, "The body has more than the 200 bytes that this route accepts.")
            await #expect(throws: request) { _ = try await node.submit(long) }
            let added = try await node.add([1, 2, 3])
            #expect(added.size == 3)
        }
    }

    @Test func blocksAndPinsHaveBounds() async throws {
        var small = MeshHTTPLimits()
        small.uploadBytesMax = 300_000
        let listingMax = small.listingMax
        try await withServer(limits: small) { node, _ in
            let blocks = (0...ContentBlock.sentMax).map { index in
                let bytes = [UInt8(truncatingIfNeeded: index), UInt8(truncatingIfNeeded: index >> 8)]
                return ContentBlock(cid: CID.hashing(bytes, codec: .raw), bytes: bytes)
            }
            let most = Array(blocks.dropLast())
            #expect(try await node.missing(most.map(\.cid)).count == ContentBlock.askedMax)
            await #expect(throws: NodeServiceError(.tooLarge, "More than 1024 CIDs at once.")) {
                _ = try await node.missing(blocks.map(\.cid))
            }
            try await node.put(most)
            let many = await #expect(throws: NodeServiceError.self) { try await node.put(blocks) }
            #expect(many?.message.hasPrefix("The blocks cannot be read: ") == true)
            let long = [UInt8](repeating: 7, count: 300_001)
            let large = ContentBlock(cid: CID.hashing(long, codec: .raw), bytes: long)
            let tooLarge = await #expect(throws: NodeServiceError.self) { try await node.put([large]) }
            #expect(tooLarge?.code == .tooLarge)
            _ = try await node.pins(after: nil, limit: listingMax)
            let pins = NodeServiceError(.invalidRequest, "limit must be a number from 0 to 10000.")
            await #expect(throws: pins) { _ = try await node.pins(after: nil, limit: listingMax + 1) }
        }
    }

    @Test func whatIsNotFoundSaysWhat() async throws {
        try await withServer { node, _ in
            let missing = Samples.receiptCID
            let job = NodeServiceError(.jobNotFound, "No job \(missing) here.")
            await #expect(throws: job) { _ = try await node.job(missing) }
            await #expect(throws: NodeServiceError(.blockNotFound, "Nobody has \(missing).")) {
                _ = try await node.get(missing)
            }
        }
    }

    @Test(arguments: [
        (#"{"module_cid": "bafkqaaa", "budgett": 1}"#, "The body has budgett, and a JobSubmission has not."),
        (#"{"module_cid": "bafkqaaa", "limits": {"max_fuels": 1}}"#, "The body has limits.max_fuels, and a "),
        (#"{"module_cid": "bafkqaaa", "env": [{"name": "a", "text": "b", "x": 1}]}"#, "The body has env[0].x, and a "),
        ("{}", "The body is not a JobSubmission in JSON: module_cid is missing."),
        (#"{"module_cid": "bafkqaaa", "budget": "many"}"#, "in JSON: budget is of another type."),
        ("[]", "The body is not a JobSubmission in JSON: it is a value of another type."),
    ])
    func aFieldThatNobodyReadsIsRefused(_ body: String, _ text: String) async throws {
        try await withServer { _, socket in
            let request =
                "POST /v1/jobs HTTP/1.1\r\nhost: mesh\r\ncontent-type: application/json\r\n"
                + "content-length: \(body.utf8.count)\r\nconnection: close\r\n\r\n\(body)"
            let answer = try await RawSocket.exchange(socket, request)
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
            #expect(answer.contains(text), "\(answer)")
        }
    }

    @Test func badRequestsAreRefusedWithAReason() async throws {
        try await withServer { _, socket in
            let cases: [(String, Int, String)] = [
                ("GET /v1/jobs/nonsense HTTP/1.1", 400, "\\\"nonsense\\\" is no CID."),
                ("GET /v1/jobs?limit=-1 HTTP/1.1", 400, "limit must be a number from 0 to 10000."),
                ("GET /v1/jobs?after=x HTTP/1.1", 400, "after must be a CID."),
                ("GET /v1/jobs?role=both HTTP/1.1", 400, "role must be originator or executor."),
                ("GET /v1/jobs?status=failed,odd HTTP/1.1", 400, "status must be one of "),
                ("GET /v1/jobs?since=today HTTP/1.1", 400, "since must be a number from 0 to 9223372036854775807."),
                ("GET /v1/../etc/passwd HTTP/1.1", 404, "no_such_route"),
                ("DELETE /v1/status HTTP/1.1", 405, "method_not_allowed"),
                ("POST /v1/jobs HTTP/1.1", 400, "The body is not a JobSubmission in JSON: it does not parse."),
            ]
            for (line, status, text) in cases {
                let request = "\(line)\r\nhost: mesh\r\nconnection: close\r\n\r\n"
                let answer = try await RawSocket.exchange(socket, request)
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(line): \(answer)")
                #expect(answer.contains("application/problem+json"), "\(line): \(answer)")
                #expect(answer.contains(text), "\(line): \(answer)")
            }
            let headers = (0..<100).map { "x-\($0): y\r\n" }.joined()
            let flooded = try await RawSocket.exchange(
                socket, "GET /v1/status HTTP/1.1\r\nhost: mesh\r\n\(headers)\r\n")
            #expect(flooded.hasPrefix("HTTP/1.1 4"))
        }
    }
}

/// Bytes over a Unix socket, without any of the code under test.
enum RawSocket {
    /// Blocks a thread of its own: the server under test needs those of the tasks.
    static func exchange(_ path: String, _ request: String) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "raw").async {
                continuation.resume(with: Result { try exchangeBlocking(path, request) })
            }
        }
    }

    private static func exchangeBlocking(_ path: String, _ request: String) throws -> String {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        try #require(connectTo(path, descriptor) == 0)
        _ = request.withCString { write(descriptor, $0, strlen($0)) }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while case let count = read(descriptor, &buffer, buffer.count), count > 0 { answer += buffer.prefix(count) }
        return String(decoding: answer, as: UTF8.self)
    }

    /// Binds a socket and leaves its file behind, as a node that was killed does.
    static func leaveStale(_ path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = address(path)
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        try #require(bound == 0)
        close(descriptor)
    }

    /// Connects and hangs up; says whether somebody listened.
    static func touch(_ path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return connectTo(path, descriptor) == 0
    }

    private static func connectTo(_ path: String, _ descriptor: Int32) -> Int32 {
        var address = address(path)
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
    }

    private static func address(_ path: String) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }
}
