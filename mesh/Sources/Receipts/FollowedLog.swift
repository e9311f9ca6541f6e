package import MerkleLog
import MeshTypes
package import Multiformats
package import SignedObjects

/// What a node keeps of another's log: its entries from the first on, under a head that the author signed.
///
/// A value that decides; the bytes of entries and hashes are in the store. Each range that it takes is proved to
/// continue what is kept, so nobody but the author can bring two histories into it, and the author only by signing the
/// proof of that.
package struct FollowedLog: Sendable {
    /// The bounds of what is taken at once.
    package struct Limits: Sendable {
        /// Entries of one range.
        package var entriesPerRangeMax: UInt64 = 512
        /// Bytes of the entries of one range; a first one that is longer comes alone.
        package var entryBytesPerRangeMax: UInt64 = 512 << 10
        /// Bytes of one entry: 64 blocks, 16 parents and 16 heads of others have room, and so does a proof of it.
        package var entryBytesMax = 5 << 10
        /// Bytes of a head with its cosignatures.
        package var noteBytesMax = 8 << 10

        /// The defaults.
        package init() {}
    }

    /// The name of the log.
    package let name: LogName
    /// The same as it is written.
    package let origin: ExactText
    /// The tree of the entries that are kept.
    package private(set) var tree: MerkleTree
    /// The bytes of those entries.
    package private(set) var byteCount: UInt64
    /// The signed head that they are the beginning of; nil before the first range.
    package private(set) var head: TreeHead?
    /// The note of that head, with its cosignatures.
    package private(set) var note: [UInt8]
    /// The proof that the last entry is in the tree of that head: what two histories are compared by.
    package private(set) var last: [UInt8]
    /// The last entry.
    package private(set) var lastEntry: CID?

    /// A log of which nothing is kept.
    package init?(origin: String) {
        guard let name = LogName(origin), name.scope == AnchorEntry.globalScope else { return nil }
        self.name = name
        self.origin = ExactText(origin)
        (tree, byteCount, head, note, last) = (MerkleTree(), 0, nil, [], [])
    }

    /// A log as it was stored; nil if its parts do not fit each other.
    package init?(
        origin: String, tree: MerkleTree, byteCount: UInt64, note: [UInt8], lastEntry: [UInt8], lastHashes: [UInt8]
    ) {
        self.init(origin: origin)
        let leaf = MerkleHash.leaf(CID.hashing(lastEntry, codec: .dagCBOR).bytes)
        guard tree.size > 0, let read = SignedNote(bytes: note), let checkpoint = Checkpoint(text: read.text),
            let hashes = Self.hashes(lastHashes),
            var shown = checkpoint.head.before(leaf, at: tree.size - 1, proof: hashes)
        else { return nil }
        _ = shown.append(leaf)
        guard shown == tree else { return nil }
        (self.tree, self.byteCount, head, self.note) = (tree, byteCount, checkpoint.head, note)
        last = Self.evidence(lastEntry, tree.size - 1, hashes, read, name)
        self.lastEntry = CID.hashing(lastEntry, codec: .dagCBOR)
    }

    /// Whether all entries under the head are here.
    package var isComplete: Bool { head?.size == tree.size }

    /// What came of a range.
    package enum Taken: Sendable {
        /// More entries, and what has to be stored before they count.
        case grown(FollowedLog, LogBatch)
        /// The giver has no entry that is not here.
        case nothingNew
        /// The author began the log again under this name.
        case begunAgain(String)
    }

    /// What a range that was asked for brings.
    ///
    /// - Parameters:
    ///   - range: what a peer answered.
    ///   - request: what was asked; more than that is a fault of the giver.
    ///   - limits: the bounds of a range.
    package func taking(
        _ range: LogRange, asked request: LogRangeRequest, limits: Limits = Limits()
    ) throws(LogRangeFault) -> Taken {
        guard range.note.count <= limits.noteBytesMax, let note = SignedNote(bytes: range.note),
            let checkpoint = Checkpoint.verified(note, by: name.author.publicKey),
            let other = LogName(checkpoint.origin), other.isOfOneLog(with: name)
        else { throw .giver("the head is not of the log that was asked for, or its author did not sign it") }
        guard ExactText(checkpoint.origin) == origin else {
            return other.isLater(than: name) ? .begunAgain(checkpoint.origin) : .nothingNew
        }
        if let fork = contradiction(by: note, range.note, checkpoint.head) { throw .fork(fork) }
        guard !range.entries.isEmpty else { return .nothingNew }
        let count = UInt64(range.entries.count)
        let bytes = range.entries.reduce(0) { $0 + UInt64($1.count) }
        guard range.start == tree.size, request.start == tree.size, count <= request.entriesMax,
            count <= checkpoint.head.size, range.start <= checkpoint.head.size - count,
            bytes <= request.entryBytesMax || count == 1,
            range.entries.allSatisfy({ $0.count <= limits.entryBytesMax })
        else { throw .giver("the range is not the one that was asked for") }
        guard let first = Self.hashes(range.first), let last = Self.hashes(range.last) else {
            throw .giver("its proofs do not read")
        }
        try checkStart(of: range, first, under: checkpoint.head, note)
        // What the first entry signs and what its proof shows are before it may be two histories.
        if let fork = LogFork(Self.evidence(range.entries[0], range.start, first, note, name)) { throw .fork(fork) }
        return try grown(by: range, last, bytes, under: checkpoint.head, note)
    }

    /// The first entry is proved to stand behind what is kept, or its author told two histories.
    private func checkStart(
        of range: LogRange, _ proof: [MerkleHash], under head: TreeHead, _ note: SignedNote
    ) throws(LogRangeFault) {
        let leaf = MerkleHash.leaf(CID.hashing(range.entries[0], codec: .dagCBOR).bytes)
        guard let before = head.before(leaf, at: range.start, proof: proof) else {
            throw .giver("its first entry is not proved to be under the head")
        }
        guard before != tree else { return }
        let other = Self.evidence(range.entries[0], range.start, proof, note, name)
        guard let fork = LogFork(last, other) else {
            // Its author signed a head over it, but it is no entry.
            throw .author("under its head stands something else than an entry of the log")
        }
        throw .fork(fork)
    }

    /// The log with the entries of a range behind its own.
    private func grown(
        by range: LogRange, _ proof: [MerkleHash], _ bytes: UInt64, under head: TreeHead, _ note: SignedNote
    ) throws(LogRangeFault) -> Taken {
        var (log, batch) = (self, LogBatch(origin: origin.text, author: name.author, start: range.start))
        for block in range.entries {
            let entry: SignedObject<AnchorEntry>
            do {
                entry = try SignedObject<AnchorEntry>(verifying: block)
            } catch {
                throw .giver("an entry does not verify: \(error)")
            }
            guard entry.did == name.author, name.mayHave(entry.body),
                entry.body.size.map({ $0 == log.tree.size }) ?? true,
                (entry.body.size == nil) == (entry.body.root == nil),
                entry.body.areHeadsInOrder
            else { throw .giver("an entry is of another log, of another number, or names heads as none may") }
            guard entry.body.root.map({ $0 == log.tree.root.bytes }) ?? true else {
                throw .giver("entry \(log.tree.size) is signed after other entries than came before it")
            }
            batch.entries.append(LogBatch.Entry(cid: entry.cid, bytes: block))
            batch.hashes += log.tree.append(.leaf(entry.cid.bytes)).map(\.bytes)
            log.lastEntry = entry.cid
        }
        let (number, block) = (log.tree.size - 1, range.entries[range.entries.count - 1])
        let leaf = MerkleHash.leaf(CID.hashing(block, codec: .dagCBOR).bytes)
        guard var shown = head.before(leaf, at: number, proof: proof) else {
            throw .giver("its last entry is not proved to be under the head")
        }
        _ = shown.append(leaf)
        let evidence = Self.evidence(block, number, proof, note, name)
        guard shown == log.tree else {
            throw LogFork(evidence).map { .fork($0) } ?? .giver("its entries are not all that the head has there")
        }
        (log.head, log.note, log.last) = (head, range.note, evidence)
        log.byteCount += bytes
        (batch.note, batch.lastHashes) = (range.note, range.last)
        return .grown(log, batch)
    }

    /// Whether a signed head contradicts what is kept, as far as that can be told from sizes that both have.
    package func contradiction(by note: SignedNote, _ bytes: [UInt8], _ other: TreeHead) -> LogFork? {
        guard let head, !last.isEmpty else { return nil }
        let isOther = other.size == head.size && other.root != head.root
        guard isOther || (other.size == tree.size && other.root != tree.root) else { return nil }
        return LogFork(last, Self.signedAlone(note, name).bytes)
    }

    /// The evidence that an entry is under a head, without the lines of others, which say nothing about it.
    private static func evidence(
        _ entry: [UInt8], _ number: UInt64, _ proof: [MerkleHash], _ note: SignedNote, _ name: LogName
    ) -> [UInt8] {
        LogProof(extra: entry, index: number, hashes: proof, note: signedAlone(note, name)).bytes
    }

    /// A note with the line of its log's author alone.
    package static func signedAlone(_ note: SignedNote, _ name: LogName) -> SignedNote {
        guard let checkpoint = Checkpoint(text: note.text),
            let key = NoteKey(name: checkpoint.origin, kind: .note, publicKey: name.author.publicKey)
        else { return note }
        return SignedNote(text: note.text, signatures: note.signatures.filter { $0.isOf(key) })
    }

    /// The hashes of a proof; nil if these are not so many times 32 bytes, or too many.
    static func hashes(_ bytes: [UInt8]) -> [MerkleHash]? {
        let length = MerkleHash.byteCount
        guard bytes.count % length == 0, bytes.count / length <= LogProof.hashesMax else { return nil }
        return stride(from: 0, to: bytes.count, by: length).compactMap {
            MerkleHash(bytes: Array(bytes[$0..<$0 + length]))
        }
    }
}

