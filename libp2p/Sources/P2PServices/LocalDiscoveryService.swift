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
        /// Dials under way at once, one of each machine that told of somebody; further finds wait.
        package var dialsAtOnceMax = 4
        /// Finds that wait to be dialed; further ones are dropped, and taken when they are told again.
        package var findsWaitingMax = 64
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
        let source: LocalDiscovery.Source
    }

    private let swarm: Swarm
    private let limits: Limits
    private let linksMax: Int
    private let logger: Logger
    private let onCount: @Sendable (String) -> Void
    private var core: LocalDiscovery
    private var alarm = DeadlineAlarm(resolutionMilliseconds: 10)
    /// The sockets, for tests to end one.
    private(set) var sockets: [LocalDiscovery.Link: (link: MulticastLink, socket: MulticastSocket)] = [:]
    private var refused: Set<MulticastLink> = []
    private var told: [LocalDiscovery.Counter: UInt64] = [:]
    private let datagrams: JobQueue<Datagram>
    /// The machines that told of whom is dialed now.
    private var dialing: [PeerID: [UInt8]] = [:]
    private var waiting: [Find] = []
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
        for (id, (link, socket)) in sockets where !current.contains(link) || !socket.isOpen {
            if !socket.isOpen { onCount("mdns_sockets_lost") }
            sockets[id] = nil
            await socket.close()
        }
        refused.formIntersection(current)
        for link in current where sockets[link.id] == nil { await open(link) }
        var announced: [LocalDiscovery.Link: [Multiaddr]] = [:]
        for (id, (link, _)) in sockets {
            announced[id] = own.filter(link.announces)
        }
        core.linksChanged(announced, now: SwarmClock.now)
        alarm.arm(for: core.nextDeadline)
    }

    private func open(_ link: MulticastLink) async {
        do {
            let socket = try await MulticastSocket.open(
                on: link, port: limits.port, bytesMax: DNSMessage.Limits.messageBytesMax
            ) { [datagrams] bytes, sender in
                // Who is not of the link has no say; its port may be any, as rust-libp2p's is.
                guard let reach = link.reach(of: sender) else { return }
                let source = LocalDiscovery.Source(sender, reach: reach, subnets: link.addresses)
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
            case .found(let peer, let addresses, let source):
                logger.debug("peer found on a link", metadata: ["peer": "\(peer)", "reach": "\(source.reach)"])
                if waiting.count < limits.findsWaitingMax {
                    waiting.append(Find(peer: peer, addresses: addresses, source: source))
                    startDials()
                } else {
                    core.dropped(peer)
                }
            }
        }
        for (counter, count) in core.counters {
            for _ in told[counter, default: 0]..<count { onCount(counter.name) }
            told[counter] = count
        }
    }

    /// The finds under way and those that wait, for tests.
    var findsTaken: (dialing: Int, waiting: Int) { (dialing.count, waiting.count) }

    /// Dials whoever waits longest, one of each source at a time: one that names silent machines holds up no others.
    private func startDials() {
        while dialing.count < limits.dialsAtOnceMax,
            let next = waiting.firstIndex(where: { find in
                dialing[find.peer] == nil && !dialing.values.contains(find.source.bytes)
            })
        {
            let find = waiting.remove(at: next)
            dialing[find.peer] = find.source.bytes
            _ = dials.start(find)
        }
    }

    /// The handshake shows whether it is that peer; what was claimed is worth nothing before. Its place is free only
    /// when all attempts are over, each of which has its own time.
    private func dial(_ find: Find) async {
        defer {
            dialing[find.peer] = nil
            startDials()
        }
        let peer = find.peer
        guard !swarm.isConnected(peer), await swarm.connectedPeers().count < limits.connectionsWanted else { return }
        do {
            try await swarm.connect(to: peer, foundAt: find.addresses, from: find.source.reach)
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
