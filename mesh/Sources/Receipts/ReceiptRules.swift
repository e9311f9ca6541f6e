package import MeshTypes
package import Multiformats

/// The rules of a receipt, in one place: it repeats the chain that it answers, stays within the limits of its job, and
/// asks the price that the agreed terms give for its usage.
///
/// An originator refuses a receipt by these rules before it pays, and a verifier reports by them; so no originator pays
/// what a stranger would call invalid. Signatures, blocks and the dates of two clocks are the verifier's business.
package struct ReceiptRules: Hashable, Sendable {
    /// A used amount, and how much of it the job allows.
    struct Use {
        let field: ReceiptField
        let used: UInt64
        let max: UInt64

        var fault: ReceiptFault? { used <= max ? nil : .overLimit(field, used: used, max: max) }
    }

    /// The bounds in use.
    package let limits: ReceiptVerifier.Limits

    /// The rules with given bounds.
    package init(limits: ReceiptVerifier.Limits = ReceiptVerifier.Limits()) {
        self.limits = limits
    }

    /// The first rule that a receipt of this assignment and job breaks; `nil` if it keeps all.
    package func fault(
        of receipt: ExecutionReceipt, assignment: Assignment, manifest: JobManifest
    ) -> ReceiptFault? {
        let differing = differences(receipt, assignment) + differences(receipt, manifest)
        if let field = differing.first { return .differs(field) }
        return statusFault(of: receipt) ?? datesFault(of: receipt) ?? idleFault(of: receipt, manifest)
            ?? formFault(of: receipt) ?? uses(receipt, manifest).lazy.compactMap(\.fault).first ?? claimFault(
                of: receipt, assignment)
            ?? priceFault(of: receipt, assignment)
    }

    /// Fields in which the receipt differs from its assignment.
    func differences(_ receipt: ExecutionReceipt, _ assignment: Assignment) -> [ReceiptField] {
        let rows: [(ReceiptField, Bool)] = [
            (.jobID, receipt.jobID == assignment.jobID), (.executorDID, receipt.executorDID == assignment.executorDID),
            (.originatorDID, receipt.originatorDID == assignment.originatorDID),
            (.attempt, receipt.attempt == assignment.attempt),
        ]
        return rows.filter { !$0.1 }.map(\.0)
    }

    /// Fields in which the receipt differs from its job.
    func differences(_ receipt: ExecutionReceipt, _ manifest: JobManifest) -> [ReceiptField] {
        let rows: [(ReceiptField, Bool)] = [
            (.moduleCID, receipt.moduleCID == manifest.params.wasmCID),
            (.inputCIDs, receipt.inputCIDs == manifest.params.inputCIDs),
            (.determinism, receipt.determinism == manifest.params.determinism),
            (.readCID, saysWhatWasRead(receipt, manifest)),
            (.transcriptCID, receipt.transcriptCID == nil || manifest.params.session?.transcript != nil),
            (.engine, isOfEngine(receipt, manifest)),
        ]
        return rows.filter { !$0.1 }.map(\.0)
    }

    /// Only a job with files has a list of what was read, and has one if it ran to its end.
    private func saysWhatWasRead(_ receipt: ExecutionReceipt, _ manifest: JobManifest) -> Bool {
        guard manifest.params.files != nil else { return receipt.readCID == nil }
        guard case .exited = receipt.outcome else { return true }
        return receipt.readCID != nil
    }

    /// A run counts on the engine that the job names only; whoever could not run it may have another.
    private func isOfEngine(_ receipt: ExecutionReceipt, _ manifest: JobManifest) -> Bool {
        receipt.outcome.responsibility == .node || manifest.execution?.admits(receipt.engine) ?? true
    }

    /// The status follows from the outcome.
    func statusFault(of receipt: ExecutionReceipt) -> ReceiptFault? {
        let due = receipt.outcome.standardStatus
        return receipt.status == due ? nil : .statusContradicted(stated: receipt.status, due: due)
    }

    /// The two dates of the executor's clock are in order.
    func datesFault(of receipt: ExecutionReceipt) -> ReceiptFault? {
        receipt.executionStartedAt <= receipt.executionEndedAt ? nil : .endsBeforeItBegins
    }

    /// Only an interactive job waits too long, and not before the time is over that it may wait.
    func idleFault(of receipt: ExecutionReceipt, _ manifest: JobManifest) -> ReceiptFault? {
        guard receipt.outcome == .limitExceeded(.idle) else { return nil }
        guard let terms = manifest.params.session else { return .idleTooSoon }
        let milliseconds = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        let seconds = min(terms.idleSeconds, terms.waitingSeconds)
        return milliseconds / 1_000 >= seconds ? nil : .idleTooSoon
    }

    /// Lists and names are short enough, a single module has no stages, and every CID is of an accepted form: files may
    /// have many blocks, objects have one.
    func formFault(of receipt: ExecutionReceipt) -> ReceiptFault? {
        let lists: [(field: ReceiptField, count: Int, max: Int)] = [
            (.outputs, receipt.outputs.count, limits.outputCountMax),
            (.anchoredCIDs, receipt.anchoredCIDs.count, limits.anchoredCountMax),
            (.stageReceipts, receipt.stageReceipts.count, 0),
            (.hostCalls, receipt.resourceUsage.hostCalls.count, limits.hostCallCountMax),
        ]
        if let long = lists.first(where: { $0.count > $0.max }) {
            return .tooMany(long.field, count: long.count, max: long.max)
        }
        if let name = receipt.resourceUsage.hostCalls.first(where: { $0.key.utf8.count > limits.hostCallNameBytesMax })
        {
            return .tooLong(.hostCalls, bytes: name.key.utf8.count, bytesMax: limits.hostCallNameBytesMax)
        }
        if let fault = receipt.outputs.lazy.compactMap({ outputNameFault($0.key) }).first { return fault }
        let other = objects(receipt).first { !$0.namesEvidence } ?? files(receipt).first { !$0.namesMeshContent }
        return other.map { .cidNotAccepted($0) }
    }

    /// The names of outputs are those that the host accepts from a module: not empty, and without control characters.
    private func outputNameFault(_ name: String) -> ReceiptFault? {
        if name.utf8.count > limits.outputNameBytesMax {
            return .tooLong(.outputs, bytes: name.utf8.count, bytesMax: limits.outputNameBytesMax)
        }
        let isPlain = !name.isEmpty && !name.unicodeScalars.contains { $0.properties.generalCategory == .control }
        return isPlain ? nil : .nameNotAccepted(.outputs)
    }

    /// The CIDs of signed objects that the receipt names.
    func objects(_ receipt: ExecutionReceipt) -> [CID] {
        [receipt.jobID.cid, receipt.assignmentCID]
            + [receipt.previousReceiptCID, receipt.transcriptCID].compactMap(\.self)
    }

    /// The CIDs of files and blocks that the receipt names.
    func files(_ receipt: ExecutionReceipt) -> [CID] {
        [receipt.moduleCID] + receipt.inputCIDs.values + receipt.outputBlocks + receipt.anchoredCIDs
    }

    /// The usage that the job limits; outputs by the receipt, or by their blocks if these are more.
    func uses(_ receipt: ExecutionReceipt, _ manifest: JobManifest, outputBytes: UInt64 = 0) -> [Use] {
        let usage = receipt.resourceUsage
        return [
            Use(field: .fuel, used: usage.fuel, max: manifest.params.maxFuel),
            Use(field: .peakMemoryBytes, used: usage.peakMemoryBytes, max: manifest.params.maxMemoryBytes),
            Use(
                field: .bytesWritten, used: max(usage.bytesWritten, outputBytes), max: manifest.params.maxOutputBytes),
            Use(field: .wallMilliseconds, used: usage.wallMilliseconds, max: wallMillisecondsMax(receipt, manifest)),
        ]
    }

    /// How long the module may have run: its timeout, and what stopping it may take. A node that failed the job says
    /// how long it tried, and asks nothing for it.
    private func wallMillisecondsMax(_ receipt: ExecutionReceipt, _ manifest: JobManifest) -> UInt64 {
        if receipt.outcome.responsibility == .node { return .max }
        let (timeout, long) = manifest.params.timeoutSeconds.multipliedReportingOverflow(by: 1_000)
        let (most, overflow) = timeout.addingReportingOverflow(limits.stopMilliseconds)
        return long || overflow ? .max : most
    }

    /// A run that was cut short claims no more fuel than the bid promised for the time between its dates.
    func claimFault(of receipt: ExecutionReceipt, _ assignment: Assignment) -> ReceiptFault? {
        guard receipt.outcome.isCutShort, assignment.terms.fuelPerSecond != nil else { return nil }
        let milliseconds = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        let max = assignment.terms.claimMax(milliseconds: milliseconds)
        return Use(field: .fuel, used: receipt.resourceUsage.fuel, max: max).fault
    }

    /// The price is what the agreed terms give for the outcome and the fuel.
    func priceFault(of receipt: ExecutionReceipt, _ assignment: Assignment) -> ReceiptFault? {
        let due = assignment.terms.due(for: receipt.outcome, fuel: receipt.resourceUsage.fuel)
        return receipt.price == due ? nil : .priceNotDue(asked: receipt.price, due: due)
    }
}

