import Crypto
import Economics
package import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import Reputation
import SignedObjects

/// A result that its executor committed to.
struct Commitment {
    let job: JobID
    let candidate: CandidateReceipt
    let result: ComparedResult

    init(_ candidate: CandidateReceipt, of job: JobID) {
        self.job = job
        self.candidate = candidate
        result = ComparedResult(candidate.accepted.receipt)
    }

    var executor: DID { candidate.accepted.receipt.executorDID }
    var outcome: ExecutionOutcome { candidate.accepted.receipt.outcome }
}

/// Checks by comparison: a job and its replicas, which other executors run, have to give the same.
///
/// A result counts only when all have committed theirs or their time is over, so that nobody can wait for another's and
/// copy it; until then nothing of them is told to anybody. Where all agree, they count. Where not, this node runs the
/// work itself and compares each; only where it cannot do that does the number decide (PROTOCOL.md, "Quorum").
extension CheckingHalf {
    // MARK: Making

    /// Makes the replicas of a job that was just submitted: other jobs for the same work, of which no executor can tell
    /// by the manifest which came first.
    mutating func makeReplicas(of id: JobID, _ draft: JobDraft, _ context: inout MarketContext) {
        guard case .quorum(_, let count) = draft.level else { return }
        let made = (1..<count).compactMap { makeReplica($0, of: id, draft, &context) }
        record(.replicasMade(made), of: id, &context)
    }

    /// Makes one replica of a job; `nil` if it cannot be signed.
    private mutating func makeReplica(
        _ number: UInt64, of id: JobID, _ draft: JobDraft, _ context: inout MarketContext
    ) -> JobID? {
        guard let requester = jobs.read(id, \.requester) else { return nil }
        var copy = draft
        copy.nonce = context.replicaNonce(of: draft.nonce, number)
        let opening = context.opening(draft.level, nonce: copy.nonce)
        copy.commitment = opening.commitment
        guard let signed = context.sign(copy.manifest(context)) else { return nil }
        let replica = JobID(signed.cid)
        context.keep(signed, of: replica)
        record(
            .submitted(
                manifest: signed, requester: requester, idempotencyKey: ReplicaKey.of(id, number),
                announceUntil: context.date(
                    inMilliseconds: context.configuration.originator.announcementMilliseconds)),
            of: replica, &context)
        record(.verificationChosen(opening), of: replica, &context)
        record(.replicaOf(id), of: replica, &context)
        return replica
    }

    // MARK: Choosing executors

    /// Bids that may be taken up for a job, without those of executors that have another of the same work.
    func takers(of job: OriginatedJob, _ context: MarketContext) -> [ReceivedBid] {
        let candidates = job.candidates(context)
        let rivals = rivals(of: job.id)
        let others = rivals.isEmpty ? candidates : candidates.filter { !rivals.contains($0.bid.bidderDID) }
        guard isFailedBesideOthers(job, context) else { return others }
        let right = rightExecutors(beside: job.id)
        // They know that they alone are asked: none gets more for it than the dearest of the work has.
        let most = dearest(beside: job.id)
        return others.filter { right.contains($0.bid.bidderDID) && $0.bid.terms.price <= most }
    }

    // MARK: A job that failed beside its replicas

    /// Whether it is the job that the user knows of a work that others do, too, and its own executors failed it.
    private func isFailedBesideOthers(_ job: OriginatedJob, _ context: MarketContext) -> Bool {
        !quorums.isReplica(job.id) && quorums.members(with: job.id).count > 1
            && job.isFailed(context.configuration.originator)
    }

    /// The most that an assignment of a work may cost.
    private func dearest(beside id: JobID) -> TokenAmount {
        let prices = quorums.members(with: id).flatMap { member in
            jobs.read(member) { $0.assignments.all.map(\.assignment.terms.price) } ?? []
        }
        return prices.max() ?? .zero
    }

