import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// One connection of a stranger: closes it when a request, a piece of an answer, or an answer takes too long.
///
/// It stands behind the decoder. It lets no body through but one for the witness, and ends a connection on which
/// another came after the answer, as it does one of HTTP/1.0, or that asks for another protocol (`endsDecoding`). The
/// answer to HEAD has the head of an answer of unknown length, and not the end of one.
// SAFETY: a NIO handler is used on its channel's event loop only, and made there.
final class GatewayConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let limits: GatewayLimits
    private let hasWitness: Bool
    /// Whether the body of the request that comes in is taken.
    private var takesBody = false
    /// What the requests that have no answer yet ask for.
    // BOUNDED: the channel stops reading while some are not taken.
    private var unanswered: [(isHead: Bool, version: HTTPVersion, takesBody: Bool)] = []
    private var isLengthTold = false
    private var isEnding = false
    /// Whether it takes nothing more in.
    private var isDeaf = false
    private var bodyBytes = 0
    private var deadline: Scheduled<Void>?
    private var piecesUnsent = 0
    private var pieceDeadline: Scheduled<Void>?
    /// Kept when so few pieces are unsent that another may be written.
    private var room: EventLoopPromise<Void>?

    init(limits: GatewayLimits, hasWitness: Bool = false) {
        self.limits = limits
        self.hasWitness = hasWitness
    }

    /// Whether a request is for the witness, and its body, of a length that is told, within the bound.
    private func hasBodyForWitness(_ head: HTTPRequestHead) -> Bool {
        guard hasWitness, head.method == .POST, head.uri == WitnessAnswers.submissionPath,
            head.headers["transfer-encoding"].isEmpty, head.headers["content-length"].count == 1,
            let length = head.headers["content-length"].first.flatMap(Int.init)
        else { return false }
        return length <= limits.witnessBodyBytesMax
    }

    /// Whether the headers of a request announce no body.
    static func hasNoBody(_ length: String?, _ encoding: String?) -> Bool {
        encoding == nil && (length == nil || length == "0")
    }

    /// The one of a connection.
    static func of(_ channel: any Channel) async throws -> GatewayConnection {
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: GatewayConnection.self)
        }.get()
    }

    /// Waits until few pieces are unsent, those that were written before; throws if the connection ends first.
    func waitForRoom(on channel: any Channel) async throws {
        try await channel.eventLoop.flatSubmit { () -> EventLoopFuture<Void> in
            guard channel.isActive else { return channel.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
            if self.piecesUnsent < self.limits.piecesUnsentMax { return channel.eventLoop.makeSucceededVoidFuture() }
            let room = self.room ?? channel.eventLoop.makePromise(of: Void.self)
            self.room = room
            return room.futureResult
        }.get()
    }

    func handlerAdded(context: ChannelHandlerContext) { close(context, in: limits.requestSeconds) }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            let (length, encoding) = (head.headers["content-length"].first, head.headers["transfer-encoding"].first)
            isDeaf = isDeaf || head.endsDecoding
            takesBody = hasBodyForWitness(head)
            // What cannot be cut into chunks ends with its connection, as does what has a body that is not taken.
            let isWhole = takesBody || Self.hasNoBody(length, encoding)
            if !isWhole || head.version != .http1_1 || isDeaf { isEnding = true }
            unanswered.append((head.method == .HEAD, head.version, takesBody))
            if unanswered.count == 1 { close(context, in: secondsForAnswer) }
            context.fireChannelRead(data)
        case .body(let bytes):
            // The decoder gives no more of it than was told.
            if takesBody { return context.fireChannelRead(data) }
            bodyBytes += bytes.readableBytes
            if bodyBytes > limits.bodyBytesMax { context.close(promise: nil) }
        case .end:
            context.fireChannelRead(wrapInboundOut(.end(nil)))
        }
    }

    func read(context: ChannelHandlerContext) { if !isDeaf { context.read() } }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head):
            isLengthTold = head.headers.contains(name: "content-length")
            if let asked = unanswered.first, asked.version == .http1_0 { head.version = .http1_0 }
            if isEnding { head.headers.replaceOrAdd(name: "connection", value: "close") }
            context.write(wrapOutboundOut(.head(head)), promise: timed(context, promise))
        case .body:
            context.write(data, promise: timed(context, promise))
        case .end:
            let isHead = unanswered.isEmpty ? false : unanswered.removeFirst().isHead
            let written = timed(context, promise)
            if isHead, !isLengthTold {
                written.succeed()
            } else {
                context.write(data, promise: written)
            }
            close(context, in: secondsForAnswer)
            guard isEnding else { return }
            context.flush()
            let channel = context.channel
            written.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }
    }

    /// How long the request that is answered next may take, with a body that may still be to come; or the next request.
    private var secondsForAnswer: Int {
        guard let next = unanswered.first else { return limits.requestSeconds }
        return next.takesBody ? limits.witnessSeconds : limits.responseSeconds
    }

    /// Closes the connection then, unless the clock is set again before.
    private func close(_ context: ChannelHandlerContext, in seconds: Int) {
        deadline?.cancel()
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { channel.close(promise: nil) }
    }

    /// A promise that is kept when the system has taken a piece; the connection is closed where none is for long.
    private func timed(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) -> EventLoopPromise<Void> {
        let promise = promise ?? context.eventLoop.makePromise(of: Void.self)
        let channel = context.channel
        piecesUnsent += 1
        if piecesUnsent == 1 { waitForPiece(on: channel) }
        promise.futureResult.whenComplete { _ in
            self.piecesUnsent -= 1
            if self.piecesUnsent < self.limits.piecesUnsentMax {
                self.room?.succeed()
                self.room = nil
            }
            if self.piecesUnsent == 0 {
                self.pieceDeadline?.cancel()
            } else {
                self.waitForPiece(on: channel)
            }
        }
        return promise
    }

    private func waitForPiece(on channel: any Channel) {
        pieceDeadline?.cancel()
        pieceDeadline = channel.eventLoop.scheduleTask(in: .seconds(Int64(limits.pieceSeconds))) {
            channel.close(promise: nil)
        }
    }

    private func stop() {
        deadline?.cancel()
        pieceDeadline?.cancel()
        room?.fail(ChannelError.ioOnClosedChannel)
        room = nil
    }
}

