import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshCLI

/// Archives of folders: written out of a node, and read into another.
@Suite struct CLIArchiveTests {
    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func node(_ kept: KeptBlocks) -> ScriptedNode {
        var script = ScriptedNode.Script()
        script.kept = kept
        return ScriptedNode(script: script)
    }

    private func pieces(_ bytes: [UInt8], of count: Int) -> () -> [UInt8]? {
        var rest = bytes[...]
        return {
            let piece = rest.prefix(count)
            rest = rest.dropFirst(count)
            return piece.isEmpty ? nil : Array(piece)
        }
    }

    @Test func aFolderGoesThroughAnArchive() async throws {
        let source = folder.path + "/in"
        try FileManager.default.createDirectory(atPath: source + "/sub", withIntermediateDirectories: true)
        for number in 0..<20 { try Data("\(number % 7)".utf8).write(to: URL(filePath: source + "/sub/\(number)")) }
        let (first, second) = (KeptBlocks(), KeptBlocks())
        let root = try await FolderUpload(to: node(first)).send(source).root
        var archive = CAR.encodedHeader(roots: [root])
        var order: [CID] = []
        try await ArchiveExport.walk(TreeReader(root, on: node(first)), from: root) { block in
            order.append(block.cid)
            archive += block.encodedSection
        }
        #expect(order.first == root && Set(order) == Set(first.blocks.keys) && order.count == first.blocks.count)
        // Equal to what the reader of receipts' archives reads.
        #expect(try CAR(decoding: archive).blocks.map(\.cid) == order)
        let report = try await ArchiveImport.take("x", to: node(second), pieces(archive, of: 13)) { _ in }
        #expect(report.roots == [root.text] && report.blocks == order.count)
        #expect(second.blocks == first.blocks && second.pinned == [root])
    }

    @Test func aPartOfAFileGoesIntoAnArchive() async throws {
        let source = folder.path + "/large"
        try Data((0..<(5 << 20)).map { UInt8(truncatingIfNeeded: $0 >> 18) }).write(to: URL(filePath: source))
        let kept = KeptBlocks()
        var options = FolderUpload.Options()
        options.profile = .v0in2015
        let root = try await FolderUpload(to: node(kept), options).send(source).root
        // As its name in version 0 asks for it, and as the links in it name what is below.
        let named = try CID(bytes: root.multihash.bytes)
        func archived(_ scope: ArchiveWalk.Scope) async throws -> [CID] {
            var cids: [CID] = []
            try await ArchiveExport.walk(TreeReader(named, on: node(kept)), from: named, scope) { cids.append($0.cid) }
            return cids
        }
        let all = try await archived(.all)
        #expect(all.count == 21 && all.first == named && all.allSatisfy { $0.version == .v0 })
        #expect(try await archived(.block) == [named])
        #expect(try await archived(.entity) == all)
        let bytes = try #require(EntityBytes("262144:524288"))
        #expect(try await archived(.bytes(bytes)) == [named, all[2], all[3]])
        let beyond = try #require(EntityBytes("5242880:*"))
        await #expect(throws: NodeServiceError.self) { try await archived(.bytes(beyond)) }
    }

    @Test func archivesThatAreBrokenAreRefused() async throws {
        let kept = KeptBlocks()
        let block = CAR.Block(cid: CID.hashing([1, 2, 3], codec: .raw), bytes: [1, 2, 3])
        let wrong = CAR.Block(cid: block.cid, bytes: [1, 2, 4])
        let whole = CAR.encodedHeader(roots: [block.cid]) + block.encodedSection
        for bytes in [[], Array(whole.dropLast()), whole + [5], whole + wrong.encodedSection, [0xFF] + whole] {
            await #expect { try await ArchiveImport.take("x", to: node(kept), pieces(bytes, of: 7)) { _ in } } throws: {
                ($0 as? NodeServiceError)?.message.hasPrefix("x is no archive that can be kept: ") == true
            }
        }
        #expect(kept.pinned.isEmpty)
    }
}
