import Foundation
import Testing

/// What an operator asks of a node at the command line: its settings and its health, with the node stopped and running.
@Suite("Operating a node", .serialized)
struct OperatingCommandTests {
    private func scratch() throws -> URL {
        let folder = URL(fileURLWithPath: "/tmp/mo-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require(try finished.json() as? [String: Any], "\(finished.output)\(finished.errors)")
    }

    /// The verdicts of the doctor, by what it looked at.
    private func verdicts(_ node: NodeProcess, status: Int32 = 0) throws -> [String: String] {
        let told = try node.run(["doctor", "--json"])
        #expect(told.status == status, "\(told.output)\(told.errors)")
        let findings = try #require(try told.json() as? [[String: Any]])
        return Dictionary(
            findings.compactMap { finding in
                (finding["check"] as? String).flatMap { check in (finding["verdict"] as? String).map { (check, $0) } }
            }, uniquingKeysWith: { first, _ in first })
    }

    @Test("Settings are changed, refused, listed and given back; a node that runs takes what it can at once")
    func config() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--executor"])
        defer { node.kill() }
        let set = try object(node.run(["config", "set", "executor.price_base", "250", "--json"]))
        #expect(set["needs_restart"] as? Bool == false)
        #expect(try node.run(["config", "get", "executor.price_base"]).output == "250\n")
        let refused = try node.run(["config", "set", "executor.nice", "20"])
        #expect(refused.status == 200 && refused.errors.contains("from 0 to 19"), "\(refused.errors)")
        #expect(try node.run(["config", "get", "colour"]).errors.contains("mesh config list"))
        let listed = try node.run(["config", "list", "--changed"]).output
        #expect(listed.contains("executor.price_base") && !listed.contains("executor.nice"), "\(listed)")
        #expect(try node.run(["config", "check"]).status == 0)
        try node.start()
        try node.waitUntilUp()
        let changed = try node.run(["config", "set", "executor.price_base", "--default"])
        #expect(changed.status == 0 && changed.output == "executor.price_base: 250 -> 100\n", "\(changed)")
        #expect(changed.errors.contains("has taken executor.price_base"), "\(changed.errors)")
        let level = try object(node.run(["config", "set", "log_level", "info", "--json"]))
        #expect(level["applied"] as? [String] == ["log_level"] && level["needs_restart"] as? Bool == false)
        #expect(try verdicts(node)["config"] == "ok")
        try node.configure("drain_seconds", 3)
        #expect(try node.run(["config", "check"]).errors.contains("mesh config reload"))
        #expect(try node.run(["config", "reload"]).output.contains("has taken drain_seconds"))
        let nice = try node.run(["config", "set", "executor.nice", "1"])
        #expect(nice.errors.contains("has the old executor.nice: restart it with mesh stop"), "\(nice.errors)")
        #expect(try object(node.run(["config", "check", "--json"]))["needs_restart"] as? Bool == true)
        #expect(try verdicts(node)["config"] == "warn")
        try node.configure("log_level", "loud")
        let broken = try node.run(["config", "check"])
        #expect(broken.status == 234 && broken.errors.contains("log_level is \"loud\""), "\(broken.errors)")
        let other = try node.run(["config", "set", "region", "eu"])
        #expect(other.status == 0 && other.errors.contains("No node can use the file yet: log_level is"), "\(other)")
    }

