import Foundation
import Testing

/// The owner of an executor wants the machine back, by commands and by configuration.
@Suite("Executors whose owners want them back", .serialized, .sharedMesh)
struct OwnerOrderCommandTests {
    private let mesh: CrashMesh
    private var originator: NodeProcess { mesh.originator }
    /// The one that gets the jobs unless it rests.
    private var cheap: NodeProcess { mesh.executors[0] }

    init() throws {
        mesh = try SharedMesh.mesh()
    }

    private func order(_ arguments: String...) throws -> [String: Any] {
        let told = try cheap.run(arguments + ["--json"])
        try #require(told.status == 0, "\(told.errors)")
        return try #require(try told.json() as? [String: Any])
    }

    private func state() throws -> [String: Any] {
        let status = try #require(try cheap.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["executor_state"] as? [String: Any])
    }

    /// Whether a short job that the originator submits now runs on the cheap executor.
    private func getsTheNextJob(_ key: String) throws -> Bool {
        let module = try mesh.module("nop.wasm", GuestModules.command("nop"))
        let ran = try originator.run(["run", module, "--idempotency-key", key, "--json"])
        try #require(ran.status == 0, "\(ran.errors)")
        let report = try #require(try ran.json() as? [String: Any])
        let id = try #require(report["job_id"] as? String)
        return try cheap.job(id)?["outcome"] as? String == "succeeded"
    }

    /// Whether it does while the other executor takes none: what that one ran meanwhile speaks for it.
    private func getsTheOnlyJob(_ key: String) throws -> Bool {
        try mesh.executors[1].run(["drain"]).expectSuccess()
        defer { _ = try? mesh.executors[1].run(["resume"]) }
        return try getsTheNextJob(key)
    }

    /// Starts the cheap executor anew, and waits until the originator is connected to it.
    private func restart() throws {
        cheap.kill()
        try cheap.start()
        try cheap.waitUntilUp()
        let address = try cheap.address()
        try eventually("the originator has its peer") { try originator.run(["connect", address]).status == 0 }
    }

    /// A job that runs on the cheap executor for long.
    private func running(_ key: String, rounds: Int64) throws -> String {
        try mesh.executors[1].run(["drain"]).expectSuccess()
        defer { _ = try? mesh.executors[1].run(["resume"]) }
        let module = try mesh.module("\(key).wasm", CountdownModule.bytes(rounds: rounds))
        let submitted = try originator.run([
            "run", module, "--idempotency-key", key, "--max-fuel", "1T", "--timeout", "600", "--detach",
        ])
        try #require(submitted.status == 0, "\(submitted.errors)")
        let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        try eventually("the job runs") { try originator.job(id)?["phase"] as? String == "Running" }
        return id
    }

    @Test(
        "A paused executor gets no jobs, also after kill -9, until its owner resumes; a run that stood still ends well")
    func pause() throws {
        let id = try running("paused", rounds: 6_000_000_000)
        let paused = try order("pause")
        #expect(paused["state"] as? String == "paused")
        #expect((paused["running"] as? NSNumber)?.intValue == 1)
        #expect((paused["kept_ms"] as? NSNumber)?.intValue ?? 0 > 30_000)
        let told = try cheap.run(["status"])
        #expect(told.output.contains("paused (mesh resume), 1 job here"), "\(told.output)")
        #expect(try !getsTheNextJob("while it is paused"))
        let counters = try #require(try cheap.run(["status", "--json"]).json() as? [String: Any])
        let names = (counters["counters"] as? [[String: Any]])?.compactMap { $0["name"] as? String } ?? []
        #expect(names.contains("market_declined_paused") || names.contains("capabilities_withdrawn"), "\(names)")
        #expect(try order("resume")["state"] as? String == "open")
        try eventually("the job ends") { try originator.job(id)?["outcome"] as? String == "succeeded" }
        #expect(try originator.movements("settle", jobID: id).count == 1)
        _ = try order("pause")
        try restart()
        #expect(try state()["state"] as? String == "paused")
        #expect(try !getsTheNextJob("after the restart"))
        let resumed = try cheap.run(["resume"])
        #expect(resumed.output == "The node takes jobs.\n")
        #expect(try getsTheOnlyJob("after the pause"))
    }

    @Test("A drain waits for the run under way, and says when nothing is left")
    func drain() throws {
        let id = try running("drained", rounds: 1_500_000_000)
        let drained = try cheap.run(["drain", "--wait"])
        #expect(drained.status == 0, "\(drained.errors)")
        #expect(drained.output == "Drained: the node takes no new jobs, and has none.\n")
        #expect(try state()["state"] as? String == "drained")
        try eventually("the job ends") { try originator.job(id)?["outcome"] as? String == "succeeded" }
        #expect(try !getsTheNextJob("while it is drained"))
        _ = try order("resume")
        #expect(try getsTheOnlyJob("after the drain"))
    }

    @Test("An executor keeps its hours, and its runs are as nice as configured")
    func hoursAndNice() throws {
        let other = Calendar.current.dateComponents([.hour], from: Date().addingTimeInterval(12 * 3_600))
        let hour = try #require(other.hour)
        let hours = String(format: "%02d:10-%02d:11", hour, hour)
        try cheap.configure("executor", "hours", [hours])
        try cheap.configure("executor", "nice", 11)
        try restart()
        let told = try state()
        #expect(told["state"] as? String == "out_of_hours")
        #expect(told["hours"] as? [String] == [hours])
        #expect((told["nice"] as? NSNumber)?.intValue == 11)
        #expect(try cheap.run(["status"]).output.contains("not now, at \(hours), nice 11"))
        #expect(try !getsTheNextJob("out of hours"))
        try cheap.configure("executor", "hours", ["00:00-24:00"])
        try restart()
        let id = try running("nice", rounds: 500_000_000_000)
        let status = try #require(try cheap.run(["status", "--json"]).json() as? [String: Any])
        let process = try #require((status["pid"] as? NSNumber)?.intValue)
        #expect(Self.priorities(of: process).contains(11), "\(Self.priorities(of: process))")
        _ = try originator.run(["cancel", id])
    }

    /// The nice levels of the threads of a process, and of all that it has started.
    private static func priorities(of process: Int) -> Set<Int> {
        var found: Set<Int> = []
        for number in ProcessTree.all(from: Int32(process)) {
            let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(number)/task")) ?? []
            // State, parent and so on follow the name in brackets: the 17th is the nice level.
            for task in tasks {
                if let level = fields("/proc/\(number)/task/\(task)/stat")?.dropFirst(16).first.flatMap({ Int($0) }) {
                    found.insert(level)
                }
            }
        }
        return found
    }

    private static func fields(_ path: String) -> [Substring]? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8), let name = text.lastIndex(of: ")") else {
            return nil
        }
        return text[text.index(after: name)...].split(separator: " ")
    }
}

extension NodeProcess.Finished {
    fileprivate func expectSuccess() throws { try #require(status == 0, "\(errors)") }
}
