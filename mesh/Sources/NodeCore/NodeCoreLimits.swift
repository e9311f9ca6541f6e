/// The bounds of the core; those of the market are `MarketLimits`.
package struct NodeCoreLimits: Sendable {
    /// The longest note about a peer's fault, in bytes.
    var noteBytesMax = 200
    /// Peers' faults.
    var conduct = PeerConduct.Limits()
    /// The notes about them.
    var notes = PeerNotes.Limits()
    /// When this node advertises what it offers.
    var advertisement = AdvertisementSchedule.Limits()
    /// How outputs are retried.
    var outputs = OutputFetches.Limits()
    /// How long a paused node keeps the jobs that it accepted, in milliseconds, before others are to run them.
    package var pausedMillisecondsMax: Int64 = 60_000

    /// The defaults.
    package init() {}
}
