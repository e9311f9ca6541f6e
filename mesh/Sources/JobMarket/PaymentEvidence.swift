import Credit
import Economics
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

extension ReputationEvidence {
    /// What a settlement shows about the originator of a run of this node: that it paid, or less than its terms give
    /// for any run with such an end. What is between that and the receipt's price follows from its own finding, and
    /// counts as paid. Nil for everything else: free runs, cancelled ones that were paid nothing, and settlements that
    /// refuse to pay, for which the fault may be here. It takes the place of the delay, if it came late.
    init?(payment event: JobEvent, of job: ExecutedJob) {
        guard case .settlementReceived(let settlement) = event.kind, let receipt = job.receipt, receipt.price > .zero,
            let terms = job.assignment?.terms
        else { return nil }
        let (paid, outcome) = (settlement.body.amountPaid, receipt.outcome)
        switch settlement.body.verdict {
        case .paidCancelled where paid == .zero: return nil
        case .paid, .paidCancelled: break
        case .nodeFailure, .late, .refuted, .unverified: return nil
        }
        var least = TokenAmount.zero
        if settlement.body.verdict == .paid {
            // Whatever ends by itself has burnt something.
            least = min(receipt.price, terms.due(for: outcome, fuel: outcome.burnsFuel ? 1 : 0))
            if let hold = job.hold { least = min(least, hold.body.amount) }
        }
        self.init(of: receipt, shownBy: settlement.cid, paid >= least ? .fulfilled : .unpaid, at: event.at)
    }

    /// That the settlement of a run did not come in the time for it, which is over now. Nil where none was due: the
    /// originator did not acknowledge the receipt, or the run was stopped, and may have been another's by then. And nil
    /// where it may be this node that missed it: it was restarted during the wait, or heard of nobody else at its end.
    init?(unpaid job: ExecutedJob, _ context: MarketContext) {
        guard !job.isClosed, job.stopReason == nil, let delivery = job.receiptDelivery, delivery.expectsSettlement,
            delivery.signed.body.outcome != .cancelled, let since = delivery.endedAt, let until = delivery.settleUntil,
            context.startedAt.map({ $0 < since }) ?? true,
            context.hearsOthers(
                than: job.manifest.originatorPeerID, inLastThirdOf: until.milliseconds(since: since))
        else { return nil }
        self.init(of: delivery.signed.body, shownBy: delivery.signed.cid, .unpaid, at: context.steady)
    }

    private init(
        of receipt: ExecutionReceipt, shownBy citation: CID, _ verdict: ReputationVerdict, at date: UnixMilliseconds
    ) {
        self.init(
            subject: receipt.originatorDID, payer: receipt.executorDID, assignmentCID: receipt.assignmentCID,
            receiptCID: citation, verdict: verdict, at: date)
    }
}

extension ExecutionOutcome {
    /// Whether no run ends this way without having burnt fuel.
    fileprivate var burnsFuel: Bool {
        switch self {
        case .exited, .trapped: true
        case .limitExceeded, .cancelled, .filesRefused, .moduleRefused, .fetchFailed, .nodeFailed: false
        }
    }
}
