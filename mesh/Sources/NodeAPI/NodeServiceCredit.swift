/// What a node does with credit: as an issuer, and at issuers. Amounts are in the smallest unit.
package protocol CreditService: Sendable {
    /// Makes this node an issuer, durably; it is one for good.
    func found(_ founding: IssuerFounding) async throws(NodeServiceError) -> IssuerView
    /// This node's own book: its charter, all lines and sums.
    func ownIssuer() async throws(NodeServiceError) -> IssuerView
    /// The issuers that this node asked before, with what they told last; nobody is asked.
    func issuers() async throws(NodeServiceError) -> [IssuerView]
    /// Asks an issuer for its charter, its head, which has to continue the last one that it showed, this node's lines
    /// and the sums.
    func issuer(_ did: String) async throws(NodeServiceError) -> IssuerView
    /// Asks an issuer for this node's bookings, and holds each against the log.
    func statement(at issuer: String) async throws(NodeServiceError) -> StatementView
    /// Orders an issuer to pay somebody, and holds the booking against the log. The same key pays once.
    func pay(_ payment: CreditPayment) async throws(NodeServiceError) -> CreditPaid
    /// The officers' orders that wait at an issuer, of those that concern this node.
    func officerOrders(at issuer: String) async throws(NodeServiceError) -> [OfficerOrderView]
    /// Proposes an order to the officers of an issuer, and approves it.
    func propose(_ proposal: OfficerProposal) async throws(NodeServiceError) -> OfficerOrderView
    /// Approves an order that waits, as an officer or as the owner of the line that it moves.
    func approve(_ order: String, at issuer: String) async throws(NodeServiceError) -> OfficerOrderView
    /// Holds an issuer's head, its commitments and the entries that it shows this node against each other; an auditor
    /// is shown all, and replays them.
    func audit(_ issuer: String) async throws(NodeServiceError) -> IssuerAuditView
    /// A part of an issuer's book as double entry, audited first; only the issuer and its auditors have it.
    func ledger(_ query: LedgerQuery) async throws(NodeServiceError) -> LedgerView
    /// Hands an issuer an event with its evidence, as DAG-CBOR (PROTOCOL.md, "Issuers").
    func enter(_ event: [UInt8], at issuer: String) async throws(NodeServiceError) -> EnteredEvent
}

/// The rules of a new issuer.
package struct IssuerFounding: Hashable, Sendable, Codable {
    /// The name of the unit: 1 to 16 letters, digits and hyphens of ASCII.
    package var unit: String
    /// Decimal places of the smallest unit, up to 9.
    package var decimals: UInt64
    /// The DIDs of the officers, 2 to 16.
    package var officers: [String]
    /// How many of them have to approve, 2 at least.
    package var approvals: UInt64
    /// The DIDs of who may decide disputes about holds; without any, nothing is held.
    package var arbiters: [String]?
    /// The DIDs of who says when something was lodged while the issuer is away, up to 16; without any, nobody does.
    package var witnesses: [String]?

    package init(
        unit: String, decimals: UInt64, officers: [String], approvals: UInt64, arbiters: [String]? = nil,
        witnesses: [String]? = nil
    ) {
        (self.unit, self.decimals, self.officers) = (unit, decimals, officers)
        (self.approvals, self.arbiters, self.witnesses) = (approvals, arbiters, witnesses)
    }
}

/// A line at an issuer.
package struct CreditLineView: Hashable, Sendable, Codable {
    /// The other side than the issuer.
    package var did: String
    /// The name of its unit.
    package var unit: String
    /// Decimal places of the smallest unit.
    package var decimals: UInt64
    /// What the issuer owes; below zero it is owed.
    package var balance: Int64
    /// The most that the other may owe.
    package var owedMax: UInt64
    /// The most that the issuer may owe.
    package var owingMax: UInt64
    /// What the other can still give.
    package var spendable: UInt64
    /// What holds may still take.
    package var leaving: UInt64
    /// What holds may still bring.
    package var coming: UInt64
    /// Whether it takes no new orders.
    package var isFrozen: Bool
    /// Whether it is another issuer's.
    package var isIssuer: Bool

    package init(did: String, unit: String, decimals: UInt64, balance: Int64) {
        (self.did, self.unit, self.decimals, self.balance) = (did, unit, decimals, balance)
        (owedMax, owingMax, spendable, leaving, coming) = (0, 0, 0, 0, 0)
        (isFrozen, isIssuer) = (false, false)
    }

    private enum CodingKeys: String, CodingKey {
        case did, unit, decimals, balance, spendable, leaving, coming
        case owedMax = "owed_max"
        case owingMax = "owing_max"
        case isFrozen = "is_frozen"
        case isIssuer = "is_issuer"
    }
}

