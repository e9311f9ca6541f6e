import MeshTypes
import Multiformats
import Receipts
import SignedObjects
import Testing

/// What a repetition shows of a run that was cancelled or that the clock stopped: whether it can have used the fuel
/// that is claimed, and what it wrote until then.
@Suite("A replay of a run that was cut short") struct CutShortReplayTests {
    /// Fuel that the receipt claims.
    private static let claim: UInt64 = 2_500_001
    private static let other = CID.hashing([3], codec: .raw)

    /// A receipt, its job and terms, and what the repetition gave: as an honest one does, until a test changes it.
    private struct Scene {
        var manifest: JobManifest
        var terms: BidTerms
        var receipt: ExecutionReceipt
        var run: ReplayedRun

        init(_ outcome: ExecutionOutcome) throws {
            var chain = try ReceiptChain()
            _ = try chain.sign(ReceiptChain.Changes())
            manifest = chain.manifest
            terms = chain.assignment.terms
            receipt = chain.receipt
            receipt.outcome = outcome
            receipt.resourceUsage.fuel = claim
            run = ReplayedRun(
                outcome: .limitExceeded(.fuel), outputs: receipt.outputs, stdoutCID: receipt.stdoutCID,
                stderrCID: receipt.stderrCID, logCID: receipt.logCID, fuel: claim, engine: receipt.engine)
        }

        /// The job collects a file under this name.
        mutating func collects(_ name: String) {
            var files = JobFiles()
            files.collect = CanonicalMap([(name, "*.txt")])
            manifest.params.files = files
        }

        /// The claim is all that its time allows: ten milliseconds and a begun one.
        mutating func isCutDown() {
            terms.resourceGuarantees[.fuelPerSecond] = (claim * 1_000 + 10) / 11
        }

        var report: VerificationReport {
            ReplayComparison.compare(
                receipt, receiptCID: CID.hashing([1], codec: .dagCBOR), of: manifest, under: terms, with: run)
        }
    }

    private static let outcomes: [ExecutionOutcome] = [.cancelled, .limitExceeded(.wallClock)]

    @Test("agrees when it is out of fuel where the first run was stopped, whatever stopped that", arguments: outcomes)
    func honest(outcome: ExecutionOutcome) throws {
        let report = try Scene(outcome).report
        #expect(report.isVerified, "\(report.lines)")
        let codes = ReplayComparison.Check.allCases.filter { $0 != .outcome }.map { "replay_\($0.rawValue)" }
        #expect(report.lines.map(\.code) == codes)
        #expect(report.lines.last?.title == ReplayComparison.noEarlierEnd)
    }

    @Test(
        "agrees with an end at the claim itself, and refutes the claim by one before it",
        arguments: [
            ExecutionOutcome.exited(code: 0), .exited(code: 7), .trapped(kind: .unreachable, message: ""),
            .limitExceeded(.memory), .limitExceeded(.stack), .limitExceeded(.output), .limitExceeded(.wallClock),
            .moduleRefused(reason: ""), .filesRefused(reason: ""),
        ])
    func ends(outcome: ExecutionOutcome) throws {
        for (fuel, isRefuted) in [(Self.claim, false), (Self.claim - 1, true), (0, true)] {
            for claimed in Self.outcomes {
                var scene = try Scene(claimed)
                scene.run.outcome = outcome
                scene.run.fuel = fuel
                let report = scene.report
                #expect(report.codes(.failed) == (isRefuted ? ["replay_fuel"] : []), "\(report.lines)")
                #expect(report.result == (isRefuted ? .failed : .passed))
            }
        }
    }

    @Test("says nothing when this node did not get as far", arguments: outcomes)
    func notAsFar(outcome: ExecutionOutcome) throws {
        for end: ExecutionOutcome in [.nodeFailed(reason: "slow"), .fetchFailed(reason: "gone"), .cancelled] {
            var scene = try Scene(outcome)
            scene.run.outcome = end
            scene.run.fuel = 5
            #expect(scene.report.failures.isEmpty && scene.report.result == .notCheckable)
        }
    }

    @Test("says nothing on another engine, or where the stack ends on another processor")
    func otherEngine() throws {
        var scene = try Scene(.cancelled)
        scene.run.fuel = 5
        scene.run.outcome = .exited(code: 0)
        scene.run.engine.configurationDigest = "def"
        #expect(scene.report.failures.isEmpty && scene.report.result == .notCheckable)
        // An engine of an earlier release that is known to count the same.
        scene.run.likeEngines = [scene.receipt.engine]
        #expect(scene.report.codes(.failed) == ["replay_fuel"])
        var deep = try Scene(.cancelled)
        deep.run.fuel = 5
        deep.run.outcome = .limitExceeded(.stack)
        deep.run.engine.processorBaseline = "armv8-a"
        #expect(deep.report.failures.isEmpty && deep.report.result == .notCheckable)
    }

