import Economics
package import MeshTypes
package import Multiformats
package import SignedObjects

/// Why a job failed without a receipt that counts, as the user is told.
package enum JobFailure: Hashable, Sendable, Codable {
    /// The node could not publish the announcement in time.
    case announcementTimedOut(lastError: String)
    /// The bidding deadline came without an acceptable bid.
    case noAcceptableBid(bids: UInt64, refusals: [RefusedBid])
    /// This node has no connection to any other, and does not run the job itself.
    case nobodyReachable
    /// This node has connections, but knows nobody in reach that runs jobs, and nobody bid.
    case nobodyExecutes
    /// All executors that are known refuse the job, or ask too much, and nobody else bid.
    case noExecutor(ExecutorOutlook, bids: UInt64)
    /// Every attempt ended without a result.
    case attemptsExhausted(attempts: UInt64, last: AttemptEnd?)
    /// Its module crashed the engine at so many executors; `last` is in which way the last time.
    case crashesEngine(executors: UInt64, last: String)
    /// The result was to be checked, and this node could not check it; `receipt` says what it would be.
    case unverified(receipt: CID, reason: String)
    /// The job's time was over, in this state.
    case expired(during: JobStatus)
    /// The price could not be held; `fuel` is the most for which the tokens would do, if any would.
    case cannotHold(needed: TokenAmount, available: TokenAmount, fuel: UInt64? = nil)
    /// An issuer refuses to hold the price, and says why.
    case holdRefused(reason: String)
    /// This node could not do its part.
    case originatorFailed(reason: String)
}

/// A refused bid in the account of a failure.
package struct RefusedBid: Hashable, Sendable, Codable {
    /// The bidder.
    package var bidder: DID
    /// Its price.
    package var price: TokenAmount
    /// Why it was refused.
    package var refusal: BidRefusal
    /// Where its price is above the budget: the most fuel for which the budget would do by its terms, if any would.
    package var affordableFuel: UInt64?

    package init(bidder: DID, price: TokenAmount, refusal: BidRefusal, affordableFuel: UInt64? = nil) {
        self.bidder = bidder
        self.price = price
        self.refusal = refusal
        self.affordableFuel = affordableFuel
    }

    /// A bid that was refused.
    init(_ bid: Bid, _ refusal: BidRefusal) {
        self.init(bidder: bid.bidderDID, price: bid.terms.price, refusal: refusal)
        if case .priceTooHigh(_, let max) = refusal { affordableFuel = bid.terms.affordableFuel(for: max) }
    }
}

/// Why a bid was declined. The bidder is told the same words.
package enum BidRefusal: Error, Hashable, Sendable, Codable {
    /// It costs more than the job may.
    case priceTooHigh(price: TokenAmount, max: TokenAmount)
    /// The bidder's reputation is below the policy's.
    case reputationTooLow(reputation: UInt64, min: UInt64)
    /// The bidder is elsewhere, or does not say where.
    case regionNotAccepted(region: String?)
    /// The bidder lacks a feature.
    case featureMissing(feature: String)
    /// The bidder has too little of a resource.
    case resourceMissing(resource: String, needed: UInt64, offered: UInt64)
    /// The policy allows only others.
    case bidderNotAllowed
    /// The policy denies the bidder.
    case bidderDenied
    /// The bidder had this job before and did not deliver.
    case bidderFailedBefore
    /// It promises the result too late.
    case deadlineTooLate(promised: UnixMilliseconds, needed: UnixMilliseconds)
    /// It wants to be paid in another way than the job is.
    case paymentNotAccepted
    /// It has expired.
    case bidExpired
    /// Its terms contradict themselves.
    case termsInvalid(reason: String)
    /// The bidding is over.
    case biddingClosed
    /// The job's bids are committed to first, and this one was not in time.
    case notCommitted
    /// One bidder sent too many bids, or the job has as many as it can hold.
    case tooManyBids(max: UInt64)
    /// Another bid was better; only the bidder is told this refusal.
    case otherBidTaken(rank: UInt64, of: UInt64, score: UInt64, best: UInt64)
    /// The job is not known here, or has ended.
    case jobNotOpen
    /// The bid does not verify.
    case notVerified(reason: String)
}

