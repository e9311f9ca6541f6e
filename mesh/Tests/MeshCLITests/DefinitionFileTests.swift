import Foundation
import MeshTypes
import NodeAPI
import Testing
import Workflows

@testable import MeshCLI

/// Definitions of workflows as files.
@Suite struct DefinitionFileTests {
    private func tree(_ text: String) throws(DefinitionFault) -> DefinitionNode {
        try DefinitionFile("x").tree(Array(text.utf8))
    }

    @Test("Anchors, which may stand for billions of values, are refused before anything is resolved")
    func anchors() throws {
        var bomb = "a: &a [x, x, x]\n"
        for (name, last) in zip("bcdefghijklmnop", "abcdefghijklmno") {
            bomb += "\(name): &\(name) [" + Array(repeating: "*\(last)", count: 10).joined(separator: ", ") + "]\n"
        }
        bomb += "? *p\n: 1\n"
        let rows: [(String, Int?)] = [
            (bomb, 1), ("a: 1\nb: &x 2", 2), ("[&x 1]", 1), ("{a: &x 1}", 1), ("- &x 1", 1),
            ("a: 'b &c'\nd: \"e &f\"", nil), ("a: \"x\\\" &y\"", nil), ("a: \"x\\\\\"\nb: &y 1", 2),
            ("# &x\na: 1", nil), ("a: x & y && z", nil),
            ("a: it's\nb: &c 1", 2), ("a: |\n  one && two", nil), ("{\"a\": \"&b\"}", nil),
        ]
        for (text, line) in rows {
            var found: Int?
            do throws(DefinitionFault) {
                _ = try DefinitionFile("x").tree(Array(text.utf8))
            } catch {
                #expect(error.message.contains("Anchors"), "\(text): \(error)")
                found = error.line
            }
            #expect(found == line, "\(text)")
        }
    }

    @Test func twoFormsReadAlike() throws {
        let yaml = """
            version: 1   # the form
            name: words
            stages:
              - id: count
                module: wc.wasm
                args: [-l, "7", {item}]
            """.replacing("{item}", with: "'{item}'")
        let json = """
            {"version": 1, "name": "words",
             "stages": [{"id": "count", "module": "wc.wasm", "args": ["-l", "7", "{item}"]}]}
            """
        let read = DefinitionReader()
        let definition = try read.definition(tree(yaml))
        #expect(definition == (try read.definition(tree(json))))
        #expect(definition.stages[0].args == ["-l", "7", "{item}"])
    }

    @Test func faultsHaveTheLineOfTheFile() throws {
        let fault = #expect(throws: DefinitionFault.self) {
            try DefinitionReader().definition(tree("version: 1\nname: x\nstages:\n- id: a\n  module: m\n  modul: n\n"))
        }
        #expect(fault?.line == 6 && fault?.path == "stages[0].modul")
    }

    @Test(arguments: ["", "a: [", "? [a]\n: b", "\u{0}"]) func whatIsNoDefinitionIsRefused(_ text: String) {
        #expect(throws: DefinitionFault.self) { try tree(text) }
    }

    @Test func valuesAndLevelsAreBounded() {
        let text = "a: [" + String(repeating: "x,", count: WorkflowLimits().nodesMax) + "x]"
        let fault = #expect(throws: DefinitionFault.self) { try tree(text) }
        #expect(fault?.message.hasPrefix("The file has more than 65536 values") == true)
        #expect(throws: DefinitionFault.self) {
            try tree(String(repeating: "[", count: 20) + String(repeating: "]", count: 20))
        }
    }

    @Test func aPolicyIsReadWhole() throws {
        let text = """
            version: 1
            name: x
            stages:
            - id: a
              module: m
              policy: {features: [simd], resources: {memory_mib: 512}, deadline: 9, weights: {price: 1, latency: 3},
                attempts: 2, public_bids: true, public_status: false, hedge: true}
            """
        let policy = try DefinitionReader().definition(tree(text)).stages[0].policy
        #expect(policy.features == ["simd"] && policy.resources?["memory_mib"] == 512 && policy.deadline == 9)
        let weights = try #require(policy.weights)
        #expect(weights.price == 1 && weights.reputation == 0 && weights.latency == 3 && weights.load == 0)
        #expect(policy.maxAttempts == 2 && policy.publicBids == true && policy.publicStatus == false)
        let fault = #expect(throws: DefinitionFault.self) {
            try DefinitionReader().definition(tree(text.replacing("512", with: "-1")))
        }
        #expect(fault?.path == "stages[0].policy.resources.memory_mib")
    }

    @Test func theSchemaKnowsTheFieldsThatTheReaderKnows() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../docs/workflow.schema.json")
        let schema = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: Any])
        let parts = try #require(schema["$defs"] as? [String: [String: Any]])
        func fields(_ part: [String: Any]) -> String {
            ((part["properties"] as? [String: Any]) ?? [:]).keys.sorted().joined(separator: ", ")
        }
        func known(_ text: String) -> String? {
            do {
                _ = try DefinitionReader().definition(tree(text))
                return nil
            } catch {
                return error.remedy.split(separator: " ").count < 2
                    ? nil
                    : error.remedy.replacing("Here may be ", with: "").replacing(".", with: "")
                        .split(separator: ", ").sorted().joined(separator: ", ")
            }
        }
        let head = "version: 1\nstages:\n- id: a\n  module: m\n  "
        #expect(known("version: 1\nnobody: 1\n") == fields(schema))
        #expect(known(head + "nobody: 1") == parts["stage"].map(fields))
        #expect(known(head + "limits: {nobody: 1}") == parts["limits"].map(fields))
        #expect(known(head + "policy: {nobody: 1}") == parts["policy"].map(fields))
        let weights = (parts["policy"]?["properties"] as? [String: Any])?["weights"] as? [String: Any]
        #expect(known(head + "policy: {weights: {nobody: 1}}") == weights.map(fields))
        #expect(known(head + "mounts: [{path: /a, nobody: 1}]") == parts["mount"].map(fields))
    }
}
