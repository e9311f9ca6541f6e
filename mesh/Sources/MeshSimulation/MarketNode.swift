import Collections
import Determinism
import Economics
import GossipSub
import JobMarket
import MeshTypes
import Multiformats
import P2PTesting
import PeerIdentity

/// A simulated node with the market of a real one: the GossipSub core and the JobMarket core, a virtual disk with a
/// journal, and a machine that pretends to run modules.
///
/// Direct messages have a stream each and time out; blocks are fetched from their node. What the journal was not made
/// to wait for is lost in a crash.
public struct MarketNode: SimulatedNode {
    /// What a scenario can tell the node to do.
    public enum Command: Sendable {
        /// Connect to nodes and join the topics.
        case join([SimulatedNodeID])
        /// Hand a job in.
        case submit(JobRequest)
        /// Cancel the job with this client's key.
        case cancel(key: String)
    }

    /// How a node of a scenario is set up.
    public struct Setup: Sendable {
        /// Everything an operator can set.
        public var market = MarketConfiguration()
        /// The gossip router's parameters.
        public var gossip = GossipSubParameters()
        /// Tokens that the node has at the start.
        public var grant = TokenAmount(1_000_000)
        /// Runs that fail by the node's fault, of a thousand.
        public var nodeFailurePermille = 30
        /// How long a direct message waits for its answer, in milliseconds.
        public var requestMilliseconds: Int64 = 3000

        /// A node that only originates.
        public init() {}
    }

    enum Request: Sendable {
        case delivery(DeliveryID)
        case manifest(JobID)
        case output(JobID, receipt: CID, [CID], until: MonotonicInstant)
    }

    struct PendingRequest: Sendable {
        let request: Request
        let node: SimulatedNodeID
        let deadline: MonotonicInstant
    }

    static let connectProtocol = "/sim/connect/1"
    static let gossipProtocol = GossipSubVersion.meshsub11.protocolID
    static let blockProtocol = "/sim/block/1"

    /// The market.
    public private(set) var market: JobMarket
    /// The gossip router.
    public private(set) var gossip: GossipSubRouter
    /// The journal as the disk has it.
    public private(set) var journal: [JobEvent] = []
    /// What was handed in here, by the client's key.
    public private(set) var submitted: OrderedDictionary<String, JobID> = [:]
    /// Restarts so far.
    public private(set) var restarts = 0

    let directory: OverlayDirectory
    let identity: Identity
    let setup: Setup
    let seed: UInt64
    var machine = MarketFakeMachine()
    /// Jobs that wait for a place to run.
    var orders: [CID: ExecutionOrder] = [:]
    var blocks: OrderedDictionary<CID, [UInt8]> = [:]
    var requests: OrderedDictionary<UInt64, PendingRequest> = [:]
    var nextRequest: UInt64 = 1
    var retries: [(at: MonotonicInstant, request: Request, node: SimulatedNodeID)] = []
    var neighbours: OrderedSet<SimulatedNodeID> = []
    private var unwritten: [JobEvent] = []
    private let grant: LedgerEntry

    /// A node that knows nobody.
    public init(_ node: SimulatedNodeID, directory: OverlayDirectory, setup: Setup, seed: UInt64) {
        self.directory = directory
        self.setup = setup
        self.seed = seed &+ UInt64(node.index) &* 0x9E37
        identity = directory.identities[node.index]
        grant = .grant(setup.grant, reference: "start", at: .epoch)
        market = Self.market(identity, setup, grant)
        gossip = GossipSubRouter(
            localPeer: identity.peerID, parameters: setup.gossip, firstSequenceNumber: 1, seed: self.seed, now: .zero)
    }

    private static func market(_ identity: Identity, _ setup: Setup, _ grant: LedgerEntry) -> JobMarket {
        // One entry in an empty book always fits.
        let ledger = (try? Ledger(entries: [grant])) ?? Ledger()
        return JobMarket(identity: identity, configuration: setup.market, ledger: ledger)
    }

