package import MeshTypes
package import Multiformats
package import SignedObjects

/// What a node asks an issuer, over `/icn/mesh/credit/1.0.0`. Whoever asks is known by its key. Source: PROTOCOL.md,
/// "Questions to an issuer".
package enum CreditQuestion: Hashable, Sendable, Codable {
    /// The most bytes of a question: one event and what stands around it.
    package static let bytesMax = 1_048_576

    /// The signed head, behind the proof that it continues that of `since`; or that of an earlier size.
    case head(since: UInt64, size: UInt64?)
    /// The entry of the charter, opened, under the head of a size.
    case charter(size: UInt64)
    /// Takes an event into the book; whoever has a head of the size `since` is shown the entry under the newest one.
    case submit(event: BookEvent, since: UInt64? = nil)
    /// The asker's lines.
    case lines
    /// The asker's entries from a number on, opened, under the head of a size.
    case statement(from: UInt64, size: UInt64)
    /// All entries from a number on, opened; for auditors.
    case openings(from: UInt64, size: UInt64)
    /// The commitments of the log from a number on.
    case commitments(from: UInt64, size: UInt64)
    /// What is left of the last token of a chain, for who gave or holds one of it.
    case token(chain: [[UInt8]])
    /// The sums of the book, as the issuer says.
    case totals
    /// Which time is closed, and whether the book ends, as the issuer says; the entries that say so are everybody's.
    case standing
    /// The officers' orders that wait for approvals; those that concern the asker.
    case orders
    /// The number for an order that the asker, an officer, proposes.
    case number
    /// An order, with the approval of the officer that proposes it.
    case propose(order: OfficerOrder, approval: [UInt8])
    /// One more approval of an order that waits.
    case approve(order: CID, approval: [UInt8])
    /// The issuers that this one pays for its members.
    case issuers
    /// The certificate of what this issuer had held at the executor's, for one of its own holds.
    case below(hold: CID)
}

/// What an issuer answers.
package enum CreditAnswer: Hashable, Sendable, Codable {
    /// The most bytes of an answer: one entry of the longest, and its proof.
    package static let bytesMax = 4_194_304

    /// It does not do that: why, by a stable name and for people.
    case refused(reason: Reason, text: String)
    /// A signed head, and the proof, 32 bytes a hash.
    case head(note: [UInt8], proof: [UInt8])
    /// The event is this entry; with the signed `HoldCertificate` where it holds something, and with what proves the
    /// entry, for a party to it that said which head it has.
    case taken(entry: UInt64, certificate: [UInt8]?, shown: ShownEntry? = nil)
    /// Lines, and how many entries the book had then.
    case lines(lines: [LineState], size: UInt64)
    /// Entries, and whether there are more behind them.
    case entries(entries: [OpenedEntry], more: Bool)
    /// Commitments in their order, 32 bytes each.
    case commitments(bytes: [UInt8])
    /// What is left of a token.
    case token(state: TokenState)
    /// Sums.
    case totals(totals: [UnitTotal])
    /// What the officers ordered about the book itself.
    case standing(state: BookStanding)
    /// Orders that wait.
    case orders(orders: [WaitingOrder])
    /// The number for an order.
    case number(next: UInt64)
    /// The order waits for more approvals.
    case waits(order: WaitingOrder)
    /// The lines of other issuers, which have one for this issuer, too: at most 64.
    case issuers(lines: [LineID])
    /// The signed `HoldCertificate` of the executor's issuer.
    case below(certificate: [UInt8])

    /// Why an issuer refuses a question.
    package enum Reason: String, Hashable, Sendable, Codable {
        /// The book does not take the event.
        case book
        /// The book does not take the event now, and may take it later: something else has to end first.
        case later
        /// The book holds for this attempt of the job already, by another order: another attempt may be ordered.
        case held
        /// The asker may not see or do that.
        case notForYou = "not_for_you"
        /// There is no such entry, size or order.
        case unknown
        /// There are as many as there may be.
        case tooMany = "too_many"
        /// The issuer takes nothing now: its disk failed, or its book is from a backup.
        case closed
    }
}

/// What the officers of a book ordered about the book itself, as its issuer tells it.
package struct BookStanding: Hashable, Sendable, Codable {
    /// The midnight before which all is closed; nil while nothing is.
    package var closedUntil: UnixMilliseconds?
    /// The CID of the trial balance at that midnight.
    package var balance: CID?
    /// Since when the book winds down; nil while it goes on.
    package var windsDownSince: UnixMilliseconds?
    /// Whose book may take over what is left.
    package var successor: DID?
    /// When the book ended.
    package var endedAt: UnixMilliseconds?
    /// Until when the book has all that was lodged with the charter's witnesses; nil where it names none.
    package var caughtUpUntil: UnixMilliseconds?

    /// What a book says of itself.
    package init(_ book: IssuerBook) {
        self.init(book.rules)
        caughtUpUntil = book.charter.witnesses.isEmpty ? nil : book.caughtUpUntil
    }

    package init(_ rules: BookRules) {
        (closedUntil, balance) = (rules.closed?.until, rules.closed?.balance)
        (windsDownSince, successor) = (rules.winding?.since, rules.winding?.successor)
        endedAt = rules.winding?.endedAt
    }

    enum CodingKeys: String, CodingKey {
        case closedUntil = "closed_until"
        case balance
        case windsDownSince = "winds_down_since"
        case successor
        case endedAt = "ended_at"
        case caughtUpUntil = "caught_up_until"
    }
}

