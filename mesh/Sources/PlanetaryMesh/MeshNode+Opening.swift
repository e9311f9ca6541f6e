import CoVM
import Economics
import Foundation
import IPLD
import JobMarket
import Kademlia
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NIOPosix
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import Receipts
import Reputation
import SignedObjects

extension MeshNode {
    /// Opens the node of a home folder: store, machine, swarm and services; takes up its journal; listens.
    ///
    /// When it returns, `listenAddresses` are known and every job is as the journal says. Nothing is served before
    /// `run`.
    ///
    /// - Throws: one sentence on what is in the way, and what to do next.
    public static func open(
        home: NodeHome, configuration: NodeConfiguration, identity: Identity, logger: Logger
    ) async throws(NodeServiceError) -> MeshNode {
        let store: MeshStore
        do {
            var limits = StoreLimits()
            limits.blockBytesTotalMax = configuration.limits.blockBytesMax
            limits.highWaterPercent = configuration.limits.blockHighWaterPercent
            limits.databaseBytesMax = configuration.limits.databaseBytesMax
            limits.diskReserveBytes = configuration.limits.diskReserveBytes
            limits.fullMillisecondsMax = Int64(configuration.limits.fullDiskSeconds) * 1_000
            limits.evidenceKeptMilliseconds = UInt64(configuration.limits.evidenceKeptHours) * 3_600_000
            limits.unpaidEvidenceKeptMilliseconds =
                UInt64(configuration.limits.unpaidEvidenceKeptDays) * 86_400_000
            store = try MeshStore(path: home.databasePath, owner: identity.did.text, limits: limits)
        } catch {
            throw NodeServiceError(storage: error)
        }
        let machine = try machine(home: home, configuration: configuration)
        let swarm = try await listening(configuration, identity, logger)
        let market = try await market(configuration, identity, store, machine, await swarm.listenAddresses())
        var blocks = BitswapService.Limits()
        blocks.servedBytesPerSecondPerPeerMax = configuration.limits.servedBytesPerSecondPerPeerMax
        var kademlia = KademliaConfiguration()
        kademlia.protocolID = configuration.kademliaProtocol
        let receipts = VerifiedReceipts()
        let parts = Parts(
            store: store, swarm: swarm,
            gossip: GossipService(host: swarm, identity: identity, logger: logger),
            dht: KademliaService(
                host: swarm, configuration: kademlia, validators: [receipts.validator], logger: logger),
            bitswap: BitswapService(
                host: swarm, store: StoreBlockSource(store: store), limits: blocks, logger: logger),
            receipts: receipts, machine: machine, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
        let node = MeshNode(
            parts: parts, identity: identity, configuration: configuration,
            core: NodeCore(identity: identity, market: market), logger: logger)
        try await node.begin()
        return node
    }

    /// What the market is told of an operator's configuration.
    static func marketConfiguration(
        _ configuration: NodeConfiguration, machine: CoVM, addresses: [Multiaddr]
    ) -> MarketConfiguration {
        var market = MarketConfiguration()
        market.addresses = addresses
        market.limits.originatedJobsMax = configuration.limits.openJobsMax
        market.originator.bidWindowMilliseconds = configuration.originator.bidWindowMilliseconds
        market.originator.biddingMilliseconds = configuration.originator.biddingDeadlineMilliseconds
        market.originator.outputBytesMax = UInt64(clamping: configuration.limits.outputBytesMax)
        guard configuration.executor.isEnabled else { return market }
        let offered = configuration.executor
        var executor = ExecutorConfiguration()
        executor.bidsOnOwnJobs = true
        executor.looksModulesUp = true
        executor.region = configuration.region
        executor.features = offered.features.sorted()
        executor.basePrice = TokenAmount(offered.priceBase)
        executor.pricePerMillionFuel = TokenAmount(offered.pricePerMillionFuel)
        executor.concurrentRunsMax = offered.jobsAtOnce ?? ProcessInfo.processInfo.activeProcessorCount
        executor.limitsMax.maxMemoryBytes = min(
            executor.limitsMax.maxMemoryBytes, offered.memoryMiB.multipliedReportingOverflow(by: 1 << 20).partialValue)
        executor.resources = resources(offered)
        executor.engine = machine.engineDescription
        market.executor = executor
        return market
    }

    static func resources(_ offered: NodeConfiguration.Executor) -> ResourceAmounts {
        let cores = offered.cpuMillicores ?? UInt64(ProcessInfo.processInfo.activeProcessorCount) * 1000
        return CanonicalMap([
            (ResourceType.cpuMillicores.rawValue, cores), (ResourceType.memoryMiB.rawValue, offered.memoryMiB),
            (ResourceType.storageMiB.rawValue, offered.storageMiB),
        ])
    }

    private static func machine(
        home: NodeHome, configuration: NodeConfiguration
    ) throws(NodeServiceError) -> CoVM {
        var machine = CoVMConfiguration(cacheDirectory: home.cachePath)
        machine.moduleLimits.moduleBytesMax = configuration.limits.moduleBytesMax
        machine.limits.concurrentRunsMax =
            configuration.executor.jobsAtOnce ?? ProcessInfo.processInfo.activeProcessorCount
        do {
            return try CoVM(configuration: machine)
        } catch {
            throw NodeServiceError(.internalError, "The WebAssembly machine does not start: \(error).")
        }
    }

    private static func listening(
        _ configuration: NodeConfiguration, _ identity: Identity, _ logger: Logger
    ) async throws(NodeServiceError) -> Swarm {
        let swarm = swarmConfiguration(configuration)
        let made = Swarm(configuration: swarm, identity: identity, logger: logger)
        do {
            try await made.listen()
        } catch {
            throw NodeServiceError(
                .addressInUse, "The node cannot listen: \(error).",
                hint: "Stop what uses the address, or set another under \"listen\" in config.json.")
        }
        return made
    }

    /// What the swarm is told of an operator's configuration.
    static func swarmConfiguration(_ configuration: NodeConfiguration) -> SwarmConfiguration {
        var swarm = SwarmConfiguration.ofMesh(listening: configuration.listen)
        swarm.announceAddresses = configuration.announce
        swarm.limits.connectionsMax = configuration.limits.connectionsMax
        swarm.limits.inboundConnectionsMax = min(
            swarm.limits.inboundConnectionsMax, max(1, configuration.limits.connectionsMax * 3 / 4))
        swarm.limits.heldBytesMax = configuration.limits.heldBytesMax
        swarm.limits.isLoopbackExempt =
            configuration.limits.exemptsLoopback && configuration.listen.allSatisfy(\.isLoopback)
        return swarm
    }

    private static func market(
        _ configuration: NodeConfiguration, _ identity: Identity, _ store: MeshStore, _ machine: CoVM,
        _ addresses: [Multiaddr]
    ) async throws(NodeServiceError) -> JobMarket {
        do {
            let ledger = try await ledger(store)
            var book = ReputationBook()
            var chain = OwnReceipts(last: try await lastReceipt(store))
            var links: [StoreWrite] = []
            let did = identity.did
            let knowsLinks = try await store.setting(receiptLinksKey) != nil
            let uncounted = try await store.receiptsThatDoNotCount(limit: Limits.evidenceAtStartMax)
            for row in try await store.receipts(limit: Limits.evidenceAtStartMax) {
                guard let receipt = try await row.receipt(in: store) else { continue }
                if receipt.executorDID == did { chain.add(row.cid, after: receipt.previousReceiptCID) }
                if !knowsLinks { links.append(.receiptLink(ReceiptLinkRow(receipt, row.cid))) }
                guard let evidence = row.evidence(receipt) else { continue }
                // Who took a job and gave its outputs too late, or never, did not prove itself with that.
                if evidence.verdict == .fulfilled, uncounted.contains(row.cid) { continue }
                book.record(evidence)
            }
            if !knowsLinks { try await store.commit(links + [.setting(key: receiptLinksKey, value: [1])]) }
            let settings = marketConfiguration(configuration, machine: machine, addresses: addresses)
            return JobMarket(
                identity: identity, configuration: settings, ledger: ledger, reputation: book,
                lastReceipt: chain.tip, anchorHeads: try await anchorHeads(store, scope: settings.anchorScope))
        } catch let error as MeshStoreError {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .storageFailed, "The ledger contradicts itself: \(error).",
                hint: "Restore the home folder from a copy.")
        }
    }

