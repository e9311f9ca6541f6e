import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

extension ExecutorMarket {
    /// An announcement came by gossip: what gossip is to do with it, and perhaps a bid.
    mutating func announced(
        _ announcement: JobAnnouncementV1, author: PeerID, _ context: inout MarketContext
    ) -> GossipJudgement {
        guard announcement.originatorPeerID == author else { return .reject(reason: "announced by another peer") }
        guard announcement.jobID.cid.namesObject else {
            return .reject(reason: "a CID of another form than objects have")
        }
        guard announcement.providerAddresses.count <= context.configuration.rules.addressCountMax else {
            return .reject(reason: "too many addresses")
        }
        guard rates.take(author, now: context.now, limits: context.limits) else {
            context.counters.announcementsIgnored += 1
            return .ignore(reason: "more announcements than an author may make")
        }
        let skew = context.configuration.rules.clockSkewMilliseconds
        if announcement.expiresAt.advanced(milliseconds: skew) <= context.wallClock {
            return .ignore(reason: "expired")
        }
        let horizon = context.date(inMilliseconds: context.configuration.rules.lifetimeMillisecondsMax)
        if announcement.expiresAt > horizon.advanced(milliseconds: skew) { return .ignore(reason: "outlives any job") }
        let id = announcement.jobID
        if let job = jobs[id], job.isOpenBid, job.manifest.originatorPeerID == author {
            // Its originator may have lost the bid in a crash, or it would not ask again.
            job.oweBid(&context)
            return .accept
        }
        if judged.contains(id) { return .accept }
        guard let block = announcement.manifest else {
            fetchManifest(announcement, &context)
            return .accept
        }
        guard let signed = Self.open(block, id, author, context) else {
            return .reject(reason: "the manifest does not verify")
        }
        consider(signed, &context)
        // Ignored and not rejected: who forwards it may know other rules, or have another clock.
        let refusal = context.configuration.rules.refusal(of: signed.body, wallClock: context.wallClock)
        return refusal.map { .ignore(reason: $0.code) } ?? .accept
    }

    /// A job of this node found no other executor: perhaps a bid of its own.
    mutating func announcedHere(_ signed: SignedObject<JobManifest>, _ context: inout MarketContext) {
        guard !judged.contains(JobID(signed.cid)), let configuration = context.configuration.executor else { return }
        // A bid that is sure to be taken needs a place, so more of them than places wait for the next look.
        guard openBids.total + places.accepted.total < configuration.placesMax else { return }
        consider(signed, &context)
    }

    /// Whether this node has judged a job and has no bid on it.
    func isDone(with id: JobID) -> Bool { judged.contains(id) && jobs[id]?.isOpenBid != true }

    private mutating func fetchManifest(_ announcement: JobAnnouncementV1, _ context: inout MarketContext) {
        let id = announcement.jobID
        let originator = announcement.originatorPeerID
        guard context.configuration.executor?.acceptsJobs ?? false, originator != context.peerID,
            manifestFetches[id] == nil, let did = try? PublicKey(peerID: originator).did,
            manifestFetchShares.hasRoom(
                of: originator, max: context.limits.manifestFetchesMax,
                each: context.limits.manifestFetchesPerOriginatorMax,
                strangers: context.strangersMax(of: context.limits.manifestFetchesMax, for: did))
        else { return }
        manifestFetches[id] = originator
        manifestFetchShares.add(to: originator, isStranger: !context.knows(did))
        context.emit(
            .fetchManifest(
                id, from: originator,
                addresses: Array(announcement.providerAddresses.prefix(context.configuration.rules.addressCountMax)),
                bytesMax: context.limits.manifestBytesMax))
    }

    mutating func manifestFetched(_ id: JobID, block: [UInt8]?, _ context: inout MarketContext) {
        guard let originator = manifestFetches.removeValue(forKey: id) else { return }
        manifestFetchShares.remove(from: originator)
        guard let block, let signed = Self.open(block, id, nil, context) else {
            return decline(id, .manifestUnavailable, &context)
        }
        consider(signed, &context)
    }

