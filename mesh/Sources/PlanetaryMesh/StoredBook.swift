import Credit
import IPLD
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// An issuer's book as its disk has it, held against what it was when it was written.
struct StoredBook {
    /// The book, and the tree of its log.
    private(set) var issuer: Issuer
    /// The lines of each member.
    // BOUNDED: by `IssuerBook.Limits.linesMax`.
    private(set) var lines: [DID: Set<LineID>] = [:]
    /// The secret from which the salts of its entries follow.
    let secret: [UInt8]
    /// Whether the home was restored from a backup.
    let isRestored: Bool

    /// Reads a book; nil where the disk has none.
    ///
    /// - Throws: a sentence that names the first entry that is damaged, or the table.
    static func read(
        of did: DID, in store: MeshStore, _ limits: IssuerDesk.Limits
    ) async throws(NodeServiceError) -> StoredBook? {
        let row = try await stored { () throws(MeshStoreError) in try await IssuerRow.read(in: store) }
        guard let row else { return nil }
        let salts = EntrySalts(secret: row.secret)
        var (book, next) = (StoredBook?.none, UInt64(0))
        while next < row.size {
            let start = next
            let page = try await stored { () throws(MeshStoreError) in
                try await IssuerEntryRow.entries(
                    from: start, limit: limits.replayedAtOnceMax, bytesMax: limits.replayedBytesMax, in: store)
            }
            if page.isEmpty { throw damaged("entry \(next) is missing") }
            for entry in page {
                guard entry.number == next else { throw damaged("entry \(next) is missing") }
                if book == nil {
                    book = StoredBook(issuer: try begin(entry, salts, limits.book), row)
                } else {
                    try book?.replay(entry, salts)
                }
                next += 1
            }
        }
        guard let book, book.issuer.tree.size == row.size, book.issuer.tree.root.bytes == row.root else {
            throw damaged("its entries are not those that were written")
        }
        guard book.issuer.book.issuer == did else { throw damaged("it is the book of \(book.issuer.book.issuer)") }
        return book
    }

    private init(issuer: Issuer, _ row: IssuerRow) {
        (self.issuer, secret, isRestored) = (issuer, row.secret, row.isRestored)
    }

    private static func begin(
        _ row: IssuerEntryRow, _ salts: EntrySalts, _ limits: IssuerBook.Limits
    ) throws(NodeServiceError) -> Issuer {
        let entry = try read(row, salts)
        do throws(ReplayFault) {
            let issuer = try Issuer(replayingFirst: entry, salts: salts, limits: limits)
            guard (try? salts.opening(of: entry))?.commitment == row.commitment else {
                throw ReplayFault(entry: row.number, reason: .outOfOrder)
            }
            return issuer
        } catch {
            throw damaged("\(error)")
        }
    }

    private mutating func replay(_ row: IssuerEntryRow, _ salts: EntrySalts) throws(NodeServiceError) {
        let entry = try Self.read(row, salts)
        do throws(ReplayFault) {
            guard try issuer.replay(entry).commitment == row.commitment else {
                throw ReplayFault(entry: row.number, reason: .outOfOrder)
            }
        } catch {
            throw Self.damaged("\(error)")
        }
        if let line = entry.event.openedLine { lines[line.did, default: []].insert(line) }
    }

    private static func read(_ row: IssuerEntryRow, _ salts: EntrySalts) throws(NodeServiceError) -> BookEntry {
        guard let entry = EntryOpening(salt: salts.salt(of: row.number), entry: row.entry).read else {
            throw damaged("entry \(row.number) does not read")
        }
        return entry
    }

    private static func damaged(_ what: String) -> NodeServiceError {
        NodeServiceError(
            .storageFailed, "The book of this issuer is damaged: \(what).",
            hint: "Keep the home folder as it is, and never start an old copy of it: it would contradict what members "
                + "hold. mesh restore makes a home of a backup, which shows the book; a new issuer goes on from there."
        )
    }

    // MARK: Pages

    /// Entries from a number on, sealed for witnesses; nil if what is on the disk is not what the log has.
    static func batch(
        from start: UInt64, below end: UInt64, in term: BookTerm, by seal: BookSeal, _ store: MeshStore
    ) async -> ReplicaBatch? {
        let rows = try? await IssuerEntryRow.entries(
            from: start, below: end, limit: ReplicaBatch.Limits.entriesMax, bytesMax: ReplicaBatch.Limits.bytesMax,
            in: store)
        var batch = ReplicaBatch(start: start, entries: [])
        for row in rows ?? [] {
            let entry = seal.seal(row.entry, number: row.number, in: term)
            guard row.number == batch.end, let entry, entry.commitment == row.commitment else { return nil }
            batch.entries.append(entry)
            if !batch.isPossible { return ReplicaBatch(start: start, entries: Array(batch.entries.dropLast())) }
        }
        return batch
    }

    // MARK: Writes

    /// The write of an entry into a log with a tree.
    static func write(
        of entry: BookEntry, _ opening: EntryOpening, parties: [String], in tree: MerkleTree
    ) -> IssuerWrite {
        var tree = tree
        let commitment = opening.commitment
        let hashes = tree.append(.leaf(commitment)).map(\.bytes)
        return .entered(
            IssuerEntryRow(number: entry.number, entry: opening.entry, commitment: commitment), parties: parties,
            hashes: hashes, root: tree.root.bytes)
    }
}
