import DequeModule
import Determinism
import JobMarket
import MeshTypes
import Multiformats
import SignedObjects

/// The jobs of this node that wait for their first acceptable bid: when to judge the known executors with regard to
/// each, whom to ask why it does not bid, and what was answered.
///
/// A job is judged soon after its announcement, and again with each look of the node until it has a bid. One look
/// judges a bounded number of offers, whatever the number of jobs; the others have their turn at the next one.
struct JobOutlooks: Sendable {
    /// The bounds of judging and asking.
    struct Limits: Sendable {
        /// Offers judged in one look, of all jobs together; one job is judged in any case.
        var judgementsPerLookMax = 4_096
        /// How long after its announcement a job without a bid makes the node ask, in milliseconds.
        var silenceMilliseconds: Int64 = 400
        /// Executors that are asked about one job; each is asked once.
        var questionsPerJobMax = 8
        /// Addresses of an offer that a question to its executor may dial, in the offer's order; they are hearsay.
        var questionAddressesMax = 1
        /// Executors that are asked in one look, about all jobs.
        var questionsPerLookMax = 32
        /// Offers that are held against the bids on a job each time one comes; with more, the window runs its course.
        var countedOffersMax = 64
        /// Executors whose interest in one job is remembered.
        var interestsPerJobMax = 64
    }

    /// One job that waits.
    private struct Watch {
        let announcedAt: MonotonicInstant
        var answers: [DID: ExecutorAnswer] = [:]
        /// What executors said by themselves that would bid and cannot now.
        var interests: [DID: Refusal] = [:]

        /// What is known of executors that will not bid, or were asked.
        var words: [DID: ExecutorAnswer] {
            answers.merging(interests.mapValues { .declined($0) }) { answer, said in
                // Who spoke by itself is there.
                if case .declined = answer { answer } else { said }
            }
        }
    }

    /// A job whose turn it is.
    struct Turn {
        let job: JobID
        let sizes: JobSizes
        let answers: [DID: ExecutorAnswer]
        let announcedAt: MonotonicInstant
        /// Since the announcement.
        let waitedMilliseconds: Int64
    }

    let limits: Limits
    /// The lookups of executors that this node does not know.
    var seeker = ExecutorSeeker()
    private var watches: [JobID: Watch] = [:]
    /// What the modules and inputs of all open jobs measure.
    private var sizes: [JobID: JobSizes] = [:]
    private var turns = Deque<JobID>()

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Jobs that wait.
    var count: Int { watches.count }

    /// The jobs that wait, in order.
    var waiting: [JobID] { watches.keys.sorted() }

    /// Notes a job that was submitted, and what its module and inputs measure.
    mutating func submitted(_ job: JobID, _ sizes: JobSizes) { self.sizes[job] = sizes }

    /// What a job's module and inputs measure.
    func sizes(of job: JobID) -> JobSizes { sizes[job] ?? JobSizes() }

    /// What executors answered that will not bid on a job; those who were asked and are silent may still bid.
    func refusals(of job: JobID) -> [DID: ExecutorAnswer] {
        watches[job]?.words.filter { if case .declined = $0.value { true } else { false } } ?? [:]
    }

    /// What a bidder has too little of for a job's module or inputs, by its own offer; nobody else can know it.
    func shortage(of offer: NodeCapability, for job: JobID) -> OfferedShortage? {
        sizes[job].flatMap { OfferedShortage(of: offer, for: $0) }
    }

    /// Follows what happens to a job.
    mutating func follow(_ event: JobEvent, now: MonotonicInstant) {
        guard event.role == .originator else { return }
        switch event.kind {
        case .announced(round: 1, _, _): announced(event.jobID, now: now)
        case .biddingClosed: watches[event.jobID] = nil
        case .failed, .cancelled, .resultReached:
            watches[event.jobID] = nil
            sizes[event.jobID] = nil
        default: break
        }
    }

    /// Notes a job that collects bids.
    mutating func announced(_ job: JobID, now: MonotonicInstant) {
        guard watches[job] == nil else { return }
        watches[job] = Watch(announcedAt: now)
        turns.append(job)
    }

