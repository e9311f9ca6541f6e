import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshCLI

/// Folders that are sent to a node and come back, and what a hostile tree cannot do to the user's own files.
@Suite struct CLITreeTests {
    private let folder: TestFolder
    private let kept = KeptBlocks()

    init() throws { folder = try TestFolder() }

    private var node: ScriptedNode {
        var script = ScriptedNode.Script()
        script.kept = kept
        return ScriptedNode(script: script)
    }

    private func path(_ name: String) -> String { folder.path + "/" + name }

    private func write(_ name: String, _ bytes: [UInt8] = []) throws {
        let url = URL(filePath: path(name))
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    private func bytes(_ name: String) -> [UInt8]? { FileManager.default.contents(atPath: path(name)).map(Array.init) }

    private func target(_ name: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: path(name))
    }

    private func makeSource() throws {
        try write("in/a.txt", Array("hello\n".utf8))
        try write("in/sub/large", (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
        try write("in/sub/deeper/größe", [1])
        try write("in/.hidden", [2])
        try write("in/empty")
        try FileManager.default.createDirectory(atPath: path("in/nothing"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: path("in/sub/link"), withDestinationPath: "../a.txt")
    }

    private func send(
        _ name: String, _ options: FolderUpload.Options = .init(), _ limits: FolderUpload.Limits = .init()
    ) async throws -> FolderUpload.Uploaded {
        try await FolderUpload(to: node, options, limits: limits).send(path(name))
    }

    private func fetch(
        _ root: CID, to name: String, preserves: Bool = false, _ limits: FolderDownload.Limits = .init()
    ) async throws -> FolderDownload.Written {
        // Windows of less than a chunk, so that a file has several.
        var window = TreeReader.Limits()
        window.windowBytes = 100_000
        var download = FolderDownload(
            from: TreeReader(root, on: node, limits: window), preserves: preserves, limits: limits)
        return try await download.write(root, to: path(name))
    }

    @Test(arguments: UnixFSProfile.all)
    func aFolderComesBackAsItWas(profile: UnixFSProfile) async throws {
        try makeSource()
        var options = FolderUpload.Options()
        options.profile = profile
        var limits = FolderUpload.Limits()
        limits.batchBlocks = 3
        let sent = try await send("in", options, limits)
        #expect((sent.files, sent.folders, sent.links, sent.bytes) == (5, 4, 1, 700_008))
        #expect(kept.pinned == [sent.root] && kept.puts.count > 1 && kept.puts.allSatisfy { $0 <= 3 })
        #expect(sent.blocksSent == kept.blocks.count)
        let written = try await fetch(sent.root, to: "out")
        #expect((written.files, written.folders, written.links, written.bytes) == (5, 4, 1, 700_008))
        for name in ["a.txt", "sub/large", "sub/deeper/größe", ".hidden", "empty"] {
            #expect(bytes("out/" + name) == bytes("in/" + name), "\(name)")
        }
        #expect(target("out/sub/link") == "../a.txt")
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("out/nothing")).isEmpty)
        // Again: nothing is sent, and everything is written in place of what is there.
        #expect(try await send("in", options).blocksSent == 0)
        #expect(try await fetch(sent.root, to: "out/").files == 5)
        #expect(!(try FileManager.default.subpathsOfDirectory(atPath: path("out"))).contains { $0.hasSuffix(".part") })
    }

    @Test func whatANodeHasIsNotSentAgain() async throws {
        try makeSource()
        let first = try await send("in")
        let lost = try #require(kept.blocks.keys.first { $0.codec == .raw && kept.block($0)?.count ?? 0 > 1000 })
        kept.lose(lost)
        let again = try await send("in")
        #expect(again.root == first.root && again.blocksSent == 1 && again.bytesSent == 700_000)
    }

    @Test(
        "A file that the node reads itself has the CID that it has when it is sent",
        arguments: [1, 1 << 20, (1 << 20) + 1, 8 << 20, (8 << 20) + 1, (24 << 20) - 1, 33 << 20])
    func filesAreHandedOver(size: Int) async throws {
        let large = (0...(size >> 20)).flatMap { [UInt8](repeating: UInt8($0), count: min(1 << 20, size - $0 << 20)) }
        try write("in/large", large)
        let sent = try await send("in")
        let other = KeptBlocks()
        var script = ScriptedNode.Script()
        (script.kept, script.readsFiles) = (other, true)
        var limits = FolderUpload.Limits()
        limits.handedBytesMin = 1
        var told: [UInt64] = []
        let upload = FolderUpload(to: ScriptedNode(script: script), limits: limits) { told.append($0.bytes) }
        let handed = try await upload.send(path("in"))
        #expect(handed.root == sent.root && handed.bytes == sent.bytes && handed.files == 1)
        #expect(handed.blocksSent == sent.blocksSent && handed.bytesSent == sent.bytesSent)
        #expect(other.blocks == kept.blocks)
        #expect(told.last == UInt64(size) && told == told.sorted())
        #expect(try await upload.send(path("in")).blocksSent == 0)
    }

    @Test("An answer about a file that does not add up is refused")
    func handedLeavesAddUp() throws {
        let cid = CID.hashing([1], codec: .raw)
        func links(_ cids: [String], _ bytes: UInt64) throws -> [UnixFSBuilt] {
            try FileLeaves(cids: cids, bytes: bytes, newBlocks: 0, newBytes: 0).links(chunkBytes: 10)
        }
        #expect(try links([cid.text, cid.text], 11).map(\.fileBytes) == [10, 1])
        #expect(try links([], 0).isEmpty)
        for (cids, bytes) in [
            ([cid.text], 11), ([cid.text, cid.text], 10), (["x"], 1), ([CID.hashing([1], codec: .dagPB).text], 1),
            ([cid.text], UInt64.max),
        ] {
            let error = #expect(throws: NodeServiceError.self) { try links(cids, bytes) }
            #expect(error?.code == .protocolMismatch)
        }
    }

    @Test func hiddenNamesPermissionsAndTimesAreAQuestionOfOptions() async throws {
        try makeSource()
        chmod(path("in/a.txt"), 0o750)
        var times = [timespec(tv_sec: 1_000, tv_nsec: 0), timespec(tv_sec: 1_234, tv_nsec: 567)]
        utimensat(AT_FDCWD, path("in/a.txt"), &times, 0)
        let plain = try await send("in")
        #expect(try await send("in", .init(skipsHidden: true)).files == 4)
        let preserved = try await send("in", .init(preserves: true))
        #expect(preserved.root != plain.root)
        _ = try await fetch(preserved.root, to: "kept", preserves: true)
        var information = stat()
        #expect(stat(path("kept/a.txt"), &information) == 0)
        #expect(information.st_mode & 0o777 == 0o750)
        #expect(information.st_mtim.tv_sec == 1_234 && information.st_mtim.tv_nsec == 567)
        _ = try await fetch(preserved.root, to: "fresh")
        #expect(stat(path("fresh/a.txt"), &information) == 0 && information.st_mtim.tv_sec != 1_234)
    }

    // MARK: Hostile trees

    /// A folder out of entries as nobody would write it.
    private func tree(_ entries: [(name: String, cid: CID)]) -> CID {
        var data = ProtobufWriter()
        data.varint(1, 1)
        let links = entries.map { DAGPBNode.Link(cid: $0.cid, name: Array($0.name.utf8), totalBytes: 1) }
        let block = DAGPBNode(links: links, data: data.bytes).encoded()
        let cid = CID.hashing(block, codec: .dagPB)
        kept.add([ContentBlock(cid: cid, bytes: block)])
        return cid
    }

    private func file(_ text: String) -> CID {
        let cid = CID.hashing(Array(text.utf8), codec: .raw)
        kept.add([ContentBlock(cid: cid, bytes: Array(text.utf8))])
        return cid
    }

    private func link(_ target: String) -> CID {
        let (link, blocks) = UnixFSDirectoryBuilder.symbolicLink(to: Array(target.utf8))
        kept.add(blocks.map { ContentBlock(cid: $0.cid, bytes: $0.bytes) })
        return link.cid
    }

    @Test(arguments: [["../x"], ["a/b"], [".."], ["."], [""], ["a\0b"], ["same", "same"]])
    func namesThatAreNoneAreRefused(names: [String]) async throws {
        let root = tree(names.map { ($0, file("evil")) })
        await #expect { try await fetch(root, to: "out") } throws: { ($0 as? NodeServiceError)?.code == .blockCorrupt }
        #expect(bytes("x") == nil)
        #expect(bytes("evil") == nil)
    }

    @Test func nothingIsWrittenThroughLinks() async throws {
        try write("outside/precious", Array("mine".utf8))
        try FileManager.default.createDirectory(atPath: path("out"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: path("out/file"), withDestinationPath: path("outside/precious"))
        try FileManager.default.createSymbolicLink(atPath: path("out/sub"), withDestinationPath: path("outside"))
        // A link in the file's place is replaced, and what it led to stays as it was.
        _ = try await fetch(tree([("file", file("new"))]), to: "out")
        #expect(bytes("out/file") == Array("new".utf8) && target("out/file") == nil)
        #expect(bytes("outside/precious") == Array("mine".utf8))
        // A link in a folder's place is not entered.
        let below = tree([("sub", tree([("precious", file("evil"))]))])
        await #expect { try await fetch(below, to: "out") } throws: { error in
            "\(error)".contains("a folder has to go there, and it is none")
        }
        #expect(bytes("outside/precious") == Array("mine".utf8))
        // A folder in a file's place stays.
        try FileManager.default.createDirectory(atPath: path("out/kept"), withIntermediateDirectories: true)
        await #expect { try await fetch(tree([("kept", file("evil"))]), to: "out") } throws: { error in
            "\(error)".contains("a file has to go there, and it is a folder")
        }
    }