    @Test("says nothing of an attested run")
    func attested() throws {
        var scene = try Scene(.cancelled)
        scene.receipt.determinism = .attested
        scene.run.fuel = 5
        #expect(scene.report.failures.isEmpty && scene.report.result == .notCheckable)
    }

    @Test("wants the same output to the byte", arguments: outcomes)
    func output(outcome: ExecutionOutcome) throws {
        let changes: [(String, (inout ReplayedRun) -> Void)] = [
            ("replay_stdout", { $0.stdoutCID = nil }), ("replay_stdout", { $0.stdoutCID = Self.other }),
            ("replay_stderr", { $0.stderrCID = Self.other }), ("replay_log", { $0.logCID = Self.other }),
            ("replay_outputs", { $0.outputs = [:] }), ("replay_outputs", { $0.outputs["result"] = Self.other }),
            ("replay_outputs", { $0.outputs["more"] = Self.other }),
        ]
        for (code, change) in changes {
            var scene = try Scene(outcome)
            change(&scene.run)
            #expect(scene.report.codes(.failed) == [code])
        }
    }

    @Test("does not miss what a stopped run had no time to collect, and compares what it has")
    func collected() throws {
        var scene = try Scene(.limitExceeded(.wallClock))
        scene.collects("texts")
        scene.run.outputs["texts"] = Self.other
        #expect(scene.report.isVerified)
        scene.receipt.outputs["texts"] = Self.other
        #expect(scene.report.isVerified)
        scene.run.outputs["texts"] = CID.hashing([4], codec: .raw)
        #expect(scene.report.codes(.failed) == ["replay_outputs"])
        // What nobody collects has to be there.
        scene.run.outputs = scene.receipt.outputs
        scene.run.outputs["more"] = Self.other
        #expect(scene.report.codes(.failed) == ["replay_outputs"])
    }

    @Test("of a claim that was cut down to its time compares no more than what was written by then")
    func cutDown() throws {
        var scene = try Scene(.cancelled)
        scene.isCutDown()
        #expect(scene.report.isVerified)
        scene.run.stdoutCID = nil
        scene.run.outputs = [:]
        #expect(scene.report.failures.isEmpty)
        #expect(scene.report.codes(.notCheckable) == ["replay_outputs", "replay_stdout"])
        // What the repetition made by then, the receipt has.
        scene.run.outputs = ["result": Self.other]
        #expect(scene.report.codes(.failed) == ["replay_outputs"])
        scene.run.outputs = ["more": Self.other]
        #expect(scene.report.codes(.failed) == ["replay_outputs"])
        // The end decides all the same.
        scene.run.outputs = scene.receipt.outputs
        scene.run.fuel = Self.claim - 1
        scene.run.outcome = .exited(code: 0)
        #expect(scene.report.codes(.failed) == ["replay_fuel"])
        // With a unit less it was not cut down.
        var below = try Scene(.cancelled)
        below.isCutDown()
        below.receipt.resourceUsage.fuel -= 1
        below.run.stdoutCID = nil
        #expect(below.report.codes(.failed) == ["replay_stdout"])
        // Files change as long as a run goes on.
        var files = try Scene(.limitExceeded(.wallClock))
        files.isCutDown()
        files.collects("texts")
        files.receipt.outputs["texts"] = Self.other
        files.run.outputs["texts"] = CID.hashing([4], codec: .raw)
        #expect(files.report.failures.isEmpty)
        #expect(files.report.codes(.notCheckable) == ["replay_outputs"])
    }

    @Test("compares what was read where the receipt names it, and where collecting did not read")
    func read() throws {
        var scene = try Scene(.limitExceeded(.wallClock))
        scene.run.readCID = Self.other
        #expect(scene.report.isVerified, "a cancelled run names none")
        scene.receipt.readCID = Self.other
        #expect(scene.report.isVerified)
        scene.run.readCID = nil
        #expect(scene.report.codes(.failed) == ["replay_read"])
        scene.collects("texts")
        #expect(scene.report.failures.isEmpty && scene.report.codes(.notCheckable) == ["replay_read"])
    }
}
