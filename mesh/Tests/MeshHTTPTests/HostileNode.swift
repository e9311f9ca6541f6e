import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A server on a Unix socket that does whatever a test wants with each connection, by its number from 0.
struct HostileNode: Sendable {
    /// What a connection of it does.
    struct Conduct: Sendable {
        /// Called when the header of a request has come, with its number on the connection from 0.
        var onRequest: @Sendable (Int, any Channel) -> Void
        /// Whether it reads what follows the first header.
        var readsOn = true
    }

    private let channel: any Channel
    private let count: NIOLockedValueBox<Int>
    private let closings: AsyncStream<Int>

    /// Listens on a socket.
    static func listen(_ path: String, _ conduct: @escaping @Sendable (Int) -> Conduct) async throws -> HostileNode {
        let count = NIOLockedValueBox(0)
        let (closings, closed) = AsyncStream.makeStream(of: Int.self)
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                let number = count.withLockedValue { count in
                    defer { count += 1 }
                    return count
                }
                channel.closeFuture.whenComplete { _ in closed.yield(number) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(RequestHeads(conduct: conduct(number)))
                }
            }
            .bind(unixDomainSocketPath: path).get()
        return HostileNode(channel: channel, count: count, closings: closings)
    }

    private init(channel: any Channel, count: NIOLockedValueBox<Int>, closings: AsyncStream<Int>) {
        self.channel = channel
        self.count = count
        self.closings = closings
    }

    /// Connections so far.
    var connections: Int { count.withLockedValue { $0 } }

    /// Waits until a connection is closed, by either side; returns its number.
    func closed() async -> Int? {
        for await number in closings { return number }
        return nil
    }

    func end() async throws { try await channel.close() }
}

extension Channel {
    /// Sends text, from any thread.
    func say(_ text: String) { writeAndFlush(ByteBuffer(string: text), promise: nil) }

    /// Sends text again and again, as fast as the other side takes it, until it is gone.
    func sayForEver(_ text: String) {
        writeAndFlush(ByteBuffer(string: text)).whenSuccess {
            self.eventLoop.execute { self.sayForEver(text) }
        }
    }
}

/// Finds the end of each header, and takes requests for ones without a body.
private final class RequestHeads: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let conduct: HostileNode.Conduct
    private var head: [UInt8] = []
    private var number = 0

    init(conduct: HostileNode.Conduct) {
        self.conduct = conduct
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in unwrapInboundIn(data).readableBytesView {
            guard number == 0 || conduct.readsOn else { return }
            head.append(byte)
            guard head.suffix(4) == Array("\r\n\r\n".utf8)[...] else { continue }
            head = []
            if !conduct.readsOn { context.channel.setOption(.autoRead, value: false).whenComplete { _ in } }
            conduct.onRequest(number, context.channel)
            number += 1
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
