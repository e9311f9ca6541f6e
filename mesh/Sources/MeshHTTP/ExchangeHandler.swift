import NIOCore

/// What a connection is used for until an answer has ended.
///
/// Everything but `abandon` is called on the event loop of its channel.
protocol ExchangeHandler: ChannelInboundHandler, Sendable {
    /// Whether the connection is this exchange's no more.
    var isOver: Bool { get set }
}

extension ExchangeHandler {
    /// Closes the connection, from any thread, if this exchange still has it.
    func abandon(_ channel: any Channel) {
        channel.eventLoop.execute {
            guard !self.isOver else { return }
            channel.close(promise: nil)
        }
    }
}
