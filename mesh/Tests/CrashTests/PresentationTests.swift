import Foundation
import Testing

/// What a person reads, as it stands in a terminal of 60 and of 120 columns, and what a program gets instead.
@Suite("What is read", .serialized, .sharedMesh)
final class PresentationTests {
    static let widths = [60, 120]

    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }
    private let short: [String]

    init() throws {
        mesh = try SharedMesh.mesh()
        short = try mesh.executors.map { executor in
            let status = try executor.run(["status", "--json"]).json() as? [String: Any]
            return "…" + (try #require(status?["did"] as? String)).suffix(8)
        }
        try eventually("both offers are seen", seconds: 20) { [originator = mesh.originator] in
            let peers = try #require(try originator.run(["peers", "--json"]).json() as? [[String: Any]])
            return peers.count { ($0["capability"] as? String)?.isEmpty == false } == 2
        }
    }

    /// Nothing ran over the edge, nothing unknown was sent, and no name of the program's own stands there.
    private func isReadable(_ finished: TerminalProcess.Finished, _ columns: Int) {
        let screen = finished.screen
        #expect(screen.overflows.isEmpty, "\(columns): \(screen.overflows)")
        #expect(screen.unknownSequences.isEmpty, "\(columns): \(screen.unknownSequences)")
        for name in ["BiddingOpen", "Awaiting", "ReceiptAnchored", "Failure", "Error(", "descriptor:", "(code"] {
            #expect(!screen.printed.contains(name), "\(columns), \(name):\n\(screen.text)")
        }
    }

    private func hasLine(_ finished: TerminalProcess.Finished, _ text: String) -> Bool {
        finished.screen.lines.contains { $0.trimmingCharacters(in: .whitespaces) == text }
    }

    @Test("A run lists the bids under their bidders, the winner first, and fits its terminal")
    func run() throws {
        let module = try mesh.module("nothing.wasm", GuestModules.command("nop"))
        for columns in Self.widths {
            let ran = try originator.run(["run", module, "--sufficient-bids", "2"], columns: columns)
            #expect(ran.status == 0, "\(ran.screen.text)")
            isReadable(ran, columns)
            let lines = ran.screen.lines
            let title = try #require(lines.firstIndex { $0.contains("2 bids, the one taken first:") }, "\(lines)")
            #expect(ran.screen.printed.contains("waiting for bids"))
            // CIDs stand whole, behind their label where there is room, else on a line of their own.
            let job = try #require(try originator.run(["jobs", "--json"]).json() as? [[String: Any]]).first
            let jobID = try #require(job?["job_id"] as? String)
            let result = try #require(job?["result"] as? [String: Any])
            let receipt = try #require(result["receipt_cid"] as? String)
            let winner = "…" + (try #require(result["executor_did"] as? String)).suffix(8)
            let bids = [short[0]: "100,010", short[1]: "100,020"]
            let (won, lost) = (try #require(bids[winner]), try #require(bids.first { $0.key != winner }))
            #expect(lines[title + 1].hasSuffix("\(winner)  at most \(won) tokens"), "\(lines)")
            #expect(lines[title + 2].hasSuffix("\(lost.key)  at most \(lost.value) tokens"), "\(lines)")
            #expect(ran.screen.text.contains("taken by \(winner), for at most \(won) tokens"), "\(lines)")
            for (label, cid) in [("job      ", jobID), ("receipt  ", receipt)] {
                #expect(hasLine(ran, columns < 69 ? cid : label + cid), "\(columns), \(cid):\n\(ran.screen.text)")
            }
        }
    }

    @Test(
        "A job is starting until it is known to run, with the price so far; Ctrl-C leaves no trace of it")
    func running() throws {
        let module = try mesh.module("endless.wasm", GuestModules.command("(loop $l br $l)"))
        for columns in Self.widths {
            let run = try TerminalProcess(
                ["run", module, "--max-fuel", "1T", "--timeout", "60", "--home", originator.home.path],
                columns: columns)
            // "starting" stands there only until the first report, which may come at once.
            // Its executor reports the fuel that it has used with each third of its lease.
            try run.wait(until: "it runs, and has a price so far") { screen in
                guard let line = screen.lines.last, line.hasPrefix("running ") else { return false }
                return line.contains(" s, at least ") && line.contains(", at most 10,000,0")
            }
            try run.type(TerminalProcess.interruptKey)
            let finished = try run.finish()
            #expect(finished.status == 214, "\(finished.screen.text)")
            isReadable(finished, columns)
            #expect(finished.screen.text.contains("  starting"), "\(finished.screen.text)")
            #expect(hasLine(finished, "cancelling; once more leaves the job to itself"), "\(finished.screen.text)")
            #expect(!finished.screen.lines.contains { $0.hasPrefix("running ") }, "\(finished.screen.text)")
        }
    }

    @Test("Compiling is called that, with its time and the most that it may take, in the run, in listings and as JSON")
    func compiling() throws {
        for (columns, functions) in [(60, 900), (120, 901)] {
            // Nobody has compiled it before.
            let module = try mesh.module("heavy-\(functions).wasm", GuestModules.heavy(functions: functions))
            let run = try TerminalProcess(["run", module, "--home", originator.home.path], columns: columns)
            try run.wait(until: "it compiles") { screen in
                guard let line = screen.lines.last, line.hasPrefix("compiling the module ") else { return false }
                return line.contains(" s of at most ") || line.contains(" ms of at most ")
            }
            // It may be over meanwhile: then it is not called compiling any more.
            for node in [originator] + mesh.executors {
                let listed = try #require(try node.run(["jobs", "--json"]).json() as? [[String: Any]]).first
                let isPreparing = listed?["phase"] as? String == "PreparingExecution"
                let preparation = listed?["preparation"] as? [String: Any]
                #expect(isPreparing || preparation == nil, "\(String(describing: listed))")
            }
            let finished = try run.finish()
            #expect(finished.status == 0, "\(finished.screen.text)")
            isReadable(finished, columns)
            let lines = finished.screen.lines
            let told = try #require(lines.firstIndex { $0.hasSuffix("  compiling the module") }, "\(lines)")
            let before = try #require(lines.firstIndex { $0.contains("taken by ") }, "\(lines)")
            let after = try #require(lines.firstIndex { $0.contains("  the receipt is here, price ") }, "\(lines)")
            #expect(before < told && told < after, "\(lines)")
            #expect(!lines.contains { $0.hasPrefix("compiling ") }, "nothing of it is left: \(lines)")
        }
    }

    @Test("A job that is too dear is told with the price in groups")
    func tooDear() throws {
        let module = try mesh.module("nothing.wasm", GuestModules.command("nop"))
        for columns in Self.widths {
            let ran = try originator.run(
                ["run", module, "--budget", "5", "--timeout", "2", "--bid-window", "500"], columns: columns)
            #expect(ran.status != 0)
            isReadable(ran, columns)
            #expect(ran.screen.text.contains("up to 100,010"), "\(ran.screen.text)")
        }
    }

    @Test("Peers have one short name; --full tells all of them; programs get the same as ever")
    func peers() throws {
        let known = try #require(try originator.run(["peers", "--json"]).json() as? [[String: Any]])
        let dids = known.compactMap { $0["did"] as? String }
        let ids = known.compactMap { $0["peer_id"] as? String }
        let addresses = known.flatMap { $0["addresses"] as? [String] ?? [] }
        try #require(dids.count == 2 && ids.count == 2 && addresses.count >= 2)
        for columns in Self.widths {
            let listed = try originator.run(["peers"], columns: columns)
            isReadable(listed, columns)
            for did in dids { #expect(listed.screen.text.contains("…\(did.suffix(8))"), "\(listed.screen.text)") }
            for id in ids { #expect(!listed.screen.text.contains(id.suffix(8)), "\(listed.screen.text)") }
            let full = try originator.run(["peers", "--full"], columns: columns)
            isReadable(full, columns)
            for whole in dids + ids + addresses {
                #expect(full.screen.text.contains(whole), "\(columns), \(whole):\n\(full.screen.text)")
            }
        }
        // A peer that is connected is not dialed at another address, and that is said.
        let elsewhere = "/ip4/127.0.0.1/tcp/1/p2p/\(ids[0])"
        let again = try originator.run(["connect", elsewhere])
        #expect(again.status == 0 && again.errors == "It was connected already; \(elsewhere) was not tried.\n")
        #expect(again.output.contains("\nconnected at  /ip4/127.0.0.1/tcp/"), "\(again.output)")
        let told = try #require(try originator.run(["connect", elsewhere, "--json"]).json() as? [String: Any])
        #expect(told["was_connected"] as? Bool == true && (told["connections"] as? [String])?.isEmpty == false)
        let piped = try originator.run(["peers", "--full"])
        for did in dids { #expect(piped.output.contains("DID         \(did)\n"), "\(piped.output)") }
    }

    @Test("The status groups its counters and names them for people; their names for programs stay")
    func status() throws {
        let module = try mesh.module("nothing.wasm", GuestModules.command("nop"))
        try #require(try originator.run(["run", module]).status == 0)
        for columns in Self.widths {
            let shown = try originator.run(["status"], columns: columns)
            isReadable(shown, columns)
            for title in ["Storage", "Peers"] { #expect(hasLine(shown, title), "\(shown.screen.text)") }
            #expect(shown.screen.text.contains("  connections opened "), "\(shown.screen.text)")
            for name in ["store_", "swarm_", "connections_opened"] { #expect(!shown.screen.printed.contains(name)) }
        }
        let status = try #require(try originator.run(["status", "--json"]).json() as? [String: Any])
        let names = try #require(status["counters"] as? [[String: Any]]).compactMap { $0["name"] as? String }
        for name in ["store_commits", "store_blocks", "swarm_connections_opened"] { #expect(names.contains(name)) }
        for name in names { #expect(name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(name)") }
    }

    @Test("Every listing fits its terminal, and a pipe gets whole lines")
    func listings() throws {
        let module = try mesh.module("nothing.wasm", GuestModules.command("nop"))
        try #require(try originator.run(["run", module, "--label", "a job with quite a long name"]).status == 0)
        let listings = [
            ["wallet"], ["status"], ["peers"], ["jobs"], ["explain"], ["--help"], ["run", "--help"],
            ["peers", "--help"],
        ]
        for arguments in listings {
            for columns in Self.widths {
                let shown =
                    arguments.last == "--help"
                    ? try TerminalProcess.run(arguments, columns: columns)
                    : try originator.run(arguments, columns: columns)
                #expect(shown.status == 0)
                #expect(shown.screen.overflows.isEmpty, "\(arguments), \(columns): \(shown.screen.overflows)")
            }
        }
        let piped = try originator.run(["explain"])
        #expect(piped.output.split(separator: "\n").contains { $0.count > 120 }, "\(piped.output)")
    }

    @Test("What fails says so in words, beginning alike, and fits; with --json the same sentence")
    func failures() throws {
        let unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
        let cases: [(arguments: [String], status: Int32, words: String)] = [
            (["connect", "nowhere"], 200, "it does not begin with a slash"),
            (["connect", "/ip4/127.0.0.1/tcp/1"], 242, "connection refused"),
            (["connect", "/ip4/127.0.0.1/tcp/x"], 200, "the value of tcp is not valid"),
            (["get", unknown], 240, "of 2 peers asked, 2 did not have it"),
            (["receipt", "show", unknown], 240, "is neither on this node nor found in the mesh"),
            (["explain", "nosuch"], 240, "No job is called \"nosuch\""),
            (["explain", "abc"], 200, "a part of an ID has at least 4 characters"),
            (["receipt", "verify", "abc"], 200, "a part of an ID has at least 4 characters"),
            (["run", "--budget", "1,00", "x"], 200, "it is a number of tokens"),
            (["rn"], 200, "Did you mean mesh run?"), (["receipt", "verfy"], 200, "Did you mean mesh receipt verify?"),
            (["run", "--max-ful", "3", "x"], 200, "Did you mean '--max-fuel'?"), (["run"], 200, "Missing expected"),
            (["jobs", "--limit", "0"], 200, "--limit must be from 1 to"),
        ]
        for (arguments, status, words) in cases {
            let home = status == 200 && arguments[0] != "connect" ? [] : ["--home", originator.home.path]
            for columns in Self.widths {
                let shown = try TerminalProcess.run(arguments + home, columns: columns)
                #expect(shown.status == status, "\(arguments): \(shown.screen.text)")
                isReadable(shown, columns)
                #expect(shown.screen.text.hasPrefix("mesh:"), "\(arguments): \(shown.screen.text)")
                let flat = shown.screen.lines.joined(separator: " ").split(separator: " ").joined(separator: " ")
                #expect(flat.contains(words), "\(arguments): \(flat)")
            }
            let told = try NodeProcess.command(arguments + home + ["--json"])
            let failure = try JSONSerialization.jsonObject(with: Data(told.errors.utf8)) as? [String: Any]
            let message = (failure?["error"] as? [String: Any])?["message"] as? String
            #expect(message?.contains(words) == true, "\(arguments): \(told.errors)")
        }
    }
}
