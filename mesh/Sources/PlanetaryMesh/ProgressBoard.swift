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

    private var followers: [JobID: [Follower]] = [:] {
        didSet { if told.count > followers.count { told = told.filter { followers[$0.key] != nil } } }
    }
    /// How the followed jobs stood when that was told last.
    private var told: [JobID: Standing] = [:]
    private var nextID: UInt64 = 0

    /// How far a run is, in thousandths, what it has cost at least, and what goes on before it.
    private struct Standing: Equatable {
        var permille: UInt64?
        var price: UInt64?
        var preparation: JobPreparation?
    }

    private struct Follower {
        let id: UInt64
        let scope: ProgressScope
        let continuation: AsyncStream<JobProgress>.Continuation
        /// What happened while its past is read; nil once it has its past.
        var held: [JobProgress]?
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
        add(Follower(id: newID(), scope: scope, continuation: continuation, held: nil), to: job)
        return stream
    }

    /// A new follower whose past is still being read: what happens meanwhile is held for it until `begin`.
    mutating func reserve(_ job: JobID, _ scope: ProgressScope) -> (id: UInt64, stream: AsyncStream<JobProgress>) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: JobProgress.self, bufferingPolicy: .bufferingNewest(Self.bufferedEventsMax))
        let id = newID()
        add(Follower(id: id, scope: scope, continuation: continuation, held: []), to: job)
        return (id, stream)
    }

    /// Gives a reserved follower its past, and what happened since and is not in it.
    mutating func begin(_ id: UInt64, of job: JobID, past: [JobProgress]) {
        guard var follower = take(id, of: job), let held = follower.held else { return }
        follower.held = nil
        // The end in memory may be newer than the journal that was read: what happened meanwhile comes before it.
        let end = past.last { $0.kind == .result } ?? held.last { $0.kind == .result }
        let known = Set(past.map { [String($0.at), $0.text] })
        let news = held.filter { !known.contains([String($0.at), $0.text]) }
        for event in past + news where event.kind != .result { follower.continuation.yield(event) }
        guard let end else { return add(follower, to: job) }
        follower.continuation.yield(end)
        follower.continuation.finish()
    }

    /// Ends a reserved follower whose past cannot be read.
    mutating func abandon(_ id: UInt64, of job: JobID) { take(id, of: job)?.continuation.finish() }

    private mutating func newID() -> UInt64 {
        nextID += 1
        return nextID
    }

    private mutating func add(_ follower: Follower, to job: JobID) {
        followers[job, default: []].append(follower)
        told[job] = nil
        if let eldest = followers[job]?.first, (followers[job]?.count ?? 0) > Self.followersMax {
            eldest.continuation.finish()
            followers[job]?.removeFirst()
        }
    }

    private mutating func take(_ id: UInt64, of job: JobID) -> Follower? {
        guard let index = followers[job]?.firstIndex(where: { $0.id == id }) else { return nil }
        let follower = followers[job]?.remove(at: index)
        if followers[job]?.isEmpty == true { followers[job] = nil }
        return follower
    }

    /// Whether anybody follows a job, and whether anybody wants more than its result.
    func interest(in job: JobID) -> ProgressScope? {
        guard let all = followers[job] else { return nil }
        return all.contains { $0.scope == .everything } ? .everything : .result
    }

    /// Sends an event to the followers of a job; a result ends their streams.
    mutating func tell(_ job: JobID, _ event: JobProgress) {
        guard let all = followers[job] else { return }
        let kept = all.compactMap { follower -> Follower? in
            if follower.scope == .result, event.kind != .result { return follower }
            if follower.held != nil {
                var follower = follower
                follower.held = Array((follower.held ?? []).suffix(Self.bufferedEventsMax - 1)) + [event]
                return follower
            }
            if case .terminated = follower.continuation.yield(event) { return nil }
            guard event.kind == .result else { return follower }
            follower.continuation.finish()
            return nil
        }
        followers[job] = kept.isEmpty ? nil : kept
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
                    kind: kind, phase: job?.status.rawValue ?? "", text: event.explanation, at: event.at.value,
                    news: JobNews(event)))
        }
        guard let job, let result = JobStory.result(of: job) else { return }
        tell(event.jobID, JobStory.ending(result, phase: job.status.rawValue, at: event.at.value))
    }

    /// Sends how far the followed jobs are and what they have cost so far, where that has changed.
    mutating func tellProgress(of market: JobMarket, at: UnixMilliseconds) {
        for job in followers.keys where interest(in: job) == .everything {
            let preparation = market.preparation(of: job, now: NodeClock.now).map(JobPreparation.init)
            let standing = Standing(
                permille: market.progressPermille(of: job), price: market.priceSoFar(of: job)?.units,
                preparation: preparation?.withoutTime)
            guard standing != Standing(), told[job] != standing, let status = market.originatedJob(job)?.status
            else { continue }
            told[job] = standing
            var event = JobProgress(kind: .progress, phase: status.rawValue, text: "", at: at.value)
            event.permille = standing.permille.map { UInt32(clamping: $0) }
            event.preparation = preparation
            if let price = standing.price {
                event.news = JobNews(.state)
                event.news?.price = price
            }
            tell(job, event)
        }
    }

    /// Ends all streams; the node stops.
    mutating func finish() {
        for follower in followers.values.joined() { follower.continuation.finish() }
        followers = [:]
    }
}
