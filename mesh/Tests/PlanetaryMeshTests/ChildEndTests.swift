import MeshTypes
import Multiformats
import NodeAPI
import Testing
import Workflows

@testable import PlanetaryMesh

/// What a plan takes from the end of one of its jobs.
@Suite struct ChildEndTests {
    private let job = CID.hashing([1], codec: .dagCBOR)
    private let receipt = CID.hashing([2], codec: .dagCBOR)
    private let output = CID.hashing([3], codec: .raw)

    private func result(_ finding: VerificationFinding?) -> JobResult {
        var result = JobResult(ending: .succeeded, detail: "exited with 0", attempts: 1)
        (result.receiptCID, result.stdoutCID, result.paid) = (receipt.text, output.text, 30)
        result.finding = finding?.rawValue
        return result
    }

    @Test(arguments: [nil, .confirmed, .agreed, .fuelUnknown] as [VerificationFinding?])
    func aResultIsTakenAsItIs(_ finding: VerificationFinding?) {
        let end = ChildEnd(result(finding), job, folders: [], paidForReplicas: 5)
        #expect(end.outcome == .exited(code: 0))
        #expect(end.receiptCID == receipt && end.jobID == job && end.paid == 35)
        #expect(end.outputs == [ChildOutput(name: "stdout", cid: output, isFolder: false)])
    }

    @Test("A result whose check was waived is paid for, and serves no other stage")
    func waived() {
        let end = ChildEnd(result(.waived), job, folders: [], paidForReplicas: 5)
        #expect(end.outcome == .cancelled)
        #expect(end.receiptCID == nil && end.outputs.isEmpty && end.paid == 35)
    }
}
