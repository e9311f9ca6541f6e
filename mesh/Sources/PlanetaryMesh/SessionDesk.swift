import LibP2P
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import PeerIdentity
import SignedObjects

/// Where the session of a job of this node is.
enum SessionTarget: Hashable, Sendable {
    /// At an executor.
    case executor(SessionRun)
    /// Nowhere just now.
    case pending
    /// The job has ended.
    case over
    /// There is no session in that job, or no such job.
    case none
}

/// An attempt that runs an interactive job.
struct SessionRun: Hashable, Sendable {
    var assignment: CID
    var attempt: UInt64
    var executor: PeerID
    /// Whether a transcript of it is kept.
    var isWitnessed: Bool
}

/// The sessions of this node's own jobs: connects each to its executor, and gives it to whoever talks with it.
///
/// What the user typed and the executor has not, and what the module wrote and the user has not seen, is here, within
/// the window of a session; the executor keeps what the user has not seen. So after a restart of this node a session
/// goes on.
actor SessionDesk {
    /// The bounds of the sessions of a node.
    struct Limits: Sendable {
        /// Sessions at once.
        var sessionsMax = 64
        /// The first pause before a stream is opened again, in milliseconds; doubles up to the maximum.
        var pauseMilliseconds: Int64 = 50
        /// The longest pause, in milliseconds.
        var pauseMillisecondsMax: Int64 = 2_000
        /// How long the last output of a job that has ended is waited for, in milliseconds.
        var lastMilliseconds: Int64 = 5_000
        /// How long it is kept for whoever has not heard it yet, in milliseconds.
        var unheardMilliseconds: Int64 = 60_000
    }

    private struct Session {
        var port: SessionPort?
        var attempt: UInt64 = 0
        /// Who talks with it now.
        var client: UInt64 = 0
        var isFollowed = false
    }

    private let parts: NodeParts
    private let runs: RunSessions
    private let limits: Limits
    private var sessions: [JobID: Session] = [:]
    private let work: AsyncStream<JobID>
    private let workIn: AsyncStream<JobID>.Continuation

    init(parts: NodeParts, runs: RunSessions, limits: Limits = Limits()) {
        self.parts = parts
        self.runs = runs
        self.limits = limits
        // BOUNDED: one element for each session.
        (work, workIn) = AsyncStream.makeStream(of: JobID.self)
    }

    /// Keeps the sessions connected, until the node stops.
    func run(on node: MeshNode) async {
        await withDiscardingTaskGroup { group in
            for await job in work {
                group.addTask { await self.follow(job, on: node) }
            }
        }
    }

    // MARK: Calls of the owner

    func hear(_ job: JobID, from place: SessionPlace, on node: MeshNode) async throws(NodeServiceError) -> SessionNews {
        if sessions[job] == nil, case .over = await node.sessionTarget(of: job) {
            return SessionNews(place: place, isOver: true)
        }
        let client = try await enter(job, place.client, on: node)
        let asked = SessionPlace(client: client, attempt: place.attempt, position: place.position)
        return try await patiently(SessionNews(place: asked)) { () throws(NodeServiceError) in
            while !Task.isCancelled {
                try await self.require(client, of: job)
                if let news = try await self.news(job, asked, on: node) { return news }
            }
            return SessionNews(place: asked)
        }
    }

    func say(
        _ bytes: [UInt8], isLast: Bool, to job: JobID, at place: SessionPlace, on node: MeshNode
    ) async throws(NodeServiceError) -> SessionPlace {
        if sessions[job] == nil, case .over = await node.sessionTarget(of: job) { return place }
        _ = try await enter(job, place.client, on: node)
        return try await patiently(place) { () throws(NodeServiceError) in
            while !Task.isCancelled {
                try await self.require(place.client, of: job)
                if let place = try await self.typed(bytes, isLast, job, place, on: node) { return place }
            }
            return place
        }
    }

    /// Waits for an answer as long as a call may; then there is none.
    private nonisolated func patiently<Answer: Sendable>(
        _ nothing: Answer, _ work: @escaping @Sendable () async throws(NodeServiceError) -> Answer
    ) async throws(NodeServiceError) -> Answer {
        do {
            return try await withDeadline(milliseconds: SessionCalls.waitMilliseconds) { try await work() }
        } catch let error as NodeServiceError {
            throw error
        } catch {
            return nothing
        }
    }

    /// The session of a job for somebody who does not talk with it, and the attempt that it is of; nil while it is
    /// nowhere. Nothing of it counts as taken.
    func observed(
        _ job: JobID, on node: MeshNode
    ) async throws(NodeServiceError) -> (port: SessionPort, attempt: UInt64)? {
        try await begin(job, client: 0, on: node)
        return sessions[job].flatMap { session in session.port.map { ($0, session.attempt) } }
    }

    /// Lets somebody in, or in again; returns their number.
    private func enter(_ job: JobID, _ client: UInt64, on node: MeshNode) async throws(NodeServiceError) -> UInt64 {
        try await begin(job, client: client, on: node)
        if client == 0 { sessions[job]?.client += 1 }
        return client == 0 ? sessions[job]?.client ?? 0 : client
    }

    /// Begins to follow a session, unless it is followed.
    private func begin(_ job: JobID, client: UInt64, on node: MeshNode) async throws(NodeServiceError) {
        if sessions[job] == nil {
            if case .none = await node.sessionTarget(of: job) {
                throw NodeServiceError(
                    .invalidRequest, "The job \(job.cid) has no session here.",
                    hint: "Only the node that asked for a job with mesh run -i can attach to it.")
            }
            if sessions.count >= limits.sessionsMax { await dropEnded(on: node) }
            guard sessions.count < limits.sessionsMax else {
                throw NodeServiceError(
                    .overloaded, "This node has \(limits.sessionsMax) sessions, as many as it may.",
                    hint: "End one of them first.")
            }
        }
        // After a restart of this node, whoever talked before goes on.
        var session = sessions[job] ?? Session()
        if session.client == 0 { session.client = client }
        if !session.isFollowed {
            session.isFollowed = true
            workIn.yield(job)
        }
        sessions[job] = session
    }

    /// Makes room: forgets the sessions of jobs that have ended, and what nobody heard of them.
    private func dropEnded(on node: MeshNode) async {
        for job in Array(sessions.keys) {
            switch await node.sessionTarget(of: job) {
            case .over, .none: sessions.removeValue(forKey: job)?.port?.close()
            case .executor, .pending: break
            }
        }
    }

    private func require(_ client: UInt64, of job: JobID) throws(NodeServiceError) {
        // One that is gone has ended.
        guard sessions[job].map({ $0.client == client }) ?? true else {
            throw NodeServiceError(
                .conflict, "Another command talks with the job \(job.cid) now.", hint: "mesh attach takes it back.")
        }
    }

    /// What is new, once there is something; nil to ask again.
    private func news(
        _ job: JobID, _ place: SessionPlace, on node: MeshNode
    ) async throws(NodeServiceError) -> SessionNews? {
        guard let session = sessions[job], let port = session.port else {
            if case .over = await node.sessionTarget(of: job) { return SessionNews(place: place, isOver: true) }
            await pause(limits.pauseMilliseconds)
            return nil
        }
        let isKnown = place.attempt == session.attempt
        for await _ in port.changes() {
            guard sessions[job]?.client == place.client, sessions[job]?.port === port else { return nil }
            let view = port.view(from: isKnown ? place.position : nil, bytesMax: SessionCalls.heardBytesMax)
            var news = SessionNews(
                place: SessionPlace(client: place.client, attempt: session.attempt, position: view.position),
                pieces: view.pieces.map { SessionNews.Piece(isError: $0.isError, bytes: $0.bytes) },
                inputPosition: view.inputPosition, isInputOver: view.isInputOver)
            if !news.pieces.isEmpty || (!isKnown && view.inputPosition != nil) { return news }
            guard view.isOver else { continue }
            // What one attempt said to its end is not the end while the job may go on in another.
            if case .over = await node.sessionTarget(of: job) {
                news.isOver = true
                return news
            }
            await pause(limits.pauseMilliseconds)
            return nil
        }
        return nil
    }

    /// The place behind what was taken of the input, once something was; nil to ask again.
    private func typed(
        _ bytes: [UInt8], _ isLast: Bool, _ job: JobID, _ place: SessionPlace, on node: MeshNode
    ) async throws(NodeServiceError) -> SessionPlace? {
        guard let session = sessions[job], let port = session.port else {
            if case .over = await node.sessionTarget(of: job) { return place }
            await pause(limits.pauseMilliseconds)
            return nil
        }
        if session.attempt != place.attempt {
            return SessionPlace(client: place.client, attempt: session.attempt)
        }
        for await _ in port.changes() {
            guard sessions[job]?.client == place.client, sessions[job]?.port === port else { return nil }
            if port.isClosed || port.isOutputComplete { return place }
            let end: UInt64
            do {
                end = try port.type(bytes, at: place.position, isLast: isLast)
            } catch .afterTheEnd {
                throw NodeServiceError(
                    .invalidRequest, "The input of the job \(job.cid) is over: its end was typed before.")
            } catch {
                throw NodeServiceError(.invalidRequest, "There is no input before the position \(place.position).")
            }
            if end > place.position || (bytes.isEmpty && port.isJoined) {
                return SessionPlace(client: place.client, attempt: session.attempt, position: end)
            }
        }
        return nil
    }

    private nonisolated func pause(_ milliseconds: Int64) async {
        try? await Task.sleep(for: .milliseconds(milliseconds))
    }

    // MARK: The executor

    /// Keeps one session connected, until its job is over; then keeps its last output for a while.
    private func follow(_ job: JobID, on node: MeshNode) async {
        var milliseconds = limits.pauseMilliseconds
        while !Task.isCancelled {
            switch await node.sessionTarget(of: job) {
            case .over, .none:
                sessions[job]?.port?.close()
                await pause(limits.unheardMilliseconds)
                sessions[job] = nil
                return
            case .pending:
                milliseconds = limits.pauseMilliseconds
                _ = await change(of: job, from: .pending, on: node)
                continue
            case .executor(let run):
                let port = port(of: job, run)
                let began = ContinuousClock.now
                if !port.isOutputComplete { await connect(port, while: run, of: job, on: node) }
                if ContinuousClock.now - began > .milliseconds(limits.pauseMillisecondsMax) {
                    milliseconds = limits.pauseMilliseconds
                }
            }
            await pause(milliseconds)
            milliseconds = min(2 * milliseconds, limits.pauseMillisecondsMax)
        }
    }

    /// The session of an attempt; a new one where there was another.
    private func port(of job: JobID, _ run: SessionRun) -> SessionPort {
        if let port = sessions[job]?.port, port.assignment == run.assignment { return port }
        sessions[job]?.port?.close()
        let witness = SessionWitness(
            jobID: job, assignment: run.assignment, originator: parts.identity.did, side: .signs(parts.identity))
        let port = SessionPort(
            job: job, assignment: run.assignment, side: .user, witness: run.isWitnessed ? witness : nil)
        sessions[job]?.port = port
        sessions[job]?.attempt = run.attempt
        return port
    }

    /// Connects a session to its executor, until that connection ends or the job is not that executor's any more.
    private nonisolated func connect(
        _ port: SessionPort, while run: SessionRun, of job: JobID, on node: MeshNode
    ) async {
        let fault = await withTaskGroup(of: String?.self) { group in
            group.addTask { await self.connect(port, to: run.executor) }
            group.addTask {
                await self.watch(run, of: job, on: node)
                return nil
            }
            let fault = await group.next() ?? nil
            group.cancelAll()
            return fault
        }
        if let fault { await node.sessionFault(of: run.executor, fault) }
    }

    /// Returns once an assignment is not the live one of its job any more, or the time of its last output is over.
    private nonisolated func watch(_ run: SessionRun, of job: JobID, on node: MeshNode) async {
        guard await change(of: job, from: .executor(run), on: node) == .over else { return }
        await pause(limits.lastMilliseconds)
    }

    /// Where the session of a job is once that is elsewhere than it was, which the node tells; the same place only if
    /// this task is cancelled.
    private nonisolated func change(
        of job: JobID, from old: SessionTarget, on node: MeshNode
    ) async -> SessionTarget {
        let (number, rings) = await node.listen(to: job)
        var target = old
        for await _ in rings {
            target = await node.sessionTarget(of: job)
            if target != old { break }
        }
        await node.stopListening(number, to: job)
        return target
    }

    /// Connects a session to its executor, until that connection ends; returns what that did wrong, if anything.
    private nonisolated func connect(_ port: SessionPort, to executor: PeerID) async -> String? {
        guard executor != parts.identity.peerID else {
            if let other = runs.port(of: port.assignment) { await join(port, other) }
            return nil
        }
        guard let stream = try? await parts.swarm.openStream(to: executor, protocols: [MeshTopics.sessions]) else {
            return nil
        }
        return await SessionStream(port: port, stream: stream).run()?.description
    }

    /// Connects a session to a run of this node.
    private nonisolated func join(_ user: SessionPort, _ module: SessionPort) async {
        let numbers = (user.beginStream(), module.beginStream())
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await Self.carry(from: user, numbers.0, to: module) }
            group.addTask { await Self.carry(from: module, numbers.1, to: user) }
            await group.next()
            group.cancelAll()
        }
    }

    private static func carry(from sender: SessionPort, _ number: Int, to receiver: SessionPort) async {
        var told = SessionPort.Told()
        for await _ in sender.changes() {
            guard sender.isCurrent(number) else { return }
            while let message = sender.next(&told) {
                guard (try? receiver.take(message)) != nil else { return }
            }
            if told.isOver, sender.side == .module { return }
        }
    }
}
