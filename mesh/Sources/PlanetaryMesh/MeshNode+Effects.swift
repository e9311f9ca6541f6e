import CoVM
import Determinism
import JobMarket
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import P2PServices
import SignedObjects

/// How effects of the core are carried out.
extension MeshNode {
    /// This moment, as the core wants it told.
    var moment: NodeMoment {
        NodeMoment(now: NodeClock.now, wallClock: NodeClock.wallClock, storage: storageState)
    }

    /// Gives the core an input, and carries out what follows.
    ///
    /// What the work of a task that was cut off comes to is dropped: it says nothing about its job.
    func take(_ input: NodeInput) {
        if Task.isCancelled {
            switch input {
            case .message, .misbehaved, .written: break
            default: return
            }
        }
        carryOut(core.handle(input, at: moment))
    }

    /// Carries out effects in their order: at once what waits for nothing, in child tasks what does.
    func carryOut(_ effects: [NodeEffect]) {
        alarm.arm(for: core.nextDeadline)
        for effect in effects {
            switch effect {
            case .write(let write):
                // At a crash point nothing of what follows happens.
                if !self.write(write) { return }
            case .writeFaults(let faults):
                store.enqueue(faults.map(StoreWrite.init), urgency: .idle) { [reportsIn] _ in
                    reportsIn.yield(.faultsWritten)
                }
            case .pruneBids(let date): store.enqueue([.pruneBids(before: date.value)], urgency: .idle) { _ in }
            case .answer(let request, let reply): asked.removeValue(forKey: request)?.resume(returning: reply)
            case .tell(let event): tellFollowers(of: event)
            case .startRun(let order): begin(order)
            case .letRun(let assignment): running[assignment]?.stopWaiting(true)
            case .stopRun(let assignment):
                running[assignment]?.cancellation.cancel()
                running[assignment]?.stopWaiting(false)
            case .misbehaved(let peer, let what):
                logger.info("A peer misbehaved.", metadata: ["peer": "\(peer)", "what": "\(what)"])
            case .warnOfClock: if let clockWarning { logger.warning("\(clockWarning)") }
            case .leave(let runsLeft):
                if runsLeft > 0 {
                    logger.notice("Running jobs are left to the next start.", metadata: ["jobs": "\(runsLeft)"])
                }
                stop.yield(())
            default: workIn.yield(effect)
            }
        }
    }

    /// Queues a transition for the disk, in the order of the calls; `false` where this process is to die of it.
    private func write(_ write: NodeWrite) -> Bool {
        let writes: [StoreWrite]
        do {
            writes = try write.storeWrites()
        } catch {
            giveUp(NodeServiceError(.internalError, "An event cannot be written: \(error)."))
            return false
        }
        let crashes = crashPoint.map { point in
            write.events.contains { point.isAt(role: $0.role.rawValue, event: $0.kindName) }
        }
        let isLast = crashes == true
        for case .receipt(let row) in writes where row.isVerified == true { receipts.insert(row.cid) }
        store.enqueue(writes, urgency: isLast ? .now : CommitUrgency(write.haste)) { [self] result in
            switch result {
            case .success:
                if isLast { crashPoint?.die() }
                writtenIn.yield(write.number)
            case .failure(let error): giveUp(NodeServiceError(storage: error))
            }
        }
        return !isLast
    }

    /// Tells the core what is on the disk, until the node stops.
    func followWrites() async {
        for await number in written {
            take(.written(number))
            let done = patient.filter { $0.number <= number }
            patient.removeAll { $0.number <= number }
            for waiter in done { waiter.continuation.resume() }
        }
    }

    /// Waits until a write is on the disk, or the node stops before.
    func durable(_ number: UInt64) async {
        if core.hasWritten(number) || core.isLeaving { return }
        await withCheckedContinuation { patient.append((number, $0)) }
    }

    /// Passes on what was reported, until the node stops.
    func followReports() async { for await report in reports { take(report) } }

    /// Gives the core its deadlines, until the node stops.
    func keepTime() async {
        for await _ in alarm.stream {
            alarm.rang()
            take(.deadlineReached)
        }
    }

