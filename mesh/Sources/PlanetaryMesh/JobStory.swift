import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import SignedObjects

/// A job for people: rows for the store, views and results for the API, all derived from the market's state.
enum JobStory {
    /// The summary of one side of a job for the store.
    static func row(of standing: JobStanding) -> JobRow {
        switch standing {
        case .originated(let job): row(of: job, at: job.lastEventAt)
        case .executed(let job): row(of: job, at: job.lastEventAt)
        }
    }

    /// The summary of an originated job for the store.
    static func row(of job: OriginatedJob, at: UnixMilliseconds) -> JobRow {
        JobRow(
            jobID: job.id.cid, role: .originator, status: job.status.rawValue, isTerminal: job.isClosed,
            submittedAt: job.manifest.submittedAt.value, updatedAt: at.value,
            counterparty: job.attempts.last?.assignment.executorDID.text ?? "",
            label: job.manifest.params.description ?? "", reason: reason(of: job), price: price(of: job),
            fuel: job.receipt?.receipt.resourceUsage.fuel, receiptCID: job.receipt?.cid,
            idempotencyKey: job.idempotencyKey)
    }

    /// The summary of an executed job for the store.
    static func row(of job: ExecutedJob, at: UnixMilliseconds) -> JobRow {
        JobRow(
            jobID: job.id.cid, role: .executor, status: job.status.rawValue, isTerminal: job.isClosed,
            submittedAt: job.manifest.submittedAt.value, updatedAt: at.value,
            counterparty: job.manifest.originatorDID.text, label: job.manifest.params.description ?? "",
            reason: reason(of: job), price: (job.earned ?? job.receipt?.price ?? job.bid.terms.price).units,
            fuel: job.receipt?.resourceUsage.fuel, receiptCID: job.receiptCID,
            isUnsettled: job.earned == nil && job.receipt.map { $0.price > .zero } ?? false)
    }

    /// An originated job as a listing shows it.
    static func view(of job: OriginatedJob) -> JobView {
        view(
            row(of: job, at: job.lastEventAt), standard: job.result ?? job.status.standard(result: .failed),
            result: result(of: job))
    }

    /// An executed job as a listing shows it.
    static func view(of job: ExecutedJob) -> JobView {
        view(
            row(of: job, at: job.lastEventAt),
            standard: job.status.standard(result: job.receipt?.status ?? .failed), result: nil)
    }

    /// A job of which only the row is known.
    static func view(_ row: JobRow, standard: StandardJobStatus, result: JobResult?) -> JobView {
        JobView(
            jobID: row.jobID.text, role: row.role.rawValue, phase: row.status, status: standard.rawValue,
            reason: row.reason, isTerminal: row.isTerminal || result != nil, submittedAt: row.submittedAt,
            updatedAt: row.updatedAt, counterpartyDID: row.counterparty.isEmpty ? nil : row.counterparty,
            label: row.label.isEmpty ? nil : row.label, price: row.price, result: result)
    }

    /// How an originated job ended; `nil` while it is open.
    static func result(of job: OriginatedJob) -> JobResult? {
        guard let standard = job.result else { return nil }
        var result = JobResult(ending: .executorsFailed, detail: reason(of: job), attempts: UInt64(job.attempts.count))
        if let accepted = job.receipt, let outcome = job.outcome {
            result.ending = ending(of: outcome)
            result.detail = outcome.description
            if case .exited(let code) = outcome { result.exitCode = code }
            if case .limitExceeded(let limit) = outcome { result.limit = limit.rawValue }
            fill(&result, accepted, paid: job.paid)
        } else if standard == .cancelled {
            result.ending = .cancelled
        } else if let failure = job.failure {
            result.ending = ending(of: failure)
        }
        return result
    }

    /// The last event of a job.
    static func ending(_ result: JobResult, phase: String, at: UInt64) -> JobProgress {
        JobProgress(kind: .result, phase: phase, text: result.detail, at: at, result: result)
    }

    /// The last event of an originated job; `nil` while it is open.
    static func ending(of job: OriginatedJob) -> JobProgress? {
        result(of: job).map { ending($0, phase: job.status.rawValue, at: job.lastEventAt.value) }
    }

    private static func fill(_ result: inout JobResult, _ accepted: AcceptedReceipt, paid: TokenAmount) {
        let receipt = accepted.receipt
        result.receiptCID = accepted.cid.text
        result.isReceiptVerified = true
        result.executorDID = receipt.executorDID.text
        result.isOwnRun = receipt.executorDID == receipt.originatorDID ? true : nil
        result.stdoutCID = receipt.stdoutCID?.text
        result.stderrCID = receipt.stderrCID?.text
        result.logCID = receipt.logCID?.text
        result.outputs = receipt.outputs.map { NamedText(name: $0.key, text: $0.value.text) }
        result.fuel = receipt.resourceUsage.fuel
        result.peakMemoryBytes = receipt.resourceUsage.peakMemoryBytes
        result.wallMilliseconds = receipt.resourceUsage.wallMilliseconds
        result.paid = paid.units
    }

    private static func ending(of outcome: ExecutionOutcome) -> JobEnding {
        switch outcome {
        case .exited(code: 0): .succeeded
        case .exited: .exitedNonZero
        case .trapped: .trapped
        case .limitExceeded: .limitExceeded
        case .cancelled: .cancelled
        case .moduleRefused: .moduleRefused
        case .fetchFailed: .fetchFailed
        case .nodeFailed: .executorsFailed
        }
    }

    private static func ending(of failure: JobFailure) -> JobEnding {
        switch failure {
        case .noAcceptableBid(let bids, _): bids == 0 ? .noBids : .noAcceptableBid
        case .nobodyReachable, .nobodyExecutes: .noBids
        case .attemptsExhausted(_, let last): last.map(ending(of:)) ?? .executorsFailed
        case .expired: .deadlinePassed
        case .cannotHold: .insufficientFunds
        case .announcementTimedOut, .originatorFailed: .executorsFailed
        }
    }

    private static func ending(of end: AttemptEnd) -> JobEnding {
        switch end {
        case .nodeFailed(_, .fetchFailed): .fetchFailed
        case .receiptInvalid: .receiptInvalid
        default: .executorsFailed
        }
    }

    private static func reason(of job: OriginatedJob) -> String {
        if let failure = job.failure { return failure.description }
        if let outcome = job.outcome { return outcome.description }
        if let reason = job.cancelReason { return reason }
        if let end = job.attempts.last?.end { return end.description }
        return ""
    }

    private static func reason(of job: ExecutedJob) -> String {
        if let end = job.bidEnd { return end.description }
        if let outcome = job.receipt?.outcome { return outcome.description }
        return job.stopReason ?? ""
    }

    private static func price(of job: OriginatedJob) -> UInt64? {
        if job.settlementCID != nil { return job.paid.units }
        return job.attempts.last.map { $0.assignment.terms.price.units }
    }
}
