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
        let known = try head(10).tree
        func hears(_ size: UInt64, _ milliseconds: Int64 = 0) throws -> String {
            "\(heads.heard(try head(size), of: did, known: known, now: after(milliseconds)))".prefix(8).description
        }
        func compares(_ milliseconds: Int64) -> UInt64? {
            heads.toCompare(of: did, known: known, now: after(milliseconds))?.tree.size
        }
        #expect(try hears(10) == "passedOn" && compares(0) == nil)
        #expect(try hears(10, 29_999) == "again" && hears(10, 30_000) == "passedOn", "tellMilliseconds")
        // Beyond what is known the smallest waits, within it the largest, which comes first.
        for size in [14, 12, 13, 5, 7, 6] as [UInt64] { #expect(try hears(size, 40_000) == "passedOn") }
        #expect(compares(40_000) == 7)
        #expect(compares(99_999) == nil && compares(100_000) == 7, "againMilliseconds")
        heads.isSame(try head(7), of: did, now: after(100_000))
        #expect(try hears(8, 100_000) == "passedOn" && hears(7, 100_000) == "again", "that one is of the log")
        heads.isSame(try head(8), of: did, now: after(100_000))
        #expect(compares(109_999) == nil && compares(110_000) == 12, "compareMilliseconds")
        heads.isApart(try head(12), of: did, now: after(110_000))
        #expect(compares(170_000) == nil)
    }

    @Test func sameMaxHeadsAreRememberedAsOfTheLog() throws {
        var heads = following()
        let known = try head(1_000).tree
        for size in 1...65 as ClosedRange<UInt64> { heads.isSame(try head(size), of: did, now: start) }
        func compares(_ size: UInt64, _ milliseconds: Int64) throws -> UInt64? {
            _ = heads.heard(try head(size), of: did, known: known, now: after(milliseconds))
            return heads.toCompare(of: did, known: known, now: after(milliseconds))?.tree.size
        }
        #expect(try compares(2, 60_000) == nil && compares(65, 120_000) == nil)
        #expect(try compares(1, 180_000) == 1, "sameMax: the first is forgotten")
    }

    @Test func twoHeadsOfOneSizeAreAProofWhetherOneWaitsOrWasTheLast() throws {
        var heads = following()
        let known = try head(5).tree
        for size in [7, 4, 9, 3] as [UInt64] { _ = heads.heard(try head(size), of: did, known: known, now: start) }
        func proves(_ size: UInt64, _ root: UInt8, of did: DID) throws -> Bool {
            isProof(heads.heard(try head(size, root), of: did, known: known, now: start))
        }
        #expect(try proves(7, 2, of: did) && proves(4, 2, of: did) && proves(3, 2, of: did))
        #expect(try !proves(7, 1, of: did) && !proves(8, 1, of: Identity.generate().did))
    }

    @Test func aHeadIsToldOnceNobodyToldThatLogForAWhile() throws {
        var heads = following()
        func tells(_ size: UInt64, _ milliseconds: Int64, hasNewcomers: Bool = false) -> Bool {
            heads.tells(size, of: did, hasNewcomers: hasNewcomers, now: after(milliseconds))
        }
        #expect(tells(5, 0) && !tells(5, 599_999))
        #expect(tells(5, 600_000), "repeatMilliseconds")
        #expect(!tells(6, 629_999) && tells(6, 630_000), "tellMilliseconds")
        #expect(!tells(6, 634_999, hasNewcomers: true) && tells(6, 635_000, hasNewcomers: true))
        // Another one's head keeps this node quiet if it is the same, or known to be of one log; else it speaks up.
        _ = heads.heard(try head(6), of: did, known: try head(6).tree, now: after(640_000))
        #expect(!tells(6, 1_239_999))
        _ = heads.heard(try head(9), of: did, known: try head(6).tree, now: after(1_239_999))
        #expect(tells(6, 1_240_000), "whatever the issuer signed for others")
        heads.isSame(try head(9), of: did, now: after(1_240_000))
        #expect(!tells(9, 1_839_999))
        heads.isApart(try head(12), of: did, now: after(1_240_000))
        #expect(tells(6, 1_240_001))
        let isStranger = heads.tells(1, of: Identity.generate().did, hasNewcomers: true, now: start)
        #expect(!isStranger)
    }
}
