import Foundation
import Testing

/// Nodes that die beside the write of an entry of their logs.
@Suite("Killed beside an entry of the log", .serialized)
struct LogCrashTests {
    /// Starts a node, which from then on has the address that it has now.
    private func keepAddress(of node: NodeProcess) throws -> String {
        let address = try node.address()
        let port = try #require(address.split(separator: "/").dropFirst(3).first)
        try node.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
        return address
    }

    /// Writes the head that a node signs now into a file, if it answers.
    private func head(_ node: NodeProcess, _ options: [String] = []) throws -> (size: UInt64, file: String)? {
        let shown = try node.run(["dag", "heads", "--json"] + options)
        guard shown.status == 0, let head = try shown.json() as? [String: Any], let text = head["text"] as? String,
            let size = (head["size"] as? NSNumber)?.uint64Value
        else { return nil }
        let file = node.home.appendingPathComponent("head-\(UUID().uuidString)")
        try Data(text.utf8).write(to: file)
        return (size, file.path)
    }

    @Test("A node that dies on either side of the write of an entry has signed one history, and goes on with it")
    func entries() throws {
        let mesh = try CrashMesh()
        mesh.executors[1].kill()
        let address = try keepAddress(of: mesh.executors[0])
        try mesh.originator.configure("bootstrap", [address])
        let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
        for (node, role, other) in [
            (mesh.originator, "originator", mesh.executors[0]), (mesh.executors[0], "executor", mesh.originator),
        ] {
            var heads: [(size: UInt64, file: String)] = []
            for (number, side) in ["before", "after", "before", "after"].enumerated() {
                let point = "\(role):anchored"
                node.kill()
                try node.start(crashAfter: side == "after" ? point : nil, crashBefore: side == "before" ? point : nil)
                try node.waitUntilUp()
                if !other.isRunning { try other.start() }
                try other.waitUntilUp()
                let key = "\(role)-\(number)"
                let job = ["run", module, "--idempotency-key", key, "--sufficient-bids", "1"]
                let running = try RunningCommand(job + ["--detach", "--home", mesh.originator.home.path])
                var isDead = false
                try eventually("\(role) dies \(side) the entry") {
                    isDead = isDead || node.waitForCrash(seconds: 0.02)
                    if !isDead, let head = try head(node) { heads.append(head) }
                    return isDead
                }
                _ = try running.finish()
                try node.start()
                try node.waitUntilUp()
                heads.append(try #require(try head(node)))
                let ended = try mesh.originator.run(job + ["--json"])
                #expect(ended.status == 0, "\(role) \(side): \(ended.errors)")
                try eventually("\(role) has an entry for each job") { (try head(node)?.size ?? 0) > UInt64(number) }
            }
            let last = try #require(try head(node))
            #expect(last.size >= 4)
            for old in heads {
                let grown = try #require(try head(node, ["--since", "\(old.size)"]))
                let verified = try NodeProcess.command(["dag", "verify", old.file, grown.file])
                #expect(verified.status == 0, "\(role), \(old.size) in \(last.size): \(verified.output)")
            }
            let log = try #require(
                try node.run(["dag", "log", "--limit", "1000", "--json"]).json() as? [[String: Any]])
            let numbers = log.compactMap { ($0["number"] as? NSNumber)?.uint64Value }
            #expect(numbers == Array((0..<last.size).reversed()))
        }
    }
}
