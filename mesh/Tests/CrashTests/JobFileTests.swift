import Foundation
import Testing

/// A folder goes in, a folder comes out, and a stranger runs it again: the real binary, with nodes of their own.
@Suite("Jobs with files", .serialized)
struct JobFileTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }

    init() throws {
        mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
    }

    private func path(_ name: String) -> String { mesh.folder.path + "/" + name }

    private func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require(try finished.json() as? [String: Any], "\(finished.output)\(finished.errors)")
    }

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    @Test("A folder goes in, what is collected comes out, and a third node that runs it again agrees")
    func foldersInAndOut() throws {
        let module = try mesh.module("files.wasm", GuestModules.copyingFiles())
        try FileManager.default.createDirectory(atPath: path("in/more"), withIntermediateDirectories: true)
        try Data("one line\n".utf8).write(to: URL(fileURLWithPath: path("in/data.txt")))
        try Data("unread".utf8).write(to: URL(fileURLWithPath: path("in/more/unread.txt")))
        let run = [
            "run", module, "--dir", "\(path("in")):/in", "--workdir", "/job", "--tmp", "--collect",
            "out/**:\(path("results"))", "--collect", "none*:\(path("none"))",
        ]
        let ran = try originator.run(run)
        #expect(ran.status == 215, "\(ran.errors)")
        #expect(try text(path("results/copy.txt")) == "one line\n")
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: path("results/link")) == "copy.txt")
        #expect(!FileManager.default.fileExists(atPath: path("none")))
        #expect(ran.errors.contains("keep secrets out"))
        #expect(ran.errors.contains("1 file, 9 B in \(path("results"))"), "\(ran.errors)")
        #expect(ran.errors.contains("left no file that fits \"none*\""))

        // What is there already is not paid for a second time.
        let before = try #require(try originator.run(["jobs", "--json"]).json() as? [Any]).count
        let again = try originator.run(run)
        #expect(again.status == 246 && again.errors.contains("it is there already"), "\(again.errors)")
        let lost = try originator.run(["run", module, "--dir", "\(path("nowhere")):/in"])
        #expect(lost.status == 246 && lost.errors.contains("no such file or folder"), "\(lost.errors)")
        #expect((try originator.run(["jobs", "--json"]).json() as? [Any])?.count == before)

        try expectPages()
        try expectOutputs()
        try expectProof()
    }

    private func expectPages() throws {
        let page = try originator.run(["describe", "last"])
        for words in ["/in, read-only: ", "/job, empty, to write to", "out: out/**", "files-v1"] {
            #expect(page.output.contains(words), "\(page.output)")
        }
        let description = try object(originator.run(["describe", "last", "--json"]))
        let request = try #require(description["request"] as? [String: Any])
        let files = try #require(request["files"] as? [String: Any])
        #expect(files["working_folder"] as? String == "/job" && files["temporary_folder"] as? Bool == true)
        let story = try originator.run(["explain", "last"])
        #expect(story.output.contains("files at /in, /job, /tmp"), "\(story.output)")
        let receipt = try originator.run(["receipt", "show", "last"])
        #expect(receipt.output.contains("\nread "), "\(receipt.output)")
    }

    /// Collected folders are outputs like others, named by what was collected.
    private func expectOutputs() throws {
        let listed = try originator.run(["outputs", "last"])
        #expect(listed.output.contains(" out\n"), "\(listed.output)")
        let written = try originator.run(["outputs", "last", "--into", path("all")])
        #expect(written.status == 0, "\(written.errors)")
        #expect(try text(path("all/out/copy.txt")) == "one line\n")
        let twice = try originator.run(["outputs", "last", "--into", path("all")])
        #expect(twice.status == 246 && twice.errors.contains("it is there already"), "\(twice.errors)")
    }

    private func expectProof() throws {
        let shown = try object(originator.run(["receipt", "show", "last", "--json"]))
        let receipt = try #require(shown["receipt_cid"] as? String)
        let executor = try #require(shown["executor_did"] as? String)
        let third = try #require(
            try mesh.executors.first { node in
                try object(node.run(["status", "--json"]))["did"] as? String != executor
            })
        for node in [originator, third] {
            let verified = try node.run(["receipt", "verify", receipt])
            #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
            #expect(verified.output.contains("the list of what was read"), "\(verified.output)")
            let replayed = try node.run(["receipt", "replay", receipt])
            #expect(replayed.status == 0, "\(replayed.output)\(replayed.errors)")
            #expect(replayed.output.contains("same files read"))
        }
        let file = path("receipt.car")
        #expect(try originator.run(["receipt", "export", receipt, "--with-outputs", "-o", file]).status == 0)
        let offline = try NodeProcess.command(["receipt", "verify", "--offline", file])
        #expect(offline.status == 0, "\(offline.output)\(offline.errors)")
    }

    @Test("A job is told in JSON alone, and its secrets' note is left out with it")
    func json() throws {
        let module = try mesh.module("files.wasm", GuestModules.copyingFiles())
        try FileManager.default.createDirectory(atPath: path("in2"), withIntermediateDirectories: true)
        try Data("json\n".utf8).write(to: URL(fileURLWithPath: path("in2/data.txt")))
        let ran = try originator.run([
            "run", module, "--dir", "\(path("in2")):/in", "--dir", "\(path("in2")):/job", "--workdir", "/job", "--tmp",
            "--collect", "/job/**:\(path("json"))", "--json", "--env", "A=1",
        ])
        let report = try object(ran)
        #expect(ran.status == 0 && !ran.errors.contains("secrets"), "\(ran.errors)")
        let collected = try #require((report["collected"] as? [[String: Any]])?.first)
        #expect(collected["name"] as? String == "job" && collected["files"] as? Int == 2)
        // The copy that was written to has what was there before, too.
        #expect(try text(path("json/data.txt")) == "json\n" && text(path("json/out/copy.txt")) == "json\n")
        #expect(try text(path("in2/data.txt")) == "json\n")
        #expect(!FileManager.default.fileExists(atPath: path("in2/out")))
    }
}
