import CoVM
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import Reputation
import SignedObjects

/// Shows proofs of fraud, and checks them as a stranger would: by running their jobs again.
struct ProofDesk: Sendable {
    let auditor: ReceiptAuditor

    /// The proofs that this node made, newest first; or those against one receipt.
    func proofs(against receipt: CID?, limit: Int) async throws(NodeServiceError) -> [ProofView] {
        let rows = try await stored { () throws(MeshStoreError) in
            try await auditor.store.persisted()
            return try await ProofRow.all(in: auditor.store, against: receipt, limit: limit)
        }
        var views: [ProofView] = []
        for row in rows {
            // The evidence of jobs that were settled long ago may be gone.
            guard let block = try? await auditor.store.block(row.cid), let signed = ProofRecord.proof(of: block) else {
                continue
            }
            views.append(await view(signed, source: "here", sizes: false))
        }
        return views
    }

    /// A proof, with what checking it costs.
    func proof(_ cid: CID) async throws(NodeServiceError) -> ProofView {
        let (signed, source) = try await find(cid)
        return await view(signed, source: source, sizes: true)
    }

    /// Runs the job of a proof again, and says whether the proof holds; with what that shows of the executor, if it
    /// does: to anybody, whoever made the proof.
    func verify(_ cid: CID) async throws(NodeServiceError) -> (report: ProofReport, fault: ReputationEvidence?) {
        let signed = try await find(cid).signed
        let proof = signed.body
        func report(_ verdict: ProofReport.Verdict, _ detail: String) -> ProofReport {
            ProofReport(
                proofCID: cid.text, receiptCID: proof.receiptCID.text, verdict: verdict,
                detail: PlainText.sanitized(detail))
        }
        // A second receipt of the same assignment speaks against its executor, and does not undo the first.
        let (receiptReport, walk) = try await auditor.verifyAlone(proof.receiptCID)
        guard receiptReport.failures.isEmpty, let receipt = walk.receipt, let manifest = walk.manifest,
            let assignment = walk.assignment
        else {
            let failed = receiptReport.failures.first.map { "\($0.title): \($0.detail)" }
            let words = "the receipt does not verify, so there is nothing to refute; \(failed ?? "")"
            return (report(.unknown, words), nil)
        }
        guard receipt.jobID == proof.jobID, receipt.assignmentCID == proof.assignmentCID,
            receipt.executorDID == proof.executorDID
        else {
            return (report(.fails, "the receipt is of another job, assignment or executor than the proof says"), nil)
        }
        if let obstacle = ReplayComparison.obstacle(receipt) { return (report(.unknown, obstacle), nil) }
        let order = CheckOrder(
            jobID: receipt.jobID, receipt: try await auditor.find(proof.receiptCID).signed, manifest: manifest,
            terms: assignment.terms, check: .replay, wallClockMilliseconds: Self.milliseconds(manifest))
        let parties = [receipt.originatorDID.peerID, receipt.executorDID.peerID]
        let checker = ReceiptChecker(runner: auditor.runner)
        switch await checker.finding(of: order, ExecutionCancellation(), from: parties) {
        case .refuted(_, _, let reason):
            let fault = ReputationEvidence(
                subject: receipt.executorDID, payer: receipt.originatorDID, assignmentCID: receipt.assignmentCID,
                receiptCID: proof.receiptCID, verdict: .invalid, at: NodeClock.wallClock)
            return (report(.holds, reason), fault)
        case .confirmed, .fuelUnknown: return (report(.fails, "the run gave here what the receipt says"), nil)
        case .claimRefuted(let reason), .doubtful(let reason), .notMade(let reason):
            return (report(.unknown, reason), nil)
        }
    }

    /// The most wall clock of a check of a proof, in milliseconds.
    private static func milliseconds(_ manifest: JobManifest) -> UInt64 {
        OriginatorConfiguration().replayMilliseconds(timeoutSeconds: manifest.params.timeoutSeconds)
    }

    private func find(
        _ cid: CID
    ) async throws(NodeServiceError) -> (signed: SignedObject<FraudProof>, source: String) {
        let (block, source) = try await auditor.block(of: cid, key: MeshTopics.proofKey(cid))
        guard let signed = ProofRecord.proof(of: block) else {
            throw NodeServiceError(
                .receiptInvalid, "\(cid) is no validly signed proof of a fraud.",
                hint: "Check the CID; mesh proof ls lists the proofs that this node made.")
        }
        return (signed, source)
    }

    private func view(_ signed: SignedObject<FraudProof>, source: String, sizes: Bool) async -> ProofView {
        var view = ProofView(signed, source: source)
        if let found = try? await auditor.find(signed.body.receiptCID) {
            view.claimed = ProofView.Run(found.signed.body)
            if sizes { view.cost = await cost(of: found.signed.body) }
        }
        return view
    }

    /// What running a receipt's job again costs at most; `nil` where its manifest cannot be had.
    private func cost(of receipt: ExecutionReceipt) async -> ProofView.Cost? {
        let parties = [receipt.originatorDID.peerID, receipt.executorDID.peerID]
        guard let block = try? await auditor.fetcher.block(receipt.jobID.cid, from: parties, keep: false),
            let manifest = try? SignedObject<JobManifest>(verifying: block).body
        else { return nil }
        let params = manifest.params
        var cost = ProofView.Cost(
            fuelMax: params.maxFuel, memoryBytesMax: params.maxMemoryBytes,
            secondsMax: Self.milliseconds(manifest) / 1_000, bytes: 0, isAllHere: params.files == nil)
        for cid in Set([params.wasmCID] + params.inputCIDs.map(\.value)) {
            if let bytes = await auditor.runner.storedBytes(of: cid) {
                cost.bytes = cost.bytes.addingReportingOverflow(bytes).partialValue
            } else {
                cost.isAllHere = false
            }
        }
        return cost
    }
}
