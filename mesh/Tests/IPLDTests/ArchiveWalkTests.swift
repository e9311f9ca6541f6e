import Determinism
import Multiformats
import P2PTesting
import Testing

@testable import IPLD

/// Which blocks an archive has, and in which order.
@Suite struct ArchiveWalkTests {
    private static let seed: UInt64 = 0x6172_6368_0001

    /// What a walk gives, in its order; nil if a block is missing.
    private func archive(
        _ table: BlockTable, _ root: CID, _ scope: ArchiveWalk.Scope, at path: [String] = [],
        limits: ArchiveWalk.Limits = .init()
    ) throws -> (blocks: [CID], walk: ArchiveWalk)? {
        var walk = try ArchiveWalk(root: root, names: path.map { Array($0.utf8) }, scope: scope, limits: limits)
        var given: [CID] = []
        while let cid = walk.next {
            #expect(walk.coming(4).first == cid)
            guard let block = table.block(cid) else { return nil }
            guard let archived = try walk.received(block) else { continue }
            #expect(archived.bytes == block && archived.cid.version1 == cid)
            given.append(archived.cid)
        }
        #expect(Set(given.map(\.version1)).count == given.count)
        return (given, walk)
    }

    /// The same by the letter of the specification: depth first, each block where it is met first.
    private func inOrder(_ table: BlockTable, _ cid: CID, _ seen: inout Set<CID>, _ order: inout [CID]) throws {
        guard seen.insert(cid.version1).inserted else { return }
        order.append(cid)
        guard cid.codec == .dagPB else { return }
        for link in try DAGPBNode(decoding: #require(table.block(cid.version1))).links {
            try inOrder(table, link.cid, &seen, &order)
        }
    }

    /// The blocks of a file that have bytes of a range, in the order in which a reader meets them.
    private func pieces(
        _ table: BlockTable, _ cid: CID, _ start: UInt64, _ range: Range<UInt64>, _ order: inout [CID]
    ) throws -> UInt64 {
        if !order.contains(cid) { order.append(cid) }
        let block = try #require(table.block(cid.version1))
        guard cid.codec == .dagPB else { return UInt64(block.count) }
        let node = try UnixFSNode(block, of: cid)
        var from = start + UInt64(node.content.count)
        for (link, bytes) in zip(node.links, node.linkedFileBytes) {
            if !(from..<from + bytes).clamped(to: range).isEmpty {
                #expect(try pieces(table, link, from, range, &order) == bytes)
            }
            from += bytes
        }
        return from - start
    }

    @Test func everythingBelowAFolderComesOnceAndDepthFirst() throws {
        print("ArchiveWalkTests.everythingBelowAFolderComesOnceAndDepthFirst seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        for version in [CID.Version.v0, CID.Version.v1] {
            let profile = UnixFSProfile.tiny(rawLeaves: version == .v1, version: version)
            var table = BlockTable()
            var built: [UnixFSBuilt] = []
            for _ in 0..<6 {
                // Few values, so that pieces and files occur again and again.
                let bytes = (0..<Int.random(in: 0...120, using: &generator)).map { _ in
                    UInt8.random(in: 0...1, using: &generator)
                }
                built.append(table.file(bytes, profile))
            }
            for folder in 0..<12 {
                let names = (0..<Int.random(in: 1...40, using: &generator)).map { "\(folder)-\($0)" }
                let entries = names.compactMap { name in
                    built.randomElement(using: &generator).map {
                        UnixFSEntry(name: Array(name.utf8), cid: $0.cid, totalBytes: $0.treeBytes)
                    }
                }
                built.append(try table.directory(entries, profile))
            }
            for root in built.suffix(6) {
                var (seen, order): (Set<CID>, [CID]) = ([], [])
                let named = version == .v0 ? try CID(bytes: root.cid.multihash.bytes) : root.cid
                try inOrder(table, named, &seen, &order)
                let found = try #require(try archive(table, named, .all))
                #expect(found.blocks == order && found.walk.end == named)
                // Blocks are named as the links to them name them.
                #expect(version == .v1 || found.blocks.contains { $0.version == .v0 })
            }
        }
    }

