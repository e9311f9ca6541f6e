import Bitswap
import LibP2P
import Multiformats
import P2PServices
import P2PTesting
import Testing

/// One file or folder from several peers at the same time.
@Suite("Blocks from several peers", .timeLimit(.minutes(2)))
struct BlockSourcesTests {
    private static func peers(_ count: Int) -> [PeerID] { (0..<count).map(ServiceTestNode.peer) }

    @Test("Turns go round among peers that give, and each block is asked of the one of whom the fewest are awaited")
    func turns() {
        let peers = Self.peers(3)
        let sources = BlockSources(peers)
        let turns = (0..<6).map { _ in sources.takeTurn() }
        #expect(turns.map(\.first) == (peers + peers).map(Optional.some))
        #expect(turns.allSatisfy { Set($0) == Set(peers) })
        // The second gives both, the others nothing yet.
        for turn in [turns[1], turns[4]] { sources.ended(turn, givenBy: peers[1]) }
        #expect((0..<2).map { _ in sources.takeTurn().first } == [peers[1], peers[1]])
    }

    @Test("A peer that lacks blocks is asked ever more rarely, and again once it gave one")
    func faults() {
        let peers = Self.peers(2)
        var limits = BlockSources.Limits()
        limits.faultsMax = 4
        let sources = BlockSources(peers, limits: limits)
        var askedFirst = 0
        // Both get all of 16 blocks to give at once, sixteen times; the first has none of them.
        for _ in 0..<16 {
            let turns = (0..<16).map { _ in sources.takeTurn() }
            askedFirst += turns.count { $0.first == peers[0] }
            for turn in turns { sources.ended(turn, givenBy: peers[1]) }
        }
        // Half of the first sixteen, then none: it counts as if fifteen were awaited, and the other has fifteen.
        #expect(askedFirst <= 8 + 16)
        let turns = (0..<18).map { _ in sources.takeTurn() }
        #expect(turns.contains { $0.first == peers[0] }, "it is asked again when the other has too much to do")
        for turn in turns { sources.ended(turn, givenBy: turn.first) }
        #expect((0..<20).count { _ in sources.takeTurn().first == peers[0] } > 1)
    }

    @Test("Peers beyond the bound are not remembered")
    func bound() {
        var limits = BlockSources.Limits()
        limits.peersMax = 3
        let peers = Self.peers(5)
        let sources = BlockSources(Array(peers.prefix(2)), limits: limits)
        sources.add(peers)
        #expect(sources.peers == Array(peers.prefix(3)))
        let turn = sources.takeTurn()
        sources.failed(turn)
        sources.ended(sources.takeTurn(), givenBy: peers[4])
        #expect(sources.peers == Array(peers.prefix(3)))
    }

    @Test("A tree comes from three peers at once, and the one that drips gives least and holds nobody up")
    func three() async throws {
        try await withSwarms(4) { swarms in
            var limits = BitswapService.Limits()
            limits.core.hedgeMilliseconds = 300
            let asker = ServiceTestNode(host: swarms[0], exchangeLimits: limits)
            var dripping = BitswapService.Limits()
            dripping.servedBytesPerSecondPerPeerMax = 4_096
            let holders = swarms.dropFirst().enumerated().map { number, swarm in
                ServiceTestNode(host: swarm, exchangeLimits: number == 0 ? dripping : BitswapService.Limits())
            }
            for node in [asker] + holders { await node.register() }
            for swarm in swarms.dropFirst() { _ = try await swarms[0].dial(try await swarm.dialAddress()) }
            let blocks = (0..<300).map { [UInt8](repeating: UInt8($0 & 0xFF), count: 4_000) + [UInt8($0 >> 8)] }
            var cids: [CID] = []
            for block in blocks {
                for holder in holders { holder.blocks.add(block) }
                cids.append(CID.hashing(block, codec: .raw))
            }
            let sources = BlockSources(holders.map(\.host.localPeer))
            let givers = try await withThrowingTaskGroup(of: Void.self) { group in
                for node in [asker] + holders { group.addTask { await node.run() } }
                defer { group.cancelAll() }
                return try await Self.fetch(cids, from: sources, by: asker.exchange)
            }
            let given = holders.map { holder in givers.count { $0 == holder.host.localPeer } }
            #expect(given.reduce(0, +) == 300)
            #expect(given.allSatisfy { $0 > 0 }, "all three gave: \(given)")
            #expect(given[0] * 4 < min(given[1], given[2]), "the one that drips gave least: \(given)")
        }
    }

    /// Fetches blocks, 12 at a time, and returns who gave each.
    private static func fetch(
        _ cids: [CID], from sources: BlockSources, by exchange: BitswapService
    ) async throws -> [PeerID?] {
        try await withThrowingTaskGroup(of: PeerID?.self) { group in
            var rest = cids[...]
            var givers: [PeerID?] = []
            func begin() {
                guard let cid = rest.popFirst() else { return }
                group.addTask {
                    let turn = sources.takeTurn()
                    let found = try await exchange.fetched(cid, from: turn)
                    sources.ended(turn, givenBy: found.source)
                    return found.source
                }
            }
            for _ in 0..<12 { begin() }
            while let giver = try await group.next() {
                givers.append(giver)
                begin()
            }
            return givers
        }
    }
}
