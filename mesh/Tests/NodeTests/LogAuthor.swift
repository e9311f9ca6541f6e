import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import Receipts
import SignedObjects
import Testing

/// An author with a log and all its hashes; a copy of it can go on otherwise.
struct LogAuthor {
    let identity: Identity
    var openedAt: UnixMilliseconds?
    private(set) var tree = MerkleTree()
    private(set) var entries: [SignedObject<AnchorEntry>] = []
    private var stored: [MerkleHash] = []

    init(_ identity: Identity = .generate()) { self.identity = identity }

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

    /// What an honest node answers.
    func answer(_ request: LogRangeRequest) throws -> LogRange {
        let start = Int(request.start)
        guard request.author == identity.did, start < entries.count else {
            return LogRange(note: try note().bytes, start: request.start)
        }
        return try range(start..<min(entries.count, start + Int(request.entriesMax)))
    }

    /// Puts the log into the home of a node that has not started yet.
    func write(to path: String) async throws {
        let home = NodeHome(path: path)
        #expect(try home.create() == nil)
        let store = try MeshStore(path: home.databasePath, owner: identity.did.text)
        var (tree, writes) = (MerkleTree(), [StoreWrite]())
        for (number, entry) in entries.enumerated() {
            let hashes = tree.append(.leaf(entry.cid.bytes)).map(\.bytes)
            writes.append(
                .anchored(
                    AnchoredRow(
                        number: UInt64(number), entry: entry.cid, bytes: entry.bytes, payload: entry.body.payload,
                        hashes: hashes)))
        }
        try await store.commit(writes)
        try store.close()
    }
}
