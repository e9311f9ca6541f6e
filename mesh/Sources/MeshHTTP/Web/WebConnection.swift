import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOSSL

/// One connection over TCP: closes it when a request, or a reader, takes too long.
///
/// It stands behind the decoder. Between requests, and until the head of one is whole, it waits `webIdleSeconds`; a
/// body has `webBodySeconds`. A body that goes on behind its answer, as where it was refused, is read for
/// `webLeftoverSeconds` and `webLeftoverBytesMax` only. A reader that leaves the connection full and takes nothing for
/// `webPieceSeconds` is cut off. A request for another protocol ends the connection (`endsDecoding`).
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class WebConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: MeshHTTPLimits
    private var answersDue = 0
    private var isBodyOpen = false
    private var leftoverBytes = 0
    /// Whether it takes nothing more in.
    private var isEnding = false
    private var deadline: Scheduled<Void>?
    private var pieceDeadline: Scheduled<Void>?

    init(limits: MeshHTTPLimits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) { close(context, in: limits.webIdleSeconds) }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            if head.endsDecoding { isEnding = true }
            answersDue += 1
            isBodyOpen = true
            close(context, in: limits.webBodySeconds)
        case .body(let bytes):
            if answersDue == 0 { leftoverBytes += bytes.readableBytes }
            if leftoverBytes > limits.webLeftoverBytesMax { context.close(promise: nil) }
        case .end:
            isBodyOpen = false
            if answersDue == 0 { close(context, in: limits.webIdleSeconds) } else { deadline?.cancel() }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            answersDue -= 1
            if answersDue == 0 { close(context, in: isBodyOpen ? limits.webLeftoverSeconds : limits.webIdleSeconds) }
            if isEnding {
                let (written, channel) = (promise ?? context.eventLoop.makePromise(of: Void.self), context.channel)
                context.writeAndFlush(data, promise: written)
                return written.futureResult.whenComplete { _ in channel.close(promise: nil) }
            }
        }
        context.write(data, promise: promise)
    }

    func read(context: ChannelHandlerContext) { if !isEnding { context.read() } }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pieceDeadline?.cancel()
        if !context.channel.isWritable { close(context, unlessItTakes: Self.waiting(context)) }
        context.fireChannelWritabilityChanged()
    }

    /// Closes the connection in `webPieceSeconds`, unless fewer bytes wait for its reader then.
    private func close(_ context: ChannelHandlerContext, unlessItTakes waiting: Int) {
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        pieceDeadline = context.value.eventLoop.scheduleTask(in: .seconds(Int64(limits.webPieceSeconds))) {
            let left = Self.waiting(context.value)
            guard left < waiting else { return context.value.close(promise: nil) }
            self.close(context.value, unlessItTakes: left)
        }
    }

    /// The bytes that wait for the reader.
    private static func waiting(_ context: ChannelHandlerContext) -> Int {
        (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Closes the connection then, unless the clock is set again before.
    private func close(_ context: ChannelHandlerContext, in seconds: Int) {
        deadline?.cancel()
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { channel.close(promise: nil) }
    }

    private func stop() {
        deadline?.cancel()
        pieceDeadline?.cancel()
    }
}

/// Hummingbird's HTTP/1.1 over TCP, each connection with its clocks; over TLS, where there is a certificate.
struct WebConnections: ServerChildChannel {
    let http: HTTP1Channel
    let limits: MeshHTTPLimits
    var tls: (certificate: WebCertificate, visitors: TLSVisitors)?

    /// A connection that is one too many.
    private struct TooMany: Error, CustomStringConvertible {
        let description = "more connections over TLS of one address than this node takes"
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<AcceptedConnection> {
        do {
            try secure(channel)
        } catch {
            // NIO leaves a connection open that could not be set up.
            channel.close(promise: nil)
            return channel.eventLoop.makeFailedFuture(error)
        }
        return http.setup(channel: channel, logger: logger).flatMapThrowing { [limits] exchanges in
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(WebConnection(limits: limits), position: .after(decoder))
            return AcceptedConnection(exchanges)
        }
    }

    /// Puts TLS before everything else.
    private func secure(_ channel: any Channel) throws {
        guard let (certificate, visitors) = tls else { return }
        let visit = visitors.begin(from: channel.remoteAddress) { channel.close(promise: nil) }
        guard let visit else { throw TooMany() }
        channel.closeFuture.whenComplete { _ in visitors.left(visit) }
        let handshake = TLSHandshake(visit, of: visitors, seconds: limits.tlsHandshakeSeconds)
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandlers([NIOSSLServerHandler(context: certificate.context), handshake])
    }

    func handle(value connection: AcceptedConnection, logger: Logger) async {
        await http.handle(value: connection.exchanges, logger: logger)
    }
}
