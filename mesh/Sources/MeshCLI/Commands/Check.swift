import ArgumentParser
import Foundation
package import NodeAPI
package import NodeSetup

/// Looks at a module with the engine, which only the program itself links.
package struct ModuleChecker: Sendable {
    /// What to look for, and under which limits.
    package struct Question: Sendable {
        /// The function to begin at; nil if one is called with numbers instead.
        package let entry: String?
        /// The function to call with numbers, if any.
        package let function: String?
        /// Whether to compile the module.
        package let compiles: Bool
        /// The limits.
        package let configuration: NodeConfiguration
        /// Where compiled modules are kept.
        package let home: NodeHome
    }

    let check: @Sendable ([UInt8], Question) async throws -> ModuleReport

    /// Checks modules by a call, which throws a `NodeServiceError` where there is no engine.
    package init(_ check: @escaping @Sendable ([UInt8], Question) async throws -> ModuleReport) {
        self.check = check
    }
}

/// `mesh check`: what a module is, and whether it can run as a job.
struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a module needs and whether it can run as a job, without running it.",
        discussion: """
            Reads imports, features and sizes, compares them with the limits of the node in the home folder (or the \
            standard ones, if there is none), and compiles the module, which is kept for the first job. Exit code 213: \
            it cannot run, and a sentence says why. Executors may have other limits.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "The function that a job would begin at; by default _start.")
    var entry: String?

    @Option(help: "The function that a job would call with numbers (mesh run --invoke).")
    var invoke: String?

    @Flag(help: "Do not compile it, which takes longest.")
    var noCompile = false

    @Argument(help: "The module: a file, or - for standard input.", completion: .file(extensions: ["wasm"]))
    var module: String

    func validate() throws {
        guard entry == nil || invoke == nil else {
            throw ValidationError("--entry begins a program and --invoke calls a function; a job does one of them.")
        }
    }

    func run(checking checker: ModuleChecker) async throws {
        try await global.report { console in
            let home = global.nodeHome
            var configuration = NodeConfiguration()
            if FileManager.default.fileExists(atPath: home.configurationPath) {
                configuration = try NodeConfiguration.load(path: home.configurationPath)
            }
            umask(0o077)
            if let obstacle = try home.create() { throw LocalFileError(path: home.path, reason: obstacle) }
            let bytes = try LocalFile.read(module, bytesMax: Self.readBytesMax)
            let question = ModuleChecker.Question(
                entry: entry ?? (invoke == nil ? "_start" : nil), function: invoke, compiles: !noCompile,
                configuration: configuration, home: home)
            let report = try await checker.check(bytes, question)
            if global.json {
                try console.json(report)
            } else {
                console.out(Self.text(report, entry: invoke ?? entry ?? "_start"))
                if let refusal = report.refusal {
                    let hint = report.hint.map { " \($0)" } ?? ""
                    console.note("mesh: \(Terminal.safe("The module cannot run: \(refusal).\(hint)"))")
                }
            }
            return report.refusal == nil ? .success : ExitCode(ExitStatus.jobRefused.rawValue)
        }
    }

    /// The most that is read of a file, in bytes: no node takes a longer module.
    static let readBytesMax = 1 << 30
    /// The most names of one kind that are shown.
    static let namesShownMax = 64

    /// The report as a table of facts.
    static func text(_ report: ModuleReport, entry: String) -> String {
        var facts: [(name: String, value: String)] = [
            ("module", "\(report.cid), \(Readable.bytes(UInt64(clamping: report.bytes)))"),
            (
                "functions",
                "\(Readable.count(UInt64(clamping: report.functions))), the longest of "
                    + Readable.bytes(UInt64(clamping: report.longestFunctionBytes))
            ),
            ("memory", "\(Readable.bytes(report.initialMemoryBytes)) at the start"),
        ]
        for imports in report.imports { facts.append(("imports", "\(imports.module): \(list(imports.names))")) }
        if !report.features.isEmpty { facts.append(("features", list(report.features))) }
        facts.append(
            ("begins at", report.entries.isEmpty ? "nothing: it exports no such function" : list(report.entries)))
        if !report.callable.isEmpty { facts.append(("can call", list(report.callable))) }
        if let compilation = report.compilation {
            let duration = Readable.duration(milliseconds: compilation.milliseconds)
            facts.append(("compiling", compilation.wasKnown ? "not needed: it was compiled before" : duration))
        }
        if report.refusal == nil { facts.append(("runs", "yes, from \(entry)")) }
        return Table.facts(facts)
    }

    private static func list(_ names: [String]) -> String {
        let shown = names.prefix(namesShownMax).joined(separator: ", ")
        return names.count > namesShownMax ? "\(shown) and \(names.count - namesShownMax) more" : shown
    }
}
