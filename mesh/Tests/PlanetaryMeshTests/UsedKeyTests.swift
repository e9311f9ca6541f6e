import MeshTypes
import Multiformats
import NodeAPI
import Testing

@testable import PlanetaryMesh

/// Which submissions an idempotency key that was used stands for.
@Suite struct UsedKeyTests {
    private let module = CID.hashing(Array("module".utf8), codec: .raw)

    private func params(_ args: [String], window: UInt64? = nil) -> MeshJobParams {
        var params = MeshJobParams(wasmCID: module)
        params.args = args
        var policy = ExecutionPolicy()
        policy.bidWindowMilliseconds = window
        params.executionPolicy = policy
        return params
    }

    @Test func textIsComparedByBytesAndOnlyWhatASubmissionNames() {
        var submission = JobSubmission(moduleCID: module.text)
        let (composed, decomposed) = ("\u{E9}", "e\u{301}")
        #expect(composed == decomposed, "Swift's own comparison takes them for one")
        let first = params([composed], window: 500)
        #expect(UsedKey.differences(submission, params([composed]), first).isEmpty)
        #expect(UsedKey.differences(submission, params([decomposed]), first) == ["list of arguments"])
        var called = first
        called.invoke = [WasmNumber(Int32(2))]
        #expect(UsedKey.differences(submission, called, first) == ["list of numbers"])
        submission.policy.requiredFeatures = ["simd"]
        var asked = first
        asked.executionPolicy?.requiredFeatures = ["simd"]
        #expect(UsedKey.differences(submission, asked, first) == ["list of features"])
        var had = asked
        had.executionPolicy?.require("what-the-node-asks-for")
        #expect(UsedKey.differences(submission, asked, had).isEmpty, "the node adds that each time")
        submission.policy.requiredFeatures = nil
        submission.policy.bidWindowMilliseconds = 100
        #expect(UsedKey.differences(submission, params([composed], window: 100), first) == ["time for bids"])
    }
}
