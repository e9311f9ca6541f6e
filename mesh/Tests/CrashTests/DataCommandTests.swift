import Foundation
import Testing

/// Files and folders by the real binary: an upload that is cut off on either side, archives between two nodes, and a
/// module that is compiled ahead.
@Suite("Commands for data", .serialized)
final class DataCommandTests {
    private let folder: URL
    private let node: NodeProcess
    private let other: NodeProcess

    init() throws {
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        node = try NodeProcess("node", in: folder, ["--executor"])
        other = try NodeProcess("other", in: folder, ["--no-executor"])
        for one in [node, other] {
            try one.start()
            try one.waitUntilUp()
        }
    }

    deinit {
        for one in [node, other] { one.kill() }
        try? FileManager.default.removeItem(at: folder)
    }

    private func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require(finished.status == 0, "\(finished.errors)")
        return try #require(try finished.json() as? [String: Any])
    }

    private func number(_ value: Any?) throws -> Int { try #require((value as? NSNumber)?.intValue) }

    /// The bytes of all blocks of a node; nil while it does not answer.
    private func blockBytes(_ node: NodeProcess) throws -> Int? {
        let status = try node.run(["status", "--json"])
        guard status.status == 0 else { return nil }
        let storage = try #require(try (status.json() as? [String: Any])?["storage"] as? [String: Any])
        return try number(storage["block_bytes"])
    }

    /// A file of so many MiB, each of another content.
    private func file(_ name: String, mib: Int) throws -> String {
        var bytes = Data(capacity: mib << 20)
        for number in 0..<mib {
            var block = Data(repeating: UInt8(truncatingIfNeeded: number), count: 1 << 20)
            withUnsafeBytes(of: number) { block.replaceSubrange(0..<8, with: $0) }
            bytes += block
        }
        let url = folder.appendingPathComponent(name)
        try bytes.write(to: url)
        return url.path
    }

    @Test("An upload goes on where it stopped, whoever was killed: the command, or the node")
    func uploads() throws {
        let path = try file("long", mib: 192)
        let cut = try RunningCommand(["add", path, "--home", node.home.path])
        try eventually("some of it is there") { try blockBytes(node).map { $0 > 8 << 20 } ?? false }
        cut.signal(SIGKILL)
        _ = try cut.finish()
        let there = try #require(try blockBytes(node))
        node.kill()
        try node.start()
        try node.waitUntilUp()
        // What a killed process wrote is there.
        #expect(try #require(try blockBytes(node)) >= there)
        let again = try RunningCommand(["add", path, "--home", node.home.path])
        try eventually("the node answers while it is sent") { try blockBytes(node).map { $0 >= there } ?? false }
        node.kill()
        _ = try again.finish()
        try node.start()
        try node.waitUntilUp()
        let whole = try object(try node.run(["add", path, "--json"]))
        let sent = try number(whole["bytes_sent"])
        #expect(sent <= (193 << 20) - there, "\(sent) bytes sent, \(there) were there")
        let fresh = try object(try other.run(["add", path, "--json"]))
        #expect(fresh["cid"] as? String == whole["cid"] as? String)
        #expect(try number(fresh["blocks_sent"]) == 193)
        let back = folder.appendingPathComponent("back").path
        try #require(try node.run(["get", try #require(whole["cid"] as? String), "--output", back]).status == 0)
        #expect(try Data(contentsOf: URL(fileURLWithPath: back)) == Data(contentsOf: URL(fileURLWithPath: path)))
    }

    @Test("An archive takes a folder to another node, and a damaged one is refused whole")
    func archives() throws {
        let tree = folder.appendingPathComponent("tree")
        let below = tree.appendingPathComponent("below")
        try FileManager.default.createDirectory(at: below, withIntermediateDirectories: true)
        try Data("a moon".utf8).write(to: tree.appendingPathComponent("moon.txt"))
        try Data(repeating: 5, count: 3 << 20).write(to: below.appendingPathComponent("five"))
        let root = try #require(try object(try node.run(["add", "-r", tree.path, "--json"]))["cid"] as? String)
        let archive = folder.appendingPathComponent("tree.car")
        let written = try object(try node.run(["car", "export", root, "-o", archive.path, "--json"]))
        #expect(written["roots"] as? [String] == [root])

        var damaged = try Data(contentsOf: archive)
        damaged[damaged.count - 1] ^= 1
        let wrong = folder.appendingPathComponent("wrong.car")
        try damaged.write(to: wrong)
        let refused = try other.run(["car", "import", wrong.path])
        #expect(refused.status != 0)
        #expect(refused.errors.contains("wrong.car"), "\(refused.errors)")
        #expect(try other.run(["pin", "ls"]).output.contains(root) == false)

        let read = try object(try other.run(["car", "import", archive.path, "--json"]))
        #expect(try number(read["blocks"]) == number(written["blocks"]))
        #expect(try other.run(["pin", "ls"]).output.contains(root))
        let back = folder.appendingPathComponent("back")
        try #require(try other.run(["get", root, "--output", back.path]).status == 0)
        #expect(try Data(contentsOf: back.appendingPathComponent("moon.txt")) == Data("a moon".utf8))
        #expect(try Data(contentsOf: back.appendingPathComponent("below/five")).count == 3 << 20)
    }

    @Test("A module that was compiled ahead is ready, after a restart too")
    func warm() throws {
        let module = folder.appendingPathComponent("nothing.wasm")
        try Data(GuestModules.command("nop")).write(to: module)
        #expect(try object(try node.run(["warm", module.path, "--json"]))["source"] as? String == "compiled")
        #expect(try object(try node.run(["warm", module.path, "--json"]))["source"] as? String == "memory")
        #expect(node.stop() == 0)
        try node.start()
        try node.waitUntilUp()
        #expect(try object(try node.run(["warm", module.path, "--json"]))["source"] as? String == "disk")
        let refused = try node.run(["warm", folder.path])
        #expect(refused.status == 246, "\(refused.errors)")
    }
}
