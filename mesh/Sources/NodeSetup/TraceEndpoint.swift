import Multiformats

/// Where traces are sent: `http://` with a host, a port and, if it is another than OTLP's own, a path.
package struct TraceEndpoint: Hashable, Sendable {
    /// A name, or an IP address without brackets.
    package let host: String
    /// The port.
    package let port: Int
    /// Where the receiver takes traces.
    package let path: String

    /// Where OTLP has them.
    package static let usualPath = "/v1/traces"

    /// Reads an address; nil if it is none, has a user, a query or a fragment, or is not plain HTTP.
    package init?(_ text: String) {
        guard text.hasPrefix("http://"), text.utf8.count <= Self.bytesMax else { return nil }
        let rest = text.dropFirst("http://".count)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let (place, path) = (rest[..<slash], String(rest[slash...]))
        guard let colon = place.lastIndex(of: ":") else { return nil }
        let digits = place[place.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(digits), (1...65_535).contains(port),
            path.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x3F && $0 != 0x23 && $0 != 0x25 })
        else { return nil }
        var host = String(place[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard (try? Multiaddr(parsing: "/ip6/\(host)/tcp/\(port)")) != nil else { return nil }
        } else {
            let isName = host.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2D || byte == 0x2E
            }
            guard isName, !host.isEmpty, !host.hasPrefix("."), !host.hasPrefix("-") else { return nil }
        }
        self.host = host
        self.port = port
        self.path = path.isEmpty || path == "/" ? Self.usualPath : path
    }

    /// The longest address, in bytes.
    package static let bytesMax = 512

    /// Whether only this machine can be at the other end.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1"
            || host.hasPrefix("127.") && (try? Multiaddr(parsing: "/ip4/\(host)/tcp/\(port)")) != nil
    }

    /// Host and port, as a request names them.
    package var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The whole address.
    package var text: String { "http://\(authority)\(path)" }
}
