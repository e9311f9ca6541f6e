import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import NodeAPI
import NodeCore
import PeerIdentity

/// Where the output of a job of this node comes from while it runs.
enum OutputTarget: Hashable, Sendable {
    /// An attempt that runs.
    case executor(OutputRun)
    /// Its session, since it is interactive.
    case session
    /// Nowhere just now.
    case pending
    /// The job has ended.
    case over
    /// This node has not asked for such a job.
    case none
}

/// An attempt that runs a job.
struct OutputRun: Hashable, Sendable {
    var assignment: CID
    var attempt: UInt64
    var executor: PeerID
    /// The most that the job may write, in bytes.
    var outputBytesMax: UInt64
}

/// What this node's own jobs write while they run, for whoever watches: fetched from the executor as long as somebody
/// does, whatever the job's check, so that nothing shows how that will be; kept in memory, and given to the owner
/// alone.
actor OutputDesk {
    /// The bounds of watching.
    struct Limits: Sendable {
        /// Jobs that are watched at once.
        var watchedMax = 64
        /// The first pause before a stream is opened again, in milliseconds; doubles up to the maximum.
        var pauseMilliseconds: Int64 = 50
        /// The longest pause, in milliseconds.
        var pauseMillisecondsMax: Int64 = 2_000
        /// How long a job is followed that nobody watches any more, in milliseconds.
        var unwatchedMilliseconds: Int64 = 15_000
    }

    /// A job that is followed.
    private struct Followed {
        var run: OutputRun?
        var attempt: UInt64 = 0
        var output: LiveOutput?
        var isUnsupported = false
        var watchers = 0
        var leftAt = ContinuousClock.now
        /// Whether the positions are those in the streams.
        var isCounted = true
        let bell = SharedBell()
    }

    private let parts: NodeParts
    private let runs: RunOutputs
    private let sessions: SessionDesk
    private let limits: Limits
    private var followed: [JobID: Followed] = [:]
    private let work: AsyncStream<JobID>
    private let workIn: AsyncStream<JobID>.Continuation

    init(parts: NodeParts, runs: RunOutputs, sessions: SessionDesk, limits: Limits = Limits()) {
        self.parts = parts
        self.runs = runs
        self.sessions = sessions
        self.limits = limits
        // BOUNDED: one element for each job that is watched.
        (work, workIn) = AsyncStream.makeStream(of: JobID.self)
    }

    /// Follows the jobs that are watched, until the node stops.
    func run(on node: MeshNode) async {
        await withDiscardingTaskGroup { group in
            for await job in work {
                group.addTask { await self.follow(job, on: node) }
            }
        }
    }

    /// How many calls wait for output.
    var watcherCount: Int { followed.values.reduce(0) { $0 + $1.watchers } }

    // MARK: Calls of the owner

    /// What is new from a place on, once something is, or after some seconds nothing.
    func watch(_ job: JobID, from place: OutputPlace, on node: MeshNode) async throws(NodeServiceError) -> OutputNews {
        switch await node.outputTarget(of: job) {
        case .none:
            throw NodeServiceError(
                .conflict, "This node has not asked for the job \(job.cid), so it does not see what it writes.",
                hint: "Only the node that asked for a job can watch it; mesh outputs shows what is known of it here.")
        case .over: return OutputNews(place: place, prospect: .over)
        case .executor, .session, .pending: break
        }
        let bell = try enter(job)
        defer { leave(job, bell) }
        do {
            return try await withDeadline(milliseconds: SessionCalls.waitMilliseconds) {
                for await _ in bell.listen() {
                    if let news = await self.news(job, place, on: node) { return news }
                }
                return OutputNews(place: place)
            }
        } catch {
            return OutputNews(place: place)
        }
    }

    private func enter(_ job: JobID) throws(NodeServiceError) -> SharedBell {
        if followed[job] == nil {
            guard followed.count < limits.watchedMax else {
                throw NodeServiceError(
                    .overloaded, "This node shows the output of \(limits.watchedMax) jobs, as many as it may.",
                    hint: "End some of the commands that watch jobs, or wait for the job with mesh wait.")
            }
            followed[job] = Followed()
            workIn.yield(job)
        }
        var entry = followed[job] ?? Followed()
        entry.watchers += 1
        followed[job] = entry
        return entry.bell
    }

    private func leave(_ job: JobID, _ bell: SharedBell) {
        // What is followed now may be a newer one.
        guard followed[job]?.bell === bell else { return }
        followed[job]?.watchers -= 1
        followed[job]?.leftAt = .now
    }

    /// What is new; nil while nothing is.
    private func news(_ job: JobID, _ place: OutputPlace, on node: MeshNode) async -> OutputNews? {
        if let entry = followed[job], let tail = entry.output?.tail {
            let isKnown = place.attempt == entry.attempt
            let (start, pieces) = tail.pieces(
                from: isKnown ? place.position : 0, bytesMax: SessionCalls.heardBytesMax)
            if !pieces.isEmpty {
                return OutputNews(
                    place: OutputPlace(attempt: entry.attempt, position: start),
                    pieces: pieces.map { .init(isError: $0.isError, position: $0.position, bytes: $0.bytes) },
                    isCounted: entry.isCounted)
            }
        }
        if case .over = await node.outputTarget(of: job) { return OutputNews(place: place, prospect: .over) }
        return followed[job]?.isUnsupported == true ? OutputNews(place: place, prospect: .unsupported) : nil
    }

    // MARK: The executor

    /// Follows a job until it is over, or nobody has watched it for a while.
    private func follow(_ job: JobID, on node: MeshNode) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.connect(job, on: node) }
            group.addTask { await self.untilUnwatched(job) }
            group.addTask { await self.askReplicas(of: job, on: node) }
            await group.next()
            // Before it waits for the other: whoever comes meanwhile begins anew.
            followed.removeValue(forKey: job)?.bell.ring()
            group.cancelAll()
        }
    }

    private func untilUnwatched(_ job: JobID) async {
        let patience = Duration.milliseconds(limits.unwatchedMilliseconds)
        while !Task.isCancelled, let entry = followed[job] {
            let left = entry.watchers > 0 ? patience : patience - (ContinuousClock.now - entry.leftAt)
            guard left > .zero else { return }
            try? await Task.sleep(for: left)
        }
    }

    /// Asks the executors of a job's replicas too, and drops what they send: or they could tell from the silence whose
    /// result its owner gets.
    private nonisolated func askReplicas(of job: JobID, on node: MeshNode) async {
        await withDiscardingTaskGroup { group in
            var asked: Set<JobID> = []
            let (number, rings) = await node.listen(to: job)
            for await _ in rings {
                for replica in await node.replicas(of: job) where asked.insert(replica).inserted {
                    group.addTask { await self.connect(replica, on: node) }
                }
            }
            await node.stopListening(number, to: job)
            group.cancelAll()
        }
        await Self.forever()
    }

    /// Takes in what a job writes, wherever that comes from, until the job is over.
    private func connect(_ job: JobID, on node: MeshNode) async {
        var milliseconds = limits.pauseMilliseconds
        while !Task.isCancelled {
            let target = await node.outputTarget(of: job)
            switch target {
            case .over, .none: return
            case .pending: milliseconds = limits.pauseMilliseconds
            case .session, .executor: break
            }
            let isToWait = await Self.first(
                { await node.leaves(target, of: job) }, { await self.receive(job, from: target, on: node) })
            guard isToWait else { continue }
            try? await Task.sleep(for: .milliseconds(milliseconds))
            milliseconds = min(2 * milliseconds, limits.pauseMillisecondsMax)
        }
    }

    /// Waits for the first of two to end, and ends the other; whether it was the second.
    private static func first(
        _ one: @escaping @Sendable () async -> Void, _ other: @escaping @Sendable () async -> Void
    ) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await one()
                return false
            }
            group.addTask {
                await other()
                return true
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
    }

    /// Takes in what a job writes, until that breaks off; where there is nothing to take, until this task is cancelled.
    private func receive(_ job: JobID, from target: OutputTarget, on node: MeshNode) async {
        switch target {
        case .over, .none, .pending: return await Self.forever()
        case .session:
            guard let (port, attempt) = try? await sessions.observed(job, on: node) else { return }
            await pass(port.heard, of: job, attempt, isCounted: { port.isHeardFromStart })
        case .executor(let run) where run.executor == parts.identity.peerID:
            guard let output = runs.output(of: run.assignment) else { return }
            await pass(output, of: job, run.attempt)
        case .executor(let run):
            // Nobody watches a replica.
            let entry = followed[job]
            let known = entry?.run == run ? entry?.output : nil
            let output = known ?? LiveOutput(bell: entry?.bell ?? SharedBell())
            begin(job, run.attempt, output, run)
            let end = await OutputStream(job: job, run: run, output: output).receive(on: parts.swarm)
            if case .broken(let fault) = end {
                if let fault { await node.sessionFault(of: run.executor, fault.description) }
                return
            }
            if case .unsupported = end { followed[job]?.isUnsupported = true }
            entry?.bell.ring()
            await Self.forever()
        }
    }

    private func begin(_ job: JobID, _ attempt: UInt64, _ output: LiveOutput, _ run: OutputRun? = nil) {
        followed[job]?.run = run
        followed[job]?.attempt = attempt
        followed[job]?.output = output
        followed[job]?.isUnsupported = false
        followed[job]?.isCounted = true
    }

    /// Tells whoever watches a job of output that is at this node, until its end.
    private func pass(
        _ output: LiveOutput, of job: JobID, _ attempt: UInt64, isCounted: @Sendable () -> Bool = { true }
    ) async {
        begin(job, attempt, output)
        for await _ in output.changes() {
            followed[job]?.isCounted = isCounted()
            followed[job]?.bell.ring()
            if output.tail.isOver { return }
        }
    }

    /// Waits until its task is cancelled.
    static func forever() async {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
    }
}

