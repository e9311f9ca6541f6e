/// What a node thinks of executors and originators, by what it found itself.
package struct ReputationView: Hashable, Sendable, Codable {
    /// What of this node's evidence says of one executor, or of one originator.
    package struct Subject: Hashable, Sendable, Codable {
        /// Its DID.
        package var did: String
        /// From 0 to 1,000; 1,000 × good / (good + bad + prior).
        package var score: UInt64
        /// Whether a verified receipt shows that it once did its part.
        package var isProven: Bool
        /// Receipts that count, by what they showed: of an executor `fulfilled`, `abandoned`, `invalid`, `undelivered`,
        /// of an originator `fulfilled` (it paid), `unpaid`; of both `equivocated` (two histories of its log).
        package var receipts: [String: UInt64]
        /// The weight of what speaks for it; a fresh receipt has 1,000.
        package var good: UInt64
        /// The weight of what speaks against it.
        package var bad: UInt64
        /// What a newcomer has to outweigh.
        package var prior: UInt64
        /// Its results that this node ran again and found right, since the last wrong one; none of an originator.
        package var rightResults: UInt64
        /// What was paid for these, in tokens.
        package var rightWorth: UInt64
        /// How likely its next result is checked at the level adaptive, in thousandths, if no more is at stake than
        /// these were worth on average.
        package var checkedPermille: UInt64
        /// How much is known of it at all, in thousandths: 1,000 × (good + bad) / (good + bad + prior).
        package var confidence: UInt64
        /// What of `good` others' records add (`elsewhere`).
        package var goodElsewhere: UInt64
        /// Each receipt that is kept of it, the newest first; only where one executor was asked for.
        package var reasons: [Reason]?
        /// What others paid it, as issuers that this node trusts proved, by payer; only where one executor was asked
        /// for.
        package var elsewhere: [Payer]?

        package init(did: String, score: UInt64, isProven: Bool, receipts: [String: UInt64]) {
            self.did = did
            self.score = score
            self.isProven = isProven
            self.receipts = receipts
            good = 0
            bad = 0
            prior = 0
            rightResults = 0
            rightWorth = 0
            checkedPermille = 1_000
            confidence = 0
            goodElsewhere = 0
        }

        private enum CodingKeys: String, CodingKey {
            case did, score, receipts, good, bad, prior, reasons, confidence, elsewhere
            case goodElsewhere = "good_elsewhere"
            case isProven = "proven"
            case rightResults = "right_results"
            case rightWorth = "right_worth"
            case checkedPermille = "checked_permille"
        }
    }

    /// A receipt, and what it weighs.
    package struct Reason: Hashable, Sendable, Codable {
        /// The receipt; where the executor was silent, its signed acceptance; where the originator paid, the
        /// settlement; where two histories were told, the proof.
        package var receiptCID: String
        /// The assignment that it answers, which counts once.
        package var assignmentCID: String
        /// What it showed, as in `receipts`.
        package var verdict: String
        /// When this node took it, by its own clock, in milliseconds since the Unix epoch.
        package var at: UInt64
        /// What it weighs now; a fresh fulfilled receipt 1,000.
        package var weight: UInt64
        /// Whether a later invalid receipt took it away.
        package var isReset: Bool

        package init(
            receiptCID: String, assignmentCID: String, verdict: String, at: UInt64, weight: UInt64, isReset: Bool
        ) {
            self.receiptCID = receiptCID
            self.assignmentCID = assignmentCID
            self.verdict = verdict
            self.at = at
            self.weight = weight
            self.isReset = isReset
        }

        private enum CodingKeys: String, CodingKey {
            case verdict, at, weight
            case receiptCID = "receipt_cid"
            case assignmentCID = "assignment_cid"
            case isReset = "reset"
        }
    }

    /// What somebody paid an executor, as issuers' logs show, and what that weighs.
    package struct Payer: Hashable, Sendable, Codable {
        /// A receipt that was paid.
        package struct Receipt: Hashable, Sendable, Codable {
            /// The receipt.
            package var receiptCID: String
            /// The issuer.
            package var issuer: String
            /// How much, in the smallest part of the unit.
            package var amount: UInt64
            /// The unit's name.
            package var unit: String
            /// Its decimal places.
            package var decimals: UInt64
            /// The block that proves it.
            package var proofCID: String
            /// When the issuer booked it, in milliseconds since the Unix epoch.
            package var at: UInt64

            package init(
                receiptCID: String, issuer: String, amount: UInt64, unit: String, decimals: UInt64, proofCID: String,
                at: UInt64
            ) {
                (self.receiptCID, self.issuer, self.amount) = (receiptCID, issuer, amount)
                (self.unit, self.decimals, self.proofCID, self.at) = (unit, decimals, proofCID, at)
            }

            private enum CodingKeys: String, CodingKey {
                case issuer, amount, unit, decimals, at
                case receiptCID = "receipt_cid"
                case proofCID = "proof_cid"
            }
        }

        /// Whose line paid.
        package var did: String
        /// What it weighs now; 1,000 at most.
        package var weight: UInt64
        /// How much of what it paid did not come back to it, in thousandths.
        package var keptPermille: UInt64
        /// For which receipts.
        package var receipts: [Receipt]

        package init(did: String, weight: UInt64, keptPermille: UInt64, receipts: [Receipt]) {
            (self.did, self.weight, self.keptPermille, self.receipts) = (did, weight, keptPermille, receipts)
        }

        private enum CodingKeys: String, CodingKey {
            case did, weight, receipts
            case keptPermille = "kept_permille"
        }
    }

    /// As of when, in milliseconds since the Unix epoch.
    package var at: UInt64
    /// The executors, the best first.
    package var subjects: [Subject]
    /// The originators whose jobs this node ran, the best first.
    package var originators: [Subject]

    package init(at: UInt64, subjects: [Subject], originators: [Subject] = []) {
        self.at = at
        self.subjects = subjects
        self.originators = originators
    }
}
