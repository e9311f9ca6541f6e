import Determinism
import Economics
import MeshTypes
import Multiformats
import Reputation
import SignedObjects

/// From the assignment that was taken to the end of its journal: run, receipt, settlement.
extension ExecutorMarket {
    /// Orders the next fetches and the next runs while there are places, the originators taking turns.
    mutating func startNext(_ context: inout MarketContext) {
        guard let configuration = context.configuration.executor, configuration.beginsRuns else { return }
        while let id = runs.nextToFetch(context) { fetch(id, &context) }
        while let id = runs.nextToRun(configuration, context) {
            guard let job = jobs[id], let assignment = job.assignmentCID else { continue }
            guard job.manifest.isFor(configuration.engine) else {
                context.emit(.cancelExecution(assignment: assignment, reason: Self.otherEngine))
                signReceipt(job, .nodeFailed(Self.otherEngine, at: context.wallClock), &context)
                continue
            }
            let milliseconds = Self.runMilliseconds(job, configuration)
            context.setTimer(.giveUp(id), inMilliseconds: milliseconds)
            record(.executionProgressed(status: .running), of: id, &context)
            context.emit(.execute(assignment: assignment))
        }
    }

    /// Why a run of another engine is no result: this node's may have been changed since it bid.
    private static let otherEngine = "the engine here is no longer the one on which the job has to run"

    private static func runMilliseconds(_ job: ExecutedJob, _ configuration: ExecutorConfiguration) -> UInt64 {
        configuration.preparationMilliseconds + job.manifest.params.timeoutSeconds * 1000
            + job.manifest.params.stillMilliseconds + 5000
    }

    /// Orders the fetch of a job's module and inputs.
    mutating func fetch(_ id: JobID, _ context: inout MarketContext) {
        guard let configuration = context.configuration.executor, let job = jobs[id] else { return }
        let milliseconds = Self.runMilliseconds(job, configuration)
        record(.executionStarted(giveUpAt: context.date(inMilliseconds: milliseconds)), of: id, &context)
        jobs.visit(id) { runs.report($0, &context) }
    }

    // MARK: Fetching

    mutating func blocksFetched(_ assignment: CID, bytes: UInt64, _ context: inout MarketContext) {
        guard let job = unfinishedJob(of: assignment) else { return }
        runs.fetched(job.id, bytes: bytes, &context)
        if runs.places.fetches[job.id] != nil { runs.reportPreparation(job, &context) }
    }

    /// Compiling has its own time, which is neither that of the fetch nor that of the run.
    mutating func moduleCompiles(_ assignment: CID, milliseconds: UInt64, _ context: inout MarketContext) {
        guard let job = unfinishedJob(of: assignment), runs.compiles(job.id, milliseconds: milliseconds, &context)
        else { return }
        runs.report(job, &context)
    }

    mutating func executionPrepared(_ assignment: CID, _ context: inout MarketContext) {
        guard let job = unfinishedJob(of: assignment), runs.prepared(job.id, of: job.manifest.originatorDID, &context)
        else {
            return
        }
        startNext(&context)
        // It may have to wait for its turn.
        if let job = jobs[job.id], job.status == .preparingExecution { runs.report(job, &context) }
    }

