import MeshTypes
import Multiformats
import Testing

@testable import CoVM

/// What a process tells of its run's end, where an honest one could not have told it.
@Suite("A report of a run's process") struct RunReportTests {
    static let cid = CID.hashing([1], codec: .raw)

    private static func job() -> ExecutionJob {
        var job = ExecutionJob(moduleCID: cid, module: [], entry: "_start", arguments: [])
        job.limits = ExecutionLimits(timeoutSeconds: 1, maxFuel: 100, maxMemoryBytes: 1_000, maxOutputBytes: 10)
        return job
    }

    private static func begun() -> ExecutionResult {
        let engine = EngineDescription(name: "", version: "", configurationDigest: "")
        return ExecutionResult(outcome: .nodeFailed(reason: "it has not begun"), engine: engine)
    }

    /// A report of a run that used all that it may.
    private static func full() -> ExecutionResult {
        var result = begun()
        result.outcome = .trapped(kind: .other, message: String(repeating: "x", count: RunReport.reasonBytesMax))
        result.outputs = (0..<MeshHostABI.outputsMax).map { ("\($0)", cid) }
        result.anchoredCIDs = [CID](repeating: cid, count: MeshHostABI.anchorsMax)
        result.usage = ResourceUsage(fuel: 100, peakMemoryBytes: 1_000, bytesWritten: 10, wallMilliseconds: 50)
        let calls = (0..<RunReport.hostCallsMax).map { index in
            let digits = "\(index)"
            return (digits + String(repeating: "n", count: RunReport.hostCallNameBytesMax - digits.count), UInt64(1))
        }
        result.usage.hostCalls = CanonicalMap(calls)
        return result
    }

    @Test("is taken up to its bounds")
    func taken() throws {
        let told = try #require(RunReport(Self.full()).result(of: Self.job(), Self.begun(), within: 50))
        #expect(told.outcome == Self.full().outcome)
        #expect(told.outputs.count == MeshHostABI.outputsMax)
        #expect(told.usage == Self.full().usage)
    }

    /// One thing too much.
    enum Lie: CaseIterable {
        case fuel, memory, output, clock, words, refusalWords, calls, callName
        case outputs, anchors, twoOfOneName, noName, longName, controlName

        func tell(_ result: inout ExecutionResult) {
            switch self {
            case .fuel: result.usage.fuel += 1
            case .memory: result.usage.peakMemoryBytes += 1
            case .output: result.usage.bytesWritten += 1
            case .clock: result.usage.wallMilliseconds += 1
            case .words: result.outcome = .trapped(kind: .other, message: Self.long(RunReport.reasonBytesMax))
            case .refusalWords: result.outcome = .nodeFailed(reason: Self.long(RunReport.reasonBytesMax))
            case .calls: result.usage.hostCalls["one more"] = 1
            case .callName:
                result.usage.hostCalls = CanonicalMap([(Self.long(RunReport.hostCallNameBytesMax), UInt64(1))])
            case .outputs: result.outputs.append(("one more", RunReportTests.cid))
            case .anchors: result.anchoredCIDs.append(RunReportTests.cid)
            case .twoOfOneName: result.outputs = [("a", RunReportTests.cid), ("a", RunReportTests.cid)]
            case .noName: result.outputs = [("", RunReportTests.cid)]
            case .longName: result.outputs = [(Self.long(Int(MeshHostABI.nameBytesMax)), RunReportTests.cid)]
            case .controlName: result.outputs = [("a\u{7}", RunReportTests.cid)]
            }
        }

        private static func long(_ bytes: Int) -> String { String(repeating: "x", count: bytes + 1) }
    }

    @Test("is refused beyond each", arguments: Lie.allCases)
    func refused(lie: Lie) {
        var result = Self.full()
        lie.tell(&result)
        #expect(RunReport(result).result(of: Self.job(), Self.begun(), within: 50) == nil)
    }
}
