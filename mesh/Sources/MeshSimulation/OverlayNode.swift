package import Determinism
package import GossipSub
package import Kademlia
package import Multiformats
import OrderedCollections
package import P2PTesting
package import PeerIdentity

/// The identities in a simulated network: peer IDs, node numbers and made-up addresses.
package struct OverlayDirectory: Sendable {
    private let nodes: [PeerID: SimulatedNodeID]
    /// The identities, in the order of the nodes.
    package let identities: [Identity]

    /// Identities for `count` nodes; the same for the same seed.
    package init(count: Int, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed ^ 0x6964_656E_7469_7479)
        var nodes: [PeerID: SimulatedNodeID] = [:]
        var identities: [Identity] = []
        for index in 0..<count {
            let keySeed = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            let identity = try Identity(seed: keySeed)
            nodes[identity.peerID] = SimulatedNodeID(index)
            identities.append(identity)
        }
        self.nodes = nodes
        self.identities = identities
    }

    /// The node that has a peer ID.
    package func node(_ peer: PeerID) -> SimulatedNodeID? { nodes[peer] }

    /// The peer ID of a node.
    package func peer(_ node: SimulatedNodeID) -> PeerID { identities[node.index].peerID }

    /// A node as the DHT names it; every node has an address group of its own.
    package func info(_ node: SimulatedNodeID) -> PeerInfo {
        PeerInfo(peerID: peer(node), addresses: [Self.address(node.index)])
    }

    /// The address of a place of the virtual network, on the open internet, as `place` reads it.
    package static func address(_ place: Int) -> Multiaddr {
        let (high, low) = (UInt8(truncatingIfNeeded: place >> 8), UInt8(truncatingIfNeeded: place))
        return Multiaddr([.ip4([44, high, low, 1]), .tcp(4001)])
    }

    /// The place of an address; `nil` for one that is none.
    package static func place(_ address: Multiaddr) -> Int? {
        guard case .ip4(let bytes)? = address.components.first, bytes.count == 4, bytes[0] == 44 else { return nil }
        return Int(bytes[1]) << 8 | Int(bytes[2])
    }
}

