import IPLD
import Multiformats
import Testing

@Suite struct UnixFSFileTests {
    private func read(_ file: UnixFSFile.Blocks, bytesMax: Int = UnixFSFile.fileBytesMax) throws -> [UInt8] {
        let table = Dictionary(file.blocks.map { ($0.cid, $0.bytes) }) { first, _ in first }
        var reader = UnixFSReader(root: file.root, bytesMax: bytesMax)
        while let cid = reader.next { try reader.received(try #require(table[cid])) }
        return reader.bytes
    }

    @Test func aSmallFileIsOneRawBlock() throws {
        let file = try UnixFSFile.blocks(of: Array("hello".utf8))
        #expect(file.root.text == "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq")
        #expect(file.blocks.count == 1)
        #expect(try read(file) == Array("hello".utf8))
    }

    @Test(arguments: [0, 1, UnixFSFile.chunkBytes, UnixFSFile.chunkBytes + 1, 3 * UnixFSFile.chunkBytes + 17])
    func everySizeComesBack(size: Int) throws {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ ($0 >> 12)) }
        let file = try UnixFSFile.blocks(of: bytes)
        #expect(try read(file) == bytes)
        #expect(file.blocks.allSatisfy { $0.cid.matches($0.bytes) })
        #expect(file.root.codec == (size > UnixFSFile.chunkBytes ? .dagPB : .raw))
    }

    @Test func equalChunksAreStoredOnce() throws {
        let file = try UnixFSFile.blocks(of: [UInt8](repeating: 7, count: 4 * UnixFSFile.chunkBytes))
        #expect(file.blocks.count == 2)
        #expect(try read(file).count == 4 * UnixFSFile.chunkBytes)
    }

    @Test func aFilePastTheLimitIsRefused() throws {
        let file = try UnixFSFile.blocks(of: [UInt8](repeating: 1, count: 100))
        #expect(throws: UnixFSError.fileTooLarge(bytesMax: 99)) { try read(file, bytesMax: 99) }
    }

    /// A node of a file over blocks, with what it says of them.
    private struct Node {
        var links: [(cid: CID, fileBytes: UInt64, treeBytes: UInt64)]
        var content: [UInt8] = []
        var fileBytes: UInt64?

        /// A node that says what is so.
        init(over parts: [(cid: CID, fileBytes: UInt64, treeBytes: UInt64)], content: [UInt8] = []) {
            links = parts
            self.content = content
            fileBytes = parts.reduce(UInt64(content.count)) { $0 + $1.fileBytes }
        }

        var block: [UInt8] {
            var data = ProtobufWriter()
            data.varint(1, 2)
            if !content.isEmpty { data.bytes(2, content) }
            if let fileBytes { data.varint(3, fileBytes) }
            for link in links { data.varint(4, link.fileBytes) }
            return DAGPBNode(
                links: links.map { DAGPBNode.Link(cid: $0.cid, totalBytes: $0.treeBytes) }, data: data.bytes
            ).encoded()
        }

        /// What a node above it has to say of it.
        var part: (cid: CID, fileBytes: UInt64, treeBytes: UInt64) {
            let block = block
            let below = links.reduce(UInt64(0)) { $0 + $1.treeBytes }
            return (CID.hashing(block, codec: .dagPB), fileBytes ?? 0, UInt64(block.count) + below)
        }
    }

    private static let chunk: [UInt8] = [1, 2, 3]
    private static let chunkPart = (cid: CID.hashing(chunk, codec: .raw), fileBytes: UInt64(3), treeBytes: UInt64(3))

