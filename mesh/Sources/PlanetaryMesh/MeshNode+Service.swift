import Crypto
import Economics
import Foundation
import IPLD
import JobMarket
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import PeerIdentity
import Receipts
import SignedObjects

extension MeshNode: NodeService {
    public func status() async throws(NodeServiceError) -> NodeStatus {
        let addresses = await swarm.listenAddresses().map { $0.withPeerID(identity.peerID).text }
        var status = NodeStatus(
            version: NodeVersion.current, peerID: identity.peerID.text, did: identity.did.text, addresses: addresses,
            uptimeMilliseconds: UInt64(clamping: NodeClock.now.milliseconds(since: startedAt)),
            residentBytes: ProcessMemory.residentBytes, connectedPeers: await swarm.connectedPeers().count,
            isExecutor: configuration.executor.isEnabled, region: configuration.region,
            processID: ProcessInfo.processInfo.processIdentifier, counters: await counters(), storage: storage)
        status.clockWarning = clockWarning
        status.journalWarning = journalWarning
        return status
    }

    /// What the owner is to be told of this node's clock; `nil` where it goes as its peers' clocks do.
    var clockWarning: String? {
        core.market.clockOffsetMilliseconds.map { offset in
            "This machine's clock is \(offset.magnitude / 1000) s \(offset > 0 ? "behind" : "ahead of") its peers' "
                + "clocks, by what they sign: jobs and bids are refused for their dates. Set the clock."
        }
    }

    private func counters() async -> [NodeStatus.Counter] {
        var all = tallies.merging(core.tallies) { $0 + $1 }
        let store = store.counters
        all["store_commits"] = UInt64(store.commits)
        all["store_transactions"] = UInt64(store.transactions)
        all["store_blocks"] = UInt64(store.blocks)
        all["store_block_bytes"] = UInt64(store.blockBytes)
        all["store_corrupt_blocks"] = UInt64(store.corruptBlocks)
        all["store_evicted_blocks"] = UInt64(store.evictedBlocks)
        all["store_lock_retries"] = UInt64(store.lockRetries)
        all["store_full_retries"] = UInt64(store.fullRetries)
        all["store_corrupt_records"] = UInt64(store.corruptRecords)
        let market = core.market.counters
        all["market_duplicates"] = market.duplicates
        all["market_announcements_ignored"] = market.announcementsIgnored
        all["market_bids_not_written"] = market.bidsNotWritten
        for (code, count) in market.refusals { all["market_refused_\(code)"] = count }
        for (code, count) in market.declines { all["market_declined_\(code)"] = count }
        for (counter, count) in swarm.counters() { all["swarm_\(counter.rawValue)"] = UInt64(count) }
        let bitswap = await bitswap.counters()
        all["bitswap_blocks_refused"] = UInt64(bitswap.mismatchedBlocks + bitswap.unsolicitedBlocks)
        all["jobs_originated_open"] = UInt64(core.market.openCounts.originated)
        all["jobs_executed_open"] = UInt64(core.market.openCounts.executed)
        return all.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map {
            NodeStatus.Counter(name: $0.key, value: $0.value)
        }
    }

    // MARK: Receipts

    private var auditor: ReceiptAuditor {
        ReceiptAuditor(store: store, dht: dht, host: swarm, fetcher: fetcher, runner: runner)
    }

    public func receipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptView {
        let found = try await auditor.find(cid)
        return ReceiptView(found.signed, source: found.source)
    }

