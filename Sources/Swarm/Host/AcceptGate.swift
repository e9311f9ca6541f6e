import Foundation
import Logging
import NIOCore

/// Stands in a server's channel and decides when the next connections are accepted.
///
/// When the process or the system has no descriptor or memory left, accepting pauses, and each time that this did not
/// help for twice as long; the connections wait in the system's queue. Without it the event loop would find the same
/// connection ready again and again, and do nothing else.
public final class AcceptGate: ChannelDuplexHandler {
    /// Nothing is taken from it.
    public typealias InboundIn = NIOAny
    /// Nothing is taken from it.
    public typealias OutboundIn = NIOAny

    /// How long a closed gate waits before it looks again.
    private static let lookAgain = TimeAmount.milliseconds(2)

    private let pause: TimeAmount
    private let pauseMax: TimeAmount
    private let what: String
    private let logger: Logger
    private let onPause: @Sendable () -> Void
    private let isOpen: @Sendable () -> Bool
    private var nextPause: TimeAmount
    private var pausedAt: NIODeadline?
    private var isWaiting = false

    /// A gate.
    ///
    /// - Parameters:
    ///   - pauseMilliseconds: the first pause when nothing can be accepted.
    ///   - pauseMillisecondsMax: the longest one.
    ///   - what: whose connections they are, for the log.
    ///   - onPause: called once per pause.
    ///   - isOpen: whether further connections may come in now; asked again soon where not.
    public init(
        pauseMilliseconds: Int64 = 100, pauseMillisecondsMax: Int64 = 5_000, what: String, logger: Logger,
        onPause: @escaping @Sendable () -> Void = {}, isOpen: @escaping @Sendable () -> Bool = { true }
    ) {
        pause = .milliseconds(pauseMilliseconds)
        pauseMax = .milliseconds(pauseMillisecondsMax)
        nextPause = pause
        self.what = what
        self.logger = logger
        self.onPause = onPause
        self.isOpen = isOpen
    }

    /// Asks for the next connections, when they may come in.
    public func read(context: ChannelHandlerContext) {
        guard !isWaiting else { return }
        if isOpen() { return context.read() }
        isWaiting = true
        let (bound, own) = (context.loopBound, NIOLoopBound(self, eventLoop: context.eventLoop))
        context.eventLoop.scheduleTask(in: Self.lookAgain) {
            own.value.isWaiting = false
            own.value.read(context: bound.value)
        }
    }

    /// A connection came in: what was short is there again.
    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if pausedAt != nil {
            pausedAt = nil
            nextPause = pause
            logger.notice("Connections are accepted again.", metadata: ["of": "\(what)"])
        }
        context.fireChannelRead(data)
    }

    /// Pauses where the system is out of something; hands every other error on.
    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError,
            [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode)
        else { return context.fireErrorCaught(error) }
        if pausedAt == nil {
            logger.warning(
                "No connections are accepted for the time being.",
                metadata: ["of": "\(what)", "reason": "\(error)", "pause": "\(nextPause.nanoseconds / 1_000_000) ms"])
        }
        pausedAt = .now()
        onPause()
        // A read that failed counts as still wanted, so only this makes the loop look away from the socket.
        let options = context.channel.syncOptions
        try? options?.setOption(ChannelOptions.autoRead, value: false)
        let channel = NIOLoopBound(context.channel, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: nextPause) {
            try? channel.value.syncOptions?.setOption(ChannelOptions.autoRead, value: true)
        }
        nextPause = min(nextPause + nextPause, pauseMax)
    }
}

@available(*, unavailable)
extension AcceptGate: Sendable {}
