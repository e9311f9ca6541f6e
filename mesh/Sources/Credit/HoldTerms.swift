package import MeshTypes
package import Multiformats
package import SignedObjects

/// What a payment waits for: the attempt of a job, who decides a dispute about it, and the dates.
package struct HoldTerms: Hashable, Sendable, Codable {
    /// The bounds of a hold.
    package enum Limits {
        /// The longest time until a hold's last claim, in milliseconds: a day.
        package static let claimMillisecondsMax: UInt64 = 86_400_000
        /// The least time between the last date of delivery and that of the claim, in milliseconds.
        package static let graceMillisecondsMin: UInt64 = 60_000
        /// The bounds of a window for disputes, and of the time for a decision, in milliseconds.
        package static let windowMilliseconds: ClosedRange<UInt64> = 1_000...86_400_000
        /// For how long after its `claim_by` a hold for another issuer's line takes what was claimed there in time, in
        /// milliseconds: a week. Then the issuer bears what the other one paid.
        package static let belowMilliseconds: UInt64 = 604_800_000
    }

    /// The job.
    package var jobID: JobID
    /// Which assignment of it.
    package var attempt: UInt64
    /// The bid that it takes up.
    package var bidCID: CID
    /// Whose job it is.
    package var originatorDID: DID
    /// Who runs it, and signs the claim.
    package var executorDID: DID
    /// Who decides a dispute; none of the others.
    package var arbiterDID: DID
    /// Until when the result has to be delivered.
    package var deliverBy: UnixMilliseconds
    /// Until when the hold stands without a claim.
    package var claimBy: UnixMilliseconds
    /// How long a claim can be disputed, in milliseconds.
    package var windowMilliseconds: UInt64
    /// How much longer a dispute may take, in milliseconds.
    package var extensionMilliseconds: UInt64
    /// What a dispute costs whoever loses it, in the unit of the debtor's line.
    package var disputeBudget: TokenAmount
    /// The most that the debtor pays for the hold itself.
    package var feeMax: TokenAmount

    package init(
        jobID: JobID, attempt: UInt64, bidCID: CID, originatorDID: DID, executorDID: DID, arbiterDID: DID,
        deliverBy: UnixMilliseconds, claimBy: UnixMilliseconds, windowMilliseconds: UInt64,
        extensionMilliseconds: UInt64, disputeBudget: TokenAmount = .zero, feeMax: TokenAmount = .zero
    ) {
        self.jobID = jobID
        self.attempt = attempt
        self.bidCID = bidCID
        self.originatorDID = originatorDID
        self.executorDID = executorDID
        self.arbiterDID = arbiterDID
        self.deliverBy = deliverBy
        self.claimBy = claimBy
        self.windowMilliseconds = windowMilliseconds
        self.extensionMilliseconds = extensionMilliseconds
        self.disputeBudget = disputeBudget
        self.feeMax = feeMax
    }

    /// The terms that an issuer gives for its own hold at the executor's issuer, when it was given these by its member:
    /// what is claimed there in time can still be claimed here, and what is disputed here can still be disputed there.
    /// A margin for which there is no room leaves terms that are out of bounds.
    package func downstream(marginMilliseconds margin: UInt64, disputeBudget budget: TokenAmount) -> HoldTerms {
        func sum(_ milliseconds: UInt64) -> UInt64 {
            let (sum, isOver) = milliseconds.addingReportingOverflow(margin)
            return isOver ? .max : sum
        }
        func less(_ date: UnixMilliseconds, _ milliseconds: UInt64) -> UnixMilliseconds {
            UnixMilliseconds(date.value - min(milliseconds, date.value))
        }
        var terms = self
        terms.claimBy = less(claimBy, margin)
        terms.deliverBy = min(deliverBy, less(terms.claimBy, Limits.graceMillisecondsMin))
        terms.windowMilliseconds = sum(windowMilliseconds)
        terms.extensionMilliseconds = sum(extensionMilliseconds)
        terms.disputeBudget = budget
        return terms
    }

    /// The first field that is out of its bounds.
    package var fieldOutOfBounds: String? {
        if attempt == 0 { return "attempt" }
        if originatorDID == executorDID { return "executor_did" }
        if arbiterDID == originatorDID || arbiterDID == executorDID { return "arbiter_did" }
        if deliverBy > claimBy { return "deliver_by" }
        if claimBy.milliseconds(since: deliverBy) < Limits.graceMillisecondsMin { return "claim_by" }
        if !Limits.windowMilliseconds.contains(windowMilliseconds) { return "window_ms" }
        if !Limits.windowMilliseconds.contains(extensionMilliseconds) { return "extension_ms" }
        if disputeBudget > CreditLine.limitMax { return "dispute_budget" }
        return feeMax > CreditLine.limitMax ? "fee_max" : nil
    }

    enum CodingKeys: String, CodingKey {
        case jobID = "job_id"
        case attempt
        case bidCID = "bid_cid"
        case originatorDID = "originator_did"
        case executorDID = "executor_did"
        case arbiterDID = "arbiter_did"
        case deliverBy = "deliver_by"
        case claimBy = "claim_by"
        case windowMilliseconds = "window_ms"
        case extensionMilliseconds = "extension_ms"
        case disputeBudget = "dispute_budget"
        case feeMax = "fee_max"
    }
}
