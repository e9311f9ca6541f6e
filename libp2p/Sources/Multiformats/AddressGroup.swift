/// The part of the internet an address belongs to: an IPv4 /24 or an IPv6 /48.
///
/// One operator rents addresses by the block, so peers of one group count as one voice: the routing table holds few of
/// a group, and stores evict from the group with the largest share. A finer notion of diversity (autonomous systems,
/// attested operators) would go here. Loopback and private networks have no group, because a laboratory or an office is
/// one /24 by nature; a node on the open internet admits no peer that has only such addresses
/// (`KademliaConfiguration.admitsPrivatePeers`), like the wide-area DHT of go-libp2p.
public struct AddressGroup: Hashable, Comparable, Sendable {
    private let network: [UInt8]

    /// The group of an IPv4 address (4 bytes), or `nil` for those that are not of the open internet: loopback,
    /// unspecified, link-local, and private ones (RFC 1918, RFC 6598).
    public init?(ip4 address: [UInt8]) {
        guard address.count == 4 else { return nil }
        switch (address[0], address[1]) {
        case (0, _), (10, _), (127, _), (169, 254), (172, 16...31), (192, 168), (100, 64...127): return nil
        default: break
        }
        self.init(network: [4] + address.prefix(3))
    }

    private init(network: [UInt8]) {
        self.network = network
    }

    /// The group of an IPv6 address (16 bytes), or `nil` for loopback, unspecified, link-local and unique local ones.
    ///
    /// An IPv4-mapped address has the group of its IPv4 address, so that the two spellings count once.
    public init?(ip6 address: [UInt8]) {
        guard address.count == 16 else { return nil }
        let leading = address.prefix(12)
        if leading.elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) {
            self.init(ip4: Array(address.suffix(4)))
            return
        }
        if address[0] & 0xfe == 0xfc || (address[0] == 0xfe && address[1] & 0xc0 == 0x80) { return nil }
        if leading.allSatisfy({ $0 == 0 }), address[12...14].allSatisfy({ $0 == 0 }), address[15] <= 1 { return nil }
        self.init(network: [6] + address.prefix(6))
    }

    /// The groups named by the addresses of a peer, sorted and without duplicates; empty for names
    /// and for those that are not of the open internet.
    public static func groups(of addresses: [Multiaddr]) -> [AddressGroup] {
        var found: Set<AddressGroup> = []
        for address in addresses {
            if let group = group(of: address) { found.insert(group) }
        }
        return found.sorted()
    }

    private static func group(of address: Multiaddr) -> AddressGroup? {
        for component in address.components {
            switch component {
            case .ip4(let bytes): return AddressGroup(ip4: bytes)
            case .ip6(let bytes): return AddressGroup(ip6: bytes)
            default: continue
            }
        }
        return nil
    }

    /// Orders groups by their network bytes.
    public static func < (left: AddressGroup, right: AddressGroup) -> Bool {
        left.network.lexicographicallyPrecedes(right.network)
    }
}
