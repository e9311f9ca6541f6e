import Foundation
import LibP2P
import Logging
import Multiformats
import PeerIdentity
import Testing

/// Sockets that connect to a port from many addresses of this machine, eight from each, say nothing, and come back a
/// second after they were cut off.
// SAFETY: the sockets belong to the one thread; the rest is used under the lock.
private final class SilentSockets: @unchecked Sendable {
    private struct Socket {
        var descriptor: Int32
        var startsAt: Double
    }

    private let port: UInt16
    private let pauseSeconds: Double
    private let lock = NSCondition()
    private var isOver = false
    private var hasEnded = false
    private var started = 0
    private var sockets: [Socket]

    init(count: Int, port: UInt16, pauseSeconds: Double) {
        self.port = port
        self.pauseSeconds = pauseSeconds
        sockets = (0..<count).map { _ in Socket(descriptor: -1, startsAt: 0) }
    }

    /// How many connections were begun.
    var connects: Int {
        lock.lock()
        defer { lock.unlock() }
        return started
    }

    func start() {
        Thread.detachNewThread { [self] in
            while !isFinished { turn() }
            for socket in sockets where socket.descriptor >= 0 { close(socket.descriptor) }
            lock.lock()
            hasEnded = true
            lock.broadcast()
            lock.unlock()
        }
    }

    /// Closes all and waits until they are.
    func end() {
        lock.lock()
        defer { lock.unlock() }
        isOver = true
        while !hasEnded { lock.wait() }
    }

    private var isFinished: Bool {
        lock.lock()
        defer { lock.unlock() }
        return isOver
    }

    /// Begins the connections that are due, and waits a little for one to be cut off.
    private func turn() {
        let now = Date().timeIntervalSinceReferenceDate
        for number in sockets.indices where sockets[number].descriptor < 0 && sockets[number].startsAt <= now {
            sockets[number].descriptor = connect(from: number)
            sockets[number].startsAt = now + pauseSeconds
            lock.lock()
            started += 1
            lock.unlock()
        }
        var waiting = sockets.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        guard poll(&waiting, nfds_t(waiting.count), 20) > 0 else { return }
        for (number, result) in waiting.enumerated() where result.revents != 0 {
            close(sockets[number].descriptor)
            sockets[number] = Socket(descriptor: -1, startsAt: now + pauseSeconds)
        }
    }

    private func connect(from number: Int) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return -1 }
        let host = number / 8
        let own = "127.\(1 + host / 200).1.\(1 + host % 200)"
        for (text, port, isOwn) in [(own, UInt16(0), true), ("127.0.0.1", port, false)] {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = inet_addr(text)
            // SAFETY: the system reads the address within the call.
            _ = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    let length = socklen_t(MemoryLayout<sockaddr_in>.size)
                    return isOwn ? bind(descriptor, $0, length) : Foundation.connect(descriptor, $0, length)
                }
            }
        }
        return descriptor
    }
}

/// Threads for tasks that must not wait for those of the pool, which other tests block while they wait for processes:
/// an honest peer that answers too late is cut off, as it should be.
private final class OwnThreads: TaskExecutor {
    private let queue = DispatchQueue(label: "honest peers", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        queue.async { job.runSynchronously(on: executor) }
    }
}

/// A node on which silent sockets from hundreds of addresses fight for the places of handshakes.
@Suite("A flood of handshakes", .serialized)
struct HandshakeFloodTests {
    /// Honest dials beside each crowd. Beside so many sockets each takes its time, so there are more only with
    /// MESH_FLOOD_DIALS.
    private static let dials =
        ProcessInfo.processInfo.environment["MESH_FLOOD_DIALS"].flatMap(Int.init).map { max(2, $0) } ?? 40

    /// So many descriptors for this process, where the system allows them.
    private func allowDescriptors(_ count: UInt) -> Bool {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return false }
        if limit.rlim_cur >= count { return true }
        limit.rlim_cur = min(limit.rlim_max, count)
        return setrlimit(resource, &limit) == 0 && limit.rlim_cur >= count
    }

    /// A node that does not exempt loopback.
    private func strictNode(in folder: URL) throws -> NodeProcess {
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        let file = node.home.appendingPathComponent("config.json")
        var settings = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        var limits = settings["limits"] as? [String: Any] ?? [:]
        limits["exempts_loopback"] = false
        settings["limits"] = limits
        try JSONSerialization.data(withJSONObject: settings).write(to: file)
        return node
    }

    /// How long a peer that nobody knows takes from its dial to its first ping, in seconds.
    private func honestDial(_ address: Multiaddr) async throws -> Double {
        let swarm = Swarm(configuration: SwarmConfiguration(), identity: .generate(), logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await swarm.run() }
            defer { group.cancelAll() }
            let start = ContinuousClock().now
            let peer = try await swarm.dial(address)
            _ = try await swarm.ping(peer, timeoutMilliseconds: 60_000)
            let taken = ContinuousClock().now - start
            await swarm.disconnect(peer)
            return taken / .seconds(1)
        }
    }

    @Test("Beside 64 and 2,000 silent sockets that come back when they are cut off every honest dial succeeds")
    func honestDialsSucceed() async throws {
        guard allowDescriptors(3_000) else {
            print("skipped: the system does not allow 3,000 descriptors")
            return
        }
        let folder = URL(fileURLWithPath: "/tmp/mf-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let node = try strictNode(in: folder)
        try node.start()
        try node.waitUntilUp()
        let address = try Multiaddr(parsing: node.address())
        guard case .tcp(let port)? = address.withoutPeerID().components.last else { return }
        let threads = OwnThreads()
        for count in [64, 2_000] {
            let crowd = SilentSockets(count: count, port: port, pauseSeconds: count == 64 ? 0.02 : 1)
            crowd.start()
            while crowd.connects < count { poll(nil, 0, 10) }
            var seconds: [Double] = []
            do {
                try await withTaskExecutorPreference(threads) {
                    for _ in 0..<Self.dials { seconds.append(try await honestDial(address)) }
                }
            } catch {
                crowd.end()
                Issue.record("\(error) after \(seconds.count) dials, \(try node.run(["status", "--json"]).output)")
                throw error
            }
            crowd.end()
            seconds.sort()
            print(
                "\(count) silent sockets, \(crowd.connects) connects: dial and ping in \(seconds[Self.dials / 2]) s, "
                    + "all but one of \(Self.dials) in \(seconds[Self.dials - 2]) s")
        }
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        let counters = try #require(status["counters"] as? [[String: Any]])
        let names = counters.compactMap { $0["name"] as? String }
        #expect(names.contains("swarm_displaced_pending_inbound"))
        #expect(node.stop() == 0)
    }
}
