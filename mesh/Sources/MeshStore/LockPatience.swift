import Dispatch

/// How long what passes is borne, by attempts one after the other: a lock of another program until
/// `lockedMillisecondsMax` have passed since the first, and, for writes that are owed, a full disk until
/// `fullMillisecondsMax` have.
struct LockPatience: Sendable {
    private let lockEnd: DispatchTime
    private let fullEnd: DispatchTime?
    private let limits: StoreLimits

    /// Patience that begins now; a full disk is borne where `bearsFull` says so.
    init(_ limits: StoreLimits, bearsFull: Bool = false) {
        lockEnd = .now() + .milliseconds(Int(limits.lockedMillisecondsMax))
        fullEnd = bearsFull ? .now() + .milliseconds(Int(limits.fullMillisecondsMax)) : nil
        self.limits = limits
    }

    /// Between two attempts at what is locked.
    var pause: Duration { .milliseconds(limits.lockedPauseMilliseconds) }

    /// Whether a failure is to be waited for.
    func bears(_ error: MeshStoreError) -> Bool {
        switch error {
        case .locked: DispatchTime.now() < lockEnd
        case .full: fullEnd.map { DispatchTime.now() < $0 } ?? false
        default: false
        }
    }

    /// What comes before the next attempt.
    enum Wait {
        /// Nothing: it was seen to that the next one may succeed.
        case notAtAll
        /// A pause.
        case aWhile
    }

    /// Makes attempts on the caller's thread, until `isOver` says that there is no time for a full disk any more.
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
                // What is waited for is somebody else's doing, and nobody signals its end.
                _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(pauseMilliseconds))
            }
        }
    }
}
