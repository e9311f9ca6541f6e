import Foundation
import Logging
import NodeAPI

/// What the service manager that started this process, such as systemd, is told of the node, in datagrams.
///
/// Source: sd_notify(3), sd_watchdog_enabled(3).
struct ServiceNotices: Sendable {
    /// What it is told.
    enum Notice: String, Sendable {
        /// The node answers.
        case ready = "READY=1"
        /// The node's loop turns.
        case alive = "WATCHDOG=1"
        /// The node's loop has ended.
        case stopping = "STOPPING=1"
    }

    /// The path of its socket, or a name behind `@`, which no file has.
    let socketName: String
    /// How long it waits for a sign of life before it takes this process for hung; nil if it asks for none.
    let patience: Duration?
    private let logger: Logger

    /// Notices to the manager that an environment names (`NOTIFY_SOCKET`); nil without one. It wants signs of life
    /// where `WATCHDOG_USEC` is a number of microseconds, and `WATCHDOG_PID` no other process.
    init?(_ environment: [String: String], process: Int32 = getpid(), logger: Logger) {
        guard let name = environment["NOTIFY_SOCKET"], !name.isEmpty else { return nil }
        socketName = name
        let isMeant = environment["WATCHDOG_PID"].map { Int32($0) == process } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap(Int64.init).flatMap { $0 > 0 ? $0 : nil }
        patience = isMeant ? microseconds.map { .microseconds($0) } : nil
        self.logger = logger
    }

    /// Sends a notice; whether it went out. Waits for nobody; what cannot be sent is a warning in the log.
    @discardableResult
    func tell(_ notice: Notice) -> Bool {
        guard let reason = send(notice) else { return true }
        logger.warning(
            "The service manager could not be told how the node fares.",
            metadata: ["socket": "\(socketName)", "notice": "\(notice.rawValue)", "reason": "\(reason)"])
        return false
    }

    /// Tells it that the node is alive, as often as it wants to hear that, but only when the node's loop has turned,
    /// and at the loop's end that the node stops.
    func follow(_ beats: AsyncStream<Void>) async {
        var pace = patience.map(WatchdogPace.init)
        for await _ in beats where pace?.isDue(at: .now) == true { tell(.alive) }
        tell(.stopping)
    }

    /// Sends a notice; nil, or why that was not possible.
    private func send(_ notice: Notice) -> String? {
        guard let (named, length) = address else { return "no name of a socket" }
        var address = named
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        defer { close(descriptor) }
        let text = Array(notice.rawValue.utf8)
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        // SAFETY: a sockaddr_un is a sockaddr to the system, of which it reads as many bytes as it is told.
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, text, text.count, flags, $0, length)
            }
        }
        return sent == text.count ? nil : String(cString: strerror(errno))
    }

    /// The socket's address and how many bytes of it count; nil if the name is none, or too long.
    private var address: (sockaddr_un, socklen_t)? {
        var name = Array(socketName.utf8)
        guard name.count > 1, name.count <= NodeHome.socketPathBytesMax else { return nil }
        switch name[0] {
        case UInt8(ascii: "/"): name.append(0)
        // A name that no file has begins with a zero, and ends where the address ends.
        case UInt8(ascii: "@"): name[0] = 0
        default: return nil
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // SAFETY: the name was checked to fit, and the pointer does not leave its closure.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let head = MemoryLayout<sockaddr_un>.size - MemoryLayout.size(ofValue: address.sun_path)
        return (address, socklen_t(head + name.count))
    }
}

/// How often a watchdog is told that all is well: four times within its patience, so that a late turn does no harm.
struct WatchdogPace: Sendable {
    private let pause: Duration
    private var last: ContinuousClock.Instant?

    /// The pace for a watchdog's patience.
    init(patience: Duration) { pause = patience / 4 }

    /// Whether it is time for the next notice; if so, the next one is due a pause later.
    mutating func isDue(at now: ContinuousClock.Instant) -> Bool {
        if let last, now - last < pause { return false }
        last = now
        return true
    }
}
