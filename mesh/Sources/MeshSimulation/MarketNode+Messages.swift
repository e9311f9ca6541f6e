import Determinism
import JobMarket
import MeshTypes
import Multiformats
import NodeCore
import OrderedCollections
import P2PTesting
import Receipts
import SignedObjects

extension MarketNode {
    /// Carries out what the core decided.
    mutating func carryOut(_ effects: [NodeEffect], _ context: inout SimulatedContext) {
        for effect in effects { carryOut(effect, &context) }
    }

    private mutating func carryOut(_ effect: NodeEffect, _ context: inout SimulatedContext) {
        switch effect {
        case .write(let write):
            for event in write.events {
                context.note("\(event.role.rawValue) \(event.kindName) \(event.jobID.short)")
                knowledge.learn(from: event)
            }
            disk.take(write, now: context.now, dice: &context.generator)
        case .writeFaults: give(.faultsWritten, &context)
        case .pruneBids(let date): disk.pruneBids(before: date)
        case .answer(let request, let reply): answer(request, reply, &context)
        case .tell(let event): tell(event, &context)
        case .errand(let errand): begin(errand, &context)
        case .letRun(let assignment):
            guard let order = orders.removeValue(forKey: assignment)?.order else { return }
            machine.start(
                order, as: setup, knowing: knowledge, now: context.now, wallClock: calendar(context),
                dice: &context.generator)
        case .stopRun(let assignment): stop(assignment, &context)
        case .stopCheck(let receipt): checks[receipt]?.endsAt = context.now
        case .holdRuns: break
        // Its public jobs do with direct messages, as those of a node that follows as many topics as it may.
        case .joinTopic, .leaveTopic: break
        case .declined: break
        case .misbehaved(_, let what):
            // Who ends many jobs at once asks for many assignments that never arrived. Shunned he must not be.
            if !what.hasPrefix(RefusalName.assignmentUnknown.rawValue) { blamed.append(what) }
        case .warnOfClock(let offset): context.note("the clock is off by \(offset)")
        case .leave: context.note("left")
        }
    }

    private mutating func begin(_ errand: NodeErrand, _ context: inout SimulatedContext) {
        switch errand {
        case .announce(let id, let announcement):
            let error = publish(.jobAnnouncement(announcement), topic: MeshTopics.jobAnnouncements, &context)
            give(
                .fact(error.map { .announcementFailed(id, reason: $0) } ?? .announcementPublished(id)), &context)
        case .publishHeads(_, let jobs): give(.headsPublished(of: jobs), &context)
        case .publish(let message, let topic): _ = publish(message, topic: topic, &context)
        case .publishReceipt(_, _, let notice):
            guard setup.publishesReceipts else { return }
            _ = publish(.executionReceiptAvailable(notice), topic: MeshTopics.receipts, &context)
        case .advertise(let offer):
            let message = MeshProtocolMessage.capabilityAdvertisement(
                CapabilityAdvertisementV1(capability: offer.bytes))
            _ = publish(message, topic: MeshTopics.capabilities, &context)
        case .deliver(let delivery): deliver(delivery, &context)
        case .inquire(let id, let executor, let addresses): inquire(id, executor, addresses, &context)
        // The directory of simulated nodes knows peers alone.
        case .seekExecutors(let key):
            give(.executorsSought(key: key, isAnswered: true, hasMet: false), &context)
        case .lookUp(let peer, let id): lookUp(peer, for: id, &context)
        case .fetchManifest(let id, let peer, let addresses, _):
            ask(.manifest(id), of: peer, at: addresses, [0] + id.cid.bytes, Self.blockProtocol, &context)
        case .lookUpModule(let module): give(.fact(.moduleLookedUp(module, isBeyondLimits: false)), &context)
        case .startRun(let order): start(order, &context)
        case .checkReceipt(let order):
            let milliseconds = MarketFakeMachine.replayMilliseconds(of: order, as: setup)
            checks[order.receipt.cid] = (
                order.jobID, MarketFakeMachine.finding(of: order), context.now.advanced(milliseconds: milliseconds)
            )
        case .tryJob(let order):
            let work = order.manifest.work(of: order.jobID)
            let milliseconds = setup.runMilliseconds ?? MarketFakeMachine.result(of: work).milliseconds
            let finding = setup.brokenBy.map { ReplayFinding.notMade(reason: "\($0)") }
            checks[order.assignmentCID] = (
                order.jobID, finding ?? .claimRefuted(reason: "it runs here"),
                context.now.advanced(milliseconds: milliseconds)
            )
        case .publishProof: break
        // Simulated nodes pay by tokens; their issuers are in a scenario of their own.
        case .orderHold, .lodgeResult, .checkRecord: break
        case .fetchOutput(let request):
            if let block = disk[request.cid] {
                return give(.outputFetched(request, .here(bytes: block.count, blocks: [])), &context)
            }
            ask(.output(request), of: request.peer, at: [], [0] + request.cid.bytes, Self.blockProtocol, &context)
        case .measure(let peer): give(.fact(.latencyMeasured(peer, milliseconds: 20)), &context)
        case .shun(let peer, let milliseconds, let last):
            blamed.append("shunned: \(last)")
            host.shun(peer, milliseconds: milliseconds, &context)
            followHost(&context)
        }
    }

    /// Reports the checks that are over.
    mutating func reportChecks(_ context: inout SimulatedContext) {
        for (receipt, check) in checks where check.endsAt <= context.now {
            checks[receipt] = nil
            let isLost = Int(context.generator.next() % 1000) < setup.failedCheckPermille
            let finding = isLost ? .notMade(reason: "the machine is busy") : check.finding
            give(.fact(.receiptChecked(check.job, receipt: receipt, finding)), &context)
        }
    }

