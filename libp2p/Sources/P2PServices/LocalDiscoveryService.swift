import Determinism
package import LibP2P
package import Logging
package import MulticastDNS
import Multiformats
import Peers

/// Finds peers on the local network and is found there (libp2p's mDNS): the shell around `LocalDiscovery`, with a
/// socket for each link of the machine.
///
/// A node that can be reached on its own machine alone speaks on loopback alone. Whom it finds it dials while it has
/// few connections; from then on they are peers like others.
package actor LocalDiscoveryService {
    /// The shell's bounds; the core's are `LocalDiscovery.Limits`.
    package struct Limits: Sendable {
        /// The port of the group.
        package var port = 5_353
        /// Connections from which on nobody is dialed for having been found.
        package var connectionsWanted = 8
        /// Dials under way at once; further finds are left for the next time that they are told.
        package var dialsAtOnceMax = 4
        /// How long a dial may take, in milliseconds.
        package var dialMilliseconds: Int64 = 10_000
        /// Messages that wait to be read; further ones are lost.
        package var messagesWaitingMax = 256
        /// How often the links of the machine are looked at, in milliseconds.
        package var linksMilliseconds: Int64 = 5_000

        package init() {}
    }

    private struct Datagram: Sendable {
        let bytes: [UInt8]
        let link: MulticastLink
        let source: LocalDiscovery.Source
    }

    private struct Find: Sendable {
        let peer: PeerID
        let addresses: [Multiaddr]
        let reach: AddressReach
    }

    private let swarm: Swarm
    private let limits: Limits
    private let linksMax: Int
    private let logger: Logger
    private let onCount: @Sendable (String) -> Void
    private var core: LocalDiscovery
    private var alarm = DeadlineAlarm(resolutionMilliseconds: 10)
    private var sockets: [LocalDiscovery.Link: (link: MulticastLink, socket: MulticastSocket)] = [:]
    private var refused: Set<MulticastLink> = []
    private var told: [LocalDiscovery.Counter: UInt64] = [:]
    private let datagrams: JobQueue<Datagram>
    private var dialing: Set<PeerID> = []
    private let dials: JobQueue<Find>

    /// A service that does nothing until `run`.
    /// - Parameters:
    ///   - network: what sets the nodes of one mesh apart from others on the same link, in hex; nil for everybody.
    ///   - onCount: told the name of each thing that is counted.
    package init(
        swarm: Swarm, network: String? = nil, discovery: LocalDiscovery.Limits = LocalDiscovery.Limits(),
        limits: Limits = Limits(), logger: Logger, onCount: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.swarm = swarm
        self.limits = limits
        linksMax = discovery.linksMax
        self.logger = logger
        self.onCount = onCount
        core = LocalDiscovery(
            own: swarm.localPeer, network: network, limits: discovery, seed: UInt64.random(in: 0...(.max)))
        datagrams = JobQueue(waitingMax: limits.messagesWaitingMax)
        dials = JobQueue(waitingMax: limits.dialsAtOnceMax)
    }

    /// Works until the task is cancelled, and then takes back what it announced.
    package func run() async {
        let rings = alarm.stream
        await withDiscardingTaskGroup { group in
            group.addTask { for await _ in rings { await self.ring() } }
            group.addTask { for await datagram in self.datagrams.stream { await self.received(datagram) } }
            group.addTask { [limits] in
                repeat {
                    await self.refreshLinks()
                } while (try? await Task.sleep(for: .milliseconds(limits.linksMilliseconds))) != nil
            }
            for await find in dials.stream { group.addTask { await self.dial(find) } }
            group.cancelAll()
        }
        alarm.finish()
        carryOut(core.farewell())
        for (_, socket) in sockets.values { await socket.close() }
        sockets = [:]
    }

    /// Follows interfaces that come and go, and the node's own addresses.
    private func refreshLinks() async {
        let own = await swarm.listenAddresses()
        let reachesBeyond = own.contains { $0.reach ?? .loopback > .loopback }
        let current = MulticastLink.current().filter { $0.isLoopback || reachesBeyond }.prefix(linksMax)
        for (id, (link, socket)) in sockets where !current.contains(link) {
            sockets[id] = nil
            await socket.close()
        }
        refused.formIntersection(current)
        for link in current where sockets[link.id] == nil { await open(link) }
        var announced: [LocalDiscovery.Link: [Multiaddr]] = [:]
        for (id, (link, _)) in sockets {
            announced[id] = own.filter { $0.reach.map { link.isLoopback || $0 > .loopback } ?? false }
        }
        core.linksChanged(announced, now: SwarmClock.now)
        alarm.arm(for: core.nextDeadline)
    }

    private func open(_ link: MulticastLink) async {
        do {
            let socket = try await MulticastSocket.open(
                on: link, port: limits.port, bytesMax: DNSMessage.Limits.messageBytesMax
            ) { [datagrams, port = limits.port] bytes, sender, sentFrom in
                // What another port sends is no multicast DNS (RFC 6762, 6), and who is not of the link has no say.
                guard sentFrom == port, let reach = link.reach(of: sender) else { return }
                let source = LocalDiscovery.Source(sender, reach: reach)
                _ = datagrams.start(Datagram(bytes: bytes, link: link, source: source))
            }
            sockets[link.id] = (link, socket)
        } catch {
            guard refused.insert(link).inserted else { return }
            logger.warning(
                "mDNS is not possible on an interface; it is tried again while the node runs.",
                metadata: ["interface": "\(link.interface)", "reason": "\(SystemWords.of(error))"])
        }
    }

    private func ring() {
        alarm.rang()
        if let actions = core.wake(now: SwarmClock.now) { carryOut(actions) }
        alarm.arm(for: core.nextDeadline)
    }

    private func received(_ datagram: Datagram) {
        carryOut(core.received(datagram.bytes, on: datagram.link.id, from: datagram.source, now: SwarmClock.now))
        alarm.arm(for: core.nextDeadline)
    }

    private func carryOut(_ actions: [LocalDiscovery.Action]) {
        for action in actions {
            switch action {
            case .send(let bytes, let link): sockets[link]?.socket.send(bytes)
            case .found(let peer, let addresses, let reach):
                logger.debug("peer found on a link", metadata: ["peer": "\(peer)", "reach": "\(reach)"])
                guard dialing.count < limits.dialsAtOnceMax, dialing.insert(peer).inserted else { continue }
                _ = dials.start(Find(peer: peer, addresses: addresses, reach: reach))
            }
        }
        for (counter, count) in core.counters {
            for _ in told[counter, default: 0]..<count { onCount(counter.name) }
            told[counter] = count
        }
    }

    /// The handshake shows whether it is that peer; what was claimed is worth nothing before.
    private func dial(_ find: Find) async {
        defer { dialing.remove(find.peer) }
        let peer = find.peer
        guard !swarm.isConnected(peer), await swarm.connectedPeers().count < limits.connectionsWanted else { return }
        do {
            try await withDeadline(milliseconds: limits.dialMilliseconds) { [swarm] in
                try await swarm.connect(to: peer, foundAt: find.addresses, from: find.reach)
            }
        } catch {
            logger.debug(
                "a peer that was found did not answer",
                metadata: ["peer": "\(peer)", "reason": "\(SystemWords.of(error))"])
        }
    }
}

extension MulticastLink {
    fileprivate var id: LocalDiscovery.Link { LocalDiscovery.Link(interface: interface, isIPv6: isIPv6) }
}
