import Bitswap
import Determinism
import Multiformats
import Testing

/// Kept wants, and fetches that share a question.
@Suite("Bitswap wants and shared fetches")
struct BitswapWantTests {
    private let data = bytes("the block")
    private let cid = CID.hashing(bytes("the block"), codec: .raw)
    private let prefix: [UInt8] = [1, 0x55, 0x12, 0x20]
    private let peers = BitswapTests.peers(4)
    private var core = BitswapCore()
    private let end = MonotonicInstant.zero.advanced(milliseconds: 60_000)

    private func blocks(_ data: [UInt8]) -> BitswapMessage {
        BitswapMessage(blocks: [.init(prefix: prefix, data: data)])
    }

    private func wantMessage(isCancel: Bool = false) -> BitswapMessage {
        BitswapMessage(wants: [.init(cid: cid, sendDontHave: !isCancel, isCancel: isCancel)])
    }

    private func absence(of cid: CID) -> BitswapMessage {
        BitswapMessage(presences: [.init(cid: cid, isPresent: false)])
    }

    private mutating func asks(_ peer: PeerID, for wanted: CID, now: MonotonicInstant = .zero) -> [BitswapAction] {
        let actions = core.messageArrived(BitswapMessage(wants: [.init(cid: wanted)]), from: peer, now: now)
        core.checkInvariants()
        return actions
    }

    @Test("The 257th distinct miss of a peer is answered like the first, and then a block that is here is served")
    mutating func manyMisses() {
        for number in 0...256 {
            let missing = CID.hashing(bytes("missing \(number)"), codec: .raw)
            #expect(asks(peers[0], for: missing) == [.serve(peers[0])])
            #expect(core.nextWant(of: peers[0])?.cid == missing)
            #expect(core.lookedUp(missing, for: peers[0], .missing) == absence(of: missing))
        }
        #expect(core.wantCount(of: peers[0]) == core.limits.wantsPerPeerMax)
        #expect(core.counters.wantsForgotten == 1)
        #expect(asks(peers[0], for: cid) == [.serve(peers[0])])
        #expect(core.nextWant(of: peers[0])?.cid == cid)
        #expect(core.lookedUp(cid, for: peers[0], .block(data)) == blocks(data))
        #expect(core.counters.wantsRefused == 0)
        // Later wants displaced the first two misses; the third still waits.
        #expect(core.blockAdded(CID.hashing(bytes("missing 0"), codec: .raw)).isEmpty)
        #expect(core.blockAdded(CID.hashing(bytes("missing 2"), codec: .raw)) == [.serve(peers[0])])
        core.checkInvariants()
    }

    @Test("A want for a block that does not come is forgotten after wantMilliseconds, whether it was answered or not")
    mutating func expiry() throws {
        #expect(asks(peers[0], for: cid) == [.serve(peers[0])])
        _ = core.nextWant(of: peers[0])
        _ = core.lookedUp(cid, for: peers[0], .missing)
        let later = MonotonicInstant.zero.advanced(milliseconds: 1_000)
        _ = asks(peers[1], for: cid, now: later)
        #expect(core.nextDeadline == .zero.advanced(milliseconds: core.limits.wantMilliseconds))
        #expect(core.deadlineReached(now: .zero.advanced(milliseconds: core.limits.wantMilliseconds)).isEmpty)
        core.checkInvariants()
        #expect(core.blockAdded(cid) == [.serve(peers[1])])
        let second = try #require(core.nextDeadline)
        #expect(second == later.advanced(milliseconds: core.limits.wantMilliseconds))
        #expect(core.deadlineReached(now: second).isEmpty)
        #expect(core.blockAdded(cid).isEmpty)
        #expect(core.nextDeadline == nil)
        #expect(core.counters.wantsForgotten == 2)
        core.checkInvariants()
    }

    @Test("A block stored during its lookup is looked up once more")
    mutating func addedDuringLookup() {
        _ = asks(peers[0], for: cid)
        #expect(core.nextWant(of: peers[0])?.cid == cid)
        #expect(core.blockAdded(cid) == [.serve(peers[0])])
        #expect(core.lookedUp(cid, for: peers[0], .missing) == absence(of: cid))
        #expect(core.nextWant(of: peers[0])?.cid == cid)
        #expect(core.lookedUp(cid, for: peers[0], .block(data)) == blocks(data))
        core.checkInvariants()
    }

