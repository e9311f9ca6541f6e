import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI

/// `mesh describe`: everything about one job.
struct Describe: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show everything that this node knows about a job, on one page.",
        discussion: "mesh explain tells the same job as a story, event by event.")

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Print nodes by their whole DIDs.")
    var full = false

    @Argument(help: ArgumentHelp(JobReference.help))
    var job = "last"

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let description = try await node.describe(JobReference.resolve(job, on: node))
        if global.json {
            try console.json(description)
        } else {
            let now = UInt64(Date().timeIntervalSince1970 * 1_000)
            let width = Terminal.isInteractive(STDOUT_FILENO) ? Terminal.columns(STDOUT_FILENO) : nil
            console.out(JobPageText(description, full: full, now: now).text(width: width))
        }
        return .success
    }
}

/// The page about a job.
struct JobPageText {
    private let description: JobDescription
    private let full: Bool
    private let now: UInt64

    init(_ description: JobDescription, full: Bool, now: UInt64) {
        self.description = description
        self.full = full
        self.now = now
    }

    /// The page; no line is longer than the width, if there is one, but for identifiers.
    func text(width: Int?) -> String {
        var parts = [Table.facts(jobFacts, columns: width ?? .max)]
        if let request = description.request {
            parts.append("REQUEST\n" + Table.facts(facts(request), columns: width ?? .max))
        }
        if !description.bids.isEmpty { parts.append(section("BIDS", bids, width)) }
        if !description.attempts.isEmpty { parts.append(section("ATTEMPTS", attempts, width)) }
        if !description.receipts.isEmpty { parts.append(section("RECEIPTS", receipts, width)) }
        let outputs = outputs
        if !outputs.isEmpty { parts.append("OUTPUTS\n" + Table.facts(outputs, columns: width ?? .max)) }
        if let credit = description.credit { parts.append(section("CREDIT", credit.map(Self.line), width)) }
        if !description.movements.isEmpty { parts.append(section("TOKENS", movements, width)) }
        return parts.joined(separator: "\n")
    }

    private func section(_ title: String, _ lines: [String], _ width: Int?) -> String {
        let body = lines.flatMap { line -> [String] in
            let safe = Terminal.safe(line)
            return width.map { TextLayout.lines(of: safe, columns: $0, hanging: 2) } ?? [safe]
        }
        return title + "\n" + body.joined(separator: "\n") + "\n"
    }

    /// What became of a hold.
    private static func line(_ hold: HoldView) -> String {
        let amount = "\(CreditAmount.text(hold.amount, decimals: hold.decimals)) \(hold.unit)"
        let entry = hold.entry.map { ", entry \(Readable.count($0))" } ?? ""
        let reason = hold.reason.map { ": \($0)" } ?? ""
        return "\(amount) \(hold.state.rawValue) at \(Readable.short(hold.issuer))\(entry)\(reason)"
    }

    private var sizes: [String: UInt64] {
        Dictionary((description.sizes ?? []).map { ($0.cid, $0.bytes) }, uniquingKeysWith: { first, _ in first })
    }

    private func name(_ did: String) -> String { full ? did : Readable.short(did) }

    private var jobFacts: [(name: String, value: String)] {
        let job = description.job
        var facts = [("job", job.jobID)]
        if let label = job.label { facts.append(("label", label)) }
        facts += [("as", job.role), ("outcome", JobWords.outcome(job))]
        if let preparation = job.preparation { facts.append(("now", PreparationWords.fact(preparation))) }
        if !job.reason.isEmpty { facts.append(("reason", job.reason)) }
        facts += [
            ("submitted", "\(Readable.date(job.submittedAt)), \(Readable.ago(job.submittedAt, now: now))"),
            (
                job.outcome.isUnderWay ? "changed" : "ended",
                "\(Readable.date(changedAt)), \(Readable.ago(changedAt, now: now))"
            ),
        ]
        let with = JobWords.counterparty(job, full: full)
        if !with.isEmpty { facts.append(("with", with)) }
        if let price = JobWords.priceFact(job) { facts.append(price) }
        if let receipt = job.receiptCID { facts.append(("receipt", receipt)) }
        if let entry = description.anchored {
            let seen = DAGGroup.witnesses(of: entry)
            facts.append(
                (
                    "anchored",
                    "as entry \(Readable.count(entry.number)), \(Readable.date(entry.recordedAt))"
                        + (seen.isEmpty ? "" : "; \(seen)").replacing(/; $/, with: "")
                ))
        }
        return facts
    }

