import MeshTypes
import Multiformats
import NodeAPI
import Testing
import Workflows

@testable import MeshCLI

/// The line that a workflow has in a terminal while its stages run.
@Suite struct WorkflowStandingTests {
    /// A workflow of which so many stages run.
    private func view(_ count: Int, budget: UInt64?) throws -> WorkflowView {
        var stages = ""
        let module = CID.hashing([1], codec: .raw).text
        for number in 1...count { stages += "- {id: stage-\(number), module: \(module), job_budget: 10}\n" }
        let text = "version: 1\n\(budget.map { "budget: \($0)\n" } ?? "")stages:\n\(stages)"
        let definition = try DefinitionReader().definition(DefinitionFile("x").tree(Array(text.utf8)))
        var view = WorkflowView(
            try WorkflowPlan(definition), workflowID: "w", submittedAt: 0, version: 1, isOver: false, outputs: [])
        for index in view.stages.indices {
            (view.stages[index].status, view.stages[index].items) = (.running, 4)
        }
        view.paid = 1_200
        return view
    }

    @Test(arguments: [30, 40, 60, 120, 400])
    func whatItCostStaysInSight(columns: Int) throws {
        for count in [1, 2, 7, 40] {
            let line = WorkflowWords.standing(try view(count, budget: 9_000), columns: columns)
            #expect(line.count <= columns, "\(line)")
            #expect(line.contains("paid 1,200 tokens"), "\(line)")
            let shown = line.matches(of: #/stage-/#).count
            #expect(line.contains("+\(count - shown) ") || count == shown, "\(line)")
        }
    }

    @Test func theLineIsWholeWhereItFits() throws {
        func line(_ count: Int, _ budget: UInt64?, _ columns: Int) throws -> String {
            WorkflowWords.standing(try view(count, budget: budget), columns: columns)
        }
        let left = "paid 1,200 tokens, left of the budget 9,000 tokens"
        #expect(try line(2, 9_000, 80) == "stage-1 0/4  stage-2 0/4  \(left)")
        #expect(try line(3, 9_000, 80) == "stage-1 0/4  +2 stages  \(left)")
        #expect(try line(3, 9_000, 55) == "stage-1 0/4  stage-2 0/4  +1 stage  paid 1,200 tokens")
        #expect(try line(3, nil, 41) == "stage-1 0/4  +2 stages  paid 1,200 tokens")
        #expect(try line(3, nil, 30) == "+3 stages  paid 1,200 tokens")
    }
}
