public import LibP2P
public import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import OrderedCollections

/// One host of an `InMemoryNetwork`.
public final class InMemoryHost: StreamHost {
    struct State: Sendable {
        var handlers: OrderedDictionary<String, @Sendable (any PeerStream) async -> Void> = [:]
        var addresses: [PeerID: [Multiaddr]] = [:]
        var channels: OrderedDictionary<UInt64, OpenChannel> = [:]
        var nextChannelID: UInt64 = 0
    }

    struct OpenChannel: Sendable {
        let peer: PeerID
        let channel: StreamChannel
    }

    /// Bytes that may wait on one stream in one direction.
    public static let windowBytes = 256 * 1024
    /// Addresses remembered per peer.
    public static let addressesPerPeerMax = 32

    /// This host's peer ID.
    public let localPeer: PeerID
    /// The one address of this host.
    public let address: Multiaddr
    private let network: InMemoryNetwork
    private let events = PeerEventHub()
    private let state = NIOLockedValueBox(State())

    init(peer: PeerID, address: Multiaddr, network: InMemoryNetwork) {
        localPeer = peer
        self.address = address
        self.network = network
    }

    /// The one address.
    public func listenAddresses() async -> [Multiaddr] { [address] }

    /// Opens a stream to a host of the same network.
    public func openStream(
        to peer: PeerID, protocols: [String]
    ) async throws(OpenStreamError) -> any PeerStream {
        try network.link(localPeer, peer)
        guard let remote = network.host(peer) else { throw .noAddresses }
        let handlers = remote.state.withLockedValue { $0.handlers }
        guard let name = protocols.first(where: { handlers[$0] != nil }), let handler = handlers[name] else {
            throw .protocolsNotSupported(protocols)
        }
        let (near, far) = joinedStreams(with: remote, protocolID: name)
        guard network.enqueue({ await handler(far) }) else {
            throw .limitReached("InMemoryNetwork.queuedStreamsMax")
        }
        return near
    }

    /// Registers a handler; its tasks run within the network's `run`.
    public func handle(_ protocolID: String, _ handler: @escaping @Sendable (any PeerStream) async -> Void) async {
        state.withLockedValue { $0.handlers[protocolID] = handler }
    }

    /// Connects to a host of the network; ignores the addresses.
    public func connect(to peer: PeerID, addresses: [Multiaddr]) async throws(OpenStreamError) {
        try network.link(localPeer, peer)
    }

    /// Connects to the host that has this address.
    public func dial(_ address: Multiaddr) async throws(OpenStreamError) -> PeerID {
        guard let host = network.host(listeningOn: address) else { throw .dialFailed(["\(address): no such host"]) }
        try network.link(localPeer, host.localPeer)
        return host.localPeer
    }

    /// Remembers addresses, `addressesPerPeerMax` per peer.
    public func addAddresses(_ addresses: [Multiaddr], for peer: PeerID) async {
        state.withLockedValue { state in
            var known = OrderedSet(state.addresses[peer] ?? [])
            known.append(contentsOf: addresses.map { $0.withoutPeerID() })
            state.addresses[peer] = Array(known.suffix(Self.addressesPerPeerMax))
        }
    }

    /// The remembered addresses.
    public func addresses(of peer: PeerID) async -> [Multiaddr] {
        state.withLockedValue { $0.addresses[peer] ?? [] }
    }

    /// The peers linked to this host.
    public func connectedPeers() async -> [PeerID] { network.peers(connectedTo: localPeer) }

    /// Cuts the link to a peer.
    public func disconnect(_ peer: PeerID) async { network.disconnect(localPeer, peer) }

    /// Events from now on.
    public func peerEvents() async -> AsyncStream<PeerEvent> { events.subscribe() }

    // MARK: The network's side

    func connected(to other: InMemoryHost) {
        let protocols = other.state.withLockedValue { Array($0.handlers.keys) }
        state.withLockedValue { $0.addresses[other.localPeer] = [other.address] }
        events.send(.connected(other.localPeer))
        events.send(.identified(other.localPeer, protocols: protocols, addresses: [other.address]))
    }

    func connectionLost(_ peer: PeerID) {
        let lost = state.withLockedValue { state -> [StreamChannel] in
            let lost = state.channels.filter { $0.value.peer == peer }
            for id in lost.keys { state.channels[id] = nil }
            return lost.values.map(\.channel)
        }
        for channel in lost { channel.fail(.reset) }
        events.send(.disconnected(peer))
    }

    private func register(_ channel: StreamChannel, peer: PeerID) -> UInt64 {
        state.withLockedValue { state in
            state.nextChannelID += 1
            state.channels[state.nextChannelID] = OpenChannel(peer: peer, channel: channel)
            return state.nextChannelID
        }
    }

    private func forget(_ id: UInt64) {
        _ = state.withLockedValue { $0.channels.removeValue(forKey: id) }
    }

    /// Two streams whose buffers feed each other: what one side consumes lets the other continue to write.
    private func joinedStreams(
        with remote: InMemoryHost, protocolID: String
    ) -> (near: BufferedStream, far: BufferedStream) {
        let joint = InMemoryJoint(windowBytes: Self.windowBytes)
        let nearID = register(joint.near, peer: remote.localPeer)
        let farID = remote.register(joint.far, peer: localPeer)
        let near = BufferedStream(
            remotePeer: remote.localPeer, protocolID: protocolID, channel: joint.near, onReset: { joint.reset() },
            onRelease: { [weak self] in
                joint.release(joint.near)
                self?.forget(nearID)
            })
        let far = BufferedStream(
            remotePeer: localPeer, protocolID: protocolID, channel: joint.far, onReset: { joint.reset() },
            onRelease: { [weak remote] in
                joint.release(joint.far)
                remote?.forget(farID)
            })
        return (near, far)
    }
}
