import Determinism
import LibP2P
import Multiformats

/// A protocol service, as its driver sees it: an actor around one core, on the streams of one host.
///
/// The driver (`drive`) is the same for all services: it follows the host's events, wakes the core at its deadline, and
/// starts a child task for each job. After every input to the core the service calls `rearm`.
protocol Service: Actor {
    /// The work for which `drive` starts a child task.
    associatedtype Job: Sendable

    nonisolated var host: any StreamHost { get }
    nonisolated var jobs: JobQueue<Job> { get }
    /// Set by `rearm` alone.
    var alarm: DeadlineAlarm { get set }
    /// What decides.
    associatedtype Deciding: Core where Deciding.Moment == MonotonicInstant, Deciding.Failure == Never
    var core: Deciding { get set }
    /// When the service has something to do apart from its core; nil while it has not.
    var ownDeadline: MonotonicInstant? { get }

    /// Takes in the peers that connected before the events began.
    func begin(connected: [PeerID])
    func peerEvent(_ event: PeerEvent) async
    /// Carries out what the core wants done because its deadline was reached.
    func carryOutDue(_ effects: Deciding.Effects) async
    /// `ownDeadline` was reached.
    func ownDeadlineReached(now: MonotonicInstant) async
    func perform(_ job: Job) async
}

extension Service {
    func begin(connected: [PeerID]) {}
    var ownDeadline: MonotonicInstant? { nil }
    func ownDeadlineReached(now: MonotonicInstant) async {}

    /// Sets the alarm to the next deadline.
    func rearm() {
        alarm.arm(for: core.nextDeadline)
        alarm.arm(for: ownDeadline)
    }

    /// Works until the task is cancelled; owns every task of the service.
    func drive(following events: AsyncStream<PeerEvent>) async {
        let rings = alarm.stream
        begin(connected: await host.connectedPeers())
        rearm()
        await withDiscardingTaskGroup { group in
            group.addTask { for await event in events { await self.peerEvent(event) } }
            group.addTask { for await _ in rings { await self.ring() } }
            for await job in jobs.stream { group.addTask { await self.perform(job) } }
            group.cancelAll()
        }
        alarm.finish()
    }

    private func ring() async {
        alarm.rang()
        let now = SwarmClock.now
        if let due = core.wake(now: now) { await carryOutDue(due) }
        if let own = ownDeadline, own <= now { await ownDeadlineReached(now: now) }
        rearm()
    }
}

/// The bounded queue of a service's jobs that wait for `drive` to start their tasks.
struct JobQueue<Job: Sendable>: Sendable {
    let stream: AsyncStream<Job>
    private let input: AsyncStream<Job>.Continuation

    init(waitingMax: Int) {
        (stream, input) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(waitingMax))
    }

    /// Hands a job over; `false` when too many wait.
    func start(_ job: Job) -> Bool {
        if case .enqueued = input.yield(job) { return true }
        return false
    }
}
