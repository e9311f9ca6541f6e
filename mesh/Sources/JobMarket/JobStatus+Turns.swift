import MeshTypes

extension JobStatus {
    /// Whether a report of this state is worth an event: the run has come further, or it begins or ends to wait for its
    /// user and the last event is so many milliseconds ago.
    func follows(
        _ old: JobStatus, since last: UnixMilliseconds, _ context: MarketContext, atLeast milliseconds: UInt64
    ) -> Bool {
        let pair: Set<JobStatus> = [.running, .awaitingInputs]
        let turns = self != old && pair.isSuperset(of: [self, old])
        return progressRank > old.progressRank
            || (turns && context.steady.milliseconds(since: last) >= milliseconds)
    }
}
