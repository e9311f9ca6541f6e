import IPLD
import MeshTypes
import Multiformats
import SignedObjects

/// One run of the verifier: collects what the checks find.
struct ReceiptExamination {
    private let rules: ReceiptRules
    private var limits: ReceiptVerifier.Limits { rules.limits }
    private var findings: [ReceiptCheckName: (result: VerificationReport.Result, detail: String)] = [:]
    /// Checks without which a receipt may hold: an old predecessor is often gone.
    private var dispensable: Set<ReceiptCheckName> = [.predecessor, .reputation]

    init(limits: ReceiptVerifier.Limits) {
        rules = ReceiptRules(limits: limits)
    }

    /// A line for every check; those never reached say so.
    var lines: [VerificationReport.Line] {
        ReceiptCheckName.allCases.map { name in
            let unmade = (name.isOfPolicy ? "not shown: " : "") + "a check before it failed, or a block is missing"
            let finding = findings[name] ?? (.notCheckable, unmade)
            return VerificationReport.Line(
                code: name.rawValue, title: name.title, result: finding.result, detail: finding.detail,
                isNeeded: !dispensable.contains(name))
        }
    }

    mutating func examine(
        _ receiptCID: CID, siblings: [CID], outputs output: (CID, Int) -> OutputFile.Finding,
        evidence: (CID) -> BlockEvidence
    ) {
        guard let receipt = verifiedReceipt(receiptCID, evidence) else { return }
        contentIdentifiers(receipt)
        status(receipt)
        predecessor(receipt, siblings, evidence)
        let assignment = verifiedAssignment(receipt, evidence)
        var bid: Bid?
        if let assignment { bid = verifiedBid(assignment, receipt, evidence) }
        let manifest = verifiedManifest(receipt, evidence)
        if let assignment { links(receipt, assignment) }
        if let bid, let manifest { links(receipt, bid, manifest) }
        if let assignment, let bid { terms(assignment, bid) }
        if let assignment { price(receipt, assignment) }
        if let assignment, let manifest { budget(assignment, manifest) }
        if let manifest {
            work(receipt, manifest)
            let policy = PolicyCheck(manifest: manifest, receipt: receipt, assignment: assignment, bid: bid)
            findings.merge(policy.findings) { $1 }
        }
        if let assignment, let bid, let manifest { times(receipt, assignment, bid, manifest) }
        outputs(receipt, manifest, output, evidence)
    }

    /// Every assignment ends in exactly one receipt; the executor signed another one for the same.
    mutating func contradict(_ twin: CID) {
        note(.assignmentLinks, false, "the executor signed \(twin) for the same assignment too")
    }

    // MARK: Objects

    private mutating func verifiedReceipt(_ cid: CID, _ evidence: (CID) -> BlockEvidence) -> ExecutionReceipt? {
        guard let block = block(cid, .receiptBlock, evidence) else { return nil }
        note(.receiptBlock, true, "\(GroupedNumber.of(UInt64(block.count))) bytes hash to \(cid)")
        let object: SignedObject<ExecutionReceipt>? = verified(block, .receiptSignature) { $0.body.executorDID }
        return object?.body
    }

    private mutating func verifiedAssignment(
        _ receipt: ExecutionReceipt, _ evidence: (CID) -> BlockEvidence
    ) -> Assignment? {
        guard let block = block(receipt.assignmentCID, .assignmentSignature, evidence) else { return nil }
        let object: SignedObject<Assignment>? = verified(block, .assignmentSignature) { _ in receipt.originatorDID }
        return object?.body
    }

    private mutating func verifiedBid(
        _ assignment: Assignment, _ receipt: ExecutionReceipt, _ evidence: (CID) -> BlockEvidence
    ) -> Bid? {
        guard let block = block(assignment.bidCID, .bidSignature, evidence) else { return nil }
        let object: SignedObject<Bid>? = verified(block, .bidSignature) { _ in receipt.executorDID }
        return object?.body
    }

    private mutating func verifiedManifest(
        _ receipt: ExecutionReceipt, _ evidence: (CID) -> BlockEvidence
    ) -> JobManifest? {
        guard let block = block(receipt.jobID.cid, .manifestSignature, evidence) else { return nil }
        let object: SignedObject<JobManifest>? = verified(block, .manifestSignature) { _ in receipt.originatorDID }
        return object?.body
    }

    /// The block of a signed object, if its CID has the right form and the block is there and hashes to it.
    private mutating func block(
        _ cid: CID, _ check: ReceiptCheckName, _ evidence: (CID) -> BlockEvidence
    ) -> [UInt8]? {
        guard cid.namesEvidence, cid.codec == .dagCBOR else {
            note(check, false, "\(cid) is not a version 1 dag-cbor CID with SHA-256")
            return nil
        }
        switch evidence(cid) {
        case .bytes(let bytes):
            guard cid.matches(bytes) else {
                note(check, false, "the block does not hash to \(cid)")
                return nil
            }
            return bytes
        case .checked, .leftOut:
            findings[check] = (.notCheckable, "the block \(cid) was not kept")
        case .missing(let reason):
            findings[check] = (.notCheckable, "the block \(cid) is missing: \(reason)")
        }
        return nil
    }

