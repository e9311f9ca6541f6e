import Credit
import MeshTypes
import Multiformats
import SignedObjects

/// From an announcement to the assignment of the bid made on it.
extension ExecutorMarket {
    // MARK: Announcements

    /// Takes an announcement from gossip: says what gossip does with it, and may bid.
    mutating func announced(
        _ announcement: JobAnnouncementV1, author: PeerID, _ context: inout MarketContext
    ) -> GossipJudgement {
        if let verdict = announcements.verdict(against: announcement, author: author, &context) { return verdict }
        let id = announcement.jobID
        if let job = jobs[id], job.isOpenBid, job.manifest.originatorPeerID == author {
            // Its originator may have lost the bid in a crash; otherwise it would not ask again.
            job.oweBid(&context)
            return .accept
        }
        if announcements.isJudged(id) { return .accept }
        guard let block = announcement.manifest else {
            manifestFetches.begin(announcement, &context)
            return .accept
        }
        guard let signed = ManifestFetches.verified(block, of: id, author: author, context.limits) else {
            return .reject(reason: "the manifest does not verify")
        }
        consider(signed, &context)
        // Ignored, not rejected: a forwarder may know other rules, or have another clock.
        let refusal = context.configuration.rules.refusal(of: signed.body, wallClock: context.wallClock)
        return refusal.map { .ignore(reason: $0.code) } ?? .accept
    }

    /// Takes an announcement that its originator sent to this node alone: it is judged as one from gossip.
    mutating func invited(
        _ announcement: JobAnnouncementV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard announcement.originatorPeerID == peer else {
            context.counters.refused("invitation_wrong_peer")
            return .refused(Refusal(.wrongPeer, "the job is another originator's"))
        }
        return switch announced(announcement, author: peer, &context) {
        case .accept: .ack
        case .ignore(let reason): .declined(Refusal(.jobRefused, reason))
        case .reject(let reason): .refused(Refusal(.notVerified, reason))
        }
    }

    /// Judges a job of this node that found no other executor; may bid on it.
    mutating func announcedHere(_ signed: SignedObject<JobManifest>, _ context: inout MarketContext) {
        guard !announcements.isJudged(JobID(signed.cid)), let configuration = context.configuration.executor else {
            return
        }
        // A bid that is sure to be taken up needs a place, so bids beyond the places wait for the next check.
        guard openBids.count + runs.places.accepted.total < configuration.placesMax else { return }
        consider(signed, &context)
    }

    /// Whether this node has judged a job and has no bid on it.
    func isDone(with id: JobID) -> Bool { announcements.isJudged(id) && jobs.read(id, \.isOpenBid) != true }

    mutating func manifestFetched(_ id: JobID, block: [UInt8]?, _ context: inout MarketContext) {
        guard manifestFetches.end(id) else { return }
        guard let block, let signed = ManifestFetches.verified(block, of: id, author: nil, context.limits) else {
            return announcements.declined(id, .manifestUnavailable, of: nil, &context)
        }
        consider(signed, &context)
    }

    /// Decides on a verified manifest: silence with a reason for the operator, or a signed bid.
    private mutating func consider(_ signed: SignedObject<JobManifest>, _ context: inout MarketContext) {
        let id = JobID(signed.cid)
        guard let configuration = context.configuration.executor else { return }
        let policy = BidPolicy(configuration: configuration)
        if let reason = policy.decline(signed.body, context) ?? decline(signed.body, id, configuration, context) {
            return declined(signed.body, id, reason, &context)
        }
        if configuration.looksModulesUp, modules.waits(signed, &context) { return }
        let bid = policy.bid(
            on: signed, runs, fuelPerSecond: pace.promised, context)
        if let refusal = policy.notWanted(bid, signed.body, context) {
            return announcements.declined(id, .notWanted(refusal), of: signed.body.originatorPeerID, &context)
        }
        if policy.denies(signed.body, context) {
            return announcements.declined(id, .originatorDenied, of: signed.body.originatorPeerID, &context)
        }
        guard let signedBid = context.sign(bid) else {
            return announcements.declined(id, .cannotSign, of: signed.body.originatorPeerID, &context)
        }
        announcements.judged(id, context.limits)
        let isWritten = openBids.charge(signed, signedBid, &context)
        record(.bidMade(manifest: signed, bid: signedBid), of: id, isWritten: isWritten, &context)
    }

    /// Makes no bid, and says so where only the moment is against it, so that nobody waits for one.
    private mutating func declined(
        _ manifest: JobManifest, _ id: JobID, _ reason: BidDecline, _ context: inout MarketContext
    ) {
        let (originator, limits) = (manifest.originatorPeerID, context.limits)
        announcements.declined(id, reason, of: originator, &context)
        guard reason.isInterest, originator != context.peerID,
            interestRates.take(
                originator, perSecond: limits.interestsPerSecondMax, burst: limits.interestBurstMax, now: context.now,
                limits: limits)
        else { return }
        let interest = JobInterestV1(
            jobID: id, executorDID: context.did, region: context.configuration.executor?.region, reason.told)
        context.tell(.jobInterest(interest), .interest, job: id, subject: id.cid, to: originator)
    }

