import Foundation
import Testing

/// What happens to a real executor that is frozen, or whose compile worker is killed, is its own doing: the job goes to
/// another one, once, and nobody is charged for what failed.
@Suite("Failures of executors", .serialized)
struct ExecutorFailureTests {
    /// A mesh of two executors and an originator that has paid the cheap one, so that its lease is that of a known one.
    private struct Known {
        let mesh: CrashMesh
        var cheap: NodeProcess { mesh.executors[0] }
        var dear: NodeProcess { mesh.executors[1] }
        var originator: NodeProcess { mesh.originator }
        let cheapDID: String
        let dearDID: String
        let earnedBefore: Int

        init() throws {
            let mesh = try CrashMesh()
            self.mesh = mesh
            try mesh.originator.start()
            try mesh.waitUntilConnected()
            cheapDID = try Self.did(mesh.executors[0])
            dearDID = try Self.did(mesh.executors[1])
            let module = try mesh.module("first.wasm", CountdownModule.bytes(rounds: 1_000))
            let cheapDID = cheapDID
            try eventually("the cheap executor is known") {
                // The other one is too dear for it.
                let ran = try mesh.originator.run([
                    "run", module, "--max-fuel", "100000", "--budget", "15", "--sufficient-bids", "1", "--json",
                ])
                let result = (try? ran.json() as? [String: Any])?["result"] as? [String: Any]
                return result?["executor_did"] as? String == cheapDID
            }
            let cheap = mesh.executors[0]
            try eventually("and was paid") { try Self.earned(cheap) > 0 }
            earnedBefore = try Self.earned(cheap)
        }

        private static func did(_ node: NodeProcess) throws -> String {
            let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
            return try #require(status["did"] as? String)
        }

        static func earned(_ node: NodeProcess) throws -> Int {
            let wallet = try #require(try node.run(["wallet", "--json"]).json() as? [String: Any])
            return try #require(wallet["earned"] as? NSNumber).intValue
        }

        func options(_ module: String, timeout: Int) -> [String] {
            [
                "run", module, "--idempotency-key", "job", "--sufficient-bids", "2", "--max-fuel", "1T", "--timeout",
                "\(timeout)",
            ]
        }

        /// Submits the job; its ID, once it is with the cheap executor.
        func submit(_ module: String, timeout: Int) throws -> String {
            let submitted = try originator.run(options(module, timeout: timeout) + ["--detach"])
            try #require(submitted.status == 0, "\(submitted.errors)")
            return submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }

        /// The end of the job.
        func result(_ module: String, timeout: Int) throws -> [String: Any] {
            let ended = try originator.run(options(module, timeout: timeout) + ["--json"])
            try #require(ended.status == 0, "\(ended.output) \(ended.errors)")
            let report = try #require(try ended.json() as? [String: Any])
            return try #require(report["result"] as? [String: Any])
        }

        /// What holds when the cheap one failed and the dear one did it.
        func expectRetried(_ result: [String: Any], _ id: String, reasons: [String]) throws {
            #expect(result["ending"] as? String == "succeeded")
            #expect(result["executor_did"] as? String == dearDID)
            #expect((result["attempts"] as? NSNumber)?.intValue == 2)
            let told = try originator.run(["explain", id]).output
            let reason = try #require(reasons.first { told.contains($0) }, "\(told)")
            #expect(try cheap.run(["explain", id]).output.contains(reason))
            #expect(try originator.movements("settle", jobID: id).count == 1)
            let dear = dear
            try eventually("the dear one is paid") { try dear.movements("income", jobID: id).count == 1 }
            #expect(try Self.earned(cheap) == earnedBefore, "who failed earns nothing")
        }
    }

    /// Lets a node stand still for some time with all that it has started, as on a machine that sleeps.
    private func freeze(_ node: NodeProcess, seconds: Double) {
        let frozen = node.processID.map { ProcessTree.all(from: $0) } ?? []
        for process in frozen { kill(process, SIGSTOP) }
        let end = Date().addingTimeInterval(seconds)
        while Date() < end { poll(nil, 0, 50) }
        for process in frozen { kill(process, SIGCONT) }
    }

