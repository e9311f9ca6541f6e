import ArgumentParser
import Foundation
import Multiformats
import NodeAPI

/// The options that describe a job.
struct JobOptions: ParsableArguments {
    @Option(
        name: .customLong("stdin"),
        help: ArgumentHelp(
            "Standard input: a file, the CID of an added one, or - for this command's own.", valueName: "source"),
        completion: .file())
    var stdins: [String] = []

    @Option(
        name: .customLong("input"),
        help: ArgumentHelp(
            "Input NAME from a file or CID, as NAME=FILE, NAME=CID or NAME=-; may be given several times. What reads "
                + "as a CID is one, unless a file of that name is there; ./NAME is always a file.",
            valueName: "name=source"),
        transform: NamedPath.reading("NAME=FILE, NAME=CID or NAME=-"))
    var inputs: [NamedPath] = []

    @Option(
        name: .customLong("arg"), parsing: .unconditionalSingleValue, help: "An argument; may be given several times.")
    var args: [String] = []

    @Option(
        help: ArgumentHelp(
            "An environment variable, as NAME=VALUE; may be given several times.", valueName: "name=value"),
        transform: NamedPath.reading("NAME=VALUE"))
    var env: [NamedPath] = []

    @OptionGroup(title: "Files")
    var files: JobFileOptions

    @OptionGroup(title: "Choice of the executor")
    var policy: PolicyOptions

    @Option(
        help: ArgumentHelp(
            "Pay by the credit of this issuer, where this node is a member, instead of tokens: only executors that "
                + "trust it bid. May be given up to 4 times, for issuers of one unit. --budget is needed, and counts "
                + "the unit's smallest part: with 2 decimals, 250 are 2.50.",
            valueName: "did"))
    var payBy: [String] = []

    @Option(
        help: ArgumentHelp(
            "Pay by this token, at the cost of the line of who gave it, instead of --pay-by: the job keeps to its "
                + "scope. mesh token list shows those that are here. --budget is needed, as with --pay-by.",
            valueName: "cid"))
    var token: String?

    @Option(help: ArgumentHelp("The function to call; by default _start.", valueName: "function"))
    var entry: String?

