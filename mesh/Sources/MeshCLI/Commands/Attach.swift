import ArgumentParser
import Foundation
import Multiformats
import NodeAPI

/// `mesh attach`: talks with an interactive job that runs.
struct Attach: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talk with an interactive job (mesh run -i) that this node asked for.",
        discussion: """
            Shows what the module wrote since somebody saw it last, and goes on from there. Whoever talked with the \
            job before is told that somebody else does now. The exit code is that of mesh run.

            Ctrl-C cancels the job, as in mesh run; with -t every key goes to the module, and Ctrl-] leaves the job to \
            itself.
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(name: [.customShort("t"), .customLong("tty")], help: ArgumentHelp(SessionRunner.terminalHelp))
    var terminal = false

    @Flag(help: "Print nothing about the job's progress.")
    var quiet = false

    @Argument(help: ArgumentHelp(JobReference.help))
    var job = "last"

    func validate() throws {
        guard !global.json else { throw ValidationError("--json cannot share standard output with the module.") }
        try SessionRunner.check(isRaw: terminal)
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let jobID = try await JobReference.resolve(job, on: node)
        let runner = SessionRunner(node: node, jobID: jobID, console: console, isRaw: terminal)
        switch try await runner.run() {
        case .left(let code): return code
        case .ended(let result):
            try await runner.showRest(of: result)
            if !quiet {
                for line in Run.summary(result) { console.note(Terminal.safe(line)) }
            }
            if result.ending != .succeeded { console.note("mesh: \(Terminal.safe(Run.sentence(result)))") }
            return ExitCode(RunExit(result, isOutputMissing: false).status)
        }
    }
}

/// Follows an interactive job to its end while its user talks with it.
struct SessionRunner {
    /// How it ended.
    enum End: Sendable {
        /// The job ended.
        case ended(JobResult)
        /// The user left it, with this exit code.
        case left(ExitCode)
    }

    private enum News: Sendable {
        case followed(JobFollower.End)
        case talked(SessionTalk.End)
        case late
    }

    static let terminalHelp =
        "Pass every key to the module at once, and what it writes to the terminal as it is, which may move the cursor "
        + "or ask the terminal things; Ctrl-] leaves the job to itself."

    let node: any NodeService
    let jobID: CID
    let console: Console
    let isRaw: Bool
    private let talk: SessionTalk
    /// How long the last output may take after the job's end, in milliseconds.
    private static let lastMilliseconds: Int64 = 2_000

    init(node: any NodeService, jobID: CID, console: Console, isRaw: Bool) {
        self.node = node
        self.jobID = jobID
        self.console = console
        self.isRaw = isRaw
        talk = SessionTalk(node: node, jobID: jobID, console: console, isRaw: isRaw)
    }

    /// Refuses a raw terminal where there is none.
    static func check(isRaw: Bool) throws {
        guard !isRaw || isatty(STDIN_FILENO) == 1 else {
            throw ValidationError("-t needs a terminal at standard input; without one, leave it out.")
        }
    }

    func run() async throws -> End {
        let terminal = isRaw ? RawTerminal() : nil
        defer { terminal?.restore() }
        let quiet = JobFollower(node: node, jobID: jobID, line: LiveLine(console: console, quiet: true))
        return try await withThrowingTaskGroup(of: News.self) { group in
            group.addTask {
                var follower = quiet
                return .followed(try await follower.follow())
            }
            group.addTask { [talk] in .talked(try await talk.run()) }
            defer { group.cancelAll() }
            var (result, isOver): (JobResult?, Bool) = (nil, false)
            while let news = try await group.next() {
                switch news {
                case .followed(.left(let number)): return .left(ExitCode(ExitStatus.signalled(number)))
                case .followed(.ended(let ended)):
                    result = ended
                    group.addTask {
                        try? await Task.sleep(for: .milliseconds(Self.lastMilliseconds))
                        return .late
                    }
                case .talked(.detached): return .left(detached())
                case .talked(.over), .late: isOver = true
                }
                if isOver, let result { return .ended(result) }
            }
            return .left(.success)
        }
    }

    private func detached() -> ExitCode {
        console.note("\r\nThe job goes on; mesh attach \(Readable.short(jobID.text)) returns to it.")
        return .success
    }

    /// Shows what the module wrote and did not arrive before its end, if this command was there from the beginning:
    /// one that came later cannot tell what others have seen of each stream.
    func showRest(of result: JobResult) async throws {
        guard talk.shown.began == 0 else { return }
        try await show(result.stderrCID, from: talk.shown.error, to: STDERR_FILENO)
        try await show(result.stdoutCID, from: talk.shown.output, to: STDOUT_FILENO)
    }

    private func show(_ cid: String?, from count: Int, to descriptor: Int32) async throws {
        guard let cid else { return }
        let bytes = try await node.get(JobReference.cid(cid))
        let rest = Array(bytes.dropFirst(count))
        if isRaw { console.write(rest, to: descriptor) } else { console.data(rest, to: descriptor) }
    }
}
