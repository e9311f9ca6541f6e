package import MeshTypes
package import Multiformats
package import Reputation
package import SignedObjects

/// Everything about the market that an operator can set.
package struct MarketConfiguration: Sendable {
    /// What jobs may ask for.
    package var rules = JobRules()
    /// How this node originates jobs.
    package var originator = OriginatorConfiguration()
    /// How this node executes jobs; absent for a node that only originates.
    package var executor: ExecutorConfiguration?
    /// The bounds of the market's tables.
    package var limits = MarketLimits()
    /// Where this node can be reached, for manifests and receipts; the shell keeps it up to date.
    package var addresses: [Multiaddr] = []
    /// Whether the store has room for new work; the shell keeps it up to date.
    package var storage = StorageState.open
    /// Whether transitions tell on which jobs this node does not bid, for a log.
    package var tellsDeclines = false
    /// The anchored DAG that receipts go to.
    package var anchorScope = AnchorEntry.globalScope

    /// A node that originates with the standard settings and executes nothing.
    package init() {}
}

/// Whether there is room for new work; what is under way continues in any case.
package enum StorageState: Hashable, Sendable {
    /// There is.
    case open
    /// The store is past its high-water mark.
    case full
    /// The disk has less left than the node reserves for what is under way.
    case diskFull
    /// Another program has locked the database.
    case locked
}

/// How long an originator waits, in milliseconds, and its defaults.
package struct OriginatorConfiguration: Sendable {
    /// Until the announcement must be published.
    package var announcementMilliseconds: UInt64 = 10_000
    /// How long a bid waits for the offer that it cites, where that was not heard, in milliseconds.
    package var citedOfferMilliseconds: UInt64 = 250
    /// Between announcements of a job that has no acceptable bid yet.
    package var reannounceMilliseconds: UInt64 = 1000
    /// The bid window if the policy names none.
    package var bidWindowMilliseconds: UInt64 = 1000
    /// How long bidders have to show the bids that they committed to, where bids are public.
    package var showingMilliseconds: UInt64 = 2_000
    /// The number of acceptable bids that closes the window early if the policy names none and the best of them comes
    /// from an executor with a verified receipt here.
    package var sufficientBids: UInt64 = 3
    /// From the announcement to the last moment for an acceptable bid, per round.
    package var biddingMilliseconds: UInt64 = 30_000
    /// Until an executor must answer an assignment.
    package var confirmationMilliseconds: UInt64 = 5000
    /// The same for an executor without a verified receipt here.
    package var unprovenConfirmationMilliseconds: UInt64 = 2000
    /// How long an executor may stay silent.
    package var leaseMilliseconds: UInt64 = 10_000
    /// The least silence of the executor of an interactive job after which its assignment passes to another.
    package var sessionLeaseMilliseconds: UInt64 = 60_000
    /// The same for an executor without a verified receipt here.
    package var unprovenLeaseMilliseconds: UInt64 = 5000
    /// How long an executor's bids rank last after it accepted a job and delivered nothing.
    package var failedExecutorMilliseconds: UInt64 = 3_600_000
    /// From the acceptance to the start of the module: queue, fetching, compiling.
    package var fetchingMilliseconds: UInt64 = 60_000
    /// How long a job waits beyond that for its turn at an executor that promised it for then (`earliest_start`), at
    /// the most.
    package var queueMilliseconds: UInt64 = 600_000
    /// The same at an executor without a verified receipt here.
    package var unprovenQueueMilliseconds: UInt64 = 60_000
    /// What the run is granted beyond `timeout_seconds`.
    package var executionGraceMilliseconds: UInt64 = 10_000
    /// From the end of the run to a verified receipt with all its outputs.
    package var receiptMilliseconds: UInt64 = 60_000
    /// How many times a job's own timeout a replay of it may take: this machine may be slower.
    package var replayTimesMax: UInt64 = 2
    /// What a check may take beyond that from its turn on: its wait for a place among the runs here, and compiling.
    package var checkQueueMilliseconds: UInt64 = 120_000
    /// The outputs of one job that this node accepts, together, in bytes; a job that may make more is refused.
    package var outputBytesMax: UInt64 = 1 << 30
    /// From a cancellation to the receipt of the cancelled run.
    package var cancellationMilliseconds: UInt64 = 10_000
    /// Until the anchored heads must be published.
    package var anchoringMilliseconds: UInt64 = 30_000
    /// How long this node sends the settlement before it closes the job without the executor's answer.
    package var settlementDeliveryMilliseconds: UInt64 = 300_000
    /// How long an executor's bids rank last after it declined an assignment, could not fetch, or was not waited for
    /// until its turn: it may be busy for a moment, and blocks may be missing by this node's fault.
    package var declinedExecutorMilliseconds: UInt64 = 60_000
    /// The same after it declined, if it has a verified receipt here.
    package var provenDeclineMilliseconds: UInt64 = 2_000
    /// How long the place stays taken of an executor without a verified receipt here whose result was proved wrong.
    package var unprovenRestMilliseconds: UInt64 = 600_000
    /// Declined assignments that use up none of a job's attempts.
    package var declinesMax: UInt64 = 16
    /// Attempts that may end in `node_failed` before the job fails, unless this node's own run of it comes to an end.
    package var nodeFailuresMax = 2
    /// Executors at which a run may crash the engine before the job fails, unless this node's own run of it comes to an
    /// end.
    package var engineCrashesMax = 2
    /// The attempts if the policy names no number.
    package var maxAttempts: UInt64 = 4
    /// The longest manifest announced whole, in bytes; longer ones are announced by CID.
    package var announcedManifestBytesMax = 32 << 10
    /// How much what it found of an executor counts at the level `adaptive`.
    package var trackRates = TrackRecords.Rates()
    /// The engine on which its jobs have to run; without one their manifests are those of earlier versions, and a run
    /// depends on nonce and dates.
    package var engine: EngineDescription?
    /// Executors that get none of its jobs, whatever they bid.
    package var deniedExecutors: Set<DID> = []
    /// How long a job waits for the hold of one bid, where there is no other.
    package var holdWaitMilliseconds: UInt64 = 30_000
    /// The same while others stand, which expire meanwhile.
    package var holdWaitBesideOthersMilliseconds: UInt64 = 8_000
    /// How much later than its executor promises a result may be delivered that is paid by a hold, besides the time of
    /// a check.
    package var holdSlackMilliseconds: UInt64 = 600_000
    /// Of how many runs as long as the job's a check may have the time.
    package var holdCheckTimesMax: UInt64 = 4
    /// How long after that an executor may claim a hold.
    package var holdGraceMilliseconds: UInt64 = 3_600_000
    /// How long a claim can be disputed.
    package var holdWindowMilliseconds: UInt64 = 600_000
    /// How much longer a dispute may take.
    package var holdExtensionMilliseconds: UInt64 = 3_600_000

    /// The standard settings.
    package init() {}
}

