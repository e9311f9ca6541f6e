package import MeshTypes

/// The lines of a book and the accounts of its issuer: what moves is taken from one and added to another, so that all
/// of a unit always add up to zero.
package struct BookAccounts: Hashable, Sendable {
    /// An account of the issuer itself, one in each unit.
    package enum Own: String, Hashable, Sendable, CaseIterable {
        /// Fees and budgets that were charged.
        case fees
        /// Debts that were written off; below zero by these.
        case losses
        /// What was paid in and out elsewhere; below zero by what came in.
        case cash
        /// What the issuer took in one unit and gave in another.
        case exchange
    }

    private struct OwnID: Hashable, Sendable {
        let account: Own
        let unit: CreditUnit
    }

    private var lines: [LineID: CreditLine] = [:]
    private var own: [OwnID: Int128] = [:]

    package init() {}

    /// How many lines there are.
    package var count: Int { lines.count }
    /// All lines, sorted.
    package var sorted: [(id: LineID, line: CreditLine)] { lines.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

    /// A line.
    package subscript(id: LineID) -> CreditLine? { lines[id] }

    /// What an account of the issuer has.
    package func balance(of account: Own, _ unit: CreditUnit) -> Int128 {
        own[OwnID(account: account, unit: unit)] ?? 0
    }

    /// Whether a line is that of another issuer, whose book has it, too: only holds across move it here, and officers.
    func isIssuer(_ line: LineID) -> Bool { lines[line]?.isIssuer ?? false }

    func check(_ amount: UInt64, leaves line: LineID, onCredit: Bool = true) throws(BookRefusal) {
        guard let found = lines[line] else { throw .noLine }
        let most = onCredit ? found.spendable : min(found.owed, found.spendable)
        if amount > most { throw .insufficient(spendable: most) }
    }

    func check(_ amount: UInt64, comesTo line: LineID) throws(BookRefusal) {
        guard let found = lines[line] else { throw .noLine }
        if amount > found.room { throw .noRoom(room: found.room) }
    }

    mutating func limit(_ id: LineID, owedMax: TokenAmount, owingMax: TokenAmount) -> Bool {
        guard lines[id] != nil else {
            lines[id] = CreditLine(owedMax: owedMax, owingMax: owingMax)
            return true
        }
        return lines[id]?.limit(owedMax: owedMax, owingMax: owingMax) ?? false
    }

    mutating func freeze(_ id: LineID, _ isFrozen: Bool) { lines[id]?.isFrozen = isFrozen }

    /// Gives all that a line has, and what is reserved on it, to a new one; the old one takes and gives nothing.
    mutating func move(_ id: LineID, to new: LineID) {
        precondition(lines[new] == nil, "\(new) has a line")
        lines[new] = lines[id]
        lines[new]?.isFrozen = false
        lines[id] = CreditLine(owedMax: .zero, owingMax: .zero)
        lines[id]?.isFrozen = true
    }

    /// Whether no line owes or is owed anything.
    var areSettled: Bool { lines.values.allSatisfy { $0.balance == 0 } }

    /// The issuer's own accounts that are not at zero, sorted.
    var ownSorted: [(account: Own, unit: CreditUnit, balance: Int128)] {
        own.map { ($0.key.account, $0.key.unit, $0.value) }
            .sorted { ($0.account.rawValue, $0.unit) < ($1.account.rawValue, $1.unit) }
    }

    mutating func mark(_ id: LineID, isIssuer: Bool) { lines[id]?.isIssuer = isIssuer }

    mutating func pay(_ debit: UInt64, from debtor: LineID, _ credit: UInt64, to creditor: LineID) {
        lines[debtor]?.give(debit)
        lines[creditor]?.take(credit)
        guard debtor.unit != creditor.unit else {
            precondition(debit == credit, "\(debit) given and \(credit) taken of one unit")
            return
        }
        change(.exchange, debtor.unit, by: Int128(debit))
        change(.exchange, creditor.unit, by: -Int128(credit))
    }

    mutating func charge(_ amount: UInt64, from debtor: LineID, to account: Own) {
        lines[debtor]?.give(amount)
        change(account, debtor.unit, by: Int128(amount))
    }

    mutating func give(_ amount: UInt64, to creditor: LineID, from account: Own) {
        lines[creditor]?.take(amount)
        change(account, creditor.unit, by: -Int128(amount))
    }

    mutating func reserve(_ hold: Hold) {
        lines[hold.debtorLine]?.reserve(leaving: hold.reserved)
        lines[hold.creditorLine]?.reserve(coming: hold.amount)
    }

    mutating func release(_ hold: Hold) {
        lines[hold.debtorLine]?.release(leaving: hold.reserved)
        lines[hold.creditorLine]?.release(coming: hold.amount)
    }

    private mutating func change(_ account: Own, _ unit: CreditUnit, by amount: Int128) {
        let sum = balance(of: account, unit) + amount
        own[OwnID(account: account, unit: unit)] = sum == 0 ? nil : sum
    }

    /// Stops the process if a line exceeds its limits, what is reserved is not that of the holds, or a unit does not
    /// add up to zero.
    package func checkInvariants(holds: some Sequence<Hold>) {
        var (leaving, coming): ([LineID: UInt64], [LineID: UInt64]) = ([:], [:])
        for hold in holds where hold.isLive {
            leaving[hold.debtorLine, default: 0] += hold.reserved
            coming[hold.creditorLine, default: 0] += hold.amount
        }
        var sums: [CreditUnit: Int128] = [:]
        for (id, line) in lines {
            line.checkInvariants(id)
            precondition(line.leaving == leaving[id] ?? 0, "\(id) has \(line.leaving) reserved, its holds another sum")
            precondition(line.coming == coming[id] ?? 0, "\(id) awaits \(line.coming), its holds another sum")
            sums[id.unit, default: 0] += Int128(line.balance)
        }
        for (id, balance) in own { sums[id.unit, default: 0] += balance }
        for (unit, sum) in sums { precondition(sum == 0, "\(unit) is out of balance by \(sum)") }
    }
}
