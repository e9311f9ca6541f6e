import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import MeshTypes
import Multiformats
import NodeAPI
import Workflows

/// `mesh map`: one job for each of many files.
struct Map: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a module once for each of many files, and list what came of each.",
        discussion: """
            Each file is the standard input of a job of its own; {item} in the arguments is its name:

              mesh map wc.wasm --each 'data/*.csv' -- --title {item}

            The table has each file's exit code, job and standard output; the output named stdout is a folder with all \
            of them, for mesh get. It is a workflow (mesh workflow show, cancel, resume): files that failed are run \
            again by mesh workflow resume. The exit code is 0 if every file is done, 217 if one failed.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(
        help: ArgumentHelp(
            "The files: a pattern with *, ? and [a-z], in quotes, or one path; may be given several times.",
            valueName: "pattern"),
        completion: .file())
    var each: [String]

    @Option(help: "Jobs at the same time, 1 to 256; by default 32.", transform: Quantity.whole("a number of jobs"))
    var parallel: UInt64?

    @Option(
        help: "How often a job is repeated that the mesh failed, 0 to 16; by default 2.",
        transform: Quantity.whole("a number of repetitions"))
    var retries: UInt64 = 2

    @Option(
        help: ArgumentHelp("The most tokens to pay for one job.", valueName: "tokens"),
        transform: Quantity.whole("a number of tokens"))
    var budget: UInt64?

    @Option(
        help: ArgumentHelp("The most fuel of one job, for example 5M or 2G.", valueName: "fuel"),
        transform: Quantity.count)
    var maxFuel: Quantity?

    @Option(
        help: ArgumentHelp("The most memory of one job, for example 64Mi or 1.5GiB.", valueName: "size"),
        transform: Quantity.bytes)
    var maxMemory: Quantity?

    @Option(
        help: ArgumentHelp("The most output of one job, for example 512k or 1Mi.", valueName: "size"),
        transform: Quantity.bytes)
    var maxOutput: Quantity?

    @Option(
        help: ArgumentHelp(
            "An environment variable, as NAME=VALUE; may be given several times. {item} is the file's name.",
            valueName: "name=value"),
        transform: NamedPath.reading("NAME=VALUE"))
    var env: [NamedPath] = []

    @Option(
        help: ArgumentHelp("The most wall clock of one job, for example 90s or 10m.", valueName: "time"),
        transform: Quantity.seconds)
    var timeout: UInt64?

    @Option(
        help: ArgumentHelp(
            "How results are checked before they are paid, as in mesh run; by default as the node is set.",
            valueName: "check"),
        transform: { text in
            guard let check = JobSubmission.verification(text) else {
                throw ValidationError(
                    "write it as none, spot:10%, replay, adaptive, any of the last three with @executor, or "
                        + "quorum:2/3; a share is from 0.1% to 100%.")
            }
            return check
        })
    var verify: String?

    @Option(
        help: ArgumentHelp(
            "Which earlier results serve in place of a run: off, own (checked here), trusted; by default off.",
            valueName: "rule"))
    var memo: MemoRule?

    @OptionGroup(title: "Choice of the executors")
    var policy: PolicyOptions

    @Flag(help: "Print nothing about its progress.")
    var quiet = false

    @Argument(help: "The module: a file, or the CID of an added one.", completion: .file())
    var module: String

    @Argument(help: "Arguments for the module, after --.")
    var arguments: [String] = []

    func validate() throws {
        guard !each.isEmpty else { throw ValidationError("--each must name the files.") }
        try policy.check()
        guard Set(env.map(\.name)).count == env.count else { throw ValidationError("--env names each thing once.") }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let quiet = quiet || global.json
        let files = try Self.files(each)
        let cid = LocalFile.isCID(module) ? module : try await LocalFile.addModule(module, to: node).cid
        var stage = StageDefinition(id: "each", module: cid)
        (stage.args, stage.retries, stage.jobBudget) = (arguments, retries, budget)
        (stage.verification, stage.memo) = (verify, memo)
        stage.policy = StagePolicy(policy.policy())
        stage.env = CanonicalMap(env.map { ($0.name, $0.path) })
        (stage.limits.maxFuel, stage.limits.timeoutSeconds) = (maxFuel?.value, timeout)
        (stage.limits.maxMemoryBytes, stage.limits.maxOutputBytes) = (maxMemory?.value, maxOutput?.value)
        let folder = try await Self.folder(of: files, on: node, TransferLine(console, quiet: quiet))
        let name = String(URL(filePath: module).lastPathComponent.prefix(WorkflowLimits().nameBytesMax / 2))
        let definition = WorkflowDefinition.map(stage, over: folder.text, name: name, parallel: parallel)
        await WorkflowChecks.tell(definition, on: node, quiet: quiet, console)
        let begun = try await node.begin(WorkflowSubmission(definition: definition, key: UUID().uuidString))
        return try await WorkflowGroup.follow(
            begun, on: node, global, quiet: quiet, withItems: true, asksForAll: true, console)
    }

    /// The files that patterns name, by their own names.
    static func files(_ patterns: [String]) throws -> [(name: String, path: String)] {
        var files: [(name: String, path: String)] = []
        var paths: [String: String] = [:]
        for pattern in patterns {
            for path in try fitting(pattern) {
                let name = URL(filePath: path).lastPathComponent
                if paths[name] == path { continue }
                guard paths.updateValue(path, forKey: name) == nil else {
                    throw LocalFileError(
                        path: path, reason: "another file of the name \(name) is among the items",
                        hint: "Run mesh map once for each folder.")
                }
                files.append((name, path))
            }
        }
        let most = WorkflowLimits().itemsMax
        guard files.count <= most else {
            throw NodeServiceError(
                .tooLarge, "The patterns name \(files.count) files, more than \(most).",
                hint: "Run mesh map several times.")
        }
        return files
    }

    // SAFETY: `glob` fills the structure, whose list of paths is read before `globfree` gives it back.
    private static func fitting(_ pattern: String) throws -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0, let list = found.gl_pathv else {
            throw LocalFileError(
                path: pattern, reason: "no file fits", hint: "Check the pattern, which needs quotes in a shell.")
        }
        return (0..<Int(found.gl_pathc)).compactMap { index in list[index].map { String(cString: $0) } }
    }

    /// A folder of the files at the node.
    private static func folder(
        of files: [(name: String, path: String)], on node: some NodeService, _ line: TransferLine
    ) async throws -> CID {
        defer { line.clear() }
        var entries: [UnixFSEntry] = []
        for (name, path) in files {
            let sent = try await FolderUpload(to: node, progress: { line.show($0) }).send(path)
            guard sent.folders == 0 else {
                throw LocalFileError(path: path, reason: "a folder", hint: "Let the pattern name files alone.")
            }
            entries.append(UnixFSEntry(name: Array(name.utf8), cid: sent.root, totalBytes: sent.bytes))
        }
        let (directory, blocks) = try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
        for first in stride(from: 0, to: blocks.count, by: FolderUpload.Limits().batchBlocks) {
            let batch = blocks[first..<min(blocks.count, first + FolderUpload.Limits().batchBlocks)]
            try await node.put(batch.map { ContentBlock(cid: $0.cid, bytes: $0.bytes) })
        }
        _ = try await node.pin(directory.cid, fetching: false)
        return directory.cid
    }
}

extension StagePolicy {
    /// The policy of all of a stage's jobs.
    init(_ policy: JobSubmission.Policy) {
        self.init()
        minReputation = policy.minReputation
        regions = policy.regions
        (allowedDIDs, deniedDIDs) = (policy.allowedDIDs, policy.deniedDIDs)
        (bidWindowMilliseconds, sufficientBids) = (policy.bidWindowMilliseconds, policy.sufficientBids)
        features = policy.requiredFeatures
        resources = policy.resources.map { ResourceAmounts($0.map { ($0.name, $0.amount) }) }
        (deadline, maxAttempts) = (policy.deadline, policy.maxAttempts)
        weights = policy.weights.map {
            SelectionWeights(
                price: $0.price ?? 0, reputation: $0.reputation ?? 0, region: $0.region ?? 0,
                latency: $0.latency ?? 0, load: $0.load ?? 0)
        }
        (publicBids, publicStatus, hedge) = (policy.publicBids, policy.publicStatus, policy.hedge)
    }
}
