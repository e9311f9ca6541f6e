import NodeAPI

/// Jobs as people read them: what became of each, in a few words.
enum JobWords {
    /// What became of a job, or how far it is: `exit 3`, `running 42 %`, `lost to …Z2vUK9ex at 40`.
    static func outcome(_ job: JobView) -> String {
        let end = job.role == JobSide.executor.rawValue ? executed(job) : originated(job)
        switch job.payment {
        case .paid: return "\(end), paid"
        case .due: return "\(end), payment due"
        case .overdue, .refused: return "\(end), not paid"
        case nil, .some(.none): return end
        }
    }

    private static func originated(_ job: JobView) -> String {
        switch job.outcome {
        case .announcing: "announcing"
        case .bidding: "waiting for bids"
        case .awaitingFunds: "waiting for tokens"
        case .assigned: "assigned"
        case .preparing: PreparationWords.cell(job.preparation)
        case .running: running(job)
        case .collecting: "fetching outputs"
        case .checking: "checking the result"
        case .cancelling: "cancelling"
        case .noBids: "no executor"
        case .noAcceptableBid: "no acceptable bid"
        case .executorsFailed: "executors failed"
        case .crashesEngine: "crashes engine"
        case .deadlinePassed: "deadline passed"
        case .insufficientFunds: "not enough tokens"
        case .receiptInvalid: "invalid receipt"
        case .unverified: "not borne out"
        default: ended(job)
        }
    }

    private static func executed(_ job: JobView) -> String {
        switch job.outcome {
        case .bidding: "bid open"
        case .assigned: "won and waiting"
        case .preparing: "won and \(PreparationWords.cell(job.preparation))"
        case .running: running(job)
        case .collecting: "won and finishing"
        case .checking: "checking the result"
        case .cancelling: "stopping"
        case .executorsFailed: "failed here"
        case .lost: lost(job)
        case .refused: "bid refused"
        case .lapsed: "bid not taken"
        case .undelivered: "bid not delivered"
        case .declined: "declined"
        default: ended(job)
        }
    }

    private static func ended(_ job: JobView) -> String {
        switch job.outcome {
        case .succeeded: "succeeded"
        case .exitedNonZero: job.exitCode.map { "exit \($0)" } ?? "another exit code"
        case .trapped: "trapped"
        case .limitExceeded: limit(job.limit)
        case .moduleRefused: "module refused"
        case .filesRefused: "files refused"
        case .cancelled: "cancelled"
        case .fetchFailed: "fetch failed"
        default: "failed"
        }
    }

    /// The limits that have words of their own, and none.
    static let limits = ["fuel", "memory", "stack", "output", "wall_clock", "table", nil]

    private static func limit(_ name: String?) -> String {
        switch name {
        case "fuel": "out of fuel"
        case "memory": "out of memory"
        case "stack": "out of stack"
        case "output": "too much output"
        case "wall_clock": "out of time"
        case "table": "table too large"
        default: "stopped at a limit"
        }
    }

    private static func running(_ job: JobView) -> String {
        job.progressPermille.map { "running \($0 / 10) %" } ?? "running"
    }

    private static func lost(_ job: JobView) -> String {
        guard let winner = job.winnerDID else { return "lost" }
        let price = job.winnerPrice.map { price in
            " at \(job.unit == nil ? Readable.count(price) : CreditAmount.text(price, decimals: job.decimals ?? 0))"
        }
        return "lost to \(Readable.short(winner))\(price ?? "")"
    }

    /// A state in words, as this side of the job has it; one of a later version as it is called.
    static func phase(_ phase: String, role: String) -> String {
        guard role == JobSide.executor.rawValue else { return JobStanding.words(for: phase) }
        return switch phase {
        case "BiddingOpen": "bid open"
        case "BiddingClosed": "bid over"
        case "Assigned": "won and waiting"
        case "ProducingOutputs": "storing outputs"
        default: JobStanding.words(for: phase)
        }
    }

    /// The status of a receipt in words; one of a later version as it is called.
    static func status(_ status: String) -> String {
        switch status {
        case "CompletedSuccessfully": "succeeded"
        case "Failed": "failed"
        case "Cancelled": "cancelled"
        default: status
        }
    }

    /// What a job costs: the amount that was or is to be paid, or the most that it may come to.
    enum Price: Hashable {
        /// The run has its price.
        case exact(UInt64)
        /// So much was bid, or is held, while the job goes on.
        case most(UInt64)
        /// What was held came back.
        case refunded
    }

    /// What a job costs as far as this node knows; nil while nothing is agreed.
    static func price(_ job: JobView) -> Price? {
        guard let price = job.price, !isSeeking(job) else { return nil }
        if job.outcome.isUnderWay || job.outcome.isOfBid { return .most(price) }
        let wasRun = job.receiptCID != nil || job.outcome == .succeeded
        return wasRun ? .exact(price) : job.isAskedForHere ? .refunded : nil
    }

    /// The price in the cell of a listing; empty where nothing is paid.
    static func priceCell(_ job: JobView) -> String {
        switch price(job) {
        case .exact(let price): short(price, job)
        case .most(let price): "max \(short(price, job))"
        case .refunded, nil: ""
        }
    }

    /// A number of tokens alone, as most are; another unit with its name.
    private static func short(_ price: UInt64, _ job: JobView) -> String {
        job.unit == nil ? Readable.count(price) : Readable.price(price, job.unit, job.decimals)
    }

    /// The price as a fact: what it is called, and the amount.
    static func priceFact(_ job: JobView) -> (name: String, value: String)? {
        func amount(_ price: UInt64) -> String { Readable.price(price, job.unit, job.decimals) }
        return switch price(job) {
        // Whether the issuer booked it is told elsewhere.
        case .exact(let price) where job.unit != nil: ("due by credit", amount(price))
        case .exact(let price) where job.isAskedForHere: ("paid", amount(price))
        case .exact(let price): ("price", amount(price))
        case .most(let price) where job.isAskedForHere: ("held", "\(amount(price)), the most that it may cost")
        case .most(let price) where job.outcome.isOfBid: ("bid", "at most \(amount(price))")
        case .most(let price): ("price", "at most \(amount(price))")
        case .refunded: ("paid", "nothing; what was held came back")
        case nil: nil
        }
    }

    /// Whether bids are awaited, so that a price and an executor are those of an attempt that came to nothing.
    private static func isSeeking(_ job: JobView) -> Bool {
        job.isAskedForHere && (job.outcome == .announcing || job.outcome == .bidding)
    }

    /// With whom: the other side, or this node itself; empty while nobody has the job.
    static func counterparty(_ job: JobView, full: Bool) -> String {
        if isSeeking(job) { return "" }
        if job.isOwnRun == true { return "this node" }
        guard let did = job.counterpartyDID else { return "" }
        return full ? did : Readable.short(did)
    }
}

extension JobView {
    /// Whether this node asked for the job, so that it learns its end.
    var isAskedForHere: Bool { role == JobSide.originator.rawValue }

    /// How the job ended, also where only its summary is known; nil while it is under way.
    var end: JobResult? {
        if let result { return result }
        guard isTerminal else { return nil }
        var end = JobResult(ending: JobEnding(rawValue: outcome.rawValue) ?? .executorsFailed, detail: reason)
        end.exitCode = exitCode
        end.limit = limit
        end.receiptCID = receiptCID
        // An executor signed its receipt itself.
        end.isReceiptVerified = !isAskedForHere && receiptCID != nil
        return end
    }
}
