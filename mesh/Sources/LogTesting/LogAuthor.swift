package import MerkleLog
import MeshStore
package import MeshTypes
import Multiformats
import NodeAPI
package import PeerIdentity
package import Receipts
package import SignedObjects

/// An author with a log and all its hashes, for tests and benchmarks; a copy of it can go on otherwise.
package struct LogAuthor: Sendable {
    /// Who signs the entries.
    package let identity: Identity
    /// The date in the name of the log; nil for the first log of a key.
    package var openedAt: UnixMilliseconds?
    /// The tree of the entries.
    package private(set) var tree = MerkleTree()
    /// The signed entries, in their order.
    package private(set) var entries: [SignedObject<AnchorEntry>] = []
    private var stored: [MerkleHash] = []

    package init(_ identity: Identity = .generate()) { self.identity = identity }

    /// An author whose key follows from a byte, the same one at each run.
    package init(seed: UInt8) throws { identity = try Identity(seed: [UInt8](repeating: seed, count: 32)) }

    /// The name of the log.
    package var origin: String { AnchorEntry.logName(of: identity.did, scope: "global", openedAt: openedAt) }

    /// Appends an entry that anchors the CID of a text; `change` may make another one of it before it is signed.
    package mutating func anchor(_ text: String, _ change: (inout AnchorEntry) -> Void = { _ in }) throws {
        var entry = AnchorEntry(
            nodeDID: identity.did, parents: [], payload: [CID.hashing(Array(text.utf8), codec: .dagCBOR)],
            scope: "global", height: tree.size, recordedAt: UnixMilliseconds(tree.size), size: tree.size,
            root: tree.root.bytes, openedAt: openedAt)
        change(&entry)
        let signed = try SignedObject.sign(entry, with: identity)
        entries.append(signed)
        stored += tree.append(.leaf(signed.cid.bytes))
    }

    /// Appends entries until there are so many.
    package mutating func grow(to count: Int, _ word: String = "") throws {
        while entries.count < count { try anchor("\(word)\(entries.count)") }
    }

    /// The signed head of all entries.
    package func note() throws -> SignedNote {
        guard let checkpoint = Checkpoint(origin: origin, head: TreeHead(tree)) else { throw Fault.noHead }
        return try checkpoint.signed(with: identity)
    }

    /// The proof that the entry of a number is under the head, 32 bytes a hash.
    package func hashes(of number: Int) throws -> [UInt8] {
        guard let plan = ProofPlan.inclusion(of: UInt64(number), in: tree.size) else { throw Fault.noEntry(number) }
        let read = Dictionary(uniqueKeysWithValues: plan.places.map { ($0, stored[Int($0.position)]) })
        guard let proof = plan.proof(of: read) else { throw Fault.noEntry(number) }
        return proof.flatMap(\.bytes)
    }

    /// A range, as an honest node gives it.
    package func range(_ numbers: Range<Int>) throws -> LogRange {
        LogRange(
            note: try note().bytes, start: UInt64(numbers.lowerBound), entries: entries[numbers].map(\.bytes),
            first: try hashes(of: numbers.lowerBound), last: try hashes(of: numbers.upperBound - 1))
    }

    /// What a reader asks for that has everything before `start`.
    package func request(from start: Int) -> LogRangeRequest {
        LogRangeRequest(
            author: identity.did, origin: origin, start: UInt64(start), entriesMax: 512, entryBytesMax: 512 << 10)
    }

    /// What an honest node answers.
    package func answer(_ request: LogRangeRequest) throws -> LogRange {
        let start = Int(request.start)
        guard request.author == identity.did, start < entries.count else {
            return LogRange(note: try note().bytes, start: request.start)
        }
        return try range(start..<min(entries.count, start + Int(request.entriesMax)))
    }

    /// Puts the log into the home of a node that has not started yet.
    package func write(to path: String) async throws {
        let home = NodeHome(path: path)
        if let reason = try home.create() { throw Fault.noHome(reason) }
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

    /// What whoever uses it did wrong.
    package enum Fault: Error, CustomStringConvertible {
        /// The name makes no checkpoint.
        case noHead
        /// There is no entry of that number.
        case noEntry(Int)
        /// The folder is no home for a node, and why.
        case noHome(String)

        /// A clause.
        package var description: String {
            switch self {
            case .noHead: "the log's name makes no checkpoint"
            case .noEntry(let number): "the log has no entry \(number)"
            case .noHome(let reason): reason
            }
        }
    }
}
