package import MeshTypes
package import Multiformats
package import SignedObjects

/// What an entry is for; with its subject it is the entry's key, so that nothing is booked twice.
package enum LedgerEntryKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// Tokens given to the node.
    case grant
    /// Tokens set aside for an assignment.
    case hold
    /// Tokens paid for a receipt.
    case settle
    /// Tokens given back from a hold.
    case refund
    /// Tokens earned for a receipt.
    case income
}

/// One posting: an amount that moves from one account to another, once.
package struct LedgerEntry: Hashable, Sendable, Codable {
    /// What it is for.
    package var kind: LedgerEntryKind
    /// The assignment (hold), the job (settle, refund), the receipt (income), or a chosen text (grant).
    package var subject: String
    /// The account that gives.
    package var from: LedgerAccount
    /// The account that takes.
    package var to: LedgerAccount
    /// How much.
    package var amount: TokenAmount
    /// When.
    package var at: UnixMilliseconds

    package init(
        kind: LedgerEntryKind, subject: String, from: LedgerAccount, to: LedgerAccount, amount: TokenAmount,
        at: UnixMilliseconds
    ) {
        self.kind = kind
        self.subject = subject
        self.from = from
        self.to = to
        self.amount = amount
        self.at = at
    }

    /// Names the effect of an entry; at most one entry has it.
    package struct Key: Hashable, Sendable, CustomStringConvertible {
        /// What the entry is for.
        package let kind: LedgerEntryKind
        /// The assignment, the job, the receipt, or a chosen text.
        package let subject: String

        /// The key of an entry of this kind and subject.
        package init(_ kind: LedgerEntryKind, _ subject: String) {
            self.kind = kind
            self.subject = subject
        }

        /// `hold/<assignment>`, `settle/<job>`, …
        package var description: String { "\(kind.rawValue)/\(subject)" }
    }

    /// Unique per effect; a store also refuses a second one.
    package var key: Key { Key(kind, subject) }

    /// Tokens given to the node; `reference` makes the grant unique.
    package static func grant(_ amount: TokenAmount, reference: String, at: UnixMilliseconds) -> LedgerEntry {
        LedgerEntry(kind: .grant, subject: reference, from: .issuance, to: .wallet, amount: amount, at: at)
    }

    /// Sets an amount aside for an assignment of a job.
    package static func hold(
        _ amount: TokenAmount, job: JobID, assignment: CID, at: UnixMilliseconds
    ) -> LedgerEntry {
        LedgerEntry(
            kind: .hold, subject: assignment.text, from: .wallet, to: .escrow(job), amount: amount, at: at)
    }

    /// Pays an executor out of a job's hold; one such entry per job, so a job is paid at most once.
    package static func settle(
        _ amount: TokenAmount, job: JobID, executor: DID, at: UnixMilliseconds
    ) -> LedgerEntry {
        LedgerEntry(
            kind: .settle, subject: job.description, from: .escrow(job), to: .paid(executor), amount: amount, at: at)
    }

    /// Returns the rest of a job's hold; one such entry per job.
    package static func refund(_ amount: TokenAmount, job: JobID, at: UnixMilliseconds) -> LedgerEntry {
        LedgerEntry(
            kind: .refund, subject: job.description, from: .escrow(job), to: .wallet, amount: amount, at: at)
    }

    /// Books what a payer's settlement of a receipt paid.
    package static func income(
        _ amount: TokenAmount, receipt: CID, payer: DID, at: UnixMilliseconds
    ) -> LedgerEntry {
        LedgerEntry(
            kind: .income, subject: receipt.text, from: .income(payer), to: .wallet, amount: amount, at: at)
    }
}