    /// The setting that says that the links of older receipts were written down.
    private static let receiptLinksKey = "receipt_links"

    /// The receipt that this node signed last, as far as it was written down.
    private static func lastReceipt(_ store: MeshStore) async throws -> CID? {
        guard let bytes = try await store.setting(NodeWrite.lastReceiptKey) else { return nil }
        guard let cid = try? CID(bytes: bytes) else { throw MeshStoreError.recordCorrupt(table: "settings", row: 0) }
        return cid
    }

    /// The heads of the anchored DAG as the store has them; none before the first job.
    private static func anchorHeads(_ store: MeshStore, scope: String) async throws -> (heads: [CID], height: UInt64) {
        guard let bytes = try await store.setting(NodeWrite.anchorHeadsKey) else { return ([], 0) }
        guard let stored = try? DAGCBORDecoder().decode(AnchorHeadsV1.self, from: bytes) else {
            throw MeshStoreError.recordCorrupt(table: "settings", row: 0)
        }
        return stored.scope == scope ? (stored.heads, stored.height) : ([], 0)
    }

    /// The book as the store has it: all balances, and the entries of jobs that are not closed.
    static func ledger(_ store: MeshStore) async throws -> Ledger {
        var balances: [(account: LedgerAccount, balance: Int64)] = []
        var page = try await store.balances()
        while let last = page.last {
            for row in page {
                guard let account = LedgerAccount(named: row.account) else {
                    throw MeshStoreError.recordCorrupt(table: "balances", row: 0)
                }
                balances.append((account, row.amount))
            }
            page = try await store.balances(after: last.account)
        }
        var entries: [LedgerEntry] = []
        for row in try await store.openLedger() {
            guard let entry = row.entry else {
                throw MeshStoreError.recordCorrupt(table: "ledger", row: row.sequence)
            }
            entries.append(entry)
        }
        return try Ledger(balances: balances, entries: entries)
    }

