import IPLD
import LibP2P
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects
import Workflows

/// Checks the receipt of a workflow as a stranger would: from its CID alone, with what the mesh holds.
struct WorkflowAuditor: Sendable {
    /// The bounds of one audit.
    struct Limits: Sendable {
        /// Blocks of plan, items and folders, and receipts with their evidence, in bytes each.
        var bytesMax = 256 << 20
        /// Blocks that are fetched at the same time, and receipts whose evidence is.
        var atOnce = 16
        /// Blocks and receipts that nobody has; after that many it looks for no more.
        var missesMax = 256
        /// The file that an export makes.
        var file = CAR.Limits.ofWorkflows
    }

    private let auditor: ReceiptAuditor
    private let limits: Limits

    init(_ auditor: ReceiptAuditor, limits: Limits = Limits()) {
        self.auditor = auditor
        self.limits = limits
    }

    /// What was had of a workflow's evidence.
    private struct Holdings: Sendable {
        /// Blocks of plan, items and folders; nil for what cannot be had.
        var blocks: [CID: [UInt8]?] = [:]
        var jobs: [CID: WorkflowVerifier.Finding] = [:]
        /// The evidence of the jobs, if it is wanted.
        var evidence: [CAR.Block] = []
        var blockBytes = 0
        var jobBytes = 0
        var misses = 0
    }

    /// The receipt of a workflow under a CID; `nil` if what is there is something else.
    func find(_ cid: CID) async throws(NodeServiceError) -> SignedObject<WorkflowReceipt>? {
        let block = try await auditor.block(of: cid).bytes
        guard (try? SignedObject<WorkflowReceipt>(verifiedBefore: block)) != nil else { return nil }
        do {
            return try SignedObject(verifying: block)
        } catch {
            throw NodeServiceError(
                .receiptInvalid, "\(cid) is no validly signed receipt of a workflow: \(error).",
                hint: "Check the CID; mesh workflow show names the receipt.")
        }
    }

    /// Every check of the receipt, of the plan, and of the receipts of all jobs.
    func verify(_ receipt: SignedObject<WorkflowReceipt>) async throws(NodeServiceError) -> VerificationReport {
        try await audit(receipt, withEvidence: nil).result.report
    }

    /// The receipt and what the mesh holds of the evidence behind it, as a file (a CAR).
    func export(
        _ receipt: SignedObject<WorkflowReceipt>, withOutputs: Bool
    ) async throws(NodeServiceError) -> [UInt8] {
        let holdings = try await audit(receipt, withEvidence: withOutputs).holdings
        var seen: Set<CID> = []
        let own = holdings.blocks.compactMap { cid, bytes in bytes.map { CAR.Block(cid: cid, bytes: $0) } }
            .sorted { $0.cid.text < $1.cid.text }
        let first = CAR.Block(cid: receipt.cid, bytes: receipt.bytes)
        let blocks = ([first] + own + holdings.evidence).filter { seen.insert($0.cid).inserted }
        let file = limits.file
        guard blocks.count <= file.blocksMax, blocks.reduce(0, { $0 + $1.bytes.count + 64 }) <= file.bytesMax else {
            throw NodeServiceError(
                .tooLarge, "One file can hold \(file.blocksMax) blocks and \(file.bytesMax) bytes.",
                hint: "Leave --with-outputs away, or export the receipts of the jobs (mesh workflow show --items).")
        }
        return CAR(roots: [receipt.cid], blocks: blocks).encoded
    }

    /// Runs the jobs of a workflow again, one after the other, and compares: one line for each thing, over all jobs.
    func replay(_ receipt: SignedObject<WorkflowReceipt>) async throws(NodeServiceError) -> VerificationReport {
        let result = try await audit(receipt, withEvidence: nil).result
        guard result.report.failures.isEmpty else {
            throw NodeServiceError(
                .receiptInvalid, "The receipt does not verify, so a replay has nothing to compare with.",
                hint: "See mesh receipt verify \(receipt.cid) for the check that failed.")
        }
        var lines: [VerificationReport.Line] = []
        for job in result.jobs {
            do throws(NodeServiceError) {
                for line in try await auditor.replay(job).lines { Self.add(line, of: job, to: &lines) }
            } catch {
                guard error.code == .invalidRequest || error.code == .blockNotFound else { throw error }
                let line = VerificationReport.Line(
                    code: "repeated", title: "run again", result: .notCheckable, detail: error.message)
                Self.add(line, of: job, to: &lines)
            }
        }
        return VerificationReport(receiptCID: receipt.cid, lines: lines)
    }

    /// Adds what was found of one job to what was found of all: the worst stands, with the job.
    private static func add(
        _ line: VerificationReport.Line, of job: CID, to lines: inout [VerificationReport.Line]
    ) {
        let order: [VerificationReport.Result] = [.passed, .notCheckable, .failed]
        let named = VerificationReport.Line(
            code: line.code, title: line.title, result: line.result,
            detail: line.result == .passed ? "in all jobs" : "receipt \(job): \(line.detail)", isNeeded: line.isNeeded)
        guard let index = lines.firstIndex(where: { $0.code == line.code }) else { return lines.append(named) }
        let (old, new) = (order.firstIndex(of: lines[index].result), order.firstIndex(of: line.result))
        if let old, let new, old < new { lines[index] = named }
    }

    // MARK: Evidence

