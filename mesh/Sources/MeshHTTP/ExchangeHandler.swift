import NIOCore
import NIOHTTP1

/// What a connection is used for until an answer has ended: then it is left to the next request.
///
/// Everything but `abandon` is called on the event loop of its channel.
protocol ExchangeHandler: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    /// Takes over the connection.
    var released: @Sendable (any Channel) -> Void { get }
    /// Whether the connection is this exchange's no more.
    var isOver: Bool { get set }
}

extension ExchangeHandler {
    /// Leaves the connection to the next request where the node keeps it open, and closes it otherwise.
    func leave(_ context: ChannelHandlerContext, after head: HTTPResponseHead?) {
        guard !isOver else { return }
        isOver = true
        guard head?.isKeepAlive == true else { return context.close(promise: nil) }
        let channel = context.channel
        context.pipeline.syncOperations.removeHandler(self).whenComplete { [released] result in
            if case .success = result { released(channel) } else { channel.close(promise: nil) }
        }
    }

    /// Closes the connection, from any thread, if this exchange still has it.
    func abandon(_ channel: any Channel) {
        channel.eventLoop.execute {
            guard !self.isOver else { return }
            channel.close(promise: nil)
        }
    }
}
