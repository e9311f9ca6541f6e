/// Waits for a state that nobody signals; throws `NeverReached` if it does not come.
///
/// It checks after pauses of one millisecond at first, each a tenth longer than the one before, up to twenty, so that
/// it sees a near state soon and a far one costs nothing. If a stream or a continuation signals the state, wait for
/// that instead.
/// - Parameters:
///   - what: the state in words, for the error.
///   - seconds: far more than it can take, even on a busy machine.
///   - isReached: whether the state is there; asked again and again.
public func eventually(
    _ what: String = "what the test waits for", within seconds: Int = 120, _ isReached: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let end = clock.now.advanced(by: .seconds(seconds))
    var pauseMicroseconds = 1_000
    while try await !isReached() {
        guard clock.now < end else { throw NeverReached(what: what, seconds: seconds) }
        try await clock.sleep(for: .microseconds(pauseMicroseconds))
        pauseMicroseconds = min(20_000, pauseMicroseconds + pauseMicroseconds / 10)
    }
}

/// What a test waited for did not happen.
public struct NeverReached: Error, CustomStringConvertible {
    /// The state in words.
    public let what: String
    /// How long the test waited.
    public let seconds: Int

    /// The sentence for people.
    public var description: String { "never came about: \(what) (waited for \(seconds) s)" }
}
