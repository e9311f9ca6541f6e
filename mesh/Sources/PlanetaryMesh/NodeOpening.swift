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
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import Reputation
import SignedObjects

/// Opens the node of a home folder: store, machine, swarm and services, and the stored market.
struct NodeOpening: Sendable {
    /// The number of newest receipts from which a start computes reputations.
    static let evidenceAtStartMax = 10_000
    /// The setting that says that the links of older receipts are recorded.
    private static let receiptLinksKey = "receipt_answers"
    /// The setting that says that what earlier versions knew of others by receipts alone is written down.
    static let conductKey = "conduct_kept"

    let home: NodeHome
    let settings: RunningSettings
    let identity: Identity
    let logger: Logger

    private var configuration: NodeConfiguration { settings.configuration }

    /// Opens everything and listens, but serves nothing yet; returns whom the owner banned, too, who cannot connect.
    func parts() async throws(NodeServiceError) -> (NodeParts, BanList) {
        let store = try openedStore()
        let machine = try Self.machine(configuration, home)
        let bans = try await stored { () throws(MeshStoreError) in try await BanList.stored(in: store) }
        let swarm = try await listening(denying: bans.peers)
        var blocks = BitswapService.Limits()
        blocks.servedBytesPerSecondPerPeerMax = configuration.limits.servedBytesPerSecondPerPeerMax
        var kademlia = KademliaConfiguration()
        kademlia.protocolID = configuration.kademliaProtocol
        let (receipts, results) = (VerifiedReceipts(), PrivateResults())
        let dht = KademliaService(
            host: swarm, configuration: kademlia,
            validators: [receipts.validator, VerifiedReceipts.proofs, VerifiedReceipts.workflows],
            logger: logger)
        let bitswap = BitswapService(
            host: swarm, store: StoreBlockSource(store: store, results: results), limits: blocks, logger: logger)
        let fetcher = ContentFetcher(store: store, bitswap: bitswap, dht: dht, host: swarm)
        let (gossip, tallies) = (GossipService(host: swarm, identity: identity, logger: logger), NodeTallies())
        let witness = WitnessDesk(
            identity: identity, store: store, authors: configuration.witness.dids,
            warn: { [logger] in logger.warning("\($0)") })
        let member = MemberDesk(
            identity: identity, host: swarm, own: IssuerDesk(identity: identity, store: store))
        let records = RecordDesk(member: member, gossip: gossip, settings: settings, logger: logger) { cid, peer in
            try await fetcher.block(cid, from: [peer], keep: false)
        }
        let runner = JobRunner(
            machine: machine, fetcher: fetcher, store: store, moduleBytesMax: configuration.limits.moduleBytesMax,
            inputBytesMax: configuration.limits.fileBytesMax)
        let auditor = ReceiptAuditor(store: store, dht: dht, host: swarm, fetcher: fetcher, runner: runner)
        let witnesses = BookingWitnesses(
            member: member, host: swarm, reach: { await auditor.reach($0) }, logger: logger)
        let parts = NodeParts(
            identity: identity, settings: settings, logger: logger, store: store, swarm: swarm, gossip: gossip,
            dht: dht, bitswap: bitswap,
            peerService: PeerService(host: swarm, logger: logger), machine: machine, receipts: receipts,
            results: results, fetcher: fetcher,
            runner: runner, sessionsPath: home.sessionsPath,
            witness: witness,
            follower: LogFollower(
                desk: LogDesk(identity: identity, store: store, witness: witness), host: swarm, gossip: gossip,
                settings: settings, logger: logger),
            member: member,
            holds: HoldDesk(member: member, witnesses: witnesses, logger: logger) { await records.settled($0) },
            records: records,
            issuerHeads: IssuerHeadDesk(member: member, gossip: gossip, settings: settings, logger: logger),
            across: AcrossDesk(member: member, logger: logger),
            replicator: BookReplicator(
                desk: member.own, host: swarm, logger: logger, reach: { await auditor.reach($0) }),
            replicas: ReplicaDesk(
                identity: identity, store: store, host: swarm, issuers: configuration.witness.issuerDIDs),
            arbiter: ArbiterDesk(
                identity: identity, store: store, host: swarm, runner: runner, issuers: configuration.arbiter.dids,
                logger: logger),
            charterWitness: CharterWitnessDesk(
                identity: identity, store: store, host: swarm, issuers: configuration.witness.issuerDIDs,
                logger: logger),
            issuerWitnesses: IssuerWitnesses(
                own: member.own, host: swarm, reach: { await auditor.reach($0) }, logger: logger,
                onCount: { tallies.add($0) }),
            tallies: tallies)
        return (parts, bans)
    }

