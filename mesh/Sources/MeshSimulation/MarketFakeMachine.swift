import Crypto
import Determinism
import JobMarket
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// The simulator's stand-in for CoVM, used nowhere else: runs take virtual time and end as a hash of the job decides,
/// so that every executor gets the same result and the same fuel. Failures of the node come from the node's own random
/// numbers.
struct MarketFakeMachine: Sendable {
    private struct Run: Sendable {
        let order: ExecutionOrder
        let startsAt: MonotonicInstant
        var endsAt: MonotonicInstant
        var outcome: ExecutionOutcome
        var fuel: UInt64
        /// What it writes, where that is not what the job gives.
        var output: [UInt8]?
        /// Whether it gives what is right, should its executor have heard that.
        var isCopied = false
        var isStarted = false
        let startedAt: UnixMilliseconds
    }

    /// What a run reports.
    enum Report: Sendable {
        case progressed(assignment: CID)
        case finished(assignment: CID, ExecutionReport, output: [UInt8])
    }

    private var runs: [Run] = []

    /// When the next run starts or ends.
    var nextDeadline: MonotonicInstant? {
        runs.map { $0.isStarted ? $0.endsAt : $0.startsAt }.min()
    }

    /// The orders of runs that nobody stopped.
    var goingOn: [ExecutionOrder] {
        runs.compactMap { if case .cancelled = $0.outcome { nil } else { $0.order } }
    }

    /// Takes an order; the same assignment twice is one run.
    mutating func start(
        _ order: ExecutionOrder, as setup: MarketNode.Setup, knowing: MarketCheat.Knowledge = .init(),
        now: MonotonicInstant, wallClock: UnixMilliseconds, dice: inout SeededGenerator
    ) {
        guard !runs.contains(where: { $0.order.assignmentCID == order.assignmentCID }) else { return }
        let result = Self.result(of: order.manifest.work(of: order.jobID))
        let startsAt = now.advanced(milliseconds: 20 + Int64(dice.next() % 200))
        var milliseconds = setup.runMilliseconds ?? result.milliseconds
        var outcome = setup.brokenBy ?? result.outcome
        var fuel = result.fuel
        var output: [UInt8]?
        var isCopied = false
        if let lie = setup.cheat?.lie(about: order, knowing: knowing, &dice) {
            (outcome, fuel, output) = (lie.outcome ?? outcome, lie.fuel ?? fuel, lie.output)
            isCopied = lie.isCopied
            milliseconds = lie.milliseconds ?? milliseconds
        }
        if Int(dice.next() % 1000) < setup.nodeFailurePermille {
            outcome = dice.next() % 2 == 0 ? .fetchFailed(reason: "no provider") : .nodeFailed(reason: "disk full")
            milliseconds = 10
        }
        runs.append(
            Run(
                order: order, startsAt: startsAt, endsAt: startsAt.advanced(milliseconds: milliseconds),
                outcome: outcome, fuel: fuel, output: output, isCopied: isCopied, startedAt: wallClock))
    }

    /// What every honest run of a work gives.
    static func result(of work: CID) -> (outcome: ExecutionOutcome, fuel: UInt64, milliseconds: Int64) {
        let digest = Array(SHA256.hash(data: work.bytes))
        return (
            outcome(digest[1]), UInt64(digest[2]) * 100_000 + UInt64(digest[3]), 50 + Int64(digest[0]) * 10
        )
    }

    /// What an honest run of a work writes.
    static func output(of work: CID) -> [UInt8] { Array("output of \(work)".utf8) }

    /// How long a check takes.
    static func replayMilliseconds(of order: CheckOrder, as setup: MarketNode.Setup) -> Int64 {
        switch order.check {
        case .refusal: 5
        case .replay, .agreement: setup.runMilliseconds ?? result(of: order.manifest.work(of: order.jobID)).milliseconds
        }
    }

