import Determinism
import JobMarket
package import MeshTypes
import Multiformats
import OrderedCollections
import PeerIdentity
package import SignedObjects

/// What follows from a transition of the market, and what its actions become.
extension NodeCore {
    mutating func handled(_ input: MarketInput, _ moment: NodeMoment) -> MarketTransition {
        market.handle(input, now: moment.now, wallClock: moment.wallClock)
    }

    /// Gives the market a fact, and carries out what follows.
    mutating func give(_ input: MarketInput, _ moment: NodeMoment) { absorb(handled(input, moment), moment) }

    /// Queues what happened for the disk, releases what may leave before it is there, and keeps the rest.
    mutating func absorb(_ transition: MarketTransition, answering answer: Answer? = nil, _ moment: NodeMoment) {
        marketDeadline = transition.nextDeadline
        if let offset = transition.clockOffsetMilliseconds, !hasWarnedOfClock {
            hasWarnedOfClock = true
            effects.append(.warnOfClock(offsetMilliseconds: offset))
        }
        let number = write(transition, moment)
        for event in transition.events where event.role == .originator {
            outlooks.follow(event, now: moment.now)
            say(.effect(.tell(event)), about: event.jobID)
        }
        for declined in transition.declined { effects.append(.declined(declined)) }
        for action in transition.actions { carryOn(action, moment) }
        guard let answer else { return }
        let waiting: Waiting =
            switch answer {
            case .peer(let request, let reply): .effect(.answer(request: request, reply))
            case .own(let id, let reply): .ownReply(id, reply)
            }
        let waits = transition.needsDurability || transition.acknowledges
        // What is acknowledged again may still be on its way to the disk.
        if waits, let barrier = number ?? (order.isPersisted ? nil : order.last) {
            order.hold(waiting, until: barrier)
        } else {
            steps.append(waiting)
        }
    }

    /// Releases an effect about a job once everything that somebody relies on is on the disk.
    private mutating func say(_ waiting: Waiting, about job: JobID) {
        if let barrier = order.barrier(of: job) { order.hold(waiting, until: barrier) } else { steps.append(waiting) }
    }

    /// Numbers a write; `nil` if there is nothing to write.
    private mutating func write(_ transition: MarketTransition, _ moment: NodeMoment) -> UInt64? {
        if transition.events.isEmpty && transition.blocks.isEmpty { return nil }
        var relied: Set<JobID> = []
        var touched: OrderedSet<Side> = []
        var outputs: [(job: JobID, block: MadeBlock)] = []
        var (isAnchored, isSigned) = (false, false)
        for event in transition.events {
            let id = event.jobID
            if event.kind.needsDurability { relied.insert(id) }
            touched.append(Side(job: id, role: event.role))
            switch event.kind {
            case .anchored: isAnchored = true
            case .receiptSigned:
                isSigned = true
                outputs += (made.removeValue(forKey: id) ?? []).map { (id, $0) }
            case .resultReached: outputs += (fetched.removeValue(forKey: id) ?? []).map { (id, $0) }
            default: break
            }
        }
        var heads: AnchorHeadsV1?
        if isAnchored {
            let (cids, height) = market.anchorHeads
            heads = AnchorHeadsV1(scope: market.configuration.anchorScope, heads: cids, height: height)
        }
        var jobs: [JobStanding] = []
        // Not `touched.compactMap(standing)`, which would copy the whole core first.
        for side in touched { if let standing = standing(side) { jobs.append(standing) } }
        let number = order.next(relied: relied)
        let haste: NodeWrite.Haste = !relied.isEmpty ? .urgent : transition.acknowledges ? .answer : .none
        effects.append(
            .write(
                NodeWrite(
                    number: number, haste: haste, events: transition.events, evidence: transition.blocks,
                    outputs: outputs, jobs: jobs, anchorHeads: heads,
                    lastReceipt: isSigned ? market.lastReceipt : nil, at: moment.wallClock)))
        return number
    }

    /// One side of a job.
    private struct Side: Hashable {
        let job: JobID
        let role: JobRole
    }