    /// Whether the job that the user knows, whose own executors failed it, is given to one whose result of the same
    /// work counts: each of them is asked once.
    func isGivenByOthers(_ id: JobID, _ context: MarketContext) -> Bool {
        let right = rightExecutors(beside: id)
        return jobs.read(id) { job in
            isFailedBesideOthers(job, context) && !right.allSatisfy { job.isExcluded($0) }
        } ?? false
    }

    /// Whether the job that the user knows, whose own executors failed it, waits for what the others may give.
    func waitsForOthers(_ id: JobID, _ context: MarketContext) -> Bool {
        (jobs.read(id) { isFailedBesideOthers($0, context) } ?? false)
            && quorums.members(with: id).contains { $0 != id && mayStillCount($0, context) }
    }

    /// Whether a job of a work may come to have a result that counts.
    private func mayStillCount(_ id: JobID, _ context: MarketContext) -> Bool {
        isAwaited(id, context) || jobs.read(id) { $0.isOpen && !$0.receipts.candidates.isEmpty } ?? false
    }

    /// Compares what the others of a work committed to, if that was not done: the job that the user knows failed, so
    /// they may have waited for it alone.
    mutating func compareWithoutFailed(_ id: JobID, _ context: inout MarketContext) {
        if !isDecided(quorums.members(with: id)) { compare(with: id, &context) }
    }

    /// Who gave a result that counts of the same work, for another job of it.
    private func rightExecutors(beside id: JobID) -> Set<DID> {
        let others = quorums.members(with: id).filter { $0 != id }
        return Set(
            others.compactMap { other in
                jobs.read(other) { $0.isChecked ? $0.receipt?.receipt.executorDID : nil } ?? nil
            })
    }

    /// Goes on with the job that the user knows, if it waited for what the others give: they are compared, which is
    /// done once, or nothing will come of them. So it does not lead to another comparison.
    mutating func wake(with id: JobID, _ context: inout MarketContext) {
        let members = quorums.members(with: id)
        guard let parent = members.first, jobs.read(parent, { isFailedBesideOthers($0, context) }) ?? false,
            isDecided(members) || !waitsForOthers(parent, context)
        else { return }
        assignNext(parent, &context)
    }

    /// Bids in their order, but first those of executors whose operator, and whose part of the internet, has none of
    /// the others that do the same work: who shares an IPv4 /24 or an IPv6 /48 may well be one operator. Where no other
    /// bid will do, it does. Bids of executors that are `last` stay behind all others.
    func spread(
        _ ranking: [RankedBid], of id: JobID, last: (DID) -> Bool, _ context: MarketContext
    ) -> [RankedBid] {
        let rivals = rivals(of: id)
        guard !rivals.isEmpty else { return ranking }
        let taken = Set(rivals.flatMap { context.networks[$0.peerID] ?? [] })
        let operators = Set(rivals.map { context.operators.name(of: $0) })
        func isNear(_ bid: RankedBid) -> Bool {
            operators.contains(context.operators.name(of: bid.bidder))
                || !taken.isDisjoint(with: context.networks[bid.bidder.peerID] ?? [])
        }
        let (others, behind) = (ranking.filter { !last($0.bidder) }, ranking.filter { last($0.bidder) })
        return others.filter { !isNear($0) } + others.filter(isNear) + behind
    }

    /// Executors that have another job of the same work, until it is decided.
    private func rivals(of id: JobID) -> Set<DID> {
        let members = quorums.members(with: id)
        guard members.count > 1 else { return [] }
        var rivals: Set<DID> = []
        guard !isDecided(members) else {
            // Whoever lied about the work is not asked for it again.
            for member in members { jobs.visit(member) { rivals.formUnion($0.liars) } }
            return rivals
        }
        for member in members where member != id {
            jobs.visit(member) { job in
                rivals.formUnion(job.assignments.all.filter(\.mayStillGive).map(\.assignment.executorDID))
            }
        }
        return rivals
    }

