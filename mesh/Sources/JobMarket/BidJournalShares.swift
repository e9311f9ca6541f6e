import DequeModule
import Determinism
import MeshTypes
import Multiformats

/// Which bids the journal records: it bounds the bytes of bids that nobody took until they are pruned, in total and per
/// originator.
///
/// Nothing depends on a bid in the journal, since an assignment carries it; so the node still makes a bid beyond the
/// share, and only the operator's record of it is missing. What is written is charged until the store prunes it
/// (PROTOCOL.md, "Restarts"), or until the bid is taken up.
struct BidJournalShares: Sendable {
    private struct Charge: Sendable {
        let number: UInt64
        let originator: PeerID
        let bytes: Int
    }

    private var shares = ShareTable<PeerID>()
    private var charges: [JobID: Charge] = [:]
    private var order = Deque<(job: JobID, number: UInt64, until: MonotonicInstant)>()
    private var number: UInt64 = 0

    /// Charges a bid until a moment; `false` if it is beyond the share, so must not be written.
    mutating func charge(
        _ job: JobID, _ bytes: Int, of originator: PeerID, isStranger: Bool, strangers: Int?, until: MonotonicInstant,
        now: MonotonicInstant, limits: MarketLimits
    ) -> Bool {
        prune(now)
        let charged = max(bytes, limits.bidJournalBytesMin)
        guard
            shares.hasRoom(
                for: charged, of: originator, max: limits.bidJournalBytesMax,
                each: limits.bidJournalBytesPerOriginatorMax, strangers: strangers)
        else { return false }
        shares.add(charged, to: originator, isStranger: isStranger)
        number += 1
        // The rows of an earlier bid on the same job stay as long as those of the later one.
        let earlier = charges[job]?.bytes ?? 0
        charges[job] = Charge(number: number, originator: originator, bytes: earlier + charged)
        order.append((job, number, until))
        return true
    }

    private mutating func prune(_ now: MonotonicInstant) {
        while let first = order.first, first.until <= now || charges[first.job]?.number != first.number {
            order.removeFirst()
            if charges[first.job]?.number == first.number { release(first.job) }
        }
        if order.count > 64 + 2 * charges.count {
            let charges = charges
            order.removeAll { charges[$0.job]?.number != $0.number }
        }
    }

    /// Releases the charge of a bid that was taken up: its rows now belong to a run.
    mutating func release(_ job: JobID) {
        guard let charge = charges.removeValue(forKey: job) else { return }
        shares.remove(charge.bytes, from: charge.originator)
    }

    mutating func met(_ originator: PeerID) { shares.met(originator) }
}
