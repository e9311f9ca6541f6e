import ArgumentParser
import Foundation
import Multiformats
import NodeAPI

/// `mesh wait`: waits for a job's end.
struct Wait: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until a job is over; the exit code is that of mesh run.",
        discussion: """
            The job must be one that this node asked for. mesh outputs shows what it wrote. When --timeout is over \
            first, the job goes on and the exit code is 243.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(
        help: ArgumentHelp("The longest to wait, in seconds or for example 90s, 10m or 2h.", valueName: "time"),
        transform: Quantity.seconds)
    var timeout: UInt64?

    @Flag(help: "Print nothing but failures of the command itself.")
    var quiet = false

    @Argument(help: "The job's ID, its beginning or end, or \"last\".")
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

/// Waits for the end of a job of a node.
struct JobWaiter {
    /// How often a broken stream is resumed.
    static let attemptsMax = 5

    let node: any NodeService
    let jobID: CID

    /// The end of the job; throws if it does not come in time, or if the node did not ask for the job.
    func result(seconds: UInt64?) async throws -> JobResult {
        let job = try await node.job(jobID)
        guard job.isAskedForHere else {
            throw NodeServiceError(
                .invalidRequest, "This node did not ask for the job \(jobID.text), so it does not learn its end.",
                hint: "mesh describe tells what it knows.")
        }
        if let end = job.end { return end }
        guard let seconds else { return try await end() }
        return try await withThrowingTaskGroup(of: JobResult?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await end() }
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

    private func end() async throws -> JobResult {
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
}