/// The sums of an issuer's book in a unit.
package struct CreditTotalView: Hashable, Sendable, Codable {
    /// The name of the unit.
    package var unit: String
    /// Decimal places of the smallest unit.
    package var decimals: UInt64
    /// How many lines there are.
    package var lines: UInt64
    /// What the issuer owes.
    package var owed: UInt64
    /// What it is owed.
    package var owing: UInt64
    /// The most that may be owed to it.
    package var owedMax: UInt64

    package init(unit: String, decimals: UInt64, lines: UInt64, owed: UInt64, owing: UInt64, owedMax: UInt64) {
        (self.unit, self.decimals, self.lines) = (unit, decimals, lines)
        (self.owed, self.owing, self.owedMax) = (owed, owing, owedMax)
    }

    private enum CodingKeys: String, CodingKey {
        case unit, decimals, lines, owed, owing
        case owedMax = "owed_max"
    }
}

/// An issuer, as its charter and its head say.
package struct IssuerView: Hashable, Sendable, Codable {
    /// Its DID.
    package var did: String
    /// The name of its members' unit.
    package var unit: String
    /// Decimal places of the smallest unit.
    package var decimals: UInt64
    /// The DIDs of its officers.
    package var officers: [String]
    /// How many of them have to approve.
    package var approvals: UInt64
    /// The DIDs of who may decide disputes.
    package var arbiters: [String]
    /// The DIDs of who says when something was lodged while it is away; empty where nobody does.
    package var witnesses: [String]
    /// Until when its book has all that was lodged with them, in milliseconds since the Unix epoch; nil where there are
    /// none, or where it was not asked.
    package var caughtUpUntil: UInt64?
    /// Why holds end soon, or have ended, as too few witnesses report, a sentence; nil of other issuers than this node.
    package var witnessWarning: String?
    /// When its book was opened, in milliseconds since the Unix epoch.
    package var openedAt: UInt64
    /// How many entries its newest head has that is known here.
    package var entries: UInt64
    /// That head, signed, as a text.
    package var head: String
    /// Lines: this node's, or all, of its own book.
    package var lines: [CreditLineView]
    /// When they were told, in milliseconds since the Unix epoch.
    package var toldAt: UInt64
    /// The sums, as the issuer says; empty where it was not asked.
    package var totals: [CreditTotalView]
    /// The DIDs of other issuers whose members it pays for this node's jobs; nil where it was not asked, or does not
    /// tell this node.
    package var pays: [String]?
    /// The midnight before which its book is closed, in milliseconds since the Unix epoch; nil while nothing is, or
    /// where it was not asked, as the next four.
    package var closedUntil: UInt64?
    /// The CID of the trial balance at that midnight.
    package var balanceCID: String?
    /// Since when the book winds down, in milliseconds since the Unix epoch; nil while it goes on.
    package var windsDownSince: UInt64?
    /// The DID of the issuer that may take over what is left.
    package var successor: String?
    /// When the book ended, in milliseconds since the Unix epoch.
    package var endedAt: UInt64?
    /// Why it takes nothing, a sentence; nil if it does.
    package var obstacle: String?
    /// The two heads of one size that it signed, as a text; nil if nothing of the kind is known.
    package var fault: String?

    package init(
        did: String, unit: String, decimals: UInt64, officers: [String], approvals: UInt64, arbiters: [String],
        witnesses: [String] = [], openedAt: UInt64
    ) {
        (self.did, self.unit, self.decimals, self.officers) = (did, unit, decimals, officers)
        (self.approvals, self.arbiters, self.openedAt) = (approvals, arbiters, openedAt)
        self.witnesses = witnesses
        (entries, head, lines, toldAt, totals) = (0, "", [], 0, [])
    }

    private enum CodingKeys: String, CodingKey {
        case did, unit, decimals, officers, approvals, arbiters, entries, head, lines, totals, pays, obstacle, fault
        case witnesses
        case caughtUpUntil = "caught_up_until"
        case witnessWarning = "witness_warning"
        case closedUntil = "closed_until"
        case balanceCID = "balance_cid"
        case windsDownSince = "winds_down_since"
        case successor
        case endedAt = "ended_at"
        case openedAt = "opened_at"
        case toldAt = "told_at"
    }
}

