import CoVM
import JobMarket
import Kademlia
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PServices
import Receipts
import SignedObjects

/// Checks a receipt as a stranger would: from its CID alone, with what the mesh holds.
///
/// The receipt itself comes from the store, else from the DHT; the chain behind it and the outputs come from the two
/// parties that the receipt names, found through the DHT by their keys, else from any provider.
struct ReceiptAuditor: Sendable {
    let store: MeshStore
    let dht: KademliaService
    let host: any StreamHost
    let fetcher: ContentFetcher
    let runner: JobRunner

    /// A receipt, and where it came from.
    struct Found: Sendable {
        let signed: SignedObject<ExecutionReceipt>
        let source: String
    }

    /// The receipt of a CID.
    func find(_ cid: CID) async throws(NodeServiceError) -> Found {
        let (block, source) = try await block(of: cid)
        do {
            return Found(signed: try SignedObject<ExecutionReceipt>(verifying: block), source: source)
        } catch {
            throw NodeServiceError(
                .receiptInvalid, "\(cid) is no validly signed receipt: \(error).",
                hint: "Check the CID; a job's receipt CID is in mesh jobs.")
        }
    }

    private func block(of cid: CID) async throws(NodeServiceError) -> (bytes: [UInt8], source: String) {
        do {
            if let block = try await store.block(cid) { return (block, "here") }
        } catch {
            throw NodeServiceError(storage: error)
        }
        var reason = ""
        do {
            return (try await dht.getValue(key: MeshTopics.receiptKey(cid)), "the DHT")
        } catch {
            reason = "\(error)"
        }
        do {
            return (try await fetcher.block(cid, from: await host.connectedPeers()), "a peer")
        } catch {
            throw NodeServiceError(
                .receiptNotFound, "The receipt \(cid) is neither here nor in the mesh (DHT: \(reason)).",
                hint: "Check the CID and that this node is connected (mesh peers).")
        }
    }

    /// Every check of the receipt and the chain behind it.
    func verify(_ cid: CID) async throws(NodeServiceError) -> (report: VerificationReport, walk: ReceiptWalk) {
        let found = try await find(cid)
        var walk = ReceiptWalk(receiptCID: cid)
        _ = walk.received(found.signed.bytes, for: cid)
        let parties = [found.signed.body.executorDID.peerID, found.signed.body.originatorDID.peerID]
            .filter { $0 != host.localPeer }
        await reach(parties)
        if let previous = found.signed.body.previousReceiptCID { await fetchPredecessor(previous, parties, &walk) }
        while let want = walk.wants.first {
            do {
                let block = try await fetcher.block(want.cid, from: parties)
                if case .failure(let refusal) = walk.received(block, for: want.cid) {
                    walk.unavailable(want.cid, reason: "\(refusal)")
                }
            } catch {
                walk.unavailable(want.cid, reason: "\(error)")
            }
        }
        return (walk.report(siblings: try await siblings(of: found.signed)), walk)
    }

    /// How long to look for the previous receipt, in milliseconds: it is often gone.
    private static let predecessorMilliseconds = 5_000

    /// Looks for a receipt's predecessor where receipts are found; what is not found soon is unknown.
    private func fetchPredecessor(_ cid: CID, _ parties: [PeerID], _ walk: inout ReceiptWalk) async {
        let block = await withTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                if let block = (try? await store.block(cid)) ?? nil { return block }
                if let block = try? await dht.getValue(key: MeshTopics.receiptKey(cid)) { return block }
                return try? await fetcher.block(cid, from: parties, keep: false)
            }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(Self.predecessorMilliseconds))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        if let block, case .success = walk.received(block, for: cid) { return }
        walk.unavailable(cid, reason: "neither this node nor the DHT nor the two parties gave it")
    }

    /// Other receipts of the same executor that this node has seen to follow the same one. Remembers this one, so that
    /// the next audit sees it.
    private func siblings(
        of signed: SignedObject<ExecutionReceipt>
    ) async throws(NodeServiceError) -> [CID] {
        let link = ReceiptLinkRow(signed.body, signed.cid)
        do {
            try await store.commit([.receiptLink(link)])
            return try await store.successors(of: link.previous, executorDID: link.executorDID)
        } catch {
            throw NodeServiceError(storage: error)
        }
    }

    /// Runs the receipt's job again and compares.
    func replay(_ cid: CID) async throws(NodeServiceError) -> VerificationReport {
        let (report, walk) = try await verify(cid)
        guard report.failures.isEmpty, let receipt = walk.receipt, let manifest = walk.manifest else {
            throw NodeServiceError(
                .receiptInvalid, "The receipt does not verify, so a replay has nothing to compare with.",
                hint: "See mesh receipt verify \(cid) for the check that failed.")
        }
        if let obstacle = ReplayComparison.obstacle(receipt) {
            throw NodeServiceError(.invalidRequest, "The run cannot be repeated: \(obstacle).")
        }
        let parties = [receipt.originatorDID.peerID, receipt.executorDID.peerID].filter { $0 != host.localPeer }
        let run = await runner.run(
            manifest, jobID: receipt.jobID, executor: receipt.executorDID, from: parties, wallClockMilliseconds: nil,
            cancellation: ExecutionCancellation(), keep: false)
        if case .fetchFailed(let reason) = run.report.outcome {
            throw NodeServiceError(
                .blockNotFound, "The module or an input cannot be had any more: \(reason).",
                hint: "Try again when the originator's node is up.")
        }
        let again = ReplayedRun(
            outcome: run.report.outcome, outputs: run.report.outputs, stdoutCID: run.report.stdoutCID,
            stderrCID: run.report.stderrCID, logCID: run.report.logCID, fuel: run.report.usage.fuel,
            engine: run.engine, likeEngines: runner.machine.likeEngines)
        return ReplayComparison.compare(receipt, receiptCID: cid, with: again)
    }

    /// Connects to peers with known keys at the addresses that the DHT has.
    private func reach(_ peers: [PeerID]) async {
        let connected = Set(await host.connectedPeers())
        await withDiscardingTaskGroup { group in
            for peer in peers where !connected.contains(peer) {
                group.addTask {
                    guard let addresses = try? await dht.findPeer(peer) else { return }
                    try? await host.connect(to: peer, addresses: addresses)
                }
            }
        }
    }
}
