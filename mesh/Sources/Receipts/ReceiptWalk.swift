import IPLD
package import MeshTypes
package import Multiformats
import SignedObjects

/// Collects the blocks that are needed to verify a receipt, beginning with its CID.
///
/// It does no I/O: fetch what `nextWant` names, hand in each block, and ask again until it wants nothing; then call
/// `report()`. It hashes each block on arrival; a wrong one is refused and stays wanted. It follows an output of many
/// blocks through its nodes and keeps only the sizes of chunks; all outputs together may have no more bytes than the
/// job allows.
package struct ReceiptWalk: Sendable {
    /// A block that is needed.
    package struct Want: Hashable, Sendable {
        /// The block.
        package let cid: CID
        /// The most bytes it may have.
        package let bytesMax: Int
        /// Whether it is an output of the run, not part of the signed chain.
        package let isOutput: Bool
    }

    private enum Holding {
        case wanted(Want)
        case had(BlockEvidence)
    }

    /// The receipt.
    package let receiptCID: CID
    /// The receipt once its block is in; the report checks its signature.
    package private(set) var receipt: ExecutionReceipt?
    /// The job's manifest once its block is in; the report checks its signature.
    package private(set) var manifest: JobManifest?
    /// The assignment once its block is in; the report checks its signature.
    package private(set) var assignment: Assignment?
    private let verifier: ReceiptVerifier
    /// In the order in which blocks were first wanted; a receipt wants at most some thousand.
    private var order: [CID] = []
    private var holdings: [CID: Holding] = [:]
    /// Nothing before this place in the order is wanted: what was had once is never wanted again.
    private(set) var firstWanted = 0
    /// Bytes of output blocks that arrived, and how many may.
    private var outputBytesHad = 0
    private var outputBytesMax: Int
    private var leavesOutputsOut = false
    /// Bytes that nodes may add to the outputs that they link.
    private static let nodeBytesMax = SignedObjectFormat.bytesMax

    /// A walk from a receipt's CID.
    package init(receiptCID: CID, verifier: ReceiptVerifier = ReceiptVerifier()) {
        self.receiptCID = receiptCID
        self.verifier = verifier
        outputBytesMax = verifier.limits.outputBytesMax
        want(receiptCID, bytesMax: SignedObjectFormat.bytesMax, isOutput: false)
    }

    /// What to fetch next; `nil` when the report is complete. Looks at every place in the order once, so a walk through
    /// many small blocks costs no more than they are.
    package mutating func nextWant() -> Want? {
        while firstWanted < order.count {
            if case .wanted(let want)? = holdings[order[firstWanted]] { return want }
            firstWanted += 1
        }
        return nil
    }

    /// All that is to be fetched now; empty when the report is complete.
    package var wants: [Want] {
        order.compactMap { cid in
            guard case .wanted(let want)? = holdings[cid] else { return nil }
            return want
        }
    }

    /// Whether it wants nothing more.
    package var isComplete: Bool { wants.isEmpty }

    /// Takes a wanted block.
    package mutating func received(_ block: [UInt8], for cid: CID) -> Result<Void, ReceiptWalkRefusal> {
        guard case .wanted(let want)? = holdings[cid] else { return .failure(.notWanted) }
        if block.count > want.bytesMax { return .failure(.tooLarge(bytesMax: want.bytesMax)) }
        guard cid.matches(block) else { return .failure(.wrongHash) }
        guard want.isOutput else {
            holdings[cid] = .had(.bytes(block))
            follow(block, cid)
            return .success(())
        }
        if cid == receipt?.readCID {
            holdings[cid] = .had(.bytes(block))
            return .success(())
        }
        outputBytesHad += block.count
        if outputBytesHad > outputBytesMax + outputBytesMax / 64 + Self.nodeBytesMax {
            giveUpOutputs()
            return .failure(.tooLarge(bytesMax: outputBytesMax))
        }
        holdings[cid] = .had(cid.codec == .dagPB ? .bytes(block) : .checked(byteCount: block.count))
        if cid.codec == .dagPB { followOutput(block, cid) }
        return .success(())
    }

    /// Gives up on a block, with the reason for people.
    package mutating func unavailable(_ cid: CID, reason: String) {
        guard case .wanted? = holdings[cid] else { return }
        holdings[cid] = .had(.missing(PlainText.sanitized(reason)))
    }

    /// Does without the outputs: only their CIDs will be known. For evidence from which they were left out on purpose.
    package mutating func leaveOutputsOut() {
        leavesOutputsOut = true
        for cid in order {
            guard case .wanted(let want)? = holdings[cid], want.isOutput else { continue }
            holdings[cid] = .had(.leftOut)
        }
    }

    /// The verdict on what arrived; blocks still wanted count as missing.
    ///
    /// - Parameters:
    ///   - siblings: other receipts of the same executor that are known to name the same one before them.
    ///   - twins: other receipts of the same executor that are known to answer the same assignment.
    package func report(siblings: [CID] = [], twins: [CID] = []) -> VerificationReport {
        verifier.verify(receiptCID, siblings: siblings, twins: twins, evidence: evidence)
    }

    /// The verdict where outputs, and the list of what was read, are known otherwise than by their blocks in this walk.
    func report(
        siblings: [CID], twins: [CID], readList: BlockEvidence?, outputs: (CID, Int) -> OutputFile.Finding
    ) -> VerificationReport {
        verifier.verify(receiptCID, siblings: siblings, twins: twins, outputs: outputs) { cid in
            if let readList, cid == receipt?.readCID { return readList }
            return evidence(cid)
        }
    }

    private func evidence(_ cid: CID) -> BlockEvidence {
        guard case .had(let evidence)? = holdings[cid] else { return .missing("it was not fetched") }
        return evidence
    }

    /// Wants what a block of the chain links to. The report checks signatures: a forged object only costs the fetches
    /// that its limits allow.
    private mutating func follow(_ block: [UInt8], _ cid: CID) {
        if cid == receiptCID {
            guard let object = try? SignedObject<ExecutionReceipt>(verifiedBefore: block) else { return }
            receipt = object.body
            want(object.body.assignmentCID, bytesMax: SignedObjectFormat.bytesMax, isOutput: false)
            want(object.body.jobID.cid, bytesMax: SignedObjectFormat.bytesMax, isOutput: false)
            if let previous = object.body.previousReceiptCID {
                want(previous, bytesMax: SignedObjectFormat.bytesMax, isOutput: false)
            }
            let outputs = object.body.outputBlocks
            guard outputs.count <= verifier.limits.outputsMax else { return }
            for output in outputs {
                let isList = output == object.body.readCID
                want(
                    output,
                    bytesMax: isList ? verifier.limits.readListBytesMax : verifier.limits.outputBytesMax, isOutput: true
                )
            }
        } else if cid == receipt?.assignmentCID {
            guard let object = try? SignedObject<Assignment>(verifiedBefore: block) else { return }
            assignment = object.body
            want(object.body.bidCID, bytesMax: SignedObjectFormat.bytesMax, isOutput: false)
        } else if cid == receipt?.jobID.cid {
            guard let object = try? SignedObject<JobManifest>(verifiedBefore: block) else { return }
            manifest = object.body
            tighten(to: object.body.params.maxOutputBytes)
        }
    }

    /// Wants what a node of an output links to; the report judges what is no node of a file or folder.
    private mutating func followOutput(_ block: [UInt8], _ cid: CID) {
        guard let node = try? UnixFSBlock(block, of: cid) else { return }
        for link in node.links where order.count < verifier.limits.outputBlocksMax {
            want(link, bytesMax: min(verifier.limits.outputBytesMax, outputBytesMax), isOutput: true)
        }
    }

    private mutating func giveUpOutputs() {
        for cid in order {
            guard case .wanted(let want)? = holdings[cid], want.isOutput else { continue }
            holdings[cid] = .had(.missing("the outputs have more than \(outputBytesMax) bytes"))
        }
    }

    /// Outputs that are still wanted may have no more bytes than the job allows.
    private mutating func tighten(to bytesMax: UInt64) {
        outputBytesMax = min(outputBytesMax, Int(clamping: bytesMax))
        for cid in order {
            guard case .wanted(let want)? = holdings[cid], want.isOutput, cid != receipt?.readCID else { continue }
            let bound = min(want.bytesMax, Int(clamping: bytesMax))
            holdings[cid] = .wanted(Want(cid: cid, bytesMax: bound, isOutput: true))
        }
    }

    /// Does not fetch CIDs of other forms: the report refuses them by their form.
    private mutating func want(_ cid: CID, bytesMax: Int, isOutput: Bool) {
        guard holdings[cid] == nil else { return }
        order.append(cid)
        holdings[cid] =
            (isOutput ? cid.namesMeshContent : cid.namesEvidence)
            ? isOutput && leavesOutputsOut
                ? .had(.leftOut) : .wanted(Want(cid: cid, bytesMax: bytesMax, isOutput: isOutput))
            : .had(.missing("its CID is not of the accepted form"))
    }
}

/// Why a block was not taken.
package enum ReceiptWalkRefusal: Error, Hashable, Sendable {
    /// It was not wanted, or is there already.
    case notWanted
    /// It is larger than it may be.
    case tooLarge(bytesMax: Int)
    /// It does not hash to its CID.
    case wrongHash
}

extension ReceiptWalkRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notWanted: "it was not wanted"
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .wrongHash: "it does not hash to its CID"
        }
    }
}
