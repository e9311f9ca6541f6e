package import Determinism
package import Economics
package import MerkleLog
package import MeshTypes
package import Multiformats
package import PeerIdentity
package import Reputation
import SignedObjects

/// The market of one node: a value that decides about the jobs it originates and the jobs it executes.
///
/// It is event-sourced: it decides an input by its present state and turns it into events; only folding an event
/// changes a job. `submit`, `cancel` and `handle` return a `MarketTransition`, whose events the shell makes durable
/// before it carries out the actions. After a restart the shell passes all journalled events of open jobs to `replay`,
/// in order, and carries out what `recover` returns. Every message may come twice and late: it changes nothing twice.
///
/// It signs itself, because Ed25519 signing is pure; events carry what was signed, so a replay signs nothing.
package struct JobMarket: Sendable {
    var originator = OriginatorMarket()
    var executor = ExecutorMarket()
    var gossipRules = GossipRules()
    var context: MarketContext

    /// A market without jobs.
    ///
    /// - Parameters:
    ///   - identity: the node's key.
    ///   - configuration: everything that an operator can set.
    ///   - ledger: the ledger, as stored.
    ///   - reputation: the evidence about executors, as stored.
    ///   - payers: the evidence about originators, as stored.
    ///   - lastReceipt: the receipt that this node signed last.
    ///   - chainOpenedAt: when the chain of its receipts began again, if it ever did (`ChainOpening`).
    ///   - anchorHeads: the heads of the anchored DAG, with the greatest height among them.
    ///   - log: the tree over this node's entries in it.
    package init(
        identity: Identity, configuration: MarketConfiguration, ledger: Ledger = Ledger(),
        reputation: ReputationBook = ReputationBook(),
        payers: ReputationBook = ReputationBook(of: .originator, limits: .ofOriginators),
        records: TrackRecords = TrackRecords(), lastReceipt: CID? = nil,
        chainOpenedAt: UnixMilliseconds? = nil, anchorHeads: (heads: [CID], height: UInt64) = ([], 0),
        log: MerkleTree = MerkleTree()
    ) {
        context = MarketContext(
            identity: identity, configuration: configuration, ledger: ledger, reputation: reputation, payers: payers,
            records: records,
            anchors: AnchorLog(heads: anchorHeads.heads, height: anchorHeads.height, tree: log),
            lastReceipt: lastReceipt, chainOpenedAt: chainOpenedAt)
    }

    private mutating func begin(_ now: MonotonicInstant, _ wallClock: UnixMilliseconds) {
        let isIdle = originator.openCount == 0 && executor.openCount == 0
        context.begin(now: now, wallClock: wallClock, isIdle: isIdle)
    }

    // MARK: Commands

    /// Accepts a user's job; the same key from the same requester gives the same job and an empty transition.
    ///
    /// - Parameter nonce: sixteen random bytes.
    package mutating func submit(
        _ request: JobRequest, nonce: [UInt8], now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> Result<(id: JobID, transition: MarketTransition), SubmissionRefusal> {
        begin(now, wallClock)
        let result = originator.submit(request, nonce: nonce, &context)
        let transition = context.finish()
        return result.map { ($0, transition) }
    }

    /// Ends a job of this node; if an executor has it, the job ends with the receipt of the cancelled run.
    package mutating func cancel(
        _ job: JobID, reason: String, now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> Result<MarketTransition, CancellationRefusal> {
        begin(now, wallClock)
        let result = originator.cancel(job, reason: reason, &context)
        originator.retryHolds(&context)
        let transition = context.finish()
        return result.map { transition }
    }

    /// Stops a run that this node executes, on its owner's order; the originator gives the job to another.
    package mutating func stopExecution(
        _ job: JobID, reason: String, now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> MarketTransition {
        begin(now, wallClock)
        if let run = executor.jobs[job] { executor.stop(run, reason: reason, byOriginator: false, &context) }
        return context.finish()
    }

    /// Ends all work with a peer that the owner of this node bans: its jobs here are stopped, and this node's jobs
    /// there are given to others.
    package mutating func drop(
        _ peer: PeerID, now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> (stopped: Int, reassigned: Int, transition: MarketTransition) {
        begin(now, wallClock)
        let runs = executor.jobs.all.filter {
            $0.manifest.originatorPeerID == peer && $0.occupiesPlace && $0.stopReason == nil
        }
        for run in runs.sorted(by: { $0.id < $1.id }) {
            executor.stop(run, reason: "the executor's owner banned the originator", byOriginator: false, &context)
        }
        let reassigned = originator.drop(peer, &context)
        return (runs.count, reassigned, finish())
    }

    /// Forgets what was measured of a peer.
    package mutating func forget(_ peer: PeerID) {
        context.latencies.forget(peer)
        context.networks.forget(peer)
    }

    /// Books tokens given to this node; the next transaction has to write the entry. `false` if already booked.
    package mutating func grant(
        _ amount: TokenAmount, reference: String, wallClock: UnixMilliseconds
    ) throws(LedgerRefusal) -> LedgerEntry? {
        let entry = LedgerEntry.grant(amount, reference: reference, at: wallClock)
        if context.ledger.hasPosted(.grant, subject: reference) { return nil }
        return try context.ledger.post(entry) ? entry : nil
    }

    // MARK: Inputs

    /// Takes a fact in.
    package mutating func handle(
        _ input: MarketInput, now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> MarketTransition {
        begin(now, wallClock)
        switch input {
        case .announcementPublished(let id): originator.announcementPublished(id, &context)
        case .announcementFailed(let id, let reason): originator.announcementFailed(id, reason: reason, &context)
        case .manifestFetched(let id, let block): executor.manifestFetched(id, block: block, &context)
        case .moduleLookedUp(let module, let isBeyond):
            executor.moduleLookedUp(module, isBeyondLimits: isBeyond, &context)
        case .deliveryReplied(let id, let reply): replied(id, reply)
        case .deliveryFailed(let id, _) where id.kind == .status: executor.reportAnswered(id.jobID, &context)
        case .deliveryFailed(let id, _):
            if let next = context.outbox.failed(id, now: now, limits: context.limits) {
                context.timers.set(.delivery(id), at: next)
            }
        case .blocksFetched(let assignment, let bytes): executor.blocksFetched(assignment, bytes: bytes, &context)
        case .moduleCompiles(let assignment, let milliseconds):
            executor.moduleCompiles(assignment, milliseconds: milliseconds, &context)
        case .executionPrepared(let assignment): executor.executionPrepared(assignment, &context)
        case .executionProgressed(let assignment, let status, let progress):
            executor.executionProgressed(assignment, status, progress, &context)
        case .fuelBurnt(let assignment, let fuel): executor.fuelBurnt(assignment, fuel)
        case .executionWaits(let assignment): executor.executionWaits(assignment, &context)
        case .executionFinished(let assignment, let report): executor.executionFinished(assignment, report, &context)
        case .outputsFetched(let id, let receipt, let missing):
            originator.outputsFetched(id, receipt: receipt, missing: missing, &context)
        case .receiptChecked(let id, let receipt, let finding):
            originator.receiptChecked(id, receipt, finding, &context)
        case .anchorPublished(let id):
            originator.anchorPublished(id, inTime: true, &context)
            executor.anchorPublished(id, inTime: true, &context)
        case .workflowReceiptSigned(let workflow, let receipt):
            context.anchor([receipt], of: JobID(workflow))
        case .faultProved(let evidence): context.proved(evidence)
        case .recordChecked(let evidence, let rater): context.learned(evidence, from: rater)
        case .issuerConvicted(let issuer): context.forgetElsewhere { $0.pay?.issuerDID == issuer }
        case .headKept(let head, let author): context.anchors.kept(head, of: author)
        case .latencyMeasured(let peer, let milliseconds): context.latencies.record(peer, milliseconds)
        case .networksSeen(let peer, let groups): context.networks.record(peer, groups)
        case .nobodyReachable:
            let executor = executor
            originator.nobodyBids(.nobodyReachable, afterMilliseconds: 0, &context) { executor.isDone(with: $0) }
        case .nobodyExecutes(let milliseconds):
            let executor = executor
            originator.nobodyBids(.nobodyExecutes, afterMilliseconds: milliseconds, &context) {
                executor.isDone(with: $0)
            }
        case .everybodySpoke(let id): originator.everybodySpoke(on: id, &context)
        case .bidsAwaited(let id, let offers): originator.bidsAwaited(on: id, from: offers, &context)
        case .executorBusy(let id, let executor): originator.bidTimes.wouldBid(executor, on: id)
        case .executorsJudged(let id, let outlook, let milliseconds):
            let executor = executor
            originator.executorsJudged(id, outlook, patienceMilliseconds: milliseconds, &context) {
                executor.isDone(with: $0)
            }
        case .holdAnswered(let id, let attempt, let answer):
            originator.holdAnswered(id, attempt: attempt, answer, &context)
        case .resultLodged(let id, let statement): executor.lodged(id, statement, &context)
        case .issuerTold(let standing): context.configuration.executor?.told(standing)
        case .runsMayBegin: executor.startNext(&context)
        case .runsGivenUp(let reason): executor.giveUpAll(reason: reason, &context)
        case .deadlineReached: break
        }
        return finish()
    }

    /// Takes in a direct message from an authenticated stream; the reply leaves once the transition says so.
    ///
    /// - Parameter bidder: of a bid: what is known of its bidder.
    package mutating func receive(
        _ message: MeshProtocolMessage, from peer: PeerID, of bidder: KnownBidder = KnownBidder(),
        now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> (reply: MeshProtocolReply, transition: MarketTransition) {
        begin(now, wallClock)
        context.bidder = bidder
        defer { context.bidder = KnownBidder() }
        let reply = answer(message, from: peer)
        var transition = finish()
        context.heard(from: peer)
        transition.acknowledges =
            switch reply {
            case .ack, .accepted: true
            case .refused, .declined: !transition.events.isEmpty
            }
        return (reply, transition)
    }

    /// Takes in a gossip message of the verified StrictSign `author`, and says what gossip does with it.
    package mutating func judge(
        _ message: MeshProtocolMessage, author: PeerID, now: MonotonicInstant, wallClock: UnixMilliseconds
    ) -> (verdict: GossipJudgement, transition: MarketTransition) {
        begin(now, wallClock)
        let verdict = judge(message, author: author)
        let transition = finish()
        context.heard(from: author)
        return (verdict, transition)
    }

    private mutating func finish() -> MarketTransition {
        passDeadlines()
        originator.retryHolds(&context)
        return context.finish()
    }

    /// The earliest moment at which something is due; the shell then reports `deadlineReached`.
    package var nextDeadline: MonotonicInstant? { context.timers.next }

    private mutating func answer(_ message: MeshProtocolMessage, from peer: PeerID) -> MeshProtocolReply {
        switch message {
        case .jobBid(let bid): originator.bidArrived(bid.bid, from: peer, &context)
        case .jobBidCommitment(let commitment): originator.bidCommitted(commitment, from: peer, &context)
        case .jobBidsSealed(let sealed): executor.bidsSealed(sealed, from: peer, &context)
        case .jobBidRefused(let refusal): executor.bidRefused(refusal, from: peer, &context)
        case .assignJob(let assignment): executor.assigned(assignment, from: peer, &context)
        case .cancelJob(let order): executor.cancelled(order, from: peer, &context)
        case .jobStatusUpdate(let update): originator.statusArrived(update, from: peer, &context)
        case .executionReceiptAvailable(let notice):
            if let block = notice.receipt {
                originator.receiptArrived(block, of: notice.jobID, &context)
            } else {
                .refused(Refusal(.receiptMissing, "a direct notice must carry the receipt"))
            }
        case .jobSettled(let settlement): executor.settled(settlement, from: peer, &context)
        case .jobDelivered(let statement): executor.delivered(statement, from: peer, &context)
        case .jobInquiry(let inquiry): executor.inquired(inquiry, from: peer, &context)
        case .jobInterest(let interest): interestArrived(interest, from: peer)
        case .jobAnnouncement(let announcement): executor.invited(announcement, from: peer, &context)
        case .capabilityAdvertisement, .jobInteractiveInput, .jobInteractiveOutput,
            .reputationRecordAvailable, .anchorHeads, .logHead, .logFork:
            .refused(Refusal(.notDirect, "\(message.variant.rawValue) is not taken as a direct message"))
        }
    }

    private mutating func judge(_ message: MeshProtocolMessage, author: PeerID) -> GossipJudgement {
        if case .jobAnnouncement(let announcement) = message {
            return executor.announced(announcement, author: author, &context)
        }
        let judgement = gossipRules.judgement(of: message, author: author, context)
        // A refused date tells as much about this node's clock as an accepted one.
        let isSigned =
            switch judgement {
            case .accept, .ignore(reason: "expired"), .ignore(reason: "of the future"): true
            default: false
            }
        if case .capabilityAdvertisement(let advertisement) = message, isSigned,
            let signed = try? SignedObject<NodeCapability>(verifiedBefore: advertisement.capability)
        {
            context.heard(author, signedAt: signed.body.issuedAt)
            if judgement == .accept { context.operators.heard(signed.body) }
        }
        return judgement
    }

    /// Lets this node's executor judge a job of this node that nobody else wants; its bid travels like any other.
    private mutating func offerHere(_ id: JobID) {
        guard context.configuration.executor?.bidsOnOwnJobs ?? false,
            let job = originator.jobs[id], job.isWithoutTakers(context), !job.isExcluded(context.did),
            // Its own run would be no other's.
            !job.isOfQuorum
        else { return }
        executor.announcedHere(job.signedManifest, &context)
    }

    private mutating func replied(_ id: DeliveryID, _ reply: MeshProtocolReply) {
        let waited = context.outbox.remove(id)
        context.timers.clear(.delivery(id))
        switch id.kind {
        case .status:
            executor.reportAnswered(id.jobID, &context)
            executor.statusAnswered(id, reply, &context)
        case .bidRefusal, .interest, .invitation, .bidsSealed, .delivery: break
        case .bid where waited, .bidCommitment where waited: executor.bidAnswered(id, reply, &context)
        case .assignment where waited: originator.assignmentAnswered(id, reply, &context)
        case .assignment: originator.acceptanceCame(id, reply, &context)
        case .cancellation where waited: originator.cancellationAnswered(id, reply, &context)
        case .receipt where waited: executor.receiptAnswered(id, reply, &context)
        case .settlement where waited:
            originator.settlementAnswered(id, acknowledged: reply == .ack, &context)
        case .bid, .bidCommitment, .cancellation, .receipt, .settlement: context.counters.duplicates += 1
        }
    }

    private mutating func passDeadlines() {
        while let timer = context.timers.popDue(context.now) {
            switch timer {
            case .phase(let id): originator.phaseElapsed(id, &context)
            case .window(let id):
                originator.windowElapsed(id, &context)
                offerHere(id)
            case .worth(let id): originator.worthElapsed(id, &context)
            case .reannounce(let id):
                originator.reannounceDue(id, &context)
                offerHere(id)
            case .lease(let id): originator.leaseElapsed(id, &context)
            case .hedge(let id): originator.hedgeDue(id, &context)
            case .outputs(let id): originator.outputsElapsed(id, &context)
            case .whole(let id): originator.wholeElapsed(id, &context)
            case .notices(let id): originator.noticesElapsed(id, &context)
            case .anchor(let id, .originator): originator.anchorPublished(id, inTime: false, &context)
            case .anchor(let id, .executor): executor.anchorPublished(id, inTime: false, &context)
            case .bidExpiry(let id): executor.bidLapsed(id, &context)
            case .heartbeat(let id): executor.heartbeatDue(id, &context)
            case .fetching(let id): executor.fetchElapsed(id, &context)
            case .giveUp(let id): executor.giveUpElapsed(id, &context)
            case .receiptDelivery(let id): executor.receiptDeliveryElapsed(id, &context)
            case .settlement(let id): executor.settlementElapsed(id, &context)
            case .lodging(let id): executor.lodge(id, &context)
            case .linger(let id): executor.closeIfDone(id, &context)
            case .delivery(let id):
                if let delivery = context.outbox.due(id, now: context.now) {
                    context.emit(.deliver(delivery))
                }
            }
        }
    }

    // MARK: Journal

    /// Folds in one journalled event, without any action; each job's journal in order.
    package mutating func replay(_ event: JobEvent) throws(JobEventError) {
        context.isReplaying = true
        defer { context.isReplaying = false }
        switch event.role {
        case .originator: try originator.apply(event, &context)
        case .executor: try executor.apply(event, &context)
        }
    }

    /// What the replay of journals added to the books, in order, once: whoever starts the node writes it down.
    package mutating func takeReplayed() -> [ReputationChange] {
        defer { context.replayed = [] }
        return context.replayed
    }

    /// Undoes the replay of a job's journal if a later event of it is unreadable: the market then knows nothing of the
    /// job. What is booked for it stays booked.
    package mutating func discard(_ job: JobID, role: JobRole) {
        switch role {
        case .originator: originator.discard(job)
        case .executor: executor.discard(job)
        }
    }

    /// Holds for jobs that this market does not know, except those of `others`, which may be continued some day; asked
    /// after the replay of all journals.
    package func holdsOfNobody(but others: Set<JobID>) -> [(job: JobID, amount: TokenAmount)] {
        context.ledger.accounts.compactMap { row in
            guard case .escrow(let job) = row.account, !originator.jobs.contains(job), !others.contains(job) else {
                return nil
            }
            return (job, row.balance)
        }
    }

    /// Releases the hold of a job that this market does not know; the next transaction has to write the entry.
    package mutating func giveBack(holdOf job: JobID, wallClock: UnixMilliseconds) throws(LedgerRefusal) -> LedgerEntry
    {
        precondition(!originator.jobs.contains(job), "the job \(job) is known")
        let entry = LedgerEntry.refund(context.ledger.escrow(of: job), job: job, at: wallClock)
        try context.ledger.post(entry)
        return entry
    }

    /// After the replay of all journals: sets the deadlines and resumes what this node owes to others.
    package mutating func recover(now: MonotonicInstant, wallClock: UnixMilliseconds) -> MarketTransition {
        begin(now, wallClock)
        // A clock set back while the node was down makes nothing last longer.
        let open = originator.jobs.all.filter { !$0.isClosed }.map(\.lastEventAt)
        let latest = (open + executor.jobs.all.filter { !$0.isClosed }.map(\.lastEventAt)).max()
        context.steady = context.steadyClock.set(max(wallClock, latest ?? wallClock).value, now)
        context.startedAt = context.steady
        originator.recover(&context)
        executor.recover(&context)
        passDeadlines()
        return context.finish()
    }

    /// Checks what must hold after every input; tests and the simulator call it.
    package func checkInvariants() {
        originator.checkInvariants(context)
        executor.checkInvariants(context)
        context.ledger.checkInvariants()
        precondition(context.outbox.count <= context.limits.deliveriesMax, "the outbox is too long")
    }
}
