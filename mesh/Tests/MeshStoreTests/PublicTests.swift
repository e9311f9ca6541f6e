import GRDB
import Multiformats
import Testing

@testable import IPLD
@testable import MeshStore

/// What strangers may have of what is kept.
@Suite struct PublicTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    /// A folder of files, some of which every other folder has too.
    private func tree(_ number: Int) throws -> (root: CID, blocks: [(cid: CID, bytes: [UInt8])]) {
        let files = [block(number), block(1_000 + number), block(0)]
        let entries = files.enumerated().map {
            UnixFSEntry(name: Array("\($0)".utf8), cid: $1.cid, totalBytes: UInt64($1.bytes.count))
        }
        let (built, own) = try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
        return (built.cid, files + own.map { ($0.cid, $0.bytes) })
    }

    private func keep(_ tree: (root: CID, blocks: [(cid: CID, bytes: [UInt8])]), in store: MeshStore) async throws {
        try await store.commit(tree.blocks.map { .block(cid: $0.cid, bytes: $0.bytes) } + [.file(root: tree.root)])
    }

    private func standing(
        _ tree: (root: CID, blocks: [(cid: CID, bytes: [UInt8])]), in store: MeshStore
    ) async throws -> [PublicBlock] {
        var standing: [PublicBlock] = []
        for block in tree.blocks {
            let found = try await PublicBlock.of(block.cid, in: store)
            if case .here(let bytes) = found { #expect(bytes == block.bytes) }
            standing.append(found)
        }
        return standing
    }

    private func here(_ tree: (root: CID, blocks: [(cid: CID, bytes: [UInt8])])) -> [PublicBlock] {
        tree.blocks.map { .here($0.bytes) }
    }

    @Test func onlyWhatIsBelowAPublicRootIsPublic() async throws {
        let store = try folder.open()
        let (open, shut) = (try tree(1), try tree(2))
        try await keep(open, in: store)
        try await keep(shut, in: store)
        let loose = block(77)
        try await store.commit([.block(cid: loose.cid, bytes: loose.bytes)])
        #expect(try await standing(open, in: store).allSatisfy { $0 == .none })
        try await store.commit([.publication(root: open.root, isOpen: true)])
        #expect(try await standing(open, in: store) == here(open))
        // Of the other folder the file that both have.
        let both = PublicBlock.here(shut.blocks[2].bytes)
        #expect(try await standing(shut, in: store) == [.none, .none, both, .none])
        #expect(try await PublicBlock.of(loose.cid, in: store) == .none)
        #expect(try await PublicBlock.of(block(78).cid, in: store) == .none)
        #expect(try await PublicBlock.roots(among: [shut.root, open.root], in: store) == [open.root])
        #expect(try await PublicBlock.rootCount(in: store) == 1)
    }

    @Test func whatIsTakenBackIsKnownToHaveBeenPublic() async throws {
        let store = try folder.open()
        let (first, second) = (try tree(1), try tree(2))
        for tree in [first, second] {
            try await keep(tree, in: store)
            // Twice is once.
            for _ in 0..<2 { try await store.commit([.publication(root: tree.root, isOpen: true)]) }
        }
        try await store.commit([.publication(root: first.root, isOpen: false)])
        #expect(
            try await standing(first, in: store) == [.takenBack, .takenBack, here(first)[2], .takenBack])
        #expect(try await standing(second, in: store) == here(second))
        #expect(try await PublicBlock.rootCount(in: store) == 1)
        try await store.commit([.publication(root: first.root, isOpen: true)])
        #expect(try await standing(first, in: store) == here(first))
        // What never was public has nothing to take back.
        let third = try tree(3)
        try await keep(third, in: store)
        try await store.commit([.publication(root: third.root, isOpen: false)])
        #expect(try await standing(third, in: store).filter { $0 == .none }.count == 3)
    }

    @Test func aRootThatIsRemovedIsPublicNoMoreAndPrivateWhenItComesBack() async throws {
        let store = try folder.open()
        let kept = try tree(1)
        try await keep(kept, in: store)
        try await store.commit([.publication(root: kept.root, isOpen: true)])
        _ = try await store.remove(kept.root)
        #expect(try await standing(kept, in: store).allSatisfy { $0 == .none })
        try await keep(kept, in: store)
        #expect(try await standing(kept, in: store).allSatisfy { $0 == .none })
        // The same where the root's block alone is lost.
        try await store.commit([.publication(root: kept.root, isOpen: true)])
        try await store.commit([.removeBlock(kept.root)])
        #expect(try await standing(kept, in: store).allSatisfy { $0 == .none })
        #expect(try await PublicBlock.rootCount(in: store) == 0)
    }

    @Test func whatIsNotKeptIsNotMadePublic() async throws {
        let store = try folder.open()
        let kept = try tree(1)
        let loose = block(77)
        try await keep(kept, in: store)
        try await store.commit([.block(cid: loose.cid, bytes: loose.bytes), .root(loose.cid)])
        for cid in [loose.cid, kept.blocks[0].cid, block(78).cid] {
            for isOpen in [true, false] {
                await #expect(throws: MeshStoreError.notKept(cid)) {
                    try await store.commit([.publication(root: cid, isOpen: isOpen)])
                }
            }
        }
        #expect(try await PublicBlock.rootCount(in: store) == 0)
    }

    @Test func aDamagedBlockIsNotServed() async throws {
        let kept = try tree(1)
        let first = try folder.open()
        try await keep(kept, in: first)
        try await first.commit([.publication(root: kept.root, isOpen: true)])
        try first.close()
        try folder.change("UPDATE blocks SET bytes = zeroblob(size) WHERE cid = x'\(hex(kept.blocks[0].cid))'")
        let store = try folder.open()
        await #expect(throws: MeshStoreError.blockCorrupt(kept.blocks[0].cid)) {
            try await PublicBlock.of(kept.blocks[0].cid, in: store)
        }
        #expect(try await PublicBlock.of(kept.root, in: store) == .here(kept.blocks[3].bytes))
    }

    @Test func nothingIsPublicInADatabaseOfVersionNine() async throws {
        let kept = try tree(1)
        let first = try folder.open()
        try await keep(kept, in: first)
        try first.close()
        try folder.change("DROP TABLE public_roots; PRAGMA user_version = 9;")
        let store = try folder.open()
        #expect(try await standing(kept, in: store).allSatisfy { $0 == .none })
        try await store.commit([.publication(root: kept.root, isOpen: true)])
        #expect(try await standing(kept, in: store) == here(kept))
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }

    private func hex(_ cid: CID) -> String {
        cid.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
