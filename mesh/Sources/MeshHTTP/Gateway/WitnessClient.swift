import NIOCore
import NIOHTTP1
import NIOPosix
import NodeAPI

/// Hands checkpoints to a witness over HTTP, each on a connection of its own. Source: c2sp.org/tlog-witness.
struct WitnessClient: Sendable {
    /// The bounds of a request.
    struct Limits: Sendable {
        /// For the connection, in seconds.
        var connectSeconds: Int64 = 5
        /// For the answer, in seconds.
        var answerSeconds: Int64 = 15
        /// An answer, in bytes; a longer one is none.
        var answerBytesMax = 16 * 1024
    }

    let place: WitnessAddress
    var limits = Limits()

    /// What the witness answers to `add-checkpoint`.
    func add(_ request: [UInt8]) async throws -> WitnessAnswer {
        let group = MultiThreadedEventLoopGroup.singleton
        let answered = group.any().makePromise(of: WitnessAnswer.self)
        let (limits, loop) = (limits, answered.futureResult.eventLoop)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(.seconds(limits.connectSeconds))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(
                            WitnessAnswerHandler(answered: answered, bytesMax: limits.answerBytesMax))
                    }
                }
                .connect(host: place.host, port: place.port).get()
        } catch {
            answered.fail(error)
            throw error
        }
        let timeout = loop.scheduleTask(in: .seconds(limits.answerSeconds)) {
            answered.fail(ChannelError.connectTimeout(.seconds(limits.answerSeconds)))
        }
        defer {
            timeout.cancel()
            channel.close(promise: nil)
        }
        let name = place.host.contains(":") ? "[\(place.host)]" : place.host
        let headers: HTTPHeaders = [
            "host": "\(name):\(place.port)", "content-length": String(request.count), "connection": "close",
        ]
        let head = HTTPRequestHead(
            version: .http1_1, method: .POST, uri: place.prefix + "/add-checkpoint", headers: headers)
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: request))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        return try await withTaskCancellationHandler {
            try await answered.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}

/// Collects an answer of a witness, up to a bound.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
private final class WitnessAnswerHandler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart

    private let answered: EventLoopPromise<WitnessAnswer>
    private let bytesMax: Int
    private var answer = WitnessAnswer(0, [])

    init(answered: EventLoopPromise<WitnessAnswer>, bytesMax: Int) {
        self.answered = answered
        self.bytesMax = bytesMax
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            answer.status = Int(head.status.code)
            answer.type = head.headers.first(name: "content-type") ?? ""
        case .body(let buffer):
            guard answer.body.count + buffer.readableBytes <= bytesMax else {
                answered.fail(HTTPParserError.invalidContentLength)
                return context.close(promise: nil)
            }
            answer.body.append(contentsOf: buffer.readableBytesView)
        case .end: answered.succeed(answer)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        answered.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answered.fail(error)
        context.close(promise: nil)
    }
}
