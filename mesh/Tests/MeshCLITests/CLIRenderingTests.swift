import ArgumentParser
import Foundation
import Multiformats
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshCLI

@Suite struct CLIRenderingTests {
    /// Strings that a peer, a module or a label might carry to somebody's terminal.
    static let hostile = [
        "\u{1B}[2J\u{1B}[31mred", "bell\u{07}", "title\u{1B}]0;owned\u{07}", "back\u{08}\u{08}", "nul\u{00}",
        "c1 \u{9B}31m", "del\u{7F}", "rtl \u{202E}gpj.exe", "isolate \u{2066}x\u{2069}", "zero\u{200B}width",
        "line\u{2028}separator", "cr\roverwrite", "new\nline", "tab\tbed", "bom\u{FEFF}", "tag\u{E0041}",
    ]

    @Test(arguments: hostile)
    func nothingFromAfarReachesTheTerminalAsControl(_ text: String) throws {
        for safe in [Terminal.safe(text), Table.facts([("name", text)]), Terminal.safeJSON(try json(text))] {
            let scalars = safe.unicodeScalars.filter { $0 != "\n" }
            for scalar in scalars {
                #expect(scalar.properties.generalCategory != .control, "\(safe.debugDescription)")
                #expect(scalar.properties.generalCategory != .format, "\(safe.debugDescription)")
                #expect(scalar.properties.generalCategory != .lineSeparator, "\(safe.debugDescription)")
            }
        }
        #expect(!Terminal.safe(text).contains("\n"))
        let decoded = try JSONDecoder().decode([String].self, from: Data(Terminal.safeJSON(try json(text)).utf8))
        #expect(decoded == [text])
    }

    @Test func whatIsHarmlessStaysAsItIs() {
        for text in ["plain", "Grüße, 世界", "\"quoted\" \\ back", "e\u{301}", ""] {
            #expect(Terminal.safe(text) == text)
        }
        #expect(Terminal.safe("a\u{1B}b\tc\n") == "a\\u{1B}b\\tc\\n")
        #expect(Terminal.safeLines("a\tb\n\u{1B}[1m") == "a\tb\n\\u{1B}[1m")
    }

