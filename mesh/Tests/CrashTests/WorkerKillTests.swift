import Foundation
import Testing

/// Whatever kills the processes that run modules, at whatever moment: their node lives, each job is done by another
/// one, and is paid once.
@Suite("Killed processes of runs", .serialized)
struct WorkerKillTests {
    /// How many processes are killed: a few, or as many as `MESH_WORKER_KILLS` says.
    private static let kills =
        ProcessInfo.processInfo.environment["MESH_WORKER_KILLS"].flatMap(Int.init).map { max(1, $0) } ?? 12
    /// Jobs that are under way at the same time.
    private static let jobsAtOnce = 4
    /// Batches of jobs in which nothing was there to kill, in a row, before the test gives up.
    private static let emptyBatchesMax = 5

    /// The statuses of jobs that have ended.
    private static let endings = ["CompletedSuccessfully", "Failed", "Cancelled"]

    /// One of the processes that run modules: that of a module, or of one of its runs.
    struct Worker {
        let process: Int32
        let isRun: Bool
    }

    /// The processes below a node that hold or run modules.
    static func workers(of node: Int32) -> [Worker] {
        let modules = ProcessTree.children(of: node).filter(isWorker)
        return modules.flatMap { module in
            [Worker(process: module, isRun: false)]
                + ProcessTree.children(of: module).filter(isWorker).map { Worker(process: $0, isRun: true) }
        }
    }

    /// Whether it is a worker that still runs: one that has ended has no words.
    static func isWorker(_ process: Int32) -> Bool {
        (try? String(contentsOfFile: "/proc/\(process)/cmdline", encoding: .utf8))?.contains("__run-worker") == true
    }

    /// One to be killed: a run, or a module that runs; sometimes one that does not, or is being loaded. Those of
    /// earlier batches stay loaded, so most do nothing; however short the runs are, at least every other victim is one.
    private static func victim(of node: Int32, after toll: Toll) -> Worker? {
        let all = workers(of: node)
        if toll.runs <= toll.modules { return all.filter(\.isRun).randomElement() }
        if Int.random(in: 0..<8) == 0 { return all.randomElement() }
        let busy = all.filter { $0.isRun || ProcessTree.children(of: $0.process).contains(where: isWorker) }
        return busy.randomElement()
    }

    /// What was killed.
    private struct Toll {
        var runs = 0
        var modules = 0
        var all: Int { runs + modules }
    }

    /// Kills what runs modules for one node, at moments of chance, until its jobs have all ended.
    private func harass(_ node: Int32, _ toll: inout Toll, until isOver: () throws -> Bool) throws {
        try eventually("the jobs end", seconds: 120) {
            // The states of jobs are asked for now and then, and processes are killed in between.
            let next = Date().addingTimeInterval(0.5)
            while Date() < next, toll.all < Self.kills {
                poll(nil, 0, Int32.random(in: 1...60))
                guard let worker = Self.victim(of: node, after: toll), kill(worker.process, SIGKILL) == 0 else {
                    continue
                }
                if worker.isRun { toll.runs += 1 } else { toll.modules += 1 }
            }
            return try isOver()
        }
    }

    /// Submits jobs that run for a moment each; their IDs.
    private func submit(_ modules: [String], batch: Int, to mesh: CrashMesh) throws -> [String] {
        try (0..<Self.jobsAtOnce).map { index in
            let submitted = try mesh.originator.run([
                "run", modules[index % modules.count], "--idempotency-key", "job-\(batch)-\(index)", "--max-fuel",
                "100G",
                "--sufficient-bids", "1", "--detach",
            ])
            try #require(submitted.status == 0, "\(submitted.errors)")
            return submitted.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    @Test("No job is lost and none is paid twice, whenever the processes of its runs are killed")
    func killed() throws {
        let mesh = try CrashMesh()
        try mesh.originator.start()
        try mesh.waitUntilConnected()
        let nodes = try mesh.executors.map { try #require($0.processID) }
        var (toll, batch, emptyBatches, jobs) = (Toll(), 0, 0, 0)
        while toll.all < Self.kills {
            let before = toll.all
            // An executor makes no bid on a module that crashed there, so each batch has modules of its own.
            let modules = try [100_000_000, 300_000_000].map { rounds in
                try mesh.module("m\(rounds).wasm", CountdownModule.bytes(rounds: rounds + Int64(batch)))
            }
            let ids = try submit(modules, batch: batch, to: mesh)
            // One executor at a time is harassed, so that there is always another one which can do its jobs.
            try harass(nodes[batch % nodes.count], &toll) {
                try ids.allSatisfy { Self.endings.contains(try mesh.originator.job($0)?["status"] as? String ?? "") }
            }
            for id in ids {
                let told = try mesh.originator.run(["explain", id]).output
                #expect(try mesh.originator.job(id)?["status"] as? String == "CompletedSuccessfully", "\(told)")
                try eventually("it is settled") { try !mesh.originator.movements("settle", jobID: id).isEmpty }
                #expect(try mesh.originator.movements("settle", jobID: id).count == 1, "\(told)")
            }
            jobs += ids.count
            emptyBatches = toll.all == before ? emptyBatches + 1 : 0
            try #require(emptyBatches < Self.emptyBatchesMax, "no process of a run was found to kill")
            batch += 1
        }
        #expect(toll.runs > 0)
        // The very nodes that were started, each of which was paid what it did and nothing else.
        #expect(mesh.executors.map { $0.processID ?? 0 } == nodes)
        #expect(nodes.allSatisfy { FileManager.default.fileExists(atPath: "/proc/\($0)") })
        try eventually("every job is paid for once") {
            try mesh.executors.flatMap { try $0.movements("income") }.count == jobs
        }
    }
}
