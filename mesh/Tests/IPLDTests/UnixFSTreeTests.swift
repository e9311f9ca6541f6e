import Determinism
import IPLD
import Multiformats
import P2PTesting
import Testing

@Suite struct UnixFSTreeTests {
    private static let seed: UInt64 = 0x756E_6978_6673_0001

    private func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) } }

    @Test(arguments: [true, false])
    func whatIsBuiltIsReadAgainAtAnyDepth(rawLeaves: Bool) throws {
        for version in [CID.Version.v0, .v1] {
            let profile = UnixFSProfile.tiny(rawLeaves: rawLeaves, version: version)
            // Up to four levels of three links over chunks of four bytes.
            for count in Array(0...40) + [107, 108, 109, 110, 111, 112, 113, 323, 324, 325, 400] {
                var table = BlockTable()
                let file = table.file(bytes(count), profile, piece: 1 + count % 7)
                #expect(file.fileBytes == UInt64(count))
                #expect(try table.whole(file.cid) == bytes(count))
                var other = BlockTable()
                #expect(other.file(bytes(count), profile) == file)
                #expect(other.blocks == table.blocks)
                let root = try UnixFSBlock(try #require(table.block(file.cid)), of: file.cid)
                #expect(root.kind == .file(bytes: UInt64(count)))
                #expect(root.treeBytes == file.treeBytes)
            }
        }
    }

    @Test func everyRangeOfAFileIsRead() throws {
        var table = BlockTable()
        let content = bytes(50)
        let file = table.file(content, .tiny(rawLeaves: false))
        var reader = UnixFSRangeReader(root: file.cid)
        for start in 0...52 {
            for end in start...54 {
                let wanted = Array(content[min(start, 50)..<min(end, 50)])
                #expect(try reader.read(UInt64(start)..<UInt64(end), from: table.block) == .here(wanted))
            }
        }
        #expect(try reader.read(UInt64.max - 1..<UInt64.max, from: table.block) == .here([]))
    }

    @Test func missingBlocksAreNamedTheFirstOneFirst() throws {
        var table = BlockTable()
        let content = bytes(36)
        let file = table.file(content, .tiny(rawLeaves: true))
        var here = BlockTable()
        var reader = UnixFSRangeReader(root: file.cid)
        var rounds = 0
        while case .missing(let cids) = try reader.read(0..<36, from: here.block) {
            #expect(!cids.isEmpty)
            rounds += 1
            // One at a time, so that the order counts.
            here.blocks[cids[0]] = table.blocks[cids[0]]
        }
        #expect(here.blocks == table.blocks)
        #expect(rounds == table.blocks.count)
        // All the chunks of a range are named at once.
        let chunks = table.blocks.filter { $0.key.codec == .raw }
        for chunk in chunks.keys { here.blocks[chunk] = nil }
        var fresh = UnixFSRangeReader(root: file.cid)
        #expect(try fresh.missing(in: 0..<36, from: here.block).count == chunks.count)
        #expect(try fresh.missing(in: 5..<7, from: here.block).count == 1)
    }

    @Test(arguments: [0, 4, 50])
    func theWayToAByteIsItsBlocks(count: Int) throws {
        for rawLeaves in [true, false] {
            var table = BlockTable()
            let file = table.file(bytes(count), .tiny(rawLeaves: rawLeaves))
            var reader = UnixFSRangeReader(root: file.cid)
            var chunks: [CID] = []
            for offset in 0..<UInt64(count) {
                guard case .here(let way) = try reader.way(to: offset, from: table.block) else {
                    Issue.record("no way to \(offset)")
                    return
                }
                #expect(way.first?.cid == file.cid)
                for piece in way { #expect(table.blocks[piece.cid]?.count == Int(piece.bytes)) }
                if let last = way.last, chunks.last != last.cid { chunks.append(last.cid) }
            }
            // Chunks are of four bytes.
            #expect(chunks.count == (count + 3) / 4)
            let root = file.cid
            guard count > 4 else { continue }
            var fresh = UnixFSRangeReader(root: root)
            guard case .missing(let cids) = try fresh.way(to: 49, from: { $0 == root ? table.block($0) : nil }) else {
                Issue.record("a way through nodes that are not here")
                return
            }
            #expect(cids.count == 1 && cids != [root])
        }
    }

    @Test func chunksAreNotReadAgainBySequentialReaders() throws {
        var table = BlockTable()
        let file = table.file(bytes(36), .tiny(rawLeaves: true))
        var reader = UnixFSRangeReader(root: file.cid)
        var looks = 0
        for start in 0..<36 {
            _ = try reader.read(UInt64(start)..<UInt64(start + 1)) { cid in
                looks += 1
                return table.block(cid)
            }
        }
        #expect(looks == table.blocks.count)
    }

    @Test func sizesThatAreFalseAreRefused() throws {
        var table = BlockTable()
        let chunk = table.add([1, 2, 3], codec: .raw)
        func node(_ told: UInt64?, _ parts: [UInt64], tree: UInt64) -> CID {
            var data = ProtobufWriter()
            data.varint(1, 2)
            if let told { data.varint(3, told) }
            for part in parts { data.varint(4, part) }
            return table.add(
                DAGPBNode(links: [DAGPBNode.Link(cid: chunk, totalBytes: tree)], data: data.bytes).encoded())
        }
        let good = node(3, [3], tree: 3)
        #expect(try table.whole(good) == [1, 2, 3])
        for root in [node(99, [99], tree: 3), node(99, [99], tree: 0), node(3, [3], tree: 4)] {
            #expect(throws: UnixFSError.falseSizes(chunk)) { try table.whole(root) }
        }
        let contradiction = node(4, [3], tree: 3)
        #expect(throws: UnixFSError.falseSizes(contradiction)) { try table.whole(contradiction) }
        let silent = node(nil, [], tree: 3)
        #expect(throws: UnixFSError.falseSizes(silent)) { try table.whole(silent) }
        #expect(throws: UnixFSError.falseSizes(silent)) {
            try UnixFSBlock(try #require(table.block(silent)), of: silent)
        }
        let half = node(3, [], tree: 3)
        #expect(throws: UnixFSError.falseSizes(half)) { try table.whole(half) }
    }

    @Test func filesThatAreDeepOrFineGrainedAreBounded() throws {
        var table = BlockTable()
        var limits = UnixFSLimits()
        limits.fileDepthMax = 2
        limits.rangeBlocksMax = 20
        let file = table.file(bytes(4 * 9), .tiny(rawLeaves: true))
        var reader = UnixFSRangeReader(root: file.cid, limits: limits)
        #expect(try reader.read(0..<36, from: table.block) == .here(bytes(36)))
        let deeper = table.file(bytes(4 * 9 + 1), .tiny(rawLeaves: true))
        var tooDeep = UnixFSRangeReader(root: deeper.cid, limits: limits)
        #expect(throws: UnixFSError.tooDeep(depthMax: 2)) { try tooDeep.read(0..<1, from: table.block) }
        limits.rangeBlocksMax = 5
        var tooMany = UnixFSRangeReader(root: file.cid, limits: limits)
        #expect(throws: UnixFSError.tooManyBlocks) { try tooMany.read(0..<36, from: table.block) }
        limits.blockBytesMax = 3
        var tooLarge = UnixFSRangeReader(root: file.cid, limits: limits)
        #expect(throws: UnixFSError.blockTooLarge(file.cid, bytesMax: 3)) {
            try tooLarge.read(0..<1, from: table.block)
        }
        var many = UnixFSLimits()
        many.missingMax = 2
        var bounded = UnixFSRangeReader(root: file.cid, limits: many)
        let nodes = table.blocks.filter { $0.key.codec == .dagPB }
        #expect(try bounded.missing(in: 0..<36) { nodes[$0] }.count == 2)
    }

    @Test func modesAndTimesAreKept() throws {
        let time = try #require(UnixFSTime(seconds: -5, nanoseconds: 7))
        #expect(time.nanosecondsSince1970 == 0)
        #expect(UnixFSTime(seconds: 2, nanoseconds: 3)?.nanosecondsSince1970 == 2_000_000_003)
        #expect(UnixFSTime(seconds: .max)?.nanosecondsSince1970 == .max)
        #expect(UnixFSTime(seconds: 0, nanoseconds: 1_000_000_000) == nil)
        let attributes = UnixFSAttributes(mode: 0o4755, modified: time)
        var table = BlockTable()
        for count in [0, 3, 50] {
            let file = table.file(bytes(count), .tiny(rawLeaves: true), attributes: attributes)
            let block = try UnixFSBlock(try #require(table.block(file.cid)), of: file.cid)
            #expect(block.mode == 0o4755 && block.modified == time)
            #expect(try table.whole(file.cid) == bytes(count))
        }
        let directory = try table.directory([], .v1in2025, attributes: attributes)
        let block = try UnixFSBlock(try #require(table.block(directory.cid)), of: directory.cid)
        #expect(block.mode == 0o4755 && block.modified == time && block.isDirectory)
    }

    @Test func mutatedBlocksAreRefusedOrReadTheSameTwice() throws {
        print("UnixFSTreeTests.mutatedBlocksAreRefusedOrReadTheSameTwice seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        var table = BlockTable()
        let file = table.file(bytes(50), .tiny(rawLeaves: false))
        let names = (0..<40).map { "entry \($0)" }
        let directory = try table.directory(table.entries(names, .v1in2025), .tiny(rawLeaves: true))
        let link = UnixFSDirectoryBuilder.symbolicLink(to: Array("a/b".utf8))
        table.add(link.blocks)
        let originals = table.blocks.values.sorted { $0.lexicographicallyPrecedes($1) }
        for round in 0..<3000 {
            let bytes = generator.mutated(originals[round % originals.count], meaningful: [0, 1, 2, 0x0A, 0x12, 0xFF])
            var changed = table
            let cid = changed.add(bytes)
            guard let block = try? UnixFSBlock(bytes, of: cid) else { continue }
            switch block.kind {
            case .file(let count):
                if let whole = try? changed.whole(cid) { #expect(UInt64(whole.count) == count) }
            case .directory, .shard:
                guard let entries = try? changed.list(cid) else { continue }
                // Listing and looking up agree.
                for entry in entries.prefix(3) where String(validating: entry.name, as: UTF8.self) != nil {
                    let name = String(decoding: entry.name, as: UTF8.self)
                    let found = try changed.find([name], from: cid).found
                    #expect(entries.contains { $0.name == entry.name && $0.cid == found })
                }
            case .symbolicLink(let target):
                // What else there was in the message is not kept, so the target is what is the same.
                let again = UnixFSDirectoryBuilder.symbolicLink(to: target)
                #expect(try UnixFSBlock(again.blocks[0].bytes, of: again.link.cid).kind == block.kind)
            }
        }
        _ = (file, directory)
    }
}
