import CoVM
import Multiformats
import Synchronization

/// The runs under way, by assignment: how to stop each, whether it has a place, and its progress.
final class RunningJobs: Sendable {
    private struct Run: Sendable {
        let cancellation = ExecutionCancellation()
        var workspace: JobWorkspace?
        /// The last progress reported, in thousandths.
        var permille = 0
        /// The last fuel reported.
        var fuel: UInt64 = 0
        /// Whether it was reported that it waited.
        var hasWaited = false
        /// Whether the market gave it a place to run; nil while undecided.
        var hasPlace: Bool?
        /// How to tell the run, which has all its blocks.
        var waiting: CheckedContinuation<Bool, Never>?
    }

    private struct State: Sendable {
        var runs: [CID: Run] = [:]
        var isClosed = false
        /// Whether all runs are to stand still.
        var isHeld = false
    }

    private let state = Mutex(State())

    /// Enters a run, so that an order to stop it finds it.
    func begin(_ assignment: CID) {
        state.withLock { state in
            let run = Run()
            run.cancellation.hold(state.isHeld)
            state.runs[assignment] = run
            if state.isClosed { state.runs[assignment]?.hasPlace = false }
        }
    }

    /// How to stop a run; nil for one that has not begun.
    func cancellation(of assignment: CID) -> ExecutionCancellation? {
        state.withLock { $0.runs[assignment]?.cancellation }
    }

    /// Notes that a run's module begins.
    func began(_ assignment: CID, _ workspace: JobWorkspace) {
        state.withLock { $0.runs[assignment]?.workspace = workspace }
    }

    /// Gives a run its place.
    func letRun(_ assignment: CID) { decide(assignment, true) }

    /// Lets all runs stand still, those that begin later too, or go on.
    func hold(_ isHeld: Bool) {
        let cancellations = state.withLock { state in
            state.isHeld = isHeld
            return state.runs.values.map(\.cancellation)
        }
        for cancellation in cancellations { cancellation.hold(isHeld) }
    }

    /// Stops a run at whatever stage.
    func stop(_ assignment: CID) {
        cancellation(of: assignment)?.cancel()
        decide(assignment, false)
    }

    private func decide(_ assignment: CID, _ hasPlace: Bool) {
        let waiting = state.withLock { state in
            state.runs[assignment]?.hasPlace = hasPlace
            return state.runs[assignment]?.waiting.take()
        }
        waiting?.resume(returning: hasPlace)
    }

    /// Waits until a run may continue; `false` if it has to stop.
    func place(of assignment: CID) async -> Bool {
        await withCheckedContinuation { continuation in
            let decided = state.withLock { state -> Bool? in
                guard let run = state.runs[assignment] else { return false }
                if let hasPlace = run.hasPlace { return hasPlace && !run.cancellation.isCancelled }
                state.runs[assignment]?.waiting = continuation
                return nil
            }
            if let decided { continuation.resume(returning: decided) }
        }
    }

    /// Removes a run that ended.
    func ended(_ assignment: CID) { state.withLock { _ = $0.runs.removeValue(forKey: assignment) } }

    /// The runs with unreported progress, and how far they are, in thousandths.
    func takeProgress() -> [(assignment: CID, permille: Int)] {
        state.withLock { state in
            var news: [(assignment: CID, permille: Int)] = []
            for (assignment, run) in state.runs {
                guard let permille = run.workspace?.permille, permille > run.permille else { continue }
                state.runs[assignment]?.permille = permille
                news.append((assignment, permille))
            }
            return news.sorted { $0.assignment < $1.assignment }
        }
    }

    /// The runs that have used more fuel than was reported, and how much at least.
    func takeFuel() -> [(assignment: CID, fuel: UInt64)] {
        state.withLock { state in
            var news: [(assignment: CID, fuel: UInt64)] = []
            for (assignment, run) in state.runs {
                guard let fuel = run.workspace?.fuel, fuel > run.fuel else { continue }
                state.runs[assignment]?.fuel = fuel
                news.append((assignment, fuel))
            }
            return news.sorted { $0.assignment < $1.assignment }
        }
    }

    /// The fuel that all runs under way have used, as far as they have told; for tests.
    var burntFuel: UInt64 { state.withLock { $0.runs.values.reduce(0) { $0 &+ ($1.workspace?.fuel ?? 0) } } }

    /// The runs that have waited for blocks of their mounts, each once.
    func takeWaits() -> [CID] {
        state.withLock { state in
            var news: [CID] = []
            for (assignment, run) in state.runs where !run.hasWaited && run.workspace?.hasWaited == true {
                state.runs[assignment]?.hasWaited = true
                news.append(assignment)
            }
            return news.sorted()
        }
    }

    /// How far a run's module says it is, in thousandths; nil if it said nothing.
    func permille(of assignment: CID) -> Int? {
        state.withLock { state in
            guard let permille = state.runs[assignment]?.workspace?.permille, permille > 0 else { return nil }
            return permille
        }
    }

    /// Refuses a place to every run, now and later: the node stops.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            return state.runs.keys.compactMap { assignment in
                if state.runs[assignment]?.hasPlace == nil { state.runs[assignment]?.hasPlace = false }
                return state.runs[assignment]?.waiting.take()
            }
        }
        for continuation in waiting { continuation.resume(returning: false) }
    }

    /// Stops all that still runs.
    func stopAll() {
        close()
        let cancellations = state.withLock { $0.runs.values.map(\.cancellation) }
        for cancellation in cancellations { cancellation.cancel() }
    }
}
