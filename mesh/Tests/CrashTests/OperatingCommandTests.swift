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

    @Test("Settings are changed, refused, listed and given back; a node that runs says that it needs a restart")
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
        #expect(changed.errors.contains("mesh stop"), "\(changed.errors)")
        #expect(try object(node.run(["config", "check", "--json"]))["needs_restart"] as? Bool == true)
        #expect(try verdicts(node)["config"] == "warn")
        try node.configure("log_level", "loud")
        let broken = try node.run(["config", "check"])
        #expect(broken.status == 234 && broken.errors.contains("log_level is \"loud\""), "\(broken.errors)")
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
