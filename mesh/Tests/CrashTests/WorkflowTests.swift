import Foundation
import Testing

/// Workflows on real processes: what a killed originator had begun goes on, and nothing is paid twice.
@Suite("Workflows of real nodes", .serialized)
struct WorkflowTests {
    private static let items = 12

    /// Three stages, the second one job for each file of a folder.
    private func pipeline(_ mesh: CrashMesh) throws -> String {
        let folder = mesh.folder.appendingPathComponent("plan")
        let parts = folder.appendingPathComponent("parts")
        try FileManager.default.createDirectory(at: parts, withIntermediateDirectories: true)
        for number in 0..<Self.items {
            try Data("part \(number)".utf8).write(to: parts.appendingPathComponent("p\(number)"))
        }
        try Data("begin".utf8).write(to: folder.appendingPathComponent("begin.txt"))
        try Data(GuestModules.command(GuestModules.copying)).write(to: folder.appendingPathComponent("copy.wasm"))
        let definition = """
            version: 1
            name: pipeline
            budget: 20000000
            parallel: 2
            inputs:
              begin: {file: ./begin.txt}
              parts: {folder: parts}
            stages:
              - {id: last, module: copy.wasm, job_budget: 1000000, mounts: [{path: /in, from: stages.each.stdout}],
                 stdin: stages.first.stdout}
              - {id: each, module: copy.wasm, job_budget: 1000000, for_each: {folder: inputs.parts}, stdin: item,
                 when: [{stage: first, exit_codes: [0]}]}
              - {id: first, module: copy.wasm, job_budget: 1000000, stdin: inputs.begin}
            outputs: {text: stages.last.stdout, all: stages.each.stdout}

            """
        let file = folder.appendingPathComponent("plan.yaml")
        try Data(definition.utf8).write(to: file)
        return file.path
    }

    private func shown(_ id: String, _ node: NodeProcess) throws -> (workflow: [String: Any], items: [[String: Any]]) {
        let shown = try #require(try node.run(["workflow", "show", id, "--items", "--json"]).json() as? [String: Any])
        return (
            try #require(shown["workflow"] as? [String: Any]), try #require(shown["items"] as? [[String: Any]])
        )
    }

    @Test("An originator killed in the middle of a fan-out finishes it: no item is lost, none is paid twice")
    func originatorDies() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let plan = try pipeline(mesh)
        let begun = try mesh.originator.run(["workflow", "run", plan, "--detach", "--key", "k"])
        try #require(begun.status == 0, "\(begun.errors)")
        let id = begun.output.trimmingCharacters(in: .whitespacesAndNewlines)
        for done in [2, 5] {
            try eventually("\(done) items are done") {
                try shown(id, mesh.originator).items.count { $0["phase"] as? String == "done" } >= done
            }
            mesh.originator.kill()
            try mesh.originator.start()
            try mesh.waitUntilConnected()
        }
        try eventually("the workflow is over") {
            try shown(id, mesh.originator).workflow["over"] as? Bool == true
        }
        let (workflow, items) = try shown(id, mesh.originator)
        #expect(workflow["status"] as? String == "succeeded", "\(workflow)")
        #expect(items.count == Self.items + 2)
        #expect(items.allSatisfy { $0["phase"] as? String == "done" && $0["exit_code"] as? Int == 0 })
        let jobs = Set(items.compactMap { $0["job_id"] as? String })
        #expect(jobs.count == items.count)
        try eventually("every job is paid") {
            try mesh.originator.movements("settle").count == items.count
        }
        for job in jobs { #expect(try mesh.originator.movements("settle", jobID: job).count == 1) }
        #expect(workflow["paid"] as? UInt64 == (try mesh.originator.movements("settle").reduce(0, +)))
        #expect(workflow["held"] as? UInt64 == 0)
        try expectOutputs(workflow, mesh.originator)
        let again = try mesh.originator.run(["workflow", "run", plan, "--key", "k", "--json"])
        #expect(again.status == 0, "\(again.errors)")
        #expect((try again.json() as? [String: Any])?["workflow_id"] as? String == id)
        #expect(try mesh.originator.run(["workflow", "resume", id]).status == 245)
        #expect(try mesh.originator.run(["workflow", "ls"]).output.contains("succeeded"))
    }

