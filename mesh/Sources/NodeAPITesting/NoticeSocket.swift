import Foundation

/// A service manager's socket, on which a test hears what a node says of itself (sd_notify(3)).
package final class NoticeSocket: Sendable {
    /// Its name, as `NOTIFY_SOCKET` has it.
    package let name: String
    private let descriptor: Int32

    /// A socket with a file in `/tmp`, or with a name that no file has; throws the system's error.
    package init(isAbstract: Bool = false) throws {
        name = (isAbstract ? "@" : "/tmp/") + "mesh-notify-\(UUID().uuidString.prefix(12))"
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if isAbstract { bytes[0] = 0 }
        // SAFETY: the name is shorter than the room for it, and the pointer does not leave its closure.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        // SAFETY: a sockaddr_un is a sockaddr to the system, of which it reads as many bytes as it is told.
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        guard descriptor >= 0, bound == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }

    deinit {
        close(descriptor)
        if name.hasPrefix("/") { unlink(name) }
    }

    /// What was sent and not taken yet, a text for each datagram.
    package func take() -> [String] {
        var texts: [String] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        while case let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)), count >= 0 {
            texts.append(String(decoding: buffer.prefix(count), as: UTF8.self))
        }
        return texts
    }
}