    @Test func howRunsAreKeptApart() {
        #expect(
            Status.words(of: ["process", "seccomp", "landlock"])
                == "each in a process of its own, kept apart by seccomp and landlock")
        #expect(
            Status.words(of: ["process", "seccomp"]) == "each in a process of its own; this kernel has no landlock")
        #expect(
            Status.words(of: ["process"]) == "each in a process of its own; this kernel has no seccomp and no landlock")
        #expect(Status.words(of: []) == "in the node's own process")
    }

    @Test func theStatusTellsWhatIsKeptAndThatThereIsNoRoom() throws {
        let lines = Status.text(Samples.status).split(separator: "\n").map(String.init)
        let blocks = try #require(lines.first { $0.hasPrefix("blocks") })
        #expect(blocks.hasSuffix("12 with 15.0 GiB of 16.0 GiB"), "\(blocks)")
        #expect(lines.contains { $0.hasPrefix("database") && $0.hasSuffix("17.0 GiB") })
        let storage = try #require(lines.first { $0.hasPrefix("storage") })
        #expect(storage.hasSuffix("full, takes no new work past 14.0 GiB; see mesh gc and mesh rm"), "\(storage)")
        var short = Samples.status
        short.storage?.state = "disk_full"
        short.storage?.diskFreeBytes = 5 << 20
        short.storage?.diskReserveBytes = 64 << 20
        short.journalWarning = "A job was left out."
        let told = Status.text(short).split(separator: "\n")
        #expect(told.contains { $0.hasPrefix("free on the disk") && $0.hasSuffix("5.00 MiB") })
        #expect(
            told.contains {
                $0.hasSuffix("disk full, takes no new work with less than 64.0 MiB left; free some space")
            })
        #expect(told.contains { $0.hasPrefix("journal") && $0.hasSuffix("A job was left out.") })
        var old = Samples.status
        old.storage = nil
        #expect(!Status.text(old).contains("storage") && !Status.text(old).contains("gateway"))
        var gateway = NodeStatus.Gateway(address: "http://127.0.0.1:8080", publicRoots: 1, answers: 1, sentBytes: 2_048)
        #expect(Status.words(of: gateway) == "http://127.0.0.1:8080 serves 1 public pin: 1 answer with 2.00 KiB")
        gateway = NodeStatus.Gateway(
            address: "http://[::1]:8080", publicRoots: 2, answers: 1_200, refusals: 3, cutAnswers: 2, sentBytes: 0)
        let much = "serves 2 public pins: 1,200 answers with 0 B (2 broke off), 3 refused"
        #expect(Status.words(of: gateway) == "http://[::1]:8080 \(much)")
        #expect(Remove.text(RemovedBlocks(blocks: 1, bytes: 1_024)) == "1 block, 1.00 KiB")
        #expect(Remove.text(RemovedBlocks(blocks: 2_000, bytes: 5 << 20)) == "2,000 blocks, 5.00 MiB")
    }

    @Test func everyListingEscapesWhatItShows() {
        let evil = "\u{1B}[31mevil\u{202E}"
        var job = Samples.job
        job.label = evil
        job.phase = evil
        var peer = Samples.peer
        peer.capability = evil
        peer.addresses = [evil]
        var wallet = Samples.wallet
        (wallet.entries[0].kind, wallet.entries[0].debit) = (evil, evil)
        var receipt = Samples.receipt
        receipt.outcome = evil
        receipt.inputs = [NamedCID(name: evil, cid: evil)]
        var status = Samples.status
        status.region = evil
        status.storage?.state = evil
        status.journalWarning = evil
        status.counters = [.init(name: evil, value: 1)]
        let report = ReceiptReport(
            receiptCID: evil, isValid: false, lines: [.init(name: evil, verdict: .failed, detail: evil)])
        let explanation = JobExplanation(job: job, lines: [.init(at: 1, phase: evil, text: evil)])
        let texts = [
            JobTable([job], full: true, now: 0).text(width: nil), PeerList.table([peer]),
            PeerList.facts(peer), Wallet.text(wallet),
            Receipt.text(receipt), Receipt.text(report), Status.text(status), Explain.story(explanation),
            Explain.story(explanation, width: 60), JobTable([job], full: true, now: 0).text(width: 200),
        ]
        for text in texts {
            #expect(text.contains("evil"))
            #expect(!text.unicodeScalars.contains("\u{1B}") && !text.unicodeScalars.contains("\u{202E}"), "\(text)")
        }
    }

    @Test func aMovementIsToldInPlainWords() {
        var wallet = Samples.wallet
        let (job, did) = (Samples.jobID.text, "did:key:z6MkvZcEntatYV3XoqugdBKNmrswsznFWpN2k7BBE1RuvcA8")
        wallet.entries = [
            .init(at: 1, kind: "grant", debit: "issuance", credit: "wallet", amount: 9, jobID: nil),
            .init(at: 1, kind: "hold", debit: "wallet", credit: "escrow/\(job)", amount: 9, jobID: job),
            .init(at: 1, kind: "settle", debit: "escrow/\(job)", credit: "paid/\(did)", amount: 9, jobID: job),
            .init(at: 1, kind: "refund", debit: "escrow/\(job)", credit: "wallet", amount: 9, jobID: job),
            .init(at: 1, kind: "income", debit: "income/\(did)", credit: "wallet", amount: 9, jobID: job),
        ]
        let text = Wallet.text(wallet)
        let short = Readable.short(job)
        for words in [
            "first tokens", "held for job \(short)\n", "paid for job \(short) to …E1RuvcA8\n",
            "came back from job \(short)\n", "earned with job \(short) from …E1RuvcA8\n",
        ] {
            #expect(text.contains("9  \(words)"), "\(words): \(text)")
        }
        for name in ["escrow", "issuance", "income/", "paid/"] { #expect(!text.contains(name), "\(text)") }
    }

    @Test func numbersAreReadAsTheyArePrinted() throws {
        #expect(try Quantity.whole("x")("80,100") == 80_100)
        #expect(try Quantity.count("1,500k").value == 1_500_000)
        #expect(try Quantity.bytes("5,000,000").value == 5_000_000)
        for bad in ["80,1", ",100", "1,0000", "1,,000"] {
            #expect(throws: ValidationError.self) { try Quantity.whole("x")(bad) }
        }
    }

    @Test func theStatusTellsOfAWrongClock() {
        var status = Samples.status
        func rows() -> [Substring] { Status.text(status).split(separator: "\n").filter { $0.hasPrefix("clock ") } }
        #expect(rows().isEmpty)
        status.clockWarning = "This machine's clock is 7200 s behind"
        #expect(rows().count == 1 && rows().first?.hasSuffix("  This machine's clock is 7200 s behind") == true)
    }

    @Test func aJobThatTheNodeRanItselfSaysSo() {
        var job = Samples.job
        #expect(JobTable([job], full: true, now: 0).text(width: nil).contains("did:key:z6Mkexecutor"))
        job.isOwnRun = true
        let table = JobTable([job], full: true, now: 0).text(width: nil)
        #expect(table.contains("  this node  ") && !table.contains("did:key"), "\(table)")
    }

    @Test func columnsAreAligned() {
        var table = Table([("NAME", .left), ("COUNT", .right), ("NOTE", .left)])
        table.add(["a", "1,234", "first"])
        table.add(["longer", "5", ""])
        table.add(["short"])
        #expect(
            table.text == """
                NAME    COUNT  NOTE
                a       1,234  first
                longer      5
                short

                """)
    }

    @Test func numbersAreReadable() {
        let durations: [(UInt64, String)] = [
            (0, "0 ms"), (840, "840 ms"), (12_345, "12.3 s"), (250_000, "4 min 10 s"), (60_000, "1 min"),
            (11_520_000, "3 h 12 min"), (792_000_000, "9 d 4 h"),
        ]
        for (milliseconds, text) in durations { #expect(Readable.duration(milliseconds: milliseconds) == text) }
        #expect(Readable.duration(Duration.milliseconds(1_250)) == "1.2 s")
        #expect(Readable.count(1_234_567) == "1,234,567")
        #expect(Readable.count(.max) == "18,446,744,073,709,551,615")
        #expect(
            [999, 1_000, 12_345, 4_560_000, 123_456_789_000].map(Readable.fuel) == [
                "999", "1.00 k", "12.3 k", "4.56 M", "123 G",
            ])
        #expect([1_023, 1_024, 80 << 20].map(Readable.bytes) == ["1023 B", "1.00 KiB", "80.0 MiB"])
        #expect(Readable.fuel(.max) == "18.4 E")
        #expect(Readable.tokens(1) == "1 token")
        #expect(Readable.tokens(1_200) == "1,200 tokens")
        #expect(Readable.clock(3_723_004) == "01:02:03.004")
        #expect(Readable.ago(1_000, now: 126_000) == "2 min ago")
        #expect(Readable.ago(5_000, now: 1_000) == "0 s ago")
        #expect(Readable.date(1_700_000_000_000) == "2023-11-14 22:13:20Z")
        #expect(Readable.date(.max) == "18446744073709551615 ms")
        #expect(Readable.short("bafyreiabcdefghijk") == "…defghijk")
    }

    @Test func percentilesAreValuesThatWereMeasured() {
        let values = (1...100).map(Double.init)
        #expect(BenchReport.percentile(50, of: values) == 50)
        #expect(BenchReport.percentile(95, of: values) == 95)
        #expect(BenchReport.percentile(99, of: [7]) == 7)
        #expect(BenchReport.percentile(50, of: []) == 0)
        let runs: [BenchReport.Run] = [
            .init(submitted: .milliseconds(2), ended: .milliseconds(20), outcome: .verified),
            .init(submitted: .milliseconds(4), ended: .milliseconds(40), outcome: .failed("no bids", 220)),
            .init(submitted: .milliseconds(3), ended: .milliseconds(30), outcome: .lost),
        ]
        let report = BenchReport(runs: runs, count: 3, inFlight: 2, elapsed: .milliseconds(500))
        #expect(report.verified == 1 && report.failed == 1 && report.lost == 1)
        #expect(report.jobsPerSecond == 2)
        #expect(report.p50Milliseconds == 30)
        #expect(
            report.firstFailure == "no bids" && report.exitCode == 220, "that of mesh run for the first that failed")
        let lost = BenchReport(runs: [runs[0], runs[2]], count: 2, inFlight: 2, elapsed: .zero)
        #expect(lost.exitCode == 221)
        #expect(BenchReport(runs: [runs[0]], count: 1, inFlight: 1, elapsed: .zero).exitCode == 0)
    }

    @Test func jobsByCreditStandBesideThoseForTokens() {
        func runs(_ milliseconds: [Int], _ outcome: BenchReport.Run.Outcome = .verified) -> [BenchReport.Run] {
            milliseconds.map {
                .init(submitted: .milliseconds(1), ended: .milliseconds($0), outcome: outcome)
            }
        }
        let report = CreditBenchReport(tokens: runs([10, 11, 30]), credit: runs([13, 15, 40]))
        #expect(report.addedP50Milliseconds == 4 && report.exitCode == 0)
        #expect(report.text.contains("p50 15.0 ms") && report.text.contains("4.0 ms p50"), "\(report.text)")
        let less = CreditBenchReport(tokens: runs([10]), credit: runs([9], .failed("no hold", 220)))
        #expect(less.text.contains("-1.0 ms p50") && less.text.contains("no hold"), "\(less.text)")
        #expect(less.exitCode == 220)
    }

    @Test(arguments: [(BenchJobs.emptyModule, [1, 3, 5, 7, 10]), (BenchSession.echoModule, [1, 2, 3, 5, 7, 10])])
    func theModulesOfBenchAreWellFormed(_ module: [UInt8], _ expected: [UInt8]) {
        #expect(module.prefix(8) == [0, 0x61, 0x73, 0x6D, 1, 0, 0, 0])
        var position = 8
        var sections: [UInt8] = []
        while position + 1 < module.count {
            sections.append(module[position])
            position += 2 + Int(module[position + 1])
        }
        #expect(position == module.count)
        #expect(sections == expected)
    }

    @Test func keysAreCountedByTheirTimes() {
        let report = SessionBenchReport((1...100).map { .milliseconds($0) }, isVerified: true)
        #expect(report.keys == 100 && report.p50Milliseconds == 50 && report.p99Milliseconds == 99)
        #expect(report.maxMilliseconds == 100 && report.text.contains("99.0 ms"))
    }

    @Test func plansAreHeldAgainstTheirJobs() {
        var report = WorkflowBenchReport(stages: 3)
        for number in 1...9 {
            report.add(jobs: .milliseconds(10 * number), pipeline: .milliseconds(10 * number + 7))
        }
        report.add(jobs: nil, pipeline: .milliseconds(1))
        #expect(report.pipelines == 10 && report.failed == 1)
        #expect(report.jobsP50Milliseconds == 50 && report.pipelineP50Milliseconds == 57)
        let jobs = BenchReport(runs: [], count: 0, inFlight: 1, elapsed: .zero)
        var memory = MemoryFigures(before: 50 << 20)
        memory.saw(70 << 20)
        memory.after = 60 << 20
        report.add(fanOut: .seconds(4), items: 100, jobs: jobs, memory: memory)
        #expect(report.itemsPerSecond == 25 && report.failed == 1)
        #expect(report.text.contains("7.0 ms") && report.text.contains("25.0 a second"))
        #expect(report.text.contains("50.0 MiB before the fan-out, at most 70.0 MiB, 60.0 MiB after it"))
        report.add(fanOut: nil, items: 100, jobs: jobs, memory: memory)
        #expect(report.failed == 2)
    }

    private func json(_ text: String) throws -> String {
        String(decoding: try JSONEncoder().encode([text]), as: UTF8.self)
    }
}
