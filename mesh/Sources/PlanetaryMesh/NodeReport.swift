import Bitswap
import CoVM
import Determinism
import Economics
import Foundation
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import Reputation
import SignedObjects

/// What a node's owner sees of it, combined from the figures of the core and the parts.
struct NodeReport: Sendable {
    let parts: NodeParts
    let room: StoreRoom
    let startedAt = NodeClock.now
    private let listening = StampedMemo<PeerID, Int64, [String]>(.init(countMax: 1, weightMax: 1))
    private let underWay = StampedMemo<PeerID, UInt64, [NodeStatus.JobCount]>(.init(countMax: 1, weightMax: 1))

    init(parts: NodeParts, room: StoreRoom) {
        self.parts = parts
        self.room = room
    }

    /// For how long a status tells the same addresses, in milliseconds: to ask the system for those of its interfaces
    /// takes longer than all the rest.
    static let addressMilliseconds: Int64 = 1_000

    /// What only the core knows, at one moment.
    struct Figures: Sendable {
        let tallies: [String: UInt64]
        let market: MarketCounters
        let openJobs: [NodeStatus.JobCount]
        let events: [NodeStatus.EventCount]
        let clockOffsetMilliseconds: Int64?
        let restoredAtMilliseconds: UInt64?
        let executor: ExecutorState

        init(
            _ core: borrowing NodeCore, _ configured: NodeConfiguration.Executor, _ events: JobEventTally,
            _ jobs: [NodeStatus.JobCount], at moment: NodeMoment
        ) {
            self.events = events.counts
            executor = ExecutorState(core, configured, at: moment)
            tallies = core.tallies
            market = core.market.counters
            openJobs = jobs
            clockOffsetMilliseconds = core.market.clockOffsetMilliseconds
            restoredAtMilliseconds = core.market.chainOpenedAt?.value
        }

        /// What to tell the owner about this node's clock; `nil` if it agrees with its peers' clocks.
        var clockWarning: String? {
            clockOffsetMilliseconds.map { offset in
                "This machine's clock is \(offset.magnitude / 1000) s \(offset > 0 ? "behind" : "ahead of") its "
                    + "peers' clocks, by what they sign: jobs and bids are refused for their dates. Set the clock."
            }
        }
    }

    /// Who the node is and how it is doing.
    func status(_ figures: Figures, journalWarning: String?) async -> NodeStatus {
        let (identity, configuration) = (parts.identity, parts.configuration)
        var status = NodeStatus(
            version: NodeVersion.current, peerID: identity.peerID.text, did: identity.did.text,
            addresses: await addresses(),
            uptimeMilliseconds: UInt64(clamping: NodeClock.now.milliseconds(since: startedAt)),
            residentBytes: ProcessMemory.residentBytes, connectedPeers: await parts.swarm.connectedPeers().count,
            isExecutor: configuration.executor.isEnabled, region: configuration.region,
            processID: ProcessInfo.processInfo.processIdentifier, counters: await counters(figures),
            storage: room.view)
        status.executorState = figures.executor
        status.clockWarning = figures.clockWarning
        status.journalWarning = journalWarning
        status.jobs = figures.openJobs
        status.events = figures.events
        status.restoredAtMilliseconds = figures.restoredAtMilliseconds
        if configuration.executor.isEnabled { status.runIsolation = parts.machine.isolation }
        status.keyWarning = parts.swarm.ownKeyElsewhere().map { Self.warning(of: $0, now: NodeClock.now) }
        status.issuerWarning = await parts.issuerWitnesses.warning()
        return status
    }

    /// The jobs under way, which are counted anew after whatever has changed in the core: it remembers many that ended.
    func jobsUnderWay(at decisions: UInt64, _ counted: () -> [NodeStatus.JobCount]) -> [NodeStatus.JobCount] {
        let peer = parts.identity.peerID
        if let known = underWay.value(of: peer, at: decisions) { return known }
        let jobs = counted()
        underWay.keep(jobs, of: peer, at: decisions)
        return jobs
    }

    /// The addresses that the node listens on.
    private func addresses() async -> [String] {
        let (peer, turn) = (
            parts.identity.peerID, NodeClock.now.milliseconds(since: startedAt) / Self.addressMilliseconds
        )
        if let known = listening.value(of: peer, at: turn) { return known }
        let addresses = await parts.swarm.listenAddresses().map { $0.withPeerID(peer).text }
        listening.keep(addresses, of: peer, at: turn)
        return addresses
    }

    /// What to tell the owner about another node with this node's key.
    static func warning(of sighting: OwnKeySighting, now: MonotonicInstant) -> String {
        let seconds = max(0, now.milliseconds(since: sighting.at)) / 1_000
        return
            "Another node runs with this node's key: it was met at \(sighting.address), \(seconds) s ago. Both promise "
            + "and spend in one name, so jobs and payments get lost. Stop one of them, and make it a home of its own "
            + "with mesh init."
    }

