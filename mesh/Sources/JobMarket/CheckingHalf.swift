import Crypto
import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import Reputation
import SignedObjects

/// A half of the market that checks receipts before they count: from a receipt whose outputs are all here to the
/// verdict on it.
///
/// A check has a deadline of its own, so that its executor does not wait for ever. With level `replay`, or where the
/// draw fell on the receipt, nothing counts or is paid that was not borne out; what is proved wrong is no result, and
/// another executor is asked.
protocol CheckingHalf: MarketHalf where Job == OriginatedJob {
    /// The receipts that are being checked.
    var checks: ReceiptChecks { get set }
    /// The jobs that do one work.
    var quorums: Quorums { get set }

    /// Makes a receipt the job's result.
    mutating func conclude(_ id: JobID, with cid: CID, _ context: inout MarketContext)
    /// Ends an attempt without a result; the next one follows, or the end of the job.
    mutating func endAttempt(_ cid: CID, of id: JobID, _ end: AttemptEnd, _ context: inout MarketContext)
    /// Continues after an attempt without a result.
    mutating func assignNext(_ id: JobID, _ context: inout MarketContext)
    /// Ends a job without a receipt that counts.
    mutating func finish(_ id: JobID, _ kind: JobEventKind, _ context: inout MarketContext)
    /// Ends a replica: what it gave until now is paid unchecked, as the work was done.
    mutating func endReplica(_ id: JobID, _ reason: String, _ context: inout MarketContext)
}

extension CheckingHalf {
    /// How the receipt of a job has to be checked; `nil` if it counts as it is.
    private func dueCheck(
        of candidate: CandidateReceipt, on job: OriginatedJob, _ context: MarketContext
    ) -> ReceiptCheck? {
        let (receipt, cid) = (candidate.accepted.receipt, candidate.accepted.cid)
        // Nobody checks on himself.
        if receipt.executorDID == receipt.originatorDID { return nil }
        // What was done for a job that its owner ended, or wants unchecked, needs no check.
        if let parent = job.replicaOf, jobs.read(parent, { $0.cancelReason != nil || $0.finding == .waived }) ?? false {
            return nil
        }
        if job.cancelReason == nil, isCompared(job) { return .agreement }
        let permille = context.records.permille(
            of: receipt.executorDID, stake: job.stake(of: receipt.assignmentCID),
            rates: context.configuration.originator.trackRates)
        if job.verification?.draws(cid, adaptivePermille: permille) ?? false { return .replay }
        // A second copy must not count unchecked before the slow run that is being checked, nor the other way round.
        if job.verification != nil,
            job.receipts.candidates.contains(where: { $0.accepted.cid != cid && $0.check == .replay })
        {
            return .replay
        }
        // It would end the job for good, and costs no run to check.
        if case .moduleRefused = receipt.outcome { return .refusal }
        // So would a clock that is early, and a claim beyond its time would be paid. Either may be honest, as of a
        // guest that sleeps past its time: only a run tells, where one would be the same. Where none is, no more is
        // paid than the time allows.
        return job.cancelReason == nil && !job.manifest.params.isAttestedAlone
            && TimedClaim.needsRun(candidate, of: job, context) ? .replay : nil
    }

    /// Handles a receipt whose outputs are all here: it counts, or is checked first.
    mutating func outputsHere(_ id: JobID, receipt cid: CID, _ context: inout MarketContext) {
        guard let job = jobs[id], let candidate = job.receipts.candidate(cid), candidate.check == nil else { return }
        guard let check = dueCheck(of: candidate, on: job, context) else {
            return conclude(id, with: cid, &context)
        }
        switch check {
        case .agreement: commit(id, cid, &context)
        case .replay where asksExecutor(to: candidate.accepted.receipt.outcome, job):
            askExecutor(id, toCheck: cid, &context)
        case .replay, .refusal: begin(check, of: cid, job: id, &context)
        }
    }

