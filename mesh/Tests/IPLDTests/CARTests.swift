import Determinism
import IPLD
import Multiformats
import P2PTesting
import Testing

/// Archives from strangers: nothing in one is taken at its word.
@Suite struct CARTests {
    static let seed: UInt64 = 0x6361_7276_0001

    private func block(_ text: String, _ codec: CID.Codec = .raw) -> CAR.Block {
        let bytes = Array(text.utf8)
        return CAR.Block(cid: CID.hashing(bytes, codec: codec), bytes: bytes)
    }

    @Test func everyLimitIsKept() throws {
        let blocks = (0..<10).map { block("block \($0)") }
        let bytes = CAR(roots: [blocks[0].cid], blocks: blocks).encoded
        #expect(try CAR(decoding: bytes).blocks == blocks)
        let section = bytes.count - CAR(roots: [blocks[0].cid], blocks: Array(blocks.dropLast())).encoded.count - 1
        let cases: [(change: (inout CAR.Limits) -> Void, error: CARError)] = [
            ({ $0.bytesMax = bytes.count - 1 }, .tooLarge(bytesMax: bytes.count - 1)),
            ({ $0.headerBytesMax = 57 }, .headerTooLarge(bytesMax: 57)),
            ({ $0.blocksMax = 9 }, .tooManyBlocks(max: 9)),
            (
                { $0.sectionBytesMax = section - 1 },
                .sectionTooLarge(bytesMax: section - 1, offset: Int(bytes[0]) + 1)
            ),
        ]
        #expect(bytes[0] == 58, "the header")
        for (change, error) in cases {
            var limits = CAR.Limits()
            change(&limits)
            #expect(throws: error) { try CAR(decoding: bytes, limits: limits) }
        }
        var exact = CAR.Limits()
        (exact.bytesMax, exact.headerBytesMax, exact.blocksMax, exact.sectionBytesMax) = (bytes.count, 58, 10, section)
        #expect(try CAR(decoding: bytes, limits: exact).blocks == blocks)
    }

    @Test func everyTruncationIsRefusedExceptBetweenBlocks() throws {
        let blocks = [block("one"), block("two", .dagCBOR), block("")]
        let bytes = CAR(roots: [blocks[0].cid], blocks: blocks).encoded
        let ends = (1...3).map { CAR(roots: [blocks[0].cid], blocks: Array(blocks.prefix($0))).encoded.count }
        for count in 0..<bytes.count {
            let part = try? CAR(decoding: Array(bytes.prefix(count)))
            #expect((part != nil) == ends.contains(count), "\(count) of \(bytes.count) bytes")
        }
    }

    /// What is read is written again as the same bytes, every block has its CID, and nothing crashes on the rest.
    @Test func mutationsAreRefusedOrSound() throws {
        print("CARTests.mutationsAreRefusedOrSound seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        let blocks = (0..<4).map { block("block \($0)", $0 == 1 ? .dagCBOR : .raw) }
        let originals = [
            CAR(roots: [blocks[0].cid, blocks[1].cid], blocks: blocks).encoded,
            CAR(roots: [], blocks: [blocks[0], blocks[0], block("")]).encoded,
            CAR(roots: [], blocks: []).encoded,
        ]
        let sections = blocks.map { block in
            Varint.encode(UInt64(block.cid.bytes.count + block.bytes.count)) + block.cid.bytes + block.bytes
        }
        var accepted = 0
        for round in 0..<30_000 {
            let bytes = generator.mutated(
                originals[round % 3], most: 3, meaningful: [0x00, 0x01, 0x12, 0x20, 0x55, 0x71, 0x80, 0xA2, 0xFF],
                insertions: sections + [[0x00], [0x24, 0x01], Varint.encode(1 << 40)])
            _ = CAR.isLikely(bytes)
            guard let archive = try? CAR(decoding: bytes) else { continue }
            accepted += 1
            #expect(archive.encoded == bytes)
            #expect(archive.blocks.allSatisfy { $0.cid.matches($0.bytes) })
            #expect(Set(archive.roots).count == archive.roots.count)
            #expect(Set(archive.roots).isSubset(of: archive.blocks.map(\.cid)))
        }
        #expect(accepted > 100, "\(accepted)")
    }

    @Test func othersDoNotLookLikeArchives() throws {
        let signed = try DAGCBOR.encode(.map(["did": .string("x"), "sig": .bytes([1]), "body": .null]))
        for bytes in [signed, Array("bafyreihyrpefhacm6kkp4ql6j6udakdit7g3dmk\n".utf8), Array("last".utf8), [], [0x80]]
        {
            #expect(!CAR.isLikely(bytes))
        }
    }
}
