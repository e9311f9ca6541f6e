import Determinism
import Kademlia
import Multiformats
import Testing

/// The bounds of one walk, without a network around it.
@Suite("Walks")
struct LookupTests {
    private static let target = KademliaKey(hashing: bytes("target"))
    private static let local = PeerInfo(peerID: randomPeers(1, seed: 9)[0], addresses: [])

    /// Peers, nearest to the target first.
    private static func peers(_ count: Int, seed: UInt64 = 1) -> [PeerInfo] {
        randomPeers(count, seed: seed)
            .sorted { KademliaKey(of: $0).distance(to: target) < KademliaKey(of: $1).distance(to: target) }
            .map { PeerInfo(peerID: $0, addresses: []) }
    }

    private static func walk(_ seeds: [PeerInfo], _ change: (inout Lookup.Limits) -> Void = { _ in }) -> Lookup {
        var limits = Lookup.Limits()
        change(&limits)
        return Lookup(target: target, seeds: seeds, localPeer: local.peerID, limits: limits)
    }

    @Test("At most parallelRequestsMax requests are under way, the nearest first")
    func parallelRequests() {
        let peers = Self.peers(10)
        var walk = Self.walk(peers.reversed()) { $0.parallelRequestsMax = 3 }
        #expect(walk.next() == Array(peers[0..<3]))
        #expect(walk.next() == [])
        walk.answered(peers[1].peerID, closer: [])
        #expect(walk.next() == [peers[3]])
        walk.failed(peers[0].peerID)
        #expect(walk.next() == [peers[4]])
        walk.checkInvariants()
    }

    @Test("A walk ends after requestsMax requests, however many peers are left")
    func requests() {
        let peers = Self.peers(30)
        var walk = Self.walk(peers) { $0.requestsMax = 5 }
        let asked = walk.next()
        #expect(asked == Array(peers[0..<5]))
        for peer in asked { walk.failed(peer.peerID) }
        #expect(walk.next() == [])
        #expect(walk.isFinished)
        #expect(walk.closestAnswered == [])
    }

    @Test("A walk is over when the closestPeersMax nearest live peers have answered")
    func closestPeers() {
        let peers = Self.peers(10)
        var walk = Self.walk(peers) { $0.closestPeersMax = 2 }
        #expect(walk.next() == Array(peers[0..<2]))
        walk.failed(peers[0].peerID)
        walk.answered(peers[1].peerID, closer: [])
        #expect(!walk.isFinished)
        #expect(walk.next() == [peers[2]])
        walk.answered(peers[2].peerID, closer: [])
        #expect(walk.isFinished)
        #expect(walk.closestAnswered == [peers[1], peers[2]])
    }

    @Test("At most candidatesMax peers are remembered, the nearest of them")
    func candidates() {
        let peers = Self.peers(20)
        var walk = Self.walk(peers.reversed()) { $0.candidatesMax = 6 }
        walk.checkInvariants()
        #expect(peers.map { walk.heard(of: $0.peerID) != nil } == (0..<20).map { $0 < 6 })
        // Those that are being asked keep their places.
        #expect(walk.next() == Array(peers[0..<6]))
        let nearer = Self.peers(2_000, seed: 2).prefix(3)
        walk.answered(peers[0].peerID, closer: Array(nearer))
        walk.checkInvariants()
        #expect(peers[1..<6].allSatisfy { walk.heard(of: $0.peerID) != nil })
    }

    @Test("Of one answer peersPerAnswerMax peers are taken, and this node itself never is")
    func peersPerAnswer() {
        let peers = Self.peers(10)
        var walk = Self.walk([peers[9]]) { $0.peersPerAnswerMax = 4 }
        _ = walk.next()
        walk.answered(peers[9].peerID, closer: [Self.local] + peers[0..<9])
        #expect(walk.heard(of: Self.local.peerID) == nil)
        #expect(peers[0..<9].map { walk.heard(of: $0.peerID) != nil } == (0..<9).map { $0 < 3 })
        // Nobody who was not asked adds any.
        walk.answered(peers[5].peerID, closer: Array(peers[5..<9]))
        #expect(walk.heard(of: peers[5].peerID) == nil)
    }

    @Test("A peer whose names keep failing loses the rest, except those that a second peer named")
    func failuresPerSource() {
        let peers = Self.peers(12)
        let (liar, other) = (peers[10], peers[11])
        var walk = Self.walk([liar, other]) {
            $0.failuresPerSourceMax = 3
            $0.parallelRequestsMax = 3
        }
        #expect(walk.next() == [liar, other])
        walk.answered(liar.peerID, closer: Array(peers[0..<8]))
        walk.answered(other.peerID, closer: [peers[7]])
        let asked = walk.next()
        #expect(asked == Array(peers[0..<3]))
        for peer in asked { walk.failed(peer.peerID) }
        #expect(peers[3..<7].allSatisfy { walk.heard(of: $0.peerID) == nil })
        #expect(walk.next() == [peers[7]])
        walk.checkInvariants()
    }
}

private func randomPeers(_ count: Int, seed: UInt64) -> [PeerID] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in VirtualNetwork.randomPeer(&generator) }
}
