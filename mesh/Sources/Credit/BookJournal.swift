package import MeshTypes
import SignedObjects

/// What the entries of a book move, as double entry: the postings of each come to zero in each unit.
///
/// The balances of lines and of the issuer's own accounts are compared before and after an entry, so a journal says
/// what the book does and has no rules of its own.
package struct BookJournal: Sendable {
    /// What a posting changes.
    package enum Account: Hashable, Comparable, Sendable {
        /// An account of the issuer itself.
        case own(BookAccounts.Own, CreditUnit)
        /// The line of a member or of another issuer.
        case line(LineID)

        /// What its amounts are counted in.
        package var unit: CreditUnit {
            switch self {
            case .own(_, let unit): unit
            case .line(let line): line.unit
            }
        }

        package static func < (left: Account, right: Account) -> Bool {
            switch (left, right) {
            case (.own(let one, let unit), .own(let other, let otherUnit)):
                (one.rawValue, unit) < (other.rawValue, otherUnit)
            case (.line(let one), .line(let other)): one < other
            case (.own, .line): true
            case (.line, .own): false
            }
        }
    }

    /// What an account has more, or less, by an entry, in the smallest unit; or what it has.
    package struct Posting: Hashable, Sendable {
        /// The account.
        package let account: Account
        /// Above zero, the issuer owes more.
        package let amount: Int128
    }

    /// The book behind the last entry that was taken.
    package private(set) var book: IssuerBook
    /// The lines of each member.
    // BOUNDED: by `IssuerBook.Limits.linesMax`.
    private var lines: [DID: Set<LineID>] = [:]

    /// The journal of a book that was audited, behind its first entry.
    package init(opening entry: BookEntry, limits: IssuerBook.Limits = IssuerBook.Limits()) throws(ReplayFault) {
        book = try IssuerBook(opened: entry, limits, .stored)
    }

    /// Takes the next entry, and returns its postings; those of an entry that moves nothing are none.
    package mutating func take(_ entry: BookEntry) throws(ReplayFault) -> [Posting] {
        let parties = entry.event.parties(in: book)
        if let line = entry.event.openedLine { lines[line.did, default: []].insert(line) }
        let touched = accounts(of: parties)
        let before = touched.map(balance)
        try book.replay(entry, .stored)
        return zip(touched, before).compactMap { account, before in
            let amount = balance(of: account) - before
            return amount == 0 ? nil : Posting(account: account, amount: amount)
        }
    }

    /// All accounts that are not at zero.
    package var balances: [Posting] {
        accounts(of: lines.keys).compactMap { account in
            let amount = balance(of: account)
            return amount == 0 ? nil : Posting(account: account, amount: amount)
        }
    }

    private func accounts(of parties: some Sequence<DID>) -> [Account] {
        let touched = parties.flatMap { lines[$0] ?? [] }
        let units = Set(touched.map(\.unit))
        let own = units.flatMap { unit in BookAccounts.Own.allCases.map { Account.own($0, unit) } }
        return (own + touched.map(Account.line)).sorted()
    }

    private func balance(of account: Account) -> Int128 {
        switch account {
        case .own(let own, let unit): book.accounts.balance(of: own, unit)
        case .line(let line): Int128(book.accounts[line]?.balance ?? 0)
        }
    }
}
