import Foundation
import Testing

/// Networks that fail: real nodes in network namespaces, of which one dies unseen, moves, or loses everybody.
@Suite(
    "Networks that fail", .serialized,
    .enabled(if: Networks.obstacle == nil, Comment(rawValue: Networks.obstacle ?? "")))
struct NetworkTests {
    /// An entrance, an executor and an originator, each on a machine of its own.
    private final class Mesh {
        let folder: URL
        let networks: Networks
        let entrance: NodeProcess
        let executor: NodeProcess
        let originator: NodeProcess
        let module: String

        init() throws {
            folder = URL(fileURLWithPath: "/tmp/mw-\(UUID().uuidString.prefix(8))")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            networks = try Networks()
            let listen = "/ip4/0.0.0.0/tcp/4001"
            entrance = try NodeProcess("entrance", in: folder, ["--no-executor"], listen: listen)
            entrance.namespace = try networks.addMachine()
            try networks.move(try #require(entrance.namespace), to: "10.77.0.1")
            try entrance.start()
            try entrance.waitUntilUp()
            let way = ["--bootstrap", try entrance.address()]
            executor = try NodeProcess("executor", in: folder, ["--executor"] + way, listen: listen)
            originator = try NodeProcess("originator", in: folder, ["--no-executor"] + way, listen: listen)
            let file = folder.appendingPathComponent("short.wasm")
            try Data(CountdownModule.bytes(rounds: 1000)).write(to: file)
            module = file.path
        }

        deinit {
            for node in [entrance, executor, originator] { node.kill() }
            try? FileManager.default.removeItem(at: folder)
        }

        /// Puts a node on a fresh machine with this address and starts it.
        func start(_ node: NodeProcess, at address: String?) throws {
            let machine = try networks.addMachine()
            if let address { try networks.move(machine, to: address) }
            node.namespace = machine
            try node.start()
            try node.waitUntilUp()
        }

        /// Ends a node so that nobody learns of it: the plug first, then the process.
        func vanish(_ node: NodeProcess) throws {
            try networks.unplug(try #require(node.namespace))
            node.kill()
        }

        func peers(of node: NodeProcess) throws -> Int {
            guard let status = try node.run(["status", "--json"]).json() as? [String: Any] else { return 0 }
            return (status["connected_peers"] as? NSNumber)?.intValue ?? 0
        }

        func waitUntilMeshed() throws {
            for node in [executor, originator, entrance] {
                try eventually("\(node.home.lastPathComponent) has two peers") { try peers(of: node) == 2 }
            }
        }

        /// Runs a job to its end and says how it went.
        func job(_ key: String) throws -> (ending: String?, attempts: Int, errors: String) {
            let finished = try originator.run([
                "run", module, "--idempotency-key", key, "--sufficient-bids", "1", "--json",
            ])
            let report = try finished.json() as? [String: Any]
            let result = report?["result"] as? [String: Any]
            return (
                result?["ending"] as? String, (result?["attempts"] as? NSNumber)?.intValue ?? 0, finished.errors
            )
        }
    }

    /// Lets time go by while the node is asked how it is: what was lost is given five seconds to be found.
    private func letSecondsPass(_ seconds: Double, asking node: NodeProcess) throws {
        let end = Date().addingTimeInterval(seconds)
        try eventually("\(seconds) seconds have passed") {
            _ = try node.run(["status"])
            return Date() >= end
        }
    }

    @Test(
        "Who dies unseen and comes back at another address has its part in a job 5 s later, in either role",
        arguments: [true, false])
    func comesBack(asExecutor: Bool) throws {
        let mesh = try Mesh()
        try mesh.start(mesh.executor, at: "10.77.0.2")
        try mesh.start(mesh.originator, at: "10.77.0.3")
        try mesh.waitUntilMeshed()
        let before = try mesh.job("before")
        #expect(before.ending == "succeeded", "\(before.errors)")
        let (mover, other) = asExecutor ? (mesh.executor, mesh.originator) : (mesh.originator, mesh.executor)
        let address = asExecutor ? "10.77.0.22" : "10.77.0.33"
        try mesh.vanish(mover)
        try mesh.start(mover, at: address)
        try letSecondsPass(5, asking: mover)
        let after = try mesh.job("after")
        #expect(after.ending == "succeeded", "\(after.errors)")
        #expect(after.attempts == 1)
        try known(of: mover, at: other, is: "/ip4/\(address)/tcp/4001")
    }

    @Test("A node whose peers died is connected again soon after they are back")
    func everybodyComesBack() throws {
        let mesh = try Mesh()
        try mesh.start(mesh.executor, at: "10.77.0.2")
        try mesh.start(mesh.originator, at: "10.77.0.3")
        try mesh.waitUntilMeshed()
        mesh.entrance.kill()
        mesh.executor.kill()
        try eventually("the originator is alone") { try mesh.peers(of: mesh.originator) == 0 }
        // The entrance has forgotten everybody, so that it does not find the originator by itself.
        for file in try FileManager.default.contentsOfDirectory(atPath: mesh.entrance.home.path)
        where file.hasPrefix("mesh.sqlite") {
            try FileManager.default.removeItem(at: mesh.entrance.home.appendingPathComponent(file))
        }
        try mesh.entrance.start()
        try mesh.entrance.waitUntilUp()
        // It may have been tried a few times in vain before it was up: the pauses grow to a minute.
        try eventually("the originator has found the entrance", seconds: 75) {
            try mesh.peers(of: mesh.originator) == 1
        }
    }

    @Test("A node that starts without an address tells none that is not one; given one, and another, it tells that")
    func moves() throws {
        let mesh = try Mesh()
        try mesh.start(mesh.originator, at: "10.77.0.3")
        try mesh.start(mesh.executor, at: nil)
        let addressless = try addresses(of: mesh.executor)
        #expect(addressless.allSatisfy { $0.hasPrefix("/ip4/127.0.0.1/tcp/4001/p2p/") }, "\(addressless)")
        let machine = try #require(mesh.executor.namespace)
        for address in ["10.77.0.4", "10.77.0.44"] {
            try mesh.networks.move(machine, to: address)
            try eventually("the entrance knows the executor at \(address)", seconds: 90) {
                try told(by: mesh.executor, to: mesh.entrance).contains("/ip4/\(address)/tcp/4001")
            }
        }
        let known = try told(by: mesh.executor, to: mesh.entrance)
        #expect(known.first == "/ip4/10.77.0.44/tcp/4001", "\(known)")
        #expect(!known.contains { $0.contains("0.0.0.0") || $0.contains("ffff") }, "\(known)")
        let job = try mesh.job("moved")
        #expect(job.ending == "succeeded", "\(job.errors)")
    }

    @Test("A session whose link is cut for 20 s goes on where it was: no byte is lost, and none comes twice")
    func cutSession() throws {
        let mesh = try Mesh()
        try mesh.start(mesh.executor, at: "10.77.0.2")
        try mesh.start(mesh.originator, at: "10.77.0.3")
        try mesh.waitUntilMeshed()
        let echo = mesh.folder.appendingPathComponent("echo.wasm")
        try Data(GuestModules.command(GuestModules.copying)).write(to: echo)
        let run = try TerminalProcess(["run", "-i", echo.path, "--home", mesh.originator.home.path], columns: 80)
        func answered(_ word: String) -> (TerminalScreen) -> Bool {
            // Once as the terminal's echo, once from the module.
            { $0.text.components(separatedBy: word).count > 2 }
        }
        try run.type("before\n")
        try run.wait(until: "the line comes back", answered("before"))
        let machine = try #require(mesh.executor.namespace)
        try mesh.networks.unplug(machine)
        try run.type("meanwhile\n")
        #expect(throws: NotInTime.self, "nothing comes back through a link that is cut") {
            try run.wait(until: "the line comes back", seconds: 20, answered("meanwhile"))
        }
        try mesh.networks.plug(machine)
        try run.wait(until: "what was typed meanwhile comes back", answered("meanwhile"))
        try run.type("after\n")
        try run.wait(until: "the line comes back", answered("after"))
        try run.type(TerminalProcess.endKey)
        let finished = try run.finish()
        #expect(finished.status == 0, "\(finished.screen.text)")
        for word in ["before", "meanwhile", "after"] {
            #expect(finished.screen.text.components(separatedBy: word).count == 3, "\(word) is shown once")
        }
        let output = try mesh.originator.run(["outputs", "last", "--output", "stdout=-"]).output
        #expect(output == "before\nmeanwhile\nafter\n")
        let replay = try mesh.originator.run(["receipt", "replay", "last"])
        #expect(replay.status == 0, "\(replay.output) \(replay.errors)")
        let explained = try mesh.originator.run(["explain", "last"]).output
        #expect(!explained.contains("attempt 2"), "the run was never given up: \(explained)")
    }

