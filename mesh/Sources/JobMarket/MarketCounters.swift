/// What the market counts besides its journal; for metrics and for `mesh status`.
package struct MarketCounters: Hashable, Sendable {
    /// Messages that changed nothing because they were repetitions.
    package var duplicates: UInt64 = 0
    /// Refused messages by reason, in the order in which reasons first occurred.
    package private(set) var refusals: [String: UInt64] = [:]
    /// Decisions not to bid, by reason.
    package private(set) var declines: [String: UInt64] = [:]
    /// Bids beyond the limit of their job or peer.
    package var bidsIgnored: UInt64 = 0
    /// Announcements not judged because their author made too many.
    package var announcementsIgnored: UInt64 = 0
    /// Bids made but not written, because their originator's share of the journal was used up.
    package var bidsNotWritten: UInt64 = 0
    /// Direct messages that could not be queued because the outbox was full.
    package var deliveriesDropped: UInt64 = 0

    mutating func refused(_ code: String) {
        refusals[code, default: 0] += 1
    }

    mutating func declined(_ code: String) {
        declines[code, default: 0] += 1
    }
}