    private static func open(
        _ block: [UInt8], _ id: JobID, _ author: PeerID?, _ context: MarketContext
    ) -> SignedObject<JobManifest>? {
        guard block.count <= context.limits.manifestBytesMax, id.cid.matches(block),
            let signed = try? SignedObject<JobManifest>(verifying: block), signed.cid == id.cid,
            signed.body.originatorDID.peerID == signed.body.originatorPeerID,
            author == nil || author == signed.body.originatorPeerID
        else { return nil }
        return signed
    }

    /// Decides on a verified manifest: silence with a reason for the operator, or a signed bid.
    private mutating func consider(_ signed: SignedObject<JobManifest>, _ context: inout MarketContext) {
        let id = JobID(signed.cid)
        guard let configuration = context.configuration.executor else { return }
        if let reason = declineReason(signed.body, id, configuration, context) { return decline(id, reason, &context) }
        if configuration.looksModulesUp, waitsForModule(signed, &context) { return }
        let bid = bid(on: signed, configuration, context)
        if let refusal = notWanted(bid, signed.body, configuration, context) {
            return decline(id, .notWanted(refusal), &context)
        }
        guard let signedBid = context.sign(bid) else { return decline(id, .cannotSign, &context) }
        judged.insert(id, max: context.limits.announcementsMax)
        let isWritten = chargeJournal(signed, signedBid, &context)
        if !isWritten {
            unwritten.insert(id)
            context.counters.bidsNotWritten += 1
        }
        record(
            .bidMade(manifest: signed, bid: signedBid), of: id, isWritten: isWritten, &context)
    }

    /// Whether a job waits until the own store was asked for its module: one that is there and too long is not bid on.
    /// Modules of this node's own jobs were looked at when they were submitted.
    private mutating func waitsForModule(_ signed: SignedObject<JobManifest>, _ context: inout MarketContext) -> Bool {
        let module = signed.body.params.wasmCID
        guard signed.body.originatorDID != context.did, !modulesLookedUp.contains(module) else { return false }
        switch moduleLooks.add(signed, max: context.limits.moduleLooksMax) {
        case .full: return false
        case .joined: return true
        case .isFirst:
            context.emit(.lookUpModule(module))
            return true
        }
    }

    /// The own store was asked for a module: the jobs that waited for that are judged.
    mutating func moduleLookedUp(_ module: CID, isBeyondLimits: Bool, _ context: inout MarketContext) {
        let waiting = moduleLooks.remove(module)
        if isBeyondLimits {
            modulesBeyondLimits.insert(module, max: context.limits.modulesBeyondLimitsMax)
        } else {
            modulesLookedUp.insert(module, max: context.limits.modulesLookedUpMax)
        }
        for signed in waiting where !judged.contains(JobID(signed.cid)) { consider(signed, &context) }
    }

    /// Whether a bid fits into its originator's share of the journal: until the store prunes it.
    private mutating func chargeJournal(
        _ signed: SignedObject<JobManifest>, _ bid: SignedObject<Bid>, _ context: inout MarketContext
    ) -> Bool {
        let originator = signed.body.originatorDID
        let milliseconds = bid.body.expiresAt.milliseconds(since: bid.body.issuedAt)
            .addingReportingOverflow(
                context.configuration.rules.clockSkewMilliseconds + context.limits.bidPruningMilliseconds
            )
            .partialValue
        return bidJournal.charge(
            JobID(signed.cid), signed.bytes.count + bid.bytes.count, of: signed.body.originatorPeerID,
            isStranger: !context.knows(originator),
            strangers: context.strangersMax(of: context.limits.bidJournalBytesMax, for: originator),
            until: context.now.advanced(milliseconds: Int64(clamping: milliseconds)), now: context.now,
            limits: context.limits)
    }