    /// Whether a job goes on although nobody bids who could have it: others do the same work, and may have it once that
    /// is decided, which their results do when all of them are here.
    mutating func waitsForRivals(_ id: JobID, _ context: inout MarketContext) -> Bool {
        let members = quorums.members(with: id)
        guard !quorums.isReplica(id), !isDecided(members), !rivals(of: id).isEmpty else { return false }
        if !members.contains(where: { $0 != id && isAwaited($0, context) }) {
            compare(with: id, isLate: true, &context)
        }
        return jobs.read(id, \.isOpen) ?? false
    }

    /// Whether the results were compared, so that nothing is to be gained by knowing them.
    private func isDecided(_ members: [JobID]) -> Bool {
        members.contains { jobs.read($0, \.isJudged) ?? false }
    }

    /// Whether a job is a replica that nobody needs any more.
    func isSuperfluous(_ id: JobID) -> Bool { quorums.isReplica(id) && isDecided(quorums.members(with: id)) }

    // MARK: Comparing

    /// Notes that a job has its result and waits for the others', for a while.
    mutating func commit(_ id: JobID, _ receipt: CID, _ context: inout MarketContext) {
        guard let job = jobs[id] else { return }
        let wait = context.date(
            inMilliseconds: context.configuration.originator.agreementMilliseconds(
                timeoutSeconds: job.manifest.params.timeoutSeconds))
        // So much is left of the job's time that this node can make the run where another executor does not.
        let own = context.configuration.originator.checkMilliseconds(
            timeoutSeconds: job.manifest.params.timeoutSeconds)
        let latest =
            isCheckedByExecutor(with: id)
            ? max(context.wallClock, UnixMilliseconds(job.endsAt.value - min(own, job.endsAt.value))) : job.endsAt
        record(
            .verificationBegan(receipt: receipt, check: .agreement, until: min(wait, latest)), of: id, &context)
        compare(with: id, &context)
    }

    /// Compares the results of a work once all are here.
    ///
    /// - Parameter isLate: whether those that are here decide, because the others' time is over.
    mutating func compare(with id: JobID, isLate: Bool = false, _ context: inout MarketContext) {
        let members = quorums.members(with: id)
        guard isLate || !members.contains(where: { isAwaited($0, context) }) else { return }
        guard let first = members.flatMap({ commitments(of: $0) }).first else { return wake(with: id, &context) }
        let leftOut = isLate ? leaveOut(members, first.candidate.accepted.cid, &context) : []
        decide(members, &context)
        for member in leftOut where jobs.read(member, \.receipts.candidates.isEmpty) ?? false {
            assignNext(member, &context)
        }
        wake(with: id, &context)
    }

    /// Ends the attempts of those whose time is over, before anything is decided, settled or told: they would see what
    /// is right, and sign that. Returns the jobs that go on with other executors.
    private mutating func leaveOut(
        _ members: [JobID], _ receipt: CID, _ context: inout MarketContext
    ) -> [JobID] {
        var ended: [JobID] = []
        for member in members {
            guard let live = jobs.read(member, { $0.isOpen ? $0.assignments.live?.cid : nil }) ?? nil else { continue }
            record(.attemptEnded(assignment: live, end: .overtaken(receipt: receipt)), of: member, &context)
            ended.append(member)
        }
        for member in members where quorums.isReplica(member) && isAwaited(member, context) {
            let waits = jobs.read(member, { !$0.receipts.candidates.isEmpty }) ?? false
            // A receipt whose outputs are on their way was signed before.
            if !waits { finish(member, .cancelled(reason: "its time was over"), &context) }
        }
        return ended
    }