/// Entries that were taken of another's log, as they go to the disk, all or none.
package struct LogBatch: Sendable {
    /// One of the entries.
    package struct Entry: Hashable, Sendable {
        /// Its name, which is the leaf.
        package let cid: CID
        /// Its block.
        package let bytes: [UInt8]
    }

    /// The name of the log.
    package let origin: String
    /// Whose it is.
    package let author: DID
    /// The number of the first entry.
    package let start: UInt64
    /// The entries.
    package fileprivate(set) var entries: [Entry] = []
    /// The hashes of the subtrees that they complete, in the order of `HashPlace.position`.
    package fileprivate(set) var hashes: [[UInt8]] = []
    /// The signed head that they stand under.
    package fileprivate(set) var note: [UInt8] = []
    /// The proof that the last one does, 32 bytes a hash.
    package fileprivate(set) var lastHashes: [UInt8] = []
}

/// Why a range of a log is not taken.
package enum LogRangeFault: Error, Hashable, Sendable {
    /// Who gave it is to blame; a clause says for what.
    case giver(String)
    /// Its author is, who signed it.
    case author(String)
    /// Its author told two histories, and this proves it.
    case fork(LogFork)
}

extension LogRangeFault: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .giver(let what), .author(let what): what
        case .fork(let fork): "\(fork.author) told two histories: \(fork.place)"
        }
    }
}
