import DequeModule
package import MeshTypes
package import Multiformats
package import SignedObjects

/// An issuer's book: the fold of its entries, each of which carries what justifies it.
///
/// `record` is its only input. It takes an event with everything checked, or says why not and changes nothing; one that
/// it took before changes nothing either. What time alone decides is an event like others (`dueEvents`). Where the
/// charter names witnesses, time passes for the book only as far as it has caught up with them: so neither an expiry
/// nor the payment of an undisputed claim overtakes what was lodged while the issuer was away. Source: PROTOCOL.md,
/// "Issuers".
package struct IssuerBook: Hashable, Sendable {
    /// The bounds of a book.
    package struct Limits: Hashable, Sendable {
        /// Credit lines.
        package var linesMax = 65_536
        /// Holds at once.
        package var holdsMax = 65_536
        /// Holds at once of one originator.
        package var holdsPerOriginatorMax = 64
        /// Holds at once for one executor.
        package var holdsPerExecutorMax = 1_024
        /// Holds at once of one originator for one executor, so that few cannot take all that an executor may have.
        package var holdsPerPairMax = 16
        /// Holds at once of one line, such as that of another issuer.
        package var holdsPerLineMax = 4_096
        /// Holds that a line gave within the time that they are remembered, over or not.
        package var holdsRememberedPerLineMax = 16_384
        /// Tokens that were used or revoked, and are remembered.
        package var tokensMax = 65_536
        /// Those of one line.
        package var tokensPerLineMax = 1_024
        /// Those of one that the line's owner gave and all below it, so that who has it cannot take all of the line's.
        package var tokensPerTreeMax = 128
        /// Holds by these within the time that they are remembered, over or not; a part of the line's.
        package var holdsPerTokenMax = 1_024
        /// Rates between units.
        package var ratesMax = 256
        /// Auditors, who are shown all entries.
        package var auditorsMax = 64
        /// Orders of a line in a day, carried out or held.
        package var ordersPerDayMax = 8_192
        /// How long an order may be valid, in milliseconds.
        package var validMillisecondsMax: UInt64 = 86_400_000
        /// How long what is over is remembered, to be undone or asked for again, in milliseconds; orders are valid for
        /// less.
        package var rememberedMilliseconds: UInt64 = 7 * 86_400_000
        /// Days without a close of which it remembers what the accounts had.
        package var daysMax = 400
        /// How long a book winds down before it ends with lines that are not at zero, in milliseconds: 30 days.
        package var windDownMilliseconds: UInt64 = 30 * 86_400_000
        /// How long after it caught up with its witnesses an issuer grants holds, in milliseconds.
        package var caughtUpMillisecondsMax: UInt64 = 600_000

        /// The standard bounds.
        package init() {}
    }

    /// What there may only be so many of.
    package enum Quota: String, Hashable, Sendable {
        /// Credit lines of the book (`linesMax`).
        case lines = "credit lines"
        /// Holds of the book at once (`holdsMax`).
        case holds = "holds"
        /// Those of whose job it is (`holdsPerOriginatorMax`).
        case holdsOfOriginator = "holds of the originator"
        /// Those for who runs the job (`holdsPerExecutorMax`).
        case holdsOfExecutor = "holds for the executor"
        /// Those of both together (`holdsPerPairMax`).
        case holdsOfPair = "holds of the originator for the executor"
        /// Those that a line gives or gets (`holdsPerLineMax`).
        case holdsOfLine = "holds of the line"
        /// Those that a line gave, over or not (`holdsRememberedPerLineMax`).
        case holdsRemembered = "holds of the line that are remembered"
        /// Tokens of the book (`tokensMax`).
        case tokens
        /// Those of a line (`tokensPerLineMax`).
        case tokensOfLine = "tokens of the line"
        /// Those of a tree (`tokensPerTreeMax`).
        case tokensOfTree = "tokens below the first one"
        /// Holds by a tree (`holdsPerTokenMax`).
        case holdsOfToken = "holds by the first token that are remembered"
        /// Rates (`ratesMax`).
        case rates = "rates between units"
        /// Auditors (`auditorsMax`).
        case auditors
        /// Approvals of one order (`OfficerOrder.approvalsMax`).
        case approvals = "approvals of the order"
        /// Reports of one entry (`IssuerCharter.Limits.namedMax`).
        case reports = "reports of witnesses"
        /// Refused blocks of one entry (`WitnessReport.lodgedMax`).
        case refusedBlocks = "refused blocks"
        /// What a line ordered since midnight (`ordersPerDayMax`).
        case ordersOfDay = "orders of the line in a day"
    }

    /// An attempt of a job, for which there is one hold, whoever gives it: so no two share a claim.
    struct Attempt: Hashable, Sendable {
        let originator: DID
        let job: JobID
        let number: UInt64
    }

    /// An object that was taken: for which hold, by which entry.
    struct Taken: Hashable, Sendable {
        let hold: CID
        let entry: UInt64
    }

    /// A payment that officers can undo.
    struct Payment: Hashable, Sendable {
        let debtor: LineID
        let creditor: LineID
        let debit: UInt64
        let credit: UInt64
    }

    private enum Remembered: Hashable, Sendable {
        case order(CID)
        case hold(CID)
        case payment(UInt64)
        case object(CID)
    }

    private struct Forgotten: Hashable, Sendable {
        let at: UnixMilliseconds
        let what: Remembered
    }

    /// The rules, as they were signed.
    package let charter: IssuerCharter
    /// The CID of their body, which orders and certificates name.
    package let charterCID: CID
    /// The bounds.
    package let limits: Limits
    /// How many entries it has.
    package private(set) var count: UInt64 = 1
    /// When it took the last one.
    package private(set) var lastAt: UnixMilliseconds
    /// Until when all is in the book that was lodged with witnesses.
    package internal(set) var caughtUpUntil: UnixMilliseconds
    /// What everybody owes.
    package internal(set) var accounts = BookAccounts()
    /// The holds that it remembers, by the CIDs of their orders' bodies.
    package internal(set) var holds: [CID: Hold] = [:]
    /// The entries of orders, by the CIDs of their bodies.
    var orders: [CID: UInt64] = [:]
    var attempts: [Attempt: CID] = [:]
    var payments: [UInt64: Payment] = [:]
    /// Claims, disputes and decisions, by the CIDs of their blocks and of their bodies.
    var objects: [CID: Taken] = [:]
    var usage = HoldUsage()
    var tokens = TokenTable()
    var dueDates = DueDates()
    /// What the officers ordered, beside what lines have.
    package private(set) var rules = BookRules()
    /// What the accounts had at the ends of days.
    private var days: DayBalances
    private var forgotten = Deque<Forgotten>()

    /// A book, opened by its charter: entry 0.
    package init(
        opening charter: [UInt8], limits: Limits = Limits(), origin: BlockOrigin = .arrived
    ) throws(BookRefusal) {
        do {
            let signed = try SignedObject<IssuerCharter>(reading: charter, origin)
            (self.charter, charterCID) = (signed.body, signed.bodyCID)
        } catch {
            throw .malformed(error)
        }
        self.limits = limits
        (lastAt, caughtUpUntil) = (self.charter.openedAt, self.charter.openedAt)
        days = DayBalances(from: self.charter.openedAt)
    }

    /// Whose book it is.
    package var issuer: DID { charter.issuerDID }

    // MARK: Entries

    /// Takes an event and says which entry it is, or which it was before; or says why not, and changes nothing.
    ///
    /// - Parameters:
    ///   - event: what happened, with its evidence.
    ///   - now: the issuer's calendar; the entry is never dated before the one before it.
    ///   - origin: whether the blocks in it come from others, or were verified when the entry was written.
    package mutating func record(
        _ event: BookEvent, now: UnixMilliseconds, origin: BlockOrigin = .arrived
    ) -> Result<BookRecord, BookRefusal> {
        let at = max(now, lastAt)
        if event.entryBytesMost > BookEntry.bytesMax { return .failure(.tooLarge(bytesMax: BookEntry.bytesMax)) }
        // The copy is made only once the event changes something.
        let before = DayBalances.day(of: at) > DayBalances.day(of: lastAt) ? accounts : nil
        do {
            if let number = try apply(event, at: at, origin) { return .success(.known(number)) }
        } catch {
            return .failure(error)
        }
        if let before { days.note(balance(of: before), until: at, daysMax: limits.daysMax) }
        if let closed = rules.closed, closed.entry == count { days.close(closed.until) }
        let entry = BookEntry(number: count, at: at, event: event)
        (count, lastAt) = (count + 1, at)
        while let first = forgotten.first, first.at < at {
            forget(first.what)
            forgotten.removeFirst()
        }
        dueDates.dropFirst { holds[$0.hold]?.dueAt != $0.at }
        tokens.forget(before: at)
        return .success(.entered(entry))
    }

    /// The book of its entries, in their order.
    package init(
        replaying entries: some Sequence<BookEntry>, limits: Limits = Limits(), origin: BlockOrigin = .stored
    ) throws(ReplayFault) {
        var book: IssuerBook?
        for entry in entries {
            if book == nil {
                book = try IssuerBook(opened: entry, limits, origin)
            } else {
                try book?.replay(entry, origin)
            }
        }
        guard let book else { throw ReplayFault(entry: 0, reason: .notOpened) }
        self = book
    }

    /// Takes the entry that comes next in the book that is replayed.
    mutating func replay(_ entry: BookEntry, _ origin: BlockOrigin) throws(ReplayFault) {
        guard entry.number == count else { throw ReplayFault(entry: count, reason: .outOfOrder) }
        guard entry.at >= lastAt else { throw ReplayFault(entry: count, reason: .outOfOrder) }
        switch record(entry.event, now: entry.at, origin: origin) {
        case .success(.entered): break
        case .success(.known): throw ReplayFault(entry: entry.number, reason: .entryTwice)
        case .failure(let refusal): throw ReplayFault(entry: entry.number, reason: .refused(refusal))
        }
    }

    /// The book of its first entry.
    init(opened entry: BookEntry, _ limits: Limits, _ origin: BlockOrigin) throws(ReplayFault) {
        guard entry.number == 0 else { throw ReplayFault(entry: 0, reason: .outOfOrder) }
        guard case .opened(let charter) = entry.event else { throw ReplayFault(entry: 0, reason: .notOpened) }
        do throws(BookRefusal) {
            let book = try IssuerBook(opening: charter, limits: limits, origin: origin)
            guard entry.at == book.lastAt else { throw .outOfDate }
            self = book
        } catch {
            throw ReplayFault(entry: 0, reason: .refused(error))
        }
    }

    /// Carries an event out; returns the number of the entry that it was before, if it was.
    private mutating func apply(
        _ event: BookEvent, at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        switch event {
        case .opened: throw .otherBook
        case .ordered(let order, let approvals): return try carryOut(order, approvals, at, origin)
        case .transferred(let order): return try transfer(try read(order, origin), at)
        case .holdGranted(let order): return try grant(try read(order, origin), by: nil, at)
        case .holdGrantedByToken(let order, let tokens, let manifest):
            let chain = try TokenChain(reading: tokens, origin)
            return try grant(try read(order, origin), by: chain, at, manifest: manifest)
        case .tokenRevoked(let revocation, let tokens):
            return try revoke(try TokenChain(reading: tokens, origin), revocation, at, origin)
        case .holdSettled(let hold, let settlement, let receipt, let assignment):
            return try settle(hold, settlement, receipt, assignment, at, origin)
        case .holdReleased(let hold, let release): return try self.release(hold, try read(release, origin), at)
        case .holdExpired(let hold): return try expire(hold, at)
        case .claimLodged(let hold, let claim, let lodging): return try lodge(hold, claim, lodging, at, origin)
        case .claimDisputed(let hold, let dispute, let lodging):
            return try self.dispute(hold, dispute, lodging, at, origin)
        case .claimDecided(let hold, let decision, let lodging): return try decide(hold, decision, lodging, at, origin)
        case .claimPaid(let hold): return try payClaim(hold, at)
        case .caughtUp(let reports, let refused):
            try rules.checkNotEnded()
            return try catchUp(reports, refused, at, origin)
        }
    }

    func read<Body>(_ block: [UInt8], _ origin: BlockOrigin) throws(BookRefusal) -> SignedObject<Body>
    where Body: CreditObject {
        do {
            return try SignedObject<Body>(reading: block, origin)
        } catch {
            throw .malformed(error)
        }
    }

    // MARK: Time

    /// The time that has passed for the book.
    func passed(_ now: UnixMilliseconds) -> UnixMilliseconds {
        charter.witnesses.isEmpty ? now : min(now, caughtUpUntil)
    }

    /// When something is due; `nil` while nothing is. Then `dueEvents` has it, once the book has caught up so far.
    package var nextDeadline: UnixMilliseconds? { dueDates.first?.at.advanced(milliseconds: 1) }

    /// What time alone decides by now, the earliest first: to be recorded.
    package func dueEvents(now: UnixMilliseconds) -> [BookEvent] {
        dueDates.before(passed(max(now, lastAt))).compactMap { due in
            guard let hold = holds[due.hold], hold.dueAt == due.at else { return nil }
            return hold.claim == nil ? .holdExpired(hold: hold.id) : .claimPaid(hold: hold.id)
        }
    }

    // MARK: Officers

    private mutating func carryOut(
        _ order: OfficerOrder, _ approvals: [[UInt8]], _ at: UnixMilliseconds, _ origin: BlockOrigin
    ) throws(BookRefusal) -> UInt64? {
        guard order.issuerDID == issuer, order.charterCID == charterCID else { throw .otherBook }
        guard order.isPossible, let cid = order.cid else { throw .malformed(.outOfBounds(field: "action")) }
        if let known = orders[cid] { return known }
        try rules.checkNotEnded()
        try rules.check(order, approvals, owners: owners(of: order), charter, at, origin)
        if let line = order.line, rules.isMoved(line) { throw .moved }
        switch order.action {
        case .reverse(let entry, _): try reverse(entry)
        case .move(let line, let did, _): try move(line, to: LineID(did, line.unit))
        case .close(let until, let balance):
            let had = days.balance(at: until, lastAt: lastAt) { self.balance(of: accounts) }
            try rules.close(until, balance, had: had, entry: count, at: at)
        case .windDown(let successor, _): try rules.windDown(successor, issuer, at: at)
        case .end: try rules.end(holds: usage.all, accounts, limits, at: at)
        default: try rules.perform(order.action, on: &accounts, issuer, limits)
        }
        rules.carriedOut(order)
        orders[cid] = count
        remember(.order(cid), at)
        return nil
    }

    /// Whose lines an order moves: they do not decide about it as officers.
    func owners(of order: OfficerOrder) -> [DID] {
        switch order.action {
        case .reverse(let entry, _):
            payments[entry].map { payment in
                let lines = [payment.debtor, payment.creditor]
                return (lines + lines.map(rules.current)).map(\.did) + lines.flatMap(rules.formerKeys)
            } ?? []
        default: order.subjects + (order.line.map(rules.formerKeys) ?? [])
        }
    }

    private func balance(of accounts: BookAccounts) -> CID {
        TrialBalance(accounts, issuer: issuer, charter: charterCID).cid
    }

    private mutating func reverse(_ entry: UInt64) throws(BookRefusal) {
        guard let payment = payments[entry] else { throw .notReversible }
        let (debtor, creditor) = (rules.current(payment.debtor), rules.current(payment.creditor))
        // What the book of another issuer has, too, is not undone here alone.
        guard ![payment.debtor, payment.creditor, debtor, creditor].contains(where: accounts.isIssuer) else {
            throw .notReversible
        }
        try accounts.check(payment.credit, leaves: creditor)
        try accounts.check(payment.debit, comesTo: debtor)
        accounts.pay(payment.credit, from: creditor, payment.debit, to: debtor)
        payments[entry] = nil
    }

    /// Gives the account of a line to another key, with its holds: what they pay is the new key's.
    private mutating func move(_ line: LineID, to new: LineID) throws(BookRefusal) {
        let own = holds.values.filter { [$0.debtorLine, $0.creditorLine].contains(line) }
        if own.contains(where: { $0.isLive && ($0.isParty(new.did) || $0.terms.arbiterDID == new.did) }) {
            throw .partyToHold
        }
        // What it says as a witness would be a party's word from then on.
        guard !charter.witnesses.contains(new.did) else { throw .partyToHold }
        try rules.move(line, to: new, on: &accounts, issuer, limits)
        for hold in own {
            usage.remember(hold, by: -1)
            if hold.isLive { usage.change(hold, by: -1) }
            let moved = hold.moved(line, to: new)
            usage.remember(moved, by: 1)
            if moved.isLive { usage.change(moved, by: 1) }
            holds[hold.id] = moved
        }
    }

    // MARK: Memory

    mutating func remember(order cid: CID, at: UnixMilliseconds) { remember(.order(cid), at) }
    mutating func remember(ended hold: CID, at: UnixMilliseconds) { remember(.hold(hold), at) }
    mutating func remember(payment entry: UInt64, at: UnixMilliseconds) { remember(.payment(entry), at) }
    mutating func remember(object cid: CID, at: UnixMilliseconds) { remember(.object(cid), at) }

    private mutating func remember(_ what: Remembered, _ at: UnixMilliseconds) {
        forgotten.append(Forgotten(at: at.advanced(milliseconds: limits.rememberedMilliseconds), what: what))
    }

    private mutating func forget(_ what: Remembered) {
        switch what {
        case .order(let cid): orders[cid] = nil
        case .payment(let entry): payments[entry] = nil
        case .object(let cid): objects[cid] = nil
        case .hold(let id):
            guard let hold = holds.removeValue(forKey: id) else { return }
            usage.remember(hold, by: -1)
            tokens.remember(hold, by: -1)
            orders[id] = nil
            attempts[Attempt(hold)] = nil
        }
    }

    /// Stops the process if the book contradicts itself.
    package func checkInvariants() {
        accounts.checkInvariants(holds: holds.values)
        usage.checkInvariants(holds.values)
        tokens.checkInvariants(holds.values.filter(\.isLive))
        var live = 0
        for (id, hold) in holds {
            precondition(hold.id == id && orders[id] == hold.entry, "a hold is under another order")
            precondition(attempts[Attempt(hold)] == id, "an attempt has two holds")
            guard case .ended(let end, let entry) = hold.state else {
                live += 1
                continue
            }
            precondition(end.paid <= hold.amount && entry < count, "a hold of \(hold.amount) ended as \(end)")
        }
        precondition(dueDates.count >= live, "\(live) holds have \(dueDates.count) dates, so one is held for ever")
        precondition(live == usage.all && live <= limits.holdsMax, "\(live) holds")
        precondition(dueDates.first.map { holds[$0.hold]?.dueAt == $0.at } ?? true, "the first date is outlived")
        precondition(rules.closed?.until ?? .epoch <= lastAt, "the book is in a time that is closed")
        precondition(caughtUpUntil <= lastAt, "the book caught up with the future")
    }
}

