package import MerkleLog
package import MeshTypes
import Multiformats
package import PeerIdentity
package import SignedObjects

/// An issuer: a book, and the log of commitments to its entries.
package struct Issuer: Sendable {
    /// The book.
    package private(set) var book: IssuerBook
    /// The tree of the log: a leaf is the commitment to the entry of its number.
    package private(set) var tree: MerkleTree
    private let salts: EntrySalts

    /// What an issuer did with an event: what has to be on its disk before anything follows from it.
    package enum Record: Sendable {
        /// A new entry.
        case entered(BookEntry, EntryOpening)
        /// It was the entry of this number before.
        case known(UInt64)
    }

    /// A new issuer, with the entry of its charter.
    package static func open(
        charter: [UInt8], salts: EntrySalts, limits: IssuerBook.Limits = IssuerBook.Limits()
    ) throws(BookRefusal) -> (issuer: Issuer, entry: BookEntry, opening: EntryOpening) {
        let book = try IssuerBook(opening: charter, limits: limits)
        let entry = BookEntry(number: 0, at: book.lastAt, event: .opened(charter: charter))
        var issuer = Issuer(book: book, tree: MerkleTree(), salts: salts)
        let opening = try issuer.log(entry)
        return (issuer, entry, opening)
    }

    /// The issuer of entries that it wrote.
    package init(
        replaying entries: [BookEntry], salts: EntrySalts, limits: IssuerBook.Limits = IssuerBook.Limits()
    ) throws(ReplayFault) {
        guard let first = entries.first else { throw ReplayFault(entry: 0, reason: .notOpened) }
        try self.init(replayingFirst: first, salts: salts, limits: limits)
        for entry in entries.dropFirst() { _ = try replay(entry) }
    }

    /// The issuer of the first entry that it wrote; `replay` has the others.
    package init(
        replayingFirst entry: BookEntry, salts: EntrySalts, limits: IssuerBook.Limits = IssuerBook.Limits()
    ) throws(ReplayFault) {
        self.init(book: try IssuerBook(opened: entry, limits, .stored), tree: MerkleTree(), salts: salts)
        _ = try logged(entry)
    }

    /// Takes the entry that it wrote next, and says how it can be opened to others.
    package mutating func replay(_ entry: BookEntry) throws(ReplayFault) -> EntryOpening {
        try book.replay(entry, .stored)
        return try logged(entry)
    }

    private mutating func logged(_ entry: BookEntry) throws(ReplayFault) -> EntryOpening {
        do {
            return try log(entry)
        } catch {
            throw ReplayFault(entry: entry.number, reason: .refused(error))
        }
    }

    /// How an entry can be opened to others.
    package func opening(of entry: BookEntry) throws(BookRefusal) -> EntryOpening { try salts.opening(of: entry) }

    private init(book: IssuerBook, tree: MerkleTree, salts: EntrySalts) {
        self.book = book
        self.tree = tree
        self.salts = salts
    }

    /// Takes an event into book and log, or says why not and changes nothing.
    package mutating func record(_ event: BookEvent, now: UnixMilliseconds) -> Result<Record, BookRefusal> {
        switch book.record(event, now: now) {
        case .failure(let refusal): return .failure(refusal)
        case .success(.known(let number)): return .success(.known(number))
        case .success(.entered(let entry)):
            do {
                return .success(.entered(entry, try log(entry)))
            } catch {
                preconditionFailure("an entry of blocks that were read cannot be written: \(error)")
            }
        }
    }

    private mutating func log(_ entry: BookEntry) throws(BookRefusal) -> EntryOpening {
        let opening = try salts.opening(of: entry)
        precondition(tree.size == entry.number, "entry \(entry.number) of a log of \(tree.size)")
        _ = tree.append(.leaf(opening.commitment))
        return opening
    }

    /// The promise that a hold is, of the entry that granted it; `nil` if it granted none, or the hold is over.
    package func certificate(of entry: BookEntry) throws(BookRefusal) -> HoldCertificate? {
        guard let block = entry.event.holdOrder else { return nil }
        let order: SignedObject<PaymentOrder> = try book.read(block, .stored)
        guard let hold = book.holds[order.bodyCID], hold.entry == entry.number, hold.isLive else { return nil }
        return HoldCertificate(
            issuerDID: book.issuer, charterCID: book.charterCID, holdCID: hold.id, debtorDID: hold.debtorDID,
            creditorDID: hold.creditorDID,
            amount: TokenAmount(hold.amount), unit: hold.creditorLine.unit, rate: hold.rate, terms: hold.terms,
            entry: hold.entry,
            commitment: try salts.opening(of: entry).commitment,
            loggedBy: hold.grantedAt.advanced(milliseconds: book.charter.logWithinMilliseconds))
    }

    /// The name of an issuer's log, which its heads begin with.
    package static func logName(of issuer: DID) -> String { IssuerLogName.of(issuer) }

    /// The signed head of the log.
    package func head(signedBy identity: Identity) throws(SigningError) -> SignedNote? {
        try Checkpoint(origin: Self.logName(of: book.issuer), head: TreeHead(tree))?.signed(with: identity)
    }
}
