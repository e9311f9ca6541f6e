import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// Two spellings of one letter are two texts wherever text decides or is hashed.
@Suite("Text by its bytes")
struct SpellingTests {
    private let composed = "\u{E9}"
    private let decomposed = "e\u{301}"

    /// Changes a text in a copy from one spelling to the other.
    private func differ<Body: Hashable>(_ body: Body, _ change: (inout Body, String) -> Void) -> Bool {
        var (first, second, again) = (body, body, body)
        change(&first, composed)
        change(&second, decomposed)
        change(&again, composed)
        return first == again && first.hashValue == again.hashValue && first != second
            && Set([first, second, again]).count == 2
    }

    @Test func mapsTellSpellingsApart() {
        #expect(composed == decomposed, "as Swift compares them")
        let map: CanonicalMap<UInt64> = [composed: 1, decomposed: 2]
        #expect(map.count == 2)
        #expect(map[composed] == 1 && map[decomposed] == 2)
        #expect(CanonicalMap([(composed, UInt64(1))]) != CanonicalMap([(decomposed, UInt64(1))]))
        #expect(CanonicalMap([("a", composed)]) != CanonicalMap([("a", decomposed)]))
        #expect(([decomposed: 1] as CanonicalMap<UInt64>).firstUnmet(by: [composed: 1])?.resource == decomposed)
    }

    @Test func whatIsSignedTellsSpellingsApart() throws {
        #expect(differ(Samples.manifest) { $0.params.entry = $1 })
        #expect(differ(Samples.manifest) { $0.params.args = [$1] })
        #expect(differ(Samples.manifest) { $0.params.env["A"] = $1 })
        #expect(differ(Samples.manifest) { $0.params.inputCIDs[$1] = Samples.module })
        #expect(differ(Samples.manifest) { $0.params.description = $1 })
        #expect(differ(Samples.manifest) { $0.params.executionPolicy?.regionFilter = [$1] })
        #expect(differ(Samples.bid) { $0.region = $1 })
        #expect(differ(Samples.bid) { $0.terms.resourceGuarantees = [$1: 1] })
        #expect(differ(Samples.capability) { $0.features = [$1] })
        #expect(differ(Samples.receipt) { $0.outputs = [$1: Samples.module] })
        #expect(differ(Samples.receipt) { $0.engine.version = $1 })
        #expect(differ(Samples.receipt) { $0.outcome = .moduleRefused(reason: $1) })
        #expect(differ(Samples.receipt) { $0.outcome = .trapped(kind: .other, message: $1) })
        #expect(differ(ProtocolBid(Samples.signedBid)) { $0.region = $1 })
    }

    @Test func aLeanBidInAnotherSpellingIsNotTheSignedOne() throws {
        var bid = Samples.bid
        bid.region = composed
        var lean = ProtocolBid(try SignedObject.sign(bid, with: Samples.executor))
        #expect(throws: Never.self) { try lean.verified() }
        lean.region = decomposed
        #expect(throws: ProtocolBidError.leanFieldsDiffer) { try lean.verified() }
    }
}
