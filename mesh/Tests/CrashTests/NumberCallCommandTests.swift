import Foundation
import Testing

/// `mesh run --invoke`: with the real binary, on a mesh and without one.
@Suite("Functions called with numbers", .serialized, .sharedMesh)
struct NumberCallCommandTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }

    init() throws {
        mesh = try SharedMesh.mesh()
    }

    private func math() throws -> String {
        try mesh.module(
            "math.wasm",
            GuestModules.module(
                """
                (module
                  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                  (memory (export "memory") 1)
                  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00") (data (i32.const 16) "hello\\n")
                  (global $base (mut i32) (i32.const 0))
                  (func (export "_initialize") (global.set $base (i32.const 1)))
                  (func (export "add") (param i32 i32) (result i32)
                    (i32.sub (i32.add (i32.add (local.get 0) (local.get 1)) (global.get $base)) (i32.const 1)))
                  (func (export "both") (param f64 i64) (result i64 f64)
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
                    (local.get 1) (local.get 0))
                  (func (export "div") (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1)))
                  (func (export "wide") (param v128)))
                """))
    }

    private func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require((try? finished.json()) as? [String: Any], "\(finished.output)\(finished.errors)")
    }

    /// The jobs that the originator has submitted.
    private func jobs() throws -> [String] {
        let listed = try originator.run(["jobs", "--json"])
        let jobs = try #require((try? listed.json()) as? [[String: Any]], "\(listed.output)\(listed.errors)")
        return jobs.compactMap { $0["job_id"] as? String }
    }

    @Test("A function's result is printed, stands in the receipt, and a stranger that runs it again gets the same")
    func resultsAndReceipts() throws {
        let module = try math()
        let ran = try originator.run(["run", module, "--invoke", "add", "2", "40"])
        #expect(ran.status == 0 && ran.output == "42\n", "\(ran.output)\(ran.errors)")
        let receipt = try object(originator.run(["receipt", "show", "last", "--json"]))
        let named = try #require(receipt["outputs"] as? [[String: Any]])
        #expect(named.map { $0["name"] as? String } == ["result"])
        let cid = try #require(receipt["receipt_cid"] as? String, "\(receipt)")
        for node in [originator] + mesh.executors {
            for what in ["verify", "replay"] {
                let report = try node.run(["receipt", what, cid])
                #expect(report.status == 0, "\(what): \(report.output)\(report.errors)")
            }
        }
        #expect(try originator.run(["describe", "last"]).output.contains("add(2, 40)"))
        let told = try object(
            originator.run(["run", module, "--invoke", "both", "--json", "--arg", "-0.10", "0xffffffffffffffff"]))
        #expect(told["returned"] as? [String] == ["-1", "-0.1"] && told["stdout"] as? String == "hello\n", "\(told)")
        let file = mesh.folder.appendingPathComponent("result.txt").path
        let filed = try originator.run(["run", module, "--invoke", "add", "--output", "result=\(file)", "1", "1"])
        #expect(filed.status == 0 && filed.output.isEmpty, "\(filed.output)\(filed.errors)")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "2\n")
        let key = ["run", module, "--invoke", "add", "--idempotency-key", "k"]
        #expect(try originator.run(key + ["3", "4"]).output == "7\n")
        #expect(try originator.run(key + ["3", "0x4"]).output == "7\n")
        let other = try originator.run(key + ["3", "5"])
        #expect(other.errors.contains("another list of numbers"), "\(other.errors)")
    }

    @Test("Mistakes are told with the functions that there are, and nothing is submitted")
    func mistakes() throws {
        let module = try math()
        let others = "add(i32, i32) -> i32, both(f64, i64) -> (i64, f64), div(i32, i32) -> i32."
        let cases: [(words: [String], status: Int32, says: String)] = [
            (["sub", "1", "2"], 213, "the module exports no function sub; it exports _initialize(), \(others)"),
            (["add", "1"], 200, "add(i32, i32) -> i32 takes 2 numbers, not 1. It exports _initialize(), \(others)"),
            (
                ["add", "1", "x"], 200,
                #""x" is no whole number (i32), which number 2 of add(i32, i32) -> i32 has to be."#
            ),
            (["add", "1", "1.5"], 200, #""1.5" is no whole number"#),
            (["add", "4294967296", "1"], 200, "4294967296 is out of the range of i32, which number 1 of"),
            (["wide", "1"], 213, "wide(v128) cannot be called: it takes or returns v128"),
            (["add", "-1", "2"], 200, "Numbers that begin with - go behind --, as in --invoke NAME -- -1."),
        ]
        _ = try originator.run(["run", module, "--invoke", "add", "1", "2"])
        let before = try jobs()
        #expect(!before.isEmpty)
        for (words, status, says) in cases {
            for place in [[], ["--local"]] {
                let refused = try originator.run(["run", module, "--invoke"] + words + place)
                #expect(refused.status == status, "\(words): \(refused.output)\(refused.errors)")
                #expect(refused.errors.contains(says), "\(words) \(place): \(refused.errors)")
            }
        }
        #expect(try jobs() == before)
    }

    @Test("The ends of a function and of a module alone are the same with --local; mesh check lists what can be called")
    func localAndCheck() throws {
        let module = try math()
        let home = mesh.folder.appendingPathComponent("local").path
        func local(_ words: [String]) throws -> NodeProcess.Finished {
            try NodeProcess.command(["run", "--local", "--home", home, module, "--invoke"] + words)
        }
        let sum = try local(["add", "2", "40"])
        #expect(sum.status == 0 && sum.output == "42\n", "\(sum.errors)")
        let trapped = try local(["div", "1", "0"])
        #expect(trapped.status == 210 && trapped.output.isEmpty, "\(trapped.errors)")
        let told = try local(["both", "--json", "--", "-1e21", "7"])
        #expect(try object(told)["returned"] as? [String] == ["7", "-1e+21"], "\(told.output)")
        let checked = try NodeProcess.command(["check", "--home", home, module, "--invoke", "add"])
        #expect(checked.status == 0, "\(checked.errors)")
        #expect(
            checked.output.contains(
                "can call   _initialize(), add(i32, i32) -> i32, both(f64, i64) -> (i64, f64), div(i32, i32) -> i32\n"),
            "\(checked.output)")
        #expect(checked.output.contains("runs       yes, from add\n"), "\(checked.output)")
        let program = try NodeProcess.command(["check", "--home", home, module])
        #expect(program.status == 213 && program.errors.contains(" MODULE --invoke NAME"), "\(program.errors)")
        let wide = try NodeProcess.command(["check", "--home", home, module, "--invoke", "wide"])
        #expect(wide.status == 213 && wide.errors.contains("it takes or returns v128"), "\(wide.errors)")
    }
}
