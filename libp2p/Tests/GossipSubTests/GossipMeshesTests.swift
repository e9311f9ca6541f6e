import Determinism
import Multiformats
import Testing

@testable import GossipSub

/// The meshes of one node, its peers and their scores, without a router around them.
private struct Meshes {
    var meshes: GossipMeshes
    var peers: PeerTable
    var scoring: PeerScoring
    var now = MonotonicInstant.zero

    init(
        _ parameters: GossipSubParameters = .init(), peersMax: Int? = nil, backoffsMax: Int? = nil,
        inbound: Int = 0, outbound: Int = 0
    ) {
        var limits = GossipSubRouter.Limits()
        if let peersMax { limits.meshPeersMax = peersMax }
        if let backoffsMax { limits.backoffsMax = backoffsMax }
        meshes = GossipMeshes(parameters: parameters, limits: limits)
        peers = PeerTable(limits: limits)
        scoring = PeerScoring(parameters: parameters.scoring, departedMax: 0)
        for number in 0..<inbound + outbound {
            let isOutbound = number >= inbound
            _ = peers.insert(TestIdentity.peer(number), version: .meshsub11, isOutbound: isOutbound)
            scoring.connected(TestIdentity.peer(number))
        }
    }

    mutating func graft(_ number: Int, _ topic: String = "t") -> GossipMeshes.Graft {
        meshes.graftArrived(topic, from: TestIdentity.peer(number), peers, scoring, now: now)
    }

    func isGraftable(_ number: Int, _ topic: String = "t") -> Bool {
        meshes.isGraftable(TestIdentity.peer(number), in: topic, peers, scoring, now: now)
    }

    func members(_ topic: String = "t") -> [PeerID]? { meshes[topic].map { Array($0) } }

    mutating func end(_ topic: String = "t") -> [PeerID]? { meshes.end(topic, now: now).map { Array($0) } }

    mutating func wait(_ milliseconds: Int64) { now = now.advanced(milliseconds: milliseconds) }
}

@Suite("Meshes of a node")
struct GossipMeshesTests {
    private let peer = TestIdentity.peer(0)

    @Test("A GRAFT is taken once, and not for a topic that this node does not follow")
    func graft() {
        var world = Meshes(inbound: 1)
        #expect(world.graft(0) == .unknownTopic)
        world.meshes.begin("t")
        #expect(world.graft(0) == .taken)
        #expect(world.graft(0) == .known)
        #expect(world.members() == [peer])
        #expect(world.members("u") == nil)
    }

    @Test("A GRAFT before the end of the back-off comes too soon, and in its first ten seconds is a flood")
    func tooSoon() {
        var world = Meshes(inbound: 1)
        world.meshes.begin("t")
        world.meshes.prune(peer, from: "t", now: world.now)
        for (milliseconds, expected) in [
            (0, .tooSoon(isFlood: true)), (9_999, .tooSoon(isFlood: true)), (1, .tooSoon(isFlood: false)),
            (49_999, .tooSoon(isFlood: false)), (1, .taken),
        ] as [(Int64, GossipMeshes.Graft)] {
            world.wait(milliseconds)
            #expect(world.graft(0) == expected, "at \(world.now)")
        }
    }

    @Test("A peer with a negative score is refused, and not grafted")
    func score() {
        var world = Meshes(inbound: 1)
        world.meshes.begin("t")
        #expect(world.isGraftable(0))
        world.scoring.note(.invalidMessage, by: peer)
        #expect(world.graft(0) == .refused)
        #expect(!world.isGraftable(0))
    }

