import Synchronization

/// An operation took longer than it may.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
    /// The time it had.
    public let milliseconds: Int64

    /// What to tell the user.
    public var description: String { "no answer within \(milliseconds) ms" }
}

/// Runs an operation in a child task and cancels it when the time is up; the operation must respond to cancellation.
///
/// What the operation returns or throws after its time is ignored. Almost every operation ends long before its
/// deadline, so the timer is an entry in the table of `Alarms`, not a task.
///
/// - Parameters:
///   - milliseconds: how long it may take.
///   - warning: a closure to call when it takes longer than this many milliseconds; it may not wait.
///   - operation: what is cancelled when the time is up.
/// - Throws: `TimedOut`, or whatever the operation throws.
public func withDeadline<Value: Sendable>(
    milliseconds: Int64, warning: (milliseconds: Int64, call: @Sendable () -> Void)? = nil,
    _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let deadline = Deadline()
    return try await withThrowingTaskGroup(of: Value.self) { group in
        let alarm = Alarms.shared.add(milliseconds: milliseconds) { deadline.pass() }
        let early = warning.map { Alarms.shared.add(milliseconds: $0.milliseconds, $0.call) }
        defer {
            Alarms.shared.remove(alarm)
            if let early { Alarms.shared.remove(early) }
        }
        group.addTask {
            deadline.begin()
            defer { deadline.end() }
            return try await operation()
        }
        let result = await group.nextResult()
        if deadline.hasPassed { throw TimedOut(milliseconds: milliseconds) }
        guard let result else { throw CancellationError() }
        return try result.get()
    }
}

/// Like `withDeadline`, without a child task: cancels the calling task for good when the time is up. For tasks that
/// then only have to clean up, such as the handlers of streams.
func withLastDeadline<Value: Sendable>(
    milliseconds: Int64, _ operation: @Sendable () async throws -> Value
) async throws -> Value {
    let deadline = Deadline()
    let alarm = Alarms.shared.add(milliseconds: milliseconds) { deadline.pass() }
    defer { Alarms.shared.remove(alarm) }
    deadline.begin()
    let result: Result<Value, any Error>
    do {
        result = .success(try await operation())
    } catch {
        result = .failure(error)
    }
    deadline.end()
    if deadline.hasPassed { throw TimedOut(milliseconds: milliseconds) }
    return try result.get()
}

/// One operation with a deadline; cancels its task when the deadline passes.
private final class Deadline: Sendable {
    /// A task that is still running.
    // SAFETY: the handle is used under the lock, and the task itself removes it before it ends.
    private struct Running: @unchecked Sendable {
        // SAFETY: as above.
        let task: UnsafeCurrentTask
    }

    private struct State: Sendable {
        var running: Running?
        var hasPassed = false
    }

    private let state = Mutex(State())

    var hasPassed: Bool { state.withLock { $0.hasPassed } }

    /// Registers the calling task as the operation's.
    func begin() {
        // SAFETY: `end` removes the handle before the task ends.
        let task = withUnsafeCurrentTask { $0 }
        state.withLock { state in
            if state.hasPassed { task?.cancel() } else { state.running = task.map(Running.init) }
        }
    }

    func end() {
        state.withLock { $0.running = nil }
    }

    /// Cancels the task: its time is up. Cancellation handlers run under the lock; none of them ends this very task.
    func pass() {
        state.withLock { state in
            state.hasPassed = true
            state.running?.task.cancel()
            state.running = nil
        }
    }
}
