import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import Workflows

extension WorkflowGroup {
    /// `mesh workflow run`.
    struct Start: MeshCommand {
        static let configuration = CommandConfiguration(
            commandName: "run",
            abstract: "Run a workflow: add what it reads, begin it, and follow it to its end.",
            discussion: """
                The node carries the workflow on, whether this command follows it or not, and after a restart too. \
                Ctrl-C cancels every job of it; a second Ctrl-C leaves at once. The exit code is 0 if every stage \
                succeeded or was skipped, 217 if one failed, 214 if it was cancelled.
                """)

        @OptionGroup var global: GlobalOptions

        @Option(
            help: ArgumentHelp(
                "A key that makes beginning again harmless: the same key begins once.", valueName: "key"))
        var key: String?

        @Option(
            help: ArgumentHelp(
                "Which earlier results serve in place of a run: off, own (checked here), trusted; by default as the "
                    + "definition says.", valueName: "rule"))
        var memo: MemoRule?

        @Flag(help: "Print the workflow's ID once it is durable, and do not wait for it.")
        var detach = false

        @Flag(help: "Print nothing about its progress.")
        var quiet = false

        @Argument(help: "The definition, in YAML or JSON; - for standard input.", completion: .file())
        var file: String

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let quiet = quiet || global.json
            var definition = try await DefinitionFile(file).definition().resolved(
                besides: file, on: node, TransferLine(console, quiet: quiet))
            if let memo { definition.serve(memo) }
            await WorkflowChecks.tell(definition, on: node, quiet: quiet, console)
            let begun = try await node.begin(
                WorkflowSubmission(definition: definition, key: key ?? UUID().uuidString))
            if detach {
                if global.json { try console.json(begun) } else { console.out(Terminal.safe(begun.workflowID) + "\n") }
                return .success
            }
            return try await WorkflowGroup.follow(begun, on: node, global, quiet: quiet, console)
        }
    }

    /// `mesh workflow ls`.
    struct List: MeshCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the workflows of this node, the newest first.")

        @OptionGroup var global: GlobalOptions

        @Option(help: "How many, from 1 to 1000; by default 20.", transform: Quantity.number("from 1 to 1000"))
        var limit = 20

        func perform(_ console: Console) async throws -> ExitCode {
            let workflows = try await global.node.workflows(limit: min(max(1, limit), 1_000))
            if global.json {
                try console.json(workflows)
                return .success
            }
            if workflows.isEmpty { console.note("No workflows yet; begin one with mesh workflow run.") }
            let now = UInt64(Date().timeIntervalSince1970 * 1_000)
            var table = Table([("WORKFLOW", .left), ("BEGUN", .right), ("STATUS", .left), ("NAME", .left)])
            for workflow in workflows {
                table.add([
                    Readable.short(workflow.workflowID), Readable.ago(workflow.submittedAt, now: now),
                    workflow.status.rawValue, workflow.name,
                ])
            }
            if !workflows.isEmpty { console.out(table.text) }
            return .success
        }
    }

    /// `mesh workflow show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a workflow: its stages, what they cost, and with --items every job.")

        @OptionGroup var global: GlobalOptions

        @Flag(help: "Show every item with its exit code, its job and its standard output.")
        var items = false

        @Argument(help: ArgumentHelp(WorkflowGroup.help))
        var workflow = "last"

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let id = try await WorkflowGroup.resolve(workflow, on: node)
            let view = try await node.workflow(id)
            let all = items ? try await node.allItems(of: id) : []
            if global.json {
                try console.json(Shown(workflow: view, items: items ? all : nil))
                return .success
            }
            console.out(WorkflowWords.page(view))
            if items { console.out("\n" + WorkflowWords.items(all)) }
            return .success
        }

        /// A workflow and its items, for `--json`.
        struct Shown: Encodable {
            let workflow: WorkflowView
            let items: [WorkflowItemView]?
        }
    }

    /// `mesh workflow cancel`.
    struct Stop: MeshCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel", abstract: "Cancel a workflow: every job of it that runs.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp(WorkflowGroup.help))
        var workflow: String

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let view = try await node.obey(.cancel, of: WorkflowGroup.resolve(workflow, on: node))
            if global.json { try console.json(view) } else { console.out(WorkflowWords.page(view)) }
            return .success
        }
    }

    /// `mesh workflow resume`.
    struct GoOn: MeshCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume",
            abstract: "Run again what failed of a workflow, and what was not run; what is done stays.",
            discussion:
                "It is followed to its end as by mesh workflow run. Of one that mesh map began every item counts, as "
                + "there: the exit code is 217 if one failed again.")

        @OptionGroup var global: GlobalOptions

        @Flag(help: "Print nothing about its progress.")
        var quiet = false

        @Argument(help: ArgumentHelp(WorkflowGroup.help))
        var workflow: String

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let view = try await node.obey(.resume, of: WorkflowGroup.resolve(workflow, on: node))
            return try await WorkflowGroup.follow(
                view, on: node, global, quiet: quiet || global.json, asksForAll: view.isMap ?? false, console)
        }
    }

    /// Help for an argument that names a workflow.
    static let help = "The workflow's ID, its beginning or end of at least 4 characters, or last."

    /// The workflow that a text names, among the newest.
    static func resolve(_ text: String, on node: some NodeService) async throws -> CID {
        if let cid = try? CID(parsing: text) { return cid }
        let part = text.filter { $0 != "…" }
        let named = try await node.workflows(limit: 1_000).map(\.workflowID).filter { id in
            text == "last" || part.count >= 4 && (id.hasSuffix(part) || id.hasPrefix(part))
        }
        guard let first = named.first, text == "last" || named.count == 1 else {
            let count = named.isEmpty ? "no workflow" : "\(named.count) workflows"
            throw NodeServiceError(
                .jobNotFound, text == "last" ? "This node has no workflow yet." : "\"\(text)\" names \(count).",
                hint: text == "last"
                    ? "mesh workflow run and mesh map begin one." : "See mesh workflow ls for those of this node.")
        }
        return try JobReference.cid(first)
    }

    /// Follows a workflow to its end and says how it ended.
    ///
    /// - Parameter asksForAll: whether an item that a stage leaves out makes the exit code.
    static func follow(
        _ begun: WorkflowView, on node: some NodeService, _ global: GlobalOptions, quiet: Bool,
        withItems: Bool = false, asksForAll: Bool = false, _ console: Console
    ) async throws -> ExitCode {
        let line = LiveLine(console: console, quiet: quiet)
        line.keep("workflow \(begun.workflowID)")
        var follower = WorkflowFollower(node: node, id: try JobReference.cid(begun.workflowID), line: line)
        switch try await follower.follow() {
        case .left(let number): return ExitCode(ExitStatus.signalled(number))
        case .ended(let view):
            let items = withItems ? try await node.allItems(of: JobReference.cid(view.workflowID)) : nil
            if global.json {
                if let items {
                    try console.json(Show.Shown(workflow: view, items: items))
                } else {
                    try console.json(view)
                }
            } else {
                console.out(WorkflowWords.page(view))
                if let items { console.out("\n" + WorkflowWords.items(items)) }
            }
            switch view.status {
            case .succeeded:
                // Items that were left out are told where somebody asked for each of them.
                if !asksForAll || view.stages.allSatisfy({ $0.failed == 0 }) { return .success }
                if !global.json {
                    // What no job was made for has its reason only here.
                    let reason = items?.first { $0.phase == "failed" && $0.jobID == nil }?.reason
                    let why = reason.map { "No job was made of some: \(Terminal.safe($0))" }
                    console.note(
                        "mesh: not everything is done. \(why ?? "mesh explain JOB tells why one failed"); "
                            + "mesh workflow resume last runs again what failed.")
                }
                return ExitCode(ExitStatus.workflowFailed.rawValue)
            case .cancelled, .cancelling: return ExitCode(ExitStatus.jobCancelled.rawValue)
            case .failed, .failing, .running:
                if !global.json {
                    console.note(
                        "mesh: \(Terminal.safe(view.reason ?? "a stage failed")). mesh workflow show --items tells "
                            + "what failed; mesh workflow resume runs it again.")
                }
                return ExitCode(ExitStatus.workflowFailed.rawValue)
            }
        }
    }
}

