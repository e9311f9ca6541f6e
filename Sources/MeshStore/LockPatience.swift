import Dispatch

/// How long a lock of another program is borne: attempts one after the other, until `lockedMillisecondsMax` have passed
/// since the first.
struct LockPatience: Sendable {
    private let end: DispatchTime
    private let pauseMilliseconds: Int

    init(_ limits: StoreLimits) {
        end = .now() + .milliseconds(Int(limits.lockedMillisecondsMax))
        pauseMilliseconds = limits.lockedPauseMilliseconds
    }

    /// Between two attempts.
    var pause: Duration { .milliseconds(pauseMilliseconds) }

    /// Whether a failure is a lock that is to be waited for.
    func bears(_ error: MeshStoreError) -> Bool {
        guard case .locked = error else { return false }
        return DispatchTime.now() < end
    }

    /// Makes attempts on the caller's thread.
    func bear<Value>(
        _ attempt: () throws(MeshStoreError) -> Value, onRetry: () -> Void
    ) throws(MeshStoreError) -> Value {
        while true {
            do {
                return try attempt()
            } catch {
                guard bears(error) else { throw error }
                onRetry()
                // The other program is waited for, and nobody signals its end.
                _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(pauseMilliseconds))
            }
        }
    }
}
