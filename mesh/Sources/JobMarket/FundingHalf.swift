import Economics
import MeshTypes

/// A half of the market whose jobs wait for tokens that others hold.
protocol FundingHalf: CheckingHalf {
    /// Jobs whose price could not be held.
    var funds: FundsQueue { get set }

    /// Fails a job, unless a receipt still waits for its outputs.
    mutating func fail(_ id: JobID, _ failure: JobFailure, _ context: inout MarketContext)
}

extension FundingHalf {
    /// Handles a job for which no bid's price can be held: it waits while other holds are open, since what they do not
    /// use is released; otherwise it fails at once.
    mutating func cannotHold(_ id: JobID, cheapest: TokenAmount, _ context: inout MarketContext) {
        funds.add(id, needed: cheapest)
        guard funds.mayCome(cheapest, context.ledger) else {
            let failure = fundsFailure(of: id, context)
            funds.remove(id)
            return fail(id, failure, &context)
        }
        funds.looked(at: context.ledger)
        guard let job = jobs[id], job.phase != .funds else { return }
        record(
            .fundsAwaited(
                needed: cheapest, available: FundsQueue.available(for: id, context.ledger), until: job.endsAt),
            of: id, &context)
    }

    /// Why a job that waits for funds fails.
    func fundsFailure(of id: JobID, _ context: MarketContext) -> JobFailure {
        funds.failure(of: id, bids: jobs.read(id, \.bids) ?? [], context.ledger)
    }

    /// After every input: retries the jobs that wait for tokens if some were released, and fails them if nothing is
    /// held any more.
    mutating func retryHolds(_ context: inout MarketContext) {
        guard funds.isDue(context.ledger) else { return }
        for (id, needed) in funds.first(context.limits.holdRetriesMax) {
            guard jobs.read(id, { $0.phase == .funds }) ?? false else {
                funds.remove(id)
                continue
            }
            if needed <= FundsQueue.available(for: id, context.ledger) || !funds.mayCome(needed, context.ledger) {
                funds.remove(id)
                assignNext(id, &context)
            }
        }
        funds.looked(at: context.ledger)
    }
}
