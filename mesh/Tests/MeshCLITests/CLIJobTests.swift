import ArgumentParser
import Foundation
import Multiformats
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshCLI

/// Naming, describing and following jobs, with a node whose answers the test chooses.
@Suite struct CLIJobTests {
    @Test func aJobIsNamedByItsIDItsEndOrAsTheLast() async throws {
        let node = ScriptedNode()
        let full = Samples.jobID.text
        #expect(try await JobReference.resolve(full, on: node) == Samples.jobID)
        #expect(try await JobReference.resolve("last", on: node) == Samples.jobID)
        #expect(try await JobReference.resolve(String(full.suffix(8)), on: node) == Samples.jobID)
        #expect(try await JobReference.resolve("…" + full.suffix(8), on: node) == Samples.jobID)
        #expect(try await JobReference.resolve(String(full.prefix(12)) + "…", on: node) == Samples.jobID)
        for text in ["", "abc", "…abc"] {
            let short = NodeServiceError(
                .invalidRequest,
                "\"\(text)\" is too short for a name: a part of an ID has at least 4 characters.",
                hint: "Give more of its beginning or end, or last for the newest job.")
            await #expect(throws: short) { _ = try await JobReference.resolve(text, on: node) }
            await #expect(throws: short) { _ = try await Remove.named(text, on: node) }
        }
        for text in ["zzzzzzzz", "%&/("] {
            let unknown = NodeServiceError(
                .jobNotFound, "No job is called \"\(text)\".",
                hint: "mesh jobs lists them; the beginning or end of an ID is enough.")
            await #expect(throws: unknown) { _ = try await JobReference.resolve(text, on: node) }
        }
    }