    /// Whether a receipt says what the job gives; one of a run that was stopped is not judged.
    static func isTrue(_ receipt: ExecutionReceipt, of manifest: JobManifest) -> Bool {
        let work = manifest.work(of: receipt.jobID)
        let honest = result(of: work)
        return receipt.outcome.isCutShort
            || (receipt.outcome == honest.outcome && receipt.resourceUsage.fuel == honest.fuel
                && receipt.stdoutCID == CID.hashing(output(of: work), codec: .raw))
    }

    /// What a check finds: this node's own run is an honest one. What a run that was stopped wrote is not compared.
    static func finding(of order: CheckOrder) -> ReplayFinding {
        let work = order.manifest.work(of: order.jobID)
        let (receipt, honest) = (order.receipt.body, result(of: work))
        if order.check == .refusal { return .claimRefuted(reason: "the module is taken here") }
        let stdoutCID = CID.hashing(output(of: work), codec: .raw)
        let fuel = receipt.resourceUsage.fuel
        if receipt.outcome.isCutShort, fuel <= honest.fuel { return .confirmed }
        if receipt.outcome == honest.outcome, fuel == honest.fuel, receipt.stdoutCID == stdoutCID {
            return .confirmed
        }
        let found = ReplayedResult(
            outcome: honest.outcome, outputs: [:], stdoutCID: stdoutCID, stderrCID: nil, logCID: nil,
            readCID: order.manifest.params.files == nil ? nil : stdoutCID,
            anchoredCIDs: [], fuel: honest.fuel, engine: receipt.engine)
        return .refuted(found, fuelMax: fuel, reason: "this run gave something else")
    }

    private static func outcome(_ byte: UInt8) -> ExecutionOutcome {
        switch byte {
        case 0..<205: .exited(code: 0)
        case 205..<230: .trapped(kind: .unreachable, message: "unreachable")
        case 230..<240: .limitExceeded(.fuel)
        default: .exited(code: 2)
        }
    }

    /// Stops a run now.
    mutating func cancel(_ assignment: CID, now: MonotonicInstant) {
        guard let index = runs.firstIndex(where: { $0.order.assignmentCID == assignment }) else { return }
        runs[index].outcome = .cancelled
        runs[index].isStarted = true
        runs[index].endsAt = now.advanced(milliseconds: 5)
    }

    /// What happened until now, in order.
    mutating func due(
        now: MonotonicInstant, wallClock: UnixMilliseconds, knowing: MarketCheat.Knowledge = .init()
    ) -> [Report] {
        var reports: [Report] = []
        for index in runs.indices where !runs[index].isStarted && runs[index].startsAt <= now {
            runs[index].isStarted = true
            reports.append(.progressed(assignment: runs[index].order.assignmentCID))
        }
        let ended = runs.filter { $0.isStarted && $0.endsAt <= now }
        runs.removeAll { $0.isStarted && $0.endsAt <= now }
        for var run in ended {
            let work = run.order.manifest.work(of: run.order.jobID)
            if run.isCopied, run.outcome != .cancelled, knowing.works.contains(work) {
                let honest = Self.result(of: work)
                (run.outcome, run.fuel, run.output) = (honest.outcome, honest.fuel, nil)
            }
            let ran = run.outcome.responsibility != .node
            let output = run.output ?? Self.output(of: work)
            var report = ExecutionReport(
                outcome: run.outcome, usage: ResourceUsage(fuel: ran ? run.fuel : 0), startedAt: run.startedAt,
                endedAt: max(run.startedAt, wallClock))
            if ran { report.stdoutCID = CID.hashing(output, codec: .raw) }
            // The block that it writes stands for the list of what it read, too.
            if run.order.manifest.params.files != nil { report.readCID = report.stdoutCID }
            reports.append(.finished(assignment: run.order.assignmentCID, report, output: output))
        }
        return reports
    }
}

extension JobManifest {
    /// What decides a run: equal for all replicas of one work.
    func work(of job: JobID) -> CID { executionCID ?? job.cid }
}
