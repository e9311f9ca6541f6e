import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI
import NodeSetup

/// `mesh config`: the settings of a node, in its config.json.
struct ConfigGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Look at the settings of the node, change and check them.",
        discussion: """
            An option of mesh up comes before a variable such as MESH_EXECUTOR_PRICE_BASE, that before config.json, \
            and that before the default. A node that runs takes some changes at once, and the others at its next \
            start. A key in a group is named with it: executor.price_base. docs/configuration.md in the repository \
            tells what each key sets, and when.
            """,
        subcommands: [Get.self, Set.self, List.self, Check.self, Reload.self])

    /// `mesh config get`.
    struct Get: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the value of a setting.",
            discussion: "A list has a line for each element; what has no value has no line.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The key, such as executor.price_base.", completion: .list(ConfigurationFile.keys))
        var key: String

        func perform(_ console: Console) async throws -> ExitCode {
            let setting = try global.soundConfiguration().setting(key)
            global.tellUnknownVariables(console)
            if global.json {
                try console.json(setting)
            } else {
                console.out(setting.value.words.map { Terminal.safe($0) + "\n" }.joined())
            }
            return .success
        }
    }

    /// `mesh config set`.
    struct Set: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change a setting, or give it its default again.",
            discussion: """
                Writes config.json whole, or not at all where the value is not allowed. A node that runs is told to \
                read it again, and takes what it can; what needs a restart is said. Other faults of the file stay, and \
                are said: each can be mended by itself.
                """)

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The key, such as executor.price_base.", completion: .list(ConfigurationFile.keys))
        var key: String

        @Argument(help: "The value; of a list, its elements, with spaces or commas between them.")
        var value: [String] = []

        @Flag(help: "Make the list empty.")
        var empty = false

        @Flag(
            name: .customLong("default"),
            help: "Take the key out of the file, so that it has its default; also one that is no setting.")
        var isDefault = false

        func validate() throws {
            guard [isDefault, empty, !value.isEmpty].count(where: \.self) != 1 else { return }
            throw ValidationError(
                "Give a value, or --default, or --empty for a list without elements. A value that begins with a dash "
                    + "stands after --: mesh config set KEY -- -5.")
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let home = global.nodeHome
            try home.requireInitialised()
            let (before, after, faults) = try change(home)
            var told = ConfigChange(setting: after, faults: faults)
            let overriding = try? global.layers().file().setting(key)
            if let source = overriding?.source, source == .environment { told.overriddenBy = source.rawValue }
            // Another change may have come between, and the node may have an environment of its own that comes before
            // the file: it is asked in any case.
            told.take(await ConfigGroup.reload(home))
            if case .success? = told.running, told.overriddenBy == nil {
                told.startedWith = await ConfigGroup.startedWith(key, home)
            }
            if global.json {
                try console.json(told)
            } else {
                console.out("\(key): \(ConfigGroup.text(before.value)) -> \(ConfigGroup.text(after.value))\n")
                for note in told.notes { console.note(Terminal.safe(note)) }
            }
            return .success
        }

        /// Changes the file; returns the setting before and after, and what is wrong with the file elsewhere.
        private func change(
            _ home: NodeHome
        ) throws -> (ConfigurationFile.Setting, ConfigurationFile.Setting, [String]) {
            var file = try ConfigurationFile(path: home.configurationPath, isToChange: true)
            let before = try file.shown(key)
            let isStray = isDefault && file.isStray(key)
            if isDefault { try file.reset(key) } else { try file.set(key, to: value) }
            let after = try file.shown(key, wasThere: isStray)
            // What says the same already stays untouched.
            if before != after { try file.write() }
            // What stands in the environment may be what the file lacks.
            return (before, after, ((try? global.layers().file()) ?? file).faults)
        }
    }

    /// `mesh config list`.
    struct List: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List all settings with their values, their defaults and where each comes from.")

        @OptionGroup var global: GlobalOptions

        @Flag(help: "Only those that differ from their defaults.")
        var changed = false

        @Flag(help: "Those that the node that runs has taken, also from options of mesh up.")
        var running = false

        func perform(_ console: Console) async throws -> ExitCode {
            if running { return try await performRunning(console) }
            let all = try global.soundConfiguration().settings
            global.tellUnknownVariables(console)
            let settings = changed ? all.filter { $0.value != $0.standard } : all
            if global.json {
                try console.json(settings)
            } else if settings.isEmpty {
                console.note("Every setting has its default.")
            } else {
                console.out(ConfigGroup.text(settings))
            }
            return .success
        }
    }

    /// `mesh config reload`.
    struct Reload: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have the node that runs read its settings again.",
            discussion:
                "For whoever changed config.json or the API's certificate by hand; SIGHUP does the same. A file that "
                + "no node can use is refused, and the node goes on with what it has (234).")

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let reload = try await global.node.reloadSettings()
            if global.json {
                try console.json(reload)
            } else {
                for line in ConfigGroup.lines(reload) { console.out(line + "\n") }
            }
            guard let fault = reload.certificate else { return .success }
            if !global.json { console.note(fault) }
            return ExitCode(ExitStatus.configurationInvalid.rawValue)
        }
    }

    /// `mesh config check`.
    struct Check: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether a node can work with config.json, and whether the one that runs does.",
            discussion: "Exits with 234 and names the key if no node can.")

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let home = global.nodeHome
            // What only a node would find, too.
            let settings = try global.layers().read().settings
            global.tellUnknownVariables(console)
            let outdated = await ConfigGroup.outdated(home)
            let needsRestart = outdated.contains { !$0.changesAtOnce }
            let changed = settings.count { $0.value != $0.standard }
            if global.json {
                try console.json(
                    ConfigCheck(path: home.configurationPath, changed: changed, needsRestart: needsRestart))
            } else {
                let count =
                    switch changed {
                    case 0: "every setting has its default"
                    case 1: "one setting differs from its default"
                    default: "\(changed) settings differ from their defaults"
                    }
                console.out("\(Terminal.safe(home.configurationPath)) can be used; \(count).\n")
                if needsRestart {
                    console.note("It was changed after the node started: restart the node with mesh stop and mesh up.")
                } else if !outdated.isEmpty {
                    console.note("The node that runs has not read it yet: mesh config reload has it do so.")
                }
            }
            return .success
        }
    }

    /// How long a node that runs is waited for, in seconds.
    static let answerSeconds = 5

    /// A client that does not wait long.
    static func client(of home: NodeHome) -> NodeClient {
        var limits = MeshHTTPLimits()
        limits.answerSeconds = answerSeconds
        return NodeClient(socketPath: home.socketPath, limits: limits)
    }

    /// Settings of the node that runs which its file, its environment or its options give another value by now; none
    /// if no node answers.
    static func outdated(_ home: NodeHome) async -> [RunningSetting] {
        let settings = try? await client(of: home).settings()
        return (settings ?? []).filter(\.isOutdated)
    }

    /// Where the node that runs has the value of a key from, if that comes before its file: its options, or its
    /// environment, which may be another than that of this command.
    static func startedWith(_ key: String, _ home: NodeHome) async -> String? {
        let setting = try? await client(of: home).settings().first { $0.key == key }
        return setting.map(\.source).flatMap { ["environment", "option"].contains($0) ? $0 : nil }
    }

    /// Has a node that runs read its settings again; nil if none runs.
    static func reload(_ home: NodeHome) async -> Result<SettingsReload, NodeServiceError>? {
        do {
            return .success(try await client(of: home).reloadSettings())
        } catch {
            return error.code == .nodeNotRunning ? nil : .failure(error)
        }
    }

    /// What a node did after it read its settings again, in sentences.
    static func lines(_ reload: SettingsReload) -> [String] {
        var lines: [String] = []
        if !reload.applied.isEmpty {
            lines.append("The node that runs has taken \(reload.applied.joined(separator: ", ")).")
        }
        if !reload.needsRestart.isEmpty {
            lines.append(
                "The node that runs has the old \(reload.needsRestart.joined(separator: ", ")): restart it with "
                    + "mesh stop and mesh up.")
        }
        return lines.isEmpty ? ["Nothing has changed for the node that runs."] : lines
    }

    /// A value in a line.
    static func text(_ value: ConfigurationValue) -> String {
        if case .list(let list) = value, list.isEmpty { return "none" }
        return value == .null ? "unset" : Terminal.safe(value.words.joined(separator: " "))
    }

    /// The listing of settings.
    static func text(_ settings: [ConfigurationFile.Setting]) -> String {
        var table = Table([("KEY", .left), ("VALUE", .left), ("DEFAULT", .left), ("FROM", .left)])
        for setting in settings {
            let source =
                setting.source == .environment
                ? ConfigurationLayers.variable(of: setting.key) : setting.source.rawValue
            table.add([setting.key, text(setting.value), text(setting.standard), source])
        }
        return table.text
    }
}

