import Foundation
import Testing

/// The real binary as its user meets it: what it prints, what it exits with, what it leaves behind.
@Suite("The command line", .serialized)
struct CommandLineTests {
    private func scratch() throws -> URL {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private func isJSON(_ text: String) -> Bool {
        (try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)) != nil
    }

    @Test("Homes that are missing, there already or misconfigured are one sentence and a code of their own each")
    func homes() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let home = folder.appendingPathComponent("home").path
        for command in [["status"], ["up"], ["stop"], ["jobs"]] {
            let missing = try NodeProcess.command(command + ["--home", home])
            #expect(missing.status == 232, "\(command)")
            #expect(
                missing.errors
                    == "mesh: There is no node in \(home). Run mesh init --home \(home) to make one.\n", "\(command)")
        }
        let wrong = try NodeProcess.command(["init", "--home", home, "--listen", "somewhere"])
        #expect(wrong.status == 200)
        #expect(!FileManager.default.fileExists(atPath: home), "a refused init leaves nothing behind")
        #expect(try NodeProcess.command(["init", "--home", home]).status == 0)
        let stopped = try NodeProcess.command(["stop", "--home", home])
        #expect(stopped.status == 230)
        #expect(stopped.errors == "mesh: No node runs in \(home); there is nothing to stop.\n")
        let twice = try NodeProcess.command(["init", "--home", home])
        #expect(twice.status == 238)
        #expect(twice.errors.hasPrefix("mesh: There is already a node in \(home). Start it with mesh up --home "))
        let down = try NodeProcess.command(["status", "--home", home])
        #expect(down.status == 230, "\(down.errors)")
        try Data(#"{"credit_grant": -1}"#.utf8).write(to: URL(fileURLWithPath: home + "/config.json"))
        let misconfigured = try NodeProcess.command(["up", "--home", home])
        #expect(misconfigured.status == 234)
        #expect(misconfigured.errors.contains("credit_grant is -1, and must be a whole number from 0 to "))
        #expect(misconfigured.errors.split(separator: "\n").count == 1)
        // What that sentence advises.
        let key = try Data(contentsOf: URL(fileURLWithPath: home + "/identity.key"))
        try FileManager.default.removeItem(atPath: home + "/config.json")
        #expect(try NodeProcess.command(["init", "--home", home, "--region", "mars"]).status == 0)
        #expect(try Data(contentsOf: URL(fileURLWithPath: home + "/identity.key")) == key)
        #expect(try String(contentsOfFile: home + "/config.json", encoding: .utf8).contains("\"mars\""))
    }

    @Test("An operator signs for an executor; the executor's node takes that, and no credential of another's")
    func operators() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let (home, office) = (folder.appendingPathComponent("home").path, folder.appendingPathComponent("office").path)
        var dids: [String] = []
        for path in [home, office] {
            let made = try NodeProcess.command(["init", "--home", path, "--json", "--listen", "/ip4/127.0.0.1/tcp/0"])
            let report = try JSONSerialization.jsonObject(with: Data(made.output.utf8)) as? [String: Any]
            dids.append(try #require(report?["did"] as? String))
        }
        let none = try NodeProcess.command(["operator", "show", "--home", home])
        #expect(none.status != 0 && none.errors.contains("names no operator"))
        #expect(try NodeProcess.command(["operator", "sign", "did:nobody", "--home", office]).status == 200)
        for (executor, isAccepted) in [(dids[0], true), (dids[1], false)] {
            let signed = try NodeProcess.command(["operator", "sign", executor, "--home", office])
            #expect(signed.status == 0, "\(signed.errors)")
            let credential = signed.output.trimmingCharacters(in: .whitespacesAndNewlines)
            let shown = try NodeProcess.command(["operator", "show", credential, "--json"])
            #expect(shown.output.contains(dids[1]) && shown.output.contains(executor))
            let configuration = home + "/config.json"
            let text = try String(contentsOfFile: configuration, encoding: .utf8)
            let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            var settings = try #require(object)
            var terms = try #require(settings["executor"] as? [String: Any])
            terms["operator"] = credential
            settings["executor"] = terms
            try JSONSerialization.data(withJSONObject: settings).write(to: URL(fileURLWithPath: configuration))
            #expect(try NodeProcess.command(["operator", "show", "--home", home]).output.contains(dids[1]))
            guard !isAccepted else { continue }
            let refused = try NodeProcess.command(["up", "--home", home])
            #expect(refused.status == 234, "\(refused.errors)")
            #expect(refused.errors.contains("a credential of another node"))
        }
        let cut = try NodeProcess.command(["operator", "show", "bafy"])
        #expect(cut.status != 0 && cut.errors.contains("no credential"))
    }

    @Test("An encrypted key opens with its passphrase from the environment and with no other")
    func passphrase() throws {
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let home = folder.appendingPathComponent("home").path
        let right = ["MESH_PASSPHRASE": "open sesame"]
        let made = try NodeProcess.command(
            ["init", "--encrypt", "--home", home, "--listen", "/ip4/127.0.0.1/tcp/0"], environment: right)
        #expect(made.status == 0, "\(made.errors)")
        let refused = try NodeProcess.command(
            ["up", "--home", home], environment: ["MESH_PASSPHRASE": "open barley"])
        #expect(refused.status == 233)
        #expect(refused.errors.hasPrefix("mesh: The passphrase does not open "), "\(refused.errors)")
        // Standard input ends at once, and so does the node after it has started.
        let nothing = folder.appendingPathComponent("nothing")
        try Data().write(to: nothing)
        for input in [nothing, URL(fileURLWithPath: "/dev/null")] {
            let opened = try NodeProcess.command(
                ["up", "--until-input-ends", "--home", home], input: input, environment: right)
            #expect(opened.status == 0, "\(input): \(opened.errors)")
        }
    }

    @Test("Words that are no command are refused, and nothing at all gets the help")
    func words() throws {
        let unknown = try NodeProcess.command(["jbos"])
        #expect(unknown.status == 200)
        #expect(
            unknown.errors.contains(
                "mesh: mesh has no command \"jbos\". Did you mean mesh jobs? There are init, up, run, "))
        let nothing = try NodeProcess.command([])
        #expect(nothing.status == 0)
        #expect(nothing.output.contains("EXIT CODES:"))
        for arguments in [["jbos", "--json"], ["jobs", "--limit", "0", "--json"], ["--json", "receipt"]] {
            let told = try NodeProcess.command(arguments)
            #expect(told.status == 200)
            #expect(isJSON(told.errors), "\(arguments): \(told.errors)")
        }
    }

    @Test("The completions for bash complete commands, options and shells", .enabled(if: Self.hasBash, "no bash"))
    func completions() throws {
        let script = try NodeProcess.command(["completions", "bash"])
        #expect(script.status == 0)
        let folder = try scratch()
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("mesh.bash")
        try Data(script.output.utf8).write(to: file)
        let cases = [
            (["rece"], "receipt"), (["receipt", "ver"], "verify"), (["run", "--max-fu"], "--max-fuel"),
            (["completions", "fi"], "fish"),
        ]
        for (words, expected) in cases {
            let line = (["mesh"] + words).joined(separator: " ")
            let program = """
                source '\(file.path)'
                COMP_WORDS=(\(line)); COMP_CWORD=\(words.count); COMP_LINE='\(line)'; COMP_POINT=${#COMP_LINE}
                _mesh mesh '\(words.last ?? "")' x; echo "${COMPREPLY[*]}"
                """
            let shell = try RunningCommand(
                ["--norc", "-c", program], program: URL(fileURLWithPath: "/bin/bash")
            ).finish()
            #expect(shell.output == expected + "\n", "\(line): \(shell.errors)")
        }
    }

    static let hasBash = FileManager.default.isExecutableFile(atPath: "/bin/bash")
}
