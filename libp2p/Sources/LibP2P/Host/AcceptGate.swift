import Foundation
public import Logging
public import NIOCore

/// Stands in a server's channel and decides when the next connections are accepted.
///
/// When the process or the system has no descriptor or memory left, accepting pauses, and each time that this did not
/// help for twice as long; the connections wait in the system's queue. Without it the event loop would find the same
/// connection ready again and again, and do nothing else. The last descriptors are not taken at all: the store, compile
/// processes and the libraries below need some, and the latter end a process that has none.
public final class AcceptGate: ChannelDuplexHandler {
    /// Nothing is taken from it.
    public typealias InboundIn = NIOAny
    /// Nothing is taken from it.
    public typealias OutboundIn = NIOAny

    /// How long a closed gate waits before it looks again.
    private static let lookAgain = TimeAmount.milliseconds(2)

    /// Descriptors that accepting leaves to the rest of the process.
    public static let descriptorsReserved = 24

    private let pause: TimeAmount
    private let pauseMax: TimeAmount
    private let what: String
    private let logger: Logger
    private let onPause: @Sendable () -> Void
    private let isOpen: @Sendable () -> Bool
    private let freeDescriptors: @Sendable () -> Int
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
    ///   - freeDescriptors: how many more descriptors the process may open, at least about.
    public init(
        pauseMilliseconds: Int64 = 100, pauseMillisecondsMax: Int64 = 5_000, what: String, logger: Logger,
        onPause: @escaping @Sendable () -> Void = {}, isOpen: @escaping @Sendable () -> Bool = { true },
        freeDescriptors: @escaping @Sendable () -> Int = FreeDescriptors.count
    ) {
        pause = .milliseconds(pauseMilliseconds)
        pauseMax = .milliseconds(pauseMillisecondsMax)
        nextPause = pause
        self.what = what
        self.logger = logger
        self.onPause = onPause
        self.isOpen = isOpen
        self.freeDescriptors = freeDescriptors
    }

    /// Asks for the next connections, when they may come in.
    public func read(context: ChannelHandlerContext) {
        guard !isWaiting else { return }
        guard isOpen() else { return readLater(Self.lookAgain, context) }
        guard freeDescriptors() > Self.descriptorsReserved else {
            return readLater(paused("the last \(Self.descriptorsReserved) descriptors are kept"), context)
        }
        context.read()
    }

    private func readLater(_ wait: TimeAmount, _ context: ChannelHandlerContext) {
        isWaiting = true
        let (bound, own) = (context.loopBound, NIOLoopBound(self, eventLoop: context.eventLoop))
        context.eventLoop.scheduleTask(in: wait) {
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
        let wait = paused("\(error)")
        // A read that failed counts as still wanted, so only this makes the loop look away from the socket.
        let options = context.channel.syncOptions
        try? options?.setOption(ChannelOptions.autoRead, value: false)
        let channel = NIOLoopBound(context.channel, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: wait) {
            try? channel.value.syncOptions?.setOption(ChannelOptions.autoRead, value: true)
        }
    }

    /// Notes a pause, and logs the first of several; how long it is.
    private func paused(_ reason: String) -> TimeAmount {
        if pausedAt == nil {
            logger.warning(
                "No connections are accepted for the time being.",
                metadata: ["of": "\(what)", "reason": "\(reason)", "pause": "\(nextPause.nanoseconds / 1_000_000) ms"])
        }
        pausedAt = .now()
        onPause()
        defer { nextPause = min(nextPause + nextPause, pauseMax) }
        return nextPause
    }
}

@available(*, unavailable)
extension AcceptGate: Sendable {}
