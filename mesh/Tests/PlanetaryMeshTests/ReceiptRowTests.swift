import MeshStore
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@testable import JobMarket
@testable import PlanetaryMesh

/// What a start reads about executors is what the market said when their receipts came.
@Suite struct ReceiptRowTests {
    private func transition(
        _ end: AttemptEnd?, isContradiction: Bool = false
    ) throws -> (MarketTransition, ExecutionReceipt, CID) {
        let originator = try Identity(seed: Array(repeating: 1, count: 32))
        let executor = try Identity(seed: Array(repeating: 2, count: 32))
        let cid = CID.hashing([1], codec: .dagCBOR)
        let receipt = ExecutionReceipt(
            jobID: JobID(cid), assignmentCID: cid, originatorDID: originator.did, executorDID: executor.did, attempt: 1,
            moduleCID: cid, inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: .none, price: TokenAmount(1),
            engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: UnixMilliseconds(5), executionEndedAt: UnixMilliseconds(6))
        let signed = try SignedObject.sign(receipt, with: executor)
        var transition = MarketTransition()
        let entry = AnchorEntry(
            nodeDID: executor.did, parents: [], payload: [signed.cid], scope: "global", height: 0,
            recordedAt: UnixMilliseconds(6))
        transition.blocks = [
            EvidenceBlock(signed, of: JobID(cid), isContradiction: isContradiction),
            EvidenceBlock(try SignedObject.sign(entry, with: executor), of: JobID(cid)),
        ]
        if let end {
            transition.events = [
                JobEvent(
                    jobID: JobID(cid), role: .originator, at: UnixMilliseconds(9),
                    kind: .attemptEnded(assignment: cid, end: end))
            ]
        }
        return (transition, receipt, signed.cid)
    }

    @Test func aReceiptThatCountsIsEvidenceForItsExecutor() throws {
        let (transition, receipt, cid) = try transition(nil)
        let rows = ReceiptRow.rows(of: transition.events, transition.blocks, at: UnixMilliseconds(9)).map(\.row)
        #expect(rows.map(\.cid) == [cid])
        #expect(rows.map(\.isVerified) == [true])
        #expect(rows[0].executorDID == receipt.executorDID.text)
        let evidence = ReputationEvidence(
            receipt: receipt, receiptCID: cid, isChecked: false, takenAt: UnixMilliseconds(9))
        #expect(rows[0].evidence(receipt) == evidence)
        #expect(rows[0].evidence(receipt)?.verdict == .fulfilled)
    }

    @Test func onlyWhatThisNodeRanItselfCountsAsItsCheckAfterARestart() throws {
        for finding in VerificationFinding.allCases {
            var (transition, _, cid) = try transition(nil)
            transition.events = [
                JobEvent(
                    jobID: JobID(cid), role: .originator, at: UnixMilliseconds(9),
                    kind: .verificationEnded(receipt: cid, finding: finding, fuel: nil))
            ]
            let rows = ReceiptRow.rows(of: transition.events, transition.blocks, at: UnixMilliseconds(9)).map(\.row)
            #expect(rows.map(\.isChecked) == [finding == .confirmed || finding == .fuelUnknown], "\(finding)")
        }
    }

    @Test func aWrongReceiptIsEvidenceAgainstItAlsoAfterARestart() throws {
        let cid = try transition(nil).2
        let (transition, receipt, _) = try transition(.receiptInvalid(receipt: cid, reason: .statusMismatch))
        let row = try #require(ReceiptRow.rows(of: transition.events, transition.blocks, at: UnixMilliseconds(9)).first)
            .row
        #expect(row.isVerified == false)
        #expect(row.evidence(receipt)?.verdict == .invalid)
        #expect(row.evidence(receipt)?.at == UnixMilliseconds(9))
    }

    @Test func aSecondReceiptOfARunIsEvidenceAgainstItAlsoAfterARestart() throws {
        let (transition, receipt, cid) = try transition(nil, isContradiction: true)
        let row = try #require(ReceiptRow.rows(of: transition.events, transition.blocks, at: UnixMilliseconds(9)).first)
            .row
        #expect(row.isVerified == false)
        let evidence = try #require(row.evidence(receipt))
        #expect(evidence.verdict == .invalid)
        #expect(evidence.assignmentCID == receipt.assignmentCID)
        #expect(ReceiptLinkRow(receipt, cid).assignment == receipt.assignmentCID)
    }
}
