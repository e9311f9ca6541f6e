/// The executors that a node knows, and what a job would cost there.
package struct OffersView: Hashable, Sendable, Codable {
    /// The executors: first those that could run the job, the cheapest first.
    package var offers: [OfferView]
    /// What was asked for; nil if it was only asked who is there.
    package var job: Job?
    /// Executors that the owner banned, which are not among them; nil if there are none.
    package var banned: UInt64?

    /// A job that was described, and not submitted.
    package struct Job: Hashable, Sendable, Codable {
        /// The module.
        package var moduleCID: String
        /// The fuel that the job may use, from which the prices follow.
        package var maxFuel: UInt64
        /// The most that the job may cost; nil if any price is taken.
        package var budget: UInt64?
        /// What runs of the same module used, by receipts that this node has: the median; nil if there are none.
        package var usualFuel: UInt64?
        /// How many such runs there are, of the latest jobs.
        package var pastRuns: Int
        /// What the owner can spend now.
        package var balance: UInt64
        /// What checking the result may cost; nil if it is not checked.
        package var checks: CheckCost?

        package init(
            moduleCID: String, maxFuel: UInt64, budget: UInt64?, usualFuel: UInt64?, pastRuns: Int, balance: UInt64
        ) {
            self.moduleCID = moduleCID
            self.maxFuel = maxFuel
            self.budget = budget
            self.usualFuel = usualFuel
            self.pastRuns = pastRuns
            self.balance = balance
        }

        private enum CodingKeys: String, CodingKey {
            case budget, balance, checks
            case moduleCID = "module_cid"
            case maxFuel = "max_fuel"
            case usualFuel = "usual_fuel"
            case pastRuns = "past_runs"
        }
    }

    package init(offers: [OfferView], job: Job? = nil, banned: UInt64? = nil) {
        self.offers = offers
        self.job = job
        self.banned = banned
    }
}

/// What checking the result of a job may cost, at most.
package struct CheckCost: Hashable, Sendable, Codable {
    /// How the result is checked.
    package var verification: String
    /// Executors that are paid for running the job, each at its own price.
    package var executorsMax: UInt64
    /// How many of them have to agree where nobody can tell who is right; nil where one runs the job.
    package var agreeing: UInt64?
    /// What all of them may cost together; nil if any price is taken.
    package var priceMax: UInt64?
    /// Fuel of each run that this node may make to tell who is right.
    package var ownFuelMax: UInt64
    /// Memory of such a run, in bytes.
    package var ownMemoryBytesMax: UInt64
    /// Seconds of such a run.
    package var ownSecondsMax: UInt64

    /// What a way to check costs for a run within these limits; nil if it checks nothing.
    package init?(_ verification: String, _ limits: JobSubmission.Limits, budget: UInt64?) {
        guard JobSubmission.mayReplay(verification) else { return nil }
        let usual = JobSubmission.Limits.standard
        self.verification = verification
        let quorum = JobSubmission.executors(verification)
        agreeing = quorum?.agreeing
        // With another executor's run, a third one decides where this node cannot.
        let executors = quorum?.all ?? (JobSubmission.isByExecutor(verification) ? 3 : 1)
        executorsMax = executors
        priceMax = budget.map { min($0, .max / executors) * executors }
        ownFuelMax = limits.maxFuel ?? usual.maxFuel ?? 0
        ownMemoryBytesMax = limits.maxMemoryBytes ?? usual.maxMemoryBytes ?? 0
        ownSecondsMax = 2 * min(limits.timeoutSeconds ?? usual.timeoutSeconds ?? 0, .max / 2)
    }

    private enum CodingKeys: String, CodingKey {
        case verification, agreeing
        case executorsMax = "executors_max"
        case priceMax = "price_max"
        case ownFuelMax = "own_fuel_max"
        case ownMemoryBytesMax = "own_memory_bytes_max"
        case ownSecondsMax = "own_seconds_max"
    }
}

/// What an executor offers, as it last said, and what is known of it here.
package struct OfferView: Hashable, Sendable, Codable {
    /// The executor.
    package var did: String
    /// Whether it is this node itself.
    package var isHere: Bool
    /// Whether nothing that is known keeps it from running the job, or from taking jobs at all.
    package var isAble: Bool
    /// What keeps it, each in words.
    package var obstacles: [String]
    /// The price of any run.
    package var basePrice: UInt64
    /// The price of a million fuel.
    package var pricePerMillionFuel: UInt64
    /// The most that the job would cost there; nil without a job.
    package var priceMax: UInt64?
    /// What it would cost with the usual fuel of its module; nil if that is unknown.
    package var usualPrice: UInt64?
    /// How busy it was, in thousandths of its places.
    package var loadPermille: UInt64
    /// Its reputation here, from 0 to 1,000.
    package var reputation: UInt64
    /// The round trip to it, in milliseconds; nil if it was not measured.
    package var roundTripMilliseconds: UInt64?
    /// Where it says that it stands.
    package var region: String?
    /// The features that it states.
    package var features: [String]
    /// What it has in all, by the names of resources.
    package var resources: [JobSubmission.Policy.Amount]
    /// The most that it takes, by the names of limits.
    package var limits: [JobSubmission.Policy.Amount]

    package init(did: String, isHere: Bool, obstacles: [String], basePrice: UInt64, pricePerMillionFuel: UInt64) {
        self.did = did
        self.isHere = isHere
        isAble = obstacles.isEmpty
        self.obstacles = obstacles
        self.basePrice = basePrice
        self.pricePerMillionFuel = pricePerMillionFuel
        loadPermille = 0
        reputation = 0
        features = []
        resources = []
        limits = []
    }

    private enum CodingKeys: String, CodingKey {
        case did, obstacles, reputation, region, features, resources, limits
        case isHere = "here"
        case isAble = "able"
        case basePrice = "base_price"
        case pricePerMillionFuel = "price_per_million_fuel"
        case priceMax = "price_max"
        case usualPrice = "usual_price"
        case loadPermille = "load_permille"
        case roundTripMilliseconds = "round_trip_ms"
    }
}
