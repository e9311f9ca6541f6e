import Multiformats
import P2PServices
import Testing

@testable import PlanetaryMesh

/// Who is asked first for the rest of a file, and how much of that is remembered.
@Suite struct BlockGiversTests {
    private func root(_ number: Int) -> CID { CID.hashing([UInt8(number)], codec: .dagPB) }

    private func peer(_ number: Int) -> PeerID {
        PeerID(publicKeyProtobuf: [0x08, 0x01, 0x12, 0x20] + [UInt8](repeating: UInt8(number), count: 32))
    }

    @Test func theLastToGiveIsAskedFirst() {
        let givers = BlockGivers()
        #expect(givers.peers(of: root(0)).isEmpty)
        for number in 0..<(BlockGivers.peersMax + 2) { givers.gave(peer(number), root(0)) }
        givers.gave(peer(5), root(0))
        let peers = givers.peers(of: root(0))
        #expect(peers.count == BlockGivers.peersMax)
        #expect(Array(peers.prefix(2)) == [peer(5), peer(BlockGivers.peersMax + 1)])
    }

    @Test func whoAnnouncedTheRootIsAskedTooAndAllTakeTurns() {
        let givers = BlockGivers()
        #expect(givers.sources(of: root(0)).peers.isEmpty)
        givers.gave(peer(1), root(0))
        givers.have([peer(1), peer(2), peer(3)], root(0))
        #expect(givers.peers(of: root(0)) == [peer(1), peer(2), peer(3)])
        let turns = (0..<3).map { _ in givers.sources(of: root(0)).takeTurn().first }
        #expect(turns == [peer(1), peer(2), peer(3)], "those who take turns are kept with the root")
        givers.have((0..<20).map(peer), root(0))
        #expect(givers.peers(of: root(0)).count == BlockGivers.peersMax)
    }

    @Test func theRootLongestUnusedIsForgotten() {
        let givers = BlockGivers()
        for number in 0..<BlockGivers.rootsMax { givers.gave(peer(1), root(number)) }
        givers.gave(peer(2), root(0))
        givers.gave(peer(1), root(200))
        #expect(givers.peers(of: root(1)).isEmpty)
        #expect(givers.peers(of: root(0)) == [peer(2), peer(1)])
        #expect(givers.peers(of: root(200)).count == 1)
    }
}
