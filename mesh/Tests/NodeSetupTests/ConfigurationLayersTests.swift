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

    @Test("A node that runs writes all of some changes or none, and none that it would not take")
    func changes() throws {
        let layers = try ConfigurationLayers(
            path: path, environment: ["MESH_DRAIN_SECONDS": "9"], options: ["executor.price_base": .count(30)])
        func change(_ changes: (String, [String]?)...) throws {
            try layers.change(changes.map { SettingChange(key: $0.0, value: $0.1) })
        }
        try change(("log_level", ["info"]), ("executor.hours", ["22:00-06:00", "12:00-13:00"]))
        let first = try NodeConfiguration.load(path: path)
        #expect(first.logLevel == "info" && first.executor.hours.count == 2)
        #expect(first.region == "file" && first.executor.nice == 3 && first.executor.priceBase != 30)
        try change(("log_level", nil), ("executor.hours", []))
        let second = try NodeConfiguration.load(path: path)
        #expect(second.logLevel == "notice" && second.executor.hours.isEmpty)
        let before = try Data(contentsOf: URL(filePath: path))
        let good = ("executor.queued_jobs_max", Optional(["5"]))
        for (bad, message, hint) in [
            (("executor.nice", ["4"]), "only when it starts", "mesh config set executor.nice 4, and restart"),
            (("listen", []), "only when it starts", "mesh config set listen --empty"),
            (("region", nil), "only when it starts", "mesh config set region --default"),
            (("drain_seconds", ["8"]), "the variable MESH_DRAIN_SECONDS, which comes before", "without it"),
            (("executor.price_base", ["8"]), "an option of mesh up", "without it"),
            (("log_level", ["loud"]), "log_level is \"loud\"", "docs/configuration.md"),
            (("executor.queued_jobs_max", ["6"]), "is there twice", "once"),
            (("executor.pice", ["6"]), "is no setting", "Did you mean"),
        ] as [((String, [String]?), String, String)] {
            let error = #expect(throws: NodeServiceError.self) { try change(good, bad) }
            #expect(error?.message.contains(message) == true && error?.hint?.contains(hint) == true, "\(error as Any)")
            #expect(try Data(contentsOf: URL(filePath: path)) == before, "\(bad.0)")
        }
        // What is wrong elsewhere stays, and so does the file.
        try Data(#"{"region": 7}"#.utf8).write(to: URL(filePath: path))
        let error = #expect(throws: NodeServiceError.self) { try change(good) }
        #expect(error?.code == .configurationInvalid && error?.message.contains("region is 7") == true)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == #"{"region": 7}"#)
    }

    @Test("Whoever else changes the file meanwhile is named, and not waited for long")
    func locked() throws {
        let other = try ConfigurationFile(path: path, isToChange: true)
        let layers = try ConfigurationLayers(path: path, environment: [:])
        let change = SettingChange(key: "log_level", value: ["info"])
        let error = #expect(throws: NodeServiceError.self) { try layers.change([change]) }
        #expect(error?.code == .conflict && error?.message.contains("locked the folder") == true)
        withExtendedLifetime(other) {}
    }

    @Test("A file that the node may not write is refused as its state, with who changes it instead")
    func protected() throws {
        let before = try Data(contentsOf: URL(filePath: path))
        let layers = try ConfigurationLayers(path: path, environment: [:])
        let change = SettingChange(key: "log_level", value: ["info"])
        #expect(chmod(path, 0o644) == 0 && chmod(folder.path, 0o555) == 0)
        defer { chmod(folder.path, 0o755) }
        let error = try Self.asNobody {
            #expect(throws: NodeServiceError.self) { try layers.change([change]) }
        }
        #expect(error?.code == .conflict && error?.message.contains("may not write") == true, "\(error as Any)")
        #expect(error?.hint?.contains("mesh config set as the file's owner") == true)
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
    }

    /// Runs a body whose files are opened as those of a user who is not root, whom no folder refuses.
    private static func asNobody<Value>(_ body: () throws -> Value) throws -> Value {
        guard geteuid() == 0 else { return try body() }
        // SAFETY: the function of the C library has this type; it concerns this thread alone.
        let symbol = try #require(dlsym(nil, "setfsuid"))
        let setUser = unsafeBitCast(symbol, to: (@convention(c) (UInt32) -> Int32).self)
        _ = setUser(65_534)
        defer { _ = setUser(0) }
        return try body()
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