    /// Lets the results that are here count, or has each run again.
    private mutating func decide(_ members: [JobID], _ context: inout MarketContext) {
        let committed = members.flatMap { commitments(of: $0) }
        guard let first = committed.first, let agreeing = agreeing(with: first.job) else { return }
        let known = Set(members.compactMap { jobs.read($0, \.boreOut) ?? nil })
        let open = committed.filter { !known.contains($0.result) }
        let isUnanimous =
            Set(open.map(\.result)).count == 1 && UInt64(Set(open.map(\.executor)).count) >= agreeing
        // A failure that all claim costs them nothing to claim, and would end the job for good.
        let isControlled = isUnanimous && isControlled(open, context)
        let isBelieved = isUnanimous && !isControlled && !open.contains { $0.outcome.isClaimedFailure }
        for item in committed where known.isEmpty ? isBelieved : known.contains(item.result) {
            agree(item.job, item.candidate, &context)
        }
        guard !known.isEmpty || !isBelieved else { return }
        if known.isEmpty, isThirdAsked(with: first.job) { return decideByNumber(open, &context) }
        if known.isEmpty, Set(open.map(\.executor)).count < agreeing { tellCheckerMissing(with: first.job, &context) }
        for item in isControlled ? Array(open.prefix(1)) : open where isPending(item) {
            var check = ReceiptCheck.replay
            if isUnanimous, case .moduleRefused = item.outcome { check = .refusal }
            begin(check, of: item.candidate.accepted.cid, job: item.job, &context)
        }
    }

    /// Whether a receipt is one of an attempt that nobody waits for any more, of a work that is decided: its executor
    /// may have seen what is right.
    func cameAfterDecision(_ receipt: ExecutionReceipt, of id: JobID) -> Bool {
        let members = quorums.members(with: id)
        guard members.count > 1, isDecided(members) else { return false }
        return jobs.read(id) { $0.assignments[receipt.assignmentCID]?.fateIsUnknown ?? false } ?? false
    }

    private func isPending(_ item: Commitment) -> Bool {
        jobs.read(item.job) { $0.isOpen && $0.receipts.candidate(item.candidate.accepted.cid)?.check == .agreement }
            ?? false
    }

    private func commitments(of id: JobID) -> [Commitment] {
        jobs.read(id) { job in
            guard job.isOpen else { return [] }
            return job.receipts.candidates.filter { $0.check == .agreement }.map { Commitment($0, of: id) }
        } ?? []
    }

    /// Whether a job may still commit to a result before the others' are compared.
    private func isAwaited(_ id: JobID, _ context: MarketContext) -> Bool {
        let times = context.configuration.originator
        return jobs.read(id) { job in
            job.isOpen && !job.isFailed(times)
                && (job.assignments.hasLive || !job.receipts.candidates.contains { $0.check != nil })
        } ?? false
    }

    /// Lets a result count that so many others gave, too.
    private mutating func agree(_ id: JobID, _ candidate: CandidateReceipt, _ context: inout MarketContext) {
        guard jobs.read(id, { $0.isOpen && $0.receipts.candidate(candidate.accepted.cid) != nil }) ?? false else {
            return
        }
        endCheck(id, candidate, .agreed, &context)
    }

    /// Lets a result count that this node could not check, if enough others gave the same; whether they did.
    mutating func agreesWithEnough(
        _ id: JobID, _ candidate: CandidateReceipt, _ context: inout MarketContext
    ) -> Bool {
        let result = ComparedResult(candidate.accepted.receipt)
        let known = Set(quorums.members(with: id).compactMap { jobs.read($0, \.boreOut) ?? nil })
        guard known.isEmpty ? majority(with: id) == result : known.contains(result) else { return false }
        agree(id, candidate, &context)
        return true
    }

