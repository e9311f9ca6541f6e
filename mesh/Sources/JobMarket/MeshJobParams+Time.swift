import MeshTypes

extension MeshJobParams {
    /// What a run may take beyond `timeout_seconds` because of its files, in milliseconds: 60 s of waiting for their
    /// blocks, during which its wall clock stands still, and 30 s of collecting (PROTOCOL.md, "Files of a job").
    var filesMilliseconds: UInt64 { files == nil ? 0 : 90_000 }

    /// What it may take because it waits for its user, during which its wall clock stands still, too, in milliseconds.
    var sessionMilliseconds: UInt64 { 1_000 * min(session?.waitingSeconds ?? 0, SessionTerms.Limits.waitingSecondsMax) }

    /// Both.
    var stillMilliseconds: UInt64 { filesMilliseconds + sessionMilliseconds }

    /// What is planned for one attempt, without a wait for its turn, in milliseconds.
    func attemptMilliseconds(_ times: OriginatorConfiguration) -> UInt64 {
        times.confirmationMilliseconds + times.fetchingMilliseconds + timeoutSeconds * 1_000 + stillMilliseconds
            + times.executionGraceMilliseconds + times.receiptMilliseconds + times.leaseMilliseconds
    }

    /// How long a run keeps its place at the most, in seconds: one that waits for its user keeps it, one that waits for
    /// files does not.
    var placeSeconds: UInt64 { timeoutSeconds + sessionMilliseconds / 1_000 }
}