    private func standing(_ side: Side) -> JobStanding? {
        switch side.role {
        case .originator: market.originatedJob(side.job).map(JobStanding.originated)
        case .executor: market.executedJob(side.job).map(JobStanding.executed)
        }
    }

    private mutating func carryOn(_ action: MarketAction, _ moment: NodeMoment) {
        switch action {
        case .announce(let job, let announcement): effects.append(.errand(.announce(job, announcement)))
        case .deliver(let delivery):
            let isOwn = delivery.peer == identity.peerID
            say(isOwn ? .ownDelivery(delivery) : .effect(.errand(.deliver(delivery))), about: delivery.id.jobID)
        case .gossip(_, .anchorHeads(let heads), let job?): say(.heads(heads, of: job), about: job)
        case .gossip: preconditionFailure("the market gossips nothing but heads")
        case .fetchManifest(let job, let peer, let addresses, let bytesMax):
            effects.append(.errand(.fetchManifest(job, from: peer, addresses: addresses, bytesMax: bytesMax)))
        case .lookUpModule(let module): effects.append(.errand(.lookUpModule(module)))
        case .fetchInputs(let order): start(order)
        case .execute(let assignment):
            if runs[assignment] != nil { effects.append(.letRun(assignment: assignment)) }
        case .cancelExecution(let assignment, _):
            if runs[assignment] != nil { effects.append(.stopRun(assignment: assignment)) }
        case .fetchOutputs(let job, let receipt, let peer, let cids, let milliseconds):
            guard let params = market.originatedJob(job)?.manifest.params else { return }
            let until = moment.now.advanced(milliseconds: milliseconds)
            let bytesMax = Int(clamping: params.outputBlockBytesMax)
            take(
                outputs.begin(
                    job, receipt: receipt, from: peer, cids, bytesMax: bytesMax, mayBeFolders: params.files != nil,
                    until: until), moment)
        case .publishReceipt(let receipt, let block, let notice):
            say(.effect(.errand(.publishReceipt(receipt: receipt, block: block, notice))), about: notice.jobID)
        }
    }

    // MARK: Runs and outputs

    /// Begins a run, unless it is under way or has its receipt.
    private mutating func start(_ order: ExecutionOrder) {
        let assignment = order.assignmentCID
        guard runs[assignment] == nil, let job = market.executedJob(order.jobID), job.assignmentCID == assignment,
            job.receipt == nil
        else { return }
        runs[assignment] = order.jobID
        effects.append(.errand(.startRun(order)))
        if job.stopReason != nil { effects.append(.stopRun(assignment: assignment)) }
    }

    mutating func runEnded(
        _ assignment: CID, _ report: ExecutionReport, _ blocks: [MadeBlock], _ moment: NodeMoment
    ) {
        guard let job = runs.removeValue(forKey: assignment) else { return }
        made[job] = blocks
        give(.executionFinished(assignment: assignment, report), moment)
        made[job] = nil
    }

    mutating func take(_ step: OutputFetches.Step?, _ moment: NodeMoment) {
        switch step {
        case nil: break
        case .ask(let request):
            let job = outputs.job(of: request.receipt).flatMap(market.originatedJob)
            if job?.awaitsOutputs(of: request.receipt) ?? false {
                effects.append(.errand(.fetchOutput(request)))
            } else {
                outputs.drop(request.receipt)
            }
        case .end(let end):
            fetched[end.job] = end.blocks
            give(.outputsFetched(end.job, receipt: end.receipt, missing: end.missing), moment)
            fetched[end.job] = nil
        }
    }

    // MARK: Deliveries

    /// Looks in the DHT for a peer that could not be reached, once for each attempt.
    mutating func deliveryFailed(
        _ delivery: Delivery, _ reason: String, isUnreachable: Bool, _ moment: NodeMoment
    ) {
        let hasLooked = lookedUp.remove(delivery.id) != nil
        guard isUnreachable, !hasLooked else {
            return give(.deliveryFailed(delivery.id, reason: reason), moment)
        }
        guard lookUps.updateValue((delivery, reason), forKey: delivery.id) == nil else { return }
        tally("peers_looked_for")
        effects.append(.errand(.lookUp(delivery.peer, for: delivery.id)))
    }