/// Why a window was closed.
package enum BiddingClosure: String, Hashable, Sendable, Codable {
    /// As many acceptable bids as the policy wants have arrived.
    case sufficientBids = "sufficient_bids"
    /// Every executor that is known to be able has bid, declined or been refused.
    case everybodySpoke = "everybody_spoke"
    /// What the bids of those who have not answered could gain is not worth waiting for them any longer.
    case nothingToGain = "nothing_to_gain"
    /// The window's time was over, with acceptable bids in it.
    case windowElapsed = "window_elapsed"
    /// Executors that nobody waited for any more said that they failed, as others did: this node looks first.
    case attemptsFailed = "attempts_failed"
    /// The window was over before; the first acceptable bid after it was taken up.
    case firstAcceptableBid = "first_acceptable_bid"
}

/// One acceptable bid in the order of selection.
package struct RankedBid: Hashable, Sendable, Codable {
    /// The signed bid.
    package var bid: CID
    /// The bidder.
    package var bidder: DID
    /// Its highest price.
    package var price: TokenAmount
    /// The weighted score in thousandths.
    package var score: UInt64
    /// The parts of the score in thousandths: price, reputation, region, latency, load.
    package var parts: [UInt64]
    /// The jobs that executors without a verified receipt here hold, if for that the bid ranks behind those of others.
    package var unprovenHeld: UInt64?

    package init(bid: CID, bidder: DID, price: TokenAmount, score: UInt64, parts: [UInt64]) {
        self.bid = bid
        self.bidder = bidder
        self.price = price
        self.score = score
        self.parts = parts
    }
}

/// How an attempt without a result ended.
package enum AttemptEnd: Hashable, Sendable, Codable {
    /// The executor declined the assignment.
    case declined(code: RefusalCode, reason: String)
    /// The executor did not answer the assignment in time.
    case unconfirmed
    /// The executor was silent for longer than its lease: unknown, not dead.
    case leaseExpired(lastStatus: JobStatus)
    /// The executor did not begin to run the module in time.
    case fetchTimedOut
    /// The run lasted longer than the job allows, and the executor did not end it.
    case executionTimedOut
    /// The run ended, but no receipt with all its outputs came in time.
    case receiptTimedOut
    /// The executor's receipt says that the executor failed.
    case nodeFailed(receipt: CID, outcome: ExecutionOutcome)
    /// The executor signed a wrong receipt.
    case receiptInvalid(receipt: CID, reason: ReceiptRefusal)
    /// The run was made again here and gave something else; `proof` shows it to anybody.
    case refuted(receipt: CID, proof: CID?, reason: String)
    /// The receipt was to be checked, and nothing bears it out.
    case unverified(receipt: CID, reason: String)
    /// Outputs that the receipt names were not available.
    case outputsMissing(receipt: CID, missing: UInt64)
    /// An earlier executor's receipt came first.
    case overtaken(receipt: CID)
    /// Its run is slow: another executor is asked as well, and whichever gives a valid result first is paid. `runs` are
    /// the past runs by which that was judged, `status` and `until` what it goes on with if the other gives none.
    case hedged(afterMilliseconds: UInt64, runs: UInt64, status: JobStatus, until: UnixMilliseconds)
    /// The executor does not know the assignment any more.
    case forgotten(reason: String)
    /// The owner of this node wants nothing more of the executor.
    case dropped
}

/// Why a receipt does not count.
package enum ReceiptRefusal: Error, Hashable, Sendable, Codable {
    /// Signature or encoding is wrong.
    case notVerified(reason: String)
    /// The job is not known here, or is closed.
    case jobUnknown
    /// The assignment does not belong to this job.
    case assignmentUnknown
    /// Another executor was assigned.
    case wrongExecutor
    /// A field that repeats the chain differs from it.
    case chainMismatch(field: String)
    /// Status and outcome contradict each other.
    case statusMismatch
    /// More fuel, memory or output than the job allows was used.
    case overLimit(field: String, used: UInt64, max: UInt64)
    /// The price does not follow from the agreed terms and the metered fuel.
    case priceMismatch(asked: TokenAmount, due: TokenAmount)
    /// The run ends before it begins.
    case datesOutOfOrder
    /// Lists are longer than a receipt may have.
    case tooMany(field: String)
    /// A CID is not version 1 with SHA-256 and a codec of objects or files.
    case cidNotAccepted(CID)
    /// The job has its result, and as many late receipts as it may record.
    case tooManyLate(max: UInt64)
}

