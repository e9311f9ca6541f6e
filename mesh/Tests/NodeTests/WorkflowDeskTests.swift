import MeshTypes
import Multiformats
import NodeAPI
import Testing
import Workflows

@testable import PlanetaryMesh

/// What a node takes of workflows. The desk of these tests carries nothing out, so that its workflows do not end.
@Suite("The desk of workflows", .serialized)
struct WorkflowDeskTests {
    private func definition(_ name: String = "x") -> WorkflowDefinition {
        WorkflowDefinition(
            name: name, stages: [StageDefinition(id: "a", module: CID.hashing([1], codec: .raw).text)])
    }

    private func refusal(
        _ desk: WorkflowDesk, _ key: String, _ definition: WorkflowDefinition
    ) async -> NodeServiceError? {
        do throws(NodeServiceError) {
            _ = try await desk.begin(WorkflowSubmission(definition: definition, key: key))
            return nil
        } catch {
            return error
        }
    }

    @Test("A key begins one workflow, and what is ill formed or one too many is refused by the reason")
    func refusals() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let desk = WorkflowDesk(parts: mesh.originator.parts, end: mesh.originator.end)
            let first = try await desk.begin(WorkflowSubmission(definition: definition(), key: "k"))
            #expect(try await desk.begin(WorkflowSubmission(definition: definition(), key: "k")) == first)
            #expect(await refusal(desk, "k", definition("y"))?.code == .conflict)
            #expect(await refusal(desk, "", definition())?.code == .invalidRequest)
            #expect(await refusal(desk, String(repeating: "k", count: 257), definition())?.code == .invalidRequest)
            var unresolved = definition()
            unresolved.stages[0].module = "./a.wasm"
            #expect(
                await refusal(desk, "u", unresolved)?.message.hasPrefix("stages[0].module: ./a.wasm is no CID") == true)
            for number in 1..<WorkflowDesk.Limits().openMax {
                #expect(await refusal(desk, "k\(number)", definition()) == nil)
            }
            #expect(await refusal(desk, "more", definition())?.code == .overloaded)
            let id = try #require(try? CID(parsing: first.workflowID))
            #expect(try await desk.obey(.cancel, of: id).status == .cancelling)
            await #expect(throws: NodeServiceError.self) { try await desk.obey(.resume, of: id) }
            await #expect(throws: NodeServiceError.self) { try await desk.view(CID.hashing([5], codec: .dagCBOR)) }
        }
    }
}
