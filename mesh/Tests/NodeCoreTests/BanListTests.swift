import Multiformats
import PeerIdentity
import Testing

@testable import NodeCore

/// The list of those with whom an owner wants nothing to do.
@Suite("Bans")
struct BanListTests {
    private let peers = (0...BanList.peersMax).map { _ in Identity.generate().peerID }

    private func ban(_ index: Int, at date: UInt64 = 1, _ note: String = "") -> BanList.Ban {
        BanList.Ban(peer: peers[index], at: date, note: note)
    }

    @Test("The list takes as many as fit, refuses one more, and takes it once another is allowed")
    func limit() {
        var list = BanList()
        let taken = (0..<BanList.peersMax).count { list.ban(ban($0)) }
        #expect(taken == BanList.peersMax && list.isFull)
        let last = BanList.peersMax
        let isTaken = list.ban(ban(last))
        #expect(!isTaken && list[peers[last]] == nil && list.all.count == BanList.peersMax)
        // Who is on it already takes no further place.
        let isNoted = list.ban(ban(0, at: 2, "again"))
        let isLifted = list.allow(peers[0])
        let isTakenThen = list.ban(ban(last))
        #expect(isNoted && isLifted && isTakenThen)
        #expect(BanList(peers.indices.map { ban($0) }).all.count == BanList.peersMax)
    }

    @Test("A second ban of a peer keeps the date of the first, and has its own note")
    func again() {
        var list = BanList()
        let taken = [list.ban(ban(0, at: 5, "spam")), list.ban(ban(0, at: 9, "more spam"))]
        #expect(taken == [true, true] && list.all == [ban(0, at: 5, "more spam")])
        let didRun = [
            list.ban(BanList.Ban(peer: peers[0], at: 9, note: "", ranJobs: true)), list.ban(ban(0, at: 9)),
        ]
        #expect(didRun == [true, true] && list.executors == 1, "a later ban knows less")
        let wasThere = [list.allow(peers[0]), list.allow(peers[0])]
        #expect(wasThere == [true, false] && list.peers.isEmpty)
    }
}
