import CoVM
import Determinism
import JobMarket
import LibP2P
import MeshTypes
import Multiformats

extension MeshNode {
    /// Carries the market's actions out, each in a child task, until the node stops.
    ///
    /// Their number is bounded by the tables of the market that they come from (`MarketLimits`). Child tasks keep no
    /// order, so what orders a run and what stops it is written down here, before the child task begins.
    func carryOutActions() async {
        await withDiscardingTaskGroup { group in
            for await action in actions {
                switch action {
                case .fetchInputs(let order):
                    guard let cancellation = begin(order) else { continue }
                    group.addTask { await self.execute(order, cancellation) }
                case .execute(let assignment): running[assignment]?.stopWaiting(true)
                case .cancelExecution(let assignment, _):
                    running[assignment]?.cancellation.cancel()
                    running[assignment]?.stopWaiting(false)
                default: group.addTask { await self.carryOut(action) }
                }
            }
            // The node stops: what waits for a place waits for nothing any more.
            for assignment in running.keys { running[assignment]?.stopWaiting(false) }
            group.cancelAll()
        }
    }

    private func carryOut(_ action: MarketAction) async {
        switch action {
        case .announce(let job, let announcement):
            let reason = await publish(.jobAnnouncement(announcement), topic: MeshTopics.jobAnnouncements)
            await take(reason.map { .announcementFailed(job, reason: $0) } ?? .announcementPublished(job))
        case .deliver(let delivery):
            await deliver(delivery)
        case .gossip(let topic, let message, let anchorOf):
            if let anchorOf {
                await publishHeads(message, topic: topic, of: anchorOf)
            } else {
                _ = await publish(message, topic: topic)
            }
        case .fetchManifest(let job, let peer, let addresses, let bytesMax):
            await swarm.addAddresses(addresses, for: peer)
            let block = try? await fetcher.block(job.cid, from: [peer], keep: false)
            await take(.manifestFetched(job, block: block.flatMap { $0.count <= bytesMax ? $0 : nil }))
        case .lookUpModule(let module):
            await take(.moduleLookedUp(module, isBeyondLimits: await runner.isKnownTooLong(module)))
        case .fetchOutputs(let job, let receipt, let peer, let blocks, let milliseconds):
            let until = NodeClock.now.advanced(milliseconds: milliseconds)
            await fetchOutputs(job, receipt, from: peer, blocks, until: until)
        case .publishReceipt(let receipt, let block, let notice):
            await publishReceipt(receipt, block, notice)
        case .fetchInputs, .execute, .cancelExecution, .jobEnded:
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

    /// Announces the anchored heads, the latest ones for all jobs that were anchored within `headsMilliseconds`.
    private func publishHeads(_ message: MeshProtocolMessage, topic: String, of job: JobID) async {
        unpublishedHeads.message = message
        unpublishedHeads.jobs.append(job)
        // The first of them waits and publishes for all.
        guard unpublishedHeads.jobs.count == 1 else { return }
        try? await Task.sleep(for: .milliseconds(limits.headsMilliseconds))
        let heads = unpublishedHeads
        unpublishedHeads = UnpublishedHeads()
        guard let latest = heads.message, await publish(latest, topic: topic) == nil else { return }
        for job in heads.jobs { await take(.anchorPublished(job)) }
    }

    // MARK: Runs

    /// Enters a run, so that an order to stop it finds it; `nil` where it goes on already or has its receipt. The
    /// market knows of an order to stop before its action comes here, which may even be before that of the run.
    private func begin(_ order: ExecutionOrder) -> ExecutionCancellation? {
        let assignment = order.assignmentCID
        guard running[assignment] == nil, let job = market.executedJob(order.jobID), job.assignmentCID == assignment,
            job.receipt == nil
        else { return nil }
        let cancellation = ExecutionCancellation()
        if job.stopReason != nil { cancellation.cancel() }
        running[assignment] = RunningJob(jobID: order.jobID, cancellation: cancellation, workspace: nil)
        return cancellation
    }

    /// Fetches what an assigned job needs, waits for a place, and runs it.
    private func execute(_ order: ExecutionOrder, _ cancellation: ExecutionCancellation) async {
        let assignment = order.assignmentCID
        await take(.executionProgressed(assignment: assignment, .preparingExecution, progressPermille: nil))
        let originator = order.manifest.originatorPeerID
        await swarm.addAddresses(order.manifest.originatorAddresses, for: originator)
        let run = await withTaskGroup(of: JobRunner.Run?.self) { group in
            group.addTask { [runner] in
                await runner.run(
                    order.manifest, jobID: order.jobID, executor: order.executorDID, from: [originator],
                    wallClockMilliseconds: nil, cancellation: cancellation, keep: true
                ) { bytes in
                    await self.take(.blocksFetched(assignment: assignment, bytes: UInt64(bytes)))
                } hasPlace: {
                    await self.hasPlace(assignment)
                } workspaceMade: { workspace in
                    await self.started(assignment, workspace)
                } progressed: { status in
                    await self.take(.executionProgressed(assignment: assignment, status, progressPermille: nil))
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
        if let run, !Task.isCancelled { await take(.executionFinished(assignment: assignment, run.report)) }
    }

    /// Tells the market that a job could run, and waits until it may; `false` when it is to stop.
    private func hasPlace(_ assignment: CID) async -> Bool {
        await take(.executionPrepared(assignment: assignment))
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
            await take(
                .executionProgressed(assignment: assignment, .running, progressPermille: UInt64(clamping: permille)))
        }
    }

    // MARK: Receipts

    /// Fetches the outputs of a receipt until all are here, or their time is over, or nobody waits for them any more.
    private func fetchOutputs(
        _ job: JobID, _ receipt: CID, from peer: PeerID, _ blocks: [CID], until: MonotonicInstant
    ) async {
        guard let params = market.originatedJob(job)?.manifest.params else { return }
        var left = Int(clamping: params.maxOutputBytes)
        var missing: [CID] = []
        for cid in blocks {
            let bytes = await output(cid, from: peer, bytesMax: left, until: until) {
                await self.awaitsOutputs(of: receipt, job)
            }
            if let bytes { left -= bytes } else { missing.append(cid) }
        }
        await take(.outputsFetched(job, receipt: receipt, missing: missing))
    }

    private func awaitsOutputs(of receipt: CID, _ job: JobID) -> Bool {
        market.originatedJob(job)?.awaitsOutputs(of: receipt) ?? false
    }

    /// Fetches one output, and asks again with a growing pause while it cannot be had: its executor may be starting
    /// again. Gives its length, `nil` where it did not come.
    nonisolated func output(
        _ cid: CID, from peer: PeerID, bytesMax: Int, until: MonotonicInstant, isWanted: @Sendable () async -> Bool
    ) async -> Int? {
        var pause = limits.outputPauseMilliseconds
        while await isWanted() {
            do {
                return try await fetcher.file(cid, from: [peer], bytesMax: bytesMax).count
            } catch {
                guard error.mayPass, NodeClock.now.advanced(milliseconds: pause) < until else {
                    logger.info("An output is missing.", metadata: ["cid": "\(cid)", "reason": "\(error)"])
                    return nil
                }
            }
            guard (try? await Task.sleep(for: .milliseconds(pause))) != nil else { return nil }
            pause = min(2 * pause, limits.outputPauseMillisecondsMax)
        }
        return nil
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

/// The anchored heads that were not announced yet, and the jobs that they came from.
struct UnpublishedHeads: Sendable {
    var message: MeshProtocolMessage?
    var jobs: [JobID] = []
}