    mutating func fetchElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], let fetch = runs.places.fetches[id], let assignment = job.assignmentCID else {
            return
        }
        guard fetch.compilesUntil == nil else {
            let reason = "compiling the module did not end in its time"
            context.emit(.cancelExecution(assignment: assignment, reason: reason))
            return end(job, .nodeFailed(reason: reason), &context)
        }
        let bytes = fetch.bytes
        let reason =
            "after \(bytes) bytes the blocks came at less than \(context.limits.fetchBytesPerSecondMin) a second"
        runs.fetchDied(of: job.manifest.originatorDID, context)
        context.emit(.cancelExecution(assignment: assignment, reason: reason))
        end(job, .fetchFailed(reason: reason), &context)
    }

    /// The run of an assignment, while it has no receipt.
    private func unfinishedJob(of assignment: CID) -> ExecutedJob? {
        guard let job = runs.job(of: assignment).flatMap({ jobs[$0] }), job.occupiesPlace else { return nil }
        return job
    }

    mutating func executionProgressed(
        _ assignment: CID, _ status: JobStatus, _ progress: UInt64?, _ context: inout MarketContext
    ) {
        guard let job = unfinishedJob(of: assignment), status.isUnderLease,
            status.progressRank < JobStatus.running.progressRank || runs.places.running.contains(job.id)
        else { return }
        if let progress { runs.progressed(job.id, permille: min(progress, 1000)) }
        let milliseconds = context.limits.turnMilliseconds
        if status.follows(job.status, since: job.lastEventAt, context, atLeast: milliseconds) {
            record(.executionProgressed(status: status), of: job.id, &context)
        } else if progress != nil {
            runs.report(job, &context)
        }
    }

    mutating func fuelBurnt(_ assignment: CID, _ fuel: UInt64) { runs.burnt(assignment, fuel: fuel) }

    mutating func executionWaits(_ assignment: CID, _ context: inout MarketContext) {
        guard let job = unfinishedJob(of: assignment), runs.park(job.id, of: job.manifest.originatorDID) else { return }
        startNext(&context)
    }

    mutating func executionFinished(_ assignment: CID, _ report: ExecutionReport, _ context: inout MarketContext) {
        guard let job = unfinishedJob(of: assignment) else { return }
        // What a session's waits cost in fuel is no speed of this machine.
        if job.manifest.params.session == nil { pace.ran(report.usage) }
        if report.isModuleBeyondLimits {
            modules.foundBeyondLimits(job.manifest.params.wasmCID, context.limits)
        }
        if case .fetchFailed = report.outcome, runs.places.fetches[job.id] != nil {
            runs.fetchDied(of: job.manifest.originatorDID, context)
        }
        if CrashedRun.way(report.outcome) != nil { crashed(job, context) }
        signReceipt(job, report, &context)
        startNext(&context)
    }

    /// A module that took the engine down is not asked for again soon, and its originator has fewer places for a while:
    /// it can bring the same under another CID.
    private mutating func crashed(_ job: ExecutedJob, _ context: MarketContext) {
        let milliseconds = context.configuration.executor?.crashedModuleMilliseconds ?? 0
        modules.crashed(
            job.manifest, until: context.now.advanced(milliseconds: Int64(clamping: milliseconds)), context.limits)
        runs.runDied(of: job.manifest.originatorDID, context)
    }

    /// Signs the one receipt of an assignment.
    private mutating func signReceipt(_ job: ExecutedJob, _ given: ExecutionReport, _ context: inout MarketContext) {
        guard job.receipt == nil, let assignment = job.assignment, let cid = job.assignmentCID else { return }
        var report = given
        if let engine = context.configuration.executor?.engine, !job.manifest.isFor(engine),
            given.outcome.responsibility != .node
        {
            report = .nodeFailed(Self.otherEngine, at: context.wallClock)
        }
        let startedAt = min(report.startedAt, report.endedAt)
        var usage = report.usage
        // Where the calendar was set back meanwhile, the run took no less: by these dates its claim is judged.
        let endedAt = max(report.endedAt, startedAt.advanced(milliseconds: usage.wallMilliseconds))
        if report.outcome.isCutShort, assignment.terms.fuelPerSecond != nil {
            // Nobody believes more, and the price follows from it.
            let milliseconds = endedAt.milliseconds(since: startedAt)
            usage.fuel = min(usage.fuel, assignment.terms.claimMax(milliseconds: milliseconds))
        }
        var receipt = ExecutionReceipt(
            jobID: job.id, assignmentCID: cid, originatorDID: job.manifest.originatorDID, executorDID: context.did,
            attempt: assignment.attempt, moduleCID: job.manifest.params.wasmCID,
            inputCIDs: job.manifest.params.inputCIDs, outcome: report.outcome, resourceUsage: usage,
            price: assignment.terms.due(for: report.outcome, fuel: usage.fuel),
            engine: context.configuration.executor?.engine
                ?? EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: job.manifest.params.determinism, executionStartedAt: startedAt,
            executionEndedAt: endedAt)
        receipt.outputs = report.outputs
        receipt.stdoutCID = report.stdoutCID
        receipt.stderrCID = report.stderrCID
        receipt.logCID = report.logCID
        receipt.readCID = report.readCID
        receipt.transcriptCID = report.transcriptCID
        receipt.anchoredCIDs = report.anchoredCIDs
        receipt.previousReceiptCID = context.lastReceipt
        guard let signed = context.sign(receipt) else { return }
        context.keep(signed, of: job.id)
        let milliseconds = context.configuration.executor?.receiptDeliveryMilliseconds ?? 600_000
        record(
            .receiptSigned(receipt: signed, deliverUntil: context.date(inMilliseconds: milliseconds)), of: job.id,
            &context)
        anchor(signed.cid, of: job.id, &context)
        if receipt.price == .zero, let hold = job.run?.hold { release(hold, &context) }
    }

    mutating func anchor(_ receipt: CID, of id: JobID, _ context: inout MarketContext) {
        guard let entry = context.anchorEntry(for: [receipt]) else { return }
        context.keep(entry, of: id)
        let until = context.date(inMilliseconds: context.configuration.originator.anchoringMilliseconds)
        record(.anchored(entry: entry, publishUntil: until), of: id, &context)
    }

    /// Ends a run that never reported: stopped in the queue, given up, or cut off by a restart.
    mutating func end(_ job: ExecutedJob, _ outcome: ExecutionOutcome, _ context: inout MarketContext) {
        signReceipt(
            job, ExecutionReport(outcome: outcome, startedAt: context.wallClock, endedAt: context.wallClock), &context)
        startNext(&context)
    }

    /// Ends every accepted job without a receipt, because of this node.
    mutating func giveUpAll(reason: String, _ context: inout MarketContext) {
        for job in jobs.all.filter(\.occupiesPlace).sorted(by: { $0.id < $1.id }) {
            guard let assignment = job.assignmentCID else { continue }
            context.emit(.cancelExecution(assignment: assignment, reason: reason))
            end(job, .nodeFailed(reason: reason), &context)
        }
    }

    mutating func giveUpElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.occupiesPlace, let assignment = job.assignmentCID else { return }
        context.emit(.cancelExecution(assignment: assignment, reason: "the run did not end in its time"))
        end(job, .nodeFailed(reason: "the run did not end in its time"), &context)
    }

    // MARK: Cancellation

    mutating func cancelled(
        _ message: CancelJobV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let job = jobs[message.jobID], job.assignmentCID == message.assignmentCID else {
            return .refused(Refusal(.assignmentUnknown, "no such assignment was taken here"))
        }
        guard job.manifest.originatorPeerID == peer else {
            context.counters.refused("cancel_wrong_peer")
            return .refused(Refusal(.wrongPeer, "the job is another originator's"))
        }
        stop(job, reason: message.reason, byOriginator: true, &context)
        return .ack
    }

    /// Stops a run; its receipt follows from the run's end, or at once where it had not begun.
    mutating func stop(_ job: ExecutedJob, reason: String, byOriginator: Bool, _ context: inout MarketContext) {
        guard job.occupiesPlace, job.stopReason == nil else { return }
        record(
            .stopRequested(reason: PlainText.sanitized(reason), byOriginator: byOriginator), of: job.id, &context)
        if !job.isStarted { end(job, .cancelled, &context) }
    }

    /// A report was answered or lost: the one that waits behind it goes out.
    mutating func reportAnswered(_ id: JobID, _ context: inout MarketContext) {
        if let next = runs.reportAnswered(id) { jobs.visit(id) { $0.tell(next, &context) } }
    }

    /// An update was answered; the originator may want the run to stop.
    mutating func statusAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard case .refused(let refusal) = reply, refusal.code.endsRun, let job = jobs[id.jobID],
            job.assignmentCID == id.subject
        else { return }
        stop(job, reason: refusal.text, byOriginator: true, &context)
    }

    // MARK: Receipt and settlement

    mutating func receiptAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        let end: DeliveryEnd
        switch reply {
        case .ack, .accepted: end = .acknowledged
        case .refused(let refusal), .declined(let refusal):
            end = .refused(code: refusal.code.sanitized, reason: PlainText.sanitized(refusal.text))
        }
        receiptDelivered(id.jobID, id.subject, end, &context)
    }

    mutating func receiptDeliveryElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let cid = jobs[id]?.receiptCID else { return }
        receiptDelivered(id, cid, .expired, &context)
    }

    private mutating func receiptDelivered(
        _ id: JobID, _ receipt: CID, _ end: DeliveryEnd, _ context: inout MarketContext
    ) {
        guard let job = jobs[id], job.receiptCID == receipt, job.delivery == nil else { return }
        let waiting = context.configuration.executor ?? ExecutorConfiguration()
        // Whether the originator checks the result is not known, so every job gets the time for it.
        let milliseconds =
            waiting.settlementMilliseconds
            + 1_000 * waiting.replayTimesMax * min(job.manifest.params.timeoutSeconds, JobRules().timeoutSecondsMax)
        record(
            .receiptDelivered(end, settleUntil: context.date(inMilliseconds: milliseconds)), of: id, &context)
        closeIfDone(id, &context)
    }

    mutating func settled(
        _ message: JobSettledV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard message.settlement.count <= context.limits.evidenceBytesMax,
            let signed = try? SignedObject<Settlement>(verifying: message.settlement)
        else {
            context.counters.refused("settlement_not_verified")
            return .refused(Refusal(.notVerified, "the settlement does not verify"))
        }
        let body = signed.body
        guard let job = jobs[body.jobID], job.receiptCID == body.receiptCID, let receipt = job.receipt else {
            return .refused(Refusal(.receiptUnknown, "no such receipt was signed here"))
        }
        guard body.originatorDID == job.manifest.originatorDID, body.executorDID == context.did,
            job.manifest.originatorPeerID == peer, body.amountPaid <= receipt.price
        else {
            context.counters.refused("settlement_mismatch")
            return .refused(Refusal(.chainMismatch, "the settlement does not answer the receipt"))
        }
        guard job.verdict == nil else {
            context.counters.duplicates += 1
            return .ack
        }
        let income = LedgerEntry.income(
            body.amountPaid, receipt: body.receiptCID, payer: body.originatorDID, at: context.wallClock)
        if job.run?.hold == nil, let refusal = context.ledger.refusal(of: income) {
            context.counters.refused("settlement_not_bookable")
            return .refused(Refusal(.notBookable, "\(refusal)"))
        }
        context.keep(signed, of: job.id)
        record(
            .settlementReceived(settlement: signed), of: job.id,
            ledger: body.amountPaid == .zero || job.run?.hold != nil ? [] : [income], &context)
        bookSettlement(signed, of: job, &context)
        if job.delivery == nil { receiptDelivered(job.id, body.receiptCID, .acknowledged, &context) }
        closeIfDone(job.id, &context)
        return .ack
    }

    mutating func settlementElapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.receiptDelivery?.settlement == .awaited else { return }
        // Only now: a replay knows neither who was heard nor when the node was down.
        let evidence = ReputationEvidence(unpaid: job, context)
        record(.settlementOverdue, of: id, &context)
        if let evidence { context.judge(evidence, as: .originator) }
        closeIfDone(id, &context)
    }

    mutating func anchorPublished(_ id: JobID, inTime: Bool, _ context: inout MarketContext) {
        guard let job = jobs[id], job.anchor.isPending else { return }
        record(.anchorPublished(inTime: inTime), of: id, &context)
        closeIfDone(id, &context)
    }

    /// Closes the journal of a run once its receipt was delivered and settled, or will not be, and its assignment
    /// cannot come again.
    mutating func closeIfDone(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], !job.isClosed, let delivery = job.receiptDelivery, delivery.end != nil,
            !delivery.anchor.isPending, !delivery.expectsSettlement
        else { return }
        if context.timers.contains(.linger(id)) || context.timers.contains(.lodging(id)) { return }
        record(.closed, of: id, &context)
    }

    mutating func heartbeatDue(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.occupiesPlace, let lease = job.assignment?.leaseMilliseconds else { return }
        if runs.stopWaitingForAnswer(to: id), runs.places.running.contains(id) {
            // In the journal too, and reported from there: a restart counts the lease from its last event.
            record(.executionProgressed(status: job.status), of: id, &context)
        } else {
            runs.report(job, &context)
        }
        context.setTimer(.heartbeat(id), inMilliseconds: max(1, lease / 3))
    }
}

extension ExecutionReport {
    /// What is said of a run that this node did not make.
    fileprivate static func nodeFailed(_ reason: String, at date: UnixMilliseconds) -> Self {
        Self(outcome: .nodeFailed(reason: reason), startedAt: date, endedAt: date)
    }
}

extension JobManifest {
    /// Whether its run counts on this engine.
    func isFor(_ engine: EngineDescription) -> Bool { execution?.admits(engine) ?? true }
}