    @Test func linksThatLeadOutAreLeftOutAndTold() async throws {
        let inner = tree([("up", link("../a")), ("out", link("../../x"))])
        let root = tree([
            ("a", file("a")), ("absolute", link("/etc/passwd")), ("inner", inner), ("over", link("inner/../../x")),
        ])
        let written = try await fetch(root, to: "out")
        #expect(written.links == 1 && target("out/inner/up") == "../a")
        #expect(written.leftOutCount == 3)
        #expect(written.leftOut == ["absolute", "inner/out", "over"].map { path("out/" + $0) })
        #expect(target("out/absolute") == nil)
        for (link, depth, stays) in [
            ("a", 0, true), ("./a", 0, true), ("..", 0, false), ("..", 1, true), ("../..", 1, false),
            ("a/..", 3, false),
            ("", 3, false), ("/", 3, false), (".", 0, true), ("../a/b", 1, true), (".././../a", 1, false),
        ] {
            #expect(LocalFolder.staysInside(Array(link.utf8), depth: depth) == stays, "\(link) at \(depth)")
        }
    }

    @Test func aFileThatIsNotWholeHasNoNameSoThatACommandThatIsKilledLeavesNothing() throws {
        let file = try LocalFolder.file(at: path("half"))
        try file.write(Array("half of it".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
        try file.finish()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["half"])
        #expect(bytes("half") == Array("half of it".utf8))
        let dropped = try LocalFolder.file(at: path("dropped"))
        dropped.discard()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["half"])
    }