    private mutating func verified<Body: SignedBody>(
        _ block: [UInt8], _ check: ReceiptCheckName, signer: (SignedObject<Body>) -> DID
    ) -> SignedObject<Body>? {
        do {
            let object = try SignedObject<Body>(verifying: block)
            let expected = signer(object)
            let isExpected = object.did == expected
            note(
                check, isExpected,
                isExpected ? "signed by \(object.did)" : "signed by \(object.did) instead of \(expected)")
            return isExpected ? object : nil
        } catch {
            note(check, false, "not a valid \(Body.typeName): \(PlainText.sanitized("\(error)"))")
            return nil
        }
    }

    // MARK: Checks

    private mutating func contentIdentifiers(_ receipt: ExecutionReceipt) {
        switch rules.formFault(of: receipt) {
        case .tooMany(.stageReceipts, _, _):
            note(.contentIdentifiers, false, "stage receipts in the receipt of a single module")
        case .tooMany(let field, let count, let max):
            note(.contentIdentifiers, false, "\(count) \(field.word), at most \(max)")
        case .tooLong(let field, let bytes, let max):
            note(.contentIdentifiers, false, "a name of \(field.word) has \(bytes) bytes, at most \(max)")
        case .nameNotAccepted(let field):
            note(.contentIdentifiers, false, "a name of \(field.word) is empty or has control characters")
        case .cidNotAccepted(let cid):
            note(.contentIdentifiers, false, "\(cid) is not version 1 with SHA-256, of a codec of objects or files")
        default:
            let count = rules.objects(receipt).count + rules.files(receipt).count
            note(
                .contentIdentifiers, true, "all \(count) are version 1 with SHA-256, of a codec of objects or files")
        }
    }

    private mutating func status(_ receipt: ExecutionReceipt) {
        let outcome = PlainText.sanitized(receipt.outcome.description)
        if case .statusContradicted(let stated, let due) = rules.statusFault(of: receipt) {
            note(.status, false, "it says \(stated.words), but \(outcome), which means \(due.words)")
        } else {
            note(.status, true, "\(receipt.status.words): \(outcome)")
        }
    }

    private mutating func links(_ receipt: ExecutionReceipt, _ assignment: Assignment) {
        let differing = rules.differences(receipt, assignment)
        let wrong = differing.filter { $0 != .attempt }.map(\.word)
        note(
            .assignmentLinks, wrong.isEmpty,
            wrong.isEmpty
                ? "same job, originator and executor" : "another \(wrong.joined(separator: ", ")) than in the receipt")
        let isAssigned = !differing.contains(.attempt)
        note(
            .attempt, isAssigned,
            isAssigned
                ? "attempt \(receipt.attempt)" : "attempt \(receipt.attempt), assigned was \(assignment.attempt)")
    }

    private mutating func links(_ receipt: ExecutionReceipt, _ bid: Bid, _ manifest: JobManifest) {
        let wrong = [
            bid.jobID == receipt.jobID ? nil : "job",
            bid.originatorPeerID == manifest.originatorPeerID ? nil : "originator",
        ].compactMap(\.self)
        note(
            .bidLinks, wrong.isEmpty,
            wrong.isEmpty
                ? "for job \(ShortName.of(receipt.jobID.cid.text))"
                : "another \(wrong.joined(separator: ", ")) than in the receipt")
        let isOriginator = manifest.originatorPeerID == manifest.originatorDID.peerID
        let isExecutor = bid.bidderPeerID == bid.bidderDID.peerID
        note(
            .identities, isOriginator && isExecutor,
            isOriginator && isExecutor
                ? bid.bidderDID == manifest.originatorDID
                    ? "originator and executor are the same, \(bid.bidderPeerID): it proves nothing to others"
                    : "originator \(manifest.originatorPeerID), executor \(bid.bidderPeerID)"
                : "the \(isOriginator ? "executor" : "originator")'s PeerID is of another key than the DID")
    }

    private mutating func terms(_ assignment: Assignment, _ bid: Bid) {
        if assignment.terms != bid.terms { return note(.terms, false, "the assignment changes the terms of the bid") }
        if assignment.acceptBy != bid.expiresAt {
            return note(.terms, false, "the assignment changes the date until which the bid holds")
        }
        let terms = bid.terms
        note(
            .terms, true,
            "at most \(terms.price), \(terms.basePrice) and \(terms.pricePerMillionFuel) per million fuel")
    }

