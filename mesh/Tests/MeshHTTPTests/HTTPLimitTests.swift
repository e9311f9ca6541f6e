import MeshHTTP
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NodeAPI
import NodeAPITesting
import Testing

/// The bounds of the HTTP server that a client reaches by what it does with connections, and those of the client.
@Suite(.timeLimit(.minutes(5))) struct HTTPLimitTests {
    private static let question = "GET /v1/status HTTP/1.1\r\nhost: mesh\r\n\r\n"

    @Test func aConnectionOnWhichNothingIsAskedIsClosed() async throws {
        var limits = MeshHTTPLimits()
        limits.idleSeconds = 1
        try await withServer(limits: limits) { _, socket in
            let silent = try await RawConnection.open(socket)
            try await silent.closed()
            #expect(silent.received == "")
        }
    }

    @Test func aConnectionBeyondTheLimitWaitsUntilAnotherIsClosed() async throws {
        var limits = MeshHTTPLimits()
        limits.connectionsMax = 1
        try await withServer(limits: limits) { _, socket in
            let first = try await RawConnection.open(socket)
            try await first.send(Self.question)
            try await first.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            let second = try await RawConnection.open(socket)
            try await second.send(Self.question)
            // The first is served on while the second waits.
            let before = first.received.count
            try await first.send(Self.question)
            try await first.wait { $0.count >= 2 * before }
            #expect(second.received == "")
            try await first.close()
            try await second.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            try await second.close()
        }
    }

    @Test(arguments: [false, true]) func headersAboveTheLimitAreRefused(isOneLongField: Bool) async throws {
        try await withServer { _, socket in
            let headers =
                isOneLongField
                ? "x: " + String(repeating: "y", count: 17_000) + "\r\n" : (0..<100).map { "x-\($0): y\r\n" }.joined()
            let connection = try await RawConnection.open(socket)
            try await connection.send("GET /v1/status HTTP/1.1\r\nhost: mesh\r\n\(headers)\r\n")
            try await connection.closed()
            #expect(connection.received.hasPrefix("HTTP/1.1 4"), "\(connection.received)")
        }
    }

    @Test func anAnswerAboveTheLimitIsSaidToBe() async throws {
        var limits = MeshHTTPLimits()
        limits.responseBytesMax = 10
        try await withServer(limits: limits) { node, _ in
            await #expect(throws: NodeServiceError(.tooLarge, "The node's answer has more than 10 bytes.")) {
                _ = try await node.status()
            }
        }
    }

    @Test func aLineAboveTheLimitEndsTheStreamOfEvents() async throws {
        var limits = MeshHTTPLimits()
        limits.lineBytesMax = 300
        let (events, job) = AsyncStream.makeStream(of: JobProgress.self)
        try await withServer(.init(events: events), limits: limits) { node, _ in
            var seen = try await node.progress(of: Samples.jobID).makeAsyncIterator()
            let short = JobProgress(kind: .note, phase: "BiddingOpen", text: "a bid of 40", at: 1)
            job.yield(short)
            #expect(await seen.next() == short)
            job.yield(JobProgress(kind: .log, phase: "Running", text: String(repeating: "x", count: 300), at: 2))
            job.yield(short)
            #expect(await seen.next() == nil)
        }
    }
}

/// One connection to a Unix socket, with what came over it.
private struct RawConnection: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let text = NIOLockedValueBox("")

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            text.withLockedValue { $0 += String(buffer: bytes) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }

    private let channel: any Channel
    private let collector: Collector

    static func open(_ path: String) async throws -> RawConnection {
        let collector = Collector()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in channel.pipeline.addHandler(collector) }
            .connect(unixDomainSocketPath: path).get()
        return RawConnection(channel: channel, collector: collector)
    }

    var received: String { collector.text.withLockedValue { $0 } }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    func close() async throws { try await channel.close() }

    func closed() async throws { try await channel.closeFuture.get() }

    func wait(_ fits: (String) -> Bool) async throws {
        while !fits(received) {
            try Task.checkCancellation()
            try await channel.eventLoop.scheduleTask(in: .milliseconds(1)) {}.futureResult.get()
        }
    }
}