    /// When the job ended: with what was booked for its end, or at an executor with its receipt; of one that is under
    /// way, or ended without either, when it last changed.
    private var changedAt: UInt64 {
        let job = description.job
        guard !job.outcome.isUnderWay else { return job.updatedAt }
        let booked = description.movements.first { $0.kind == "settle" || $0.kind == "refund" }?.at
        let signed = description.receipts.first(where: \.counts)?.at
        return (job.isAskedForHere ? booked : signed) ?? job.updatedAt
    }

    /// What of the module the job calls.
    private func call(_ request: JobDescription.Request) -> (name: String, value: String) {
        guard let numbers = request.invoke else { return ("entry", request.entry) }
        return ("call", "\(request.entry)(\(numbers.joined(separator: ", ")))")
    }

    private func facts(_ request: JobDescription.Request) -> [(name: String, value: String)] {
        var facts = [
            ("originator", name(request.originatorDID)), ("module", request.moduleCID), call(request),
        ]
        if !request.args.isEmpty { facts.append(("arguments", request.args.joined(separator: " "))) }
        facts += request.env.map { ("environment", "\($0.name)=\($0.text)") }
        facts += request.inputs.map { ("input", "\($0.name) \(JobFileText.sized($0.cid, sizes))") }
        if let files = request.files { facts += JobFileText.facts(files, sizes: sizes) }
        let limits = request.limits
        if let fuel = limits.maxFuel { facts.append(("fuel at most", Readable.count(fuel))) }
        if let memory = limits.maxMemoryBytes { facts.append(("memory at most", Readable.bytes(memory))) }
        if let output = limits.maxOutputBytes { facts.append(("output at most", Readable.bytes(output))) }
        if let seconds = limits.timeoutSeconds {
            facts.append(("time at most", Readable.duration(milliseconds: seconds.multipliedSaturated(by: 1_000))))
        }
        if let budget = request.budget { facts.append(("budget", amount(budget))) }
        facts += request.policy.map { ($0.name, $0.text) }
        facts.append(("deadline", "\(Readable.date(request.expiresAt)); a job without a result ends then"))
        return facts
    }

    /// An amount in what the job is paid in.
    private func amount(_ units: UInt64) -> String {
        Readable.price(units, description.job.unit, description.job.decimals)
    }

    private var bids: [String] {
        var lines = description.bids.map { bid in
            let reason = bid.reason.map { ": \($0)" } ?? ""
            return "\(name(bid.bidderDID)) at most \(amount(bid.price)), \(bid.verdict.rawValue)\(reason)"
        }
        if description.furtherBids > 0 { lines.append("and \(Readable.count(description.furtherBids)) more") }
        return lines
    }

    private var attempts: [String] {
        description.attempts.enumerated().map { index, attempt in
            let end = attempt.failure.map { ": \($0)" } ?? ""
            return "\(index + 1). \(name(attempt.executorDID)) at most \(amount(attempt.price))\(end)"
        }
    }

    private var receipts: [String] {
        description.receipts.map { receipt in
            let counts = receipt.counts ? "counts" : "does not count"
            return "\(receipt.receiptCID) by \(name(receipt.executorDID)), \(counts): \(receipt.outcome), "
                + "\(Readable.fuel(receipt.fuel)) fuel, \(amount(receipt.price))"
        }
    }

    private var outputs: [(name: String, value: String)] {
        guard let result = description.job.result else { return [] }
        let sizes = sizes
        var facts = result.outputs.map { (Terminal.safe($0.name), JobFileText.sized($0.cid, sizes)) }
        let streams = [("stdout", result.stdoutCID), ("stderr", result.stderrCID), ("log", result.logCID)]
        facts += streams.compactMap { name, cid in cid.map { (name, JobFileText.sized($0, sizes)) } }
        return facts
    }

    private var movements: [String] {
        description.movements.map { "\(Readable.clock($0.at)) \($0.kind) \(Readable.tokens($0.amount))" }
    }
}

extension UInt64 {
    /// The product, or the largest number if it does not fit.
    fileprivate func multipliedSaturated(by factor: UInt64) -> UInt64 {
        let (product, isTooLarge) = multipliedReportingOverflow(by: factor)
        return isTooLarge ? .max : product
    }
}
