import Bitswap
import Kademlia
import LibP2P
import Logging
import Multiformats
import NIOConcurrencyHelpers
import P2PServices
import P2PTesting
import Testing

/// Blocks in memory, for tests of services.
final class MemoryBlocks: BlockSource {
    private let blocks = NIOLockedValueBox<[CID: [UInt8]]>([:])
    private let kept = NIOLockedValueBox<[CID: PeerID]>([:])

    @discardableResult
    func add(_ block: [UInt8]) -> CID {
        let cid = CID.hashing(block, codec: .raw)
        blocks.withLockedValue { $0[cid] = block }
        return cid
    }

    func block(_ cid: CID) async -> [UInt8]? { blocks.withLockedValue { $0[cid] } }

    func hasBlock(_ cid: CID) async -> Bool { blocks.withLockedValue { $0[cid] != nil } }

    /// Keeps a block from a peer.
    func keep(_ cid: CID, from peer: PeerID) { kept.withLockedValue { $0[cid] = peer } }

    func block(_ cid: CID, for peer: PeerID) async -> [UInt8]? {
        kept.withLockedValue { $0[cid] == peer } ? nil : await block(cid)
    }

    func hasBlock(_ cid: CID, for peer: PeerID) async -> Bool {
        kept.withLockedValue { $0[cid] == peer } ? false : await hasBlock(cid)
    }
}

/// A host with the DHT and the exchange of blocks, over whatever network the test has.
struct ServiceTestNode: Sendable {
    static let logger = Logger(label: "test")

    let host: any StreamHost
    let blocks = MemoryBlocks()
    let dht: KademliaService
    let exchange: BitswapService

    init(
        host: any StreamHost, configuration: KademliaConfiguration = KademliaConfiguration(),
        dhtLimits: KademliaService.Limits = .init(), exchangeLimits: BitswapService.Limits = .init()
    ) {
        self.host = host
        dht = KademliaService(
            host: host, configuration: configuration, validators: [.testText], limits: dhtLimits, logger: Self.logger)
        exchange = BitswapService(host: host, store: blocks, limits: exchangeLimits, logger: Self.logger)
    }

    func register() async {
        await dht.register()
        await exchange.register()
    }

    func run() async {
        async let dhtEnd: Void = dht.run()
        async let exchangeEnd: Void = exchange.run()
        _ = await (dhtEnd, exchangeEnd)
    }

    static func peer(_ number: Int) -> PeerID {
        PeerID(publicKeyProtobuf: [8, 1, 18, 32] + Multihash.sha256(of: Array("peer \(number)".utf8)).digest)
    }

    /// Nodes on an in-memory network, joined through the first, until the body ends.
    static func withNetwork(
        _ count: Int, configuration: KademliaConfiguration = KademliaConfiguration(),
        _ body: @escaping @Sendable ([ServiceTestNode], InMemoryNetwork) async throws -> Void
    ) async throws {
        let network = InMemoryNetwork()
        let nodes = (0..<count).map {
            ServiceTestNode(host: network.addHost(peer($0)), configuration: configuration)
        }
        for node in nodes { await node.register() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await network.run() }
            for node in nodes { group.addTask { await node.run() } }
            try await join(nodes)
            try await body(nodes, network)
            group.cancelAll()
        }
    }

    /// Nodes on real swarms over loopback, joined through the first, until the body ends.
    static func withLoopback(
        _ count: Int, _ body: @escaping @Sendable ([ServiceTestNode]) async throws -> Void
    ) async throws {
        try await withSwarms(count) { swarms in
            let nodes = swarms.map { ServiceTestNode(host: $0) }
            for node in nodes { await node.register() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in nodes { group.addTask { await node.run() } }
                defer { group.cancelAll() }
                try await join(nodes)
                try await body(nodes)
            }
        }
    }

    /// All join through the first node, until the tables are as full as they can be.
    static func join(_ nodes: [ServiceTestNode]) async throws {
        guard let first = nodes.first else { return }
        let addresses = await first.host.listenAddresses().map { $0.withPeerID(first.host.localPeer) }
        for node in nodes.dropFirst() {
            try await eventually("\(node.host.localPeer) reaches the first node") {
                await node.dht.bootstrap(addresses) == [first.host.localPeer]
            }
            try await eventually("the first node is in the table") { await !node.dht.routingTable().isEmpty }
        }
        for node in nodes {
            try await eventually("the table fills") {
                await node.dht.routingTable().count >= min(nodes.count - 1, 8)
            }
        }
    }
}

extension RecordValidator {
    /// Values under `/text/` must begin with "ok".
    static let testText = RecordValidator(prefix: "/text/") { _, value in
        value.starts(with: "ok".utf8) ? nil : "the value does not begin with ok"
    }
}
