import ArgumentParser
import Foundation
import Multiformats
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshCLI

/// Jobs as people see them: in a listing, on a page, as a story; and what a command asks the node for.
@Suite struct CLIListingTests {
    private static let receipt = Samples.receiptCID.text
    private static let did = "did:key:z6MkvZcEntatYV3XoqugdBKNmrswsznFWpN2k7BBE1RuvcA8"

    private func job(
        _ role: JobSide, _ outcome: JobOutcome, _ change: (inout JobView) -> Void = { _ in }
    ) -> JobView {
        var job = JobView(
            jobID: Samples.jobID.text, role: role.rawValue, phase: "Running", status: "Running", outcome: outcome,
            reason: "because", isTerminal: !outcome.isUnderWay, submittedAt: 1_000, updatedAt: 2_000)
        change(&job)
        return job
    }

    @Test func everyOutcomeIsAFewPlainWords() {
        let cases: [(JobView, String)] = [
            (job(.originator, .running) { $0.progressPermille = 427 }, "running 42 %"),
            (job(.originator, .running), "running"), (job(.originator, .bidding), "waiting for bids"),
            (job(.originator, .succeeded), "succeeded"),
            (job(.originator, .exitedNonZero) { $0.exitCode = 3 }, "exit 3"),
            (job(.originator, .limitExceeded) { $0.limit = "fuel" }, "out of fuel"),
            (job(.originator, .limitExceeded) { $0.limit = "wall_clock" }, "out of time"),
            (job(.originator, .trapped), "trapped"), (job(.originator, .cancelled), "cancelled"),
            (job(.originator, .noBids), "no executor"), (job(.executor, .bidding), "bid open"),
            (job(.executor, .assigned), "won and waiting"), (job(.originator, .preparing), "preparing"),
            (
                job(.originator, .preparing) { $0.preparation = .init(step: "fetching", fetchedBytes: 3 << 20) },
                "fetching, 3.00 MiB"
            ),
            (job(.originator, .preparing) { $0.preparation = .init(step: "fetching", fetchedBytes: 0) }, "fetching"),
            (
                job(.executor, .preparing) { $0.preparation = .init(step: "compiling", compilingMilliseconds: 12_300) },
                "won and compiling, 12.3 s"
            ),
            (job(.originator, .preparing) { $0.preparation = .init(step: "waiting") }, "waiting to run"),
            (job(.originator, .preparing) { $0.preparation = .init(step: "baking") }, "preparing"),
            (job(.executor, .running) { $0.progressPermille = 1_000 }, "running 100 %"),
            (job(.executor, .lost), "lost"),
            (
                job(.executor, .lost) { ($0.winnerDID, $0.winnerPrice) = (Self.did, 1_200) },
                "lost to …E1RuvcA8 at 1,200"
            ),
            (job(.executor, .succeeded) { $0.payment = .paid }, "succeeded, paid"),
            (job(.executor, .exitedNonZero) { ($0.exitCode, $0.payment) = (3, .due) }, "exit 3, payment due"),
            (job(.executor, .cancelled) { $0.payment = JobPayment.none }, "cancelled"),
            (job(.executor, .trapped) { $0.payment = .overdue }, "trapped, not paid"),
        ]
        for (job, words) in cases { #expect(JobWords.outcome(job) == words) }
        for role in JobSide.allCases {
            for outcome in JobOutcome.allCases {
                let words = JobWords.outcome(job(role, outcome))
                #expect(!words.isEmpty && words.count <= 24 && !words.contains("_"), "\(outcome)")
                let isFailure = words.contains("fail") && outcome == .cancelled
                #expect(!isFailure, "what was cancelled did not fail")
            }
        }
    }

    private var jobs: [JobView] {
        [
            job(.executor, .lost) {
                ($0.winnerDID, $0.winnerPrice, $0.counterpartyDID, $0.price) = (Self.did, 40, Self.did, 100_050)
                $0.label = "a label that is rather long, as labels of people often are"
            },
            job(.originator, .exitedNonZero) {
                ($0.exitCode, $0.receiptCID, $0.counterpartyDID) = (3, Self.receipt, Self.did)
                $0.label = "count.wasm"
            },
        ]
    }

    @Test(arguments: [30, 60, 79, 120, 200])
    func aListingFitsTheTerminalAndReceiptsStayWhole(_ width: Int) {
        let text = JobTable(jobs, full: false, now: 9_000).text(width: width)
        let lines = text.split(separator: "\n")
        for line in lines where !line.contains(Self.receipt) { #expect(line.count <= width, "\(line)") }
        #expect(lines.count { $0.contains(Self.receipt) } == 1)
        #expect(lines.count == (text.contains("\n/ RECEIPT") ? 5 : 4))
        #expect(text.contains("  receipt  ") || text.contains("/ RECEIPT"), "what stands alone is named: \(text)")
        let table = JobTable(jobs, full: false, now: 9_000)
        let missing = table.leftOut(width: width) ?? ""
        for title in ["AS", "SUBMITTED", "PRICE", "WITH", "WHAT"] {
            let isShown = lines.first?.contains(title) == true
            #expect(isShown != missing.contains(title), "\(title): \(missing)")
        }
        if width >= 59 {
            #expect(lines.allSatisfy { $0.count <= width })
            #expect(text.contains("SUBMITTED") && text.contains("WHAT") && text.contains("a label"), "\(text)")
            #expect(text.contains("lost to …E1RuvcA8 at 40") && text.contains("exit 3"), "\(text)")
        }
        if width >= 79 { #expect(text.contains("count.wasm") && text.contains("AS "), "\(text)") }
        if width >= 120 { #expect(missing.isEmpty && text.contains("orig.") && text.contains("exec.")) }
    }

    @Test func aFileOrAPipeGetsOneLinePerJob() {
        let lines = JobTable(jobs, full: false, now: 9_000).text(width: nil).split(separator: "\n")
        #expect(lines.count == 3 && lines[0].hasSuffix("  RECEIPT") && lines[2].hasSuffix("  " + Self.receipt))
    }

    @Test func whileBidsAreAwaitedALostExecutorIsNotListed() {
        func text(_ role: JobSide, _ outcome: JobOutcome) -> String {
            let one = job(role, outcome) { ($0.price, $0.counterpartyDID) = (100_050, Self.did) }
            return JobTable([one], full: false, now: 9_000).text(width: 200)
        }
        for outcome in [JobOutcome.announcing, .bidding] {
            #expect(!text(.originator, outcome).contains("100,050") && !text(.originator, outcome).contains("E1RuvcA8"))
        }
        let others = [text(.originator, .assigned), text(.originator, .succeeded), text(.executor, .bidding)]
        for other in others { #expect(other.contains("100,050") && other.contains("E1RuvcA8"), "\(other)") }
    }

    @Test func aPriceIsCalledPaidOnlyWhereItIs() {
        func told(_ role: JobSide, _ outcome: JobOutcome, receipt: Bool) -> String {
            let one = job(role, outcome) { ($0.price, $0.receiptCID) = (100_075, receipt ? Self.receipt : nil) }
            let fact = JobWords.priceFact(one).map { "\($0.name) \($0.value)" } ?? "-"
            return "\(JobWords.priceCell(one)); \(fact)"
        }
        let rows: [(role: JobSide, outcome: JobOutcome, receipt: Bool, told: String)] = [
            (.originator, .running, false, "max 100,075; held 100,075 tokens, the most that it may cost"),
            (.originator, .exitedNonZero, true, "100,075; paid 100,075 tokens"),
            (.originator, .executorsFailed, false, "; paid nothing; what was held came back"),
            (.originator, .crashesEngine, false, "; paid nothing; what was held came back"),
            (.originator, .cancelled, false, "; paid nothing; what was held came back"),
            (.originator, .bidding, false, "; -"),
            (.executor, .bidding, false, "max 100,075; price at most 100,075 tokens"),
            (.executor, .lost, false, "max 100,075; bid at most 100,075 tokens"),
            (.executor, .succeeded, true, "100,075; price 100,075 tokens"), (.executor, .failed, false, "; -"),
        ]
        for row in rows { #expect(told(row.role, row.outcome, receipt: row.receipt) == row.told) }
    }

    @Test func aPageSaysWhenTheJobEnded() {
        var description = Samples.description
        description.job.updatedAt = 1_700_000_090_000
        description.movements.append(
            .init(at: 1_700_000_030_000, kind: "refund", debit: "escrow", credit: "wallet", amount: 4, jobID: nil))
        let text = JobPageText(description, full: false, now: 1_700_000_100_000).text(width: nil)
        #expect(text.contains("ended      2023-11-14 22:13:50Z, 1 min ago\n"), "\(text)")
        #expect(text.contains("deadline ") && !text.contains("over at"), "\(text)")
        description.job.outcome = .running
        #expect(JobPageText(description, full: false, now: 1_700_000_100_000).text(width: nil).contains("changed "))
    }

    @Test func whatWasNotWrittenIsToldWithWhatWas() {
        #expect(
            JobOutputs.absence(of: "foo", among: ["report", "stdout"])
                == "mesh: The job wrote no output called \"foo\"; there are \"report\", \"stdout\".")
        #expect(JobOutputs.absence(of: "foo", among: []).hasSuffix("; it wrote none."))
        let many = JobOutputs.absence(of: "foo", among: (0..<20).map { "o\($0)" })
        #expect(many.hasSuffix("\"o7\" and 12 more."), "\(many)")
    }

    @Test func whatATerminalCannotShowIsNotWrittenToIt() {
        for text in ["", "plain", "Grüße, 世界", String(repeating: "世", count: 5_000)] {
            #expect(!Get.isBinary(Array(text.utf8)), "\(text.prefix(9))")
        }
        for bytes in [BenchJobs.emptyModule, [0xFF, 0xD8, 0xFF, 0xE0, 0x10, 0x4A, 0x46, 0x49], [0]] {
            #expect(Get.isBinary(bytes))
        }
        #expect(Get.binary("bafy", bytes: 1_234).message == "bafy is binary, 1,234 bytes.")
    }

    @Test func aStoryHasPlainWordsForTheStatesOfEachSide() {
        let lines = ["BiddingOpen", "Assigned", "ReceiptAnchored", "Later"].enumerated().map { index, phase in
            JobExplanation.Line(at: UInt64(index), phase: phase, text: "something")
        }
        for (role, words) in [
            (JobSide.originator, ["waiting for bids", "with the executor", "finished", "Later"]),
            (.executor, ["bid open", "won and waiting", "finished", "Later"]),
        ] {
            let text = Explain.story(JobExplanation(job: job(role, .succeeded), lines: lines))
            for word in words { #expect(text.contains("  \(word)  "), "\(text)") }
            for name in ["BiddingOpen", "ReceiptAnchored", "Assigned"] { #expect(!text.contains(name), "\(text)") }
        }
    }

    @Test func aJobWithoutALabelSaysOnlyWhatBecameOfIt() {
        let unlabelled = job(.originator, .exitedNonZero) { view in
            view.exitCode = 3
            view.result = JobResult(ending: .exitedNonZero, detail: "the module ended with exit code 3")
        }
        for width in [nil, 200] {
            let text = JobTable([unlabelled], full: false, now: 9_000).text(width: width)
            #expect(text.contains("exit 3") && !text.contains("the module ended") && !text.contains("because"))
        }
    }

    @Test(arguments: [60, 120])
    func aPageAndAStoryFitTheTerminal(_ width: Int) {
        let line = JobExplanation.Line(
            at: 12, phase: "ReceiptGenerated",
            text: "A valid receipt came: \(Self.receipt) by E1RuvcA8: the module ended with exit code 0, 5 fuel, "
                + "0 outputs, price 40.")
        let explanation = JobExplanation(job: Samples.job, lines: [line, line])
        let texts = [
            JobPageText(Samples.description, full: false, now: 1_700_000_100_000).text(width: width),
            Explain.story(explanation, width: width),
        ]
        for text in texts {
            for line in text.split(separator: "\n") { #expect(line.count <= width, "\(line)") }
            #expect(text.contains(Self.receipt) && text.contains(Samples.jobID.text))
        }
        for words in ["price 400 > max 100", "and 3 more", "counts", "hold 40 tokens", "fuel at most", "5,000,000"] {
            #expect(texts[0].contains(words), "\(words)")
        }
    }

    @Test func textIsBrokenBetweenWordsOnly() {
        #expect(TextLayout.lines(of: "aa bb cc dd", columns: 5, hanging: 2) == ["aa bb", "  cc", "  dd"])
        let indent = String(repeating: " ", count: 10)
        #expect(
            TextLayout.lines(of: "\(indent)x \(Self.receipt), y", columns: 60)
                == ["\(indent)x", "\(Self.receipt),", "\(indent)y"])
        #expect(TextLayout.cut("abcdef", to: 4) == "abc…" && TextLayout.cut("abcd", to: 4) == "abcd")
    }

    @Test func theOptionsOfAListingReachTheNode() async throws {
        let parsed = try #require(
            try Mesh.parseAsRoot([
                "jobs", "--status", "failed", "--status", "no-executor", "--role", "executor", "--label", "a b",
                "--since",
                "2026-11-27", "--limit", "7",
            ]) as? Jobs)
        #expect(parsed.status.map(\.status.name) == ["failed", "no_executor"])
        #expect(parsed.role == .executor && parsed.label == "a b" && parsed.limit == 7)
        #expect(parsed.since == 1_795_737_600_000)
        #expect(try JobDate.since("2026-11-27T08:30:00Z") == 1_795_768_200_000)
        let now = UInt64(Date().timeIntervalSince1970 * 1_000)
        let ago = try JobDate.since("2h")
        #expect(ago <= now - 7_200_000 + 60_000 && ago >= now - 7_200_000 - 60_000)
        for bad in ["", "h", "-2h", "2x", "yesterday", "99999999999999999999d"] {
            #expect(throws: ValidationError.self) { try JobDate.since(bad) }
        }
        for arguments in [["--status", "nosuch"], ["--role", "both"], ["--since", "x"], ["--limit", "0"]] {
            #expect(throws: (any Error).self) { try Mesh.parseAsRoot(["jobs"] + arguments) }
        }
        for bad in ["", "s", "1.5", "2w"] { #expect(throws: ValidationError.self) { try Quantity.seconds(bad) } }
    }

    @Test func aStatusIsAnOutcomeOrAGroupOfThem() {
        #expect(JobStatusName("failed")?.outcomes.contains(.cancelled) == false)
        #expect(JobStatusName("failed")?.outcomes.contains(.noBids) == true)
        #expect(JobStatusName("Cancelled")?.outcomes == [.cancelled])
        #expect(JobStatusName("exited-non-zero")?.outcomes == [.exitedNonZero])
        #expect(JobStatusName("CompletedSuccessfully")?.outcomes == [.succeeded])
        #expect(JobStatusName("unpaid")?.payments == [.due, .overdue, .refused])
        #expect(JobStatusName("x") == nil)
        #expect(JobStatusName("no-executor")?.outcomes == [.noBids], "what OUTCOME calls so, and nothing else")
        for word in ["paid", "no executor", "out of fuel", "exit 3", "bid refused", "won and waiting"] {
            #expect(JobStatusFilter.choices.contains(word), "\(word)")
        }
        #expect(!JobStatusFilter.choices.contains("no_bids") && !JobStatusFilter.choices.contains("exited_non_zero"))
        let split = (JobStatusName("open")?.outcomes ?? []) + (JobStatusName("ended")?.outcomes ?? [])
        #expect(Set(split) == Set(JobOutcome.allCases) && split.count == JobOutcome.allCases.count)
        for name in JobStatusName.all { #expect(JobStatusName(name) != nil, "\(name)") }
        for ending in JobEnding.allCases { #expect(JobOutcome(ending).rawValue == ending.rawValue) }
    }

    @Test func aStatusIsAlsoWhatTheTableShows() async throws {
        let shown: [(String, JobOutcome)] = [
            ("exit 1", .exitedNonZero), ("exit-1", .exitedNonZero), ("out of fuel", .limitExceeded),
            ("out-of-fuel", .limitExceeded), ("table_too_large", .limitExceeded), ("Invalid Receipt", .receiptInvalid),
            ("won and preparing", .preparing), ("waiting for bids", .bidding), ("failed here", .executorsFailed),
        ]
        for (text, outcome) in shown {
            let filter = try #require(JobStatusFilter(text), "\(text)")
            #expect(filter.status.outcomes == [outcome] && filter.words != nil, "\(text)")
        }
        #expect(JobStatusFilter("no acceptable bid")?.status.outcomes == [.noAcceptableBid])
        #expect(JobStatusFilter("crashes engine")?.status.outcomes == [.crashesEngine])
        for name in JobStatusName.all { #expect(JobStatusFilter(name)?.words == nil, "\(name)") }
        for bad in ["", "exit x", "exit", "out of", "fuel", "succeeded x"] { #expect(JobStatusFilter(bad) == nil) }

        var script = ScriptedNode.Script()
        let one = job(.executor, .exitedNonZero) { ($0.exitCode, $0.payment) = (1, .paid) }
        let ten = job(.originator, .exitedNonZero) { $0.exitCode = 10 }
        let fuel = job(.originator, .limitExceeded) { $0.limit = "fuel" }
        let memory = job(.originator, .limitExceeded) { $0.limit = "memory" }
        script.jobs = [ten, one, memory, fuel, one]
        let node = ScriptedNode(script: script)
        func found(_ statuses: [String], limit: Int = 20) async throws -> JobPage {
            let filters = statuses.compactMap { JobStatusFilter($0) }
            return try await JobStatusFilter.page(
                JobQuery(limit: limit, statuses: filters.map(\.status)), filters, on: node)
        }
        #expect(try await found(["exit 1"]) == JobPage(jobs: [one, one]))
        #expect(try await found(["out-of-fuel", "exit 10"]) == JobPage(jobs: [ten, fuel]))
        #expect(try await found(["exit 1", "limit-exceeded"]) == JobPage(jobs: [one, memory, fuel, one]))
        #expect(try await found(["exit 1"], limit: 1) == JobPage(jobs: [one], next: one.jobID))
    }

    @Test func aJobIsLookedUpByTheNodeAndTheLastIsOnesOwn() async throws {
        let (seen, sink) = AsyncStream.makeStream(of: JobQuery.self)
        var script = ScriptedNode.Script()
        script.listed = { sink.yield($0) }
        let other = job(.executor, .lost) { $0.jobID = Samples.receiptCID.text }
        script.jobs = [other, Samples.job]
        let node = ScriptedNode(script: script)
        #expect(try await JobReference.resolve("last", on: node) == Samples.jobID)
        script.jobs = [other]
        #expect(try await JobReference.resolve("last", on: ScriptedNode(script: script)) == Samples.receiptCID)
        let end = String(Samples.jobID.text.suffix(8))
        #expect(try await JobReference.resolve(end, on: node) == Samples.jobID)
        let many = NodeServiceError(
            .invalidRequest, "More than one job is called \"bafyrei\".", hint: "Give more of the job's ID.")
        await #expect(throws: many) { _ = try await JobReference.resolve("bafyrei", on: node) }
        sink.finish()
        var queries: [JobQuery] = []
        for await query in seen { queries.append(query) }
        #expect(queries.first == JobQuery(limit: 1, role: .originator))
        #expect(queries.contains(JobQuery(limit: 2, named: end)))
    }

    @Test func whatIsRemovedIsACIDOrAJobByAnyOfItsNames() async throws {
        let node = ScriptedNode()
        let other = CID.hashing([7], codec: .raw)
        #expect(try await Remove.named(other.text, on: node) == other)
        for name in ["last", Samples.jobID.text, String(Samples.jobID.text.suffix(8))] {
            #expect(try await Remove.named(name, on: node) == Samples.jobID, "\(name)")
        }
        let unknown = NodeServiceError(
            .jobNotFound, "\"zzzzzzzz\" is no CID, and no job is called so.",
            hint: "mesh jobs lists the jobs; the CID of a file is what mesh add printed.")
        await #expect(throws: unknown) { _ = try await Remove.named("zzzzzzzz", on: node) }
    }

    @Test func whatIsFetchedIsNamedByItsWholeCID() throws {
        #expect(try TreePath(Self.receipt) == TreePath(root: Samples.receiptCID, names: []))
        for name in ["last", String(Self.receipt.suffix(8))] {
            do {
                _ = try TreePath(name)
                Issue.record("\(name) is no CID")
            } catch {
                #expect(error.message == "\"\(name)\" is no CID.")
                #expect(error.hint?.contains("mesh receipt show") == true, "\(error)")
            }
        }
    }

    @Test func waitingEndsWithTheJobOrWithItsTime() async throws {
        let (events, _) = AsyncStream.makeStream(of: JobProgress.self)
        var script = ScriptedNode.Script(events: events)
        var open = Samples.job
        (open.outcome, open.isTerminal, open.result) = (.running, false, nil)
        script.job = open
        let waiter = JobWaiter(node: ScriptedNode(script: script), jobID: Samples.jobID)
        let late = NodeServiceError(
            .timedOut, "The job was not over within 0 s; it is still there: running.",
            hint: "Wait longer, or end it with mesh cancel.")
        await #expect(throws: late) { _ = try await waiter.result(seconds: 0) }
        let (ending, sink) = AsyncStream.makeStream(of: JobProgress.self)
        sink.yield(JobProgress(kind: .result, phase: "", text: "", at: 3, result: Samples.result))
        script.events = ending
        let ended = JobWaiter(node: ScriptedNode(script: script), jobID: Samples.jobID)
        #expect(try await ended.result(seconds: 600) == Samples.result)
        // An executor knows the end of its own run, and of no job on which it only bid.
        open.role = "executor"
        script.job = open
        let running = JobWaiter(node: ScriptedNode(script: script), jobID: Samples.jobID)
        await #expect(throws: late) { _ = try await running.result(seconds: 0) }
        (open.outcome, open.isTerminal, open.exitCode) = (.exitedNonZero, true, 3)
        script.job = open
        let ended2 = try await JobWaiter(node: ScriptedNode(script: script), jobID: Samples.jobID).result(seconds: nil)
        #expect(ExitStatus.code(for: ended2) == 3 && ended2.receiptCID == Self.receipt)
        for outcome in [JobOutcome.bidding, .lost] {
            (open.outcome, open.isTerminal) = (outcome, outcome == .lost)
            script.job = open
            do {
                _ = try await JobWaiter(node: ScriptedNode(script: script), jobID: Samples.jobID).result(seconds: nil)
                Issue.record("a bidder does not know the end")
            } catch let error as NodeServiceError {
                #expect(error.message.hasPrefix("This node has only bid on the job"), "\(error)")
            }
        }
    }

    @Test func aFailureSaysWhereItsStandardErrorIs() {
        var result = JobResult(ending: .exitedNonZero, detail: "the module ended with exit code 1")
        result.exitCode = 1
        let bare = "The job failed: the module ended with exit code 1."
        #expect(Run.sentence(result, of: Samples.jobID.text) == bare)
        result.stderrCID = Self.receipt
        #expect(Run.sentence(result) == bare + " Its standard error above may say why.")
        let command = "mesh outputs \(Readable.short(Samples.jobID.text)) --output stderr=-"
        #expect(
            Run.sentence(result, of: Samples.jobID.text)
                == bare + " \(command) prints its standard error, which may say why.")
    }

    @Test func streamsAreOutputsUnlessTheModuleGaveTheirNamesToOthers() {
        var result = Samples.result
        #expect(JobOutputs.all(of: result).map(\.name) == ["report", "stdout"])
        result.outputs.append(NamedCID(name: "stdout", cid: "named"))
        #expect(JobOutputs.all(of: result).map(\.cid) == [Self.receipt, "named"])
    }

    @Test func whatWasWrittenAndWhereConnectionsLeadIsSaid() {
        #expect(
            Get.written(1, to: "f") == "wrote 1 byte to f" && Get.written(12_345, to: "f") == "wrote 12,345 bytes to f")
        var peer = Samples.peer
        let there = "/ip4/10.0.0.1/tcp/4001"
        #expect(Connect.note(peer, asked: there) == nil, "a node of an earlier version does not say")
        peer.connections = [there]
        #expect(Connect.note(peer, asked: there) == nil && Connect.note(peer, asked: there + "/p2p/12D3KooW") == nil)
        let elsewhere = "/ip4/10.0.0.9/tcp/1/p2p/12D3KooW"
        #expect(Connect.note(peer, asked: elsewhere)?.hasPrefix("It answered at another of its addresses") == true)
        peer.wasConnected = true
        #expect(Connect.note(peer, asked: elsewhere) == "It was connected already; \(elsewhere) was not tried.")
        #expect(Connect.note(peer, asked: there) == "It was connected there already.")
        #expect(PeerList.facts(peer).contains("connected at  \(there)\n"))
    }

    @Test func outputsGoToFilesOfTheirNamesAndNowhereElse() async throws {
        var view = Samples.job
        let outputs = try await JobOutputs.of(view, on: ScriptedNode())
        #expect(outputs.map(\.name) == ["report", "stdout"])
        var report = OutputReport(jobID: view.jobID, outputs: outputs)
        report.choose(try #require(NamedPath(argument: "report=/tmp/r")))
        report.choose(try #require(NamedPath(argument: "nosuch=/tmp/x")))
        #expect(report.outputs[0].file == "/tmp/r" && report.missing == ["nosuch"])
        let folder = try TestFolder()
        try report.choose(into: folder.path + "/new")
        #expect(report.outputs.map(\.file) == [folder.path + "/new/report", folder.path + "/new/stdout"])
        for name in ["../up", "/etc/passwd", "..", ".", "a/b", "x\u{202E}y"] {
            var evil = OutputReport(jobID: "", outputs: [.init(name: name, cid: "")])
            #expect(throws: NodeServiceError.self) { try evil.choose(into: folder.path) }
        }
        (view.outcome, view.isTerminal, view.result, view.receiptCID) = (.running, false, nil, nil)
        for (role, command) in [("originator", "mesh wait"), ("executor", "mesh describe")] {
            view.role = role
            do {
                _ = try await JobOutputs.of(view, on: ScriptedNode())
                Issue.record("a job that is not over has no outputs")
            } catch {
                #expect((error as? NodeServiceError)?.hint?.hasPrefix(command) == true, "\(error)")
            }
        }
    }

    @Test func aNodeThatOnlyBidSaysThatItDoesNotKnowTheRest() async {
        let lost = job(.executor, .lost) { ($0.winnerDID, $0.winnerPrice) = (Self.did, 40) }
        do {
            _ = try await JobOutputs.of(lost, on: ScriptedNode())
            Issue.record("a bidder does not know what the job wrote")
        } catch {
            let error = error as? NodeServiceError
            let why = "(lost to …E1RuvcA8 at 40), so it does not know what the job wrote."
            #expect(error?.message == "This node only bid on the job \(why)")
            #expect(error?.hint?.contains("originator") == true)
        }
        do {
            _ = try ReceiptReference.only(of: lost)
            Issue.record("a bidder has no receipt")
        } catch {
            #expect(error.code == .receiptNotFound)
            #expect(error.message.hasSuffix("(lost to …E1RuvcA8 at 40), so it does not know its receipt."))
        }
        #expect(
            Cancel.sentence(JobCancellation(job: lost, wasOver: true), now: 62_000)
                == "This node's bid was over already (lost to …E1RuvcA8 at 40, 1 min ago); nothing was cancelled. "
                + "Only the job's originator can cancel the job.")
    }

    @Test func cancellingWhatIsOverSaysSo() {
        let over = JobCancellation(job: job(.originator, .exitedNonZero) { $0.exitCode = 3 }, wasOver: true)
        #expect(
            Cancel.sentence(over, now: 62_000) == "The job was over already (exit 3, 1 min ago); nothing was cancelled."
        )
        let under = JobCancellation(job: job(.originator, .cancelling), wasOver: false)
        #expect(Cancel.sentence(under, now: 0) == "The job is being cancelled; mesh wait tells when it is over.")
        let stopping = JobCancellation(job: job(.executor, .cancelling), wasOver: false)
        #expect(
            Cancel.sentence(stopping, now: 0) == "The run is being stopped; mesh describe tells whether it is over.")
        #expect(
            Cancel.sentence(JobCancellation(job: job(.originator, .cancelled), wasOver: false), now: 0).contains(
                "is cancelled"))
    }

    @Test func aReputationSaysWhereEachNumberComesFrom() {
        var subject = ReputationView.Subject(
            did: "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXnearest", score: 111, isProven: true,
            receipts: ["fulfilled": 1, "abandoned": 1, "invalid": 0])
        (subject.good, subject.bad, subject.prior) = (1_000, 5_000, 3_000)
        (subject.rightResults, subject.rightWorth, subject.checkedPermille) = (3, 900, 944)
        subject.reasons = [
            ("a", "abandoned", 5_000, false), ("b", "fulfilled", 1_000, false), ("c", "fulfilled", 0, true),
        ]
        .map {
            ReputationView.Reason(
                receiptCID: $0.0, assignmentCID: "x", verdict: $0.1, at: 1_000, weight: $0.2, isReset: $0.3)
        }
        let page = ReputationWords.page(subject, now: 61_000)
        for line in [
            "111 = 1,000 × 1,000 / (1,000 + 5,000 + 3,000)", "1,000: 1 fulfilled, each 1,000 when fresh",
            "5,000: 1 abandoned and 0 undelivered, each as much as 5 fulfilled, and 0 invalid or 0 equivocated, ",
            "3 results right in a row, paid with 900 tokens in all; the next is checked with a probability of 94.4 %",
        ] { #expect(page.contains(line), "\(page)") }
        #expect(page.contains(/a +abandoned +1 min ago +-5,000/))
        #expect(page.contains(/c +fulfilled +1 min ago +0 +a later lie took it away/), "\(page)")
        let table = ReputationWords.table(ReputationView(at: 0, subjects: [subject])) ?? ""
        #expect(table.contains(/…Xnearest +111 +1 +1 +0 +0 +3 +94.4 % +0/), "\(table)")
        subject.reasons = []
        #expect(ReputationWords.page(subject, now: 0).hasSuffix("There is no receipt of a job of this node.\n"))
        (subject.goodElsewhere, subject.confidence) = (750, 200)
        subject.elsewhere = [
            ReputationView.Payer(
                did: subject.did, weight: 750, keptPermille: 750,
                receipts: [
                    ReputationView.Payer.Receipt(
                        receiptCID: "r", issuer: subject.did, amount: 1_250, unit: "hours", decimals: 2, proofCID: "p",
                        at: 1_000)
                ])
        ]
        let others = ReputationWords.page(subject, now: 61_000)
        #expect(others.contains("750 of that: others paid it") && others.contains("20 %"), "\(others)")
        #expect(
            others.contains(/…Xnearest +r +12\.50 hours +…Xnearest +1 min ago +750 +25 % of it went back/),
            "\(others)")
    }

    @Test func whatAnOriginatorPaidIsToldLikeWhatAnExecutorDid() {
        var payer = ReputationView.Subject(
            did: "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXnearest", score: 111, isProven: true,
            receipts: ["fulfilled": 1, "unpaid": 1])
        (payer.good, payer.bad, payer.prior) = (1_000, 5_000, 3_000)
        payer.reasons = [
            ReputationView.Reason(
                receiptCID: "a", assignmentCID: "x", verdict: "unpaid", at: 1_000, weight: 5_000, isReset: false)
        ]
        let view = ReputationView(at: 61_000, subjects: [], originators: [payer])
        #expect(ReputationWords.table(view) == nil)
        #expect(ReputationWords.originators(ReputationView(at: 0, subjects: [])) == nil)
        let table = ReputationWords.originators(view) ?? ""
        #expect(table.contains(/…Xnearest +111 +1 +1 +0/), "\(table)")
        let page = ReputationWords.originator(payer, now: 61_000)
        for line in [
            "111 = 1,000 × 1,000 / (1,000 + 5,000 + 3,000)", "1,000: 1 fulfilled, each 1,000 when fresh",
            "5,000: 1 unpaid, each as much as 5 fulfilled, and 0 equivocated, which counts as 10",
        ] { #expect(page.contains(line), "\(page)") }
        #expect(page.contains(/a +unpaid +1 min ago +-5,000/))
    }
}