/// A member's bookings at an issuer, each held against the log.
package struct StatementView: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// The lines, as the issuer says.
    package var lines: [CreditLineView]
    /// The bookings, in their order.
    package var bookings: [BookingView]
    /// Whether the bookings that were shown come to the balances; nil where this node lost a dispute, whose cost it
    /// cannot know.
    package var isComplete: Bool?

    package init(issuer: String, lines: [CreditLineView], bookings: [BookingView], isComplete: Bool?) {
        (self.issuer, self.lines, self.bookings, self.isComplete) = (issuer, lines, bookings, isComplete)
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, lines, bookings
        case isComplete = "is_complete"
    }
}

/// An entry of a book that concerns this node.
package struct BookingView: Hashable, Sendable, Codable {
    /// Its number in the book.
    package var number: UInt64
    /// When, in milliseconds since the Unix epoch, as the issuer says.
    package var at: UInt64
    /// What it is, by the name of the event or of the officers' action.
    package var kind: String
    /// What it changes on this node's line, with its sign; nil if that is nothing, as where an amount is held.
    package var amount: Int64?
    /// The unit of the amount.
    package var unit: String?
    /// Decimal places of its smallest unit.
    package var decimals: UInt64?
    /// The DID of the other side, if there is one.
    package var other: String?
    /// The job whose price is held or paid, by its ID; nil where there is none.
    package var jobID: String?
    /// What officers wrote.
    package var note: String?

    package init(number: UInt64, at: UInt64, kind: String) {
        (self.number, self.at, self.kind) = (number, at, kind)
    }

    private enum CodingKeys: String, CodingKey {
        case number, at, kind, amount, unit, decimals, other, note
        case jobID = "job_id"
    }
}

/// An order to an issuer to pay somebody.
package struct CreditPayment: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// The DID of who is paid.
    package var creditor: String
    /// How much, in the smallest unit of the issuer's unit.
    package var amount: UInt64
    /// The same key pays once.
    package var idempotencyKey: String?

    package init(issuer: String, creditor: String, amount: UInt64, idempotencyKey: String? = nil) {
        (self.issuer, self.creditor, self.amount) = (issuer, creditor, amount)
        self.idempotencyKey = idempotencyKey
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, creditor, amount
        case idempotencyKey = "idempotency_key"
    }
}

/// A payment that an issuer booked.
package struct CreditPaid: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// The DID of who was paid.
    package var creditor: String
    /// How much, in the smallest unit.
    package var amount: UInt64
    /// The name of the unit.
    package var unit: String
    /// Decimal places of the smallest unit.
    package var decimals: UInt64
    /// The number of the entry, whose place in the log was checked.
    package var entry: UInt64
    /// The CID of the order's body.
    package var orderCID: String

    package init(
        issuer: String, creditor: String, amount: UInt64, unit: String, decimals: UInt64, entry: UInt64,
        orderCID: String
    ) {
        (self.issuer, self.creditor, self.amount) = (issuer, creditor, amount)
        (self.unit, self.decimals, self.entry, self.orderCID) = (unit, decimals, entry, orderCID)
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, creditor, amount, unit, decimals, entry
        case orderCID = "order_cid"
    }
}

