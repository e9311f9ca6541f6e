import Determinism
import Logging
import Multiformats
import P2PTesting
import Peers
import Testing

@testable import LibP2P
@testable import P2PServices

@Suite("Keeping peers")
struct PeersTests {
    /// The core on a virtual clock; a dialed peer answers when the test says so.
    private struct World {
        var core: PeersCore
        var generator: SeededGenerator
        var now = MonotonicInstant.zero
        var answers: Set<PeersCore.Contact> = []
        /// When each contact was dialed, in milliseconds.
        var dials: [(at: Int64, contact: PeersCore.Contact)] = []

        init(_ limits: PeersCore.Limits = PeersCore.Limits(), seed: UInt64 = 1) {
            core = PeersCore(limits: limits)
            generator = SeededGenerator(seed: seed)
        }

        /// Lets time pass, in steps from deadline to deadline.
        mutating func pass(milliseconds: Int64) {
            let end = now.advanced(milliseconds: milliseconds)
            while let next = core.nextDeadline, max(next, now) <= end {
                now = max(next, now)
                let actions = core.deadlineReached(now: now)
                core.checkInvariants()
                precondition(!actions.isEmpty || core.nextDeadline.map { $0 > now } ?? true, "nothing to do at \(now)")
                for case .dial(let contact) in actions {
                    dials.append((now.milliseconds(since: .zero), contact))
                    let peer = answers.contains(contact) ? PeersTests.peer(of: contact) : nil
                    core.dialed(contact, answeredBy: peer, now: now, using: &generator)
                    if let peer { core.connected(peer, now: now) }
                    core.checkInvariants()
                }
            }
            now = end
        }

        mutating func lose(_ peer: PeerID) {
            core.disconnected(peer, now: now, using: &generator)
            core.checkInvariants()
        }
    }

    private static func peer(_ number: UInt16) -> PeerID {
        PeerID(publicKeyProtobuf: [8, 1, 18, 32] + Multihash.sha256(of: Array("\(number)".utf8)).digest)
    }

    private static func address(_ number: UInt16) -> Multiaddr { Multiaddr([.ip4([10, 0, 0, 1]), .tcp(number)]) }

    private static func peer(of contact: PeersCore.Contact) -> PeerID? {
        switch contact {
        case .peer(let peer): peer
        case .address(let address):
            if case .tcp(let port)? = address.components.last { peer(port) } else { nil }
        }
    }

    @Test(
        "Everybody to begin with is dialed at once, and while nobody answers with pauses up to a minute",
        arguments: [1, 2, 3])
    func backOff(seed: UInt64) {
        var world = World(seed: seed)
        world.core.bootstrap(Self.address(1), now: world.now)
        world.pass(milliseconds: 3_600_000)
        let times = world.dials.map(\.at)
        #expect(times.first == 0)
        let pauses = zip(times.dropFirst(), times).map { $0 - $1 }
        let longest: [Int64] = [5_000, 10_000, 20_000, 40_000]
        for (number, pause) in pauses.enumerated() {
            let most = number < longest.count ? longest[number] : 60_000
            #expect((most / 2...most).contains(pause), "pause \(number) has \(pause) ms")
        }
        #expect(pauses.count >= 60, "at least one dial a minute")
        #expect(Set(pauses.suffix(20)).count > 10, "the pauses have jitter")
    }

    @Test("A node that lost all peers dials those it knows within ten seconds, whatever their pauses")
    func loneliness() {
        var world = World()
        world.core.bootstrap(Self.address(1), now: world.now)
        world.answers = [.address(Self.address(1))]
        world.core.met(Self.peer(7), now: world.now)
        world.pass(milliseconds: 600_000)
        #expect(world.core.liveCount == 1)
        // The peer has not answered for ten minutes, so its pauses are long.
        world.answers = []
        let before = world.dials.count
        let lostAt = world.now.milliseconds(since: .zero)
        world.lose(Self.peer(1))
        world.pass(milliseconds: 10_000)
        let dialed = world.dials.dropFirst(before)
        #expect(Set(dialed.map(\.contact)) == [.address(Self.address(1)), .peer(Self.peer(7))])
        #expect(dialed.allSatisfy { $0.at - lostAt <= 10_000 })
    }

