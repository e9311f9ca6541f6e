import MeshTypes
package import SignedObjects

/// What the officers of a book ordered, beside what lines have: who sees all of it, and what units cost.
///
/// It says whether an order is one of enough officers, and carries out those that need no more of the book than its
/// accounts.
package struct BookRules: Hashable, Sendable {
    /// From which unit to which a rate is.
    private struct UnitPair: Hashable, Sendable {
        let debtor: CreditUnit
        let creditor: CreditUnit
    }

    /// Who is shown all entries.
    package private(set) var auditors: Set<DID> = []
    /// The highest number of an order.
    package private(set) var lastOrder: UInt64 = 0
    /// What debtors of a unit pay at least for another.
    private var rates: [UnitPair: CreditRate] = [:]

    /// What debtors of a unit pay at least for another; nil while the officers ordered nothing about these.
    func rate(of debtor: CreditUnit, for creditor: CreditUnit) -> CreditRate? {
        rates[UnitPair(debtor: debtor, creditor: creditor)]
    }

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

    /// No order with this number or a lower one is carried out any more.
    mutating func carriedOut(_ order: OfficerOrder) { lastOrder = order.number }

    /// Carries out what needs no more of the book than its accounts; or says why not, and changes nothing.
    mutating func perform(
        _ action: OfficerOrder.Action, on accounts: inout BookAccounts, _ issuer: DID, _ limits: IssuerBook.Limits
    ) throws(BookRefusal) {
        switch action {
        case .limit(let line, let owed, let owing, let isIssuer):
            guard line.did != issuer else { throw .otherBook }
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
        case .reverse: preconditionFailure("a payment is undone by the book, which knows it")
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