    /// Begins a check of a receipt, or lets it wait for its turn.
    mutating func begin(_ check: ReceiptCheck, of receipt: CID, job id: JobID, _ context: inout MarketContext) {
        let item = ReceiptChecks.Item(job: id, receipt: receipt)
        if checks.add(item, max: context.limits.checksAtOnceMax) { return begin(item, check, &context) }
        // It waits for its turn as long as the job lasts; its own time begins with it.
        guard let until = jobs.read(id, \.endsAt) else { return }
        record(.verificationBegan(receipt: receipt, check: check, until: until), of: id, &context)
    }

    /// Begins a check that a restart interrupted, or lets it wait for its turn again.
    mutating func queueCheck(
        of receipt: CID, _ check: ReceiptCheck, job id: JobID, _ context: inout MarketContext
    ) {
        if check == .agreement { return compare(with: id, &context) }
        let item = ReceiptChecks.Item(job: id, receipt: receipt)
        if checks.add(item, max: context.limits.checksAtOnceMax) { begin(item, check, &context) }
    }

    private mutating func begin(
        _ item: ReceiptChecks.Item, _ check: ReceiptCheck, _ context: inout MarketContext
    ) {
        guard let job = jobs[item.job], let candidate = job.receipts.candidate(item.receipt),
            let attempt = job.assignments[candidate.accepted.assignmentCID]
        else { return checkOver(item.receipt, &context) }
        let until = context.date(
            inMilliseconds: context.configuration.originator.checkMilliseconds(
                timeoutSeconds: job.manifest.params.timeoutSeconds))
        record(.verificationBegan(receipt: item.receipt, check: check, until: until), of: item.job, &context)
        var order = CheckOrder(
            jobID: item.job, receipt: candidate.accepted.signed, manifest: job.manifest,
            terms: attempt.assignment.terms, check: check,
            wallClockMilliseconds: context.configuration.originator.replayMilliseconds(
                timeoutSeconds: job.manifest.params.timeoutSeconds))
        order.isClockEarly = TimedClaim.isClockEarly(candidate, of: job, context)
        context.emit(.checkReceipt(order))
    }

    mutating func checkOver(_ receipt: CID, _ context: inout MarketContext) {
        for item in checks.ended(receipt, max: context.limits.checksAtOnceMax) {
            if jobs.read(item.job, { $0.isOpen && $0.trial?.assignment == item.receipt }) ?? false {
                beginTrial(item, &context)
            } else if let check = jobs.read(item.job, { $0.receipts.candidate(item.receipt)?.check }) ?? nil {
                begin(item, check, &context)
            } else {
                checkOver(item.receipt, &context)
            }
        }
    }

    /// Tells the executors whose receipts are still to be checked that nothing is paid, as the job ends before.
    mutating func abandonChecks(of id: JobID, _ context: inout MarketContext) {
        let candidates = jobs.read(id, \.receipts.candidates) ?? []
        stopChecks(of: id, candidates.map(\.accepted.cid), &context)
        if let trial = jobs.read(id, \.trial?.assignment) ?? nil { stopChecks(of: id, [trial], &context) }
        for candidate in candidates where candidate.check != nil {
            refusePayment(of: candidate.accepted, of: id, .unverified, &context)
        }
    }

    /// Stops the checks of a job that nobody waits for.
    mutating func stopChecks(of id: JobID, _ receipts: [CID], _ context: inout MarketContext) {
        for receipt in checks.drop(receipts, of: id) { context.emit(.stopCheck(receipt: receipt)) }
    }

    /// The shell's report of a check.
    mutating func receiptChecked(
        _ id: JobID, _ receipt: CID, _ finding: ReplayFinding, _ context: inout MarketContext
    ) {
        checkOver(receipt, &context)
        if jobs.read(id, { $0.trial?.assignment == receipt }) ?? false { return trialOver(id, finding, &context) }
        judged(id, receipt, finding, &context)
    }

    /// Handles the end of a check that took too long.
    mutating func checkElapsed(_ id: JobID, _ candidate: CandidateReceipt, _ context: inout MarketContext) {
        let cid = candidate.accepted.cid
        if candidate.check == .agreement { return compare(with: id, isLate: true, &context) }
        stopChecks(of: id, [cid], &context)
        judged(id, cid, .notMade(reason: "it was not over in the time that a check may take"), &context)
    }

