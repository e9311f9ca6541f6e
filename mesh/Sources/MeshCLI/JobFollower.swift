import Foundation
import Multiformats
import NodeAPI

/// Follows a job to its end, shows its progress, and passes the user's interrupt on to it.
struct JobFollower {
    /// How following ended.
    enum End {
        /// The job ended.
        case ended(JobResult)
        /// The user stopped following it, by this signal.
        case left(Int32)
    }

    private enum Signal {
        case event(JobProgress)
        case streamEnded
        case tick
        case interrupt(Int32)
    }

    /// How often a broken stream is resumed.
    static let attemptsMax = 5

    private let node: any NodeService
    private let jobID: CID
    private var line: LiveLine
    private var standing = JobStanding()
    private var phaseBegan: ContinuousClock.Instant = .now
    private var lastAt: UInt64 = 0
    /// Takes, as soon as it is known, who could run the job and what keeps those who do not.
    var early: @Sendable (ExecutorsNotice) -> Void = { _ in }

    init(node: any NodeService, jobID: CID, line: LiveLine) {
        self.node = node
        self.jobID = jobID
        self.line = line
    }

    /// Follows until the end, or until the user interrupts twice; meanwhile shows what the module writes, if that is
    /// watched.
    mutating func follow(watching watch: OutputWatch? = nil) async throws -> End {
        let interrupts = Interrupts()
        // BOUNDED: the progress of one job, which its lease and attempts bound.
        let (signals, sink) = AsyncStream.makeStream(of: Signal.self, bufferingPolicy: .unbounded)
        let node = self.node
        let jobID = self.jobID
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { sink.yield(.streamEnded) }
                for _ in 0..<Self.attemptsMax {
                    for await event in try await node.progress(of: jobID) {
                        sink.yield(.event(event))
                        if event.kind == .result { return }
                    }
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(100))
                    sink.yield(.tick)
                }
            }
            group.addTask { for await number in interrupts.signals { sink.yield(.interrupt(number)) } }
            if let watch { group.addTask { try await watch.follow() } }
            defer { group.cancelAll() }
            return try await consume(signals)
        }
    }

    private mutating func consume(_ signals: AsyncStream<Signal>) async throws -> End {
        var interruptions = 0
        defer { line.clear() }
        for await signal in signals {
            switch signal {
            case .event(let event):
                if let result = received(event) { return .ended(result) }
            case .tick:
                showPhase()
            case .interrupt(let number):
                interruptions += 1
                if interruptions > 1 { return .left(number) }
                line.keep("cancelling; once more leaves the job to itself")
                _ = try await node.cancel(jobID)
            case .streamEnded:
                return try await endAfterBreak()
            }
        }
        return .left(SIGINT)
    }

    /// What the node knows of the job after its stream broke.
    private func endAfterBreak() async throws -> End {
        let stopped = NodeServiceError(
            .nodeNotRunning, "The node stopped reporting on the job.",
            hint: "The job is durable: when the node is up again, see mesh explain \(Readable.short(jobID.text)).")
        do {
            guard let result = try await node.job(jobID).result else { throw stopped }
            return .ended(result)
        } catch let error as NodeServiceError where error.code == .nodeNotRunning || error.code == .shuttingDown {
            throw stopped
        }
    }

    private mutating func received(_ event: JobProgress) -> JobResult? {
        // A resumed stream repeats the past.
        if event.kind != .result, event.at < lastAt { return nil }
        lastAt = max(lastAt, event.at)
        if let notice = ExecutorsNotice(event, of: jobID.text) { early(notice) }
        let stage = standing.stage
        for text in standing.received(event) { line.keep(text) }
        if event.kind == .result { return event.result }
        if standing.stage != stage { phaseBegan = .now }
        showPhase()
        return nil
    }

    private mutating func showPhase() {
        if let now = standing.now(for: ContinuousClock.now - phaseBegan) { line.show(now) }
    }
}