    /// What so many executors of a work gave that it counts where this node cannot run it; there is one at most, as it
    /// takes more than half of them. One that gave two different results is none of them.
    func majority(with id: JobID) -> ComparedResult? {
        guard let agreeing = agreeing(with: id) else { return nil }
        var given: [DID: Set<ComparedResult>] = [:]
        for member in quorums.members(with: id) {
            jobs.visit(member) { job in
                for receipt in job.givenReceipts {
                    given[receipt.executorDID, default: []].insert(ComparedResult(receipt))
                }
            }
        }
        var counts: [ComparedResult: UInt64] = [:]
        for results in given.values where results.count == 1 {
            if let result = results.first { counts[result, default: 0] += 1 }
        }
        let enough = counts.filter { $0.value >= agreeing }
        return enough.count == 1 ? enough.first?.key : nil
    }

    /// How many executors of a work have to agree; `nil` if nothing is compared.
    private func agreeing(with id: JobID) -> UInt64? {
        if case .quorum(let agreeing, _)? = jobs.read(id, \.verification?.level) ?? nil { return agreeing }
        return isCheckedByExecutor(with: id) ? Self.agreeingInCheck : nil
    }

    // MARK: Checks by another executor

    /// Who did the work, and who checks it.
    private static var agreeingInCheck: UInt64 { 2 }
    /// The longest timeout of a job for which a third executor is asked, in seconds. Executors make public what is not
    /// settled 600 s and four times the timeout after their run; with more, the first two would before the third ended,
    /// who could copy it.
    private static var thirdTimeoutSecondsMax: UInt64 { 120 }

    /// Whether a job is, or is a replica of, one whose result another executor checks.
    private func isCheckedByExecutor(with id: JobID) -> Bool {
        let isQuorum = jobs.read(id) { job in
            if case .quorum? = job.verification?.level { true } else { false }
        }
        if isQuorum ?? true { return false }
        return quorums.isReplica(id) || jobs.read(id) { $0.verification?.level.isByExecutor ?? false } ?? false
    }

    /// Whether a receipt of a job is compared with others. Once another executor was asked, each is, also of what is
    /// decided: whoever else has the job next may be at one with who lied about it.
    func isCompared(_ job: OriginatedJob) -> Bool { job.isOfQuorum || job.replicaCount > 0 }

    /// Whether another executor is asked to check a receipt: not for a job that its owner ended, and not where a run
    /// was cut short, of which no two are the same.
    func asksExecutor(to outcome: ExecutionOutcome, _ job: OriginatedJob) -> Bool {
        job.verification?.level.isByExecutor ?? false && job.cancelReason == nil && !outcome.isCutShort
    }

    /// Has another executor do the work of a receipt that is to be checked. It bids for a job like any other, so it
    /// knows neither that it checks nor what was claimed. This node makes the run where there can be no such job.
    mutating func askExecutor(_ id: JobID, toCheck receipt: CID, _ context: inout MarketContext) {
        guard let job = jobs[id] else { return }
        if job.replicaCount == 0 {
            if let reason = makeChecker(of: job, stake: job.stake(of: receiptAssignment(receipt, job)), &context) {
                record(.checkerMissing(reason: reason), of: id, &context)
            } else {
                return commit(id, receipt, &context)
            }
        }
        begin(.replay, of: receipt, job: id, &context)
    }

    private func receiptAssignment(_ receipt: CID, _ job: OriginatedJob) -> CID {
        job.receipts.candidate(receipt)?.accepted.assignmentCID ?? receipt
    }

    /// Makes the job of an executor that checks another's; returns why there can be none.
    ///
    /// - Parameter stake: what it may cost.
    private mutating func makeChecker(
        of job: OriginatedJob, stake: UInt64, _ context: inout MarketContext
    ) -> String? {
        guard TokenAmount(stake) <= context.ledger.wallet else {
            return "it may cost \(GroupedNumber.of(stake)) tokens again, and "
                + "\(GroupedNumber.of(context.ledger.wallet.units)) are free"
        }
        // Two that agree are believed as `adaptive` would believe the one that was right more often.
        let draft = JobDraft(
            params: job.manifest.params, nonce: job.manifest.nonce, level: .adaptive, commitment: nil,
            execution: job.manifest.execution)
        if let refusal = draft.refusal(openCount: openCount, context) { return refusal.description }
        guard let replica = makeReplica(UInt64(job.replicaCount + 1), of: job.id, draft, &context) else {
            return SubmissionRefusal.cannotSign.description
        }
        record(.replicasMade([replica]), of: job.id, &context)
        return nil
    }

