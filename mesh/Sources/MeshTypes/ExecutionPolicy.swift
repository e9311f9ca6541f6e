package import IPLD
package import SignedObjects

/// What the originator demands of an executor, and how it chooses among those that qualify (PROTOCOL.md, "Selection").
///
/// Absent filters admit everybody. Weights are integers; a policy without weights uses `SelectionWeights.standard`.
package struct ExecutionPolicy: Hashable, Sendable, Codable {
    /// The most a bid may cost in total.
    package var maxPrice: TokenAmount?
    /// The least reputation of a bidder, in thousandths.
    package var minReputation: UInt64?
    /// The acceptable regions; absent means any, and bidders that name none.
    package var regionFilter: [String]?
    /// Features that the node must advertise, for example `simd`.
    package var requiredFeatures: [String]?
    /// The only acceptable bidders.
    package var allowedDIDs: [DID]?
    /// Bidders that are never acceptable.
    package var deniedDIDs: [DID]?
    /// The date by which a bidder must promise the result.
    package var deadline: UnixMilliseconds?
    /// How the acceptable bids are compared.
    package var weights: SelectionWeights?
    /// How long bids are collected, in milliseconds.
    package var bidWindowMilliseconds: UInt64?
    /// The number of acceptable bids that closes the window early.
    package var sufficientBids: UInt64?
    /// How many executors the originator tries in turn.
    package var maxAttempts: UInt64?
    /// Whether bidders commit to their bids first, and show them to everybody after the window.
    package var publicBids: Bool?
    /// Whether the executor tells the state of the run to everybody.
    package var publicStatus: Bool?
    /// Whether another executor may be asked for a second copy where a run is slow.
    package var hedge: Bool?
    /// By which issuers the job is paid; absent where it costs tokens.
    package var payBy: PayBy?

    /// A policy without demands.
    package init() {}

    enum CodingKeys: String, CodingKey {
        case maxPrice = "max_price"
        case minReputation = "min_reputation"
        case regionFilter = "region_filter"
        case requiredFeatures = "required_features"
        case allowedDIDs = "allowed_dids"
        case deniedDIDs = "denied_dids"
        case deadline
        case weights
        case bidWindowMilliseconds = "bid_window_ms"
        case sufficientBids = "sufficient_bids"
        case maxAttempts = "max_attempts"
        case publicBids = "public_bids"
        case publicStatus = "public_status"
        case hedge
        case payBy = "pay_by"
    }
}

extension ExecutionPolicy: DAGCBORReadable {
    /// Reads the plain form only (`DAGCBORReadable`).
    package init(plain node: DAGCBORNode) throws(NotPlain) {
        self.init()
        var fields = try DAGCBORReader(node)
        hedge = try fields.partIfPresent("hedge")
        weights = try fields.partIfPresent("weights")
        deadline = try fields.unsignedIfPresent("deadline").map(UnixMilliseconds.init)
        maxPrice = try fields.amountIfPresent("max_price")
        deniedDIDs = try fields.partIfPresent("denied_dids")
        publicBids = try fields.partIfPresent("public_bids")
        allowedDIDs = try fields.partIfPresent("allowed_dids")
        maxAttempts = try fields.unsignedIfPresent("max_attempts")
        bidWindowMilliseconds = try fields.unsignedIfPresent("bid_window_ms")
        publicStatus = try fields.partIfPresent("public_status")
        regionFilter = try fields.partIfPresent("region_filter")
        minReputation = try fields.unsignedIfPresent("min_reputation")
        sufficientBids = try fields.unsignedIfPresent("sufficient_bids")
        requiredFeatures = try fields.partIfPresent("required_features")
        try fields.end()
    }
}

/// The integer weights of a selection score; only their ratios matter.
package struct SelectionWeights: Hashable, Sendable, Codable {
    /// Weight of a low price.
    package var price: UInt64
    /// Weight of a high reputation.
    package var reputation: UInt64
    /// Weight of a region early in the policy's list.
    package var region: UInt64
    /// Weight of a short round trip.
    package var latency: UInt64
    /// Weight of an idle executor.
    package var load: UInt64

    package init(price: UInt64, reputation: UInt64, region: UInt64, latency: UInt64, load: UInt64) {
        self.price = price
        self.reputation = reputation
        self.region = region
        self.latency = latency
        self.load = load
    }

    /// Price first, then reputation, then the rest.
    package static let standard = SelectionWeights(price: 50, reputation: 25, region: 10, latency: 5, load: 10)
}

extension ExecutionPolicy {
    /// Whether bids are committed first, and shown to everybody after the window.
    package var hasPublicBids: Bool { publicBids == true }
    /// Whether the state of the run is told to everybody.
    package var hasPublicStatus: Bool { publicStatus == true }
    /// Whether another executor may be asked for a second copy where a run is slow.
    package var allowsHedge: Bool { hedge == true }
}
