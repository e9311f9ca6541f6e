import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// What is kept of answers for the next request: never a text of another value, and never more than the limits say.
@Suite("Texts that are used again", .timeLimit(.minutes(1)))
struct KnownTextsTests {
    @Test func whatIsKeptIsGivenForTheSameStampAlone() {
        let memo = StampedMemo<String, Int, String>(.init(countMax: 3, weightMax: 10))
        #expect(memo.value(of: "a", at: 1) == nil)
        memo.keep("one", of: "a", at: 1, weight: 4)
        #expect(memo.value(of: "a", at: 1) == "one" && memo.value(of: "a", at: 2) == nil)
        #expect(memo.value(of: "b", at: 1) == nil)
        memo.keep("two", of: "a", at: 2, weight: 6)
        #expect(memo.value(of: "a", at: 1) == nil && memo.value(of: "a", at: 2) == "two")
        #expect(memo.count == 1 && memo.weight == 6)
        // What weighs too much is not kept, and what was there before is gone.
        memo.keep("heavy", of: "a", at: 3, weight: 11)
        #expect(memo.count == 0 && memo.weight == 0)
        memo.keep("x", of: "x", at: 1, weight: 6)
        memo.keep("y", of: "y", at: 1, weight: 4)
        #expect(memo.count == 2 && memo.weight == 10)
        memo.keep("z", of: "z", at: 1, weight: 1)
        #expect(memo.count == 1 && memo.weight == 1 && memo.value(of: "z", at: 1) == "z")
        for name in ["a", "b", "c"] { memo.keep(name, of: name, at: 1) }
        #expect(memo.count == 1)
    }

    @Test func aJobThatChangedIsShownByTheNextRequest() async throws {
        let now = NIOLockedValueBox(Samples.job)
        var script = ScriptedNode.Script()
        script.jobNow = { now.withLockedValue { $0 } }
        try await WebScene.run(script) { scene in
            let paths = ["/v1/jobs/\(Samples.jobID.text)", "/v1/jobs?limit=3"]
            for change in 0..<20 {
                now.withLockedValue { job in
                    switch change % 4 {
                    case 0: job.label = "change \(change)"
                    case 1: job.progressPermille = UInt64(change)
                    case 2: job.result = change % 8 == 2 ? nil : Samples.result
                    default: job.updatedAt += 1
                    }
                }
                for path in paths {
                    for _ in 0..<2 {
                        let answer = try await scene.ask(path, scene.read)
                        #expect(answer.status == 200 && answer.headers["content-length"] == "\(answer.body.count)")
                        let job =
                            path.contains("?")
                            ? try MeshJSON.decode(JobPage.self, from: answer.body).jobs.last
                            : try MeshJSON.decode(JobView.self, from: answer.body)
                        #expect(job == now.withLockedValue { $0 }, "\(path), change \(change)")
                    }
                }
            }
        }
    }

    @Test func aPageOfKnownJobsIsWrittenAsOneOfOthers() throws {
        let texts = KnownTexts(MeshHTTPLimits())
        var jobs = (0..<4).map { number in
            var job = Samples.job
            (job.jobID, job.label) = ("job \(number / 2)", number == 3 ? nil : "\"\(number)\", \u{1F411}")
            job.result = nil
            job.role = number.isMultiple(of: 2) ? "originator" : "executor"
            return job
        }
        var pages = 0
        func check(_ page: JobPage) throws {
            pages += 1
            let text = try texts.text(of: page, at: "/v1/jobs?since=\(pages)")
            #expect(text.tag == nil)
            #expect(Array(buffer: text.bytes) == (try MeshJSON.encodeByFoundation(page)))
        }
        for next in [nil, "job \"9\""] {
            try check(JobPage(jobs: [], next: next))
            for count in 1...jobs.count { try check(JobPage(jobs: Array(jobs[..<count]), next: next)) }
        }
        #expect(texts.rows.count == jobs.count)
        // Whatever of a job changes is in the next page, one thing after another.
        let changes: [(inout JobView) -> Void] = [
            { $0.phase = "p" }, { $0.status = "s" }, { $0.outcome = .lost }, { $0.exitCode = 3 }, { $0.limit = "fuel" },
            { $0.progressPermille = 7 }, { $0.preparation = JobPreparation(step: "fetching", fetchedBytes: 9) },
            { $0.payment = .paid }, { $0.winnerDID = "w" }, { $0.winnerPrice = 8 }, { $0.receiptCID = "r" },
            { $0.reason = "because" }, { $0.isTerminal.toggle() }, { $0.submittedAt += 1 }, { $0.updatedAt += 1 },
            { $0.counterpartyDID = "c" }, { $0.isOwnRun = true }, { $0.label = "l" }, { $0.price = 6 },
            { $0.unit = "u" }, { $0.decimals = 2 }, { $0.result = Samples.result }, { $0.result?.detail = "d" },
            { $0.result = nil },
        ]
        for change in changes {
            let before = jobs[1]
            change(&jobs[1])
            #expect(jobs[1] != before)
            try check(JobPage(jobs: jobs))
        }
        #expect(texts.rows.count == jobs.count)
    }