    /// Tells the owner that no other executor gave a result to compare with.
    private mutating func tellCheckerMissing(with id: JobID, _ context: inout MarketContext) {
        let parent = quorums.parent(of: id)
        guard isCheckedByExecutor(with: id), let job = jobs[parent], job.isOpen, job.replicaCount > 0 else { return }
        let ends = quorums.replicas(of: parent).compactMap { jobs.read($0, \.failure) ?? nil }
        record(
            .checkerMissing(reason: ends.first?.description ?? "no other executor gave a result in time"), of: parent,
            &context)
    }

    /// Whether this node runs again what two agree on: who do the work and the check may be one and the same. It does
    /// so with the probability with which `adaptive` checks the one of whom this node found more right.
    private func isControlled(_ open: [Commitment], _ context: MarketContext) -> Bool {
        guard let first = open.first, isCheckedByExecutor(with: first.job) else { return false }
        // Several that had the job itself, one after the other, check nothing of each other.
        guard let checker = open.first(where: { quorums.isReplica($0.job) }),
            let opening = jobs.read(checker.job, \.verification) ?? nil
        else { return true }
        let permille = open.map { item in
            context.records.permille(
                of: item.executor,
                stake: jobs.read(item.job) { $0.stake(of: item.candidate.accepted.assignmentCID) } ?? .max,
                rates: context.configuration.originator.trackRates)
        }
        return opening.draws(checker.candidate.accepted.cid, adaptivePermille: permille.min() ?? 1_000)
    }

    /// Those that committed to the same result as one that this node checks for all of them.
    func twins(of candidate: CandidateReceipt, _ id: JobID) -> [Commitment] {
        guard isCheckedByExecutor(with: id) else { return [] }
        let result = ComparedResult(candidate.accepted.receipt)
        return quorums.members(with: id).flatMap { commitments(of: $0) }.filter { $0.result == result }
    }

    /// Judges those that gave the same as one that this node ran again: if that was right, they were.
    mutating func judgeTwins(_ twins: [Commitment], _ finding: ReplayFinding, _ context: inout MarketContext) {
        for twin in twins where isPending(twin) {
            switch finding {
            case .confirmed: endCheck(twin.job, twin.candidate, .confirmed, &context)
            case .notMade where agreesWithEnough(twin.job, twin.candidate, &context): break
            default: begin(.replay, of: twin.candidate.accepted.cid, job: twin.job, &context)
            }
        }
    }

    /// Asks a third executor where two differ and this node can run the work of neither; whether it does.
    mutating func askThird(with id: JobID, _ context: inout MarketContext) -> Bool {
        let parent = quorums.parent(of: id)
        guard isCheckedByExecutor(with: id), let job = jobs[parent], job.isOpen, job.replicaCount == 1,
            job.cancelReason == nil, job.manifest.params.timeoutSeconds <= Self.thirdTimeoutSecondsMax
        else { return false }
        let members = quorums.members(with: id)
        let waiting = members.flatMap { member in
            (jobs.read(member, { $0.isOpen ? $0.receipts.candidates : [] }) ?? []).filter { $0.check != nil }
                .map { Commitment($0, of: member) }
        }
        let isKnown = members.contains { jobs.read($0) { $0.boreOut != nil || !$0.liars.isEmpty } ?? false }
        guard !isKnown, Set(waiting.map(\.executor)).count > 1,
            let stake = waiting.first.flatMap({ first in
                jobs.read(first.job) { $0.stake(of: first.candidate.accepted.assignmentCID) }
            }),
            makeChecker(of: job, stake: stake, &context) == nil
        else { return false }
        for item in waiting {
            stopChecks(of: item.job, [item.candidate.accepted.cid], &context)
            commit(item.job, item.candidate.accepted.cid, &context)
        }
        return true
    }

