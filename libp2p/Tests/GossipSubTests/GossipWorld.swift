import Determinism
import GossipSub
import Multiformats
import PeerIdentity

/// Identities by number, the same in every run.
enum TestIdentity {
    static let all: [Identity] = (0..<64).map { number in
        var seed = [UInt8](repeating: 7, count: 32)
        seed[0] = UInt8(number)
        return try! Identity(seed: seed)
    }

    /// Peer IDs beyond those that have keys here, for floods of identities.
    static func peer(_ number: Int) -> PeerID {
        var key = [UInt8](repeating: 0, count: 32)
        for index in 0..<8 { key[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
        return PeerID(publicKeyProtobuf: [8, 1, 18, 32] + key)
    }
}

/// Routers that exchange encoded RPCs in simulated time; delivery is immediate and in order unless a test drops RPCs.
struct GossipWorld {
    struct Packet {
        var from: Int
        var to: Int
        var bytes: [UInt8]
    }

    var now = MonotonicInstant.zero
    var routers: [GossipSubRouter] = []
    var identities: [Identity] = []
    var delivered: [[GossipMessage]] = []
    var asked: [[GossipMessage]] = []
    var resets: [(router: Int, peer: PeerID, error: GossipSubCodecError)] = []
    var packets: [Packet] = []
    var verdict: (Int, GossipMessage) -> GossipVerdict? = { _, _ in .accept }
    var isLost: (Int, Int, GossipSubRPC) -> Bool = { _, _, _ in false }

    init(
        routers count: Int, parameters: GossipSubParameters = .init(), limits: GossipSubRouter.Limits = .init(),
        seed: UInt64 = 1
    ) {
        for number in 0..<count {
            identities.append(TestIdentity.all[number])
            routers.append(
                GossipSubRouter(
                    localPeer: identities[number].peerID, parameters: parameters, limits: limits,
                    firstSequenceNumber: 1_000, seed: seed &+ UInt64(number), now: now))
            delivered.append([])
            asked.append([])
        }
    }

    func peer(_ number: Int) -> PeerID { TestIdentity.all[number].peerID }

    mutating func connect(_ dialer: Int, _ listener: Int, version: GossipSubVersion = .meshsub11) {
        run(dialer, routers[dialer].connected(peer(listener), version: version, isOutbound: true, now: now))
        run(listener, routers[listener].connected(peer(dialer), version: version, isOutbound: false, now: now))
        settle()
    }

    mutating func disconnect(_ one: Int, _ other: Int) {
        routers[one].disconnected(peer(other), now: now)
        routers[other].disconnected(peer(one), now: now)
    }

    mutating func subscribe(_ number: Int, _ topic: String) {
        run(number, try! routers[number].subscribe(topic, now: now))
        settle()
    }

    mutating func publish(_ number: Int, _ text: String, topic: String) -> MessageID {
        let (id, actions) = try! routers[number].publish(
            Array(text.utf8), topic: topic, identity: identities[number], now: now)
        run(number, actions)
        settle()
        return id
    }

    mutating func run(_ number: Int, _ actions: [GossipSubAction]) {
        for action in actions {
            switch action {
            case .send(let rpc, let recipients):
                for recipient in recipients {
                    guard let to = identities.firstIndex(where: { $0.peerID == recipient }) else { continue }
                    if isLost(number, to, rpc) { continue }
                    packets.append(Packet(from: number, to: to, bytes: GossipSubCodec.encode(rpc)))
                }
            case .validate(let message, _):
                asked[number].append(message)
                if let verdict = verdict(number, message) {
                    run(number, routers[number].validated(message.id, verdict, now: now))
                }
            case .deliver(let message): delivered[number].append(message)
            case .resetStream(let peer, let error): resets.append((number, peer, error))
            }
        }
        routers[number].checkInvariants()
    }

    mutating func settle() {
        var handled = 0
        while !packets.isEmpty {
            let packet = packets.removeFirst()
            run(packet.to, routers[packet.to].received(packet.bytes, from: peer(packet.from), now: now))
            handled += 1
            precondition(handled < 200_000, "the routers never fall silent")
        }
    }

    /// Lets time pass, heartbeat by heartbeat.
    mutating func advance(milliseconds: Int64) {
        let end = now.advanced(milliseconds: milliseconds)
        while let next = routers.compactMap(\.nextDeadline).min(), next <= end {
            now = max(now, next)
            for number in routers.indices where routers[number].nextDeadline.map({ $0 <= now }) ?? false {
                run(number, routers[number].deadlineReached(now: now))
            }
            settle()
        }
        now = end
    }

    func texts(_ number: Int) -> [String] { delivered[number].map { String(decoding: $0.data, as: UTF8.self) } }
}

/// One router, and a peer that a test plays itself.
struct LoneRouter {
    var router: GossipSubRouter
    var now = MonotonicInstant.zero
    let identity = TestIdentity.all[0]
    let stranger = TestIdentity.all[1]

    var peer: PeerID { stranger.peerID }

    init(
        parameters: GossipSubParameters = .init(), limits: GossipSubRouter.Limits = .init(),
        version: GossipSubVersion = .meshsub11
    ) {
        router = GossipSubRouter(
            localPeer: identity.peerID, parameters: parameters, limits: limits, firstSequenceNumber: 1, seed: 5,
            now: now)
        _ = router.connected(peer, version: version, isOutbound: false, now: now)
    }

    mutating func receive(_ build: (inout GossipSubRPC) -> Void) -> [GossipSubAction] {
        receive(from: peer, build)
    }

    mutating func receive(from sender: PeerID, _ build: (inout GossipSubRPC) -> Void) -> [GossipSubAction] {
        var rpc = GossipSubRPC()
        build(&rpc)
        let actions = router.received(GossipSubCodec.encode(rpc), from: sender, now: now)
        router.checkInvariants()
        return actions
    }

    mutating func subscribe(_ topic: String) { _ = try! router.subscribe(topic, now: now) }

    mutating func heartbeat() -> [GossipSubAction] {
        now = max(now, router.nextDeadline!)
        let actions = router.deadlineReached(now: now)
        router.checkInvariants()
        return actions
    }

    func message(_ text: String = "hello", topic: String = "t", number: UInt64 = 1, author: Int = 2) -> GossipMessage {
        try! .sign(Array(text.utf8), topic: topic, sequenceNumber: number, identity: TestIdentity.all[author])
    }

    func total(_ kind: PeerMisbehaviour) -> UInt64 { router.scoring.record(of: peer)?.total(kind) ?? 0 }
}

extension [GossipSubAction] {
    /// The RPCs to one peer, in order.
    func rpcs(to peer: PeerID) -> [GossipSubRPC] {
        compactMap { action in
            if case .send(let rpc, let recipients) = action, recipients.contains(peer) { return rpc }
            return nil
        }
    }

    var asksForVerdict: [MessageID] {
        compactMap { action in
            if case .validate(let message, _) = action { return message.id }
            return nil
        }
    }

    var delivers: [MessageID] {
        compactMap { action in
            if case .deliver(let message) = action { return message.id }
            return nil
        }
    }
}
