import ArgumentParser
import Foundation
import Multiformats
import NodeAPI

/// `mesh wait`: waits for a job's end.
struct Wait: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until a job is over; the exit code is that of mesh run.",
        discussion: """
            The job must be one that this node asked for or runs; on an executor the wait ends with its own run, \
            which need not be the end of the job. mesh outputs shows what it wrote. When --timeout is over first, the \
            job goes on and the exit code is 243.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(
        help: ArgumentHelp("The longest to wait, in seconds or for example 90s, 10m or 2h.", valueName: "time"),
        transform: Quantity.seconds)
    var timeout: UInt64?

    @Flag(help: "Print nothing but failures of the command itself.")
    var quiet = false

    @Argument(help: ArgumentHelp(JobReference.help))
    var job = "last"

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let jobID = try await JobReference.resolve(job, on: node)
        let result = try await JobWaiter(node: node, jobID: jobID).result(seconds: timeout)
        let exit = RunExit(result, isOutputMissing: false)
        if global.json {
            try console.json(WaitReport(jobID: jobID.text, exit: exit, result: result))
        } else if !quiet {
            console.note("job      \(jobID.text)")
            for line in Run.summary(result) { console.note(Terminal.safe(line)) }
            if result.ending != .succeeded {
                console.note("mesh: \(Terminal.safe(Run.sentence(result, of: jobID.text)))")
            }
        }
        return ExitCode(exit.status)
    }
}

/// The end of a job that was waited for, as JSON.
struct WaitReport: Encodable {
    let jobID: String
    let exit: RunExit
    let result: JobResult

    private enum CodingKeys: String, CodingKey {
        case exit, result
        case jobID = "job_id"
    }
}

/// Waits for the end of a job of a node, or of the node's own run of another's job.
struct JobWaiter {
    /// How often a broken stream is resumed.
    static let attemptsMax = 5
    /// How often a run is looked at, in milliseconds.
    static let lookMilliseconds = 200

    let node: any NodeService
    let jobID: CID

    /// The end of the job; throws if it does not come in time, or if the node neither asked for the job nor runs it.
    func result(seconds: UInt64?) async throws -> JobResult {
        let job = try await node.job(jobID)
        guard job.isAskedForHere || (job.outcome != .bidding && !job.outcome.isOfBid) else {
            throw NodeServiceError(
                .invalidRequest,
                "This node has only bid on the job \(jobID.text) (\(JobWords.outcome(job))), so it does not learn its "
                    + "end.",
                hint: "Wait on the job's originator; mesh describe tells what this node knows.")
        }
        if let end = job.end { return end }
        let isRunHere = !job.isAskedForHere
        guard let seconds else { return try await end(isRunHere: isRunHere) }
        return try await withThrowingTaskGroup(of: JobResult?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await end(isRunHere: isRunHere) }
            group.addTask {
                try await Task.sleep(for: .seconds(Int64(clamping: seconds)))
                return nil
            }
            guard let first = try await group.next(), let end = first else {
                let now = try await node.job(jobID)
                if let end = now.end { return end }
                throw NodeServiceError(
                    .timedOut, "The job was not over within \(seconds) s; it is still there: \(JobWords.outcome(now)).",
                    hint: "Wait longer, or end it with mesh cancel.")
            }
            return end
        }
    }

    private func end(isRunHere: Bool) async throws -> JobResult {
        if isRunHere { return try await endOfRun() }
        for _ in 0..<Self.attemptsMax {
            for await event in try await node.progress(of: jobID, .result) {
                if let result = event.result { return result }
            }
            try Task.checkCancellation()
            if let end = try await node.job(jobID).end { return end }
        }
        throw NodeServiceError(
            .nodeNotRunning, "The node stopped reporting on the job.",
            hint: "The job is durable: when the node is up again, wait for it again.")
    }

    /// The end of this node's run: nothing tells it, so the run is looked at.
    private func endOfRun() async throws -> JobResult {
        while true {
            if let end = try await endSoFar() { return end }
            try await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
        }
    }

    private func endSoFar() async throws -> JobResult? { try await node.job(jobID).end }
}
