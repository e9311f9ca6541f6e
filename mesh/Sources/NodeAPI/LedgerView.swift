/// Which part of an issuer's book is asked for.
package struct LedgerQuery: Hashable, Sendable {
    /// The issuer's DID.
    package var issuer: String
    /// From which date on, in milliseconds since the Unix epoch; nil from the beginning.
    package var from: UInt64?
    /// Before which date; nil to the end.
    package var until: UInt64?
    /// Only entries behind this number.
    package var after: UInt64?

    /// The whole book.
    package init(issuer: String) { self.issuer = issuer }
}

/// A part of an issuer's book as double entry, replayed with every signature: in each unit, the postings of an entry
/// come to zero, and so do all balances.
package struct LedgerView: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// How many entries the head had that was replayed.
    package var size: UInt64
    /// All accounts that were not at zero before the first entry that is shown.
    package var opening: [PostingView]
    /// The entries that moved something, in their order.
    package var entries: [LedgerEntryView]
    /// The same as `opening` behind the last entry that is shown.
    package var closing: [PostingView]
    /// The CID of the trial balance that `closing` is, by which officers close a period; nil where there is more.
    package var balanceCID: String?
    /// The number behind which to ask for more; nil where nothing is left out.
    package var next: UInt64?

    package init(issuer: String, size: UInt64) {
        (self.issuer, self.size) = (issuer, size)
        (opening, entries, closing) = ([], [], [])
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, size, opening, entries, closing, next
        case balanceCID = "balance_cid"
    }
}

/// An entry of a book that moved something.
package struct LedgerEntryView: Hashable, Sendable, Codable {
    /// Its number in the book.
    package var number: UInt64
    /// When, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// What it is, by the name of the event or of the officers' action.
    package var kind: String
    /// The job that it pays for, by its ID; nil where there is none.
    package var jobID: String?
    /// What officers wrote.
    package var note: String?
    /// What it moved.
    package var postings: [PostingView]

    package init(number: UInt64, at: UInt64, kind: String, postings: [PostingView]) {
        (self.number, self.at, self.kind, self.postings) = (number, at, kind, postings)
    }

    private enum CodingKeys: String, CodingKey {
        case number, at, kind, note, postings
        case jobID = "job_id"
    }
}

/// What an account has, or has more or less by an entry.
package struct PostingView: Hashable, Sendable, Codable {
    /// What an account is.
    package enum Account: String, Hashable, Sendable, Codable, CaseIterable {
        /// The line of a member, or of another issuer.
        case line
        /// Fees and budgets that the issuer charged.
        case fees
        /// Debts that were written off.
        case losses
        /// What was paid in and out elsewhere.
        case cash
        /// What the issuer took in one unit and gave in another.
        case exchange
    }

    /// What the account is.
    package var account: Account
    /// Whose line; nil for an account of the issuer itself.
    package var did: String?
    /// In the smallest unit; above zero, the issuer owes it, or owes more.
    package var amount: Int64
    /// The name of the unit.
    package var unit: String
    /// Decimal places of the smallest unit.
    package var decimals: UInt64

    package init(account: Account, did: String?, amount: Int64, unit: String, decimals: UInt64) {
        (self.account, self.did, self.amount) = (account, did, amount)
        (self.unit, self.decimals) = (unit, decimals)
    }
}