    @Test func moduleAndInputsAreAddedAndTheJobDescribed() async throws {
        let folder = try TestFolder()
        let module = folder.path + "/count.wasm"
        let text = folder.path + "/in.txt"
        try Data(BenchJobs.emptyModule).write(to: URL(filePath: module))
        try Data("one two".utf8).write(to: URL(filePath: text))
        let run = try #require(
            try Mesh.parseAsRoot([
                "run", module, "--stdin", text, "--env", "B=2", "--env", "A=1", "--region", "eu", "--max-fuel", "5k",
                "--", "-n",
            ]) as? Run)
        let submission = try await run.job.submission(
            module: run.module, arguments: run.arguments, on: ScriptedNode())
        #expect(submission.moduleCID == CID.hashing(BenchJobs.emptyModule, codec: .raw).text)
        #expect(
            submission.inputs == [
                NamedText(name: "stdin", text: CID.hashing(Array("one two".utf8), codec: .raw).text)
            ])
        #expect(submission.env.map(\.name) == ["B", "A"])
        #expect(submission.args == ["-n"])
        #expect(submission.label == "count.wasm")
        #expect(submission.limits.maxFuel == 5_000)
        #expect(submission.policy.regions == ["eu"])
        #expect(submission.policy.minReputation == nil)
    }

    @Test func inputsAreCIDsOrFilesAndDotSlashIsAlwaysAFile() async throws {
        let folder = try TestFolder()
        let cid = CID.hashing(Array("elsewhere".utf8), codec: .raw).text
        let file = folder.path + "/" + cid
        try Data("here".utf8).write(to: URL(filePath: file))
        let here = CID.hashing(Array("here".utf8), codec: .raw).text
        let run = try #require(
            try Mesh.parseAsRoot(["run", cid, "--stdin", cid, "--input", "a=\(cid)", "--input", "b=\(file)"]) as? Run)
        let submission = try await run.job.submission(module: run.module, arguments: [], on: ScriptedNode())
        #expect(submission.moduleCID == cid)
        #expect(submission.label == nil)
        #expect(submission.inputs.map(\.name) == ["stdin", "a", "b"])
        #expect(submission.inputs.map(\.text) == [cid, cid, here])
        #expect(LocalFile.isCID(cid) && !LocalFile.isCID("./" + cid) && !LocalFile.isCID("in.txt"))
    }

    @Test func whereOutputsGoIsCheckedBefore() throws {
        let folder = try TestFolder()
        let present = folder.path + "/present"
        try Data("x".utf8).write(to: URL(filePath: present))
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/link", withDestinationPath: present)
        let fine = [present, folder.path + "/new", "/dev/null", "/dev/null", "-"]
        #expect(throws: Never.self) { try OutputPaths.check(fine) { _ in 1 } }
        func reason(_ paths: [String], freeBytes: UInt64? = 1) -> String? {
            do {
                try OutputPaths.check(paths) { _ in freeBytes }
                return nil
            } catch let error as LocalFileError {
                return error.asServiceError.description
            } catch {
                return "\(error)"
            }
        }
        #expect(reason([folder.path])?.contains("a folder, not a file. Name a file in it.") == true)
        #expect(reason([folder.path + "/new/"])?.contains("a folder, not a file") == true)
        #expect(reason([folder.path + "/no/new"])?.contains("there is no folder \(folder.path)/no.") == true)
        #expect(reason([present + "/new"])?.contains("present") == true)
        #expect(reason([""])?.contains("Name a file") == true)
        for twice in [[present, folder.path + "/link"], [folder.path + "/n", folder.path + "/./n"], ["-", "-"]] {
            #expect(reason(twice)?.contains("would be written twice") == true, "\(twice)")
        }
        #expect(reason([present], freeBytes: 0)?.contains("no space left on its disk") == true)
        #expect(reason([present], freeBytes: nil) == nil)
    }

    @Test func aMissingFileIsNamed() async throws {
        let run = try #require(try Mesh.parseAsRoot(["run", "/nonexistent/a.wasm"]) as? Run)
        do {
            _ = try await run.job.submission(module: run.module, arguments: [], on: ScriptedNode())
            Issue.record("a file that is not there was read")
        } catch let error as LocalFileError {
            #expect(error.asServiceError.message == "/nonexistent/a.wasm: No such file or directory.")
        }
    }

    @Test func followingEndsWithTheResult() async throws {
        let events: [JobProgress] = [
            .init(kind: .phase, phase: "BiddingOpen", text: "", at: 1),
            .init(kind: .progress, phase: "Running", text: "", at: 2, permille: 500),
            .init(kind: .result, phase: "ReceiptAnchored", text: "", at: 3, result: Samples.result),
        ]
        let stream = AsyncStream { continuation in
            for event in events { continuation.yield(event) }
            continuation.finish()
        }
        let line = LiveLine(console: Console(), quiet: true)
        var follower = JobFollower(
            node: ScriptedNode(script: .init(events: stream)), jobID: Samples.jobID, line: line)
        guard case .ended(let result) = try await follower.follow() else {
            Issue.record("following was left")
            return
        }
        #expect(result == Samples.result)
    }

    @Test func aStreamThatBreaksIsSettledByAskingForTheJob() async throws {
        let line = LiveLine(console: Console(), quiet: true)
        var follower = JobFollower(node: ScriptedNode(), jobID: Samples.jobID, line: line)
        guard case .ended(let result) = try await follower.follow() else {
            Issue.record("following was left")
            return
        }
        #expect(result == Samples.result)
        #expect(Run.summary(result).first == "output   report \(Samples.receiptCID)")
        #expect(Run.summary(result).last == "used     1,234,567 fuel, ran 12 ms, paid 40 tokens, by …executor")
    }

    @Test func programsAreToldAtOnceWhoCouldRunAJob() async throws {
        let executors = ExecutorsView(
            known: 1, refusing: 1, busy: 0,
            reasons: [.init(code: "max_memory_bytes", text: "memory 3 GiB is above its limit", executors: 1)])
        var news = JobNews(.other)
        (news.executors, news.hint) = (executors, "Ask for less.")
        let (events, sink) = AsyncStream.makeStream(of: JobProgress.self)
        sink.yield(.init(kind: .note, phase: "BiddingOpen", text: "1 executor is known.", at: 7, news: news))
        sink.yield(.init(kind: .note, phase: "BiddingOpen", text: "a bid", at: 8, news: JobNews(.bid)))
        sink.yield(.init(kind: .result, phase: "Failed", text: "", at: 9, result: Samples.result))
        let (told, teller) = AsyncStream.makeStream(of: ExecutorsNotice.self)
        var follower = JobFollower(
            node: ScriptedNode(script: .init(events: events)), jobID: Samples.jobID,
            line: LiveLine(console: Console(), quiet: true))
        follower.early = { teller.yield($0) }
        _ = try await follower.follow()
        teller.finish()
        var notices: [ExecutorsNotice] = []
        for await notice in told { notices.append(notice) }
        #expect(notices.count == 1)
        let line = try Console.line(try #require(notices.first))
        #expect(line.hasPrefix(#"{"at":7,"executors":{"busy":0,"known":1,"reasons":[{"code":"max_memory_bytes","#))
        #expect(line.hasSuffix(#""hint":"Ask for less.","job_id":"\#(Samples.jobID)","text":"1 executor is known."}"#))
    }

    @Test func theNamesInJSONAreInSnakeCase() throws {
        var news = JobNews(.ranking, bids: [.init(bidderDID: "d", priceMax: 1, code: "c")], executorDID: "e")
        (news.priceMax, news.hint) = (1, "h")
        let reason = ExecutorsView.Reason(code: "c", text: "t", executors: 1, asked: 1, offered: 1, setting: "s")
        news.executors = ExecutorsView(known: 1, refusing: 1, busy: 0, reasons: [reason])
        var peer = Samples.peer
        (peer.connections, peer.wasConnected) = (["a"], true)
        let progress = JobProgress(
            kind: .progress, phase: "Running", text: "", at: 1, permille: 1, result: Samples.result, news: news)
        let values: [any Encodable] = [
            Samples.status, Samples.limits, Samples.job, Samples.description, Samples.receipt, Samples.report, peer,
            Samples.wallet, progress, JobAccepted(jobID: "j"), JobCancellation(job: Samples.job, wasOver: true),
            AddedFile(cid: "c", size: 1), RemovedBlocks(blocks: 1, bytes: 1), StopReport(home: "h", processID: 1),
            BenchReport(runs: [], count: 1, inFlight: 1, elapsed: .zero), CompletionReport(shell: "s", script: "c"),
            CreditBenchReport(tokens: [], credit: []),
            OutputReport(jobID: "j", outputs: [.init(name: "n", cid: "c", file: "f", bytes: 1)]),
            WaitReport(jobID: "j", exit: RunExit(Samples.result, isOutputMissing: false), result: Samples.result),
            RunReport(
                jobID: "j", exit: RunExit(Samples.result, isOutputMissing: false), result: Samples.result, stdout: "",
                stderr: "", missingOutputs: []),
            CommandFailure(error: NodeServiceError(.conflict, "m", hint: "h"), exitStatus: 1),
            ReceiptFailure(receiptCID: "r", error: NodeServiceError(.conflict, "m")),
            ExportedReceipts(file: "f", receipts: [], blocks: 1, bytes: 1, withOutputs: true, isValid: true),
            JobSubmission(moduleCID: "m", env: [NamedText(name: "n", text: "t")]),
        ]
        for value in values {
            let data = try JSONEncoder().encode(value)
            for name in try names(JSONSerialization.jsonObject(with: data)) {
                #expect(name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(type(of: value)): \(name)")
            }
        }
        // A CID is called that, and what an earlier version wrote still reads.
        let named = try JSONDecoder().decode([NamedCID].self, from: Data(#"[{"name":"a","text":"b"}]"#.utf8))
        #expect(named == [NamedCID(name: "a", cid: "b")])
        #expect(String(decoding: try JSONEncoder().encode(named), as: UTF8.self).contains(#""cid":"b""#))
    }

    /// All names of objects in a value.
    private func names(_ value: Any) -> [String] {
        if let list = value as? [Any] { return list.flatMap(names) }
        guard let object = value as? [String: Any] else { return [] }
        return object.flatMap { [$0.key] + names($0.value) }
    }
}