extension GlobalOptions {
    /// The settings of the node in the home folder; refuses those with which no node can work.
    fileprivate func soundConfiguration() throws -> ConfigurationFile {
        try nodeHome.requireInitialised()
        let file = try layers().file()
        try file.requireSound()
        return file
    }

    /// Says which variables look like settings and are none.
    fileprivate func tellUnknownVariables(_ console: Console) {
        for sentence in UnknownVariables.sentences(in: ProcessInfo.processInfo.environment) { console.note(sentence) }
    }
}

extension ConfigGroup.List {
    /// The settings of the node that runs.
    fileprivate func performRunning(_ console: Console) async throws -> ExitCode {
        let all = try await global.node.settings()
        let settings = changed ? all.filter { $0.source != ConfigurationSource.standard.rawValue } : all
        if global.json {
            try console.json(settings)
            return .success
        }
        var table = Table([("KEY", .left), ("VALUE", .left), ("FROM", .left), ("CHANGES", .left)])
        for setting in settings {
            let value = setting.value.isEmpty ? "none" : Terminal.safe(setting.value.joined(separator: " "))
            let when = setting.changesAtOnce ? "at once" : "at a restart"
            table.add([setting.key, value, setting.source, setting.isOutdated ? "\(when), outdated" : when])
        }
        console.out(table.text)
        return .success
    }
}

