package import MeshTypes
import Multiformats

/// Why an executor does not run a job, as far as its originator can tell before the executor has it.
package enum Obstacle: Hashable, Sendable, Codable {
    /// The job asks for more than the executor offers.
    case limit(OfferedLimit, asked: UInt64, offered: UInt64)
    /// The executor is in none of the regions asked for; several are those of several executors.
    case region(asked: [String], there: [String])
    /// The executor lacks a feature.
    case feature(String)
    /// The executor has too little of a resource.
    case resource(String, needed: UInt64, offered: UInt64)
    /// The executor's reputation here is too low.
    case reputation(best: UInt64, min: UInt64)
    /// The executor asks more than the job may cost.
    case price(Price)
    /// The job's own lists exclude the executor.
    case excluded
    /// The executor promises the result after the job's deadline.
    case late
    /// What the executor answered when it was asked.
    case answered(code: String, text: String)

    /// Prices above a job's budget.
    package struct Price: Hashable, Sendable, Codable {
        /// The least that any bid, or else offer, asks for.
        package var cheapest: TokenAmount
        /// The most that the job may cost.
        package var budget: TokenAmount
        /// The job's `max_fuel`, from which the price follows.
        package var fuel: UInt64
        /// The most fuel for which the budget would do; `nil` if it would not do for any, or nobody says.
        package var affordableFuel: UInt64?

        package init(cheapest: TokenAmount, budget: TokenAmount, fuel: UInt64, affordableFuel: UInt64? = nil) {
            self.cheapest = cheapest
            self.budget = budget
            self.fuel = fuel
            self.affordableFuel = affordableFuel
        }
    }

    /// Whether it is there for the next minutes, too: a limit, not a full queue.
    package var lasts: Bool {
        guard case .answered(let code, _) = self else { return true }
        return Self.lastingAnswers.contains(RefusalCode(code))
    }

    private static let lastingAnswers: Set<RefusalCode> = Set(
        [
            RefusalName.limitTooLarge, .moduleBeyondLimits, .moduleCrashed, .jobRefused, .regionNotAccepted,
            .featureMissing, .resourceMissing, .bidderNotAllowed, .bidderDenied, .noIssuer,
        ].map { .known($0) })

    /// What obstacles of one kind have in common; a stable name, for programs too.
    package var code: String {
        switch self {
        case .limit(let limit, _, _): limit.rawValue
        case .region: RefusalName.regionNotAccepted.rawValue
        case .feature: RefusalName.featureMissing.rawValue
        case .resource: RefusalName.resourceMissing.rawValue
        case .reputation: RefusalName.reputationTooLow.rawValue
        case .price: RefusalName.priceTooHigh.rawValue
        case .excluded: RefusalName.bidderNotAllowed.rawValue
        case .late: RefusalName.deadlineTooLate.rawValue
        case .answered(let code, _): code
        }
    }

    /// The key of the executor's setting, if one helps.
    package var setting: String? {
        switch self {
        case .limit(let limit, _, _): limit.setting
        case .region: "region"
        case .feature(JobFiles.feature), .feature(NumberCall.feature), .feature(SessionTerms.feature),
            .feature(SessionTerms.transcriptFeature), .feature(SessionTerms.callsFeature), .feature(PublicJob.feature),
            .feature(AttestedRun.feature):
            nil
        case .feature(HedgedJob.feature): "executor.takes_hedged_jobs"
        case .feature: "executor.features"
        case .resource(ResourceType.cpuMillicores.rawValue, _, _): "executor.cpu_millicores"
        case .resource(ResourceType.memoryMiB.rawValue, _, _): "executor.memory_mib"
        case .resource(ResourceType.storageMiB.rawValue, _, _): "executor.storage_mib"
        case .resource, .reputation, .price, .excluded, .late, .answered: nil
        }
    }

    /// What the executor offers of what is asked for, where that is an amount.
    var offered: UInt64? {
        switch self {
        case .limit(_, _, let offered), .resource(_, _, let offered): offered
        case .region, .feature, .reputation, .price, .excluded, .late, .answered: nil
        }
    }

    /// Where it stands among obstacles of as many executors: first what one option of the job changes.
    var rank: Int {
        switch self {
        case .limit: 0
        case .price: 1
        case .region: 2
        case .feature: 3
        case .resource: 4
        case .reputation: 5
        case .excluded: 6
        case .late: 7
        case .answered: 8
        }
    }

    /// Regions that one obstacle names.
    static let regionsMax = 8

    /// Whether both are the same kind of obstacle, of the same thing.
    func isAlike(_ other: Obstacle) -> Bool {
        switch (self, other) {
        case (.feature(let left), .feature(let right)): left.isSameBytes(as: right)
        case (.resource(let left, _, _), .resource(let right, _, _)): left.isSameBytes(as: right)
        case (.answered, .answered): code == other.code
        case (.answered, _), (_, .answered): false
        default: code == other.code
        }
    }

    /// The executor's owner lets it take no jobs now.
    static let resting = Obstacle.answered(
        code: RefusalName.notAccepting.rawValue, text: "paused, draining, or outside the hours that their owners gave")

    /// No connection to the executor comes about, or lasts.
    static let unreachable = Obstacle.answered(
        code: "unreachable",
        text: "no connection to it from here lasts; it may be down, or its owner may have banned this node")

    /// One that stands for both: the least that is missing.
    func merged(with other: Obstacle) -> Obstacle {
        switch (self, other) {
        case (.limit(let limit, let asked, let left), .limit(_, _, let right)):
            return .limit(limit, asked: asked, offered: max(left, right))
        case (.region(let asked, let left), .region(_, let right)):
            let all = left + right.filter { region in !left.contains { $0.isSameBytes(as: region) } }
            return .region(asked: asked, there: Array(all.sorted().prefix(Self.regionsMax)))
        case (.resource(let name, let needed, let left), .resource(_, _, let right)):
            return .resource(name, needed: needed, offered: max(left, right))
        case (.reputation(let left, let min), .reputation(let right, _)):
            return .reputation(best: max(left, right), min: min)
        case (.price(var left), .price(let right)):
            left.cheapest = min(left.cheapest, right.cheapest)
            if let more = right.affordableFuel { left.affordableFuel = max(left.affordableFuel ?? 0, more) }
            return .price(left)
        default: return self
        }
    }
}

extension Obstacle {
    /// The obstacle that a refused bid shows; `nil` if the refusal says nothing about the bidder.
    init?(_ refused: RefusedBid, on params: MeshJobParams) {
        switch refused.refusal {
        case .priceTooHigh(let price, let max):
            self = .price(
                Price(
                    cheapest: price, budget: max, fuel: params.maxFuel, affordableFuel: refused.affordableFuel))
        case .reputationTooLow(let reputation, let min): self = .reputation(best: reputation, min: min)
        case .regionNotAccepted(let region):
            self = .region(asked: params.executionPolicy?.regionFilter ?? [], there: region.map { [$0] } ?? [])
        case .featureMissing(let feature): self = .feature(feature)
        case .resourceMissing(let resource, let needed, let offered):
            if let limit = OfferedLimit(rawValue: resource) {
                self = .limit(limit, asked: needed, offered: offered)
                return
            }
            self = .resource(resource, needed: needed, offered: offered)
        case .bidderNotAllowed, .bidderDenied: self = .excluded
        case .deadlineTooLate: self = .late
        case .bidderFailedBefore, .bidExpired, .termsInvalid, .biddingClosed, .notCommitted, .tooManyBids,
            .otherBidTaken, .jobNotOpen, .notVerified, .paymentNotAccepted:
            return nil
        }
    }
}
