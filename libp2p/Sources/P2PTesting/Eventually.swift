/// Waits for a state that tells nobody when it is reached; throws `NeverReached` when it is not.
///
/// It looks, and leaves the threads to others for a while before it looks again: one millisecond at first, and a tenth
/// longer each time up to twenty, so that a state that is near is seen soon and one that is far costs nothing. Where a
/// stream or a continuation tells of the state, wait for that instead.
/// - Parameters:
///   - what: the state in words, for the error.
///   - seconds: far more than it can take, so that no busy machine reaches it.
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

/// What a test waited for did not come about.
public struct NeverReached: Error, CustomStringConvertible {
    /// The state in words.
    public let what: String
    /// How long it was waited for.
    public let seconds: Int

    /// The sentence for people.
    public var description: String { "never came about: \(what) (waited for \(seconds) s)" }
}
