import Determinism
import JobMarket
import MeshTypes
import Multiformats
import P2PTesting

extension MarketNode {
    /// Carries out what the market decided.
    mutating func carryOut(_ action: MarketAction, _ context: inout SimulatedContext) {
        switch action {
        case .announce(let id, let announcement):
            let error = publish(.jobAnnouncement(announcement), topic: MeshTopics.jobAnnouncements, &context)
            give(error.map { .announcementFailed(id, reason: $0) } ?? .announcementPublished(id), &context)
        case .deliver(let delivery):
            guard let node = directory.node(delivery.peer), let bytes = try? delivery.message.encoded() else { return }
            send(.delivery(delivery.id), [0] + bytes, MeshTopics.directMessages, to: node, &context)
        case .gossip(_, _, let job): if let job { give(.anchorPublished(job), &context) }
        case .fetchManifest(let id, let peer, _, _):
            if let node = directory.node(peer) { send(.manifest(id), to: node, &context) }
        case .lookUpModule(let module): give(.moduleLookedUp(module, isBeyondLimits: false), &context)
        case .fetchInputs(let order):
            orders[order.assignmentCID] = order
            give(.executionPrepared(assignment: order.assignmentCID), &context)
        case .execute(let assignment):
            guard let order = orders.removeValue(forKey: assignment) else { return }
            var dice = context.generator
            machine.start(
                order, now: context.now, wallClock: UnixMilliseconds(context.wallClockMilliseconds),
                nodeFailurePermille: setup.nodeFailurePermille, dice: &dice)
            context.generator = dice
        case .cancelExecution(let assignment, _):
            if let order = orders.removeValue(forKey: assignment) {
                let now = UnixMilliseconds(context.wallClockMilliseconds)
                let report = ExecutionReport(outcome: .cancelled, startedAt: now, endedAt: now)
                give(.executionFinished(assignment: order.assignmentCID, report), &context)
            } else {
                machine.cancel(assignment, now: context.now)
            }
        case .fetchOutputs(let id, let receipt, let peer, let cids, let milliseconds):
            guard let node = directory.node(peer) else { return }
            let until = context.now.advanced(milliseconds: milliseconds)
            send(.output(id, receipt: receipt, cids, until: until), to: node, &context)
        case .publishReceipt: break
        case .jobEnded(let id, let status): context.note("ended \(id.short) \(status.rawValue)")
        }
    }

    // MARK: Messages

    /// Bytes for the router, a direct message or its answer, a request for a block or the block.
    public mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        switch message.protocolID {
        case Self.connectProtocol:
            connected(sender, isOutbound: message.bytes == [1], &context)
            if message.bytes == [0] {
                context.send([1], to: sender, protocolID: Self.connectProtocol, channel: .stream(0))
            }
        case Self.gossipProtocol: gossipArrived(message.bytes, from: sender, &context)
        default:
            guard case .stream(let number) = message.channel, let kind = message.bytes.first else { return }
            let body = Array(message.bytes.dropFirst())
            if kind == 0 {
                answer(body, message.protocolID, number, from: sender, &context)
            } else if let pending = requests.removeValue(forKey: number) {
                answered(pending, body, &context)
            }
        }
    }

    /// A stream failed: dials are tried again, gossip opens its stream anew, requests are failed; the loss of an answer
    /// is for the asker's clock to find out.
    public mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        switch message.protocolID {
        case Self.connectProtocol: context.send(message, to: node)
        case Self.gossipProtocol: gossipStreamFailed(node, &context)
        default:
            guard case .stream(let number) = message.channel, message.bytes.first == 0 else { return }
            guard let pending = requests.removeValue(forKey: number) else { return }
            failed(pending.request, pending.node, &context)
        }
    }

    private mutating func answer(
        _ body: [UInt8], _ protocolID: String, _ number: UInt64, from sender: SimulatedNodeID,
        _ context: inout SimulatedContext
    ) {
        var answer: [UInt8]
        if protocolID == Self.blockProtocol {
            answer = (try? CID(bytes: body)).flatMap { blocks[$0] } ?? []
        } else {
            guard let message = try? MeshProtocolMessage.decode(body) else { return context.note("malformed message") }
            answer = (try? reply(to: message, from: directory.peer(sender), &context).encoded()) ?? []
        }
        answer.insert(1, at: 0)
        context.send(answer, to: sender, protocolID: protocolID, channel: .stream(number))
    }

    private mutating func answered(_ pending: PendingRequest, _ body: [UInt8], _ context: inout SimulatedContext) {
        switch pending.request {
        case .delivery(let id):
            if let reply = try? MeshProtocolReply.decode(body) {
                give(.deliveryReplied(id, reply), &context)
            } else {
                give(.deliveryFailed(id, reason: "malformed answer"), &context)
            }
        case .manifest(let id): give(.manifestFetched(id, block: body.isEmpty ? nil : body), &context)
        case .output(let id, let receipt, let cids, _):
            guard let cid = cids.first, cid.matches(body) else {
                return failed(pending.request, pending.node, &context)
            }
            blocks[cid] = body
            let rest = Array(cids.dropFirst())
            if rest.isEmpty {
                give(.outputsFetched(id, receipt: receipt, missing: []), &context)
            } else if case .output(_, _, _, let until) = pending.request {
                send(.output(id, receipt: receipt, rest, until: until), to: pending.node, &context)
            }
        }
    }

    /// A request was lost: the market decides about its messages; blocks are asked for again until their time is over.
    mutating func failed(_ request: Request, _ node: SimulatedNodeID, _ context: inout SimulatedContext) {
        switch request {
        case .delivery(let id): give(.deliveryFailed(id, reason: "lost"), &context)
        case .manifest(let id): give(.manifestFetched(id, block: nil), &context)
        case .output(let id, let receipt, let cids, let until):
            let next = context.now.advanced(milliseconds: 500)
            if next < until {
                retries.append((next, request, node))
            } else {
                give(.outputsFetched(id, receipt: receipt, missing: cids), &context)
            }
        }
    }

    mutating func send(_ request: Request, to node: SimulatedNodeID, _ context: inout SimulatedContext) {
        let cid: CID?
        switch request {
        case .manifest(let id): cid = id.cid
        case .output(_, _, let cids, _): cid = cids.first
        case .delivery: cid = nil
        }
        if let cid { send(request, [0] + cid.bytes, Self.blockProtocol, to: node, &context) }
    }

    private mutating func send(
        _ request: Request, _ bytes: [UInt8], _ protocolID: String, to node: SimulatedNodeID,
        _ context: inout SimulatedContext
    ) {
        let number = nextRequest
        nextRequest += 1
        requests[number] = PendingRequest(
            request: request, node: node, deadline: context.now.advanced(milliseconds: setup.requestMilliseconds))
        context.send(bytes, to: node, protocolID: protocolID, channel: .stream(number))
    }
}