    /// Why this node does not bid now on a job that it would bid on.
    private func decline(
        _ manifest: JobManifest, _ id: JobID, _ configuration: ExecutorConfiguration, _ context: MarketContext
    ) -> BidDecline? {
        let isHeld = jobs.read(id) { job in
            if job.isOpenBid || job.occupiesPlace || job.receipt != nil { return true }
            if case .refused(let code, _, _) = job.bidEnd { return !code.leavesJobOpen }
            return false
        }
        if isHeld ?? false { return .refusedBefore }
        if modules.isBeyondLimits(manifest.params.wasmCID) { return .moduleBeyondLimits }
        if modules.hasCrashed(manifest, context) { return .moduleCrashed }
        if runs.places.isFull(configuration) { return .atCapacity }
        if !runs.places.hasRoom(for: manifest.originatorDID, configuration, context) { return .shareUsedUp }
        if openBids.count >= configuration.openBidsMax || openCount >= context.limits.executedJobsMax {
            return .tooManyOpenBids
        }
        return openBids.hasRoom(for: manifest, configuration, context) ? nil : .shareUsedUp
    }

    /// Judges the jobs that waited for a module's lookup in the node's store.
    mutating func moduleLookedUp(_ module: CID, isBeyondLimits: Bool, _ context: inout MarketContext) {
        for signed in modules.lookedUp(module, isBeyondLimits: isBeyondLimits, context.limits)
        where !announcements.isJudged(JobID(signed.cid)) {
            consider(signed, &context)
        }
    }

    // MARK: Questions

    /// Answers from memory: nothing is fetched, verified or judged for a question. Only the job's originator is told
    /// anything, and never what the owner keeps private.
    mutating func inquired(
        _ inquiry: JobInquiryV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        let limits = context.limits
        guard
            inquiryRates.take(
                peer, perSecond: limits.inquiriesPerSecondMax, burst: limits.inquiryBurstMax, now: context.now,
                limits: limits)
        else {
            context.counters.refused("inquiry_too_many")
            return .refused(Refusal(.tooManyQuestions, "more questions than one peer may ask"))
        }
        let id = inquiry.jobID
        if jobs.read(id, { $0.isOpenBid && $0.manifest.originatorPeerID == peer }) ?? false { return .ack }
        if let known = announcements.decline(of: id), known.originator == peer {
            return .declined(known.reason.told)
        }
        guard context.configuration.executor?.takesJobs ?? false else {
            return .declined(BidDecline.notAccepting.told)
        }
        return .refused(Refusal(.jobUnknown, "the job has not been announced here"))
    }

    // MARK: The bid's fate

