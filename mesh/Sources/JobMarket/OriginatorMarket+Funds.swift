import Collections
import Economics
import MeshTypes

/// Prices that cannot be held while other jobs hold too much.
extension OriginatorMarket {
    /// The price of no bid can be held: the job waits as long as other holds are open, since what they do not use comes
    /// back; else it fails at once.
    mutating func cannotHold(_ job: OriginatedJob, cheapest: TokenAmount, _ context: inout MarketContext) {
        awaitingFunds[job.id] = cheapest
        guard othersHold(context) else {
            let failure = cannotHold(job, context)
            awaitingFunds[job.id] = nil
            return fail(job, failure, &context)
        }
        fundsSeen = Self.funds(context)
        if job.phase != .funds {
            record(
                .fundsAwaited(
                    needed: cheapest, available: available(for: job, context), until: job.endsAt),
                of: job.id, &context)
        }
    }

    /// Why a job that waits for funds fails.
    func cannotHold(_ job: OriginatedJob, _ context: MarketContext) -> JobFailure {
        .cannotHold(needed: awaitingFunds[job.id] ?? .zero, available: available(for: job, context))
    }

    /// What can be held for a job: the wallet, and what is held for it already.
    func available(for job: OriginatedJob, _ context: MarketContext) -> TokenAmount {
        context.ledger.wallet.addingSaturated(context.ledger.escrow(of: job.id))
    }

    /// After every input: when tokens came back, the jobs that wait for them are tried again, and when nothing is held
    /// any more they fail.
    mutating func retryHolds(_ context: inout MarketContext) {
        guard !awaitingFunds.isEmpty, fundsSeen != Self.funds(context) else { return }
        for (id, needed) in awaitingFunds.elements.prefix(context.limits.holdRetriesMax) {
            guard let job = jobs[id], job.result == nil, job.phase == .funds else {
                awaitingFunds[id] = nil
                continue
            }
            if needed <= available(for: job, context) || !othersHold(context) {
                awaitingFunds[id] = nil
                assignNext(id, &context)
            }
        }
        fundsSeen = Self.funds(context)
    }

    private static func funds(_ context: MarketContext) -> [TokenAmount] {
        [context.ledger.wallet, context.ledger.escrowTotal]
    }

    /// Whether jobs that do not wait for funds themselves hold anything.
    private func othersHold(_ context: MarketContext) -> Bool {
        let waiting = awaitingFunds.keys.reduce(TokenAmount.zero) { sum, id in
            sum.addingSaturated(context.ledger.escrow(of: id))
        }
        return context.ledger.escrowTotal > waiting
    }
}
