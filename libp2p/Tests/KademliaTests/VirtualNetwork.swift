import Determinism
import Kademlia
import Multiformats

/// Cores that talk over a lossy network in virtual time; the same seed gives the same run.
struct VirtualNetwork {
    /// What an adversary answers instead of its core; `nil` stays silent.
    typealias Adversary = (_ request: KademliaMessage, _ network: inout VirtualNetwork) -> KademliaMessage?

    enum Event {
        case request(KademliaRequest, from: PeerID)
        case answer(RequestID, KademliaMessage?, to: PeerID, from: PeerID)
    }

    private struct Scheduled {
        let at: MonotonicInstant
        let order: Int
        let event: Event
    }

    var now = MonotonicInstant.zero
    var generator: SeededGenerator
    var lossPercent = 0
    var cores: [PeerID: KademliaCore] = [:]
    var peers: [PeerID] = []
    var adversaries: [PeerID: Adversary] = [:]
    var dead: Set<PeerID> = []
    var outcomes: [PeerID: [QueryID: KademliaOutcome]] = [:]
    var violations: [(by: PeerID, what: KademliaViolation)] = []
    var messages = 0
    var trace: UInt64 = 0
    /// A binary heap by time, then order.
    private var scheduled: [Scheduled] = []
    private var order = 0
    /// What each core's `nextDeadline` was after its last input.
    private var deadlines: [PeerID: MonotonicInstant] = [:]
    private var inputs = 0
    private var acquainted: Set<[PeerID]> = []

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    static func randomPeer(_ generator: inout SeededGenerator) -> PeerID {
        PeerID(publicKeyProtobuf: [8, 1, 18, 32] + (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// An address of its own /24, so that group limits do not interfere unless a test wants them to.
    static func address(_ number: Int) -> Multiaddr {
        Multiaddr([.ip4([UInt8(11 + number / 65_536), UInt8(number / 256 % 256), UInt8(number % 256), 1]), .tcp(4001)])
    }

    @discardableResult
    mutating func addNode(
        configuration: KademliaConfiguration = KademliaConfiguration(), validators: [RecordValidator] = [.text]
    ) -> PeerID {
        let peer = Self.randomPeer(&generator)
        var core = KademliaCore(
            localPeer: peer, configuration: configuration, validators: validators, seed: generator.next(), now: now)
        core.localAddresses = [Self.address(peers.count)]
        cores[peer] = core
        deadlines[peer] = core.nextDeadline
        peers.append(peer)
        return peer
    }

    func info(_ peer: PeerID) -> PeerInfo {
        PeerInfo(peerID: peer, addresses: cores[peer]?.localAddresses ?? [])
    }

    mutating func introduce(_ stranger: PeerID, to peer: PeerID, isServer: Bool = true) {
        let info = info(stranger)
        act(peer) { core, now in core.peerIdentified(info, isServer: isServer, now: now) }
    }

    /// Joins all through the first node and lets the walks finish.
    mutating func joinAll() {
        for peer in peers.dropFirst() {
            introduce(peers[0], to: peer)
            introduce(peer, to: peers[0])
            run(milliseconds: 100)
        }
        run(milliseconds: 60_000)
    }

    mutating func start(_ operation: KademliaOperation, at peer: PeerID) -> QueryID? {
        var id: QueryID?
        act(peer) { core, now in
            let started = core.start(operation, now: now)
            id = started.id
            return started.actions
        }
        return id
    }

    mutating func complete(_ operation: KademliaOperation, at peer: PeerID) -> KademliaOutcome? {
        guard let id = start(operation, at: peer) else { return nil }
        let limit = now.advanced(milliseconds: 120_000)
        while outcomes[peer]?[id] == nil, now < limit { run(milliseconds: 50) }
        return outcomes[peer]?[id]
    }

    mutating func run(milliseconds: Int64) {
        let end = now.advanced(milliseconds: milliseconds)
        while true {
            let event = scheduled.first?.at ?? .distantFuture
            let deadline = earliestDeadline()
            guard min(event, deadline) <= end else { break }
            now = max(now, min(event, deadline))
            // Between two deadlines all due events run without looking for deadlines again: tests stay fast, and
            // deadlines are seconds apart while events are milliseconds apart.
            if event <= deadline {
                let horizon = min(deadline, end, now.advanced(milliseconds: 20))
                while let next = scheduled.first, next.at <= horizon {
                    now = max(now, next.at)
                    deliver(popEvent())
                }
            } else {
                for peer in peers where !dead.contains(peer) && (deadlines[peer] ?? .distantFuture) <= now {
                    act(peer) { core, now in core.deadlineReached(now: now) }
                }
            }
        }
        now = end
    }

    mutating func act(_ peer: PeerID, _ input: (inout KademliaCore, MonotonicInstant) -> [KademliaAction]) {
        guard var core = cores[peer] else { return }
        cores[peer] = nil
        let actions = input(&core, now)
        inputs += 1
        if inputs % 16 == 0 { core.checkInvariants() }
        deadlines[peer] = core.nextDeadline
        cores[peer] = core
        for action in actions {
            switch action {
            case .send(let request):
                messages += 1
                schedule(.request(request, from: peer))
            case .finished(let id, let outcome): outcomes[peer, default: [:]][id] = outcome
            case .peerMisbehaved(let other, let violation): violations.append((other, violation))
            case .cancel: continue
            }
        }
    }

    private mutating func deliver(_ event: Event) {
        switch event {
        case .request(let request, let asker):
            let target = request.peer.peerID
            trace = trace &* 31 &+ UInt64(request.message.kind.rawValue) &+ UInt64(target.bytes.last ?? 0)
            guard !dead.contains(target), !isLost() else { return }
            // The first message needs a connection, and a connection brings identify to both sides.
            if acquainted.insert([asker, target]).inserted, acquainted.insert([target, asker]).inserted {
                introduce(asker, to: target, isServer: cores[asker]?.configuration.mode == .server)
            }
            let wire = KademliaMessageCoding.encode(request.message)
            guard let message = try? KademliaMessageCoding.decode(wire) else { return }
            if let adversary = adversaries[target] {
                let answer = adversary(message, &self)
                schedule(.answer(request.id, answer, to: asker, from: target))
                return
            }
            guard let result = cores[target]?.requestArrived(message, from: asker, now: now) else {
                schedule(.answer(request.id, nil, to: asker, from: target))
                return
            }
            if case .success(let answer) = result {
                if let answer { schedule(.answer(request.id, answer, to: asker, from: target)) }
                if !request.expectsAnswer { act(asker) { $0.requestDelivered(request.id, now: $1) } }
            } else {
                schedule(.answer(request.id, nil, to: asker, from: target))
            }
        case .answer(let id, let answer, let peer, _):
            guard !dead.contains(peer), !isLost() else { return }
            act(peer) { core, now in
                answer.map { core.responseArrived(id, $0, now: now) } ?? core.requestFailed(id, now: now)
            }
        }
    }

    private mutating func isLost() -> Bool {
        lossPercent > 0 && Int.random(in: 0..<100, using: &generator) < lossPercent
    }

    private mutating func schedule(_ event: Event) {
        // Unequal delays reorder messages.
        let delay = Int64.random(in: 1...40, using: &generator)
        order += 1
        scheduled.append(Scheduled(at: now.advanced(milliseconds: delay), order: order, event: event))
        var child = scheduled.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            scheduled.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private func earliestDeadline() -> MonotonicInstant {
        var earliest = MonotonicInstant.distantFuture
        for (peer, deadline) in deadlines where deadline < earliest && !dead.contains(peer) { earliest = deadline }
        return earliest
    }

    private mutating func popEvent() -> Event {
        scheduled.swapAt(0, scheduled.count - 1)
        let event = scheduled.removeLast().event
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < scheduled.count && precedes(child, least) {
                least = child
            }
            guard least != parent else { return event }
            scheduled.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (scheduled[left].at, scheduled[left].order) < (scheduled[right].at, scheduled[right].order)
    }
}

extension RecordValidator {
    /// Values under `/text/` must begin with "ok"; the longer one is the better one.
    static let text = RecordValidator(prefix: "/text/") { _, value in
        value.starts(with: "ok".utf8) ? nil : "the value does not begin with ok"
    } prefersSecond: { _, first, second in
        second.count > first.count
    }
}

func bytes(_ text: String) -> [UInt8] {
    Array(text.utf8)
}
