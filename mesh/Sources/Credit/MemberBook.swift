import MeshTypes
import Multiformats
package import SignedObjects

/// A book as one member can replay it: from the entries that it is shown, what each changes on its lines.
///
/// An entry counts only with what justifies it: the order that the debtor signed, the approvals of enough officers, the
/// evidence of a hold. What depends on others' lines is not checked here; an auditor checks that.
package struct MemberBook: Sendable {
    /// An entry that nothing justifies.
    package struct Unjustified: Error, CustomStringConvertible {
        /// Its number.
        package let number: UInt64
        /// What is wrong with it, a clause.
        package let reason: String

        /// One sentence without a full stop.
        package var description: String { "entry \(number): \(reason)" }
    }

    /// The member's keys: that whose account others moved to it, too.
    private let keys: Set<DID>
    private let charter: IssuerCharter
    private let charterCID: CID
    // BOUNDED: all of it by the entries that are taken.
    private var payments: [UInt64: [LineID: Int128]] = [:]
    /// The orders that were booked: each is booked once.
    private var booked: Set<CID> = []
    private var holds: [CID: Hold] = [:]
    /// What the member's lines come to.
    private var balances: [LineID: Int128] = [:]
    /// Where accounts are now.
    private var moved: [LineID: LineID] = [:]
    /// The date of the last entry.
    private var lastAt = UnixMilliseconds.epoch
    /// Whether officers said that the book winds down, and that it ended.
    private var windsDown = false
    private var hasEnded = false
    /// How many holds a day had: those beyond a free number cost a fee.
    private var usage = HoldUsage()
    /// What was taken by the tokens whose holds are shown.
    private var tokens = TokenTable()
    /// The number of the officers' last order.
    private var lastOrder: UInt64 = 0
    /// Whether an amount is not known here: what an executor pays that loses a dispute depends on what it has then.
    package private(set) var isUncertain = false

    /// A book before its first entry.
    ///
    /// - Parameter before: the keys whose accounts the entries move to this member's (`keys`).
    package init(of did: DID, at charter: SignedObject<IssuerCharter>, before: Set<DID> = []) {
        (keys, self.charter, charterCID) = (before.union([did]), charter.body, charter.bodyCID)
    }

    /// The keys whose accounts entries move to a member's, if they are justified.
    package static func keys(before did: DID, in entries: [BookEntry]) -> Set<DID> {
        var keys: Set<DID> = [did]
        for entry in entries.reversed() {
            if let move = entry.event.move, keys.contains(move.to) { keys.insert(move.from) }
        }
        return keys.subtracting([did])
    }

    /// The hold that an event is about, as it is now; nil if it is about none that this member was shown.
    package func hold(of event: BookEvent) -> Hold? { event.hold.flatMap { holds[$0] } }

    /// Takes the next entry, and returns what it changes on this member's lines.
    package mutating func take(_ entry: BookEntry) throws(Unjustified) -> [LineID: Int128] {
        do throws(BookRefusal) {
            // No date before that of the entry before, so none in a time that was closed.
            guard entry.at >= lastAt else { throw .outOfDate }
            lastAt = entry.at
            let changes = try changes(by: entry)
            for (line, amount) in changes { balances[line, default: 0] += amount }
            return changes
        } catch {
            throw Unjustified(number: entry.number, reason: error.description)
        }
    }

    private mutating func changes(by entry: BookEntry) throws(BookRefusal) -> [LineID: Int128] {
        switch entry.event {
        case .transferred(let block): return try transfer(block, entry)
        case .ordered(let order, let approvals): return try carryOut(order, approvals, entry)
        case .holdGranted(let block): return try grant(block, by: nil, entry)
        case .holdGrantedByToken(let block, let tokens, let manifest):
            return try grant(block, by: try TokenChain(reading: tokens), entry, manifest: manifest)
        case .tokenRevoked(let block, let tokens): return try revoke(try TokenChain(reading: tokens), block, entry)
        case .holdSettled, .holdReleased, .holdExpired, .claimLodged, .claimDisputed, .claimDecided, .claimPaid:
            return try changeHold(entry)
        case .opened, .caughtUp: throw .entryOfNobody
        }
    }

    // MARK: Orders

    private mutating func order(
        _ block: [UInt8], at: UnixMilliseconds
    ) throws(BookRefusal) -> SignedObject<PaymentOrder> {
        let signed: SignedObject<PaymentOrder> = try Self.read(block)
        guard signed.body.issuerDID == charter.issuerDID, signed.body.charterCID == charterCID else { throw .otherBook }
        guard booked.insert(signed.bodyCID).inserted else { throw .bookedBefore }
        guard at <= signed.body.validUntil else { throw .outOfDate }
        if hasEnded { throw .ended }
        if moved[signed.body.debtorLine] != nil || moved[signed.body.creditorLine] != nil { throw .moved }
        return signed
    }

    private static func read<Body: CreditObject>(_ block: [UInt8]) throws(BookRefusal) -> SignedObject<Body> {
        do {
            return try SignedObject<Body>(reading: block)
        } catch {
            throw .malformed(error)
        }
    }

    private mutating func transfer(_ block: [UInt8], _ entry: BookEntry) throws(BookRefusal) -> [LineID: Int128] {
        let order = try order(block, at: entry.at).body
        guard order.hold == nil, let debit = order.debit else { throw .notThisKind }
        return pay(debit, from: order.debtorLine, order.amount.units, to: order.creditorLine, entry)
    }

    private mutating func pay(
        _ debit: UInt64, from debtor: LineID, _ credit: UInt64, to creditor: LineID, _ entry: BookEntry
    ) -> [LineID: Int128] {
        let changes = [debtor: -Int128(debit), creditor: Int128(credit)].filter { keys.contains($0.key.did) }
        payments[entry.number] = changes
        return changes
    }

    private mutating func carryOut(
        _ order: OfficerOrder, _ approvals: [[UInt8]], _ entry: BookEntry
    ) throws(BookRefusal) -> [LineID: Int128] {
        var approvers: Set<DID> = []
        for block in approvals.prefix(OfficerOrder.approvalsMax) {
            guard let approval = try? SignedObject<Approval>(reading: block), approval.body.orderCID == order.cid,
                entry.at <= approval.body.validUntil
            else { continue }
            approvers.insert(approval.did)
        }
        // About its own line an officer has no say, nor about one that its key had before.
        let owners = order.subjects + moved.keys.filter { current($0) == order.line.map(current) }.map(\.did)
        let officers = charter.officers.count { approvers.contains($0) && !owners.contains($0) }
        guard order.issuerDID == charter.issuerDID, order.charterCID == charterCID, order.isPossible else {
            throw .otherBook
        }
        guard officers >= charter.approvals else { throw .notApproved(given: UInt64(officers)) }
        guard order.number > lastOrder else { throw .bookedBefore }
        if let owner = order.countersigner, !approvers.contains(owner) { throw .notCountersigned }
        lastOrder = order.number
        let changes: [LineID: Int128] =
            switch order.action {
            case .reverse(let entry, _): reverse(entry)
            case .move(let line, let did, _): try move(line, to: LineID(did, line.unit))
            case .writeOff(let line, let amount, _), .deposit(let line, let amount, _): [line: Int128(amount.units)]
            case .withdraw(let line, let amount, _): [line: -Int128(amount.units)]
            case .windDown, .end: wound(by: order.action)
            case .limit, .freeze, .rate, .auditor, .close: [:]
            }
        return changes.filter { keys.contains($0.key.did) }
    }

    /// Nothing is held once a book winds down, and nothing is booked once it ended.
    private mutating func wound(by action: OfficerOrder.Action) -> [LineID: Int128] {
        windsDown = true
        if case .end = action { hasEnded = true }
        return [:]
    }

    private mutating func reverse(_ entry: UInt64) -> [LineID: Int128] {
        var changes: [LineID: Int128] = [:]
        for (line, amount) in payments.removeValue(forKey: entry) ?? [:] {
            changes[current(line), default: 0] -= amount
        }
        return changes
    }

    private func current(_ line: LineID) -> LineID {
        var line = line
        while let next = moved[line] { line = next }
        return line
    }

    /// What a line has is the new one's, and what its holds pay. Whoever has the new key was shown all of the old one.
    private mutating func move(_ line: LineID, to new: LineID) throws(BookRefusal) -> [LineID: Int128] {
        // A key whose account was moved has a line still, so no account comes back to it, and moves have an end.
        guard moved[line] == nil else { throw .moved }
        guard moved[new] == nil else { throw .hasLine }
        moved[line] = new
        for hold in holds.values { holds[hold.id] = hold.moved(line, to: new) }
        let balance = balances[line] ?? 0
        return [line: -balance, new: balance]
    }

    // MARK: Holds

    private mutating func grant(
        _ block: [UInt8], by chain: TokenChain?, _ entry: BookEntry, manifest: [UInt8]? = nil
    ) throws(BookRefusal) -> [LineID: Int128] {
        let order = try order(block, at: entry.at)
        if windsDown { throw .windsDown }
        guard let hold = Hold(order.body, by: chain, id: order.bodyCID, entry: entry.number, at: entry.at) else {
            throw .notThisKind
        }
        if let refusal = chain?.refusal(of: order.body, manifest, at: entry.at) { throw refusal }
        let isOwn = keys.contains(hold.debtorLine.did)
        let isFree = !isOwn || usage.day(of: hold.debtorLine, at: entry.at).holds < charter.holdsFreePerDay
        let fee = isFree || !hold.isOfOriginator ? 0 : charter.holdFee.units
        guard fee <= hold.terms.feeMax.units else { throw .feeTooLow(fee: fee) }
        if let chain {
            // Whoever does not see all holds by a token sees no more taken than was; but the ends of holds that came
            // with an account are not all shown, so that more may seem taken.
            if let fault = tokens.fault(of: chain, cost: hold.reserved + fee), !(fault.isSpent && !moved.isEmpty) {
                throw .token(fault)
            }
            tokens.take(hold.reserved + fee, by: chain)
        }
        holds[hold.id] = hold
        guard isOwn else { return [:] }
        usage.ordered(hold.debtorLine, isHold: true, at: entry.at)
        return fee > 0 ? [hold.debtorLine: -Int128(fee)] : [:]
    }

    private mutating func revoke(
        _ chain: TokenChain, _ block: [UInt8], _ entry: BookEntry
    ) throws(BookRefusal) -> [LineID: Int128] {
        try chain.checkRevocation(block, .arrived)
        guard chain.last.body.issuerDID == charter.issuerDID, chain.last.body.charterCID == charterCID else {
            throw .otherBook
        }
        guard tokens.revokedBy(chain) == nil else { throw .bookedBefore }
        tokens.revoke(chain, entry: entry.number)
        return [:]
    }

    private mutating func changeHold(_ entry: BookEntry) throws(BookRefusal) -> [LineID: Int128] {
        guard let hold = hold(of: entry.event) else { throw .unknownHold }
        guard hold.isLive else { throw .holdEnded }
        switch entry.event {
        case .holdSettled(_, let settlement, let receipt, let assignment):
            let due = try hold.settled(settlement, receipt, assignment, .arrived)
            return end(hold, .settled(due), entry, loserIsDebtor: hold.isDisputed ? true : nil)
        case .holdReleased(_, let block):
            let release: SignedObject<HoldRelease> = try Self.read(block)
            guard release.did == hold.terms.executorDID else { throw .wrongSigner }
            guard release.body.isAbout(hold) else { throw .notOfThisHold }
            return end(hold, .released, entry, loserIsDebtor: hold.isDisputed ? false : nil)
        case .holdExpired:
            guard hold.state == .open else { throw .notNow }
            guard hold.terms.claimBy < entry.at else { throw .notYet }
            return end(hold, .expired, entry)
        case .claimLodged(_, let block, let lodging):
            let claim: SignedObject<HoldClaim> = try Self.read(block)
            guard hold.state == .open else { throw .notNow }
            let date = try hold.date(of: claim.cid, lodging, entry.at, under: charter, .arrived)
            guard date <= hold.claimableUntil else { throw .late }
            let due = try hold.due(claim, under: charter, .arrived)
            holds[hold.id]?.state = .claimed(Hold.Claim(cid: claim.bodyCID, due: due, loggedAt: entry.at))
        case .claimDisputed(_, let block, let lodging):
            let dispute: SignedObject<HoldDispute> = try Self.read(block)
            guard case .claimed(let claim) = hold.state, let last = hold.dueAt else { throw .notNow }
            let date = try hold.date(of: dispute.cid, lodging, entry.at, under: charter, .arrived)
            guard date <= last else { throw .late }
            guard hold.mayDispute(dispute.did) else { throw .wrongSigner }
            guard dispute.body.claimCID == claim.cid else { throw .notOfThisHold }
            holds[hold.id]?.state = .disputed(claim, dispute: dispute.bodyCID)
        case .claimDecided(_, let block, let lodging):
            let decision: SignedObject<HoldDecision> = try Self.read(block)
            guard case .disputed(let claim, _) = hold.state, let last = hold.dueAt else { throw .notNow }
            let date = try hold.date(of: decision.cid, lodging, entry.at, under: charter, .arrived)
            guard date <= last else { throw .late }
            let payable = try hold.decided(decision, of: claim)
            let end = Hold.End.decided(payable, decision: decision.bodyCID)
            return self.end(hold, end, entry, loserIsDebtor: payable == claim.due)
        case .claimPaid:
            guard let claim = hold.claim, let date = hold.dueAt else { throw .notNow }
            guard date < entry.at else { throw .notYet }
            return end(hold, .claimPaid(claim.due), entry, loserIsDebtor: hold.isDisputed ? true : nil)
        case .opened, .ordered, .transferred, .holdGranted, .holdGrantedByToken, .tokenRevoked, .caughtUp:
            throw .unknownHold
        }
        return [:]
    }

    /// Ends a hold: what it pays, and the budget that whoever lost a dispute pays to its issuer.
    private mutating func end(
        _ hold: Hold, _ end: Hold.End, _ entry: BookEntry, loserIsDebtor: Bool? = nil
    ) -> [LineID: Int128] {
        holds[hold.id]?.state = .ended(end, entry: entry.number)
        let kept = loserIsDebtor == true ? hold.budget : 0
        tokens.giveBack(hold.reserved - hold.debit(for: end.paid) - kept, to: hold.tokens)
        var changes: [LineID: Int128] = [:]
        if end.paid > 0 {
            changes = pay(hold.debit(for: end.paid), from: hold.debtorLine, end.paid, to: hold.creditorLine, entry)
        }
        if loserIsDebtor == true, keys.contains(hold.debtorLine.did) {
            changes[hold.debtorLine, default: 0] -= Int128(hold.budget)
        }
        if loserIsDebtor == false, keys.contains(hold.creditorLine.did), hold.isForExecutor { isUncertain = true }
        return changes
    }
}