    @Option(
        help: ArgumentHelp(
            "Call this function with the arguments as numbers (i32, i64, f32, f64) and print what it returns; those "
                + "that begin with - go behind --. mesh check lists a module's functions.",
            valueName: "function"))
    var invoke: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The most fuel, for example 5000000, 5M or 2G; by default \(Self.usualFuel).", valueName: "fuel"),
        transform: Quantity.count)
    var maxFuel: Quantity?

    @Option(
        help: ArgumentHelp(
            "The most memory, in bytes or for example 64Mi or 1.5GiB; by default \(Self.usualMemory).",
            valueName: "size"),
        transform: Quantity.bytes)
    var maxMemory: Quantity?

    @Option(
        help: ArgumentHelp(
            "The most output, in bytes or for example 512k or 1Mi; by default \(Self.usualOutput).", valueName: "size"),
        transform: Quantity.bytes)
    var maxOutput: Quantity?

    @Option(
        help: ArgumentHelp(
            "The most wall clock, in seconds or for example 90s, 10m or 2h; by default "
                + "\(Self.usualTime).", valueName: "time"),
        transform: Quantity.seconds)
    var timeout: UInt64?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The most tokens to pay; bids above it are refused. What a job may cost follows from "
                + "--max-fuel; without it, any bid is taken.", valueName: "tokens"),
        transform: Quantity.whole("a number of tokens"))
    var budget: UInt64?

    @Option(
        help: ArgumentHelp(
            "How to check the result before it counts and is paid: none, spot:10% (this node runs the job again with "
                + "that probability), replay (always), adaptive (the more seldom the more of the executor's results "
                + "were right) or quorum:2/3 (three executors run it and are paid; if they differ, this node runs it, "
                + "too, or two have to agree). With @executor behind spot, replay or adaptive, another executor makes "
                + "the second run and is paid for it. No manifest tells. By default what config.json says.",
            valueName: "check"),
        transform: { text in
            guard let check = JobSubmission.verification(text) else {
                throw ValidationError(
                    "write it as none, spot:10%, replay, adaptive, any of the last three with @executor, or "
                        + "quorum:2/3; a share is from 0.1% to 100%, and a quorum more than half of at most 8.")
            }
            return check
        })
    var verify: String?

    @Flag(
        help: ArgumentHelp(
            "Give the module its executor's own clock and random numbers. Nobody can repeat such a run, so its result "
                + "is the executor's word, and every --verify but none is refused."))
    var attested = false

    @Option(help: ArgumentHelp("What to call the job; by default the name of the module's file.", valueName: "text"))
    var label: String?

    @Option(
        help: ArgumentHelp(
            "A key that makes submitting again harmless: the same key submits once.", valueName: "key"))
    var idempotencyKey: String?

    /// What standard input is read from.
    var stdin: String? { stdins.first }

    /// Refuses combinations that make no sense.
    func check(module: String) throws {
        guard stdins.count <= 1 else {
            throw ValidationError("--stdin was given \(stdins.count) times; a job has one standard input.")
        }
        let names = (stdin == nil ? [] : ["stdin"]) + inputs.map(\.name)
        guard Set(names).count == names.count else { throw ValidationError("Every input needs a name of its own.") }
        let streams = ([module, stdin].compactMap(\.self) + inputs.map(\.path)).count { $0 == LocalFile.stream }
        guard streams <= 1 else {
            throw ValidationError("Only one of module and inputs can come from standard input.")
        }
        try files.check()
        try policy.check()
        if entry != nil, invoke != nil {
            throw ValidationError("--entry begins a program and --invoke calls a function; a job does one of them.")
        }
        if invoke == "" { throw ValidationError("--invoke must name a function of the module.") }
        if entry == "" { throw ValidationError("--entry must name a function of the module.") }
        if timeout == 0 { throw ValidationError("--timeout must be at least 1 second.") }
    }

    /// Adds module, inputs and files to the node, without telling how far it is, and describes the job.
    func submission(module: String, arguments: [String], on node: some NodeService) async throws -> JobSubmission {
        let line = TransferLine(Console(), quiet: true)
        return try await submission(module: module, arguments: arguments, on: node, line)
    }

    /// The names of outputs that are not free for what is collected: these, and that of a function's results.
    func taken(_ outputs: [NamedPath]) -> Set<String> {
        Set(outputs.map(\.name) + (invoke == nil ? [] : [JobSubmission.resultName]))
    }

    /// Whether what the user gave is readable for whoever runs the job.
    var showsSecrets: Bool { !env.isEmpty || files.hasContent }

    /// Adds module, inputs and files to the node and describes the job, which has outputs of these names besides those
    /// that are collected.
    func submission(
        module: String, arguments: [String], outputs: Set<String> = [], on node: some NodeService,
        _ line: TransferLine
    ) async throws -> JobSubmission {
        let isNameless = module == LocalFile.stream || LocalFile.isCID(module)
        var submission = JobSubmission(moduleCID: try await Self.moduleCID(module, on: node))
        submission.entry = invoke ?? entry
        if invoke == nil {
            submission.args = args + arguments
        } else {
            submission.invoke = args + arguments
        }
        submission.env = env.map { NamedText(name: $0.name, text: $0.path) }
        if let stdin { submission.inputs.append(try await Self.input("stdin", stdin, on: node)) }
        for input in inputs { submission.inputs.append(try await Self.input(input.name, input.path, on: node)) }
        if !files.isEmpty { submission.files = try await files.added(besides: outputs, to: node, line) }
        submission.limits = JobSubmission.Limits(
            timeoutSeconds: timeout, maxFuel: maxFuel?.value, maxMemoryBytes: maxMemory?.value,
            maxOutputBytes: maxOutput?.value)
        submission.budget = budget
        submission.policy = policy.policy()
        if !payBy.isEmpty { submission.policy.payBy = payBy }
        submission.policy.token = token
        submission.verification = verify
        // Where programs that trace themselves leave their span to those that they start.
        submission.traceparent = ProcessInfo.processInfo.environment["TRACEPARENT"]
        submission.determinism = attested ? JobSubmission.attested : nil
        submission.label = label ?? (isNameless ? nil : URL(filePath: module).lastPathComponent)
        submission.idempotencyKey = idempotencyKey
        return submission
    }

    private static func moduleCID(_ module: String, on node: some NodeService) async throws -> String {
        if LocalFile.isCID(module) { return module }
        return try await LocalFile.addModule(module, to: node).cid
    }

    private static func input(_ name: String, _ source: String, on node: some NodeService) async throws -> NamedText {
        NamedText(name: name, text: try await cid(of: source, on: node))
    }

    /// The CID of a file that is added, or the CID that the source is.
    private static func cid(of source: String, on node: some NodeService) async throws -> String {
        if LocalFile.isCID(source) { return source }
        return try await LocalFile.add(source, to: node).cid
    }
}

extension CID {
    /// Whether a text is a CID.
    static func isText(_ text: String) -> Bool { (try? CID(parsing: text)) != nil }
}

/// `NAME=VALUE` on the command line.
struct NamedPath: Hashable {
    let name: String
    let path: String

    /// Reads one; an error says the form that is allowed.
    static func reading(_ form: String) -> @Sendable (String) throws -> NamedPath {
        { text in
            guard let read = NamedPath(argument: text) else {
                throw ValidationError("write it as \(form), with a name before the \"=\".")
            }
            return read
        }
    }

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else { return nil }
        name = String(argument[..<equals])
        path = String(argument[argument.index(after: equals)...])
    }
}