    /// Reads the file of the last node out of all nodes and the chunk.
    private func read(_ nodes: [Node]) throws -> [UInt8] {
        var table = Dictionary(nodes.map { ($0.part.cid, $0.block) }) { first, _ in first }
        table[Self.chunkPart.cid] = Self.chunk
        var reader = UnixFSReader(root: try #require(nodes.last?.part.cid))
        while let cid = reader.next { try reader.received(try #require(table[cid])) }
        return reader.bytes
    }

    @Test func aTreeThatIsTooDeepIsRefused() throws {
        var nodes = [Node(over: [Self.chunkPart])]
        while nodes.count < UnixFSFile.depthMax { nodes.append(Node(over: nodes.suffix(1).map(\.part))) }
        #expect(try read(nodes) == Self.chunk)
        nodes.append(Node(over: nodes.suffix(1).map(\.part)))
        #expect(throws: UnixFSError.tooDeep(depthMax: UnixFSFile.depthMax)) { try read(nodes) }
    }

    @Test func aWideTreeIsRefused() throws {
        var nodes = [Node(over: Array(repeating: Self.chunkPart, count: DAGPBNode.linksMax))]
        for _ in 0..<2 {
            let part = try #require(nodes.last?.part)
            nodes.append(Node(over: Array(repeating: part, count: DAGPBNode.linksMax)))
        }
        #expect(throws: UnixFSError.tooManyBlocks) { try read(nodes) }
    }

    @Test func whatIsSaidOfSizesMustBeSoAtEveryLevel() throws {
        let low = Node(over: [Self.chunkPart, Self.chunkPart], content: [9])
        let root = Node(over: [low.part, Self.chunkPart])
        #expect(try read([low, root]) == [9] + Self.chunk + Self.chunk + Self.chunk)

        var wrong = root
        wrong.fileBytes = 99
        let wrongRoot = wrong.part.cid
        #expect(throws: UnixFSError.falseSizes(wrongRoot)) { try read([low, wrong]) }

        // A root that agrees with itself, over a chunk of another size.
        let false3 = (cid: Self.chunkPart.cid, fileBytes: UInt64(99), treeBytes: UInt64(3))
        #expect(throws: UnixFSError.falseSizes(Self.chunkPart.cid)) { try read([Node(over: [false3])]) }
        let falseTree = (cid: Self.chunkPart.cid, fileBytes: UInt64(3), treeBytes: UInt64(4))
        #expect(throws: UnixFSError.falseSizes(Self.chunkPart.cid)) { try read([Node(over: [falseTree])]) }

        // The same of a node below the root.
        var falseLow = low.part
        falseLow.fileBytes += 1
        #expect(throws: UnixFSError.falseSizes(low.part.cid)) { try read([low, Node(over: [falseLow])]) }
        falseLow = low.part
        falseLow.treeBytes -= 1
        #expect(throws: UnixFSError.falseSizes(low.part.cid)) { try read([low, Node(over: [falseLow])]) }
        let lowest = Node(over: [false3])
        #expect(throws: UnixFSError.falseSizes(Self.chunkPart.cid)) { try read([lowest, Node(over: [lowest.part])]) }

        // Sums beyond what there are numbers for.
        let huge = (cid: Self.chunkPart.cid, fileBytes: UInt64.max, treeBytes: UInt64(3))
        var tooLarge = Node(over: [huge])
        tooLarge.links.append(huge)
        let tooLargeRoot = tooLarge.part.cid
        #expect(throws: UnixFSError.falseSizes(tooLargeRoot)) { try read([tooLarge]) }
    }

    @Test func sizesThatAreNotSaidAreNotChecked() throws {
        var data = ProtobufWriter()
        data.varint(1, 2)
        let link = DAGPBNode.Link(cid: Self.chunkPart.cid, totalBytes: 3)
        let block = DAGPBNode(links: [link], data: data.bytes).encoded()
        var reader = UnixFSReader(root: CID.hashing(block, codec: .dagPB))
        try reader.received(block)
        try reader.received(Self.chunk)
        #expect(reader.next == nil && reader.bytes == Self.chunk)
        // Told for the whole, and not for the parts.
        data.varint(3, 4)
        let wrong = DAGPBNode(links: [link], data: data.bytes).encoded()
        var other = UnixFSReader(root: CID.hashing(wrong, codec: .dagPB))
        try other.received(wrong)
        #expect(throws: UnixFSError.falseSizes(CID.hashing(wrong, codec: .dagPB))) { try other.received(Self.chunk) }
    }

    @Test func aFolderIsNotAFile() throws {
        var data = ProtobufWriter()
        data.varint(1, 1)
        let node = DAGPBNode(links: [], data: data.bytes).encoded()
        let cid = CID.hashing(node, codec: .dagPB)
        var reader = UnixFSReader(root: cid)
        #expect(throws: UnixFSError.notAFile(cid)) { try reader.received(node) }
    }

    @Test func aNodeInAnotherFormIsRefused() {
        // Data before links, which the format forbids.
        let link: [UInt8] = [0x12, 0x02, 0x12, 0x00]
        #expect(throws: DAGPBError.self) { try DAGPBNode(decoding: [0x0A, 0x00] + link) }
        #expect(throws: DAGPBError.unexpectedField(3)) { try DAGPBNode(decoding: [0x18, 0x01]) }
    }
}