    /// The jobs whose turn it is in this look, for so many known offers; each gets its next turn at the end.
    mutating func nextTurns(offers: Int, now: MonotonicInstant) -> [Turn] {
        let jobs = max(1, limits.judgementsPerLookMax / max(1, offers))
        var next: [Turn] = []
        for _ in 0..<turns.count {
            guard next.count < jobs, let job = turns.popFirst() else { break }
            guard let watch = watches[job] else { continue }
            turns.append(job)
            next.append(
                Turn(
                    job: job, sizes: sizes[job] ?? JobSizes(), answers: watch.words,
                    announcedAt: watch.announcedAt, waitedMilliseconds: now.milliseconds(since: watch.announcedAt)))
        }
        return next
    }

    /// Drops a job that waits no more.
    mutating func drop(_ job: JobID) { watches[job] = nil }

    /// Whether to tell what is known: at once if everybody refuses, or was banned; else when bids would have come,
    /// unless this node will run the job itself.
    func isWorthTelling(_ outlook: ExecutorOutlook, _ turn: Turn) -> Bool {
        outlook.isHopeless || outlook.isBannedAll
            || (turn.waitedMilliseconds >= limits.silenceMilliseconds && !outlook.isAbleHere)
    }

    /// The executors to ask about a job now, each once: those that have nothing against it, as far as is known, and do
    /// not bid.
    mutating func toAsk(
        _ turn: Turn, _ standings: [ExecutorStanding], _ outlook: ExecutorOutlook, room: inout Int
    ) -> [DID] {
        guard turn.waitedMilliseconds >= limits.silenceMilliseconds, !outlook.isAbleHere else { return [] }
        var asked: [DID] = []
        for standing in standings where standing.obstacles.isEmpty && !standing.hasSpoken && !standing.isHere {
            guard room > 0, watches[turn.job]?.answers.count ?? .max < limits.questionsPerJobMax else { break }
            watches[turn.job]?.answers[standing.did] = ExecutorAnswer.none
            asked.append(standing.did)
            room -= 1
        }
        return asked
    }

    /// Looks for others in the DHT where fewer executors are known than could run a job.
    mutating func seek(
        _ standings: [ExecutorStanding], for job: OriginatedJob?, now: MonotonicInstant
    ) -> [NodeEffect] {
        guard let job, standings.count(where: { !$0.isHere && $0.obstacles.isEmpty }) < job.executorsNeeded else {
            return []
        }
        return seeker.toSeek(for: job.manifest.policy, now: now).map { .errand(.seekExecutors(key: $0)) }
    }

    /// Where a question dials an executor that is not connected, by its offer.
    func addresses(of offer: NodeCapability?) -> [Multiaddr] {
        Array((offer?.addresses ?? []).prefix(limits.questionAddressesMax))
    }

    /// Whether an executor that knows so many offers says why it does not bid on a job. Of many, some
    /// `interestsPerJobMax` do, others for each job, by a draw that job and key decide: an originator of a busy mesh is
    /// not buried.
    func speaksUp(_ executor: DID, on job: JobID, offers: Int) -> Bool {
        guard offers > limits.interestsPerJobMax else { return true }
        let draw = CID.hashing(job.cid.bytes + Array(executor.text.utf8), codec: .raw).bytes.suffix(8)
            .reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return draw % UInt64(offers) < UInt64(limits.interestsPerJobMax)
    }

    /// Notes what keeps an executor from bidding now that said so by itself; of more than `interestsPerJobMax` it is
    /// forgotten. Returns whether it is the first word of this one.
    mutating func interested(_ job: JobID, _ executor: DID, _ refusal: Refusal) -> Bool {
        guard let watch = watches[job], watch.interests.count < limits.interestsPerJobMax else { return false }
        watches[job]?.interests[executor] = Refusal(
            code: refusal.code.sanitized, text: PlainText.sanitized(refusal.text))
        return watch.interests[executor] == nil
    }

    /// Notes that an executor could not be asked about a job.
    mutating func unreachable(_ job: JobID, _ executor: DID) {
        guard watches[job]?.answers[executor] != nil else { return }
        watches[job]?.answers[executor] = .unreachable
    }

    /// Notes what an executor answered about a job; `nil` if it did not answer.
    mutating func answered(_ job: JobID, by executor: DID, _ reply: MeshProtocolReply?) {
        guard watches[job]?.answers[executor] != nil else { return }
        let answer: ExecutorAnswer =
            switch reply {
            case .declined(let refusal): .declined(refusal)
            case .ack: .willing
            // One of an earlier version does not know the question.
            case .refused, .accepted, nil: .none
            }
        watches[job]?.answers[executor] = answer
    }
}
