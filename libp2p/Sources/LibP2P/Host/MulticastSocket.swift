import Foundation
package import Multiformats
import NIOCore
import NIOPosix
package import Peers

/// A network that this machine is on, in one family of addresses, as far as multicast goes.
package struct MulticastLink: Hashable, Sendable {
    /// The number of the interface.
    package let interface: Int
    /// Whether it is the IPv6 of that interface.
    package let isIPv6: Bool
    /// Whether it leads to this machine alone.
    package let isLoopback: Bool
    /// This machine's addresses there, each with the mask of its subnet.
    package let addresses: [Subnet]

    /// A link; it is loopback if any of its addresses is an IPv4 one of loopback.
    init(interface: Int, isIPv6: Bool, addresses: [Subnet]) {
        (self.interface, self.isIPv6, self.addresses) = (interface, isIPv6, addresses)
        isLoopback = !isIPv6 && addresses.contains { $0.address.first == 127 }
    }

    /// The links of this machine now, IPv4's first; loopback without IPv6, since all of this machine are on its IPv4.
    package static func current() -> [MulticastLink] {
        var found: [Int: [Bool: (isUsable: Bool, addresses: [Subnet])]] = [:]
        for device in (try? System.enumerateDevices()) ?? [] {
            guard let address = device.address?.addressBytes else { continue }
            let isIPv6 = address.count == 16
            let isLoopback = isIPv6 ? address == [UInt8](repeating: 0, count: 15) + [1] : address[0] == 127
            let mask = device.netmask?.addressBytes ?? [UInt8](repeating: 0xFF, count: address.count)
            var link = found[device.interfaceIndex]?[isIPv6] ?? (false, [])
            // An address that somebody added to loopback does not make another link of it, nor does it end it.
            link.isUsable = (isLoopback ? !isIPv6 : device.multicastSupported) || link.isUsable
            link.addresses.append(Subnet(address: address, mask: mask))
            found[device.interfaceIndex, default: [:]][isIPv6] = link
        }
        return [false, true].flatMap { isIPv6 in
            found.sorted { $0.key < $1.key }.compactMap { interface, families in
                guard let family = families[isIPv6], family.isUsable else { return nil }
                return MulticastLink(interface: interface, isIPv6: isIPv6, addresses: family.addresses)
            }
        }
    }

    /// How near a sender on this link is: this machine itself where the link is loopback, or one of the link's subnets;
    /// nil if it is neither, and so must not be listened to.
    ///
    /// Elsewhere a sender with an address of this machine is one of the link: anybody there can write it into a packet.
    package func reach(of sender: [UInt8]) -> AddressReach? {
        let isNear = addresses.contains { $0.contains(sender) }
        if isLoopback { return isNear || (sender.count == 4 && sender[0] == 127) ? .loopback : nil }
        if sender.count == 4, sender[0] == 127 { return nil }
        if isIPv6, sender.count == 16, sender[0] == 0xFE, sender[1] & 0xC0 == 0x80 { return .local }
        return isNear ? .local : nil
    }

    /// Whether this machine tells others on the link of one of its addresses: those that they can reach there.
    package func announces(_ address: Multiaddr) -> Bool {
        guard let reach = address.reach else { return false }
        if isLoopback, reach == .loopback { return true }
        return (isLoopback || reach > .loopback) && addresses.contains { address.isIn($0) }
    }
}

