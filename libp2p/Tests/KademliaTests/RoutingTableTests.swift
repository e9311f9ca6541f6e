import Determinism
import Kademlia
import Multiformats
import Testing

@Suite("Routing table")
struct RoutingTableTests {
    private func member(_ number: Int, _ generator: inout SeededGenerator) -> PeerInfo {
        PeerInfo(peerID: VirtualNetwork.randomPeer(&generator), addresses: [VirtualNetwork.address(number)])
    }

    @Test("The closest peers are those that sorting the whole table gives", arguments: [1, 2, 3] as [UInt64])
    func closestIsExact(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var table = RoutingTable(localPeer: VirtualNetwork.randomPeer(&generator))
        #expect(table.closest(to: KademliaKey(hashing: []), count: 20).isEmpty)
        for number in 0..<250 {
            _ = table.insert(member(number, &generator), now: .zero)
        }
        table.checkInvariants()
        for _ in 0..<20 {
            let target = KademliaKey(of: VirtualNetwork.randomPeer(&generator))
            let sorted = table.members.sorted {
                KademliaKey(of: $0.peerID).distance(to: target) < KademliaKey(of: $1.peerID).distance(to: target)
            }
            #expect(table.closest(to: target, count: 20) == Array(sorted.prefix(20)), "seed \(seed)")
            let nearest = sorted[0].peerID
            #expect(
                table.closest(to: target, count: 20, excluding: nearest) == Array(sorted.dropFirst().prefix(20)))
        }
    }

    @Test("Random inserts, answers, failures and removals keep the invariants", arguments: [11, 12] as [UInt64])
    func randomOperations(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var table = RoutingTable(localPeer: VirtualNetwork.randomPeer(&generator))
        var known: [PeerInfo] = []
        for step in 0..<1_000 {
            let now = MonotonicInstant(nanoseconds: Int64(step))
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                // Few networks, so that group limits are reached all the time.
                let info = member(Int.random(in: 0..<40, using: &generator), &generator)
                known.append(info)
                _ = table.insert(info, now: now)
            case 5: if let info = known.randomElement(using: &generator) { _ = table.insert(info, now: now) }
            case 6, 7: if let info = known.randomElement(using: &generator) { table.failed(info.peerID, now: now) }
            case 8: if let info = known.randomElement(using: &generator) { table.answered(info.peerID, now: now) }
            default: if let info = known.randomElement(using: &generator) { table.remove(info.peerID, now: now) }
            }
            table.checkInvariants()
        }
        #expect(table.count > 0, "seed \(seed)")
    }

    @Test("A full bucket keeps members that answer, and gives a silent one's place to a waiting peer")
    func replacement() {
        var generator = SeededGenerator(seed: 7)
        let local = VirtualNetwork.randomPeer(&generator)
        var table = RoutingTable(localPeer: local)
        var inBucketZero: [PeerInfo] = []
        var number = 0
        while inBucketZero.count < 22 {
            let info = member(number, &generator)
            number += 1
            if KademliaKey(of: local).commonPrefixLength(with: KademliaKey(of: info.peerID)) == 0 {
                inBucketZero.append(info)
            }
        }
        for info in inBucketZero.prefix(20) { #expect(table.insert(info, now: .zero) == .added) }
        #expect(table.insert(inBucketZero[20], now: .zero) == .waiting(oldest: inBucketZero[0]))
        #expect(table.member(inBucketZero[20].peerID) == nil)
        table.answered(inBucketZero[0].peerID, now: .zero)
        #expect(table.insert(inBucketZero[21], now: .zero) == .waiting(oldest: inBucketZero[1]))
        table.failed(inBucketZero[1].peerID, now: .zero)
        #expect(table.member(inBucketZero[1].peerID) == nil)
        #expect(table.member(inBucketZero[21].peerID) != nil, "the latest to wait is the likeliest to be alive")
        table.checkInvariants()
    }

    @Test("Of the peers that wait for a full bucket the latest replacementsPerBucketMax are kept")
    func replacements() {
        var generator = SeededGenerator(seed: 10)
        let local = VirtualNetwork.randomPeer(&generator)
        var limits = RoutingTable.Limits()
        (limits.bucketPeersMax, limits.replacementsPerBucketMax) = (4, 2)
        var table = RoutingTable(localPeer: local, limits: limits)
        let inBucketZero = (0..<100).map { member($0, &generator) }.filter {
            KademliaKey(of: local).commonPrefixLength(with: KademliaKey(of: $0.peerID)) == 0
        }
        for info in inBucketZero.prefix(7) { _ = table.insert(info, now: .zero) }
        for info in inBucketZero.prefix(3) { table.failed(info.peerID, now: .zero) }
        #expect(
            inBucketZero.prefix(7).map { table.member($0.peerID) != nil } == [
                false, false, true, true, false, true, true,
            ])
        table.checkInvariants()
    }

    @Test("A member may miss two answers, not three, and is then remembered for the worst case")
    func failures() {
        var generator = SeededGenerator(seed: 8)
        var table = RoutingTable(localPeer: VirtualNetwork.randomPeer(&generator))
        let info = member(0, &generator)
        _ = table.insert(info, now: .zero)
        table.failed(info.peerID, now: .zero)
        table.failed(info.peerID, now: .zero)
        table.answered(info.peerID, now: .zero)
        table.failed(info.peerID, now: .zero)
        table.failed(info.peerID, now: .zero)
        #expect(table.member(info.peerID) == info)
        table.failed(info.peerID, now: .zero)
        #expect(table.member(info.peerID) == nil)
        #expect(table.formerMembers == [info])
        for number in 1...30 {
            let other = member(number, &generator)
            _ = table.insert(other, now: .zero)
            for _ in 0..<3 { table.failed(other.peerID, now: .zero) }
            table.checkInvariants()
        }
        #expect(table.formerMembers.count == 20)
    }

    @Test("A /24 gets two places in a bucket and ten in the table, loopback any number")
    func addressGroups() {
        var generator = SeededGenerator(seed: 9)
        let local = VirtualNetwork.randomPeer(&generator)
        var table = RoutingTable(localPeer: local)
        var refused = 0
        for host in 0..<600 {
            let address = Multiaddr([.ip4([203, 0, 113, UInt8(host % 256)]), .tcp(UInt16(1_000 + host))])
            let info = PeerInfo(peerID: VirtualNetwork.randomPeer(&generator), addresses: [address])
            if case .groupFull = table.insert(info, now: .zero) { refused += 1 }
        }
        table.checkInvariants()
        #expect(table.count == 10)
        #expect(table.bucketCounts.allSatisfy { $0 <= 2 })
        #expect(refused == 590)
        let own = RoutingTable.Insertion.added
        for port in 0..<15 {
            let loopback = Multiaddr([.ip4([127, 0, 0, 1]), .tcp(UInt16(2_000 + port))])
            let info = PeerInfo(peerID: VirtualNetwork.randomPeer(&generator), addresses: [loopback])
            #expect(table.insert(info, now: .zero) == own)
        }
    }

    @Test("A member cannot move into a full address group by announcing other addresses")
    func groupsOnRefresh() throws {
        var generator = SeededGenerator(seed: 10)
        var table = RoutingTable(localPeer: VirtualNetwork.randomPeer(&generator))
        for host in 0..<600 {
            let address = Multiaddr([.ip4([198, 51, 100, UInt8(host % 256)]), .tcp(4001)])
            _ = table.insert(
                PeerInfo(peerID: VirtualNetwork.randomPeer(&generator), addresses: [address]), now: .zero)
        }
        #expect(table.count == 10)
        let honest = member(77, &generator)
        #expect(table.insert(honest, now: .zero) == .added)
        let moved = PeerInfo(peerID: honest.peerID, addresses: [Multiaddr([.ip4([198, 51, 100, 9]), .tcp(1)])])
        #expect(table.insert(moved, now: .zero) == .refreshed)
        #expect(table.member(honest.peerID) == honest)
        table.checkInvariants()
    }

    @Test("Groups are the /24 and the /48, and both spellings of an IPv4 address are one")
    func groups() throws {
        let plain = try #require(AddressGroup(ip4: [192, 0, 2, 7]))
        #expect(AddressGroup(ip4: [192, 0, 2, 200]) == plain)
        #expect(AddressGroup(ip4: [192, 0, 3, 7]) != plain)
        #expect(AddressGroup(ip6: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]) == plain)
        #expect(AddressGroup(ip4: [127, 0, 0, 1]) == nil)
        #expect(AddressGroup(ip6: [UInt8](repeating: 0, count: 15) + [1]) == nil)
        let locals: [[UInt8]] = [
            [10, 1, 2, 3], [192, 168, 1, 1], [172, 31, 0, 1], [169, 254, 1, 1], [100, 64, 0, 1], [0, 0, 0, 0],
        ]
        for local in locals {
            #expect(AddressGroup(ip4: local) == nil)
        }
        #expect(AddressGroup(ip6: [0xfe, 0x80] + [UInt8](repeating: 1, count: 14)) == nil)
        #expect(AddressGroup(ip6: [0xfd, 0] + [UInt8](repeating: 1, count: 14)) == nil)
        let documentation: [UInt8] = [0x20, 0x01, 0x0d, 0xb8, 0, 1]
        let first = AddressGroup(ip6: documentation + [UInt8](repeating: 1, count: 10))
        #expect(first != nil && first == AddressGroup(ip6: documentation + [UInt8](repeating: 2, count: 10)))
    }
}
