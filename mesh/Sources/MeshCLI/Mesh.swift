package import ArgumentParser
import NodeAPI
import NodeSetup

/// `mesh`: the command line of a node. A program that links the node provides it for `mesh up`.
package struct Mesh: AsyncParsableCommand {
    /// The name, the help and the commands, in the order in which help lists them.
    package static let configuration = CommandConfiguration(
        commandName: "mesh",
        abstract: "Run WebAssembly on other people's machines, and prove that it ran.",
        discussion: "Begin with mesh init and mesh up, then mesh run MODULE.\n\n" + ExitStatus.help,
        version: NodeVersion.current,
        subcommands: [
            Init.self, Up.self, Run.self, Attach.self, Logs.self, New.self, Check.self, RuntimeGroup.self, Jobs.self,
            Describe.self,
            Explain.self,
            Outputs.self, Wait.self, Cancel.self, Receipt.self, Proof.self, DAGGroup.self, Status.self,
            Peers.self,
            Reputation.self, Offers.self, Connect.self, Wallet.self, Pay.self, TokenGroup.self, IssuerGroup.self,
            Add.self, Get.self,
            List.self, Cat.self, Stat.self,
            Pin.self, Archive.self,
            Remove.self, Warm.self,
            OperatorGroup.self, CollectGarbage.self, Pause.self, Drain.self, Resume.self, Stop.self, Devnet.self,
            Backup.self, Restore.self, Bench.self, Completions.self, Version.self, WorkflowGroup.self, Map.self,
            Dashboard.self,
            ConfigGroup.self, DoctorCommand.self,
        ])

    /// A script must not mistake an empty file for what it asked for.
    private static func requireOutput() throws {
        guard let sentence = Console.lostOutput else { return }
        Console().note(sentence)
        throw ExitCode(ExitStatus.fileFailed.rawValue)
    }

    package init() {}

    /// Reads the command line and performs what it says; ends the process when that fails.
    package static func start(
        _ given: [String], opening node: NodeOpener, checking checker: ModuleChecker, copying copier: HomeCopying
    ) async {
        Terminal.fitOutput()
        let line = CommandLineWords(given)
        do {
            if let fault = line.fault { throw ValidationError(fault) }
            var command = try parseAsRoot(line.arguments)
            if var opening = command as? any NodeOpeningCommand {
                try await opening.run(opening: node)
            } else if let check = command as? Check {
                try await check.run(checking: checker)
            } else if let copying = command as? any HomeCopyingCommand {
                try await copying.run(copying: copier)
            } else if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            try requireOutput()
        } catch let code as ExitCode {
            exit(withError: code)
        } catch {
            // Help and versions are not failures.
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            if line.wantsJSON {
                let message = line.fault ?? line.meant(message(for: error))
                Console().failure(NodeServiceError(.invalidRequest, message), status: .usage, json: true)
            } else {
                // The library that reads the command line begins its own sentences with another word.
                let told = line.fault.map { "mesh: \($0)" } ?? usage(line.meant(fullMessage(for: error)))
                Console().note(Terminal.safeLines(told))
            }
            exit(withError: ExitCode(ExitStatus.usage.rawValue))
        }
    }
}

extension Mesh {
    /// What the library says about the usage, beginning as all errors of `mesh` do.
    static func usage(_ message: String) -> String {
        let word = "Error: "
        return "mesh: " + (message.hasPrefix(word) ? String(message.dropFirst(word.count)) : message)
    }
}

/// The words of a command line, sorted into the command, the global options, and the rest.
struct CommandLineWords {
    private let commands: [String]
    private let globals: [String]
    private let rest: [String]
    private let subcommands: [any ParsableCommand.Type]
    private let command: any ParsableCommand.Type

    /// Sorts words; `--home` and `--json` may stand before the command.
    init(_ words: [String]) {
        var commands: [String] = []
        var globals: [String] = []
        var subcommands = Mesh.configuration.subcommands
        var command: any ParsableCommand.Type = Mesh.self
        var index = 0
        while index < words.count {
            let word = words[index]
            if word == "--home", index + 1 < words.count {
                globals += [word, words[index + 1]]
                index += 1
            } else if word == "--json" || word.hasPrefix("--home=") {
                globals.append(word)
            } else if let next = subcommands.first(where: { $0._commandName == word }) {
                commands.append(word)
                command = next
                subcommands = next.configuration.subcommands
                // The command itself reads what follows the last command.
                if subcommands.isEmpty {
                    index += 1
                    break
                }
            } else {
                break
            }
            index += 1
        }
        self.commands = commands
        self.globals = globals
        self.subcommands = subcommands
        self.command = command
        rest = Array(words[index...])
    }