    public func verifyReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        ReceiptReport(try await auditor.verify(cid).report)
    }

    public func replayReceipt(_ cid: CID) async throws(NodeServiceError) -> ReceiptReport {
        ReceiptReport(try await auditor.replay(cid))
    }

    // MARK: Peers

    public func peers() async throws(NodeServiceError) -> [PeerView] {
        let connected = Set(await swarm.connectedPeers())
        let rows = try await stored { try await self.store.peers(limit: 1_000) }
        let known = Dictionary(rows.map { ($0.peerID, $0) }) { first, _ in first }
        let all = connected.union(known.keys).sorted {
            (connected.contains($0) ? 0 : 1, $0) < (connected.contains($1) ? 0 : 1, $1)
        }
        var views: [PeerView] = []
        for peer in all {
            views.append(await view(of: peer, isConnected: connected.contains(peer), row: known[peer]))
        }
        return views
    }

    private func view(of peer: PeerID, isConnected: Bool, row: PeerRow?) async -> PeerView {
        let did = (try? PublicKey(peerID: peer))?.did
        var addresses = await swarm.addresses(of: peer)
        if addresses.isEmpty { addresses = row?.addresses ?? [] }
        let offer = did.flatMap { core.offer(of: $0, at: moment) }.map { capability in
            let region = capability.region.map { "region \($0), " } ?? ""
            return "\(region)\(capability.basePrice) + \(capability.pricePerMillionFuel) per million fuel"
        }
        return PeerView(
            peerID: peer.text, did: did?.text, isConnected: isConnected, addresses: addresses.map(\.text),
            lastSeen: isConnected ? NodeClock.wallClock.value : row?.lastSeen,
            reputation: did.map { Int64(clamping: core.market.reputation.score(of: $0, at: NodeClock.wallClock)) },
            capability: offer ?? "", misbehaviourCount: row?.misbehaviourCount ?? 0)
    }

    public func connect(_ address: Multiaddr) async throws(NodeServiceError) -> PeerView {
        do {
            let peer = try await swarm.dial(address)
            return await view(of: peer, isConnected: true, row: nil)
        } catch {
            throw NodeServiceError(
                .peerUnreachable, "No peer answered at \(address): \(error).",
                hint: "Check the address, and that the peer is up.")
        }
    }

    // MARK: Wallet

    public func wallet(entriesLimit: Int) async throws(NodeServiceError) -> WalletView {
        let ledger = core.market.ledger
        let holds = ledger.accounts.compactMap { row -> WalletView.Hold? in
            guard case .escrow(let job) = row.account, row.balance > .zero else { return nil }
            return WalletView.Hold(jobID: job.description, amount: row.balance.units)
        }
        // The market keeps the entries of jobs that it remembers; the store has all.
        let newest = try await stored { try await self.store.newestLedger(limit: entriesLimit) }.map { row in
            WalletView.Entry(
                at: row.at, kind: row.kind, debit: row.debit, credit: row.credit, amount: row.amount,
                jobID: row.jobID?.text)
        }
        return WalletView(
            did: identity.did.text, available: ledger.wallet.units, held: ledger.escrowTotal.units,
            paid: ledger.paid.units, earned: ledger.earned.units, holds: holds, entries: newest)
    }

    // MARK: Files

    public func add(_ bytes: [UInt8]) async throws(NodeServiceError) -> AddedFile {
        guard bytes.count <= configuration.limits.fileBytesMax else {
            throw NodeServiceError(
                .tooLarge, "The file has \(bytes.count) bytes; this node takes \(configuration.limits.fileBytesMax).",
                hint: "Cut it up, or raise limits.file_bytes_max in config.json.")
        }
        let file: UnixFSFile.Blocks
        do {
            file = try UnixFSFile.blocks(of: bytes)
        } catch {
            throw NodeServiceError(.tooLarge, "The file cannot be kept: \(error).")
        }
        try requireRoom("The file is not kept")
        try await stored {
            try await self.store.commit(
                file.blocks.map { .block(cid: $0.cid, bytes: $0.bytes) } + [.file(root: file.root)])
        }
        providing.yield(file.root)
        return AddedFile(cid: file.root.text, size: bytes.count)
    }

    public func get(_ cid: CID) async throws(NodeServiceError) -> [UInt8] {
        do {
            return try await fetcher.file(cid, from: [], bytesMax: configuration.limits.fileBytesMax)
        } catch FetchError.notAFile(_, .fileTooLarge(let bytesMax)) {
            throw NodeServiceError(
                .tooLarge, "The file is larger than \(bytesMax) bytes.",
                hint: "Raise limits.file_bytes_max in config.json.")
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .blockNotFound, "The file cannot be had: \(error).",
                hint: "Check the CID, and that this node is connected (mesh peers).")
        }
    }

    // MARK: Small things

    /// What the store says, in the terms of the service.
    func stored<Value: Sendable>(
        _ body: @Sendable () async throws -> Value
    ) async throws(NodeServiceError) -> Value {
        do {
            return try await body()
        } catch let error as MeshStoreError {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(.internalError, "The store failed: \(error).")
        }
    }

    static func cid(_ text: String, _ what: String) throws(NodeServiceError) -> CID {
        do {
            return try CID(parsing: text)
        } catch {
            throw NodeServiceError(.invalidRequest, "\(what) is no CID: \(error).", hint: "A CID looks like bafkrei….")
        }
    }

    static func dids(_ texts: [String]?) throws(NodeServiceError) -> [DID]? {
        guard let texts else { return nil }
        var dids: [DID] = []
        for text in texts {
            do {
                dids.append(try DID(parsing: text))
            } catch {
                throw NodeServiceError(
                    .invalidRequest, "\(text) is no DID of this mesh: \(error).",
                    hint: "A DID looks like did:key:z6Mk….")
            }
        }
        return dids
    }

    static func randomBytes(_ count: Int) -> [UInt8] {
        // SAFETY: the bytes are copied before the pointer ends.
        SymmetricKey(size: SymmetricKeySize(bitCount: count * 8)).withUnsafeBytes(Array.init)
    }

    static func randomText() -> String { Multibase.encode(randomBytes(16), .base32) }
}

extension ReceiptReport {
    /// A report of the checks as the API shows it.
    init(_ report: VerificationReport) {
        self.init(
            receiptCID: report.receiptCID.text, isValid: report.isVerified,
            lines: report.lines.map { line in
                let verdict: Line.Verdict =
                    switch line.result {
                    case .passed: .passed
                    case .failed: .failed
                    case .notCheckable: .skipped
                    }
                return Line(name: line.title, verdict: verdict, detail: line.detail)
            })
    }
}

extension ReceiptView {
    /// A verified receipt as the API shows it.
    init(_ signed: SignedObject<ExecutionReceipt>, source: String) {
        let receipt = signed.body
        self.init(
            receiptCID: signed.cid.text, jobID: receipt.jobID.description, assignmentCID: receipt.assignmentCID.text,
            originatorDID: receipt.originatorDID.text, executorDID: receipt.executorDID.text, attempt: receipt.attempt,
            moduleCID: receipt.moduleCID.text,
            inputs: receipt.inputCIDs.map { NamedText(name: $0.key, text: $0.value.text) },
            status: receipt.status.rawValue, outcome: receipt.outcome.description,
            outputs: receipt.outputs.map { NamedText(name: $0.key, text: $0.value.text) },
            stdoutCID: receipt.stdoutCID?.text, stderrCID: receipt.stderrCID?.text, logCID: receipt.logCID?.text,
            fuel: receipt.resourceUsage.fuel, peakMemoryBytes: receipt.resourceUsage.peakMemoryBytes,
            wallMilliseconds: receipt.resourceUsage.wallMilliseconds, price: receipt.price.units,
            engine: "\(receipt.engine.name) \(receipt.engine.version)", determinism: receipt.determinism.rawValue,
            startedAt: receipt.executionStartedAt.value, endedAt: receipt.executionEndedAt.value,
            previousReceiptCID: receipt.previousReceiptCID?.text, source: source)
    }
}
