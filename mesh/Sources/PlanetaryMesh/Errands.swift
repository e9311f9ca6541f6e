import CoVM
import Credit
import IPLD
import JobMarket
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeCore
import P2PServices
import Receipts
import SignedObjects

/// What the core wants done that has to wait for something, each in a child task of the node's loop, which reports the
/// result to the core.
struct Errands: Sendable {
    /// The largest output held in memory until it goes to the disk with the job's result, in bytes; a longer one goes
    /// there by itself.
    static let fetchedBytesHeldMax = 16 << 10

    let parts: NodeParts
    let neighbourhood: Neighbourhood
    let messages: DirectMessages
    let runs: RunningJobs
    /// The sessions of the runs.
    let sessions: RunSessions
    /// What the others write.
    let outputs: RunOutputs
    /// The checks of receipts under way, by receipt.
    let checks: RunningJobs
    /// Results on their way to arbiters.
    let lodging: LodgingDesk
    let log: WorkLog

    /// Runs one errand.
    func run(_ errand: NodeErrand, _ tell: @escaping @Sendable (NodeInput) async -> Void) async {
        switch errand {
        case .announce(let job, let announcement):
            let reason = await publish(.jobAnnouncement(announcement), topic: MeshTopics.jobAnnouncements)
            await tell(.fact(reason.map { .announcementFailed(job, reason: $0) } ?? .announcementPublished(job)))
        case .publish(let message, let topic): _ = await publish(message, topic: topic)
        case .publishHeads(let heads, let jobs):
            let topic = MeshTopics.anchorHeads(scope: heads.scope)
            if await publish(.anchorHeads(heads), topic: topic) == nil { await tell(.headsPublished(of: jobs)) }
        case .publishReceipt(let receipt, let block, let notice): await publishReceipt(receipt, block, notice)
        case .advertise(let offer): await advertise(offer)
        case .deliver(let delivery): await tell(await deliver(delivery))
        case .inquire(let job, let executor, let addresses):
            await tell(await inquire(job, executor, addresses))
        case .seekExecutors(let key):
            let (isAnswered, hasMet) = await neighbourhood.seek(key)
            await tell(.executorsSought(key: key, isAnswered: isAnswered, hasMet: hasMet))
        case .lookUp(let peer, let id): await tell(.lookedUp(id, isConnected: await neighbourhood.find(peer)))
        case .fetchManifest(let job, let peer, let addresses, let bytesMax):
            await parts.swarm.addAddresses(addresses, for: peer)
            let block = try? await parts.fetcher.block(job.cid, from: [peer], keep: false)
            await tell(.fact(.manifestFetched(job, block: block.flatMap { $0.count <= bytesMax ? $0 : nil })))
        case .lookUpModule(let module):
            await tell(.fact(.moduleLookedUp(module, isBeyondLimits: await parts.runner.isKnownTooLong(module))))
        case .startRun(let order): await execute(order, tell)
        case .checkReceipt(let order): await check(order, tell)
        case .tryJob(let order): await tryJob(order, tell)
        case .checkRecord(let record):
            parts.tallies.add("records_heard")
            await parts.records.check(record) { finding in
                switch finding {
                case .holds(let evidence): await tell(.fact(.recordChecked(evidence, rater: record.raterDID)))
                case .issuerConvicted(let issuer): await tell(.fact(.issuerConvicted(issuer)))
                }
            }
        case .publishProof(let proof, let block): await publishProof(proof, block)
        case .orderHold(let wish):
            await parts.holds.order(wish) { await tell(.fact(.holdAnswered(wish.jobID, attempt: wish.attempt, $0))) }
        case .lodgeResult(let order):
            await lodging.lodge(order) { await tell(.fact(.resultLodged(order.jobID, statement: $0))) }
        case .fetchOutput(let request): await tell(.outputFetched(request, await output(request)))
        case .measure(let peer):
            guard let milliseconds = await neighbourhood.roundTripMilliseconds(to: peer) else { return }
            await tell(.fact(.latencyMeasured(peer, milliseconds: milliseconds)))
        case .shun(let peer, let milliseconds, let last):
            log.tell(.peerShunned, peer, reason: last, level: .notice)
            await parts.peerService.avoid(peer, milliseconds: milliseconds)
            await parts.swarm.disconnect(peer)
        }
    }

    // MARK: Gossip