    @Test func treesThatAreEndlessToWriteAreBounded() async throws {
        // 2^60 files in sixty small blocks.
        var root = tree([("a", file("a")), ("b", file("b"))])
        for _ in 0..<60 { root = tree([("a", root), ("b", root)]) }
        var limits = FolderDownload.Limits()
        limits.entriesMax = 200
        await #expect { try await fetch(root, to: "wide", limits) } throws: {
            ($0 as? NodeServiceError)?.message.contains("more than 200 files") == true
        }
        limits.depthMax = 10
        await #expect { try await fetch(root, to: "deep", limits) } throws: {
            ($0 as? NodeServiceError)?.message.contains("nested deeper than 10") == true
        }
        var up = FolderUpload.Limits()
        try makeSource()
        up.depthMax = 1
        await #expect { try await send("in", .init(), up) } throws: { "\($0)".contains("nested deeper than 1 folders") }
        up = FolderUpload.Limits()
        up.entriesMax = 3
        await #expect { try await send("in", .init(), up) } throws: { "\($0)".contains("more than 3 files") }
    }

    @Test func manyLinksThatLeadOutAreCountedAndSomeAreNamed() async throws {
        let out = link("/x")
        let written = try await fetch(tree((0..<120).map { ("\($0)", out) }), to: "out")
        #expect(written.leftOutCount == 120 && written.leftOut.count == 100)
    }

    @Test func filesOfVerySmallChunksAreBounded() async throws {
        try write("file", Array("0123456789".utf8))
        var options = FolderUpload.Options()
        options.profile = UnixFSProfile(
            name: "tiny", version: .v1, hasRawLeaves: true, chunkBytes: 1, linksMax: 20, directorySize: .block,
            directoryBytesMax: 1_000, fanoutBits: 8)
        let root = try await send("file", options).root
        var limits = TreeReader.Limits()
        limits.windowBlocksMax = 5
        await #expect { try await TreeReader(root, on: node, limits: limits).read(root, bytes: 10) { _ in } } throws: {
            ($0 as? NodeServiceError)?.code == .tooLarge
        }
        limits.windowBytes = 3
        var read: [UInt8] = []
        try await TreeReader(root, on: node, limits: limits).read(root, bytes: 10) { read += $0 }
        #expect(read == Array("0123456789".utf8))
        // Such chunks need nodes above them that are larger than all of the file.
        limits.windowExcessBytes = 50
        await #expect { try await TreeReader(root, on: node, limits: limits).read(root, bytes: 10) { _ in } } throws: {
            let error = $0 as? NodeServiceError
            return error?.code == .tooLarge && error?.message.contains("far larger than what is in them") == true
        }
    }

    @Test func filesLargerThanTheDiskAreRefusedBeforeAnythingIsWritten() async throws {
        let root = tree([("a", file("hello"))])
        var download = FolderDownload(from: TreeReader(root, on: node), freeBytes: { _ in 4 })
        await #expect { try await download.write(root, to: path("out")) } throws: { "\($0)".contains("4 B left") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("out")).isEmpty)
    }

    @Test func destinationsAreLookedAtFirst() throws {
        try write("file")
        try FolderDownload.check(path("new"))
        try FolderDownload.check(folder.path)
        for bad in ["file", "nowhere/new"] {
            #expect(throws: LocalFileError.self, "\(bad)") { try FolderDownload.check(path(bad)) }
        }
    }

    @Test func whatIsNoFileIsNotSent() async throws {
        try makeSource()
        mkfifo(path("in/pipe"), 0o600)
        await #expect { try await send("in") } throws: { "\($0)".contains("neither a file nor a folder nor a link") }
        #expect(kept.blocks.isEmpty)
        await #expect { try await send("nowhere") } throws: { "\($0)".contains("No such file") }
    }

    // MARK: Paths

    @Test func pathsAreCIDsAndNames() async throws {
        let leaf = file("leaf")
        let root = tree([("a b", tree([("c", leaf)]))])
        let tree = TreeReader(root, on: node)
        for text in ["\(root)/a b/c", "/ipfs/\(root)/a b/c/", "ipfs://\(root)//a b/c"] {
            #expect(try await tree.find(try TreePath(text)) == leaf, "\(text)")
        }
        #expect(try await tree.find(try TreePath("\(root)")) == root)
        for (text, told) in [
            ("\(root)/x", "There is no \(root)/x."), ("\(root)/a b/c/d", "\(root)/a b/c is not a folder."),
            ("\(root)/a b/d/e", "There is no \(root)/a b/d."),
        ] {
            await #expect { try await tree.find(try TreePath(text)) } throws: {
                ($0 as? NodeServiceError)?.message == told
            }
        }
        for text in ["", "x", "x/\(root)", "\(root)/../x", "\(root)/./x"] {
            #expect(throws: NodeServiceError.self, "\(text)") { try TreePath(text) }
        }
    }

    @Test func foldersAreListed() async throws {
        try makeSource()
        let root = try await send("in").root
        let tree = TreeReader(root, on: node)
        let facts = try await List.facts(of: try await tree.entries(of: root), in: tree)
        #expect(facts.map(\.name) == [".hidden", "a.txt", "empty", "nothing", "sub"])
        #expect(facts.map(\.kind) == ["file", "file", "file", "folder", "folder"])
        #expect(facts.map(\.size).prefix(3) == [1, 6, 0])
        let text = List.table(facts)
        #expect(text.contains("sub/\n") && text.contains("a.txt\n"))
        let inner = try await tree.find(try TreePath("\(root)/sub"))
        let below = try await List.facts(of: try await tree.entries(of: inner), in: tree)
        #expect(List.table(below).contains("link -> ../a.txt"))
    }

    @Test func progressIsOneLine() {
        #expect(
            TransferLine.text(FolderUpload.Progress(files: 3, bytes: 5 << 20, bytesTotal: 10 << 20))
                == "Adding: 5.00 MiB of 10.0 MiB, 50 %, 3 files")
        #expect(TransferLine.text(FolderUpload.Progress(bytes: 5)) == "Adding: 5 B")
        #expect(TransferLine.text(FolderDownload.Progress(files: 1, bytes: 5)) == "Getting: 5 B")
    }
}