    /// Carries out what waits for something, each effect in a child task, until the node stops.
    func carryOutWork() async {
        await withDiscardingTaskGroup { group in
            for await effect in work { group.addTask { await self.perform(effect) } }
            // The node stops: what waits for a place waits for nothing any more.
            for assignment in running.keys { running[assignment]?.stopWaiting(false) }
            group.cancelAll()
        }
    }

    private func perform(_ effect: NodeEffect) async {
        switch effect {
        case .announce(let job, let announcement):
            let reason = await publish(.jobAnnouncement(announcement), topic: MeshTopics.jobAnnouncements)
            take(.fact(reason.map { .announcementFailed(job, reason: $0) } ?? .announcementPublished(job)))
        case .publishHeads(let heads, let jobs):
            let topic = MeshTopics.anchorHeads(scope: heads.scope)
            if await publish(.anchorHeads(heads), topic: topic) == nil { take(.headsPublished(of: jobs)) }
        case .publishReceipt(let receipt, let block, let notice): await publishReceipt(receipt, block, notice)
        case .advertise(let offer): await advertise(offer)
        case .deliver(let delivery): await deliver(delivery)
        case .lookUp(let peer, let id): take(.lookedUp(id, isConnected: await find(peer)))
        case .fetchManifest(let job, let peer, let addresses, let bytesMax):
            await swarm.addAddresses(addresses, for: peer)
            let block = try? await fetcher.block(job.cid, from: [peer], keep: false)
            take(.fact(.manifestFetched(job, block: block.flatMap { $0.count <= bytesMax ? $0 : nil })))
        case .lookUpModule(let module):
            take(.fact(.moduleLookedUp(module, isBeyondLimits: await runner.isKnownTooLong(module))))
        case .startRun(let order): await execute(order)
        case .fetchOutput(let request): take(.outputFetched(request, await output(request)))
        case .measure(let peer): await measure(peer)
        case .shun(let peer, let milliseconds, let last):
            logger.notice("A peer is shunned for a while.", metadata: ["peer": "\(peer)", "last": "\(last)"])
            await peerService.avoid(peer, milliseconds: milliseconds)
            await swarm.disconnect(peer)
        case .write, .writeFaults, .pruneBids, .answer, .tell, .letRun, .stopRun, .misbehaved, .warnOfClock, .leave:
            break
        }
    }

    /// Hands a message to gossip; the reason when gossip does not take it.
    private func publish(_ message: MeshProtocolMessage, topic: String) async -> String? {
        do {
            let bytes = try message.encoded()
            let bytesMax = MeshProtocolMessage.Limits().gossipBytesMax
            guard bytes.count <= bytesMax else {
                return "the message has \(bytes.count) bytes, at most \(bytesMax) are sent"
            }
            _ = try await gossip.publish(bytes, topic: topic)
            return nil
        } catch {
            return "\(error)"
        }
    }

    func advertise(_ offer: SignedObject<NodeCapability>) async {
        if !offer.body.offersNothing {
            store.enqueue([.block(cid: offer.cid, bytes: offer.bytes)], urgency: .now) { _ in }
        }
        let message = MeshProtocolMessage.capabilityAdvertisement(CapabilityAdvertisementV1(capability: offer.bytes))
        _ = await publish(message, topic: MeshTopics.capabilities)
    }

    private func publishReceipt(_ receipt: CID, _ block: [UInt8], _ notice: ExecutionReceiptAvailableV1) async {
        _ = await publish(.executionReceiptAvailable(notice), topic: MeshTopics.receipts)
        do {
            _ = try await dht.putValue(key: MeshTopics.receiptKey(receipt), value: block)
            tally("receipts_put")
        } catch {
            tally("receipts_not_put")
            logger.info("A receipt was not put into the DHT.", metadata: ["cid": "\(receipt)", "reason": "\(error)"])
        }
    }

