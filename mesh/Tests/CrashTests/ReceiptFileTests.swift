import Foundation
import Testing

/// Receipts by every name that a user has for them, and in files that need no node.
@Suite("Receipts by name and in files", .serialized)
struct ReceiptFileTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }
    /// A home that is not there: what needs one fails.
    private var nowhere: [String] { ["--home", mesh.folder.path + "/nowhere"] }

    init() throws {
        mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
    }

    /// Runs a job that copies a text; its ID and its receipt.
    private func job(_ text: String) throws -> (id: String, receipt: String) {
        let module = try mesh.module("copying.wasm", GuestModules.command(GuestModules.copying))
        let input = try file("input", Data(text.utf8))
        let ran = try originator.run(["run", module, "--stdin", input, "--json"])
        try #require(ran.status == 0, "\(ran.errors)")
        let report = try #require(try ran.json() as? [String: Any])
        let result = try #require(report["result"] as? [String: Any])
        return (try #require(report["job_id"] as? String), try #require(result["receipt_cid"] as? String))
    }

    private func file(_ name: String, _ data: Data) throws -> String {
        let url = mesh.folder.appendingPathComponent(name)
        try data.write(to: url)
        return url.path
    }

    private func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require(try finished.json() as? [String: Any], "\(finished.output)\(finished.errors)")
    }

    private func failure(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        let told = try JSONSerialization.jsonObject(with: Data(finished.errors.utf8)) as? [String: Any]
        return try #require(told?["error"] as? [String: Any], "\(finished.errors)")
    }

    @Test("A receipt is named by its job, by ends, as the last one, several at once and in a list")
    func names() throws {
        let first = try job("first")
        let last = try job("last")
        for (name, receipt) in [
            ("last", last.receipt), (first.id, first.receipt), (String(first.id.suffix(8)), first.receipt),
            (first.receipt, first.receipt), (String(last.receipt.suffix(8)), last.receipt),
        ] {
            let shown = try object(originator.run(["receipt", "show", name, "--json"]))
            #expect(shown["receipt_cid"] as? String == receipt, "\(name)")
            let verified = try originator.run(["receipt", "verify", name])
            #expect(verified.status == 0, "\(name): \(verified.output)\(verified.errors)")
            #expect(verified.output.hasPrefix("receipt \(receipt)\n"))
            #expect(verified.output.contains("\nThe receipt holds.\n"))
            #expect(
                verified.output.contains("does not show that the result is right (mesh receipt replay runs the job"))
        }
        let replayed = try object(originator.run(["receipt", "replay", first.id, "--json"]))
        #expect(replayed["valid"] as? Bool == true && replayed["does_not_show"] == nil)

        let both = try originator.run(["receipt", "verify", first.id, "last"])
        #expect(both.status == 0)
        #expect(both.output.components(separatedBy: "\nThe receipt holds.\n").count == 3, "\(both.output)")
        #expect(both.errors == "2 of 2 receipts are in order.\n")
        let list = URL(fileURLWithPath: try file("list", Data("\(first.id)\n\(last.receipt)\nlast\n".utf8)))
        let told = try NodeProcess.command(
            ["receipt", "verify", "-", "--json", "--home", originator.home.path], input: list)
        let reports = try #require(try told.json() as? [[String: Any]], "\(told.output)\(told.errors)")
        #expect(reports.map { $0["receipt_cid"] as? String } == [first.receipt, last.receipt])
        #expect(reports.allSatisfy { $0["valid"] as? Bool == true && $0["does_not_show"] is String })

        // One that nobody has does not keep the others back.
        let unknown = "bafyreihyrpefhacm6kkp4ql6j6udakdit7g3dmkzfriqfykhjw6cad5lrm"
        let mixed = try originator.run(["receipt", "show", unknown, "last", "--json"])
        #expect(mixed.status == 240)
        let entries = try #require(try mixed.json() as? [[String: Any]])
        #expect((entries.first?["error"] as? [String: Any])?["code"] as? String == "receipt_not_found")
        #expect(entries.last?["receipt_cid"] as? String == last.receipt)
        let nothing = try originator.run(["receipt", "verify", "zzzzzzzz"])
        #expect(nothing.status == 240)
        #expect(nothing.errors.hasPrefix("mesh: No job, receipt or file is called \"zzzzzzzz\"."), "\(nothing.errors)")

        // The executor names its own receipts in the same way.
        let executed = try mesh.executors.filter { node in
            let shown = try node.run(["receipt", "show", "last", "--json"])
            return try shown.status == 0 && object(shown)["receipt_cid"] as? String == last.receipt
        }
        #expect(executed.count == 1)
        try asObject(last.receipt)
        try terminals(last.receipt)
    }

    /// Sentences and CIDs stay whole on terminals that are narrower than they are.
    private func terminals(_ receipt: String) throws {
        for columns in [60, 120] {
            for command in ["verify", "show"] {
                let arguments = ["receipt", command, "last", "--home", originator.home.path]
                let told = try TerminalProcess(arguments, columns: columns).finish()
                #expect(told.status == 0)
                #expect(told.screen.lines.contains { $0.hasSuffix(receipt) }, "\(told.screen.text)")
                #expect(told.screen.overflows.isEmpty, "\(told.screen.overflows)")
                guard command == "verify" else { continue }
                let text = told.screen.lines.joined(separator: " ")
                #expect(text.contains("The receipt holds. It is anchored here as entry "), "\(told.screen.text)")
                #expect(text.contains("It shows who agreed to what"), "\(told.screen.text)")
                #expect(text.contains("that the two sides are different people."), "\(told.screen.text)")
            }
        }
    }

    /// `mesh get` of a receipt: JSON for people and programs, and the bytes that were signed.
    private func asObject(_ receipt: String) throws {
        let signed = try object(originator.run(["get", receipt]))
        #expect(Set(signed.keys) == ["did", "sig", "body"])
        let body = try #require(signed["body"] as? [String: Any])
        #expect(
            (body["job_id"] as? [String: Any])?["/"] is String && body["status"] as? String == "CompletedSuccessfully")
        #expect(try object(originator.run(["get", receipt, "--json"])).count == 3)
        let block = mesh.folder.appendingPathComponent("block").path
        #expect(try originator.run(["get", receipt, "--raw", "-o", block]).status == 0)
        // Without its chain nothing is shown to be wrong, and too little to be right; a node has the chain.
        let alone = try NodeProcess.command(["receipt", "verify", "--offline", block] + nowhere)
        #expect(alone.status == 247, "\(alone.output)\(alone.errors)")
        #expect(alone.output.hasPrefix("receipt \(receipt)\n"))
        #expect(try originator.run(["receipt", "verify", block]).status == 0)
        #expect(try object(originator.run(["receipt", "show", block, "--json"]))["source"] as? String == block)
    }

    @Test("A file that was exported verifies without a node, and one that was changed does not")
    func files() throws {
        let first = try job("first")
        let last = try job("last")
        let path = mesh.folder.appendingPathComponent("both.car").path
        let exported = try originator.run(["receipt", "export", first.id, "last", "-o", path, "--json"])
        try #require(exported.status == 0, "\(exported.errors)")
        let told = try object(exported)
        #expect(told["receipts"] as? [String] == [first.receipt, last.receipt])
        #expect(told["valid"] as? Bool == true && told["with_outputs"] as? Bool == false)

        let whole = mesh.folder.appendingPathComponent("whole.car").path
        let withOutputs = try originator.run(["receipt", "export", "last", "--with-outputs", "-o", whole])
        #expect(withOutputs.status == 0, "\(withOutputs.errors)")
        #expect(withOutputs.errors.hasPrefix("\(whole): 1 receipt with "), "\(withOutputs.errors)")
        for node in mesh.executors + [originator] { node.kill() }

        let verify = ["receipt", "verify", "--offline"]
        let offline = try NodeProcess.command(verify + [path] + nowhere)
        #expect(offline.status == 0, "\(offline.output)\(offline.errors)")
        #expect(offline.output.contains("receipt \(first.receipt)\n") && offline.output.contains(last.receipt))
        #expect(offline.output.contains("The receipt holds; 1 check was skipped, on which it does not depend.\n"))
        #expect(offline.output.contains("only the CIDs are here"))
        #expect(offline.output.contains("the originator says that it paid "))
        let json = try NodeProcess.command(verify + [path, "--json"] + nowhere)
        #expect((try json.json() as? [[String: Any]])?.count == 2)
        #expect(try NodeProcess.command(["receipt", "verify", path] + nowhere).status == 0, "no node is needed")
        let complete = try NodeProcess.command(verify + [whole] + nowhere)
        #expect(complete.output.contains("\nThe receipt holds.\n"), "\(complete.output)")
        let shown = try object(NodeProcess.command(["receipt", "show", whole, "--json"] + nowhere))
        #expect(shown["receipt_cid"] as? String == last.receipt && shown["source"] as? String == whole)
        let piped = try NodeProcess.command(verify + ["-", "--json"] + nowhere, input: URL(fileURLWithPath: whole))
        #expect((try piped.json() as? [[String: Any]])?.count == 1, "- is always a list")

        try changedFiles(try Data(contentsOf: URL(fileURLWithPath: path)), verify)
        let asked = try NodeProcess.command(verify + ["last", "--json"] + nowhere)
        #expect(asked.status == 200)
        #expect(try failure(asked)["message"] as? String == "\"last\" is not a file, and --offline reads only files.")
    }

    private func changedFiles(_ good: Data, _ verify: [String]) throws {
        var flipped = good
        flipped[flipped.count - 20] ^= 1
        let changed: [(name: String, data: Data, says: String)] = [
            ("flipped", flipped, "does not hash to its CID"),
            ("cut", good.dropLast(), "it breaks off inside the piece"),
            ("longer", good + [1], "it breaks off inside the piece"), ("twice", good + good, "no readable CID"),
            ("empty", Data(), "neither a CAR file nor a signed receipt"),
        ]
        for (name, data, says) in changed {
            let path = try file(name, data)
            let refused = try NodeProcess.command(verify + [path, "--json"] + nowhere)
            #expect(refused.status == 241, "\(name): \(refused.output)")
            let error = try failure(refused)
            #expect(error["code"] as? String == "receipt_invalid")
            #expect((error["message"] as? String)?.contains(says) == true, "\(name): \(error)")
        }
    }
}