    private mutating func judged(
        _ id: JobID, _ receipt: CID, _ finding: ReplayFinding, _ context: inout MarketContext
    ) {
        guard let candidate = jobs.read(id, { $0.isOpen ? $0.receipts.candidate(receipt) : nil }) ?? nil,
            // What waits for others' results again is not judged by the run that was stopped for it.
            candidate.check != nil, candidate.check != .agreement
        else { return }
        let twins = twins(of: candidate, id)
        judge(candidate, of: id, finding, &context)
        judgeTwins(twins, finding, &context)
        wake(with: id, &context)
    }

    private mutating func judge(
        _ candidate: CandidateReceipt, of id: JobID, _ finding: ReplayFinding, _ context: inout MarketContext
    ) {
        let (assignment, receipt) = (candidate.accepted.assignmentCID, candidate.accepted.cid)
        switch finding {
        case .confirmed: endCheck(id, candidate, .confirmed, &context)
        case .fuelUnknown(let fuel): endCheck(id, candidate, .fuelUnknown, fuel: fuel, &context)
        case .refuted(let result, let fuelMax, let reason):
            refute(candidate.accepted, of: id, result, fuelMax: fuelMax, reason, &context)
        // No run of this node's ends there, and nobody else can see when the receipt came.
        case .claimRefuted(let reason) where candidate.check == .replay:
            refuted(candidate.accepted, of: id, proof: nil, reason, &context)
        case .claimRefuted(let reason):
            refusePayment(of: candidate.accepted, of: id, .unverified, &context)
            endAttempt(
                assignment, of: id, .unverified(receipt: receipt, reason: PlainText.sanitized(reason)), &context)
        // Only where this node could not run the work does the number decide: who agree on a claim that no run bears
        // out would else have it their way against a result that this node's own run confirmed.
        case .notMade where agreesWithEnough(id, candidate, &context): break
        case .notMade where askThird(with: id, &context): break
        case .notMade(let reason) where majority(with: id) != nil:
            outvote(candidate.accepted, of: id, PlainText.sanitized(reason), &context)
        case .doubtful(let reason),
            .notMade(let reason) where needsRun(candidate, id, context):
            refusePayment(of: candidate.accepted, of: id, .unverified, &context)
            replicaJudged(id, candidate.accepted.receipt, .unverified, &context)
            endAttempt(
                assignment, of: id, .unverified(receipt: receipt, reason: PlainText.sanitized(reason)), &context)
        // Nothing is due for a refused module, and it was believed where nobody could look.
        case .notMade where candidate.check == .refusal: endCheck(id, candidate, .unverified, &context)
        case .notMade(let reason): giveUpCheck(of: candidate.accepted, of: id, PlainText.sanitized(reason), &context)
        }
    }

    /// Makes a receipt that was borne out, or whose check the owner ended, the job's result.
    mutating func endCheck(
        _ id: JobID, _ candidate: CandidateReceipt, _ finding: VerificationFinding, fuel: UInt64? = nil,
        _ context: inout MarketContext
    ) {
        // Once more, with the event: the row of the receipt then says that it was checked.
        context.keep(candidate.accepted.signed, of: id)
        let cid = candidate.accepted.cid
        stopChecks(of: id, [cid], &context)
        record(.verificationEnded(receipt: cid, finding: finding, fuel: fuel), of: id, &context)
        replicaJudged(id, candidate.accepted.receipt, finding, &context)
        conclude(id, with: cid, &context)
    }

    /// Refuses a receipt that a replay refuted: with a proof that anybody can check, without pay; another is asked.
    private mutating func refute(
        _ accepted: AcceptedReceipt, of id: JobID, _ result: ReplayedResult, fuelMax: UInt64, _ reason: String,
        _ context: inout MarketContext
    ) {
        let proof = context.sign(
            FraudProof(
                jobID: id, assignmentCID: accepted.assignmentCID, receiptCID: accepted.cid,
                executorDID: accepted.receipt.executorDID, makerDID: context.did, found: result, fuelMax: fuelMax,
                madeAt: context.wallClock))
        if let proof { context.keep(proof, of: id) }
        refuted(accepted, of: id, proof: proof?.cid, reason, &context)
        if let proof { context.emit(.publishProof(id, proof: proof.cid, block: proof.bytes)) }
    }