    mutating func wasLookedUp(_ id: DeliveryID, isConnected: Bool, _ moment: NodeMoment) {
        guard let (delivery, reason) = lookUps.removeValue(forKey: id) else { return }
        guard isConnected else { return give(.deliveryFailed(id, reason: reason), moment) }
        lookedUp.insert(id)
        effects.append(.errand(.deliver(delivery)))
    }

    // MARK: The neighbourhood

    /// Checks whether anybody can be expected to bid on this node's jobs, and whether to advertise its own offer.
    mutating func looked(_ around: Surroundings, _ moment: NodeMoment) {
        var seen = Solitude.Surroundings()
        seen.connectionCount = around.connectionCount
        if around.connectionCount > 0 {
            seen.hasOffer = capabilities.hasOffer(now: moment.now)
            seen.hasListener = !around.listeners.isEmpty
            seen.mayPassOn = around.mayPassOn || seen.hasListener
        }
        // It checks even without jobs, since it must know for how long it has heard nothing.
        let prospect = solitude.prospect(seen, now: moment.now)
        market.configuration.executor?.isWithinHours = around.isWithinHours
        judgeExecutors(moment)
        if market.openCounts.originated > 0 {
            switch prospect {
            case .open: break
            case .alone: give(.nobodyReachable, moment)
            case .nobodyExecutes(let milliseconds):
                give(.nobodyExecutes(afterMilliseconds: UInt64(clamping: milliseconds)), moment)
            }
        }
        guard let executor = market.configuration.executor else { return }
        let offer = advertising.due(
            executor, loadPermille: market.loadPermille, bytesMax: market.configuration.limits.capabilityBytesMax,
            listeners: around.listeners, addresses: market.configuration.addresses, as: identity, at: moment)
        if let offer { advertise(offer) }
    }

    /// Judges the known executors with regard to the jobs without a bid, and asks those that have nothing against one.
    private mutating func judgeExecutors(_ moment: NodeMoment) {
        guard outlooks.count > 0 else { return }
        let offers = capabilities.offers(now: moment.now)
        var room = outlooks.limits.questionsPerLookMax
        for turn in outlooks.nextTurns(offers: offers.count, now: moment.now) {
            guard market.awaitsFirstBid(turn.job) else {
                outlooks.drop(turn.job)
                continue
            }
            let standings = market.standings(
                of: turn.job, offers: offers, sizes: turn.sizes, answers: turn.answers,
                wasKnown: { [isAcquainted = solitude.isAcquainted] executor in
                    isAcquainted && capabilities.hasOffered(executor, since: turn.announcedAt, now: moment.now)
                })
            var outlook = ExecutorOutlook(standings)
            for executor in outlooks.toAsk(turn, standings, outlook, room: &room) {
                let addresses = outlooks.addresses(of: capabilities.offer(of: executor, now: moment.now))
                tally("executors_asked")
                effects.append(.errand(.inquire(turn.job, of: executor, addresses: addresses)))
            }
            guard outlooks.isWorthTelling(outlook, turn) else { continue }
            let patience = standings.patience(
                milliseconds: solitude.patienceMilliseconds.map { UInt64(clamping: $0) })
            if outlook.isHopeless, patience != 0 {
                outlook.waitMilliseconds = solitude.waitMilliseconds(age: turn.waitedMilliseconds, now: moment.now)
                    .map { UInt64(clamping: $0) }
            }
            give(.executorsJudged(turn.job, outlook, patienceMilliseconds: patience), moment)
        }
    }

    mutating func advertise(_ offer: SignedObject<NodeCapability>) {
        if offer.body.offersNothing {
            tally("capabilities_withdrawn")
        } else {
            tally("capabilities_advertised")
            market.configuration.executor?.capabilityCID = offer.cid
        }
        effects.append(.errand(.advertise(offer)))
    }

    /// What an executor offers, as this node last heard it.
    package func offer(of did: DID, at moment: NodeMoment) -> NodeCapability? {
        capabilities.offer(of: did, now: moment.now)
    }
}