/// Why a bid of this node failed.
package enum BidEnd: Hashable, Sendable, Codable {
    /// The originator refused it; `lostTo` is who has the job instead, as the originator says.
    case refused(code: RefusalCode, reason: String, lostTo: BidWinner? = nil)
    /// Nobody took it up in time.
    case lapsed
    /// The originator could not be reached.
    case notDelivered(reason: String)
    /// This node declined the assignment of its own bid.
    case declinedAssignment(code: RefusalCode, reason: String)
}

/// How the delivery of a receipt ended.
package enum DeliveryEnd: Hashable, Sendable, Codable {
    /// The originator has it.
    case acknowledged
    /// The originator refuses it.
    case refused(code: RefusalCode, reason: String)
    /// The originator could not be reached in time.
    case expired
}

/// Why an executor stays silent on a job. Kept for the operator, and counted by code.
package enum BidDecline: Hashable, Sendable {
    /// It takes no jobs now.
    case notAccepting
    /// Its owner paused it.
    case paused
    /// Its owner lets it finish what it accepted, and take no more.
    case draining
    /// It is not one of the hours at which its owner lets it work.
    case outOfHours
    /// It is a job of its own node.
    case ownJob
    /// The job breaks the rules.
    case jobRefused(JobRefusal)
    /// The announcement's time is over.
    case expired
    /// The originator is denied here.
    case originatorDenied
    /// The policy wants other executors.
    case notWanted(BidRefusal)
    /// A limit of the job is larger than this node accepts.
    case limitTooLarge(field: String, asked: UInt64, max: UInt64)
    /// The module is more than this node compiles or holds, as an earlier run showed.
    case moduleBeyondLimits
    /// The module crashed the engine here lately.
    case moduleCrashed
    /// All places and the queue are full.
    case atCapacity
    /// Too many bids are open.
    case tooManyOpenBids
    /// The originator, or all strangers together, have as many of this node's bids or places as they may.
    case shareUsedUp
    /// The store is past its high-water mark.
    case storageFull
    /// The disk has less left than the node reserves for what is under way.
    case diskFull
    /// Another program has locked the database.
    case storageLocked
    /// The manifest was not available.
    case manifestUnavailable
    /// The job is paid by issuers of which this node trusts none, or where it has no line.
    case noIssuer
    /// An earlier bid on this job was refused for good.
    case refusedBefore
    /// This node cannot sign.
    case cannotSign
}

/// Why an executor declines an assignment.
package enum AssignmentRefusal: Error, Hashable, Sendable {
    /// Signature or encoding of a part is wrong.
    case notVerified(part: String)
    /// The parts do not belong together, or not to the sender.
    case chainMismatch(field: String)
    /// The bid is not this node's.
    case notOwnBid
    /// The terms are not those of the bid.
    case termsChanged
    /// The bid cannot be taken up any more.
    case expired
    /// The bid is to be paid by credit, and no hold came with the assignment.
    case holdMissing
    /// The hold that came with it is no pay for it, and why.
    case holdNotAccepted(reason: String)
    /// The module is more than this node compiles or holds, as an earlier run showed.
    case moduleBeyondLimits
    /// The module crashed the engine here lately.
    case moduleCrashed
    /// All places and the queue are full.
    case atCapacity
    /// This node takes no jobs now.
    case notAccepting
    /// The job breaks the rules.
    case jobRefused(JobRefusal)
    /// Another attempt of the same job runs here.
    case otherAttemptHere
}

/// Why a job cannot be submitted.
package enum SubmissionRefusal: Error, Hashable, Sendable {
    /// The job breaks the rules.
    case jobRefused(JobRefusal)
    /// This node has as many jobs as it can hold.
    case tooManyJobs(max: Int)
    /// The nonce must have sixteen bytes.
    case badNonce
    /// The manifest is longer than a message may be.
    case manifestTooLarge(bytes: Int, bytesMax: Int)
    /// The job may make more output than this node accepts.
    case outputsTooLarge(bytes: UInt64, bytesMax: UInt64)
    /// This node cannot sign.
    case cannotSign
}

/// Why a job cannot be cancelled.
package enum CancellationRefusal: Error, Hashable, Sendable {
    /// The job is not known here.
    case jobUnknown
    /// The job has ended.
    case jobEnded
    /// The result exists; only its outputs are still being fetched.
    case resultReached
}
