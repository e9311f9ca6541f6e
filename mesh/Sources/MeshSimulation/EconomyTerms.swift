import JobMarket
import MeshTypes

/// What a node of the simulated economy does.
package enum EconomyStrategy: String, CaseIterable, Sendable {
    /// What it should.
    case honest
    /// Knows all other bids, as if nothing were sealed, and asks one unit less than the lowest.
    case sniper
    /// Asks two fifths more than its usual price.
    case shader
    /// Lies to others, and vouches with its fellows for each other.
    case ring
    /// Lies cheaply until it is caught, and comes back under a new key, leaving its debts.
    case whitewasher
    /// Is honest six times, then lies twice, and so on.
    case oscillator
    /// Takes results and never settles.
    case nonPayer = "non-payer"
    /// Settles for half of what is due.
    case partialSettler = "partial-settler"
    /// Has much held for executors to whom it never gives the job.
    case holdGriefer = "hold-griefer"
    /// Has the same attempt held twice, and at another issuer out of a line that it has not.
    case doubleSpender = "double-spender"
    /// Is a member of an issuer that tells two histories, and does not charge its members.
    case equivocatingIssuer = "equivocating-issuer"
    /// Is an officer with a sock account, which gives it all its credit and is gone.
    case insider
    /// Lies, with good records that it bought from four socks of its own.
    case sybilRaters = "sybil-raters"
    /// Settles nothing, disputes every claim, and tells everybody that right results were wrong.
    case slanderer
    /// Lies, with good records of jobs that it had from itself.
    case selfDealer = "self-dealer"

    /// All but the honest one.
    package static var attacks: [EconomyStrategy] { allCases.filter { $0 != .honest } }

    /// The wrong results that it gives, of a thousand runs, where that does not follow from its turns.
    var liesPermille: UInt64 {
        switch self {
        case .ring, .sybilRaters, .selfDealer: 300
        case .whitewasher: 1_000
        default: 0
        }
    }

    /// How many further keys it has.
    var socks: Int {
        switch self {
        case .sybilRaters: 4
        case .whitewasher: 3
        case .insider, .selfDealer: 1
        default: 0
        }
    }
}

/// The parameters of the simulated economy. They were written down before the rounds whose figures
/// `docs/economics.md` has; amounts are in the smallest part of the one unit.
package enum EconomyTerms {
    /// Of so many nodes in a row, one plays each strategy; the rest are honest.
    package static let block = 50
    /// Issuers with honest officers; one more has the members of `equivocatingIssuer`.
    package static let honestIssuers = 4
    /// Executors that hear of a node's jobs.
    package static let neighbours = 12
    /// Runs of an executor in a round.
    package static let runsPerRound: UInt64 = 3
    /// The time between two rounds, in milliseconds.
    package static let roundMilliseconds: UInt64 = 3_600_000
    /// What a line may owe, and be owed.
    package static let lineMax: UInt64 = 2_000
    /// The same of lines between issuers, for each member of the smaller one.
    package static let issuerLineMaxPerMember: UInt64 = 2_000
    /// What the line of a newcomer may owe.
    package static let newcomerOwedMax: UInt64 = 100
    /// What a further identity costs whoever wants one with a line: the price of being vouched for.
    package static let identityPrice: Int64 = 100
    /// What a right result is worth to its originator.
    package static let resultValue: Int64 = 200
    /// What a run costs who makes it, for a million fuel: the executor, or an originator that checks.
    package static let costPerMillionFuel: UInt64 = 5
    /// The most fuel of a job; runs use from half of it.
    package static let maxFuel: UInt64 = 10_000_000
    /// The most that a job may cost.
    package static let budget: UInt64 = 200
    /// What a bid asks for a run.
    package static let basePrice: UInt64 = 10
    /// What it asks for a million fuel: each node has its own price.
    package static let pricesPerMillionFuel: ClosedRange<UInt64> = 8...12
    /// Right results of each executor that each of its neighbours checked before.
    package static let rightBefore = 100
    /// Those by which it has a name there.
    package static let namedBefore = 4
    /// What each receipt that friends and socks show was paid with: more than any job costs.
    package static let vouchedAmount: UInt64 = 100_000
    /// Below this reputation an executor makes no bid to an originator that left something unpaid.
    package static let minOriginatorReputation: UInt64 = 500
    /// Holds of a line in a day that cost nothing.
    package static let holdsFreePerDay: UInt64 = 24
    /// What each further one costs.
    package static let holdFee: UInt64 = 5
    /// What whoever loses a dispute pays.
    package static let disputeBudget: UInt64 = 30
    /// Holds that a griefer orders in a round.
    package static let griefsPerRound = 8
    /// Runs of a thousand that come to nothing.
    package static let deadRuns: UInt64 = 10
    /// Settlements of a thousand that get lost.
    package static let lostSettlements: UInt64 = 30
    /// Originators of a thousand that are away when their result comes.
    package static let awayOriginators: UInt64 = 10
    /// Nodes of a thousand that nobody reaches.
    package static let unreachable: UInt64 = 50
    /// Messages to issuers of a thousand that come twice.
    package static let saidTwice: UInt64 = 50
    /// Issuers of a thousand that are away for the first minutes of a round.
    package static let awayIssuers: UInt64 = 50

    /// How an executor treats those who owe.
    static var executor: ExecutorConfiguration {
        var executor = ExecutorConfiguration()
        executor.minOriginatorReputation = minOriginatorReputation
        return executor
    }

    static let unit = CreditUnit(name: "hour", decimals: 2)
    static let start = UnixMilliseconds(1_767_225_600_000)

    /// All of them, for a report.
    package static let rows: [(name: String, value: String)] = [
        ("nodes of each strategy", "1 of \(block)"),
        ("attackers in all", "\(EconomyStrategy.attacks.count) of \(block)"),
        ("issuers", "\(honestIssuers), and one that tells two histories"),
        ("executors that hear of a job", "\(neighbours)"),
        ("runs of an executor in a round", "\(runsPerRound)"),
        ("a round", "\(roundMilliseconds / 60_000) min"),
        ("a line owes, or is owed", "\(lineMax)"),
        ("a newcomer's line owes", "\(newcomerOwedMax)"),
        ("price of an identity", "\(identityPrice)"),
        ("worth of a right result", "\(resultValue)"),
        ("cost of a run, for a million fuel", "\(costPerMillionFuel)"),
        ("fuel of a run", "\(maxFuel / 2) to \(maxFuel)"),
        ("budget of a job", "\(budget)"),
        (
            "a bid asks",
            """
            \(basePrice), and for a million fuel \(pricesPerMillionFuel.lowerBound) to \
            \(pricesPerMillionFuel.upperBound)
            """
        ),
        ("right results of each neighbour before", "\(rightBefore) checked, \(namedBefore) in its name"),
        ("least reputation of who owes", "\(minOriginatorReputation) of 1,000"),
        ("holds of a day without a fee, and the fee", "\(holdsFreePerDay), \(holdFee)"),
        ("budget of a dispute", "\(disputeBudget)"),
        (
            "faults, of 1,000",
            """
            runs that die \(deadRuns), settlements lost \(lostSettlements), originators away \(awayOriginators), nodes \
            not reached \(unreachable), messages that come twice \(saidTwice), issuers away \(awayIssuers)
            """
        ),
    ]
}