    @Test func aRangeOfAFileHasTheBlocksThatReadIt() throws {
        for period in [2, 7, 200] {
            var table = BlockTable()
            let file = table.file((0..<75).map { UInt8($0 % period) }, .tiny(rawLeaves: period > 2))
            for first in stride(from: 0, to: 75, by: 7) {
                for last in stride(from: first, to: 82, by: 3) {
                    var order: [CID] = []
                    let range = UInt64(first)..<UInt64(min(last + 1, 75))
                    _ = try pieces(table, file.cid, 0, range, &order)
                    let asked = EntityBytes(first: Int64(first), last: Int64(last))
                    let found = try #require(try archive(table, file.cid, .bytes(asked)))
                    #expect(found.blocks == order, "\(period): \(asked.text)")
                    #expect(!found.walk.isOutside)
                }
            }
            let whole = try #require(try archive(table, file.cid, .bytes(EntityBytes(first: 0, last: nil))))
            #expect(try archive(table, file.cid, .entity)?.blocks == whole.blocks)
            let outside = try #require(try archive(table, file.cid, .bytes(EntityBytes(first: 75, last: nil))))
            #expect(outside.blocks == [file.cid] && outside.walk.isOutside)
            let nothing = try #require(try archive(table, file.cid, .bytes(EntityBytes(first: 70, last: -40))))
            #expect(nothing.blocks == [file.cid] && !nothing.walk.isOutside)
        }
    }

    @Test(arguments: [
        ("0:1023", 0, 1024), ("0:*", 0, 5000), ("-1024:*", 3976, 5000), ("499:-1000", 499, 4001),
        ("4999:9000", 4999, 5000),
        ("-9000:10", 0, 11), ("5000:*", 5000, 5000), ("-20:-11", 4980, 4990), ("10:10", 10, 11), ("0:-5001", 0, 0),
        ("-0:9", 0, 10), ("0:9223372036854775807", 0, 5000), ("-9223372036854775808:*", 0, 5000),
    ])
    func endsOfARangeCountFromEitherEnd(_ text: String, _ start: UInt64, _ end: UInt64) throws {
        let bytes = try #require(EntityBytes(text))
        #expect(bytes.range(in: 5000) == start..<end)
        #expect(EntityBytes(bytes.text) == bytes)
        #expect(bytes.range(in: 0).isEmpty && bytes.range(in: .max).upperBound <= .max)
    }

    @Test(arguments: [
        "", ":", "0", "0:", ":5", "*:5", "a:5", "0:b", "+1:5", "1:+5", "1:2:3", " 1:5", "5:4", "-4:-5", "--1:*", "-:*",
        "0:9223372036854775808", "0:**", "0x1:5", "１:５",
    ])
    func whatIsNoRangeIsNone(_ text: String) { #expect(EntityBytes(text) == nil) }

    @Test func aPathComesBeforeWhatItLeadsTo() throws {
        for names in [3, 300] {
            let profile = UnixFSProfile.tiny(rawLeaves: true, version: .v0)
            var table = BlockTable()
            let inner = try table.directory(table.entries((0..<names).map { "file\($0)" }, profile), profile)
            let outer = try table.directory(
                [UnixFSEntry(name: Array("in".utf8), cid: inner.cid, totalBytes: inner.treeBytes)], profile)
            let file = try #require(table.list(inner.cid)?.first?.cid)
            let found = try #require(try archive(table, outer.cid, .all, at: ["in", "file2"]))
            #expect(found.blocks.first == outer.cid && found.blocks.last?.version1 == file)
            #expect(found.walk.end?.version1 == file && found.walk.namesFound == 2 && !found.walk.isMissing)
            #expect(found.walk.roots.map(\.version1) == [outer.cid, inner.cid, file].map(\.version1))
            // Only the shards on the way.
            #expect(names == 3 ? found.blocks.count == 3 : (4...8).contains(found.blocks.count))
            let folder = try #require(try archive(table, outer.cid, .entity, at: ["in"]))
            let shards = table.blocks.filter { cid, block in
                guard cid.codec == .dagPB, let entity = try? UnixFSBlock(block, of: cid) else { return false }
                return entity.kind == .shard
            }
            #expect(folder.blocks.count == 1 + max(1, shards.count) && !folder.blocks.contains(file))
            #expect(try archive(table, outer.cid, .block, at: ["in"])?.blocks.count == 2)
            let none = try #require(try archive(table, outer.cid, .all, at: ["in", "none", "x"]))
            #expect(none.walk.isMissing && none.walk.namesFound == 1 && none.walk.end == nil)
            #expect(throws: UnixFSError.notADirectory(file)) {
                try archive(table, outer.cid, .all, at: ["in", "file1", "x"])
            }
        }
    }

