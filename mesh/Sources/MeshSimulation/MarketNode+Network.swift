import Determinism
import GossipSub
import JobMarket
import MeshTypes
import Multiformats
import NodeCore
import OrderedCollections
package import P2PTesting

/// What travels over connections: requests with their answers, gossip, and the news of the host.
extension MarketNode {
    /// A peer that is looked for.
    struct Search: Sendable {
        /// For what.
        var deliveries: [DeliveryID]
        /// When the DHT answers; `nil` while the node dials the peer where it said.
        var foundAt: MonotonicInstant?
    }

    /// The host checks itself; and streams of gossip stand on connections that are there.
    func checkConnections() {
        // Not in the conditions of `precondition`: in unoptimised code each of them would copy the whole node.
        let (host, streams) = (host, gossipStreams)
        host.checkInvariants()
        for (peer, connection) in streams where host.peer(of: connection) != peer {
            preconditionFailure("gossip goes to \(peer) over a connection that is closed")
        }
        precondition(streams.count == host.connectionCount, "gossip goes to \(streams.count) peers")
    }

    // MARK: The host

    /// The host's news, in order.
    package mutating func connectionChanged(_ news: VirtualConnectionNews, _ context: inout SimulatedContext) {
        touched = .host
        host.connectionChanged(news, &context)
        followHost(&context)
    }

    mutating func followHost(_ context: inout SimulatedContext) {
        touched.insert(.host)
        var news = host.takeNews()
        while !news.isEmpty {
            for item in news { follow(item, &context) }
            news = host.takeNews()
        }
    }

    private mutating func follow(_ news: SimulatedHost.News, _ context: inout SimulatedContext) {
        touched.insert(.gossip)
        switch news {
        case .connected(let peer, let isOutbound):
            gossipStreams[peer] = host.preferred(peer)
            carryOut(gossip.connected(peer, version: .meshsub11, isOutbound: isOutbound, now: context.now), &context)
            sendWaiting(for: peer, &context)
        case .rerouted(let peer, let connection):
            fail(over: connection, &context)
            guard gossipStreams[peer] == connection else { return }
            gossipStreams[peer] = host.preferred(peer)
            carryOut(gossip.streamReopened(peer, now: context.now), &context)
        case .disconnected(let peer, let connection):
            gossipStreams[peer] = nil
            gossip.disconnected(peer, now: context.now)
            fail(over: connection, &context)
        case .dialEnded(let peer, let isConnected):
            if isConnected { sendWaiting(for: peer, &context) } else { failWaiting(for: peer, &context) }
            if let search = searches[peer], search.foundAt == nil {
                end(searchFor: peer, isConnected: isConnected, &context)
            }
        case .begun: give(.dialedAtStart, &context)
        }
    }

    // MARK: Requests

    /// Sends a request over a connection to its peer; dials the peer if there is none.
    mutating func ask(
        _ request: Request, of peer: PeerID, at addresses: [Multiaddr], _ bytes: [UInt8], _ protocolID: String,
        _ context: inout SimulatedContext
    ) {
        let number = nextRequest
        nextRequest += 1
        let route = host.connect(to: peer, addresses: addresses, &context)
        touched.insert(.host)
        if case .unreachable = route { return failed(request, nil, &context) }
        requests[number] = PendingRequest(
            request: request, peer: peer,
            message: SimulatedMessage(protocolID: protocolID, channel: .stream(number), bytes: bytes),
            doubtAt: context.now.advanced(milliseconds: setup.doubtMilliseconds),
            deadline: context.now.advanced(milliseconds: setup.requestMilliseconds))
        if case .over(let connection) = route { send(number, over: connection, &context) }
        followHost(&context)
    }

    private mutating func send(
        _ number: UInt64, over connection: VirtualConnectionID, _ context: inout SimulatedContext
    ) {
        guard let message = requests[number]?.message else { return }
        requests[number]?.connection = connection
        context.send(message.bytes, over: connection, protocolID: message.protocolID, channel: message.channel)
    }

    private mutating func sendWaiting(for peer: PeerID, _ context: inout SimulatedContext) {
        guard let connection = host.preferred(peer) else { return }
        let waiting = requests.filter { $0.value.peer == peer && $0.value.connection == nil }.keys
        for number in waiting { send(number, over: connection, &context) }
    }

    private mutating func failWaiting(for peer: PeerID, _ context: inout SimulatedContext) {
        let waiting = requests.filter { $0.value.peer == peer && $0.value.connection == nil }
        for number in waiting.keys { requests[number] = nil }
        for pending in waiting.values { failed(pending.request, nil, &context) }
    }

    private mutating func fail(over connection: VirtualConnectionID, _ context: inout SimulatedContext) {
        let lost = requests.filter { $0.value.connection == connection }
        for number in lost.keys { requests[number] = nil }
        for pending in lost.values { failed(pending.request, "the connection is lost", &context) }
    }