    /// Hands a message to gossip; returns the reason if gossip refuses it.
    private func publish(_ message: MeshProtocolMessage, topic: String) async -> String? {
        do {
            let bytes = try message.encoded()
            let bytesMax = MeshProtocolMessage.Limits().gossipBytesMax
            guard bytes.count <= bytesMax else {
                return "the message has \(bytes.count) bytes, at most \(bytesMax) are sent"
            }
            _ = try await parts.gossip.publish(bytes, topic: topic)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Publishes what this node offers, and keeps its block.
    func advertise(_ offer: SignedObject<NodeCapability>) async {
        if !offer.body.offersNothing {
            parts.store.enqueue([.block(cid: offer.cid, bytes: offer.bytes)], urgency: .now) { _ in }
        }
        let message = MeshProtocolMessage.capabilityAdvertisement(CapabilityAdvertisementV1(capability: offer.bytes))
        _ = await publish(message, topic: MeshTopics.capabilities)
    }

    private func publishReceipt(_ receipt: CID, _ block: [UInt8], _ notice: ExecutionReceiptAvailableV1) async {
        _ = await publish(.executionReceiptAvailable(notice), topic: MeshTopics.receipts)
        do {
            // No record is so long: whoever looks for it finds this node as its provider, and asks it for the block.
            if block.count > ReceiptRecord.bytesMax {
                _ = try await parts.dht.provide(receipt)
            } else {
                _ = try await parts.dht.putValue(key: MeshTopics.receiptKey(receipt), value: block)
            }
            parts.tallies.add("receipts_put")
        } catch {
            parts.tallies.add("receipts_not_put")
            parts.logger.info(
                "A receipt was not put into the DHT.", metadata: ["cid": "\(receipt)", "reason": "\(error)"])
        }
    }

    private func publishProof(_ proof: CID, _ block: [UInt8]) async {
        do {
            try await parts.dht.putValue(key: MeshTopics.proofKey(proof), value: block)
            parts.tallies.add("proofs_put")
        } catch {
            parts.tallies.add("proofs_not_put")
            parts.logger.info(
                "A proof of fraud was not put into the DHT.", metadata: ["cid": "\(proof)", "reason": "\(error)"])
        }
    }

    // MARK: Peers

    /// Asks an executor why it does not bid on a job; returns its answer, or that there was none.
    private func inquire(_ job: JobID, _ executor: DID, _ addresses: [Multiaddr]) async -> NodeInput {
        let peer = executor.peerID
        if !parts.swarm.isConnected(peer) { await parts.swarm.addAddresses(addresses, for: peer) }
        do {
            let reply = try await messages.send(.jobInquiry(JobInquiryV1(jobID: job)), to: peer)
            return .inquiryAnswered(job, by: executor, reply)
        } catch {
            // Who is banned there gets through the handshake, and no further.
            return error.isCutOff ? .inquiryFailed(job, by: executor) : .inquiryAnswered(job, by: executor, nil)
        }
    }

    /// Sends a direct message; returns its reply, or why there is none.
    private func deliver(_ delivery: Delivery) async -> NodeInput {
        if !parts.swarm.isConnected(delivery.peer) {
            await parts.swarm.addAddresses(delivery.addresses, for: delivery.peer)
        }
        do {
            return .deliveryReplied(delivery.id, try await messages.send(delivery.message, to: delivery.peer))
        } catch {
            return .deliveryFailed(delivery, reason: "\(error)", isUnreachable: error.isUnreachable)
        }
    }

    /// Fetches one output; a small one goes to the disk with the job's result.
    func output(_ request: OutputRequest) async -> OutputAnswer {
        do {
            if request.mayBeFolder {
                return request.cid.namesFileContent ? try await tree(request) : try await object(request)
            }
            let file = try await parts.fetcher.unkept(request.cid, from: [request.peer], bytesMax: request.bytesMax)
            let bytes = file.arrived.reduce(0) { $0 + $1.bytes.count }
            if bytes <= Self.fetchedBytesHeldMax, parts.store.hasPlentyOfRoom {
                return .here(
                    bytes: file.bytes.count, blocks: file.arrived.map { MadeBlock(cid: $0.cid, bytes: $0.bytes) })
            }
            try await parts.fetcher.keep(file.arrived, of: request.job?.cid)
            return .here(bytes: file.bytes.count, blocks: [])
        } catch {
            let answer = OutputAnswer.missing(error.obstacle)
            if case .missing(mayPass: false) = answer {
                parts.logger.info("An output is missing.", metadata: ["cid": "\(request.cid)", "reason": "\(error)"])
            }
            return answer
        }
    }

    /// Fetches an output that may be a folder, with all that is in it.
    private func tree(_ request: OutputRequest) async throws(FetchError) -> OutputAnswer {
        let heldMax = parts.store.hasPlentyOfRoom ? Self.fetchedBytesHeldMax : 0
        let tree = try await parts.fetcher.tree(
            request.cid, from: [request.peer], bytesMax: UInt64(clamping: request.bytesMax), heldBytesMax: heldMax,
            of: request.job?.cid, until: request.until)
        return .here(
            bytes: Int(clamping: tree.bytes), blocks: tree.held.map { MadeBlock(cid: $0.cid, bytes: $0.bytes) })
    }

    /// Fetches an output that is one block and no file: the list of what was read, or a transcript.
    private func object(_ request: OutputRequest) async throws(FetchError) -> OutputAnswer {
        let found = try await parts.fetcher.located(request.cid, from: [request.peer])
        let bytesMax = min(
            request.bytesMax, max(ReadList.Limits().bytesMax, SessionTerms.Limits.transcriptBytesMax))
        guard found.block.count <= bytesMax else {
            throw .notAFile(request.cid, .blockTooLarge(request.cid, bytesMax: bytesMax))
        }
        guard found.source != nil else { return .here(bytes: found.block.count, blocks: []) }
        if found.block.count <= Self.fetchedBytesHeldMax, parts.store.hasPlentyOfRoom {
            return .here(bytes: found.block.count, blocks: [MadeBlock(cid: request.cid, bytes: found.block)])
        }
        try await parts.fetcher.keep([(request.cid, found.block)], of: request.job?.cid)
        return .here(bytes: found.block.count, blocks: [])
    }

    // MARK: Runs

    /// Checks a receipt of a job of this node.
    private func check(_ order: CheckOrder, _ tell: @escaping @Sendable (NodeInput) async -> Void) async {
        let receipt = order.receipt.cid
        let cancellation = checks.cancellation(of: receipt) ?? ExecutionCancellation()
        let finding = await ReceiptChecker(runner: parts.runner).finding(of: order, cancellation)
        checks.ended(receipt)
        await tell(.fact(.receiptChecked(order.jobID, receipt: receipt, finding)))
    }

    private func tryJob(_ order: TrialOrder, _ tell: @escaping @Sendable (NodeInput) async -> Void) async {
        let assignment = order.assignmentCID
        let cancellation = checks.cancellation(of: assignment) ?? ExecutionCancellation()
        let finding = await ReceiptChecker(runner: parts.runner).finding(of: order, cancellation)
        checks.ended(assignment)
        await tell(.fact(.receiptChecked(order.jobID, receipt: assignment, finding)))
    }

    /// Fetches what an assigned job needs, waits for a place, and runs it.
    private func execute(_ order: ExecutionOrder, _ tell: @escaping @Sendable (NodeInput) async -> Void) async {
        let assignment = order.assignmentCID
        guard let cancellation = runs.cancellation(of: assignment) else { return }
        let originator = order.manifest.originatorPeerID
        await parts.swarm.addAddresses(order.manifest.originatorAddresses, for: originator)
        let port = sessions.port(of: assignment)
        if port == nil, order.manifest.params.session != nil {
            runs.ended(assignment)
            let reason = "the executor restarted, and what its user had typed is gone"
            return await tell(
                .runEnded(assignment: assignment, parts.runner.unbegun(reason).report, blocks: []))
        }
        let run = await parts.runner.run(
            order.manifest, jobID: order.jobID, executor: order.executorDID, from: [originator],
            wallClockMilliseconds: nil, cancellation: cancellation, keep: true, session: port, played: port?.played,
            output: outputs.output(of: assignment)
        ) { bytes in
            await tell(.fact(.blocksFetched(assignment: assignment, bytes: UInt64(bytes))))
        } compiles: { milliseconds in
            await tell(.fact(.moduleCompiles(assignment: assignment, milliseconds: milliseconds)))
        } hasPlace: {
            await tell(.fact(.executionPrepared(assignment: assignment)))
            return await runs.place(of: assignment)
        } workspaceMade: { workspace in
            runs.began(assignment, workspace)
        } progressed: { status in
            await tell(.fact(.executionProgressed(assignment: assignment, status, progressPermille: nil)))
        }
        runs.ended(assignment)
        if !Task.isCancelled { sessions.endedByItself(assignment) }
        outputs.ended(assignment)
        sessions.ended(assignment, isKept: run.report.outcome.isOfItsOwn)
        // A stopping node says nothing about a run that did not end: the restart rule decides about it.
        await tell(.runEnded(assignment: assignment, run.report, blocks: run.blocks))
    }
}

extension ExecutionOutcome {
    /// Whether the run counts, so that no other attempt says anything: one that was cancelled may have been replaced.
    var isOfItsOwn: Bool {
        switch self {
        case .cancelled, .fetchFailed, .nodeFailed: false
        default: true
        }
    }
}

extension FetchError {
    /// What failed, for the core to decide whether a retry may help.
    fileprivate var obstacle: OutputObstacle {
        switch self {
        case .notFound: .notFound
        case .notAFile, .tooMuchAtOnce: .noFile
        case .storage(.full), .storage(.blockSpaceUsedUp): .noRoom
        case .storage: .storageFailed
        }
    }
}
