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

    @Test func aTreeThatIsTooDeepIsRefused() throws {
        var reader = UnixFSReader(root: CID.hashing([0], codec: .dagPB))
        var data = ProtobufWriter()
        data.varint(1, 2)
        let link = DAGPBNode.Link(cid: CID.hashing([0], codec: .dagPB), totalBytes: 1)
        let node = DAGPBNode(links: [link], data: data.bytes).encoded()
        #expect(throws: UnixFSError.tooDeep(depthMax: UnixFSFile.depthMax)) {
            while reader.next != nil { try reader.received(node) }
        }
    }

    @Test func aWideTreeIsRefused() throws {
        var reader = UnixFSReader(root: CID.hashing([0], codec: .dagPB))
        var data = ProtobufWriter()
        data.varint(1, 2)
        let link = DAGPBNode.Link(cid: CID.hashing([0], codec: .dagPB), totalBytes: 1)
        let node = DAGPBNode(
            links: Array(repeating: link, count: DAGPBNode.linksMax), data: data.bytes
        ).encoded()
        #expect(throws: UnixFSError.tooManyBlocks) {
            while reader.next != nil { try reader.received(node) }
        }
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