    /// The same words in the order in which they are parsed.
    var arguments: [String] { commands + globals + rest }

    /// Whether failures are reported as JSON.
    var wantsJSON: Bool { globals.contains("--json") || rest.prefix { $0 != "--" }.contains("--json") }

    /// What is wrong with the name of the command; nil if nothing is.
    var fault: String? {
        // A group that means a command of its own takes any words.
        guard !subcommands.isEmpty, command.configuration.defaultSubcommand == nil || isMisspelt else { return nil }
        let group = (["mesh"] + commands).joined(separator: " ")
        let names = subcommands.map { $0._commandName }.joined(separator: ", ")
        guard let word = rest.first else {
            return globals.isEmpty ? nil : "\(group) needs a command behind it: \(names)."
        }
        guard !word.hasPrefix("-") else { return nil }
        return word == "help" ? faultOfHelp(group) : Self.fault(group, word, subcommands)
    }

    /// What the library says of an unknown option, with the option that begins so, or that is most like it, in place of
    /// the library's own guess.
    func meant(_ message: String) -> String {
        let (unknown, guess) = ("Unknown option '", " Did you mean '")
        guard let word = Self.quoted(message, after: unknown) else { return message }
        if word.dropFirst().first?.isNumber == true, rest.contains(where: { $0.hasPrefix("--invoke") }) {
            return message.replacing(
                "\(unknown)\(word)'", with: "Numbers that begin with - go behind --, as in --invoke NAME -- \(word).")
        }
        guard word.hasPrefix("--") else { return message }
        let options = options
        let begun = Set(options).filter { $0.hasPrefix(word.dropFirst(2)) }
        guard begun.count <= 1 else { return message }
        var told = message
        if let guessed = Self.quoted(message, after: guess) { told = told.replacing(guess + guessed + "'?", with: "") }
        let likely = begun.first ?? Spelling.likely(String(word.dropFirst(2)), among: options)
        let sentence = "\(unknown)\(word)'."
        told = told.replacing("\(unknown)\(word)'", with: sentence).replacing("\(sentence).", with: sentence)
        return likely.map { told.replacing(sentence, with: "\(sentence)\(guess)--\($0)'?") } ?? told
    }

    /// The long options of the command, without their dashes, as its help begins lines with them.
    private var options: [String] {
        let named = command.configuration.defaultSubcommand ?? command
        let lines = Mesh.helpMessage(for: named).split(separator: "\n").map { $0.drop { $0 == " " } }
        let words = lines.filter { $0.hasPrefix("-") }.flatMap { line in
            line.prefix(line.firstRange(of: "  ").map { line[..<$0.lowerBound].count } ?? line.count)
                .split { $0 == " " || $0 == "," || $0 == "/" }
        }
        // These may stand before the command.
        return words.filter { $0.hasPrefix("--") && $0 != "--" }.map { String($0.dropFirst(2)) } + ["home", "json"]
    }

    /// Whether a word stands where a command could.
    private var isMisspelt: Bool { rest.first.map { !$0.hasPrefix("-") } ?? false }

    private static func quoted(_ text: String, after start: String) -> Substring? {
        text.firstRange(of: start).map { text[$0.upperBound...].prefix { $0 != "'" } }
    }

    /// What is wrong with the commands for which help is asked.
    private func faultOfHelp(_ group: String) -> String? {
        var (group, known) = (group, subcommands)
        for word in rest.dropFirst() {
            guard !known.isEmpty, !word.hasPrefix("-"), word != "help" else { return nil }
            guard let next = known.first(where: { $0._commandName == word }) else {
                return Self.fault(group, word, known)
            }
            (group, known) = ("\(group) \(word)", next.configuration.subcommands)
        }
        return nil
    }

    private static func fault(_ group: String, _ word: String, _ known: [any ParsableCommand.Type]) -> String {
        let all = known.map { $0._commandName }
        let likely = Spelling.likely(word, among: all).map { " Did you mean \(group) \($0)?" } ?? ""
        return "\(group) has no command \"\(word)\".\(likely) There are \(all.joined(separator: ", "))."
    }
}
