package import IPLD
package import MeshTypes
package import Multiformats
package import SignedObjects

/// A receipt with its executor's signature.
package typealias SignedReceipt = SignedObject<ExecutionReceipt>

/// Receipts and the evidence behind them in one file, checked by the rules of any node without asking one.
///
/// The file is a CAR whose roots are the receipts. Beside them it has manifest, bid, assignment, the receipt before,
/// the settlement if it is known, and the outputs if they were wanted. Source: PROTOCOL.md, "Receipts in a file".
package struct ReceiptArchive: Sendable {
    /// The receipts that the file is about.
    package let receipts: [CID]
    private let blocks: [CID: [UInt8]]
    /// Every valid receipt in the file, by its place in its executor's chain.
    private let successors: [Place: [CID]]
    /// Every valid receipt in the file, by the assignment that its executor answers.
    private let answers: [Answer: [CID]]
    /// Every valid settlement in the file, by the receipt that it answers.
    private let settlements: [CID: [SignedObject<Settlement>]]

    /// What the blocks say about the outputs of the receipts that the file is about.
    let outputs: FiledOutputs

    /// Two receipts with the same place contradict each other.
    private struct Place: Hashable {
        let executor: DID
        let previous: CID?

        init(_ receipt: ExecutionReceipt) {
            executor = receipt.executorDID
            previous = receipt.previousReceiptCID
        }
    }

    /// Two receipts of one executor for the same assignment contradict each other, too.
    private struct Answer: Hashable {
        let executor: DID
        let assignment: CID

        init(_ receipt: ExecutionReceipt) {
            executor = receipt.executorDID
            assignment = receipt.assignmentCID
        }
    }

    /// The evidence in a file that was read.
    package init(_ file: CAR) {
        self.init(file, outputs: FiledOutputs())
    }

    /// The same, with other bounds of examining outputs.
    init(_ file: CAR, outputs: FiledOutputs) {
        receipts = file.roots
        var blocks: [CID: [UInt8]] = [:]
        var successors: [Place: [CID]] = [:]
        var answers: [Answer: [CID]] = [:]
        var settlements: [CID: [SignedObject<Settlement>]] = [:]
        var ofReceipts: Set<CID> = []
        for block in file.blocks where blocks.updateValue(block.bytes, forKey: block.cid) == nil {
            // Under another name, such as an identity CID, the same receipt would contradict itself.
            guard block.cid.namesEvidence, block.cid.codec == .dagCBOR, block.bytes.count <= SignedObjectFormat.bytesMax
            else { continue }
            if let receipt = try? SignedReceipt(verifying: block.bytes) {
                ofReceipts.insert(block.cid)
                successors[Place(receipt.body), default: []].append(block.cid)
                answers[Answer(receipt.body), default: []].append(block.cid)
            } else if let settlement = try? SignedObject<Settlement>(verifying: block.bytes) {
                settlements[settlement.body.receiptCID, default: []].append(settlement)
            }
        }
        self.blocks = blocks
        self.successors = successors
        self.answers = answers
        self.settlements = settlements
        // The receipts that the file is about come first; others are those of a workflow's jobs.
        let isOfReceipts = file.roots.allSatisfy { root in
            blocks[root].map { (try? SignedReceipt(verifying: $0)) != nil } ?? false
        }
        let others = isOfReceipts ? [] : file.blocks.map(\.cid).filter(ofReceipts.contains)
        self.outputs = (file.roots + others).reduce(into: outputs) { outputs, root in
            let receipt = blocks[root].flatMap { try? SignedReceipt(verifying: $0) }
            guard let receipt, receipt.body.outputBlocks.count <= Self.verifierLimits.outputsMax else { return }
            let files = receipt.body.outputBlocks.filter { $0 != receipt.body.readCID }
            outputs.examine(files, in: blocks, blocksMax: Self.verifierLimits.outputBlocksMax)
        }
    }

    private static let verifierLimits = ReceiptVerifier.Limits()

    /// A block of the file, which may not hash to its CID; `nil` if the file has none of this CID.
    package func block(_ cid: CID) -> [UInt8]? { blocks[cid] }

    /// The CIDs of all blocks of the file.
    package var cids: some Sequence<CID> { blocks.keys }

    /// A receipt of the file; `nil` if the file has no validly signed one of this CID.
    package func receipt(_ cid: CID) -> SignedReceipt? {
        blocks[cid].flatMap { try? SignedObject(verifying: $0) }
    }

    /// Every check of a receipt, by what is in the file. If no block of its outputs is there, they count as left out.
    package func verify(_ cid: CID) -> VerificationReport {
        var walk = ReceiptWalk(receiptCID: cid)
        walk.leaveOutputsOut()
        while let want = walk.nextWant() {
            guard let block = blocks[want.cid] else {
                walk.unavailable(want.cid, reason: "it is not in the file")
                continue
            }
            if case .failure(let refusal) = walk.received(block, for: want.cid) {
                walk.unavailable(want.cid, reason: "\(refusal)")
            }
        }
        guard let receipt = walk.receipt else { return walk.report() }
        return report(of: receipt, cid, walk)
    }

    /// The manifest of a receipt's job; `nil` if the file has no validly signed one.
    package func manifest(of receipt: ExecutionReceipt) -> JobManifest? {
        blocks[receipt.jobID.cid].flatMap { (try? SignedObject<JobManifest>(verifying: $0))?.body }
    }

    private func report(of receipt: ExecutionReceipt, _ cid: CID, _ walk: ReceiptWalk) -> VerificationReport {
        let report = walk.report(
            siblings: others(successors[Place(receipt)], than: cid),
            twins: others(answers[Answer(receipt)], than: cid),
            readList: readList(of: receipt),
            outputs: outputs.finding)
        let known = settlements[cid, default: []]
        let transcript = receipt.transcriptCID.flatMap { blocks[$0] }
        let lines =
            SettlementCheck.lines(known, of: receipt, cid, of: walk.manifest)
            + [TranscriptCheck.line(of: receipt, walk.manifest, transcript)].compactMap(\.self)
        return lines.reduce(report) { $0.adding($1) }
    }

    /// The list of what a run read; `nil` if there is none, or if it was left out with the outputs.
    private func readList(of receipt: ExecutionReceipt) -> BlockEvidence? {
        guard let list = receipt.readCID else { return nil }
        if let bytes = blocks[list] { return .bytes(bytes) }
        let isLeftOut = receipt.outputBlocks.allSatisfy { blocks[$0] == nil }
        return isLeftOut ? nil : .missing("it is not in the file")
    }

    /// The first of the receipts that is not this one: one is enough to contradict it.
    private func others(_ receipts: [CID]?, than cid: CID) -> [CID] {
        (receipts ?? []).first { $0 != cid }.map { [$0] } ?? []
    }
}

