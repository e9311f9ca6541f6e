import NIOCore
import NIOHTTP1

/// Passes on each line of a streamed answer as soon as it is complete; the node closes the connection behind the last.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class LinesHandler<Line: Decodable & Sendable>: ExchangeHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart

    private let begun: EventLoopPromise<Void>
    private let continuation: AsyncStream<Line>.Continuation
    private let lineBytesMax: Int
    var isOver = false
    /// Whether lines come, or the end.
    private(set) var hasBegun = false
    private var status: HTTPResponseStatus = .ok
    private var pending: [UInt8] = []

    init(begun: EventLoopPromise<Void>, continuation: AsyncStream<Line>.Continuation, lineBytesMax: Int) {
        self.begun = begun
        self.continuation = continuation
        self.lineBytesMax = lineBytesMax
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            status = head.status
            guard status == .ok else { return }
            hasBegun = true
            begun.succeed()
        case .body(let buffer):
            received(buffer, context)
        case .end:
            end()
            isOver = true
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        begun.fail(ChannelError.eof)
        continuation.finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        begun.fail(error)
        context.close(promise: nil)
    }

    private func received(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        var start = buffer.readableBytesView.startIndex
        let view = buffer.readableBytesView
        while status == .ok, let newline = view[start...].firstIndex(of: 0x0A) {
            guard pending.count + (newline - start) <= lineBytesMax else { return tooLong(context) }
            pending.append(contentsOf: view[start..<newline])
            start = view.index(after: newline)
            // Skips kinds of events of newer nodes.
            if let line = try? MeshJSON.decode(Line.self, from: pending) { continuation.yield(line) }
            pending.removeAll(keepingCapacity: true)
        }
        pending.append(contentsOf: view[start...])
        if pending.count > lineBytesMax { tooLong(context) }
    }

    /// Ends the stream: nobody can tell where the next line would begin.
    private func tooLong(_ context: ChannelHandlerContext) {
        isOver = true
        pending.removeAll()
        begun.fail(HTTPExchange.unreadable)
        continuation.finish()
        context.close(promise: nil)
    }

    private func end() {
        if status != .ok {
            let problem = try? MeshJSON.decode(Problem.self, from: pending)
            begun.fail(problem?.error ?? HTTPExchange.unreadable)
        }
        continuation.finish()
    }
}
