import Determinism
import GossipSub
import JobMarket
import LibP2P
package import Logging
import MeshStore
import MeshTypes
import Multiformats
import NIOPosix
package import NodeAPI
import NodeCore
package import NodeSetup
import P2PServices
package import PeerIdentity
import Reputation
import SignedObjects

/// A node of the mesh: one key, one store, one swarm, one machine, and the core that decides.
///
/// The actor only loops: an input arrives (a message, news of the disk, the result of an errand, a command, the alarm),
/// the core turns it into effects, and the actor carries them out; effects that wait for something are errands, child
/// tasks of `run`. Nothing here decides anything.
package actor MeshNode {
    /// How often this node checks which addresses it has, in milliseconds.
    static let addressMilliseconds: Int64 = 5_000
    /// How long a stop waits for the withdrawal of this node's offer to leave, in milliseconds.
    static let farewellMilliseconds: Int64 = 100

    nonisolated let parts: NodeParts
    nonisolated let end: NodeEnd
    nonisolated let disk: NodeDisk
    nonisolated let room: StoreRoom
    nonisolated let neighbourhood: Neighbourhood
    nonisolated let announcer: RootAnnouncer
    nonisolated let log: WorkLog
    nonisolated let messages: DirectMessages
    nonisolated let runs = RunningJobs()
    nonisolated let checks = RunningJobs()
    nonisolated let runSessions = RunSessions()
    nonisolated let feed = ChangeFeed()
    nonisolated let sessions: SessionDesk
    nonisolated let runOutputs = RunOutputs()
    nonisolated let outputs: OutputDesk
    nonisolated let errands: Errands
    nonisolated let report: NodeReport
    nonisolated let traces: NodeTraces
    nonisolated let files: OwnerFiles
    nonisolated let peerDesk: PeerDesk
    nonisolated let desk: SubmissionDesk
    nonisolated let workflows: WorkflowDesk
    nonisolated let claims: ClaimDesk
    /// Lists and counts what the store has.
    package nonisolated let lists: ListDesk
    /// The topics of single jobs.
    private let followed = FollowedTopics()
    /// What the start could not resume.
    nonisolated let intake: JournalIntake
    var core: NodeCore { didSet { decisions &+= 1 } }
    /// Goes up with whatever changes in the core.
    private(set) var decisions: UInt64 = 0
    nonisolated let listed = ListedJobs()
    var board = ProgressBoard()
    /// Rings for the sessions and the output of this node's jobs.
    var bells = JobBells()
    /// What happened to jobs since the start.
    private var events = JobEventTally()
    private var alarm: DeadlineAlarm
    /// Peers' requests that wait for their answers, by number.
    private var asked: [UInt64: CheckedContinuation<MeshProtocolReply?, Never>] = [:]
    private var askedCount: UInt64 = 0
    private var hasWarnedOfKey = false
    /// The owner's commands that wait until a write of this number, or a later one, is on the disk.
    private var patient: [(number: UInt64, continuation: CheckedContinuation<Void, Never>)] = []
    private let work: AsyncStream<NodeErrand>
    private let workIn: AsyncStream<NodeErrand>.Continuation
    /// One element whenever the node has looked around, so that another can see that its loop turns; ends with it.
    package nonisolated let beats: AsyncStream<Void>
    private let beat: AsyncStream<Void>.Continuation

    init(_ parts: NodeParts, core: NodeCore, intake: JournalIntake) {
        self.parts = parts
        self.core = core
        self.intake = intake
        end = NodeEnd(store: parts.store, logger: parts.logger)
        disk = NodeDisk(store: parts.store, receipts: parts.receipts, end: end)
        room = StoreRoom(store: parts.store, logger: parts.logger)
        neighbourhood = Neighbourhood(parts: parts)
        announcer = RootAnnouncer(
            parts: parts, offer: core.market.configuration.executor.map { OfferKeys.of($0) } ?? [])
        log = WorkLog(logger: parts.logger, tallies: parts.tallies)
        messages = DirectMessages(host: parts.swarm)
        errands = Errands(
            parts: parts, neighbourhood: neighbourhood, messages: messages, runs: runs, sessions: runSessions,
            outputs: runOutputs, checks: checks, lodging: LodgingDesk(parts: parts), log: log)
        sessions = SessionDesk(parts: parts, runs: runSessions)
        outputs = OutputDesk(parts: parts, runs: runOutputs, sessions: sessions)
        report = NodeReport(parts: parts, room: room)
        traces = NodeTraces(parts)
        files = OwnerFiles(parts: parts, room: room, announcer: announcer)
        peerDesk = PeerDesk(parts: parts)
        desk = SubmissionDesk(parts: parts, room: room)
        workflows = WorkflowDesk(parts: parts, end: end)
        claims = ClaimDesk(parts: parts)
        lists = ListDesk(auditor: ReceiptAuditor(parts))
        alarm = DeadlineAlarm(eventLoop: MultiThreadedEventLoopGroup.singleton.any())
        // BOUNDED: what waits here comes from the tables of the market, which are bounded (`MarketLimits`).
        (work, workIn) = AsyncStream.makeStream(of: NodeErrand.self)
        (beats, beat) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Opens the node of a home folder: store, machine, swarm and services; resumes its journal; listens.
    ///
    /// When it returns, `listenAddresses` are known and every job is as the journal says. It serves nothing before
    /// `run`.
    ///
    /// - Throws: one sentence about the obstacle, and what to do next.
    package static func open(
        home: NodeHome, configuration: NodeConfiguration, identity: Identity, logger: Logger,
        layers: ConfigurationLayers? = nil
    ) async throws(NodeServiceError) -> MeshNode {
        let settings = try RunningSettings(configuration, layers)
        let opening = NodeOpening(home: home, settings: settings, identity: identity, logger: logger)
        let (parts, bans) = try await opening.parts()
        var core = NodeCore(identity: identity, market: try await opening.market(parts), bans: bans)
        let intake = try await opening.recover(&core, parts)
        let runs = core.market.unclosedJobs.executed.filter { $0.receipt == nil }.compactMap(\.assignmentCID?.text)
        SessionLog.clean(parts.sessionsPath, keeping: Set(runs))
        let node = MeshNode(parts, core: core, intake: intake)
        try await node.begin()
        return node
    }

    /// Joins the protocols of the mesh, and resumes what this node owes to others.
    private func begin() async throws(NodeServiceError) {
        await parts.peerService.tellDials { [log] in log.tellDial(of: $0, failure: $1) }
        let admits: @Sendable (PeerID) async -> Bool = { [weak self] peer in await self?.admits(peer) ?? false }
        let blame: @Sendable (PeerID, String) async -> Void = { [weak self] peer, fault in
            await self?.take(.misbehaved(peer, fault, isConnected: true))
        }
        await messages.serve(admitting: admits, blame: blame, answer: CitedOfferDesk(parts).answers(of: self))
        await runSessions.serve(on: parts.swarm, admitting: admits, blame: blame)
        await runOutputs.serve(on: parts.swarm, admitting: admits, blame: blame)
        try await parts.beginCredit(for: self, admitting: admits, blame: blame)
        do {
            for topic in core.topics {
                // The validator already took in what it accepted; nobody needs the stream of accepted messages.
                _ = try await parts.gossip.subscribe(topic) { [weak self] message in
                    await self?.judge(message) ?? .ignore
                }
            }
            try await parts.follower.begin(
                admitting: admits, blame: blame,
                onKept: { [weak self] author, head in await self?.take(.fact(.headKept(head, of: author))) },
                onFork: { [weak self] fork in await self?.forked(fork) })
        } catch let error as MeshStoreError {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(.internalError, "Gossip refuses the topics of the mesh: \(error).")
        }
        runs.hold(core.market.configuration.executor?.ownerOrder == .pause)
        parts.results.recover(core.market)
        carryOut(core.recover(at: moment))
        PeerDesk.resume(on: self)
    }

    // MARK: The loop

    /// Runs the node until it is asked to stop, its task is cancelled, or its disk fails; then closes the store.
    ///
    /// - Throws: one sentence that says why it could not continue.
    package func run() async throws(NodeServiceError) {
        await parts.holds.recall(on: self)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                parts.addServices(to: &group)
                group.addTask { await self.runErrands() }
                group.addTask { await self.followDisk() }
                group.addTask { [holds = parts.holds, feed] in await holds.run { feed.tell($0) } }
                group.addTask { [holds = parts.holds] in await holds.follow(on: self) }
                group.addTask { [claims] in await claims.run(on: self) }
                group.addTask { await self.keepTime() }
                group.addTask { [followed, gossip = parts.gossip] in
                    await followed.run(on: gossip) { [weak self] message in await self?.judge(message) ?? .ignore }
                }
                group.addTask { await self.lookAround() }
                group.addTask { await self.keepAddressesCurrent() }
                group.addTask { [neighbourhood] in
                    await neighbourhood.join()
                    await self.take(.dialedAtStart)
                }
                group.addTask { [neighbourhood] in await neighbourhood.rememberPeers() }
                group.addTask { [neighbourhood] in await neighbourhood.watchForOwnKey() }
                group.addTask { [announcer] in await announcer.run() }
                group.addTask { [traces] in await traces.run() }
                group.addTask { [workflows] in await workflows.run(on: self) }
                group.addTask { [sessions] in await sessions.run(on: self) }
                group.addTask { [outputs] in await outputs.run(on: self) }
                group.addTask { [parts, log] in await log.follow(parts.swarm.peerEvents()) }
                group.addTask { [room] in await room.watch() }
                group.addTask { [end] in
                    for await _ in end.asked { break }
                    await self.leave()
                    throw CancellationError()
                }
                while try await group.next() != nil {}
            }
        } catch is CancellationError {
            // Asked to stop.
        } catch {
            end.fail(
                error as? NodeServiceError
                    ?? NodeServiceError(.internalError, "The node stopped: \(SystemWords.of(error))."))
        }
        finish()
        if let failure = end.failure { throw failure }
    }

    /// Gives the core an input, and carries out the effects.
    ///
    /// Drops the result of an interrupted task: it says nothing about its job.
    func take(_ input: NodeInput) {
        if Task.isCancelled, input.isOfWork { return }
        carryOut(core.handle(input, at: moment))
    }

    /// Counts it against an author that it told two histories of its log. Without room for the proof it counts only
    /// where something is known of the author: keys that nobody knows are made at will.
    private func forked(_ fork: FoundFork) {
        guard fork.isKept || core.market.hasJudged(fork.author) else { return }
        let fault = ReputationEvidence(
            twoHistoriesOf: fork.author, proof: fork.proof, judge: parts.identity.did, at: fork.foundAt)
        take(.fact(.faultProved(fault)))
    }

    /// This moment, as the core takes it.
    var moment: NodeMoment {
        NodeMoment(now: NodeClock.now, wallClock: NodeClock.wallClock, storage: room.state)
    }

    /// Carries out effects in order: those that wait for nothing at once, the others as errands.
    func carryOut(_ effects: [NodeEffect]) {
        alarm.arm(for: core.nextDeadline)
        for effect in effects {
            switch effect {
            case .write(let write):
                log.tell(write.events)
                for event in write.events { parts.results.follow(event) }
                // At a crash point nothing that follows happens.
                if !disk.write(write) { return }
                feed.tell(write.events)
                events.count(write.events)
                traces.take(write.events, at: moment)
            case .writeFaults(let faults): disk.write(faults)
            case .pruneBids(let date): disk.pruneBids(before: date)
            case .answer(let request, let reply): asked.removeValue(forKey: request)?.resume(returning: reply)
            case .tell(let event):
                board.tell(event, of: core.market)
                bells.ring(event.jobID)
            case .errand(let errand):
                if case .startRun(let order) = errand { begin(order) }
                if case .checkReceipt(let order) = errand { checks.begin(order.receipt.cid) }
                if case .tryJob(let order) = errand { checks.begin(order.assignmentCID) }
                workIn.yield(traces.stamped(errand))
            case .letRun(let assignment): runs.letRun(assignment)
            case .stopRun(let assignment): runs.stop(assignment)
            case .stopCheck(let receipt): checks.stop(receipt)
            case .holdRuns(let areHeld): runs.hold(areHeld)
            case .joinTopic(let topic): followed.join(topic)
            case .leaveTopic(let topic): followed.leave(topic)
            case .declined(let declined): log.tell(WorkLine.line(of: declined))
            case .misbehaved(let peer, let what): log.tell(.peerMisbehaved, peer, reason: what)
            case .warnOfClock:
                if let warning = figures.clockWarning { parts.logger.warning("\(warning)") }
            case .leave(let runsLeft):
                if runsLeft > 0 {
                    parts.logger.notice("Running jobs are left to the next start.", metadata: ["jobs": "\(runsLeft)"])
                }
                end.ask()
            }
        }
    }

    /// Enters a run, so that orders and messages find it.
    private func begin(_ order: ExecutionOrder) {
        runs.begin(order.assignmentCID)
        guard let terms = order.manifest.params.session else {
            return runOutputs.begin(order.assignmentCID, of: order.manifest.originatorPeerID)
        }
        guard let port = SessionPort.module(of: order, terms, folder: parts.sessionsPath) else { return }
        runSessions.begin(port, of: order.manifest.originatorPeerID)
    }

    /// Carries out errands, each in a child task, until the node stops.
    private nonisolated func runErrands() async {
        await withDiscardingTaskGroup { group in
            for await errand in work {
                group.addTask { [errands] in await errands.run(errand) { await self.take($0) } }
            }
            // The node stops, so waiting for a place is pointless.
            runs.close()
            group.cancelAll()
        }
    }

    /// Tells the core what is on the disk, until the node stops.
    private func followDisk() async {
        for await _ in disk.rings {
            for news in disk.takeNews() {
                take(news)
                guard case .written(let number) = news else { continue }
                let done = patient.filter { $0.number <= number }
                patient.removeAll { $0.number <= number }
                for waiter in done { waiter.continuation.resume() }
            }
        }
    }

    /// Gives the core its deadlines, until the node stops.
    private func keepTime() async {
        for await _ in alarm.stream {
            alarm.rang()
            if !Task.isCancelled { carryOut(core.wake(now: moment) ?? []) }
        }
    }

    /// Reports to the core what this node sees around itself, and its runs' progress, again and again until it stops.
    private func lookAround() async {
        repeat {
            take(.looked(await neighbourhood.surroundings()))
            for (assignment, fuel) in runs.takeFuel() {
                take(.fact(.fuelBurnt(assignment: assignment, fuel: fuel)))
            }
            for assignment in runs.takeWaits() { take(.fact(.executionWaits(assignment: assignment))) }
            for (assignment, isWaiting) in runSessions.waiting {
                let status = isWaiting ? JobStatus.awaitingInputs : .running
                take(.fact(.executionProgressed(assignment: assignment, status, progressPermille: nil)))
            }
            for (assignment, permille) in runs.takeProgress() {
                take(
                    .fact(
                        .executionProgressed(
                            assignment: assignment, .running, progressPermille: UInt64(clamping: permille))))
            }
            board.tellProgress(of: core.market, at: moment.wallClock)
            log.tellLeftOut()
            warnOfOwnKey()
            beat.yield(())
        } while await isTimeToLook()
    }

    /// Waits until the next look, and tells those who follow meanwhile what comes and goes; false when the node stops.
    private func isTimeToLook() async -> Bool {
        let clock = ContinuousClock()
        let due = clock.now + .milliseconds(NodeCore.lookMilliseconds)
        while clock.now < due {
            let next = feed.isFollowed ? min(due, clock.now + .milliseconds(ChangeFeed.lookMilliseconds)) : due
            guard (try? await clock.sleep(until: next)) != nil else { return false }
            await tellFollowers()
        }
        return true
    }

    /// Says once that another node has this node's key.
    private func warnOfOwnKey() {
        guard !hasWarnedOfKey, let sighting = parts.swarm.ownKeyElsewhere() else { return }
        hasWarnedOfKey = true
        parts.logger.warning("\(NodeReport.warning(of: sighting, now: NodeClock.now))")
    }

    /// Tells the market where this node is, so that new manifests and announcements say so; identify does so itself.
    private func keepAddressesCurrent() async {
        while (try? await Task.sleep(for: .milliseconds(Self.addressMilliseconds))) != nil {
            core.listens(at: await parts.swarm.listenAddresses())
        }
    }

    // MARK: Messages

    private func admits(_ peer: PeerID) -> Bool { !core.isShunned(peer, at: moment) }

    /// The reply to a message, once what it acknowledges is on the disk; `nil` if the node stops first.
    func answer(_ bytes: [UInt8], from peer: PeerID) async -> MeshProtocolReply? {
        guard !core.isLeaving else { return nil }
        askedCount += 1
        let request = askedCount
        let milliseconds = parts.swarm.roundTripMilliseconds(to: peer)
        let networks = AddressGroup.groups(of: parts.swarm.connectionAddresses(to: peer))
        traces.hear(bytes, from: peer, at: moment)
        let reply = await withCheckedContinuation { continuation in
            asked[request] = continuation
            take(
                .message(
                    bytes, from: peer, roundTripMilliseconds: milliseconds, networks: networks, request: request))
        }
        if log.isOn, case .declined(let refusal) = reply { log.tell(.declinedAssignment(of: peer, refusal)) }
        return reply
    }

    /// Judges a gossip message before it is forwarded.
    private func judge(_ message: GossipMessage) -> GossipVerdict {
        let (verdict, effects) = core.judge(
            message.data, topic: message.topic, author: message.source,
            isAuthorConnected: parts.swarm.isConnected(message.source), at: moment)
        if case .accept = verdict {
            traces.hear(message.data, from: message.source, at: moment)
            parts.fetcher.named.heard(message.data, topic: message.topic)
        }
        carryOut(effects)
        switch verdict {
        case .accept: return .accept
        case .ignore: return .ignore
        case .reject: return .reject
        }
    }

    // MARK: Commands

    /// Gives the core a job; when this returns, the job is durable.
    func submit(
        _ request: JobRequest, _ sizes: JobSizes = JobSizes(), traceparent: String? = nil
    ) async throws(NodeServiceError) -> JobAccepted {
        try requireStaying()
        let (result, effects) = core.submit(request, sizes, nonce: randomBytes(16), at: moment)
        if case .success(let job) = result { traces.asked(traceparent, of: job.id) }
        carryOut(effects)
        switch result {
        case .success(let job):
            await durable(job.written)
            if let failure = end.failure { throw failure }
            return JobAccepted(jobID: job.id.cid.text, isDuplicate: job.isDuplicate)
        case .failure(let refusal): throw NodeServiceError(refusal)
        }
    }

    /// Asks the core to end a job; when this returns, that is durable. `false` if there was nothing to end.
    func cancel(_ job: JobID) async -> Bool {
        let (number, isOrdered, effects) = core.cancel(job, at: moment)
        carryOut(effects)
        await durable(number)
        return isOrdered
    }

    /// Gives the core the owner's order, once it is durable, and returns what the executor does then.
    func obey(_ order: OwnerOrder?) async throws(NodeServiceError) -> ExecutorState {
        guard core.market.configuration.executor != nil else {
            throw NodeServiceError(
                .invalidRequest, "This node runs no jobs for others.",
                hint: "Set executor.enabled to true in config.json, and restart the node.")
        }
        try requireStaying()
        do throws(MeshStoreError) {
            try await OwnerOrder.keep(order, in: parts.store)
        } catch {
            throw NodeServiceError(storage: error)
        }
        carryOut(core.obey(order, at: moment))
        return figures.executor
    }

    /// What only the core knows, now.
    var figures: NodeReport.Figures {
        let jobs = report.jobsUnderWay(at: decisions) { core.market.jobsUnderWay }
        return NodeReport.Figures(core, parts.configuration.executor, events, jobs, at: moment)
    }

    /// Waits until a write is on the disk, or the node stops.
    private func durable(_ number: UInt64) async {
        if core.hasWritten(number) || core.isLeaving { return }
        await withCheckedContinuation { patient.append((number, $0)) }
    }

    /// Throws if the node takes no more jobs.
    private func requireStaying() throws(NodeServiceError) {
        guard core.isStopping else { return }
        throw NodeServiceError(.shuttingDown, "The node is about to stop.", hint: "Start it again with mesh up.")
    }

    // MARK: The end

    /// Stops in the order that `NodeCore` keeps: the node takes no more jobs, its owner's or others', and starts no
    /// waiting run. For the configuration's `drain_seconds`, runs may end and deliver their receipts. Then the node
    /// goes down as if killed: it writes and signs nothing about what still runs, so that the restart rule of
    /// `ExecutorMarket` decides at the next start. A second request stops it at once.
    package func shutdown() async throws(NodeServiceError) {
        guard !core.isStopping else { return end.ask() }
        let seconds = parts.configuration.drainSeconds
        let milliseconds = Int64(clamping: seconds.multipliedReportingOverflow(by: 1_000).partialValue)
        let (waiting, effects) = core.beginDrain(milliseconds: milliseconds, at: moment)
        if seconds > 0, waiting > 0 {
            parts.logger.notice(
                """
                The node stops: it waits for \(waiting) running \(waiting == 1 ? "job" : "jobs"), \(seconds) s at the \
                longest; a second request stops it at once.
                """)
        }
        var others: [NodeEffect] = []
        for effect in effects {
            guard case .errand(.advertise(let nothing)) = effect else {
                others.append(effect)
                continue
            }
            // The withdrawal gets time to leave: gossip hands it to connections, which close with the node.
            await errands.advertise(nothing)
            try? await Task.sleep(for: .milliseconds(Self.farewellMilliseconds))
        }
        carryOut(others)
    }

    /// From here on interrupted runs leave no trace, and nobody waits for the disk any more.
    private func leave() {
        core.leave()
        parts.store.waitNoLonger()
        for continuation in asked.values { continuation.resume(returning: nil) }
        asked = [:]
        for waiter in patient { waiter.continuation.resume() }
        patient = []
    }

    /// Stops what waits for the node, then closes the store; writes what it accepted before.
    private func finish() {
        beat.finish()
        runs.stopAll()
        checks.stopAll()
        log.tellLeftOut(isEnd: true)
        board.finish()
        feed.finish()
        alarm.finish()
        workIn.finish()
        let faults = core.takeFaults()
        if !faults.isEmpty { disk.write(faults) }
        disk.close(parts.logger)
    }
}
