import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh run`: submits a job, follows it, and passes on what it wrote.
struct Run: MeshCommand, NodeOpeningCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a WebAssembly module on the mesh and print what it writes.",
        discussion: """
            The job's standard output goes to standard output, everything else to standard error: one line per phase, \
            the receipt's CID, and a summary. On a terminal what the module writes comes at once, as its executor's \
            word, which is held against the receipt in the end (exit code 218 if they differ); elsewhere it comes at \
            the end, as the receipt names it. Exit codes up to 125 are the module's own (larger ones become 125 and \
            are printed); the mesh uses 200 to 249, which mesh --help lists. Ctrl-C cancels the job and waits for its \
            receipt (exit code 214); a second Ctrl-C exits at once (exit code 130), and the job ends without you.

            With --json, standard output gets one object at the end. As soon as it is known who could run the job and \
            what keeps those who do not, that is a line of JSON on standard error (job_id, at, executors, text and \
            hint), and again when it changes; --quiet leaves these lines out. An error is such a line, too (error, \
            exit_status).

            With --local the module runs on this machine, under the limits and with the files of any other job, but \
            without a node, a mesh or a price. What it leaves is yours; its receipt names nobody but you and is not \
            kept.

            A module has no files but those that it is given. With the files of this example, main.py is in the \
            working folder, and what it writes to out/ comes back as ./results:

              mesh run python.wasm --dir ./lib:/lib --dir ./script:/job \\
                --file data.csv:/job/data.csv \\
                --workdir /job --collect 'out/**:./results' -- main.py

            With --invoke the job calls one function with numbers and prints what it returns, as the output "result":

              mesh run math.wasm --invoke add 2 40

            Whoever runs the job sees the arguments, the environment and the files.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var job: JobOptions

    @Option(
        name: .customLong("output"),
        help: ArgumentHelp(
            "Write the output NAME to FILE, or to standard output for -; may be given several times. stdout, stderr "
                + "and log are what the module wrote there, which then goes nowhere else.",
            valueName: "name=file"),
        transform: NamedPath.reading("NAME=FILE or NAME=-"))
    var outputs: [NamedPath] = []

    @Flag(help: "Print nothing about the job's progress.")
    var quiet = false

    @Flag(help: "Print the job's ID once it is durable, and do not wait for it.")
    var detach = false

    @Flag(
        help: ArgumentHelp(
            "Submit nothing; say who would run the job, and for how much. Module and files are added to the node, as "
                + "for the run."))
    var dryRun = false

    @Flag(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Talk with the module while it runs: this command's standard input is the module's, and what it writes "
                + "comes at once. mesh attach takes the talk up again."))
    var interactive = false

    @Flag(
        name: [.customShort("t"), .customLong("tty")],
        help: ArgumentHelp("The same, on a raw terminal. \(SessionRunner.terminalHelp)"))
    var terminal = false

    @Option(
        help: ArgumentHelp(
            "The longest that an interactive job waits for its user at once, in seconds or for example 90s or 10m; by "
                + "default \(JobSubmission.Session.standard.idleSeconds ?? 0) s.", valueName: "time"),
        transform: Quantity.seconds)
    var idle: UInt64?

    @Option(
        help: ArgumentHelp(
            "The longest that it waits in all; by default \(JobSubmission.Session.standard.waitingSeconds ?? 0) s. "
                + "Waiting costs 1,000 fuel for each millisecond.", valueName: "time"),
        transform: Quantity.seconds)
    var waiting: UInt64?

    @Option(
        help: ArgumentHelp(
            "What is kept of an interactive job's session, so that its run can be repeated: private (the default; for "
                + "the two sides alone), shared (anybody who has the receipt can ask for what was typed), or none.",
            valueName: "private|shared|none"),
        transform: { word in
            guard JobSubmission.Session.transcripts.contains(word) else {
                throw ValidationError("it is private, shared or none.")
            }
            return word
        })
    var transcript: String?

    @Flag(help: "Run the module here, without a node, a mesh or a price.")
    var local = false

    @Option(help: "Which runtime runs a script (mesh runtime ls); by default its #! line says, or its ending.")
    var runtime: String?

    @Flag(help: "Give a script its whole folder, as a copy that it may change.")
    var withDir = false

    @Argument(
        help:
            "The module: a file, the CID of an added one, or - for standard input. Or a script, which a runtime runs.",
        completion: .file())
    var module: String

    @Argument(help: "Arguments for the module or script, after --.")
    var arguments: [String] = []

    func validate() throws {
        guard !dryRun || !(detach || local) else {
            throw ValidationError("--dry-run submits nothing, so --detach and --local mean nothing with it.")
        }
        guard !detach || outputs.isEmpty else { throw ValidationError("--detach cannot wait for an --output.") }
        guard !detach || job.files.collect.allSatisfy({ $0.destination == nil }) else {
            throw ValidationError(
                "--detach cannot wait for what is collected; give --collect a pattern alone, and write the files later "
                    + "with mesh outputs --into.")
        }
        guard !global.json || !outputs.contains(where: { $0.path == LocalFile.stream }) else {
            throw ValidationError("--json and an --output to - cannot share standard output.")
        }
        try checkSession()
        // A script lies in a working folder, the user's or the usual one.
        var job = job
        if ScriptRun.head(of: module) != nil { job.files.workingFolder = job.files.workingFolder ?? ScriptRun.folder }
        try job.check(module: module)
        if local { try checkLocal() }
    }

    /// Whether the job is interactive.
    private var talks: Bool { interactive || terminal }

    private func checkSession() throws {
        guard talks else {
            guard idle == nil, waiting == nil, transcript == nil else {
                throw ValidationError("--idle, --waiting and --transcript are for an interactive job; add -i.")
            }
            return
        }
        guard !global.json else { throw ValidationError("--json and -i cannot share standard output.") }
        guard job.verify == nil || job.verify == "none" else {
            throw ValidationError(
                "Nobody can run an interactive job again, so its result cannot be checked; leave --verify out.")
        }
        guard job.stdins.isEmpty else {
            throw ValidationError("-i and --stdin both give standard input; leave one out.")
        }
        guard module != LocalFile.stream, !job.inputs.contains(where: { $0.path == LocalFile.stream }) else {
            throw ValidationError("With -i, standard input is the module's; name a file instead of -.")
        }
        if !detach { try SessionRunner.check(isRaw: terminal) }
    }

    func run(opening node: NodeOpener) async throws {
        guard local else { return try await run() }
        try await global.report { console in try await performLocal(node, console) }
    }

    private func performLocal(_ opener: NodeOpener, _ console: Console) async throws -> ExitCode {
        do {
            let local = LocalNode(opener: opener, home: global.nodeHome)
            return try await local.use { try await perform(on: $0, console) }
        } catch {
            guard let error = error as? NodeServiceError else { throw error }
            throw localWords.of(error)
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        try await perform(on: global.node, console)
    }

    private func perform(on node: some NodeService, _ console: Console) async throws -> ExitCode {
        try OutputPaths.check(outputs.map(\.path))
        let (module, arguments, job) = try resolved()
        try job.files.checkPaths()
        let line = LiveLine(console: console, quiet: quiet || global.json, keepsLines: !local)
        var submission = try await job.submission(
            module: module, arguments: arguments, outputs: job.taken(outputs), on: node,
            TransferLine(console, quiet: quiet || global.json))
        if talks {
            submission.session = JobSubmission.Session(
                idleSeconds: idle, waitingSeconds: waiting, transcript: transcript)
        }
        if terminal, !detach { submission.env += Self.terminalEnvironment(besides: submission.env) }
        if job.showsSecrets, !local { line.keep(Self.publicNote) }
        if !local, let cost = await checkingCost(submission, node) { line.keep(cost) }
        if dryRun { return try await tellOffers(submission, node, console) }
        let accepted = try await node.submit(submission)
        if detach {
            if global.json { try console.json(accepted) } else { console.out(Terminal.safe(accepted.jobID) + "\n") }
            return .success
        }
        line.keep("job      \(accepted.jobID)\(accepted.isDuplicate ? " (submitted before)" : "")")
        let jobID = try JobReference.cid(accepted.jobID)
        if talks { return try await talk(with: jobID, node, console) }
        var follower = JobFollower(node: node, jobID: jobID, line: line)
        if global.json, !quiet, !local { follower.early = { notice in try? console.noteLine(notice) } }
        let lines = LogLines(console: console, line: line)
        let watch =
            showsLive
            ? OutputWatch(node: node, jobID: jobID) {
                lines.show($0)
            } note: {
                lines.note($0)
            } : nil
        switch try await follower.follow(watching: watch) {
        case .left(let number) where local:
            return ExitCode(ExitStatus.signalled(number))
        case .left(let number):
            if global.json {
                try console.json(accepted)
            } else {
                console.note(
                    "The job was asked to end and is left to itself; see it with mesh explain "
                        + "\(Readable.short(accepted.jobID)).")
            }
            return ExitCode(ExitStatus.signalled(number))
        case .ended(let result):
            line.endModulesLine()
            return try await report(
                local ? localWords.of(result) : result, accepted.jobID, node, console,
                live: watch.map { ($0.all, lines) })
        }
    }

    /// Whether what the module writes is shown at once: on a terminal; elsewhere it has to be what the receipt names.
    private var showsLive: Bool {
        !global.json && Terminal.isInteractive(STDOUT_FILENO) && Terminal.isInteractive(STDERR_FILENO)
            && !outputs.contains { $0.name == "stdout" || $0.name == "stderr" }
    }

    /// Says who would run the job, and for how much.
    private func tellOffers(
        _ submission: JobSubmission, _ node: some NodeService, _ console: Console
    ) async throws -> ExitCode {
        let view = try await node.offers(for: submission)
        if global.json {
            try console.json(view)
        } else {
            let text = OffersText(view: view)
            if !view.offers.isEmpty { console.out(text.table) }
            for line in view.job.map(text.summary) ?? [] { console.note(line) }
        }
        return ExitCode((view.offers.contains(where: \.isAble) ? ExitStatus.success : .noExecutor).rawValue)
    }

    /// Talks with the job until its end, or until the user leaves it.
    private func talk(with jobID: CID, _ node: some NodeService, _ console: Console) async throws -> ExitCode {
        let runner = SessionRunner(node: node, jobID: jobID, console: console, isRaw: terminal)
        switch try await runner.run() {
        case .left(let code): return code
        case .ended(let result):
            try await runner.showRest(of: result)
            return try await report(
                local ? localWords.of(result) : result, jobID.text, node, console, isShown: true)
        }
    }

    /// What a module needs to know of a terminal, unless the user says otherwise.
    private static func terminalEnvironment(besides given: [NamedText]) -> [NamedText] {
        var size = winsize()
        guard ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0 else { return [] }
        let known = [
            ("TERM", ProcessInfo.processInfo.environment["TERM"] ?? ""), ("COLUMNS", "\(size.ws_col)"),
            ("LINES", "\(size.ws_row)"),
        ]
        return known.filter { item in !item.1.isEmpty && !given.contains { $0.name == item.0 } }
            .map { NamedText(name: $0.0, text: $0.1) }
    }

    /// What checking the result may cost this node, before the job is submitted; nil if it is not checked.
    private func checkingCost(_ submission: JobSubmission, _ node: some NodeService) async -> String? {
        var check = submission.verification
        if check == nil { check = try? await node.limits().verification }
        guard let check, JobSubmission.mayReplay(check) else { return nil }
        // A budget of credit is in parts of a unit that only the issuer tells.
        let budget = submission.policy.payBy == nil && submission.policy.token == nil ? submission.budget : nil
        return Self.checkingCost(check, submission.limits, budget: budget)
    }

    /// The same, in words.
    static func checkingCost(_ check: String, _ limits: JobSubmission.Limits, budget: UInt64? = nil) -> String {
        let usual = JobSubmission.Limits.standard
        let fuel = Readable.count(limits.maxFuel ?? usual.maxFuel ?? 0)
        let memory = Readable.bytes(limits.maxMemoryBytes ?? usual.maxMemoryBytes ?? 0)
        let seconds = Readable.count(2 * (limits.timeoutSeconds ?? usual.timeoutSeconds ?? 0))
        if let (agreeing, all) = JobSubmission.executors(check) {
            let most = budget.map { ", together at most \(Readable.count(min($0, .max / all) * all)) tokens" } ?? ""
            return "check    \(all) executors run the job, each for its own price\(most); the result counts once all "
                + "gave the same. If not, this node runs it again: at most \(fuel) fuel, \(memory), \(seconds) s for "
                + "each. Who is proved wrong is not paid; where this node cannot run it, \(agreeing) have to agree, "
                + "and the others, or else all, are not paid"
        }
        if JobSubmission.isByExecutor(check) {
            let most = budget.map { ", at most \(Readable.count($0)) tokens" } ?? ""
            return "check    another executor may run the job again (\(check)) before the result counts, for its own "
                + "price\(most). If nobody does, the two differ, or this node does not know either, it runs it "
                + "itself: at most \(fuel) fuel, \(memory), \(seconds) s for each; where it cannot, a third executor "
                + "decides, for its price\(most). Who is proved wrong is not paid"
        }
        let when = check == "replay" ? "this node runs the job again" : "this node may run the job again (\(check))"
        return "check    \(when) before the result counts: at most \(fuel) fuel, \(memory), \(seconds) s; a result "
            + "that is not borne out is not paid"
    }

    /// Said once, where something of the user's goes with the job.
    static let publicNote =
        "note     whoever runs the job sees its environment and files, and whoever has its ID can get them; keep "
        + "secrets out"

    /// Passes on what the job wrote, then says how it ended.
    private func report(
        _ result: JobResult, _ jobID: String, _ node: some NodeService, _ console: Console, isShown: Bool = false,
        live: (shown: ShownOutput, lines: LogLines)? = nil
    ) async throws -> ExitCode {
        let written = JobOutputs.all(of: result)
        let stdout = try await bytes(result.stdoutCID, node)
        let stderr = try await bytes(result.stderrCID, node)
        let collected = job.files.collected(besides: job.taken(outputs))
        let missing = (outputs.map(\.name) + collected.map(\.name)).filter { name in
            !written.contains { $0.name == name }
        }
        let ending = live.map { EndOfOutput(output: stdout, error: stderr, attempt: result.attempt, shown: $0.shown) }
        var exit =
            local
            ? RunExit.ofLocal(result, isOutputMissing: !missing.isEmpty)
            : RunExit(result, isOutputMissing: !missing.isEmpty)
        if ending?.verdict == .differs { exit = .ofLies }
        let returned = try await returned(result, node)
        if global.json {
            let files = try await writeCollected(collected, of: result, node, console)
            try console.json(
                RunReport(
                    jobID: jobID, exit: exit, result: result, stdout: String(validating: stdout, as: UTF8.self),
                    stderr: String(validating: stderr, as: UTF8.self), missingOutputs: missing,
                    collected: files, returned: returned, isLocal: local ? true : nil))
        } else {
            if let ending {
                live?.lines.show(ending)
            } else if !isShown {
                if !isSentElsewhere(result.stderrCID, "stderr", written) { console.data(stderr, to: STDERR_FILENO) }
                if !isSentElsewhere(result.stdoutCID, "stdout", written) { console.data(stdout) }
            }
            if let returned, !outputs.contains(where: { $0.name == JobSubmission.resultName }) {
                console.data(Array(returned.map { Terminal.safe($0) + "\n" }.joined().utf8))
            }
            if !quiet {
                for line in local ? Self.localSummary(result) : Self.summary(result) {
                    console.note(Terminal.safe(line))
                }
            }
        }
        try await write(written, node)
        if !global.json { try await tellCollected(collected, of: result, node, console) }
        // What never ran cannot have written anything.
        for name in missing
        where !global.json && result.receiptCID != nil && !collected.contains(where: { $0.name == name }) {
            console.note(Terminal.safe(JobOutputs.absence(of: name, among: written.map(\.name))))
        }
        if result.ending != .succeeded, !global.json {
            console.note("mesh: \(Terminal.safe(Self.sentence(result)))")
        }
        return ExitCode(exit.status)
    }

    /// What the function returned that the job calls, if it does: one text for each number.
    private func returned(_ result: JobResult, _ node: some NodeService) async throws -> [String]? {
        guard job.invoke != nil else { return nil }
        let output = result.outputs.first { $0.name == JobSubmission.resultName }
        return try await String(decoding: bytes(output?.cid, node), as: UTF8.self).split(separator: "\n").map(
            String.init)
    }

    private func bytes(_ cid: String?, _ node: some NodeService) async throws -> [UInt8] {
        guard let cid else { return [] }
        return try await node.get(JobReference.cid(cid))
    }

    /// Whether an --output says where what the module wrote to a stream goes.
    private func isSentElsewhere(_ cid: String?, _ name: String, _ written: [OutputReport.Output]) -> Bool {
        outputs.contains { $0.name == name } && written.contains { $0.name == name && $0.cid == cid }
    }

    /// Writes the requested outputs that are there.
    private func write(_ written: [OutputReport.Output], _ node: some NodeService) async throws {
        for wanted in outputs {
            guard let output = written.first(where: { $0.name == wanted.name }) else { continue }
            let contents = try await bytes(output.cid, node)
            do {
                try LocalFile.write(contents, to: wanted.path)
            } catch var error as LocalFileError {
                error.hint = "The job is done and paid; get the output with mesh get \(output.cid) -o FILE."
                throw error
            }
        }
    }

    /// What a user wants to know about a job that ended.
    static func summary(_ result: JobResult) -> [String] {
        var lines = result.outputs.map { "output   \($0.name) \($0.cid)" }
        if let receipt = result.receiptCID {
            lines.append("receipt  \(receipt)\(result.isReceiptVerified ? "" : " (not verified)")")
        }
        var facts: [String] = []
        if let fuel = result.fuel { facts.append("\(Readable.count(fuel)) fuel") }
        if let memory = result.peakMemoryBytes { facts.append("\(Readable.bytes(memory)) memory") }
        if let wall = result.wallMilliseconds { facts.append("ran \(Readable.duration(milliseconds: wall))") }
        if let finding = result.finding, finding != "unchecked" { facts.append(checked(finding)) }
        if let paid = result.paid.map({ Readable.price($0, result.unit, result.decimals) }) {
            facts.append(result.unit == nil ? "paid \(paid)" : "\(paid) due by credit")
        }
        if result.attempts > 1 { facts.append("attempt \(result.attempts)") }
        if let executor = result.executorDID {
            facts.append(result.isOwnRun == true ? "by this node itself" : "by \(Readable.short(executor))")
        }
        if !facts.isEmpty { lines.append("used     " + facts.joined(separator: ", ")) }
        return lines
    }

    /// What the check of a result found, in words; one of a later version as it is called.
    private static func checked(_ finding: String) -> String {
        switch finding {
        case "confirmed": "checked by a second run here"
        case "agreed": "checked by comparison: other executors gave the same"
        case "fuel_unknown": "checked by a second run here, but for the fuel of another engine"
        case "waived": "not checked, because its owner ended that"
        case "unverified": "not checked, because that could not be done"
        default: "check: \(finding)"
        }
    }

    /// What went wrong, and what to do next; with a job's ID for those who do not have its standard error before them.
    static func sentence(_ result: JobResult, of jobID: String? = nil) -> String {
        if result.ending == .cancelled { return "The job was cancelled; nothing more will happen to it." }
        let hint = result.hint ?? advice(result, of: jobID)
        let detail = result.detail.isEmpty ? result.ending.rawValue : result.detail
        let sentence = detail.hasSuffix(".") ? detail : detail + "."
        return "The job failed: \(sentence)" + (hint.isEmpty ? "" : " \(hint)")
    }

    /// What to do next, by how the job ended; empty if there is nothing.
    private static func advice(_ result: JobResult, of jobID: String?) -> String {
        switch result.ending {
        case .succeeded: ""
        case .exitedNonZero where result.exitCode.map { !(0...ExitStatus.moduleCodeMax).contains($0) } ?? false:
            "mesh exits with \(ExitStatus.moduleCodeMax), since larger codes are not the module's."
        case .exitedNonZero, .trapped: result.stderrCID == nil ? "" : standardError(of: jobID)
        case .limitExceeded: raising(result.limit)
        case .moduleRefused: "Build the module for wasm32-wasi preview 1 and the mesh's own imports."
        case .filesRefused: "Mount files and folders that mesh add made, and collect what fits the job's limits."
        case .cancelled: ""
        case .noBids:
            "Join a mesh with mesh connect ADDRESS, start one on this machine with mesh devnet, or let this node "
                + "run jobs itself: stop it and start it with mesh up --executor, or set \"enabled\" under "
                + "\"executor\" in its config.json and restart it; mesh peers shows who is there."
        case .noAcceptableBid: "Raise --budget or loosen the policy; mesh explain last tells every bid."
        case .crashesEngine: "Try it with mesh run --local; mesh explain last tells where it crashed."
        case .executorsFailed, .fetchFailed: "Run it again; mesh explain last tells what was tried."
        case .deadlinePassed: "Give it a longer --timeout, or run it again."
        case .insufficientFunds:
            "Lower --max-fuel, from which the price that must be held follows, or wait for holds to end; see mesh "
                + "wallet."
        case .receiptInvalid: "Nothing was paid; run it again."
        case .unverified: "Nothing was paid; mesh explain last tells what was checked and found."
        }
    }

    /// Where a job's standard error is to be read.
    private static func standardError(of jobID: String?) -> String {
        guard let jobID else { return "Its standard error above may say why." }
        return "mesh outputs \(Readable.short(jobID)) --output stderr=- prints its standard error, which may say why."
    }
}

extension Run {
    /// What to do about a limit that stopped the module.
    private static func raising(_ limit: String?) -> String {
        switch limit {
        case "fuel": "Raise it with --max-fuel, or give the module less to do."
        case "memory": "Raise it with --max-memory, or give the module less to do."
        case "output": "Raise it with --max-output, or let the module write less."
        case "wall_clock": "Raise it with --timeout, or give the module less to do."
        case "idle": "Raise it with --idle or --waiting, or answer sooner."
        case "stack", "table": "The node sets it: change the module so that it needs less."
        default: "Raise it (--max-fuel, --max-memory, --max-output or --timeout), or give the module less to do."
        }
    }
}

/// The exit code of `mesh run`, and whose it is.
struct RunExit: Encodable {
    /// Whose code it is.
    enum Source: String, Encodable {
        /// The module's: it ran to its end.
        case module
        /// The mesh's: the module gave no code, or a requested output is missing.
        case mesh
    }

    let status: Int32
    let source: Source

    /// The end of a run with `--local`, which asked nobody else: what it may not have is too large, else it failed.
    static func ofLocal(_ result: JobResult, isOutputMissing: Bool) -> RunExit {
        guard result.ending == .noBids || result.ending == .noAcceptableBid else {
            return RunExit(result, isOutputMissing: isOutputMissing)
        }
        let isTooLarge = result.executors?.reasons.contains { $0.asked != nil } ?? false
        return RunExit(status: (isTooLarge ? ExitStatus.tooLarge : .executorsFailed).rawValue, source: .mesh)
    }

    /// Of a job of which something else was shown while it ran than its receipt names.
    static let ofLies = RunExit(status: ExitStatus.liveOutputDiffers.rawValue, source: .mesh)

    private init(status: Int32, source: Source) { (self.status, self.source) = (status, source) }

    init(_ result: JobResult, isOutputMissing: Bool) {
        let own = ExitStatus.moduleCode(of: result)
        if own == 0, isOutputMissing {
            (status, source) = (ExitStatus.outputMissing.rawValue, .mesh)
        } else {
            (status, source) = (ExitStatus.code(for: result), own == nil ? .mesh : .module)
        }
    }
}

/// The end of a run, as JSON.
struct RunReport: Encodable {
    let jobID: String
    let exit: RunExit
    let result: JobResult
    /// Nil if it is not text.
    let stdout: String?
    let stderr: String?
    let missingOutputs: [String]
    /// What was collected and written here.
    var collected: [WrittenOutput] = []
    /// What the function returned that was called with --invoke; absent without it.
    var returned: [String]?
    /// True if it ran here, with `--local`, else absent.
    var isLocal: Bool?

    private enum CodingKeys: String, CodingKey {
        case exit, result, stdout, stderr, collected, returned
        case isLocal = "local"
        case jobID = "job_id"
        case missingOutputs = "missing_outputs"
    }
}

// What `mesh run --local` has of its own.
extension Run {
    /// Refuses what has no meaning without other nodes.
    func checkLocal() throws {
        let forOthers: [(option: String, isGiven: Bool)] =
            [
                ("--detach", detach), ("--budget", job.budget != nil), ("--verify", job.verify != nil),
                ("--idempotency-key", job.idempotencyKey != nil), ("--pay-by", !job.payBy.isEmpty),
                ("--token", job.token != nil),
            ] + job.policy.given.map { ($0, true) }
        if let given = forOthers.first(where: \.isGiven) {
            throw ValidationError("--local asks no other node, so \(given.option) means nothing with it.")
        }
        let sources = ([module, job.stdin].compactMap(\.self) + job.inputs.map(\.path))
        if let cid = sources.first(where: LocalFile.isCID) {
            throw ValidationError("--local takes files, and \(cid) is a CID; mesh get \(cid) -o FILE makes one of it.")
        }
        if let mount = (job.files.folders + job.files.files).first(where: \.namesContent) {
            throw ValidationError(
                "--local takes files and folders, and \(mount.source) is a CID; mesh get \(mount.source) -o PATH makes "
                    + "one of it.")
        }
    }

    /// What a user wants to know about a job that ran here.
    static func localSummary(_ result: JobResult) -> [String] {
        var result = result
        let hasReceipt = result.receiptCID != nil
        (result.receiptCID, result.paid, result.executorDID) = (nil, nil, nil)
        let lines = summary(result)
        return hasReceipt ? lines + ["receipt  local: nobody else took part, and it is not kept"] : lines
    }

    /// The words of a run with `--local`.
    var localWords: LocalWords {
        let path = global.nodeHome.configurationPath
        return LocalWords(configuration: FileManager.default.fileExists(atPath: path) ? path : nil)
    }
}
