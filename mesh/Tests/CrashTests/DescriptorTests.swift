import Foundation
import Testing

/// A node that may open few files, or none any more.
@Suite("Descriptors", .serialized)
struct DescriptorTests {
    private let folder: URL
    private let node: NodeProcess

    init() throws {
        folder = URL(fileURLWithPath: "/tmp/md-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        node = try NodeProcess("node", in: folder, ["--executor"])
    }

    /// A connection that says nothing; it stands as soon as the system has queued it.
    private func connect(_ port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        // SAFETY: the system reads the address within the call.
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0, "connect: \(errno)")
        return descriptor
    }

    private func port() throws -> UInt16 {
        let parts = try node.address().split(separator: "/")
        return try #require(parts.count > 3 ? UInt16(parts[3]) : nil)
    }

    private func openFiles(_ process: Int32) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count
    }

    /// Seconds of processor time that a process has used.
    private func processorSeconds(_ process: Int32) throws -> Double {
        let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
        let fields = try #require(text.split(separator: ")").last).split(separator: " ")
        let ticks = try #require(Double(fields[11])) + (try #require(Double(fields[12])))
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Sets how many files the running node may open.
    private func allow(_ count: Int, _ process: Int32) throws {
        let command = try RunningCommand(
            ["--pid", "\(process)", "--nofile=\(count):20000"], program: URL(fileURLWithPath: "/usr/bin/prlimit"))
        let finished = try command.finish()
        try #require(finished.status == 0, "prlimit: \(finished.errors)")
    }

    private func occurrences(_ text: String) -> Int { node.log.components(separatedBy: text).count - 1 }

    @Test("Out of descriptors a node pauses, says so once and does not spin; then it serves again")
    func exhausted() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit") else {
            print("skipped: there is no prlimit here")
            return
        }
        try node.start()
        try node.waitUntilUp()
        let process = try #require(node.processID)
        let port = try port()
        // Fewer are left than accepting leaves to the rest of the process.
        try allow(openFiles(process) + 16, process)
        var knocking: [Int32] = []
        for _ in 0..<8 { knocking.append(try connect(port)) }
        defer { for descriptor in knocking { close(descriptor) } }
        let pausing = "No connections are accepted for the time being. of=peers"
        try eventually("the node pauses") {
            poll(nil, 0, 20)
            return occurrences(pausing) == 1
        }
        let before = try processorSeconds(process)
        let start = Date()
        while Date().timeIntervalSince(start) < 3 { poll(nil, 0, 100) }
        try #require(FileManager.default.fileExists(atPath: "/proc/\(process)"), "the node has ended: \(node.log)")
        let used = try processorSeconds(process) - before
        #expect(used < 1, "\(used) s of processor time in 3 s in which it had nothing to do")
        #expect(occurrences(pausing) == 1)
        try allow(10_000, process)
        try eventually("the node accepts again") {
            poll(nil, 0, 20)
            return occurrences("Connections are accepted again. of=peers") == 1
        }
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        let counters = try #require(status["counters"] as? [[String: Any]])
        let paused = counters.first { $0["name"] as? String == "swarm_accepting_paused" }
        #expect((paused?["value"] as? NSNumber)?.intValue ?? 0 >= 1)
        let other = try NodeProcess("other", in: folder, ["--no-executor"])
        try other.start()
        try other.waitUntilUp()
        #expect(try other.run(["connect", node.address()]).status == 0)
        #expect(node.stop() == 0)
    }

    @Test("Where few files may be open a node says so, takes fewer connections, and keeps enough to do its work")
    func few() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try node.start(shell: "ulimit -n 256")
        try node.waitUntilUp()
        #expect(occurrences("Fewer files may be open than this configuration may use") == 1)
        #expect(node.log.contains("allowed=256"))
        let process = try #require(node.processID)
        let port = try port()
        var knocking: [Int32] = []
        for _ in 0..<400 { knocking.append(try connect(port)) }
        let module = folder.appendingPathComponent("short.wasm")
        try Data(CountdownModule.bytes(rounds: 1_000)).write(to: module)
        // Storing, compiling and answering need descriptors of their own.
        #expect(try node.run(["add", module.path]).status == 0)
        #expect(try openFiles(process) < 256)
        // On a busy machine the sockets of handshakes that were displaced may still be open; accepting then waits for
        // them, but nothing may ever fail.
        let pauses = occurrences("No connections are accepted")
        #expect(occurrences("the last 24 descriptors are kept") == pauses, "\(node.log)")
        for descriptor in knocking { close(descriptor) }
        #expect(node.stop() == 0)
    }
}
