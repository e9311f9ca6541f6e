import CoVM
import IPLD
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
import Workflows

/// Checks a receipt as a stranger would: from its CID alone, with what the mesh holds.
///
/// The receipt itself comes from the store, else from the executor that gossip named, else from the DHT; the chain
/// behind it and the outputs come from the two parties that the receipt names, at the addresses that gossip named or
/// found through the DHT by their keys, else from any provider.
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

    /// The source of what is in this node's store.
    static let here = "here"
    /// The source of what the executor gave that gossip named.
    static let named = "the executor that gossip named"
    /// The source of what is a record of the DHT.
    static let directory = "the DHT"

    /// The receipt of a CID.
    func find(_ cid: CID) async throws(NodeServiceError) -> Found {
        let (block, source) = try await block(of: cid)
        do {
            let signed = try SignedObject<ExecutionReceipt>(verifying: block)
            fetcher.named.saw(signed.body)
            return Found(signed: signed, source: source)
        } catch {
            throw NodeServiceError(
                .receiptInvalid, "\(cid) is no validly signed receipt: \(error).",
                hint: "Check the CID; a job's receipt CID is in mesh jobs.")
        }
    }

    /// A block that is a receipt, or may be one.
    ///
    /// - Parameter key: under which the DHT has it; by default that of a receipt, of a job or of a workflow.
    func block(
        of cid: CID, key: [UInt8]? = nil
    ) async throws(NodeServiceError) -> (bytes: [UInt8], source: String) {
        do {
            if let block = try await store.block(cid) { return (block, Self.here) }
        } catch {
            throw NodeServiceError(storage: error)
        }
        if let found = await fetcher.fromNamed(cid) { return (found.block, Self.named) }
        for key in key.map({ [$0] }) ?? [MeshTopics.receiptKey(cid), WorkflowReceipt.key(cid)] {
            if let block = try? await dht.getValue(key: key) { return (block, Self.directory) }
        }
        do {
            return (try await fetcher.block(cid, from: await host.connectedPeers()), "a peer")
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .receiptNotFound, "\(cid) is neither on this node nor found in the mesh.",
                hint: "Check the CID, and that this node is connected (mesh peers).")
        }
    }

    /// The manifest of a receipt's job, if it is here; and whether the store could say so.
    func manifest(
        of receipt: ExecutionReceipt
    ) async -> (manifest: SignedObject<JobManifest>?, isRead: Bool) {
        do {
            let block = try await store.block(receipt.jobID.cid)
            return (block.flatMap { try? SignedObject<JobManifest>(verifying: $0) }, true)
        } catch {
            return (nil, false)
        }
    }

    /// Every check of the receipt and the chain behind it.
    func verify(_ cid: CID) async throws(NodeServiceError) -> (report: VerificationReport, walk: ReceiptWalk) {
        let found = try await find(cid)
        let walk = try await gather(found.signed, withOutputs: true) { _ in }
        let contradicting = try await contradicting(found.signed)
        let report = walk.report(siblings: contradicting.successors, twins: contradicting.answers)
        let known = try await settlements(of: found.signed)
        let lines =
            SettlementCheck.lines(known, of: found.signed.body, found.signed.cid, of: walk.manifest)
            + [TranscriptCheck.line(of: found.signed.body, walk.manifest, await transcript(of: found.signed.body))]
            .compactMap(\.self)
        return (lines.reduce(report) { $0.adding($1) }, walk)
    }

    /// The block of a receipt's transcript, from the store or one of the two sides; nil where none of them gives it.
    private func transcript(of receipt: ExecutionReceipt) async -> [UInt8]? {
        guard let cid = receipt.transcriptCID else { return nil }
        let parties = [receipt.originatorDID.peerID, receipt.executorDID.peerID].filter { $0 != host.localPeer }
        return try? await fetcher.block(cid, from: parties, keep: false)
    }

    /// What a receipt's own evidence shows, whatever other receipts its executor signed.
    func verifyAlone(_ cid: CID) async throws(NodeServiceError) -> (report: VerificationReport, walk: ReceiptWalk) {
        let walk = try await gather(try await find(cid).signed, withOutputs: true) { _ in }
        return (walk.report(), walk)
    }

    /// The receipt and what the mesh holds of the evidence behind it, as a file (a CAR).
    func export(_ cid: CID, withOutputs: Bool) async throws(NodeServiceError) -> [UInt8] {
        let signed = try await find(cid).signed
        var blocks = [CAR.Block(cid: cid, bytes: signed.bytes)]
        let walk = try await gather(signed, withOutputs: withOutputs) { blocks.append($0) }
        // Who gets a file may give it on; a private transcript is for the two sides.
        if withOutputs, walk.manifest?.params.session?.transcript == .shared,
            let transcript = signed.body.transcriptCID, let block = await self.transcript(of: signed.body)
        {
            blocks.append(CAR.Block(cid: transcript, bytes: block))
        }
        for settlement in try await settlements(of: signed) {
            blocks.append(CAR.Block(cid: settlement.cid, bytes: settlement.bytes))
        }
        return CAR(roots: [cid], blocks: blocks).encoded
    }

    /// Collects the evidence behind a receipt.
    ///
    /// - Parameters:
    ///   - workflow: the peers to ask for the receipt of a workflow's job, which have all of them; nobody looks for the
    ///     one before it then.
    ///   - taken: sees every block that was wanted and came.
    func gather(
        _ signed: SignedObject<ExecutionReceipt>, withOutputs: Bool, ofWorkflowAt workflow: [PeerID]? = nil,
        taken: (CAR.Block) -> Void
    ) async throws(NodeServiceError) -> ReceiptWalk {
        var walk = ReceiptWalk(receiptCID: signed.cid)
        _ = walk.received(signed.bytes, for: signed.cid)
        if !withOutputs { walk.leaveOutputsOut() }
        let parties =
            workflow
            ?? [signed.body.executorDID.peerID, signed.body.originatorDID.peerID].filter { $0 != host.localPeer }
        if workflow == nil { await reach(parties) }
        if let previous = signed.body.previousReceiptCID {
            if workflow != nil {
                walk.unavailable(previous, reason: "it was not looked for")
            } else if let block = await fetchPredecessor(previous, parties, &walk) {
                taken(CAR.Block(cid: previous, bytes: block))
            }
        }
        while let want = walk.nextWant() {
            do {
                let block = try await fetcher.block(want.cid, from: parties, keep: workflow == nil)
                switch walk.received(block, for: want.cid) {
                case .success: taken(CAR.Block(cid: want.cid, bytes: block))
                case .failure(let refusal): walk.unavailable(want.cid, reason: "\(refusal)")
                }
            } catch {
                walk.unavailable(want.cid, reason: "\(error)")
            }
        }
        return walk
    }

    /// What the originator paid for a receipt, as far as this node has its word for it; each settlement once.
    func settlements(
        of signed: SignedObject<ExecutionReceipt>
    ) async throws(NodeServiceError) -> [SignedObject<Settlement>] {
        if !store.isStuck { try await stored { () throws(MeshStoreError) in try await store.persisted() } }
        let journal = try await stored { () throws(MeshStoreError) in
            try await store.readableJournal(of: signed.body.jobID.cid)
        }
        var known: [SignedObject<Settlement>] = []
        for entry in journal.entries {
            let settlement: SignedObject<Settlement>
            switch (try? JobEvent.decode(entry.bytes))?.kind {
            case .settled(let payment, _)?: settlement = payment
            case .settlementReceived(let payment)?: settlement = payment
            case .lateReceipt(_, let refusal, _)?: settlement = refusal
            default: continue
            }
            if SettlementCheck.answers(settlement, signed.body, signed.cid),
                !known.contains(where: { $0.cid == settlement.cid })
            {
                known.append(settlement)
            }
        }
        return known
    }

    /// How long to look for the previous receipt, in milliseconds: it is often gone.
    private static let predecessorMilliseconds = 5_000

    /// Looks for a receipt's predecessor where receipts are found; what is not found soon is unknown.
    private func fetchPredecessor(_ cid: CID, _ parties: [PeerID], _ walk: inout ReceiptWalk) async -> [UInt8]? {
        let block = await withTaskGroup(of: [UInt8]?.self) { group in
            group.addTask {
                if let block = (try? await store.block(cid)) ?? nil { return block }
                if let found = await fetcher.fromNamed(cid) { return found.block }
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
        if let block, case .success = walk.received(block, for: cid) { return block }
        walk.unavailable(cid, reason: "neither this node nor the DHT nor the two parties gave it")
        return nil
    }

    /// Receipts of the same executor that this node has seen to follow the same one, or to answer the same assignment.
    /// Remembers this one, so that the next audit sees it.
    private func contradicting(
        _ signed: SignedObject<ExecutionReceipt>
    ) async throws(NodeServiceError) -> (successors: [CID], answers: [CID]) {
        let link = ReceiptLinkRow(signed.body, signed.cid)
        do {
            try await store.commit([.receiptLink(link)])
            return try await store.receipts(like: link)
        } catch {
            throw NodeServiceError(storage: error)
        }
    }

    /// Runs the receipt's job again and compares: a run that was cut short up to the fuel that is claimed for it.
    func replay(_ cid: CID) async throws(NodeServiceError) -> VerificationReport {
        let (report, walk) = try await verify(cid)
        guard report.failures.isEmpty, let receipt = walk.receipt, let manifest = walk.manifest,
            let assignment = walk.assignment
        else {
            throw NodeServiceError(
                .receiptInvalid, "The receipt does not verify, so a replay has nothing to compare with.",
                hint: "See mesh receipt verify \(cid) for the check that failed.")
        }
        if let obstacle = ReplayComparison.obstacle(receipt, playsTranscript: true) {
            throw NodeServiceError(.invalidRequest, "The run cannot be repeated: \(obstacle).")
        }
        var played: [SessionEvent]?
        if receipt.transcriptCID != nil {
            guard let block = await transcript(of: receipt), let transcript = SessionTranscript(block: block) else {
                throw NodeServiceError(
                    .blockNotFound, "The run cannot be repeated without its transcript, which is not to be had here.",
                    hint: "Its originator and its executor have it, and give it to nobody else unless it is shared.")
            }
            played = transcript.events
        }
        let parties = [receipt.originatorDID.peerID, receipt.executorDID.peerID].filter { $0 != host.localPeer }
        let run = await runner.run(
            manifest, jobID: receipt.jobID, executor: receipt.executorDID, from: parties, wallClockMilliseconds: nil,
            repetition: receipt.outcome.isCutShort ? repetition(of: receipt, manifest) : nil,
            cancellation: ExecutionCancellation(), keep: false, played: played)
        if case .fetchFailed(let reason) = run.report.outcome {
            throw NodeServiceError(
                .blockNotFound, "The module or an input cannot be had any more: \(reason).",
                hint: "Try again when the originator's node is up.")
        }
        let comparison = ReplayComparison.compare(
            receipt, receiptCID: cid, of: manifest, under: assignment.terms,
            with: ReplayedRun(run, likeEngines: runner.machine.likeEngines), playsTranscript: played != nil)
        return played == nil ? comparison : comparison.adding(TranscriptCheck.line(repeated: run.strayed))
    }

    /// Where the repetition of a run that was cut short ends at the latest: this machine may be slower than the
    /// executor's, which is why it has more than the job's time.
    private func repetition(of receipt: ExecutionReceipt, _ manifest: JobManifest) -> ExecutionJob.Repetition {
        let times = runner.limits.repetitionTimesMax
        let milliseconds = manifest.params.timeoutSeconds.multipliedReportingOverflow(by: 1_000 * times)
        return ExecutionJob.Repetition(
            fuelMax: receipt.resourceUsage.fuel,
            wallClockMilliseconds: milliseconds.overflow ? .max : milliseconds.partialValue)
    }

    /// Connects to peers with known keys where gossip named them, else at the addresses that the DHT has.
    func reach(_ peers: [PeerID]) async {
        let connected = Set(await host.connectedPeers())
        await withDiscardingTaskGroup { group in
            for peer in peers where !connected.contains(peer) {
                group.addTask {
                    if await reachNamed(peer) { return }
                    guard let addresses = try? await dht.findPeer(peer) else { return }
                    try? await host.connect(to: peer, addresses: addresses)
                }
            }
        }
    }
}

extension ReceiptAuditor {
    /// Connects to a peer at the addresses that it named by gossip; whether it answered.
    private func reachNamed(_ peer: PeerID) async -> Bool {
        let addresses = fetcher.named.addresses(of: peer)
        guard !addresses.isEmpty else { return false }
        do {
            try await withDeadline(milliseconds: fetcher.limits.namedMilliseconds) { [host] in
                try await host.connect(to: peer, addresses: addresses)
            }
            return true
        } catch {
            return false
        }
    }

    /// The auditor of a node.
    init(_ parts: NodeParts) {
        self.init(
            store: parts.store, dht: parts.dht, host: parts.swarm, fetcher: parts.fetcher, runner: parts.runner)
    }
}