    mutating func bidAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard case .refused(let refusal) = reply,
            jobs.read(id.jobID, { $0.isOpenBid && $0.bidCID == id.subject }) ?? false
        else { return }
        refused(id.jobID, refusal, &context)
        if refusal.code.leavesJobOpen { announcements.forget(id.jobID) }
    }

    mutating func bidRefused(
        _ message: JobBidRefusedV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let job = jobs[message.jobID], job.bidCID == message.bidCID else {
            return .refused(Refusal(.bidUnknown, "no such bid was made here"))
        }
        guard job.manifest.originatorPeerID == peer else {
            context.counters.refused("bid_refusal_wrong_peer")
            return .refused(Refusal(.wrongPeer, "the bid was another originator's"))
        }
        // A lost bid is closed at once too, or lost bids would soon fill `openBidsMax`. If the winner fails, it may
        // still be taken up until it lapses, because an assignment carries all that is needed; and a new announcement
        // of the job is judged anew.
        if job.isOpenBid { refused(job.id, message.refusal, &context) }
        if message.code.leavesJobOpen { announcements.forget(message.jobID) }
        return .ack
    }

    private mutating func refused(_ id: JobID, _ refusal: Refusal, _ context: inout MarketContext) {
        let reason = PlainText.sanitized(refusal.text)
        closeBid(id, .refused(code: refusal.code.sanitized, reason: reason, lostTo: refusal.lostTo), &context)
    }

    private mutating func closeBid(_ id: JobID, _ end: BidEnd, _ context: inout MarketContext) {
        record(.bidClosed(reason: end), of: id, isWritten: openBids.isWritten(id), &context)
    }

    mutating func bidLapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let bid = jobs.read(id, { $0.isOpenBid ? $0.bidCID : nil }) ?? nil else { return }
        let kinds: [DeliveryID.Kind] = [.bid, .bidCommitment]
        if kinds.contains(where: { context.outbox.contains(DeliveryID(jobID: id, kind: $0, subject: bid)) }) {
            closeBid(id, .notDelivered(reason: "the originator did not answer"), &context)
        } else {
            closeBid(id, .lapsed, &context)
        }
        // A lapsed bid leaves the job open: a new announcement is judged anew.
        announcements.forget(id)
    }

    /// Shows the bid of this node, now that its originator takes no more of them; not before, and not if the bid is
    /// none of those that count.
    mutating func bidsSealed(
        _ message: JobBidsSealedV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        guard let job = jobs[message.jobID], job.manifest.policy.hasPublicBids, job.isOpenBid,
            message.bids.count <= PublicJob.Limits().commitmentsMax, message.bids.contains(job.bidCID)
        else { return .refused(Refusal(.bidUnknown, "no such bid is open here")) }
        guard job.manifest.originatorPeerID == peer else {
            context.counters.refused("bids_sealed_wrong_peer")
            return .refused(Refusal(.wrongPeer, "the bid is for another originator's job"))
        }
        job.showBid(isFirst: openBids.shown(job.id), &context)
        return .ack
    }

    // MARK: Assignment

    /// An assignment came: taken, also again when it was taken before, or declined with the reason.
    mutating func assigned(
        _ message: AssignJobV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        let known = jobs[JobID(CID.hashing(message.manifest, codec: .dagCBOR))]
        // The assignment that was taken before is told by its CID, so that nothing needs to be verified.
        if let run = known?.run, known?.manifest.originatorPeerID == peer, run.signed.cid.matches(message.assignment) {
            context.counters.duplicates += 1
            return accepted(run.signed.cid, at: run.acceptedAt, &context)
        }
        var held: SignedObject<HoldCertificate>?
        switch check(message, from: peer, known, &held, context) {
        case .failure(let refusal):
            if let held, let configuration = context.configuration.executor { giveUp(held, configuration, &context) }
            context.counters.refused("assignment_\(refusal.name.rawValue)")
            return .declined(refusal.refusal)
        case .success(let chain):
            context.keep(chain.manifest, of: chain.id)
            context.keep(chain.bid, of: chain.id)
            context.keep(chain.assignment, of: chain.id)
            record(
                .assignmentAccepted(
                    manifest: chain.manifest, bid: chain.bid, assignment: chain.assignment),
                of: chain.id, &context)
            if let hold = chain.hold {
                context.keep(hold, of: chain.id)
                record(.holdTaken(certificate: hold), of: chain.id, &context)
            }
            startNext(&context)
            return accepted(chain.assignment.cid, at: context.steady, &context)
        }
    }

    /// The answer to an assignment that was taken, with this node's word for it: the same whenever it is asked again.
    private func accepted(
        _ assignment: CID, at date: UnixMilliseconds, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        let acceptance = AssignmentAcceptance(
            executorDID: context.did, assignmentCID: assignment, acceptedAt: date)
        return .accepted(assignmentCID: assignment, acceptance: context.sign(acceptance)?.bytes)
    }

    /// Whether an assignment is taken: its chain holds, it is paid, and there is a place for it.
    ///
    /// - Parameter held: receives the hold of an assignment that is declined for another reason, unless it pays a run.
    private func check(
        _ message: AssignJobV1, from peer: PeerID, _ known: ExecutedJob?,
        _ held: inout SignedObject<HoldCertificate>?, _ context: MarketContext
    ) -> Result<AssignmentChain, AssignmentRefusal> {
        guard let configuration = context.configuration.executor else { return .failure(.notAccepting) }
        let verified = AssignmentChain.verified(message, from: peer, known: known, context)
        guard case .success(var chain) = verified else { return verified }
        let accepted = hold(of: chain, message.hold, configuration, &held, context)
        // What pays a run is never given up.
        if held?.body.holdCID == known?.hold?.body.holdCID { held = nil }
        switch accepted {
        case .failure(let refusal): return .failure(refusal)
        case .success(let hold): chain.hold = hold
        }
        let manifest = chain.manifest.body
        if known?.assignment != nil { return .failure(.otherAttemptHere) }
        guard configuration.takesJobs else { return .failure(.notAccepting) }
        guard manifest.isFor(configuration.engine) else { return .failure(.notAccepting) }
        if modules.isBeyondLimits(manifest.params.wasmCID) { return .failure(.moduleBeyondLimits) }
        if modules.hasCrashed(manifest, context) { return .failure(.moduleCrashed) }
        let hasRoom = runs.places.hasRoom(for: manifest.originatorDID, configuration, context)
        if !hasRoom || openCount >= context.limits.executedJobsMax { return .failure(.atCapacity) }
        if let refusal = chain.ruleRefusal(known: known, context) { return .failure(.jobRefused(refusal)) }
        return .success(chain)
    }
}
