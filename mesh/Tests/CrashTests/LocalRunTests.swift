import Foundation
import Testing

/// `mesh run --local`: a job without a node, a mesh or a price.
@Suite("Runs without a mesh", .serialized)
struct LocalRunTests {
    private let folder: URL
    private var home: String { folder.appendingPathComponent("home").path }

    init() throws {
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func module(_ body: String) throws -> String {
        let path = folder.appendingPathComponent("module-\(UUID().uuidString.prefix(8)).wasm")
        try Data(GuestModules.command(body)).write(to: path)
        return path.path
    }

    private func local(_ words: [String]) throws -> NodeProcess.Finished {
        try NodeProcess.command(["run", "--local", "--home", home] + words)
    }

    /// The folders that local runs have now.
    private func leftovers() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/tmp").filter { $0.hasPrefix("mesh-local.") }
    }

    @Test("A module runs without a node, as it does on one: the same bytes and the same fuel; nothing is left behind")
    func aModuleRunsHere() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let input = folder.appendingPathComponent("input")
        try Data("hello".utf8).write(to: input)
        let path = try module(GuestModules.copying)
        let words = [path, "--stdin", input.path, "--json"]
        let here = try local(words)
        #expect(here.status == 0, "\(here.errors)")
        let report = try #require(try here.json() as? [String: Any])
        #expect(report["local"] as? Bool == true)
        #expect(report["stdout"] as? String == "hello")
        let result = try #require(report["result"] as? [String: Any])
        #expect(result["paid"] as? UInt64 == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: home) == ["cache"], "no node was made")

        // The same on a node of one's own, whose home had the compiled module already.
        let node = try NodeProcess("home", in: folder, ["--executor"])
        try node.start()
        try node.waitUntilUp()
        let there = try node.run(["run"] + words)
        #expect(there.status == 0, "\(there.errors)")
        let sent = try #require(try there.json() as? [String: Any])
        #expect(sent["local"] == nil)
        let other = try #require(sent["result"] as? [String: Any])
        for key in ["fuel", "stdout_cid", "ending"] {
            #expect("\(result[key] ?? "-")" == "\(other[key] ?? "+")", "\(key)")
        }
        // Beside the running node, too.
        let beside = try local(words)
        #expect(beside.status == 0, "\(beside.errors)")
        #expect(node.stop() == 0)
        #expect(try leftovers() == [])
    }

    @Test("A module's own exit code, its traps and the limits are told as in a mesh, with a receipt that says local")
    func endings() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let exited = try local([try module("(call $exit (i32.const 7))")])
        #expect(exited.status == 7, "\(exited.errors)")
        #expect(exited.errors.contains("\nreceipt  local: nobody else took part, and it is not kept\n"))
        #expect(!exited.errors.contains("paid"), "\(exited.errors)")
        let trapped = try local([try module("unreachable")])
        #expect(trapped.status == 210, "\(trapped.errors)")
        let stopped = try local([try module("(loop $l br $l)"), "--max-fuel", "1M"])
        #expect(stopped.status == 211, "\(stopped.errors)")
        #expect(stopped.errors.contains("Raise it with --max-fuel"), "\(stopped.errors)")
        let large = try local([try module("nop"), "--max-memory", "3Gi"])
        #expect(large.status == 244, "\(large.errors)")
        #expect(large.errors.contains("Ask for less with --max-memory.\n"), "\(large.errors)")
        for word in ["executor", "node", "config.json", "mesh explain"] {
            #expect(!large.errors.contains(word), "\(large.errors)")
        }
    }

    @Test("The limits are those of the user's node")
    func limits() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try NodeProcess("home", in: folder, ["--executor"])
        try node.configure("limits", "module_bytes_max", 20)
        let refused = try local([try module("nop")])
        #expect(refused.status == 244, "\(refused.errors)")
        #expect(refused.errors.contains("raise limits.module_bytes_max in \(home)/config.json"), "\(refused.errors)")
        try node.configure("limits", "module_bytes_max", -1)
        let wrong = try local([try module("nop")])
        #expect(wrong.status == 234, "\(wrong.errors)")
    }

    @Test("Ctrl-C ends a local run, and nothing of it stays")
    func interrupted() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = try module("(loop $l br $l)")
        let running = try RunningCommand(
            ["run", "--local", "--home", home, path, "--max-fuel", "1T", "--timeout", "10m"])
        try eventually("the run has a folder") { try !leftovers().isEmpty }
        // The compiled module is there once the run is about to begin.
        try eventually("the module is compiled") {
            let cache = (try? FileManager.default.contentsOfDirectory(atPath: home + "/cache")) ?? []
            return cache.contains { $0.hasSuffix(".compiled") }
        }
        running.signal(SIGINT)
        let ended = try running.finish()
        #expect(ended.status == 214, "\(ended.errors)")
        #expect(try leftovers() == [])
    }
}
