import Dispatch

/// How long retries go on for temporary failures: a lock of another program for `lockedMillisecondsMax`, and, for
/// writes that somebody relies on, a full disk for `fullMillisecondsMax`.
struct LockPatience: Sendable {
    private let lockEnd: DispatchTime
    private let fullEnd: DispatchTime?
    private let limits: StoreLimits

    /// Patience that begins now; also for a full disk if `bearsFull` says so.
    init(_ limits: StoreLimits, bearsFull: Bool = false) {
        lockEnd = .now() + .milliseconds(Int(limits.lockedMillisecondsMax))
        fullEnd = bearsFull ? .now() + .milliseconds(Int(limits.fullMillisecondsMax)) : nil
        self.limits = limits
    }

    /// The pause between two attempts at a lock.
    var pause: Duration { .milliseconds(limits.lockedPauseMilliseconds) }

    /// Whether to wait for a failure to pass.
    func bears(_ error: MeshStoreError) -> Bool {
        switch error {
        case .locked: DispatchTime.now() < lockEnd
        case .full: fullEnd.map { DispatchTime.now() < $0 } ?? false
        default: false
        }
    }

    /// What comes before the next attempt.
    enum Wait {
        /// Nothing: the next one may succeed at once.
        case notAtAll
        /// A pause.
        case aWhile
    }

    /// Makes attempts on the caller's thread, until `isOver` says that there is no more time for a full disk.
    func bear<Value>(
        _ attempt: () throws(MeshStoreError) -> Value, onRetry: (MeshStoreError) -> Wait,
        isOver: () -> Bool = { false }
    ) throws(MeshStoreError) -> Value {
        while true {
            do {
                return try attempt()
            } catch {
                var pauseMilliseconds = limits.lockedPauseMilliseconds
                if case .full = error {
                    if isOver() { throw error }
                    pauseMilliseconds = limits.fullPauseMilliseconds
                }
                guard bears(error) else { throw error }
                guard onRetry(error) == .aWhile else { continue }
                // Another program causes the wait, and nobody signals its end.
                _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(pauseMilliseconds))
            }
        }
    }
}
