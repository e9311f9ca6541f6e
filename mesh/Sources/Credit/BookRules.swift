package import MeshTypes
package import Multiformats
package import SignedObjects

/// What the officers of a book ordered, beside what lines have: who sees all of it, what units cost, which accounts
/// have another key, which time is closed, and whether the book ends.
///
/// It says whether an order is one of enough officers, and carries out those that need no more of the book than its
/// accounts.
package struct BookRules: Hashable, Sendable {
    /// From which unit to which a rate is.
    private struct UnitPair: Hashable, Sendable {
        let debtor: CreditUnit
        let creditor: CreditUnit
    }

    /// The time that was closed last.
    package struct ClosedPeriod: Hashable, Sendable {
        /// The midnight before which it is.
        package let until: UnixMilliseconds
        /// The CID of the `TrialBalance` at that midnight.
        package let balance: CID
        /// The entry that closed it.
        package let entry: UInt64
    }

    /// The end of a book, from its beginning on.
    package struct WindingDown: Hashable, Sendable {
        /// When it began.
        package let since: UnixMilliseconds
        /// Whose book may take over what is left.
        package let successor: DID?
        /// When the book ended; nil while it winds down.
        package fileprivate(set) var endedAt: UnixMilliseconds?
    }

    /// Who is shown all entries.
    package private(set) var auditors: Set<DID> = []
    /// The highest number of an order.
    package private(set) var lastOrder: UInt64 = 0
    /// What debtors of a unit pay at least for another.
    private var rates: [UnitPair: CreditRate] = [:]
    /// Where the accounts of lines are now whose keys were lost.
    // BOUNDED: by `IssuerBook.Limits.linesMax`: each is a line, too.
    private var moved: [LineID: LineID] = [:]
    /// The time that was closed last; nil while none is.
    package private(set) var closed: ClosedPeriod?
    /// The end of the book; nil while it goes on.
    package private(set) var winding: WindingDown?

    /// What debtors of a unit pay at least for another; nil while the officers ordered nothing about these.
    func rate(of debtor: CreditUnit, for creditor: CreditUnit) -> CreditRate? {
        rates[UnitPair(debtor: debtor, creditor: creditor)]
    }

    /// Whether a line's account has another key now.
    func isMoved(_ line: LineID) -> Bool { moved[line] != nil }

    /// The line that has the account of a line now.
    func current(_ line: LineID) -> LineID {
        var line = line
        while let next = moved[line] { line = next }
        return line
    }

    /// The keys that had the account of a line before: about what is theirs no more they have no say either.
    func formerKeys(of line: LineID) -> [DID] {
        moved.keys.filter { $0.unit == line.unit && current($0) == current(line) }.map(\.did)
    }

    /// Refuses everything once the book has ended.
    func checkNotEnded() throws(BookRefusal) { if winding?.endedAt != nil { throw .ended } }

    /// Whether an order is the next, and enough officers approve it whose lines it does not move.
    func check(
        _ order: OfficerOrder, _ approvals: [[UInt8]], owners: [DID], _ charter: IssuerCharter, _ at: UnixMilliseconds,
        _ origin: BlockOrigin
    ) throws(BookRefusal) {
        guard order.number > lastOrder, order.number - lastOrder <= OfficerOrder.numberStepMax else {
            throw .orderNumber(last: lastOrder)
        }
        guard approvals.count <= OfficerOrder.approvalsMax else { throw .tooMany(.approvals) }
        var approvers: Set<DID> = []
        for block in approvals {
            let approval: SignedObject<Approval>
            do {
                approval = try SignedObject<Approval>(reading: block, origin)
            } catch {
                throw .malformed(error)
            }
            guard approval.body.orderCID == order.cid, at <= approval.body.validUntil else { continue }
            approvers.insert(approval.did)
        }
        let given = charter.officers.count { approvers.contains($0) && !owners.contains($0) }
        guard given >= charter.approvals else { throw .notApproved(given: UInt64(given)) }
        if let owner = order.countersigner, !approvers.contains(owner) { throw .notCountersigned }
    }

    /// Gives the account of a line to another key.
    mutating func move(
        _ line: LineID, to new: LineID, on accounts: inout BookAccounts, _ issuer: DID, _ limits: IssuerBook.Limits
    ) throws(BookRefusal) {
        guard let found = accounts[line] else { throw .noLine }
        if isMoved(line) { throw .moved }
        if new.did == issuer { throw .otherBook }
        if found.isIssuer { throw .issuersLine }
        if accounts[new] != nil { throw .hasLine }
        guard accounts.count < limits.linesMax else { throw .tooMany(.lines) }
        accounts.move(line, to: new)
        moved[line] = new
    }

    /// Closes the time before a midnight, at which the accounts had a balance.
    mutating func close(
        _ until: UnixMilliseconds, _ balance: CID, had: CID?, entry: UInt64, at: UnixMilliseconds
    ) throws(BookRefusal) {
        guard until <= at else { throw .notYet }
        guard let had, until > closed?.until ?? .epoch else { throw .periodOver }
        guard balance == had else { throw .otherBalance }
        closed = ClosedPeriod(until: until, balance: balance, entry: entry)
    }

    mutating func windDown(_ successor: DID?, _ issuer: DID, at: UnixMilliseconds) throws(BookRefusal) {
        guard winding == nil else { throw .windsDown }
        guard successor != issuer else { throw .otherBook }
        winding = WindingDown(since: at, successor: successor)
    }

    /// Ends the book: at once if nobody owes anything, and in any case after a time in which members can settle.
    mutating func end(
        holds: Int, _ accounts: BookAccounts, _ limits: IssuerBook.Limits, at: UnixMilliseconds
    ) throws(BookRefusal) {
        guard let since = winding?.since else { throw .windsDownFirst }
        guard holds == 0 else { throw .holdsLeft(holds) }
        guard accounts.areSettled || at.milliseconds(since: since) >= limits.windDownMilliseconds else {
            throw .balancesLeft
        }
        winding?.endedAt = at
    }

    /// No order with this number or a lower one is carried out any more.
    mutating func carriedOut(_ order: OfficerOrder) { lastOrder = order.number }

    /// Carries out what needs no more of the book than its accounts; or says why not, and changes nothing.
    mutating func perform(
        _ action: OfficerOrder.Action, on accounts: inout BookAccounts, _ issuer: DID, _ limits: IssuerBook.Limits
    ) throws(BookRefusal) {
        switch action {
        case .limit(let line, let owed, let owing, let isIssuer):
            guard line.did != issuer else { throw .otherBook }
            if winding != nil {
                guard let found = accounts[line], owed <= found.owedMax, owing <= found.owingMax else {
                    throw .windsDown
                }
            }
            guard accounts[line] != nil || accounts.count < limits.linesMax else { throw .tooMany(.lines) }
            guard accounts.limit(line, owedMax: owed, owingMax: owing) else { throw .exposed }
            accounts.mark(line, isIssuer: isIssuer)
        case .freeze(let line, let isFrozen):
            guard accounts[line] != nil else { throw .noLine }
            accounts.freeze(line, isFrozen)
        case .rate(let unit, let rate): try set(rate, for: unit, limits)
        case .auditor(let did, let isAppointed):
            guard !isAppointed || auditors.contains(did) || auditors.count < limits.auditorsMax else {
                throw .tooMany(.auditors)
            }
            if isAppointed { auditors.insert(did) } else { auditors.remove(did) }
        case .writeOff(let line, let amount, _):
            guard let found = accounts[line] else { throw .noLine }
            let debt = UInt64(max(0, -found.balance))
            guard amount.units <= debt else { throw .debtSmaller(debt: debt) }
            try accounts.check(amount.units, comesTo: line)
            accounts.give(amount.units, to: line, from: .losses)
        case .deposit(let line, let amount, _):
            try accounts.check(amount.units, comesTo: line)
            accounts.give(amount.units, to: line, from: .cash)
        case .withdraw(let line, let amount, _):
            try accounts.check(amount.units, leaves: line)
            accounts.charge(amount.units, from: line, to: .cash)
        case .reverse, .move, .close, .windDown, .end: preconditionFailure("the book carries this out itself")
        }
    }

    private mutating func set(
        _ rate: CreditRate, for unit: CreditUnit, _ limits: IssuerBook.Limits
    ) throws(BookRefusal) {
        let pair = UnitPair(debtor: rate.unit, creditor: unit)
        if let back = self.rate(of: unit, for: rate.unit), !rate.gainsNothing(with: back) { throw .rateGains(back) }
        guard rates[pair] != nil || rates.count < limits.ratesMax else { throw .tooMany(.rates) }
        rates[pair] = rate
    }
}
