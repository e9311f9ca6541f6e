package import MeshTypes
import Multiformats
package import Receipts
package import SignedObjects

extension ReceiptReport {
    /// A report of the checks of a receipt, with what a receipt that holds does not show.
    package init(verified report: VerificationReport) {
        self.init(report)
        if isValid { doesNotShow = VerificationReport.doesNotShow }
    }

    /// A report of checks, as the API shows it.
    package init(_ report: VerificationReport) {
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
    /// A verified receipt, as the API shows it.
    package init(_ signed: SignedObject<ExecutionReceipt>, source: String) {
        let receipt = signed.body
        self.init(
            receiptCID: signed.cid.text, jobID: receipt.jobID.description, assignmentCID: receipt.assignmentCID.text,
            originatorDID: receipt.originatorDID.text, executorDID: receipt.executorDID.text, attempt: receipt.attempt,
            moduleCID: receipt.moduleCID.text,
            inputs: receipt.inputCIDs.map { NamedCID(name: $0.key, cid: $0.value.text) },
            status: receipt.status.rawValue, outcome: receipt.outcome.description,
            outputs: receipt.outputs.map { NamedCID(name: $0.key, cid: $0.value.text) },
            stdoutCID: receipt.stdoutCID?.text, stderrCID: receipt.stderrCID?.text, logCID: receipt.logCID?.text,
            fuel: receipt.resourceUsage.fuel, peakMemoryBytes: receipt.resourceUsage.peakMemoryBytes,
            wallMilliseconds: receipt.resourceUsage.wallMilliseconds, price: receipt.price.units,
            engine: "\(receipt.engine.name) \(receipt.engine.version)", determinism: receipt.determinism.rawValue,
            startedAt: receipt.executionStartedAt.value, endedAt: receipt.executionEndedAt.value,
            previousReceiptCID: receipt.previousReceiptCID?.text, source: source)
        readCID = receipt.readCID?.text
        transcriptCID = receipt.transcriptCID?.text
    }
}
