import MeshTypes
import Multiformats
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@testable import Workflows

/// Results of earlier jobs in the receipt of a workflow: what a stranger takes, and what not.
@Suite("Results that serve again")
struct ServedResultTests {
    /// Two items; the result of the first serves for the second.
    private func report(
        _ edit: (inout StageDefinition) -> Void = { _ in }, by executor: DID? = nil, of earlier: Identity? = nil,
        scene change: (inout WorkflowScene) -> Void = { _ in }
    ) throws -> VerificationReport {
        var scene = try WorkflowScene()
        scene.isRepeatable = true
        change(&scene)
        var stage = StageDefinition(id: "twice", module: scene.add([1]).text)
        (stage.forEach, stage.memo) = (.list(["x", "y"]), .trusted)
        edit(&stage)
        let definition = WorkflowDefinition(name: "w", stages: [stage])
        var plan = try WorkflowPlan(definition)
        var effects = plan.begin()
        var first: ChildEnd?
        var ran: ChildKey?
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .submit(let key) = effect, var end = first {
                if let earlier, let ran, let params = plan.params(of: ran) {
                    end = try scene.earlier(ran, params, by: earlier)
                }
                (end.servedBy, end.paid) = (executor ?? scene.executor.did, 0)
                effects += plan.handle(.ended(key, end))
            } else if let event = try scene.event(effect, of: plan, { _ in .exits(0) }) {
                if case .ended(let key, let end) = event { (ran, first) = (key, end) }
                effects += plan.handle(event)
            }
        }
        #expect(plan.stages[0].served == 1 && plan.paid == 1 && plan.brokenInvariant() == nil)
        let workflow = try scene.manifest(definition)
        return try scene.signedReport(plan, workflow)
    }

    @Test("The result of the same work serves again, and the receipt holds")
    func serves() throws {
        let report = try report()
        #expect(report.failures.isEmpty, "\(report.lines)")
        #expect(report.detail(.once) == "2 of them")
    }

    @Test("What is another work, had a seed of its own, is not admitted or not wanted is refused by the reason")
    func refused() throws {
        let executor = try WorkflowScene().executor.did
        let stranger = try Identity(seed: [UInt8](repeating: 3, count: 32))
        let other = stranger.did
        let cases: [(String, VerificationReport)] = [
            ("is of a job with another list of arguments", try report { $0.args = ["{item}"] }),
            (
                "is of an executor that the policy does not admit, \(other)",
                try report({ $0.policy.deniedDIDs = [other.text] }, by: other, of: stranger)
            ),
            (
                "is of an executor that the policy does not admit, \(other)",
                try report({ $0.policy.allowedDIDs = [executor.text] }, by: other, of: stranger)
            ),
            ("is of another executor than \(other)", try report(by: other)),
            ("is to serve again, and the plan wants none that does so", try report { $0.memo = .off }),
            ("is to serve again, and the plan wants none that does so", try report { $0.memo = nil }),
        ]
        for (reason, report) in cases {
            #expect(report.codes(.failed) == ["workflow_jobs"], "\(report.lines)")
            #expect(report.detail(.jobs) == "the receipt of twice, 1 \(reason)")
        }
    }

    @Test("A job of such a stage with a seed of its own, which could have been chosen, is refused")
    func ownSeed() throws {
        let report = try report(scene: { $0.isRepeatable = false })
        #expect(report.codes(.failed) == ["workflow_jobs"], "\(report.lines)")
        #expect(
            report.detail(.jobs)
                == "the job of twice, 0 has a seed and a clock of its own, and its result is to serve again")
    }

    @Test("A failure, or another result than that of the same work, does not serve")
    func otherResults() throws {
        let failure = try report(scene: { scene in
            scene.changes.items = { _, items in (items[1].end, items[1].reason) = (.failed, "no") }
        })
        #expect(failure.codes(.failed).contains("workflow_jobs"), "\(failure.lines)")
        // Both were run, and differ in what they wrote.
        var scene = try WorkflowScene()
        scene.isRepeatable = true
        var stage = StageDefinition(id: "twice", module: scene.add([1]).text)
        (stage.forEach, stage.memo) = (.list(["x", "y"]), .trusted)
        let definition = WorkflowDefinition(name: "w", stages: [stage])
        let plan = try scene.run(definition) { _ in .exits(0) }
        let workflow = try scene.manifest(definition)
        let differing = try scene.signedReport(plan, workflow)
        #expect(differing.codes(.failed) == ["workflow_receipts"], "\(differing.lines)")
        #expect(
            differing.detail(.receipts)
                == "the receipt of twice, 1 says something else than another one of the same work")
    }

    @Test("A receipt that serves two items without being said to serve again is refused")
    func unsaid() throws {
        let report = try report(scene: { scene in
            scene.changes.items = { _, items in items[1].servedBy = nil }
        })
        #expect(report.codes(.failed) == ["workflow_once"], "\(report.lines)")
    }

    @Test("What only checked results may serve for has to be checked")
    func unchecked() throws {
        var stage = StageDefinition(id: "a", module: CID.hashing([1], codec: .raw).text)
        (stage.memo, stage.verification) = (.own, "none")
        var definition = WorkflowDefinition(name: "w", stages: [stage])
        #expect(DefinitionRules().fault(in: definition)?.path == "stages[0].memo")
        definition.serve(.trusted)
        #expect(DefinitionRules().fault(in: definition) == nil)
        definition.serve(.own)
        for level in ["none", "quorum:2/3", "replay@executor"] {
            definition.stages[0].verification = level
            #expect(DefinitionRules().fault(in: definition)?.path == "stages[0].memo")
        }
        definition.stages[0].verification = "replay"
        #expect(DefinitionRules().fault(in: definition) == nil)
    }
}
