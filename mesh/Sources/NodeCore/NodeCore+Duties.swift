import Determinism
package import JobMarket
package import MeshTypes
import Multiformats
import OrderedCollections
import PeerIdentity
package import SignedObjects

/// What the node decides beside the market: about deliveries that fail, and about those around it.
extension NodeCore {
    // MARK: Deliveries

    /// Looks in the DHT for a peer that could not be reached, once for each attempt.
    mutating func deliveryFailed(
        _ delivery: Delivery, _ reason: String, isUnreachable: Bool, _ moment: NodeMoment
    ) {
        let hasLooked = lookedUp.remove(delivery.id) != nil
        // Nobody is looked for only to hear that there is no bid, or to be invited.
        guard isUnreachable, !hasLooked, delivery.id.kind != .interest, delivery.id.kind != .invitation else {
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

    // MARK: Announcements

    /// Announces a job: to everybody, or to some of the many that could run it.
    mutating func announce(_ job: JobID, _ announcement: JobAnnouncementV1, _ moment: NodeMoment) {
        if !invitations.hasChosen(for: job) { invitations.choose(job, among: able(job, moment)) }
        let guests = invitations.next(job)
        guard !guests.isEmpty else { return effects.append(.errand(.announce(job, announcement))) }
        tallies["invitations", default: 0] += UInt64(guests.count)
        for guest in guests {
            let known = capabilities.offer(of: guest, now: moment.now)?.addresses ?? []
            let delivery = invitations.delivery(of: announcement, on: job, to: guest, at: known)
            effects.append(.errand(.deliver(delivery)))
        }
        give(.announcementPublished(job), moment)
    }

    /// Executors that take invitations and that nothing keeps from a job, as far as their offers tell; none if there
    /// are so few that everybody is asked anyway.
    private func able(_ job: JobID, _ moment: NodeMoment) -> [Invitations.Guest] {
        let offers = invitations.sample(capabilities.offers(now: moment.now), for: job, isProven: market.isProven)
        guard !offers.isEmpty, let fuel = market.originatedJob(job)?.manifest.params.maxFuel else { return [] }
        let standings = market.standings(
            of: job, offers: offers, sizes: outlooks.sizes(of: job), answers: [:], wasKnown: { _ in false })
        let willing = Set(standings.filter { !$0.isHere && $0.obstacles.isEmpty }.map(\.did))
        return offers.filter { willing.contains($0.nodeDID) }.map { offer in
            Invitations.Guest(
                did: offer.nodeDID, price: offer.price(ofFuel: fuel), isProven: market.isProven(offer.nodeDID))
        }
    }

    // MARK: The neighbourhood

    /// Checks whether anybody can be expected to bid on this node's jobs, and whether to advertise its own offer.
    mutating func looked(_ around: Surroundings, _ moment: NodeMoment) {
        var seen = Solitude.Surroundings()
        seen.connectionCount = around.connectionCount
        if around.connectionCount > 0 {
            seen.hasOffer = capabilities.hasOffer(now: moment.now)
            seen.hasListener = !around.listeners.isEmpty
            seen.isEveryListenerKnown = capabilities.know(all: around.listeners, now: moment.now)
            seen.mayPassOn = around.mayPassOn || seen.hasListener
        }
        // It checks even without jobs, since it must know for how long it has heard nothing.
        let (knewAll, prospect) = (solitude.knowsItsExecutors, solitude.prospect(seen, now: moment.now))
        // Bids that came before it was known who else might bid.
        if solitude.knowsItsExecutors, !knewAll { for job in outlooks.waiting { bidTaken(on: job, moment) } }
        market.configuration.executor?.isWithinHours = around.isWithinHours
        judgeExecutors(listeners: around.listeners, moment)
        if market.openCounts.originated > 0 {
            switch prospect {
            case .open: break
            case .nobodyExecutes where outlooks.seeker.expectsSomebody(now: moment.now): break
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
    private mutating func judgeExecutors(listeners: [PeerID], _ moment: NodeMoment) {
        guard outlooks.count > 0 else { return }
        let offers = capabilities.offers(now: moment.now)
        // Of those without an offer, who is connected rests; others may be gone.
        let connected = Set(listeners)
        let resting = capabilities.withoutOffer(now: moment.now).filter { connected.contains($0.peerID) }
            .map(\.nodeDID)
        var room = outlooks.limits.questionsPerLookMax
        for turn in outlooks.nextTurns(offers: offers.count + resting.count, now: moment.now) {
            guard market.awaitsFirstBid(turn.job) else {
                outlooks.drop(turn.job)
                continue
            }
            let standings = market.standings(
                of: turn.job, offers: offers, resting: resting, sizes: turn.sizes, answers: turn.answers,
                wasKnown: { [isAcquainted = solitude.isAcquainted] executor in
                    isAcquainted && capabilities.hasOffered(executor, since: turn.announcedAt, now: moment.now)
                })
            effects += outlooks.seek(standings, for: market.originatedJob(turn.job), now: moment.now)
            var outlook = ExecutorOutlook(standings, banned: dealings.bannedExecutors)
            for executor in outlooks.toAsk(turn, standings, outlook, room: &room) {
                let addresses = outlooks.addresses(of: capabilities.offer(of: executor, now: moment.now))
                tally("executors_asked")
                effects.append(.errand(.inquire(turn.job, of: executor, addresses: addresses)))
            }
            guard outlooks.isWorthTelling(outlook, turn) else { continue }
            let known = outlooks.seeker.expectsSomebody(now: moment.now) ? nil : solitude.patienceMilliseconds
            let patience = standings.patience(milliseconds: known.map { UInt64(clamping: $0) })
            if outlook.isHopeless, patience != 0 {
                outlook.waitMilliseconds = solitude.waitMilliseconds(age: turn.waitedMilliseconds, now: moment.now)
                    .map { UInt64(clamping: $0) }
            }
            give(.executorsJudged(turn.job, outlook, patienceMilliseconds: patience), moment)
        }
    }

    /// Follows the topics of the jobs and bids that a start found open.
    mutating func followJobs() {
        for job in market.unclosedJobs.originated where job.result == nil {
            effects += jobTopics.follow(job.id, job.manifest, as: .originator)
        }
        for job in market.unclosedJobs.executed where job.isOpenBid {
            effects += jobTopics.follow(job.id, job.manifest, as: .executor)
        }
    }

    /// Takes note of a bid, or of a commitment to one.
    mutating func bidTaken(on message: MeshProtocolMessage, _ moment: NodeMoment) {
        if let job = message.biddenJob { bidTaken(on: job, moment) }
    }

    /// Ends the wait for bids on a job once nobody is left who is known, able and silent, or tells the market who is:
    /// it judges for how long that is worth waiting for.
    mutating func bidTaken(on job: JobID, _ moment: NodeMoment) {
        guard market.mayCloseEarly(job), let offers = awaited(job, moment), !offers.isEmpty else { return }
        let standings = market.standings(
            of: job, offers: offers, sizes: outlooks.sizes(of: job),
            answers: outlooks.refusals(of: job), wasKnown: { _ in false })
        let silent = Set(
            standings.filter { standing in
                !standing.isHere && !standing.hasSpoken && standing.obstacles.isEmpty
                    && !market.hasBid(standing.did, on: job)
            }.map(\.did))
        let awaited = offers.filter { silent.contains($0.nodeDID) }
        give(awaited.isEmpty ? .everybodySpoke(job) : .bidsAwaited(job, awaited), moment)
    }

    /// The offers of those whose bids on a job are waited for: of the invited, or else of all, if they are known and
    /// not too many to be counted; `nil` if the window has to run its course.
    private func awaited(_ job: JobID, _ moment: NodeMoment) -> [NodeCapability]? {
        let invited = invitations.invited(to: job)
        guard invited.isEmpty else { return invited.compactMap { capabilities.offer(of: $0, now: moment.now) } }
        guard capabilities.count > 0, capabilities.count <= outlooks.limits.countedOffersMax,
            solitude.knowsItsExecutors
        else { return nil }
        return capabilities.offers(now: moment.now)
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

    /// The executors that are known, and what is known of each with regard to a job; without a job, who is there.
    package func prospects(
        for params: MeshJobParams?, sizes: JobSizes, at moment: NodeMoment
    ) throws(SubmissionRefusal) -> [OfferProspect] {
        try market.prospects(
            for: params, sizes: sizes, offers: capabilities.offers(now: moment.now),
            resting: capabilities.withoutOffer(now: moment.now))
    }

    /// Whether an executor said last that it takes no jobs.
    package func isResting(_ did: DID, at moment: NodeMoment) -> Bool {
        capabilities.isWithoutOffer(did, now: moment.now)
    }
}