    @Test("Two nodes on one network that know no address find each other and do a job; one of another mesh stays alone")
    func findsLocalNodes() throws {
        let folder = URL(fileURLWithPath: "/tmp/mw-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let networks = try Networks()
        var nodes: [NodeProcess] = []
        defer { for node in nodes { node.kill() } }
        for (name, role) in [("executor", "--executor"), ("originator", "--no-executor"), ("other", "--executor")] {
            let node = try NodeProcess(name, in: folder, [role], listen: "/ip4/0.0.0.0/tcp/4001")
            try node.configure("mdns", true)
            if name == "other" { try node.configure("mdns_network", "07e5") }
            let machine = try networks.addMachine()
            try networks.move(machine, to: "10.77.0.\(nodes.count + 5)")
            node.namespace = machine
            nodes.append(node)
            try node.start()
            try node.waitUntilUp()
        }
        func peers(of node: NodeProcess) throws -> Int? {
            let status = try node.run(["status", "--json"]).json() as? [String: Any]
            return (status?["connected_peers"] as? NSNumber)?.intValue
        }
        for node in nodes.prefix(2) {
            try eventually("\(node.home.lastPathComponent) has found the other") { try peers(of: node) == 1 }
        }
        let module = folder.appendingPathComponent("short.wasm")
        try Data(CountdownModule.bytes(rounds: 1000)).write(to: module)
        let finished = try nodes[1].run(["run", module.path, "--sufficient-bids", "1", "--json"])
        let result = (try finished.json() as? [String: Any])?["result"] as? [String: Any]
        #expect(result?["ending"] as? String == "succeeded", "\(finished.errors)")
        let executor = try #require(try nodes[0].run(["status", "--json"]).json() as? [String: Any])
        #expect(result?["executor_did"] as? String == executor["did"] as? String)
        #expect(try peers(of: nodes[2]) == 0)
    }

    private func addresses(of node: NodeProcess) throws -> [String] {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["addresses"] as? [String])
    }

    /// The addresses of a node as another one knows them.
    private func told(by node: NodeProcess, to other: NodeProcess) throws -> [String] {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        let peers = try #require(try other.run(["peers", "--json"]).json() as? [[String: Any]])
        let peer = peers.first { $0["peer_id"] as? String == status["peer_id"] as? String }
        return peer?["addresses"] as? [String] ?? []
    }

    private func known(of node: NodeProcess, at other: NodeProcess, is expected: String) throws {
        // Others may still repeat the old address; the node's own word is what stands first.
        try eventually("\(expected) is known") { try told(by: node, to: other).first == expected }
    }
}