extension IssuerBook.Attempt {
    init(_ hold: Hold) {
        self.init(originator: hold.terms.originatorDID, job: hold.terms.jobID, number: hold.terms.attempt)
    }
}

/// What became of an event that a book took.
package enum BookRecord: Hashable, Sendable {
    /// It is this entry now.
    case entered(BookEntry)
    /// It was the entry of this number before, and nothing changed.
    case known(UInt64)
}

/// The first entry that is not one of a book, and why.
package struct ReplayFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// Why not.
    package enum Reason: Hashable, Sendable {
        /// The first entry is no charter.
        case notOpened
        /// Its number or its date do not follow those before.
        case outOfOrder
        /// It is there already.
        case entryTwice
        /// The book does not take it.
        case refused(BookRefusal)
    }

    /// The number of the entry.
    package let entry: UInt64
    /// Why.
    package let reason: Reason

    package init(entry: UInt64, reason: Reason) {
        self.entry = entry
        self.reason = reason
    }

    /// One sentence without a full stop.
    package var description: String {
        let why =
            switch reason {
            case .notOpened: "it is no charter"
            case .outOfOrder: "its number or its date do not follow those before"
            case .entryTwice: "it is there already"
            case .refused(let refusal): "\(refusal)"
            }
        return "entry \(entry) is none of this book: \(why)"
    }
}
