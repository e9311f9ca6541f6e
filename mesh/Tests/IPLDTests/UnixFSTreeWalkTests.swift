import IPLD
import Multiformats
import Testing

@Suite struct UnixFSTreeWalkTests {
    private struct Made {
        var root: CID
        var blocks: [CID: [UInt8]] = [:]
    }

    /// A folder with a file of three chunks under two names, and `count` small files.
    private static func folder(small count: Int) throws -> Made {
        var blocks: [CID: [UInt8]] = [:]
        var builder = UnixFSFileBuilder(profile: .v1in2025)
        var made = builder.append((0..<(2 << 20) + 1).map { UInt8(truncatingIfNeeded: $0 >> 20) })
        let (large, rest) = builder.finish()
        made += rest
        var entries = ["a", "b"].map {
            UnixFSEntry(name: Array($0.utf8), cid: large.cid, totalBytes: large.treeBytes)
        }
        for index in 0..<count {
            let bytes = Array("file \(index)".utf8)
            let cid = CID.hashing(bytes, codec: .raw)
            blocks[cid] = bytes
            entries.append(UnixFSEntry(name: Array("f\(index)".utf8), cid: cid, totalBytes: UInt64(bytes.count)))
        }
        let directory = try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
        for block in made + directory.blocks { blocks[block.cid] = block.bytes }
        return Made(root: directory.directory.cid, blocks: blocks)
    }

    /// Walks with several blocks on their way at once, which arrive in another order.
    private func walk(
        _ made: Made, _ limits: UnixFSTreeWalk.Limits = UnixFSTreeWalk.Limits(), atOnce: Int = 1
    ) throws -> (walk: UnixFSTreeWalk, order: [CID]) {
        var walk = UnixFSTreeWalk(root: made.root, limits: limits)
        var order: [CID] = []
        var pending: [CID] = []
        while !walk.isComplete {
            while pending.count < atOnce, let cid = walk.next() { pending.append(cid) }
            let cid = pending.removeLast()
            order.append(cid)
            let block = try #require(made.blocks[cid])
            if UnixFSTreeWalk.needsBytes(cid) {
                try walk.received(block, of: cid)
            } else {
                try walk.receivedLeaf(bytes: block.count, of: cid)
            }
        }
        return (walk, order)
    }

    @Test(arguments: [1, 2, 16]) func everyBlockIsAskedForOnce(_ atOnce: Int) throws {
        let made = try Self.folder(small: 40)
        let (walk, order) = try walk(made, atOnce: atOnce)
        #expect(order.count == made.blocks.count && Set(order) == Set(made.blocks.keys))
        #expect(walk.blockCount == made.blocks.count)
        #expect(walk.bytes == made.blocks.values.reduce(0) { $0 + UInt64($1.count) })
    }

    @Test func aFileIsATreeToo() throws {
        let bytes = Array("alone".utf8)
        let cid = CID.hashing(bytes, codec: .raw)
        #expect(try walk(Made(root: cid, blocks: [cid: bytes])).walk.bytes == 5)
    }

    @Test func blocksAndBytesAreBounded() throws {
        let made = try Self.folder(small: 10)
        let count = made.blocks.count
        let bytes = made.blocks.values.reduce(0) { $0 + UInt64($1.count) }
        #expect(try walk(made, .init(blocksMax: count, bytesMax: bytes)).walk.isComplete)
        #expect(throws: UnixFSError.tooManyBlocks) { try walk(made, .init(blocksMax: count - 1, bytesMax: bytes)) }
        #expect(throws: UnixFSError.fileTooLarge(bytesMax: Int(bytes) - 1)) {
            try walk(made, .init(blocksMax: count, bytesMax: bytes - 1))
        }
    }

    @Test(arguments: [1, 16]) func falseSizesOfFilesAreFound(_ atOnce: Int) throws {
        let chunk = Array("chunk".utf8)
        let cid = CID.hashing(chunk, codec: .raw)
        // A file that says that its chunk has a byte more, and a folder in which the true one comes first.
        let data: [UInt8] = [0x08, 2, 0x18, 6, 0x20, 6]
        let node = DAGPBNode(links: [.init(cid: cid, totalBytes: 5)], data: data).encoded()
        let file = CID.hashing(node, codec: .dagPB)
        for names in [["a", "b"], ["b", "a"]] {
            let entries = zip(names, [cid, file]).map {
                UnixFSEntry(name: Array($0.0.utf8), cid: $0.1, totalBytes: 1)
            }
            let folder = try UnixFSDirectoryBuilder.directory(
                entries.sorted { $0.name[0] < $1.name[0] }, profile: .v1in2025)
            var made = Made(root: folder.directory.cid, blocks: [cid: chunk, file: node])
            for block in folder.blocks { made.blocks[block.cid] = block.bytes }
            #expect(throws: UnixFSError.self) { try walk(made, atOnce: atOnce) }
        }
    }

    @Test func aFolderIsNoPieceOfAFile() throws {
        let inner = try Self.folder(small: 1)
        let data: [UInt8] = [0x08, 2, 0x18, 6, 0x20, 6]
        let node = DAGPBNode(links: [.init(cid: inner.root, totalBytes: 6)], data: data).encoded()
        var made = inner
        made.root = CID.hashing(node, codec: .dagPB)
        made.blocks[made.root] = node
        #expect(throws: UnixFSError.falseSizes(inner.root)) { try walk(made) }
    }
}
