import Dispatch
import Synchronization

/// Gathers the commits of many callers into one transaction, so that they share one wait for the disk.
///
/// While a transaction is being written, arriving commits wait; the next transaction takes all that wait, up to the
/// limits. One caller alone pays one transaction, many callers together hardly more. When more than
/// `waitingCommitsMax` wait, further ones are refused at once instead of taking memory.
final class GroupCommitQueue: Sendable {
    /// One caller's commit, and how to tell the caller.
    struct Commit: Sendable {
        let writes: [StoreWrite]
        let bytes: Int
        let finished: @Sendable (Result<Void, MeshStoreError>) -> Void
    }

    private struct State {
        var waiting: [Commit] = []
        var isDraining = false
        var isClosed = false
    }

    private let limits: StoreLimits
    private let perform: @Sendable ([Commit]) -> Void
    private let state = Mutex(State())
    private let thread = DispatchQueue(label: "mesh.store.commit", qos: .userInitiated)

    /// A queue whose transactions are carried out, and whose callers are told, by `perform`.
    init(limits: StoreLimits, perform: @escaping @Sendable ([Commit]) -> Void) {
        self.limits = limits
        self.perform = perform
    }

    /// Puts a commit into the next transaction; `finished` is called exactly once, from another thread or this one.
    func submit(_ commit: Commit) {
        enum Next {
            case wait
            case start
            case refuse(MeshStoreError)
        }
        let next = state.withLock { state -> Next in
            if state.isClosed { return .refuse(.closed) }
            if state.waiting.count >= limits.waitingCommitsMax {
                return .refuse(.overloaded(waitingMax: limits.waitingCommitsMax))
            }
            state.waiting.append(commit)
            if state.isDraining { return .wait }
            state.isDraining = true
            return .start
        }
        switch next {
        case .wait: break
        case .start: thread.async { self.drain() }
        case .refuse(let error): commit.finished(.failure(error))
        }
    }

    /// Refuses what comes from now on, and returns when everything accepted before was written.
    func close() {
        state.withLock { $0.isClosed = true }
        thread.sync {}
    }

    private func drain() {
        while true {
            let batch = state.withLock { state in
                let batch = nextBatch(&state.waiting)
                if batch.isEmpty { state.isDraining = false }
                return batch
            }
            if batch.isEmpty { return }
            perform(batch)
        }
    }

    private func nextBatch(_ waiting: inout [Commit]) -> [Commit] {
        var count = 0
        var bytes = 0
        while count < waiting.count, count < limits.commitsPerTransactionMax {
            bytes += waiting[count].bytes
            if count > 0, bytes > limits.bytesPerTransactionMax { break }
            count += 1
        }
        let batch = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        return batch
    }
}
