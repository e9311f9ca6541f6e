package import MeshTypes
import Multiformats
package import SignedObjects

/// What a receipt says that was done, for which assignment.
package struct DoneWork: Sendable {
    /// The executor's account of it.
    package let receipt: SignedObject<ExecutionReceipt>
    /// The originator's order.
    package let assignment: SignedObject<Assignment>

    /// Reads a receipt and its assignment, which have to belong together and to the hold's terms.
    init(
        receipt: [UInt8], assignment: [UInt8], of terms: HoldTerms, _ origin: BlockOrigin
    ) throws(BookRefusal) {
        self.receipt = try Self.read(receipt, origin)
        self.assignment = try Self.read(assignment, origin)
        let (done, ordered) = (self.receipt.body, self.assignment.body)
        guard terms.isOf(ordered), done.assignmentCID == self.assignment.cid, done.jobID == ordered.jobID,
            done.originatorDID == ordered.originatorDID, done.executorDID == ordered.executorDID,
            done.attempt == ordered.attempt
        else { throw .notOfThisHold }
        guard done.price == price else { throw .wrongPrice }
    }

    /// What the work costs by the terms of its assignment (PROTOCOL.md, "Price").
    package var price: TokenAmount {
        assignment.body.terms.due(for: receipt.body.outcome, fuel: receipt.body.resourceUsage.fuel)
    }

    /// What is due of a hold for it.
    package func due(of certificate: HoldCertificate) -> TokenAmount { min(price, certificate.amount) }

    static func read<Body>(_ block: [UInt8], _ origin: BlockOrigin) throws(BookRefusal) -> SignedObject<Body> {
        do {
            return switch origin {
            case .arrived: try SignedObject<Body>(verifying: block)
            case .stored: try SignedObject<Body>(verifiedBefore: block)
            }
        } catch {
            throw .evidence(error)
        }
    }
}

/// Orders, and holds that nobody has to claim.
extension IssuerBook {
    // MARK: Orders

    /// What has to be so of any order; returns the entry that it was before, if it was.
    private func check(
        _ order: SignedObject<PaymentOrder>, of line: LineID, _ at: UnixMilliseconds
    ) throws(BookRefusal) -> UInt64? {
        guard order.body.issuerDID == issuer, order.body.charterCID == charterCID else { throw .otherBook }
        if let known = orders[order.bodyCID] { return known }
        guard at <= order.body.validUntil,
            order.body.validUntil.milliseconds(since: at) <= limits.validMillisecondsMax
        else { throw .outOfDate }
        try rules.checkNotEnded()
        guard let debtor = accounts[line] else { throw .noLine }
        if [line, order.body.debtorLine, order.body.creditorLine].contains(where: rules.isMoved) { throw .moved }
        if debtor.isFrozen { throw .frozen }
        if let rate = order.body.rate {
            let least = rules.rate(of: rate.unit, for: order.body.unit)
            guard let least, rate.costsAsMuch(as: least) else { throw .rateTooLow(least: least) }
        }
        let day = usage.day(of: line, at: at)
        if day.orders >= limits.ordersPerDayMax { throw .tooMany(.ordersOfDay) }
        return nil
    }

    mutating func transfer(_ order: SignedObject<PaymentOrder>, _ at: UnixMilliseconds) throws(BookRefusal) -> UInt64? {
        if let known = try check(order, of: order.body.debtorLine, at) { return known }
        guard order.body.hold == nil, let debit = order.body.debit else { throw .notThisKind }
        if [order.body.debtorLine, order.body.creditorLine].contains(where: accounts.isIssuer) { throw .notThisKind }
        // Whoever owes owes no more once the book winds down.
        try accounts.check(debit, leaves: order.body.debtorLine, onCredit: rules.winding == nil)
        try accounts.check(order.body.amount.units, comesTo: order.body.creditorLine)
        pay(debit, from: order.body.debtorLine, order.body.amount.units, to: order.body.creditorLine, at)
        usage.ordered(order.body.debtorLine, isHold: false, at: at)
        orders[order.bodyCID] = count
        remember(order: order.bodyCID, at: at)
        return nil
    }

