import Foundation
import JobMarket
import LibP2P
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import CoVM
@testable import NodeCore
@testable import PlanetaryMesh

/// Settings that a node takes while it runs.
@Suite("Settings that change at run time", .serialized)
struct LiveSettingsTests {
    private struct Scene {
        let folder: URL
        let node: MeshNode
        var path: String { folder.path + "/config.json" }

        init(_ text: String, environment: [String: String] = [:], options: [String: ConfigurationValue] = [:])
            async throws
        {
            folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(filePath: folder.path + "/config.json"))
            let layers = try ConfigurationLayers(
                path: folder.path + "/config.json", environment: environment, options: options)
            node = try await NodeMesh.open(
                folder.path, try layers.read().configuration, layers: layers)
        }

        func write(_ text: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }
    }

    private static func file(_ executor: String, _ rest: String = "") -> String {
        """
        {"listen": ["/ip4/127.0.0.1/tcp/0"], "log_level": "critical", "drain_seconds": 0,
        "executor": {\(executor)}\(rest)}
        """
    }

    @Test("Prices, places, hours and lists are taken at once, the rest is named, and a bad file changes nothing")
    func reload() async throws {
        let denied = Identity.generate().did.text
        let scene = try await Scene(Self.file(#""price_base": 7, "jobs_at_once": 2"#))
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let node = scene.node
        try await NodeMesh.running([node]) {
            #expect(try await node.reloadSettings() == SettingsReload())
            let settings =
                #""price_base": 250, "jobs_at_once": 1, "queued_jobs_max": 3, "hours": ["00:00-00:01"], "#
                + #""denied_originators": ["\#(denied)"], "nice": 5"#
            try scene.write(Self.file(settings, #", "originator": {"bid_window_ms": 77}"#))
            let outdated = try await node.settings().filter(\.isOutdated).map(\.key)
            #expect(outdated.contains("executor.price_base") && outdated.contains("executor.nice"))
            let reload = try await node.reloadSettings()
            #expect(
                reload.applied.sorted() == [
                    "executor.denied_originators", "executor.hours", "executor.jobs_at_once", "executor.price_base",
                    "executor.queued_jobs_max", "originator.bid_window_ms",
                ])
            #expect(reload.needsRestart == ["executor.nice"])
            let configuration = await node.core.market.configuration
            let executor = try #require(configuration.executor)
            #expect(executor.basePrice.units == 250 && executor.concurrentRunsMax == 1 && executor.queuedRunsMax == 3)
            #expect(executor.deniedOriginators.map(\.text) == [denied])
            #expect(configuration.originator.bidWindowMilliseconds == 77)
            #expect(node.configuration.executor.hours == ["00:00-00:01"] && node.configuration.executor.nice == 0)
            // What is banned stays so.
            let banned = Identity.generate().did.text
            _ = try await node.obey(.ban, about: OrderedPeer(peer: banned))
            try scene.write(Self.file(#""price_base": 8"#))
            _ = try await node.reloadSettings()
            #expect(await node.core.market.configuration.executor?.deniedOriginators.map(\.text) == [banned])
            try scene.write(Self.file(#""price_base": -1"#))
            let error = await #expect(throws: NodeServiceError.self) { try await node.reloadSettings() }
            #expect(error?.code == .configurationInvalid)
            #expect(error?.message.contains("executor.price_base is -1") == true)
            #expect(await node.core.market.configuration.executor?.basePrice.units == 8)
        }
    }

    @Test("A change is written and taken at once, and what is refused changes neither the file nor the node")
    func change() async throws {
        let scene = try await Scene(Self.file(#""price_base": 7"#))
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let node = scene.node
        try await NodeMesh.running([node]) {
            let changes = [
                SettingChange(key: "executor.price_base", value: ["21"]),
                SettingChange(key: "executor.hours", value: ["00:00-00:01"]),
            ]
            let taken = try await node.change(SettingChanges(changes: changes))
            #expect(taken.applied.sorted() == ["executor.hours", "executor.price_base"] && taken.needsRestart == [])
            #expect(await node.core.market.configuration.executor?.basePrice.units == 21)
            #expect(try NodeConfiguration.load(path: scene.path).executor.hours == ["00:00-00:01"])
            let told = try await node.settings().first { $0.key == "executor.price_base" }
            #expect(told?.value == ["21"] && told?.source == "file" && told?.standard == ["100"])
            let refused = SettingChanges(changes: [changes[1], SettingChange(key: "executor.nice", value: ["5"])])
            let error = await #expect(throws: NodeServiceError.self) { try await node.change(refused) }
            #expect(error?.code == .conflict && error?.message.contains("only when it starts") == true)
            let back = SettingChanges(changes: [SettingChange(key: "executor.price_base", value: nil)])
            #expect(try await node.change(back).applied == ["executor.price_base"])
            #expect(await node.core.market.configuration.executor?.basePrice.units == 100)
            let nothing = SettingChanges(changes: [])
            let none = await #expect(throws: NodeServiceError.self) { try await node.change(nothing) }
            #expect(none?.code == .invalidRequest && none?.message.contains("empty") == true)
        }
    }

    @Test("Changes at the same time wait for each other, and each answer names its own keys alone")
    func together() async throws {
        let scene = try await Scene(Self.file(#""price_base": 7"#))
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let node = scene.node
        try await NodeMesh.running([node]) {
            // Written by hand before, and taken with the first change.
            try scene.write(Self.file(#""price_base": 7, "queued_jobs_max": 5"#))
            let keys = [
                "executor.price_base", "originator.bid_window_ms", "drain_seconds", "executor.price_per_million_fuel",
            ]
            let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                for (number, key) in keys.enumerated() {
                    group.addTask {
                        let change = SettingChange(key: key, value: ["\(number + 21)"])
                        return try await node.change(SettingChanges(changes: [change])).applied
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(applied.sorted() == keys.sorted())
            #expect(node.configuration.executor.queuedJobsMax == 5 && node.configuration.drainSeconds == 23)
        }
    }

    @Test("Its owner sees which topics a node follows with whom, and its part of the DHT")
    func network() async throws {
        let scene = try await Scene(Self.file(#""price_base": 7"#))
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        let other = try await NodeMesh.open(scene.folder.path + "/o", try NodeMesh.loopback())
        try await NodeMesh.running([scene.node, other]) {
            let alone = try await scene.node.network()
            #expect(alone.directory.tableNodes == 0 && alone.topics.allSatisfy { $0.peers == 0 && $0.meshPeers == 0 })
            let addresses = await scene.node.swarm.listenAddresses()
            try await other.swarm.connect(to: scene.node.identity.peerID, addresses: addresses)
            try await eventually("the other is in the table, and in the mesh of a topic") {
                let view = try await scene.node.network()
                let topic = view.topics.first { $0.name == MeshTopics.capabilities }
                return view.directory.tableNodes == 1 && topic?.peers == 1 && topic?.meshPeers == 1
            }
        }
    }

    @Test("A variable comes before the file and an option before both, at a reload too")
    func precedence() async throws {
        let scene = try await Scene(
            Self.file(#""price_base": 7, "price_per_million_fuel": 7"#),
            environment: ["MESH_EXECUTOR_PRICE_BASE": "20", "MESH_EXECUTOR_PRICE_PER_MILLION_FUEL": "21"],
            options: ["executor.price_base": .count(30)])
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        try await NodeMesh.running([scene.node]) {
            try scene.write(Self.file(#""price_base": 8, "price_per_million_fuel": 8, "queued_jobs_max": 5"#))
            #expect(try await scene.node.reloadSettings().applied == ["executor.queued_jobs_max"])
            let settings = try await scene.node.settings()
            let told = Dictionary(uniqueKeysWithValues: settings.map { ($0.key, [$0.source] + $0.value) })
            #expect(told["executor.price_base"] == ["option", "30"])
            #expect(told["executor.price_per_million_fuel"] == ["environment", "21"])
            #expect(told["executor.queued_jobs_max"] == ["file", "5"])
            #expect(told["executor.nice"] == ["default", "0"])
            #expect(scene.node.configuration.executor.priceBase == 30)
        }
    }

    @Test("Others learn of a new price without a restart, and are asked it")
    func price() async throws {
        let scene = try await Scene(Self.file(#""price_base": 7, "price_per_million_fuel": 0"#))
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        let originator = try await NodeMesh.open(scene.folder.path + "/o", configuration)
        let executor = scene.node
        try await NodeMesh.running([executor, originator]) {
            let addresses = await executor.swarm.listenAddresses()
            try await originator.swarm.connect(to: executor.identity.peerID, addresses: addresses)
            try await eventually("the offer is known") {
                try await originator.offers(for: nil).offers.first?.basePrice == 7
            }
            try scene.write(Self.file(#""price_base": 9, "price_per_million_fuel": 0"#))
            _ = try await executor.reloadSettings()
            try await eventually("the new offer is known") {
                try await originator.offers(for: nil).offers.first?.basePrice == 9
            }
            let mesh = NodeMesh(nodes: [originator])
            let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            #expect(result.paid == 9, "\(result.detail)")
        }
    }

    @Test("An originator that is not on the list of the allowed gets no bid, and one that is put on it does")
    func allowed() async throws {
        let asks = Identity.generate()
        let other = Identity.generate().did.text
        let scene = try await Scene(Self.file(#""allowed_originators": ["\#(other)"]"#))
        defer { try? FileManager.default.removeItem(at: scene.folder) }
        var configuration = try NodeMesh.loopback()
        configuration.executor.isEnabled = false
        configuration.originator.biddingDeadlineMilliseconds = 60_000
        let originator = try await NodeMesh.open(scene.folder.path + "/o", configuration, identity: asks)
        let executor = scene.node
        try await NodeMesh.running([executor, originator]) {
            let addresses = await executor.swarm.listenAddresses()
            try await originator.swarm.connect(to: executor.identity.peerID, addresses: addresses)
            let mesh = NodeMesh(nodes: [originator])
            let refused = try await mesh.submit(try Assembler.command("nop"))
            try await eventually("the executor declines it by that reason") {
                await executor.core.market.counters.declines["originator_denied"] ?? 0 > 0
            }
            _ = try await originator.cancel(refused)
            try scene.write(Self.file(#""allowed_originators": ["\#(other)", "\#(asks.did.text)"]"#))
            _ = try await executor.reloadSettings()
            let result = try await mesh.result(
                of: try await mesh.submit(try Assembler.command("nop")) { $0.idempotencyKey = "second" })
            #expect(result.ending == .succeeded, "\(result.detail)")
        }
    }
}
