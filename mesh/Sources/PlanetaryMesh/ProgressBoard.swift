import JobMarket
import MeshTypes
import NodeAPI

/// The followers of jobs, and the one place that informs them.
///
/// A follower that does not read loses the oldest events: its buffer holds the newest `bufferedEventsMax`, and the
/// result is always the newest. A job has at most `followersMax` followers; one more replaces the eldest.
struct ProgressBoard {
    /// Events that wait for a slow follower.
    static let bufferedEventsMax = 512
    /// Followers of one job.
    static let followersMax = 16

    private var followers: [JobID: [Follower]] = [:]
    private var nextID: UInt64 = 0

    private struct Follower {
        let id: UInt64
        let scope: ProgressScope
        let continuation: AsyncStream<JobProgress>.Continuation
    }

    /// A new follower of a job, who first gets `past`.
    mutating func follow(
        _ job: JobID, _ scope: ProgressScope, past: [JobProgress]
    ) -> AsyncStream<JobProgress> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: JobProgress.self, bufferingPolicy: .bufferingNewest(Self.bufferedEventsMax))
        for event in past { continuation.yield(event) }
        if past.last?.kind == .result {
            continuation.finish()
            return stream
        }
        nextID += 1
        followers[job, default: []].append(Follower(id: nextID, scope: scope, continuation: continuation))
        if let eldest = followers[job]?.first, (followers[job]?.count ?? 0) > Self.followersMax {
            eldest.continuation.finish()
            followers[job]?.removeFirst()
        }
        return stream
    }

    /// Whether anybody follows a job, and whether anybody wants more than its result.
    func interest(in job: JobID) -> ProgressScope? {
        guard let all = followers[job] else { return nil }
        return all.contains { $0.scope == .everything } ? .everything : .result
    }

    /// Sends an event to the followers of a job; a result ends their streams.
    mutating func tell(_ job: JobID, _ event: JobProgress) {
        guard let all = followers[job] else { return }
        let kept = all.filter { follower in
            if follower.scope == .result, event.kind != .result { return true }
            if case .terminated = follower.continuation.yield(event) { return false }
            return true
        }
        if event.kind == .result {
            for follower in kept { follower.continuation.finish() }
            followers[job] = nil
        } else {
            followers[job] = kept.isEmpty ? nil : kept
        }
    }

    /// Sends an event to the followers of a job, and the market's result once there is one.
    mutating func tell(_ event: JobEvent, of market: JobMarket) {
        guard event.role == .originator, let interest = interest(in: event.jobID) else { return }
        let job = market.originatedJob(event.jobID)
        if interest == .everything {
            let kind: JobProgress.Kind = if case .executorsJudged = event.kind { .note } else { .phase }
            tell(
                event.jobID,
                JobProgress(
                    kind: kind, phase: job?.status.rawValue ?? "", text: event.explanation, at: event.at.value))
        }
        guard let job, let result = JobStory.result(of: job) else { return }
        tell(event.jobID, JobStory.ending(result, phase: job.status.rawValue, at: event.at.value))
    }

    /// Ends all streams; the node stops.
    mutating func finish() {
        for follower in followers.values.joined() { follower.continuation.finish() }
        followers = [:]
    }
}