    private mutating func tell(_ event: JobEvent, _ context: inout SimulatedContext) {
        switch event.kind {
        case .resultReached, .failed, .cancelled:
            context.note("told \(event.jobID.short) \(event.kindName)")
            promises.told(event.jobID)
            jobEnded(event.jobID, &context)
        default: break
        }
    }

    /// Fetches what a run needs, which takes a while, or for ever.
    private mutating func start(_ order: ExecutionOrder, _ context: inout SimulatedContext) {
        let isStalled =
            Int(context.generator.next() % 1000) < setup.stalledFetchPermille
            || setup.stalledModules.contains(order.manifest.params.wasmCID)
        let milliseconds = 1 + Int64(context.generator.next() % 60)
        orders[order.assignmentCID] = (order, isStalled ? nil : context.now.advanced(milliseconds: milliseconds))
    }

    private mutating func stop(_ assignment: CID, _ context: inout SimulatedContext) {
        guard orders.removeValue(forKey: assignment) != nil else {
            return machine.cancel(assignment, now: context.now)
        }
        let now = calendar(context)
        let report = ExecutionReport(outcome: .cancelled, startedAt: now, endedAt: now)
        give(.runEnded(assignment: assignment, report, blocks: []), &context)
    }

    private mutating func deliver(_ delivery: Delivery, _ context: inout SimulatedContext) {
        guard let bytes = try? delivery.message.encoded() else { return }
        ask(
            .delivery(delivery), of: delivery.peer, at: delivery.addresses, [0] + bytes, MeshTopics.directMessages,
            &context)
        // Once the receipt leaves, only the disk has the outputs.
        if delivery.id.kind == .receipt, Int(context.generator.next() % 1000) < setup.lostOutputPermille,
            let output = market.executedJob(delivery.id.jobID)?.receipt?.stdoutCID
        {
            context.note("lost an output of \(delivery.id.jobID.short)")
            disk.lose(output)
            lostOutputs.insert(output)
        }
    }

    private mutating func inquire(
        _ job: JobID, _ executor: DID, _ addresses: [Multiaddr], _ context: inout SimulatedContext
    ) {
        guard let bytes = try? MeshProtocolMessage.jobInquiry(JobInquiryV1(jobID: job)).encoded() else { return }
        ask(
            .inquiry(job, executor), of: executor.peerID, at: addresses, [0] + bytes, MeshTopics.directMessages,
            &context)
    }

    // MARK: Messages

    mutating func questionArrived(
        _ body: [UInt8], _ protocolID: String, _ number: UInt64, over connection: VirtualConnectionID,
        _ context: inout SimulatedContext
    ) {
        guard let peer = host.peer(of: connection) else { return }
        if protocolID == Self.blockProtocol {
            let block = (try? CID(bytes: body)).flatMap { disk[$0] } ?? []
            return context.send([1] + block, over: connection, protocolID: protocolID, channel: .stream(number))
        }
        askedCount += 1
        asked[askedCount] = Asked(connection: connection, stream: number, message: body)
        give(.message(body, from: peer, roundTripMilliseconds: nil, request: askedCount), &context)
    }

    private mutating func answer(_ request: UInt64, _ reply: MeshProtocolReply, _ context: inout SimulatedContext) {
        guard let asker = asked.removeValue(forKey: request), let bytes = try? reply.encoded() else { return }
        if reply == .ack, let message = try? MeshProtocolMessage.decode(asker.message) {
            promises.acknowledged(message, core.market)
        }
        if case .refused(let refusal) = reply, refusal.code == .known(.secondReceipt) {
            blamed.append("two receipts of one assignment")
        }
        context.send(
            [1] + bytes, over: asker.connection, protocolID: MeshTopics.directMessages, channel: .stream(asker.stream))
    }

    mutating func answered(_ pending: PendingRequest, _ body: [UInt8], _ context: inout SimulatedContext) {
        switch pending.request {
        case .delivery(let delivery):
            if let reply = try? MeshProtocolReply.decode(body) {
                give(.deliveryReplied(delivery.id, reply), &context)
            } else {
                give(.deliveryFailed(delivery, reason: "malformed answer", isUnreachable: false), &context)
            }
        case .inquiry(let job, let executor):
            give(.inquiryAnswered(job, by: executor, try? MeshProtocolReply.decode(body)), &context)
        case .manifest(let id): give(.fact(.manifestFetched(id, block: body.isEmpty ? nil : body)), &context)
        case .output(let request):
            let isHere = !body.isEmpty && request.cid.matches(body)
            let blocks = [MadeBlock(cid: request.cid, bytes: body)]
            give(
                .outputFetched(
                    request, isHere ? .here(bytes: body.count, blocks: blocks) : .missing(mayPass: true)), &context)
        }
    }

    /// Reports a lost request, with a reason or, if the peer was unreachable, without one.
    mutating func failed(_ request: Request, _ reason: String?, _ context: inout SimulatedContext) {
        switch request {
        case .delivery(let delivery):
            give(
                .deliveryFailed(delivery, reason: reason ?? "not reached", isUnreachable: reason == nil), &context)
        case .inquiry(let job, let executor):
            give(
                reason == nil ? .inquiryFailed(job, by: executor) : .inquiryAnswered(job, by: executor, nil), &context)
        case .manifest(let id): give(.fact(.manifestFetched(id, block: nil)), &context)
        case .output(let request): give(.outputFetched(request, .missing(mayPass: true)), &context)
        }
    }
}