    private func counters(_ figures: Figures) async -> [NodeStatus.Counter] {
        var all = parts.tallies.all.merging(figures.tallies) { $0 + $1 }
        let store = parts.store.counters
        all["store_commits"] = UInt64(store.commits)
        all["store_transactions"] = UInt64(store.transactions)
        all["store_blocks"] = UInt64(store.blocks)
        all["store_block_bytes"] = UInt64(store.blockBytes)
        all["store_corrupt_blocks"] = UInt64(store.corruptBlocks)
        all["store_evicted_blocks"] = UInt64(store.evictedBlocks)
        all["store_lock_retries"] = UInt64(store.lockRetries)
        all["store_full_retries"] = UInt64(store.fullRetries)
        all["store_corrupt_records"] = UInt64(store.corruptRecords)
        let market = figures.market
        all["market_duplicates"] = market.duplicates
        all["market_announcements_ignored"] = market.announcementsIgnored
        all["market_bids_not_written"] = market.bidsNotWritten
        for (code, count) in market.refusals { all["market_refused_\(code)"] = count }
        for (code, count) in market.declines { all["market_declined_\(code)"] = count }
        for (counter, count) in parts.swarm.counters() {
            all[Self.names[counter] ?? Self.name(of: counter)] = UInt64(count)
        }
        let bitswap = await parts.bitswap.counters()
        all["bitswap_blocks_refused"] = UInt64(bitswap.mismatchedBlocks + bitswap.unsolicitedBlocks)
        for (side, name) in [(JobSide.originator, "jobs_originated_open"), (.executor, "jobs_executed_open")] {
            all[name] = figures.openJobs.filter { $0.side == side.rawValue }.map(\.count).reduce(0, +)
        }
        return all.compactMap { $1 > 0 ? NodeStatus.Counter(name: $0, value: $1) : nil }.sorted { $0.name < $1.name }
    }

    private static let names = Dictionary(uniqueKeysWithValues: SwarmCounter.allCases.map { ($0, name(of: $0)) })

    /// The name of a counter of the swarm, in the style of all of them: `swarm_refused_per_ip`.
    static func name(of counter: SwarmCounter) -> String {
        var name = "swarm_"
        var wasUppercase = true
        for character in counter.rawValue {
            if character.isUppercase, !wasUppercase { name += "_" }
            wasUppercase = character.isUppercase
            name += character.lowercased()
        }
        return name
    }

    /// Balances, holds and the newest movements: the market has the entries of jobs that it remembers, the store all.
    func wallet(_ ledger: Ledger, _ query: WalletQuery) async throws(NodeServiceError) -> WalletView {
        let holds = ledger.accounts.compactMap { row -> WalletView.Hold? in
            guard case .escrow(let job) = row.account, row.balance > .zero else { return nil }
            return WalletView.Hold(jobID: job.description, amount: row.balance.units)
        }
        let rows = try await stored { () throws(MeshStoreError) in
            try await LedgerRow.newest(
                before: query.before ?? .max, kind: query.kind?.rawValue, limit: query.limit, in: parts.store)
        }
        return WalletView(
            did: parts.identity.did.text, available: ledger.wallet.units, held: ledger.escrowTotal.units,
            paid: ledger.paid.units, earned: ledger.earned.units, holds: holds,
            entries: rows.map(WalletView.Entry.init))
    }
}

extension WalletView.Entry {
    /// A movement as the store has it.
    init(_ row: LedgerRow) {
        self.init(
            at: row.at, kind: row.kind, debit: row.debit, credit: row.credit, amount: row.amount,
            jobID: row.jobID?.text, number: row.sequence)
    }
}

extension PeerView {
    /// A peer, with what the core has heard and thinks of it.
    init(_ known: Neighbourhood.KnownPeer, _ core: NodeCore, at moment: NodeMoment) {
        let offer = known.did.flatMap { core.offer(of: $0, at: moment) }.map { capability in
            let region = capability.region.map { "region \($0), " } ?? ""
            return "\(region)\(capability.basePrice) tokens + \(capability.pricePerMillionFuel) per million fuel"
        }
        // One that is not connected may be gone.
        let isResting = known.isConnected && known.did.map { core.isResting($0, at: moment) } ?? false
        self.init(
            peerID: known.peer.text, did: known.did?.text, isConnected: known.isConnected,
            addresses: known.addresses.map(\.text),
            lastSeen: known.isConnected ? moment.wallClock.value : known.row?.lastSeen,
            reputation: known.did.map { Int64(clamping: core.market.reputation.score(of: $0, at: moment.wallClock)) },
            capability: offer ?? (isResting ? "takes no jobs now" : ""),
            misbehaviourCount: known.row?.misbehaviourCount ?? 0)
        connections = known.connections?.map(\.text)
        if known.connections != nil { wasConnected = known.wasConnected }
        if core.dealings.bans[known.peer] != nil { isBanned = true }
    }
}
