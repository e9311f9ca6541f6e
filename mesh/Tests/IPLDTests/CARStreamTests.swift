import Determinism
import IPLD
import Multiformats
import P2PTesting
import Testing

/// Archives that are read piece by piece, of both versions.
@Suite struct CARStreamTests {
    private static let seed: UInt64 = 0x6361_7273_0001

    private func block(_ text: String) -> CAR.Block {
        CAR.Block(cid: CID.hashing(Array(text.utf8), codec: .raw), bytes: Array(text.utf8))
    }

    private var archive: CAR { CAR(roots: [block("a").cid], blocks: ["a", "b", "", "a longer one"].map { block($0) }) }

    /// Version 2 around version 1, with bytes before and behind.
    private func version2(_ inner: [UInt8], before: Int = 5, told: Int? = nil) -> [UInt8] {
        func number(_ value: Int) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        let pragma: [UInt8] = [0x0A, 0xA1, 0x67] + Array("version".utf8) + [0x02]
        let header = [UInt8](repeating: 0, count: 16) + number(51 + before) + number(told ?? inner.count) + number(0)
        return pragma + header + [UInt8](repeating: 0, count: max(0, before)) + inner + Array("an index".utf8)
    }

    private func read(_ bytes: [UInt8], piece: Int) throws(CARError) -> (roots: [CID]?, blocks: [CAR.Block]) {
        var reader = CARStreamReader()
        var blocks: [CAR.Block] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            blocks += try reader.received(Array(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
        }
        try reader.finish()
        return (reader.roots, blocks)
    }

    @Test(arguments: [1, 2, 3, 7, 50, 100_000])
    func piecesOfAnySizeGiveTheSame(piece: Int) throws {
        for bytes in [archive.encoded, version2(archive.encoded), version2(archive.encoded, before: 0)] {
            let (roots, blocks) = try read(bytes, piece: piece)
            #expect(roots == archive.roots && blocks == archive.blocks)
        }
    }

    @Test func whatBreaksOffIsRefused() throws {
        let bytes = archive.encoded
        var ends = 0
        for count in 0..<bytes.count where (try? read(Array(bytes.prefix(count)), piece: 9)) != nil { ends += 1 }
        // Between two blocks nobody can tell.
        #expect(ends == archive.blocks.count)
        let inside = version2(bytes)
        for count in 0..<(51 + 5 + bytes.count) {
            #expect((try? read(Array(inside.prefix(count)), piece: 9)) == nil, "\(count)")
        }
        #expect((try? read(version2(bytes, told: bytes.count - 1), piece: 9)) == nil)
        #expect((try? read(version2(bytes, before: -1), piece: 9)) == nil)
    }

    @Test func lengthsAreBounded() {
        var limits = CARStreamReader.Limits()
        limits.sectionBytesMax = 40
        var reader = CARStreamReader(limits: limits)
        #expect(throws: CARError.self) { try reader.received(archive.encoded) }
        limits = CARStreamReader.Limits()
        limits.headerBytesMax = 10
        var short = CARStreamReader(limits: limits)
        #expect(throws: CARError.headerTooLarge(bytesMax: 10)) { try short.received(archive.encoded) }
        // A length of a petabyte is refused before anything of it comes.
        var huge = CARStreamReader()
        #expect(throws: CARError.self) { try huge.received([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]) }
    }

    @Test func mutationsAreRefusedOrGiveBlocksThatAreTrue() throws {
        print("CARStreamTests.mutationsAreRefusedOrGiveBlocksThatAreTrue seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<2000 {
            let original = round % 2 == 0 ? archive.encoded : version2(archive.encoded)
            let bytes = generator.mutated(original)
            guard let (_, blocks) = try? read(bytes, piece: 11) else { continue }
            #expect(blocks.allSatisfy { $0.cid.matches($0.bytes) })
        }
    }
}
