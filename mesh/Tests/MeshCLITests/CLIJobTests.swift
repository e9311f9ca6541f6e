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
        for text in ["abc", "zzzzzzzz", "%&/("] {
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
        #expect(Run.summary(result).last == "used     1,234,567 fuel, ran 12 ms, paid 40 tokens, by …executor")
    }
}