    @Test("A wall clock that passes in a run whose node stood still is the node's doing")
    func frozen() throws {
        let known = try Known()
        // It needs two or three of its six seconds, and nearly all pass while its node stands still; the lease is 10 s.
        let module = try known.mesh.module("long.wasm", CountdownModule.bytes(rounds: 2_000_000_000))
        let id = try known.submit(module, timeout: 6)
        let originator = known.originator
        try eventually("the job runs") { try originator.job(id)?["phase"] as? String == "Running" }
        freeze(known.cheap, seconds: 5.8)
        let result = try known.result(module, timeout: 6)
        // On a busy machine the run may have had less than half of its time besides, which is as much the node's doing.
        let reasons = ["the executor stood still during the run", "the run had the processor for "]
        try known.expectRetried(result, id, reasons: reasons)
        #expect(known.cheap.processID.map { FileManager.default.fileExists(atPath: "/proc/\($0)") } == true)
    }

    @Test("A run that has its time left when its node, or its originator, stood still ends well, and is paid once")
    func frozenInTime() throws {
        let known = try Known()
        let module = try known.mesh.module("long.wasm", CountdownModule.bytes(rounds: 20_000_000_000))
        let id = try known.submit(module, timeout: 600)
        let originator = known.originator
        try eventually("the job runs") { try originator.job(id)?["phase"] as? String == "Running" }
        freeze(known.cheap, seconds: 3)
        freeze(originator, seconds: 3)
        let result = try known.result(module, timeout: 600)
        #expect(result["ending"] as? String == "succeeded")
        #expect(result["executor_did"] as? String == known.cheapDID)
        #expect((result["attempts"] as? NSNumber)?.intValue == 1)
        #expect(try originator.movements("settle", jobID: id).count == 1)
    }

    @Test("A slow run of a job that allows it is joined by a second copy, which ends the job and alone is paid")
    func hedged() throws {
        let known = try Known()
        let module = try known.mesh.module("long.wasm", CountdownModule.bytes(rounds: 2_000_000_000))
        // The lease of 10 s is longer than half of the time-out.
        let options = known.options(module, timeout: 16) + ["--hedge"]
        let submitted = try known.originator.run(options + ["--detach"])
        try #require(submitted.status == 0, "\(submitted.errors)")
        let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let originator = known.originator
        try eventually("the job runs") { try originator.job(id)?["phase"] as? String == "Running" }
        let frozen = known.cheap.processID.map { ProcessTree.all(from: $0) } ?? []
        for process in frozen { kill(process, SIGSTOP) }
        defer { for process in frozen { kill(process, SIGCONT) } }
        let ended = try originator.run(options + ["--json"])
        for process in frozen { kill(process, SIGCONT) }
        try #require(ended.status == 0, "\(ended.output) \(ended.errors)")
        let report = try #require(try ended.json() as? [String: Any])
        let result = try #require(report["result"] as? [String: Any])
        #expect(result["executor_did"] as? String == known.dearDID)
        let told = try originator.run(["explain", id]).output
        #expect(told.contains("A second copy is made") && told.contains("half of the time"), "\(told)")
        let cheap = known.cheap
        try eventually("the slow one stopped, and knows that it gets nothing") {
            try cheap.run(["explain", id]).output.contains("came after the job had its result")
        }
        let dear = known.dear
        try eventually("the other is paid") { try dear.movements("income", jobID: id).count == 1 }
        #expect(try originator.movements("settle", jobID: id).count == 1)
        #expect(try Known.earned(cheap) == known.earnedBefore)
    }

    @Test("A compile worker that somebody kills is the node's doing; the node goes on and compiles the next one")
    func workerKilled() throws {
        let known = try Known()
        let module = try known.mesh.module("heavy.wasm", GuestModules.heavy())
        let executor = try #require(known.cheap.processID)
        let id = try known.submit(module, timeout: 60)
        try eventually("its compile worker is killed") {
            poll(nil, 0, 1)
            guard let worker = Self.compileWorker(of: executor) else { return false }
            return kill(worker, SIGKILL) == 0
        }
        let result = try known.result(module, timeout: 60)
        try known.expectRetried(result, id, reasons: ["the compile worker was killed by signal 9"])
        #expect(FileManager.default.fileExists(atPath: "/proc/\(executor)"))
        known.dear.kill()
        let other = try known.mesh.module("other.wasm", CountdownModule.bytes(rounds: 2_000))
        let again = try known.originator.run(["run", other, "--sufficient-bids", "1"])
        #expect(again.status == 0, "\(again.errors)")
    }

    /// The process that compiles for a node, where there is one just now.
    private static func compileWorker(of parent: Int32) -> Int32? {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.lazy.compactMap { Int32($0) }.first { process in
            guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
                let fields = stat.split(separator: ")").last?.split(separator: " "), fields.count > 1,
                fields[1] == "\(parent)",
                let command = try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8)
            else { return false }
            return command.contains("__compile-worker")
        }
    }
}
