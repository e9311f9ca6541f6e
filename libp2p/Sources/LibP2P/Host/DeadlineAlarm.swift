public import Determinism
public import NIOCore
public import NIOPosix

/// The alarm clock of one core: the shell sets it to the core's `nextDeadline` after every input, and waits for it to
/// ring.
///
///     alarm.arm(for: core.nextDeadline)           // after every input
///     for await _ in alarm.stream {               // the one loop that keeps time
///         alarm.rang()
///         carryOut(core.deadlineReached(now: SwarmClock.now))
///         alarm.arm(for: core.nextDeadline)
///     }
///
/// Moving it to a later time costs nothing: it rings too early once, finds nothing due, and is set again. With a
/// resolution it rings at most once in that time, so a core that cannot do yet what is due does not keep a processor
/// busy; deadlines are met that much later at most.
public struct DeadlineAlarm {
    private let eventLoop: any EventLoop
    private let resolutionMilliseconds: Int64
    private let rings: AsyncStream<Void>.Continuation
    private var armedFor = MonotonicInstant.distantFuture
    private var notBefore = MonotonicInstant.zero
    private var scheduled: Scheduled<Void>?

    /// The rings; one element, however often it rang unheard.
    public let stream: AsyncStream<Void>

    /// An alarm that is not set.
    public init(
        resolutionMilliseconds: Int64 = 0, eventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()
    ) {
        self.eventLoop = eventLoop
        self.resolutionMilliseconds = resolutionMilliseconds
        (stream, rings) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Makes the alarm ring at `deadline` unless it rings earlier.
    public mutating func arm(for deadline: MonotonicInstant?) {
        guard let deadline else { return }
        let at = max(deadline, notBefore)
        guard at < armedFor else { return }
        scheduled?.cancel()
        armedFor = at
        scheduled = eventLoop.scheduleTask(
            deadline: .uptimeNanoseconds(UInt64(clamping: at.nanoseconds))
        ) { [rings] in _ = rings.yield(()) }
    }

    /// Call this when it rang, before asking the core.
    public mutating func rang() {
        armedFor = .distantFuture
        scheduled = nil
        guard resolutionMilliseconds > 0 else { return }
        notBefore = SwarmClock.now.advanced(milliseconds: resolutionMilliseconds)
    }

    /// Ends the stream.
    public func finish() {
        scheduled?.cancel()
        rings.finish()
    }
}