/// A simulated node with the overlay cores of a real one: GossipSub and Kademlia, on streams like the swarm's.
///
/// Dialing a node makes both sides peers of each other, for gossip and for the DHT. A failed gossip stream is opened
/// anew; a DHT request has its own stream, to any node of the directory, as if dialed on the way.
package struct OverlayNode: SimulatedNode {
    /// What a scenario can tell the node to do.
    package enum Command: Sendable {
        /// Connect to a node.
        case dial(SimulatedNodeID)
        /// Join a topic.
        case subscribe(String)
        /// Publish to a topic.
        case publish([UInt8], topic: String)
        /// Begin an operation of the DHT.
        case dht(KademliaOperation)
    }

    static let connectProtocol = "/sim/connect/1"
    static let gossipProtocol = GossipSubVersion.meshsub11.protocolID
    static let kademliaProtocol = "/icn/kad/1.0.0"

    /// The gossip router.
    package private(set) var gossip: GossipSubRouter
    /// The DHT.
    package private(set) var kademlia: KademliaCore
    /// The payloads that arrived by gossip, in order.
    package private(set) var received: [[UInt8]] = []
    /// The ends of the commanded DHT operations, in order.
    package private(set) var outcomes: [KademliaOutcome] = []

    private let directory: OverlayDirectory
    private let identity: Identity
    private var requests: OrderedDictionary<UInt64, RequestID> = [:]
    private var nextRequest: UInt64 = 1

    /// A node that knows nobody.
    package init(
        _ node: SimulatedNodeID, directory: OverlayDirectory, gossip: GossipSubParameters,
        kademlia: KademliaConfiguration,
        validators: [RecordValidator], seed: UInt64
    ) {
        self.directory = directory
        identity = directory.identities[node.index]
        var generator = SeededGenerator(seed: seed &+ UInt64(node.index))
        self.gossip = GossipSubRouter(
            localPeer: identity.peerID, parameters: gossip, firstSequenceNumber: 1, seed: generator.next(), now: .zero)
        self.kademlia = KademliaCore(
            localPeer: identity.peerID, configuration: kademlia, validators: validators, seed: generator.next(),
            now: .zero)
        self.kademlia.localAddresses = directory.info(node).addresses
    }

    /// The earliest deadline of the cores.
    package var nextDeadline: MonotonicInstant? {
        [gossip.nextDeadline, kademlia.nextDeadline].compactMap { $0 }.min()
    }

    /// Both cores check themselves.
    package func checkInvariants() {
        gossip.checkInvariants()
        kademlia.checkInvariants()
        precondition(requests.count <= 16_384, "\(requests.count) requests under way")
    }

    /// Nothing to do before the first command.
    package mutating func started(_ context: inout SimulatedContext) {}

    /// The deadlines of both cores.
    package mutating func deadlineReached(_ context: inout SimulatedContext) {
        if let due = gossip.wake(now: context.now) { carryOut(due, &context) }
        if let due = kademlia.wake(now: context.now) { carryOut(due, &context) }
    }

    /// Carries a command out.
    package mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        switch command {
        case .dial(let node): dial(node, &context)
        case .subscribe(let topic):
            carryOut((try? gossip.subscribe(topic, now: context.now)) ?? [], &context)
        case .publish(let data, let topic):
            guard let sent = try? gossip.publish(data, topic: topic, identity: identity, now: context.now) else {
                return
            }
            carryOut(sent.actions, &context)
        case .dht(let operation):
            let started = kademlia.start(operation, now: context.now)
            carryOut(started.actions, &context)
        }
    }

    /// Bytes for one of the cores, or a dial.
    package mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        switch message.protocolID {
        case Self.connectProtocol:
            connected(sender, isOutbound: message.bytes == [1], &context)
            if message.bytes == [0] {
                context.send([1], to: sender, protocolID: Self.connectProtocol, channel: .stream(0))
            }
        case Self.gossipProtocol:
            let peer = directory.peer(sender)
            carryOut(gossip.received(message.bytes, from: peer, now: context.now), &context)
        default: kademliaArrived(message, from: sender, &context)
        }
    }

    /// Handles a failed stream: retries dials, reopens gossip's stream, tells the DHT.
    package mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        switch message.protocolID {
        case Self.connectProtocol:
            context.send(message, to: node)
        case Self.gossipProtocol:
            carryOut(gossip.streamReopened(directory.peer(node), now: context.now), &context)
        default:
            guard case .stream(let number) = message.channel, message.bytes.first == 0 else { return }
            guard let id = requests.removeValue(forKey: number) else { return }
            carryOut(kademlia.requestFailed(id, now: context.now), &context)
        }
    }

    private func dial(_ node: SimulatedNodeID, _ context: inout SimulatedContext) {
        context.send([0], to: node, protocolID: Self.connectProtocol, channel: .stream(0))
    }

    private mutating func connected(
        _ node: SimulatedNodeID, isOutbound: Bool, _ context: inout SimulatedContext
    ) {
        let peer = directory.peer(node)
        carryOut(
            gossip.connected(peer, version: .meshsub11, isOutbound: isOutbound, now: context.now), &context)
        carryOut(kademlia.peerIdentified(directory.info(node), isServer: true, now: context.now), &context)
    }

    // MARK: Gossip

    private mutating func carryOut(_ actions: [GossipSubAction], _ context: inout SimulatedContext) {
        for action in actions {
            switch action {
            case .send(let rpc, let recipients):
                let bytes = GossipSubCodec.encode(rpc)
                for recipient in recipients {
                    guard let node = directory.node(recipient) else { continue }
                    context.send(bytes, to: node, protocolID: Self.gossipProtocol, channel: .stream(0))
                }
            case .validate(let message, _):
                carryOut(gossip.validated(message.id, .accept, now: context.now), &context)
            case .deliver(let message):
                received.append(message.data)
                context.note("gossip \(message.id)")
            case .resetStream(let peer, let error): context.note("reset \(peer) \(error)")
            }
        }
    }

    // MARK: DHT

    private mutating func kademliaArrived(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        guard case .stream(let number) = message.channel, let kind = message.bytes.first else { return }
        let body = Array(message.bytes.dropFirst())
        guard let decoded = try? KademliaMessageCoding.decode(body) else {
            return context.note("malformed DHT message from \(sender)")
        }
        if kind == 0 {
            let answer = kademlia.requestArrived(decoded, from: directory.peer(sender), now: context.now)
            guard case .success(.some(let response)) = answer else { return }
            context.send(
                [1] + KademliaMessageCoding.encode(response), to: sender, protocolID: Self.kademliaProtocol,
                channel: .stream(number))
        } else if let id = requests.removeValue(forKey: number) {
            carryOut(kademlia.responseArrived(id, decoded, now: context.now), &context)
        }
    }

    private mutating func carryOut(_ actions: [KademliaAction], _ context: inout SimulatedContext) {
        for action in actions {
            switch action {
            case .send(let request):
                guard let node = directory.node(request.peer.peerID) else {
                    carryOut(kademlia.requestFailed(request.id, now: context.now), &context)
                    continue
                }
                let number = nextRequest
                nextRequest += 1
                context.send(
                    [0] + KademliaMessageCoding.encode(request.message), to: node,
                    protocolID: Self.kademliaProtocol, channel: .stream(number))
                if request.expectsAnswer {
                    requests[number] = request.id
                } else {
                    carryOut(kademlia.requestDelivered(request.id, now: context.now), &context)
                }
            case .cancel(let id, _):
                if let number = requests.first(where: { $0.value == id })?.key { requests[number] = nil }
            case .finished(_, let outcome):
                outcomes.append(outcome)
                context.note("dht \(outcome.summary)")
            case .peerMisbehaved(let peer, let violation): context.note("misbehaved \(peer) \(violation)")
            }
        }
    }
}

extension KademliaOutcome {
    /// A word about the outcome, the same in every run.
    fileprivate var summary: String {
        switch self {
        case .peerFound(let info): "peer \(info.peerID)"
        case .closest(let peers): "closest \(peers.count)"
        case .valueFound(let value, _): "value of \(value.count) bytes"
        case .stored(let peers): "stored at \(peers.count)"
        case .provided(let peers): "provided at \(peers.count)"
        case .providersFound(let peers): "providers \(peers.map(\.peerID.text).joined(separator: " "))"
        case .failed(let failure): "failed \(failure)"
        }
    }
}
