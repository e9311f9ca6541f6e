import HummingbirdCore
import Logging
import NIOCore

/// A connection between being accepted and being served.
///
/// Whoever serves it finishes its writer, which NIO demands of every owner of an async channel: it ends the process
/// where one is forgotten. A server that is stopped in the moment between forgets it. So the channel itself holds what
/// was made for it until it is closed, which finishes the writer too; and a connection that nobody serves any more is
/// closed.
final class AcceptedConnection: ServerChildChannelValue {
    let exchanges: HTTP1Channel.Value

    init(_ exchanges: HTTP1Channel.Value) {
        self.exchanges = exchanges
        exchanges.channel.closeFuture.whenComplete { _ in withExtendedLifetime(exchanges) {} }
    }

    deinit { channel.close(promise: nil) }

    var channel: any Channel { exchanges.channel }
}

/// Hummingbird's HTTP/1.1, on connections that may be dropped before they are served.
struct DroppableConnections: ServerChildChannel {
    let http: HTTP1Channel

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<AcceptedConnection> {
        http.setup(channel: channel, logger: logger).map(AcceptedConnection.init)
    }

    func handle(value connection: AcceptedConnection, logger: Logger) async {
        await http.handle(value: connection.exchanges, logger: logger)
    }
}
