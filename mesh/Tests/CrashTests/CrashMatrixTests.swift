import Foundation
import Testing

/// Nodes that die at every write: before it, and right after it is durable. It takes minutes, and all of the machine,
/// so it runs by itself (`make crash-matrix`). Its suites together visit every event that a journal can hold.
@Suite(
    "Nodes killed at every write", .serialized,
    .enabled("make crash-matrix runs it") { ProcessInfo.processInfo.environment["MESH_CRASH_MATRIX"] != nil },
    CrashPlaces())
struct CrashMatrixTests {
    /// A workflow with jobs of every kind: simple, one for each file, one that fails, done twice, done again by another
    /// one, with public bids, with leave for a second copy, and run again here.
    private func plan(_ mesh: CrashMesh) throws -> String {
        let folder = mesh.folder.appendingPathComponent("plan")
        let parts = folder.appendingPathComponent("parts")
        try FileManager.default.createDirectory(at: parts, withIntermediateDirectories: true)
        for number in 0..<2 { try Data("part \(number)".utf8).write(to: parts.appendingPathComponent("p\(number)")) }
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
              - {id: again, module: copy.wasm, job_budget: 9000000, stdin: stages.first.stdout,
                 verify: "replay@executor"}
              - {id: open, module: copy.wasm, job_budget: 1000000, stdin: stages.first.stdout,
                 policy: {public_bids: true}}
              - {id: twice, module: copy.wasm, job_budget: 1000000, stdin: stages.first.stdout, policy: {hedge: true}}
              - {id: last, module: copy.wasm, job_budget: 1000000, mounts: [{path: /in, from: stages.each.stdout}],
                 stdin: stages.voted.stdout, verify: replay}
            outputs: {text: stages.last.stdout, all: stages.each.stdout, same: stages.again.stdout}

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

    /// At which write the next life ends: at the first, but what a restart writes anew must not end all of them. Any
    /// other write does end it: one that happens once in a run must not pass unseen.
    private static func point(after deaths: [CrashPlace]) -> String {
        guard let last = deaths.last?.events, deaths.suffix(4).count(where: { $0.events == last }) == 4 else {
            return "*:*"
        }
        return "*:*!" + Set(last.map(\.name)).sorted().joined(separator: ",")
    }

    /// Lets a node die at one write in each life, before and after it by turns, until all is over.
    ///
    /// A job may wait for bids as long as a configuration allows: the default of 30 s goes on while its node is dead,
    /// and on a busy machine some ten lives of one job take more.
    ///
    /// - Parameter step: goes on with what the node is to do while it is up; whether all is over.
    private func sweep(_ node: NodeProcess, _ step: (_ life: Int) throws -> Bool) throws {
        try node.configure("originator", "bidding_deadline_ms", 600_000)
        for life in 1... {
            let deaths = CrashPlace.all(in: node.log)
            try #require(life < 1_000, "no end; it died at \(deaths.suffix(20))")
            let point = Self.point(after: deaths)
            if life.isMultiple(of: 2) { try node.start(crashAfter: point) } else { try node.start(crashBefore: point) }
            while !node.waitForCrash(seconds: 0.1) {
                try #require(node.processID != nil, "\(node.log.suffix(2_000))")
                if try step(life) { return }
            }
        }
    }

    @Test("An originator that dies before and after every write of a workflow ends it, and pays every job once")
    func everyWrite() throws {
        let mesh = try CrashMesh()
        let plan = try plan(mesh)
        let node = mesh.originator
        var id: String?
        try sweep(node) { _ in
            if let id { return try workflow(id, node)?["over"] as? Bool == true && isIdle(node) }
            let begun = try node.run(["workflow", "run", plan, "--detach", "--quiet", "--key", "k"])
            if begun.status == 0 { id = begun.output.trimmingCharacters(in: .newlines) }
            return false
        }
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
    }

    @Test("The originator of an interactive job dies before and after every write of it; it ends, and is paid once")
    func everyWriteOfASession() throws {
        let mesh = try CrashMesh()
        let node = mesh.originator
        let module = try mesh.module("copy.wasm", GuestModules.command(GuestModules.copying))
        var id: String?
        var attached: (life: Int, command: RunningCommand)?
        try sweep(node) { life in
            guard let job = id else {
                let begun = try node.run(["run", "-i", module, "--detach", "--idempotency-key", "k"])
                if begun.status == 0 { id = begun.output.trimmingCharacters(in: .newlines) }
                return false
            }
            if try RareWrite.isOver(job, node) { return true }
            // The end of the input ends the module; until then it waits for it.
            if attached?.life != life, try node.job(job)?["phase"] as? String == "AwaitingInputs" {
                attached = (life, try RunningCommand(["attach", job, "--home", node.home.path]))
            }
            return false
        }
        let job = try #require(id)
        let ended = try node.run(["wait", job])
        #expect(ended.status == 0, "\(ended.output)\(ended.errors)")
        let paid = try node.movements("settle", jobID: job)
        #expect(paid.count == 1)
        try eventually("the executor has what was paid") {
            try mesh.executors.flatMap { try $0.movements("income", jobID: job) } == paid
        }
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