extension WorkflowDefinition {
    /// The same with CIDs in place of paths, which are those of the file's folder: what they lead to is at the node
    /// then.
    func resolved(besides file: String, on node: some NodeService, _ line: TransferLine) async throws -> Self {
        let folder = file == LocalFile.stream ? URL(filePath: ".") : URL(filePath: file).deletingLastPathComponent()
        func path(_ source: String) -> String {
            source.hasPrefix("/") ? source : folder.appending(path: source).path(percentEncoded: false)
        }
        defer { line.clear() }
        var definition = self
        var modules: [String: String] = [:]
        for index in stages.indices where !CID.isText(stages[index].module) {
            let module = stages[index].module
            if modules[module] == nil { modules[module] = try await LocalFile.addModule(path(module), to: node).cid }
            definition.stages[index].module = modules[module] ?? module
        }
        for (name, input) in namedInputs where !CID.isText(input.source) {
            let sent = try await FolderUpload(to: node, progress: { line.show($0) }).send(path(input.source))
            guard (sent.folders > 0) == input.isFolder else {
                throw LocalFileError(
                    path: input.source,
                    reason: input.isFolder
                        ? "a file, and inputs.\(name) is to be a folder"
                        : "a folder, and inputs.\(name) is to be a file",
                    hint: "Write {\(input.isFolder ? "file" : "folder"): \(input.source)}.")
            }
            definition.setInput(name, WorkflowContent(source: sent.root.text, isFolder: input.isFolder))
        }
        return definition
    }
}

extension MemoRule: ExpressibleByArgument {}
