import Dispatch
import Synchronization

/// How urgent a commit is.
package enum CommitUrgency: Int, Comparable, Hashable, Sendable {
    /// Somebody waits for it: it starts a transaction.
    case now
    /// Somebody waits for it, and may wait for `StoreLimits.lingerMilliseconds`.
    case soon
    /// Nobody waits for it: it may stay off the disk for `StoreLimits.idleMilliseconds`.
    case idle

    /// Orders by urgency, the greatest first.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Gathers the commits of many callers into one transaction, so that they share one wait for the disk.
///
/// While a transaction is being written, arriving commits wait; the next transaction takes all that wait, up to the
/// limits. One caller pays one transaction, many callers together hardly more. A commit that is not urgent starts no
/// transaction: it goes with the next urgent one, or after a while (`CommitUrgency`). When `waitingCommitsMax` wait,
/// the queue refuses further ones at once instead of taking memory; and those that nobody relies on, which strangers
/// may cause, already when `waitingCommitsNotOwedMax` wait.
final class GroupCommitQueue: Sendable {
    /// One caller's commit, and how to tell the caller.
    struct Commit: Sendable {
        let writes: [StoreWrite]
        let bytes: Int
        let urgency: CommitUrgency
        let finished: @Sendable (Result<Void, MeshStoreError>) -> Void

        /// Whether somebody relies on it, or it is empty: then it waits for a full disk.
        let isOwed: Bool

        init(
            writes: [StoreWrite], bytes: Int, urgency: CommitUrgency = .now,
            finished: @escaping @Sendable (Result<Void, MeshStoreError>) -> Void
        ) {
            self.writes = writes
            self.bytes = bytes
            self.urgency = urgency
            self.finished = finished
            isOwed = writes.isEmpty || writes.contains(where: \.isOwed)
        }
    }

    private struct State {
        var waiting: [Commit] = []
        /// How many waiting commits are urgent.
        var urgentCount = 0
        /// How many waiting commits nobody relies on.
        var notOwedCount = 0
        /// Whether a drain is running or on its way.
        var isDraining = false
        /// How urgent the drain scheduled for commits that are not urgent is; nil if none is.
        var lingering: CommitUrgency?
        /// Whether something is held back that no commit waits for.
        var isHoldingBack = false
        var isClosed = false
    }

    private let limits: StoreLimits
    private let perform: @Sendable ([Commit]) -> Bool
    private let state = Mutex(State())
    private let thread = DispatchQueue(label: "mesh.store.commit", qos: .userInitiated)

    /// A queue; `perform` carries out its transactions and informs its callers, and returns whether something is held
    /// back that a transaction without commits has to write within `StoreLimits.idleMilliseconds`.
    init(limits: StoreLimits, perform: @escaping @Sendable ([Commit]) -> Bool) {
        self.limits = limits
        self.perform = perform
    }

    /// Puts a commit into the next transaction; calls `finished` exactly once, from another thread or this one.
    func submit(_ commit: Commit) {
        enum Next {
            case wait
            case start
            case linger(CommitUrgency)
            case refuse(MeshStoreError)
        }
        let next = state.withLock { state -> Next in
            if state.isClosed { return .refuse(.closed) }
            if state.waiting.count >= limits.waitingCommitsMax {
                return .refuse(.overloaded(waitingMax: limits.waitingCommitsMax))
            }
            if !commit.isOwed {
                if state.notOwedCount >= limits.waitingCommitsNotOwedMax {
                    return .refuse(.overloaded(waitingMax: limits.waitingCommitsNotOwedMax))
                }
                state.notOwedCount += 1
            }
            state.waiting.append(commit)
            if commit.urgency == .now { state.urgentCount += 1 }
            if state.isDraining { return .wait }
            if commit.urgency == .now {
                state.isDraining = true
                return .start
            }
            if let lingering = state.lingering, lingering <= commit.urgency { return .wait }
            state.lingering = commit.urgency
            return .linger(commit.urgency)
        }
        switch next {
        case .wait: break
        case .start: thread.async { self.drain(untilEmpty: false) }
        case .linger(let urgency): linger(urgency)
        case .refuse(let error): commit.finished(.failure(error))
        }
    }

    /// Whether everything accepted before is written, and nothing is held back.
    var isIdle: Bool {
        state.withLock { !$0.isClosed && !$0.isDraining && $0.waiting.isEmpty && !$0.isHoldingBack }
    }

    /// Refuses further commits, and returns when everything accepted before is written.
    func close() {
        state.withLock { $0.isClosed = true }
        thread.sync { drain(untilEmpty: true) }
    }

    private func linger(_ urgency: CommitUrgency) {
        let milliseconds = urgency == .idle ? limits.idleMilliseconds : limits.lingerMilliseconds
        thread.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) {
            let hasWork = self.state.withLock { state in
                if state.lingering == urgency { state.lingering = nil }
                guard !state.isDraining, !state.waiting.isEmpty || state.isHoldingBack else { return false }
                state.isDraining = true
                return true
            }
            if hasWork { self.drain(untilEmpty: true) }
        }
    }

    /// Writes as long as somebody waits, or until nothing is left.
    private func drain(untilEmpty: Bool) {
        enum Next {
            case write([Commit])
            case linger(CommitUrgency)
            case stop
        }
        while true {
            let next = state.withLock { state -> Next in
                if untilEmpty ? !state.waiting.isEmpty || state.isHoldingBack : state.urgentCount > 0 {
                    let batch = nextBatch(&state.waiting)
                    state.urgentCount -= batch.count { $0.urgency == .now }
                    state.notOwedCount -= batch.count { !$0.isOwed }
                    return .write(batch)
                }
                state.isDraining = false
                guard let next = state.waiting.map(\.urgency).min() ?? (state.isHoldingBack ? .idle : nil) else {
                    return .stop
                }
                if let lingering = state.lingering, lingering <= next { return .stop }
                state.lingering = next
                return .linger(next)
            }
            switch next {
            case .write(let batch):
                let isHoldingBack = perform(batch)
                state.withLock { $0.isHoldingBack = isHoldingBack }
            case .linger(let urgency): return linger(urgency)
            case .stop: return
            }
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
