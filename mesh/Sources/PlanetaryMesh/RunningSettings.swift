import CoVM
import Dispatch
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
    /// Where the file is written and read, one after the other: that waits for a disk and for other processes.
    private let desk = DispatchQueue(label: "mesh.settings")

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

    /// Writes other values into the file, if there are some, and takes what it says then; nobody else who asks for that
    /// comes between.
    private func taken(after changes: [SettingChange]) async throws(NodeServiceError) -> SettingsReload {
        let result: Result<SettingsReload, NodeServiceError> = await withCheckedContinuation { continuation in
            desk.async {
                let result: Result<SettingsReload, NodeServiceError>
                do throws(NodeServiceError) {
                    if !changes.isEmpty { try self.required().change(changes) }
                    result = .success(try self.taken())
                } catch {
                    result = .failure(error)
                }
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

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
    func reload(on node: MeshNode) async throws(NodeServiceError) -> SettingsReload {
        try await take([], on: node)
    }

    /// Writes other values into the file and has the node take them, with whatever else was changed there; the answer
    /// names those of the keys that are other than before.
    func change(_ changes: [SettingChange], on node: MeshNode) async throws(NodeServiceError) -> SettingsReload {
        guard !changes.isEmpty else {
            throw NodeServiceError(
                .invalidRequest, "Nothing is changed: the list of changes is empty.",
                hint: "Name a key and its value, or use POST /v1/settings/reload to have the file read again.")
        }
        let keys = Set(changes.map(\.key))
        let reload = try await take(changes, on: node)
        return SettingsReload(
            applied: reload.applied.filter(keys.contains), needsRestart: reload.needsRestart.filter(keys.contains))
    }

    private func take(
        _ changes: [SettingChange], on node: MeshNode
    ) async throws(NodeServiceError) -> SettingsReload {
        let reload: SettingsReload
        do throws(NodeServiceError) {
            reload = try await taken(after: changes)
        } catch {
            node.parts.logger.warning("The settings are as they were: \(error)")
            throw error
        }
        await follow(reload, on: node)
        return reload
    }

    private func follow(_ reload: SettingsReload, on node: isolated MeshNode) {
        let parts = node.parts
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
    }
}
