import NIOCore
import NIOTLS

/// Stands behind TLS until the handshake of a connection is done, for `tlsHandshakeSeconds` at the most, and counts it.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class TLSHandshake: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let visitors: TLSVisitors
    private let visit: TLSVisitors.Visit
    private let seconds: Int
    private var isOver = false
    private var deadline: Scheduled<Void>?

    init(_ visit: TLSVisitors.Visit, of visitors: TLSVisitors, seconds: Int) {
        (self.visit, self.visitors, self.seconds) = (visit, visitors, seconds)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            end()
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Whoever says something else than TLS gets no answer that TLS could not carry.
        if !isOver { context.close(promise: nil) }
        context.fireErrorCaught(error)
    }

    private func end() {
        guard !isOver else { return }
        isOver = true
        deadline?.cancel()
        visitors.shookHands(visit)
    }
}
