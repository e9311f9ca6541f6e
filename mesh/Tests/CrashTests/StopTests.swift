import Foundation
import Testing

/// A node that is asked to stop loses nothing that a node that is killed keeps.
@Suite("Stopped nodes", .serialized)
struct StopTests {
    /// A mesh of one executor with a setting of its own, and one originator that is connected to it.
    private struct Pair {
        let mesh: CrashMesh

        init(_ key: String, _ value: Any) throws {
            mesh = try CrashMesh()
            // The other one would take the job over.
            mesh.executors[1].kill()
            mesh.executors[0].kill()
            try mesh.executors[0].configure(key, value)
            let address = try Self.listen(mesh.executors[0])
            try mesh.originator.configure("bootstrap", [address])
            try mesh.originator.start()
            try mesh.originator.waitUntilUp()
            let originator = mesh.originator
            try eventually("the originator has its peer") {
                let status = try #require(try originator.run(["status", "--json"]).json() as? [String: Any])
                return (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 1
            }
        }

        /// Starts an executor where it listens again after a restart.
        private static func listen(_ node: NodeProcess) throws -> String {
            try node.start()
            try node.waitUntilUp()
            let address = try node.address()
            let port = try #require(address.split(separator: "/").dropFirst(3).first)
            try node.configure("listen", ["/ip4/127.0.0.1/tcp/\(port)"])
            return address
        }

        /// Submits a job; its ID.
        func submit(_ run: [String]) throws -> String {
            let submitted = try mesh.originator.run(run + ["--detach"])
            try #require(submitted.status == 0, "\(submitted.errors)")
            return submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    /// A mesh of one executor with a drain of so many seconds, one originator, and a job of theirs that runs.
    private struct Running {
        let mesh: CrashMesh
        let module: String
        let id: String
        var executor: NodeProcess { mesh.executors[0] }
        var run: [String] { ["run", module, "--idempotency-key", "long", "--max-fuel", "1T", "--timeout", "600"] }

        init(drainSeconds: Int, rounds: Int64) throws {
            let pair = try Pair("drain_seconds", drainSeconds)
            mesh = pair.mesh
            module = try mesh.module("long.wasm", CountdownModule.bytes(rounds: rounds))
            let id = try pair.submit([
                "run", module, "--idempotency-key", "long", "--max-fuel", "1T", "--timeout", "600",
            ])
            self.id = id
            let originator = mesh.originator
            try eventually("the job runs") { try originator.job(id)?["phase"] as? String == "Running" }
        }

        func result() throws -> [String: Any] {
            let ended = try mesh.originator.run(run + ["--json"])
            try #require(ended.status == 0, "\(ended.errors)")
            let report = try #require(try ended.json() as? [String: Any])
            return try #require(report["result"] as? [String: Any])
        }
    }

    @Test("Without a drain SIGTERM leaves a run to the restart rule, as kill -9 does: nothing is signed about it")
    func noDrain() throws {
        let running = try Running(drainSeconds: 0, rounds: 12_000_000_000)
        running.executor.signal(SIGTERM)
        #expect(running.executor.waitForEnd() == 0)
        #expect(!running.executor.log.contains("it waits for"))
        try running.executor.start()
        try running.executor.waitUntilUp()
        let told = try running.executor.run(["explain", running.id])
        #expect(told.status == 0, "\(told.errors)")
        #expect(!told.output.contains("cancelled"), "\(told.output)")
        // Its lease was not over, so it ran again; on a machine that was too slow for that, it said that it failed.
        if told.output.contains("restarted after its lease was over") { return }
        let result = try running.result()
        #expect(result["ending"] as? String == "succeeded")
        #expect((result["attempts"] as? NSNumber)?.intValue == 1)
        #expect(try running.mesh.originator.movements("settle", jobID: running.id).count == 1)
    }

    @Test("With a drain SIGTERM lets the run end, hands its receipt over and takes no more; it says what it waits for")
    func drain() throws {
        let running = try Running(drainSeconds: 600, rounds: 10_000_000_000)
        running.executor.signal(SIGTERM)
        try eventually("it says what it waits for") {
            running.executor.log.contains("it waits for 1 running job, 600 s at the longest")
        }
        let refused = try running.executor.run(["run", running.module, "--json"])
        if refused.errors.contains("shutting_down") {
            #expect(refused.status != 0)
        } else {
            // The run was over before the question.
            #expect(refused.errors.contains("node_not_running"), "\(refused.errors)")
        }
        #expect(running.executor.waitForEnd() == 0)
        let result = try running.result()
        #expect(result["ending"] as? String == "succeeded")
        #expect((result["attempts"] as? NSNumber)?.intValue == 1)
        #expect(try running.mesh.originator.movements("settle", jobID: running.id).count == 1)
    }

    @Test("A drain ends at its time, and then leaves the run as it is")
    func drainEnds() throws {
        let running = try Running(drainSeconds: 1, rounds: 500_000_000_000)
        running.executor.signal(SIGTERM)
        #expect(running.executor.waitForEnd() == 0)
        #expect(running.executor.log.contains("it waits for 1 running job, 1 s at the longest"))
        #expect(running.executor.log.contains("Running jobs are left to the next start."))
        try running.executor.start()
        try running.executor.waitUntilUp()
        let told = try running.executor.run(["explain", running.id]).output
        #expect(!told.contains("cancelled"), "\(told)")
    }

    @Test("A second signal leaves at once")
    func secondSignal() throws {
        let running = try Running(drainSeconds: 3_600, rounds: 500_000_000_000)
        running.executor.signal(SIGTERM)
        try eventually("it says what it waits for") { running.executor.log.contains("it waits for 1 running job") }
        running.executor.signal(SIGTERM)
        #expect(running.executor.waitForEnd() != 0)
    }

    // MARK: The originator's half

    /// The lines of a job's journal at its originator.
    private func lines(_ id: String, _ originator: NodeProcess) throws -> [String] {
        let told = try #require(try originator.run(["explain", id, "--json"]).json() as? [String: Any])
        let lines = try #require(told["lines"] as? [[String: Any]])
        return lines.compactMap { $0["text"] as? String }
    }

    /// Stops an originator and starts it again; its journal of a job goes on where it was.
    private func stopAndStart(_ originator: NodeProcess, _ id: String) throws {
        let before = try lines(id, originator)
        originator.signal(SIGTERM)
        #expect(originator.waitForEnd() == 0)
        #expect(!originator.log.contains("it waits for"), "nothing runs here: \(originator.log.suffix(500))")
        try originator.start()
        try originator.waitUntilUp()
        let after = try lines(id, originator)
        #expect(after.starts(with: before), "\(before) \(after)")
        let ended = after.filter { $0.contains("cancel") || $0.contains("attempt ended") || $0.contains("failed") }
        #expect(ended.isEmpty, "a stop says nothing about what runs elsewhere: \(ended)")
    }

    private func expectPaidOnce(_ id: String, _ mesh: CrashMesh) throws {
        #expect(try mesh.originator.movements("settle", jobID: id).count == 1)
        let executor = mesh.executors[0]
        try eventually("the executor has its pay") { try executor.movements("income", jobID: id).count == 1 }
    }

    @Test("SIGTERM of an originator ends nothing that runs elsewhere: after its restart the job ends and is paid once")
    func originatorOfARun() throws {
        let running = try Running(drainSeconds: 0, rounds: 12_000_000_000)
        try stopAndStart(running.mesh.originator, running.id)
        let result = try running.result()
        #expect(result["ending"] as? String == "succeeded")
        #expect((result["attempts"] as? NSNumber)?.intValue == 1)
        try expectPaidOnce(running.id, running.mesh)
    }

    @Test("SIGTERM of an originator that fetches outputs leaves them to its next start: all come, and are paid once")
    func originatorOfOutputs() throws {
        // Its output takes a quarter of a minute at this rate.
        let pair = try Pair("limits", ["served_bytes_per_second_per_peer_max": 256 << 10])
        let originator = pair.mesh.originator
        let module = try pair.mesh.module("writing.wasm", GuestModules.command(GuestModules.writing))
        let run = ["run", module, "--max-output", "8Mi", "--idempotency-key", "write"]
        let id = try pair.submit(run)
        try eventually("the receipt is there") {
            try lines(id, originator).contains { $0.hasPrefix("A valid receipt came") }
        }
        #expect(try !lines(id, originator).contains { $0.hasPrefix("The job succeeded") }, "its output came at once")
        try stopAndStart(originator, id)
        let ended = try originator.run(run)
        #expect(ended.status == 0, "\(ended.errors)")
        let isWhole = ended.output.utf8.elementsEqual(GuestModules.written)
        #expect(isWhole, "\(ended.output.utf8.count) bytes")
        let told = try lines(id, originator)
        #expect(told.count { $0.hasPrefix("A valid receipt came") } == 1, "\(told)")
        #expect(told.count { $0.hasPrefix("The job succeeded: ") } == 1, "\(told)")
        try expectPaidOnce(id, pair.mesh)
    }
}
