import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What a start makes of the log on the disk.
@Suite struct LogRecordTests {
    private let identity: Identity

    init() throws { identity = try Identity(seed: [UInt8](repeating: 7, count: 32)) }

    private func withStore(_ body: (MeshStore) async throws -> Void) async throws {
        let folder = try TestFolder()
        let store = try MeshStore(path: folder.path + "/mesh.sqlite", owner: identity.did.text)
        try await body(store)
        try store.close()
    }

    /// Entries as versions without a log signed them, each behind the one before.
    private func earlier(_ count: UInt64) throws -> [SignedObject<AnchorEntry>] {
        var entries: [SignedObject<AnchorEntry>] = []
        for height in 0..<count {
            let entry = AnchorEntry(
                nodeDID: identity.did, parents: entries.last.map { [$0.cid] } ?? [],
                payload: [CID.hashing([UInt8(height % 256)], codec: .dagCBOR)], scope: "global", height: height,
                recordedAt: UnixMilliseconds(height))
            entries.append(try SignedObject.sign(entry, with: identity))
        }
        return entries
    }

    private func tree(_ entries: some Sequence<SignedObject<AnchorEntry>>) -> MerkleTree {
        var tree = MerkleTree()
        for entry in entries { _ = tree.append(.leaf(entry.cid.bytes)) }
        return tree
    }

    @Test func entriesOfEarlierVersionsAreTheFirstLeaves() async throws {
        let entries = try earlier(1_100)
        try await withStore { store in
            try await store.commit(entries.map { .block(cid: $0.cid, bytes: $0.bytes, pinned: true) })
            let record = LogRecord(store: store)
            let opened = try await record.opened(heads: [entries[1_099].cid])
            #expect(opened == tree(entries))
            let again = try await record.opened(heads: [entries[1_099].cid])
            #expect(again == opened)
            let last = try await AnchoredRow.newest(limit: 1, in: store)
            #expect(last.map(\.entry) == [entries[1_099].cid] && last.first?.bytes == entries[1_099].bytes)
        }
    }

    @Test func whatWasCutOffGoesOnWhereItWas() async throws {
        let entries = try earlier(40)
        try await withStore { store in
            try await store.commit(entries.map { .block(cid: $0.cid, bytes: $0.bytes, pinned: true) })
            let record = LogRecord(store: store)
            // A start that was cut off had written some; now there are more.
            _ = try await record.opened(heads: [entries[16].cid])
            let opened = try await record.opened(heads: [entries[39].cid])
            #expect(opened == tree(entries))
        }
    }

    @Test func theLogBeginsBehindABlockThatIsGone() async throws {
        let entries = try earlier(9)
        try await withStore { store in
            try await store.commit(
                entries.filter { $0.body.height != 3 }.map { .block(cid: $0.cid, bytes: $0.bytes, pinned: true) })
            let opened = try await LogRecord(store: store).opened(heads: [entries[8].cid])
            #expect(opened == tree(entries[4...]))
        }
    }

    @Test(arguments: 0..<7) func noHeadIsMadeOfAHashThatTheDiskChanged(_ changed: Int) async throws {
        let entries = try earlier(4)
        try await withStore { store in
            var (tree, made) = (MerkleTree(), 0)
            for (number, entry) in entries.enumerated() {
                var hashes = tree.append(.leaf(entry.cid.bytes)).map(\.bytes)
                if (made..<made + hashes.count).contains(changed) { hashes[changed - made][5] ^= 1 }
                made += hashes.count
                try await store.commit([
                    .anchored(
                        AnchoredRow(
                            number: UInt64(number), entry: entry.cid, bytes: entry.bytes, payload: [], hashes: hashes))
                ])
            }
            // Of four entries the seventh hash is the peak; the third and the fourth are those of the tree of three.
            let record = LogRecord(store: store)
            if [2, 3, 6].contains(changed) {
                await #expect(throws: MeshStoreError.recordCorrupt(table: "anchor_hashes", row: 7)) {
                    _ = try await record.tree()
                }
            } else {
                let tree = try await record.tree()
                #expect(tree == self.tree(entries))
            }
        }
    }

    @Test func noHeadIsMadeAfterAnEntryThatSignsAnotherTree() async throws {
        let first = try earlier(1)[0]
        let second = AnchorEntry(
            nodeDID: identity.did, parents: [first.cid], payload: [], scope: "global", height: 1,
            recordedAt: UnixMilliseconds(1), size: 1, root: [UInt8](repeating: 7, count: 32))
        let entries = [first, try SignedObject.sign(second, with: identity)]
        try await withStore { store in
            var tree = MerkleTree()
            for (number, entry) in entries.enumerated() {
                let hashes = tree.append(.leaf(entry.cid.bytes)).map(\.bytes)
                try await store.commit([
                    .anchored(
                        AnchoredRow(
                            number: UInt64(number), entry: entry.cid, bytes: entry.bytes, payload: [], hashes: hashes))
                ])
            }
            await #expect(throws: MeshStoreError.recordCorrupt(table: "anchor_hashes", row: 3)) {
                _ = try await LogRecord(store: store).tree()
            }
        }
    }

    @Test func storedHashesProveEveryEntry() async throws {
        let entries = try earlier(37)
        try await withStore { store in
            try await store.commit(entries.map { .block(cid: $0.cid, bytes: $0.bytes, pinned: true) })
            let record = LogRecord(store: store)
            let head = TreeHead(try await record.opened(heads: [entries[36].cid]))
            for (index, entry) in entries.enumerated() {
                let plan = try #require(ProofPlan.inclusion(of: UInt64(index), in: head.size))
                let proof = try await record.proof(plan)
                #expect(head.includes(.leaf(entry.cid.bytes), at: UInt64(index), proof: proof))
                let before = TreeHead(try await record.tree(of: UInt64(index)))
                let growth = try #require(ProofPlan.consistency(of: before.size, in: head.size))
                let consistency = try await record.proof(growth)
                #expect(head.extends(before, proof: consistency))
            }
            await #expect(throws: MeshStoreError.self) { _ = try await record.tree(of: 38) }
        }
    }
}
