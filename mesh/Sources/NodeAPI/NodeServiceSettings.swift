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

    package init(key: String, value: [String], source: String, changesAtOnce: Bool, isOutdated: Bool) {
        self.key = key
        self.value = value
        self.source = source
        self.changesAtOnce = changesAtOnce
        self.isOutdated = isOutdated
    }

    private enum CodingKeys: String, CodingKey {
        case key, value, source
        case changesAtOnce = "changes_at_once"
        case isOutdated = "outdated"
    }
}

/// What a node did after it read its settings again.
package struct SettingsReload: Hashable, Sendable, Codable {
    /// Keys that have another value from now on.
    package var applied: [String]
    /// Keys that have another value after a restart.
    package var needsRestart: [String]

    package init(applied: [String] = [], needsRestart: [String] = []) {
        self.applied = applied
        self.needsRestart = needsRestart
    }

    private enum CodingKeys: String, CodingKey {
        case applied
        case needsRestart = "needs_restart"
    }
}
