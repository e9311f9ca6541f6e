import Foundation
import Testing

/// Nodes that die at every write: before it, and right after it is durable. It takes minutes, and all of the machine,
/// so it runs by itself (`make crash-matrix`).
@Suite(
    "Nodes killed at every write", .serialized,
    .enabled("make crash-matrix runs it") { ProcessInfo.processInfo.environment["MESH_CRASH_MATRIX"] != nil })
struct CrashMatrixTests {
    /// A side of a write at which a node killed itself, as it said on standard error.
    private struct Death: Hashable, CustomStringConvertible {
        let side: String
        /// What was written.
        let events: [String]
        var description: String { "\(side) \(events)" }

        static func all(in log: String) -> [Death] {
            log.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").map(String.init)
                guard words.count > 2, words[0] == "crash" else { return nil }
                return Death(side: words[1], events: Array(words[2...]))
            }
        }
    }

    /// How often the originator dies at the least; as often before a write as after one.
    private static let deathsMin = 200

    /// A workflow with jobs of every kind: one, one for each file, one done twice, one that fails, one run again here.
    private func plan(_ mesh: CrashMesh) throws -> String {
        let folder = mesh.folder.appendingPathComponent("plan")
        let parts = folder.appendingPathComponent("parts")
        try FileManager.default.createDirectory(at: parts, withIntermediateDirectories: true)
        for number in 0..<6 { try Data("part \(number)".utf8).write(to: parts.appendingPathComponent("p\(number)")) }
        try Data("begin".utf8).write(to: folder.appendingPathComponent("begin.txt"))
        try Data(GuestModules.command(GuestModules.copying)).write(to: folder.appendingPathComponent("copy.wasm"))
        let three = try GuestModules.command("(call $exit (i32.const 3))")
        try Data(three).write(to: folder.appendingPathComponent("three.wasm"))
        let definition = """
            version: 1
            name: matrix
            budget: 90000000
            parallel: 1
            inputs: {begin: {file: ./begin.txt}, parts: {folder: parts}}
            stages:
              - {id: first, module: copy.wasm, job_budget: 1000000, stdin: inputs.begin}
              - {id: failing, module: three.wasm, job_budget: 1000000, on_failure: skip}
              - {id: each, module: copy.wasm, job_budget: 1000000, for_each: {folder: inputs.parts}, stdin: item}
              - {id: voted, module: copy.wasm, job_budget: 9000000, stdin: stages.first.stdout, verify: "quorum:2/2"}
              - {id: last, module: copy.wasm, job_budget: 1000000, mounts: [{path: /in, from: stages.each.stdout}],
                 stdin: stages.voted.stdout, verify: replay}
            outputs: {text: stages.last.stdout, all: stages.each.stdout}

            """
        let file = folder.appendingPathComponent("plan.yaml")
        try Data(definition.utf8).write(to: file)
        return file.path
    }

    /// The workflow as its node shows it; nil while the node does not answer.
    private func workflow(_ id: String, _ node: NodeProcess) throws -> [String: Any]? {
        let shown = try node.run(["workflow", "show", id, "--json"])
        guard shown.status == 0 else { return nil }
        return (try shown.json() as? [String: Any])?["workflow"] as? [String: Any]
    }

    /// Whether nothing is left to do for any job of a node.
    private func isIdle(_ node: NodeProcess) throws -> Bool {
        let listed = try node.run(["jobs", "--json"])
        guard listed.status == 0, let jobs = try listed.json() as? [[String: Any]] else { return false }
        return try jobs.allSatisfy { job in
            guard let id = job["job_id"] as? String else { return false }
            return try node.run(["explain", id]).output.contains("Nothing is left to do.")
        }
    }

    /// At which write the next life ends: at the first, but what a restart writes anew must not end all of them.
    private static func writes(until deaths: [Death]) -> Int {
        let last = deaths.last?.events
        return 1 + deaths.reversed().prefix { $0.events == last }.count / 4
    }

    @Test("An originator that dies before and after every write of a workflow ends it, and pays every job once")
    func everyWrite() throws {
        let mesh = try CrashMesh()
        let plan = try plan(mesh)
        let node = mesh.originator
        var id: String?
        var lives = 0
        life: while true {
            lives += 1
            let deaths = Death.all(in: node.log)
            try #require(lives < 1_000, "no end; it died at \(deaths.suffix(20))")
            let point = "*:*:\(Self.writes(until: deaths))"
            if lives.isMultiple(of: 2) { try node.start(crashAfter: point) } else { try node.start(crashBefore: point) }
            while !node.waitForCrash(seconds: id == nil ? 0.1 : 2) {
                try #require(node.isRunning, "\(node.log.suffix(2_000))")
                if let id {
                    if try workflow(id, node)?["over"] as? Bool == true, try isIdle(node) { break life }
                } else {
                    let begun = try node.run(["workflow", "run", plan, "--detach", "--key", "k"])
                    if begun.status == 0 { id = begun.output.trimmingCharacters(in: .newlines) }
                }
            }
        }
        let deaths = Death.all(in: node.log)
        let name = try #require(id)
        let ends = try #require(try workflow(name, node))
        #expect(ends["status"] as? String == "succeeded", "\(ends)")
        #expect((ends["held"] as? NSNumber)?.uint64Value == 0)
        let settled = try node.movements("settle")
        // What a workflow counts for a quorum is the most that its executors may have to be paid.
        #expect((ends["paid"] as? NSNumber)?.uint64Value ?? 0 >= settled.reduce(0, +))
        let jobs = try #require(try node.run(["jobs", "--json"]).json() as? [[String: Any]])
        for job in jobs {
            let id = try #require(job["job_id"] as? String)
            #expect(try node.movements("settle", jobID: id).count == 1, "\(job)")
        }
        try eventually("the executors have what was paid") {
            try mesh.executors.flatMap { try $0.movements("income") }.reduce(0, +) == settled.reduce(0, +)
        }
        let outputs = try #require(ends["outputs"] as? [[String: Any]])
        let text = try #require(outputs.first { $0["name"] as? String == "text" }?["cid"] as? String)
        #expect(try node.run(["cat", text]).output == "begin")
        let planEvents = ["begun", "listed", "ended", "gathered", "receipt_signed"].map { "plan:\($0)" }
        // A quick run reports no status.
        let names = CrashTests.originatorEvents.filter { $0 != "status_reported" }
        let checks = ["verification_chosen", "replicas_made", "verification_began", "verification_ended"]
        for event in planEvents + (names + checks).map({ "originator:\($0)" }) {
            #expect(deaths.contains { $0.events.contains(event) }, "no death at \(event)")
        }
        print("\(jobs.count) jobs, \(deaths.count) deaths at \(Set(deaths).count) places")
        #expect(deaths.count >= Self.deathsMin)
    }

    /// Every event of an executor's journal, in the order of a job that goes well.
    private static let executorEvents = [
        "bid_made", "assignment_accepted", "execution_started", "execution_progressed", "receipt_signed",
        "receipt_delivered", "settlement_received", "anchored", "anchor_published", "closed",
    ]

    @Test("An executor dies on either side of each of its writes; the job ends, and the books of all agree")
    func executorDies() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let entrance = try mesh.executors[0].address()
        let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1000))
        // An executor writes where a run stands once it has lasted a while.
        let longer = try mesh.module("longer.wasm", CountdownModule.bytes(rounds: 1_000_000_000))
        var victims: [NodeProcess] = []
        for event in Self.executorEvents {
            for side in ["before", "after"] {
                // One for each, so that what is left to do of another job does not bring it to its crash point.
                let victim = try NodeProcess(
                    "\(side.first ?? " ")-\(event)", in: mesh.folder, ["--executor", "--bootstrap", entrance])
                victims.append(victim)
                let point = "executor:\(event)"
                if side == "before" {
                    try victim.start(crashBefore: point)
                } else {
                    try victim.start(crashAfter: point)
                }
                try victim.waitUntilUp()
                let status = try #require(try victim.run(["status", "--json"]).json() as? [String: Any])
                let submitted = try mesh.originator.run([
                    "run", event == "execution_progressed" ? longer : module, "--max-fuel", "100G", "--detach",
                    "--attempts", "5", "--allow", try #require(status["did"] as? String),
                ])
                try #require(submitted.status == 0, "\(submitted.errors)")
                #expect(victim.waitForCrash(seconds: 60), "no death \(side) \(event)")
                try victim.start()
                let ended = try mesh.originator.run(["wait", submitted.output.trimmingCharacters(in: .newlines)])
                #expect(ended.status == 0, "\(side) \(event): \(ended.output)\(ended.errors)")
            }
        }
        for victim in victims {
            try eventually("the jobs of \(victim.home.lastPathComponent) are over") { try isIdle(victim) }
        }
        let settled = try mesh.originator.movements("settle")
        #expect(settled.count == victims.count)
        #expect(try victims.flatMap { try $0.movements("income") }.sorted() == settled.sorted())
        for victim in victims { victim.kill() }
    }
}
