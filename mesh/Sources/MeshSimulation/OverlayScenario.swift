import Determinism
import GossipSub
import Kademlia
import Multiformats
package import P2PTesting

/// What is simulated: how many nodes, on which links, and what they do.
package struct OverlayScenario: Sendable {
    /// Nodes.
    package var nodes = 50
    /// Connections that each node opens to random others.
    package var dialsPerNode = 4
    /// Messages, published by as many different nodes.
    package var messages = 10
    /// Values put into the DHT by as many different nodes, each fetched by another.
    package var values = 10
    /// Blocks provided in the DHT by as many different nodes, each looked up by another.
    package var providers = 10
    /// The seed of everything random.
    package var seed: UInt64
    /// The links.
    package var link: LinkProfile

    /// A scenario of fifty nodes on links that lose and reorder.
    package init(
        seed: UInt64,
        link: LinkProfile = LinkProfile(
            latencyMicroseconds: 5_000...40_000, lossPermille: 100, reorderPermille: 100, silentFailurePermille: 0)
    ) {
        self.seed = seed
        self.link = link
    }

    /// The result.
    package struct Report: Hashable, Sendable {
        /// Per message, the nodes that should have received it and did not.
        package var missedBy: [[SimulatedNodeID]] = []
        /// The largest time from publication until the last node had it, in milliseconds.
        package var slowestDeliveryMilliseconds: Int64 = 0
        /// Values that lookups did not find.
        package var valuesNotFound: [Int] = []
        /// Providers that lookups did not find.
        package var providersNotFound: [Int] = []
        /// Nodes whose mesh has a degree outside [D_lo, D_hi] at the end.
        package var degreesOutOfBounds: [SimulatedNodeID] = []
        /// What the network did.
        package var statistics: VirtualNetworkStatistics
        /// The hash of the trace.
        package var trace: String
    }

    static let topic = "/sim/topic"
    static let namespace = "/sim/"

    /// Runs the scenario to its end.
    package func run() throws -> Report {
        let directory = try OverlayDirectory(count: nodes, seed: seed)
        var network = VirtualNetwork<OverlayNode>(VirtualNetworkConfiguration(seed: seed, link: link))
        var kademlia = KademliaConfiguration()
        kademlia.requestTimeoutMilliseconds = 2_000
        let validator = RecordValidator(prefix: Self.namespace) { key, value in
            key.suffix(1) == value.prefix(1) ? nil : "the value does not begin with the key's last byte"
        }
        for index in 0..<nodes {
            network.add(
                OverlayNode(
                    SimulatedNodeID(index), directory: directory, gossip: GossipSubParameters(), kademlia: kademlia,
                    validators: [validator], seed: seed))
        }
        connect(&network)
        network.run(milliseconds: 8_000)

        var report = Report(statistics: network.statistics, trace: "")
        gossip(&network, &report)
        try store(&network, &report)
        network.run(milliseconds: 5_000)
        for id in network.nodeIDs {
            let parameters = network[id].gossip.parameters
            let degree = network[id].gossip.meshPeers(Self.topic).count
            let known = network[id].gossip.peers(of: Self.topic).count
            // A node with few connections cannot have a larger mesh.
            if degree > parameters.meshDegreeHigh || degree < min(parameters.meshDegreeLow, known) {
                report.degreesOutOfBounds.append(id)
            }
        }
        report.statistics = network.statistics
        report.trace = network.trace.hexadecimal
        return report
    }

    /// Everybody dials a few random others, one of which joined earlier, so that the network is connected.
    private func connect(_ network: inout VirtualNetwork<OverlayNode>) {
        var generator = SeededGenerator(seed: seed &+ 1)
        for id in network.nodeIDs {
            network.command(.subscribe(Self.topic), to: id)
            var chosen: [Int] = id.index > 0 ? [Int.random(in: 0..<id.index, using: &generator)] : []
            while chosen.count < min(dialsPerNode, nodes - 1) {
                let other = Int.random(in: 0..<nodes, using: &generator)
                if other != id.index, !chosen.contains(other) { chosen.append(other) }
            }
            for other in chosen { network.command(.dial(SimulatedNodeID(other)), to: id) }
        }
    }

    private func gossip(_ network: inout VirtualNetwork<OverlayNode>, _ report: inout Report) {
        for number in 0..<messages {
            let publisher = SimulatedNodeID((number * 7) % nodes)
            let data = Array("message \(number)".utf8)
            let published = network.now
            network.command(.publish(data, topic: Self.topic), to: publisher)
            let everybodyElse = network.nodeIDs.filter { $0 != publisher }
            // Every delivery is noted; checking all nodes after every event would take most of the time.
            let notes = network.notes.count + everybodyElse.count
            _ = network.run(until: network.now.advanced(milliseconds: 10_000)) { $0.notes.count >= notes }
            report.missedBy.append(everybodyElse.filter { !network[$0].received.contains(data) })
            report.slowestDeliveryMilliseconds = max(
                report.slowestDeliveryMilliseconds, network.now.milliseconds(since: published))
        }
    }

    private func store(_ network: inout VirtualNetwork<OverlayNode>, _ report: inout Report) throws {
        let blocks = (0..<providers).map { Multihash.sha256(of: Array("block \($0)".utf8)).bytes }
        for number in 0..<values {
            let operation = KademliaOperation.putValue(key: key(number), value: value(number))
            perform(operation, at: SimulatedNodeID((number * 11) % nodes), &network)
        }
        for (number, block) in blocks.enumerated() {
            perform(.provide(multihash: block), at: SimulatedNodeID((number * 13) % nodes), &network)
        }
        for number in 0..<values {
            let outcome = perform(
                .getValue(key: key(number)), at: SimulatedNodeID((number * 11 + 5) % nodes), &network)
            guard case .valueFound(let found, _)? = outcome, found == value(number) else {
                report.valuesNotFound.append(number)
                continue
            }
        }
        for (number, block) in blocks.enumerated() {
            let provider = network[SimulatedNodeID((number * 13) % nodes)].gossip.localPeer
            let outcome = perform(
                .findProviders(multihash: block, limit: 4), at: SimulatedNodeID((number * 13 + 5) % nodes), &network)
            guard case .providersFound(let found)? = outcome, found.contains(where: { $0.peerID == provider }) else {
                report.providersNotFound.append(number)
                continue
            }
        }
    }

    private func key(_ number: Int) -> [UInt8] {
        Array("\(Self.namespace)key \(number) ".utf8) + [UInt8(truncatingIfNeeded: number)]
    }

    private func value(_ number: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: number)] + Array("value \(number)".utf8)
    }

    @discardableResult
    private func perform(
        _ operation: KademliaOperation, at node: SimulatedNodeID, _ network: inout VirtualNetwork<OverlayNode>
    ) -> KademliaOutcome? {
        let before = network[node].outcomes.count
        network.command(.dht(operation), to: node)
        let isDone = network.run(until: network.now.advanced(milliseconds: 90_000)) {
            $0[node].outcomes.count > before
        }
        return isDone ? network[node].outcomes.last : nil
    }
}