    private mutating func refuted(
        _ accepted: AcceptedReceipt, of id: JobID, proof: CID?, _ reason: String, _ context: inout MarketContext
    ) {
        context.counters.refused("receipt_refuted")
        context.keep(accepted.signed, of: id)
        refusePayment(of: accepted, of: id, .refuted, proof: proof, &context)
        replicaJudged(id, accepted.receipt, .refuted, proof: proof, &context)
        let end = AttemptEnd.refuted(receipt: accepted.cid, proof: proof, reason: PlainText.sanitized(reason))
        endAttempt(accepted.assignmentCID, of: id, end, &context)
    }

    private func needsRun(_ candidate: CandidateReceipt, _ id: JobID, _ context: MarketContext) -> Bool {
        jobs.read(id) { TimedClaim.needsRun(candidate, of: $0, context) } ?? false
    }

    /// Refuses a receipt that differs from others and that this node cannot check: if enough of these agree, another
    /// executor may give what they gave.
    mutating func outvote(
        _ accepted: AcceptedReceipt, of id: JobID, _ reason: String, _ context: inout MarketContext
    ) {
        guard majority(with: id) != nil else { return giveUpCheck(of: accepted, of: id, reason, &context) }
        refusePayment(of: accepted, of: id, .unverified, &context)
        replicaJudged(id, accepted.receipt, .unverified, &context)
        let end = AttemptEnd.unverified(receipt: accepted.cid, reason: "enough others gave something else")
        endAttempt(accepted.assignmentCID, of: id, end, &context)
    }

    /// Ends a job whose result this node was to check and could not, unless another attempt may still give one: what
    /// keeps this node from checking will do so the next time, too.
    private mutating func giveUpCheck(
        of accepted: AcceptedReceipt, of id: JobID, _ reason: String, _ context: inout MarketContext
    ) {
        refusePayment(of: accepted, of: id, .unverified, &context)
        replicaJudged(id, accepted.receipt, .unverified, &context)
        let end = AttemptEnd.unverified(receipt: accepted.cid, reason: reason)
        record(.attemptEnded(assignment: accepted.assignmentCID, end: end), of: id, &context)
        let isLast = jobs.read(id) { !$0.assignments.hasLive && $0.receipts.candidates.isEmpty } ?? false
        if isLast { finish(id, .failed(.unverified(receipt: accepted.cid, reason: reason)), &context) }
    }

    /// Tells an executor that its receipt is not paid, and why.
    private mutating func refusePayment(
        of accepted: AcceptedReceipt, of id: JobID, _ verdict: SettlementVerdict, proof: CID? = nil,
        _ context: inout MarketContext
    ) {
        var settlement = Settlement(
            jobID: id, receiptCID: accepted.cid, originatorDID: context.did,
            executorDID: accepted.receipt.executorDID, amountPaid: .zero, amountRefunded: .zero, verdict: verdict,
            settledAt: context.wallClock)
        settlement.finding = verdict == .refuted ? .refuted : .unverified
        settlement.proofCID = proof
        guard let signed = context.sign(settlement) else { return }
        context.keep(signed, of: id)
        context.anchor([accepted.cid, signed.cid] + [proof].compactMap(\.self), of: id)
        let until = context.date(inMilliseconds: context.configuration.originator.settlementDeliveryMilliseconds)
        record(.paymentRefused(settlement: signed, notifyUntil: until), of: id, &context)
    }
}

// MARK: - Trials

/// Where so many executors say that they failed a job that it would end, this node runs the job itself first: saying so
/// costs nothing, and neither do keys. If the run comes to an end here, it was not the job's fault, and others have it
/// as long as it has attempts left; only where this node cannot run it the number decides.
extension CheckingHalf {
    /// Begins the trial of a job, or lets it wait for its turn among the checks.
    mutating func tryJob(_ id: JobID, after assignment: CID, _ context: inout MarketContext) {
        guard let endsAt = jobs.read(id, \.endsAt) else { return }
        let item = ReceiptChecks.Item(job: id, receipt: assignment, isTrial: true)
        if checks.add(item, max: context.limits.checksAtOnceMax) { return beginTrial(item, &context) }
        record(.trialBegan(assignment: assignment, until: endsAt), of: id, &context)
    }

