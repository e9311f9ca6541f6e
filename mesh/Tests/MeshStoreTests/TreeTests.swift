import IPLD
import Multiformats
import Testing

@testable import MeshStore

/// Files and folders over many blocks: what is missing of them, and that all of them is kept and removed.
@Suite struct TreeTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    /// A folder with a sharded folder of files in it, and all its blocks.
    private func tree(_ first: Int, count: Int = 60) throws -> (root: CID, blocks: [(cid: CID, bytes: [UInt8])]) {
        let profile = UnixFSProfile(
            name: "small", version: .v0, hasRawLeaves: true, chunkBytes: 16, linksMax: 3, directorySize: .block,
            directoryBytesMax: 400, fanoutBits: 3)
        var blocks: [(cid: CID, bytes: [UInt8])] = []
        func add(_ built: [UnixFSBuiltBlock]) { blocks += built.map { ($0.cid, $0.bytes) } }
        var entries: [UnixFSEntry] = []
        for number in first..<(first + count) {
            var builder = UnixFSFileBuilder(profile: profile)
            add(builder.append(block(number, size: 100).bytes))
            let (file, rest) = builder.finish()
            add(rest)
            entries.append(UnixFSEntry(name: Array("\(number)".utf8), cid: file.cid, totalBytes: file.treeBytes))
        }
        let (inner, shards) = try UnixFSDirectoryBuilder.directory(entries, profile: profile)
        add(shards)
        let (root, last) = try UnixFSDirectoryBuilder.directory(
            [UnixFSEntry(name: [0x61], cid: inner.cid, totalBytes: inner.treeBytes)], profile: profile)
        add(last)
        var seen: Set<CID> = []
        return (root.cid, blocks.filter { seen.insert($0.cid).inserted })
    }

    @Test func whatIsMissingIsNamed() async throws {
        let store = try folder.open()
        let (root, blocks) = try tree(0)
        #expect(try await StoredTree.under(root, in: store)?.missing == [root])
        #expect(try await StoredTree.missing(of: blocks.map(\.cid), in: store) == blocks.map(\.cid))
        // From the root on, as who fetches it does.
        let table = Dictionary(blocks.map { ($0.cid, $0.bytes) }) { first, _ in first }
        while let missing = try await StoredTree.under(root, in: store)?.missing, !missing.isEmpty {
            try await store.commit(missing.map { .block(cid: $0, bytes: table[$0] ?? []) })
        }
        let tree = try #require(try await StoredTree.under(root, in: store))
        #expect(tree.blocks == blocks.count && tree.bytes == blocks.reduce(0) { $0 + $1.bytes.count })
        #expect(try await StoredTree.missing(of: blocks.map(\.cid), in: store).isEmpty)
    }

    @Test func aFolderIsKeptWithAllThatIsInItAndRemovedWithoutWhatAnotherHas() async throws {
        let store = try folder.open()
        let (first, second) = (try tree(0), try tree(30))
        let all = Dictionary((first.blocks + second.blocks).map { ($0.cid, $0.bytes) }) { first, _ in first }
        try await store.commit(all.map { .block(cid: $0.key, bytes: $0.value) })
        try await store.commit([.file(root: first.root), .file(root: second.root)])
        #expect(try await store.collectGarbage() == (0, 0))
        let gone = try await store.remove(first.root)
        #expect(gone.blocks == all.count - second.blocks.count && gone.blocks > 0)
        #expect(try await StoredTree.under(second.root, in: store)?.missing.isEmpty == true)
        #expect(try await store.remove(second.root).blocks == second.blocks.count)
        #expect(store.counters.blocks == 0)
    }

    @Test func aWalkGoesOnWhereBlocksHaveCome() async throws {
        var limits = StoreLimits()
        limits.missingBlocksNamedMax = 7
        let store = try folder.open(limits: limits)
        let (root, blocks) = try tree(0)
        let table = Dictionary(blocks.map { ($0.cid, $0.bytes) }) { first, _ in first }
        let walk = TreeWalk(under: root)
        var named: [CID] = []
        var tree = try #require(try await walk.goOn(in: store))
        while !tree.missing.isEmpty {
            // One of them does not come at first.
            let coming = tree.missing.count > 1 ? Array(tree.missing.dropFirst()) : tree.missing
            named += coming
            try await store.commit(coming.map { .block(cid: $0, bytes: table[$0] ?? []) })
            tree = try #require(try await walk.goOn(in: store))
        }
        #expect(named.count == blocks.count && Set(named) == Set(blocks.map(\.cid)))
        #expect(try await StoredTree.under(root, in: store) == tree)
    }

    @Test func treesHaveABound() async throws {
        var limits = StoreLimits()
        limits.treeBlocksMax = 300
        limits.missingBlocksNamedMax = 5
        let store = try folder.open(limits: limits)
        let (root, blocks) = try tree(0)
        try await store.commit(blocks.filter { $0.cid.codec == .dagPB }.map { .block(cid: $0.cid, bytes: $0.bytes) })
        #expect(try await StoredTree.under(root, in: store)?.missing.count == 5)
        try await store.commit(blocks.map { .block(cid: $0.cid, bytes: $0.bytes) })
        #expect(try await StoredTree.under(root, in: store) == nil)
    }
}
