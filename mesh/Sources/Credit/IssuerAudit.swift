package import MerkleLog
package import PeerIdentity
import SignedObjects

/// Whether an issuer's signed head, its commitments and the entries that were opened agree; or the first line that does
/// not.
///
/// A member sees its own entries, an auditor all: then they are replayed with every signature, so that the book is what
/// its evidence says, whatever the issuer did.
package struct IssuerAudit: Sendable {
    /// The first thing that does not agree.
    package enum Finding: Hashable, Sendable {
        /// The head is not one of this issuer's log.
        case headNotSigned
        /// The head has so many entries, and there are other many commitments.
        case sizeDiffers(UInt64)
        /// The commitments are not those of the head.
        case rootDiffers
        /// What was opened is not what the log commits to.
        case notCommitted(entry: UInt64)
        /// What was opened is no entry of this number.
        case notAnEntry(entry: UInt64)
        /// A book of its rules would not have taken it.
        case refused(ReplayFault)
    }

    /// What agrees.
    package struct Report: Sendable {
        /// The head.
        package let head: TreeHead
        /// How many entries were opened.
        package let opened: Int
        /// The book that they make; `nil` if they are not all.
        package let book: IssuerBook?
    }

    /// Holds head, commitments and openings against each other.
    ///
    /// - Parameters:
    ///   - note: the head.
    ///   - key: the issuer's key.
    ///   - commitments: all commitments of the log, in their order.
    ///   - openings: what was opened, by the entries' numbers, in their order.
    ///   - limits: the bounds of the book.
    package static func audit(
        head note: SignedNote, of key: PublicKey, commitments: [[UInt8]],
        openings: [(number: UInt64, opening: EntryOpening)], limits: IssuerBook.Limits = IssuerBook.Limits()
    ) -> Result<Report, Finding> {
        guard let checkpoint = Checkpoint.verified(note, by: key), checkpoint.origin == Issuer.logName(of: key.did)
        else { return .failure(.headNotSigned) }
        guard UInt64(commitments.count) == checkpoint.head.size else {
            return .failure(.sizeDiffers(checkpoint.head.size))
        }
        var tree = MerkleTree()
        for commitment in commitments { _ = tree.append(.leaf(commitment)) }
        guard tree.root == checkpoint.head.root else { return .failure(.rootDiffers) }
        var entries: [BookEntry] = []
        for (number, opening) in openings {
            guard number < checkpoint.head.size, commitments[Int(number)] == opening.commitment else {
                return .failure(.notCommitted(entry: number))
            }
            guard let entry = opening.read, entry.number == number else { return .failure(.notAnEntry(entry: number)) }
            entries.append(entry)
        }
        let isWhole = entries.enumerated().allSatisfy { UInt64($0) == $1.number } && entries.count == commitments.count
        guard isWhole else { return .success(Report(head: checkpoint.head, opened: entries.count, book: nil)) }
        do {
            let book = try IssuerBook(replaying: entries, limits: limits, origin: .arrived)
            guard book.issuer.publicKey == key else { return .failure(.headNotSigned) }
            return .success(Report(head: checkpoint.head, opened: entries.count, book: book))
        } catch {
            return .failure(.refused(error))
        }
    }
}

extension IssuerAudit.Finding: Error, CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .headNotSigned: "the head is not one that this issuer signed for its log"
        case .sizeDiffers(let size): "the head has \(size) entries, and there are other many commitments"
        case .rootDiffers: "the commitments are not those of the head"
        case .notCommitted(let entry): "the log commits to another entry \(entry)"
        case .notAnEntry(let entry): "what was opened is no entry \(entry)"
        case .refused(let fault): "\(fault)"
        }
    }
}
