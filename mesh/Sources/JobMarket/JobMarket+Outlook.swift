package import MeshTypes
import Multiformats
import Reputation
package import SignedObjects

extension JobMarket {
    /// Whether a job of this node waits for its first acceptable bid.
    package func awaitsFirstBid(_ id: JobID) -> Bool {
        originator.jobs.read(id) { $0.awaitsFirstBid(context) } ?? false
    }

    /// Takes the word of an executor that would bid and cannot now: who waits for its bid need not. It speaks for
    /// itself alone.
    mutating func interestArrived(_ interest: JobInterestV1, from peer: PeerID) -> MeshProtocolReply {
        guard interest.executorDID.peerID == peer else {
            context.counters.refused("interest_wrong_peer")
            return .refused(Refusal(.wrongPeer, "the interest is another executor's"))
        }
        let isBiddable = originator.jobs.read(interest.jobID) { job in
            job.isOpen && (job.phase == .announcement || job.phase == .bidding) && job.status != .biddingClosed
        }
        return isBiddable ?? false ? .ack : .refused(Refusal(.jobUnknown, "no such job collects bids here"))
    }

    /// Whether the bidding on a job of this node may close as soon as nobody is left to wait for.
    package func mayCloseEarly(_ id: JobID) -> Bool { originator.jobs.read(id) { $0.mayCloseEarly(context) } ?? false }

    /// Whether an executor once did its part for this node.
    package func isProven(_ executor: DID) -> Bool { context.reputation.isProven(executor) }

    /// Who bid on a job of this node.
    package func hasBid(_ executor: DID, on id: JobID) -> Bool {
        originator.jobs.read(id) { job in
            job.bidding.bids.contains { $0.bid.bidderDID == executor }
                || job.bidding.sealed.commitment(of: executor) != nil
        } ?? false
    }

    /// What this node knows of each executor with regard to a job that waits for its first bid.
    ///
    /// - Parameters:
    ///   - offers: the offers of others.
    ///   - resting: others that are connected and take no jobs now.
    ///   - sizes: what the job's module and inputs measure, as far as is known.
    ///   - answers: what executors answered when they were asked.
    ///   - wasKnown: whether an executor's offer was known before the job was announced, and others could have bid.
    package func standings(
        of id: JobID, offers: [NodeCapability], resting: [DID] = [], sizes: JobSizes, answers: [DID: ExecutorAnswer],
        wasKnown: (DID) -> Bool
    ) -> [ExecutorStanding] {
        guard let job = originator.jobs[id] else { return [] }
        let judgement = OfferJudgement(
            manifest: job.manifest, sizes: sizes, reputation: context.reputation, wallClock: context.wallClock)
        let isDear = job.refusedBids.contains { if case .priceTooHigh = $0.refusal { true } else { false } }
        var refusals: [DID: RefusedBid] = [:]
        for refused in job.refusedBids { refusals[refused.bidder] = refused }
        func setsPrice(_ bidder: DID, _ refusal: BidRefusal?) -> Bool {
            guard case .priceTooHigh = refusal else { return false }
            return bidder == context.did || context.reputation.isProven(bidder) || wasKnown(bidder)
        }
        func standing(_ offer: NodeCapability, isHere: Bool, _ answer: ExecutorAnswer?) -> ExecutorStanding {
            var obstacles = judgement.obstacles(to: offer)
            func add(_ obstacle: Obstacle) {
                if let index = obstacles.firstIndex(where: { $0.isAlike(obstacle) }) {
                    obstacles[index] = obstacles[index].merged(with: obstacle)
                } else {
                    obstacles.append(obstacle)
                }
            }
            let refusal = refusals.removeValue(forKey: offer.nodeDID)
            // The journal records the first refused bids alone; so offers tell the prices of the other bidders.
            if isDear, let price = judgement.price(by: offer) { add(price) }
            if let refusal, let obstacle = Obstacle(refusal, on: job.manifest.params) { add(obstacle) }
            if case .declined(let refusal) = answer, obstacles.isEmpty {
                add(.answered(code: refusal.code.sanitized.text, text: PlainText.sanitized(refusal.text)))
            }
            if case .unreachable = answer, obstacles.isEmpty { add(.unreachable) }
            return ExecutorStanding(
                did: offer.nodeDID, isHere: isHere, obstacles: obstacles, hasSpoken: refusal != nil || answer != nil,
                setsPrice: setsPrice(offer.nodeDID, refusal?.refusal))
        }
        var standings = offers.filter { $0.nodeDID != context.did }.map {
            standing($0, isHere: false, answers[$0.nodeDID])
        }
        standings += resting.filter { $0 != context.did && refusals[$0] == nil }.map {
            ExecutorStanding(did: $0, obstacles: [.resting], hasSpoken: true)
        }
        if let own = ownOffer {
            let reason = context.configuration.executor?.rest ?? executor.announcements.decline(of: id)?.reason
            let decline = reason.map { ExecutorAnswer.declined($0.toldOwner) }
            standings.append(standing(own, isHere: true, decline))
        }
        for refused in job.refusedBids where refusals[refused.bidder] != nil {
            guard let obstacle = Obstacle(refused, on: job.manifest.params) else { continue }
            standings.append(
                ExecutorStanding(
                    did: refused.bidder, obstacles: [obstacle], hasSpoken: true,
                    setsPrice: setsPrice(refused.bidder, refused.refusal)))
        }
        return standings
    }

