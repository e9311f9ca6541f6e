import MeshTypes

extension JobStatus {
    /// Whether a report of this state is worth an event: the run has come further, or turns.
    func follows(_ old: JobStatus, since last: UnixMilliseconds, _ context: MarketContext) -> Bool {
        progressRank > old.progressRank || turns(from: old, since: last, context)
    }

    /// Whether a run begins or ends to wait for its user, and that is worth an event: not more often than its limit
    /// says.
    private func turns(from old: JobStatus, since last: UnixMilliseconds, _ context: MarketContext) -> Bool {
        let pair: Set<JobStatus> = [.running, .awaitingInputs]
        return self != old && pair.isSuperset(of: [self, old])
            && context.steady.milliseconds(since: last) >= context.limits.turnMilliseconds
    }
}