    private func openedStore() throws(NodeServiceError) -> MeshStore {
        do {
            return try MeshStore(
                path: home.databasePath, owner: identity.did.text, limits: StoreLimits(configuration.limits))
        } catch MeshStoreError.inUse {
            throw NodeServiceError(
                .alreadyRunning, "The node in \(home.path) is already running.",
                hint: "mesh stop\(home.option) ends it.")
        } catch {
            throw NodeServiceError.noPermission(for: .making, of: home.databasePath) ?? NodeServiceError(storage: error)
        }
    }

    /// The machine of a node, which shares its compiled modules with all of the same home.
    static func machine(_ configuration: NodeConfiguration, _ home: NodeHome) throws(NodeServiceError) -> CoVM {
        do {
            return try CoVM(configuration: CoVMConfiguration(configuration, cachePath: home.cachePath))
        } catch {
            throw NodeServiceError.noPermission(for: .making, of: home.cachePath)
                ?? NodeServiceError(.internalError, "The WebAssembly machine did not start: \(error).")
        }
    }

    private func listening(denying banned: Set<PeerID>) async throws(NodeServiceError) -> Swarm {
        let swarm = Swarm(configuration: SwarmConfiguration(configuration), identity: identity, logger: logger)
        await swarm.deny(banned)
        do {
            try await swarm.listen()
        } catch SwarmError.cannotListen(let address, SystemWords.system(EACCES)) {
            throw NodeServiceError(
                .permissionDenied, "There is no permission to listen on \(address).",
                hint: "Ports below 1024 need root: set a higher one under \"listen\" in config.json.")
        } catch SwarmError.cannotListen(let address, SystemWords.system(EADDRNOTAVAIL)) {
            throw NodeServiceError(
                .configurationInvalid, "The node cannot listen on \(address): this machine has no such address.",
                hint: "Set one of this machine's under \"listen\" in config.json or with --listen; "
                    + "/ip4/0.0.0.0/tcp/4001 stands for all of them.")
        } catch SwarmError.cannotListen(let address, SystemWords.system(EADDRINUSE)) {
            throw NodeServiceError(
                .addressInUse, "The node cannot listen on \(address): another program on this machine does.",
                hint: "Set another port under \"listen\" in \(home.configurationPath), or stop that program.")
        } catch {
            throw NodeServiceError(
                .addressInUse, "The node cannot listen: \(error).",
                hint: "Stop the program that uses the address, or set another under \"listen\" in "
                    + "\(home.configurationPath).")
        }
        return swarm
    }

    // MARK: The market

    /// The word of this node's operator; refused if it is about another node.
    private func operatorCredential() throws(NodeServiceError) -> [UInt8]? {
        guard let text = configuration.executor.operatorText else { return nil }
        guard let credential = OperatorText(text), credential.executorDID == identity.did else {
            throw NodeServiceError(
                .configurationInvalid, "executor.operator in config.json is a credential of another node.",
                hint: "Put in what mesh operator sign \(identity.did.text) prints at its operator, or null.")
        }
        return credential.block
    }