    private mutating func pay(
        _ debit: UInt64, from debtor: LineID, _ credit: UInt64, to creditor: LineID, _ at: UnixMilliseconds
    ) {
        accounts.pay(debit, from: debtor, credit, to: creditor)
        payments[count] = Payment(debtor: debtor, creditor: creditor, debit: debit, credit: credit)
        remember(payment: count, at: at)
    }

    mutating func grant(
        _ order: SignedObject<PaymentOrder>, by chain: TokenChain?, _ at: UnixMilliseconds, manifest: [UInt8]? = nil
    ) throws(BookRefusal) -> UInt64? {
        if let known = try check(order, of: chain?.line ?? order.body.debtorLine, at) { return known }
        if rules.winding != nil { throw .windsDown }
        guard let hold = Hold(order.body, by: chain, id: order.bodyCID, entry: count, at: at) else {
            throw chain == nil ? .notThisKind : .token(.otherOrder)
        }
        if let refusal = chain?.refusal(of: order.body, manifest, at: at) { throw refusal }
        if accounts.isIssuer(hold.debtorLine), accounts.isIssuer(hold.creditorLine) { throw .twoHops }
        // Only issuers stand for others: whoever did would have neither quota nor fee.
        guard accounts.isIssuer(hold.debtorLine) != hold.isOfOriginator,
            accounts.isIssuer(hold.creditorLine) != hold.isForExecutor
        else { throw .notItsOwn }
        guard at < hold.terms.claimBy,
            hold.terms.claimBy.milliseconds(since: at) <= HoldTerms.Limits.claimMillisecondsMax
        else { throw .outOfDate }
        guard charter.witnesses.isEmpty || at.milliseconds(since: caughtUpUntil) <= limits.caughtUpMillisecondsMax
        else { throw .notCaughtUp }
        guard attempts[Attempt(hold)] == nil else { throw .attemptHeld }
        try checkTerms(of: hold, order.body, at)
        let isFree = usage.day(of: hold.debtorLine, at: at).holds < charter.holdsFreePerDay
        let fee = isFree || !hold.isOfOriginator ? 0 : charter.holdFee.units
        guard fee <= hold.terms.feeMax.units else { throw .feeTooLow(fee: fee) }
        if let quota = usage.exceeded(by: hold, limits) { throw .tooMany(quota) }
        if let refusal = chain.flatMap({ tokens.refusal(of: $0, cost: hold.reserved + fee, limits, at: at) }) {
            throw refusal
        }
        try accounts.check(hold.reserved + fee, leaves: hold.debtorLine)
        try accounts.check(hold.amount, comesTo: hold.creditorLine)
        if let chain { tokens.take(hold.reserved + fee, by: chain) }
        if fee > 0 { accounts.charge(fee, from: hold.debtorLine, to: .fees) }
        accounts.reserve(hold)
        usage.ordered(hold.debtorLine, isHold: true, at: at)
        usage.change(hold, by: 1)
        usage.remember(hold, by: 1)
        tokens.remember(hold, by: 1)
        (holds[hold.id], orders[hold.id], attempts[Attempt(hold)]) = (hold, hold.entry, hold.id)
        dueDates.insert(DueDates.Due(at: hold.terms.claimBy, hold: hold.id))
        return nil
    }

    /// Who decides is one of the charter's, for no more than the charter and what the hold costs allow; and a hold for
    /// another issuer's member leaves room for the one there.
    private func checkTerms(of hold: Hold, _ order: PaymentOrder, _ at: UnixMilliseconds) throws(BookRefusal) {
        guard charter.arbiters.contains(hold.terms.arbiterDID) else { throw .unknownArbiter }
        guard !hold.isOfOriginator || hold.terms.disputeBudget >= charter.disputeBudgetMin else {
            throw .budgetTooLow(budget: charter.disputeBudgetMin.units)
        }
        let most = min(hold.reserved - hold.budget, charter.disputeBudgetMax.units)
        guard hold.terms.disputeBudget.units <= most else { throw .budgetTooHigh(most: most) }
        guard !hold.isForExecutor,
            let below = order.downstreamTerms(marginMilliseconds: charter.marginMilliseconds)
        else { return }
        if let field = below.fieldOutOfBounds { throw .noDownstream(field: field) }
        if below.claimBy <= at { throw .noDownstream(field: "claim_by") }
    }

