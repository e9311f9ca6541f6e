import CoVM
import LibP2P
import Logging
import MeshStore
import Multiformats
import NodeAPI
import NodeSetup
import P2PServices
import PeerIdentity
import Synchronization

/// The parts of a node besides its core: one key, one store, one swarm with its services, and one machine.
struct NodeParts: Sendable {
    let identity: Identity
    let settings: RunningSettings
    let logger: Logger
    let store: MeshStore
    let swarm: Swarm
    let gossip: GossipService
    let dht: KademliaService
    let bitswap: BitswapService
    let peerService: PeerService
    let machine: CoVM
    let receipts: VerifiedReceipts
    let results: PrivateResults
    let fetcher: ContentFetcher
    let runner: JobRunner
    /// The folder of what runs write down of their sessions.
    let sessionsPath: String
    /// This node as a witness of others' logs.
    let witness: WitnessDesk
    /// The logs of others.
    let follower: LogFollower
    /// This node at issuers, with its own book if it is one.
    let member: MemberDesk
    /// What the market wants of issuers.
    let holds: HoldDesk
    /// Records of reputation, told and heard.
    let records: RecordDesk
    /// Tells and compares the heads of issuers.
    let issuerHeads: IssuerHeadDesk
    /// This node as an issuer that pays others' members.
    let across: AcrossDesk
    /// Has witnesses keep this node's book, if it is an issuer.
    let replicator: BookReplicator
    /// What this node keeps of other issuers' books.
    let replicas: ReplicaDesk
    /// This node as an arbiter of holds.
    let arbiter: ArbiterDesk
    /// This node as a witness of issuers' charters.
    let charterWitness: CharterWitnessDesk
    /// The witnesses of this node's own charter.
    let issuerWitnesses: IssuerWitnesses
    let tallies: NodeTallies
    let endedResults = EndedResults()
    let shownReceipts = ShownReceipts()

    /// Shows the node's own log.
    var logDesk: LogDesk { LogDesk(identity: identity, store: store, witness: witness) }

    /// The settings as they are now.
    var configuration: NodeConfiguration { settings.configuration }

    /// Joins the protocols of issuers, their members, arbiters and witnesses.
    ///
    /// - Parameters:
    ///   - node: whose market hears what comes of it.
    ///   - admits: whether to listen to a peer at all.
    ///   - blame: receives who broke a protocol, and how.
    func beginCredit(
        for node: MeshNode, admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) async throws(NodeServiceError) {
        try await member.begin(admitting: admits, blame: blame)
        try await arbiter.begin(admitting: admits, blame: blame)
        try await replicas.begin(admitting: admits, blame: blame)
        try await charterWitness.begin(admitting: admits, blame: blame) { [tallies] in tallies.add($0) }
        await issuerHeads.begin(for: node, admitting: admits, blame: blame)
    }

    /// Runs the parts that work by themselves, until the group is cancelled.
    func addServices(to group: inout ThrowingTaskGroup<Void, any Error>) {
        group.addTask { [swarm] in try await swarm.run() }
        group.addTask { [gossip] in await gossip.run() }
        group.addTask { [dht] in await dht.run() }
        group.addTask { [bitswap] in await bitswap.run() }
        group.addTask { [peerService] in await peerService.run() }
        group.addTask { [follower] in await follower.run() }
        group.addTask { [member] in await member.own.run() }
        group.addTask { [replicator] in await replicator.run() }
        group.addTask { [across] in await across.run() }
        group.addTask { [records] in await records.run() }
        group.addTask { [issuerHeads] in await issuerHeads.run() }
        group.addTask { [arbiter] in await arbiter.run() }
        group.addTask { [charterWitness] in await charterWitness.run() }
        group.addTask { [issuerWitnesses] in await issuerWitnesses.run() }
        if configuration.findsLocalNodes {
            let discovery = LocalDiscoveryService(
                swarm: swarm, network: configuration.localNetwork, logger: logger,
                onCount: { [tallies] in tallies.add($0) })
            group.addTask { await discovery.run() }
        }
        group.addTask { [self] in await offerAddedBlocks() }
    }

    /// Transactions whose blocks wait to be offered to peers that want them; beyond, the oldest are dropped.
    private static let addedBlocksMax = 1_024

    /// Offers blocks to the peers that want them, as the store takes them in.
    private func offerAddedBlocks() async {
        let (added, adding) = AsyncStream.makeStream(
            of: [CID].self, bufferingPolicy: .bufferingNewest(Self.addedBlocksMax))
        store.onBlocksAdded { _ = adding.yield($0) }
        for await cids in added { await bitswap.blocksAdded(cids) }
    }
}

/// A node's counters outside its core, by name.
final class NodeTallies: Sendable {
    private let counts = Mutex<[String: UInt64]>([:])

    /// All counters that are not zero.
    var all: [String: UInt64] { counts.withLock { $0 } }

    /// Counts one more of a kind, or so many.
    func add(_ name: String, _ count: UInt64 = 1) { counts.withLock { $0[name, default: 0] += count } }
}
