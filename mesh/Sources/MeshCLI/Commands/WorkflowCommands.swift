import ArgumentParser
import Foundation
import NodeAPI
import Workflows

/// `mesh workflow`: plans over jobs.
struct WorkflowGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workflow",
        abstract: "Run several jobs by a plan: stages, fan-outs, conditions.",
        discussion: """
            A definition is a file in YAML or JSON; docs/workflows.md describes it, docs/workflow.schema.json is its \
            schema.
            """,
        subcommands: [
            Check.self, Graph.self, Start.self, List.self, Show.self, Stop.self, GoOn.self,
        ])

    /// `mesh workflow check`.
    struct Check: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a definition whole, without a node, and say what is wrong and where.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The definition, in YAML or JSON; - for standard input.", completion: .file())
        var file: String

        func perform(_ console: Console) async throws -> ExitCode {
            let definition = try DefinitionFile(file).definition()
            if global.json {
                try console.json(definition)
            } else {
                console.out(Terminal.safeLines(Self.summary(of: definition)))
            }
            return .success
        }

        /// What the definition has, in a line, and what the checks of results cost that it asks for.
        static func summary(of definition: WorkflowDefinition) -> String {
            let counts = definition.stages.map(\.knownItems)
            let known = counts.compactMap(\.self).reduce(0, +)
            let folders = counts.contains(nil) ? " and one for each entry of its folders" : ""
            let name = definition.name.isEmpty ? "The workflow" : "The workflow \(definition.name)"
            let checks = WorkflowChecks.lines(for: definition, usual: nil).map { $0 + "\n" }.joined()
            return "\(name) is well formed; stages: \(definition.stages.count), jobs: \(known)\(folders).\n\(checks)"
        }
    }

    /// `mesh workflow graph`.
    struct Graph: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Draw a definition: as text, or as SVG.",
            discussion: "A dashed line, or a ? in the text, is a condition on an exit code.")

        @OptionGroup var global: GlobalOptions

        @Flag(help: "Draw an SVG.")
        var svg = false

        @Argument(help: "The definition, in YAML or JSON; - for standard input.", completion: .file())
        var file: String

        func perform(_ console: Console) async throws -> ExitCode {
            let definition = try DefinitionFile(file).definition()
            let graph: WorkflowGraph
            do {
                graph = try WorkflowGraph(definition)
            } catch {
                throw NodeServiceError(.invalidRequest, error.message, hint: error.remedy)
            }
            if global.json {
                try console.json(Drawing(text: graph.text, svg: graph.svg))
            } else {
                console.out(Terminal.safeLines(svg ? graph.svg : graph.text))
            }
            return .success
        }

        /// Both drawings, for `--json`.
        struct Drawing: Encodable {
            let text: String
            let svg: String
        }
    }
}
