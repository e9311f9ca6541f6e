import Foundation
import Testing

/// What `mesh run` is told about inputs, outputs and amounts, before anything is paid.
@Suite("The options of a job", .serialized, .sharedMesh)
struct JobOptionTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }

    init() throws {
        mesh = try SharedMesh.mesh()
    }

    private func path(_ name: String) -> String { mesh.folder.appendingPathComponent(name).path }

    private func text(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

    /// Writes "written" as the output "result", and "hello" to standard output.
    private static let naming = """
        (module
          (import "mesh_host_v1" "output_write" (func $output (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "resultwrittenhello\\n") (data (i32.const 32) "\\0d\\00\\00\\00\\06\\00\\00\\00")
          (func (export "_start")
            (drop (call $output (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 7)))
            (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 64)))))
        """

    @Test("Where outputs go is checked before a job is submitted; they go to files and to standard output")
    func outputs() throws {
        let module = try mesh.module("naming.wasm", GuestModules.module(Self.naming))
        try FileManager.default.createDirectory(atPath: path("folder"), withIntermediateDirectories: true)
        let refusals: [(outputs: [String], status: Int32, says: String)] = [
            (["result=\(path("folder"))"], 246, "a folder, not a file."),
            (["result=\(path("none/x"))"], 246, "there is no folder \(path("none"))."),
            (["result=\(module)/x"], 246, "\(module)/x: "), (["result="], 246, "no file."),
            (["result=\(path("x"))", "other=\(path("folder/../x"))"], 200, "would be written twice."),
        ]
        let before = try originator.run(["jobs", "--json"]).output
        for (outputs, status, says) in refusals {
            let options = outputs.flatMap { ["--output", $0] }
            let refused = try originator.run(["run", module, "--json"] + options)
            #expect(refused.status == status, "\(outputs): \(refused.output)\(refused.errors)")
            #expect(refused.errors.contains(says), "\(outputs): \(refused.errors)")
        }
        #expect(try originator.run(["jobs", "--json"]).output == before, "nothing was submitted")

        let ran = try originator.run(["run", module, "--output", "result=\(path("x"))"])
        #expect(ran.status == 0 && ran.output == "hello\n", "\(ran.output)\(ran.errors)")
        #expect(try text("x") == "written")
        let streamed = try originator.run(["run", module, "--output", "result=-"])
        #expect(streamed.status == 0 && streamed.output == "hello\nwritten", "\(streamed.output)\(streamed.errors)")
        let both = try originator.run(["run", module, "--output", "result=-", "--json"])
        #expect(both.status == 200 && both.errors.contains("cannot share standard output"))
    }

    @Test("Inputs are files, CIDs of files here and elsewhere, or a stream; amounts have units")
    func inputsAndAmounts() throws {
        let module = try mesh.module("copying.wasm", GuestModules.command(GuestModules.copying))
        try Data("words".utf8).write(to: URL(fileURLWithPath: path("words")))
        func added(_ node: NodeProcess, _ name: String, _ content: String) throws -> String {
            try Data(content.utf8).write(to: URL(fileURLWithPath: path(name)))
            let told = try node.run(["add", path(name)])
            try #require(told.status == 0, "\(told.errors)")
            return told.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let here = try added(originator, "here", "from here")
        let elsewhere = try added(mesh.executors[1], "there", "from elsewhere")
        let runs: [(options: [String], output: String)] = [
            (["--stdin", path("words")], "words"), (["--stdin", here], "from here"),
            (["--input", "stdin=\(elsewhere)"], "from elsewhere"),
            (["--stdin", here, "--input", "more=\(path("words"))", "--input", "other=\(elsewhere)"], "from here"),
        ]
        let amounts = ["--max-memory", "64MiB", "--max-output", "1.5M", "--max-fuel", "5G", "--timeout", "1m"]
        for (options, output) in runs {
            let ran = try originator.run(["run", module] + options + amounts)
            #expect(ran.status == 0 && ran.output == output, "\(options): \(ran.output)\(ran.errors)")
        }
        let words = URL(fileURLWithPath: path("words"))
        let home = ["--home", originator.home.path]
        let streamed = try NodeProcess.command(
            ["run", module, "--stdin", "-", "--bid-window", "2s"] + home, input: words)
        #expect(streamed.status == 0 && streamed.output == "words", "\(streamed.errors)")
        let fed = try NodeProcess.command(
            ["run", "-", "--stdin", here] + home, input: URL(fileURLWithPath: module))
        #expect(fed.status == 0 && fed.output == "from here", "\(fed.errors)")

        let unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        let refusals: [(options: [String], status: Int32, says: String)] = [
            (["--stdin", here, "--stdin", here], 200, "--stdin was given 2 times"),
            (
                ["--stdin", "-", "--input", "more=-"], 200,
                "Only one of module and inputs can come from standard input."
            ),
            (["--input", "more=\(unknown)"], 240, "is neither on this node nor found in the mesh."),
            (["--input", "more=./\(here)"], 246, "No such file or directory."),
            (["--max-memory", "64Q"], 200, "such as 65536, 64Mi or 1.5GiB."),
            (["--timeout", "soon"], 200, "such as 90, 10s, 5m, 2h or 1.5d."),
        ]
        for (options, status, says) in refusals {
            for form in [[], ["--json"]] {
                let refused = try originator.run(["run", module] + options + form)
                #expect(refused.status == status, "\(options): \(refused.output)\(refused.errors)")
                #expect(refused.errors.contains(says), "\(options): \(refused.errors)")
            }
        }
    }
}
