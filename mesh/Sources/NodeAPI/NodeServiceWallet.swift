/// Which movements of a node's ledger to read.
package struct WalletQuery: Hashable, Sendable {
    /// The most movements.
    package var limit: Int
    /// Only movements before the one with this number; nil begins with the newest.
    package var before: Int64?
    /// Only movements of this kind.
    package var kind: Kind?

    /// The kinds of movements.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        /// Tokens that the node granted itself.
        case grant
        /// What is held for a job.
        case hold
        /// What an executor is paid from a hold.
        case settle
        /// What comes back from a hold.
        case refund
        /// What a payer paid for a run here.
        case income
    }

    package init(limit: Int, before: Int64? = nil, kind: Kind? = nil) {
        self.limit = limit
        self.before = before
        self.kind = kind
    }
}

/// What a node owns, owes and is owed, by its own ledger.
package struct WalletView: Hashable, Sendable, Codable {
    /// The node's DID.
    package var did: String
    /// What it can spend, in the smallest unit.
    package var available: UInt64
    /// What is held for jobs that run.
    package var held: UInt64
    /// What was paid for jobs.
    package var paid: UInt64
    /// What was earned by running jobs.
    package var earned: UInt64
    /// What is held, by job.
    package var holds: [Hold]
    /// The newest movements, newest first.
    package var entries: [Entry]
    /// Whose book it is: `own`, the node's, which no other node sees or vouches for; nil from an older node.
    package var book: String? = "own"

    /// Tokens that are held for a job.
    package struct Hold: Hashable, Sendable, Codable {
        /// The job.
        package var jobID: String
        /// How much.
        package var amount: UInt64

        package init(jobID: String, amount: UInt64) {
            self.jobID = jobID
            self.amount = amount
        }

        private enum CodingKeys: String, CodingKey {
            case amount
            case jobID = "job_id"
        }
    }

    /// One movement between two accounts.
    package struct Entry: Hashable, Sendable, Codable {
        /// When, in milliseconds since the Unix epoch.
        package var at: UInt64
        /// `grant`, `hold`, `payment`, `refund`, …
        package var kind: String
        /// The account that gave.
        package var debit: String
        /// The account that received.
        package var credit: String
        /// How much, in the smallest unit.
        package var amount: UInt64
        /// The job, if any.
        package var jobID: String?
        /// Its number in the order of booking, from 1; nil from an older node.
        package var number: Int64?

        /// A movement.
        package init(
            at: UInt64, kind: String, debit: String, credit: String, amount: UInt64, jobID: String?,
            number: Int64? = nil
        ) {
            self.at = at
            self.kind = kind
            self.debit = debit
            self.credit = credit
            self.amount = amount
            self.jobID = jobID
            self.number = number
        }

        private enum CodingKeys: String, CodingKey {
            case at, kind, debit, credit, amount, number
            case jobID = "job_id"
        }
    }

    package init(
        did: String, available: UInt64, held: UInt64, paid: UInt64, earned: UInt64, holds: [Hold], entries: [Entry]
    ) {
        self.did = did
        self.available = available
        self.held = held
        self.paid = paid
        self.earned = earned
        self.holds = holds
        self.entries = entries
    }
}
