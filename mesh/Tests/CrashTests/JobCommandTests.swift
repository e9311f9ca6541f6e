import Foundation
import Testing

/// What a person and a program are told about jobs, on both sides: listings, pages, orders, and all of it again after a
/// restart. One mesh for everything, since processes are slow.
@Suite("Commands about jobs", .serialized)
struct JobCommandTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }
    /// The executors, by DID.
    private let executors: [String: NodeProcess]

    init() throws {
        mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        var executors: [String: NodeProcess] = [:]
        for node in mesh.executors {
            let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
            executors[try #require(status["did"] as? String)] = node
        }
        self.executors = executors
    }

    /// Who has a job or ran it; on a busy machine that is not always the cheaper one.
    private func executor(of id: String) throws -> (did: String, node: NodeProcess) {
        let did = try #require(try originator.job(id)?["counterparty_did"] as? String)
        return (did, try #require(executors[did]))
    }

    @Test("Listings, pages and orders say what became of each job, in terminals, in files and as JSON, and again later")
    func everything() throws {
        let jobs = try endings()
        try expectListed(jobs, originator)
        try expectExecutors(jobs)
        try expectPages(jobs)
        try expectPicked(jobs)
        let running = try expectRunning()
        try expectCancelled(running)
        try expectOutputs()
        try expectSameAfterRestart(jobs + [Ended(id: running, outcome: "cancelled", words: "cancelled", status: 214)])
    }

    /// A job that ended, and what is to be said of it.
    private struct Ended {
        let id: String
        let outcome: String
        let words: String
        let status: Int32
        var receipt = ""
    }

    // MARK: Ends

    /// Jobs of several ends, the oldest first.
    private func endings() throws -> [Ended] {
        let cases: [(body: String, options: [String], outcome: String, words: String, status: Int32)] = [
            ("nop", ["--label", "the first of all"], "succeeded", "succeeded", 0),
            ("(call $exit (i32.const 3))", [], "exited_non_zero", "exit 3", 3),
            ("(loop $l br $l)", ["--max-fuel", "1M"], "limit_exceeded", "out of fuel", 211),
            ("unreachable", [], "trapped", "trapped", 210),
        ]
        return try cases.map { body, options, outcome, words, status in
            let module = try mesh.module("ending.wasm", GuestModules.command(body))
            let ran = try originator.run(["run", module, "--json"] + options)
            #expect(ran.status == status, "\(ran.errors)")
            let report = try #require(try ran.json() as? [String: Any])
            let result = try #require(report["result"] as? [String: Any])
            return Ended(
                id: try #require(report["job_id"] as? String), outcome: outcome, words: words, status: status,
                receipt: try #require(result["receipt_cid"] as? String))
        }
    }

    private func listed(_ node: NodeProcess, _ options: [String] = []) throws -> [[String: Any]] {
        let told = try node.run(["jobs", "--json"] + options)
        #expect(told.status == 0 && told.errors.isEmpty, "\(told.errors)")
        return try #require(try told.json() as? [[String: Any]])
    }

    private func ids(_ node: NodeProcess, _ options: [String]) throws -> [String] {
        try listed(node, options).compactMap { $0["job_id"] as? String }
    }

    /// The listing has every job with its end: as JSON, in a file, and in terminals of 60 and 120 columns.
    private func expectListed(_ jobs: [Ended], _ node: NodeProcess) throws {
        let listed = try listed(node, ["--limit", "\(jobs.count)"])
        #expect(listed.compactMap { $0["job_id"] as? String } == jobs.reversed().map(\.id))
        for (view, job) in zip(listed, jobs.reversed()) {
            #expect(view["outcome"] as? String == job.outcome)
            #expect(view["terminal"] as? Bool == true)
            #expect(view["receipt_cid"] as? String == job.receipt)
            let status = job.outcome == "succeeded" ? "CompletedSuccessfully" : "Failed"
            #expect(view["status"] as? String == status, "\(job.outcome)")
        }
        let file = try node.run(["jobs", "--limit", "\(jobs.count)"])
        let lines = file.output.split(separator: "\n").dropFirst()
        for (line, job) in zip(lines, jobs.reversed()) {
            #expect(line.contains("  \(job.words)  ") && line.hasSuffix(job.receipt), "\(line)")
        }
        for columns in [60, 120] {
            let shown = try node.run(["jobs"], columns: columns)
            #expect(shown.status == 0 && shown.screen.overflows.isEmpty, "\(shown.screen.text)")
            for job in jobs {
                #expect(shown.screen.text.contains(job.words), "\(shown.screen.text)")
                #expect(shown.screen.lines.contains { $0.hasSuffix(job.receipt) }, "\(shown.screen.text)")
            }
            #expect(!shown.screen.text.contains("BiddingOpen") && !shown.screen.text.contains("_"))
        }
    }

    // MARK: Executors

    /// The winner was paid for what it ran; a loser knows to whom it lost and at what price.
    private func expectExecutors(_ jobs: [Ended]) throws {
        let winners = try Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, try executor(of: $0.id).did) })
        var lostCount = 0
        for (did, node) in executors {
            let won = jobs.filter { winners[$0.id] == did }
            try eventually("the winner is paid for all that it ran") {
                try ids(node, ["--status", "paid"]).sorted() == won.map(\.id).sorted()
            }
            for view in try listed(node, ["--status", "paid"]) {
                let job = try #require(jobs.first { $0.id == view["job_id"] as? String })
                #expect(view["outcome"] as? String == job.outcome && view["payment"] as? String == "paid")
                #expect(view["terminal"] as? Bool == true && view["receipt_cid"] as? String == job.receipt)
            }
            for view in try listed(node, ["--status", "lost"]) {
                lostCount += 1
                let id = try #require(view["job_id"] as? String)
                #expect(view["winner_did"] as? String == winners[id] && view["terminal"] as? Bool == true, "\(view)")
                #expect(view["phase"] as? String == "BiddingClosed" && view["status"] as? String == "NotAssigned")
                #expect((view["winner_price"] as? NSNumber)?.intValue ?? 0 >= 10)
                for columns in [60, 120] {
                    let shown = try node.run(["jobs"], columns: columns).screen
                    #expect(shown.overflows.isEmpty, "\(shown.text)")
                    #expect(shown.text.contains("lost to …\(winners[id]?.suffix(8) ?? "") at "), "\(shown.text)")
                }
            }
        }
        #expect(lostCount > 0, "somebody lost a bid")
        let winner = try executor(of: jobs[1].id).node
        for columns in [60, 120] {
            let paid = try winner.run(["jobs"], columns: columns)
            #expect(paid.screen.overflows.isEmpty && paid.screen.text.contains("exit 3, paid"), "\(paid.screen.text)")
            #expect(paid.screen.lines.contains { $0.hasSuffix(jobs[1].receipt) }, "\(paid.screen.text)")
        }
    }

    // MARK: Pages

    /// The page and the story of a job have its end and its receipt in full, on both sides.
    private func expectPages(_ jobs: [Ended]) throws {
        let job = jobs[1]
        let bids = try #require(try originator.run(["describe", job.id, "--json"]).json() as? [String: Any])["bids"]
        let taken = (bids as? [[String: Any]])?.filter { $0["verdict"] as? String == "taken" } ?? []
        let executor = try executor(of: job.id)
        #expect(taken.map { $0["bidder_did"] as? String } == [executor.did])
        for (node, words) in [(originator, "exit 3"), (executor.node, "exit 3, paid")] {
            let told = try #require(try node.run(["describe", job.id, "--json"]).json() as? [String: Any])
            let view = try #require(told["job"] as? [String: Any])
            #expect(view["outcome"] as? String == "exited_non_zero" && (view["exit_code"] as? NSNumber)?.intValue == 3)
            let receipts = try #require(told["receipts"] as? [[String: Any]])
            #expect(receipts.map { $0["receipt_cid"] as? String } == [job.receipt])
            #expect(receipts.first?["counts"] as? Bool == true)
            #expect((told["movements"] as? [Any])?.isEmpty == false)
            #expect((told["request"] as? [String: Any])?["entry"] as? String == "_start")
            for columns in [60, 120] {
                for command in ["describe", "explain"] {
                    let shown = try node.run([command, String(job.id.suffix(10))], columns: columns)
                    #expect(shown.status == 0 && shown.screen.overflows.isEmpty, "\(shown.screen.text)")
                    #expect(shown.screen.text.contains(job.receipt) && shown.screen.text.contains(words))
                    #expect(shown.screen.text.contains(job.id))
                }
            }
        }
        let story = try originator.run(["explain", job.id])
        #expect(story.output.contains("The job failed: the module ended with exit code 3."), "\(story.output)")
    }

    /// Every filter picks out its jobs, and pages follow each other.
    private func expectPicked(_ jobs: [Ended]) throws {
        let newest = jobs.reversed().map(\.id)
        let cases: [(options: [String], found: [String])] = [
            (["--status", "failed"], Array(newest.dropLast())), (["--status", "succeeded"], [jobs[0].id]),
            (["--status", "trapped", "--status", "limit-exceeded"], Array(newest.prefix(2))),
            (["--status", "open"], []), (["--status", "cancelled"], []), (["--role", "originator"], newest),
            (["--role", "executor"], []), (["--label", "FIRST of"], [jobs[0].id]), (["--since", "1h"], newest),
            (["--since", "2099-01-01"], []), (["--limit", "2"], Array(newest.prefix(2))),
            (["--limit", "2", "--older-than", newest[1]], Array(newest.suffix(2))),
        ]
        for (options, found) in cases { #expect(try ids(originator, options) == found, "\(options)") }
        let first = try originator.run(["jobs", "--limit", "2"])
        #expect(first.errors == "Older jobs: the same with --older-than \(newest[1].suffix(8)).\n")
        let rest = try originator.run(["jobs", "--older-than", String(newest[1].suffix(8))])
        #expect(rest.errors.isEmpty && rest.output.contains(jobs[0].receipt), "\(rest.errors)")
        let none = try originator.run(["jobs", "--status", "cancelled"])
        #expect(none.errors == "No such jobs here.\n" && none.output.isEmpty)
        let wrong = try originator.run(["jobs", "--status", "broken"])
        #expect(wrong.status == 200 && wrong.errors.contains("no executor"), "\(wrong.errors)")
        for name in ["last", String(newest[0].suffix(6)), String(newest[0].prefix(40))] {
            let told = try #require(try originator.run(["describe", name, "--json"]).json() as? [String: Any])
            #expect((told["job"] as? [String: Any])?["job_id"] as? String == newest[0], "\(name)")
        }
        let many = try originator.run(["describe", "bafyrei"])
        #expect(many.status == 200 && many.errors.contains("More than one job is called \"bafyrei\"."))
    }

    // MARK: Orders

    /// A job that runs says how far it is on both sides; waiting for it ends in time.
    private func expectRunning() throws -> String {
        let module = try mesh.module("progressing.wasm", GuestModules.progressing())
        let id = try originator.run([
            "run", module, "--detach", "--max-fuel", "1T", "--timeout", "300", "--label", "endless",
        ]).output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("somebody has the job") { try originator.job(id)?["counterparty_did"] is String }
        let winner = try executor(of: id).node
        for node in [originator, winner] {
            try eventually("the job is seen at 42 %") {
                let job = try #require(try node.job(id))
                return job["outcome"] as? String == "running"
                    && (job["progress_permille"] as? NSNumber)?.intValue == 427
            }
            #expect(try node.job(id)?["terminal"] as? Bool == false)
            let shown = try node.run(["jobs"], columns: 60).screen
            #expect(shown.text.contains("running 42 %"), "\(shown.text)")
        }
        // What the status counts as under way is what a listing of the open jobs has.
        for (node, role) in [(originator, "originator"), (winner, "executor")] {
            let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
            let counters = try #require(status["counters"] as? [[String: Any]])
            let open = counters.first {
                $0["name"] as? String == (role == "originator" ? "jobs_originated_open" : "jobs_executed_open")
            }
            #expect((open?["value"] as? NSNumber)?.intValue == 1)
            #expect(try ids(node, ["--status", "open", "--role", role]) == [id])
        }
        let waited = try originator.run(["wait", id, "--timeout", "1s"])
        #expect(waited.status == 243 && waited.output.isEmpty, "\(waited.errors)")
        #expect(waited.errors.contains("The job was not over within 1 s; it is still there: running"))
        let early = try originator.run(["outputs", id])
        #expect(early.status == 200 && early.errors.contains("The job is not over (running"), "\(early.errors)")
        let elsewhere = try winner.run(["wait", id, "--timeout", "1s"])
        #expect(elsewhere.status == 243 && elsewhere.errors.contains("still there: running"), "\(elsewhere.errors)")
        let loser = try #require(mesh.executors.first { $0 !== winner })
        if try loser.job(id) != nil {
            let bidder = try loser.run(["wait", id, "--json"])
            #expect(bidder.status == 200 && bidder.errors.contains("has only bid on the job"), "\(bidder.errors)")
        }
        return id
    }

    /// A job is cancelled once; it did not fail, and what is over stays as it was.
    private func expectCancelled(_ id: String) throws {
        let waiting = try RunningCommand(["wait", id, "--json", "--home", originator.home.path])
        let ordered = try #require(try originator.run(["cancel", id, "--json"]).json() as? [String: Any])
        #expect(ordered["was_over"] as? Bool == false)
        let waited = try waiting.finish()
        #expect(waited.status == 214, "\(waited.errors)")
        let report = try #require(try waited.json() as? [String: Any])
        #expect((report["result"] as? [String: Any])?["ending"] as? String == "cancelled")
        #expect(((report["exit"] as? [String: Any])?["status"] as? NSNumber)?.intValue == 214)
        let again = try originator.run(["cancel", id])
        #expect(again.status == 0 && again.errors.hasPrefix("The job was over already (cancelled, "), "\(again.errors)")
        let json = try #require(try originator.run(["cancel", id, "--json"]).json() as? [String: Any])
        #expect(json["was_over"] as? Bool == true)
        let late = try originator.run(["cancel", "last"], columns: 60)
        #expect(late.status == 0 && late.screen.overflows.isEmpty, "\(late.screen.text)")
        #expect(try ids(originator, ["--status", "cancelled"]) == [id])
        #expect(try !ids(originator, ["--status", "failed"]).contains(id))
        let told = try originator.run(["wait", id])
        #expect(told.status == 214 && told.errors.contains("mesh: The job was cancelled"), "\(told.errors)")
        let winner = try executor(of: id)
        for command in [["explain", id], ["describe", id], ["jobs", "--label", "endless"], ["wait", id]] {
            for node in [originator, winner.node] {
                let said = try node.run(command)
                #expect(!(said.output + said.errors).contains("fail"), "\(said.output)\(said.errors)")
            }
        }
        if let loser = executors.first(where: { $0.key != winner.did })?.value, try loser.job(id) != nil {
            let lost = try loser.run(["cancel", id])
            #expect(lost.status == 0 && lost.errors.contains("over already (lost to "), "\(lost.errors)")
        }
    }

    /// What a job wrote is listed, written to files of its names, and never outside of the folder.
    private func expectOutputs() throws {
        let module = try mesh.module("progressing.wasm", GuestModules.progressing())
        let input = mesh.folder.appendingPathComponent("input")
        try Data("go".utf8).write(to: input)
        let ran = try originator.run(["run", module, "--stdin", input.path, "--quiet"])
        try #require(ran.status == 0, "\(ran.errors)")
        let listed = try #require(try originator.run(["outputs", "--json"]).json() as? [String: Any])
        let outputs = try #require(listed["outputs"] as? [[String: Any]])
        #expect(outputs.map { $0["name"] as? String } == ["greeting", "stdout"])
        let text = try originator.run(["outputs", "last"])
        #expect(try text.output.contains(#require(outputs[0]["cid"] as? String) + "  greeting\n"), "\(text.output)")
        let folder = mesh.folder.appendingPathComponent("made/here")
        let written = try originator.run(["outputs", "last", "--into", folder.path])
        #expect(written.status == 0, "\(written.errors)")
        let greeting = try String(contentsOf: folder.appendingPathComponent("greeting"), encoding: .utf8)
        #expect(greeting == "hello, mesh\n")
        #expect(try String(contentsOf: folder.appendingPathComponent("stdout"), encoding: .utf8) == ran.output)
        let again = try originator.run(["outputs", "last", "--into", folder.path])
        #expect(again.status == 246 && again.errors.contains("it is there already"), "\(again.errors)")
        let streamed = try originator.run(["outputs", "last", "--output", "greeting=-"])
        #expect(streamed.output == greeting && streamed.status == 0)
        // `mesh run` itself sends a stream elsewhere, as `mesh outputs` does.
        let sent = mesh.folder.appendingPathComponent("sent").path
        for (path, printed) in [("-", ran.output), (sent, "")] {
            let again = try originator.run([
                "run", module, "--stdin", input.path, "--quiet", "--output", "stdout=\(path)",
            ])
            #expect(again.status == 0 && again.output == printed && again.errors.isEmpty, "\(again.errors)")
        }
        #expect(try String(contentsOfFile: sent, encoding: .utf8) == ran.output)
        let cid = try #require(outputs[0]["cid"] as? String)
        let got = try originator.run(["get", cid, "-o", sent])
        #expect(got.status == 0 && got.errors == "wrote 12 bytes to \(sent)\n", "\(got.errors)")
        let missing = try originator.run(["outputs", "last", "--output", "nosuch=/dev/null"])
        #expect(missing.status == 215 && missing.errors.contains("no output called \"nosuch\""), "\(missing.errors)")
        for columns in [60, 120] {
            #expect(try originator.run(["outputs", "last"], columns: columns).status == 0)
            let waited = try originator.run(["wait", "last"], columns: columns)
            #expect(waited.status == 0 && waited.screen.text.contains("receipt"), "\(waited.screen.text)")
        }
        // At the executor too, and with a name that leads out of the folder.
        let id = try #require(listed["job_id"] as? String)
        let own = try #require(try executor(of: id).node.run(["outputs", id, "--json"]).json() as? [String: Any])
        #expect((own["outputs"] as? [[String: Any]])?.count == 2)
        try Data("go on".utf8).write(to: input)
        #expect(try originator.run(["run", module, "--stdin", input.path, "--quiet"]).status == 0)
        let refused = try originator.run(["outputs", "last", "--into", folder.path])
        #expect(refused.status == 200 && refused.errors.contains("\"../up\""), "\(refused.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.deletingLastPathComponent().path + "/up"))
    }

    // MARK: Later

    /// What is told of a job, line by line.
    private func story(_ id: String, _ node: NodeProcess) throws -> [String] {
        let told = try #require(try node.run(["explain", id, "--json"]).json() as? [String: Any])
        return try #require(told["lines"] as? [[String: Any]]).compactMap { $0["text"] as? String }
    }

    /// Stopped and started again, both sides say the same of every job.
    private func expectSameAfterRestart(_ jobs: [Ended]) throws {
        for node in [originator] + mesh.executors {
            let keys = ["outcome", "status", "exit_code", "limit", "receipt_cid", "payment", "terminal"]
            try eventually("everything is over") { try ids(node, ["--status", "open"]).isEmpty }
            try eventually("everything is paid") { try ids(node, ["--status", "unpaid"]).isEmpty }
            // Bids that nobody took are forgotten meanwhile.
            let before = try listed(node).filter { $0["status"] as? String != "NotAssigned" }
            let known = jobs.filter { job in before.contains { $0["job_id"] as? String == job.id } }
            let stories = try known.map { try story($0.id, node) }
            // What nobody relies on is written a quarter of a second later.
            #expect(node.stop() == 0)
            try node.start()
            try node.waitUntilUp()
            let after = try listed(node).filter { $0["status"] as? String != "NotAssigned" }
            #expect(after.count == before.count)
            for (now, then) in zip(after, before) {
                for key in keys { #expect(now[key] as? NSObject == then[key] as? NSObject, "\(key): \(now)\n\(then)") }
            }
            for (job, story) in zip(known, stories) {
                #expect(try self.story(job.id, node).starts(with: story), "\(job.outcome)")
                let page = try #require(try node.run(["describe", job.id, "--json"]).json() as? [String: Any])
                #expect((page["job"] as? [String: Any])?["outcome"] as? String == job.outcome)
                #expect((page["receipts"] as? [Any])?.isEmpty == false && page["request"] is [String: Any])
            }
        }
        for job in jobs {
            #expect(try originator.run(["wait", job.id, "--quiet"]).status == job.status, "\(job.outcome)")
        }
    }
}
