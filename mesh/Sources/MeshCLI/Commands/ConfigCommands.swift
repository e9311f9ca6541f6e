import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI
import NodeSetup

/// `mesh config`: the settings of a node, in its config.json.
struct ConfigGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Look at the settings of the node in config.json, change and check them.",
        discussion: """
            A node reads the file when it starts, so every change needs a restart of a node that runs. A key in a \
            group is named with it: executor.price_base. docs/configuration.md in the repository tells what each key \
            sets.
            """,
        subcommands: [Get.self, Set.self, List.self, Check.self])

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
                Writes config.json whole, or not at all where the value is not allowed. A node that runs goes on with \
                the settings that it started with.
                """)

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The key, such as executor.price_base.", completion: .list(ConfigurationFile.keys))
        var key: String

        @Argument(help: "The value; of a list, each element by itself.")
        var value: [String] = []

        @Flag(help: "Make the list empty.")
        var empty = false

        @Flag(name: .customLong("default"), help: "Take the key out of the file, so that it has its default.")
        var isDefault = false

        func validate() throws {
            guard [isDefault, empty, !value.isEmpty].count(where: \.self) != 1 else { return }
            throw ValidationError("Give a value, or --default, or --empty for a list without elements.")
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let home = global.nodeHome
            try home.requireInitialised()
            var file = try ConfigurationFile(path: home.configurationPath, isToChange: true)
            let before = try file.setting(key)
            if isDefault { try file.reset(key) } else { try file.set(key, to: value) }
            let after = try file.setting(key)
            // What says the same already stays untouched.
            if before != after { try file.write() } else { try file.requireSound() }
            let needsRestart = before.value == after.value ? false : await isRunning(home)
            if global.json {
                try console.json(ConfigChange(setting: after, needsRestart: needsRestart))
            } else {
                console.out("\(key): \(ConfigGroup.text(before.value)) -> \(ConfigGroup.text(after.value))\n")
                if needsRestart {
                    console.note("The node that runs has the old value: restart it with mesh stop and mesh up.")
                }
            }
            return .success
        }

        private func isRunning(_ home: NodeHome) async -> Bool {
            do {
                _ = try await ConfigGroup.client(of: home).status()
                return true
            } catch {
                return error.code != .nodeNotRunning
            }
        }
    }

    /// `mesh config list`.
    struct List: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List all settings with their values, their defaults and where each comes from.")

        @OptionGroup var global: GlobalOptions

        @Flag(help: "Only those that differ from their defaults.")
        var changed = false

        func perform(_ console: Console) async throws -> ExitCode {
            let all = try global.soundConfiguration().settings
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

    /// `mesh config check`.
    struct Check: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether a node can work with config.json, and whether the one that runs does.",
            discussion: "Exits with 234 and names the key if no node can.")

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let home = global.nodeHome
            let settings = try global.soundConfiguration().settings
            // What only a node would find.
            _ = try NodeConfiguration.load(path: home.configurationPath)
            let status = try? await ConfigGroup.client(of: home).status()
            let needsRestart = status.map { ConfigGroup.isNewer(than: $0, home) } ?? false
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

    /// Whether the file was changed after a node started.
    static func isNewer(than status: NodeStatus, _ home: NodeHome) -> Bool {
        var information = stat()
        guard stat(home.configurationPath, &information) == 0 else { return false }
        let changed = Double(information.st_mtim.tv_sec) + Double(information.st_mtim.tv_nsec) / 1e9
        return changed > Date().timeIntervalSince1970 - Double(status.uptimeMilliseconds) / 1_000
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
            let source = setting.isInFile ? "file" : "default"
            table.add([setting.key, text(setting.value), text(setting.standard), source])
        }
        return table.text
    }
}

extension GlobalOptions {
    /// The settings of the node in the home folder; refuses those with which no node can work.
    fileprivate func soundConfiguration() throws -> ConfigurationFile {
        try nodeHome.requireInitialised()
        let file = try ConfigurationFile(path: nodeHome.configurationPath)
        try file.requireSound()
        return file
    }
}

/// A setting that was changed, as JSON.
struct ConfigChange: Encodable {
    let setting: ConfigurationFile.Setting
    let needsRestart: Bool

    private enum CodingKeys: String, CodingKey {
        case setting
        case needsRestart = "needs_restart"
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
