import Determinism
import Multiformats
import P2PTesting
import Testing

@testable import Kademlia

@Suite("Answers of servers that named all they know")
struct WholeAnswersTests {
    private var generator = SeededGenerator(seed: 202)

    private mutating func scene(
        _ change: (inout KademliaConfiguration) -> Void = { _ in }
    ) -> (core: KademliaCore, servers: [PeerInfo]) {
        var configuration = KademliaConfiguration()
        change(&configuration)
        var core = KademliaCore(
            localPeer: VirtualNetwork.randomPeer(&generator), configuration: configuration, validators: [.text],
            seed: 1, now: .zero)
        let servers = (1...2).map {
            PeerInfo(peerID: VirtualNetwork.randomPeer(&generator), addresses: [VirtualNetwork.address($0)])
        }
        for server in servers { _ = core.peerIdentified(server, isServer: true, now: .zero) }
        return (core, servers)
    }

    /// Puts a value, each server naming the other; returns the kinds of all requests.
    private func put(
        _ key: String, _ core: inout KademliaCore, _ servers: [PeerInfo], at now: MonotonicInstant
    ) -> [KademliaMessage.Kind] {
        var kinds: [KademliaMessage.Kind] = []
        let started = core.start(.putValue(key: Array(key.utf8), value: Array("ok".utf8)), now: now)
        var waiting = started.actions
        while !waiting.isEmpty {
            guard case .send(let request) = waiting.removeFirst() else { continue }
            kinds.append(request.message.kind)
            var answer = request.message
            answer.closerPeers = servers.filter { $0.peerID != request.peer.peerID }
            waiting += core.responseArrived(request.id, answer, now: now)
            core.checkInvariants()
        }
        return kinds
    }

    @Test("They serve the puts of the next second, and no later ones")
    mutating func reused() {
        var (core, servers) = scene()
        let asking: [KademliaMessage.Kind] = [.findNode, .findNode, .putValue, .putValue]
        #expect(put("/text/a", &core, servers, at: .zero) == asking)
        #expect(put("/text/b", &core, servers, at: .zero.advanced(milliseconds: 999)) == [.putValue, .putValue])
        #expect(put("/text/c", &core, servers, at: .zero.advanced(milliseconds: 1_000)) == asking)
    }

    @Test("An answer as long as was asked for does not count")
    mutating func notWhole() {
        var (core, servers) = scene { $0.lookup.closestPeersMax = 1 }
        let asking: [KademliaMessage.Kind] = [.findNode, .putValue]
        #expect(put("/text/a", &core, servers, at: .zero) == asking)
        #expect(put("/text/a", &core, servers, at: .zero) == asking)
        #expect(core.wholeAnswers.count == 0)
    }

    @Test("They are forgotten with their server, and past wholeAnswersMax")
    mutating func forgotten() {
        var (core, servers) = scene()
        _ = put("/text/a", &core, servers, at: .zero)
        core.peerDisconnected(servers[0].peerID)
        #expect(put("/text/b", &core, servers, at: .zero) == [.findNode, .putValue, .putValue])

        (core, servers) = scene { $0.wholeAnswersMax = 1 }
        _ = put("/text/a", &core, servers, at: .zero)
        #expect(core.wholeAnswers.count == 1)
        #expect(put("/text/b", &core, servers, at: .zero) == [.findNode, .putValue, .putValue])
    }

    @Test("They never replace a walk that asks whether servers are there, or what they have")
    mutating func askedAnyway() {
        var (core, servers) = scene()
        _ = put("/text/a", &core, servers, at: .zero)
        for operation in [
            KademliaOperation.findClosest(key: [1]), .getValue(key: Array("/text/x".utf8)),
            .findPeer(VirtualNetwork.randomPeer(&generator)), .findProviders(multihash: [1], limit: 1),
        ] {
            let asked = core.start(operation, now: .zero).actions.compactMap { action -> PeerID? in
                guard case .send(let request) = action else { return nil }
                return request.peer.peerID
            }
            #expect(Set(asked) == Set(servers.map(\.peerID)), "\(operation)")
        }
    }
}
