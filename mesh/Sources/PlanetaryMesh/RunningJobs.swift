import CoVM
import Multiformats
import Synchronization

/// The runs under way, by their assignments: how each is stopped, whether it has a place, and how far it is.
final class RunningJobs: Sendable {
    private struct Run: Sendable {
        let cancellation = ExecutionCancellation()
        var workspace: JobWorkspace?
        /// The last progress that was told, in thousandths.
        var permille = 0
        /// Whether the market gave it a place to run; nil while that is open.
        var hasPlace: Bool?
        /// How the run, which has all its blocks, is told of that.
        var waiting: CheckedContinuation<Bool, Never>?
    }

    private struct State: Sendable {
        var runs: [CID: Run] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Enters a run, so that an order to stop it finds it.
    func begin(_ assignment: CID) {
        state.withLock { state in
            state.runs[assignment] = Run()
            if state.isClosed { state.runs[assignment]?.hasPlace = false }
        }
    }

    /// How a run is stopped; nil for one that has not begun.
    func cancellation(of assignment: CID) -> ExecutionCancellation? {
        state.withLock { $0.runs[assignment]?.cancellation }
    }

    /// A run's module begins.
    func began(_ assignment: CID, _ workspace: JobWorkspace) {
        state.withLock { $0.runs[assignment]?.workspace = workspace }
    }

    /// Gives a run its place.
    func letRun(_ assignment: CID) { decide(assignment, true) }

    /// Stops a run, wherever it is.
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

    /// Waits until a run may go on; `false` when it is to stop.
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

    /// A run has ended.
    func ended(_ assignment: CID) { state.withLock { _ = $0.runs.removeValue(forKey: assignment) } }

    /// The runs whose modules say that they are further than was told before, and how far, in thousandths.
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

    /// The node stops: what waits for a place, now or later, gets none.
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
