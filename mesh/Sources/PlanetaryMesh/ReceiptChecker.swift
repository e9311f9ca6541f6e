import CoVM
import JobMarket
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// Checks receipts of this node's own jobs: by a run of its own, or by a look at the module.
///
/// Everything that the run needs is here, because the job was submitted here: no executor can keep it from being made.
struct ReceiptChecker: Sendable {
    let runner: JobRunner

    /// What a check finds; it ends soon after it is cancelled.
    ///
    /// - Parameter peers: who may have what is not here; nobody needs to, where the job is this node's own.
    func finding(
        of order: CheckOrder, _ cancellation: ExecutionCancellation, from peers: [PeerID] = []
    ) async -> ReplayFinding {
        switch order.check {
        // What one node alone can compare with is its own run.
        case .replay, .agreement: await replay(order, cancellation, from: peers)
        case .refusal: await refusal(order, cancellation)
        }
    }

    private func replay(
        _ order: CheckOrder, _ cancellation: ExecutionCancellation, from peers: [PeerID]
    ) async -> ReplayFinding {
        let receipt = order.receipt.body
        let judgement = ReplayJudgement(receipt, of: order.manifest, under: order.terms)
        if let obstacle = ReplayComparison.obstacle(receipt) { return .doubtful(reason: obstacle) }
        let fuelMax = judgement.fuelMax(isAlike: isAlike(receipt.engine))
        let run = await runner.run(
            order.manifest, jobID: order.jobID, executor: receipt.executorDID, from: peers, wallClockMilliseconds: nil,
            repetition: ExecutionJob.Repetition(
                fuelMax: fuelMax, wallClockMilliseconds: order.wallClockMilliseconds),
            cancellation: cancellation, keep: false)
        return judgement.finding(
            of: ReplayedRun(run, likeEngines: runner.machine.likeEngines), receiptCID: order.receipt.cid,
            fuelMax: fuelMax, milliseconds: run.report.usage.wallMilliseconds, isClockEarly: order.isClockEarly)
    }

    /// What a run of a job shows that executors say to have failed: whether it comes to an end of its own here.
    func finding(of order: TrialOrder, _ cancellation: ExecutionCancellation) async -> ReplayFinding {
        let run = await runner.run(
            order.manifest, jobID: order.jobID, executor: order.executorDID, from: [], wallClockMilliseconds: nil,
            repetition: ExecutionJob.Repetition(
                fuelMax: order.manifest.params.maxFuel, wallClockMilliseconds: order.wallClockMilliseconds),
            cancellation: cancellation, keep: false)
        let outcome = run.report.outcome
        switch outcome {
        case .nodeFailed, .fetchFailed, .cancelled: return .notMade(reason: PlainText.sanitized(outcome.description))
        default: return .claimRefuted(reason: "here \(PlainText.sanitized(outcome.description))")
        }
    }

    private func isAlike(_ engine: EngineDescription) -> Bool {
        runner.machine.engineDescription.hasSameProfile(as: engine)
            || runner.machine.likeEngines.contains { $0.hasSameProfile(as: engine) }
    }

    private func refusal(_ order: CheckOrder, _ cancellation: ExecutionCancellation) async -> ReplayFinding {
        switch await runner.refusal(of: order.manifest.params, cancellation) {
        case nil: .claimRefuted(reason: "the receipt says that the module is refused, and this node's engine takes it")
        case .moduleRefused: .confirmed
        case let other?: .notMade(reason: other.description)
        }
    }
}

extension ReplayedRun {
    /// A run of this node, to compare with a receipt.
    init(_ run: JobRunner.Run, likeEngines: [EngineDescription]) {
        let report = run.report
        self.init(
            outcome: report.outcome, outputs: report.outputs, stdoutCID: report.stdoutCID,
            stderrCID: report.stderrCID, logCID: report.logCID, fuel: report.usage.fuel, engine: run.engine,
            likeEngines: likeEngines)
        readCID = report.readCID
        anchoredCIDs = report.anchoredCIDs
    }
}
