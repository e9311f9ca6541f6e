import ArgumentParser
import Foundation
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import MeshCLI

/// `mesh dag`: what is listed, and what files show.
@Suite struct CLILogTests {
    private let folder: TestFolder
    private let identity: Identity
    private let receipt = CID.hashing([1], codec: .dagCBOR)

    init() throws {
        folder = try TestFolder()
        identity = try Identity(seed: [UInt8](repeating: 3, count: 32))
    }

    /// The file of a proof of the first entry, under a head with some more leaves.
    private func proof(_ name: String, more leaves: [UInt8] = []) throws -> String {
        let entry = try SignedObject.sign(
            AnchorEntry(
                nodeDID: identity.did, parents: [], payload: [receipt], scope: "global", height: 0,
                recordedAt: UnixMilliseconds(1_700_000_000_000), size: 0, root: MerkleTree().root.bytes),
            with: identity)
        var tree = MerkleTree()
        var hashes: [HashPlace: MerkleHash] = [:]
        for (index, leaf) in ([.leaf(entry.cid.bytes)] + leaves.map { .leaf([$0]) } as [MerkleHash]).enumerated() {
            for (level, hash) in tree.append(leaf).enumerated() {
                hashes[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        let origin = AnchorEntry.logName(of: identity.did, scope: "global", openedAt: nil)
        let checkpoint = try #require(Checkpoint(origin: origin, head: TreeHead(tree)))
        let plan = try #require(ProofPlan.inclusion(of: 0, in: tree.size))
        let text = LogProof(
            extra: entry.bytes, index: 0, hashes: try #require(plan.proof(of: hashes)),
            note: try checkpoint.signed(with: identity)
        ).bytes
        try Data(text).write(to: URL(filePath: "\(folder.path)/\(name)"))
        return "\(folder.path)/\(name)"
    }

    private func status(_ arguments: [String]) async throws -> Int32 {
        try await DAGGroup.Verify.parse(arguments).perform(Console()).rawValue
    }

    @Test func filesOfOneHistoryVerifyAndTwoHistoriesDoNot() async throws {
        let (one, same) = (try proof("one", more: [1, 2]), try proof("same", more: [1, 2]))
        let (fork, short) = (try proof("fork", more: [1, 3]), try proof("short"))
        #expect(try await status([one]) == 0)
        #expect(try await status([one, same, "--receipt", receipt.text, "--author", identity.did.text]) == 0)
        #expect(try await status([one, fork]) == 241)
        // The proof of the first entry shows the tree of one.
        #expect(try await status([one, short]) == 0)
        #expect(try await status([one, try proof("longer", more: [1, 2, 3])]) == 247)
        #expect(try await status([one, short, fork]) == 241)
    }

    @Test func filesAboutSomethingElseDoNotVerify() async throws {
        let one = try proof("one")
        let other = CID.hashing([2], codec: .dagCBOR).text
        #expect(try await status([one, "--receipt", other]) == 241)
        #expect(try await status([one, "--author", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"]) == 241)
        let broken = "\(folder.path)/broken"
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: one)))
        bytes[bytes.count - 9] = bytes[bytes.count - 9] == 0x41 ? 0x42 : 0x41
        try Data(bytes).write(to: URL(filePath: broken))
        #expect(try await status([broken]) == 241)
    }

    @Test func soManyFilesAreCompared() throws {
        let files = [String](repeating: "-", count: DAGGroup.Verify.filesMax)
        #expect(throws: Never.self) { try DAGGroup.Verify.parse(files) }
        #expect(throws: (any Error).self) { try DAGGroup.Verify.parse(files + ["-"]) }
    }

    @Test func whatWasAnchoredIsListed() {
        let entries = [
            LogEntryView(number: 1_234, entryCID: "e", anchors: ["a", "b", "c"], recordedAt: 1_700_000_000_000)
        ]
        let text = DAGGroup.listing(entries)
        #expect(text.contains("1,234") && text.contains("a, b and 1 more"))
    }
}