    /// Ends a token whose line there is; a frozen one's, too. What it could not be used for is not remembered.
    mutating func revoke(
        _ chain: TokenChain, _ block: [UInt8], _ at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        try chain.checkRevocation(block, origin)
        guard chain.last.body.issuerDID == issuer, chain.last.body.charterCID == charterCID else { throw .otherBook }
        if let known = tokens.revokedBy(chain) { return known }
        try rules.checkNotEnded()
        guard accounts[chain.line] != nil else { throw .noLine }
        let expiresAt = chain.last.body.expiresAt
        guard at <= expiresAt, expiresAt.milliseconds(since: at) <= ScopedResourceToken.Limits.lifeMilliseconds else {
            throw .token(.outOfTime)
        }
        if let refusal = tokens.quota(of: chain, limits, at) { throw refusal }
        tokens.revoke(chain, entry: count)
        return nil
    }

    /// What is left of the last token of a chain.
    package func state(of chain: TokenChain) -> TokenState {
        let revokedBy = tokens.revokedBy(chain)
        return TokenState(
            left: revokedBy == nil ? tokens.left(of: chain) : 0, revokedBy: revokedBy,
            isFrozen: accounts[chain.line]?.isFrozen ?? true)
    }

    /// Whether somebody has a hold that is not over.
    package func hasHolds(of originator: DID) -> Bool { usage.isOriginator(originator) }

    // MARK: Ends

    /// Ends a hold, and pays what of it is to be paid. The reservation makes sure that it can be.
    mutating func end(_ hold: Hold, _ end: Hold.End, _ at: UnixMilliseconds) {
        var hold = hold
        precondition(hold.isLive && end.paid <= hold.amount, "a hold of \(hold.amount) cannot end as \(end)")
        accounts.release(hold)
        usage.change(hold, by: -1)
        tokens.giveBack(hold.reserved - hold.debit(for: end.paid), to: hold.tokens)
        if end.paid > 0 {
            pay(hold.debit(for: end.paid), from: hold.debtorLine, end.paid, to: hold.creditorLine, at)
        }
        hold.state = .ended(end, entry: count)
        holds[hold.id] = hold
        remember(ended: hold.id, at: at)
    }

    func hold(_ id: CID) throws(BookRefusal) -> Hold {
        guard let hold = holds[id] else { throw .unknownHold }
        return hold
    }

    mutating func settle(
        _ id: CID, _ settlement: [UInt8], _ receipt: [UInt8], _ assignment: [UInt8], _ at: UnixMilliseconds,
        _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        if case .ended(let end, let entry) = hold.state {
            if case .settled = end { return entry }
            throw .holdEnded
        }
        let due = try hold.settled(settlement, receipt, assignment, origin)
        end(hold, .settled(due), at)
        if hold.isDisputed { chargeLoser(of: hold, isDebtor: true) }
        return nil
    }

    mutating func release(
        _ id: CID, _ release: SignedObject<HoldRelease>, _ at: UnixMilliseconds
    ) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        if case .ended(let end, let entry) = hold.state {
            if end == .released { return entry }
            throw .holdEnded
        }
        guard release.did == hold.terms.executorDID else { throw .wrongSigner }
        guard release.body.isAbout(hold) else { throw .notOfThisHold }
        end(hold, .released, at)
        if hold.isDisputed { chargeLoser(of: hold, isDebtor: false) }
        return nil
    }

    mutating func expire(_ id: CID, _ at: UnixMilliseconds) throws(BookRefusal) -> UInt64? {
        let hold = try hold(id)
        if case .ended(let end, let entry) = hold.state {
            if end == .expired { return entry }
            throw .holdEnded
        }
        guard hold.state == .open else { throw .notNow }
        guard hold.terms.claimBy < passed(at) else { throw .notYet }
        end(hold, .expired, at)
        return nil
    }
}
