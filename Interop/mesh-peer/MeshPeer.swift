import ArgumentParser
import Foundation
import Kademlia
import LibP2P
import Logging
import Multiformats
import P2PServices
import PeerIdentity

/// Our libp2p alone, without jobs and store: Swarm, gossip, DHT and Bitswap behind the JSON-lines front end that the
/// peers of other implementations have (`Interop/peers/go_peer.py` describes the lines).
@main
struct MeshPeer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh-peer", abstract: "A libp2p peer for interop tests, driven by JSON lines.")

    @Option(help: "A number that gives the Ed25519 key, the same in all peers: the number as 32 bytes, big-endian.")
    var seed: UInt32?

    @Option(help: "Where to listen.")
    var listen = "/ip4/127.0.0.1/tcp/0"

    @Option(help: "The DHT's protocol.")
    var dhtProtocol = "/icn/kad/1.0.0"

    @Flag(help: "Look for peers on the local network, and be found there.")
    var mdns = false

    @Option(help: "What to log on standard error: trace, debug, info, notice, warning, error or critical.")
    var logLevel = "warning"

    func run() async throws {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        var logger = Logger(label: "mesh-peer")
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .warning
        let identity = try identity()
        let swarm = Swarm(
            configuration: SwarmConfiguration(listenAddresses: [try Multiaddr(parsing: listen)]), identity: identity,
            logger: logger)
        let shelf = BlockShelf()
        var dht = KademliaConfiguration()
        dht.protocolID = dhtProtocol
        let services = PeerServices(
            identity: identity, swarm: swarm, shelf: shelf,
            gossip: GossipService(host: swarm, identity: identity, logger: logger),
            dht: KademliaService(host: swarm, configuration: dht, validators: [.publicKeys], logger: logger),
            bitswap: BitswapService(host: swarm, store: shelf, logger: logger),
            discovery: mdns ? LocalDiscoveryService(swarm: swarm, logger: logger) : nil)
        try await services.serve(LineChannel())
    }

    private func identity() throws -> Identity {
        guard let seed else { return Identity.generate() }
        let number = (0..<4).map { UInt8(truncatingIfNeeded: seed >> (24 - 8 * $0)) }
        return try Identity(seed: [UInt8](repeating: 0, count: 28) + number)
    }
}
