public import MeshTypes
public import Multiformats
public import SignedObjects

/// What an entry is for; with its subject it is the entry's key, so that nothing is booked twice.
public enum LedgerEntryKind: String, Hashable, Sendable, Codable, CaseIterable {
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
public struct LedgerEntry: Hashable, Sendable, Codable {
    /// What it is for.
    public var kind: LedgerEntryKind
    /// The assignment (hold), the job (settle, refund), the receipt (income), or a chosen text (grant).
    public var subject: String
    /// The account that gives.
    public var from: LedgerAccount
    /// The account that takes.
    public var to: LedgerAccount
    /// How much.
    public var amount: TokenAmount
    /// When.
    public var at: UnixMilliseconds

    public init(
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
    public struct Key: Hashable, Sendable, CustomStringConvertible {
        /// What the entry is for.
        public let kind: LedgerEntryKind
        /// The assignment, the job, the receipt, or a chosen text.
        public let subject: String

        /// The key of an entry of this kind and subject.
        public init(_ kind: LedgerEntryKind, _ subject: String) {
            self.kind = kind
            self.subject = subject
        }

        /// `hold/<assignment>`, `settle/<job>`, …
        public var description: String { "\(kind.rawValue)/\(subject)" }
    }

    /// Unique per effect; a store also refuses a second one.
    public var key: Key { Key(kind, subject) }

    /// Tokens given to the node; `reference` makes the grant unique.
    public static func grant(_ amount: TokenAmount, reference: String, at: UnixMilliseconds) -> LedgerEntry {
        LedgerEntry(kind: .grant, subject: reference, from: .issuance, to: .wallet, amount: amount, at: at)
    }

    /// Sets an amount aside for an assignment of a job.
    public static func hold(
        _ amount: TokenAmount, job: JobID, assignment: CID, at: UnixMilliseconds
    ) -> LedgerEntry {
        LedgerEntry(
            kind: .hold, subject: assignment.text, from: .wallet, to: .escrow(job), amount: amount, at: at)
    }

    /// Pays an executor out of a job's hold; one such entry per job, so a job is paid at most once.
    public static func settle(
        _ amount: TokenAmount, job: JobID, executor: DID, at: UnixMilliseconds
    ) -> LedgerEntry {
        LedgerEntry(
            kind: .settle, subject: job.description, from: .escrow(job), to: .paid(executor), amount: amount, at: at)
    }

    /// Returns the rest of a job's hold; one such entry per job.
    public static func refund(_ amount: TokenAmount, job: JobID, at: UnixMilliseconds) -> LedgerEntry {
        LedgerEntry(
            kind: .refund, subject: job.description, from: .escrow(job), to: .wallet, amount: amount, at: at)
    }

    /// Books what a payer's settlement of a receipt paid.
    public static func income(
        _ amount: TokenAmount, receipt: CID, payer: DID, at: UnixMilliseconds
    ) -> LedgerEntry {
        LedgerEntry(
            kind: .income, subject: receipt.text, from: .income(payer), to: .wallet, amount: amount, at: at)
    }
}
