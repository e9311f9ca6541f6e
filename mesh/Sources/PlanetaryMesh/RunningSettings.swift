import CoVM
import JobMarket
import Logging
import NodeAPI
import NodeCore
import NodeSetup
import Synchronization

/// The settings that a node runs with: those of its start, and what it took of them since.
final class RunningSettings: Sendable {
    private struct State {
        var configuration: NodeConfiguration
        /// By key, each with where it comes from.
        var values: [String: ConfigurationFile.Setting]
    }

    private let state: Mutex<State>
    /// Where they can be read again; nil for a node that was made without a file.
    private let layers: ConfigurationLayers?

    /// The settings of a start.
    init(_ configuration: NodeConfiguration, _ layers: ConfigurationLayers?) throws(NodeServiceError) {
        let settings = try layers?.read().settings ?? []
        self.layers = layers
        state = Mutex(
            State(
                configuration: configuration,
                values: Dictionary(settings.map { ($0.key, $0) }) { first, _ in first }))
    }

    /// As they are now.
    var configuration: NodeConfiguration { state.withLock { $0.configuration } }

    /// All of them; whether one is outdated is told only where the file can be used.
    func views() throws(NodeServiceError) -> [RunningSetting] {
        let read = try? required().read().settings
        let new = Dictionary((read ?? []).map { ($0.key, $0.value) }) { first, _ in first }
        let values = state.withLock { $0.values }
        return ConfigurationFile.keys.compactMap { key in
            values[key].map { setting in
                RunningSetting(
                    key: key, value: setting.value.words, source: setting.source.rawValue,
                    changesAtOnce: NodeConfiguration.changesAtOnce.contains(key),
                    isOutdated: new[key].map { $0 != setting.value } ?? false, standard: setting.standard.words,
                    isList: ConfigurationFile.isList(key), allowed: setting.allowed)
            }
        }
    }

    /// Writes other values into the file; `reload` has the node take them.
    func write(_ changes: SettingChanges) throws(NodeServiceError) { try required().change(changes.changes) }

    /// Reads them again, and takes those that change while a node runs.
    private func taken() throws(NodeServiceError) -> SettingsReload {
        let read = try required().read()
        return state.withLock { state in
            var reload = SettingsReload()
            for setting in read.settings {
                let isNew = state.values[setting.key]?.value != setting.value
                if NodeConfiguration.changesAtOnce.contains(setting.key) {
                    state.values[setting.key] = setting
                    if isNew { reload.applied.append(setting.key) }
                } else if isNew {
                    reload.needsRestart.append(setting.key)
                }
            }
            state.configuration.takeWhatChangesAtOnce(from: read.configuration)
            return reload
        }
    }

    private func required() throws(NodeServiceError) -> ConfigurationLayers {
        if let layers { return layers }
        throw NodeServiceError(
            .invalidRequest, "This node was started without a file of settings.",
            hint: "Start it with mesh up to have one.")
    }
}

extension RunningSettings {
    /// Reads them again and has the parts of a node follow them; a log line says what became of it.
    func reload(on node: isolated MeshNode) throws(NodeServiceError) -> SettingsReload {
        let parts = node.parts
        let reload: SettingsReload
        do throws(NodeServiceError) {
            reload = try taken()
        } catch {
            parts.logger.warning("The settings are as they were: \(error)")
            throw error
        }
        let configuration = self.configuration
        if reload.applied.contains("log_level") { layers?.onLogLevel?(configuration.logLevel) }
        parts.machine.resize(concurrentRunsMax: configuration.executor.runsAtOnce)
        var terms = MarketConfiguration(configuration, machine: parts.machine, addresses: [])
        terms.tellsDeclines = parts.logger.logLevel <= .info
        if !reload.applied.isEmpty { PeerDesk.take(.terms(OwnerTerms(terms)), on: node) }
        parts.logger.notice(
            "The settings were read again.",
            metadata: [
                "applied": "\(reload.applied.joined(separator: " "))",
                "needs_restart": "\(reload.needsRestart.joined(separator: " "))",
            ])
        return reload
    }
}
