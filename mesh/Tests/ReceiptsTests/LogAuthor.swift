import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import Receipts

/// An author with a log and all its hashes; a copy of it can go on otherwise.
struct LogAuthor {
    let identity: Identity
    var openedAt: UnixMilliseconds?
    private(set) var tree = MerkleTree()
    private(set) var entries: [SignedObject<AnchorEntry>] = []
    private var stored: [MerkleHash] = []

    init(_ seed: UInt8 = 1) throws { identity = try Identity(seed: [UInt8](repeating: seed, count: 32)) }

    var origin: String { AnchorEntry.logName(of: identity.did, scope: "global", openedAt: openedAt) }

    mutating func anchor(_ text: String, _ change: (inout AnchorEntry) -> Void = { _ in }) throws {
        var entry = AnchorEntry(
            nodeDID: identity.did, parents: [], payload: [CID.hashing(Array(text.utf8), codec: .dagCBOR)],
            scope: "global", height: tree.size, recordedAt: UnixMilliseconds(tree.size), size: tree.size,
            root: tree.root.bytes, openedAt: openedAt)
        change(&entry)
        let signed = try SignedObject.sign(entry, with: identity)
        entries.append(signed)
        stored += tree.append(.leaf(signed.cid.bytes))
    }

    /// Entries up to a number of them.
    mutating func grow(to count: Int, _ word: String = "") throws {
        while entries.count < count { try anchor("\(word)\(entries.count)") }
    }

    func note() throws -> SignedNote {
        try #require(Checkpoint(origin: origin, head: TreeHead(tree))).signed(with: identity)
    }

    func hashes(of number: Int) throws -> [UInt8] {
        let plan = try #require(ProofPlan.inclusion(of: UInt64(number), in: tree.size))
        let read = Dictionary(uniqueKeysWithValues: plan.places.map { ($0, stored[Int($0.position)]) })
        return try #require(plan.proof(of: read)).flatMap(\.bytes)
    }

    /// A range, as an honest node gives it.
    func range(_ numbers: Range<Int>) throws -> LogRange {
        LogRange(
            note: try note().bytes, start: UInt64(numbers.lowerBound), entries: entries[numbers].map(\.bytes),
            first: try hashes(of: numbers.lowerBound), last: try hashes(of: numbers.upperBound - 1))
    }

    func request(from start: Int) -> LogRangeRequest {
        LogRangeRequest(
            author: identity.did, origin: origin, start: UInt64(start), entriesMax: 512, entryBytesMax: 512 << 10)
    }
}
