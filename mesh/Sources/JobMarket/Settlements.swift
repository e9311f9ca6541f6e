import Credit
import Economics
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What was paid for a job's receipts, and whom to tell.
struct Settlements: Hashable, Sendable {
    /// The payment of the receipt that counts.
    struct Payment: Hashable, Sendable {
        /// The settlement as this node signed it.
        let signed: SignedObject<Settlement>

        /// Names it.
        var cid: CID { signed.cid }
        /// What was paid.
        var amount: TokenAmount { signed.body.amountPaid }
    }

    private(set) var payment: Payment?
    /// Settlements still to be sent to executors, including those of late receipts.
    private(set) var notices: [SettlementNotice] = []

    /// Notes the payment of the receipt that counts.
    mutating func paid(_ signed: SignedObject<Settlement>, notifyUntil until: UnixMilliseconds) {
        payment = Payment(signed: signed)
        notices.append(SettlementNotice(signed: signed, until: until))
    }

    /// Notes the answer to a late receipt.
    mutating func answeredLate(_ signed: SignedObject<Settlement>, notifyUntil until: UnixMilliseconds) {
        notices.append(SettlementNotice(signed: signed, until: until))
    }

    /// The settlement of a receipt: the payment of the one that counts, or a notice that is still to be sent.
    func settlement(of receipt: CID) -> SignedObject<Settlement>? {
        if let payment, payment.signed.body.receiptCID == receipt { return payment.signed }
        return notices.first { $0.receiptCID == receipt }?.signed
    }

    /// Notes that an executor knows, or was told long enough.
    mutating func told(of receipt: CID) { notices.removeAll { $0.receiptCID == receipt } }
}

/// A settlement to send to an executor.
package struct SettlementNotice: Hashable, Sendable {
    /// The settlement as this node signed it.
    package let signed: SignedObject<Settlement>
    /// How long to send it to the executor.
    package let until: UnixMilliseconds

    /// The receipt that it settles.
    package var receiptCID: CID { signed.body.receiptCID }
    /// The executor.
    package var executorDID: DID { signed.body.executorDID }
}

/// Settles the receipt that counts: pays by metered fuel out of the hold, and releases the rest.
struct Payout: Sendable {
    let settlement: Settlement
    let entries: [LedgerEntry]

    init(for accepted: AcceptedReceipt, of originated: OriginatedJob?, _ context: MarketContext) {
        let receipt = accepted.receipt
        let job = receipt.jobID
        let attempt = originated?.assignments[accepted.assignmentCID]
        let hold = attempt.flatMap { originated?.holds.certificate(of: $0.assignment) }?.body
        let held = hold?.amount ?? context.ledger.escrow(of: job)
        // The check of the receipt enforced the agreed terms, and the hold covers the dearest terms.
        var paid = min(receipt.price, held)
        if let attempt {
            let claim = TimedClaim(receipt, of: attempt, cameAt: accepted.cameAt, context)
            paid = min(paid, claim.priceMax(isChecked: originated?.isChecked ?? false) ?? paid)
        }
        if let attempt, let fuel = originated?.foundFuel {
            paid = min(paid, attempt.assignment.terms.due(for: receipt.outcome, fuel: fuel))
        }
        let rest = held.subtractingSaturated(paid)
        var settlement = Settlement(
            jobID: job, receiptCID: accepted.cid, originatorDID: context.did, executorDID: receipt.executorDID,
            amountPaid: paid, amountRefunded: rest, verdict: receipt.outcome == .cancelled ? .paidCancelled : .paid,
            settledAt: context.wallClock)
        settlement.verification = context.opening(of: originated)
        settlement.finding = originated?.finding ?? .unchecked
        settlement.unit = hold?.unit
        self.settlement = settlement
        var entries: [LedgerEntry] = []
        if hold == nil, paid > .zero {
            entries.append(.settle(paid, job: job, executor: receipt.executorDID, at: context.wallClock))
        }
        if hold == nil, rest > .zero { entries.append(.refund(rest, job: job, at: context.wallClock)) }
        self.entries = entries
    }
}

extension Settlement {
    /// Settles a receipt that came after the result: nothing is paid.
    init(late receipt: SignedObject<ExecutionReceipt>, of job: JobID, _ context: MarketContext) {
        self.init(
            jobID: job, receiptCID: receipt.cid, originatorDID: context.did, executorDID: receipt.body.executorDID,
            amountPaid: .zero, amountRefunded: .zero, verdict: .late, settledAt: context.wallClock)
    }
}
