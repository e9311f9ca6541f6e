import MeshTypes
import Multiformats

/// A half of the market that asks a second executor where a run is slow, if the job's policy allows it.
///
/// The slow attempt is no longer the live one, but is neither told to stop nor held against its executor: whichever of
/// the two gives a valid result first ends the job and is paid, by the rule for receipts of superseded attempts. Where
/// the second comes to nothing, the slow one is the live attempt again (PROTOCOL.md, "A second copy of a slow run").
protocol HedgingHalf: CheckingHalf {
    /// How long runs took.
    var runTimes: RunTimes { get set }
    /// What this node hears of live attempts.
    var leases: LeaseTable { get set }
    /// How bids are accepted and ordered.
    var bids: BidBook { get set }
}

extension HedgingHalf {
    /// Learns how long a run took that came to its end. Where a second copy won, that is at least the time after which
    /// the first one was slow: by the copy's own time alone, slow runs would vanish from the record, and ever quicker
    /// ones count as slow; by the time of both together, each slow run would put the next copy off.
    mutating func learnRun(of id: JobID) {
        guard let job = jobs[id], let receipt = job.receipt, receipt.receipt.outcome.responsibility == .success,
            let attempt = job.assignments[receipt.assignmentCID]
        else { return }
        let own = receipt.cameAt.milliseconds(since: attempt.madeAt)
        let slow = job.assignments.all.first(where: \.isHedged)
        guard case .hedged(let mark, _, _, _)? = slow?.end else {
            return runTimes.ran(job.manifest.params, milliseconds: own)
        }
        runTimes.ran(job.manifest.params, milliseconds: max(own, mark))
    }

    /// Holds a slow run that never came to its end against what its executor's bid promised, once the copy has won.
    mutating func judgeSlow(of id: JobID, _ context: MarketContext) {
        guard let job = jobs[id], let slow = job.assignments.all.first(where: \.isHedged) else { return }
        bids.keptWaiting(slow, of: job, context)
    }

    /// Sets the time at which the live attempt is slow.
    func watchForSlowness(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.mayHedge, let live = job.assignments.live, live.isConfirmed else { return }
        let mark = runTimes.mark(of: job.manifest.params)
        context.setTimer(.hedge(id), at: live.madeAt.advanced(milliseconds: mark.milliseconds))
    }

    /// Asks a second executor for a job whose run is slow.
    mutating func hedgeDue(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.mayHedge, job.phase == .fetching || job.phase == .execution,
            let live = job.assignments.live, let run = live.run, run.isConfirmed, let phaseUntil = job.phaseUntil
        else { return }
        let mark = runTimes.mark(of: job.manifest.params)
        // It may be another attempt than the one for which the time was set.
        guard context.steady >= live.madeAt.advanced(milliseconds: mark.milliseconds) else {
            return watchForSlowness(id, &context)
        }
        guard job.hasAttemptsLeft(context.configuration.originator) else { return }
        // Nobody follows its reports meanwhile: if it goes on alone later, it has the time of a run that begins now.
        let running = leases.milliseconds(of: .running, live.signed, of: job.manifest, context)
        let until = max(phaseUntil, context.date(inMilliseconds: running))
        endAttempt(
            live.cid, of: id,
            .hedged(afterMilliseconds: mark.milliseconds, runs: mark.runs, status: run.status, until: until), &context)
    }

    /// Goes on with the slow attempt alone, if its time is not over; whether it does.
    mutating func resumeHedged(_ id: JobID, _ context: inout MarketContext) -> Bool {
        guard let job = jobs[id], job.isOpen, job.endsAt > context.steady, !job.assignments.hasLive,
            !job.isDelivered, let slow = job.assignments.all.first(where: \.isHedged),
            !context.configuration.originator.deniedExecutors.contains(slow.assignment.executorDID),
            case .hedged(_, _, _, let until)? = slow.end, until > context.steady
        else { return false }
        bids.forget(id)
        leases.begin(slow.cid, of: job, isNew: false, context)
        record(.attemptResumed(assignment: slow.cid, until: until), of: id, &context)
        return true
    }
}
