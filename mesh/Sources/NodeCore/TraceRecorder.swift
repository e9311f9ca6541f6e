package import Determinism
package import JobMarket
package import MeshTypes
package import Multiformats
import OrderedCollections
package import SignedObjects

/// Makes spans of what happens to jobs, where their jobs are recorded (docs/traces.md).
///
/// The originator decides that: by the share of its own jobs that is to be recorded, or as the program says that
/// submitted the job. Other nodes follow it where the announcement or the assignment says so, up to a bound a minute.
/// Nothing that peers say gets into a span but identifiers that were checked anyway.
package struct TraceRecorder: Sendable {
    /// What the owner wants recorded.
    package struct Terms: Sendable {
        /// How many of a thousand jobs of this node.
        package var ratioPermille: UInt64
        /// Jobs of others, a minute.
        package var othersPerMinuteMax: Int

        /// How many of one's own and of others' jobs.
        package init(ratioPermille: UInt64, othersPerMinuteMax: Int) {
            self.ratioPermille = ratioPermille
            self.othersPerMinuteMax = othersPerMinuteMax
        }
    }

    /// The bounds of a recorder.
    package struct Limits: Sendable {
        /// Jobs that are recorded at once, on either side.
        package var jobsMax = 1_024
        /// Spans of one side of a job.
        package var spansPerJobMax = 256
        /// Events of one span.
        package var eventsPerSpanMax = 64
        /// Contexts of jobs of others that were heard and not yet needed.
        package var heardMax = 256
        /// Of those, from one peer.
        package var heardPerPeerMax = 32
        /// Of the jobs of others, the share of one originator, as a divisor.
        package var originatorShare = 4
        /// Jobs whose traces are remembered for their owner.
        package var rememberedMax = 4_096

        /// The defaults.
        package init() {}
    }

    /// What was left out.
    package enum Omission: Hashable, Sendable {
        /// A context that is none, not of its job, or beyond what is kept.
        case contextIgnored
        /// A job that was to be recorded, and was beyond what is recorded.
        case jobNotRecorded
        /// A span beyond the bound of its job.
        case spanDropped
    }

    private struct Side: Hashable {
        let job: JobID
        let role: JobRole
    }

    /// A job and who spoke of it: only what its originator said counts.
    private struct Source: Hashable {
        let job: JobID
        let peer: PeerID
    }

    /// What a peer said of a job.
    private struct Heard {
        let context: TraceContext
        let at: UnixMilliseconds
    }

    private let node: DID
    private let terms: Terms
    private let limits: Limits
    private var heard: OrderedDictionary<Source, Heard> = [:]
    private var heardOf: [PeerID: Int] = [:]
    private var asked: [JobID: TraceContext] = [:]
    /// Which jobs of the events at hand are copies of which.
    private var replicas: [JobID: JobID] = [:]
    private var recordings: [Side: JobRecording] = [:]
    private var remembered: OrderedSet<JobID> = []
    private var minute: (start: MonotonicInstant, jobs: Int, of: [DID: Int])?
    private var omitted: [Omission: UInt64] = [:]

    /// A recorder of a node.
    package init(node: DID, terms: Terms, limits: Limits = Limits()) {
        self.node = node
        self.terms = terms
        self.limits = limits
    }

    /// How many sides of jobs are recorded now.
    package var count: Int { recordings.count }

    /// What was left out since the last call.
    package mutating func takeOmissions() -> [Omission: UInt64] {
        defer { omitted = [:] }
        return omitted
    }

    /// The trace of a job, as hex; nil if this node does not record it, or has forgotten that it did.
    package func traceID(of job: JobID) -> String? {
        remembered.contains(job) ? TraceContext.text(of: TraceContext.trace(of: job)) : nil
    }

    // MARK: What others say

    /// The program that submits a job, before its events, says whether it is recorded, and which span it follows from.
    package mutating func asked(_ text: String?, of job: JobID) {
        guard let text else { return }
        guard let context = TraceContext(parsing: text) else { return omit(.contextIgnored) }
        asked[job] = context
    }

    /// A peer announced or assigned a job, with a context.
    package mutating func heard(_ text: String?, of job: JobID, from peer: PeerID, at date: UnixMilliseconds) {
        guard let text else { return }
        guard let context = TraceContext(parsing: text), context.traceID == TraceContext.trace(of: job) else {
            return omit(.contextIgnored)
        }
        guard context.isSampled, terms.othersPerMinuteMax > 0 else { return }
        let source = Source(job: job, peer: peer)
        forget(source)
        // The eldest is the likeliest of a job that nobody here bids on.
        if heardOf[peer, default: 0] >= limits.heardPerPeerMax {
            heard.keys.first { $0.peer == peer }.map { forget($0) }
            omit(.contextIgnored)
        }
        if heard.count >= limits.heardMax, let eldest = heard.keys.first {
            forget(eldest)
            omit(.contextIgnored)
        }
        heardOf[peer, default: 0] += 1
        heard[source] = Heard(context: context, at: date)
    }

    private mutating func forget(_ source: Source) {
        guard heard.removeValue(forKey: source) != nil else { return }
        let left = heardOf[source.peer, default: 1] - 1
        heardOf[source.peer] = left > 0 ? left : nil
    }

    private mutating func omit(_ what: Omission) { omitted[what, default: 0] += 1 }

    // MARK: What this node tells others

    /// The context that the announcement of a job of this node carries; nil if it is not recorded.
    package func announced(_ job: JobID) -> String? {
        recordings[Side(job: job, role: .originator)]?.announcing.text
    }

    /// The context that an assignment of a job of this node carries; nil if it is not recorded.
    package func assigned(_ job: JobID, _ assignment: CID) -> String? {
        recordings[Side(job: job, role: .originator)]?.context(of: JobRecording.attempt(assignment)).text
    }

    // MARK: What happens

    /// Takes in what was entered into the journals of jobs, and returns the spans that it ends.
    package mutating func take(_ events: [JobEvent], now: MonotonicInstant) -> [TraceSpan] {
        var spans: [TraceSpan] = []
        for event in events {
            if case .replicaOf(let first) = event.kind { replicas[event.jobID] = first }
        }
        defer { replicas = [:] }
        for event in events {
            let side = Side(job: event.jobID, role: event.role)
            switch event.role {
            case .originator: originated(event, side)
            case .executor: executed(event, side, now)
            }
            guard var recording = recordings[side] else { continue }
            spans += recording.takeEnded()
            recordings[side] = recording.isOver ? nil : recording
            if recording.isOver, recording.dropped > 0 { omitted[.spanDropped, default: 0] += recording.dropped }
        }
        asked = [:]
        return spans
    }

    private mutating func originated(_ event: JobEvent, _ side: Side) {
        if case .submitted = event.kind {
            let client = asked[event.jobID]
            // A copy of a job is recorded where the job itself is, whoever decided that.
            let first = replicas[event.jobID].map { recordings[Side(job: $0, role: .originator)] != nil }
            guard first ?? client?.isSampled ?? isInRatio(event.jobID) else { return }
            guard admit(side, parentID: nil) else { return }
            recordings[side]?.takeOriginated(event)
            if let client { recordings[side]?.link(client) }
            return
        }
        // Linked here and not on the wire, where it would tell executors which jobs are one work.
        if case .replicaOf(let first) = event.kind, recordings[Side(job: first, role: .originator)] != nil {
            recordings[side]?.link(JobRecording.context(of: JobRecording.root, first, by: node))
        }
        recordings[side]?.takeOriginated(event)
    }

    private mutating func executed(_ event: JobEvent, _ side: Side, _ now: MonotonicInstant) {
        var said: Heard?
        switch event.kind {
        case .bidMade(let manifest, _): said = begin(side, of: manifest.body, nil, now)
        case .assignmentAccepted(let manifest, _, let assignment):
            said = begin(side, of: manifest.body, assignment.cid, now)
        default: break
        }
        recordings[side]?.takeExecuted(event, heardAt: said?.at)
    }

    /// Begins to record a job of another, or goes on under the span that the assignment names; returns what was heard.
    private mutating func begin(
        _ side: Side, of manifest: JobManifest, _ assignment: CID?, _ now: MonotonicInstant
    ) -> Heard? {
        if manifest.originatorDID == node {
            guard recordings[Side(job: side.job, role: .originator)] != nil, let assignment else { return nil }
            let attempt = JobRecording.context(of: JobRecording.attempt(assignment), side.job, by: node)
            if recordings[side] == nil, !admit(side, parentID: attempt.spanID) { return nil }
            recordings[side]?.parentID = attempt.spanID
            return nil
        }
        let source = Source(job: side.job, peer: manifest.originatorPeerID)
        guard let said = heard[source] else { return nil }
        forget(source)
        if recordings[side] == nil {
            guard mayRecord(manifest.originatorDID, now), admit(side, parentID: said.context.spanID) else {
                omit(.jobNotRecorded)
                return nil
            }
        }
        recordings[side]?.parentID = said.context.spanID
        return said
    }

    /// Counts a job of another against the minute, and against its originator's share.
    private mutating func mayRecord(_ originator: DID, _ now: MonotonicInstant) -> Bool {
        var current = minute ?? (now, 0, [:])
        if now.milliseconds(since: current.start) >= 60_000 { current = (now, 0, [:]) }
        defer { minute = current }
        let share = max(1, terms.othersPerMinuteMax / max(1, limits.originatorShare))
        guard current.jobs < terms.othersPerMinuteMax, current.of[originator, default: 0] < share else { return false }
        current.jobs += 1
        current.of[originator, default: 0] += 1
        return true
    }

    private mutating func admit(_ side: Side, parentID: [UInt8]?) -> Bool {
        // Others' jobs may stay for hours unpaid, and have half of the room.
        let others = recordings.keys.count { $0.role == .executor }
        guard recordings.count < limits.jobsMax, side.role == .originator || others < limits.jobsMax / 2 else {
            if side.role == .originator { omit(.jobNotRecorded) }
            return false
        }
        recordings[side] = JobRecording(
            job: side.job, role: side.role, node: node, parentID: parentID, limits: limits)
        if remembered.append(side.job).inserted, remembered.count > limits.rememberedMax { remembered.removeFirst() }
        return true
    }

    /// Whether a job is among the share that is recorded: by its trace, so that it is the same for all of its nodes.
    private func isInRatio(_ job: JobID) -> Bool {
        let number = TraceContext.trace(of: job).suffix(7).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return number % 1_000 < terms.ratioPermille
    }
}
