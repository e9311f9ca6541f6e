import IPLD
import Multiformats

/// What the blocks of one file say about the outputs of its receipts: each output is examined once, however many of the
/// receipts have it, and each chunk is hashed once.
struct FiledOutputs: Sendable {
    /// The bounds of examining.
    struct Limits: Sendable {
        /// Steps for all outputs of a file: one for each place of a block in an output, and one for each 64 bytes of a
        /// node. Sixteen times what a file takes whose outputs share nothing.
        var stepsMax = 16 * CAR.Limits().blocksMax
    }

    /// Bytes of a node that cost one step.
    private static let nodeBytesPerStep = 64

    private var findings: [CID: OutputFile.Finding] = [:]
    /// Whether a chunk hashes to its CID.
    private var isGenuine: [CID: Bool] = [:]
    /// Steps taken.
    private(set) var stepCount = 0
    private let limits: Limits

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// What is known of an output of at most `blocksMax` blocks.
    func finding(_ root: CID, blocksMax: Int) -> OutputFile.Finding {
        switch findings[root] {
        case nil: .missing("the block \(root) was not examined")
        case .whole(_, let blocks)? where blocks > blocksMax: OutputFile.tooManyBlocks
        case let finding?: finding
        }
    }

    /// Examines the outputs of a receipt, as far as that was not done before. If no block of them is there, they count
    /// as left out.
    mutating func examine(_ outputs: [CID], in blocks: [CID: [UInt8]], blocksMax: Int) {
        let isLeftOut = outputs.allSatisfy { blocks[$0] == nil }
        for root in outputs where findings[root] == nil || findings[root] == .leftOut {
            findings[root] =
                isLeftOut ? .leftOut : OutputFile.examine(root, blocksMax: blocksMax) { evidence($0, blocks) }
        }
    }

    private mutating func evidence(_ cid: CID, _ blocks: [CID: [UInt8]]) -> BlockEvidence {
        guard cid.namesMeshContent else { return .missing("its CID is not of the accepted form") }
        guard let bytes = blocks[cid] else { return .missing("it is not in the file") }
        let isNode = cid.codec == .dagPB
        stepCount += isNode ? 1 + bytes.count / Self.nodeBytesPerStep : 1
        guard stepCount <= limits.stepsMax else {
            return .missing("the outputs in the file take more than \(limits.stepsMax) steps to examine")
        }
        if isNode { return .bytes(bytes) }
        if isGenuine[cid] == nil { isGenuine[cid] = cid.matches(bytes) }
        return isGenuine[cid] == true ? .checked(byteCount: bytes.count) : .bytes(bytes)
    }
}
