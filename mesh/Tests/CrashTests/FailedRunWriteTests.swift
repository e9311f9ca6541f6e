import Foundation
import Testing

extension CrashMatrixTests {
    /// Writes that a job makes only where an executor fails, lies or is slow, or where tokens are short: the originator
    /// dies on both sides of each; and those of an executor that is stopped, or loses (`make crash-matrix`).
    @Suite("Nodes killed at writes of runs that fail", .serialized)
    struct FailedRunWriteTests {
        private func held(_ id: String, _ node: NodeProcess) throws -> UInt64 {
            let (held, back) = try (node.movements("hold", jobID: id), node.movements("refund", jobID: id))
            let paid = try node.movements("settle", jobID: id)
            return held.reduce(0, +) - back.reduce(0, +) - paid.reduce(0, +)
        }

        /// A module that never ends, of its own bytes for each key: an executor bids on none that crashed its engine.
        private func endless(_ mesh: CrashMesh, _ key: String) throws -> String {
            let text = """
                (module (memory (export "memory") 1) (data (i32.const 0) "\(key)")
                  (func (export "_start") (loop $on (br $on))))
                """
            return try mesh.module(
                "\(key.replacingOccurrences(of: ":", with: "-")).wasm", try GuestModules.module(text))
        }

        /// Kills every run at the executors and, if it runs, at the originator, until the job has failed or the node is
        /// dead.
        private func killRuns(_ mesh: CrashMesh, until id: String) throws {
            let node = mesh.originator
            try eventually("the job ends, or the node is dead") {
                let nodes = mesh.executors + [node]
                let runs = nodes.compactMap(\.processID).flatMap(WorkerKillTests.workers).filter(\.isRun)
                for run in runs { kill(run.process, SIGKILL) }
                if !node.isRunning { return true }
                return try node.job(id)?["status"] as? String == "Failed"
            }
        }

        /// A job whose runs are killed wherever they are: the originator's own run, too.
        private func crashingJob(_ mesh: CrashMesh) -> RareWrite {
            func submit(_ node: NodeProcess, _ key: String) throws -> String? {
                let module = try endless(mesh, key)
                return try RareWrite.job(
                    node, key, [module, "--max-fuel", "1T", "--sufficient-bids", "2", "--bid-window", "20s"])
            }
            return RareWrite(
                events: ["originator:attempt_ended", "originator:trial_began", "originator:trial_ended"]
            ) { node, key in
                guard let id = try submit(node, key) else { return }
                try killRuns(mesh, until: id)
            } end: { node, key in
                let id = try #require(try submit(node, key))
                try killRuns(mesh, until: id)
                #expect(try node.run(["wait", id]).status == 216)
                try eventually("the job is over") { try RareWrite.isOver(id, node) }
                #expect(try node.movements("settle", jobID: id).isEmpty)
                #expect(try held(id, node) == 0)
            }
        }

        @Test("An originator that runs a crashing job itself ends it once, whenever it dies meanwhile")
        func crashing() throws {
            let mesh = try CrashMesh()
            try crashingJob(mesh).play(mesh)
        }

        @Test("An originator that refutes a liar pays nothing, and keeps the proof, whenever it dies meanwhile")
        func lying() throws {
            let mesh = try CrashMesh()
            try mesh.originator.configure("originator", "bidding_deadline_ms", 15_000)
            let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
            let program = NodeProcess.built.appendingPathComponent("mesh-cheat")
            let bootstrap = ["--bootstrap", try mesh.executors[0].address()]
            // A liar for each death: a proof against it lasts.
            let liars = try ["before", "after"].map {
                (side: $0, liar: try RunningCommand(bootstrap, program: program))
            }
            let event = "originator:payment_refused"
            var names: [String: String] = [:]
            for (side, liar) in liars {
                try eventually("the liar listens") {
                    let words = liar.outputSoFar.split(separator: " ")
                    names["\(side)-\(event)"] = words.first { $0.hasPrefix("did:") }.map(String.init)
                    return names["\(side)-\(event)"] != nil
                }
            }
            func submit(_ node: NodeProcess, _ key: String) throws -> String? {
                let liar = try #require(names[key])
                return try RareWrite.job(node, key, [module, "--verify", "replay", "--allow", liar])
            }
            let rare = RareWrite(events: [event]) { node, key in
                guard let id = try submit(node, key) else { return }
                _ = try node.run(["wait", id])
            } end: { node, key in
                let id = try #require(try submit(node, key))
                #expect(try node.run(["wait", id]).status != 0)
                #expect(try node.movements("settle", jobID: id).isEmpty)
                #expect(try held(id, node) == 0)
                let told = try node.run(["explain", id]).output
                #expect(told.contains("proof"), "\(told)")
            }
            try rare.play(mesh)
        }

