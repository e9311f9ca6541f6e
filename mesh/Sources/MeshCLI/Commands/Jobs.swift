import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh jobs`: the newest jobs.
struct Jobs: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the jobs that this node asked for, bid on or ran, the newest first.",
        discussion: """
            A node's own job that it runs itself is listed once, as originator, WITH this node. What a bid that came \
            to nothing says of the winner is what the originator told; such bids are forgotten after some minutes.

            --status takes what OUTCOME shows, such as "exit 3" or out-of-fuel; a group of outcomes: open, ended, \
            pending, running, succeeded, failed, cancelled, lost; of what this node ran for others, paid and unpaid; \
            or one outcome as --json names it, such as exited-non-zero.

            A page has at most --limit jobs, and with more behind it says how to see them. With --json, go on with \
            --older-than and the last job_id while pages are full.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "How many, from 1 to 10000; by default 20.", transform: Quantity.number("from 1 to 10000"))
    var limit = 20

    @Option(
        help: ArgumentHelp("Only jobs of this outcome or group; may be given several times.", valueName: "outcome"),
        transform: { text in
            guard let filter = JobStatusFilter(text) else { throw ValidationError(JobStatusFilter.choices) }
            return filter
        })
    var status: [JobStatusFilter] = []

    @Option(help: "Only jobs in which this node is originator or executor.")
    var role: JobSide?

    @Option(
        help: ArgumentHelp(
            "Only jobs submitted since then: 90s, 10m, 2h or 3d ago, or a date such as 2026-11-27 or "
                + "2026-11-27T08:30:00Z.", valueName: "when"),
        transform: JobDate.since)
    var since: UInt64?

    @Option(help: ArgumentHelp("Only jobs whose label contains this.", valueName: "text"))
    var label: String?

    @Option(help: ArgumentHelp("Only jobs that the listing has behind this one.", valueName: "job"))
    var olderThan: String?

    @Flag(help: "Print whole identifiers, however long the lines become.")
    var full = false

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 10000.") }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        var query = JobQuery(limit: limit, role: role, statuses: status.map(\.status), since: since, label: label)
        if let olderThan { query.after = try await JobReference.resolve(olderThan, on: node) }
        let page = try await JobStatusFilter.page(query, status, on: node)
        if global.json {
            try console.json(page.jobs)
            return .success
        }
        if page.jobs.isEmpty {
            let isFiltered = query != JobQuery(limit: limit)
            let isOfPayments = status.contains { !$0.status.payments.isEmpty }
            let none =
                isOfPayments
                ? "No such jobs here; paid and unpaid ask for what this node earns as an executor."
                : "No such jobs here."
            console.note(isFiltered ? none : "No jobs yet; submit one with mesh run.")
        } else {
            let now = UInt64(Date().timeIntervalSince1970 * 1_000)
            let width = !full && Terminal.isInteractive(STDOUT_FILENO) ? Terminal.columns(STDOUT_FILENO) : nil
            let table = JobTable(page.jobs, full: full, now: now)
            console.out(table.text(width: width))
            if let leftOut = table.leftOut(width: width) { console.note(leftOut) }
        }
        if let next = page.next {
            console.note("Older jobs: the same with --older-than \(Terminal.safe(String(next.suffix(8)))).")
        }
        return .success
    }
}

/// `mesh explain`: the journal of a job, in words.
struct Explain: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell the story of a job: who bid what, and why each bid was taken or refused.",
        discussion: """
            Of a workflow, by its whole ID, it tells how each stage stands, and of each item whose result it has: its \
            own job's, or that of which earlier job, by which executor and receipt.

            On a terminal each event is a line with the time since the first; elsewhere the table also has the state \
            that the job had then. --json has that state under its stable name, and codes of refusals.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp(JobReference.help))
    var job = "last"

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let explanation: JobExplanation
        do {
            explanation = try await node.explain(JobReference.resolve(job, on: node))
        } catch {
            guard error.code == .jobNotFound, let id = try? CID(parsing: job),
                let workflow = try? await node.workflow(id)
            else { throw error }
            let items = try await node.allItems(of: id)
            if global.json {
                try console.json(WorkflowGroup.Show.Shown(workflow: workflow, items: items))
            } else {
                console.out(WorkflowWords.page(workflow) + "\n" + WorkflowWords.story(items))
            }
            return .success
        }
        if global.json {
            try console.json(explanation)
        } else {
            let isShown = Terminal.isInteractive(STDOUT_FILENO)
            console.out(Self.story(explanation, width: isShown ? Terminal.columns(STDOUT_FILENO) : nil))
        }
        return .success
    }

    /// The lines, each with the time since the first; on a terminal each continues on the next line.
    static func story(_ explanation: JobExplanation, width: Int? = nil) -> String {
        let job = explanation.job
        let room = width ?? .max
        func named(_ name: String, _ cid: String) -> String {
            name + (name.count + 1 + cid.count <= room ? " " : "\n") + Terminal.safe(cid) + "\n"
        }
        var text = named("job", job.jobID)
        if let label = job.label { text += "\"\(Terminal.safe(label))\"\n" }
        let begin = explanation.lines.first?.at ?? job.submittedAt
        text += "\(Readable.date(begin)), as \(Terminal.safe(job.role)): \(Terminal.safe(JobWords.outcome(job)))\n"
        if let receipt = job.receiptCID { text += named("receipt", receipt) }
        text += "\n"
        if let width { return text + narrow(explanation.lines, begin, width) }
        var table = Table([("AFTER", .right), ("PHASE", .left), ("WHAT HAPPENED", .left)])
        var phase = ""
        for line in explanation.lines {
            let after = Readable.duration(milliseconds: line.at > begin ? line.at - begin : 0)
            let words = JobWords.phase(line.phase, role: job.role)
            table.add([after, words == phase ? "" : words, line.text])
            phase = words
        }
        return text + table.text
    }

    private static func narrow(_ lines: [JobExplanation.Line], _ begin: UInt64, _ width: Int) -> String {
        let afters = lines.map { Readable.duration(milliseconds: $0.at > begin ? $0.at - begin : 0) }
        let indent = (afters.map(\.count).max() ?? 0) + 2
        return zip(lines, afters).map { line, after in
            let begin = String(repeating: " ", count: indent - 2 - after.count) + after + "  "
            let lines = TextLayout.lines(of: begin + Terminal.safe(line.text), columns: width, hanging: indent)
            return lines.joined(separator: "\n") + "\n"
        }.joined()
    }
}

/// `mesh cancel`: cancels a job.
struct Cancel: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Cancel a job, or say how it ended if it is over.",
        discussion: "On an executor it stops the run; the originator then gives the job to somebody else.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp(JobReference.help))
    var job: String

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let cancelled = try await node.cancel(JobReference.resolve(job, on: node))
        if global.json {
            try console.json(cancelled)
        } else {
            let job = cancelled.job
            let now = UInt64(Date().timeIntervalSince1970 * 1_000)
            var facts = [("job", job.jobID), ("outcome", JobWords.outcome(job))]
            if !job.reason.isEmpty { facts.append(("reason", job.reason)) }
            if let receipt = job.receiptCID { facts.append(("receipt", receipt)) }
            console.out(Table.facts(facts))
            console.note(Terminal.safe(Self.sentence(cancelled, now: now)))
        }
        return .success
    }

    /// What the order did.
    static func sentence(_ cancelled: JobCancellation, now: UInt64) -> String {
        let job = cancelled.job
        if cancelled.wasOver {
            guard !job.outcome.isUnderWay else { return "The run is over already; nothing was cancelled." }
            let end = "\(JobWords.outcome(job)), \(Readable.ago(job.updatedAt, now: now))"
            guard !job.outcome.isOfBid else {
                return "This node's bid was over already (\(end)); nothing was cancelled. Only the job's originator "
                    + "can cancel the job."
            }
            return "The job was over already (\(end)); nothing was cancelled."
        }
        if job.outcome.isUnderWay {
            return job.isAskedForHere
                ? "The job is being cancelled; mesh wait tells when it is over."
                : "The run is being stopped; mesh describe tells whether it is over."
        }
        return "The job is cancelled."
    }
}
