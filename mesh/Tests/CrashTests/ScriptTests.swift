import Foundation
import Testing

/// Scripts by their interpreters, and modules that are only looked at: the real binary, without a node.
@Suite("Scripts and modules without a mesh", .serialized)
struct ScriptTests {
    private let folder: URL

    init() throws {
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func mesh(_ arguments: [String]) throws -> NodeProcess.Finished {
        let split = arguments.firstIndex(of: "--") ?? arguments.endIndex
        let home = ["--home", folder.appendingPathComponent("home").path]
        return try NodeProcess.command(arguments[..<split] + home + arguments[split...])
    }

    private func file(_ name: String, _ text: String) throws -> String {
        let url = folder.appendingPathComponent(name)
        try Data(text.utf8).write(to: url)
        return url.path
    }

    /// An interpreter that writes its script, which lies in the folder that is open first, `/job`, to standard output.
    private func interpreter() throws -> String {
        let url = folder.appendingPathComponent("shown.wasm")
        let module = try GuestModules.module(
            """
            (module
              (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (memory (export "memory") 1)
              (func (export "_start") (local $path i32) (local $end i32)
                (drop (call $args (i32.const 1024) (i32.const 2048)))
                (local.set $path (i32.add (i32.load (i32.const 1028)) (i32.const 5)))
                (local.set $end (local.get $path))
                (loop $more
                  (local.set $end (i32.add (local.get $end) (i32.const 1)))
                  (br_if $more (i32.load8_u (local.get $end))))
                (if (call $open (i32.const 3) (i32.const 0) (local.get $path)
                    (i32.sub (local.get $end) (local.get $path)) (i32.const 0) (i64.const 2) (i64.const 0)
                    (i32.const 0) (i32.const 0))
                  (then (call $exit (i32.const 9))))
                (i32.store (i32.const 8) (i32.const 4096)) (i32.store (i32.const 12) (i32.const 4096))
                (drop (call $read (i32.load (i32.const 0)) (i32.const 8) (i32.const 1) (i32.const 16)))
                (i32.store (i32.const 12) (i32.load (i32.const 16)))
                (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))
            """)
        try Data(module).write(to: url)
        return url.path
    }

    @Test("A script runs with the interpreter that its ending, its first line or --runtime names")
    func scripts() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let added = try mesh(["runtime", "add", "shown", try interpreter(), "--ending", ".txt"])
        #expect(added.status == 0, "\(added.errors)")
        #expect(added.output == "shown runs scripts with a #! line that names shown or .txt.\n")
        let cases: [(name: String, text: String, options: [String])] = [
            ("notes.txt", "by its ending\n", []), ("first", "#!/usr/bin/env shown3\nby its first line\n", []),
            ("other.py", "by its name\n", ["--runtime", "shown"]), ("more.txt", "with its folder\n", ["--with-dir"]),
        ]
        for (name, text, options) in cases {
            let ran = try mesh(["run", "--local", try file(name, text)] + options + ["--", "x"])
            #expect(ran.status == 0, "\(name): \(ran.errors)")
            #expect(ran.output == text)
        }
        let listed = try mesh(["runtime", "ls", "--json"])
        let runtimes = try #require(try listed.json() as? [[String: Any]])
        #expect(runtimes.map { $0["name"] as? String } == ["shown"])
        #expect(try mesh(["runtime", "rm", "shown"]).status == 0)
        let gone = try mesh(["runtime", "rm", "shown"])
        let home = "\(folder.path)/home"
        #expect(gone.errors == "mesh: There is no runtime shown. mesh runtime ls --home \(home) lists them.\n")
    }

    @Test("A script without an interpreter is told so, with the command that names one")
    func strangers() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let script = try file("count.py", "print(1)\n")
        let stranger = try mesh(["run", "--local", script])
        #expect(stranger.status == 213)
        #expect(
            stranger.errors
                == "mesh: \(script) is no WebAssembly module, and there is no runtime for .py files. "
                + "Name an interpreter once with mesh runtime add --home \(folder.path)/home NAME MODULE "
                + "--ending py.\n")
        let named = try mesh(["run", "--local", try file("count", "#!/usr/bin/python3\n")])
        #expect(named.errors.contains("there is no runtime for python3. Name an interpreter once with"))
        let wrong = try mesh(["run", "--local", script, "--runtime", "python"])
        let home = "\(folder.path)/home"
        #expect(wrong.errors == "mesh: There is no runtime python. mesh runtime ls --home \(home) lists them.\n")
        let module = try mesh(["run", "--local", try interpreter(), "--with-dir"])
        #expect(module.errors.contains("is a module, and --runtime and --with-dir are for scripts."))
    }

    @Test("mesh check tells what a module needs, whether it runs, and keeps what it compiled")
    func check() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let module = try interpreter()
        let checked = try mesh(["check", module])
        #expect(checked.status == 0, "\(checked.errors)")
        #expect(
            checked.output.contains(
                "imports    wasi_snapshot_preview1: args_get, path_open, fd_read, fd_write, proc_exit\n"))
        #expect(checked.output.contains("begins at  _start\n"), "\(checked.output)")
        #expect(checked.output.contains("runs       yes, from _start\n"))
        let again = try mesh(["check", module, "--json"])
        let report = try #require(try again.json() as? [String: Any])
        #expect(report["functions"] as? Int == 1)
        #expect((report["compilation"] as? [String: Any])?["compiled_before"] as? Bool == true)
        let unentered = try mesh(["check", module, "--entry", "main", "--no-compile"])
        #expect(unentered.status == 213)
        #expect(
            unentered.errors.contains("mesh: The module cannot run: the module exports no function main; it exports"))
        let foreign = folder.appendingPathComponent("foreign.wasm")
        try Data(GuestModules.module(#"(module (import "env" "now" (func)) (func (export "_start")))"#)).write(
            to: foreign)
        let refused = try mesh(["check", foreign.path])
        #expect(refused.status == 213)
        #expect(refused.errors.contains("the module imports what no host function provides: env.now."))
        #expect(refused.output.contains("env: now\n"), "what it needs is told all the same")
    }
}
