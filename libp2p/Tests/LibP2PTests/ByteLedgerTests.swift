import Determinism
import Multiformats
import PeerIdentity
import Testing

@testable import LibP2P

@Suite("The ledger of bytes held for peers")
struct ByteLedgerTests {
    private static let limits = ByteLedger.Limits(
        connectionBytesMax: 1_000, peerBytesMax: 2_000, totalBytesMax: 16_000)
    private let peers = (0..<100).map { ServiceTestNode.peer($0) }

    @Test("A connection and a peer are charged up to their bounds and not past them")
    func bounds() {
        var ledger = ByteLedger(limits: Self.limits)
        let accounts = (0..<3).map { _ in ledger.addAccount(for: peers[0]) }
        let other = ledger.addAccount(for: peers[1])
        for account in accounts[0...1] {
            let isTaken = ledger.charge(1_000, to: account)
            let isTakenToo = ledger.charge(1, to: account)
            #expect(isTaken && !isTakenToo)
        }
        let isTaken = ledger.charge(1, to: accounts[2])
        #expect(!isTaken, "the peer is charged for all it may hold")
        let isOthersTaken = ledger.charge(1_000, to: other)
        #expect(isOthersTaken)
        #expect(ledger.bytes(of: peers[0]) == 2_000 && ledger.totalBytes == 3_000)
        ledger.discharge(400, from: accounts[0])
        let fits = ledger.charge(400, to: accounts[2])
        #expect(fits)
        ledger.checkInvariants()
        for account in accounts + [other] { ledger.close(account) }
        #expect(ledger.isEmpty)
    }

    @Test("Promises leave half of every bound free")
    func promises() {
        var ledger = ByteLedger(limits: Self.limits)
        let account = ledger.addAccount(for: peers[0])
        let granted = ledger.promise(900, to: account)
        let more = ledger.promise(900, to: account)
        #expect(granted == 500 && more == 0)
        let fits = ledger.charge(500, to: account)
        #expect(fits)
        ledger.checkInvariants()
    }

    @Test("However many take all they can, the next finds room, and past half the fair share is told")
    func shares() {
        var ledger = ByteLedger(limits: Self.limits)
        for (number, peer) in peers.prefix(20).enumerated() {
            let account = ledger.addAccount(for: peer)
            #expect(ledger.isShort == (number > 8))
            let room = ledger.room(of: account)
            #expect(room == min(1_000, (16_000 - ledger.totalBytes) / 4) && room > 0)
            while ledger.charge(1, to: account) {}
            ledger.checkInvariants()
        }
        #expect(ledger.totalBytes < 16_000 && ledger.fairBytes == 400)
    }

    @Test("A closed account is told apart from a later one in its place")
    func closedAccounts() {
        var ledger = ByteLedger(limits: Self.limits)
        let first = ledger.addAccount(for: peers[0])
        _ = ledger.charge(10, to: first)
        ledger.close(first)
        let second = ledger.addAccount(for: peers[1])
        _ = ledger.charge(7, to: second)
        ledger.discharge(5, from: first)
        ledger.close(first)
        let isTaken = ledger.charge(1, to: first)
        #expect(!isTaken && ledger.bytes(of: second) == 7 && ledger.totalBytes == 7)
    }

    @Test("After any inputs peers sum up their connections, and the total sums up the peers")
    func anyInputs() {
        let seed = UInt64.random(in: 0...(.max))
        print("byte ledger seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        var ledger = ByteLedger(limits: Self.limits)
        var open: [(id: ByteLedger.AccountID, peer: Int, bytes: Int)] = []
        for _ in 0..<5_000 {
            let count = Int.random(in: 0...300, using: &generator)
            let index = open.indices.randomElement(using: &generator)
            switch (Int.random(in: 0..<8, using: &generator), index) {
            case (0, _), (_, nil):
                let peer = Int.random(in: 0..<6, using: &generator)
                open.append((ledger.addAccount(for: peers[peer]), peer, 0))
            case (1, let index?): ledger.close(open.remove(at: index).id)
            case (2...4, let index?): if ledger.charge(count, to: open[index].id) { open[index].bytes += count }
            case (5, let index?): open[index].bytes += ledger.promise(count, to: open[index].id)
            case (_, let index?):
                let back = min(count, open[index].bytes)
                ledger.discharge(back, from: open[index].id)
                open[index].bytes -= back
            }
            ledger.checkInvariants()
            for (peer, id) in peers.prefix(6).enumerated() {
                let own = open.filter { $0.peer == peer }.reduce(0) { $0 + $1.bytes }
                #expect(ledger.bytes(of: id) == own)
            }
        }
    }
}
