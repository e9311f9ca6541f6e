import Foundation
import LibP2P
import NIOCore
import NIOHTTP1
import NIOPosix
import NodeAPI

/// One request and its answer over a Unix socket, on a connection that no other request uses meanwhile.
struct HTTPExchange: Sendable {
    let socketPath: String
    let limits: MeshHTTPLimits
    private let idle: IdleConnections

    init(socketPath: String, limits: MeshHTTPLimits) {
        self.socketPath = socketPath
        self.limits = limits
        idle = IdleConnections(limits: limits)
    }

    /// The whole body of a successful answer; throws a problem as the error it carries.
    func answer(
        _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, contentType: String? = nil, bytesMax: Int,
        seconds: Int
    ) async throws(NodeServiceError) -> [UInt8] {
        let head = requestHead(method, path, bodyBytes: body?.count, contentType: contentType)
        let answered = group.any().makePromise(of: [UInt8].self)
        let idle = self.idle
        let handler = AnswerHandler(answered: answered, bytesMax: bytesMax) { idle.keep($0) }
        let channel = try await connect(answered, handler)
        let timeout = channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
            answered.fail(Self.timedOut(seconds))
            handler.abandon(channel)
        }
        // Before the request is written, so that its answer cannot come first.
        let sent = channel.eventLoop.makePromise(of: Void.self)
        sent.futureResult.whenSuccess { handler.isSent = true }
        send(head, body, on: channel, sent)
        defer { timeout.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await answered.futureResult.get()
            } onCancel: {
                handler.abandon(channel)
            }
        } catch {
            throw typed(error)
        }
    }

    /// An answer of one JSON object per line, as they come; ends when the node ends it or goes away.
    func lines<Line: Decodable & Sendable>(
        _ type: Line.Type, path: String
    ) async throws(NodeServiceError) -> AsyncStream<Line> {
        let begun = group.any().makePromise(of: Void.self)
        let (stream, continuation) = AsyncStream.makeStream(
            of: Line.self, bufferingPolicy: .bufferingNewest(limits.eventsWaitingMax))
        let lineBytesMax = limits.lineBytesMax
        let handler = LinesHandler(begun: begun, continuation: continuation, lineBytesMax: lineBytesMax)
        let channel = try await connect(begun, handler)
        continuation.onTermination = { _ in handler.abandon(channel) }
        let seconds = limits.answerSeconds
        let timeout = channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) {
            guard !handler.hasBegun else { return }
            begun.fail(Self.timedOut(seconds))
            handler.abandon(channel)
        }
        send(requestHead(.GET, path, bodyBytes: nil, contentType: nil), nil, on: channel, nil)
        defer { timeout.cancel() }
        do {
            try await withTaskCancellationHandler {
                try await begun.futureResult.get()
            } onCancel: {
                handler.abandon(channel)
            }
        } catch {
            throw typed(error)
        }
        return stream
    }

    /// What to tell a person if the answer makes no sense.
    static let unreadable = NodeServiceError(
        .protocolMismatch, "The node's answer is unreadable.",
        hint: "Node and command may be of different versions; restart the node with this program.")

    private static func timedOut(_ seconds: Int) -> NodeServiceError {
        NodeServiceError(
            .timedOut, "The node did not answer within \(seconds) s.", hint: "mesh status shows its state.")
    }

    private var group: MultiThreadedEventLoopGroup { .singleton }

    /// A connection with a handler of this request: one that waits for the next, or a new one.
    private func connect<Value>(
        _ promise: EventLoopPromise<Value>, _ handler: some ExchangeHandler
    ) async throws(NodeServiceError) -> any Channel {
        while let channel = idle.take() {
            let isTaken = try? await channel.eventLoop.submit {
                guard channel.isActive else { return false }
                let pipeline = channel.pipeline.syncOperations
                try pipeline.handler(type: UnaskedBytes.self).isAsked = true
                try pipeline.addHandler(handler)
                return true
            }.get()
            if isTaken == true { return channel }
        }
        do {
            return try await ClientBootstrap(group: promise.futureResult.eventLoop)
                .connectTimeout(.seconds(Int64(limits.connectSeconds)))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(UnaskedBytes())
                        try pipeline.addHTTPClientHandlers(decoderLimitConfiguration: headerLimits)
                        try pipeline.addHandler(handler)
                    }
                }
                .connect(unixDomainSocketPath: socketPath).get()
        } catch {
            let failure =
                NodeServiceError.noPermission(for: .writing, of: socketPath)
                ?? NodeServiceError(
                    .nodeNotRunning, "No node answers on \(socketPath).",
                    hint: "Start it with mesh up, or name its home folder with --home.")
            promise.fail(failure)
            throw failure
        }
    }

    private var headerLimits: NIOHTTPDecoderLimitConfiguration {
        var headers = NIOHTTPDecoderLimitConfiguration()
        headers.maxHeaderFieldSize = limits.headerBytesMax
        headers.maxHeaderListSize = limits.headerBytesMax
        headers.maxHeaderFieldCount = limits.headerFieldsMax
        return headers
    }

    private func requestHead(
        _ method: HTTPMethod, _ path: String, bodyBytes: Int?, contentType: String?
    ) -> HTTPRequestHead {
        var headers: HTTPHeaders = ["host": "mesh"]
        if let contentType { headers.add(name: "content-type", value: contentType) }
        if let bodyBytes { headers.add(name: "content-length", value: String(bodyBytes)) }
        return HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
    }

    /// Sends a request; the promise is kept when the system has taken all of it.
    private func send(
        _ head: HTTPRequestHead, _ body: [UInt8]?, on channel: any Channel, _ sent: EventLoopPromise<Void>?
    ) {
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if let body { channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil) }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: sent)
    }

    private func typed(_ error: any Error) -> NodeServiceError {
        switch error {
        case let error as NodeServiceError: error
        case is HTTPParserError, is NIOHTTPDecoderError: Self.unreadable
        default:
            NodeServiceError(
                .nodeNotRunning, "The node ended before it answered: \(SystemWords.of(error)).",
                hint: "Its log says why; start it again with mesh up.")
        }
    }
}