    /// The node as it comes back after a crash: its journal, its blocks and its neighbours are still there.
    public func rebooted() -> MarketNode {
        var node = self
        node.market = Self.market(identity, setup, grant)
        for event in journal {
            do throws(JobEventError) {
                try node.market.replay(event)
            } catch {
                preconditionFailure("the journal of \(identity.peerID) does not replay at \(event.kindName): \(error)")
            }
        }
        node.machine = MarketFakeMachine()
        node.orders = [:]
        node.requests = [:]
        node.retries = []
        node.unwritten = []
        node.restarts += 1
        return node
    }

    /// The earliest deadline of the cores, the machine and the requests under way.
    public var nextDeadline: MonotonicInstant? {
        let waiting = requests.values.first?.deadline
        return [gossip.nextDeadline, market.nextDeadline, machine.nextDeadline, waiting, retries.map(\.at).min()]
            .compactMap { $0 }.min()
    }

    /// Both cores check themselves.
    public func checkInvariants() {
        gossip.checkInvariants()
        market.checkInvariants()
    }

    // MARK: Inputs

    /// After a crash the market takes up where its journal stands, and the gossip router meets its neighbours again.
    public mutating func started(_ context: inout SimulatedContext) {
        guard restarts > 0 else { return }
        gossip = GossipSubRouter(
            localPeer: identity.peerID, parameters: setup.gossip,
            firstSequenceNumber: context.wallClockMilliseconds * 1_000_000, seed: seed &+ UInt64(restarts),
            now: context.now)
        carryOut(
            market.recover(now: context.now, wallClock: UnixMilliseconds(context.wallClockMilliseconds)), &context)
        join(Array(neighbours), &context)
    }