/// A line of a book, as its issuer tells it.
package struct LineState: Hashable, Sendable, Codable {
    /// Which.
    package var line: LineID
    /// What the issuer owes.
    package var owed: UInt64
    /// What it is owed; one of both is zero.
    package var owing: UInt64
    /// The most that the other may owe.
    package var owedMax: TokenAmount
    /// The most that the issuer may owe.
    package var owingMax: TokenAmount
    /// What holds may still take.
    package var leaving: UInt64
    /// What holds may still bring.
    package var coming: UInt64
    /// Whether it takes no new orders.
    package var isFrozen: Bool
    /// Whether it is another issuer's.
    package var isIssuer: Bool

    package init(_ id: LineID, _ found: CreditLine) {
        line = id
        owed = UInt64(max(0, found.balance))
        owing = UInt64(max(0, -found.balance))
        (owedMax, owingMax, leaving, coming) = (found.owedMax, found.owingMax, found.leaving, found.coming)
        (isFrozen, isIssuer) = (found.isFrozen, found.isIssuer)
    }

    /// What the issuer owes, less what it is owed.
    package var balance: Int64 { Int64(clamping: owed) - Int64(clamping: owing) }
    /// What the other can still give.
    package var spendable: UInt64 {
        UInt64(clamping: Int128(owed) - Int128(owing) + Int128(owedMax.units) - Int128(leaving))
    }

    /// What the issuer can still owe.
    package var receivable: UInt64 {
        UInt64(clamping: Int128(owing) - Int128(owed) + Int128(owingMax.units) - Int128(coming))
    }

    enum CodingKeys: String, CodingKey {
        case line
        case owed
        case owing
        case owedMax = "owed_max"
        case owingMax = "owing_max"
        case leaving
        case coming
        case isFrozen = "frozen"
        case isIssuer = "issuer"
    }
}

/// The sums of a unit.
package struct UnitTotal: Hashable, Sendable, Codable {
    /// The unit.
    package var unit: CreditUnit
    /// How many lines there are.
    package var lines: UInt64
    /// What the issuer owes on all of them.
    package var owed: UInt64
    /// What it is owed.
    package var owing: UInt64
    /// The sum of what members may owe.
    package var owedMax: UInt64

    package init(unit: CreditUnit) {
        self.unit = unit
        (lines, owed, owing, owedMax) = (0, 0, 0, 0)
    }

    /// The sums of a book.
    package static func all(of accounts: BookAccounts) -> [UnitTotal] {
        var totals: [CreditUnit: UnitTotal] = [:]
        for (id, line) in accounts.sorted {
            var total = totals[id.unit] ?? UnitTotal(unit: id.unit)
            total.lines += 1
            if line.balance < 0 {
                total.owing = total.owing.added(line.balance.magnitude)
            } else {
                total.owed = total.owed.added(line.balance.magnitude)
            }
            total.owedMax = total.owedMax.added(line.owedMax.units)
            totals[id.unit] = total
        }
        return totals.values.sorted { $0.unit < $1.unit }
    }

    enum CodingKeys: String, CodingKey {
        case unit
        case lines
        case owed
        case owing
        case owedMax = "owed_max"
    }
}

extension UInt64 {
    /// The sum, at most what every reader of signed integers can hold.
    fileprivate func added(_ other: UInt64) -> UInt64 { Swift.min(self &+ other, UInt64(Int64.max)) }
}

/// An entry that was opened, with the proof that it is in the log.
package struct OpenedEntry: Hashable, Sendable, Codable {
    /// Its number.
    package var number: UInt64
    /// Its salt and its bytes.
    package var opening: EntryOpening
    /// The proof of inclusion under the head that was asked for, 32 bytes a hash; empty where all entries are shown.
    package var proof: [UInt8]

    package init(number: UInt64, opening: EntryOpening, proof: [UInt8]) {
        self.number = number
        self.opening = opening
        self.proof = proof
    }
}

/// What proves an entry to whoever has an earlier head of the log.
package struct ShownEntry: Hashable, Sendable, Codable {
    /// The signed head.
    package var note: [UInt8]
    /// The proof that it continues the earlier one, 32 bytes a hash.
    package var continues: [UInt8]
    /// The entry, opened, with the proof that the head has it.
    package var entry: OpenedEntry

    package init(note: [UInt8], continues: [UInt8], entry: OpenedEntry) {
        self.note = note
        self.continues = continues
        self.entry = entry
    }
}

/// An officers' order that waits for approvals.
package struct WaitingOrder: Hashable, Sendable, Codable {
    /// The order.
    package var order: OfficerOrder
    /// The approvals that it has.
    package var approvals: [[UInt8]]

    package init(order: OfficerOrder, approvals: [[UInt8]]) {
        self.order = order
        self.approvals = approvals
    }
}
