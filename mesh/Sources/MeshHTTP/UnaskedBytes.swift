import NIOCore

/// Closes a connection to a node on which bytes come that nobody asked for: behind an answer, or between two requests.
///
/// Without it such bytes would be the beginning of the next request's answer. It stands before the decoder, and gives
/// it the last byte of each piece by itself: an answer that ends earlier has something behind it.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class UnaskedBytes: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Whether a request waits for its answer or reads it.
    var isAsked = true

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard isAsked else { return context.close(promise: nil) }
        if let most = bytes.readSlice(length: bytes.readableBytes - 1), most.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(most))
            guard isAsked else { return context.close(promise: nil) }
        }
        context.fireChannelRead(wrapInboundOut(bytes))
    }
}