/// A setting that was changed, as JSON and in words.
struct ConfigChange: Encodable {
    let setting: ConfigurationFile.Setting
    /// What is wrong with the file elsewhere.
    private(set) var faults: [String]
    /// What the node that runs made of it; nil if none runs, or if it was not asked.
    private(set) var running: Result<SettingsReload, NodeServiceError>?
    /// Where another value of the key comes from that comes before this one.
    var overriddenBy: String?
    /// Where the node that runs has another value from that comes before this one.
    var startedWith: String?

    init(setting: ConfigurationFile.Setting, faults: [String]) {
        self.setting = setting
        self.faults = faults
    }

    /// Takes what the node that runs made of the file: if it can use it, nothing is wrong with it there.
    mutating func take(_ answer: Result<SettingsReload, NodeServiceError>?) {
        if case .success? = answer { faults = [] }
        running = faults.isEmpty ? answer : nil
    }

    /// What its owner should know.
    var notes: [String] {
        var notes: [String] = []
        if let overriddenBy {
            notes.append(
                "The variable \(ConfigurationLayers.variable(of: setting.key)) of the \(overriddenBy) comes before "
                    + "the file.")
        }
        if !faults.isEmpty {
            notes.append("No node can use the file yet: \(faults.joined(separator: "; ")).")
        }
        if let startedWith {
            let what =
                startedWith == "option"
                ? "an option of mesh up" : "the variable \(ConfigurationLayers.variable(of: setting.key))"
            notes.append("The node that runs was started with \(what), which comes before the file until it stops.")
        }
        switch running {
        case .success(let reload): notes += ConfigGroup.lines(reload) + [reload.certificate].compactMap(\.self)
        case .failure(let error): notes.append("The node that runs did not take it: \(error)")
        case nil: break
        }
        return notes
    }

    private enum CodingKeys: String, CodingKey {
        case setting, faults, applied
        case needsRestart = "needs_restart"
        case overriddenBy = "overridden_by"
        case startedWith = "started_with"
    }

    /// Writes what was changed, and what follows from it.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(setting, forKey: .setting)
        try container.encode(faults, forKey: .faults)
        let reload = try? running?.get()
        try container.encode(reload?.applied ?? [], forKey: .applied)
        let isUnknown = if case .failure = running { true } else { false }
        try container.encode(isUnknown || !(reload?.needsRestart ?? []).isEmpty, forKey: .needsRestart)
        try container.encodeIfPresent(overriddenBy, forKey: .overriddenBy)
        try container.encodeIfPresent(startedWith, forKey: .startedWith)
    }
}

/// A file that was checked, as JSON.
struct ConfigCheck: Encodable {
    let path: String
    /// Settings that differ from their defaults.
    let changed: Int
    let needsRestart: Bool

    private enum CodingKeys: String, CodingKey {
        case path, changed
        case needsRestart = "needs_restart"
    }
}