    /// Fetches one output; a small one goes to the disk with the job's result.
    nonisolated func output(_ request: OutputRequest) async -> OutputAnswer {
        do {
            let file = try await fetcher.unkept(request.cid, from: [request.peer], bytesMax: request.bytesMax)
            let bytes = file.arrived.reduce(0) { $0 + $1.bytes.count }
            if bytes <= limits.fetchedBytesHeldMax, store.hasPlentyOfRoom {
                return .here(
                    bytes: file.bytes.count, blocks: file.arrived.map { MadeBlock(cid: $0.cid, bytes: $0.bytes) })
            }
            try await fetcher.keep(file.arrived)
            return .here(bytes: file.bytes.count, blocks: [])
        } catch {
            if !error.mayPass {
                logger.info("An output is missing.", metadata: ["cid": "\(request.cid)", "reason": "\(error)"])
            }
            return .missing(mayPass: error.mayPass)
        }
    }

    // MARK: Runs

    /// Enters a run, so that an order to stop it finds it.
    private func begin(_ order: ExecutionOrder) {
        running[order.assignmentCID] = RunningJob(cancellation: ExecutionCancellation())
        workIn.yield(.startRun(order))
    }

    /// Fetches what an assigned job needs, waits for a place, and runs it.
    private func execute(_ order: ExecutionOrder) async {
        let assignment = order.assignmentCID
        guard let cancellation = running[assignment]?.cancellation else { return }
        let originator = order.manifest.originatorPeerID
        await swarm.addAddresses(order.manifest.originatorAddresses, for: originator)
        let run = await withTaskGroup(of: JobRunner.Run?.self) { group in
            group.addTask { [runner] in
                await runner.run(
                    order.manifest, jobID: order.jobID, executor: order.executorDID, from: [originator],
                    wallClockMilliseconds: nil, cancellation: cancellation, keep: true
                ) { bytes in
                    await self.take(.fact(.blocksFetched(assignment: assignment, bytes: UInt64(bytes))))
                } hasPlace: {
                    await self.hasPlace(assignment)
                } workspaceMade: { workspace in
                    await self.started(assignment, workspace)
                } progressed: { status in
                    await self.take(
                        .fact(.executionProgressed(assignment: assignment, status, progressPermille: nil)))
                }
            }
            group.addTask {
                await self.watch(assignment)
                return nil
            }
            var run: JobRunner.Run?
            while let next = await group.next() {
                guard let next else { continue }
                run = next
                group.cancelAll()
            }
            return run
        }
        running[assignment] = nil
        // A node that stops says nothing of a run that it did not end: the restart rule decides about it.
        if let run { take(.runEnded(assignment: assignment, run.report, blocks: run.blocks)) }
    }

    /// Tells the core that a job could run, and waits until it may; `false` when it is to stop.
    private func hasPlace(_ assignment: CID) async -> Bool {
        take(.fact(.executionPrepared(assignment: assignment)))
        guard let job = running[assignment], !job.cancellation.isCancelled, !job.hasPlace, !Task.isCancelled else {
            return running[assignment].map { $0.hasPlace && !$0.cancellation.isCancelled } ?? false
        }
        return await withCheckedContinuation { running[assignment]?.waiting = $0 }
    }

    private func started(_ assignment: CID, _ workspace: JobWorkspace) {
        running[assignment]?.workspace = workspace
    }

    /// Passes on what a module says about its own progress, until the run ends.
    private func watch(_ assignment: CID) async {
        var last = 0
        while (try? await Task.sleep(for: .milliseconds(limits.progressMilliseconds))) != nil {
            guard let workspace = running[assignment]?.workspace else { continue }
            let permille = workspace.permille
            guard permille > last else { continue }
            last = permille
            take(
                .fact(
                    .executionProgressed(
                        assignment: assignment, .running, progressPermille: UInt64(clamping: permille))))
        }
    }
}

extension FetchError {
    /// Whether it may be different in a while: the peer may be starting again, and the own disk have room.
    fileprivate var mayPass: Bool {
        switch self {
        case .notFound, .storage(.full), .storage(.blockSpaceUsedUp): true
        case .notAFile, .storage: false
        }
    }
}

extension StoreWrite {
    /// What a peer did wrong, as the store counts it.
    init(_ fault: PeerFault) {
        self = .peerMisbehaved(
            fault.peer, note: fault.note, count: fault.count, isMet: fault.isMet, at: fault.at)
    }
}
