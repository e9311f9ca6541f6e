import MeshTypes
import Multiformats
import SignedObjects

extension OriginatorMarket {
    /// Sets the timers that a change of state asks for; only what changed is set again, so that a step of the wall
    /// clock does not move deadlines that stand.
    func armTimers(from old: OriginatedJob.Marks?, to job: OriginatedJob, _ context: inout MarketContext) {
        if old == nil { context.setTimer(.whole(job.id), at: job.endsAt) }
        if old?.phaseUntil != job.phaseUntil || old?.phase != job.phase {
            if let until = job.phaseUntil {
                context.setTimer(.phase(job.id), at: until)
            } else {
                context.timers.clear(.phase(job.id))
            }
        }
        if job.phase == .bidding, old?.round != job.round, let until = job.windowUntil {
            context.setTimer(.window(job.id), at: until)
            context.setTimer(
                .reannounce(job.id), inMilliseconds: context.configuration.originator.reannounceMilliseconds)
        }
        if job.phase != .bidding || job.status == .biddingClosed {
            context.timers.clear(.window(job.id))
            context.timers.clear(.reannounce(job.id))
        }
        armLease(from: old, to: job, &context)
        if let until = job.candidateReceipts.map(\.outputsUntil).min() {
            if old?.candidateReceipts != job.candidateReceipts.count {
                context.setTimer(.outputs(job.id), at: until)
            }
        } else {
            context.timers.clear(.outputs(job.id))
        }
        if case .pending(_, let until) = job.anchor, old?.anchor != job.anchor {
            context.setTimer(.anchor(job.id, .originator), at: until)
        } else if !job.anchor.isPending {
            context.timers.clear(.anchor(job.id, .originator))
        }
        if let until = job.notices.map(\.until).max() {
            if old?.notices != job.notices.count { context.setTimer(.notices(job.id), at: until) }
        } else {
            context.timers.clear(.notices(job.id))
        }
        if job.isClosed { context.timers.clear(.whole(job.id)) }
    }

    private func armLease(from old: OriginatedJob.Marks?, to job: OriginatedJob, _ context: inout MarketContext) {
        guard let live = job.liveAttempt, live.isConfirmed else {
            context.timers.clear(.lease(job.id))
            return
        }
        if old?.liveAttempt != live {
            context.setTimer(.lease(job.id), inMilliseconds: live.assignment.leaseMilliseconds)
        }
    }

    /// What an event asks the world to do.
    mutating func emitActions(of event: JobEvent, _ job: OriginatedJob, _ context: inout MarketContext) {
        switch event.kind {
        case .submitted: announce(job, &context)
        case .announced(let round, _, _):
            if round > 1 { announce(job, &context) }
        case .assignmentMade: owe(assignmentOf: job, &context)
        case .assignmentConfirmed(let cid, _):
            context.dropDelivery(.assignment, job: job.id, subject: cid)
            if job.cancelReason != nil { oweCancellation(of: job, &context) }
        case .attemptEnded(let cid, let end):
            context.dropDelivery(.assignment, job: job.id, subject: cid)
            leases.end(cid)
            judge(attempt: cid, of: job, end, context)
        case .cancellationRequested: oweCancellation(of: job, &context)
        case .receiptAccepted: if let candidate = job.candidateReceipts.last { fetchOutputs(candidate, job, &context) }
        case .resultReached, .failed, .cancelled: stopOthers(of: job, &context)
        case .settled, .lateReceipt:
            if let notice = job.notices.last { owe(notice, of: job, &context) }
        case .anchored: publishHeads(of: job, &context)
        default: break
        }
    }

    func announce(_ job: OriginatedJob, _ context: inout MarketContext) {
        let isSmall = job.signedManifest.bytes.count <= context.configuration.originator.announcedManifestBytesMax
        let announcement = JobAnnouncementV1(
            jobID: job.id, manifest: isSmall ? job.signedManifest.bytes : nil,
            executionPolicy: isSmall ? nil : job.manifest.params.executionPolicy,
            originatorPeerID: job.manifest.originatorPeerID, providerAddresses: job.manifest.originatorAddresses,
            expiresAt: min(
                job.manifest.expiresAt, job.phaseUntil.map(context.calendarDate(of:)) ?? job.manifest.biddingDeadline))
        context.emit(.announce(job.id, announcement))
    }

    func owe(assignmentOf job: OriginatedJob, _ context: inout MarketContext) {
        guard let live = job.liveAttempt, !live.isConfirmed, let until = job.phaseUntil,
            let bid = job.bids.first(where: { $0.cid == live.assignment.bidCID })
        else { return }
        let message = AssignJobV1(
            manifest: job.signedManifest.bytes, bid: bid.signed.bytes, assignment: live.signed.bytes)
        context.deliver(
            .assignJob(message), .assignment, job: job.id, subject: live.cid, to: live.executorPeerID, until: until)
    }

    func oweCancellation(of job: OriginatedJob, _ context: inout MarketContext) {
        guard let live = job.liveAttempt else { return }
        context.dropDelivery(.assignment, job: job.id, subject: live.cid)
        let message = CancelJobV1(
            jobID: job.id, assignmentCID: live.cid, reason: job.cancelReason ?? "the originator asked for the end")
        let until =
            job.phaseUntil
            ?? context.date(
                inMilliseconds: context.configuration.originator.cancellationMilliseconds)
        context.deliver(
            .cancelJob(message), .cancellation, job: job.id, subject: live.cid, to: live.executorPeerID, until: until)
    }

    /// Once a job has its result, executors that may still be running it are told to stop.
    private func stopOthers(of job: OriginatedJob, _ context: inout MarketContext) {
        let until = context.date(inMilliseconds: context.configuration.originator.cancellationMilliseconds)
        for attempt in job.attempts where attempt.fateIsUnknown {
            let message = CancelJobV1(jobID: job.id, assignmentCID: attempt.cid, reason: "the job has ended")
            context.deliver(
                .cancelJob(message), .cancellation, job: job.id, subject: attempt.cid, to: attempt.executorPeerID,
                until: until)
        }
    }

    func fetchOutputs(_ candidate: CandidateReceipt, _ job: OriginatedJob, _ context: inout MarketContext) {
        let receipt = candidate.accepted.receipt
        guard !receipt.outputBlocks.isEmpty else { return }
        context.emit(
            .fetchOutputs(
                job.id, receipt: candidate.accepted.cid, from: receipt.executorDID.peerID,
                blocks: receipt.outputBlocks,
                deadlineMilliseconds: Int64(clamping: candidate.outputsUntil.milliseconds(since: context.steady))))
    }

    func owe(_ notice: SettlementNotice, of job: OriginatedJob, _ context: inout MarketContext) {
        context.deliver(
            .jobSettled(JobSettledV1(settlement: notice.signed.bytes)), .settlement, job: job.id,
            subject: notice.receiptCID,
            to: notice.executorDID.peerID, until: notice.until)
    }

    func publishHeads(of job: OriginatedJob, _ context: inout MarketContext) {
        let heads = AnchorHeadsV1(
            scope: context.configuration.anchorScope, heads: context.anchors.heads, height: context.anchors.height)
        context.emit(
            .gossip(
                topic: MeshTopics.anchorHeads(scope: heads.scope), .anchorHeads(heads), anchorOf: job.id))
    }
}
