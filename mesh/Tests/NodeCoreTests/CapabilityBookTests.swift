import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

@Suite struct CapabilityBookTests {
    private let start: UInt64 = 1_800_000_000_000
    private static let cid = CID.hashing([1], codec: .dagCBOR)

    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant.zero.advanced(milliseconds: milliseconds)
    }

    private func did(_ seed: UInt8) throws -> DID { try Identity(seed: Array(repeating: seed, count: 32)).did }

    private func offer(
        _ seed: UInt8, issuedAt: UInt64 = 0, life: UInt64 = 180_000, withdrawn: Bool = false
    ) throws -> NodeCapability {
        let identity = try Identity(seed: Array(repeating: seed, count: 32))
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: UnixMilliseconds(start + issuedAt),
            validUntil: UnixMilliseconds(start + issuedAt + life))
        if !withdrawn { capability.resources = ["memory_mib": 1] }
        return capability
    }

    @Test func anOfferLastsTwoMinutesFromItsArrivalWhateverItSays() throws {
        var book = CapabilityBook()
        book.heard(try offer(1, life: 7 * 86_400_000), cid: Self.cid, byteCount: 100, now: at(0))
        book.heard(try offer(2, life: 1_000), cid: Self.cid, byteCount: 100, now: at(0))
        #expect(book.offer(of: try did(1), now: at(119_999)) != nil)
        #expect(book.offer(of: try did(1), now: at(120_000)) == nil)
        #expect(book.offer(of: try did(2), now: at(999)) != nil)
        #expect(book.offer(of: try did(2), now: at(1_000)) == nil)
        book.heard(try offer(3), cid: Self.cid, byteCount: 100, now: at(120_000))
        #expect(book.count == 1 && book.byteCount == 100, "what has lasted its time is forgotten")
    }

    @Test func allOffersAreListedAsTheyCameWithoutThoseWithdrawnReplacedOrOver() throws {
        var book = CapabilityBook()
        for seed in UInt8(1)...4 { book.heard(try offer(seed), cid: Self.cid, byteCount: 10, now: at(Int64(seed))) }
        book.heard(try offer(1, issuedAt: 5), cid: Self.cid, byteCount: 10, now: at(5))
        book.heard(try offer(2, issuedAt: 6, withdrawn: true), cid: Self.cid, byteCount: 10, now: at(6))
        #expect(book.offers(now: at(7)).map(\.nodeDID) == [try did(3), try did(4), try did(1)])
        #expect(book.offers(now: at(120_003)).map(\.nodeDID) == [try did(4), try did(1)])
    }

    @Test func theBookIsBoundedInEntriesAndBytesAndTheFirstToComeGoes() throws {
        var book = CapabilityBook(limits: .init(entriesMax: 3, bytesMax: 1_000))
        // The one that says it lasts longest, and is dated latest, came first.
        book.heard(try offer(1, issuedAt: 200_000, life: 86_400_000), cid: Self.cid, byteCount: 300, now: at(0))
        for seed in UInt8(2)...4 { book.heard(try offer(seed), cid: Self.cid, byteCount: 300, now: at(Int64(seed))) }
        #expect(book.count == 3 && book.byteCount == 900)
        #expect(book.offer(of: try did(1), now: at(5)) == nil)
        book.heard(try offer(5), cid: Self.cid, byteCount: 800, now: at(6))
        #expect(book.count == 1 && book.byteCount == 800)
        book.heard(try offer(6), cid: Self.cid, byteCount: 1_001, now: at(7))
        #expect(book.offer(of: try did(6), now: at(7)) == nil)
        for round in 0..<1_000 { book.heard(try offer(7), cid: Self.cid, byteCount: 10, now: at(Int64(10 + round))) }
        #expect(book.count == 2 && book.byteCount == 810)
    }

    @Test func whatIsTakenBackIsGoneAndDoesNotComeAgainByASlowerWay() throws {
        var book = CapabilityBook()
        book.heard(try offer(1, issuedAt: 10), cid: Self.cid, byteCount: 100, now: at(0))
        book.heard(try offer(1, issuedAt: 20, withdrawn: true), cid: Self.cid, byteCount: 90, now: at(1))
        #expect(book.offer(of: try did(1), now: at(2)) == nil)
        book.heard(try offer(1, issuedAt: 10), cid: Self.cid, byteCount: 100, now: at(3))
        #expect(book.offer(of: try did(1), now: at(3)) == nil)
        book.heard(try offer(1, issuedAt: 30), cid: Self.cid, byteCount: 100, now: at(4))
        #expect(book.offer(of: try did(1), now: at(4)) != nil)
    }

    @Test func howLongAnExecutorHasOfferedCountsOverRepetitionsAndNotOverGaps() throws {
        var book = CapabilityBook()
        let (did, other) = (try did(1), try did(2))
        book.heard(try offer(1), cid: Self.cid, byteCount: 10, now: at(1_000))
        book.heard(try offer(1, issuedAt: 60_000), cid: Self.cid, byteCount: 10, now: at(61_000))
        #expect(book.hasOffered(did, since: at(1_001), now: at(62_000)))
        #expect(!book.hasOffered(did, since: at(1_000), now: at(62_000)), "it came with the job, or for it")
        #expect(!book.hasOffered(other, since: at(62_000), now: at(62_000)))
        #expect(!book.hasOffered(did, since: at(1_001), now: at(181_000)), "the offer is over")
        book.heard(try offer(1, issuedAt: 181_000), cid: Self.cid, byteCount: 10, now: at(182_000))
        #expect(!book.hasOffered(did, since: at(182_000), now: at(182_001)))
        #expect(book.hasOffered(did, since: at(182_001), now: at(182_001)))
        book.heard(try offer(1, issuedAt: 182_000, withdrawn: true), cid: Self.cid, byteCount: 10, now: at(183_000))
        #expect(!book.hasOffered(did, since: at(183_500), now: at(183_500)))
        book.heard(try offer(1, issuedAt: 183_000), cid: Self.cid, byteCount: 10, now: at(184_000))
        #expect(!book.hasOffered(did, since: at(184_000), now: at(184_001)), "withdrawn in between")
    }
}
