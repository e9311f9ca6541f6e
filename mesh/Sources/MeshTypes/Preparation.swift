/// How far an executor is with what comes before a run: module and inputs are fetched, the module is compiled where it
/// has to be, and the job waits for its turn.
package struct Preparation: Hashable, Sendable, Codable {
    /// What is under way.
    package enum Step: String, Hashable, Sendable, Codable {
        /// Module and inputs are fetched.
        case fetching
        /// The module is compiled.
        case compiling
        /// Everything is there; other runs have the places.
        case waiting
        /// Something of a later version.
        case other

        /// Reads a step; one that is not known here is another.
        package init(from decoder: any Decoder) throws {
            self = Step(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
        }
    }

    /// What is under way.
    package var step: Step
    /// The bytes of module and inputs that have come, while they are fetched.
    package var fetchedBytes: UInt64?
    /// For how long the module has been compiled, in milliseconds.
    package var compilingMilliseconds: UInt64?
    /// The most that compiling may take by its executor's limits, in milliseconds.
    package var compilingMillisecondsMax: UInt64?

    package init(
        _ step: Step, fetchedBytes: UInt64? = nil, compilingMilliseconds: UInt64? = nil,
        compilingMillisecondsMax: UInt64? = nil
    ) {
        self.step = step
        self.fetchedBytes = fetchedBytes
        self.compilingMilliseconds = compilingMilliseconds
        self.compilingMillisecondsMax = compilingMillisecondsMax
    }

    enum CodingKeys: String, CodingKey {
        case step
        case fetchedBytes = "fetched_bytes"
        case compilingMilliseconds = "compiling_ms"
        case compilingMillisecondsMax = "compiling_ms_max"
    }

    /// The same, so many milliseconds later: what is compiled has been for that much longer, but not for longer than
    /// it may take.
    package func later(milliseconds: UInt64) -> Preparation {
        guard let before = compilingMilliseconds else { return self }
        var later = self
        let (sum, overflow) = before.addingReportingOverflow(milliseconds)
        later.compilingMilliseconds = min(overflow ? .max : sum, compilingMillisecondsMax ?? .max)
        return later
    }
}
