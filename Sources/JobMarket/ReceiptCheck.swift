import MeshIdentity
import MeshTypes
import Multiformats

/// What an originator checks in a receipt before it counts: that it repeats the chain exactly, stays within the limits,
/// and asks what the agreed terms give. The signature was checked when the object was opened.
enum ReceiptCheck {
    /// Why a receipt does not count for an attempt; `nil` when it does.
    static func refusal(
        of receipt: ExecutionReceipt, attempt: Attempt, job: OriginatedJob
    ) -> ReceiptRefusal? {
        let params = job.manifest.params
        guard receipt.executorDID == attempt.assignment.executorDID else { return .wrongExecutor }
        if let field = mismatch(receipt, attempt: attempt, job: job) { return .chainMismatch(field: field) }
        guard receipt.status == receipt.outcome.standardStatus else { return .statusMismatch }
        guard receipt.executionStartedAt <= receipt.executionEndedAt else { return .datesOutOfOrder }
        if receipt.outputs.count > 1024 { return .tooMany(field: "outputs") }
        if receipt.anchoredCIDs.count > 1024 { return .tooMany(field: "anchored_cids") }
        if !receipt.stageReceipts.isEmpty { return .tooMany(field: "stage_receipts") }
        let usage = receipt.resourceUsage
        if usage.fuel > params.maxFuel { return .overLimit(field: "fuel", used: usage.fuel, max: params.maxFuel) }
        if usage.peakMemoryBytes > params.maxMemoryBytes {
            return .overLimit(field: "peak_memory_bytes", used: usage.peakMemoryBytes, max: params.maxMemoryBytes)
        }
        if usage.bytesWritten > params.maxOutputBytes {
            return .overLimit(field: "bytes_written", used: usage.bytesWritten, max: params.maxOutputBytes)
        }
        let due = attempt.assignment.terms.due(for: receipt.outcome, fuel: usage.fuel)
        return receipt.price == due ? nil : .priceMismatch(asked: receipt.price, due: due)
    }

    private static func mismatch(_ receipt: ExecutionReceipt, attempt: Attempt, job: OriginatedJob) -> String? {
        if receipt.jobID != job.id { return "job_id" }
        if receipt.assignmentCID != attempt.cid { return "assignment_cid" }
        if receipt.originatorDID != job.manifest.originatorDID { return "originator_did" }
        if receipt.attempt != attempt.assignment.attempt { return "attempt" }
        if receipt.moduleCID != job.manifest.params.wasmCID { return "module_cid" }
        if receipt.inputCIDs != job.manifest.params.inputCIDs { return "input_cids" }
        if receipt.determinism != job.manifest.params.determinism { return "determinism" }
        return nil
    }
}
