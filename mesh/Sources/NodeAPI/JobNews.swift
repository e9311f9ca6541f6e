/// What an event of a job says, for programs: beside its sentence, what a listing needs of it.
package struct JobNews: Hashable, Sendable, Codable {
    /// What happened. The raw values are part of the API.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The job was announced; `round` says how often.
        case announced
        /// A bid arrived: `bids` has it.
        case bid
        /// The bidding was closed: `bids` has the acceptable ones, the best first.
        case ranking
        /// An executor was chosen: `executorDID`, for at most `priceMax`; `round` is the number of the attempt.
        case offer
        /// The executor took the job.
        case taken
        /// The executor reports the job's state.
        case state
        /// An attempt ended without a result.
        case attemptEnded = "attempt_ended"
        /// A receipt came, of the price `price`.
        case receipt
        /// Something else worth telling by its sentence, or something of a later version.
        case other

        /// Takes a name of a later version for something else.
        package init(from decoder: any Decoder) throws {
            self = Kind(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
        }
    }

    /// A bid, as its originator sees it.
    package struct Bid: Hashable, Sendable, Codable {
        /// Who bids.
        package var bidderDID: String
        /// Whether the originator bids on its own job.
        package var isOwn: Bool
        /// The most that the run may cost, in the smallest unit.
        package var priceMax: UInt64
        /// Where the bidder says it is.
        package var region: String?
        /// Why the bid is not acceptable; nil if it is.
        package var refusal: String?
        /// The stable name of that reason.
        package var code: String?

        package init(
            bidderDID: String, isOwn: Bool = false, priceMax: UInt64, region: String? = nil, refusal: String? = nil,
            code: String? = nil
        ) {
            self.bidderDID = bidderDID
            self.isOwn = isOwn
            self.priceMax = priceMax
            self.region = region
            self.refusal = refusal
            self.code = code
        }

        private enum CodingKeys: String, CodingKey {
            case region, refusal, code
            case bidderDID = "bidder_did"
            case isOwn = "own"
            case priceMax = "price_max"
        }
    }

    /// The most bids of a ranking; further ones are left out.
    package static let bidsMax = 64

    /// What happened.
    package var kind: Kind
    /// Bids, at most `bidsMax`.
    package var bids: [Bid]?
    /// The executor in question.
    package var executorDID: String?
    /// The most that the job may cost, in the smallest unit.
    package var priceMax: UInt64?
    /// What the run cost, or has cost so far at least, in the smallest unit.
    package var price: UInt64?
    /// What prices are counted in, where that is no token.
    package var unit: String?
    /// The decimal places of that unit.
    package var decimals: UInt64?
    /// The round of bidding, or the attempt.
    package var round: UInt64?
    /// Who could run the job, and what keeps those who do not.
    package var executors: ExecutorsView?
    /// What to do about that, as a sentence.
    package var hint: String?

    package init(_ kind: Kind, bids: [Bid]? = nil, executorDID: String? = nil) {
        self.kind = kind
        self.bids = bids
        self.executorDID = executorDID
    }

    private enum CodingKeys: String, CodingKey {
        case kind, bids, price, unit, decimals, round, executors, hint
        case executorDID = "executor_did"
        case priceMax = "price_max"
    }
}
