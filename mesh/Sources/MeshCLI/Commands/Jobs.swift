import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI

/// `mesh jobs`: the newest jobs.
struct Jobs: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the newest jobs that this node asked for or ran.",
        discussion: "A node's own job that it runs itself is listed once, as originator, WITH this node.")

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many.")
    var limit = 20

    @Flag(help: "Print whole identifiers.")
    var full = false

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 10000.") }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let jobs = try await global.node.jobs(limit: limit)
        if global.json {
            try console.json(jobs)
        } else if jobs.isEmpty {
            console.note("No jobs yet; submit one with mesh run.")
        } else {
            console.out(Self.table(jobs, full: full, now: UInt64(Date().timeIntervalSince1970 * 1_000)))
        }
        return .success
    }

    /// The listing of jobs.
    static func table(_ jobs: [JobView], full: Bool, now: UInt64) -> String {
        let show = full ? { $0 } : Readable.short
        var table = Table([
            ("JOB", .left), ("AS", .left), ("PHASE", .left), ("SUBMITTED", .right), ("PRICE", .right), ("WITH", .left),
            ("WHAT", .left),
        ])
        for job in jobs {
            table.add([
                show(job.jobID), job.role, job.phase, Readable.ago(job.submittedAt, now: now),
                job.price.map(Readable.count) ?? "",
                job.isOwnRun == true ? "this node" : job.counterpartyDID.map(show) ?? "",
                job.label ?? job.result?.detail ?? job.reason,
            ])
        }
        return table.text
    }
}

/// `mesh explain`: the journal of a job, in words.
struct Explain: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell the story of a job: who bid what, and why each bid was taken or refused.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The job's ID, its end, or \"last\".")
    var job = "last"

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let explanation = try await node.explain(JobReference.resolve(job, on: node))
        if global.json {
            try console.json(explanation)
        } else {
            console.out(Self.story(explanation))
        }
        return .success
    }

    /// The lines, each with the time since the first.
    static func story(_ explanation: JobExplanation) -> String {
        let job = explanation.job
        var text = "job \(Terminal.safe(job.jobID))\n"
        if let label = job.label { text += "\"\(Terminal.safe(label))\"\n" }
        let begin = explanation.lines.first?.at ?? job.submittedAt
        text += "\(Readable.date(begin)), as \(Terminal.safe(job.role))\n\n"
        var table = Table([("AFTER", .right), ("PHASE", .left), ("WHAT HAPPENED", .left)])
        var phase = ""
        for line in explanation.lines {
            let after = Readable.duration(milliseconds: line.at > begin ? line.at - begin : 0)
            table.add([after, line.phase == phase ? "" : line.phase, line.text])
            phase = line.phase
        }
        return text + table.text
    }
}

/// `mesh cancel`: cancels a job.
struct Cancel: MeshCommand {
    static let configuration = CommandConfiguration(abstract: "Cancel a job.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The job's ID, its end, or \"last\".")
    var job: String

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let view = try await node.cancel(JobReference.resolve(job, on: node))
        if global.json {
            try console.json(view)
        } else {
            console.out(Table.facts([("job", view.jobID), ("phase", view.phase), ("reason", view.reason)]))
        }
        return .success
    }
}