/// A rule that a receipt breaks.
package enum ReceiptFault: Hashable, Sendable {
    /// A field repeats the chain and says something else.
    case differs(ReceiptField)
    /// The status is not the one that follows from the outcome.
    case statusContradicted(stated: StandardJobStatus, due: StandardJobStatus)
    /// The run ends before it begins.
    case endsBeforeItBegins
    /// The run ended for its waiting and could not have waited that long.
    case idleTooSoon
    /// A list is longer than a receipt may have.
    case tooMany(ReceiptField, count: Int, max: Int)
    /// A name in a list has more bytes than it may have.
    case tooLong(ReceiptField, bytes: Int, bytesMax: Int)
    /// A name in a list is empty or has control characters.
    case nameNotAccepted(ReceiptField)
    /// A CID is not version 1 with SHA-256 and a codec of objects or files.
    case cidNotAccepted(CID)
    /// More was used than the job allows.
    case overLimit(ReceiptField, used: UInt64, max: UInt64)
    /// The price is not what the agreed terms give.
    case priceNotDue(asked: TokenAmount, due: TokenAmount)
}

/// A field that a rule is about, by its name in the receipt.
package enum ReceiptField: String, Hashable, Sendable, CaseIterable {
    /// The job.
    case jobID = "job_id"
    /// Who ran it.
    case executorDID = "executor_did"
    /// Who asked for it.
    case originatorDID = "originator_did"
    /// Which attempt it was.
    case attempt
    /// The module.
    case moduleCID = "module_cid"
    /// The inputs.
    case inputCIDs = "input_cids"
    /// Whether a replay must give the same.
    case determinism
    /// The engine that has to run it.
    case engine
    /// Named outputs.
    case outputs
    /// What was read of the job's files.
    case readCID = "read_cid"
    /// What the user of an interactive job did.
    case transcriptCID = "transcript_cid"
    /// Blocks that the module anchored.
    case anchoredCIDs = "anchored_cids"
    /// Receipts of stages.
    case stageReceipts = "stage_receipts"
    /// The host functions that were called.
    case hostCalls = "host_calls"
    /// The metered fuel.
    case fuel
    /// The most memory that the module had.
    case peakMemoryBytes = "peak_memory_bytes"
    /// All outputs together.
    case bytesWritten = "bytes_written"
    /// How long the module ran.
    case wallMilliseconds = "wall_ms"

    /// A word for people.
    var word: String {
        switch self {
        case .jobID: "job"
        case .executorDID: "executor"
        case .originatorDID: "originator"
        case .attempt: "attempt"
        case .moduleCID: "module"
        case .inputCIDs: "inputs"
        case .determinism: "determinism"
        case .engine: "engine"
        case .outputs: "outputs"
        case .readCID: "list of what was read"
        case .transcriptCID: "transcript"
        case .anchoredCIDs: "anchored CIDs"
        case .stageReceipts: "stage receipts"
        case .hostCalls: "host functions"
        case .fuel: "fuel"
        case .peakMemoryBytes, .bytesWritten: "bytes"
        case .wallMilliseconds: "ms"
        }
    }
}