    /// The stored market, before the journals of open jobs are folded in.
    func market(_ parts: NodeParts) async throws(NodeServiceError) -> JobMarket {
        let store = parts.store
        let addresses = await parts.swarm.listenAddresses()
        let credential = try operatorCredential()
        let trusted = await parts.records.trustedIssuers()
        do {
            let ledger = try await Self.ledger(store)
            let conduct = try await believed(ConductRow.all(in: store), trusting: trusted, store)
            let (book, chain) = try await evidence(store, conduct)
            let restored = try await RestoredChain.open(after: chain.tip, identity, store, logger)
            let records = try await Self.records(store)
            var settings = MarketConfiguration(configuration, machine: parts.machine, addresses: addresses)
            settings.executor?.operatorCredential = credential
            settings.tellsDeclines = logger.logLevel <= .info
            settings.executor?.ownerOrder = try await OwnerOrder.stored(in: store)
            let heads = try await anchorHeads(store, scope: settings.anchorScope)
            return JobMarket(
                identity: identity, configuration: settings, ledger: ledger, reputation: book,
                payers: ReputationBook(of: .originator, conduct), records: records,
                lastReceipt: restored.lastReceipt ?? chain.tip, chainOpenedAt: restored.openedAt,
                anchorHeads: heads, log: try await LogRecord(store: store).opened(heads: heads.heads))
        } catch let error as MeshStoreError {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .storageFailed, "The ledger contradicts itself: \(error).",
                hint: "mesh restore makes a new home of a backup.")
        }
    }

    /// What is written down of others, without what issuers booked that the owner trusts no more, which is deleted.
    private func believed(
        _ rows: [ConductRow], trusting issuers: Set<DID>, _ store: MeshStore
    ) async throws(MeshStoreError) -> [ConductRow] {
        var (kept, gone) = ([ConductRow](), [StoreWrite]())
        for row in rows {
            if let issuer = row.evidence?.pay?.issuerDID, !issuers.contains(issuer) {
                gone.append(.forgetConduct(side: row.side, subject: row.subject, assignment: row.assignment))
            } else {
                kept.append(row)
            }
        }
        if !gone.isEmpty { try await store.commit(gone) }
        return kept
    }

    /// What is known of executors, as it was written down; after an upgrade, as the newest receipts show it. And the
    /// chain of this node's own receipts.
    private func evidence(
        _ store: MeshStore, _ rows: [ConductRow]
    ) async throws -> (ReputationBook, OwnReceipts) {
        var book = ReputationBook(of: .executor, rows)
        let isKept = try await store.setting(Self.conductKey) == [1]
        var found: [ReputationEvidence] = []
        var chain = OwnReceipts(last: try await lastReceipt(store))
        var links: [StoreWrite] = []
        let did = identity.did
        let knowsLinks = try await store.setting(Self.receiptLinksKey) != nil
        let uncounted = try await store.receiptsThatDoNotCount(limit: Self.evidenceAtStartMax)
        let unblamed = try await store.receipts(
            ofJobsOpenOr: JobOutcome.crashesEngine.rawValue, limit: Self.evidenceAtStartMax)
        for row in try await store.receipts(limit: Self.evidenceAtStartMax) {
            guard let receipt = try await row.receipt(in: store) else { continue }
            if receipt.executorDID == did { chain.add(row.cid, after: receipt.previousReceiptCID) }
            if !knowsLinks { links.append(.receiptLink(ReceiptLinkRow(receipt, row.cid))) }
            guard !isKept, let evidence = row.evidence(receipt) else { continue }
            // An executor that delivered its outputs too late, or never, did not prove itself with that receipt.
            if evidence.verdict == .fulfilled, uncounted.contains(row.cid) { continue }
            // Whose doing a crash was, the end of its job says; the journals of open ones are read later.
            if CrashedRun.way(receipt.outcome) != nil, unblamed.contains(row.cid) { continue }
            found.append(evidence)
        }
        // The oldest first, as whoever was rated last is the last to be forgotten. That it is all there is said once
        // the journals of open jobs are read, too.
        let conduct = found.reversed().compactMap { book.record($0) }.flatMap { StoreWrite.conduct($0) }
        if !conduct.isEmpty { try await store.commit(conduct) }
        if !knowsLinks { try await store.commit(links + [.setting(key: Self.receiptLinksKey, value: [1])]) }
        return (book, chain)
    }

    /// What this node found of executors when it checked the newest receipts, but for those of open jobs, whose
    /// journals say it.
    private static func records(_ store: MeshStore) async throws -> TrackRecords {
        var records = TrackRecords()
        let open = Set(try await store.openJobs(role: .originator).map(\.jobID))
        for row in try await store.receipts(limit: evidenceAtStartMax).reversed() where !open.contains(row.jobID) {
            guard let executor = try? DID(parsing: row.executorDID) else { continue }
            if row.isVerified == false { records.wasWrong(executor) }
            guard row.isVerified == true, row.isChecked, let receipt = try await row.receipt(in: store) else {
                continue
            }
            let manifest = (try? await store.block(row.jobID)).flatMap { $0 }.flatMap {
                try? SignedObject<JobManifest>(verifiedBefore: $0).body
            }
            records.wasRight(executor, worth: (manifest?.params.priceCeiling ?? receipt.price).units)
        }
        return records
    }

    /// The receipt that this node signed last, if recorded.
    private func lastReceipt(_ store: MeshStore) async throws -> CID? {
        guard let bytes = try await store.setting(NodeWrite.lastReceiptKey) else { return nil }
        guard let cid = try? CID(bytes: bytes) else { throw MeshStoreError.recordCorrupt(table: "settings", row: 0) }
        return cid
    }

    /// The stored heads of the anchored DAG; none before the first job.
    private func anchorHeads(_ store: MeshStore, scope: String) async throws -> (heads: [CID], height: UInt64) {
        guard let bytes = try await store.setting(NodeWrite.anchorHeadsKey) else { return ([], 0) }
        guard let stored = try? DAGCBORDecoder().decode(AnchorHeadsV1.self, from: bytes) else {
            throw MeshStoreError.recordCorrupt(table: "settings", row: 0)
        }
        return stored.scope == scope ? (stored.heads, stored.height) : ([], 0)
    }

    /// The stored ledger: all balances, and the entries of open jobs.
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

    // MARK: The journals

    /// Resumes what the journals say was under way, and books the grant of a new node; returns what it could not
    /// resume.
    func recover(_ core: inout NodeCore, _ parts: NodeParts) async throws(NodeServiceError) -> JournalIntake {
        let store = parts.store
        var intake = JournalIntake(at: NodeClock.wallClock)
        do {
            let isRestored = try await RestoredChain.isPending(in: store)
            intake = JournalIntake(at: NodeClock.wallClock, isRestored: isRestored)
            var rows: [JournalIntake.Side: JobRow] = [:]
            var writes: [StoreWrite] = []
            for role in [StoreRole.originator, .executor] {
                for row in try await store.openJobs(role: role) {
                    let journal = try await store.readableJournal(of: row.jobID, role: role)
                    let side = JournalIntake.Side(
                        job: JobID(row.jobID), role: role == .originator ? .originator : .executor)
                    guard
                        let reason = intake.take(
                            journal.entries.map(\.bytes), damagedRow: journal.damaged.first, of: side,
                            updatedAt: UnixMilliseconds(row.updatedAt), into: &core)
                    else {
                        writes += newest(row, core.market).map { [.job($0)] } ?? []
                        continue
                    }
                    rows[side] = row
                    leftOut(row, reason, isAsked: intake.leftOut.last?.isByRestoration ?? false, parts)
                }
            }
            if let grant = try intake.grant(TokenAmount(configuration.creditGrant), to: &core) {
                writes.append(.ledger(LedgerRow(grant, jobID: nil)))
            }
            for (job, refund) in try intake.refunds(from: &core) {
                writes.append(.ledger(LedgerRow(refund, jobID: job)))
                cameBack(job, refund.amount, isRestored: isRestored, parts)
            }
            for over in intake.leftOut where over.isOver {
                guard var row = rows[over.side] else { continue }
                row.status = JobStatus.failed.rawValue
                row.standard = StandardJobStatus.failed.rawValue
                row.outcome = JobOutcome.failed.rawValue
                row.isTerminal = true
                row.reason = "left out: \(over.reason)"
                row.updatedAt = intake.at.value
                writes.append(.job(row))
            }
            if isRestored { writes += try await RestoredChain.ending(in: store) }
            writes += core.prepare { market throws(Never) in market.takeReplayed() }.flatMap { StoreWrite.conduct($0) }
            if try await store.setting(Self.conductKey) != [1] {
                writes.append(.setting(key: Self.conductKey, value: [1]))
            }
            if !writes.isEmpty { try await store.commit(writes) }
        } catch let error as MeshStoreError {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .storageFailed, "The ledger contradicts itself: \(error).",
                hint: "mesh restore makes a new home of a backup; mesh init makes a fresh one, with a key of its own.")
        }
        return intake
    }

    /// The row of a resumed job, if the stored one is behind its journal: at a crash it may be.
    private func newest(_ row: JobRow, _ market: JobMarket) -> JobRow? {
        let id = JobID(row.jobID)
        let newest =
            switch row.role {
            case .originator: market.originatedJob(id).map { JobStory.row(of: .originated($0)) }
            case .executor: market.executedJob(id).map { JobStory.row(of: .executed($0)) }
            }
        return newest == row ? nil : newest
    }

    private func leftOut(_ row: JobRow, _ reason: String, isAsked: Bool, _ parts: NodeParts) {
        if !isAsked { parts.tallies.add("journals_left_out") }
        logger.log(
            level: isAsked ? .notice : .error, "A job is left out of the start.",
            metadata: ["job": "\(row.jobID)", "role": "\(row.role.rawValue)", "reason": "\(reason)"])
    }

    private func cameBack(_ job: JobID, _ tokens: TokenAmount, isRestored: Bool, _ parts: NodeParts) {
        if !isRestored { parts.tallies.add("holds_given_back") }
        logger.log(
            level: isRestored ? .notice : .error,
            "Tokens that were held for a job come back, since nothing takes the job up any more.",
            metadata: ["job": "\(job)", "tokens": "\(tokens)"])
    }
}