    /// Looks at everything, and fetches what is missing, as long as there is something to fetch.
    private func audit(
        _ receipt: SignedObject<WorkflowReceipt>, withEvidence outputs: Bool?
    ) async throws(NodeServiceError) -> (result: WorkflowVerifier.Result, holdings: Holdings) {
        let parties = [receipt.body.originatorDID.peerID].filter { $0 != auditor.host.localPeer }
        await auditor.reach(parties)
        var twins = [receipt.cid: try await twins(of: receipt)]
        var holdings = Holdings()
        holdings.blocks[receipt.cid] = receipt.bytes
        while true {
            let known = holdings
            let verifier = WorkflowVerifier { cid in
                known.blocks[cid].map { block in block.map { .bytes($0) } ?? .gone } ?? .unknown
            } job: {
                known.jobs[$0] ?? .unknown
            }
            let result = verifier.verify(receipt.cid, twins: twins)
            // A lie is a lie without the rest. Whoever exports it wants what there is.
            if outputs == nil, !result.report.failures.isEmpty { return (result, holdings) }
            var isNew = false
            for end in result.ends where twins[end.cid] == nil {
                let others = try await self.twins(of: end)
                twins[end.cid] = others
                if !others.isEmpty { isNew = true }
            }
            guard isNew || !result.blocks.isEmpty || !result.receipts.isEmpty else { return (result, holdings) }
            await fetch(result.blocks, from: parties, &holdings)
            try await look(at: result.receipts, from: parties, outputs, &holdings)
        }
    }

    /// Other receipts of the same end that this node has seen. Remembers this one.
    private func twins(of receipt: SignedObject<WorkflowReceipt>) async throws(NodeServiceError) -> [CID] {
        // In the table of receipts that answer the same assignment: no assignment has such a name.
        let place = CID.hashing(receipt.body.place.flatMap(\.bytes), codec: .raw)
        let link = ReceiptLinkRow(
            executorDID: receipt.did.text, previous: place, assignment: place, cid: receipt.cid)
        do {
            try await auditor.store.commit([.receiptLink(link)])
            return try await auditor.store.receipts(like: link).answers
        } catch {
            throw NodeServiceError(storage: error)
        }
    }

    private func fetch(_ cids: [CID], from parties: [PeerID], _ holdings: inout Holdings) async {
        for first in stride(from: 0, to: cids.count, by: limits.atOnce) {
            if holdings.blockBytes > limits.bytesMax || holdings.misses >= limits.missesMax {
                for cid in cids[first...] { holdings.blocks[cid] = .some(nil) }
                return
            }
            let batch = cids[first..<min(cids.count, first + limits.atOnce)]
            let found = await withTaskGroup(of: (CID, [UInt8]?).self) { group in
                for cid in batch {
                    group.addTask { (cid, try? await auditor.fetcher.block(cid, from: parties, keep: false)) }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for (cid, bytes) in found {
                holdings.blockBytes += bytes?.count ?? 0
                if bytes == nil { holdings.misses += 1 }
                holdings.blocks[cid] = .some(holdings.blockBytes <= limits.bytesMax ? bytes : nil)
            }
        }
    }

    /// Looks at the receipts of jobs, with all behind them.
    private func look(
        at receipts: [CID], from parties: [PeerID], _ outputs: Bool?, _ holdings: inout Holdings
    ) async throws(NodeServiceError) {
        for first in stride(from: 0, to: receipts.count, by: limits.atOnce) {
            if holdings.jobBytes > limits.bytesMax || holdings.misses >= limits.missesMax {
                let reason = "too much of the workflow's evidence is too large, or nobody has it"
                for cid in receipts[first...] { holdings.jobs[cid] = .gone(reason) }
                return
            }
            let batch = receipts[first..<min(receipts.count, first + limits.atOnce)]
            let found = await withTaskGroup(of: (CID, WorkflowVerifier.Finding, [CAR.Block]).self) { group in
                for cid in batch {
                    group.addTask {
                        let (finding, blocks) = await self.job(cid, from: parties, outputs)
                        return (cid, finding, blocks)
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for (cid, finding, blocks) in found {
                holdings.jobBytes += blocks.reduce(0) { $0 + $1.bytes.count }
                guard holdings.jobBytes <= limits.bytesMax else {
                    holdings.jobs[cid] = .gone("the evidence of all jobs has more than \(limits.bytesMax) bytes")
                    continue
                }
                holdings.jobs[cid] = finding
                if case .gone = finding { holdings.misses += 1 }
                if outputs != nil { holdings.evidence += blocks }
            }
            if outputs == nil, found.contains(where: { Self.isRefuted($0.1) }) { return }
        }
    }

    /// Whether the receipt of a job does not hold, by which the whole does not.
    private static func isRefuted(_ finding: WorkflowVerifier.Finding) -> Bool {
        switch finding {
        case .wrong: true
        case .found(let job): !job.report.failures.isEmpty
        case .gone, .unknown: false
        }
    }

    private func job(
        _ cid: CID, from parties: [PeerID], _ outputs: Bool?
    ) async -> (WorkflowVerifier.Finding, [CAR.Block]) {
        guard let block = try? await auditor.fetcher.block(cid, from: parties, keep: false) else {
            return (.gone("nobody has it"), [])
        }
        let signed: SignedObject<ExecutionReceipt>
        do {
            signed = try SignedObject(verifying: block)
        } catch {
            return (.wrong("\(error)"), [])
        }
        var blocks = [CAR.Block(cid: cid, bytes: block)]
        do throws(NodeServiceError) {
            let walk = try await auditor.gather(signed, withOutputs: outputs == true, ofWorkflowAt: parties) {
                blocks.append($0)
            }
            for settlement in outputs == nil ? [] : try await auditor.settlements(of: signed) {
                blocks.append(CAR.Block(cid: settlement.cid, bytes: settlement.bytes))
            }
            guard let manifest = walk.manifest else { return (.gone("its manifest cannot be had"), blocks) }
            let job = WorkflowVerifier.Job(report: walk.report(), receipt: signed.body, manifest: manifest)
            return (.found(job), blocks)
        } catch {
            return (.gone(error.message), blocks)
        }
    }
}