    @Test("A variable comes before the file and an option before it; one that is misspelt is told, with what was meant")
    func environment() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--executor", "--price-base", "5"])
        defer { node.kill() }
        let variables = ["MESH_EXECUTOR_PRICE_BASE": "6", "MESH_EXECUTR_NICE": "1"]
        let home = ["--home", node.home.path]
        let listed = try NodeProcess.command(["config", "list"] + home, environment: variables)
        #expect(listed.output.contains(/executor.price_base +6 +100 +MESH_EXECUTOR_PRICE_BASE/), "\(listed.output)")
        #expect(listed.errors.contains("MESH_EXECUTR_NICE sets nothing"), "\(listed.errors)")
        #expect(listed.errors.contains("Did you mean MESH_EXECUTOR_NICE?"), "\(listed.errors)")
        let set = try NodeProcess.command(["config", "set", "executor.price_base", "8"] + home, environment: variables)
        #expect(set.errors.contains("MESH_EXECUTOR_PRICE_BASE of the environment comes before"), "\(set.errors)")
        try node.start(
            options: ["--price-per-million-fuel", "9"],
            shell: "export MESH_EXECUTOR_PRICE_BASE=6 MESH_EXECUTOR_PRICE_PER_MILLION_FUEL=7 MESH_EXECUTR_NICE=1")
        try node.waitUntilUp()
        let running = try node.run(["config", "list", "--running"]).output
        #expect(running.contains(/executor.price_base +6 +environment +at once/), "\(running)")
        #expect(running.contains(/executor.price_per_million_fuel +9 +option +at once/), "\(running)")
        #expect(running.contains(/executor.nice +0 +file +at a restart/), "\(running)")
        #expect(node.log.contains("MESH_EXECUTR_NICE sets nothing"), "\(node.log)")
        // The command's own environment does not say so, but the node does.
        for (key, source) in [
            ("executor.price_base", "the variable MESH_EXECUTOR_PRICE_BASE"),
            ("executor.price_per_million_fuel", "an option of mesh up"),
        ] {
            let vain = try node.run(["config", "set", key, "12"])
            #expect(vain.errors.contains("was started with \(source), which comes before the file"), "\(vain)")
        }
        #expect(try !node.run(["config", "set", "log_level", "debug"]).errors.contains("was started with"))
        let bad = try NodeProcess.command(["up"] + home, environment: ["MESH_EXECUTOR_NICE": "99"])
        #expect(bad.status == 234 && bad.errors.contains("The variable MESH_EXECUTOR_NICE cannot be used"), "\(bad)")
    }

    @Test("What the environment says beside the file counts when a setting is changed, the command's and the node's")
    func changedBesideTheEnvironment() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        defer { node.kill() }
        let home = ["--home", node.home.path]
        #expect(try node.run(["config", "set", "api.name", "node.example.org"]).status == 0)
        let set = ["config", "set", "api.listen", "0.0.0.0:0"] + home
        let alone = try NodeProcess.command(set)
        #expect(alone.status == 0 && alone.errors.contains("No node can use the file yet"), "\(alone.errors)")
        let variables = ["MESH_API_TLS_CERTIFICATE": "/c.pem", "MESH_API_TLS_KEY": "/k.pem"]
        let beside = try NodeProcess.command(set, environment: variables)
        #expect(beside.status == 0 && beside.errors.isEmpty, "\(beside.errors)")
        let check = ["config", "check"] + home
        #expect(try NodeProcess.command(check, environment: variables).status == 0)
        #expect(try NodeProcess.command(check).status == 234)
        // A node that was started with what the file lacks takes a change of it, and no fault is told.
        try node.start(shell: "export MESH_API_LISTEN=127.0.0.1:0")
        try node.waitUntilUp()
        let taken = try node.run(["config", "set", "drain_seconds", "3"])
        #expect(taken.errors == "The node that runs has taken drain_seconds.\n", "\(taken.errors)")
    }

    @Test("A peer is banned by the name that the listing gives it, allowed, and forgotten, by command")
    func peers() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let one = try NodeProcess("one", in: folder, ["--no-executor"])
        defer { one.kill() }
        try one.start()
        try one.waitUntilUp()
        let other = try NodeProcess("other", in: folder, ["--no-executor", "--bootstrap", try one.address()])
        defer { other.kill() }
        try other.start()
        try other.waitUntilUp()
        try eventually("they are connected") { try one.run(["peers"]).output.contains("connected") }
        let name = try #require(one.run(["peers"]).output.firstMatch(of: /…[a-zA-Z0-9]{8}/)?.output)
        let banned = try one.run(["peers", "ban", String(name), "--note", "spam"])
        #expect(banned.output.hasPrefix("\(name) is banned. 1 connection closed."), "\(banned)")
        #expect(try one.run(["peers"]).output.contains("banned"))
        #expect(try one.run(["peers", "bans"]).output.contains("spam"))
        _ = one.stop()
        try one.start()
        try one.waitUntilUp()
        #expect(try one.run(["peers", "bans", "--json"]).output.contains("spam"))
        #expect(try one.run(["peers", "forget", String(name)]).output.contains("It stays banned."))
        #expect(try one.run(["peers", "allow", String(name)]).output == "\(name) is allowed again.\n")
        #expect(try one.run(["peers", "bans"]).errors.contains("Nobody is banned."))
        let wrong = try one.run(["peers", "ban", "nobody"])
        #expect(wrong.status == 200 && wrong.errors.contains("is no DID, no peer ID"), "\(wrong)")
        let misspelt = try one.run(["peers", "bann"])
        #expect(misspelt.errors.contains("Did you mean mesh peers ban?"), "\(misspelt.errors)")
    }

    @Test("The doctor finds nothing bad on a fresh node, stopped or running, and names an open key and a taken port")
    func doctor() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("node", in: folder, [])
        defer { node.kill() }
        let files = try FileManager.default.contentsOfDirectory(atPath: node.home.path).sorted()
        #expect(try verdicts(node)["node"] == "ok")
        #expect(try FileManager.default.contentsOfDirectory(atPath: node.home.path).sorted() == files)
        let key = node.home.appendingPathComponent("identity.key").path
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        #expect(try verdicts(node, status: 248)["key"] == "bad")
        let told = try node.run(["doctor"])
        #expect(told.status == 248 && told.output.contains("chmod 600"), "\(told.output)")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        try node.start()
        try node.waitUntilUp()
        let running = try verdicts(node)
        #expect(running["ports"] == "ok" && running["peers"] == "warn" && running["reachability"] == "warn")
        // The next node is to listen where this one does.
        let address = try node.address()
        let place = address.components(separatedBy: "/p2p/")[0]
        let other = try NodeProcess("other", in: folder, ["--bootstrap", address], listen: place)
        let verdicts = try verdicts(other, status: 248)
        #expect(verdicts["ports"] == "bad" && verdicts["bootstrap"] == "ok", "\(verdicts)")
        let none = try NodeProcess.command(["doctor", "--home", folder.appendingPathComponent("none").path])
        #expect(none.status == 248 && none.output.contains("mesh init"), "\(none.output)")
    }
}
