import MeshHTTP
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

/// A client keeps the connection of a plain answer for its next request. The server of most of these tests takes one
/// connection at once, so a second one waits for as long as the first is open.
@Suite struct HTTPConnectionTests {
    private func limits(idleMilliseconds: Int64, idleMax: Int = 32) -> MeshHTTPLimits {
        var limits = MeshHTTPLimits()
        limits.connectionsMax = 1
        limits.clientIdleMilliseconds = idleMilliseconds
        limits.clientIdleConnectionsMax = idleMax
        return limits
    }

    @Test(arguments: [(32, 1), (0, 5)])
    func requestsThatFollowEachOtherShareOneConnection(idleMax: Int, connections: Int) async throws {
        let folder = try TestFolder()
        let accepted = NIOLockedValueBox(0)
        let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                accepted.withLockedValue { $0 += 1 }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SameAnswer())
                }
            }
            .bind(unixDomainSocketPath: folder.socket).get()
        let limits = limits(idleMilliseconds: 3_600_000, idleMax: idleMax)
        let node = NodeClient(socketPath: folder.socket, limits: limits)
        for _ in 0..<5 {
            let jobs = try await node.jobs(limit: 1)
            #expect(jobs == [])
        }
        try await server.close()
        #expect(accepted.withLockedValue { $0 } == connections)
    }

    @Test func aStreamAndAFailureEndTheirConnectionAndTheNextRequestGetsAnother() async throws {
        let (events, job) = AsyncStream.makeStream(of: JobProgress.self)
        let end = JobProgress(
            kind: .result, phase: "ReceiptAnchored", text: "", at: 3, permille: 1_000, result: Samples.result)
        job.yield(end)
        job.finish()
        try await withServer(.init(events: events), limits: limits(idleMilliseconds: 3_600_000)) { node, _ in
            #expect(try await node.status() == Samples.status)
            var seen: [JobProgress] = []
            for await event in try await node.progress(of: Samples.jobID) { seen.append(event) }
            #expect(seen == [end])
            #expect(try await node.job(Samples.jobID) == Samples.job)
            await #expect(throws: NodeServiceError(.conflict, "\(Samples.jobID) is not removed.")) {
                _ = try await node.remove(Samples.jobID)
            }
            #expect(try await node.status() == Samples.status)
        }
    }

    @Test(arguments: [0, 32]) func aConnectionThatNothingIsAskedOnGoes(idleMax: Int) async throws {
        let milliseconds: Int64 = idleMax == 0 ? 3_600_000 : 1
        try await withServer(limits: limits(idleMilliseconds: milliseconds, idleMax: idleMax)) { node, socket in
            let first = try await node.status()
            let second = try await NodeClient(socketPath: socket).status()
            #expect(first == Samples.status)
            #expect(second == Samples.status)
        }
    }

    @Test func whoHangsUpInAStreamTakesItsConnectionAlong() async throws {
        let (events, job) = AsyncStream.makeStream(of: JobProgress.self)
        job.yield(JobProgress(kind: .note, phase: "BiddingOpen", text: "a bid of 40", at: 1))
        try await withServer(.init(events: events), limits: limits(idleMilliseconds: 3_600_000)) { node, _ in
            for await _ in try await node.progress(of: Samples.jobID) { break }
            let status = try await node.status()
            #expect(status == Samples.status)
        }
        job.finish()
    }

    @Test func aNodeThatIsGoneIsNotAskedOnItsOldConnection() async throws {
        let (clients, sink) = AsyncStream.makeStream(of: NodeClient.self)
        try await withServer(limits: limits(idleMilliseconds: 3_600_000)) { node, _ in
            let status = try await node.status()
            #expect(status == Samples.status)
            sink.yield(node)
        }
        sink.finish()
        for await node in clients {
            let failure = await #expect(throws: NodeServiceError.self) { _ = try await node.status() }
            #expect(failure?.code == .nodeNotRunning)
        }
    }
}

/// Answers every request without a body with an empty list, and keeps the connection open.
private final class SameAnswer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var head: [UInt8] = []

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in unwrapInboundIn(data).readableBytesView {
            head.append(byte)
            guard head.suffix(4) == Array("\r\n\r\n".utf8)[...] else { continue }
            head = []
            let answer = #"HTTP/1.1 200 OK\#r\#ncontent-length: 11\#r\#n\#r\#n{"jobs":[]}"#
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }
}