/// The check of settlements, which are no part of a receipt: it is made where one is known.
package enum SettlementCheck {
    /// Whether the receipt's originator signed it, for this receipt with its job and its executor.
    package static func answers(
        _ signed: SignedObject<Settlement>, _ receipt: ExecutionReceipt, _ cid: CID
    ) -> Bool {
        let settlement = signed.body
        return signed.did == receipt.originatorDID && settlement.receiptCID == cid
            && settlement.jobID == receipt.jobID && settlement.executorDID == receipt.executorDID
    }

    /// The line of the settlements that answer a receipt; `nil` if none does. No settlement keeps it from holding: else
    /// an originator could discredit an honest executor.
    package static func line(
        _ known: [SignedObject<Settlement>], of receipt: ExecutionReceipt, _ cid: CID
    ) -> VerificationReport.Line? {
        let answers = known.filter { self.answers($0, receipt, cid) }
        guard let first = answers.first?.body else { return nil }
        if let other = answers.first(where: { words($0.body) != words(first) })?.body {
            return line(.notCheckable, "the originator contradicts itself: it \(words(first)), and it \(words(other))")
        }
        let price = first.verdict == .paid || first.verdict == .paidCancelled ? " of the price of \(receipt.price)" : ""
        return line(.passed, "the originator says that it \(words(first))\(price)")
    }

    /// The lines of the settlements that answer a receipt: what was paid, and whether it was checked as the originator
    /// had committed to, if it had.
    package static func lines(
        _ known: [SignedObject<Settlement>], of receipt: ExecutionReceipt, _ cid: CID, of manifest: JobManifest?
    ) -> [VerificationReport.Line] {
        let paid = line(known, of: receipt, cid)
        guard let commitment = manifest?.verificationCommitment,
            let settlement = known.first(where: { answers($0, receipt, cid) && $0.body.verdict.ends })?.body
        else { return [paid].compactMap(\.self) }
        let (result, detail) = draw(settlement, commitment, receipt, cid)
        let check = VerificationReport.Line(
            code: "draw", title: "check as committed", result: result, detail: detail, isNeeded: false)
        return [paid, check].compactMap(\.self)
    }

    /// Whether the originator checked what it had to by its own word. If it did not, that speaks against it and not
    /// against the receipt, so no such line fails.
    private static func draw(
        _ settlement: Settlement, _ commitment: [UInt8], _ receipt: ExecutionReceipt, _ cid: CID
    ) -> (VerificationReport.Result, String) {
        guard let opening = settlement.verification else {
            return (.notCheckable, "the originator does not say how the result was to be checked")
        }
        guard opening.opens(commitment) else {
            return (.notCheckable, "the originator says \(opening.level), which is not what its manifest committed to")
        }
        let found = settlement.finding ?? .unchecked
        if opening.level == .adaptive {
            return (.passed, "adaptive: by what it found of the executor before, and it says \(found.rawValue)")
        }
        guard opening.draws(cid), receipt.executorDID != receipt.originatorDID else {
            return (.passed, "\(opening.level): it was not to be checked, and it says \(found.rawValue)")
        }
        if found == .unchecked {
            return (.notCheckable, "\(opening.level): it was to be checked, and the originator says that it was not")
        }
        return (.passed, "\(opening.level): it was to be checked, and the originator says \(found.rawValue)")
    }

    private static func line(_ result: VerificationReport.Result, _ detail: String) -> VerificationReport.Line {
        VerificationReport.Line(
            code: "settlement", title: "settlement signed by the originator", result: result, detail: detail,
            isNeeded: false)
    }

    private static func words(_ settlement: Settlement) -> String {
        switch settlement.verdict {
        case .paid, .paidCancelled: "paid \(settlement.amountPaid)"
        case .nodeFailure: "paid nothing, because the executor's node failed"
        case .late: "paid nothing, because the receipt came too late"
        case .refuted: "paid nothing, because it ran the job again, and that gave something else"
        case .unverified: "paid nothing, because it checked the receipt and did not find it borne out"
        }
    }
}

extension SettlementVerdict {
    /// Whether it settles the receipt with which the job ends, so that it opens what the manifest committed to.
    fileprivate var ends: Bool { self == .paid || self == .paidCancelled }
}

extension VerificationReport {
    /// The report with a further line.
    package func adding(_ line: Line) -> VerificationReport {
        VerificationReport(receiptCID: receiptCID, lines: lines + [line])
    }
}