    @Test("While enough peers are being dialed, no other is due")
    func enough() {
        var core = PeersCore()
        var generator = SeededGenerator(seed: 1)
        for number in 1...6 as ClosedRange<UInt16> { core.met(Self.peer(number), now: .zero) }
        core.connected(Self.peer(90), now: .zero)
        core.connected(Self.peer(91), now: .zero)
        let actions = core.deadlineReached(now: .zero)
        #expect(actions == [.dial(.peer(Self.peer(6))), .dial(.peer(Self.peer(5)))])
        #expect(core.nextDeadline == nil, "two are connected and two are dialed")
        core.dialed(.peer(Self.peer(6)), answeredBy: nil, now: .zero, using: &generator)
        #expect(core.nextDeadline == .zero, "the next one takes its place")
    }

    @Test("An avoided peer is dialed again only after its time, even if there is no other")
    func avoided() {
        var world = World()
        world.core.bootstrap(Self.address(1).withPeerID(Self.peer(1)), now: world.now)
        world.core.avoid(Self.peer(1), until: world.now.advanced(milliseconds: 60_000))
        world.pass(milliseconds: 59_999)
        #expect(world.dials.isEmpty)
        world.pass(milliseconds: 1)
        #expect(world.dials.map(\.at) == [60_000])
    }

    @Test("Peers that were met are dialed only while too few are connected; bootstrap addresses always")
    func few() {
        var limits = PeersCore.Limits()
        limits.peersWanted = 2
        var world = World(limits)
        for number in 1...6 as ClosedRange<UInt16> {
            world.core.met(Self.peer(number), now: world.now)
            world.answers.insert(.peer(Self.peer(number)))
        }
        world.core.connected(Self.peer(90), now: world.now)
        world.pass(milliseconds: 1_000)
        #expect(world.dials.map(\.contact) == [.peer(Self.peer(6))], "the one met last, and no more than are lacking")
        world.core.bootstrap(Self.address(50), now: world.now)
        world.answers.insert(.address(Self.address(50)))
        world.pass(milliseconds: 1_000)
        #expect(world.dials.last?.contact == .address(Self.address(50)))
        #expect(world.core.liveCount == 3)
        let enough = world.dials.count
        world.pass(milliseconds: 3_600_000)
        #expect(world.dials.count == enough)
    }

    @Test("A peer that answers and hangs up is dialed less and less, a misbehaving one not at all")
    func flapping() {
        var world = World()
        world.core.bootstrap(Self.address(1), now: world.now)
        world.answers = [.address(Self.address(1))]
        for _ in 0..<600 {
            world.pass(milliseconds: 1_000)
            world.lose(Self.peer(1))
        }
        #expect(world.dials.count <= 25, "\(world.dials.count) dials in ten minutes")
        let before = world.dials.count
        world.core.avoid(Self.peer(1), until: world.now.advanced(milliseconds: 600_000))
        world.pass(milliseconds: 599_999)
        #expect(world.dials.count == before)
        _ = world.core.deadlineReached(now: world.now.advanced(milliseconds: 2))
        world.core.checkInvariants()
    }

    @Test("Dials at once, bootstrap addresses and remembered peers are bounded")
    func bounded() {
        var world = World()
        for number in 0..<1_000 as Range<UInt16> {
            world.core.met(Self.peer(number), now: world.now)
            world.core.bootstrap(Self.address(number), now: world.now)
            world.core.avoid(Self.peer(number &+ 2_000), until: .distantFuture)
            world.core.checkInvariants()
        }
        let limits = PeersCore.Limits()
        #expect(world.core.contacts.count == limits.bootstrapMax + limits.rememberedMax)
        #expect(world.core.contacts.contains(.peer(Self.peer(999))))
        #expect(!world.core.contacts.contains(.peer(Self.peer(0))))
        #expect(world.core.deadlineReached(now: world.now).count == limits.dialsAtOnceMax)
        #expect(world.core.deadlineReached(now: world.now).isEmpty)
        #expect(world.core.nextDeadline == nil)
    }
}

