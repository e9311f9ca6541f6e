import Foundation
import Testing

/// Jobs that no executor runs: what is said about each, on which side and under which key the limit stands, and that
/// following the advice works. One mesh for everything, since processes are slow.
@Suite("Jobs that nobody runs", .serialized)
final class UnrunnableJobTests {
    private let folder: URL
    private let cheap: NodeProcess
    private let dear: NodeProcess
    private let originator: NodeProcess

    /// An originator and two executors, with limits that some jobs pass.
    init() throws {
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let region = ["--executor", "--region", "eu"]
        cheap = try NodeProcess("cheap", in: folder, region + ["--price-base", "10"])
        try cheap.configure("limits", "module_functions_max", 1_000)
        try cheap.configure("limits", "compile_seconds_max", 1)
        try cheap.start()
        try cheap.waitUntilUp()
        let entrance = ["--bootstrap", try cheap.address()]
        dear = try NodeProcess("dear", in: folder, region + ["--price-base", "20"] + entrance)
        try dear.configure("limits", "module_functions_max", 900)
        try dear.configure("limits", "compile_seconds_max", 1)
        try dear.start()
        try dear.waitUntilUp()
        originator = try NodeProcess("originator", in: folder, ["--no-executor"] + entrance)
        try originator.start()
        try originator.waitUntilUp()
        try seeOffers(2, of: "region eu")
    }

    @Test("What nobody offers is named with key and side; who is busy says so; and following the advice works")
    func everything() throws {
        try expectRefused()
        try expectBusy()
        try expectResting()
        try expectFiles()
    }

    deinit {
        for node in [cheap, dear, originator] { node.kill() }
        try? FileManager.default.removeItem(at: folder)
    }

    /// Waits until the originator knows so many offers of a region.
    private func seeOffers(_ count: Int, of region: String) throws {
        try eventually("\(count) offers with \(region)") {
            let peers = try #require(try originator.run(["peers", "--json"]).json() as? [[String: Any]])
            return peers.count { ($0["capability"] as? String)?.contains(region) == true } >= count
        }
    }

    private func file(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        let url = folder.appendingPathComponent(name)
        try Data(bytes).write(to: url)
        return url.path
    }

    /// A job that no executor takes, and what is said of it.
    private struct Unrunnable {
        let options: [String]
        let code: String
        let setting: String?
        let text: String
        let advice: String
    }

    private static let unrunnable = [
        Unrunnable(
            options: ["--max-memory", "3Gi"], code: "max_memory_bytes", setting: "executor.memory_mib",
            text: "memory 3 GiB is above their limit of 1 GiB (executor.memory_mib on the executor's side)",
            advice: "Ask for less with --max-memory, or raise executor.memory_mib in an executor's config.json"),
        Unrunnable(
            options: ["--max-fuel", "2T"], code: "max_fuel", setting: "executor.fuel_max",
            text: "fuel 2,000,000,000,000 is above their limit of 1,000,000,000,000 "
                + "(executor.fuel_max on the executor's side)",
            advice: "Ask for less with --max-fuel, or raise executor.fuel_max in an executor's config.json"),
        Unrunnable(
            options: ["--region", "mars"], code: "region_not_accepted", setting: "region",
            text: "the region mars is asked for, and named are eu (region on the executor's side)",
            advice: "Ask for another --region, or set region in an executor's config.json"),
    ]

    private func report(_ finished: NodeProcess.Finished) throws -> (id: String, result: [String: Any]) {
        try #require(!finished.output.isEmpty, "\(finished.errors)")
        let report = try #require(try finished.json() as? [String: Any], "\(finished.errors)")
        return (
            try #require(report["job_id"] as? String), try #require(report["result"] as? [String: Any])
        )
    }

    private func begin(_ module: String, _ options: [String]) throws -> RunningCommand {
        try RunningCommand(["run", module, "--home", originator.home.path] + options)
    }

    // MARK: Limits of executors