/// What an owner orders an executor to do, besides its configuration.
package enum OwnerOrder: String, Hashable, Sendable, CaseIterable {
    /// Take no new jobs, start none, and let those that run stand still.
    case pause
    /// Take no new jobs, and finish those that were accepted.
    case drain
}

/// What an executor offers, charges and accepts.
package struct ExecutorConfiguration: Sendable {
    /// Whether it bids at all now.
    package var acceptsJobs = true
    /// Whether it starts accepted jobs; a node about to stop leaves them to its next start.
    package var startsRuns = true
    /// What its owner ordered, until the owner takes it back.
    package var ownerOrder: OwnerOrder?
    /// Whether it is now within the hours of the day that the owner gives to others; the shell keeps it up to date.
    package var isWithinHours = true
    /// Whether it takes new jobs now.
    package var takesJobs: Bool { acceptsJobs && rest == nil }
    /// Whether it starts accepted jobs now: those of a drained node, and of one whose hours are over, go on.
    package var beginsRuns: Bool { startsRuns && ownerOrder != .pause }
    /// Why the owner lets it take no new jobs; `nil` if it may.
    package var rest: BidDecline? {
        switch ownerOrder {
        case .pause: .paused
        case .drain: .draining
        case nil: isWithinHours ? nil : .outOfHours
        }
    }
    /// Whether it bids on jobs of its own node once their window is over without an acceptable bid of others. Off by
    /// default, because a receipt for oneself proves nothing to others.
    package var bidsOnOwnJobs = false
    /// Where it stands.
    package var region: String?
    /// The word of its operator, as a signed block.
    package var operatorCredential: [UInt8]?
    /// What it has, sorted.
    package var features: [String] = []
    /// What it has, by resource type.
    package var resources: ResourceAmounts = [:]
    /// The highest limits it accepts.
    package var limitsMax = ExecutionLimits(
        timeoutSeconds: 3600, maxFuel: 1_000_000_000_000, maxMemoryBytes: 1 << 30, maxOutputBytes: 256 << 20)
    /// The most that a job may write to its files, in bytes: it is held in memory.
    package var filesBytesMax: UInt64 = 1 << 30
    /// What the rest of the node takes, by the names of `OfferedLimit`: modules, compiling, inputs. Told to others, and
    /// not checked here, because no manifest says what a job needs of it.
    package var nodeLimits: ResourceAmounts = [:]
    /// All limits by which this node declines or fails a job, for its capability.
    package var offeredLimits: ResourceAmounts {
        var limits = nodeLimits
        limits[OfferedLimit.memoryBytes.rawValue] = limitsMax.maxMemoryBytes
        limits[OfferedLimit.fuel.rawValue] = limitsMax.maxFuel
        limits[OfferedLimit.timeoutSeconds.rawValue] = limitsMax.timeoutSeconds
        limits[OfferedLimit.outputBytes.rawValue] = limitsMax.maxOutputBytes
        limits[OfferedLimit.filesBytes.rawValue] = filesBytesMax
        limits[OfferedLimit.jobsAtOnce.rawValue] = UInt64(clamping: concurrentRunsMax)
        limits[OfferedLimit.queuedJobs.rawValue] = UInt64(clamping: queuedRunsMax)
        return limits
    }
    /// Due as soon as a module ran.
    package var basePrice = TokenAmount(1)
    /// Due per million fuel.
    package var pricePerMillionFuel = TokenAmount(0)
    /// The issuers by which it lets itself be paid, the preferred ones first, at most `CreditJob.Limits.trustedMax`.
    package var issuers: [TrustedIssuer] = []
    /// The price cap it offers on any one job; absent means what `max_fuel` can cost.
    package var priceMax: TokenAmount?
    /// Modules that run at once.
    package var concurrentRunsMax = 2
    /// The most that it was since the start, where its owner lowered it: those under way run to their ends.
    package var concurrentRunsPeak = 0
    /// Accepted jobs that wait for a free place.
    package var queuedRunsMax = 64
    /// Accepted jobs at once, running and waiting.
    package var placesMax: Int { concurrentRunsMax + queuedRunsMax }
    /// Accepted jobs of one originator at once: half of all, but at least one more than run at once.
    package var placesPerOriginatorMax: Int { min(placesMax, max(concurrentRunsMax + 1, placesMax / 2)) }
    /// Jobs with an open bid at once.
    package var openBidsMax = 1024
    /// Jobs of one originator with an open bid at once: a quarter of all, but at least eight.
    package var openBidsPerOriginatorMax: Int { max(openBidsMax / 4, min(openBidsMax, 8)) }
    /// How long a bid can be taken up, in milliseconds.
    package var bidValidityMilliseconds: UInt64 = 30_000
    /// What it plans for fetching and compiling, in milliseconds.
    package var preparationMilliseconds: UInt64 = 60_000
    /// How long it tries to deliver a receipt, in milliseconds.
    package var receiptDeliveryMilliseconds: UInt64 = 600_000
    /// How long it waits for a settlement after the receipt was received, in milliseconds, beyond the time in which the
    /// originator may run the job again.
    package var settlementMilliseconds: UInt64 = 600_000
    /// How many times a job's timeout the originator may take to wait for others' results and to run it again.
    package var replayTimesMax: UInt64 = 4
    /// How long it makes no bid on jobs of a module that crashed the engine here, in milliseconds.
    package var crashedModuleMilliseconds: UInt64 = 600_000
    /// Whether its shell looks up modules in the node's store (`MarketAction.lookUpModule`) before it bids.
    package var looksModulesUp = false
    /// Originators it never works for.
    package var deniedOriginators: Set<DID> = []
    /// The only originators that it works for, besides its owner; none named means all that are not denied.
    package var allowedOriginators: Set<DID> = []
    /// The least reputation, in thousandths, of an originator that left receipts of this node unpaid.
    package var minOriginatorReputation: UInt64 = 0
    /// The engine that its receipts name.
    package var engine = EngineDescription(name: "none", version: "0", configurationDigest: "")
    /// The signed `NodeCapability` that bids refer to.
    package var capabilityCID: CID?

    /// Whether it makes no bid to an originator that left something unpaid here, and has too low a reputation. Who owes
    /// nothing is served, however little it has paid yet: strangers have their share of the places.
    package func refuses(payer account: ReputationAccount) -> Bool {
        account.bad > 0 && account.score < minOriginatorReputation
    }

    /// An executor that charges one token per job.
    package init() {}
}

