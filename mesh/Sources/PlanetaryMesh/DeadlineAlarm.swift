import Determinism
import NIOCore

/// One alarm clock for one core: it is set to the core's `nextDeadline` after every input, and rings on a stream.
///
/// Setting it later than it stands costs nothing: it rings too early once, finds nothing due, and is set again.
struct DeadlineAlarm {
    private let eventLoop: any EventLoop
    private let rings: AsyncStream<Void>.Continuation
    private var armedFor = MonotonicInstant.distantFuture
    private var scheduled: Scheduled<Void>?

    /// The ringing; one element however often it rang unheard.
    let stream: AsyncStream<Void>

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        (stream, rings) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Makes the alarm ring at `deadline` unless it rings before.
    mutating func arm(for deadline: MonotonicInstant?) {
        guard let deadline, deadline < armedFor else { return }
        scheduled?.cancel()
        armedFor = deadline
        let rings = rings
        scheduled = eventLoop.scheduleTask(
            deadline: .uptimeNanoseconds(UInt64(clamping: deadline.nanoseconds))
        ) { _ = rings.yield(()) }
    }

    /// To be called when it rang, before the core is asked.
    mutating func rang() {
        armedFor = .distantFuture
        scheduled = nil
    }

    /// Ends the stream.
    func finish() {
        scheduled?.cancel()
        rings.finish()
    }
}