    private func declineReason(
        _ manifest: JobManifest, _ id: JobID, _ configuration: ExecutorConfiguration, _ context: MarketContext
    ) -> BidDecline? {
        if !configuration.acceptsJobs { return .notAccepting }
        switch context.configuration.storage {
        case .open: break
        case .full: return .storageFull
        case .diskFull: return .diskFull
        case .locked: return .storageLocked
        }
        if manifest.originatorDID == context.did, !configuration.bidsOnOwnJobs { return .ownJob }
        if configuration.deniedOriginators.contains(manifest.originatorDID) { return .originatorDenied }
        if let refusal = context.configuration.rules.refusal(of: manifest, wallClock: context.wallClock) {
            return refusal == .expired ? .expired : .jobRefused(refusal)
        }
        if let limit = Self.limitBeyond(manifest.params.limits, configuration.limitsMax) { return limit }
        if let job = jobs[id], job.isOpenBid || job.occupiesPlace { return .refusedBefore }
        if case .refused(let code, _) = jobs[id]?.bidEnd, !code.leavesJobOpen { return .refusedBefore }
        if jobs[id]?.receipt != nil { return .refusedBefore }
        if modulesBeyondLimits.contains(manifest.params.wasmCID) { return .moduleBeyondLimits }
        if places.isFull(configuration) { return .atCapacity }
        if !places.hasRoom(for: manifest.originatorDID, configuration, context) { return .shareUsedUp }
        if openBids.total >= configuration.openBidsMax || openCount >= context.limits.executedJobsMax {
            return .tooManyOpenBids
        }
        let hasRoom = openBids.hasRoom(
            of: manifest.originatorPeerID, max: configuration.openBidsMax,
            each: configuration.openBidsPerOriginatorMax,
            strangers: context.strangersMax(of: configuration.openBidsMax, for: manifest.originatorDID))
        return hasRoom ? nil : .shareUsedUp
    }

    private static func limitBeyond(_ asked: ExecutionLimits, _ offered: ExecutionLimits) -> BidDecline? {
        let rows: [(String, UInt64, UInt64)] = [
            ("timeout_seconds", asked.timeoutSeconds, offered.timeoutSeconds),
            ("max_fuel", asked.maxFuel, offered.maxFuel),
            ("max_memory_bytes", asked.maxMemoryBytes, offered.maxMemoryBytes),
            ("max_output_bytes", asked.maxOutputBytes, offered.maxOutputBytes),
        ]
        for (field, asked, offered) in rows where asked > offered {
            return .limitTooLarge(field: field, asked: asked, max: offered)
        }
        return nil
    }

    private func bid(
        on signed: SignedObject<JobManifest>, _ configuration: ExecutorConfiguration, _ context: MarketContext
    ) -> Bid {
        let params = signed.body.params
        let worst = BidTerms.uncapped(
            basePrice: configuration.basePrice, pricePerMillionFuel: configuration.pricePerMillionFuel,
            fuel: params.maxFuel)
        let price = max(configuration.basePrice, min(worst, configuration.priceMax ?? .max))
        let promised = configuration.preparationMilliseconds + params.timeoutSeconds * 1000
        let terms = BidTerms(
            price: price, basePrice: configuration.basePrice, pricePerMillionFuel: configuration.pricePerMillionFuel,
            earliestStart: context.wallClock, deadline: context.calendarDate(inMilliseconds: promised),
            resourceGuarantees: params.resourcesRequired)
        return Bid(
            jobID: JobID(signed.cid), originatorPeerID: signed.body.originatorPeerID, bidderDID: context.did,
            bidderPeerID: context.peerID, terms: terms, region: configuration.region, features: configuration.features,
            resources: configuration.resources, loadPermille: loadPermille(configuration),
            nodeMetadataCID: configuration.capabilityCID, issuedAt: context.wallClock,
            expiresAt: context.calendarDate(inMilliseconds: configuration.bidValidityMilliseconds))
    }

