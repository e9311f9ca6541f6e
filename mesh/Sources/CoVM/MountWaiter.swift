import GuestFiles
import MeshTypes

/// Waits on a run's thread for content of its mounts.
protocol MountWaiter {
    /// Waits until it is here, or until that has an end; the run keeps so many bytes meanwhile.
    func wait(for wants: [ContentWant], keeping bytes: UInt64) -> MountWait
    /// Waits for input of the session, so many nanoseconds at most where there is a bound.
    func hear(within nanoseconds: UInt64?, keeping bytes: UInt64) -> SessionWait
    /// Gives output to the session, and waits until it has room for all of it.
    func tell(_ bytes: [UInt8], to stream: StreamWrite.Stream, keeping kept: UInt64) -> SessionWait
}

/// How a wait ended, and how long it took.
struct MountWait: Codable, Sendable {
    enum End: Codable, Sendable {
        case here
        case failed(String)
        case cancelled
    }

    var end: End
    /// Other runs may have had the run's place meanwhile; all of it counts.
    var nanoseconds: UInt64
}

/// Waits where the node's own means are: a longer wait gives the run's place away, so that nobody holds one by serving
/// blocks slowly.
final class PlaceWaiter: MountWaiter {
    private let host: any ExecutionHost
    private let place: RunPlace
    private let cancellation: ExecutionCancellation
    private let limits: CoVMConfiguration.Limits
    private let terms: SessionTerms?
    private var record: SessionRecorder
    private var waitedNanoseconds: UInt64 = 0
    /// How long it waited in its session, input and output together.
    private var sessionNanoseconds: UInt64 = 0

    init(
        _ host: any ExecutionHost, _ place: RunPlace, _ cancellation: ExecutionCancellation,
        _ limits: CoVMConfiguration.Limits, _ job: ExecutionJob
    ) {
        terms = job.session
        record = SessionRecorder(job, goesOn: host.session != nil)
        self.host = host
        self.place = place
        self.cancellation = cancellation
        self.limits = limits
    }

    func wait(for wants: [ContentWant], keeping bytes: UInt64) -> MountWait {
        let start = SystemClock.nanoseconds()
        let end = waitInPlace(wants, bytes)
        waitedNanoseconds += SystemClock.nanoseconds() - start
        // Other runs may have its place now: as long as they do, its clock stands still, too.
        let isBack = place.comeBack(cancellation)
        let all = SystemClock.nanoseconds() - start
        guard isBack else { return MountWait(end: .cancelled, nanoseconds: all) }
        let seconds = limits.fetchMillisecondsMax / 1_000
        return MountWait(
            end: end ?? .failed("the blocks of the job's files did not come in \(seconds) s of waiting"),
            nanoseconds: all)
    }

    /// Waits for a fetch; `nil` when the run has waited as long as it may. Where its place cannot be given away, it
    /// keeps that, and tries again after the same time.
    private func waitInPlace(_ wants: [ContentWant], _ keptBytes: UInt64) -> MountWait.End? {
        let signal = ThreadSignal<MountWait.End>()
        let handler = cancellation.onCancel { signal.send(.cancelled) }
        defer { cancellation.removeHandler(handler) }
        host.fetch(wants) { end in
            switch end {
            case .here: signal.send(.here)
            case .failed(let reason): signal.send(.failed(reason))
            }
        }
        let waited = waitedNanoseconds / 1_000_000
        var left = limits.fetchMillisecondsMax > waited ? limits.fetchMillisecondsMax - waited : 0
        while left > 0 {
            let kept = min(left, max(1, limits.placeKeptMilliseconds))
            if let end = signal.wait(milliseconds: kept) { return end }
            left -= kept
            guard left > 0, place.park(holding: keptBytes) else { continue }
            host.waits(true)
            defer { host.waits(false) }
            return signal.wait(milliseconds: left)
        }
        return nil
    }

    // MARK: The session

    func hear(within nanoseconds: UInt64?, keeping bytes: UInt64) -> SessionWait {
        if let played = record.playRead(within: nanoseconds) {
            sessionNanoseconds += played.waitedNanoseconds
            return played
        }
        guard let waiting = sessionWaiting else { return SessionWait(end: .over) }
        var heard: [UInt8] = []
        var wait = waiting.wait(within: nanoseconds, keeping: bytes) { wake in
            switch waiting.session.read(bytesMax: SessionWait.bytesMax, orElse: wake) {
            case .bytes(let bytes):
                heard = bytes
                return .here
            case .end: return .over
            case .nothing: return nil
            case .lost: return .strayed("what its user had typed is gone")
            }
        }
        wait.bytes = heard
        sessionNanoseconds += wait.waitedNanoseconds
        if case .elapsed = wait.end { wait.waitedNanoseconds = max(wait.waitedNanoseconds, nanoseconds ?? 0) }
        if let event = record.keep(wait, isRead: true) {
            waiting.session.came(event)
        } else {
            waiting.session.foundNothing()
        }
        return wait
    }

    func tell(_ bytes: [UInt8], to stream: StreamWrite.Stream, keeping kept: UInt64) -> SessionWait {
        let played = record.playWrite()
        guard let waiting = sessionWaiting else { return played ?? SessionWait(end: .here) }
        var left = bytes[...]
        let wait = waiting.wait(within: nil, keeping: kept) { wake in
            left = left.dropFirst(waiting.session.write(left, to: stream, orElse: wake))
            return left.isEmpty ? .here : nil
        }
        sessionNanoseconds += (played ?? wait).waitedNanoseconds
        if var played {
            played.nanoseconds = wait.nanoseconds
            if case .cancelled = wait.end { played.end = .cancelled }
            return played
        }
        if let event = record.keep(wait, isRead: false) { waiting.session.came(event) }
        return wait
    }

    /// A result with what came of its session.
    func recorded(in result: ExecutionResult) -> ExecutionResult {
        guard terms != nil else { return result }
        var result = result
        result.session = record.end()
        return result
    }

    /// How it waits now, if the job has a session.
    private var sessionWaiting: SessionWaiting? {
        guard let terms, let session = host.session else { return nil }
        let all = terms.waitingSeconds * 1_000_000_000
        let left = all > sessionNanoseconds ? all - sessionNanoseconds : 0
        return SessionWaiting(
            session: session, host: host, place: place, cancellation: cancellation,
            mostNanoseconds: min(terms.idleSeconds * 1_000_000_000, left),
            placeKeptNanoseconds: limits.placeKeptMilliseconds * 1_000_000)
    }
}