    mutating func beginTrial(_ item: ReceiptChecks.Item, _ context: inout MarketContext) {
        guard let job = jobs[item.job], job.isOpen, let attempt = job.assignments[item.receipt] else {
            return checkOver(item.receipt, &context)
        }
        let times = context.configuration.originator
        let seconds = job.manifest.params.timeoutSeconds
        let until = context.date(inMilliseconds: times.checkMilliseconds(timeoutSeconds: seconds))
        record(.trialBegan(assignment: item.receipt, until: min(until, job.endsAt)), of: item.job, &context)
        context.emit(
            .tryJob(
                TrialOrder(
                    jobID: item.job, assignmentCID: item.receipt, manifest: job.manifest,
                    executorDID: attempt.assignment.executorDID,
                    wallClockMilliseconds: times.replayMilliseconds(timeoutSeconds: seconds))))
    }

    /// Handles the end of a trial: the job goes on, or ends as the number of its failures decides.
    mutating func trialOver(_ id: JobID, _ finding: ReplayFinding, _ context: inout MarketContext) {
        guard jobs.read(id, { $0.isOpen && $0.trial?.assignment != nil }) ?? false else { return }
        let (isRunnable, reason) = finding.ofTrial
        record(.trialEnded(isRunnable: isRunnable, reason: PlainText.sanitized(reason)), of: id, &context)
        assignNext(id, &context)
    }

    /// Handles the end of a trial that took too long.
    mutating func trialElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let assignment = jobs.read(id, { $0.trial?.assignment }) ?? nil else { return }
        stopChecks(of: id, [assignment], &context)
        trialOver(id, .notMade(reason: "it was not over in the time that a check may take"), &context)
    }
}

extension OriginatorConfiguration {
    /// The most wall clock of a replay, in milliseconds: this machine may be slower than the executor's.
    package func replayMilliseconds(timeoutSeconds: UInt64) -> UInt64 {
        let (product, overflow) = timeoutSeconds.multipliedReportingOverflow(by: 1_000 * replayTimesMax)
        return overflow ? .max : product
    }

    /// From the turn of a check to its verdict, in milliseconds.
    func checkMilliseconds(timeoutSeconds: UInt64) -> UInt64 {
        let (sum, overflow) = replayMilliseconds(timeoutSeconds: timeoutSeconds).addingReportingOverflow(
            checkQueueMilliseconds)
        return overflow ? .max : sum
    }
}

extension MarketContext {
    /// The secret of a job's commitment. It follows from this node's key and the job's nonce, so that it need not be
    /// kept for jobs whose results are believed.
    func opening(_ level: VerificationLevel, nonce: [UInt8]) -> VerificationOpening {
        let domain = Array("icn-mesh/v1/VerificationSeed\0".utf8)
        let code = HMAC<SHA256>.authenticationCode(
            for: domain + nonce, using: SymmetricKey(data: identity.seed))
        return VerificationOpening(level: level, seed: Array(code))
    }

    /// What decides the run of a job that has no twin: as unknown to others as the opening, and unlike the nonce, by
    /// which a job with a twin could be told.
    func executionIdentity(nonce: [UInt8]) -> ExecutionIdentity? {
        guard let engine = configuration.originator.engine else { return nil }
        let domain = Array("icn-mesh/v1/ExecutionSeed\0".utf8)
        let code = HMAC<SHA256>.authenticationCode(for: domain + nonce, using: SymmetricKey(data: identity.seed))
        let step = ExecutionIdentity.clockStepMilliseconds
        return ExecutionIdentity(
            seed: Array(code), clockStart: UnixMilliseconds(wallClock.value / step * step), engine: engine)
    }

    /// What a job's settlement opens; `nil` for a manifest of an earlier version, which committed to nothing.
    func opening(of job: OriginatedJob?) -> VerificationOpening? {
        guard let job else { return nil }
        let opening = job.verification ?? opening(.none, nonce: job.manifest.nonce)
        return opening.opens(job.manifest.verificationCommitment) ? opening : nil
    }
}
