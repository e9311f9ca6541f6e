package import GuestFiles
package import MeshTypes

/// The two directions between a run and its user while it runs. The run's own thread calls it, one function at a time.
package protocol GuestSession: Sendable {
    /// Takes input that has come, so many bytes at most. Where there is none, `wake` is called once, from any thread,
    /// when that may have changed; a later call forgets it.
    func read(bytesMax: Int, orElse wake: @escaping @Sendable () -> Void) -> SessionInput

    /// Takes output as far as there is room, and says how many of the bytes it took. Where it took not all, `wake` is
    /// called once, from any thread, when there may be room; a later call forgets it.
    func write(_ bytes: ArraySlice<UInt8>, to stream: StreamWrite.Stream, orElse wake: @escaping @Sendable () -> Void)
        -> Int

    /// The run waits for one or the other (`true`), or goes on.
    func waits(_ isWaiting: Bool)

    /// What came of a call, where that does not follow from the run; called before the module goes on.
    func came(_ event: SessionEvent)

    /// A read that did not wait found nothing. No event says so; a run that begins again could find something there.
    func foundNothing()
}

extension GuestSession {
    package func came(_ event: SessionEvent) {}
    package func foundNothing() {}
}

/// What there is to read of a session.
package enum SessionInput: Hashable, Sendable {
    /// Bytes, one at least.
    case bytes([UInt8])
    /// Nothing any more.
    case end
    /// Nothing yet.
    case nothing
    /// Nothing that the module may go on with: what its user had sent is gone.
    case lost
}

/// What came of waiting in a session.
struct SessionWait: Codable, Sendable {
    enum End: Codable, Sendable {
        /// What was waited for is here.
        case here
        /// There will be no more input.
        case over
        /// The guest's own time for it has passed.
        case elapsed
        /// The job has waited as long as it may.
        case idle
        case cancelled
        /// The run repeats a session, and is not where that was.
        case strayed(String)
    }

    /// Bytes of input that are passed on at once, and of output.
    static let bytesMax = 64 << 10

    var end: End
    /// The input.
    var bytes: [UInt8] = []
    /// How long the guest waited, in nanoseconds.
    var waitedNanoseconds: UInt64 = 0
    /// How long the wall clock stood still: the same, and until the run had its place again.
    var nanoseconds: UInt64 = 0
}

/// Waits in a session where the node's own means are, within what the job's terms allow; a longer wait gives the run's
/// place away.
struct SessionWaiting {
    let session: any GuestSession
    let host: any ExecutionHost
    let place: RunPlace
    let cancellation: ExecutionCancellation
    /// Nanoseconds that it may last before the job has waited as long as it may.
    let mostNanoseconds: UInt64
    let placeKeptNanoseconds: UInt64

    /// Repeats a step until it comes to an end or a time is over.
    ///
    /// - Parameters:
    ///   - within: the guest's own bound, in nanoseconds.
    ///   - bytes: what the run keeps meanwhile.
    ///   - step: an end, or nil and a call of what it is given when it is worth another step.
    func wait(
        within: UInt64?, keeping bytes: UInt64, _ step: (@escaping @Sendable () -> Void) -> SessionWait.End?
    ) -> SessionWait {
        let start = SystemClock.nanoseconds()
        var isParked = false
        var end: SessionWait.End?
        var hasWaited = false
        while end == nil {
            let signal = ThreadSignal<Bool>()
            end = step { signal.send(true) }
            if end != nil { break }
            let passed = SystemClock.nanoseconds() - start
            let most = min(within ?? .max, mostNanoseconds)
            guard passed < most else {
                end = (within ?? .max) <= mostNanoseconds ? .elapsed : .idle
                break
            }
            if !hasWaited { session.waits(true) }
            hasWaited = true
            if !isParked, passed >= placeKeptNanoseconds, place.park(holding: bytes) {
                isParked = true
                host.waits(true)
            }
            let pause = isParked ? most - passed : min(most - passed, max(1_000_000, placeKeptNanoseconds))
            let handler = cancellation.onCancel { signal.send(false) }
            if signal.wait(milliseconds: (pause + 999_999) / 1_000_000) == false { end = .cancelled }
            cancellation.removeHandler(handler)
        }
        // What is there at once costs nothing, and moves no clock, so that it need not be remembered.
        let waited = hasWaited ? SystemClock.nanoseconds() - start : 0
        // Other runs may have its place now: as long as they do, its clock stands still, too.
        let isBack = place.comeBack(cancellation)
        if isParked { host.waits(false) }
        if hasWaited { session.waits(false) }
        return SessionWait(
            end: isBack ? end ?? .cancelled : .cancelled, waitedNanoseconds: waited,
            nanoseconds: SystemClock.nanoseconds() - start)
    }
}
