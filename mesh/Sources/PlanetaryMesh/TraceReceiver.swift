import LibP2P
import NIOCore
import NIOHTTP1
import NIOPosix
import NodeSetup

/// Where spans go: one POST over a connection of its own, without redirects.
struct TraceReceiver: Sendable {
    /// The bounds of a request, whatever the receiver does.
    struct Limits: Sendable {
        /// How long a connection may take, in milliseconds.
        var connectMilliseconds: Int64 = 5_000
        /// How long the whole answer may take from then on, in milliseconds.
        var answerMilliseconds: Int64 = 10_000
        /// The longest answer, in bytes.
        var answerBytesMax = 64 << 10
        /// The longest field of its head, and all together, in bytes.
        var headerBytesMax = 16 << 10
    }

    let endpoint: TraceEndpoint
    let limits: Limits

    init(_ endpoint: TraceEndpoint, limits: Limits = Limits()) {
        self.endpoint = endpoint
        self.limits = limits
    }

    /// Sends a request, and says what came of it; it is given up with its task.
    func post(_ body: [UInt8]) async -> TraceQueue.Outcome {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answered = loop.makePromise(of: TraceQueue.Outcome.self)
        connect(on: loop, answered).whenComplete { result in
            switch result {
            case .failure(let error): answered.succeed(.unavailable("it cannot be reached (\(SystemWords.of(error)))"))
            case .success(let channel): ask(channel, body, answered)
            }
        }
        return await withTaskCancellationHandler {
            (try? await answered.futureResult.get()) ?? .unavailable("the connection was closed")
        } onCancel: {
            answered.succeed(.unavailable("it was not waited for"))
        }
    }

    /// Sends the request over a connection, which ends with the answer, its time, or whoever waits for it.
    private func ask(_ channel: any Channel, _ body: [UInt8], _ answered: EventLoopPromise<TraceQueue.Outcome>) {
        let milliseconds = limits.answerMilliseconds
        let timeout = channel.eventLoop.scheduleTask(in: .milliseconds(milliseconds)) {
            answered.succeed(.unavailable("it gave no answer within \(milliseconds) ms"))
        }
        answered.futureResult.whenComplete { _ in
            timeout.cancel()
            channel.close(promise: nil)
        }
        channel.write(HTTPClientRequestPart.head(head(bodyBytes: body.count)), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
    }

    private func connect(
        on loop: any EventLoop, _ answered: EventLoopPromise<TraceQueue.Outcome>
    ) -> EventLoopFuture<any Channel> {
        let headers = headerLimits
        let bytesMax = limits.answerBytesMax
        return ClientBootstrap(group: loop)
            .connectTimeout(.milliseconds(limits.connectMilliseconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHTTPClientHandlers(decoderLimitConfiguration: headers)
                    try pipeline.addHandler(TraceAnswerHandler(answered: answered, bytesMax: bytesMax))
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
    }

    private var headerLimits: NIOHTTPDecoderLimitConfiguration {
        var headers = NIOHTTPDecoderLimitConfiguration()
        headers.maxHeaderFieldSize = limits.headerBytesMax
        headers.maxHeaderListSize = limits.headerBytesMax
        return headers
    }

    private func head(bodyBytes: Int) -> HTTPRequestHead {
        let headers: HTTPHeaders = [
            "host": endpoint.authority, "content-type": "application/json", "content-length": "\(bodyBytes)",
            "connection": "close", "user-agent": "planetary-mesh",
        ]
        return HTTPRequestHead(version: .http1_1, method: .POST, uri: endpoint.path, headers: headers)
    }
}

/// Reads the answer to one request, up to a bound.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class TraceAnswerHandler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart

    private let answered: EventLoopPromise<TraceQueue.Outcome>
    private let bytesMax: Int
    private var status = HTTPResponseStatus.ok
    private var bytes: [UInt8] = []

    init(answered: EventLoopPromise<TraceQueue.Outcome>, bytesMax: Int) {
        self.answered = answered
        self.bytesMax = bytesMax
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = head.status
        case .body(let buffer):
            guard bytes.count + buffer.readableBytes <= bytesMax else {
                answered.succeed(.refused("its answer has more than \(bytesMax) bytes"))
                context.close(promise: nil)
                return
            }
            bytes.append(contentsOf: buffer.readableBytesView)
        case .end:
            answered.succeed(Self.outcome(of: status, bytes))
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        answered.succeed(.unavailable("it closed the connection before it answered"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answered.succeed(
            error is HTTPParserError || error is NIOHTTPDecoderError
                ? .refused("its answer is no HTTP") : .unavailable(SystemWords.of(error)))
        context.close(promise: nil)
    }

    /// What an answer means, by OTLP: only these statuses are worth another attempt.
    static func outcome(of status: HTTPResponseStatus, _ body: [UInt8]) -> TraceQueue.Outcome {
        switch status.code {
        case 200..<300:
            OTLPResponse.rejected(in: body).map { .taken(rejected: $0) }
                ?? .refused("its answer is none of OTLP in JSON")
        case 429, 502, 503, 504: .unavailable("it answers with status \(status.code)")
        default: .refused("it answers with status \(status.code)")
        }
    }
}