    /// What this node can see for itself that the policy does not want. A price above the ceiling does not keep it
    /// silent: the originator learns from the refused bids what its job would cost. Its own reputation it cannot know.
    private func notWanted(
        _ bid: Bid, _ manifest: JobManifest, _ configuration: ExecutorConfiguration, _ context: MarketContext
    ) -> BidRefusal? {
        let selection = Selection(manifest: manifest, reputation: context.reputation, wallClock: context.wallClock)
        switch selection.refusal(of: bid) {
        case .priceTooHigh, .reputationTooLow, .deadlineTooLate, nil: return nil
        case let refusal?: return refusal
        }
    }

    private mutating func decline(_ id: JobID, _ reason: BidDecline, _ context: inout MarketContext) {
        context.counters.declined(reason.code)
        recentDeclines.append(DeclinedJob(jobID: id, reason: reason, at: context.wallClock))
        if recentDeclines.count > context.limits.recentDecisionsMax { recentDeclines.removeFirst() }
        switch reason {
        case .atCapacity, .tooManyOpenBids, .shareUsedUp, .manifestUnavailable, .notAccepting, .storageFull,
            .diskFull, .storageLocked, .jobRefused, .expired:
            break
        default: judged.insert(id, max: context.limits.announcementsMax)
        }
    }

    // MARK: The bid's fate

    mutating func bidAnswered(_ id: DeliveryID, _ reply: MeshProtocolReply, _ context: inout MarketContext) {
        guard let job = jobs[id.jobID], job.isOpenBid, job.bidCID == id.subject else { return }
        guard case .refused(let refusal) = reply else { return }
        refused(job, refusal.code, refusal.text, &context)
        if refusal.code.leavesJobOpen { judged.remove(id.jobID) }
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
        // Also a bid that lost is closed at once, or the bids that lose would soon fill `openBidsMax`. When the winner
        // fails it may still be taken up until it lapses, because an assignment carries all that is needed; and when
        // the job is announced again, it is judged again.
        if job.isOpenBid { refused(job, message.code, message.reason, &context) }
        if message.code.leavesJobOpen { judged.remove(message.jobID) }
        return .ack
    }

    private mutating func refused(
        _ job: ExecutedJob, _ code: RefusalCode, _ reason: String, _ context: inout MarketContext
    ) {
        let end = BidEnd.refused(code: code.sanitized, reason: PlainText.sanitized(reason))
        closeBid(job.id, end, &context)
    }

    private mutating func closeBid(_ id: JobID, _ end: BidEnd, _ context: inout MarketContext) {
        record(.bidClosed(reason: end), of: id, isWritten: !unwritten.contains(id), &context)
    }

    mutating func bidLapsed(_ id: JobID, _ context: inout MarketContext) {
        guard let job = jobs[id], job.isOpenBid else { return }
        if context.outbox.contains(DeliveryID(jobID: id, kind: .bid, subject: job.bidCID)) {
            closeBid(id, .notDelivered(reason: "the originator did not answer"), &context)
        } else {
            closeBid(id, .lapsed, &context)
        }
        // A lapsed bid leaves the job open: when it is announced again, it is judged again.
        judged.remove(id)
    }

    // MARK: Assignment

    /// An assignment came: taken, also again when it was taken before, or declined with the reason.
    mutating func assigned(
        _ message: AssignJobV1, from peer: PeerID, _ context: inout MarketContext
    ) -> MeshProtocolReply {
        if let known = alreadyTaken(message, from: peer) {
            context.counters.duplicates += 1
            return .accepted(assignmentCID: known)
        }
        switch check(message, from: peer, context) {
        case .failure(let refusal):
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
            startNext(&context)
            return .accepted(assignmentCID: chain.assignment.cid)
        }
    }

    /// The assignment when exactly it was taken before: told by its CID, which costs no signature.
    private func alreadyTaken(_ message: AssignJobV1, from peer: PeerID) -> CID? {
        let job = jobs[JobID(CID.hashing(message.manifest, codec: .dagCBOR))]
        guard let job, let known = job.assignmentCID, job.manifest.originatorPeerID == peer,
            known.matches(message.assignment)
        else { return nil }
        return known
    }

