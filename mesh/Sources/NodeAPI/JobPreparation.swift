/// How far an executor is with what comes before a run.
package struct JobPreparation: Hashable, Sendable, Codable {
    /// What is under way: `fetching`, `compiling`, `waiting` (for its turn to run); others are of a later version.
    package var step: String
    /// The bytes of module and inputs that have come, while they are fetched.
    package var fetchedBytes: UInt64?
    /// For how long the module has been compiled, in milliseconds. That is no part of the job's time.
    package var compilingMilliseconds: UInt64?
    /// The most that compiling may take by the executor's limits, in milliseconds.
    package var compilingMillisecondsMax: UInt64?

    package init(
        step: String, fetchedBytes: UInt64? = nil, compilingMilliseconds: UInt64? = nil,
        compilingMillisecondsMax: UInt64? = nil
    ) {
        self.step = step
        self.fetchedBytes = fetchedBytes
        self.compilingMilliseconds = compilingMilliseconds
        self.compilingMillisecondsMax = compilingMillisecondsMax
    }

    private enum CodingKeys: String, CodingKey {
        case step
        case fetchedBytes = "fetched_bytes"
        case compilingMilliseconds = "compiling_ms"
        case compilingMillisecondsMax = "compiling_ms_max"
    }
}
