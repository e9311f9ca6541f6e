import IPLD
import MeshTypes
package import Multiformats
import SignedObjects

/// Checks the whole evidence chain of a receipt, JobManifest <- Bid <- Assignment <- ExecutionReceipt, from blocks
/// alone.
///
/// It is pure: whoever has the same blocks gets the same lines, and need not trust executor, originator or whoever
/// served the blocks. `ReceiptWalk` says which blocks it needs.
package struct ReceiptVerifier: Hashable, Sendable {
    /// The bounds of a receipt, and by how much clocks may differ.
    package struct Limits: Hashable, Sendable {
        /// Named outputs of a receipt.
        package var outputCountMax = 1024
        /// The name of an output, in bytes.
        package var outputNameBytesMax = 256
        /// Blocks that a module anchored.
        package var anchoredCountMax = 1024
        /// Host functions that a run called, by name.
        package var hostCallCountMax = 128
        /// The name of a host function, in bytes.
        package var hostCallNameBytesMax = 64
        /// One output block, in bytes, before the manifest is known.
        package var outputBytesMax = 64 << 20
        /// Blocks of all outputs together, folders with all that is in them.
        package var outputBlocksMax = UnixFSTreeWalk.Limits().blocksMax
        /// The list of what was read, in bytes.
        package var readListBytesMax = ReadList.Limits().bytesMax
        /// By how much the clocks of originator and executor may differ, in milliseconds.
        package var clockSkewMilliseconds = JobRules().clockSkewMilliseconds

        /// How much longer than its timeout a module may have run until it was stopped, in milliseconds: as long as an
        /// originator waits beyond the timeout.
        package var stopMilliseconds: UInt64 = 10_000

        /// Files of a receipt: its named outputs, standard output, standard error and log.
        var outputsMax: Int { outputCountMax + 4 }

        /// The limits of this version of the protocol.
        package init() {}
    }

    /// The bounds in use.
    package let limits: Limits

    /// A verifier with given bounds.
    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Checks the receipt of a CID; asks `evidence` for the receipt, then for what it links to.
    ///
    /// - Parameters:
    ///   - siblings: other receipts of the same executor that are known to name the same one before them.
    ///   - twins: other receipts of the same executor that are known to answer the same assignment.
    package func verify(
        _ receiptCID: CID, siblings: [CID] = [], twins: [CID] = [], evidence: (CID) -> BlockEvidence
    ) -> VerificationReport {
        verify(
            receiptCID, siblings: siblings, twins: twins,
            outputs: { OutputFile.examine($0, blocksMax: $1, evidence) }, evidence: evidence)
    }

    /// Checks the receipt of a CID, with what is known of its outputs of at most so many blocks.
    func verify(
        _ receiptCID: CID, siblings: [CID], twins: [CID], outputs: (CID, Int) -> OutputFile.Finding,
        evidence: (CID) -> BlockEvidence
    ) -> VerificationReport {
        var examination = ReceiptExamination(limits: limits)
        examination.examine(
            receiptCID, siblings: siblings.filter { $0 != receiptCID }, outputs: outputs, evidence: evidence)
        if let twin = twins.first(where: { $0 != receiptCID }) { examination.contradict(twin) }
        return VerificationReport(receiptCID: receiptCID, lines: examination.lines)
    }

    /// Checks the receipt in a block; asks `evidence` for what it links to.
    package func verify(
        _ receiptCID: CID, block: [UInt8], evidence: (CID) -> BlockEvidence
    ) -> VerificationReport {
        verify(receiptCID) { $0 == receiptCID ? .bytes(block) : evidence($0) }
    }
}
