import MeshTypes
import Reputation
import SignedObjects

/// A half of the market that judges for how long its jobs wait for bids (PROTOCOL.md, "Selection").
protocol WaitingHalf: SealingHalf {
    /// When bids came, and how long others are worth waiting for.
    var bidTimes: BidTimes { get set }
}

extension WaitingHalf {
    /// Closes the window early once enough acceptable bids have arrived. The policy says how many are enough; if it
    /// does not, free keys must not close the window before others had their time, so the best bid has to come from an
    /// executor that proved itself here.
    mutating func closeIfSufficient(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding, job.status != .biddingClosed else { return }
        if job.manifest.policy.hasPublicBids { return sealIfSufficient(id, &context) }
        let named = job.manifest.policy.sufficientBids
        let candidates = takers(of: job, context)
        // Those of executors that have another job of the same work count, and are not taken.
        let count = UInt64(job.candidates(context).count)
        if !candidates.isEmpty, count >= named ?? context.configuration.originator.sufficientBids {
            let ranking = bids.rank(candidates, of: job, context)
            if named != nil || ranking.first.map({ context.reputation.isProven($0.bidder) }) ?? false {
                return close(id, .sufficientBids, ranking, &context)
            }
        }
        if !candidates.isEmpty, !context.timers.contains(.window(id)) {
            close(id, .firstAcceptableBid, bids.rank(candidates, of: job, context), &context)
        }
    }

    /// Closes the window early, as nobody is left to wait for; unless the policy says how long, or for how many bids.
    mutating func everybodySpoke(on id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.mayCloseEarly(context) else { return }
        if job.manifest.policy.hasPublicBids { return seal(id, .everybodySpoke, &context) }
        let candidates = takers(of: job, context)
        if !candidates.isEmpty { close(id, .everybodySpoke, bids.rank(candidates, of: job, context), &context) }
    }

    mutating func windowElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.phase == .bidding, !publicWindowElapsed(id, &context) else { return }
        let candidates = takers(of: job, context)
        if !candidates.isEmpty { close(id, .windowElapsed, bids.rank(candidates, of: job, context), &context) }
    }

    /// Closes the window early once it is not worth waiting any longer for those that have said nothing: where what
    /// their bids could gain is little, or they take longer than they ever took. Keys that cost nothing shorten
    /// nothing by it: the best bid has to come from an executor that proved itself here.
    mutating func bidsAwaited(on id: JobID, from offers: [NodeCapability], _ context: inout MarketContext) {
        context.timers.clear(.worth(id))
        guard let job = jobs[id], let candidates = bidsWorthTaking(on: job, context) else { return }
        let gains = bids.gains(of: offers, over: candidates, on: job, context)
        let (window, enough) = (
            context.configuration.originator.bidWindowMilliseconds, context.configuration.originator.sufficientBids
        )
        let areSpare = UInt64(candidates.count) < enough
        guard let until = bidTimes.awaits(gains, areSpare: areSpare, on: id, window: window) else { return }
        if until <= context.now {
            close(id, .nothingToGain, bids.rank(candidates, of: job, context), &context)
        } else if context.timers.contains(.window(id)) {
            context.timers.set(.worth(id), at: until)
        }
    }

    mutating func worthElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], let candidates = bidsWorthTaking(on: job, context) else { return }
        close(id, .nothingToGain, bids.rank(candidates, of: job, context), &context)
    }

    /// The bids of a job whose window may be closed although somebody who is able says nothing; `nil` if it may not.
    /// Those that share a work with others are better off with many bids.
    private func bidsWorthTaking(on job: OriginatedJob, _ context: MarketContext) -> [ReceivedBid]? {
        guard job.mayCloseEarly(context), !job.manifest.policy.hasPublicBids, !quorums.isReplica(job.id),
            quorums.replicas(of: job.id).isEmpty
        else { return nil }
        let candidates = takers(of: job, context)
        guard let best = bids.rank(candidates, of: job, context).first, context.reputation.isProven(best.bidder)
        else { return nil }
        return candidates
    }
}
