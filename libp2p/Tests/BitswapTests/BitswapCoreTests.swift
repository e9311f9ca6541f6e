import Bitswap
import Determinism
import Multiformats
import Testing

@Suite("Bitswap core")
struct BitswapCoreTests {
    private let data = bytes("the block")
    private let cid = CID.hashing(bytes("the block"), codec: .raw)
    private let prefix: [UInt8] = [1, 0x55, 0x12, 0x20]
    private let peers = BitswapTests.peers(8)
    private var core = BitswapCore()
    private let end = MonotonicInstant.zero.advanced(milliseconds: 60_000)

    private func blocks(_ data: [UInt8]) -> BitswapMessage {
        BitswapMessage(blocks: [.init(prefix: prefix, data: data)])
    }

    private var wantMessage: BitswapMessage { BitswapMessage(wants: [.init(cid: cid)]) }

    private var cancelMessage: BitswapMessage {
        BitswapMessage(wants: [.init(cid: cid, sendDontHave: false, isCancel: true)])
    }

    private mutating func fetch(from candidates: [PeerID], bytesMax: Int = 1_000) -> (BlockFetchID, [BitswapAction]) {
        let started = core.fetch(cid, from: candidates, bytesMax: bytesMax, deadline: end, now: .zero)
        core.checkInvariants()
        return (started.id, started.actions)
    }

    @Test("The first candidate is asked, and its verified block is the result")
    mutating func fetches() {
        let (id, actions) = fetch(from: peers)
        #expect(actions == [.send(peers[0], wantMessage)])
        let results = core.messageArrived(blocks(data), from: peers[0], now: .zero)
        #expect(results == [.fetched(id, data, from: peers[0])])
        core.checkInvariants()
        #expect(core.nextDeadline == nil)
        #expect(core.counters.blocksReceived == 1)
    }