/// The originator's end of a stream over which an executor sends what a run writes.
struct OutputStream: Sendable {
    /// How it ended.
    enum End: Hashable, Sendable {
        /// The run has ended.
        case over
        /// The executor knows no such streams.
        case unsupported
        /// It may be tried again; with what the executor did wrong, if anything.
        case broken(SessionFault?)
    }

    let job: JobID
    let run: OutputRun
    let output: LiveOutput

    /// Takes in what comes.
    func receive(on host: any StreamHost) async -> End {
        let stream: any PeerStream
        do {
            stream = try await host.openStream(to: run.executor, protocols: [MeshTopics.outputs])
        } catch {
            if case .protocolsNotSupported = error { return .unsupported }
            return .broken(nil)
        }
        let end = await receive(over: stream)
        await stream.reset()
        return end
    }

    private func receive(over stream: any PeerStream) async -> End {
        var arrivals = OutputArrivals(
            jobID: job, assignment: run.assignment, outputBytesMax: run.outputBytesMax)
        do {
            repeat {
                if let grant = arrivals.grant() {
                    let bytes = try MeshProtocolMessage.jobInteractiveInput(grant).encoded()
                    try await stream.writeFrame(ByteBuffer(bytes: bytes))
                }
                guard let message = try await SessionStream.message(on: stream) else { return .broken(nil) }
                guard case .jobInteractiveOutput(let data) = message else { return .broken(.notOfTheSession) }
                try arrivals.take(data)
                output.take(data.data, isError: data.isError, at: data.sequence)
            } while !arrivals.isOver
            return .over
        } catch {
            return .broken(SessionStream.sessionFault(error))
        }
    }
}
