import Determinism
import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections
import P2PTesting
import SignedObjects

/// A few nodes, to which a `Situation` lets one thing happen after another. Node 0 is where the others join.
struct SmallMesh {
    /// How long after the last step everything has to be over, in milliseconds of virtual time.
    private static let endMilliseconds: Int64 = 900_000

    /// The network.
    private(set) var network: VirtualNetwork<MarketNode>
    /// What should have come about, and did not.
    private(set) var findings: [String] = []
    private let directory: OverlayDirectory
    private let seed: UInt64
    /// Who submitted each job.
    private var originators: [Int] = []
    private var crashed: [Int] = []
    private var placeCount: Int

    /// Nodes that know nobody, on links that lose nothing.
    init(seed: UInt64, _ setups: [MarketNode.Setup]) throws {
        self.seed = seed
        directory = try OverlayDirectory(count: setups.count, seed: seed)
        var link = LinkProfile(latencyMicroseconds: 5_000...40_000)
        link.dialTimeoutMicroseconds = 2_000_000
        network = VirtualNetwork(VirtualNetworkConfiguration(seed: seed, link: link))
        placeCount = setups.count
        for (index, setup) in setups.enumerated() {
            network.add(MarketNode(SimulatedNodeID(index), directory: directory, setup: setup, seed: seed))
        }
    }

    // MARK: What is so

    /// A job, by its number in the order of submission, as its originator knows it.
    func job(_ number: Int) -> OriginatedJob? {
        let node = network[SimulatedNodeID(originators[number])]
        return node.submitted[Self.key(number)].flatMap { node.market.originatedJob($0) }
    }

    /// A job, as one of its bidders knows it.
    func job(_ number: Int, at node: Int) -> ExecutedJob? {
        guard let id = network[SimulatedNodeID(originators[number])].submitted[Self.key(number)] else { return nil }
        return network[SimulatedNodeID(node)].market.executedJob(id)
    }

    /// Whether a job ended with a receipt.
    func hasResult(_ number: Int) -> Bool { job(number)?.outcome != nil }

    /// Who executed a job, as far as its receipt counts.
    func executor(of number: Int) -> Int? {
        guard let did = job(number)?.receipt?.receipt.executorDID else { return nil }
        return directory.identities.firstIndex { $0.did == did }
    }

    /// Whether a node has a connection that carries.
    func isConnected(_ node: Int) -> Bool {
        network.connections(of: SimulatedNodeID(node)).contains(where: \.isSound)
    }

    // MARK: What happens

    /// Lets nodes join at node 0, and at others where they are named.
    mutating func join(also: [Int: [Int]] = [:]) {
        for index in 0..<network.count {
            let entrances = (index == 0 ? [] : [0]) + (also[index] ?? [])
            network.command(.join(entrances.map(OverlayDirectory.address)), to: SimulatedNodeID(index))
        }
        pass(5_000)
    }

    /// Submits a job, with this number among all of them.
    @discardableResult
    mutating func submit(
        at node: Int, module: CID? = nil, verification: VerificationLevel? = nil,
        _ change: (inout MeshJobParams, inout ExecutionPolicy) -> Void = { _, _ in }
    ) -> Int {
        let number = originators.count
        originators.append(node)
        var params = MeshJobParams(wasmCID: module ?? CID.hashing(Array("module \(number)".utf8), codec: .raw))
        params.maxFuel = 45_000_000
        params.timeoutSeconds = 20
        params.maxAcceptableBidTokens = TokenAmount(200)
        var policy = ExecutionPolicy()
        policy.bidWindowMilliseconds = 500
        change(&params, &policy)
        params.executionPolicy = policy
        var request = JobRequest(
            requesterDID: directory.identities[node].did, submittedAt: .epoch, params: params,
            idempotencyKey: Self.key(number))
        request.verification = verification
        network.command(.submit(request), to: SimulatedNodeID(node))
        pass(0)
        return number
    }

    /// Cancels a job.
    mutating func cancel(_ number: Int) {
        network.command(.cancel(key: Self.key(number)), to: SimulatedNodeID(originators[number]))
        pass(0)
    }

    /// Lets time pass, in milliseconds.
    mutating func pass(_ milliseconds: Int64) { network.run(milliseconds: milliseconds) }

    /// Waits until something is so, which has to be within this time.
    mutating func wait(_ seconds: Int64, for what: String, until isSo: (SmallMesh) -> Bool) {
        let end = network.now.advanced(milliseconds: seconds * 1_000)
        while !isSo(self) {
            guard let next = network.nextEventAt, next <= end else {
                network.run(until: end)
                return note("not within \(seconds) s: \(what)")
            }
            network.step()
        }
    }

    /// Notes what should not be so.
    mutating func note(_ finding: String) { findings.append(finding) }

    /// Kills a node; `isUnplugged` if nobody hears of it.
    mutating func crash(_ node: Int, isUnplugged: Bool = false) {
        network.crash(SimulatedNodeID(node), isUnplugged: isUnplugged)
        crashed.append(node)
    }

    /// Starts a killed node again, where it was or elsewhere.
    mutating func restart(_ node: Int, elsewhere: Bool = false) {
        crashed.removeAll { $0 == node }
        let place = elsewhere ? placeCount : nil
        placeCount += 1
        network.restart(SimulatedNodeID(node), at: place) { $0.rebooted() }
    }

    /// A node is killed, and comes back elsewhere a moment later.
    mutating func move(_ node: Int) {
        crash(node)
        pass(300)
        restart(node, elsewhere: true)
    }

    /// Sets a node's calendar.
    mutating func step(_ node: Int, byMilliseconds milliseconds: Int64) {
        network.command(.setCalendar(milliseconds), to: SimulatedNodeID(node))
        pass(0)
    }

    /// Lets others dial a node, or not.
    mutating func setDialable(_ node: Int, _ isDialable: Bool) {
        network.setDialable(SimulatedNodeID(node), isDialable)
    }

    /// Parts a node from all others; `nil` ends that.
    mutating func part(_ node: Int?) {
        if let node { network.partition([[SimulatedNodeID(node)]]) } else { network.heal() }
    }

    /// All connections of a node die; the node hears of it, or its peers do, or nobody.
    mutating func cutAll(of node: Int, telling told: UInt64) {
        let id = SimulatedNodeID(node)
        for connection in network.connections(of: id) {
            network.cut(connection.id, telling: told % 3 == 0 ? nil : told % 3 == 1 ? id : connection.to)
        }
    }

    /// Makes one direction of a link slow.
    mutating func slow(from: Int, to: Int, milliseconds: Int64) {
        let link = LinkProfile(latencyMicroseconds: milliseconds * 1_000...milliseconds * 1_100)
        network.setLink(from: SimulatedNodeID(from), to: SimulatedNodeID(to), link)
    }

    /// Lets everything end; reports that, and what was found.
    mutating func end() -> MarketReport {
        for node in crashed { restart(node) }
        let end = network.now.advanced(milliseconds: Self.endMilliseconds)
        while network.now < end, !isQuiet { pass(1_000) }
        var report = MarketReport(network, seed: seed)
        report.add(findings)
        return report
    }

    private var isQuiet: Bool {
        network.nodeIDs.allSatisfy { network[$0].market.openCounts == (0, 0) }
    }

    private static func key(_ number: Int) -> String { "job \(number)" }
}

extension SmallMesh {
    /// What happened to the jobs at each node, in the order of names.
    var facts: [String] {
        network.notes.lazy.filter { note in JobRole.allCases.contains { note.fact.hasPrefix("\($0.rawValue) ") } }
            .map { "\($0.node) \($0.fact)" }.sorted()
    }
}
