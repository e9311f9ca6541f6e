import MeshHTTP
import NIOConcurrencyHelpers
import NIOCore
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

/// What a client makes of a server that is no node, or a broken one.
@Suite(.timeLimit(.minutes(2))) struct HostileNodeTests {
    private static let none = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"jobs\":[]}"
    private static let unreadable = NodeServiceError(
        .protocolMismatch, "The node's answer is unreadable.",
        hint: "Node and command may be of different versions; restart the node with this program.")

    /// A client of a hostile node that keeps its connections for as long as a test lasts. Each connection has its
    /// conduct, and further ones have that of the last.
    private func withHostileNode(
        _ conducts: [HostileNode.Conduct], _ bounds: MeshHTTPLimits = MeshHTTPLimits(),
        _ body: (NodeClient, HostileNode) async throws -> Void
    ) async throws {
        let folder = try TestFolder()
        let node = try await HostileNode.listen(folder.socket) { conducts[min($0, conducts.count - 1)] }
        var limits = bounds
        limits.clientIdleMilliseconds = 3_600_000
        try await body(NodeClient(socketPath: folder.socket, limits: limits), node)
        try await node.end()
    }

    private func expectNoJobs(_ times: Int, _ client: NodeClient) async throws {
        for _ in 0..<times {
            let jobs = try await client.jobs(limit: 1)
            #expect(jobs == [])
        }
    }

    /// What comes behind an answer: a whole second one, the beginning of one, bytes that begin none.
    static let surplus = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 500 Late\r\ncontent-length: 2\r\n", "\r\n", "H",
    ]

    @Test(arguments: surplus)
    func whatComesWithAnAnswerIsNotTheBeginningOfTheNext(surplus: String) async throws {
        let first = HostileNode.Conduct { _, channel in channel.say(Self.none + surplus) }
        let later = HostileNode.Conduct { _, channel in channel.say(Self.none) }
        try await withHostileNode([first, later]) { client, node in
            try await expectNoJobs(3, client)
            #expect(node.connections == 2)
        }
    }

    @Test(arguments: surplus)
    func whatComesBetweenTwoRequestsClosesTheConnection(surplus: String) async throws {
        let (asked, ask) = AsyncStream.makeStream(of: (any Channel).self)
        let first = HostileNode.Conduct { _, channel in
            channel.say(Self.none)
            ask.yield(channel)
        }
        let later = HostileNode.Conduct { _, channel in channel.say(Self.none) }
        try await withHostileNode([first, later]) { client, node in
            try await expectNoJobs(1, client)
            for await channel in asked {
                channel.say(surplus)
                break
            }
            #expect(await node.closed() == 0)
            try await expectNoJobs(2, client)
            #expect(node.connections == 2)
        }
    }

    @Test func aRequestWhoseConnectionEndsIsSaidToHaveNoAnswerAndNotSentAgain() async throws {
        let closing = HostileNode.Conduct { _, channel in channel.close(promise: nil) }
        try await withHostileNode([closing]) { client, node in
            for (number, body) in [[], [UInt8](repeating: 0, count: 8 * 1024 * 1024)].enumerated() {
                let failure = await #expect(throws: NodeServiceError.self) { _ = try await client.add(body) }
                #expect(failure?.code == .nodeNotRunning)
                #expect(node.connections == number + 1)
            }
        }
    }

    @Test func aRefusalThatComesBeforeTheNodeHasReadTheRequestIsHeard() async throws {
        let problem =
            #"{"type":"urn:x","title":"x","status":413,"detail":"Too much.","code":"too_large"}"#
        let refusing = HostileNode.Conduct(
            onRequest: { _, channel in
                let head = "HTTP/1.1 413 X\r\ncontent-length: \(problem.utf8.count)\r\n\r\n"
                channel.writeAndFlush(ByteBuffer(string: head + problem)).whenComplete { _ in
                    channel.close(promise: nil)
                }
            }, readsOn: false)
        try await withHostileNode([refusing]) { client, _ in
            await #expect(throws: NodeServiceError(.tooLarge, "Too much.")) {
                _ = try await client.add([UInt8](repeating: 0, count: 8 * 1024 * 1024))
            }
        }
    }

    @Test func aConnectionWhoseNodeAnsweredBeforeItReadTheRequestIsNotUsedAgain() async throws {
        let hasty = HostileNode.Conduct(
            onRequest: { _, channel in
                channel.say("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"cid\":\"a\",\"size\":1}")
            }, readsOn: false)
        let later = HostileNode.Conduct { _, channel in channel.say(Self.none) }
        try await withHostileNode([hasty, later]) { client, node in
            let file = try await client.add([UInt8](repeating: 0, count: 8 * 1024 * 1024))
            #expect(file == AddedFile(cid: "a", size: 1))
            try await expectNoJobs(1, client)
            #expect(node.connections == 2)
        }
    }

    @Test func anAnswerWithoutEndIsCutOffAtTheBoundAndItsConnectionIsClosed() async throws {
        let chunk = "400\r\n" + String(repeating: "x", count: 1024) + "\r\n"
        let endless = HostileNode.Conduct { _, channel in
            channel.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            channel.sayForEver(chunk)
        }
        var limits = MeshHTTPLimits()
        limits.responseBytesMax = 100_000
        try await withHostileNode([endless], limits) { client, node in
            await #expect(throws: NodeServiceError(.tooLarge, "The node's answer has more than 100000 bytes.")) {
                _ = try await client.status()
            }
            #expect(await node.closed() == 0)
        }
    }

    /// Answers that no client should read: headers past either bound, lengths that contradict each other, no HTTP.
    static let bombs = [
        "HTTP/1.1 200 OK\r\n" + (0...64).map { "x-\($0): y\r\n" }.joined() + "\r\n",
        "HTTP/1.1 200 OK\r\nx: " + String(repeating: "y", count: 16 * 1024) + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{\"jobs\":[]}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\ncontent-length: 12\r\n\r\n{\"jobs\":[]} ",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
    ]

    @Test(arguments: bombs.indices)
    func anAnswerThatIsNoneIsUnreadable(index: Int) async throws {
        let bomb = HostileNode.Conduct { _, channel in channel.say(Self.bombs[index]) }
        try await withHostileNode([bomb]) { client, node in
            await #expect(throws: Self.unreadable) { _ = try await client.jobs(limit: 1) }
            #expect(await node.closed() == 0)
            await #expect(throws: Self.unreadable) { _ = try await client.progress(of: Samples.jobID) }
            #expect(await node.closed() == 1)
        }
    }

    @Test func fieldsBehindAnAnswerCountAsItsHeader() async throws {
        let field = "x: " + String(repeating: "y", count: 16 * 1024)
        let bomb = HostileNode.Conduct { _, channel in
            channel.say(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{\"jobs\":[]}\r\n0\r\n\(field)\r\n\r\n")
        }
        try await withHostileNode([bomb]) { client, node in
            await #expect(throws: Self.unreadable) { _ = try await client.jobs(limit: 1) }
            #expect(await node.closed() == 0)
        }
    }

    @Test func aNodeThatOnlySaysThatItGoesOnIsNotKeptInMind() async throws {
        let patient = HostileNode.Conduct { _, channel in
            channel.say(String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 10_000) + Self.none)
        }
        try await withHostileNode([patient]) { client, node in
            try await expectNoJobs(2, client)
            #expect(node.connections == 1)
        }
    }

    @Test func aNodeThatAnswersNothingIsLeftWhenTheTimeIsUp() async throws {
        let silent = HostileNode.Conduct { _, _ in }
        var limits = MeshHTTPLimits()
        limits.answerSeconds = 0
        try await withHostileNode([silent], limits) { client, node in
            let timedOut = NodeServiceError(
                .timedOut, "The node did not answer within 0 s.", hint: "mesh status shows its state.")
            await #expect(throws: timedOut) { _ = try await client.status() }
            #expect(await node.closed() == 0)
            await #expect(throws: timedOut) { _ = try await client.progress(of: Samples.jobID) }
            #expect(await node.closed() == 1)
        }
    }

    @Test func whoStopsWaitingForLinesClosesTheConnection() async throws {
        let (asked, ask) = AsyncStream.makeStream(of: Void.self)
        let silent = HostileNode.Conduct { _, _ in ask.yield() }
        try await withHostileNode([silent]) { client, node in
            let failure = await withTaskGroup(of: NodeServiceError?.self) { group in
                group.addTask {
                    await #expect(throws: NodeServiceError.self) { _ = try await client.progress(of: Samples.jobID) }
                }
                for await _ in asked { break }
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(failure?.code == .nodeNotRunning)
            #expect(await node.closed() == 0)
        }
    }
}