    /// The executors of these offers, and this node if it runs its own jobs: first those that could run a job, the
    /// cheapest first. Nothing is signed, recorded or sent.
    ///
    /// - Parameters:
    ///   - params: the job; `nil` to be told only who is there.
    ///   - sizes: what the job's module and inputs measure, as far as is known.
    ///   - resting: executors that take no jobs now.
    /// - Throws: why the job would be refused here, whoever might run it.
    package func prospects(
        for params: MeshJobParams?, sizes: JobSizes, offers: [NodeCapability], resting: [NodeCapability]
    ) throws(SubmissionRefusal) -> [OfferProspect] {
        var judgement: OfferJudgement?
        if let params {
            let nonce = [UInt8](repeating: 0, count: JobRules.nonceBytes)
            let draft = JobDraft(
                params: params, nonce: nonce, level: .none, commitment: nil,
                execution: context.executionIdentity(nonce: nonce))
            if let refusal = draft.refusal(openCount: originator.openCount, context) { throw refusal }
            judgement = OfferJudgement(
                manifest: draft.manifest(context), sizes: sizes, reputation: context.reputation,
                wallClock: context.wallClock)
        }
        // Offers tell prices in tokens; what a job costs that is paid by credit, bids tell alone.
        let isByTokens = params?.executionPolicy?.payBy == nil
        func prospect(_ offer: NodeCapability, isHere: Bool, _ rest: Obstacle?) -> OfferProspect {
            var obstacles = judgement?.obstacles(to: offer) ?? []
            if isByTokens, let price = judgement?.price(by: offer) { obstacles.append(price) }
            if let rest { obstacles = [rest] }
            return OfferProspect(
                offer: offer, isHere: isHere, obstacles: obstacles,
                priceMax: isByTokens ? params.map { offer.price(ofFuel: $0.maxFuel) } : nil,
                reputation: context.reputation.score(of: offer.nodeDID, at: context.wallClock),
                latency: context.latencies[offer.peerID])
        }
        var all = offers.filter { $0.nodeDID != context.did }.map { prospect($0, isHere: false, nil) }
        all += resting.filter { $0.nodeDID != context.did }.map { prospect($0, isHere: false, .resting) }
        if let own = ownOffer {
            all.append(prospect(own, isHere: true, context.configuration.executor?.rest.map { _ in .resting }))
        }
        return all.sorted { left, right in
            if left.obstacles.isEmpty != right.obstacles.isEmpty { return left.obstacles.isEmpty }
            // This node's own bid counts only if there is no other.
            if left.isHere != right.isHere, left.obstacles.isEmpty { return right.isHere }
            let prices = (left.price, right.price)
            if prices.0 != prices.1 { return prices.0 < prices.1 }
            return left.offer.nodeDID.text < right.offer.nodeDID.text
        }
    }

    /// What this node offers itself, if it runs its own jobs.
    private var ownOffer: NodeCapability? {
        guard let executor = context.configuration.executor, executor.acceptsJobs, executor.bidsOnOwnJobs else {
            return nil
        }
        var offer = NodeCapability(
            nodeDID: context.did, peerID: context.peerID, issuedAt: context.wallClock, validUntil: context.wallClock)
        offer.describe(executor)
        return offer
    }
}

extension NodeCapability {
    /// Says what an executor offers, charges and takes.
    package mutating func describe(_ executor: ExecutorConfiguration) {
        resources = executor.resources
        engines = [executor.engine]
        features = executor.features
        region = executor.region
        operatorCredential = executor.operatorCredential
        basePrice = executor.basePrice
        pricePerMillionFuel = executor.pricePerMillionFuel
        limits = executor.offeredLimits
    }
}
