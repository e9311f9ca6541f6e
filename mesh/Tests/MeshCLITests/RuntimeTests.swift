import ArgumentParser
import Foundation
import NodeAPI
import Testing

@testable import MeshCLI

/// Interpreters by name: which one a script gets, and what the file of them keeps.
@Suite struct RuntimeTests {
    private func runtime(_ name: String, _ endings: [String] = []) -> Runtime {
        Runtime(name: name, module: "/\(name).wasm", folders: [], environment: [], arguments: [], endings: endings)
    }

    private func book(_ runtimes: Runtime...) -> RuntimeBook {
        var book = RuntimeBook()
        for runtime in runtimes { _ = book.add(runtime) }
        return book
    }

    @Test(arguments: [
        ("#!/usr/bin/python3\nprint(1)", "python3"), ("#! /usr/bin/env python3\r\n", "python3"),
        ("#!/usr/bin/env -S LANG=C python3.12 -B\n", "python3.12"), ("#!qjs", "qjs"), ("#!/usr/bin/env", nil),
        ("#!\n", nil), ("# !python\n", nil), ("", nil),
    ])
    func theProgramOfAFirstLineIsFound(_ text: String, _ program: String?) {
        #expect(RuntimeBook.interpreter(Array(text.utf8)) == program)
    }

    @Test(arguments: [
        ("count.py", "", "python"), ("count.PY", "", "python"), ("count.mjs", "", "quickjs"),
        ("count", "#!/usr/bin/env python3.12\n", "python"), ("count", "#!/usr/bin/lua5.4\n", "lua5.4"),
        // The first line counts more than the ending, where there is a runtime for it.
        ("count.py", "#!/usr/bin/env qjs\n", "python"), ("count.py", "#!/usr/bin/quickjs\n", "quickjs"),
        ("count.rb", "", nil), ("count", "", nil), ("py", "", nil),
    ])
    func aScriptGetsItsRuntime(_ path: String, _ head: String, _ name: String?) {
        let book = book(runtime("python", ["py"]), runtime("quickjs", ["js", "mjs"]), runtime("lua5.4", ["lua"]))
        #expect(book.runtime(for: path, head: Array(head.utf8))?.name == name)
    }

    @Test func aHomeKeepsItsRuntimes() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("runtimes-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let home = NodeHome(path: folder.path)
        #expect(try RuntimeBook.load(home).runtimes.isEmpty)
        var book = book(runtime("python", ["py"]), runtime("lua"))
        try book.save(home)
        #expect(try RuntimeBook.load(home) == book)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["runtimes.json"])
        #expect(book.runtimes.map(\.name) == ["lua", "python"])

        _ = book.add(runtime("python", ["python"]))
        #expect(book.runtimes.map(\.endings) == [[], ["python"]], "one of the same name is replaced")
        let removals = [book.remove("lua"), book.remove("lua")]
        #expect(removals == [true, false])

        try Data("{}".utf8).write(to: folder.appendingPathComponent("runtimes.json"))
        #expect {
            try RuntimeBook.load(home)
        } throws: { error in
            "\(error)".contains("runtimes.json: it is not as mesh runtime writes it. Mend it, or remove it")
        }
    }

    @Test func aHomeHasABoundedNumberOfRuntimes() {
        var book = RuntimeBook()
        for index in 0..<RuntimeBook.countMax { _ = book.add(runtime("r\(index)")) }
        let (isOneMore, isReplaced) = (book.add(runtime("one-more")), book.add(runtime("r0", ["x"])))
        #expect(!isOneMore)
        #expect(isReplaced)
        #expect(book.runtimes.count == RuntimeBook.countMax)
    }

    @Test(
        arguments: [
            ("lib:/lib/python3.12", "lib", "/lib/python3.12"), ("a:b:/c", "a:b", "/c"), ("/x:/y", "/x", "/y"),
            ("lib", nil, nil), (":/lib", nil, nil), ("lib:lib", nil, nil),
        ] as [(String, String?, String?)])
    func aFolderHasTwoSides(_ text: String, _ source: String?, _ path: String?) {
        #expect(RuntimeGroup.split(text)?.source == source)
        #expect(RuntimeGroup.split(text)?.path == path)
    }

    @Test(arguments: [
        (["runtime", "add", "a/b", "x.wasm"], "The name of a runtime has letters, digits"),
        (["runtime", "add", "py", "x.wasm", "--dir", "lib"], "--dir lib is not of the form FOLDER:PATH"),
        (["runtime", "add", "py", "x.wasm", "--env", "HOME"], "--env HOME is not of the form NAME=VALUE"),
    ])
    func whatCannotBeIsRefused(_ words: [String], _ sentence: String) {
        #expect {
            try Mesh.parseAsRoot(words)
        } throws: { error in
            Mesh.message(for: error).contains(sentence)
        }
    }

    @Test func whatWasAddedIsTold() {
        #expect(
            RuntimeGroup.Add.sentence(runtime("python", ["py", "pyw"]))
                == "python runs scripts with a #! line that names python or .py or .pyw.")
    }
}