/// The bounds of every table of the market; what exceeds them is refused with a reason or counted.
package struct MarketLimits: Sendable {
    /// Originated jobs that are not closed.
    package var originatedJobsMax = 4096
    /// Closed jobs remembered per half, to answer late messages; the market forgets others, and folds their entries
    /// into the ledger's opening balances.
    package var closedJobsMax = 2048
    /// Executed jobs that are not closed, open bids included.
    package var executedJobsMax = 8192
    /// Accepted jobs that fetch module and inputs at once; they take no place for running.
    package var fetchesMax = 8
    /// The same for one originator; halved for each of its fetches and runs that died lately, but at least one.
    package var fetchesPerOriginatorMax = 4
    /// How long a job's first block may take, in milliseconds.
    package var fetchGraceMilliseconds: UInt64 = 20_000
    /// How fast they must come after that, in bytes per second; a slower fetch is given up.
    package var fetchBytesPerSecondMin: UInt64 = 32 << 10
    /// The time in which half of the fetches and runs that died are forgotten, in milliseconds.
    package var deadFetchHalfLifeMilliseconds: UInt64 = 60_000
    /// Originators of died fetches and runs remembered.
    package var deadFetchersMax = 4096
    /// Failed bids remembered, besides the closed jobs.
    package var closedBidsMax = 512
    /// Announcements of one author judged per second; further ones are ignored.
    package var announcementsPerSecondMax = 256
    /// Announcements of one author judged at once after a silence.
    package var announcementBurstMax = 1024
    /// Authors whose rate is remembered; a forgotten one begins anew.
    package var announcementAuthorsMax = 4096
    /// Bytes of bids that nobody took in the journal, until pruned; a bid beyond is made but not written.
    package var bidJournalBytesMax = 64 << 20
    /// The same of one originator, in bytes.
    package var bidJournalBytesPerOriginatorMax = 4 << 20
    /// The fewest bytes that a bid in the journal counts for.
    package var bidJournalBytesMin = 4 << 10
    /// How long after its last date the store may keep a bid that nobody took, in milliseconds: it checks that often.
    package var bidPruningMilliseconds: UInt64 = 10_000
    /// A signed capability, in bytes; a longer one is refused.
    package var capabilityBytesMax = 4 << 10
    /// Capabilities of one author forwarded per second; further ones are ignored.
    package var capabilitiesPerSecondMax = 1
    /// Capabilities of one author forwarded at once after a silence.
    package var capabilityBurstMax = 12
    /// Announcements of anchored heads of one author forwarded per second; further ones are ignored.
    package var headsPerSecondMax = 16
    /// Announcements of anchored heads of one author forwarded at once after a silence.
    package var headsBurstMax = 64
    /// Records of reputation of one author forwarded per second; further ones are ignored.
    package var recordsPerSecondMax = 2
    /// Records of reputation of one author forwarded at once after a silence.
    package var recordBurstMax = 16
    /// Heads in one announcement.
    package var headsAnnouncedMax = 64
    /// The greatest height of an anchored entry: what every reader of integers can hold.
    package var anchorHeightMax: UInt64 = 1 << 53
    /// Receipt notices of one author forwarded per second; further ones are ignored.
    package var receiptNoticesPerSecondMax = 512
    /// Receipt notices of one author forwarded at once after a silence.
    package var receiptNoticeBurstMax = 2048
    /// Evidence of one job that its originator keeps, in bytes: half of it for the job itself and the bids, the rest
    /// for its attempts and their receipts.
    package var jobEvidenceBytesMax = 2 << 20
    /// Acceptable bids kept per job, the best ones by the job's own score.
    package var bidsPerJobMax = 64
    /// Bids judged of one peer per job and round.
    package var bidsPerPeerMax = 4
    /// Peers whose bids on one job are counted separately; one more replaces the one counted first.
    package var biddersPerJobMax = 256
    /// Refused bids that a job's journal records; further ones are only counted.
    package var refusedBidsPerJobMax = 16
    /// Bids that a job's journal records in total; then the job accepts no more.
    package var bidsWrittenPerJobMax: UInt64 = 1024
    /// Jobs that executors without a verified receipt here hold together at once, as long as one with such a receipt
    /// bids that has a free place; or the part of all jobs under way, if that is more.
    package var unprovenJobsMax = 4
    /// That part: one in so many.
    package var unprovenJobsDivisor = 8
    /// The same of one key.
    package var unprovenJobsPerKeyMax = 2
    /// Executors remembered as having failed lately.
    package var failedExecutorsMax = 4096
    /// Receipts of this node's jobs that it checks at once; the others wait for their turn.
    package var checksAtOnceMax = 1
    /// Receipts of a job that wait for their outputs in parallel; one more ends the wait for the first.
    package var candidateReceiptsMax = 8
    /// Waiting jobs checked when tokens are released, longest wait first.
    package var holdRetriesMax = 64
    /// Late receipts recorded per job; further ones are refused.
    package var lateReceiptsMax = 16
    /// Announcements remembered so that they are judged once; a forgotten one is judged again.
    package var announcementsMax = 8192
    /// Modules remembered as beyond this executor's own limits; one more replaces the oldest, which is then tried
    /// again.
    package var modulesBeyondLimitsMax = 1024
    /// Modules remembered as having crashed the engine lately; one more replaces the oldest, which is then tried again.
    package var modulesCrashedMax = 1024
    /// Modules remembered as looked up in the node's store; a forgotten one is looked up again.
    package var modulesLookedUpMax = 1024
    /// Jobs that wait for a lookup of their modules; one more is judged without.
    package var moduleLooksMax = 256
    /// Manifests being fetched at once.
    package var manifestFetchesMax = 64
    /// Manifests of one originator being fetched at once.
    package var manifestFetchesPerOriginatorMax = 8
    /// Direct messages that wait for an answer.
    package var deliveriesMax = 16_384
    /// Heads of the anchored DAG.
    package var anchorHeadsMax = 16
    /// Decisions not to bid, remembered for the operator.
    package var recentDecisionsMax = 256
    /// Decisions not to bid, remembered for originators that ask; a forgotten job counts as unknown.
    package var declinesToldMax = 1024
    /// Questions of one originator answered per second.
    package var inquiriesPerSecondMax = 8
    /// Questions of one originator answered at once after a silence.
    package var inquiryBurstMax = 32
    /// Jobs of one originator per second of which an executor says that it would bid if it could.
    package var interestsPerSecondMax = 16
    /// The same at once after a silence.
    package var interestBurstMax = 64
    /// Accounts of the known executors that a job's journal records; further ones only decide.
    package var outlooksPerJobMax = 8
    /// The longest manifest, in bytes.
    package var manifestBytesMax = 256 << 10
    /// The longest bid, assignment, settlement, each in bytes; a longer one is refused unread.
    package var evidenceBytesMax = 64 << 10
    /// The longest receipt, in bytes; a longer one is refused unread, and its attempt continues without it.
    package var receiptBytesMax = 512 << 10
    /// From an assignment to the first report of its run, in milliseconds, but at most a third of the lease: most runs
    /// are over by then, and each report costs a stream.
    package var statusQuietMilliseconds: UInt64 = 250
    /// From the last event of a job to the next that tells that its run waits for its user, or goes on, in
    /// milliseconds: each is in the journals of both sides. An originator takes them twice as fast, so that it misses
    /// none of an executor that keeps this.
    package var turnMilliseconds: UInt64 = 1_000
    /// Between two reports on blocks that came, in milliseconds; a run that begins to compile is reported at once.
    package var preparationReportMilliseconds: UInt64 = 1_000
    /// The first pause between delivery attempts, in milliseconds; doubles up to the maximum.
    package var deliveryRetryMilliseconds: Int64 = 250
    /// The longest pause between delivery attempts, in milliseconds.
    package var deliveryRetryMillisecondsMax: Int64 = 10_000

    /// The standard bounds.
    package init() {}
}
