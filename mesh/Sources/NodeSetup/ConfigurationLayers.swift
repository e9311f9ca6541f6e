import Foundation
import Multiformats
package import NodeAPI

/// Where the value of a setting comes from; a later one comes before those above it.
package enum ConfigurationSource: String, Hashable, Sendable, CaseIterable {
    /// What a node takes where nothing is said.
    case standard = "default"
    /// `config.json`.
    case file
    /// A variable of the environment, such as `MESH_EXECUTOR_PRICE_BASE`.
    case environment
    /// An option of `mesh up`.
    case option
}

/// The settings of a node from all their sources, which can be read again: the file may say something else then, while
/// environment and options stay.
package struct ConfigurationLayers: Sendable {
    /// Variables that are no settings: what `mesh` itself reads besides, and its tests, scripts and clients.
    static let otherVariables = [
        "MESH_HOME", "MESH_PASSPHRASE", "MESH_CRASH_AFTER", "MESH_CRASH_BEFORE", "MESH_API", "MESH_MODULE",
        "MESH_DEMO_KEEP", "MESH_PEER", "MESH_CRASH_MATRIX", "MESH_FLOOD_DIALS", "MESH_HOSTILE_MESSAGES",
        "MESH_HOSTILE_SEED", "MESH_RUN_PROCESSES", "MESH_SIMULATION_SEEDS", "MESH_UNIXFS_LARGE",
        "MESH_WHOLE_CORPUS", "MESH_WORKER_KILLS",
    ]

    /// What the sources say together.
    package struct Resolved: Sendable {
        /// What a node takes.
        package let configuration: NodeConfiguration
        /// Each key with its value and its source.
        package let settings: [ConfigurationFile.Setting]
    }

    /// Called with the level of the log when that changes while the node runs: the log is not the node's.
    package var onLogLevel: (@Sendable (String) -> Void)?

    private let path: String
    private let environment: [String: ConfigurationValue]
    private let options: [String: ConfigurationValue]

    /// The sources of a node whose file is at a path. Refuses a variable with a value that its key cannot have.
    ///
    /// - Parameter options: what options say, by key.
    package init(
        path: String, environment: [String: String], options: [String: ConfigurationValue] = [:]
    ) throws(NodeServiceError) {
        self.path = path
        self.options = options
        var values: [String: ConfigurationValue] = [:]
        for key in ConfigurationFile.keys {
            let variable = Self.variable(of: key)
            // An empty one counts as none, as everywhere.
            guard let text = environment[variable], !text.isEmpty else { continue }
            switch ConfigurationFile.allowed(try Self.words(text, for: key), for: key) {
            case .success(let value): values[key] = value
            case .failure(let fault):
                throw NodeServiceError(
                    .configurationInvalid, "The variable \(variable) cannot be used: \(fault.clause).",
                    hint: "Correct it, or take it out of the environment.")
            }
        }
        self.environment = values
    }

    /// The variable that sets a key: `MESH_EXECUTOR_PRICE_BASE` for `executor.price_base`.
    package static func variable(of key: String) -> String {
        "MESH_" + key.uppercased().replacing(".", with: "_")
    }

    /// The value that an option says for a key; refused where it is not allowed there.
    package static func optionValue(
        of words: [String], for key: String
    ) throws(NodeServiceError) -> ConfigurationValue {
        switch ConfigurationFile.allowed(words, for: key) {
        case .success(let value): return value
        case .failure(let fault):
            throw NodeServiceError(
                .configurationInvalid, "The settings cannot be used: \(fault.clause).",
                hint: "Change the option, or the key in config.json that it stands for.")
        }
    }

    /// Names of variables that look like settings and are none, sorted.
    package static func unknown(in environment: [String: String]) -> [String] {
        let known = Set(variables)
        return environment.keys.filter { $0.hasPrefix("MESH_") && !known.contains($0) }.sorted()
    }

    /// All variables that mean something to `mesh` and what belongs to it.
    package static var variables: [String] { ConfigurationFile.keys.map(variable) + otherVariables }

    /// Reads the file, and says what it and the others say together.
    package func read() throws(NodeServiceError) -> Resolved {
        let file = try file()
        return Resolved(configuration: try file.configuration(), settings: file.settings)
    }

    /// The file, with what comes before it.
    package func file() throws(NodeServiceError) -> ConfigurationFile {
        withOverrides(try ConfigurationFile(path: path))
    }

    private func withOverrides(_ file: ConfigurationFile) -> ConfigurationFile {
        var file = file
        file.override(with: environment, from: .environment)
        file.override(with: options, from: .option)
        return file
    }

    /// How long a node that runs waits for another who changes the file, in milliseconds.
    private static let changeMilliseconds = 200

    /// Writes values into the file, all or none. Refuses a key that a node takes only when it starts, one that comes
    /// from an option or a variable, so that the file decides nothing, and values with which no node can work.
    package func change(_ changes: [SettingChange]) throws(NodeServiceError) {
        var file = withOverrides(
            try ConfigurationFile(path: path, isToChange: true, waiting: Self.changeMilliseconds))
        var named: Set<String> = []
        for change in changes {
            let setting = try file.setting(change.key)
            if let refusal = Self.refusal(of: change, setting) { throw refusal }
            guard named.insert(change.key).inserted else {
                throw NodeServiceError(
                    .invalidRequest, "Nothing is changed: \(change.key) is there twice.", hint: "Name each key once.")
            }
            if let words = change.value {
                try file.set(change.key, to: words)
            } else {
                try file.reset(change.key)
            }
        }
        _ = try file.configuration()
        do throws(NodeServiceError) {
            try file.write()
        } catch {
            guard error.code == .permissionDenied else { throw error }
            throw NodeServiceError(
                .conflict, "Nothing is changed: the node may not write its file of settings. \(error.message)",
                hint: "Run mesh config set as the file's owner, then mesh config reload (systemctl reload mesh).")
        }
    }

    /// Why a node that runs does not change a setting; nil if it does.
    private static func refusal(
        of change: SettingChange, _ setting: ConfigurationFile.Setting
    ) -> NodeServiceError? {
        let key = setting.key
        guard NodeConfiguration.changesAtOnce.contains(key) else {
            let words = change.value.map { $0.isEmpty ? "--empty" : $0.joined(separator: " ") } ?? "--default"
            return NodeServiceError(
                .conflict, "Nothing is changed: a node takes \(key) only when it starts.",
                hint: "Use mesh config set \(key) \(words.cut(bytesMax: 80)), and restart the node with mesh stop and "
                    + "mesh up.")
        }
        let place =
            switch setting.source {
            case .environment: "the variable \(variable(of: key))"
            case .option: "an option of mesh up"
            case .standard, .file: String?.none
            }
        return place.map {
            NodeServiceError(
                .conflict, "Nothing is changed: the node was started with \($0), which comes before the file.",
                hint: "Restart the node without it to have the file decide \(key).")
        }
    }

    /// The value of a variable as words: those of a list stand between commas.
    private static func words(_ text: String, for key: String) throws(NodeServiceError) -> [String] {
        guard case .list = try ConfigurationFile.rule(of: key) else { return [text] }
        return text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }
}
