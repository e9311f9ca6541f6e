import ArgumentParser
import Foundation
import Multiformats
import NodeAPI
import NodeAPITesting
import Testing
import Workflows

@testable import MeshCLI

@Suite("Checks of results on the command line")
struct CLIVerificationTests {
    @Test("--verify takes what there is, and says what there is for anything else")
    func levels() throws {
        let known = [
            ("none", "none"), ("replay", "replay"), ("spot:10%", "spot:10%"), ("spot:2.0%", "spot:2%"),
            ("quorum:2/3", "quorum:2/3"),
        ]
        for (given, read) in known {
            let run = try #require(try Mesh.parseAsRoot(["run", "--verify", given, "m.wasm"]) as? Run)
            #expect(run.job.verify == read)
        }
        for given in ["always", "spot", "spot:0%", "spot:101%", "", "quorum:1/3", "quorum:9/9"] {
            #expect(throws: (any Error).self) { try Mesh.parseAsRoot(["run", "--verify", given, "m.wasm"]) }
        }
        #expect(throws: (any Error).self) {
            try Mesh.parseAsRoot(["run", "--local", "--verify", "replay", "m.wasm"])
        }
    }

    @Test("What a check costs is said in figures")
    func cost() {
        let limits = JobSubmission.Limits(timeoutSeconds: 10, maxFuel: 5_000_000, maxMemoryBytes: 1 << 26)
        let line = Run.checkingCost("replay", limits)
        #expect(line.hasPrefix("check    this node runs the job again before the result counts: at most "))
        #expect(line.contains("5,000,000 fuel"))
        #expect(line.contains("20 s"))
        #expect(Run.checkingCost("spot:10%", limits).contains("may run the job again (spot:10%)"))
        let quorum = Run.checkingCost("quorum:2/3", limits, budget: 500)
        #expect(quorum.contains("3 executors run the job, each for its own price, together at most 1,500 tokens"))
        #expect(quorum.contains("2 have to agree") && quorum.contains("5,000,000 fuel"))
        let other = Run.checkingCost("spot:10%@executor", limits, budget: 500)
        #expect(other.contains("another executor may run the job again (spot:10%@executor)"))
        #expect(other.contains("at most 500 tokens"))
        #expect(!Run.checkingCost("replay@executor", limits).contains("tokens"))
        #expect(!Run.checkingCost("quorum:2/3", limits).contains("tokens"))
    }

    @Test("What the checks of a workflow cost is said once for all stages that are checked alike")
    func workflowCost() {
        var (a, b, c) = (
            StageDefinition(id: "a", module: "m"), StageDefinition(id: "b", module: "m"),
            StageDefinition(id: "c", module: "m")
        )
        (a.verification, b.verification, c.verification) = ("replay", "none", "replay")
        (a.limits.maxFuel, c.limits.maxFuel) = (7_000, 7_000)
        var definition = WorkflowDefinition.map(a, over: "x", name: "x", parallel: nil)
        #expect(definition.isMap)
        definition.stages[0].onFailure = .fail
        #expect(!definition.isMap, "an item that fails ends it")
        definition.stages[0].onFailure = .skip
        definition.stages = [a, b, c]
        let lines = WorkflowChecks.lines(for: definition, usual: nil)
        #expect(
            lines.count == 1 && lines[0].hasPrefix("check    each job of a, c: this node runs the job again before"))
        #expect(lines.allSatisfy { $0.contains("7,000 fuel") })
        definition.stages[1].verification = nil
        #expect(WorkflowChecks.lines(for: definition, usual: nil).count == 1)
        let all = WorkflowChecks.lines(for: definition, usual: "quorum:2/3")
        #expect(all.count == 2 && all[1].hasPrefix("check    each job of b: 3 executors run the job"))
        #expect(WorkflowGroup.Check.summary(of: definition).contains("jobs: 3.\ncheck    each job of a, c: "))
    }

    @Test("What a check found is a fact of the summary")
    func summary() {
        var result = JobResult(ending: .succeeded, detail: "")
        result.fuel = 5
        result.finding = "confirmed"
        #expect(Run.summary(result).last?.contains("checked by a second run here") == true)
        result.finding = "unchecked"
        #expect(Run.summary(result).last?.contains("check") == false)
    }

    @Test("Proofs have exit codes of their own and their words")
    func proofs() {
        let expected: [ProofReport.Verdict: Int32] = [.holds: 0, .fails: 241, .unknown: 247]
        for verdict in ProofReport.Verdict.allCases {
            let report = ProofReport(proofCID: "p", receiptCID: "r", verdict: verdict, detail: "same: \u{1B}[2J")
            #expect(Proof.status(report).rawValue == expected[verdict])
            #expect(!Proof.text(report).contains("\u{1B}"))
        }
        let cost = ProofView.Cost(
            fuelMax: 1_000, memoryBytesMax: 1 << 20, secondsMax: 20, bytes: 2_048, isAllHere: true)
        #expect(Proof.words(cost).hasPrefix("at most 1,000 fuel, "))
    }
}
