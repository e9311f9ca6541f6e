import Collections
import MeshIdentity
import MeshTypes

/// A node's book: double entry, checked arithmetic, each entry at most once (PROTOCOL.md, "Ledger").
///
/// It is the fold of its entries. Posting the same entry again changes nothing; posting another entry under the same
/// key is refused. Accounts other than the two sources never run negative, so nothing is spent that is not there. The
/// sum over all accounts is zero at all times; `checkInvariants()` checks it the long way.
public struct Ledger: Sendable, Hashable {
    private struct Totals: Hashable, Sendable {
        var given: UInt64 = 0
        var taken: UInt64 = 0
    }

    private var totals: OrderedDictionary<LedgerAccount, Totals> = [:]
    private var posted: OrderedDictionary<String, LedgerEntry> = [:]

    /// An empty book.
    public init() {}

    /// The book that these entries make up; throws at the first entry that does not fit.
    public init(entries: some Sequence<LedgerEntry>) throws(LedgerRefusal) {
        for entry in entries { _ = try post(entry) }
    }

    /// What the node can spend.
    public var wallet: TokenAmount { balance(of: .wallet) }

    /// What is held for a job.
    public func escrow(of job: JobID) -> TokenAmount { balance(of: .escrow(job)) }

    /// What all holds have in them together.
    public var escrowTotal: TokenAmount {
        totals.reduce(.zero) { sum, row in
            guard case .escrow = row.key else { return sum }
            return sum.addingSaturated(TokenAmount(row.value.taken - row.value.given))
        }
    }

    /// What was ever issued to this node.
    public var issued: TokenAmount { TokenAmount(totals[.issuance]?.given ?? 0) }

    /// What was ever earned from payers.
    public var earned: TokenAmount {
        totals.reduce(.zero) { sum, row in
            guard case .income = row.key else { return sum }
            return sum.addingSaturated(TokenAmount(row.value.given))
        }
    }

    /// What was ever paid to executors.
    public var paid: TokenAmount {
        totals.reduce(.zero) { sum, row in
            guard case .paid = row.key else { return sum }
            return sum.addingSaturated(TokenAmount(row.value.taken))
        }
    }

    /// The balance of an account: what it took less what it gave; for the two sources, what they gave.
    public func balance(of account: LedgerAccount) -> TokenAmount {
        let row = totals[account] ?? Totals()
        return TokenAmount(account.isSource ? row.given - row.taken : row.taken - row.given)
    }

    /// All accounts that ever moved, sorted by name, with their balances.
    public var accounts: [(account: LedgerAccount, balance: TokenAmount)] {
        totals.keys.sorted().map { ($0, balance(of: $0)) }
    }

    /// All entries in the order in which they were posted.
    public var entries: [LedgerEntry] { Array(posted.values) }

    /// Whether an entry of this kind and subject was posted.
    public func hasPosted(_ kind: LedgerEntryKind, subject: String) -> Bool {
        posted["\(kind.rawValue)/\(subject)"] != nil
    }

    /// Why an entry cannot be posted now; `nil` when it can, or when it is there already.
    public func refusal(of entry: LedgerEntry) -> LedgerRefusal? {
        if let earlier = posted[entry.key] {
            return earlier == entry ? nil : .keyUsed(entry.key)
        }
        if entry.from == entry.to { return .sameAccount(entry.from.description) }
        let giving = totals[entry.from] ?? Totals()
        let taking = totals[entry.to] ?? Totals()
        if !entry.from.isSource {
            let available = giving.taken - giving.given
            if available < entry.amount.units {
                return .insufficient(
                    account: entry.from.description, available: TokenAmount(available), asked: entry.amount)
            }
        }
        if entry.to.isSource { return .intoSource(entry.to.description) }
        let overflows =
            giving.given.addingReportingOverflow(entry.amount.units).overflow
            || taking.taken.addingReportingOverflow(entry.amount.units).overflow
        return overflows ? .overflow(entry.key) : nil
    }

    /// Posts an entry; `false` when it was there already and nothing changed.
    @discardableResult
    public mutating func post(_ entry: LedgerEntry) throws(LedgerRefusal) -> Bool {
        if let refusal = refusal(of: entry) { throw refusal }
        if posted[entry.key] != nil { return false }
        posted[entry.key] = entry
        totals[entry.from, default: Totals()].given += entry.amount.units
        totals[entry.to, default: Totals()].taken += entry.amount.units
        return true
    }

    /// Recomputes every account from the entries and checks that the sum over all accounts is zero.
    public func checkInvariants() {
        var again: [LedgerAccount: Totals] = [:]
        var given: UInt64 = 0
        var taken: UInt64 = 0
        for entry in posted.values {
            again[entry.from, default: Totals()].given += entry.amount.units
            again[entry.to, default: Totals()].taken += entry.amount.units
        }
        for (account, row) in totals {
            precondition(again[account] == row, "account \(account) differs from the sum of its entries")
            precondition(account.isSource || row.taken >= row.given, "account \(account) is negative")
            given &+= row.given
            taken &+= row.taken
        }
        precondition(given == taken, "the book is out of balance: \(given) given, \(taken) taken")
    }
}

/// Why an entry cannot be posted.
public enum LedgerRefusal: Error, Hashable, Sendable {
    /// The account has less than that.
    case insufficient(account: String, available: TokenAmount, asked: TokenAmount)
    /// Another entry stands under this key.
    case keyUsed(String)
    /// The amounts would overflow.
    case overflow(String)
    /// Giver and taker are the same.
    case sameAccount(String)
    /// Tokens never go back into a source.
    case intoSource(String)
}

extension LedgerRefusal: CustomStringConvertible {
    /// One sentence without a full stop.
    public var description: String {
        switch self {
        case .insufficient(let account, let available, let asked):
            "\(account) has \(available) tokens, \(asked) are needed"
        case .keyUsed(let key): "another entry stands under \(key)"
        case .overflow(let key): "the amount of \(key) is too large"
        case .sameAccount(let account): "\(account) cannot pay itself"
        case .intoSource(let account): "\(account) takes nothing back"
        }
    }
}
