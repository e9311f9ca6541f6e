import Economics
import MeshTypes

/// Prices that cannot be held while other jobs hold too much.
extension OriginatorMarket {
    /// The price of no bid can be held: the job waits as long as other holds are open, since what they do not use comes
    /// back; else it fails at once.
    mutating func cannotHold(_ job: OriginatedJob, cheapest: TokenAmount, _ context: inout MarketContext) {
        funds.add(job.id, needed: cheapest)
        guard funds.othersHold(context.ledger) else {
            let failure = cannotHold(job, context)
            funds.remove(job.id)
            return fail(job, failure, &context)
        }
        funds.looked(at: context.ledger)
        if job.phase != .funds {
            record(
                .fundsAwaited(
                    needed: cheapest, available: available(for: job, context), until: job.endsAt),
                of: job.id, &context)
        }
    }

    /// Why a job that waits for funds fails.
    func cannotHold(_ job: OriginatedJob, _ context: MarketContext) -> JobFailure {
        .cannotHold(needed: funds.needed(by: job.id), available: available(for: job, context))
    }

    /// What can be held for a job: the wallet, and what is held for it already.
    func available(for job: OriginatedJob, _ context: MarketContext) -> TokenAmount {
        context.ledger.wallet.addingSaturated(context.ledger.escrow(of: job.id))
    }

    /// After every input: when tokens came back, the jobs that wait for them are tried again, and when nothing is held
    /// any more they fail.
    mutating func retryHolds(_ context: inout MarketContext) {
        guard funds.isDue(context.ledger) else { return }
        for (id, needed) in funds.first(context.limits.holdRetriesMax) {
            guard let job = jobs[id], job.result == nil, job.phase == .funds else {
                funds.remove(id)
                continue
            }
            if needed <= available(for: job, context) || !funds.othersHold(context.ledger) {
                funds.remove(id)
                assignNext(id, &context)
            }
        }
        funds.looked(at: context.ledger)
    }
}
