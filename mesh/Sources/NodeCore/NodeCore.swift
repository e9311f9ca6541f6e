import Credit
import DequeModule
package import Determinism
package import JobMarket
package import MeshTypes
package import Multiformats
import OrderedCollections
package import PeerIdentity
import SignedObjects

/// Everything that a node decides, as one value: inputs in, effects out.
///
/// It owns the market and what stands around it: the order in which events become durable and effects go
/// (`WriteOrder`), what a message is worth and who is to blame for a bad one, what is retried, what is offered to the
/// mesh, and the end. The node, the simulator and the tests carry effects out and report what came of them; no rule of
/// the node stands in them.
package struct NodeCore: Core {
    /// What waits for the disk.
    enum Waiting: Sendable {
        case effect(NodeEffect)
        /// What this node reminds itself of.
        case ownDelivery(Delivery)
        case ownReply(DeliveryID, MeshProtocolReply)
        case heads(AnchorHeadsV1, of: JobID)
    }

    /// The answer to a message, and its request.
    enum Answer: Sendable {
        case peer(request: UInt64, MeshProtocolReply)
        case own(DeliveryID, MeshProtocolReply)
    }

    /// The time between two checks of what is around the node, and of the runs' progress, in milliseconds.
    package static let lookMilliseconds: Int64 = 250

    /// The node's key, with which it signs.
    package let identity: Identity
    /// The market; only the core gives it inputs.
    package internal(set) var market: JobMarket
    /// Counters besides the market's own, by name.
    package internal(set) var tallies: [String: UInt64] = [:]
    /// Whom the owner wants to deal with.
    package private(set) var dealings: Dealings
    /// Whether the node is going down: it leaves what still runs to the next start, and writes nothing about it.
    package private(set) var isLeaving = false

    package let limits: NodeCoreLimits
    let did: DID
    var order = WriteOrder<Waiting>()
    var conduct: PeerConduct
    var notes: PeerNotes
    var notesAt: MonotonicInstant?
    var areFaultsUnderWay = false
    /// What executors offer.
    package internal(set) var capabilities = CapabilityBook()
    var (solitude, outlooks) = (Solitude(), JobOutlooks())
    var invitations = Invitations()
    var jobTopics = JobTopics()
    /// Whether what is being taken in is an announcement to this node alone, which it answers in any case.
    private var isAnsweringInvitation = false
    var advertising: Advertising
    var heads = HeadsBatch()
    var outputs: OutputFetches
    var runs: OrderedDictionary<CID, JobID> = [:]
    /// Blocks that runs made; they go to the disk with their receipts.
    var made: [JobID: [MadeBlock]] = [:]
    /// Blocks fetched for jobs; they go to the disk with their results.
    var fetched: [JobID: [MadeBlock]] = [:]
    /// Messages whose peers are being looked up in the DHT, and why they could not be sent.
    var lookUps: [DeliveryID: (delivery: Delivery, reason: String)] = [:]
    /// Messages sent again after a lookup in the DHT; one lookup per attempt.
    var lookedUp: Set<DeliveryID> = []
    var pruneAt: MonotonicInstant?
    var drain: Drain?
    /// Until when a paused node keeps the jobs that it accepted.
    package private(set) var pausedUntil: MonotonicInstant?
    var hasWarnedOfClock = false
    var marketDeadline: MonotonicInstant?
    /// What is left to do for the current input.
    var steps = Deque<Waiting>()
    var effects: [NodeEffect] = []

    /// A core around a market that is recovered, or that `replay` and `recover` will recover.
    package init(
        identity: Identity, market: JobMarket, bans: BanList = BanList(), limits: NodeCoreLimits = NodeCoreLimits()
    ) {
        self.identity = identity
        self.market = market
        self.limits = limits
        dealings = Dealings(bans: bans, of: &self.market)
        did = identity.did
        conduct = PeerConduct(limits: limits.conduct)
        notes = PeerNotes(limits: limits.notes)
        advertising = Advertising(limits: limits.advertisement)
        outputs = OutputFetches(limits: limits.outputs)
    }

    /// The mesh's topics that a node follows; it judges each message before forwarding it.
    package var topics: [String] { MeshTopics.followed(inScope: market.configuration.anchorScope) }

    /// The earliest moment at which something is due, as of the last input; kept, since computing it for a node would
    /// copy the whole core first.
    package private(set) var nextDeadline: MonotonicInstant?

    private var earliestDeadline: MonotonicInstant? {
        var next = marketDeadline
        for other in [heads.nextDeadline, outputs.nextDeadline, notesAt, pruneAt, pausedUntil, drain?.nextDeadline] {
            if let other { next = next.map { min($0, other) } ?? other }
        }
        return next
    }

    // MARK: Commands

    /// Accepts a job of the owner; `written` is the number of the write after which it survives a crash.
    ///
    /// - Parameter sizes: what its module and inputs measure, as far as is known.
    package mutating func submit(
        _ request: JobRequest, _ sizes: JobSizes = JobSizes(), nonce: [UInt8], at moment: NodeMoment
    ) -> (result: Result<Submitted, SubmissionRefusal>, effects: [NodeEffect]) {
        market.configuration.storage = moment.storage
        let result = market.submit(request, nonce: nonce, now: moment.now, wallClock: moment.wallClock)
        switch result {
        case .failure(let refusal): return (.failure(refusal), finish(moment))
        case .success(let (id, transition)):
            for event in transition.events {
                if case .submitted = event.kind { outlooks.submitted(event.jobID, sizes) }
            }
            absorb(transition, moment)
            return (
                .success(Submitted(id: id, isDuplicate: transition.events.isEmpty, written: order.last)), finish(moment)
            )
        }
    }

    /// An accepted job.
    package struct Submitted: Sendable {
        /// The job.
        package let id: JobID
        /// Whether it was known already.
        package let isDuplicate: Bool
        /// The write after which it survives a crash.
        package let written: UInt64
    }

    /// Ends a job of this node, or stops a run of another's; returns the number of the write that records it, and
    /// whether there was anything to end.
    package mutating func cancel(
        _ job: JobID, at moment: NodeMoment
    ) -> (written: UInt64, isOrdered: Bool, effects: [NodeEffect]) {
        let (now, wallClock) = (moment.now, moment.wallClock)
        var isOrdered = false
        if market.originatedJob(job) == nil, let executed = market.executedJob(job) {
            isOrdered = executed.occupiesPlace
            absorb(
                market.stopExecution(
                    job, reason: "the executor's owner stopped it", now: now, wallClock: wallClock), moment)
        } else if case .success(let transition) = market.cancel(
            job, reason: "the owner cancelled it", now: now, wallClock: wallClock)
        {
            isOrdered = true
            absorb(transition, moment)
        }
        return (order.last, isOrdered, finish(moment))
    }

    /// Resumes, after the replay of all journals, what this node owes to others.
    package mutating func recover(at moment: NodeMoment) -> [NodeEffect] {
        market.configuration.storage = moment.storage
        pruneAt = pruneDate(after: moment.now)
        if market.configuration.executor?.ownerOrder == .pause { pausedUntil = pauseEnd(after: moment.now) }
        absorb(market.recover(now: moment.now, wallClock: moment.wallClock), moment)
        for job in market.originatedJobs where market.awaitsFirstBid(job.id) {
            outlooks.announced(job.id, now: moment.now)
        }
        followJobs()
        return finish(moment)
    }

    /// Changes the market before recovery: replays journals, books grants.
    package mutating func prepare<Result, Failure: Error>(
        _ body: (inout JobMarket) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(&market)
    }

    /// Sets where this node listens, for what it signs from now on.
    package mutating func listens(at addresses: [Multiaddr]) { market.configuration.addresses = addresses }

    /// Takes an order of the owner, or takes one back. Jobs that were accepted before a pause stand still for a while;
    /// if it lasts longer, they end as the node's own failure, and their originators give them to others.
    package mutating func obey(_ order: OwnerOrder?, at moment: NodeMoment) -> [NodeEffect] {
        guard let executor = market.configuration.executor, executor.ownerOrder != order else { return finish(moment) }
        market.configuration.executor?.ownerOrder = order
        pausedUntil = order == .pause ? pauseEnd(after: moment.now) : nil
        effects.append(.holdRuns(order == .pause))
        if order != .pause { give(.runsMayBegin, moment) }
        return finish(moment)
    }

    /// Takes what the owner changes while the node runs; returns the work that this ended, too.
    package mutating func take(_ change: OwnerChange, at moment: NodeMoment) -> (DroppedWork, effects: [NodeEffect]) {
        let (work, transition) = dealings.take(
            change, &market, &capabilities, &conduct, &advertising, at: moment)
        if let transition { absorb(transition, moment) }
        return (work, finish(moment))
    }

    private func pauseEnd(after now: MonotonicInstant) -> MonotonicInstant {
        now.advanced(milliseconds: limits.pausedMillisecondsMax)
    }

    // MARK: The end

    /// Stops taking jobs and starting runs, and announces it; `waiting` is the number of unfinished runs.
    package mutating func beginDrain(
        milliseconds: Int64, at moment: NodeMoment
    ) -> (waiting: Int, effects: [NodeEffect]) {
        market.configuration.executor?.acceptsJobs = false
        market.configuration.executor?.startsRuns = false
        let drain = Drain(
            runs: runs.map { ($0.key, $0.value) }, until: moment.now.advanced(milliseconds: milliseconds))
        self.drain = drain
        if let nothing = advertising.withdrawn(as: identity, at: moment) { advertise(nothing) }
        let waiting = drain.unfinishedCount(market) { runs[$0] != nil }
        return (waiting, finish(moment))
    }

    /// From here on an interruption leaves no trace: a run, a fetch or a delivery that did not end says nothing about
    /// its job, and the next start resumes it.
    package mutating func leave() { isLeaving = true }

    /// Whether a write is on the disk.
    package func hasWritten(_ number: UInt64) -> Bool { number <= order.written }

    /// Whether the node takes no more jobs.
    package var isStopping: Bool { drain != nil || isLeaving }

    /// The notes about peers not yet handed to the disk; for the end.
    package mutating func takeFaults() -> [PeerFault] { notes.takeAll() }

    // MARK: Inputs

    /// Takes an input in.
    package mutating func handle(_ input: NodeInput, at moment: NodeMoment) -> [NodeEffect] {
        if isLeaving, input.isOfWork { return [] }
        market.configuration.storage = moment.storage
        switch input {
        case .fact(let fact): give(fact, moment)
        case .message(let bytes, let peer, let milliseconds, let networks, let request):
            received(bytes, from: peer, milliseconds, networks, request, moment)
        case .offerFetched(let block, let cid, let bidder): capabilities.cited.came(block, cid: cid, of: bidder)
        case .misbehaved(let peer, let fault, let isConnected): note(peer, fault, isMet: isConnected, moment)
        case .written(let number): steps += order.wrote(upTo: number)
        case .faultsWritten: areFaultsUnderWay = false
        case .deliveryReplied(let id, let reply):
            lookedUp.remove(id)
            give(.deliveryReplied(id, reply), moment)
        case .deliveryFailed(let delivery, let reason, let isUnreachable):
            deliveryFailed(delivery, reason, isUnreachable: isUnreachable, moment)
        case .lookedUp(let id, let isConnected): wasLookedUp(id, isConnected: isConnected, moment)
        case .executorsSought(let key, let isAnswered, let hasMet):
            outlooks.seeker.sought(key, isAnswered: isAnswered, hasMet: hasMet, now: moment.now)
        case .outputFetched(let request, let answer): take(outputs.answered(request, answer, now: moment.now), moment)
        case .inquiryAnswered(let job, let executor, let reply):
            outlooks.answered(job, by: executor, reply)
            bidTaken(on: job, moment)
        case .inquiryFailed(let job, let executor): outlooks.unreachable(job, executor)
        case .headsPublished(let jobs): for job in jobs { give(.anchorPublished(job), moment) }
        case .runEnded(let assignment, let report, let blocks): runEnded(assignment, report, blocks, moment)
        case .looked(let around): looked(around, moment)
        case .dialedAtStart: solitude.dialedAtStart()
        }
        return finish(moment)
    }

    /// Does what is due.
    package mutating func deadlineReached(now moment: NodeMoment) -> [NodeEffect] {
        if isLeaving { return [] }
        market.configuration.storage = moment.storage
        passDeadlines(moment)
        return finish(moment)
    }

    /// Checks what must hold after every input; tests and the simulator call it.
    package func checkInvariants() {
        market.checkInvariants()
        precondition(nextDeadline == earliestDeadline, "a deadline was forgotten")
        precondition(steps.isEmpty && effects.isEmpty, "something was left undone")
        precondition(!order.isPersisted || order.count == 0, "effects wait for writes that are done")
    }

    // MARK: Messages

    /// Takes one request of `/icn/mesh/message/1.0.0` (PROTOCOL.md, "Messages"); the answer is an effect.
    private mutating func received(
        _ bytes: [UInt8], from peer: PeerID, _ roundTripMilliseconds: UInt64?, _ networks: [AddressGroup],
        _ request: UInt64, _ moment: NodeMoment
    ) {
        if dealings.bans[peer] != nil { return effects.append(.answer(request: request, .refused(BanList.refusal))) }
        let message: MeshProtocolMessage
        do {
            message = try MeshProtocolMessage.decode(bytes)
        } catch MeshMessageError.unknownVariant(let name) {
            tally("messages_unknown")
            let refusal = Refusal(.unknownVariant, "this version does not know \(name)")
            return effects.append(.answer(request: request, .refused(refusal)))
        } catch {
            note(peer, "a direct message that does not read: \(error)", isMet: true, moment)
            return effects.append(.answer(request: request, .refused(Refusal(error.name, "\(error)"))))
        }
        let isBid = message.biddenJob != nil
        let hadBid = message.biddenJob.map { job in
            (try? PublicKey(peerID: peer).did).map { market.hasBid($0, on: job) } ?? false
        }
        if isBid { give(.networksSeen(peer, networks), moment) }
        if isBid, let roundTripMilliseconds {
            give(.latencyMeasured(peer, milliseconds: roundTripMilliseconds), moment)
        }
        let bidder = bidder(of: message, moment)
        if case .jobAnnouncement = message { isAnsweringInvitation = true }
        defer { isAnsweringInvitation = false }
        let (reply, transition) = market.receive(
            message, from: peer, of: bidder, now: moment.now, wallClock: moment.wallClock)
        if isBid, reply == .ack { solitude.bidArrived(isStranger: bidder.offer == nil, now: moment.now) }
        judge(reply, of: peer, moment)
        absorb(transition, answering: .peer(request: request, reply), moment)
        switch message {
        // What its bidder says again changes nothing of whom the job waits for.
        case .jobBid, .jobBidCommitment: if hadBid == false { bidTaken(on: message, moment) }
        case .jobInterest(let interest) where reply == .ack:
            guard capabilities.offer(of: interest.executorDID, now: moment.now) != nil, let refusal = interest.refusal
            else { break }
            give(.executorBusy(interest.jobID, interest.executorDID), moment)
            if outlooks.interested(interest.jobID, interest.executorDID, refusal) {
                bidTaken(on: interest.jobID, moment)
            }
        default: break
        }
        // The connection is so young that its first ping is unanswered; the bid window leaves time for it.
        if isBid, roundTripMilliseconds == nil { effects.append(.errand(.measure(peer))) }
    }

    // MARK: The market

    /// Gives the market a fact, and carries out what follows.
    mutating func give(_ input: MarketInput, _ moment: NodeMoment) {
        absorb(market.handle(input, now: moment.now, wallClock: moment.wallClock), moment)
    }

    /// Queues what happened for the disk, releases what may leave before it is there, and keeps the rest.
    mutating func absorb(_ transition: MarketTransition, answering answer: Answer? = nil, _ moment: NodeMoment) {
        marketDeadline = transition.nextDeadline
        if let offset = transition.clockOffsetMilliseconds, !hasWarnedOfClock {
            hasWarnedOfClock = true
            effects.append(.warnOfClock(offsetMilliseconds: offset))
        }
        let number = write(transition, moment)
        for event in transition.events { effects += jobTopics.follow(event) }
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
        if transition.writesNothing { return nil }
        // Heads that name an entry must not leave before it is on the disk, where its number is given once.
        var relied = transition.logged.isEmpty ? [] : Set(transition.blocks.map(\.jobID))
        var touched: OrderedSet<Side> = []
        var outputs: [(job: JobID, block: MadeBlock)] = []
        var isSigned = false
        for event in transition.events {
            let id = event.jobID
            if event.kind.needsDurability { relied.insert(id) }
            touched.append(Side(job: id, role: event.role))
            switch event.kind {
            case .receiptSigned:
                isSigned = true
                outputs += (made.removeValue(forKey: id) ?? []).map { (id, $0) }
            case .resultReached, .verificationBegan: outputs += (fetched.removeValue(forKey: id) ?? []).map { (id, $0) }
            default: break
            }
        }
        var heads: AnchorHeadsV1?
        if !transition.logged.isEmpty {
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
                    outputs: outputs, jobs: jobs, anchorHeads: heads, logged: transition.logged,
                    bookings: transition.bookings, judged: transition.judged,
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
        case .announce(let job, let announcement): announce(job, announcement, moment)
        case .deliver(let delivery)
        where delivery.id.kind == .interest && !isAnsweringInvitation
            && !outlooks.speaksUp(did, on: delivery.id.jobID, offers: capabilities.count):
            tally("interests_unsaid")
        case .deliver(let delivery):
            let isOwn = delivery.peer == identity.peerID
            say(isOwn ? .ownDelivery(delivery) : .effect(.errand(.deliver(delivery))), about: delivery.id.jobID)
        case .gossip(_, .anchorHeads(let heads), let job?): say(.heads(heads, of: job), about: job)
        case .gossip: preconditionFailure("the market gossips nothing but heads")
        case .tellEverybody(let job, let topic, let message):
            say(.effect(.errand(.publish(message, topic: topic))), about: job)
        case .fetchManifest(let job, let peer, let addresses, let bytesMax):
            effects.append(.errand(.fetchManifest(job, from: peer, addresses: addresses, bytesMax: bytesMax)))
        case .lookUpModule(let module): effects.append(.errand(.lookUpModule(module)))
        case .fetchInputs(let order): start(order)
        case .execute(let assignment): if runs[assignment] != nil { effects.append(.letRun(assignment: assignment)) }
        case .cancelExecution(let assignment, _):
            if runs[assignment] != nil { effects.append(.stopRun(assignment: assignment)) }
        case .fetchOutputs(let job, let receipt, let peer, let cids, let milliseconds):
            guard let params = market.originatedJob(job)?.manifest.params else { return }
            let until = moment.now.advanced(milliseconds: milliseconds)
            take(
                outputs.begin(
                    job, receipt: receipt, from: peer, cids, bytesMax: Int(clamping: params.outputBlockBytesMax),
                    mayBeFolders: params.files != nil || params.session?.transcript != nil, until: until), moment)
        case .checkReceipt(let order): effects.append(.errand(.checkReceipt(order)))
        case .tryJob(let order): effects.append(.errand(.tryJob(order)))
        case .orderHold(let wish): say(.effect(.errand(.orderHold(wish))), about: wish.jobID)
        case .lodgeResult(let order): say(.effect(.errand(.lodgeResult(order))), about: order.jobID)
        case .stopCheck(let receipt): effects.append(.stopCheck(receipt: receipt))
        case .publishProof(let job, let proof, let block):
            say(.effect(.errand(.publishProof(proof: proof, block: block))), about: job)
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

    private mutating func runEnded(
        _ assignment: CID, _ report: ExecutionReport, _ blocks: [MadeBlock], _ moment: NodeMoment
    ) {
        guard let job = runs.removeValue(forKey: assignment) else { return }
        made[job] = blocks
        give(.executionFinished(assignment: assignment, report), moment)
        made[job] = nil
    }

    private mutating func take(_ step: OutputFetches.Step?, _ moment: NodeMoment) {
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

    // MARK: The loop

    /// Works until nothing is left to do here; the rest is for the shell.
    mutating func finish(_ moment: NodeMoment) -> [NodeEffect] {
        while let step = steps.popFirst() {
            switch step {
            case .effect(let effect): effects.append(effect)
            case .ownDelivery(let delivery):
                let (reply, transition) = market.receive(
                    delivery.message, from: delivery.peer, now: moment.now, wallClock: moment.wallClock)
                absorb(transition, answering: .own(delivery.id, reply), moment)
            case .ownReply(let id, let reply): give(.deliveryReplied(id, reply), moment)
            case .heads(let latest, let job): heads.add(latest, of: job, now: moment.now)
            }
        }
        if let drain {
            let unfinished = drain.unfinishedCount(market) { runs[$0] != nil }
            if let left = self.drain?.ended(unfinished: unfinished, now: moment.now) {
                effects.append(.leave(runsLeft: left))
            }
        }
        nextDeadline = earliestDeadline
        defer { effects = [] }
        return effects
    }

    private mutating func passDeadlines(_ moment: NodeMoment) {
        if let at = marketDeadline, at <= moment.now { give(.deadlineReached, moment) }
        if let due = heads.due(now: moment.now) { effects.append(.errand(.publishHeads(due.heads, of: due.jobs))) }
        for step in outputs.due(now: moment.now) { take(step, moment) }
        writeFaults(moment)
        if let at = pausedUntil, at <= moment.now {
            pausedUntil = nil
            let seconds = limits.pausedMillisecondsMax / 1_000
            give(.runsGivenUp(reason: "the executor's owner paused it for more than \(seconds) s"), moment)
        }
        if let at = pruneAt, at <= moment.now {
            pruneAt = pruneDate(after: moment.now)
            pruneBids(moment)
        }
    }

    /// Once a bid's last date is past by more than clocks may differ, the node accepts no assignment of it, so it needs
    /// nothing of its journal (PROTOCOL.md, "Restarts").
    private mutating func pruneBids(_ moment: NodeMoment) {
        guard let executor = market.configuration.executor else { return }
        let age = executor.bidValidityMilliseconds + market.configuration.rules.clockSkewMilliseconds
        let now = moment.wallClock.value
        effects.append(.pruneBids(before: UnixMilliseconds(now - min(now, age))))
    }

    private func pruneDate(after now: MonotonicInstant) -> MonotonicInstant {
        now.advanced(milliseconds: Int64(clamping: market.configuration.limits.bidPruningMilliseconds))
    }

    mutating func tally(_ name: String) { tallies[name, default: 0] += 1 }
}