    @Test("A block that can never be sent leaves no want behind")
    mutating func tooLarge() {
        _ = asks(peers[0], for: cid)
        _ = core.nextWant(of: peers[0])
        let large = [UInt8](repeating: 1, count: core.limits.messages.blockBytesMax + 1)
        #expect(core.lookedUp(cid, for: peers[0], .block(large)) == absence(of: cid))
        #expect(core.wantCount(of: peers[0]) == 0)
    }

    @Test("A fetch that joins another asks its own peer within the hedge, whatever the other's peer does")
    mutating func joining() throws {
        let stalled = Array(peers.prefix(3))
        let first = core.fetch(cid, from: stalled, bytesMax: 99, deadline: end, now: .zero)
        #expect(first.actions == [.send(stalled[0], wantMessage())])
        let joinedAt = MonotonicInstant.zero.advanced(milliseconds: 500)
        let second = core.fetch(cid, from: [peers[3]], bytesMax: 99, deadline: end, now: joinedAt)
        #expect(second.actions.isEmpty)
        core.checkInvariants()
        let hedge = try #require(core.nextDeadline)
        #expect(hedge == .zero.advanced(milliseconds: core.limits.hedgeMilliseconds))
        let asked = core.deadlineReached(now: hedge)
        #expect(asked == [.send(stalled[1], wantMessage()), .send(peers[3], wantMessage())])
        let came = core.messageArrived(blocks(data), from: peers[3], now: hedge)
        #expect(
            came == [
                .send(stalled[0], wantMessage(isCancel: true)), .send(stalled[1], wantMessage(isCancel: true)),
                .fetched(first.id, data, from: peers[3]), .fetched(second.id, data, from: peers[3]),
            ])
        core.checkInvariants()
        // A fetch that joins where all have long been silent asks at once.
        _ = core.fetch(cid, from: [peers[0]], bytesMax: 99, deadline: end, now: .zero)
        let late = core.fetch(cid, from: [peers[3]], bytesMax: 99, deadline: end, now: hedge)
        #expect(late.actions == [.send(peers[3], wantMessage())])
    }

    @Test("A fetch fails by its own peers alone, and its end harms no other")
    mutating func ownEnds() {
        let first = core.fetch(cid, from: [peers[0]], bytesMax: 99, deadline: end, now: .zero)
        let second = core.fetch(cid, from: [peers[1]], bytesMax: 99, deadline: end, now: .zero)
        let third = core.fetch(cid, from: [peers[2]], bytesMax: 99, deadline: end, now: .zero)
        // The only question is answered: each other fetch asks for itself or shares the next one.
        let denied = core.messageArrived(absence(of: cid), from: peers[0], now: .zero)
        #expect(
            denied == [
                .failed(first.id, .allPeersFailed([peers[0]: .doesNotHave])), .send(peers[1], wantMessage()),
            ])
        core.checkInvariants()
        #expect(core.cancel(second.id, now: .zero).isEmpty)
        core.checkInvariants()
        let lost = core.peerLost(peers[1], now: .zero)
        #expect(lost == [.send(peers[2], wantMessage())])
        #expect(
            core.messageArrived(blocks(data), from: peers[2], now: .zero) == [
                .send(peers[0], wantMessage(isCancel: true)), .fetched(third.id, data, from: peers[2]),
            ])
        core.checkInvariants()
        #expect(core.nextDeadline == nil)
    }

    @Test("A peer that said it does not have a block may still send it while it is wanted")
    mutating func lateBlock() {
        let fetch = core.fetch(cid, from: Array(peers.prefix(2)), bytesMax: 99, deadline: end, now: .zero)
        #expect(
            core.messageArrived(absence(of: cid), from: peers[0], now: .zero) == [.send(peers[1], wantMessage())])
        #expect(
            core.messageArrived(blocks(data), from: peers[0], now: .zero) == [
                .send(peers[1], wantMessage(isCancel: true)), .fetched(fetch.id, data, from: peers[0]),
            ])
        #expect(core.counters.unsolicitedBlocks == 0)
        core.checkInvariants()
    }
}
