/// One setting of a node that runs.
package struct RunningSetting: Hashable, Sendable, Codable {
    /// The key with that of its group: `executor.price_base`.
    package var key: String
    /// The value as a person types it: one word, or several of a list; none if it has no value.
    package var value: [String]
    /// Where the value comes from: `default`, `file`, `environment` or `option`.
    package var source: String
    /// Whether a change takes effect while the node runs.
    package var changesAtOnce: Bool
    /// Whether the file, the environment and the options that it was started with say something else by now.
    package var isOutdated: Bool
    /// What the node takes where nothing is said, as words.
    package var standard: [String]
    /// Whether it has a list of values.
    package var isList: Bool
    /// What is allowed, as a clause.
    package var allowed: String

    package init(
        key: String, value: [String], source: String, changesAtOnce: Bool, isOutdated: Bool, standard: [String],
        isList: Bool, allowed: String
    ) {
        self.key = key
        self.value = value
        self.source = source
        self.changesAtOnce = changesAtOnce
        self.isOutdated = isOutdated
        self.standard = standard
        self.isList = isList
        self.allowed = allowed
    }

    private enum CodingKeys: String, CodingKey {
        case key, value, source, allowed
        case changesAtOnce = "changes_at_once"
        case isOutdated = "outdated"
        case standard = "default"
        case isList = "list"
    }
}

/// Another value for a setting of a node that runs.
package struct SettingChange: Hashable, Sendable, Codable {
    /// The key with that of its group.
    package var key: String
    /// The value as a person types it: one word, or those of a list, which may be empty; nil for the default.
    package var value: [String]?

    package init(key: String, value: [String]?) {
        self.key = key
        self.value = value
    }
}

/// Changes of settings that are made together or not at all.
package struct SettingChanges: Hashable, Sendable, Codable {
    /// Each of another key.
    package var changes: [SettingChange]

    package init(changes: [SettingChange]) { self.changes = changes }
}

/// What a node did after it read its settings again.
package struct SettingsReload: Hashable, Sendable, Codable {
    /// Keys that have another value from now on.
    package var applied: [String]
    /// Keys that have another value after a restart.
    package var needsRestart: [String]
    /// Why the API goes on with the certificate that it has; nil if it has read its file again, or has none.
    package var certificate: String?

    package init(applied: [String] = [], needsRestart: [String] = []) {
        self.applied = applied
        self.needsRestart = needsRestart
    }

    private enum CodingKeys: String, CodingKey {
        case applied, certificate
        case needsRestart = "needs_restart"
    }
}
