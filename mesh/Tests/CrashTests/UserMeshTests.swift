import Foundation
import Testing

/// A user's day on a mesh of processes: files, jobs of every end, interrupts, and answers for programs.
@Suite("A user's mesh", .serialized, .sharedMesh)
struct UserMeshTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }

    init() throws {
        mesh = try SharedMesh.mesh()
    }

    private func bytes(_ count: Int) -> Data {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        var data = Data(capacity: count)
        while data.count < count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            withUnsafeBytes(of: state) { data.append(contentsOf: $0.prefix(min(8, count - data.count))) }
        }
        return data
    }

    private func file(_ name: String, _ data: Data) throws -> URL {
        let url = mesh.folder.appendingPathComponent(name)
        try data.write(to: url)
        return url
    }

    @Test("Files of no, one and many blocks come out at another node as they went in; a folder is refused")
    func files() throws {
        for count in [0, (1 << 20) + 1, 20_000_000] {
            let original = try file("file-\(count)", bytes(count))
            let added = try originator.run(["add", original.path])
            try #require(added.status == 0, "\(added.errors)")
            let cid = added.output.trimmingCharacters(in: .whitespacesAndNewlines)
            let copy = mesh.folder.appendingPathComponent("copy-\(count)")
            // The announcement to the DHT goes on after the answer.
            try eventually("\(count) bytes are found") {
                try mesh.executors[1].run(["get", cid, "--output", copy.path]).status == 0
            }
            #expect(try Data(contentsOf: copy) == Data(contentsOf: original), "\(count) bytes")
        }
        try expectFolders()
        let refused = try originator.run(["add", mesh.folder.path])
        #expect(refused.status == 246)
        #expect(refused.errors.contains("a folder. Take it with all that is in it by mesh add --home "))
    }

    /// A folder comes out at another node as it went in, by its CID and by paths; it is kept there until it is removed.
    private func expectFolders() throws {
        let source = mesh.folder.appendingPathComponent("source")
        let inner = source.appendingPathComponent("inner")
        try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true)
        try bytes(3_000_000).write(to: inner.appendingPathComponent("large"))
        for number in 0..<40 { try Data("\(number)".utf8).write(to: source.appendingPathComponent("file \(number)")) }
        try FileManager.default.createSymbolicLink(
            atPath: source.appendingPathComponent("link").path, withDestinationPath: "inner/large")
        let added = try originator.run(["add", "-r", source.path, "--json"])
        let first = try #require(try added.json() as? [String: Any], "\(added.errors)")
        let cid = try #require(first["cid"] as? String)
        #expect(first["files"] as? Int == 41 && first["folders"] as? Int == 2 && first["links"] as? Int == 1)
        let again = try originator.run(["add", "-r", source.path, "--json"]).json() as? [String: Any]
        #expect(again?["cid"] as? String == cid && again?["blocks_sent"] as? Int == 0)
        let other = mesh.executors[1]
        let copy = mesh.folder.appendingPathComponent("copy")
        try eventually("the folder is found") { try other.run(["get", cid, "--output", copy.path]).status == 0 }
        for name in ["inner/large", "file 0", "file 39"] {
            let (left, right) = (copy.appendingPathComponent(name), source.appendingPathComponent(name))
            #expect(try Data(contentsOf: left) == Data(contentsOf: right), "\(name)")
        }
        let link = try FileManager.default.destinationOfSymbolicLink(atPath: copy.path + "/link")
        #expect(link == "inner/large")
        #expect(try other.run(["cat", "\(cid)/file 7", "\(cid)/file 8"]).output == "78")
        #expect(try other.run(["ls", "\(cid)/inner"]).output.contains("3,000,000"))
        let facts = try other.run(["stat", cid, "--json"]).json() as? [String: Any]
        #expect(facts?["kind"] as? String == "folder" && facts?["entries"] as? Int == 42)
        // On a third node, which has nothing of it yet.
        let third = mesh.executors[0]
        let pinned = try third.run(["pin", "add", cid])
        #expect(pinned.status == 0 && pinned.output.hasPrefix("Kept \(cid): "), "\(pinned.errors)")
        #expect(try third.run(["gc"]).status == 0)
        #expect(try third.run(["pin", "ls"]).output.contains(cid))
        #expect(try third.run(["pin", "rm", cid]).status == 0)
        #expect(try !third.run(["pin", "ls"]).output.contains(cid))
    }

    @Test("A job whose input and output have many blocks runs; a stranger verifies and replays its receipt")
    func longOutput() throws {
        let module = try mesh.module("copying.wasm", GuestModules.command(GuestModules.copying))
        let input = try file("input", bytes(2_600_000))
        let ran = try originator.run(["run", module, "--stdin", input.path, "--max-output", "4Mi", "--json"])
        try #require(ran.status == 0, "\(ran.errors)")
        let result = try #require((try ran.json() as? [String: Any])?["result"] as? [String: Any])
        let stdout = try #require(result["stdout_cid"] as? String)
        let copy = mesh.folder.appendingPathComponent("stdout")
        #expect(try originator.run(["get", stdout, "--output", copy.path]).status == 0)
        #expect(try Data(contentsOf: copy) == Data(contentsOf: input))
        let receipt = try #require(result["receipt_cid"] as? String)
        for node in [originator] + mesh.executors {
            for what in ["verify", "replay"] {
                let report = try node.run(["receipt", what, receipt])
                #expect(report.status == 0, "\(what): \(report.output)\(report.errors)")
                let verdict =
                    what == "verify"
                    ? "The receipt holds."
                    : "The run was repeated here, with the same outcome, outputs, standard output, standard error, "
                        + "log, files read and fuel as the receipt says."
                #expect(report.output.contains("\n\(verdict)\n"), "\(report.output)")
            }
        }
    }

    @Test("A run that was cancelled is repeated by a stranger up to the fuel that it claims, with what it wrote")
    func cancelledReplay() throws {
        let module = try mesh.module("progressing.wasm", GuestModules.progressing())
        let submitted = try originator.run(["run", module, "--max-fuel", "1T", "--detach"])
        try #require(submitted.status == 0, "\(submitted.errors)")
        let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("it has got to its loop") {
            (try originator.job(id)?["progress_permille"] as? NSNumber)?.intValue == 427
        }
        let cancelled = try originator.run(["cancel", id, "--json"])
        #expect(cancelled.status == 0, "\(cancelled.errors)")
        let waited = try originator.run(["wait", id, "--json"])
        let result = try #require((try waited.json() as? [String: Any])?["result"] as? [String: Any])
        let receipt = try #require(result["receipt_cid"] as? String, "\(waited.output)")
        #expect((result["fuel"] as? NSNumber)?.intValue ?? 0 > 0)
        #expect(result["stdout_cid"] is String)
        for node in [originator] + mesh.executors {
            let report = try node.run(["receipt", "replay", receipt])
            #expect(report.status == 0, "\(report.output)\(report.errors)")
            let verdict =
                "The module had not ended here either before it used the fuel that the receipt claims. The run was "
                + "repeated here, with the same outputs, standard output, standard error, log and files read as the "
                + "receipt says."
            #expect(report.output.contains("\n\(verdict)\n"), "\(report.output)")
            #expect(report.output.contains("no earlier end"))
        }
    }

    @Test("Traps, limits and exit codes are told apart by the exit code")
    func endings() throws {
        let cases: [(body: String, options: [String], status: Int32)] = [
            ("nop", [], 0), ("unreachable", [], 210), ("(call $exit (i32.const 10))", [], 10),
            ("(call $exit (i32.const 125))", [], 125), ("(call $exit (i32.const 230))", [], 125),
            ("(loop $l br $l)", ["--max-fuel", "1M"], 211),
            ("(loop $l br $l)", ["--max-fuel", "1T", "--timeout", "1"], 211),
            ("nop", ["--output", "x=/dev/null"], 215), ("nop", ["--entry", "other"], 213),
        ]
        for (body, options, status) in cases {
            let module = try mesh.module("ending.wasm", GuestModules.command(body))
            let ran = try originator.run(["run", module] + options)
            // What a clock stops on a busy machine is the executor's failure.
            func isStarved(_ ran: NodeProcess.Finished) -> Bool {
                let words = ["the run had the processor for ", "stood still"]
                return options.contains("--timeout") && words.contains { (ran.output + ran.errors).contains($0) }
            }
            if isStarved(ran) { continue }
            #expect(ran.status == status, "\(body) \(options): \(ran.errors)")
            if body.contains("230") {
                #expect(ran.errors.contains("the module ended with exit code 230. mesh exits with 125"))
            }
            let told = try originator.run(["run", module, "--json"] + options)
            if isStarved(told) { continue }
            #expect(told.status == status, "\(body) \(options): \(told.errors)")
            if let report = try? told.json() as? [String: Any] {
                let exit = try #require(report["exit"] as? [String: Any])
                #expect((exit["status"] as? NSNumber)?.int32Value == status)
                #expect(exit["source"] as? String == (status < 200 ? "module" : "mesh"))
            } else {
                let failure = try JSONSerialization.jsonObject(with: Data(told.errors.utf8)) as? [String: Any]
                #expect((failure?["exit_status"] as? NSNumber)?.int32Value == status)
            }
        }
    }

    @Test("Ctrl-C cancels the job and waits for its receipt; a second one leaves, and the job ends all the same")
    func interrupts() throws {
        let module = try mesh.module("endless.wasm", GuestModules.command("(loop $l br $l)"))
        let run = [
            "run", module, "--max-fuel", "1T", "--timeout", "60", "--label", "interrupted", "--home",
            originator.home.path,
        ]
        let once = try RunningCommand(run)
        try eventually("the job runs") { once.errorsSoFar.contains("  starting") }
        once.signal(SIGINT)
        let cancelled = try once.finish()
        #expect(cancelled.status == 214)
        #expect(cancelled.errors.contains("cancelling; once more leaves the job to itself"))
        #expect(cancelled.errors.contains("receipt  "))

        let twice = try RunningCommand(run)
        try eventually("the job runs") { twice.errorsSoFar.contains("  starting") }
        twice.signal(SIGINT)
        try eventually("the first one is heard") { twice.errorsSoFar.contains("cancelling;") }
        twice.signal(SIGTERM)
        let left = try twice.finish()
        // The receipt may come before the second signal does.
        #expect([143, 214].contains(left.status), "\(left.errors)")
        try eventually("every job has ended") {
            let jobs = try #require(try originator.run(["jobs", "--json"]).json() as? [[String: Any]])
            let own = jobs.filter { $0["label"] as? String == "interrupted" }
            return own.count == 2
                && own.allSatisfy { ($0["result"] as? [String: Any])?["ending"] as? String == "cancelled" }
        }
    }

    @Test("An executor's offer is seen soon after it is met, not at the next minute, and is gone when it stops")
    func offers() throws {
        // One of its own, since an executor stops.
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        func offers() throws -> Int {
            let peers = try #require(try mesh.originator.run(["peers", "--json"]).json() as? [[String: Any]])
            return peers.count { ($0["capability"] as? String)?.isEmpty == false }
        }
        try eventually("both offers are seen", seconds: 20) { try offers() == 2 }
        let stopped = try mesh.executors[1].run(["stop"])
        #expect(stopped.status == 0 && stopped.errors.hasPrefix("stopped node …"), "\(stopped.errors)")
        // Without a word of it an offer lasts two minutes.
        try eventually("its offer is taken back", seconds: 60) { try offers() == 1 }
    }

    @Test("With --json every command prints JSON: its answer on standard output or its failure on standard error")
    func everythingIsJSON() throws {
        let module = try mesh.module("nothing.wasm", GuestModules.command("nop"))
        let failing = try mesh.module("trap.wasm", GuestModules.command("unreachable"))
        let unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        let good: [[String]] = [
            ["status"], ["peers"], ["jobs"], ["wallet"], ["run", module], ["run", module, "--detach"],
            ["run", failing], ["run", module, "--output", "x=/dev/null"], ["explain"], ["cancel", "last"],
            ["add", module], ["bench", "jobs", "--count", "2", "--warm-up", "0"],
            ["bench", "run", "--count", "2", "--warm-up", "0"],
            ["bench", "session", "--count", "3", "--warm-up", "0"],
        ]
        let bad: [[String]] = [
            ["jobs", "--limit", "0"], ["explain", "nosuch"], ["cancel", "nosuch"], ["run", "/nowhere.wasm"],
            ["run", originator.home.path + "/config.json"], ["run", module, "--budget", "x"], ["run"],
            ["add", mesh.folder.path], ["get", unknown], ["get", "x"], ["get", "x", "y"],
            ["receipt", "show", unknown], ["receipt", "verify", "x"], ["receipt"], ["bench"], ["init"], ["up"],
            ["connect", "nowhere"], ["connect", "/ip4/127.0.0.1/tcp/1"], ["nosuch"],
        ]
        for arguments in good {
            let told = try originator.run(arguments + ["--json"])
            #expect((try? told.json()) != nil, "\(arguments): \(told.output)")
            // A run may say early who could take it.
            for line in told.errors.split(separator: "\n") {
                let notice = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                #expect(arguments[0] == "run" && notice?["executors"] is [String: Any], "\(arguments): \(told.errors)")
            }
        }
        for arguments in bad {
            let told = try originator.run(arguments + ["--json"])
            #expect(told.status != 0, "\(arguments)")
            #expect(told.output.isEmpty, "\(arguments): \(told.output)")
            let failure = try? JSONSerialization.jsonObject(with: Data(told.errors.utf8)) as? [String: Any]
            let error = failure?["error"] as? [String: Any]
            #expect(error?["message"] is String, "\(arguments): \(told.errors)")
            #expect((failure?["exit_status"] as? NSNumber)?.int32Value == told.status, "\(arguments)")
            #expect((200...249).contains(told.status), "\(arguments): \(told.status)")
        }
    }

    @Test("A key that was used for another job is refused, and for the same job gives the first one")
    func usedKey() throws {
        let module = try mesh.module("nothing.wasm", GuestModules.command("nop"))
        let other = try mesh.module("other.wasm", GuestModules.command("nop (nop)"))
        let key = ["--idempotency-key", "key", "--json"]
        func id(_ ran: NodeProcess.Finished) throws -> String? {
            (try ran.json() as? [String: Any])?["job_id"] as? String
        }
        let first = try originator.run(["run", module] + key)
        try #require(first.status == 0, "\(first.errors)")
        let again = try originator.run(["run", module, "--label", "again"] + key)
        #expect(again.status == 0, "\(again.errors)")
        #expect(try id(again) == id(first))
        let refusals: [(arguments: [String], what: String)] = [
            (["run", other], "module"), (["run", module, "--arg", "x"], "list of arguments"),
            (["run", module, "--stdin", module], "list of inputs"),
            (["run", module, "--max-fuel", "1M"], "fuel limit"),
            (["run", module, "--budget", "7"], "budget"), (["run", module, "--region", "mars"], "list of regions"),
        ]
        for (arguments, what) in refusals {
            let ran = try originator.run(arguments + key)
            #expect(ran.status == 245, "\(arguments): \(ran.output)")
            #expect(ran.errors.contains("\"conflict\""), "\(ran.errors)")
            #expect(ran.errors.contains("which has another \(what)."), "\(ran.errors)")
        }
        // Once the manifest is gone the journal still knows what the job was.
        let job = try #require(try id(first))
        let removed = try originator.run(["rm", job])
        #expect(removed.status == 0, "the books of a job close soon after its result: \(removed.errors)")
        let late = try originator.run(["run", other] + key)
        #expect(late.status == 245 && late.errors.contains("which has another module."), "\(late.errors)")
    }

    @Test("Output that nothing takes is no success")
    func fullOutput() throws {
        let told = try RunningCommand(
            ["-c", "\"$0\" status --home \"$1\" >/dev/full", NodeProcess.mesh.path, originator.home.path],
            program: URL(fileURLWithPath: "/bin/sh")
        ).finish()
        #expect(told.status == 246)
        #expect(told.errors == "mesh: Standard output could not be written: No space left on device.\n")
    }
}
