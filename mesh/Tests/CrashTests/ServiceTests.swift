import Foundation
import NodeAPITesting
import Testing

/// A node under a service manager, which hears that it is up, that it lives and that it stops.
@Suite("The node as a service", .serialized)
struct ServiceTests {
    @Test("A service manager hears once that the node answers, then that it is alive, and last that it stops")
    func notices() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let manager = try NoticeSocket()
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        try node.start(shell: "export NOTIFY_SOCKET=\(manager.name) WATCHDOG_USEC=1000000 WATCHDOG_PID=$$")
        var heard: [String] = []
        try eventually("the node says that it is up") {
            heard += manager.take()
            return heard.contains("READY=1")
        }
        #expect(try node.run(["status"]).status == 0, "whoever hears that it is up may use it")
        try eventually("the node says that it is alive") {
            heard += manager.take()
            return heard.count { $0 == "WATCHDOG=1" } >= 3
        }
        #expect(node.stop() == 0)
        heard += manager.take()
        #expect(heard.count { $0 == "READY=1" } == 1)
        #expect(heard.last == "STOPPING=1")
        #expect(Set(heard) == ["READY=1", "WATCHDOG=1", "STOPPING=1"])
        #expect(!node.log.contains("service manager"), "\(node.log)")
    }
}
