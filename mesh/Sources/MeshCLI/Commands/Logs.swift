import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import Synchronization

/// `mesh logs`: what a job does and writes.
struct Logs: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a job writes, also while it runs, and how it is doing.",
        discussion: """
            Standard output and standard error of the module come to those of this command, and what happens to the \
            job to standard error. The job must be one that this node asked for. Watching changes nothing: an \
            interactive job goes on to talk with its user, and Ctrl-C ends only this command.

            While a job runs, what it writes is its executor's word. In the end it is held against what the receipt \
            names, which alone counts; if they differ, that is shown too, and the exit code is 218. Of a job that \
            runs, the last 256 KiB that its executor has are shown; mesh outputs has all once it is over.

            With -f the command ends with the job, and its exit code is that of mesh run; without, it shows what there \
            is. With --json each line of standard output is an object: a state (kind: status), a piece of output \
            (kind: output, with stream, position, and text, or base64 where it is no text; source says whose word it \
            is, executor or receipt), or the end (kind: end).
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(name: [.customShort("f"), .customLong("follow")], help: "Stay until the job is over.")
    var follow = false

    @Flag(help: "Print nothing about the job's progress.")
    var quiet = false

    @Argument(help: ArgumentHelp(JobReference.help))
    var job = "last"

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let jobID = try await JobReference.resolve(job, on: node)
        let view = try await node.job(jobID)
        guard view.isAskedForHere else {
            throw NodeServiceError(
                .invalidRequest,
                "This node has not asked for the job \(jobID.text), so it does not see what it writes.",
                hint: "Ask the node that has; mesh outputs shows what is known of it here.")
        }
        let line = LiveLine(console: console, quiet: quiet || global.json)
        let writer = LogLines(console: console, line: line, isJSON: global.json)
        let watch = OutputWatch(node: node, jobID: jobID) {
            writer.show($0)
        } note: {
            writer.note($0)
        }
        if let result = view.result {
            return try await end(result, jobID, watch, writer, node)
        }
        guard follow else {
            try await watch.look()
            writer.state(of: view)
            return .success
        }
        switch try await followed(jobID, watch, writer, node) {
        case .left(let number): return ExitCode(ExitStatus.signalled(number))
        case .ended(let result): return try await end(result, jobID, watch, writer, node)
        }
    }

    private enum News: Sendable {
        case result(JobResult)
        case interrupted(Int32)
        case watched
    }

    /// Follows the job to its end, or until the user has seen enough.
    private func followed(
        _ jobID: CID, _ watch: OutputWatch, _ writer: LogLines, _ node: some NodeService
    ) async throws -> JobFollower.End {
        let interrupts = Interrupts()
        return try await withThrowingTaskGroup(of: News.self) { group in
            group.addTask {
                try await watch.follow()
                return .watched
            }
            group.addTask { .result(try await JobWatch(node: node, jobID: jobID).result { writer.tell($0) }) }
            group.addTask {
                for await number in interrupts.signals { return .interrupted(number) }
                return .watched
            }
            defer { group.cancelAll() }
            while let news = try await group.next() {
                switch news {
                case .result(let result): return .ended(result)
                case .interrupted(let number): return .left(number)
                case .watched: break
                }
            }
            return .left(SIGINT)
        }
    }

    /// Shows what the receipt names beyond what was shown, and says how the two compare.
    private func end(
        _ result: JobResult, _ jobID: CID, _ watch: OutputWatch, _ writer: LogLines, _ node: some NodeService
    ) async throws -> ExitCode {
        let ending = try await EndOfOutput(of: result, shown: watch.all, node)
        writer.show(ending)
        let own = RunExit(result, isOutputMissing: false)
        let exit = ending.verdict == .differs ? RunExit.ofLies : own
        writer.end(result, jobID, exit, ending.verdict)
        return ExitCode(follow || ending.verdict == .differs ? exit.status : ExitStatus.success.rawValue)
    }
}

/// What is to be shown of a job's output once its receipt is here.
struct EndOfOutput {
    /// How what was shown compares with it.
    let verdict: ShownOutput.Verdict
    /// What to say of that; nil if nothing.
    let remark: String?
    /// What was not shown: of standard error, then of standard output; all where what was shown was something else.
    let rest: [(isError: Bool, bytes: (bytes: [UInt8], position: UInt64))]

    init(of result: JobResult, shown: ShownOutput, _ node: some NodeService) async throws {
        let output = try await Self.bytes(result.stdoutCID, node)
        let error = try await Self.bytes(result.stderrCID, node)
        self.init(output: output, error: error, attempt: result.attempt, shown: shown)
    }

    /// - Parameter attempt: the one whose receipt counts; nil if that is not known.
    init(output: [UInt8], error: [UInt8], attempt: UInt64?, shown: ShownOutput) {
        let isAnother = shown.isOfAnother(than: attempt)
        let verdict = isAnother ? .none : shown.verdict(output: output, error: error)
        func rest(_ bytes: [UInt8], isError: Bool) -> (bytes: [UInt8], position: UInt64) {
            switch verdict {
            case .differs, .none: (bytes, 0)
            // Nobody can say where it would go on.
            case .unknown: ([], 0)
            case .same: shown.rest(of: bytes, isError: isError)
            }
        }
        self.verdict = verdict
        remark = isAnother ? OutputWatch.anothers : OutputWatch.remark(shown, verdict)
        self.rest = [(true, rest(error, isError: true)), (false, rest(output, isError: false))]
            .filter { !$0.1.bytes.isEmpty }
    }

    private static func bytes(_ cid: String?, _ node: some NodeService) async throws -> [UInt8] {
        guard let cid else { return [] }
        return try await node.get(JobReference.cid(cid))
    }
}

/// Follows a job without a hand in it.
struct JobWatch: Sendable {
    let node: any NodeService
    let jobID: CID

    /// The end of the job; tells what happens until then.
    func result(_ tell: (JobProgress) -> Void) async throws -> JobResult {
        var lastAt: UInt64 = 0
        for _ in 0..<JobFollower.attemptsMax {
            for await event in try await node.progress(of: jobID) {
                if let result = event.result { return result }
                // A resumed stream repeats the past.
                if event.at >= lastAt { tell(event) }
                lastAt = max(lastAt, event.at)
            }
            try Task.checkCancellation()
            if let end = try await node.job(jobID).result { return end }
        }
        throw NodeServiceError(
            .nodeNotRunning, "The node stopped reporting on the job.",
            hint: "The job is durable: when the node is up again, look again.")
    }
}

/// What is printed of a job that is watched.
final class LogLines: Sendable {
    private let console: Console
    private let isJSON: Bool
    private let line: LiveLine
    private let standing = Mutex(JobStanding())
    private let texts = Mutex([StreamText(), StreamText()])

    init(console: Console, line: LiveLine, isJSON: Bool = false) {
        self.console = console
        self.isJSON = isJSON
        self.line = line
    }

    /// Shows what came of the output while the job runs.
    func show(_ news: OutputNews) {
        for piece in news.pieces {
            if isJSON {
                json(LogOutput(piece.bytes, at: piece.position, isError: piece.isError, attempt: news.place.attempt))
            } else {
                let bytes = texts.withLock { $0[piece.isError ? 1 : 0].whole(piece.bytes) }
                line.data(bytes, to: piece.isError ? STDERR_FILENO : STDOUT_FILENO)
            }
        }
    }

    /// Shows what the receipt names and was not shown; after something else, all of it.
    func show(_ ending: EndOfOutput) {
        if let remark = ending.remark { note(remark) }
        for (isError, rest) in ending.rest {
            if isJSON {
                json(LogOutput(rest.bytes, at: rest.position, isError: isError, attempt: nil))
            } else {
                // What was held of a character is only shown if it is the receipt's, too.
                let held = texts.withLock { $0[isError ? 1 : 0].takeHeld() }
                line.data(
                    (ending.verdict == .same ? held : []) + rest.bytes, to: isError ? STDERR_FILENO : STDOUT_FILENO)
            }
        }
    }

    /// Says what happened to the job.
    func tell(_ event: JobProgress) {
        if isJSON {
            // That the run goes on is no news of its own.
            guard !event.text.isEmpty || event.permille != nil else { return }
            return json(LogStatus(at: event.at, phase: event.phase, text: event.text, permille: event.permille))
        }
        for text in standing.withLock({ $0.received(event) }) { line.keep(text) }
    }

    /// Says how the job is doing.
    func state(of job: JobView) {
        if isJSON {
            return json(LogStatus(at: job.updatedAt, phase: job.phase, text: JobWords.outcome(job), permille: nil))
        }
        line.endModulesLine()
        line.keep("state    \(JobWords.outcome(job)); mesh logs -f follows the job to its end")
    }

    /// Says something to the user.
    func note(_ text: String) {
        if isJSON { return json(LogStatus(at: nil, phase: nil, text: text, permille: nil)) }
        line.clear()
        line.endModulesLine()
        console.note(Terminal.safe(text))
    }

    /// Says how the job ended.
    func end(_ result: JobResult, _ jobID: CID, _ exit: RunExit, _ verdict: ShownOutput.Verdict) {
        if isJSON { return json(LogEnd(jobID: jobID.text, live: verdict, exit: exit, result: result)) }
        line.endModulesLine()
        for text in Run.summary(result) { line.keep(text) }
        if result.ending != .succeeded { console.note("mesh: \(Terminal.safe(Run.sentence(result, of: jobID.text)))") }
    }

    private func json(_ value: some Encodable) { try? console.jsonLine(value) }
}

/// A piece of output, as JSON.
struct LogOutput: Encodable {
    let kind = "output"
    let stream: String
    /// Of its first byte in the stream.
    let position: UInt64
    /// Whose word it is.
    let source: String
    /// The attempt, where it is an executor's word.
    let attempt: UInt64?
    /// Nil if it is not text.
    let text: String?
    let base64: String?

    init(_ bytes: [UInt8], at position: UInt64, isError: Bool, attempt: UInt64?) {
        stream = isError ? "stderr" : "stdout"
        self.position = position
        self.attempt = attempt
        source = attempt == nil ? "receipt" : "executor"
        text = String(validating: bytes, as: UTF8.self)
        base64 = text == nil ? Data(bytes).base64EncodedString() : nil
    }
}

/// What happened to a job, as JSON.
struct LogStatus: Encodable {
    let kind = "status"
    let at: UInt64?
    let phase: String?
    let text: String
    let permille: UInt32?
}

/// The end of a job, as JSON.
struct LogEnd: Encodable {
    let kind = "end"
    let jobID: String
    /// How what was shown while it ran compares with what the receipt names.
    let live: ShownOutput.Verdict
    let exit: RunExit
    let result: JobResult

    private enum CodingKeys: String, CodingKey {
        case kind, live, exit, result
        case jobID = "job_id"
    }
}