    /// A connection that lets a request wait has to prove that it is alive; one that waited too long has failed.
    mutating func passRequestDeadlines(_ context: inout SimulatedContext) {
        for (number, pending) in requests where pending.doubtAt.map({ $0 <= context.now }) ?? false {
            requests[number]?.doubtAt = nil
            touched.insert(.host)
            host.doubt(pending.peer, &context)
        }
        let over = requests.filter { $0.value.deadline <= context.now }
        for number in over.keys { requests[number] = nil }
        for pending in over.values { failed(pending.request, "no answer", &context) }
    }

    /// Bytes for the router, a question or its answer, or what the connection itself says.
    package mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        touched = []
        workflows.beginInput()
        guard let connection = message.connection, let peer = host.peer(of: connection) else { return }
        if host.received(message, &context) {
            touched = .host
            return
        }
        if message.protocolID == Self.gossipProtocol {
            touched = .gossip
            return carryOut(gossip.received(message.bytes, from: peer, now: context.now), &context)
        }
        guard case .stream(let number) = message.channel, let kind = message.bytes.first else { return }
        let body = Array(message.bytes.dropFirst())
        if kind == 0 {
            questionArrived(body, message.protocolID, number, over: connection, &context)
        } else if let pending = requests.removeValue(forKey: number) {
            answered(pending, body, &context)
        }
    }

    /// A stream failed: gossip opens its stream anew, requests are failed; the loss of an answer is for the asker's
    /// clock to find out.
    package mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        touched = .gossip
        if message.protocolID == Self.gossipProtocol {
            let peer = directory.peer(node)
            guard gossipStreams[peer] == message.connection else { return }
            return carryOut(gossip.streamReopened(peer, now: context.now), &context)
        }
        guard case .stream(let number) = message.channel, message.bytes.first == 0,
            let pending = requests.removeValue(forKey: number)
        else { return }
        failed(pending.request, "the stream was reset", &context)
    }

    // MARK: Looking for peers

    /// Looks up a peer in the DHT, and dials it there. The overlay's scenario has its own DHT; here a directory that
    /// knows everybody stands in for it, and answers only connected nodes.
    mutating func lookUp(_ peer: PeerID, for id: DeliveryID, _ context: inout SimulatedContext) {
        let milliseconds = 100 + Int64(context.generator.next() % 400)
        searches[peer, default: Search(deliveries: [], foundAt: context.now.advanced(milliseconds: milliseconds))]
            .deliveries.append(id)
    }

    mutating func followSearches(_ context: inout SimulatedContext) {
        for (peer, search) in searches where search.foundAt.map({ $0 <= context.now }) ?? false {
            searches[peer]?.foundAt = nil
            let isLost = Int(context.generator.next() % 1_000) < setup.failedLookUpPermille
            guard let node = directory.node(peer), host.connectionCount > 0, !isLost else {
                end(searchFor: peer, isConnected: host.isConnected(peer), &context)
                continue
            }
            touched.insert(.host)
            let address = OverlayDirectory.address(context.place(of: node))
            switch host.connect(to: peer, addresses: [address], &context) {
            case .over: end(searchFor: peer, isConnected: true, &context)
            case .unreachable: end(searchFor: peer, isConnected: false, &context)
            case .dialing: followHost(&context)
            }
        }
    }

    private mutating func end(searchFor peer: PeerID, isConnected: Bool, _ context: inout SimulatedContext) {
        guard let search = searches.removeValue(forKey: peer) else { return }
        for id in search.deliveries { give(.lookedUp(id, isConnected: isConnected), &context) }
    }

    // MARK: Gossip

    mutating func carryOut(_ actions: [GossipSubAction], _ context: inout SimulatedContext) {
        if !actions.isEmpty { touched.insert(.gossip) }
        for action in actions {
            switch action {
            case .send(let rpc, let recipients):
                let bytes = GossipSubCodec.encode(rpc)
                for recipient in recipients {
                    guard let stream = gossipStreams[recipient] else { continue }
                    context.send(bytes, over: stream, protocolID: Self.gossipProtocol, channel: .stream(0))
                }
            case .validate(let message, _):
                let verdict = judge(message, &context)
                carryOut(gossip.validated(message.id, verdict, now: context.now), &context)
            case .deliver: break
            case .resetStream(let peer, let error): context.note("reset \(peer) \(error)")
            }
        }
    }

    mutating func publish(_ message: MeshProtocolMessage, topic: String, _ context: inout SimulatedContext) -> String? {
        do {
            let data = try message.encoded()
            let sent = try gossip.publish(data, topic: topic, identity: identity, now: context.now)
            carryOut(sent.actions, &context)
            return nil
        } catch {
            return "\(error)"
        }
    }
}
