package import MeshTypes
package import SignedObjects

/// An account in a node's own ledger. Every posting moves an amount from one account to another.
package enum LedgerAccount: Hashable, Sendable, Codable {
    /// Where tokens come from: a grant moves them from here into the wallet. It runs negative by the amount issued.
    case issuance
    /// What the node can spend.
    case wallet
    /// What is held for a job that this node originated.
    case escrow(JobID)
    /// What was paid to an executor, over all jobs.
    case paid(DID)
    /// What was earned from a payer, over all jobs. It runs negative by the amount earned.
    case income(DID)
    /// What was paid to merged executors (`Ledger.Limits.counterpartiesMax`).
    case paidToOthers
    /// What was earned from merged payers. It runs negative, too.
    case incomeFromOthers

    enum EscrowCodingKeys: String, CodingKey {
        case _0 = "job_id"
    }

    enum PaidCodingKeys: String, CodingKey {
        case _0 = "did"
    }

    enum IncomeCodingKeys: String, CodingKey {
        case _0 = "did"
    }

    /// Whether the account stands for the outside and may run negative.
    package var isSource: Bool {
        switch self {
        case .issuance, .income, .incomeFromOthers: true
        case .wallet, .escrow, .paid, .paidToOthers: false
        }
    }

    /// The account that merged counterparties go into; `nil` where there is one account only.
    var others: LedgerAccount? {
        switch self {
        case .paid: .paidToOthers
        case .income: .incomeFromOthers
        case .issuance, .wallet, .escrow, .paidToOthers, .incomeFromOthers: nil
        }
    }
}

extension LedgerAccount: CustomStringConvertible {
    /// One name per account: `wallet`, `escrow/<job>`, `paid/<did>`, `income/<did>`, `issuance`, `paid/others`,
    /// `income/others`.
    package var description: String {
        switch self {
        case .issuance: "issuance"
        case .wallet: "wallet"
        case .escrow(let job): "escrow/\(job)"
        case .paid(let did): "paid/\(did)"
        case .income(let did): "income/\(did)"
        case .paidToOthers: "paid/others"
        case .incomeFromOthers: "income/others"
        }
    }
}

extension LedgerAccount: Comparable {
    package static func < (left: LedgerAccount, right: LedgerAccount) -> Bool {
        left.description < right.description
    }
}
