package import Multiformats

/// How far away an address, or a peer reached at one, is.
package enum AddressReach: Int, Comparable, Hashable, Sendable {
    /// This machine.
    case loopback
    /// A private, shared or link-local network; also a host name, which may resolve to one.
    case local
    /// The open internet.
    case open

    package static func < (left: AddressReach, right: AddressReach) -> Bool { left.rawValue < right.rawValue }
}

/// Which addresses that somebody names this node dials (PROTOCOL.md, "Addresses").
///
/// A stranger may point a node at targets of its choice: the node's own services, its owner's router. So a node never
/// dials an address further inside than its author's. A peer reached over the open internet can name only addresses
/// there; one on the local network can also name local ones; one on this machine any. An author without a connection to
/// this node is judged by the node's own position.
package struct AddressPolicy: Hashable, Sendable {
    /// The position assumed of authors without a connection.
    package let standing: AddressReach

    /// The policy of a node that listens at `listening` and has this many connections of each kind.
    package init(listening: [Multiaddr], openConnections: Int, loopbackConnections: Int) {
        let reaches = listening.compactMap(\.reach)
        if openConnections > 0 || reaches.contains(.open) {
            standing = .open
        } else if loopbackConnections > 0 || reaches.allSatisfy({ $0 == .loopback }) {
            standing = .loopback
        } else {
            standing = .local
        }
    }

    /// Those of the addresses, mapped ones as plain IPv4, that may be dialed when their author was reached at `author`,
    /// or has no connection to this node.
    package func admitted(_ addresses: [Multiaddr], from author: AddressReach?) -> [Multiaddr] {
        let source = author ?? standing
        return addresses.map(\.unmapped).filter { address in
            switch (address.reach, source) {
            case (nil, _): false
            case (.open, _), (_, .loopback): true
            case (.local, .local): true
            case (.loopback, .local), (.loopback, .open), (.local, .open): false
            }
        }
    }
}

extension Multiaddr {
    /// How far away this address is; `nil` if nobody can be reached at it: unspecified, multicast and reserved ones,
    /// and multiaddrs that do not begin with an address or a host name.
    package var reach: AddressReach? {
        switch components.first {
        case .ip4(let bytes): Self.reach(ip4: bytes)
        case .ip6(let bytes): Self.reach(ip6: bytes)
        case .dns(let name), .dns4(let name), .dns6(let name): name.isEmpty ? nil : .local
        default: nil
        }
    }

    /// Whether this is an IP address in a subnet.
    package func isIn(_ subnet: Subnet) -> Bool {
        switch components.first {
        case .ip4(let bytes), .ip6(let bytes): subnet.contains(bytes)
        default: false
        }
    }

    /// This address, with an IPv4-mapped IPv6 address replaced by the IPv4 address it means.
    package var unmapped: Multiaddr {
        guard case .ip6(let bytes)? = components.first, Self.isMapped(bytes) else { return self }
        return Multiaddr([.ip4(Array(bytes.suffix(4)))] + components.dropFirst())
    }

    private static func isMapped(_ bytes: [UInt8]) -> Bool {
        bytes.count == 16 && bytes.prefix(12).elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])
    }

    private static func reach(ip4 bytes: [UInt8]) -> AddressReach? {
        guard bytes.count == 4 else { return nil }
        return switch (bytes[0], bytes[1]) {
        // Unspecified ("this network"), multicast, and reserved ones with the broadcast address.
        case (0, _), (224..., _): nil
        case (127, _): .loopback
        // Private (RFC 1918), shared by carriers (RFC 6598), link-local (RFC 3927), benchmarks (RFC 2544), protocol
        // assignments (RFC 6890).
        case (10, _), (172, 16...31), (192, 168), (100, 64...127), (169, 254), (198, 18...19): .local
        case (192, 0) where bytes[2] == 0: .local
        default: .open
        }
    }

    private static func reach(ip6 bytes: [UInt8]) -> AddressReach? {
        guard bytes.count == 16 else { return nil }
        if isMapped(bytes) { return reach(ip4: Array(bytes.suffix(4))) }
        if bytes.prefix(15).allSatisfy({ $0 == 0 }) { return bytes[15] == 1 ? .loopback : nil }
        return switch (bytes[0], bytes[1]) {
        case (0xFF, _): nil
        // Unique local (RFC 4193), link-local, and the former site-local ones.
        case (0xFC...0xFD, _), (0xFE, 0x80...): .local
        // Addresses that a gateway turns into IPv4: translated (RFC 6052), and 6to4 (RFC 3056).
        case (0x00, 0x64) where bytes[2] == 0xFF && bytes[3] == 0x9B: reach(ip4: Array(bytes.suffix(4)))
        case (0x20, 0x02): reach(ip4: Array(bytes[2...5]))
        // The rest of ::/8 holds no host addresses; ::a.b.c.d once did.
        case (0x00, _): nil
        default: .open
        }
    }
}