    @Test func whatIsNoFileOrFolderIsOneBlock() throws {
        var table = BlockTable()
        let raw = table.add([1, 2, 3], codec: .raw)
        let object = table.add([0xA0], codec: .dagCBOR)
        let other = table.add(DAGPBNode(links: [.init(cid: raw, totalBytes: 3)], data: [1, 2, 3]).encoded())
        for cid in [raw, object] {
            for scope in [ArchiveWalk.Scope.block, .entity, .all, .bytes(EntityBytes(first: 0, last: 1))] {
                #expect(try archive(table, cid, scope)?.blocks == [cid])
            }
        }
        #expect(try archive(table, other, .entity)?.blocks == [other])
        #expect(try archive(table, other, .bytes(EntityBytes(first: 0, last: 0)))?.blocks == [other])
        // Nobody knows what else belongs to it.
        #expect(throws: UnixFSError.notUnixFS(other)) { try archive(table, other, .all) }
    }

    @Test func blocksThatTheirCIDsCarryAreReadAndNotGiven() throws {
        var table = BlockTable()
        let profile = UnixFSProfile.tiny(rawLeaves: true)
        let file = table.file([1, 2, 3, 4, 5, 6], profile)
        let empty = CID(codec: .raw, multihash: Multihash(code: Multihash.identityCode, digest: []))
        func carried(_ links: [CID]) throws -> CID {
            let entries = links.enumerated().map { UnixFSEntry(name: [UInt8(0x61 + $0)], cid: $1, totalBytes: 1) }
            let (built, blocks) = try UnixFSDirectoryBuilder.directory(entries, profile: profile)
            let bytes = try #require(blocks.first { $0.cid == built.cid }?.bytes)
            return CID(codec: .dagPB, multihash: Multihash(code: Multihash.identityCode, digest: bytes))
        }
        let root = try carried([empty, try carried([file.cid])])
        #expect(try archive(table, root, .all)?.blocks == archive(table, file.cid, .all)?.blocks)
        #expect(try archive(table, root, .block, at: ["b", "a"])?.blocks == [file.cid])
        let nothing = try #require(try archive(table, empty, .all))
        #expect(nothing.blocks.isEmpty && nothing.walk.end == empty && nothing.walk.roots == [empty])
    }

