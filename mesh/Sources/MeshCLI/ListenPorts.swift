import Foundation
import Multiformats
import NodeAPI
import NodeSetup

/// The port of a new node: the usual one, or the next that nobody on this machine listens on.
enum ListenPorts {
    /// Ports that are tried, from the usual one on.
    static let triesMax: UInt16 = 100

    /// Addresses to listen on, and the port that another program or node has, if one does.
    struct Choice: Hashable {
        var listen: [Multiaddr]
        var takenPort: UInt16?
    }

    /// The addresses with the next port at which all of them are free; as they are if there is none.
    static func choose(
        _ usual: [Multiaddr], isTaken: (Multiaddr) -> Bool = Self.isTaken(_:)
    ) -> Choice {
        guard usual.contains(where: isTaken), let port = usual.lazy.compactMap(port).first else {
            return Choice(listen: usual)
        }
        for offset in 1..<triesMax {
            let moved = usual.map { at(port &+ offset, $0) }
            if !moved.contains(where: isTaken) { return Choice(listen: moved, takenPort: port) }
        }
        return Choice(listen: usual, takenPort: port)
    }

    /// Folders that are looked through for nodes.
    static let neighboursMax = 256

    /// The ports that other nodes will take when they are started: that in the default home, and those whose homes lie
    /// beside this one.
    static func ports(ofNodesBeside home: NodeHome) -> Set<UInt16> {
        let folder = home.path.parentFolder
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        let paths = names.prefix(neighboursMax).map { (folder as NSString).appendingPathComponent($0) }
        let homes = [NodeHome(path: NodeHome.defaultPath)] + paths.map { NodeHome(path: $0) }
        var ports: Set<UInt16> = []
        for other in homes where other.path != home.path && other.isInitialised {
            guard let configuration = try? NodeConfiguration.load(path: other.configurationPath) else { continue }
            ports.formUnion(configuration.listen.compactMap(port))
        }
        return ports
    }

    static func port(_ address: Multiaddr) -> UInt16? {
        for case .tcp(let port) in address.components { return port }
        return nil
    }

    private static func at(_ port: UInt16, _ address: Multiaddr) -> Multiaddr {
        Multiaddr(address.components.map { if case .tcp = $0 { .tcp(port) } else { $0 } })
    }

    /// Whether another program on this machine listens there.
    static func isTaken(_ address: Multiaddr) -> Bool {
        guard let port = port(address), port != 0 else { return false }
        return withSocketAddress(address, port: port) { isRefused($1, $2, $0) } ?? false
    }

    /// Lets `body` use an IP address and a port as the system's own: its family, where it is, and its bytes; nil where
    /// the address is no IP address.
    static func withSocketAddress<Outcome>(
        _ address: Multiaddr, port: UInt16,
        // SAFETY: the bytes are there until `body` returns, as many as it is told.
        _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Outcome
    ) -> Outcome? {
        switch address.components.first {
        case .ip4(let bytes):
            var socket = sockaddr_in()
            socket.sin_family = sa_family_t(AF_INET)
            socket.sin_port = port.bigEndian
            // SAFETY: four bytes go into the four of the address, within the call.
            withUnsafeMutableBytes(of: &socket.sin_addr) { $0.copyBytes(from: bytes.prefix(4)) }
            return withPointer(to: socket) { body(AF_INET, $0, $1) }
        case .ip6(let bytes):
            var socket = sockaddr_in6()
            socket.sin6_family = sa_family_t(AF_INET6)
            socket.sin6_port = port.bigEndian
            // SAFETY: sixteen bytes go into the sixteen of the address, within the call.
            withUnsafeMutableBytes(of: &socket.sin6_addr) { $0.copyBytes(from: bytes.prefix(16)) }
            return withPointer(to: socket) { body(AF_INET6, $0, $1) }
        default: return nil
        }
    }

    private static func withPointer<Address, Outcome>(
        to address: Address,
        // SAFETY: the bytes are there until `body` returns, as many as it is told.
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Outcome
    ) -> Outcome? {
        // SAFETY: a sockaddr_in or sockaddr_in6 is a sockaddr to the system, and its own size goes with it.
        withUnsafeBytes(of: address) { bytes in
            bytes.bindMemory(to: sockaddr.self).baseAddress.map { body($0, socklen_t(bytes.count)) }
        }
    }

    /// Whether the system refuses to bind an address because it is in use.
    // SAFETY: the system reads as many bytes as it is told, within the call.
    private static func isRefused(_ start: UnsafePointer<sockaddr>, _ size: socklen_t, _ family: Int32) -> Bool {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var yes: Int32 = 1
        let flagSize = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, flagSize)
        if family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &yes, flagSize) }
        return bind(descriptor, start, size) != 0 && errno == EADDRINUSE
    }
}
