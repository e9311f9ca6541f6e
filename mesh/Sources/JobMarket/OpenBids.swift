import Determinism
import MeshTypes
import Multiformats
import SignedObjects

/// The bids of this node that may still be taken up, bounded per originator, and their share of the journal.
struct OpenBids: Sendable {
    private var shares = ShareTable<PeerID>()
    /// Those beyond their originator's share of the journal.
    private var unwritten: Set<JobID> = []
    private var journal = BidJournalShares()
    /// Those that were shown to everybody.
    private var shown: Set<JobID> = []

    /// How many there are.
    var count: Int { shares.total }

    /// Whether the journal records the bid on a job.
    func isWritten(_ job: JobID) -> Bool { !unwritten.contains(job) }

    /// Whether an originator has room for one more.
    func hasRoom(
        for manifest: JobManifest, _ configuration: ExecutorConfiguration, _ context: MarketContext
    ) -> Bool {
        shares.hasRoom(
            of: manifest.originatorPeerID, max: configuration.openBidsMax,
            each: configuration.openBidsPerOriginatorMax,
            strangers: context.strangersMax(of: configuration.openBidsMax, for: manifest.originatorDID))
    }

    // MARK: Steps

    /// Charges a bid about to be made to its originator's share of the journal, until the store prunes it; `false` if
    /// it is beyond the share, so not written.
    mutating func charge(
        _ signed: SignedObject<JobManifest>, _ bid: SignedObject<Bid>, _ context: inout MarketContext
    ) -> Bool {
        let originator = signed.body.originatorDID
        let milliseconds = bid.body.expiresAt.milliseconds(since: bid.body.issuedAt)
            .addingReportingOverflow(
                context.configuration.rules.clockSkewMilliseconds + context.limits.bidPruningMilliseconds
            )
            .partialValue
        let isWritten = journal.charge(
            JobID(signed.cid), signed.bytes.count + bid.bytes.count, of: signed.body.originatorPeerID,
            isStranger: !context.knows(originator),
            strangers: context.strangersMax(of: context.limits.bidJournalBytesMax, for: originator),
            until: context.now.advanced(milliseconds: Int64(clamping: milliseconds)), now: context.now,
            limits: context.limits)
        if !isWritten {
            unwritten.insert(JobID(signed.cid))
            context.counters.bidsNotWritten += 1
        }
        return isWritten
    }

    mutating func opened(_ manifest: JobManifest, _ context: MarketContext) {
        shares.add(to: manifest.originatorPeerID, isStranger: !context.knows(manifest.originatorDID))
    }

    mutating func closed(_ manifest: JobManifest) { shares.remove(from: manifest.originatorPeerID) }

    /// A bid was taken, and its lines are those of a run.
    mutating func taken(_ job: JobID) {
        unwritten.remove(job)
        journal.release(job)
    }

    /// Notes that a bid is shown to everybody; `true` the first time.
    mutating func shown(_ job: JobID) -> Bool { shown.insert(job).inserted }

    /// Drops the account of a bid.
    mutating func forget(_ job: JobID) {
        unwritten.remove(job)
        shown.remove(job)
    }

    /// Notes that an originator is no longer a stranger.
    mutating func met(_ originator: PeerID) {
        shares.met(originator)
        journal.met(originator)
    }
}
