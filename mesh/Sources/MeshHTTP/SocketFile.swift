import Foundation
import NodeAPI

/// The Unix socket's path in the file system: claimed before binding, removed when the server ends.
struct SocketFile: Sendable {
    let path: String

    /// Frees the path: removes a socket that nobody answers on; refuses one that answers, or another kind of file.
    func claim() throws(NodeServiceError) {
        guard path.utf8.count <= NodeHome.socketPathBytesMax else {
            throw NodeServiceError(
                .configurationInvalid,
                "The socket's path \(path) is longer than the \(NodeHome.socketPathBytesMax) bytes that the system "
                    + "takes.",
                hint: "Choose a shorter --home.")
        }
        var information = stat()
        guard lstat(path, &information) == 0 else { return }
        guard information.st_mode & S_IFMT == S_IFSOCK else {
            throw NodeServiceError(
                .addressInUse, "\(path) is a file and no socket.", hint: "Move it away or choose another --home.")
        }
        guard !answers() else {
            throw NodeServiceError(
                .alreadyRunning, "Another node answers on \(path).", hint: "Stop it, or choose another --home.")
        }
        guard unlink(path) == 0 else {
            throw NodeServiceError(
                .addressInUse, "The stale socket \(path) cannot be removed (\(Self.lastError)).",
                hint: "Remove it by hand, or choose another --home.")
        }
    }

    /// Lets only the owner connect.
    func restrict() throws(NodeServiceError) {
        guard chmod(path, 0o600) == 0 else {
            throw NodeServiceError(.addressInUse, "\(path) cannot be made owner-only (\(Self.lastError)).")
        }
    }

    /// Removes the socket.
    func remove() {
        unlink(path)
    }

    /// Whether somebody accepts connections here.
    private func answers() -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // SAFETY: the path was checked to fit, and the pointers do not leave their closures.
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        // SAFETY: a sockaddr_un is a sockaddr to the system, and its own size goes with it.
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    private static var lastError: String { String(cString: strerror(errno)) }
}