    @Test("The next candidate is asked after a miss or a loss; in the end each reason is told")
    mutating func fallsThrough() {
        let (id, _) = fetch(from: Array(peers.prefix(3)))
        let absence = BitswapMessage(presences: [.init(cid: cid, isPresent: false)])
        #expect(core.messageArrived(absence, from: peers[0], now: .zero) == [.send(peers[1], wantMessage)])
        #expect(core.peerLost(peers[1], now: .zero) == [.send(peers[2], wantMessage)])
        let last = core.messageArrived(absence, from: peers[2], now: .zero)
        // Both keep the want, so both get a cancel.
        #expect(
            last == [
                .send(peers[0], cancelMessage), .send(peers[2], cancelMessage),
                .failed(
                    id,
                    .allPeersFailed([peers[0]: .doesNotHave, peers[1]: .unreachable, peers[2]: .doesNotHave])),
            ])
        core.checkInvariants()
    }

    @Test("Beside a silent peer the next is asked, and then the first is given up")
    mutating func silence() throws {
        let (id, _) = fetch(from: Array(peers.prefix(2)))
        let hedge = try #require(core.nextDeadline)
        #expect(hedge == .zero.advanced(milliseconds: core.limits.hedgeMilliseconds))
        #expect(core.deadlineReached(now: hedge) == [.send(peers[1], wantMessage)])
        let result = core.messageArrived(blocks(data), from: peers[1], now: hedge)
        #expect(result == [.send(peers[0], cancelMessage), .fetched(id, data, from: peers[1])])
        core.checkInvariants()

        let (second, _) = fetch(from: [peers[3]])
        var actions: [BitswapAction] = []
        while let deadline = core.nextDeadline { actions += core.deadlineReached(now: deadline) }
        #expect(
            actions == [.send(peers[3], cancelMessage), .failed(second, .allPeersFailed([peers[3]: .timedOut]))])
    }

    @Test("A block that does not hash to its CID is dropped and counted, and the next peer asked")
    mutating func mismatch() {
        let (id, _) = fetch(from: Array(peers.prefix(2)))
        let forged = core.messageArrived(blocks(bytes("forged")), from: peers[0], now: .zero)
        #expect(forged == [.peerMisbehaved(peers[0], .blockDoesNotMatch), .send(peers[1], wantMessage)])
        #expect(core.counters.mismatchedBlocks == 1)
        let again = core.messageArrived(blocks(bytes("forged")), from: peers[1], now: .zero)
        #expect(
            again == [
                .peerMisbehaved(peers[1], .blockDoesNotMatch),
                .failed(id, .allPeersFailed([peers[0]: .sentWrongBlock, peers[1]: .sentWrongBlock])),
            ])
        core.checkInvariants()
    }

    @Test("Unasked blocks are dropped and counted, late copies apart")
    mutating func unsolicited() {
        #expect(
            core.messageArrived(blocks(data), from: peers[5], now: .zero)
                == [.peerMisbehaved(peers[5], .unsolicitedBlock)])
        #expect(core.counters.unsolicitedBlocks == 1)
        _ = fetch(from: [peers[0]])
        _ = core.messageArrived(blocks(data), from: peers[0], now: .zero)
        let other = CID.hashing(bytes("other"), codec: .raw)
        _ = core.fetch(other, from: [peers[0]], bytesMax: 99, deadline: end, now: .zero)
        #expect(core.messageArrived(blocks(data), from: peers[0], now: .zero).isEmpty)
        #expect(core.counters.duplicateBlocks == 1)
        let foreign = BitswapMessage(blocks: [.init(prefix: [1, 0x71, 0x12, 0x20], data: bytes("other"))])
        #expect(
            core.messageArrived(foreign, from: peers[0], now: .zero)
                == [.peerMisbehaved(peers[0], .unsolicitedBlock)])
        core.checkInvariants()
    }

    @Test("Fetches of one block share a question, each with its own bound and end")
    mutating func shared() {
        let (large, first) = fetch(from: [peers[0]])
        let (small, second) = fetch(from: [peers[1]], bytesMax: 3)
        let (given, _) = fetch(from: [peers[2]])
        #expect(first.count == 1 && second.isEmpty)
        #expect(core.cancel(given, now: .zero).isEmpty)
        #expect(
            core.messageArrived(blocks(data), from: peers[0], now: .zero) == [
                .fetched(large, data, from: peers[0]), .failed(small, .tooLarge(bytes: data.count, bytesMax: 3)),
            ])
        let (last, _) = fetch(from: [peers[0]])
        #expect(core.cancel(last, now: .zero) == [.send(peers[0], cancelMessage)])
        core.checkInvariants()
    }

    @Test("Fetches and candidates are bounded; a hash that is not SHA-256 and an empty list are refused")
    mutating func fetchLimits() {
        var limits = BitswapCore.Limits()
        limits.fetchesMax = 4
        core = BitswapCore(limits: limits)
        for number in 0..<4 {
            let wanted = CID.hashing(bytes("\(number)"), codec: .raw)
            _ = core.fetch(wanted, from: peers + peers, bytesMax: 9, deadline: end, now: .zero)
        }
        core.checkInvariants()
        let (id, actions) = fetch(from: peers)
        #expect(actions == [.failed(id, .tooManyFetches(max: 4))])
        let (lonely, none) = fetch(from: [])
        #expect(none == [.failed(lonely, .noPeers)])
        let identity = CID(codec: .raw, multihash: .identity(of: data))
        let refused = core.fetch(identity, from: peers, bytesMax: 9, deadline: end, now: .zero)
        #expect(refused.actions == [.failed(refused.id, .unsupportedHash)])
        var ends: [BitswapAction] = []
        ends += core.deadlineReached(now: end)
        #expect(ends.count { if case .failed(_, .timedOut) = $0 { true } else { false } } == 4)
        core.checkInvariants()
    }

    @Test("Of the candidates of a fetch candidatesPerFetchMax are asked")
    mutating func candidates() {
        var limits = BitswapCore.Limits()
        limits.candidatesPerFetchMax = 2
        core = BitswapCore(limits: limits)
        let (id, _) = fetch(from: peers)
        _ = core.peerLost(peers[0], now: .zero)
        let last = core.peerLost(peers[1], now: .zero)
        #expect(last == [.failed(id, .allPeersFailed([peers[0]: .unreachable, peers[1]: .unreachable]))])
    }

    @Test("A late copy is known as one for as long as recentMax other blocks have not come")
    mutating func recentBlocks() {
        var limits = BitswapCore.Limits()
        limits.recentMax = 2
        core = BitswapCore(limits: limits)
        // The peer has an open question, or its copies would count as unasked.
        let open = CID.hashing(bytes("open"), codec: .raw)
        _ = core.fetch(open, from: [peers[0]], bytesMax: 9, deadline: end, now: .zero)
        for text in ["a", "b", "c"] {
            let wanted = CID.hashing(bytes(text), codec: .raw)
            _ = core.fetch(wanted, from: [peers[0]], bytesMax: 9, deadline: end, now: .zero)
            _ = core.messageArrived(blocks(bytes(text)), from: peers[0], now: .zero)
            core.checkInvariants()
        }
        for text in ["b", "c"] { #expect(core.messageArrived(blocks(bytes(text)), from: peers[0], now: .zero) == []) }
        #expect(core.counters.duplicateBlocks == 2)
        let forgotten = core.messageArrived(blocks(bytes("a")), from: peers[0], now: .zero)
        #expect(forgotten.first == .peerMisbehaved(peers[0], .blockDoesNotMatch))
        #expect(core.counters.duplicateBlocks == 2)
    }

    @Test("Wants are answered with blocks, presences or absences, or later when the block arrives")
    mutating func serves() {
        let missing = CID.hashing(bytes("later"), codec: .raw)
        let message = BitswapMessage(wants: [
            .init(cid: cid), .init(cid: missing, kind: .block, sendDontHave: true),
        ])
        #expect(core.messageArrived(message, from: peers[0], now: .zero) == [.serve(peers[0])])
        #expect(core.nextWant(of: peers[0]) == WantedBlock(cid: cid, kind: .block))
        #expect(core.lookedUp(cid, for: peers[0], .block(data)) == blocks(data))
        #expect(core.nextWant(of: peers[0]) == WantedBlock(cid: missing, kind: .block))
        #expect(
            core.lookedUp(missing, for: peers[0], .missing)
                == BitswapMessage(presences: [.init(cid: missing, isPresent: false)]))
        #expect(core.nextWant(of: peers[0]) == nil)
        #expect(core.blockAdded(missing) == [.serve(peers[0])])
        #expect(core.nextWant(of: peers[0]) == WantedBlock(cid: missing, kind: .block))
        #expect(core.lookedUp(missing, for: peers[0], .block(bytes("later"))) == blocks(bytes("later")))
        #expect(core.wantCount(of: peers[0]) == 0)
        let have = BitswapMessage(wants: [.init(cid: cid, kind: .have, sendDontHave: false)])
        _ = core.messageArrived(have, from: peers[1], now: .zero)
        _ = core.nextWant(of: peers[1])
        #expect(
            core.lookedUp(cid, for: peers[1], .present)
                == BitswapMessage(presences: [.init(cid: cid, isPresent: true)]))
        core.checkInvariants()
    }

    @Test("A peer has at most 256 wants; cancelling, replacing and disconnecting free them")
    mutating func wantLimit() {
        let many = (0..<300).map { BitswapMessage.Want(cid: CID.hashing(bytes("\($0)"), codec: .raw)) }
        let actions = core.messageArrived(BitswapMessage(wants: many), from: peers[0], now: .zero)
        #expect(core.wantCount(of: peers[0]) == 256)
        #expect(core.counters.wantsRefused == 44)
        let refused = many.suffix(44).map { BitswapMessage.Presence(cid: $0.cid, isPresent: false) }
        #expect(actions == [.send(peers[0], BitswapMessage(presences: refused)), .serve(peers[0])])
        core.checkInvariants()
        var cancel = many[0]
        cancel.isCancel = true
        _ = core.messageArrived(BitswapMessage(wants: [cancel]), from: peers[0], now: .zero)
        #expect(core.wantCount(of: peers[0]) == 255)
        _ = core.messageArrived(
            BitswapMessage(wants: [many[7]], replacesWants: true), from: peers[0], now: .zero)
        #expect(core.wantCount(of: peers[0]) == 1)
        _ = core.peerLost(peers[0], now: .zero)
        #expect(core.wantCount(of: peers[0]) == 0)
        #expect(core.nextWant(of: peers[0]) == nil)
        core.checkInvariants()
    }

    @Test("Wants are kept for a bounded number of peers")
    mutating func peerLimit() {
        var limits = BitswapCore.Limits()
        limits.peersMax = 2
        core = BitswapCore(limits: limits)
        for peer in peers { _ = core.messageArrived(wantMessage, from: peer, now: .zero) }
        core.checkInvariants()
        #expect(core.counters.wantsRefused == peers.count - 2)
    }

    @Test("Random messages never break an invariant", arguments: [311, 312, 313] as [UInt64])
    mutating func random(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var now = MonotonicInstant.zero
        for _ in 0..<1_500 {
            now = now.advanced(milliseconds: Int64.random(in: 0...900, using: &generator))
            let peer = peers.randomElement(using: &generator) ?? peers[0]
            let content = bytes("\(Int.random(in: 0..<12, using: &generator))")
            let wanted = CID.hashing(content, codec: .raw)
            switch Int.random(in: 0..<7, using: &generator) {
            case 0:
                let candidates = peers.shuffled(using: &generator)
                _ = core.fetch(wanted, from: candidates, bytesMax: 9, deadline: end, now: now)
            case 1: _ = core.messageArrived(blocks(content), from: peer, now: now)
            case 2:
                let absence = BitswapMessage(presences: [.init(cid: wanted, isPresent: false)])
                _ = core.messageArrived(absence, from: peer, now: now)
            case 3: _ = core.messageArrived(BitswapMessage(wants: [.init(cid: wanted)]), from: peer, now: now)
            case 4: _ = core.peerLost(peer, now: now)
            case 5:
                if let want = core.nextWant(of: peer) { _ = core.lookedUp(want.cid, for: peer, .block(content)) }
            default: _ = core.deadlineReached(now: now)
            }
            core.checkInvariants()
        }
    }
}
