/// How long a job may wait for its user (PROTOCOL.md, "Interactive jobs"); a job that has these terms is interactive.
///
/// While its guest waits, for input or for room for its output, the job's wall clock stands still. Waiting
/// moves the guest's clock and costs fuel.
package struct SessionTerms: Hashable, Sendable, Codable {
    /// Seconds that it may wait at once.
    package var idleSeconds: UInt64
    /// Seconds that it may wait in all.
    package var waitingSeconds: UInt64
    /// Who may have the transcript of its session; nil if none is kept.
    package var transcript: TranscriptAccess?

    /// Terms with the usual times, unless given: ten minutes at once, an hour in all.
    package init(
        idleSeconds: UInt64 = 600, waitingSeconds: UInt64 = 3_600, transcript: TranscriptAccess? = nil
    ) {
        self.idleSeconds = idleSeconds
        self.waitingSeconds = waitingSeconds
        self.transcript = transcript
    }

    /// The feature that an executor states which runs interactive jobs.
    package static let feature = "interactive-v1"
    /// The feature that an executor states which keeps transcripts of sessions.
    package static let transcriptFeature = "interactive-transcript-v1"

    /// The feature that an executor states whose host has the session calls of `mesh_host_v1`; every job requires it
    /// whose module imports one of them, interactive or not.
    package static let callsFeature = "interactive-calls-v1"

    /// The bounds of sessions, the same for all nodes.
    package enum Limits {
        /// Seconds that a job may wait at once.
        package static let idleSecondsMax: UInt64 = 3_600
        /// Seconds that it may wait in all.
        package static let waitingSecondsMax: UInt64 = 86_400
        /// Fuel for each whole millisecond of waiting.
        package static let fuelPerMillisecond: UInt64 = 1_000
        /// Bytes of one direction that are under way: sent or written, and not taken at the other end.
        package static let windowBytes = 256 << 10
        /// Bytes of data of one message.
        package static let messageBytesMax = 32 << 10
        /// Bytes of one message with all that is in it.
        package static let frameBytesMax = 40 << 10
        /// Bytes of the block of a transcript; a longer one is not kept.
        package static let transcriptBytesMax = 1 << 20
        /// Statements of the originator about its input in one transcript: one, and one for each restart of its node.
        package static let statementsMax = 64
        /// Nanoseconds of all waits of one transcript: twice what any job may wait.
        package static let waitedNanosecondsMax: UInt64 = 2 * waitingSecondsMax * 1_000_000_000
    }

    enum CodingKeys: String, CodingKey {
        case idleSeconds = "idle_seconds"
        case waitingSeconds = "waiting_seconds"
        case transcript
    }
}

/// Who may have the transcript of a session.
package enum TranscriptAccess: String, Hashable, Sendable, Codable, CaseIterable {
    /// Originator and executor: it has what the user typed.
    case `private`
    /// Whoever asks one of the two for it.
    case shared
}
