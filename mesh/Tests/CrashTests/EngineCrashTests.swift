import Foundation
import Testing

/// A job whose runs are killed at two executors ends, as one that crashes engines: nobody is paid, nobody is blamed,
/// and the third executor is not asked.
@Suite("Jobs that crash engines", .serialized)
struct EngineCrashTests {
    private static func did(_ node: NodeProcess) throws -> String {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["did"] as? String)
    }

    /// Writes a module that ends at once with an argument, and never without.
    private func endless(in mesh: CrashMesh) throws -> String {
        let text = """
            (module
              (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
              (memory (export "memory") 1)
              (func (export "_start")
                (drop (call $args (i32.const 0) (i32.const 4)))
                (if (i32.lt_u (i32.load (i32.const 0)) (i32.const 2)) (then (loop $on (br $on))))))
            """
        return try mesh.module("endless.wasm", try GuestModules.module(text))
    }

    /// Kills every run at these nodes until a job of one of them has failed.
    private func killRuns(at nodes: [NodeProcess], until id: String, of originator: NodeProcess) throws {
        let processes = try nodes.map { try #require($0.processID) }
        try eventually("the job ends") {
            for run in processes.flatMap(WorkerKillTests.workers).filter(\.isRun) { kill(run.process, SIGKILL) }
            return try originator.job(id)?["status"] as? String == "Failed"
        }
    }

    private func reputation(of did: String, at node: NodeProcess) throws -> Int {
        let peers = try #require(try node.run(["peers", "--json"]).json() as? [[String: Any]])
        let known = try #require(peers.first { $0["did"] as? String == did })
        return try #require(known["reputation"] as? NSNumber).intValue
    }

    /// Runs a job at the cheapest executor, so that it has a reputation to lose; this is a quarter.
    private func begin(_ mesh: CrashMesh, _ cheap: String) throws {
        let module = try mesh.module("first.wasm", CountdownModule.bytes(rounds: 1_000))
        try eventually("the cheap executor is known") {
            let ran = try mesh.originator.run([
                "run", module, "--max-fuel", "100000", "--budget", "15", "--sufficient-bids", "1",
            ])
            return ran.status == 0
        }
        #expect(try reputation(of: cheap, at: mesh.originator) == 250)
    }

    @Test("Two executors are enough, and the end says what it is and what to do")
    func twoExecutors() throws {
        let mesh = try CrashMesh()
        let third = try NodeProcess(
            "third", in: mesh.folder,
            ["--executor", "--price-base", "30", "--bootstrap", try mesh.executors[0].address()])
        defer { third.kill() }
        try third.start()
        try third.waitUntilUp()
        let originator = mesh.originator
        try originator.start()
        try mesh.waitUntilConnected()
        let executors = mesh.executors + [third]
        let dids = try executors.map(Self.did)
        try begin(mesh, dids[0])
        let module = try endless(in: mesh)
        let options = ["run", module, "--max-fuel", "1T"]
        // All three bid first, however long that takes.
        let submitted = try originator.run(options + ["--sufficient-bids", "3", "--bid-window", "20000", "--detach"])
        try #require(submitted.status == 0, "\(submitted.errors)")
        let id = submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        let waiting = try RunningCommand(["wait", id, "--json", "--home", originator.home.path])
        // The originator runs it, too, before it believes two strangers.
        try killRuns(at: executors + [originator], until: id, of: originator)

        let waited = try waiting.finish()
        #expect(waited.status == 216, "\(waited.errors)")
        let result = try #require((try waited.json() as? [String: Any])?["result"] as? [String: Any])
        #expect(result["ending"] as? String == "crashes_engine")
        let words =
            "the module crashed the engine at 2 executors; at last, the process of the run was ended by signal 9"
        #expect(result["detail"] as? String == words)
        let told = try originator.run(["wait", id])
        #expect(told.status == 216)
        let advice = "Run it here with mesh run --home \(originator.home.path) --local: "
        #expect(told.errors.contains("The job failed: \(words). \(advice)"), "\(told.errors)")
        #expect(try originator.run(["jobs"]).output.contains("crashes engine"))
        #expect(try originator.run(["jobs", "--status", "crashes-engine", "--json"]).output.contains(id))
        #expect(try originator.run(["explain", id]).output.contains(words))

        // Nothing is paid or held, and nobody is blamed: a failure would have cut it by half, time takes a thousandth.
        #expect(try originator.movements("settle", jobID: id).isEmpty)
        let (held, refunded) = try (
            originator.movements("hold", jobID: id), originator.movements("refund", jobID: id)
        )
        #expect(held.reduce(0, +) > 0 && held.reduce(0, +) == refunded.reduce(0, +))
        #expect(try [249, 250].contains(reputation(of: dids[0], at: originator)))
        for executor in executors { #expect(try executor.movements("income", jobID: id).isEmpty) }

        // Two crashed, and a third was not asked, unless a busy one answered too late.
        let crashed = try zip(dids, executors).filter { try $0.1.job(id)?["receipt_cid"] is String }.map(\.0)
        #expect(crashed.count >= 2)
        if (result["attempts"] as? NSNumber)?.intValue == 2 { #expect(crashed.count == 2) }
        // Those remember the module; the next job of it goes to one that does not, at once.
        guard crashed.count == 2 else { return }
        let home = originator.home.path
        let again = try NodeProcess.command(options + ["--json", "--home", home, "--", "end"])
        #expect(again.status == 0, "\(again.output)\(again.errors)")
        let done = try #require((try again.json() as? [String: Any])?["result"] as? [String: Any])
        #expect(dids.filter { !crashed.contains($0) } == [done["executor_did"] as? String])
    }
}
