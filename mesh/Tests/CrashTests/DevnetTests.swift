import Foundation
import Testing

/// A devnet however it ends: no node of it is left, and no folder that nobody asked for.
@Suite("Devnets", .serialized)
struct DevnetTests {
    /// How a devnet is made to end.
    enum End: String, CaseIterable {
        case interrupt, termination, hangUp, endOfInput, kill
    }

    @Test("A devnet takes all its nodes with it", arguments: End.allCases)
    func nobodyIsLeft(_ end: End) throws {
        let process = Process()
        let input = Pipe()
        let output = Pipe()
        if end == .hangUp { NodeProcess.hearHangUps() }
        process.executableURL = NodeProcess.mesh
        process.arguments = ["devnet", "--nodes", "3", "--json"]
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer { process.terminate() }
        var line = Data()
        while line.last != 0x0A {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the devnet ended before it was up")
            line += more
        }
        let nodes = try #require(try JSONSerialization.jsonObject(with: line) as? [[String: Any]])
        let children = nodes.compactMap { (($0["status"] as? [String: Any])?["pid"] as? NSNumber)?.int32Value }
        let homes = nodes.compactMap { $0["home"] as? String }
        try #require(children.count == 3 && homes.count == 3)
        #expect(children.allSatisfy(isAlive))
        switch end {
        case .interrupt: Foundation.kill(process.processIdentifier, SIGINT)
        case .termination: Foundation.kill(process.processIdentifier, SIGTERM)
        case .hangUp: Foundation.kill(process.processIdentifier, SIGHUP)
        case .endOfInput: try input.fileHandleForWriting.close()
        case .kill: Foundation.kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
        if end == .kill {
            // Nobody is there to wait for the nodes; they see the end of their own input.
            try eventually("the nodes have ended") { !children.contains(where: isAlive) }
            try? FileManager.default.removeItem(atPath: (homes[0] as NSString).deletingLastPathComponent)
        } else {
            #expect(process.terminationReason == .exit && process.terminationStatus == 0)
            #expect(!children.contains(where: isAlive))
            for home in homes { #expect(!FileManager.default.fileExists(atPath: home)) }
        }
    }

    @Test("A devnet whose node cannot start says what that node said, with its exit code, and leaves no other behind")
    func cannotStart() throws {
        let long = "/tmp/mc-" + String(repeating: "x", count: 100)
        let tooLong = try NodeProcess.command(["devnet", "--nodes", "2", "--base-dir", long])
        #expect(tooLong.status == 234)
        #expect(tooLong.errors.contains("is longer than the 107 bytes that the system takes. Choose a shorter --home."))
        #expect(!FileManager.default.fileExists(atPath: long))
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let second = folder.appendingPathComponent("node-1")
        try FileManager.default.createDirectory(at: second, withIntermediateDirectories: true)
        let key = second.appendingPathComponent("identity.key")
        try Data("no key".utf8).write(to: key)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key.path)
        let damaged = try NodeProcess.command(["devnet", "--nodes", "2", "--base-dir", folder.path])
        #expect(damaged.status == 233)
        let sentence = "mesh: Node 1 ended: The key file \(key.path) is damaged"
        #expect(damaged.errors.hasPrefix(sentence), "\(damaged.errors)")
        #expect(damaged.errors.split(separator: "\n").count == 1)
    }

    @Test("A devnet of one node runs jobs; in the same folder it goes on with its key and an edited configuration")
    func again() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let home = folder.appendingPathComponent("node-0")
        let file = home.appendingPathComponent("config.json")
        let node = NodeProcess(home: home)
        let module = folder.appendingPathComponent("nothing.wasm")
        var identities: Set<String> = []
        for region in ["", "mars"] {
            let devnet = try RunningCommand(["devnet", "--nodes", "1", "--base-dir", folder.path])
            defer { devnet.signal(SIGKILL) }
            try eventually("the node answers") { try node.run(["status"]).status == 0 }
            let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
            identities.insert(try #require(status["did"] as? String))
            #expect(status["region"] as? String ?? "" == (region.isEmpty ? "eu" : region))
            #expect(status["executor"] as? Bool == true)
            try Data(GuestModules.command("nop")).write(to: module)
            let ran = try node.run(["run", module.path])
            #expect(ran.status == 0, "\(ran.errors)")
            if region.isEmpty {
                devnet.signal(SIGTERM)
            } else {
                let stopped = try node.run(["stop"])
                #expect(stopped.errors.contains("The node belongs to a devnet, which ends with any of its nodes."))
            }
            let ended = try devnet.finish()
            #expect(ended.status == (region.isEmpty ? 0 : 237), "\(ended.errors)")
            #expect(ended.errors.contains("a devnet ends with any of its nodes.") == !region.isEmpty)
            let kept = "The nodes keep the config.json found in \(folder.path)"
            #expect(ended.errors.contains(kept) == !region.isEmpty, "\(ended.errors)")
            if region.isEmpty { try node.configure("region", "mars") }
            #expect(try String(contentsOf: file, encoding: .utf8).contains("mars"))
        }
        #expect(identities.count == 1)
    }

    private func isAlive(_ process: Int32) -> Bool {
        guard Foundation.kill(process, 0) == 0 else { return false }
        // A process that has ended and that nobody has waited for yet is no node any more.
        let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        return status?.split(separator: ")").last?.hasPrefix(" Z") != true
    }
}