    private struct Chain {
        let manifest: SignedObject<JobManifest>
        let bid: SignedObject<Bid>
        let assignment: SignedObject<Assignment>
        var id: JobID { JobID(manifest.cid) }
    }

    private func check(
        _ message: AssignJobV1, from peer: PeerID, _ context: MarketContext
    ) -> Result<Chain, AssignmentRefusal> {
        guard let configuration = context.configuration.executor else { return .failure(.notAccepting) }
        let bytesMax = context.limits.evidenceBytesMax
        // What this node itself bid on was verified then, and the bid is its own.
        let known = jobs[JobID(CID.hashing(message.manifest, codec: .dagCBOR))]
        let isKnown = known?.signedManifest.bytes == message.manifest && known?.signedBid.bytes == message.bid
        guard message.manifest.count <= context.limits.manifestBytesMax,
            let manifest = isKnown
                ? known?.signedManifest : try? SignedObject<JobManifest>(verifying: message.manifest)
        else { return .failure(.notVerified(part: "manifest")) }
        guard message.bid.count <= bytesMax,
            let bid = isKnown ? known?.signedBid : try? SignedObject<Bid>(verifying: message.bid)
        else { return .failure(.notVerified(part: "bid")) }
        guard message.assignment.count <= bytesMax,
            let assignment = try? SignedObject<Assignment>(verifying: message.assignment)
        else { return .failure(.notVerified(part: "assignment")) }
        let chain = Chain(manifest: manifest, bid: bid, assignment: assignment)
        if let field = mismatch(chain, from: peer) { return .failure(.chainMismatch(field: field)) }
        guard bid.body.bidderDID == context.did, assignment.body.executorDID == context.did else {
            return .failure(.notOwnBid)
        }
        guard assignment.body.terms == bid.body.terms, assignment.body.acceptBy == bid.body.expiresAt,
            assignment.body.leaseMilliseconds >= 100, assignment.body.leaseMilliseconds <= 3_600_000
        else { return .failure(.termsChanged) }
        guard isValid(bid, context) else { return .failure(.expired) }
        if jobs[chain.id]?.assignment != nil { return .failure(.otherAttemptHere) }
        guard configuration.acceptsJobs else { return .failure(.notAccepting) }
        if modulesBeyondLimits.contains(manifest.body.params.wasmCID) { return .failure(.moduleBeyondLimits) }
        let hasRoom = places.hasRoom(for: manifest.body.originatorDID, configuration, context)
        if !hasRoom || openCount >= context.limits.executedJobsMax { return .failure(.atCapacity) }
        // What this node bid on was judged then, and its calendar may have been set since.
        let rules = context.configuration.rules
        let refusal =
            jobs[chain.id]?.bidCID == bid.cid
            ? rules.refusal(of: manifest.body.params)
            : rules.refusal(of: manifest.body, wallClock: context.wallClock)
        if let refusal { return .failure(.jobRefused(refusal)) }
        return .success(chain)
    }

    /// Whether a bid of this node can still be taken up: by the clock that makes no steps where it is remembered, after
    /// a restart by its date.
    private func isValid(_ bid: SignedObject<Bid>, _ context: MarketContext) -> Bool {
        if let job = jobs[bid.body.jobID], job.bidCID == bid.cid { return context.steady < job.bidLapsesAt }
        return context.wallClock < bid.body.expiresAt
    }

    private func mismatch(_ chain: Chain, from peer: PeerID) -> String? {
        let manifest = chain.manifest.body
        if manifest.originatorPeerID != peer || manifest.originatorDID.peerID != peer { return "originator_peer_id" }
        if chain.assignment.body.originatorDID != manifest.originatorDID { return "originator_did" }
        if chain.assignment.body.jobID != chain.id || chain.bid.body.jobID != chain.id { return "job_id" }
        if chain.assignment.body.bidCID != chain.bid.cid { return "bid_cid" }
        return nil
    }
}