/// A socket for one multicast group on one link. It hears what is sent to the group there, and nothing that is sent to
/// this machine alone, and shares its port with whoever else listens, such as the system's own resolver.
package final class MulticastSocket: Sendable {
    /// A message, and the machine that sent it, from whatever port.
    package typealias Receiving = @Sendable (_ bytes: [UInt8], _ sender: [UInt8]) -> Void

    private let channel: any Channel
    private let group: SocketAddress

    private init(channel: any Channel, group: SocketAddress) {
        self.channel = channel
        self.group = group
    }

    /// Joins the group of mDNS, 224.0.0.251 or ff02::fb, on a link.
    package static func open(
        on link: MulticastLink, port: Int, bytesMax: Int, receiving: @escaping Receiving
    ) async throws -> MulticastSocket {
        let group = try address(of: link, port: port)
        var bootstrap = DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            // One byte more than is read, so that what is longer is seen to be.
            .channelOption(
                ChannelOptions.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: bytesMax + 1)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramHandler(receiving))
                }
            }
        #if os(Linux)
            if !link.isIPv6 {
                // Linux gives a socket what any other has joined, on whatever link, unless it is told not to.
                let ofOthers = NIOBSDSocket.Option(rawValue: 49)
                bootstrap = bootstrap.channelOption(
                    ChannelOptions.Types.SocketOption(level: .ip, name: ofOthers), value: 0)
            }
        #endif
        let channel = try await bootstrap.bind(to: group).get()
        do {
            try await join(link, group: group, channel)
        } catch {
            try? await channel.close()
            throw error
        }
        return MulticastSocket(channel: channel, group: group)
    }

    /// Sends to the group; what the system does not take is lost, as datagrams are.
    package func send(_ bytes: [UInt8]) {
        channel.writeAndFlush(
            AddressedEnvelope(remoteAddress: group, data: ByteBuffer(bytes: bytes)), promise: nil)
    }

    /// Whether it still hears and sends; most errors of a network, such as one that went away, end it.
    package var isOpen: Bool { channel.isActive }

    /// Leaves the group.
    package func close() async { try? await channel.close() }

    private static func address(of link: MulticastLink, port: Int) throws -> SocketAddress {
        guard link.isIPv6 else { return try SocketAddress(ipAddress: "224.0.0.251", port: port) }
        guard case .v6(let group) = try SocketAddress(ipAddress: "ff02::fb", port: port) else {
            throw ChannelError.unknownLocalAddress
        }
        // A group of the link means another one on each.
        var socket = group.address
        socket.sin6_scope_id = UInt32(truncatingIfNeeded: link.interface)
        return SocketAddress(socket)
    }

    private static func join(_ link: MulticastLink, group: SocketAddress, _ channel: any Channel) async throws {
        guard let provider = channel as? any SocketOptionProvider else { throw ChannelError.operationUnsupported }
        switch group {
        case .v6(let group):
            let index = UInt32(truncatingIfNeeded: link.interface)
            let membership = ipv6_mreq(ipv6mr_multiaddr: group.address.sin6_addr, ipv6mr_interface: index)
            // SAFETY: the system's own types for these options (ipv6(7)).
            try await provider.unsafeSetSocketOption(level: .ipv6, name: .ipv6_join_group, value: membership).get()
            try await provider.setIPv6MulticastIF(index).get()
            try await provider.setIPv6MulticastHops(255).get()
        case .v4(let group):
            guard let own = link.addresses.first?.address else { throw ChannelError.unknownLocalAddress }
            let address = in_addr(s_addr: own.reversed().reduce(0) { $0 << 8 | UInt32($1) }.littleEndian)
            let membership = ip_mreq(imr_multiaddr: group.address.sin_addr, imr_interface: address)
            // SAFETY: the system's own types for these options (ip(7)).
            try await provider.unsafeSetSocketOption(level: .ip, name: .ip_add_membership, value: membership).get()
            try await provider.setIPMulticastIF(address).get()
            try await provider.setIPMulticastTTL(255).get()
        case .unixDomainSocket: throw ChannelError.operationUnsupported
        }
    }
}

/// Hands on what comes, as bytes with their sender.
private final class DatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let receiving: MulticastSocket.Receiving

    init(_ receiving: @escaping MulticastSocket.Receiving) { self.receiving = receiving }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let sender = envelope.remoteAddress.addressBytes else { return }
        receiving(Array(envelope.data.readableBytesView), sender)
    }

    /// Nobody waits for single datagrams; whether the socket has outlived the error, `isOpen` says.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

extension SocketAddress {
    /// The bytes of an IP address, without port and scope.
    fileprivate var addressBytes: [UInt8]? {
        switch self {
        case .v4(let address):
            // SAFETY: copies the 4 bytes, in the network's order, while the value lives.
            withUnsafeBytes(of: address.address.sin_addr.s_addr) { Array($0) }
        case .v6(let address):
            // SAFETY: copies the 16 bytes while the value lives.
            withUnsafeBytes(of: address.address.sin6_addr) { Array($0) }
        case .unixDomainSocket: nil
        }
    }
}
