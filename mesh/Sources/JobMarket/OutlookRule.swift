import MeshTypes

/// What a job does about the executors that its originator knows (PROTOCOL.md, "Without executors").
///
/// A job that every known executor refuses, for a reason that lasts, counts like one for which no executor is known: it
/// waits a while for others, if it is known for how long. Where a bid of an executor that is no stranger was too dear,
/// it does not wait beyond its window: who is cheap enough would have bid by then. A window that the owner named always
/// runs its course, and this node's own executor has its turn first.
struct OutlookRule {
    let job: OriginatedJob
    let outlook: ExecutorOutlook
    /// After how long the job need not wait for executors that nobody knows; `nil` if that is not known yet.
    let patienceMilliseconds: UInt64?

    /// Whether to tell the owner and the journal.
    func isNews(_ limits: MarketLimits) -> Bool {
        outlook != job.outlook && job.outlookCount < limits.outlooksPerJobMax
    }

    /// Whether the job ends here.
    ///
    /// - Parameter isDoneHere: whether this node's own executor has judged the job and has no bid on it.
    func isOver(isDoneHere: Bool, _ context: MarketContext) -> Bool {
        guard outlook.isHopeless, job.phase == .bidding, !context.timers.contains(.window(job.id)),
            isDoneHere || !outlook.isHere
        else { return false }
        return patienceMilliseconds.map { job.isOlder(milliseconds: $0, context) } ?? false
    }
}

extension OriginatedJob {
    /// Why it fails without a bid if every executor that is known refuses it, or was banned.
    var refusedByAll: JobFailure? {
        outlook.flatMap { $0.isHopeless || $0.isBannedAll ? .noExecutor($0, bids: 0) : nil }
    }

    /// Why it fails at the end of its bidding, with so many bids that were refused: if every executor that is known
    /// refuses it, or if nobody bid and any executor is known, or was banned.
    func left(bids: UInt64) -> JobFailure? {
        outlook.flatMap { outlook in
            let isTold = outlook.isHopeless || (bids == 0 && (outlook.known > 0 || outlook.isBannedAll))
            return isTold ? .noExecutor(outlook, bids: bids) : nil
        }
    }

    /// Whether nobody made an acceptable bid yet, and nobody had the job.
    func awaitsFirstBid(_ context: MarketContext) -> Bool {
        isOpen && (phase == .announcement || phase == .bidding) && status != .biddingClosed && assignments.isEmpty
            && !hasOffers(context)
    }

    /// Whether it collects bids, has one that would do, and names neither a window nor how many bids are enough.
    func mayCloseEarly(_ context: MarketContext) -> Bool {
        let policy = manifest.policy
        return phase == .bidding && status != .biddingClosed && policy.sufficientBids == nil
            && policy.bidWindowMilliseconds == nil && bidding.sealed.seal == nil && hasOffers(context)
    }

    /// Whether it has no acceptable bid after so long, and no window of its owner's is open.
    func waitsInVain(afterMilliseconds age: UInt64, _ context: MarketContext) -> Bool {
        let isBidding = isOpen && (phase == .announcement || phase == .bidding)
        guard isBidding, !hasOffers(context) else { return false }
        return age == 0 || (!context.timers.contains(.window(id)) && isOlder(milliseconds: age, context))
    }

    /// Whether the job was submitted this long ago, by the clock that only moves forward.
    func isOlder(milliseconds: UInt64, _ context: MarketContext) -> Bool {
        let lifetime = manifest.expiresAt.milliseconds(since: manifest.submittedAt)
        return context.steady.advanced(milliseconds: lifetime) >= endsAt.advanced(milliseconds: milliseconds)
    }
}
