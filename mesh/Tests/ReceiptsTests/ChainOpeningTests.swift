import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import Receipts

/// Receipts that follow their executor's word that its chain begins again.
@Suite("A chain that begins again")
struct ChainOpeningTests {
    private static let last = CID.hashing([7], codec: .dagCBOR)

    /// A receipt after an opening, by the executor itself or another, some time before the run began.
    private static func opened(
        by signer: Identity? = nil, millisecondsBefore: Int64 = 0
    ) throws -> (chain: ReceiptChain, opening: CID, receipt: CID) {
        var chain = try ReceiptChain()
        let signer = signer ?? chain.executor
        let began = Int64(chain.receipt.executionStartedAt.value)
        let opening = try SignedObject.sign(
            ChainOpening(
                executorDID: signer.did, afterCID: last,
                openedAt: UnixMilliseconds(UInt64(began - millisecondsBefore))), with: signer)
        chain.blocks[opening.cid] = opening.bytes
        let receipt = try chain.sign(ReceiptChain.Changes(receipt: { $0.previousReceiptCID = opening.cid }))
        return (chain, opening.cid, receipt)
    }

    private static func line(_ report: VerificationReport) -> VerificationReport.Line? {
        report.lines.first { $0.code == "predecessor" }
    }

    @Test("The first receipt after it holds, and whoever checks it is told")
    func holds() throws {
        let (chain, opening, receipt) = try Self.opened(millisecondsBefore: 5_000)
        let report = chain.verify(receipt)
        #expect(report.isVerified)
        let told = "the first since \(opening): its executor says that it was restored from a backup"
        #expect(Self.line(report)?.detail == "\(told), after \(Self.last)")
    }

    @Test("Nobody else can say so")
    func another() throws {
        let (chain, _, receipt) = try Self.opened(by: ReceiptChain.stranger)
        let report = chain.verify(receipt)
        #expect(report.codes(.failed) == ["predecessor"])
        #expect(Self.line(report)?.detail.contains("instead of \(chain.executor.did)") == true)
    }

    @Test("No run that began before it follows it, by more than clocks may differ")
    func before() throws {
        let skew = Int64(ReceiptVerifier.Limits().clockSkewMilliseconds)
        #expect(try Self.verdict(millisecondsBefore: -skew) == .passed)
        #expect(try Self.verdict(millisecondsBefore: -skew - 1) == .failed)
    }

    private static func verdict(millisecondsBefore: Int64) throws -> VerificationReport.Result? {
        let (chain, _, receipt) = try opened(millisecondsBefore: millisecondsBefore)
        return line(chain.verify(receipt))?.result
    }

    @Test("Two receipts after one opening contradict each other, as after one receipt")
    func fork() throws {
        let (chain, opening, receipt) = try Self.opened()
        let sibling = CID.hashing([1], codec: .dagCBOR)
        let report = ReceiptVerifier().verify(receipt, siblings: [sibling], evidence: chain.evidence)
        #expect(Self.line(report)?.detail == "the executor signed \(sibling) after \(opening) too")
        #expect(report.codes(.failed) == ["predecessor"])
    }
}
