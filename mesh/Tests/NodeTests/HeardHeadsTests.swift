import Determinism
import MerkleLog
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What follows from heads of issuers, by tables.
@Suite("What is heard of issuers' heads") struct HeardHeadsTests {
    private let did = Identity.generate().did
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    private func head(_ size: UInt64, _ root: UInt8 = 1) throws -> HeardHeads.Head {
        let hash = try #require(MerkleHash(bytes: [UInt8](repeating: root, count: 32)))
        let note = try #require(SignedNote(bytes: Array("a\n1\nb\n\n\u{2014} a AAAAAAAA\n".utf8)))
        return HeardHeads.Head(note: note, tree: TreeHead(size: size, root: hash))
    }

    private func following(_ change: (inout HeardHeads.Limits) -> Void = { _ in }) -> HeardHeads {
        var limits = HeardHeads.Limits()
        change(&limits)
        var heads = HeardHeads(limits: limits)
        _ = heads.follow([did], now: start)
        return heads
    }

    private func after(_ milliseconds: Int64) -> MonotonicInstant { start.advanced(milliseconds: milliseconds) }

    private func isProof(_ finding: HeardHeads.Finding) -> Bool {
        if case .twoHistories = finding { true } else { false }
    }

    @Test func issuersMaxAreFollowedAndTheOthersNot() {
        var heads = HeardHeads()
        let dids = (0..<70).map { _ in Identity.generate().did }.sorted()
        let first = heads.follow(dids, now: start)
        #expect(first.new == Array(dids.prefix(heads.limits.issuersMax)) && first.gone.isEmpty)
        let second = heads.follow(dids.suffix(10), now: start)
        #expect(second.new == dids.suffix(6) && second.gone == Array(dids.prefix(60)))
        #expect(heads.followed == dids.suffix(10))
    }

    @Test func whatTheIssuerShowedIsNotComparedAndTheRestIsOneAtATime() throws {
        var heads = following()
        let known = try head(5)
        func hears(_ size: UInt64) throws -> Bool {
            isProof(heads.heard(try head(size), of: did, known: known.tree, now: start))
        }
        func compares(_ milliseconds: Int64) -> UInt64? {
            heads.toCompare(of: did, now: after(milliseconds))?.tree.size
        }
        #expect(try !hears(5) && compares(0) == nil)
        #expect(try !hears(7) && !hears(9))
        #expect(compares(0) == 7)
        #expect(compares(59_999) == nil, "it showed nothing: not so soon again")
        #expect(compares(60_000) == 7)
        heads.compared(of: did, now: after(60_000))
        #expect(compares(80_000) == nil)
        _ = heads.heard(try head(9), of: did, known: known.tree, now: after(61_000))
        #expect(compares(69_999) == nil, "compareMilliseconds")
        #expect(compares(70_000) == 9)
    }

    @Test func twoHeadsOfOneSizeAreAProofWhetherOneWaitsOrWasTheLast() throws {
        var heads = following()
        let known = try head(5).tree
        _ = heads.heard(try head(7), of: did, known: known, now: start)
        _ = heads.heard(try head(9), of: did, known: known, now: start)
        func proves(_ size: UInt64, _ root: UInt8, of did: DID) throws -> Bool {
            isProof(heads.heard(try head(size, root), of: did, known: known, now: start))
        }
        #expect(try proves(7, 2, of: did) && proves(9, 2, of: did))
        #expect(try !proves(7, 1, of: did) && !proves(8, 1, of: Identity.generate().did))
    }

    @Test func aHeadIsToldOnceNobodyToldOneSoLargeForAWhile() throws {
        var heads = following()
        func tells(_ size: UInt64, _ milliseconds: Int64) -> Bool {
            heads.tells(size, of: did, now: after(milliseconds))
        }
        #expect(tells(5, 0) && !tells(5, 599_999))
        #expect(tells(5, 600_000), "repeatMilliseconds")
        #expect(!tells(6, 629_999) && tells(6, 630_000), "tellMilliseconds")
        // Another one's head of that size keeps this node quiet, and a larger one for good.
        _ = heads.heard(try head(7), of: did, known: try head(6).tree, now: after(640_000))
        #expect(!tells(7, 1_239_999) && tells(7, 1_240_000))
        _ = heads.heard(try head(9), of: did, known: try head(7).tree, now: after(1_240_000))
        #expect(!tells(8, 9_000_000) && tells(10, 1_270_000))
        let isStranger = heads.tells(1, of: Identity.generate().did, now: start)
        #expect(!isStranger)
    }
}
