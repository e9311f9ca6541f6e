/// Why a bounded operation ended early.
enum DeadlineError: Error, Hashable, Sendable {
    case timedOut
}

/// Runs an operation in a child task and cancels it when the time is up; it must answer to cancellation.
func withDeadline<Value: Sendable>(
    milliseconds: Int64, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await Task.sleep(for: .milliseconds(milliseconds))
            throw DeadlineError.timedOut
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw DeadlineError.timedOut }
        return value
    }
}
