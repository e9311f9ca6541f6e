import Foundation
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Nodes in this process, each with a home folder and a socket of its own on loopback: real, only not far apart.
struct NodeMesh {
    /// The nodes; the first is everybody's way in.
    let nodes: [MeshNode]
    /// The node that submits: the last one, which runs no jobs.
    var originator: MeshNode { nodes[nodes.count - 1] }

    /// Makes executors that ask `prices` per job, and one originator; runs `body`; stops them all; then `afterwards`
    /// may look at their homes, which are folders of that one by their numbers.
    static func run(
        prices: [UInt64], biddingMilliseconds: UInt64? = nil,
        logger: Logger? = nil, configure: (Int, inout NodeConfiguration) -> Void = { _, _ in },
        _ body: (NodeMesh) async throws -> Void,
        afterwards: (URL) async throws -> Void = { _ in }
    ) async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var nodes: [MeshNode] = []
        var entrance: [Multiaddr] = []
        for (index, price) in (prices + [0]).enumerated() {
            var configuration = try loopback()
            configuration.bootstrap = entrance
            configuration.executor.isEnabled = index < prices.count
            configuration.executor.priceBase = price
            configuration.executor.jobsAtOnce = 2
            if let biddingMilliseconds {
                configuration.originator.biddingDeadlineMilliseconds = biddingMilliseconds
            }
            configure(index, &configuration)
            let node = try await open(folder.appendingPathComponent("\(index)").path, configuration, logger: logger)
            if entrance.isEmpty {
                entrance = await node.swarm.listenAddresses().map { $0.withPeerID(node.identity.peerID) }
            }
            nodes.append(node)
        }
        let mesh = NodeMesh(nodes: nodes)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { try await node.run() } }
            try await mesh.connect(to: entrance)
            if prices.isEmpty {
                try await mesh.withBystander { try await body(mesh) }
            } else {
                try await body(mesh)
            }
            for node in nodes { try await node.shutdown() }
            try await group.waitForAll()
        }
        try await afterwards(folder)
    }

    /// Keeps a peer connected that offers to run jobs and does nothing: a node that knows of no executor soon fails its
    /// jobs.
    func withBystander(_ body: () async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let identity = Identity.generate()
        let bystander = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        let gossip = GossipService(host: bystander, identity: identity, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bystander.run() }
            group.addTask { await gossip.run() }
            defer { group.cancelAll() }
            let addresses = await originator.swarm.listenAddresses()
            try await bystander.connect(to: originator.identity.peerID, addresses: addresses)
            try await offer(by: identity, over: gossip)
            try await body()
        }
    }

    /// Has the originator hear of an executor.
    private func offer(by identity: Identity, over gossip: GossipService) async throws {
        let now = NodeClock.wallClock
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: now,
            validUntil: now.advanced(milliseconds: 120_000))
        capability.resources = ["memory_mib": 1]
        // Every job asks for its originator's engine.
        capability.features = [originator.engineFeature]
        let signed = try SignedObject.sign(capability, with: identity)
        let message = MeshProtocolMessage.capabilityAdvertisement(
            CapabilityAdvertisementV1(capability: signed.bytes))
        try await eventually("gossip has a peer") { await !gossip.peers(of: MeshTopics.capabilities).isEmpty }
        try await gossip.publish(try message.encoded(), topic: MeshTopics.capabilities)
        try await eventually("the originator knows a capability") { await originator.core.capabilities.count > 0 }
    }

    /// Runs nodes as long as `body` needs them, and stops them.
    static func running(_ nodes: [MeshNode], _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { try await node.run() } }
            try await body()
            for node in nodes { try await node.shutdown() }
            try await group.waitForAll()
        }
    }

    /// A configuration that listens on any port of loopback.
    static func loopback() throws -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.listen = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]
        configuration.logLevel = "critical"
        configuration.drainSeconds = 0
        return configuration
    }

    /// Opens a node, unless told otherwise with a new key in a new folder.
    static func open(
        _ path: String, _ configuration: NodeConfiguration, identity: Identity = .generate(), logger: Logger? = nil,
        layers: ConfigurationLayers? = nil
    ) async throws -> MeshNode {
        let home = NodeHome(path: path)
        if let reason = try home.create() { throw NodeServiceError(.internalError, reason) }
        var quiet = Logger(label: "test")
        quiet.logLevel = .critical
        return try await MeshNode.open(
            home: home, configuration: configuration, identity: identity, logger: logger ?? quiet, layers: layers)
    }

    /// Connects the originator to every other node, so that what it announces reaches them.
    private func connect(to entrance: [Multiaddr]) async throws {
        for node in nodes.dropLast() {
            let addresses = await node.swarm.listenAddresses()
            try await originator.swarm.connect(to: node.identity.peerID, addresses: addresses)
        }
    }

    /// Adds a module and submits a job of it.
    func submit(
        _ module: [UInt8], _ change: (inout JobSubmission) -> Void = { _ in }
    ) async throws(NodeServiceError) -> CID {
        let added = try await originator.add(module)
        var submission = JobSubmission(moduleCID: added.cid)
        submission.policy.sufficientBids = 1
        change(&submission)
        let accepted = try await originator.submit(submission)
        return try CID(named: accepted.jobID, "job")
    }

    /// Follows a job to its end.
    func result(of job: CID) async throws -> JobResult {
        for await event in try await originator.progress(of: job) {
            if let result = event.result { return result }
        }
        throw NodeServiceError(.internalError, "The stream of \(job) ended without a result.")
    }
}

/// What tests look at from outside.
extension MeshNode {
    nonisolated var identity: Identity { parts.identity }
    nonisolated var configuration: NodeConfiguration { parts.configuration }
    nonisolated var store: MeshStore { parts.store }
    nonisolated var swarm: Swarm { parts.swarm }
    nonisolated var gossip: GossipService { parts.gossip }
    nonisolated var dht: KademliaService { parts.dht }
    nonisolated var bitswap: BitswapService { parts.bitswap }
    nonisolated var fetcher: ContentFetcher { parts.fetcher }
    nonisolated var runner: JobRunner { parts.runner }
}
