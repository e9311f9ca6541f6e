import Foundation
import NodeAPI
import P2PTesting
import Testing

@testable import NodeSetup

/// Settings from file, environment and options.
@Suite("Settings from several sources")
struct ConfigurationLayersTests {
    private let folder: TestFolder
    private var path: String { folder.path + "/config.json" }

    init() throws {
        folder = try TestFolder()
        try Data(#"{"region": "file", "log_level": "error", "executor": {"nice": 3}}"#.utf8)
            .write(to: URL(filePath: path))
    }

    private func read(
        _ environment: [String: String] = [:], _ options: [String: ConfigurationValue] = [:]
    ) throws -> ConfigurationLayers.Resolved {
        try ConfigurationLayers(path: path, environment: environment, options: options).read()
    }

    @Test("Every key has a variable of its own, which is none of those that mesh reads for something else")
    func names() {
        let variables = ConfigurationFile.keys.map(ConfigurationLayers.variable)
        #expect(variables.contains("MESH_EXECUTOR_PRICE_BASE") && variables.contains("MESH_LOG_LEVEL"))
        #expect(Set(variables).count == variables.count)
        #expect(Set(variables).isDisjoint(with: ConfigurationLayers.otherVariables))
    }

    @Test("The default, the file, a variable and an option: each comes before those in front of it, and is named")
    func precedence() throws {
        let variables = ["MESH_LOG_LEVEL": "debug", "MESH_EXECUTOR_NICE": "4", "MESH_REGION": ""]
        let resolved = try read(variables, ["executor.nice": .count(5)])
        let told = Dictionary(uniqueKeysWithValues: resolved.settings.map { ($0.key, $0) })
        #expect(told["drain_seconds"]?.source == .standard && resolved.configuration.drainSeconds == 10)
        #expect(told["region"]?.source == .file && resolved.configuration.region == "file")
        #expect(told["log_level"]?.source == .environment && resolved.configuration.logLevel == "debug")
        #expect(told["executor.nice"]?.source == .option && resolved.configuration.executor.nice == 5)
        #expect(told["executor.nice"]?.value == .count(5))
        // The file itself is as it was.
        #expect(try NodeConfiguration.load(path: path).executor.nice == 3)
    }

    @Test("Variables say numbers, flags and lists")
    func values() throws {
        let resolved = try read([
            "MESH_EXECUTOR_ENABLED": "false", "MESH_EXECUTOR_HOURS": "22:00-06:00, 12:00-13:00",
            "MESH_BOOTSTRAP": "/ip4/192.0.2.1/tcp/4001,/ip4/192.0.2.2/tcp/4001", "MESH_API_LISTEN": "127.0.0.1:4080",
        ]).configuration
        #expect(!resolved.executor.isEnabled && resolved.executor.hours == ["22:00-06:00", "12:00-13:00"])
        #expect(resolved.bootstrap.count == 2 && resolved.api.listen == "127.0.0.1:4080")
    }

    @Test("A value that a key cannot have is refused by the name of its variable")
    func refusals() throws {
        for (variable, value, reason) in [
            ("MESH_EXECUTOR_NICE", "20", "executor.nice is 20, and must be a whole number from 0 to 19."),
            ("MESH_EXECUTOR_ENABLED", "yes", "executor.enabled is \"yes\", and must be true or false."),
            ("MESH_LISTEN", "/ip4/127.0.0.1/tcp/1,here", "listen[1] is \"here\", and must be a multiaddr"),
        ] {
            let error = try #require(throws: NodeServiceError.self) { try read([variable: value]) }
            #expect(error.code == .configurationInvalid)
            #expect(error.message.hasPrefix("The variable \(variable) cannot be used: \(reason)"), "\(error.message)")
        }
        // A file that no node can use is refused all the same, also where something comes before its fault.
        try Data(#"{"log_level": "loud"}"#.utf8).write(to: URL(filePath: path))
        let error = try #require(throws: NodeServiceError.self) { try read(["MESH_LOG_LEVEL": "info"]) }
        #expect(error.message.contains("log_level is \"loud\""))
    }

    @Test("Variables that are no settings are known by name, and others are told")
    func unknown() {
        let told = ConfigurationLayers.unknown(in: [
            "MESH_EXECUTOR_PRICE_BSE": "1", "MESH_HOME": "/x", "MESH_CRASH_AFTER": "bid", "MESH_PASSPHRASE": "x",
            "PATH": "/bin", "MESH_LOG_LEVEL": "info", "MESHING": "1",
        ])
        #expect(told == ["MESH_EXECUTOR_PRICE_BSE"])
    }
}