    @Test func hostileTreesCostNoMoreThanTheyHaveBlocks() throws {
        var table = BlockTable()
        // A file of 4 * 128^6 bytes in seven blocks.
        var (below, size, tree) = (table.add([0, 0, 0, 0], codec: .raw), UInt64(4), UInt64(4))
        for _ in 0..<6 {
            var data = UnixFSData(type: UnixFSData.fileType)
            data.fileBytes = size << 7
            data.blockSizes = Array(repeating: size, count: 128)
            let links = Array(repeating: DAGPBNode.Link(cid: below, totalBytes: tree), count: 128)
            let bytes = DAGPBNode(links: links, data: data.encoded()).encoded()
            (below, size, tree) = (table.add(bytes), size << 7, tree << 7 + UInt64(bytes.count))
        }
        for text in ["0:*", "1:-2", "5:5", "16385:-16385"] {
            let scope = ArchiveWalk.Scope.bytes(try #require(EntityBytes(text)))
            #expect(try archive(table, below, scope)?.blocks.count == 7)
        }
        #expect(try archive(table, below, .all)?.blocks.count == 7)
        // One shard below itself in every place: each block once, and a name is looked for as deep as hashes go.
        var shard = table.file([1], .tiny(rawLeaves: true)).cid
        for level in 0..<30 {
            var data = UnixFSData(type: UnixFSData.shardType)
            data.content = UnixFSShard.bitField(of: Array(0..<256))
            data.hashFunction = UnixFSShard.murmur3
            data.fanout = 256
            let links = (0..<256).map {
                let name = UnixFSShard.prefix($0, bits: 8) + (level == 0 ? [0x61] : [])
                return DAGPBNode.Link(cid: shard, name: name, totalBytes: 1)
            }
            shard = table.add(DAGPBNode(links: links, data: data.encoded()).encoded())
        }
        #expect(try archive(table, shard, .entity)?.blocks.count == 30)
        #expect(try archive(table, shard, .all)?.blocks.count == 31)
        #expect(throws: UnixFSError.self) { try archive(table, shard, .all, at: ["b"]) }
    }

    @Test func boundsAreKept() throws {
        var table = BlockTable()
        let file = table.file((0..<60).map { UInt8($0) }, .tiny(rawLeaves: true))
        let whole = try #require(try archive(table, file.cid, .all)?.blocks.count)
        var limits = ArchiveWalk.Limits()
        limits.blocksMax = whole
        #expect(try archive(table, file.cid, .all, limits: limits)?.blocks.count == whole)
        limits.blocksMax = whole - 1
        #expect(throws: UnixFSError.tooManyBlocks) { try archive(table, file.cid, .all, limits: limits) }
        limits = ArchiveWalk.Limits()
        limits.unixFS.blockBytesMax = 3
        #expect(throws: UnixFSError.self) { try archive(table, file.cid, .all, limits: limits) }
        limits = ArchiveWalk.Limits()
        limits.unixFS.fileDepthMax = 1
        #expect(throws: UnixFSError.tooDeep(depthMax: 1)) {
            try archive(table, file.cid, .bytes(EntityBytes(first: 1, last: 2)), limits: limits)
        }
        limits.unixFS.pathNamesMax = 2
        #expect(throws: UnixFSError.tooDeep(depthMax: 2)) {
            try archive(table, file.cid, .all, at: ["a", "b", "c"], limits: limits)
        }
    }

    @Test func falseSizesEndARange() throws {
        var table = BlockTable()
        func node(_ links: [(CID, UInt64)], _ size: UInt64) -> CID {
            var data = UnixFSData(type: UnixFSData.fileType)
            data.fileBytes = size
            data.blockSizes = links.map(\.1)
            return table.add(
                DAGPBNode(links: links.map { .init(cid: $0.0, totalBytes: 1) }, data: data.encoded()).encoded())
        }
        let chunk = table.add([1, 2, 3, 4], codec: .raw)
        let inner = node([(chunk, 4), (chunk, 4)], 8)
        let outer = node([(inner, 10), (chunk, .max - 10)], .max)
        #expect(throws: UnixFSError.falseSizes(inner)) {
            try archive(table, outer, .bytes(EntityBytes(first: 1, last: 2)))
        }
        // Whoever takes all of it finds out by reading.
        #expect(try archive(table, outer, .entity)?.blocks == [outer, inner, chunk])
        #expect(try archive(table, outer, .bytes(EntityBytes(first: 0, last: nil)))?.blocks == [outer, inner, chunk])
    }

    @Test func mutatedBlocksAreRefusedOrWalkedToAnEnd() throws {
        print("ArchiveWalkTests.mutatedBlocksAreRefusedOrWalkedToAnEnd seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        let profile = UnixFSProfile.tiny(rawLeaves: true)
        var table = BlockTable()
        let root = try table.directory(table.entries((0..<40).map { "\($0)" }, profile), profile)
        let cids = table.blocks.keys.sorted()
        for round in 0..<400 {
            var mutated = table
            let cid = cids[round % cids.count]
            mutated.blocks[cid] = generator.mutated(try #require(table.block(cid)))
            for scope in [ArchiveWalk.Scope.all, .entity] {
                // It ends, whatever it meets; a block that is linked to and not there ends it too.
                _ = try? archive(mutated, root.cid, scope, at: ["7"])
                _ = try? archive(mutated, root.cid, scope)
            }
        }
    }
}
