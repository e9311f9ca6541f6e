package import SignedObjects

/// Jobs that are paid by the credit of an issuer instead of tokens (PROTOCOL.md, "Jobs by credit").
package enum CreditJob {
    /// What an executor that takes them has among its features; every job that names issuers requires it.
    package static let feature = "credit-jobs-v2"

    /// The bounds of such jobs.
    package enum Limits {
        /// Issuers that a job names.
        package static let issuersMax = 4
        /// Issuers of others that a job names, by which its executor may be paid.
        package static let acrossMax = 16
        /// Issuers that an executor trusts.
        package static let trustedMax = 16
    }
}

/// By which issuers an originator pays, and the one unit of all amounts of the job: its budget and its bids.
package struct PayBy: Hashable, Sendable, Codable {
    /// An issuer of others that one of the job's issuers pays: an executor that trusts it need not know the other.
    package struct Neighbour: Hashable, Sendable, Codable {
        /// The issuer by which an executor may be paid.
        package var issuerDID: DID
        /// Which of the job's issuers has a line there.
        package var byDID: DID

        package init(issuerDID: DID, byDID: DID) {
            (self.issuerDID, self.byDID) = (issuerDID, byDID)
        }

        enum CodingKeys: String, CodingKey {
            case issuerDID = "issuer_did"
            case byDID = "by_did"
        }
    }

    /// The issuers where the originator has lines, each once.
    package var issuers: [DID]
    /// What amounts are counted in.
    package var unit: CreditUnit
    /// Issuers that these pay in the same unit, each once and none of them; absent without any.
    package var across: [Neighbour]?

    package init(issuers: [DID], unit: CreditUnit, across: [Neighbour]? = nil) {
        (self.issuers, self.unit, self.across) = (issuers, unit, across)
    }

    /// Whether a bid can be paid so.
    package func admits(_ payment: BidPayment) -> Bool {
        payment.unit == unit && payer(to: payment.issuerDID) != nil
    }

    /// Which of the job's issuers pays bids by an issuer: that one itself, or the one that has a line there.
    package func payer(to issuer: DID) -> DID? {
        issuers.contains(issuer) ? issuer : across?.first { $0.issuerDID == issuer }?.byDID
    }
}

/// By which issuer a bid wants to be paid, and what its amounts are counted in.
package struct BidPayment: Hashable, Sendable, Codable {
    /// The issuer, where bidder and originator have lines.
    package var issuerDID: DID
    /// What amounts are counted in.
    package var unit: CreditUnit

    package init(issuerDID: DID, unit: CreditUnit) {
        (self.issuerDID, self.unit) = (issuerDID, unit)
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case unit
    }
}

/// Direct, originator to executor: a receipt and all that it names is here.
package struct JobDeliveredV1: Hashable, Sendable, Codable {
    /// The job.
    package var jobID: JobID
    /// The signed `DeliveryStatement`.
    package var statement: [UInt8]

    package init(jobID: JobID, statement: [UInt8]) {
        (self.jobID, self.statement) = (jobID, statement)
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case statement
    }
}
