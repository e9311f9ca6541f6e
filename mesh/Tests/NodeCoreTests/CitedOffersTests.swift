import Determinism
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// Offers that bids cite and nobody advertised.
@Suite("Cited offers")
struct CitedOffersTests {
    private static func signed(_ identity: Identity) throws -> SignedObject<NodeCapability> {
        let date = UnixMilliseconds(1_700_000_000_000)
        let capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: date,
            validUntil: date.advanced(milliseconds: 120_000))
        return try SignedObject.sign(capability, with: identity)
    }

    private static func identity(_ number: UInt8) throws -> Identity {
        try Identity(seed: Array(repeating: number, count: 32))
    }

    @Test("An offer counts for who signed it; under another bidder, or as something else, it is none")
    func signer() throws {
        let (bidder, other) = (try Self.identity(1), try Self.identity(2))
        let (own, foreign) = (try Self.signed(bidder), try Self.signed(other))
        var offers = CitedOffers()
        offers.came(own.bytes, cid: own.cid, of: bidder.did)
        #expect(offers.offer(of: bidder.did)?.cid == own.cid)
        #expect(offers.offer(of: bidder.did)?.capability == own.body)
        offers.came(own.bytes, cid: foreign.cid, of: bidder.did)
        #expect(offers.offer(of: bidder.did)?.cid == own.cid, "a block under another name was taken")
        offers.came(foreign.bytes, cid: foreign.cid, of: bidder.did)
        #expect(offers.offer(of: bidder.did)?.cid == foreign.cid)
        #expect(offers.offer(of: bidder.did)?.capability == nil)
        let junk = Array("no object".utf8)
        let name = CID.hashing(junk, codec: .dagCBOR)
        offers.came(junk, cid: name, of: other.did)
        #expect(offers.offer(of: other.did)?.cid == name && offers.offer(of: other.did)?.capability == nil)
    }

    @Test("So many bidders are remembered, the latest, each with what it gave last")
    func bounded() throws {
        var limits = CitedOffers.Limits()
        limits.biddersMax = 3
        var offers = CitedOffers(limits: limits)
        for number in UInt8(1)...5 {
            let identity = try Self.identity(number)
            let offer = try Self.signed(identity)
            offers.came(offer.bytes, cid: offer.cid, of: identity.did)
            offers.came(offer.bytes, cid: offer.cid, of: identity.did)
        }
        #expect(offers.count == 3)
        #expect(offers.offer(of: try Self.identity(2).did) == nil)
        #expect(offers.offer(of: try Self.identity(3).did) != nil)
        var book = CapabilityBook()
        let (bidder, offer) = (try Self.identity(9), try Self.signed(try Self.identity(9)))
        #expect(!book.knows(offer.cid, of: bidder.did, now: .zero))
        book.cited.came(offer.bytes, cid: offer.cid, of: bidder.did)
        #expect(book.knows(offer.cid, of: bidder.did, now: .zero))
        #expect(book.offer(of: bidder.did, now: .zero) == nil && book.count == 0, "it is no executor that is counted")
        #expect(book.bidder(bidder.did, now: .zero).cited?.cid == offer.cid)
    }
}
