/// Everything that a node knows about a job, on one page.
package struct JobDescription: Hashable, Sendable, Codable {
    /// What was asked for, as its originator signed it.
    package struct Request: Hashable, Sendable, Codable {
        /// Who asked.
        package var originatorDID: String
        /// The module's CID.
        package var moduleCID: String
        /// The function that is called.
        package var entry: String
        /// The numbers that it is called with, if for its results.
        package var invoke: [String]?
        /// The arguments after the program's name.
        package var args: [String]
        /// The environment.
        package var env: [NamedText]
        /// The inputs by name.
        package var inputs: [NamedCID]
        /// The files that the module sees; nil if it sees none.
        package var files: JobSubmission.Files?
        /// The limits of the run.
        package var limits: JobSubmission.Limits
        /// The most that it may cost, in the smallest unit.
        package var budget: UInt64?
        /// What the policy asks of executors, in words; empty if it takes any.
        package var policy: [NamedText]
        /// When its time is over, in milliseconds since the Unix epoch.
        package var expiresAt: UInt64

        package init(
            originatorDID: String, moduleCID: String, entry: String, args: [String], env: [NamedText],
            inputs: [NamedCID], limits: JobSubmission.Limits, budget: UInt64?, policy: [NamedText], expiresAt: UInt64
        ) {
            self.originatorDID = originatorDID
            self.moduleCID = moduleCID
            self.entry = entry
            self.args = args
            self.env = env
            self.inputs = inputs
            self.limits = limits
            self.budget = budget
            self.policy = policy
            self.expiresAt = expiresAt
        }

        private enum CodingKeys: String, CodingKey {
            case entry, invoke, args, env, inputs, files, limits, budget, policy
            case originatorDID = "originator_did"
            case moduleCID = "module_cid"
            case expiresAt = "expires_at"
        }
    }

    /// A bid on it.
    package struct Bid: Hashable, Sendable, Codable {
        /// What became of a bid.
        package enum Verdict: String, Hashable, Sendable, Codable, CaseIterable {
            /// It was, or still is, acceptable.
            case acceptable
            /// It was taken up.
            case taken
            /// It was refused; the reason says why.
            case refused
            /// It made way for a better one.
            case displaced
        }

        /// The bidder.
        package var bidderDID: String
        /// The most that it may charge, in the smallest unit.
        package var price: UInt64
        /// When it came, in milliseconds since the Unix epoch.
        package var at: UInt64
        /// What became of it.
        package var verdict: Verdict
        /// Why, if it was refused.
        package var reason: String?
        /// The stable name of that reason.
        package var code: String?

        package init(
            bidderDID: String, price: UInt64, at: UInt64, verdict: Verdict, reason: String? = nil,
            code: String? = nil
        ) {
            self.bidderDID = bidderDID
            self.price = price
            self.at = at
            self.verdict = verdict
            self.reason = reason
            self.code = code
        }

        private enum CodingKeys: String, CodingKey {
            case price, at, verdict, reason, code
            case bidderDID = "bidder_did"
        }
    }

    /// An assignment of it.
    package struct Attempt: Hashable, Sendable, Codable {
        /// The assignment.
        package var assignmentCID: String
        /// Who had the job.
        package var executorDID: String
        /// The most that it might charge, in the smallest unit.
        package var price: UInt64
        /// When it was assigned, in milliseconds since the Unix epoch.
        package var at: UInt64
        /// How it ended without a result; nil if it is under way or gave the result.
        package var failure: String?
        /// The stable name of the executor's reason, if the executor declined.
        package var code: String?

        package init(assignmentCID: String, executorDID: String, price: UInt64, at: UInt64, failure: String? = nil) {
            self.assignmentCID = assignmentCID
            self.executorDID = executorDID
            self.price = price
            self.at = at
            self.failure = failure
        }

        private enum CodingKeys: String, CodingKey {
            case price, at, failure, code
            case assignmentCID = "assignment_cid"
            case executorDID = "executor_did"
        }
    }

    /// A receipt of it.
    package struct ReceiptLine: Hashable, Sendable, Codable {
        /// The receipt.
        package var receiptCID: String
        /// Who signed it.
        package var executorDID: String
        /// How the run ended, as a sentence.
        package var outcome: String
        /// The metered fuel.
        package var fuel: UInt64
        /// What it asks for, in the smallest unit.
        package var price: UInt64
        /// When it came, or was signed here, in milliseconds since the Unix epoch.
        package var at: UInt64
        /// Whether it is the one that counts, as far as this node knows.
        package var counts: Bool

        package init(
            receiptCID: String, executorDID: String, outcome: String, fuel: UInt64, price: UInt64, at: UInt64,
            counts: Bool = false
        ) {
            self.receiptCID = receiptCID
            self.executorDID = executorDID
            self.outcome = outcome
            self.fuel = fuel
            self.price = price
            self.at = at
            self.counts = counts
        }

        private enum CodingKeys: String, CodingKey {
            case outcome, fuel, price, at, counts
            case receiptCID = "receipt_cid"
            case executorDID = "executor_did"
        }
    }

    /// The job, as a listing shows it.
    package var job: JobView
    /// What was asked for; nil where the journal is gone or damaged.
    package var request: Request?
    /// The bids that the journal names, in the order in which they came, at most `bidsMax`.
    package var bids: [Bid]
    /// How many more bids there were.
    package var furtherBids: UInt64
    /// Its assignments, in order.
    package var attempts: [Attempt]
    /// Its receipts, in the order in which they came.
    package var receipts: [ReceiptLine]
    /// What was booked for it, oldest first.
    package var movements: [WalletView.Entry]
    /// The sizes of inputs, mounts and outputs by their CIDs, as far as their first blocks are here.
    package var sizes: [ContentSize]?

    /// The workflow whose job it is, if it is one's.
    package var workflowID: String?
    /// The other jobs that this node made so that several executors do the same work (`quorum:K/N`).
    package var replicas: [JobView]?
    /// The most replicas of one description.
    package static let replicasMax = 64

    /// How large a file or folder is.
    package struct ContentSize: Hashable, Sendable, Codable {
        /// Its CID.
        package var cid: String
        /// The bytes of a file; of a folder, of all its blocks, as it says.
        package var bytes: UInt64

        package init(cid: String, bytes: UInt64) {
            self.cid = cid
            self.bytes = bytes
        }
    }

    /// The most bids of one description.
    package static let bidsMax = 128
    /// The job's trace, in hex, if this node records it (docs/traces.md).
    package var traceID: String?

    /// The most receipts of one description, and as many movements.
    package static let receiptsMax = 128

    /// The entry of this node's log that has the receipt which counts; nil where there is none.
    package var anchored: LogEntryView?

    /// What issuers hold for it, or were to book, one for each hold of this side; nil where it costs tokens.
    package var credit: [HoldView]?

    /// A description without what its journals tell.
    package init(job: JobView) {
        self.job = job
        bids = []
        furtherBids = 0
        attempts = []
        receipts = []
        movements = []
    }

    private enum CodingKeys: String, CodingKey {
        case job, request, bids, attempts, receipts, movements, sizes, anchored, replicas, credit
        case workflowID = "workflow_id"
        case traceID = "trace_id"
        case furtherBids = "further_bids"
    }
}