/// Hummingbird's HTTP/1.1 for strangers: so many connections from one address, each with its clocks.
struct GatewayConnections: ServerChildChannel {
    let http: HTTP1Channel
    let limits: GatewayLimits
    let tally: GatewayTally
    let addresses: AddressCounts
    var hasWitness = false

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<AcceptedConnection> {
        tally.connected()
        let key = AddressCounts.key(of: channel.remoteAddress)
        let isTaken = addresses.take(key, atMost: limits.connectionsPerAddressMax)
        channel.closeFuture.whenComplete { [tally, addresses] _ in
            tally.disconnected()
            if isTaken { addresses.give(key) }
        }
        return http.setup(channel: channel, logger: logger).flatMapThrowing { [limits, hasWitness] exchanges in
            let pipeline = channel.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(
                GatewayConnection(limits: limits, hasWitness: hasWitness), position: .after(decoder))
            if !isTaken { channel.close(promise: nil) }
            return AcceptedConnection(exchanges)
        }
    }

    func handle(value connection: AcceptedConnection, logger: Logger) async {
        await http.handle(value: connection.exchanges, logger: logger)
    }
}

/// How many connections there are from each address.
final class AddressCounts: Sendable {
    /// BOUNDED: by the connections that there are.
    private let counts = Mutex<[[UInt8]: Int]>([:])

    /// What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 one; empty for anything else.
    static func key(of address: SocketAddress?) -> [UInt8] {
        guard let address, address.protocol == .inet || address.protocol == .inet6 else { return [] }
        let bytes = address.withSockAddr { pointer, size in
            // SAFETY: an address of the system has so many bytes, which are copied.
            [UInt8](UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer), count: size))
        }
        // Behind the family and the port; in IPv6 the flow stands between.
        if address.protocol == .inet { return Array(bytes.dropFirst(4).prefix(4)) }
        let number = bytes.dropFirst(8).prefix(16)
        let isMapped = number.starts(with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])
        return Array(isMapped ? number.suffix(4) : number.prefix(8))
    }

    /// Counts one more, if there may be.
    func take(_ key: [UInt8], atMost countMax: Int) -> Bool {
        counts.withLock { counts in
            guard counts[key, default: 0] < countMax else { return false }
            counts[key, default: 0] += 1
            return true
        }
    }

    func give(_ key: [UInt8]) {
        counts.withLock { counts in
            let left = counts[key, default: 1] - 1
            counts[key] = left > 0 ? left : nil
        }
    }
}
