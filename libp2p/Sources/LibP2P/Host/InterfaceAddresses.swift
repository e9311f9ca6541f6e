import Multiformats
import NIOCore
import NIOPosix
import Peers

/// Where a listener can be reached: what a node tells others about its own addresses.
enum InterfaceAddresses {
    /// The current addresses of this machine's interfaces, as first components of multiaddrs.
    static func current() -> [Multiaddr.Component] {
        ((try? System.enumerateDevices()) ?? []).compactMap { device in
            guard var socket = device.address else { return nil }
            socket.port = 0
            return TCPTransport.multiaddr(socket)?.components.first
        }
    }

    /// Replaces an unspecified listen address by those of the interfaces, loopback last; omits addresses that nobody
    /// can dial and link-local ones.
    static func concrete(_ listening: Multiaddr, interfaces: [Multiaddr.Component]) -> [Multiaddr] {
        let address = listening.unmapped
        guard let first = address.components.first, case .tcp? = address.components.last else { return [] }
        let isIPv6: Bool
        switch first {
        case .ip4(let bytes) where bytes.allSatisfy({ $0 == 0 }): isIPv6 = false
        case .ip6(let bytes) where bytes.allSatisfy({ $0 == 0 }): isIPv6 = true
        default: return tellable([address])
        }
        let all = interfaces.map { Multiaddr([$0] + address.components.dropFirst()) }
        let family = tellable(all).filter { candidate in
            if case .ip6? = candidate.components.first { isIPv6 } else { !isIPv6 }
        }
        return family.filter { $0.reach != .loopback } + family.filter { $0.reach == .loopback }
    }

    /// Without unspecified addresses, with mapped ones as plain IPv4, without link-local ones, each once.
    static func tellable(_ addresses: [Multiaddr]) -> [Multiaddr] {
        var seen: Set<Multiaddr> = []
        return addresses.map(\.unmapped).filter { address in
            address.reach != nil && !isLinkLocal(address) && seen.insert(address).inserted
        }
    }

    private static func isLinkLocal(_ address: Multiaddr) -> Bool {
        switch address.components.first {
        case .ip4(let bytes): bytes.starts(with: [169, 254])
        case .ip6(let bytes): bytes.first == 0xFE && bytes.dropFirst().first.map { $0 & 0xC0 == 0x80 } ?? false
        default: false
        }
    }
}
