package import MeshTypes
import SignedObjects

/// A node's ledger: double entry, checked arithmetic, each entry at most once.
///
/// It is the fold of its entries. Posting a kept entry again changes nothing; the ledger refuses another entry under
/// the same key. Only the sources may run negative, so nobody spends what is not there. The sum over all accounts is
/// always zero; `checkInvariants()` recomputes it.
///
/// The ledger does not keep its entries for ever: `fold` adds some of them to the opening balances, one number per
/// account, and forgets them with their keys. So its owner folds only what cannot come again; the market does so when
/// it forgets a closed job. The ledger drops an account at zero, so the hold of a job vanishes when it is settled.
/// Beyond the limit of counterparties it moves the smaller half of their opening balances into `paidToOthers` and
/// `incomeFromOthers`. Every sum stays as it is, but the balance of such a counterparty counts only from then on.
package struct Ledger: Sendable, Hashable {
    /// The bounds of a book.
    package struct Limits: Hashable, Sendable {
        /// Executors and payers with opening balances of their own; beyond this, half of them are merged.
        package var counterpartiesMax = 4096

        /// The standard bounds.
        package init() {}
    }

    /// The most that may ever come from the sources together: the largest integer of a store.
    package static let broughtMax = TokenAmount(UInt64(Int64.max))

    private struct Posted: Hashable, Sendable {
        let entry: LedgerEntry
        let order: UInt64
    }

    private let limits: Limits
    private var posted: [LedgerEntry.Key: Posted] = [:]
    private var postings: UInt64 = 0
    /// What accounts received less what they gave, by forgotten entries; none is zero.
    private var opening: [LedgerAccount: Int128] = [:]
    private var openCounterparties = 0
    /// What accounts have (sources: gave), by all entries; none is zero.
    private var balances: [LedgerAccount: UInt64] = [:]
    private var brought: UInt64 = 0
    private var escrowUnits: UInt64 = 0
    private var paidUnits: UInt64 = 0

    /// An empty book.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// The ledger of these entries; throws at the first entry that does not fit.
    package init(entries: some Sequence<LedgerEntry>, limits: Limits = Limits()) throws(LedgerRefusal) {
        self.init(limits: limits)
        for entry in entries { _ = try post(entry) }
    }

    /// The ledger as a store has it.
    ///
    /// - Parameters:
    ///   - balances: what each account received less what it gave, by everything ever booked.
    ///   - entries: the entries to keep; the balances contain them.
    ///   - limits: the bounds of the book.
    package init(
        balances stored: some Sequence<(account: LedgerAccount, balance: Int64)>,
        entries: some Sequence<LedgerEntry>, limits: Limits = Limits()
    ) throws(LedgerRefusal) {
        self.init(limits: limits)
        var sum: Int128 = 0
        for (account, balance) in stored where balance != 0 {
            guard account.isSource == (balance < 0), balances[account] == nil else {
                throw .contradiction("\(account) cannot have \(balance)")
            }
            change(account, by: Int128(balance))
            changeOpening(of: account, by: Int128(balance))
            sum += Int128(balance)
        }
        guard sum == 0 else { throw .contradiction("the accounts add up to \(sum) instead of zero") }
        for entry in entries {
            guard posted[entry.key] == nil else { throw .keyUsed(entry.key.description) }
            keep(entry)
            changeOpening(of: entry.from, by: Int128(entry.amount.units))
            changeOpening(of: entry.to, by: -Int128(entry.amount.units))
        }
        let isWhole = opening.allSatisfy { account, balance in
            account.others == nil || account.isSource == (balance < 0)
        }
        guard isWhole, brought <= Self.broughtMax.units else {
            throw .contradiction("the accounts do not have what the entries gave them")
        }
        gatherOthers()
    }

    /// What the node can spend.
    package var wallet: TokenAmount { balance(of: .wallet) }

    /// What is held for a job.
    package func escrow(of job: JobID) -> TokenAmount { balance(of: .escrow(job)) }

    /// What all holds contain together.
    package var escrowTotal: TokenAmount { TokenAmount(escrowUnits) }

    /// What was ever issued to this node.
    package var issued: TokenAmount { balance(of: .issuance) }

    /// What was ever earned from payers.
    package var earned: TokenAmount { TokenAmount(brought - issued.units) }

    /// What was ever paid to executors.
    package var paid: TokenAmount { TokenAmount(paidUnits) }

    /// The balance of an account: what it received less what it gave; for sources, what they gave.
    package func balance(of account: LedgerAccount) -> TokenAmount { TokenAmount(balances[account] ?? 0) }

    /// All accounts with a balance, sorted by name.
    package var accounts: [(account: LedgerAccount, balance: TokenAmount)] {
        balances.keys.sorted().map { ($0, balance(of: $0)) }
    }

    /// The kept entries, in the order of posting.
    package var entries: [LedgerEntry] {
        posted.values.sorted { $0.order < $1.order }.map(\.entry)
    }

    /// The number of kept entries.
    package var entryCount: Int { posted.count }

    /// Whether an entry of this kind and subject is kept.
    package func hasPosted(_ kind: LedgerEntryKind, subject: String) -> Bool {
        posted[LedgerEntry.Key(kind, subject)] != nil
    }

    /// Why an entry cannot be posted now; `nil` if it can, or is there already.
    package func refusal(of entry: LedgerEntry) -> LedgerRefusal? {
        if let earlier = posted[entry.key]?.entry {
            return earlier == entry ? nil : .keyUsed(entry.key.description)
        }
        if entry.from == entry.to { return .sameAccount(entry.from.description) }
        if !entry.from.isSource {
            let available = balance(of: entry.from)
            if available < entry.amount {
                return .insufficient(account: entry.from.description, available: available, asked: entry.amount)
            }
        }
        if entry.to.isSource { return .intoSource(entry.to.description) }
        guard entry.from.isSource else { return nil }
        // All tokens come from the sources, so no other sum can overflow before this one.
        let (sum, overflow) = brought.addingReportingOverflow(entry.amount.units)
        return overflow || sum > Self.broughtMax.units ? .overflow(entry.key.description) : nil
    }

    /// Posts an entry; `false` if it was there already and nothing changed.
    @discardableResult
    package mutating func post(_ entry: LedgerEntry) throws(LedgerRefusal) -> Bool {
        if let refusal = refusal(of: entry) { throw refusal }
        if posted[entry.key] != nil { return false }
        keep(entry)
        change(entry.from, by: -Int128(entry.amount.units))
        change(entry.to, by: Int128(entry.amount.units))
        return true
    }

    /// Adds kept entries to the opening balances and forgets them; ignores other keys.
    package mutating func fold(_ keys: some Sequence<LedgerEntry.Key>) {
        for key in keys {
            guard let entry = posted.removeValue(forKey: key)?.entry else { continue }
            changeOpening(of: entry.from, by: -Int128(entry.amount.units))
            changeOpening(of: entry.to, by: Int128(entry.amount.units))
        }
        gatherOthers()
    }

    private mutating func keep(_ entry: LedgerEntry) {
        posted[entry.key] = Posted(entry: entry, order: postings)
        postings += 1
    }

    /// Changes the balance of an account, and the sums that include it.
    private mutating func change(_ account: LedgerAccount, by amount: Int128) {
        let units = UInt64(clamping: Int128(balances[account] ?? 0) + (account.isSource ? -amount : amount))
        balances[account] = units == 0 ? nil : units
        switch account {
        case .issuance, .income, .incomeFromOthers: brought = UInt64(clamping: Int128(brought) - amount)
        case .escrow: escrowUnits = UInt64(clamping: Int128(escrowUnits) + amount)
        case .paid, .paidToOthers: paidUnits = UInt64(clamping: Int128(paidUnits) + amount)
        case .wallet: break
        }
    }

    private mutating func changeOpening(of account: LedgerAccount, by amount: Int128) {
        let before = opening[account]
        let after = (before ?? 0) + amount
        opening[account] = after == 0 ? nil : after
        if account.others != nil { openCounterparties += (after == 0 ? 0 : 1) - (before == nil ? 0 : 1) }
    }

    /// Keeps the larger half of the counterparties when there are too many. The same balances give the same choice, so
    /// a replay gives the same ledger.
    private mutating func gatherOthers() {
        guard openCounterparties > limits.counterpartiesMax else { return }
        let rows = opening.compactMap { account, balance in
            account.others.map { (account: account, others: $0, balance: balance, name: account.description) }
        }.sorted { ($0.balance.magnitude, $0.name) < ($1.balance.magnitude, $1.name) }
        for row in rows.dropLast(limits.counterpartiesMax / 2) {
            for (account, amount) in [(row.account, -row.balance), (row.others, row.balance)] {
                changeOpening(of: account, by: amount)
                change(account, by: amount)
            }
        }
    }

    /// Recomputes every account from the opening balances and the entries, and checks that the sum over all accounts
    /// is zero.
    package func checkInvariants() {
        var again = opening
        for row in posted.values {
            again[row.entry.from, default: 0] -= Int128(row.entry.amount.units)
            again[row.entry.to, default: 0] += Int128(row.entry.amount.units)
        }
        var sums = (all: Int128(0), brought: Int128(0), escrow: Int128(0), paid: Int128(0))
        for (account, balance) in again {
            precondition(account.isSource ? balance <= 0 : balance >= 0, "account \(account) is at \(balance)")
            let units = Int128(balances[account] ?? 0)
            precondition(units == Int128(balance.magnitude), "account \(account) differs from its entries")
            sums.all += balance
            switch account {
            case .issuance, .income, .incomeFromOthers: sums.brought -= balance
            case .escrow: sums.escrow += balance
            case .paid, .paidToOthers: sums.paid += balance
            case .wallet: break
            }
        }
        precondition(balances.keys.allSatisfy { again[$0] != nil }, "an account has something that no entry gave it")
        precondition(sums.all == 0, "the book is out of balance by \(sums.all)")
        precondition(
            (sums.brought, sums.escrow, sums.paid) == (Int128(brought), Int128(escrowUnits), Int128(paidUnits)),
            "the sums differ from the accounts: \(sums)")
        let counterparties = opening.keys.count { $0.others != nil }
        precondition(counterparties == openCounterparties, "counted \(openCounterparties) of \(counterparties)")
        precondition(counterparties <= limits.counterpartiesMax, "\(counterparties) counterparties are told apart")
    }
}

/// Why an entry cannot be posted.
package enum LedgerRefusal: Error, Hashable, Sendable {
    /// The account has less than the amount.
    case insufficient(account: String, available: TokenAmount, asked: TokenAmount)
    /// Another entry stands under this key.
    case keyUsed(String)
    /// The amounts would overflow.
    case overflow(String)
    /// Giver and taker are the same.
    case sameAccount(String)
    /// Tokens never go back into a source.
    case intoSource(String)
    /// The balances from a store cannot be those of a ledger.
    case contradiction(String)
}

extension LedgerRefusal: CustomStringConvertible {
    /// One sentence without a full stop.
    package var description: String {
        switch self {
        case .insufficient(let account, let available, let asked):
            "\(account) has \(available) tokens, \(asked) are needed"
        case .keyUsed(let key): "another entry stands under \(key)"
        case .overflow(let key): "the amount of \(key) is too large"
        case .sameAccount(let account): "\(account) cannot pay itself"
        case .intoSource(let account): "\(account) takes nothing back"
        case .contradiction(let reason): reason
        }
    }
}