    /// Memory, fuel, region, price, and what a module measures.
    private func expectRefused() throws {
        let module = try file("nothing.wasm", GuestModules.command("nop"))
        let functions = try file(
            "functions.wasm",
            GuestModules.module("(module \(String(repeating: "(func)", count: 1_000)) (func (export \"_start\")))"))
        let heavy = try file("heavy.wasm", GuestModules.heavy(functions: 900))
        // They wait for executors that nobody knows yet, side by side.
        var begun: [(command: RunningCommand, job: Unrunnable, module: String)] = []
        for job in Self.unrunnable { begun.append((try begin(module, job.options + ["--json"]), job, module)) }
        let many = Unrunnable(
            options: [], code: "module_functions", setting: "limits.module_functions_max",
            text:
                "number of functions 1,001 is above their limits (up to 1,000) (limits.module_functions_max on the "
                + "executor's side)",
            advice: "Shrink the module, or raise limits.module_functions_max in an executor's config.json")
        begun.append((try begin(functions, ["--json"]), many, functions))
        let seen = try begin(module, ["--max-memory", "3Gi"])
        let terminals = try [60, 120].map { columns in
            let arguments = ["run", module, "--max-memory", "3Gi", "--home", originator.home.path]
            return (columns: columns, process: try TerminalProcess(arguments, columns: columns))
        }
        let compiled = try begin(heavy, ["--json"])
        try expectPrice(module)
        for (command, job, _) in begun {
            let finished = try command.finish()
            let (id, result) = try report(finished)
            // Programs are told while the job still waits.
            let early = try finished.errors.split(separator: "\n").map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            }
            let notice = try #require(early.last)
            #expect(notice["job_id"] as? String == id && (notice["hint"] as? String)?.hasPrefix(job.advice) == true)
            let first = ((notice["executors"] as? [String: Any])?["reasons"] as? [[String: Any]])?.first
            #expect(first?["code"] as? String == job.code, "\(notice)")
            let executors = try #require(result["executors"] as? [String: Any])
            #expect((executors["known"] as? NSNumber)?.intValue == 2)
            #expect((executors["refusing"] as? NSNumber)?.intValue == 2)
            let reason = try #require((executors["reasons"] as? [[String: Any]])?.first)
            #expect(reason["code"] as? String == job.code)
            #expect(reason["setting"] as? String == job.setting)
            #expect((result["hint"] as? String)?.hasPrefix(job.advice) == true, "\(result)")
            // Executors bid on modules that they do not have yet; what these measure only the originator knows.
            #expect(result["ending"] as? String == (job.code == many.code ? "no_acceptable_bid" : "no_bids"))
            let told = "2 executors are known; all refuse: \(job.text)"
            #expect(result["detail"] as? String == "no executor took the job: \(told)")
            try expectExplained(id, told)
        }
        let shown = try seen.finish()
        #expect(shown.status == 220)
        let account = "2 executors are known; all refuse: memory 3 GiB is above their limit of 1 GiB"
        #expect(shown.errors.components(separatedBy: account).count >= 3, "live, and at the end: \(shown.errors)")
        #expect(shown.errors.contains("raise executor.memory_mib in an executor's config.json and restart it."))
        for (columns, terminal) in terminals {
            let ended = try terminal.finish()
            #expect(ended.status == 220)
            // Wherever the lines are broken.
            let letters = ended.screen.text.filter { !$0.isWhitespace }
            #expect(
                letters.components(separatedBy: account.filter { !$0.isWhitespace }).count >= 3,
                "\(columns): \(ended.screen.text)")
            #expect(letters.contains("raiseexecutor.memory_mibinanexecutor'sconfig.jsonandrestartit."))
            #expect(ended.screen.overflows.isEmpty, "\(columns): \(ended.screen.overflows)")
        }
        let (_, tooHeavy) = try report(try compiled.finish())
        #expect(tooHeavy["ending"] as? String == "executors_failed")
        let failure = "cpu limit (limits.compile_seconds_max in the executor's config.json)"
        #expect((tooHeavy["detail"] as? String)?.contains(failure) == true, "\(tooHeavy)")
        try expectFollowed(begun.map { ($0.module, $0.job.options) } + [(heavy, [])])
    }

    /// The journal tells who is known within a moment of the announcement, long before the job ends.
    private func expectExplained(_ id: String, _ told: String) throws {
        let explained = try originator.run(["explain", id, "--json"])
        let lines = try #require((try explained.json() as? [String: Any])?["lines"] as? [[String: Any]])
        func at(_ index: Int) -> Int64 { (lines[index]["at"] as? NSNumber)?.int64Value ?? 0 }
        let texts = lines.map { $0["text"] as? String ?? "" }
        let index = try #require(texts.firstIndex { $0.hasPrefix(told + ".") }, "\(texts)")
        let wait = "s for executors that are not known yet."
        #expect(told.contains("number of functions") || texts[index].hasSuffix(wait), "\(texts)")
        // A second, on a machine that does nothing else.
        #expect(at(index) - at(0) <= 3_000, "\(at(index) - at(0)) ms")
        #expect(texts.contains { $0.hasPrefix("The job failed: no executor took the job: \(told)") })
    }

    /// Too dear: told with the cheapest bid and why it asks that much, at the end of the window; less fuel is
    /// affordable.
    private func expectPrice(_ module: String) throws {
        let ran = try originator.run(["run", module, "--budget", "50", "--json"])
        #expect(ran.status == 220)
        let (id, result) = try report(ran)
        #expect(result["ending"] as? String == "no_acceptable_bid")
        let detail = try #require(result["detail"] as? String)
        #expect(
            detail.contains(
                "the cheapest bid asks up to 100,010 tokens, above the budget of 50 (a bid's ceiling follows "),
            "\(detail)")
        #expect(
            result["hint"] as? String
                == "Raise --budget to 100010, or lower --max-fuel to 4000000: it is the most that "
                + "the job may cost, and only the fuel that it uses is paid.")
        let job = try #require(try originator.job(id))
        let submitted = try #require(job["submitted_at"] as? NSNumber).int64Value
        let ended = try #require(job["updated_at"] as? NSNumber).int64Value
        #expect(ended - submitted < 7_000, "\(ended - submitted) ms: it waited for more than its window")
        for advice in [["--budget", "50", "--max-fuel", "4000000"], ["--budget", "100010"]] {
            let again = try originator.run(["run", module] + advice)
            #expect(again.status == 0, "\(advice): \(again.errors)")
        }
    }

    /// Sets what the advice named, on the side that it named.
    private func expectFollowed(_ jobs: [(module: String, options: [String])]) throws {
        _ = cheap.stop()
        try cheap.configure("executor", "memory_mib", 4_096)
        try cheap.configure("executor", "fuel_max", 10_000_000_000_000)
        try cheap.configure("limits", "module_functions_max", 2_000)
        try cheap.configure("limits", "compile_seconds_max", 60)
        try cheap.configure("region", "mars")
        try cheap.start()
        try cheap.waitUntilUp()
        try seeOffers(1, of: "region mars")
        for (module, options) in jobs {
            let ran = try originator.run(["run", module] + options)
            #expect(ran.status == 0, "\(options): \(ran.errors)")
        }
    }

    // MARK: Busy executors

    /// An executor that is only busy is asked, says so, and the job waits for it.
    private func expectBusy() throws {
        _ = dear.stop()
        _ = cheap.stop()
        try cheap.configure("executor", "jobs_at_once", 1)
        try cheap.configure("executor", "queued_jobs_max", 0)
        // By which the new offer is known.
        try cheap.configure("region", "moon")
        try cheap.start()
        try cheap.waitUntilUp()
        try seeOffers(1, of: "region moon")
        let endless = try file("endless.wasm", GuestModules.command("(loop $l br $l)"))
        let long = try begin(endless, ["--max-fuel", "1T", "--timeout", "300"])
        try eventually("it runs") { long.errorsSoFar.contains("  starting") }
        let module = try file("nothing.wasm", GuestModules.command("nop"))
        let waiting = try begin(module, [])
        try eventually("its answer is told") {
            waiting.errorsSoFar.contains("cannot now: all places and the queue are full")
        }
        long.signal(SIGINT)
        #expect(try long.finish().status == 214)
        let ran = try waiting.finish()
        #expect(ran.status == 0, "\(ran.errors)")
    }

    /// Who is connected and takes no jobs now is named with that, and not as if nobody were there.
    private func expectResting() throws {
        #expect(try cheap.run(["pause"]).status == 0)
        try seeOffers(1, of: "takes no jobs now")
        let module = try file("nothing.wasm", GuestModules.command("nop"))
        let waiting = try begin(module, [])
        try eventually("it is told who rests") {
            waiting.errorsSoFar.contains(
                "1 executor is known; it cannot now: paused, draining, or outside the hours that their owners gave")
        }
        waiting.signal(SIGINT)
        #expect(try waiting.finish().status == 214)
        #expect(try cheap.run(["resume"]).status == 0)
        try seeOffers(1, of: "region moon")
    }

    // MARK: Files

    private func restart(fileBytesMax bytes: Int) throws {
        #expect(originator.stop() == 0)
        try originator.configure("limits", "file_bytes_max", bytes)
        try originator.start()
        try originator.waitUntilUp()
    }

    /// An input above the node's limit is refused with the key before it is sent, and taken once the key is changed.
    private func expectFiles() throws {
        try restart(fileBytesMax: 1 << 20)
        let copying = try file("copying.wasm", GuestModules.command(GuestModules.copying))
        let long = try file("long", [UInt8](repeating: 7, count: (1 << 20) + 1))
        let refused = try originator.run(["run", copying, "--stdin", long])
        #expect(refused.status == 244, "\(refused.errors)")
        #expect(refused.errors.contains("has more than 1048576 bytes"), "\(refused.errors)")
        #expect(refused.errors.contains("limits.file_bytes_max in this node's config.json"), "\(refused.errors)")
        // What is not held in memory has no such limit.
        #expect(try originator.run(["add", long]).status == 0)
        // More than the 64 MiB that commands once had of their own.
        let count = 65 << 20
        let huge = try file("huge", [UInt8](repeating: 9, count: count))
        try restart(fileBytesMax: 96 << 20)
        try seeOffers(1, of: "region moon")
        let ran = try originator.run(["run", copying, "--stdin", long, "--max-output", "4Mi"])
        #expect(ran.status == 0 && ran.output.utf8.count == (1 << 20) + 1, "\(ran.errors)")
        let added = try originator.run(["add", huge])
        #expect(added.status == 0, "\(added.errors)")
        let copy = folder.appendingPathComponent("copy")
        let cid = added.output.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(try originator.run(["get", cid, "--output", copy.path]).status == 0)
        #expect(try FileManager.default.attributesOfItem(atPath: copy.path)[.size] as? Int == count)
    }
}