    @Test("A full mesh takes peers that this node dialed until it has enough of them, and no others")
    func full() {
        var parameters = GossipSubParameters()
        (parameters.meshDegreeHigh, parameters.meshDegreeOutbound) = (3, 2)
        var world = Meshes(parameters, inbound: 4, outbound: 3)
        world.meshes.begin("t")
        for number in 0..<3 { #expect(world.graft(number) == .taken) }
        #expect(world.graft(3) == .refused)
        #expect(world.graft(4) == .taken)
        #expect(world.graft(5) == .taken)
        #expect(world.meshes.outboundCount(in: "t", world.peers) == 2)
        #expect(world.graft(6) == .refused)
    }

    @Test("Past meshPeersMax no peer enters a mesh, by its own GRAFT or this node's")
    func peersMax() {
        var world = Meshes(peersMax: 2, inbound: 1, outbound: 2)
        world.meshes.begin("t")
        #expect(world.graft(0) == .taken)
        #expect(world.graft(1) == .taken)
        #expect(world.graft(2) == .refused)
        let whenFull = world.meshes.add(TestIdentity.peer(2), to: "t")
        #expect(!whenFull)
        let toNone = world.meshes.add(TestIdentity.peer(2), to: "u")
        #expect(!toNone)
        world.meshes.remove(peer)
        let withRoom = world.meshes.add(TestIdentity.peer(2), to: "t")
        #expect(withRoom)
        world.meshes.checkInvariants(world.peers)
    }

    @Test(
        "The back-off that a PRUNE asks for",
        arguments: [
            (nil, 60_000), (0, 60_000), (1, 1_000), (90, 90_000), (3_600, 3_600_000), (3_601, 3_600_000),
            (.max, 3_600_000),
        ] as [(UInt64?, Int64)])
    func asked(seconds: UInt64?, milliseconds: Int64) {
        var world = Meshes(inbound: 1)
        world.meshes.begin("t")
        #expect(world.graft(0) == .taken)
        world.meshes.pruneArrived("t", from: peer, backoffSeconds: seconds, now: world.now)
        #expect(world.members() == [])
        // The slack is for this node's own grafts alone.
        world.wait(milliseconds - 1)
        #expect(!world.isGraftable(0))
        guard case .tooSoon = world.graft(0) else {
            Issue.record("grafted after \(milliseconds - 1) ms")
            return
        }
        world.wait(1)
        #expect(!world.isGraftable(0))
        world.wait(999)
        #expect(!world.isGraftable(0))
        world.wait(1)
        #expect(world.isGraftable(0))
        #expect(world.graft(0) == .taken)
    }

    @Test("A PRUNE never shortens a running back-off")
    func longest() {
        var world = Meshes(inbound: 1)
        world.meshes.begin("t")
        world.meshes.pruneArrived("t", from: peer, backoffSeconds: 90, now: world.now)
        world.meshes.pruneArrived("t", from: peer, backoffSeconds: 1, now: world.now)
        world.wait(89_999)
        #expect(world.graft(0) == .tooSoon(isFlood: false))
        world.wait(1)
        #expect(world.graft(0) == .taken)
    }

    @Test("A PRUNE for a topic that this node does not follow leaves nothing behind")
    func unknownPrune() {
        var world = Meshes(inbound: 1)
        world.meshes.pruneArrived("t", from: peer, backoffSeconds: 90, now: world.now)
        #expect(world.meshes.backoffCount == 0)
        #expect(world.isGraftable(0))
    }

    @Test("Ending a mesh names its peers and keeps each out for a while")
    func end() {
        var world = Meshes(inbound: 2)
        #expect(world.end() == nil)
        world.meshes.begin("t")
        #expect(world.graft(1) == .taken)
        #expect(world.graft(0) == .taken)
        #expect(world.end() == [TestIdentity.peer(1), peer])
        #expect(world.meshes.topics == [])
        world.meshes.begin("t")
        guard case .tooSoon = world.graft(0) else {
            Issue.record("grafted at once")
            return
        }
        world.wait(10_000)
        #expect(world.graft(0) == .taken)
    }

    @Test("A back-off is forgotten after the slack, and the one that ends soonest makes room")
    func backoffs() {
        var world = Meshes(backoffsMax: 2, inbound: 3)
        world.meshes.begin("t")
        for (number, seconds) in [(0, 30), (1, 20), (2, 40)] as [(Int, UInt64)] {
            world.meshes.pruneArrived("t", from: TestIdentity.peer(number), backoffSeconds: seconds, now: world.now)
        }
        #expect(world.meshes.backoffCount == 2)
        #expect(world.isGraftable(1))
        #expect(!world.isGraftable(0))
        world.wait(30_999)
        world.meshes.expireBackoffs(now: world.now)
        #expect(world.meshes.backoffCount == 2)
        world.wait(1)
        world.meshes.expireBackoffs(now: world.now)
        #expect(world.meshes.backoffCount == 1)
    }

    @Test("Whatever peers send, none in back-off enters a mesh, and no mesh outgrows its bound")
    func anything() {
        let seed = UInt64.random(in: 0...(.max))
        print("gossip meshes seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<40 {
            var parameters = GossipSubParameters()
            parameters.meshDegreeHigh = 4
            var world = Meshes(parameters, peersMax: 5, inbound: 6, outbound: 4)
            /// Until when each peer and topic may not graft.
            var ends: [String: MonotonicInstant] = [:]
            for step in 0..<300 {
                let number = Int.random(in: 0..<10, using: &generator)
                let (peer, topic) = (TestIdentity.peer(number), ["t", "u", "v"].randomElement(using: &generator)!)
                func keepOut(_ milliseconds: Int64) {
                    let end = world.now.advanced(milliseconds: milliseconds)
                    ends["\(topic) \(number)"] = max(end, ends["\(topic) \(number)"] ?? end)
                }
                let isFollowed = world.members(topic) != nil
                switch Int.random(in: 0..<12, using: &generator) {
                case 0: if !isFollowed { world.meshes.begin(topic) }
                case 1:
                    let members = world.end(topic) ?? []
                    for member in 0..<10 where members.contains(TestIdentity.peer(member)) {
                        let end = world.now.advanced(milliseconds: parameters.unsubscribeBackoffMilliseconds)
                        ends["\(topic) \(member)"] = max(end, ends["\(topic) \(member)"] ?? end)
                    }
                case 2:
                    world.meshes.prune(peer, from: topic, now: world.now)
                    keepOut(parameters.pruneBackoffMilliseconds)
                case 3:
                    let seconds = UInt64.random(in: 1...100, using: &generator)
                    world.meshes.pruneArrived(topic, from: peer, backoffSeconds: seconds, now: world.now)
                    if isFollowed { keepOut(Int64(seconds) * 1_000) }
                case 4: world.meshes.expireBackoffs(now: world.now)
                case 5: world.wait(Int64.random(in: 0...30_000, using: &generator))
                default:
                    let wasIn = world.members(topic)?.contains(peer) ?? false
                    let graft = world.graft(number, topic)
                    let isKeptOut = (ends["\(topic) \(number)"] ?? .zero) > world.now
                    let context = "seed \(seed), round \(round), step \(step)"
                    if !isFollowed {
                        #expect(graft == .unknownTopic, "\(context)")
                    } else if wasIn {
                        #expect(graft == .known, "\(context)")
                    } else if isKeptOut {
                        if case .tooSoon = graft {} else { Issue.record("\(graft) in back-off: \(context)") }
                    } else {
                        #expect(graft == .taken || graft == .refused, "\(context)")
                        #expect(graft == .refused || world.members(topic)?.last == peer, "\(context)")
                    }
                }
                world.meshes.checkInvariants(world.peers)
            }
        }
    }
}