    private mutating func price(_ receipt: ExecutionReceipt, _ assignment: Assignment) {
        let fuel = receipt.resourceUsage.fuel
        if case .overLimit(_, let used, let max) = rules.claimFault(of: receipt, assignment) {
            return note(
                .price, false,
                "\(GroupedNumber.of(used)) fuel are claimed, at the promised rate the run's time allows "
                    + GroupedNumber.of(max))
        }
        if case .priceNotDue(let asked, let due) = rules.priceFault(of: receipt, assignment) {
            note(.price, false, "\(asked) is asked, \(GroupedNumber.of(fuel)) fuel cost \(due) under the terms")
        } else {
            note(.price, true, "\(receipt.price) for \(GroupedNumber.of(fuel)) fuel")
        }
    }

    private mutating func budget(_ assignment: Assignment, _ manifest: JobManifest) {
        guard let ceiling = manifest.params.priceCeiling else {
            return note(.budget, true, "the job names no budget")
        }
        let price = assignment.terms.price
        note(
            .budget, price <= ceiling,
            price <= ceiling ? "at most \(price) of \(ceiling)" : "\(price) was agreed, the budget is \(ceiling)")
    }

    private mutating func work(_ receipt: ExecutionReceipt, _ manifest: JobManifest) {
        let params = manifest.params
        let wrong = rules.differences(receipt, manifest).map(\.word)
        let inputs = params.inputCIDs.count
        note(
            .work, wrong.isEmpty,
            wrong.isEmpty
                ? "module \(params.wasmCID) and \(inputs) input\(inputs == 1 ? "" : "s")"
                : "another \(wrong.joined(separator: ", ")) than in the manifest")
        // Outputs are checked once their blocks are known.
        for use in rules.uses(receipt, manifest) {
            switch use.field {
            case .fuel: note(.fuelLimit, use)
            case .peakMemoryBytes: note(.memoryLimit, use)
            case .wallMilliseconds: timeout(use, receipt, manifest)
            default: continue
            }
        }
    }

    /// The timeout itself, and whether it was kept within what stopping a run may take.
    private mutating func timeout(_ use: ReceiptRules.Use, _ receipt: ExecutionReceipt, _ manifest: JobManifest) {
        let (ran, timeout) = (GroupedNumber.of(use.used), GroupedNumber.of(manifest.params.timeoutSeconds))
        let isKept = use.fault == nil || receipt.outcome.responsibility == .node
        note(.timeout, isKept, "the module ran \(ran) ms, the job allows \(timeout) s")
    }

    private mutating func note(_ check: ReceiptCheckName, _ use: ReceiptRules.Use) {
        let unit = use.field.word
        let (used, max) = (GroupedNumber.of(use.used), GroupedNumber.of(use.max))
        note(
            check, use.fault == nil,
            use.fault == nil
                ? "\(used) of \(max) \(unit)" : "\(used) \(unit), the limit is \(max)")
    }

    /// Dates of one clock must be in order; those of two may differ by the skew.
    private mutating func times(
        _ receipt: ExecutionReceipt, _ assignment: Assignment, _ bid: Bid, _ manifest: JobManifest
    ) {
        let skew = limits.clockSkewMilliseconds
        let orders: [(Bool, String)] = [
            (manifest.submittedAt <= assignment.assignedAt, "assigned before the job was submitted"),
            (bid.issuedAt <= bid.expiresAt, "the bid expired before it was made"),
            (manifest.submittedAt <= bid.issuedAt.advanced(milliseconds: skew), "bid before the job was submitted"),
            (
                assignment.assignedAt <= bid.expiresAt.advanced(milliseconds: skew),
                "assigned after the bid had expired"
            ),
            (
                assignment.assignedAt <= receipt.executionStartedAt.advanced(milliseconds: skew),
                "begun before it was assigned"
            ),
            (rules.datesFault(of: receipt) == nil, "ended before it began"),
            (rules.idleFault(of: receipt, manifest) == nil, "ended by its waiting before it could have waited so long"),
        ]
        if let wrong = orders.first(where: { !$0.0 }) { return note(.times, false, wrong.1) }
        note(.times, true, "submitted, bid, assigned and run in this order; \(Self.durations(of: receipt))")
    }

    /// How long the executor was at it, by its dates, with all that it did before and after the module ran; and for how
    /// long the module ran.
    private static func durations(of receipt: ExecutionReceipt) -> String {
        let all = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        let ran = receipt.resourceUsage.wallMilliseconds
        return "from start to end it took \(GroupedNumber.of(UInt64(clamping: all))) ms, the module itself "
            + "\(GroupedNumber.of(ran)) ms"
    }

