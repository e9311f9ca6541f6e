import Multiformats
import Testing

@testable import NodeCore

/// Where the chain of a node's receipts ends, as a start finds it.
@Suite struct OwnReceiptsTests {
    private static func cid(_ seed: UInt8) -> CID { CID.hashing([seed], codec: .dagCBOR) }

    /// Receipts from the newest to the oldest, each with the one before it.
    private static func chain(last: UInt8?, _ rows: [(UInt8, UInt8?)]) -> OwnReceipts {
        var chain = OwnReceipts(last: last.map(cid))
        for (receipt, previous) in rows { chain.add(cid(receipt), after: previous.map(cid)) }
        return chain
    }

    @Test func theStoreNamesIt() {
        #expect(Self.chain(last: nil, []).tip == nil)
        #expect(Self.chain(last: 3, []).tip == Self.cid(3))
        #expect(Self.chain(last: 3, [(3, 2), (2, 1), (1, nil)]).tip == Self.cid(3))
    }

    @Test func receiptsOfAnOlderVersionThatRanInBetweenAreFollowed() {
        #expect(Self.chain(last: 3, [(5, 4), (4, 3), (3, 2), (2, 1)]).tip == Self.cid(5))
    }

    @Test func whereNothingWasWrittenDownItIsTheNewestThatNoneFollows() {
        // Two that came in the same millisecond are listed by their CIDs, so the order may be any.
        #expect(Self.chain(last: nil, [(2, 1), (3, 2), (1, nil)]).tip == Self.cid(3))
        #expect(Self.chain(last: nil, [(3, 2), (2, 1), (1, nil)]).tip == Self.cid(3))
        // Of a chain that forked before, the newest branch.
        #expect(Self.chain(last: nil, [(4, 1), (3, 2), (2, 1), (1, nil)]).tip == Self.cid(4))
    }

    @Test func aCircleEnds() {
        #expect(Self.chain(last: 1, [(2, 1), (1, 2)]).tip != nil)
    }
}