/// What an officer proposes. Which fields an action has is said by it; others are refused.
package struct OfficerProposal: Hashable, Sendable, Codable {
    /// What officers order, by name.
    package enum Action: String, Hashable, Sendable, Codable, CaseIterable {
        /// Opens a line or changes its limits: `did`, `owed`, `owing`, and for that of another issuer `is_issuer`.
        case limit
        /// Takes no new orders from a line: `did`.
        case freeze
        /// Takes them again: `did`.
        case unfreeze
        /// Undoes the payment of an entry: `entry`, `note`.
        case reverse
        /// Gives up a part of what a line owes: `did`, `amount`, `note`.
        case writeOff = "write_off"
        /// Books what was paid in elsewhere: `did`, `amount`, `note`.
        case deposit
        /// Books what was paid out elsewhere: `did`, `amount`, `note`.
        case withdraw
        /// Shows somebody all entries: `did`.
        case appoint
        /// Shows somebody its own entries alone: `did`.
        case dismiss
        /// Gives the account of a line to another key: `did`, `to`, `note`.
        case move
        /// Closes the time before a midnight: `until`, `balance`.
        case close
        /// Begins the end of the book: `successor`, which may be absent, `note`.
        case windDown = "wind_down"
        /// Ends the book: `note`.
        case end
    }

    /// The issuer's DID.
    package var issuer: String
    /// What to do.
    package var action: Action
    /// Whose line, or who.
    package var did: String?
    /// The most that the line may owe.
    package var owed: UInt64?
    /// The most that the issuer may owe it.
    package var owing: UInt64?
    /// Whether the line is another issuer's, which it pays for its own members and is paid for; false if absent.
    package var isIssuer: Bool?
    /// How much.
    package var amount: UInt64?
    /// The number of the entry.
    package var entry: UInt64?
    /// The reason or reference, at most 256 bytes.
    package var note: String?
    /// The DID of the key that gets an account.
    package var to: String?
    /// A midnight in UTC, in milliseconds since the Unix epoch.
    package var until: UInt64?
    /// The CID of the trial balance at that midnight.
    package var balance: String?
    /// The DID of the issuer that takes over.
    package var successor: String?

    package init(issuer: String, action: Action) { (self.issuer, self.action) = (issuer, action) }

    private enum CodingKeys: String, CodingKey {
        case issuer, action, did, owed, owing
        case isIssuer = "is_issuer"
        case amount, entry, note, to, until, balance, successor
    }
}

/// An officers' order.
package struct OfficerOrderView: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// Its CID, which is what officers sign.
    package var orderCID: String
    /// Its number in the book's orders.
    package var number: UInt64
    /// What it does, in words.
    package var text: String
    /// The DIDs of who approves it.
    package var approvers: [String]
    /// How many of them count: officers, but one about whom it is.
    package var counted: UInt64 = 0
    /// How many officers have to.
    package var needed: UInt64
    /// Who has to approve besides, as the owner of the line; nil if nobody has to.
    package var countersigner: String?
    /// The number of the entry that it became; nil while it waits.
    package var entry: UInt64?

    package init(issuer: String, orderCID: String, number: UInt64, text: String, approvers: [String], needed: UInt64) {
        (self.issuer, self.orderCID, self.number, self.text) = (issuer, orderCID, number, text)
        (self.approvers, self.needed) = (approvers, needed)
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, number, text, approvers, counted, needed, countersigner, entry
        case orderCID = "order_cid"
    }
}

/// An approval of an order.
package struct OfficerApproval: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// The CID of the order.
    package var orderCID: String

    package init(issuer: String, orderCID: String) { (self.issuer, self.orderCID) = (issuer, orderCID) }

    private enum CodingKeys: String, CodingKey {
        case issuer
        case orderCID = "order_cid"
    }
}

/// What an audit found.
package struct IssuerAuditView: Hashable, Sendable, Codable {
    /// The issuer's DID.
    package var issuer: String
    /// How many entries its head has.
    package var entries: UInt64
    /// How many of them it showed this node.
    package var opened: UInt64
    /// Whether these were all, so that the book was replayed with every signature.
    package var isWhole: Bool
    /// The first line that does not agree, a clause; nil if all do.
    package var finding: String?
    /// The sums of the book that was replayed; empty if it was not.
    package var totals: [CreditTotalView]
    /// The lines of the book that was replayed; empty if it was not.
    package var lines: [CreditLineView]

    package init(issuer: String, entries: UInt64, opened: UInt64, isWhole: Bool) {
        (self.issuer, self.entries, self.opened, self.isWhole) = (issuer, entries, opened, isWhole)
        (totals, lines) = ([], [])
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, entries, opened, finding, totals, lines
        case isWhole = "is_whole"
    }
}

/// What became of an event.
package struct EnteredEvent: Hashable, Sendable, Codable {
    /// The number of the entry that it is.
    package var entry: UInt64
    /// The issuer's signed promise, in base64, where the event holds something that is not over.
    package var certificate: String?

    package init(entry: UInt64, certificate: String?) { (self.entry, self.certificate) = (entry, certificate) }
}