        @Test("A job that waits for tokens goes on when they are there, whenever its originator dies meanwhile")
        func poor() throws {
            let mesh = try CrashMesh()
            let node = mesh.originator
            try node.configure("credit_grant", 10_000_000)
            let long = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 100_000_000_000))
            let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
            func submit(_ node: NodeProcess, _ key: String) throws -> String? {
                try RareWrite.job(node, key, [short, "--max-fuel", "500G", "--sufficient-bids", "1"])
            }
            func rich(_ node: NodeProcess, _ key: String) throws -> String? {
                try RareWrite.job(node, "rich-\(key)", [long, "--max-fuel", "900G", "--sufficient-bids", "1"])
            }
            let rare = RareWrite(events: ["originator:funds_awaited"]) { node, key in
                guard let first = try rich(node, key) else { return }
                try eventually("the first one holds most of all tokens") {
                    try node.job(first)?["phase"] as? String == "Running"
                }
                _ = try submit(node, key)
            } end: { node, key in
                let (first, id) = (try #require(try rich(node, key)), try #require(try submit(node, key)))
                try eventually("it waits for tokens") { try node.run(["explain", id]).output.contains("tokens") }
                _ = try node.run(["cancel", first])
                #expect(try node.run(["wait", id]).status == 0)
                for job in [first, id] {
                    try eventually("the jobs are over") { try RareWrite.isOver(job, node) }
                    #expect(try held(job, node) == 0)
                }
                #expect(try node.movements("settle", jobID: id).count == 1)
            }
            try rare.play(mesh)
        }

        @Test("An executor that is stopped, or that loses, ends its part, whenever it dies at that")
        func executors() throws {
            let mesh = try CrashMesh()
            let node = mesh.originator
            try node.start()
            try mesh.waitUntilConnected()
            let entrance = try mesh.executors[0].address()
            let long = try mesh.module("long.wasm", CountdownModule.bytes(rounds: 100_000_000_000))
            let short = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
            for event in ["stop_requested", "bid_closed"] {
                for side in ["before", "after"] {
                    let victim = try NodeProcess(
                        "\(side.first ?? " ")-\(event)", in: mesh.folder,
                        ["--executor", "--price-base", event == "bid_closed" ? "99" : "1", "--bootstrap", entrance])
                    let point = "executor:\(event)"
                    try side == "before" ? victim.start(crashBefore: point) : victim.start(crashAfter: point)
                    try victim.waitUntilUp()
                    let status = try #require(try victim.run(["status", "--json"]).json() as? [String: Any])
                    let did = try #require(status["did"] as? String)
                    let loses = event == "bid_closed"
                    let options =
                        loses ? [short, "--sufficient-bids", "3", "--bid-window", "20s"] : [long, "--allow", did]
                    let id = try #require(
                        try RareWrite.job(node, "\(side)-\(event)", options + ["--max-fuel", "900G"]))
                    if !loses {
                        try eventually("the job runs") { try node.job(id)?["phase"] as? String == "Running" }
                        _ = try node.run(["cancel", id])
                    }
                    #expect(victim.waitForCrash(seconds: 60), "no death \(side) \(event)")
                    try victim.start()
                    try victim.waitUntilUp()
                    #expect(try node.run(["wait", id]).status == (loses ? 0 : 214))
                    try eventually("nothing is left to do") { try RareWrite.isOver(id, node) }
                    // A bid that won nothing may share the write that never came, and is forgotten with it; if it was
                    // written before, it is made again and refused. Either way it is pruned a while after its end.
                    let words = loses ? "The bid came to nothing" : "Nothing is left to do."
                    try eventually("the executor's part is over, \(side) \(event)") {
                        let told = try victim.run(["explain", id]).output
                        return told.contains(words) || (loses && told.isEmpty)
                    }
                    #expect(try held(id, node) == 0)
                    let income = try victim.movements("income", jobID: id).reduce(0, +)
                    #expect(loses ? income == 0 : income == (try node.movements("settle", jobID: id).reduce(0, +)))
                    victim.kill()
                }
            }
        }
    }
}
