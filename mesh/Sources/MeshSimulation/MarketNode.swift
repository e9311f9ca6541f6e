package import Determinism
import Economics
package import GossipSub
package import JobMarket
import MerkleLog
package import MeshTypes
package import Multiformats
package import NodeCore
package import OrderedCollections
package import P2PTesting
import PeerIdentity
import Receipts
package import Reputation
import SignedObjects
package import Workflows

/// A simulated node: the core of a real one (`NodeCore`), the GossipSub router, the cores that keep it connected
/// (`SimulatedHost`), a disk that takes its time, and a machine that pretends to run modules. It carries out the cores'
/// effects, and decides nothing.
///
/// Everything travels over connections that the host made. Direct messages have a stream each and time out; blocks are
/// fetched from their node.
package struct MarketNode: SimulatedNode {
    /// What a scenario can tell the node to do.
    package enum Command: Sendable {
        /// Join the topics, and stay connected to whoever is at these addresses.
        case join([Multiaddr])
        /// Submit a job.
        case submit(JobRequest)
        /// Cancel the job with this client's key.
        case cancel(key: String)
        /// Begin a workflow; the same key is the same workflow.
        case begin(WorkflowDefinition, key: String)
        /// Cancel a workflow, or have what failed of it run again.
        case order(PlanEvent, key: String)
        /// Set the calendar, by so many milliseconds.
        case setCalendar(Int64)
    }

    /// How a node of a scenario is set up.
    package struct Setup: Sendable {
        /// Everything an operator can set.
        package var market = MarketConfiguration()
        /// The gossip router's parameters.
        package var gossip = GossipSubParameters()
        /// Tokens that the node has at the start.
        package var grant = TokenAmount(1_000_000)
        /// Runs that fail by the node's fault, of a thousand.
        package var nodeFailurePermille = 30
        /// How a node lies about what it runs; nil for an honest one.
        package var cheat: MarketCheat?
        /// Results of it that were checked and right before, as it knows.
        package var rightBefore: UInt64 = 0
        /// What the node found of executors before.
        package var records = TrackRecords()
        /// Their names with it.
        package var reputation = ReputationBook()
        /// Whether it forgets jobs soon after they are closed, so that it cannot say whether it kept its promises.
        package var forgetsClosed = false
        /// Whether it tells everybody of the receipts that it signed, as real nodes do; few listen here.
        package var publishesReceipts = false
        /// Checks of receipts that this node cannot make, of a thousand.
        package var failedCheckPermille = 0
        /// How every run ends on a node that is broken.
        package var brokenBy: ExecutionOutcome?
        /// How long a run takes, in milliseconds; `nil` if the job decides.
        package var runMilliseconds: Int64?
        /// Fetches of modules that stall until somebody stops them, of a thousand.
        package var stalledFetchPermille = 20
        /// Modules that never come.
        package var stalledModules: Set<CID> = []
        /// Lookups in the DHT that find nobody, of a thousand.
        package var failedLookUpPermille = 100
        /// Runs whose outputs are lost after the receipt was signed, of a thousand.
        package var lostOutputPermille = 20
        /// How long a direct message waits for its answer, in milliseconds.
        package var requestMilliseconds: Int64 = 10_000
        /// The time without an answer after which its connection has to prove that it is alive, in milliseconds.
        package var doubtMilliseconds: Int64 = 2000
        /// The time between two checks of who is connected and listens, in milliseconds; `nil` for a node that does not
        /// check, and so never advertises, which makes long rounds cheaper.
        package var lookMilliseconds: Int64? = 1000

        /// A node that only originates.
        package init() {}
    }

    enum Request: Sendable {
        case delivery(Delivery)
        case inquiry(JobID, DID)
        case manifest(JobID)
        case output(OutputRequest)
    }

    struct PendingRequest: Sendable {
        let request: Request
        let peer: PeerID
        let message: SimulatedMessage
        /// `nil` while its peer is dialed.
        var connection: VirtualConnectionID?
        var doubtAt: MonotonicInstant?
        let deadline: MonotonicInstant
    }

    /// A request of another node that waits for its answer.
    struct Asked: Sendable {
        let connection: VirtualConnectionID
        let stream: UInt64
        let message: [UInt8]
    }

    /// What an input may have changed.
    struct Touched: OptionSet, Sendable {
        let rawValue: Int
        static let core = Touched(rawValue: 1)
        static let gossip = Touched(rawValue: 2)
        static let host = Touched(rawValue: 4)
    }

    static let gossipProtocol = GossipSubVersion.meshsub11.protocolID
    static let blockProtocol = "/sim/block/1"

    /// The core.
    package private(set) var core: NodeCore
    /// The gossip router.
    package internal(set) var gossip: GossipSubRouter
    /// Who the node is connected to.
    var host: SimulatedHost
    /// What was handed in here, by the client's key; also the jobs of workflows.
    package private(set) var submitted: OrderedDictionary<String, JobID> = [:]
    /// The workflows that were handed in here.
    var workflows: SimulatedWorkflows
    /// What others rely on.
    var promises = Promises()
    /// Jobs of which an output was lost here.
    var lostOutputs: Set<CID> = []
    /// What peers are said to have done wrong.
    package internal(set) var blamed: [String] = []
    /// Restarts so far.
    package private(set) var restarts = 0

    let directory: OverlayDirectory
    let identity: Identity
    let setup: Setup
    let seed: UInt64
    var disk = VirtualDisk()
    var machine = MarketFakeMachine()
    /// Runs prepared or being prepared: what to fetch, and when it arrives.
    var orders: OrderedDictionary<CID, (order: ExecutionOrder, preparedAt: MonotonicInstant?)> = [:]
    /// Receipts that are being checked, and when that is over.
    var checks: OrderedDictionary<CID, (job: JobID, finding: ReplayFinding, endsAt: MonotonicInstant)> = [:]
    /// What it knows of cheating, its own or others'.
    var knowledge = MarketCheat.Knowledge()
    var requests: OrderedDictionary<UInt64, PendingRequest> = [:]
    var nextRequest: UInt64 = 1
    var asked: [UInt64: Asked] = [:]
    var askedCount: UInt64 = 0
    /// The connections of the streams on which gossip goes out.
    var gossipStreams: [PeerID: VirtualConnectionID] = [:]
    /// Peers that are looked for in the DHT.
    var searches: OrderedDictionary<PeerID, Search> = [:]
    var touched: Touched = []
    /// Whom it stays connected to.
    private(set) var bootstrap: [Multiaddr] = []
    private var calendarMilliseconds: Int64 = 0
    private var lookAt: MonotonicInstant?
    private var remembered: [PeerID] = []
    private let grant: LedgerEntry

    /// A node that knows nobody.
    package init(_ node: SimulatedNodeID, directory: OverlayDirectory, setup: Setup, seed: UInt64) {
        self.directory = directory
        self.setup = setup
        self.seed = seed &+ UInt64(node.index) &* 0x9E37
        identity = directory.identities[node.index]
        knowledge.right = setup.rightBefore
        grant = .grant(setup.grant, reference: "start", at: .epoch)
        host = SimulatedHost(directory: directory, localPeer: identity.peerID)
        workflows = SimulatedWorkflows(identity)
        core = NodeCore(identity: identity, market: Self.market(identity, setup, grant, VirtualDisk()))
        gossip = GossipSubRouter(
            localPeer: identity.peerID, parameters: setup.gossip, firstSequenceNumber: 1, seed: self.seed, now: .zero)
    }

    private static func market(
        _ identity: Identity, _ setup: Setup, _ grant: LedgerEntry, _ disk: VirtualDisk
    ) -> JobMarket {
        // One entry in an empty book always fits.
        let ledger = (try? Ledger(entries: [grant])) ?? Ledger()
        let (reputation, payers) = disk.books(after: setup.reputation)
        return JobMarket(
            identity: identity, configuration: setup.market, ledger: ledger, reputation: reputation,
            payers: payers, records: setup.records, lastReceipt: disk.lastReceipt, anchorHeads: disk.anchorHeads,
            log: disk.log)
    }

    /// The market of the node.
    package var market: JobMarket { core.market }

    /// The journal on the disk.
    package var journal: [JobEvent] { disk.journal }

    /// The node as it comes back after a crash: its journal, its blocks and the addresses of peers are still there.
    package func rebooted() -> MarketNode {
        var node = self
        var dice = SeededGenerator(seed: seed &+ UInt64(restarts) &+ 1)
        node.disk.powerFailed(survivors: Int(dice.next() % UInt64(disk.waitingCount + 1)))
        node.core = replayed(from: node.disk)
        node.workflows = SimulatedWorkflows(identity, on: node.disk)
        node.machine = MarketFakeMachine()
        node.orders = [:]
        node.checks = [:]
        node.requests = [:]
        node.asked = [:]
        node.gossipStreams = [:]
        node.searches = [:]
        node.host = SimulatedHost(directory: directory, localPeer: identity.peerID)
        for (peer, addresses) in host.remembered() { node.host.recall(addresses, for: peer) }
        node.remembered = host.remembered().map(\.peer)
        node.restarts += 1
        return node
    }

    /// The core that a start makes of a disk: journal by journal, as the store gives them.
    private func replayed(from disk: VirtualDisk) -> NodeCore {
        var core = NodeCore(identity: identity, market: Self.market(identity, setup, grant, disk))
        for journal in disk.journals {
            for event in journal.events {
                do throws(JobEventError) {
                    try core.prepare { market throws(JobEventError) in try market.replay(event) }
                } catch {
                    preconditionFailure(
                        "the journal of \(identity.peerID) does not replay at \(event.kindName): \(error)")
                }
            }
        }
        return core
    }

    /// What this node would not know, or know otherwise, if it were started from all that it gave to its disk.
    package var forgotten: [String] {
        var whole = disk
        whole.powerFailed(survivors: whole.waitingCount)
        let (now, then) = (market, replayed(from: whole).market)
        var findings: [String] = []
        for journal in whole.journals {
            let isSame =
                switch journal.role {
                case .originator: then.originatedJob(journal.job) == now.originatedJob(journal.job)
                // Not every bid is written.
                case .executor:
                    now.executedJob(journal.job)?.assignmentCID == nil
                        || then.executedJob(journal.job) == now.executedJob(journal.job)
                }
            if !isSame { findings.append("\(journal.job.short) as \(journal.role.rawValue)") }
        }
        if then.lastReceipt != now.lastReceipt { findings.append("the receipt signed last") }
        if then.anchorHeads != now.anchorHeads { findings.append("the heads of the anchored DAG") }
        if then.log != now.log { findings.append("its log") }
        if then.reputation != now.reputation { findings.append("what executors did") }
        if then.payers != now.payers { findings.append("how originators paid") }
        findings += workflows.forgotten(on: whole)
        if then.ledger.accounts.map(\.balance) != now.ledger.accounts.map(\.balance) { findings.append("balances") }
        return findings.map { "a start would not know \($0)" }
    }

    /// The earliest deadline of the core, the router, the disk, the machine and the requests under way.
    package var nextDeadline: MonotonicInstant? {
        let waiting = requests.values.lazy.map { min($0.deadline, $0.doubtAt ?? .distantFuture) }.min()
        let found = searches.values.lazy.compactMap(\.foundAt).min()
        let fetched = orders.values.lazy.compactMap(\.preparedAt).min()
        let checked = checks.values.lazy.map(\.endsAt).min()
        return [
            gossip.nextDeadline, core.nextDeadline, disk.nextDeadline, machine.nextDeadline, host.nextDeadline, waiting,
            fetched, found, lookAt, checked, workflows.nextDeadline,
        ]
        .compactMap { $0 }.min()
    }

    /// The cores that the last input may have changed check themselves; and what others were told or acknowledged is
    /// known here.
    package func checkInvariants() {
        if touched.contains(.gossip) { gossip.checkInvariants() }
        if touched.contains(.host) { checkConnections() }
        guard touched.contains(.core) else { return }
        core.checkInvariants()
        var broken = (setup.forgetsClosed ? [] : promises.broken(core.market)) + workflows.broken(core.market)
        if let due = market.nextDeadline, (core.nextDeadline ?? .distantFuture) > due {
            broken.append("the market is not woken when something is due")
        }
        for order in orders.values.map(\.order) + machine.goingOn {
            let job = market.executedJob(order.jobID)
            let isWanted = job.map {
                $0.assignmentCID == order.assignmentCID && $0.occupiesPlace && $0.stopReason == nil
            }
            if isWanted != true { broken.append("\(order.jobID.short) goes on, although nobody wants it to") }
        }
        precondition(broken.isEmpty, "\(identity.peerID): \(broken.joined(separator: "; "))")
    }

    // MARK: Inputs

    /// After a crash the core resumes from its journal, and the host dials whom it knows.
    package mutating func started(_ context: inout SimulatedContext) {
        touched = [.core, .gossip, .host]
        lookAt = setup.lookMilliseconds.map { context.now.advanced(milliseconds: $0) }
        core.listens(at: [OverlayDirectory.address(context.place)])
        if restarts > 0 {
            gossip = GossipSubRouter(
                localPeer: identity.peerID, parameters: setup.gossip,
                firstSequenceNumber: context.wallClockMilliseconds * 1_000_000, seed: seed &+ UInt64(restarts),
                now: context.now)
        }
        carryOut(core.recover(at: moment(context)), &context)
        carryOut(workflows.again(now: context.now), &context)
        if restarts > 0 { join(&context) }
    }

    func moment(_ context: SimulatedContext) -> NodeMoment {
        NodeMoment(now: context.now, wallClock: calendar(context))
    }

    /// What the machine's calendar says.
    func calendar(_ context: SimulatedContext) -> UnixMilliseconds {
        UnixMilliseconds(UInt64(clamping: Int64(clamping: context.wallClockMilliseconds) + calendarMilliseconds))
    }

    /// Carries a command out.
    package mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        touched = [.core, .gossip, .host]
        workflows.beginInput()
        switch command {
        case .join(let addresses):
            bootstrap = addresses
            join(&context)
        case .submit(let request): if let refusal = submit(request, &context) { context.note("refused \(refusal)") }
        case .begin(let definition, let key):
            carryOut(workflows.begin(definition, key: key, at: calendar(context)), &context)
        case .order(let event, let key): carryOut(workflows.order(event, key: key, now: context.now), &context)
        case .setCalendar(let milliseconds): calendarMilliseconds += milliseconds
        case .cancel(let key):
            guard let id = submitted[key] else { return }
            carryOut(core.cancel(id, at: moment(context)).effects, &context)
        }
    }

    /// Submits a job; why not.
    private mutating func submit(_ request: JobRequest, _ context: inout SimulatedContext) -> SubmissionRefusal? {
        let nonce = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &context.generator) }
        let (result, effects) = core.submit(request, nonce: nonce, at: moment(context))
        defer { carryOut(effects, &context) }
        switch result {
        case .success(let job): submitted[request.idempotencyKey] = job.id
        case .failure(let refusal): return refusal
        }
        return nil
    }

    /// Does what workflows want.
    private mutating func carryOut(_ acts: [SimulatedWorkflows.Act], _ context: inout SimulatedContext) {
        for act in acts {
            switch act {
            case .write(let write, let isUrgent):
                disk.take(write, isUrgent: isUrgent, now: context.now, dice: &context.generator)
            case .note(let text): context.note(text)
            case .cancel(let job): carryOut(core.cancel(job, at: moment(context)).effects, &context)
            case .submit(let request, let id, let key, let attempt):
                let refusal = submit(request, &context)
                if let refusal {
                    let isPassing = if case .tooManyJobs = refusal { true } else { false }
                    let acts = workflows.refused(
                        id, key, attempt: attempt, isPassing: isPassing, reason: "\(refusal)", now: context.now)
                    carryOut(acts, &context)
                } else if let job = submitted[request.idempotencyKey] {
                    carryOut(workflows.submitted(job, id, key), &context)
                    if !disk.awaitsEnd(of: job) { jobEnded(job, &context) }
                }
            }
        }
    }

    /// Tells a workflow of a job that has its result, on the disk, too.
    mutating func jobEnded(_ id: JobID, _ context: inout SimulatedContext) {
        guard workflows.children[id] != nil, let job = market.originatedJob(id), job.result != nil else { return }
        let others = market.mostPaidForReplicas(of: id) ?? .zero
        carryOut(workflows.ended(job, paidForReplicas: others, now: context.now), &context)
    }

    /// The deadlines of the cores, the disk, the machine and the requests.
    package mutating func deadlineReached(_ context: inout SimulatedContext) {
        touched = []
        workflows.beginInput()
        if let next = gossip.nextDeadline, next <= context.now {
            touched.insert(.gossip)
            carryOut(gossip.deadlineReached(now: context.now), &context)
        }
        if let next = host.nextDeadline, next <= context.now {
            touched.insert(.host)
            host.deadlineReached(&context)
            followHost(&context)
        }
        if let number = disk.written(by: context.now) { give(.written(number), &context) }
        for write in disk.takeNews() {
            touched.insert(.core)
            carryOut(workflows.written(write, now: context.now), &context)
        }
        if let due = workflows.nextDeadline, due <= context.now {
            touched.insert(.core)
            carryOut(workflows.due(now: context.now, disk), &context)
        }
        if let due = core.wake(now: moment(context)) { carryOut(due, &context) }
        reportRuns(&context)
        reportChecks(&context)
        passRequestDeadlines(&context)
        followSearches(&context)
        if let at = lookAt, let pause = setup.lookMilliseconds, at <= context.now {
            lookAt = context.now.advanced(milliseconds: pause)
            var around = Surroundings()
            around.connectionCount = host.connectionCount
            around.listeners = gossip.peers(of: MeshTopics.capabilities)
            around.mayPassOn = host.connectionCount > 0
            give(.looked(around), &context)
        }
    }

    private mutating func reportRuns(_ context: inout SimulatedContext) {
        for (assignment, entry) in orders where entry.preparedAt.map({ $0 <= context.now }) ?? false {
            orders[assignment]?.preparedAt = nil
            give(.fact(.executionPrepared(assignment: assignment)), &context)
        }
        let wallClock = calendar(context)
        for report in machine.due(now: context.now, wallClock: wallClock, knowing: knowledge) {
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
        touched.insert(.core)
        carryOut(core.handle(input, at: moment(context)), &context)
    }

    private mutating func join(_ context: inout SimulatedContext) {
        let receipts = setup.cheat == .copier ? [MeshTopics.receipts] : []
        for topic in [MeshTopics.jobAnnouncements, MeshTopics.capabilities] + receipts {
            carryOut((try? gossip.subscribe(topic, now: context.now)) ?? [], &context)
        }
        host.begin(bootstrap: bootstrap, remembered: remembered, &context)
        followHost(&context)
    }

    /// Judges a gossip message as a node does.
    mutating func judge(_ message: GossipMessage, _ context: inout SimulatedContext) -> GossipVerdict {
        touched.insert(.core)
        if message.topic == MeshTopics.receipts {
            knowledge.heard(message.data, market)
            return .accept
        }
        let (verdict, effects) = core.judge(
            message.data, topic: message.topic, author: message.source,
            isAuthorConnected: host.isConnected(message.source), at: moment(context))
        carryOut(effects, &context)
        switch verdict {
        case .accept: return .accept
        case .ignore: return .ignore
        case .reject(let reason):
            context.note("gossip rejected: \(reason)")
            return .reject
        }
    }
}
