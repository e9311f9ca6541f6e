import Foundation
import Testing

/// Kills processes that run modules, at moments of chance, in a thread of its own: jobs begin and end while a test
/// still submits others.
// SAFETY: the counts are used under the lock; the rest does not change.
private final class Reaper: @unchecked Sendable {
    /// What was killed.
    struct Toll {
        var runs = 0
        var modules = 0
        var all: Int { runs + modules }
    }

    private let lock = NSCondition()
    private let killsMax: Int
    private var node: Int32?
    private var toll = Toll()
    private var isOver = false
    private var hasEnded = false

    init(killsMax: Int) {
        self.killsMax = killsMax
        Thread.detachNewThread { [self] in
            while turn() { poll(nil, 0, Int32.random(in: 1...60)) }
            lock.withLock {
                hasEnded = true
                lock.broadcast()
            }
        }
    }

    /// What was killed until now.
    var killed: Toll { lock.withLock { toll } }

    /// Whose processes it kills from now on.
    func harass(_ node: Int32) { lock.withLock { self.node = node } }

    /// Kills nothing any more once this returns.
    func end() {
        lock.withLock {
            isOver = true
            while !hasEnded { lock.wait() }
        }
    }

    /// Kills one, if there is one; whether to go on.
    private func turn() -> Bool {
        let (node, toll, isOver) = lock.withLock { (self.node, self.toll, self.isOver) }
        guard !isOver, toll.all < killsMax else { return false }
        guard let node, let worker = Self.victim(of: node, after: toll), kill(worker.process, SIGKILL) == 0 else {
            return true
        }
        lock.withLock { if worker.isRun { self.toll.runs += 1 } else { self.toll.modules += 1 } }
        return true
    }

    /// One to be killed: a run, or a module that runs; sometimes one that does not, or is being loaded. Those of
    /// earlier batches stay loaded, so most do nothing; however short the runs are, at least every other victim is one.
    private static func victim(of node: Int32, after toll: Toll) -> WorkerKillTests.Worker? {
        let all = WorkerKillTests.workers(of: node)
        if toll.runs <= toll.modules { return all.filter(\.isRun).randomElement() }
        if Int.random(in: 0..<8) == 0 { return all.randomElement() }
        let busy = all.filter {
            $0.isRun || ProcessTree.children(of: $0.process).contains(where: WorkerKillTests.isWorker)
        }
        return busy.randomElement()
    }
}

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
        let reaper = Reaper(killsMax: Self.kills)
        defer { reaper.end() }
        var (batch, emptyBatches, jobs) = (0, 0, 0)
        while reaper.killed.all < Self.kills {
            let before = reaper.killed.all
            // An executor makes no bid on a module that crashed there, so each batch has modules of its own.
            let modules = try [100_000_000, 300_000_000].map { rounds in
                try mesh.module("m\(rounds).wasm", CountdownModule.bytes(rounds: rounds + Int64(batch)))
            }
            // One executor at a time is harassed, so that there is always another one which can do its jobs.
            reaper.harass(nodes[batch % nodes.count])
            let ids = try submit(modules, batch: batch, to: mesh)
            try eventually("the jobs end", seconds: 120) {
                try ids.allSatisfy { Self.endings.contains(try mesh.originator.job($0)?["status"] as? String ?? "") }
            }
            for id in ids {
                let told = try mesh.originator.run(["explain", id]).output
                #expect(try mesh.originator.job(id)?["status"] as? String == "CompletedSuccessfully", "\(told)")
                try eventually("it is settled") { try !mesh.originator.movements("settle", jobID: id).isEmpty }
                #expect(try mesh.originator.movements("settle", jobID: id).count == 1, "\(told)")
            }
            jobs += ids.count
            emptyBatches = reaper.killed.all == before ? emptyBatches + 1 : 0
            try #require(emptyBatches < Self.emptyBatchesMax, "no process of a run was found to kill")
            batch += 1
        }
        #expect(reaper.killed.runs > 0)
        // The very nodes that were started, each of which was paid what it did and nothing else.
        #expect(mesh.executors.map { $0.processID ?? 0 } == nodes)
        #expect(nodes.allSatisfy { FileManager.default.fileExists(atPath: "/proc/\($0)") })
        try eventually("every job is paid for once") {
            try mesh.executors.flatMap { try $0.movements("income") }.count == jobs
        }
    }
}