    /// An executor's receipts form one chain: every receipt has at most one successor, and there is one first receipt.
    private mutating func predecessor(
        _ receipt: ExecutionReceipt, _ siblings: [CID], _ evidence: (CID) -> BlockEvidence
    ) {
        let previous = receipt.previousReceiptCID
        if let sibling = siblings.first {
            let place = previous.map { "after \($0)" } ?? "as the first of its executor"
            return note(.predecessor, false, "the executor signed \(sibling) \(place) too")
        }
        guard let previous else { return note(.predecessor, true, "the first receipt of its executor") }
        guard previous.namesEvidence, previous.codec == .dagCBOR else { return }
        switch evidence(previous) {
        case .bytes(let bytes):
            guard previous.matches(bytes) else {
                return note(.predecessor, false, "the block does not hash to \(previous)")
            }
            if let opening = try? SignedObject<ChainOpening>(verifying: bytes) {
                return begunAgain(receipt, opening, previous)
            }
            let object: SignedObject<ExecutionReceipt>? = verified(bytes, .predecessor) { _ in receipt.executorDID }
            if object != nil { note(.predecessor, true, "after \(previous)") }
        case .checked, .leftOut: findings[.predecessor] = (.notCheckable, "unknown: the block \(previous) was not kept")
        case .missing(let reason):
            findings[.predecessor] = (.notCheckable, "unknown: the receipt before it, \(previous), is gone: \(reason)")
        }
    }

    /// The executor says that its chain begins again here: then no run of before may follow.
    private mutating func begunAgain(
        _ receipt: ExecutionReceipt, _ opening: SignedObject<ChainOpening>, _ cid: CID
    ) {
        guard opening.did == receipt.executorDID else {
            return note(.predecessor, false, "signed by \(opening.did) instead of \(receipt.executorDID)")
        }
        let openedAt = opening.body.openedAt
        guard openedAt <= receipt.executionStartedAt.advanced(milliseconds: limits.clockSkewMilliseconds) else {
            return note(.predecessor, false, "begun before the chain began again with \(cid)")
        }
        let after = opening.body.afterCID.map { ", after \($0)" } ?? ""
        note(
            .predecessor, true,
            "the first since \(cid): its executor says that it was restored from a backup\(after)")
    }

    private mutating func outputs(
        _ receipt: ExecutionReceipt, _ manifest: JobManifest?, _ output: (CID, Int) -> OutputFile.Finding,
        _ evidence: (CID) -> BlockEvidence
    ) {
        let files = receipt.outputBlocks
        guard files.count <= limits.outputsMax else { return }
        if let finding = readListFinding(receipt, evidence) {
            findings[.outputs] = finding
            return
        }
        var total: UInt64 = 0
        var blockCount = 0
        for cid in files where cid != receipt.readCID {
            switch output(cid, limits.outputBlocksMax - blockCount) {
            case .whole(let bytes, let blocks):
                total += bytes
                blockCount += blocks
            case .wrong(let reason):
                return note(.outputs, false, reason)
            case .missing(let reason):
                findings[.outputs] = (.notCheckable, reason)
                return
            case .leftOut:
                dispensable.insert(.outputs)
                let count = files.count == 1 ? "the one output" : "the \(files.count) outputs"
                findings[.outputs] = (.notCheckable, "\(count) left out: only the CIDs are here")
                return outputLimit(receipt, manifest, outputBytes: 0)
            }
        }
        let list = receipt.readCID == nil ? "" : ", and the list of what was read"
        note(.outputs, true, "\(blockCount) blocks with \(GroupedNumber.of(UInt64(clamping: total))) bytes\(list)")
        outputLimit(receipt, manifest, outputBytes: total)
    }

    /// What is wrong with the list of what was read, if it is named and was not left out.
    private func readListFinding(
        _ receipt: ExecutionReceipt, _ evidence: (CID) -> BlockEvidence
    ) -> (result: VerificationReport.Result, detail: String)? {
        guard let cid = receipt.readCID else { return nil }
        switch evidence(cid) {
        case .bytes(let bytes):
            if !cid.matches(bytes) { return (.failed, "the block does not hash to \(cid)") }
            return ReadList(block: bytes) == nil ? (.failed, "\(cid) is no list of what was read") : nil
        case .checked, .leftOut: return nil
        case .missing(let reason): return (.notCheckable, "the list of what was read, \(cid), is missing: \(reason)")
        }
    }

    private mutating func outputLimit(_ receipt: ExecutionReceipt, _ manifest: JobManifest?, outputBytes: UInt64) {
        guard let manifest else { return }
        for use in rules.uses(receipt, manifest, outputBytes: outputBytes) where use.field == .bytesWritten {
            note(.outputLimit, use)
        }
    }

    private mutating func note(_ check: ReceiptCheckName, _ holds: Bool, _ detail: String) {
        findings[check] = (holds ? .passed : .failed, detail)
    }
}
