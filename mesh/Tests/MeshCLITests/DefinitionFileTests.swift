import Foundation
import NodeAPI
import Testing
import Workflows

@testable import MeshCLI

/// Definitions of workflows as files.
@Suite struct DefinitionFileTests {
    private func tree(_ text: String) throws(DefinitionFault) -> DefinitionNode {
        try DefinitionFile("x").tree(Array(text.utf8))
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

    @Test func aliasesDoNotMultiplyBeyondTheBound() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x]\n"
        for step in 1...6 {
            text += "a\(step): &a\(step) [\(Array(repeating: "*a\(step - 1)", count: 8).joined(separator: ", "))]\n"
        }
        let fault = #expect(throws: DefinitionFault.self) { try tree(text) }
        #expect(fault?.message.hasPrefix("The file has more than 65536 values") == true)
        #expect(throws: DefinitionFault.self) {
            try tree(String(repeating: "[", count: 20) + String(repeating: "]", count: 20))
        }
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
        #expect(known(head + "mounts: [{path: /a, nobody: 1}]") == parts["mount"].map(fields))
    }
}
