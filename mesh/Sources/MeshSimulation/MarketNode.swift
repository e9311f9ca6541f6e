public import Determinism
import Economics
public import GossipSub
public import JobMarket
public import MeshTypes
import Multiformats
package import NodeCore
public import OrderedCollections
public import P2PTesting
import PeerIdentity

/// A simulated node: the core of a real one (`NodeCore`), the GossipSub router, a disk that takes its time, and a
/// machine that pretends to run modules. It carries the core's effects out, and decides nothing.
///
/// Direct messages have a stream each and time out; blocks are fetched from their node.
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
        /// Fetches of modules that stall until somebody stops them, of a thousand.
        public var stalledFetchPermille = 20
        /// Runs whose outputs are lost after the receipt was signed, of a thousand.
        public var lostOutputPermille = 20
        /// How long a direct message waits for its answer, in milliseconds.
        public var requestMilliseconds: Int64 = 3000
        /// Between two looks at who is connected and listens, in milliseconds; `nil` for a node that does not look
        /// around, and so never advertises, which makes long rounds cheaper.
        public var lookMilliseconds: Int64? = 1000

        /// A node that only originates.
        public init() {}
    }

    enum Request: Sendable {
        case delivery(Delivery)
        case manifest(JobID)
        case output(OutputRequest)
    }

    struct PendingRequest: Sendable {
        let request: Request
        let node: SimulatedNodeID
        let deadline: MonotonicInstant
    }

    /// A request of another node that waits for its answer.
    struct Asked: Sendable {
        let node: SimulatedNodeID
        let stream: UInt64
    }

    static let connectProtocol = "/sim/connect/1"
    static let gossipProtocol = GossipSubVersion.meshsub11.protocolID
    static let blockProtocol = "/sim/block/1"

    /// The core.
    package private(set) var core: NodeCore
    /// The gossip router.
    public private(set) var gossip: GossipSubRouter
    /// What was handed in here, by the client's key.
    public private(set) var submitted: OrderedDictionary<String, JobID> = [:]
    /// Jobs whose clients were told that they have their results.
    public internal(set) var told: OrderedSet<JobID> = []
    /// What peers are said to have done wrong.
    public internal(set) var blamed: [String] = []
    /// Restarts so far.
    public private(set) var restarts = 0

    let directory: OverlayDirectory
    let identity: Identity
    let setup: Setup
    let seed: UInt64
    var disk = VirtualDisk()
    var machine = MarketFakeMachine()
    /// Runs that are prepared or are being prepared: what is to be fetched, and when that is here.
    var orders: OrderedDictionary<CID, (order: ExecutionOrder, preparedAt: MonotonicInstant?)> = [:]
    var requests: OrderedDictionary<UInt64, PendingRequest> = [:]
    var nextRequest: UInt64 = 1
    var asked: [UInt64: Asked] = [:]
    var askedCount: UInt64 = 0
    var neighbours: OrderedSet<SimulatedNodeID> = []
    private var lookAt: MonotonicInstant?
    private let grant: LedgerEntry

    /// A node that knows nobody.
    public init(_ node: SimulatedNodeID, directory: OverlayDirectory, setup: Setup, seed: UInt64) {
        self.directory = directory
        self.setup = setup
        self.seed = seed &+ UInt64(node.index) &* 0x9E37
        identity = directory.identities[node.index]
        grant = .grant(setup.grant, reference: "start", at: .epoch)
        core = NodeCore(identity: identity, market: Self.market(identity, setup, grant, VirtualDisk()))
        gossip = GossipSubRouter(
            localPeer: identity.peerID, parameters: setup.gossip, firstSequenceNumber: 1, seed: self.seed, now: .zero)
    }

    private static func market(
        _ identity: Identity, _ setup: Setup, _ grant: LedgerEntry, _ disk: VirtualDisk
    ) -> JobMarket {
        // One entry in an empty book always fits.
        let ledger = (try? Ledger(entries: [grant])) ?? Ledger()
        return JobMarket(
            identity: identity, configuration: setup.market, ledger: ledger, lastReceipt: disk.lastReceipt,
            anchorHeads: disk.anchorHeads)
    }

    /// The market of the node.
    public var market: JobMarket { core.market }

    /// The journal as the disk has it.
    public var journal: [JobEvent] { disk.journal }

    /// The node as it comes back after a crash: its journal, its blocks and its neighbours are still there.
    public func rebooted() -> MarketNode {
        var node = self
        var dice = SeededGenerator(seed: seed &+ UInt64(restarts) &+ 1)
        node.disk.powerFailed(survivors: Int(dice.next() % UInt64(disk.waitingCount + 1)))
        var core = NodeCore(identity: identity, market: Self.market(identity, setup, grant, node.disk))
        for event in node.disk.journal {
            do throws(JobEventError) {
                try core.prepare { market throws(JobEventError) in try market.replay(event) }
            } catch {
                preconditionFailure("the journal of \(identity.peerID) does not replay at \(event.kindName): \(error)")
            }
        }
        node.core = core
        node.machine = MarketFakeMachine()
        node.orders = [:]
        node.requests = [:]
        node.asked = [:]
        node.restarts += 1
        return node
    }

    /// The earliest deadline of the core, the router, the disk, the machine and the requests under way.
    public var nextDeadline: MonotonicInstant? {
        let waiting = requests.values.first?.deadline
        let fetched = orders.values.lazy.compactMap(\.preparedAt).min()
        return [
            gossip.nextDeadline, core.nextDeadline, disk.nextDeadline, machine.nextDeadline, waiting, fetched, lookAt,
        ]
        .compactMap { $0 }.min()
    }

    /// Both cores check themselves; and no client was told of a result that the disk has not.
    public func checkInvariants() {
        gossip.checkInvariants()
        core.checkInvariants()
        for job in told {
            precondition(core.market.originatedJob(job)?.result != nil, "\(job) was told of and is lost")
        }
    }

    // MARK: Inputs

    /// After a crash the core takes up where its journal stands, and the router meets its neighbours again.
    public mutating func started(_ context: inout SimulatedContext) {
        lookAt = setup.lookMilliseconds.map { context.now.advanced(milliseconds: $0) }
        guard restarts > 0 else { return }
        gossip = GossipSubRouter(
            localPeer: identity.peerID, parameters: setup.gossip,
            firstSequenceNumber: context.wallClockMilliseconds * 1_000_000, seed: seed &+ UInt64(restarts),
            now: context.now)
        carryOut(core.recover(at: Self.moment(context)), &context)
        join(Array(neighbours), &context)
    }

    static func moment(_ context: SimulatedContext) -> NodeMoment {
        NodeMoment(now: context.now, wallClock: UnixMilliseconds(context.wallClockMilliseconds))
    }

    /// Carries a command out.
    public mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        switch command {
        case .join(let nodes): join(nodes, &context)
        case .submit(let request):
            let nonce = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &context.generator) }
            let (result, effects) = core.submit(request, nonce: nonce, at: Self.moment(context))
            switch result {
            case .success(let job): submitted[request.idempotencyKey] = job.id
            case .failure(let refusal): context.note("refused \(refusal)")
            }
            carryOut(effects, &context)
        case .cancel(let key):
            guard let id = submitted[key] else { return }
            carryOut(core.cancel(id, at: Self.moment(context)).effects, &context)
        }
    }

    /// The deadlines of the cores, the disk, the machine and the requests.
    public mutating func deadlineReached(_ context: inout SimulatedContext) {
        carryOut(gossip.deadlineReached(now: context.now), &context)
        if let number = disk.written(by: context.now) { give(.written(number), &context) }
        if let due = core.wake(now: Self.moment(context)) { carryOut(due, &context) }
        reportRuns(&context)
        while let first = requests.elements.first, first.value.deadline <= context.now {
            requests.removeFirst()
            failed(first.value.request, "no answer", &context)
        }
        if let at = lookAt, let pause = setup.lookMilliseconds, at <= context.now {
            lookAt = context.now.advanced(milliseconds: pause)
            var around = Surroundings()
            around.connectionCount = neighbours.count
            around.listeners = gossip.peers(of: MeshTopics.capabilities)
            around.mayPassOn = !neighbours.isEmpty
            give(.looked(around), &context)
        }
    }

    private mutating func reportRuns(_ context: inout SimulatedContext) {
        for (assignment, entry) in orders where entry.preparedAt.map({ $0 <= context.now }) ?? false {
            orders[assignment]?.preparedAt = nil
            give(.fact(.executionPrepared(assignment: assignment)), &context)
        }
        let wallClock = UnixMilliseconds(context.wallClockMilliseconds)
        for report in machine.due(now: context.now, wallClock: wallClock) {
            switch report {
            case .progressed(let assignment):
                give(
                    .fact(.executionProgressed(assignment: assignment, .running, progressPermille: nil)), &context)
            case .finished(let assignment, let report, let output):
                let block = report.stdoutCID.map { MadeBlock(cid: $0, bytes: output) }
                give(.runEnded(assignment: assignment, report, blocks: block.map { [$0] } ?? []), &context)
            }
        }
    }

    mutating func give(_ input: NodeInput, _ context: inout SimulatedContext) {
        carryOut(core.handle(input, at: Self.moment(context)), &context)
    }

    mutating func join(_ nodes: [SimulatedNodeID], _ context: inout SimulatedContext) {
        for topic in [MeshTopics.jobAnnouncements, MeshTopics.capabilities] {
            carryOut((try? gossip.subscribe(topic, now: context.now)) ?? [], &context)
        }
        for node in nodes {
            neighbours.append(node)
            context.send([0], to: node, protocolID: Self.connectProtocol, channel: .stream(0))
        }
        give(.dialedAtStart, &context)
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
        let (verdict, effects) = core.judge(
            message.data, topic: message.topic, author: message.source, isAuthorConnected: true,
            at: Self.moment(context))
        carryOut(effects, &context)
        switch verdict {
        case .accept: return .accept
        case .ignore: return .ignore
        case .reject(let reason):
            context.note("gossip rejected: \(reason)")
            return .reject
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
