/// Something took longer than it may.
struct TimedOut: Error, CustomStringConvertible {
    let milliseconds: Int64
    var description: String { "no answer within \(milliseconds) ms" }
}

/// The result of `body`, or `TimedOut`; the body's task is cancelled then.
func withTimeout<Value: Sendable>(
    milliseconds: Int64, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Result<Value, TimedOut>.self) { group in
        group.addTask { .success(try await body()) }
        group.addTask {
            try await Task.sleep(for: .milliseconds(milliseconds))
            return .failure(TimedOut(milliseconds: milliseconds))
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw TimedOut(milliseconds: milliseconds) }
        return try first.get()
    }
}