    private func expectOutputs(_ workflow: [String: Any], _ node: NodeProcess) throws {
        let outputs = try #require(workflow["outputs"] as? [[String: Any]])
        func cid(_ name: String) throws -> String {
            try #require(outputs.first { $0["name"] as? String == name }?["cid"] as? String, "\(outputs)")
        }
        #expect(try node.run(["cat", cid("text")]).output == "begin")
        #expect(try node.run(["cat", "\(cid("all"))/p7", "\(cid("all"))/p11"]).output == "part 7part 11")
    }

    @Test("Each file that a pattern names is a job; what fails is listed and makes the exit code")
    func map() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let module = try mesh.module("copy.wasm", GuestModules.command(GuestModules.copying))
        for name in ["a.csv", "b.csv", "c.txt"] {
            try Data(name.utf8).write(to: mesh.folder.appendingPathComponent(name))
        }
        let pattern = mesh.folder.path + "/*.csv"
        let mapped = try mesh.originator.run(["map", module, "--each", pattern, "--verify", "replay", "--json"])
        #expect(mapped.status == 0, "\(mapped.errors)")
        let report = try #require(try mapped.json() as? [String: Any])
        let items = try #require(report["items"] as? [[String: Any]])
        #expect(items.map { $0["item"] as? String } == ["a.csv", "b.csv"])
        let checked = try mesh.originator.run(["receipt", "verify", try #require(items[0]["job_id"] as? String)])
        #expect(checked.output.contains("the originator says confirmed"), "\(checked.output)\(checked.errors)")
        let outputs = try #require((report["workflow"] as? [String: Any])?["outputs"] as? [[String: Any]])
        let folder = try #require(outputs.first?["cid"] as? String)
        #expect(try mesh.originator.run(["cat", "\(folder)/a.csv", "\(folder)/b.csv"]).output == "a.csvb.csv")
        try expectReceipt(of: try #require(report["workflow"] as? [String: Any]), mesh)
        let three = try mesh.module("three.wasm", GuestModules.command("(call $exit (i32.const 3))"))
        let failed = try mesh.originator.run(["map", three, "--each", pattern])
        #expect(failed.status == 217 && failed.output.contains("a.csv"), "\(failed.errors)")
        try expectFailedItemAlone(pattern, mesh)
        #expect(try mesh.originator.run(["map", module, "--each", mesh.folder.path + "/*.none"]).status == 246)
    }

    /// An item of a map fails, and resume runs it again, and it alone.
    private func expectFailedItemAlone(_ pattern: String, _ mesh: CrashMesh) throws {
        let beginsWithB = """
            (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 1))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (if (i32.eq (i32.load8_u (i32.const 100)) (i32.const 98)) (then (call $exit (i32.const 3))))
            """
        let module = try mesh.module("no-b.wasm", GuestModules.command(beginsWithB))
        let mapped = try mesh.originator.run(["map", module, "--each", pattern])
        #expect(mapped.status == 217, "\(mapped.output)\(mapped.errors)")
        let before = try shown("last", mesh.originator).items
        #expect(before.map { $0["phase"] as? String } == ["done", "failed"], "\(before)")
        #expect(before.map { $0["exit_code"] as? Int } == [0, 3], "\(before)")
        let resumed = try mesh.originator.run(["workflow", "resume", "last"])
        // The stage takes items that fail, so the workflow has succeeded; but map asked for every item.
        #expect(resumed.status == 217 && resumed.errors.contains("not everything is done"), "\(resumed.errors)")
        let after = try shown("last", mesh.originator).items
        #expect(after.map { $0["phase"] as? String } == ["done", "failed"], "\(after)")
        let jobs = [before, after].map { items in items.map { $0["job_id"] as? String } }
        #expect(jobs[0][0] == jobs[1][0] && jobs[0][1] != jobs[1][1], "\(jobs)")
    }

    @Test("Of many stages under way a narrow terminal shows the first, how many more, and what they cost")
    func standing() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        _ = try mesh.module("endless.wasm", GuestModules.command("(loop $l br $l)"))
        let stages = (1...8).map { "  - {id: number-\($0), module: endless.wasm, job_budget: 2000000}" }
        let plan = mesh.folder.appendingPathComponent("wide.yaml")
        try Data("version: 1\nbudget: 90000000\nstages:\n\(stages.joined(separator: "\n"))\n".utf8).write(to: plan)
        let run = try TerminalProcess(
            ["workflow", "run", plan.path, "--home", mesh.originator.home.path], columns: 60)
        try run.wait(until: "stages that do not fit are counted") { screen in
            guard let line = screen.lines.last else { return false }
            return line.hasPrefix("number-1 0/1") && line.contains(" stages  paid 0 tokens") && line.contains("  +")
        }
        try run.type(TerminalProcess.interruptKey)
        let finished = try run.finish()
        #expect(finished.status == 214, "\(finished.screen.text)")
        #expect(!finished.screen.printed.contains("number-1 0/1  number-2 0/1  number-3 0/1  number-4 0/1"))
        #expect(finished.screen.text.contains("number-8"), "the page at the end has all of them")
    }

    @Test("What was checked once serves again, where that is asked for: nothing runs, nothing is paid, strangers agree")
    func memo() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let module = try mesh.module("copy.wasm", GuestModules.command(GuestModules.copying))
        for name in ["a.csv", "b.csv"] {
            try Data(name.utf8).write(to: mesh.folder.appendingPathComponent(name))
        }
        let pattern = mesh.folder.path + "/*.csv"
        func mapped(_ options: [String]) throws -> (workflow: [String: Any], served: [String?]) {
            let run = try mesh.originator.run(["map", module, "--each", pattern, "--json"] + options)
            try #require(run.status == 0, "\(run.errors)")
            let report = try #require(try run.json() as? [String: Any])
            let items = try #require(report["items"] as? [[String: Any]])
            #expect(items.allSatisfy { $0["phase"] as? String == "done" }, "\(items)")
            return (
                try #require(report["workflow"] as? [String: Any]), items.map { $0["served_by"] as? String }
            )
        }
        #expect(try mapped(["--memo", "trusted"]).served == [nil, nil])
        // Nobody checked them, so for those who want that they are made again.
        #expect(try mapped(["--memo", "own", "--verify", "replay"]).served == [nil, nil])
        let paid = try mesh.originator.movements("settle").count
        let again = try mapped(["--memo", "own", "--verify", "replay"])
        #expect(again.served.allSatisfy { $0?.hasPrefix("did:key:") == true }, "\(again.served)")
        #expect(again.workflow["paid"] as? Int == 0)
        #expect(try mesh.originator.movements("settle").count == paid)
        try Data("other".utf8).write(to: mesh.folder.appendingPathComponent("b.csv"))
        #expect(try mapped(["--memo", "own", "--verify", "replay"]).served.map { $0 == nil } == [false, true])
        #expect(try mapped(["--memo", "off"]).served == [nil, nil])
        #expect(try mapped([]).served == [nil, nil])
        try expectReceipt(of: again.workflow, mesh)
        let id = try #require(again.workflow["workflow_id"] as? String)
        let shown = try mesh.originator.run(["workflow", "show", id, "--items"])
        #expect(shown.output.contains("SERVED BY") && shown.output.contains("2 by results of earlier jobs"))
        let told = try mesh.originator.run(["explain", id])
        #expect(
            told.output.components(separatedBy: "no job was run: the result of the job baf").count == 3
                && told.output.contains(" served, receipt baf") && told.output.contains(" by did:key:"),
            "\(told.output)")
        let refused = try mesh.originator.run(["map", module, "--each", pattern, "--memo", "own", "--verify", "none"])
        #expect(refused.status != 0 && refused.errors.contains("--verify replay"), "\(refused.errors)")
    }

    /// Its owner and strangers check the receipt of a workflow, with a node and without, and run its jobs again.
    private func expectReceipt(of workflow: [String: Any], _ mesh: CrashMesh) throws {
        let id = try #require(workflow["workflow_id"] as? String)
        let receipt = try #require(workflow["receipt_cid"] as? String)
        let own = try mesh.originator.run(["receipt", "verify", id])
        #expect(own.status == 0 && own.output.contains(receipt), "\(own.output)\(own.errors)")
        try eventually("the receipt is anchored") { try mesh.originator.run(["dag", "prove", receipt]).status == 0 }
        let stranger = mesh.executors[1]
        let checked = try stranger.run(["receipt", "verify", receipt])
        #expect(checked.status == 0, "\(checked.output)\(checked.errors)")
        #expect(checked.output.contains("The receipt holds."))
        let replayed = try stranger.run(["receipt", "replay", receipt])
        #expect(replayed.status == 0, "\(replayed.output)\(replayed.errors)")
        #expect(replayed.output.contains("in all jobs"))
        let shown = try stranger.run(["receipt", "show", receipt])
        #expect(shown.status == 0 && shown.output.contains("b.csv"), "\(shown.output)\(shown.errors)")
        let file = mesh.folder.appendingPathComponent("w.car").path
        let exported = try stranger.run(["receipt", "export", "--with-outputs", "-o", file, receipt])
        #expect(exported.status == 0, "\(exported.errors)")
        mesh.originator.kill()
        let offline = try mesh.originator.run(["receipt", "verify", "--offline", file])
        #expect(offline.status == 0, "\(offline.output)\(offline.errors)")
        #expect(offline.output.contains("The receipt holds."))
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        #expect(try mesh.originator.run(["receipt", "verify", id]).status == 0)
    }

    @Test("A failed stage fails its workflow and is run again by resume; cancel ends every job")
    func failureCancelAndResume() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let folder = mesh.folder
        try Data(CountdownModule.bytes(rounds: 20_000_000_000)).write(to: folder.appendingPathComponent("long.wasm"))
        try Data(GuestModules.command("(call $exit (i32.const 3))")).write(
            to: folder.appendingPathComponent("three.wasm"))
        let failing = folder.appendingPathComponent("failing.json")
        try Data(
            #"{"version": 1, "stages": [{"id": "three", "module": "three.wasm"}], "outputs": {}}"#.utf8
        ).write(to: failing)
        let failed = try mesh.originator.run(["workflow", "run", failing.path])
        #expect(failed.status == 217, "\(failed.errors)")
        #expect(failed.errors.contains("stage three: exit code 3"), "\(failed.errors)")
        let first = try shown("last", mesh.originator).items
        let resumed = try mesh.originator.run(["workflow", "resume", "last", "--json"])
        #expect(resumed.status == 217, "\(resumed.errors)")
        let second = try shown("last", mesh.originator).items
        #expect(
            first.count == 1 && second.count == 1 && first[0]["job_id"] as? String != second[0]["job_id"] as? String)
        let checked = folder.appendingPathComponent("checked.json")
        try Data(
            #"{"version": 1, "verify": "replay", "stages": [{"id": "three", "module": "three.wasm"}], "outputs": {}}"#
                .utf8
        ).write(to: checked)
        let detached = try mesh.originator.run(["workflow", "run", checked.path, "--detach"])
        #expect(detached.status == 0 && detached.errors.contains("check    each job of three: "), "\(detached.errors)")
        let long = folder.appendingPathComponent("long.yaml")
        let definition = """
            version: 1
            stages:
              - {id: long, module: long.wasm, limits: {fuel: 1000000000000}, for_each: {range: {from: 1, to: 4}}}

            """
        try Data(definition.utf8).write(to: long)
        let id = try mesh.originator.run(["workflow", "run", long.path, "--detach"]).output
            .trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("jobs run") {
            try shown(id, mesh.originator).items.count { $0["phase"] as? String == "running" && $0["job_id"] != nil }
                == 4
        }
        #expect(try mesh.originator.run(["workflow", "cancel", id]).status == 0)
        try eventually("it is cancelled") {
            try shown(id, mesh.originator).workflow["status"] as? String == "cancelled"
        }
        try eventually("no job of it is open") {
            let jobs = try mesh.originator.run(["jobs", "--status", "open", "--json"]).json() as? [Any]
            return jobs?.isEmpty == true
        }
        #expect(try mesh.originator.run(["workflow", "cancel", id]).status == 245)
    }
}