    @Test func soManyJobsOfPagesAreKeptAndOneMoreForgetsThem() throws {
        let limits = MeshHTTPLimits()
        let texts = KnownTexts(limits)
        var jobs = (0...limits.knownRowsMax).map { number in
            JobView(
                jobID: "\(number)", role: "executor", phase: "Closed", status: "Failed", outcome: .failed, reason: "",
                isTerminal: true, submittedAt: 1, updatedAt: 1)
        }
        _ = try texts.text(of: JobPage(jobs: Array(jobs.dropLast())), at: "/all")
        #expect(texts.rows.count == limits.knownRowsMax && texts.rows.weight <= limits.knownTextBytesMax)
        _ = try texts.text(of: JobPage(jobs: [jobs[limits.knownRowsMax]]), at: "/more")
        #expect(texts.rows.count == 1)
        for index in jobs.indices {
            jobs[index].reason = String(repeating: "x", count: 100_000)
            _ = try texts.text(of: JobPage(jobs: [jobs[index]]), at: "/long")
            #expect(texts.rows.weight <= limits.knownTextBytesMax)
            if index > 100 { break }
        }
    }

    @Test func aReceiptThatIsShownOtherwiseHasAnotherTag() async throws {
        let now = NIOLockedValueBox(Samples.receipt)
        var script = ScriptedNode.Script()
        script.receiptNow = { now.withLockedValue { $0 } }
        try await WebScene.run(script) { scene in
            let path = "/v1/receipts/\(Samples.receiptCID.text)"
            let first = try await scene.ask(path, scene.read)
            let tag = try #require(first.headers["etag"])
            let again = try await scene.ask(path, scene.read)
            #expect(again.body == first.body && again.headers["etag"] == tag)
            #expect(try await scene.ask(path, scene.read, "if-none-match: \(tag)").status == 304)
            now.withLockedValue { $0.source = "the DHT" }
            let changed = try await scene.ask(path, scene.read, "if-none-match: \(tag)")
            #expect(changed.status == 200 && changed.headers["etag"] != tag)
            let shown = try MeshJSON.decode(ReceiptView.self, from: changed.body)
            #expect(shown == now.withLockedValue { $0 })
        }
    }

    @Test func soManyTextsAreKeptAndOneMoreForgetsThem() throws {
        var limits = MeshHTTPLimits()
        let count = limits.knownTextsMax
        let texts = KnownTexts(limits)
        for number in 0..<count {
            _ = try KnownTexts.text(of: Samples.job, at: "/v1/jobs/\(number)", in: texts.jobs)
        }
        #expect(texts.jobs.count == count)
        _ = try KnownTexts.text(of: Samples.job, at: "/v1/jobs/more", in: texts.jobs)
        #expect(texts.jobs.count == 1)
        // The address counts too: a request chooses it.
        let whole = try MeshJSON.encode(Samples.job)
        let size = whole.count
        #expect(texts.jobs.weight == size + "/v1/jobs/more".utf8.count)
        limits.knownTextBytesMax = 2 * size
        let few = KnownTexts(limits)
        _ = try KnownTexts.text(of: Samples.job, at: "/1", in: few.jobs)
        let text = try KnownTexts.text(of: Samples.job, at: "/2", in: few.jobs)
        #expect(few.jobs.count == 1 && text.bytes == ByteBuffer(bytes: whole))
        let long = try KnownTexts.text(of: JobPage(jobs: [Samples.job, Samples.job]), at: "/", in: few.pages)
        #expect(few.pages.count == 0 && long.bytes.readableBytes > 2 * size)
    }
}
