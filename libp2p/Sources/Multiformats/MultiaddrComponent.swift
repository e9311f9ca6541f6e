extension Multiaddr {
    /// One protocol of an address with its value.
    public enum Component: Hashable, Sendable {
        /// An IPv4 address, 4 bytes.
        case ip4([UInt8])
        /// An IPv6 address, 16 bytes.
        case ip6([UInt8])
        /// A host name, resolved to either family.
        case dns(String)
        /// A host name, resolved to IPv4.
        case dns4(String)
        /// A host name, resolved to IPv6.
        case dns6(String)
        /// A host name whose TXT records hold multiaddrs.
        case dnsaddr(String)
        /// A TCP port.
        case tcp(UInt16)
        /// A UDP port.
        case udp(UInt16)
        /// QUIC version 1 (RFC 9000).
        case quicV1
        /// TLS over the transport before it.
        case tls
        /// WebSocket.
        case ws
        /// WebSocket over TLS.
        case wss
        /// The peer at the address.
        case p2p(PeerID)
        /// A relay: the relay stands before it, the peer behind it follows.
        case p2pCircuit
        /// The absolute path of a Unix socket; always the last component.
        case unix(String)
    }
}

extension Multiaddr.Component {
    /// The longest host name that is read (RFC 1035), in bytes.
    static let nameBytesMax = 253

    /// The protocol's name in texts.
    public var name: String {
        switch self {
        case .ip4: "ip4"
        case .ip6: "ip6"
        case .dns: "dns"
        case .dns4: "dns4"
        case .dns6: "dns6"
        case .dnsaddr: "dnsaddr"
        case .tcp: "tcp"
        case .udp: "udp"
        case .quicV1: "quic-v1"
        case .tls: "tls"
        case .ws: "ws"
        case .wss: "wss"
        case .p2p: "p2p"
        case .p2pCircuit: "p2p-circuit"
        case .unix: "unix"
        }
    }

    /// The protocol's multicodec.
    public var code: UInt64 {
        switch self {
        case .ip4: 4
        case .ip6: 41
        case .dns: 53
        case .dns4: 54
        case .dns6: 55
        case .dnsaddr: 56
        case .tcp: 6
        case .udp: 273
        case .quicV1: 461
        case .tls: 448
        case .ws: 477
        case .wss: 478
        case .p2p: 421
        case .p2pCircuit: 290
        case .unix: 400
        }
    }

    /// The value in texts; `nil` for protocols without one.
    var valueText: String? {
        switch self {
        case .ip4(let bytes): bytes.count == 4 ? IPAddressText.render4(bytes) : nil
        case .ip6(let bytes): bytes.count == 16 ? IPAddressText.render6(bytes) : nil
        case .dns(let name), .dns4(let name), .dns6(let name), .dnsaddr(let name): name
        case .tcp(let port), .udp(let port): String(port)
        case .p2p(let peerID): peerID.text
        // The path brings its own leading slash, which an accent behind it may have joined as a character.
        case .unix(let path): String(path.unicodeScalars.dropFirst())
        case .quicV1, .tls, .ws, .wss, .p2pCircuit: nil
        }
    }

    /// Whether the binary form and the text can carry the value.
    var isValid: Bool {
        switch self {
        case .ip4(let bytes): bytes.count == 4
        case .ip6(let bytes): bytes.count == 16
        case .dns(let name), .dns4(let name), .dns6(let name), .dnsaddr(let name): Self.isName(name)
        case .unix(let path): Self.isPath(path)
        default: true
        }
    }

    func append(to bytes: inout [UInt8]) {
        Varint.append(code, to: &bytes)
        switch self {
        case .ip4(let address), .ip6(let address):
            bytes.append(contentsOf: address)
        case .dns(let text), .dns4(let text), .dns6(let text), .dnsaddr(let text), .unix(let text):
            Varint.append(UInt64(text.utf8.count), to: &bytes)
            bytes.append(contentsOf: text.utf8)
        case .tcp(let port), .udp(let port):
            bytes.append(UInt8(truncatingIfNeeded: port >> 8))
            bytes.append(UInt8(truncatingIfNeeded: port))
        case .p2p(let peerID):
            Varint.append(UInt64(peerID.bytes.count), to: &bytes)
            bytes.append(contentsOf: peerID.bytes)
        case .quicV1, .tls, .ws, .wss, .p2pCircuit:
            break
        }
    }

    /// A host name is anything printable in ASCII or beyond without slash, percent or space, so that its text form
    /// parses back to itself.
    private static func isName(_ name: String) -> Bool {
        let bytes = name.utf8
        return (1...nameBytesMax).contains(bytes.count)
            && bytes.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%") }
    }

    /// The text form would lose a slash at the end, because readers ignore it there.
    private static func isPath(_ path: String) -> Bool {
        let slash = UInt8(ascii: "/")
        return path.utf8.count > 1 && path.utf8.first == slash && path.utf8.last != slash
            && path.utf8.allSatisfy { $0 != 0 }
    }
}
