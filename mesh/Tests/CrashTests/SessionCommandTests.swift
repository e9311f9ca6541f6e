import Foundation
import Testing

/// `mesh run -i`, `-t` and `mesh attach`, with the real binary in a terminal and at pipes.
@Suite("Interactive jobs at the command line", .serialized, .sharedMesh)
struct SessionCommandTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }

    init() throws { mesh = try SharedMesh.mesh() }

    private func echo() throws -> String {
        try mesh.module("echo.wasm", GuestModules.command(GuestModules.copying))
    }

    /// The same by the calls of `mesh_host_v1`.
    private func talking() throws -> String { try mesh.module("talking.wasm", GuestModules.talking()) }

    private func terminal(_ arguments: [String]) throws -> TerminalProcess {
        try TerminalProcess(arguments + ["--home", originator.home.path], columns: 80)
    }

    private func lastJob() throws -> String {
        let jobs = try #require(try originator.run(["jobs", "--json", "--limit", "1"]).json() as? [[String: Any]])
        return try #require(jobs.first?["job_id"] as? String)
    }

    @Test("In a terminal each line is answered at once, its end ends the input, and the receipt is told")
    func lines() throws {
        let run = try terminal(["run", "-i", try echo()])
        for (word, times) in [("anna", 2), ("berta", 2)] {
            try run.type(word + "\n")
            // Once as the terminal's echo, once from the module.
            try run.wait(until: "\(word) comes back") { screen in
                screen.text.components(separatedBy: word).count > times
            }
        }
        try run.type(TerminalProcess.endKey)
        let finished = try run.finish()
        #expect(finished.status == 0, "\(finished.screen.text)")
        #expect(finished.screen.lines.contains { $0.hasPrefix("receipt  ") }, "\(finished.screen.text)")
        #expect(finished.screen.text.components(separatedBy: "anna").count == 3, "nothing is shown twice")
    }

    @Test("A raw terminal passes each key on without an echo of its own; Ctrl-] leaves, and mesh attach returns")
    func raw() throws {
        let run = try terminal(["run", "-t", try echo()])
        // What is typed before the terminal is raw would be echoed.
        try run.wait(for: "job      ")
        try eventually("the job runs") {
            try originator.run(["jobs", "--limit", "1", "--json"]).output.contains("AwaitingInputs")
        }
        try run.type("q")
        try run.wait(until: "q comes back") { $0.text.contains("q") }
        try run.type("\u{1D}")
        let left = try run.finish()
        #expect(left.status == 0 && left.screen.text.contains("mesh attach"), "\(left.screen.text)")
        let again = try terminal(["attach", "-t", try lastJob()])
        try again.type("z")
        try again.wait(until: "z comes back") { $0.text.contains("z") }
        #expect(try originator.run(["cancel", try lastJob()]).status == 0)
        #expect(try again.finish().status == 214)
    }

    @Test("A command that is killed with -9 takes nothing with it: mesh attach goes on with the job") func killed()
        throws
    {
        let run = try terminal(["run", "-i", try echo()])
        try run.type("before\n")
        try run.wait(until: "the line comes back") { $0.text.components(separatedBy: "before").count > 2 }
        run.signal(SIGKILL)
        #expect(try run.finish().status == -SIGKILL)
        let again = try terminal(["attach", try lastJob()])
        try again.type("after\n")
        try again.wait(until: "the line comes back") { $0.text.components(separatedBy: "after").count > 2 }
        try again.type(TerminalProcess.endKey)
        let finished = try again.finish()
        #expect(finished.status == 0, "\(finished.screen.text)")
        #expect(finished.screen.text.components(separatedBy: "after").count == 3, "nothing is shown twice")
        let output = try originator.run(["outputs", try lastJob(), "--output", "stdout=-"]).output
        #expect(output == "before\nafter\n")
    }

    @Test("After a restart of the originator's node the session goes on, and nothing is said twice") func restarted()
        throws
    {
        let run = try terminal(["run", "-i", try echo()])
        try run.type("before\n")
        try run.wait(until: "the line comes back") { $0.text.components(separatedBy: "before").count > 2 }
        // What comes next shows that the node knows that the first line was seen.
        try run.type("later\n")
        try run.wait(until: "the line comes back") { $0.text.components(separatedBy: "later").count > 2 }
        originator.kill()
        _ = try run.finish()
        try originator.start()
        try mesh.waitUntilConnected()
        let again = try terminal(["attach", try lastJob()])
        try again.type("after\n")
        try again.wait(until: "the line comes back") { $0.text.components(separatedBy: "after").count > 2 }
        #expect(!again.screen.text.contains("before"))
        try again.type(TerminalProcess.endKey)
        let finished = try again.finish()
        #expect(finished.status == 0)
        #expect(!finished.screen.text.contains("before"), "what was seen is not shown again at the end")
        #expect(finished.screen.text.components(separatedBy: "after").count == 3, "nothing is shown twice")
    }

    @Test(
        "After kill -9 of the executor the run begins again, and goes on where it was, however its module talks",
        arguments: [false, true])
    func executorRestarted(talksByCalls: Bool) throws {
        let executor = mesh.executors[0]
        let run = try terminal(["run", "-i", talksByCalls ? try talking() : try echo()])
        for word in ["before", "later"] {
            try run.type(word + "\n")
            try run.wait(until: "the line comes back") { $0.text.components(separatedBy: word).count > 2 }
        }
        executor.kill()
        // What is typed meanwhile waits in the originator's node.
        try run.type("meanwhile\n")
        try executor.start()
        try run.wait(until: "the line comes back") { $0.text.components(separatedBy: "meanwhile").count > 2 }
        try run.type("after\n")
        try run.wait(until: "the line comes back") { $0.text.components(separatedBy: "after").count > 2 }
        try run.type(TerminalProcess.endKey)
        let finished = try run.finish()
        #expect(finished.status == 0, "\(finished.screen.text)")
        for word in ["before", "later", "meanwhile", "after"] {
            #expect(finished.screen.text.components(separatedBy: word).count == 3, "\(word) is shown once")
        }
        let job = try lastJob()
        #expect(
            try originator.run(["outputs", job, "--output", "stdout=-"]).output
                == "before\nlater\nmeanwhile\nafter\n")
        let replay = try originator.run(["receipt", "replay", "last"])
        #expect(replay.status == 0, "\(replay.output) \(replay.errors)")
        let explained = try originator.run(["explain", job]).output
        #expect(!explained.contains("attempt 2"), "\(explained)")
    }

    @Test("At a pipe it is a filter that answers while it reads; words that make no sense together are told")
    func pipes() throws {
        let script = "printf 'one\\ntwo\\n' | \"$0\" run -i --quiet \"$1\" --home \"$2\""
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, NodeProcess.mesh.path, try echo(), originator.home.path]
        process.standardOutput = output
        try process.run()
        let told = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(String(decoding: told, as: UTF8.self) == "one\ntwo\n")
        for words in [["-i", "--json"], ["-i", "--stdin", "x"], ["--idle", "5"], ["-t"]] {
            #expect(try originator.run(["run"] + words + [try echo()]).status == 200, "\(words)")
        }
        let checked = try originator.run(["run", "-i", try echo(), "--verify", "replay"])
        #expect(checked.errors.contains("cannot be checked"))
    }

    @Test("A local run is interactive, too", arguments: [false, true]) func local(talksByCalls: Bool) throws {
        let run = try terminal(["run", "--local", "-i", talksByCalls ? try talking() : try echo()])
        try run.type("here\n")
        try run.wait(until: "the line comes back") { $0.text.components(separatedBy: "here").count > 2 }
        try run.type(TerminalProcess.endKey)
        #expect(try run.finish().status == 0)
    }
}