    /// Whether a third executor was asked, as this node could not tell who of two is right.
    private func isThirdAsked(with id: JobID) -> Bool {
        isCheckedByExecutor(with: id) && jobs.read(quorums.parent(of: id), \.replicaCount) ?? 0 > 1
    }

    /// Lets the number decide among results of which this node can run none.
    private mutating func decideByNumber(_ open: [Commitment], _ context: inout MarketContext) {
        for item in open where isPending(item) {
            guard !agreesWithEnough(item.job, item.candidate, &context) else { continue }
            outvote(
                item.candidate.accepted, of: item.job, "three executors differ, and this node cannot run the job",
                &context)
        }
    }

    // MARK: Ending

    /// Tells the job that the user knows what became of a replica, and goes on without it.
    mutating func replicaJudged(
        _ id: JobID, _ receipt: ExecutionReceipt, _ finding: VerificationFinding, proof: CID? = nil,
        _ context: inout MarketContext
    ) {
        guard quorums.isReplica(id) else { return }
        let parent = quorums.parent(of: id)
        guard jobs.read(parent, { !$0.isClosed }) ?? false else { return }
        record(
            .replicaJudged(job: id, executor: receipt.executorDID, finding: finding, proof: proof), of: parent, &context
        )
    }

    /// A job of a work ended, or was done by this node itself: with the one that the user knows all end that are not
    /// decided, and without a replica the others may be complete.
    mutating func memberEnded(_ id: JobID, _ context: inout MarketContext) {
        if quorums.isReplica(id) { return compare(with: id, &context) }
        guard let job = jobs[id], job.finding == nil || job.finding == .waived else { return }
        // Who committed is judged all the same, unless the owner wants nothing of it any more.
        let isOwnersWill = job.cancelReason != nil || job.finding == .waived
        for replica in quorums.replicas(of: id) where isOwnersWill || isAwaited(replica, context) {
            endReplica(replica, "the job of which it is a replica has ended", &context)
        }
        if !isOwnersWill { compare(with: id, &context) }
    }

    /// Whether a replica's journal stays open, as the job that the user knows may still need to know its result, also
    /// after a restart; for no longer than its own time.
    func isHeldOpen(_ id: JobID, _ context: MarketContext) -> Bool {
        quorums.isReplica(id) && context.timers.contains(.whole(id))
            && jobs.read(quorums.parent(of: id), \.isOpen) ?? false
    }
}

/// The keys under which replicas are submitted: no user's job has one of these.
package enum ReplicaKey {
    /// What all begin with.
    package static let prefix = "mesh:replica:"

    /// What those of one job begin with.
    package static func prefix(of job: JobID) -> String { "\(prefix)\(job):" }

    static func of(_ job: JobID, _ number: UInt64) -> String { "\(prefix(of: job))\(number)" }
}

extension OriginatorConfiguration {
    /// How long a result waits for those of others, in milliseconds.
    func agreementMilliseconds(timeoutSeconds: UInt64) -> UInt64 { checkMilliseconds(timeoutSeconds: timeoutSeconds) }
}

extension MarketContext {
    /// The nonce of a job's replica, which only this node can tell from any other.
    fileprivate func replicaNonce(of nonce: [UInt8], _ number: UInt64) -> [UInt8] {
        let domain = Array("icn-mesh/v1/ReplicaNonce\0".utf8)
        let code = HMAC<SHA256>.authenticationCode(
            for: domain + nonce + [UInt8(truncatingIfNeeded: number)], using: SymmetricKey(data: identity.seed))
        return Array(Array(code).prefix(JobRules.nonceBytes))
    }
}
