import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

/// A relay of bytes on loopback that can fall silent: then it keeps its sockets open and passes nothing on any more,
/// as a machine that vanished from the network does.
final class SilentProxy: Sendable {
    private let isSilent = NIOLockedValueBox(false)
    private let listener = NIOLockedValueBox<(any Channel)?>(nil)

    /// Listens, and passes on to a port of loopback; returns the address to dial.
    func listen(before port: UInt16) async throws -> Multiaddr {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(ChannelOptions.autoRead, value: false)
            .childChannelInitializer { [isSilent] near in
                let ahead = RelayHandler(isSilent)
                let back = RelayHandler(isSilent)
                ahead.other.withLockedValue { $0 = back }
                back.other.withLockedValue { $0 = ahead }
                let dialed = ClientBootstrap(group: near.eventLoop)
                    .channelInitializer { far in far.pipeline.addHandler(back) }
                    .connect(host: "127.0.0.1", port: Int(port))
                return near.pipeline.addHandler(ahead).flatMap { dialed }.flatMap { _ in
                    near.setOption(ChannelOptions.autoRead, value: true)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLockedValue { $0 = channel }
        return Multiaddr([.ip4([127, 0, 0, 1]), .tcp(UInt16(try #require(channel.localAddress?.port)))])
    }

    /// From now on nothing passes, in either direction; what passed before has arrived when this returns, so that
    /// nobody takes it for a sign of life.
    func fallSilent() async throws {
        isSilent.withLockedValue { $0 = true }
        // Between two tasks of its own a loop has read what its sockets held.
        for _ in 0..<3 {
            for loop in MultiThreadedEventLoopGroup.singleton.makeIterator() { try await loop.submit {}.get() }
        }
    }

    func close() async throws {
        try await listener.withLockedValue { $0 }?.close()
    }
}

/// One direction of a relayed connection; both sides are on one event loop.
private final class RelayHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    let other = NIOLockedValueBox<RelayHandler?>(nil)
    private let channel = NIOLockedValueBox<(any Channel)?>(nil)
    private let isSilent: NIOLockedValueBox<Bool>

    init(_ isSilent: NIOLockedValueBox<Bool>) {
        self.isSilent = isSilent
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let added = context.channel
        channel.withLockedValue { $0 = added }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isSilent.withLockedValue({ $0 }) else { return }
        let far = other.withLockedValue { $0 }?.channel.withLockedValue { $0 }
        far?.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard !isSilent.withLockedValue({ $0 }) else { return }
        let far = other.withLockedValue { value in
            defer { value = nil }
            return value
        }
        far?.channel.withLockedValue { $0 }?.close(promise: nil)
    }
}