    private func begin() async throws(NodeServiceError) {
        await serveMessages()
        do {
            try await subscribe()
        } catch {
            throw NodeServiceError(.internalError, "Gossip does not take the topics of the mesh: \(error).")
        }
        try await recover()
    }

    // MARK: Taking part

    /// Finds the mesh, stays in it, and tells it what this node offers, until the node stops.
    func takePart() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.rememberPeers() }
            group.addTask { await self.lookAround() }
            group.addTask { await self.announceNewFiles() }
            group.addTask { await self.announceStoredRoots() }
            group.addTask { await self.announceNewJobRoots() }
            group.addTask { await self.keepRoom() }
            group.addTask { await self.keepAddressesCurrent() }
            group.addTask { await self.join() }
        }
    }

    /// Dials the peers to begin with, and keeps at it when they are lost.
    private func join() async {
        let rows = (try? await store.peers(limit: 64)) ?? []
        for row in rows { await swarm.recall(row.addresses, for: row.peerID) }
        let known = rows.filter { !$0.addresses.isEmpty }.map(\.peerID)
        await peerService.begin(bootstrap: configuration.bootstrap, remembered: known)
        let nearest = rows.prefix(16).flatMap { row in row.addresses.prefix(1).map { $0.withPeerID(row.peerID) } }
        _ = await dht.bootstrap(configuration.bootstrap + nearest)
        take(.dialedAtStart)
    }

    /// Tells the market where this node is, so that new manifests and announcements say so; identify tells it by
    /// itself.
    private func keepAddressesCurrent() async {
        while (try? await Task.sleep(for: .milliseconds(limits.addressMilliseconds))) != nil {
            core.listens(at: await swarm.listenAddresses())
        }
    }

    /// Keeps the addresses of peers for the next start.
    private func rememberPeers() async {
        for await event in await swarm.peerEvents() {
            guard case .identified(let peer, _, let addresses) = event, !addresses.isEmpty else { continue }
            let row = PeerRow(peerID: peer, addresses: addresses, lastSeen: NodeClock.wallClock.value)
            store.enqueue([.peer(row)], urgency: .idle) { _ in }
        }
    }
}

/// The store as the source of blocks for others.
struct StoreBlockSource: BlockSource {
    let store: MeshStore

    func block(_ cid: CID) async -> [UInt8]? { (try? await store.block(cid)) ?? nil }
    func hasBlock(_ cid: CID) async -> Bool { (try? await store.hasBlock(cid)) ?? false }
}