    /// Carries a command out.
    public mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        let wallClock = UnixMilliseconds(context.wallClockMilliseconds)
        switch command {
        case .join(let nodes): join(nodes, &context)
        case .submit(let request):
            let nonce = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &context.generator) }
            switch market.submit(request, nonce: nonce, now: context.now, wallClock: wallClock) {
            case .success(let result):
                submitted[request.idempotencyKey] = result.id
                carryOut(result.transition, &context)
            case .failure(let refusal): context.note("refused \(refusal)")
            }
        case .cancel(let key):
            guard let id = submitted[key] else { return }
            let result = market.cancel(id, reason: "no longer needed", now: context.now, wallClock: wallClock)
            if case .success(let transition) = result { carryOut(transition, &context) }
        }
    }

    /// The deadlines of the cores, the machine and the requests.
    public mutating func deadlineReached(_ context: inout SimulatedContext) {
        carryOut(gossip.deadlineReached(now: context.now), &context)
        if let next = market.nextDeadline, next <= context.now { give(.deadlineReached, &context) }
        let wallClock = UnixMilliseconds(context.wallClockMilliseconds)
        for report in machine.due(now: context.now, wallClock: wallClock) {
            switch report {
            case .progressed(let assignment):
                give(.executionProgressed(assignment: assignment, .running, progressPermille: nil), &context)
            case .finished(let assignment, let report, let output):
                if let cid = report.stdoutCID { blocks[cid] = output }
                give(.executionFinished(assignment: assignment, report), &context)
            }
        }
        while let first = requests.elements.first, first.value.deadline <= context.now {
            requests.removeFirst()
            failed(first.value.request, first.value.node, &context)
        }
        let due = retries.filter { $0.at <= context.now }
        retries.removeAll { $0.at <= context.now }
        for retry in due { send(retry.request, to: retry.node, &context) }
    }

    mutating func give(_ input: MarketInput, _ context: inout SimulatedContext) {
        carryOut(
            market.handle(input, now: context.now, wallClock: UnixMilliseconds(context.wallClockMilliseconds)), &context
        )
    }

    /// Gives a direct message to the market.
    mutating func reply(
        to message: MeshProtocolMessage, from peer: PeerID, _ context: inout SimulatedContext
    ) -> MeshProtocolReply {
        let (reply, transition) = market.receive(
            message, from: peer, now: context.now, wallClock: UnixMilliseconds(context.wallClockMilliseconds))
        carryOut(transition, &context)
        return reply
    }

    /// Writes the journal, then carries the actions out: the order that the market asks of every shell.
    private mutating func carryOut(_ transition: MarketTransition, _ context: inout SimulatedContext) {
        for block in transition.blocks { blocks[block.cid] = block.bytes }
        unwritten += transition.events
        if transition.needsDurability || transition.acknowledges || unwritten.count > 32 {
            journal += unwritten
            unwritten = []
        }
        for event in transition.events { context.note("\(event.role.rawValue) \(event.kindName) \(event.jobID.short)") }
        for action in transition.actions { carryOut(action, &context) }
    }

    mutating func join(_ nodes: [SimulatedNodeID], _ context: inout SimulatedContext) {
        carryOut((try? gossip.subscribe(MeshTopics.jobAnnouncements, now: context.now)) ?? [], &context)
        for node in nodes {
            neighbours.append(node)
            context.send([0], to: node, protocolID: Self.connectProtocol, channel: .stream(0))
        }
    }

    // MARK: Gossip

    mutating func carryOut(_ actions: [GossipSubAction], _ context: inout SimulatedContext) {
        for action in actions {
            switch action {
            case .send(let rpc, let recipients):
                let bytes = GossipSubCodec.encode(rpc)
                for recipient in recipients {
                    guard let node = directory.node(recipient) else { continue }
                    context.send(bytes, to: node, protocolID: Self.gossipProtocol, channel: .stream(0))
                }
            case .validate(let message, _):
                let verdict = judge(message, &context)
                carryOut(gossip.validated(message.id, verdict, now: context.now), &context)
            case .deliver: break
            case .resetStream(let peer, let error): context.note("reset \(peer) \(error)")
            }
        }
    }

    private mutating func judge(_ message: GossipMessage, _ context: inout SimulatedContext) -> GossipVerdict {
        guard let decoded = try? MeshProtocolMessage.decode(message.data) else { return .reject }
        let (verdict, transition) = market.judge(
            decoded, author: message.source, now: context.now,
            wallClock: UnixMilliseconds(context.wallClockMilliseconds))
        carryOut(transition, &context)
        switch verdict {
        case .accept: return .accept
        case .reject(let reason):
            context.note("gossip rejected: \(reason)")
            return .reject
        case .ignore: return .ignore
        }
    }

    mutating func publish(_ message: MeshProtocolMessage, topic: String, _ context: inout SimulatedContext) -> String? {
        do {
            let data = try message.encoded()
            let sent = try gossip.publish(data, topic: topic, identity: identity, now: context.now)
            carryOut(sent.actions, &context)
            return gossip.peers(of: topic).isEmpty ? "nobody follows the topic" : nil
        } catch {
            return "\(error)"
        }
    }

    mutating func connected(_ node: SimulatedNodeID, isOutbound: Bool, _ context: inout SimulatedContext) {
        let peer = directory.peer(node)
        neighbours.append(node)
        // A neighbour that comes back after a crash has forgotten its meshes.
        gossip.disconnected(peer, now: context.now)
        carryOut(gossip.connected(peer, version: .meshsub11, isOutbound: isOutbound, now: context.now), &context)
    }

    mutating func gossipArrived(_ bytes: [UInt8], from sender: SimulatedNodeID, _ context: inout SimulatedContext) {
        carryOut(gossip.received(bytes, from: directory.peer(sender), now: context.now), &context)
    }

    mutating func gossipStreamFailed(_ node: SimulatedNodeID, _ context: inout SimulatedContext) {
        carryOut(gossip.streamReopened(directory.peer(node), now: context.now), &context)
    }
}