@Suite("Peer service", .timeLimit(.minutes(2)))
struct PeerServiceTests {
    @Test("A host that lost its connections reconnects to its bootstrap peers and those it met")
    func reconnects() async throws {
        let network = InMemoryNetwork()
        let peers = (1...3).map(ServiceTestNode.peer)
        let hosts = peers.map { network.addHost($0) }
        var limits = PeersCore.Limits()
        limits.urgentMilliseconds = 20
        limits.firstPauseMilliseconds = 20
        limits.longestPauseMilliseconds = 100
        limits.steadyMilliseconds = 0
        var shell = PeerService.Limits()
        shell.tickMilliseconds = 5
        let service = PeerService(host: hosts[0], peers: limits, limits: shell, logger: Logger(label: "test"))
        try await beside([{ await network.run() }, { await service.run() }]) {
            await service.begin(bootstrap: [hosts[1].address], remembered: [])
            try await eventually { await hosts[0].connectedPeers() == [peers[1]] }
            try await hosts[2].connect(to: peers[0], addresses: [])
            for _ in 0..<3 {
                network.disconnect(peers[0], peers[1])
                network.disconnect(peers[0], peers[2])
                try await eventually { await Set(hosts[0].connectedPeers()) == [peers[1], peers[2]] }
            }
            await service.avoid(peers[2], milliseconds: 3_600_000)
            network.disconnect(peers[0], peers[2])
            network.disconnect(peers[0], peers[1])
            try await eventually { await hosts[0].connectedPeers() == [peers[1]] }
        }
    }

    @Test("A dial that takes dialMilliseconds counts as failed, and the next begins")
    func dialTime() async throws {
        let network = InMemoryNetwork()
        let (own, other) = (network.addHost(ServiceTestNode.peer(1)), network.addHost(ServiceTestNode.peer(2)))
        let nobody = try Multiaddr(parsing: "/ip4/10.9.9.9/tcp/4001")
        var host = ScriptedHost(host: own) { _ throws(OpenStreamError) in throw .noAddresses }
        host.stuck = [nobody]
        var limits = PeersCore.Limits()
        limits.dialsAtOnceMax = 1
        var shell = PeerService.Limits()
        (shell.tickMilliseconds, shell.dialMilliseconds) = (5, 20)
        let service = PeerService(host: host, peers: limits, limits: shell, logger: Logger(label: "test"))
        try await beside([{ await network.run() }, { await service.run() }]) {
            await service.begin(bootstrap: [nobody, other.address], remembered: [])
            try await eventually { await own.connectedPeers() == [other.localPeer] }
        }
    }

    @Test("Lost news of peers is made up for within comparisonMilliseconds")
    func comparison() async throws {
        let network = InMemoryNetwork()
        let (own, other) = (network.addHost(ServiceTestNode.peer(1)), network.addHost(ServiceTestNode.peer(2)))
        var host = ScriptedHost(host: own) { _ throws(OpenStreamError) in throw .noAddresses }
        host.losesEvents = true
        var limits = PeersCore.Limits()
        limits.firstPauseMilliseconds = 5
        limits.urgentMilliseconds = 5
        var shell = PeerService.Limits()
        (shell.tickMilliseconds, shell.comparisonMilliseconds) = (5, 10)
        let service = PeerService(host: host, peers: limits, limits: shell, logger: Logger(label: "test"))
        try await beside([{ await network.run() }, { await service.run() }]) {
            await service.begin(bootstrap: [other.address], remembered: [])
            for _ in 0..<3 {
                try await eventually { await own.connectedPeers() == [other.localPeer] }
                network.disconnect(own.localPeer, other.localPeer)
            }
            try await eventually { await own.connectedPeers() == [other.localPeer] }
        }
    }
}
