import NIOCore
import NIOHTTP1
import NodeAPI

/// Collects one answer, up to a bound, and leaves the connection to the next request.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class AnswerHandler: ExchangeHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart

    private let answered: EventLoopPromise<[UInt8]>
    private let bytesMax: Int
    private let released: @Sendable (any Channel) -> Void
    var isOver = false
    /// Whether the system has taken the whole request. A node that answers before and reads no further would let the
    /// next request on this connection wait behind the rest.
    var isSent = false
    private var head: HTTPResponseHead?
    private var bytes: [UInt8] = []

    init(
        answered: EventLoopPromise<[UInt8]>, bytesMax: Int, released: @escaping @Sendable (any Channel) -> Void
    ) {
        self.released = released
        self.answered = answered
        self.bytesMax = bytesMax
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
        case .body(let buffer):
            guard bytes.count + buffer.readableBytes <= bytesMax else {
                isOver = true
                answered.fail(NodeServiceError(.tooLarge, "The node's answer has more than \(bytesMax) bytes."))
                context.close(promise: nil)
                return
            }
            bytes.append(contentsOf: buffer.readableBytesView)
        case .end:
            isOver = true
            end(context)
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

    /// Leaves the connection to the next request before whoever asked can make one; or closes it: where the node does,
    /// behind a failure, and where the answer came before the node had read the request.
    private func end(_ context: ChannelHandlerContext) {
        guard isSent, let head, head.isKeepAlive, head.status == .ok || head.status == .created else {
            finish()
            return context.close(promise: nil)
        }
        let channel = context.channel
        context.pipeline.syncOperations.removeHandler(self).whenComplete { [released] result in
            if case .success = result { released(channel) } else { channel.close(promise: nil) }
        }
        finish()
    }

    private func finish() {
        guard let head, (200..<300).contains(head.status.code) else {
            let problem = try? MeshJSON.decode(Problem.self, from: bytes)
            answered.fail(problem?.error ?? HTTPExchange.unreadable)
            return
        }
        answered.succeed(bytes)
    }
}
