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
        let standing = JobEnd(job)
        return JobRow(
            jobID: job.id.cid, role: .originator, status: job.status.rawValue, isTerminal: job.isClosed,
            submittedAt: job.manifest.submittedAt.value, updatedAt: at.value,
            counterparty: job.attempts.last?.assignment.executorDID.text ?? "",
            label: job.manifest.params.description ?? "", reason: reason(of: job), price: price(of: job),
            fuel: job.receipt?.receipt.resourceUsage.fuel, receiptCID: job.receipt?.cid,
            idempotencyKey: job.idempotencyKey, standard: standing.standard?.rawValue ?? "",
            outcome: standing.outcome.rawValue, outcomeDetail: standing.detail, unit: unit(of: job.manifest))
    }

    /// The summary of an executed job for the store.
    static func row(of job: ExecutedJob, at: UnixMilliseconds) -> JobRow {
        let standing = JobEnd(job)
        return JobRow(
            jobID: job.id.cid, role: .executor, status: job.status.rawValue, isTerminal: job.isClosed,
            submittedAt: job.manifest.submittedAt.value, updatedAt: at.value,
            counterparty: job.manifest.originatorDID.text, label: job.manifest.params.description ?? "",
            reason: reason(of: job), price: (job.earned ?? job.receipt?.price ?? job.bid.terms.price).units,
            fuel: job.receipt?.resourceUsage.fuel, receiptCID: job.receiptCID,
            isUnsettled: job.earned == nil && !job.isGivenUp && job.receipt.map { $0.price > .zero } ?? false,
            standard: standing.standard?.rawValue ?? "", outcome: standing.outcome.rawValue,
            outcomeDetail: standing.detail, winnerPrice: standing.winnerPrice,
            // Of credit, what the issuer booked tells it.
            payment: job.manifest.policy.payBy == nil ? standing.payment?.rawValue ?? "" : "",
            unit: unit(of: job.manifest))
    }

    /// What the prices of a job are counted in; empty where that is tokens.
    private static func unit(of manifest: JobManifest) -> String {
        manifest.policy.payBy.map { "\($0.unit.name)/\($0.unit.decimals)" } ?? ""
    }

    /// An originated job as a listing shows it.
    static func view(of job: OriginatedJob) -> JobView {
        view(row(of: job, at: job.lastEventAt), result: result(of: job))
    }

    /// An executed job as a listing shows it.
    static func view(of job: ExecutedJob) -> JobView { view(row(of: job, at: job.lastEventAt), result: nil) }

    /// A job as its row says.
    static func view(_ row: JobRow, result: JobResult?) -> JobView {
        let outcome = JobOutcome(rawValue: row.outcome) ?? .failed
        var view = JobView(
            jobID: row.jobID.text, role: row.role.rawValue, phase: row.status,
            status: row.standard.isEmpty ? notAssigned : row.standard, outcome: outcome, reason: row.reason,
            isTerminal: row.isTerminal || !outcome.isUnderWay, submittedAt: row.submittedAt,
            updatedAt: row.updatedAt, counterpartyDID: row.counterparty.isEmpty ? nil : row.counterparty,
            label: row.label.isEmpty ? nil : row.label, price: row.price, result: result)
        switch outcome {
        case .succeeded, .exitedNonZero: view.exitCode = Int32(row.outcomeDetail)
        case .limitExceeded: view.limit = row.outcomeDetail.isEmpty ? nil : row.outcomeDetail
        case .lost: view.winnerDID = row.outcomeDetail.isEmpty ? nil : row.outcomeDetail
        default: break
        }
        view.winnerPrice = row.winnerPrice
        view.payment = JobPayment(rawValue: row.payment)
        view.receiptCID = row.receiptCID?.text
        let unit = row.unit.split(separator: "/")
        if unit.count == 2 { (view.unit, view.decimals) = (String(unit[0]), UInt64(unit[1])) }
        return view
    }

    /// The status of a job of which this node knows only that its bid came to nothing.
    static let notAssigned = "NotAssigned"

    /// How an originated job ended; `nil` while it is open.
    static func result(of job: OriginatedJob) -> JobResult? {
        guard job.result != nil else { return nil }
        var result = JobResult(ending: .executorsFailed, detail: reason(of: job), attempts: UInt64(job.attempts.count))
        if let ending = JobEnd.ending(of: job) { result.ending = ending }
        switch job.failure {
        case .noExecutor(let outlook, _): result.executors = ExecutorsView(outlook)
        case .nobodyReachable, .nobodyExecutes: result.executors = ExecutorsView(ExecutorOutlook([]))
        default: break
        }
        result.hint = job.failure?.advice
        if let accepted = job.receipt, let outcome = job.outcome {
            result.detail = outcome.description
            if case .exited(let code) = outcome { result.exitCode = code }
            if case .limitExceeded(let limit) = outcome { result.limit = limit.rawValue }
            fill(&result, accepted, paid: job.paid)
            if let unit = job.manifest.policy.payBy?.unit {
                (result.unit, result.decimals) = (unit.name, unit.decimals)
            }
            result.finding = job.finding?.rawValue
        }
        return result
    }

    /// The last event of a job.
    static func ending(_ result: JobResult, phase: String, at: UInt64) -> JobProgress {
        JobProgress(kind: .result, phase: phase, text: result.detail, at: at, result: result)
    }

    /// How a job ended that this node has given up at a start, as its row says.
    static func resultOfClosed(_ row: JobRow, attempts: UInt64) -> JobResult {
        var result = JobResult(ending: .executorsFailed, detail: row.reason, attempts: attempts)
        result.hint = "Run it again under another key; mesh explain \(row.jobID) says how far it was."
        return result
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
        result.attempt = receipt.attempt
        result.isOwnRun = receipt.executorDID == receipt.originatorDID ? true : nil
        result.stdoutCID = receipt.stdoutCID?.text
        result.stderrCID = receipt.stderrCID?.text
        result.logCID = receipt.logCID?.text
        result.outputs = receipt.outputs.map { NamedCID(name: $0.key, cid: $0.value.text) }
        result.fuel = receipt.resourceUsage.fuel
        result.peakMemoryBytes = receipt.resourceUsage.peakMemoryBytes
        result.wallMilliseconds = receipt.resourceUsage.wallMilliseconds
        result.paid = paid.units
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
        if job.isGivenUp { return job.stopReason ?? "" }
        if let outcome = job.receipt?.outcome { return outcome.description }
        return job.stopReason ?? ""
    }

    private static func price(of job: OriginatedJob) -> UInt64? {
        if job.settlementCID != nil { return job.paid.units }
        return job.attempts.last.map { $0.assignment.terms.price.units }
    }
}
