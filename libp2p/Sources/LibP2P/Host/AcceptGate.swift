import Foundation
public import Logging
public import NIOCore

/// The handler in a server's channel that decides when to accept the next connections.
///
/// When the process or the system has no descriptor or memory left, accepting pauses, twice as long each time that a
/// pause did not help; connections wait in the system's queue. Without pauses the event loop would find the same
/// connection ready again and again, and do nothing else. Accepting leaves the last descriptors alone: the store,
/// compile processes and the libraries below need some, and those libraries end a process that has none.
public final class AcceptGate: ChannelDuplexHandler {
    /// The gate does not look at what passes.
    public typealias InboundIn = NIOAny
    /// The gate does not look at what passes.
    public typealias OutboundIn = NIOAny

    /// How long a closed gate waits before it checks again.
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
    ///   - pauseMilliseconds: the first pause when accepting fails.
    ///   - pauseMillisecondsMax: the longest one.
    ///   - what: whose connections these are, for the log.
    ///   - logger: told of each pause.
    ///   - onPause: called once per pause.
    ///   - isOpen: whether further connections may come in now; if not, the gate asks again soon.
    ///   - freeDescriptors: roughly how many more descriptors the process may open.
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

    /// Asks for the next connections when they may come in.
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

    /// A connection came in: the shortage is over.
    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if pausedAt != nil {
            pausedAt = nil
            nextPause = pause
            logger.notice("Connections are accepted again.", metadata: ["of": "\(what)"])
        }
        context.fireChannelRead(data)
    }

    /// Pauses when the system is out of something; passes every other error on.
    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError,
            [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode)
        else { return context.fireErrorCaught(error) }
        let wait = paused(SystemWords.system(error.errnoCode))
        // A failed read counts as still wanted, so only this makes the loop ignore the socket.
        let options = context.channel.syncOptions
        try? options?.setOption(ChannelOptions.autoRead, value: false)
        let channel = NIOLoopBound(context.channel, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: wait) {
            try? channel.value.syncOptions?.setOption(ChannelOptions.autoRead, value: true)
        }
    }

    /// Notes a pause and logs the first of several; returns its length.
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
