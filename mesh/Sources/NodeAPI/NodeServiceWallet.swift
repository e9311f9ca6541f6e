/// What a node owns, owes and is owed, by its own ledger.
public struct WalletView: Hashable, Sendable, Codable {
    /// The node's DID.
    public var did: String
    /// What it can spend, in the smallest unit.
    public var available: UInt64
    /// What is held for jobs that run.
    public var held: UInt64
    /// What was paid for jobs.
    public var paid: UInt64
    /// What was earned by running jobs.
    public var earned: UInt64
    /// What is held, by job.
    public var holds: [Hold]
    /// The newest movements, newest first.
    public var entries: [Entry]

    /// Tokens that are held for a job.
    public struct Hold: Hashable, Sendable, Codable {
        /// The job.
        public var jobID: String
        /// How much.
        public var amount: UInt64

        public init(jobID: String, amount: UInt64) {
            self.jobID = jobID
            self.amount = amount
        }

        private enum CodingKeys: String, CodingKey {
            case amount
            case jobID = "job_id"
        }
    }

    /// One movement between two accounts.
    public struct Entry: Hashable, Sendable, Codable {
        /// When, in milliseconds since the Unix epoch.
        public var at: UInt64
        /// `grant`, `hold`, `payment`, `refund`, …
        public var kind: String
        /// The account that gave.
        public var debit: String
        /// The account that received.
        public var credit: String
        /// How much, in the smallest unit.
        public var amount: UInt64
        /// The job, if any.
        public var jobID: String?

        /// A movement.
        public init(at: UInt64, kind: String, debit: String, credit: String, amount: UInt64, jobID: String?) {
            self.at = at
            self.kind = kind
            self.debit = debit
            self.credit = credit
            self.amount = amount
            self.jobID = jobID
        }

        private enum CodingKeys: String, CodingKey {
            case at, kind, debit, credit, amount
            case jobID = "job_id"
        }
    }

    public init(
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
