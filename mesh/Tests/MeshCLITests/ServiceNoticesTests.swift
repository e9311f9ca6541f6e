import Foundation
import Logging
import NodeAPITesting
import Testing

@testable import MeshCLI

@Suite("The service manager")
struct ServiceNoticesTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func named(_ environment: [String: String]) -> ServiceNotices? {
        ServiceNotices(environment, process: 77, logger: Self.logger)
    }

    @Test("Only an environment that names a socket names a manager, and only numbers for this process a watchdog")
    func environments() throws {
        #expect(named([:]) == nil)
        #expect(named(["NOTIFY_SOCKET": "", "WATCHDOG_USEC": "5"]) == nil)
        let socket = ["NOTIFY_SOCKET": "/run/systemd/notify"]
        #expect(try #require(named(socket)).patience == nil)
        for (microseconds, process, patience) in [
            ("30000000", "77", Duration.seconds(30)), ("30000000", nil, .seconds(30)), ("30000000", "78", nil),
            ("30000000", "", nil), ("0", "77", nil), ("-4", "77", nil), ("soon", "77", nil), ("", nil, nil),
        ] {
            var environment = socket
            environment["WATCHDOG_USEC"] = microseconds
            environment["WATCHDOG_PID"] = process
            #expect(try #require(named(environment)).patience == patience, "\(microseconds), \(process ?? "no PID")")
        }
    }

    @Test("A notice is one datagram, to a file's socket and to one without a file", arguments: [false, true])
    func notices(isAbstract: Bool) throws {
        let socket = try NoticeSocket(isAbstract: isAbstract)
        let notices = try #require(named(["NOTIFY_SOCKET": socket.name]))
        #expect(notices.tell(.ready))
        #expect(notices.tell(.stopping))
        #expect(socket.take() == ["READY=1", "STOPPING=1"])
    }

    @Test("Signs of life come from the node's beats: none without one, and none that nobody asked for")
    func follows() async throws {
        let socket = try NoticeSocket()
        let watched = try #require(named(["NOTIFY_SOCKET": socket.name, "WATCHDOG_USEC": "1"]))
        let unwatched = try #require(named(["NOTIFY_SOCKET": socket.name]))
        for count in [0, 1, 3] {
            let (beats, beat) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(3))
            for _ in 0..<count { beat.yield(()) }
            beat.finish()
            await watched.follow(beats)
            #expect(socket.take() == Array(repeating: "WATCHDOG=1", count: count) + ["STOPPING=1"])
        }
        let (beats, beat) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(3))
        beat.yield(())
        beat.finish()
        await unwatched.follow(beats)
        #expect(socket.take() == ["STOPPING=1"])
    }

    @Test("A watchdog hears four times within its patience, however often the loop turns")
    func pace() {
        var pace = WatchdogPace(patience: .seconds(40))
        let start = ContinuousClock.now
        let due = stride(from: 0, through: 40_000, by: 250).filter {
            pace.isDue(at: start.advanced(by: .milliseconds($0)))
        }
        #expect(due == [0, 10_000, 20_000, 30_000, 40_000])
    }

    @Test("Names that are none, or too long, and sockets where nobody is are said to be so, and harm nothing")
    func unusable() throws {
        let long = "/tmp/" + String(repeating: "n", count: 200)
        for name in ["relative", "@", "/", long, "vsock:2:1", "/tmp/mesh-nobody-\(UUID().uuidString)"] {
            #expect(!(try #require(named(["NOTIFY_SOCKET": name])).tell(.ready)), "\(name)")
        }
    }
}
