import JobMarket
import MeshTypes
import Multiformats
import OrderedCollections
import SignedObjects

/// The spans of one side of a job while they are under way: what the job's journal says, as stretches of time.
///
/// The identifier of a span follows from its key, so a context for another node can be made before its span begins.
struct JobRecording: Sendable {
    let job: JobID
    /// Which side of it.
    let role: JobRole
    /// This node.
    let node: DID
    /// The span of another node under which this side's own are; nil at the originator.
    var parentID: [UInt8]?
    /// Whether its job needs nothing more of this side.
    private(set) var isOver = false
    /// Spans that were left out, since the job had too many.
    private(set) var dropped: UInt64 = 0
    /// Spans that were ended since the last `takeEnded`.
    private var ended: [TraceSpan] = []
    private var open: OrderedDictionary<String, TraceSpan> = [:]
    /// Rounds of bidding that began.
    private var biddings = 0
    /// What tells this node's bids, and its runs of the job, apart.
    private var (bid, run) = ("", "")
    private var begun = 0
    private let limits: TraceRecorder.Limits

    init(job: JobID, role: JobRole, node: DID, parentID: [UInt8]?, limits: TraceRecorder.Limits) {
        self.job = job
        self.role = role
        self.node = node
        self.parentID = parentID
        self.limits = limits
    }

    static let root = "job"

    static func attempt(_ assignment: CID) -> String { "attempt/\(assignment.text)" }

    /// The context of a span of a job at its originator, whether it has begun or not.
    static func context(of key: String, _ job: JobID, by node: DID) -> TraceContext {
        TraceContext(
            traceID: TraceContext.trace(of: job), spanID: TraceContext.span(of: job, by: node, key), isSampled: true)
    }

    /// The context of a span of this side; a node may have both sides of a job.
    func context(of key: String) -> TraceContext {
        Self.context(of: role == .originator ? key : "executor/\(key)", job, by: node)
    }

    /// The span that an announcement belongs to: the round of bidding that is under way, or comes next.
    var announcing: TraceContext { context(of: bidding) }

    private var bidding: String {
        let current = "bidding/\(biddings)"
        return biddings > 0 && open[current] != nil ? current : "bidding/\(biddings + 1)"
    }

    /// The spans that ended since the last call.
    mutating func takeEnded() -> [TraceSpan] {
        defer { ended = [] }
        return ended
    }

    // MARK: Spans

    mutating func begin(
        _ key: String, _ name: String, _ kind: TraceSpan.Kind = .internal, under parentID: [UInt8]?,
        at date: UnixMilliseconds, _ attributes: [TraceSpan.Attribute] = []
    ) {
        guard open[key] == nil else { return }
        guard begun < limits.spansPerJobMax else {
            dropped += 1
            return
        }
        begun += 1
        var span = TraceSpan(
            context: context(of: key), parentID: parentID, name: name, kind: kind, start: date, end: date)
        span.attributes = [.init(key: "mesh.job.id", value: .text(job.cid.text))] + attributes
        open[key] = span
    }

    private mutating func begin(
        _ key: String, _ name: String, in parent: String, at date: UnixMilliseconds,
        _ attributes: [TraceSpan.Attribute] = []
    ) {
        begin(key, name, under: context(of: parent).spanID, at: date, attributes)
    }

    private mutating func end(_ key: String, at date: UnixMilliseconds, failure: String? = nil) {
        guard var span = open.removeValue(forKey: key) else { return }
        span.end = max(span.start, date)
        if let failure { span.failure = failure }
        ended.append(span)
    }

    /// Ends those whose keys end with a text, the newest first, since children end before their parents.
    private mutating func endAll(of suffix: String, at date: UnixMilliseconds, failure: String? = nil) {
        for key in open.keys.reversed() where key.hasSuffix(suffix) { end(key, at: date, failure: failure) }
    }

    /// Ends all but the root, the newest first.
    private mutating func endAll(at date: UnixMilliseconds, failure: String? = nil) {
        for key in open.keys.reversed() where key != Self.root { end(key, at: date, failure: failure) }
    }

    private mutating func note(_ name: String, in key: String, at date: UnixMilliseconds) {
        guard (open[key]?.events.count ?? limits.eventsPerSpanMax) < limits.eventsPerSpanMax else { return }
        open[key]?.events.append(.init(at: date, name: name))
    }

    private mutating func tell(_ attributes: [TraceSpan.Attribute], in key: String) {
        open[key]?.attributes += attributes
    }

    mutating func link(_ context: TraceContext) { open[Self.root]?.links.append(context) }

    // MARK: The originator's side

    mutating func takeOriginated(_ event: JobEvent) {
        let at = event.at
        switch event.kind {
        case .submitted(let manifest, _, _, _):
            begin(
                Self.root, "job", under: nil, at: at,
                [.text("mesh.originator.did", manifest.body.originatorDID.text)])
            beginBidding(at: at)
        case .announced(let round, _, _):
            if open["bidding/\(biddings)"] == nil { beginBidding(at: at) }
            note("announced", in: "bidding/\(biddings)", at: at)
            tell([.count("mesh.bidding.round", round)], in: "bidding/\(biddings)")
        case .bidReceived(_, let refusal):
            note(refusal == nil ? "bid" : "bid_refused", in: "bidding/\(biddings)", at: at)
        case .biddingClosed(_, let ranking):
            tell([.count("mesh.bids", UInt64(ranking.count))], in: "bidding/\(biddings)")
            end("bidding/\(biddings)", at: at)
        case .fundsAwaited: note("funds_awaited", in: Self.root, at: at)
        case .resultReached(let result, let outcome):
            endAll(at: at)
            note("result", in: Self.root, at: at)
            tell([.text("mesh.outcome", TraceWords.of(outcome))], in: Self.root)
            if result != .completedSuccessfully { open[Self.root]?.failure = TraceWords.of(outcome) }
        case .failed(let failure):
            endAll(at: at, failure: failure.code)
            open[Self.root]?.failure = failure.code
        case .cancelled:
            endAll(at: at, failure: "cancelled")
            open[Self.root]?.failure = "cancelled"
        default:
            takeAttempt(event)
            takeBooks(event)
        }
    }

    private mutating func beginBidding(at date: UnixMilliseconds) {
        biddings += 1
        begin("bidding/\(biddings)", "bidding", .producer, under: context(of: Self.root).spanID, at: date)
    }

    /// What an executor does for the originator.
    private mutating func takeAttempt(_ event: JobEvent) {
        let at = event.at
        switch event.kind {
        case .assignmentMade(let assignment, _):
            let (key, cid) = (Self.attempt(assignment.cid), assignment.cid.text)
            begin(
                key, "attempt", .client, under: context(of: Self.root).spanID, at: at,
                [
                    .count("mesh.attempt", assignment.body.attempt), .text("mesh.assignment.cid", cid),
                    .text("mesh.executor.did", assignment.body.executorDID.text),
                ])
            begin("assignment/\(cid)", "assignment", in: key, at: at)
        case .assignmentConfirmed(let assignment, _):
            end("assignment/\(assignment.text)", at: at)
            begin("inputs/\(assignment.text)", "inputs", in: Self.attempt(assignment), at: at)
        case .statusReported(let assignment, let status, _, _):
            guard [.running, .awaitingInputs, .producingOutputs].contains(status) else { return }
            end("assignment/\(assignment.text)", at: at)
            end("inputs/\(assignment.text)", at: at)
            begin("run/\(assignment.text)", "run", in: Self.attempt(assignment), at: at)
        case .receiptAccepted(let assignment, let receipt, _):
            for key in ["assignment", "inputs", "run"] { end("\(key)/\(assignment.text)", at: at) }
            tell([.text("mesh.receipt.cid", receipt.cid.text)], in: Self.attempt(assignment))
            begin("delivery/\(assignment.text)", "delivery", in: Self.attempt(assignment), at: at)
        case .attemptEnded(let assignment, .hedged): note("hedged", in: Self.attempt(assignment), at: at)
        case .attemptEnded(let assignment, let reason):
            switch reason {
            case .refuted(let receipt, _, _), .unverified(let receipt, _), .receiptInvalid(let receipt, _):
                end("verification/\(receipt.text)", at: at, failure: TraceWords.of(reason))
            default: break
            }
            endAll(of: "/\(assignment.text)", at: at, failure: TraceWords.of(reason))
        case .attemptResumed(let assignment, _): note("resumed", in: Self.attempt(assignment), at: at)
        case .trialBegan: begin("trial", "trial", in: Self.root, at: at)
        case .trialEnded: end("trial", at: at)
        default: break
        }
    }

    /// What comes of a receipt.
    private mutating func takeBooks(_ event: JobEvent) {
        let at = event.at
        switch event.kind {
        case .verificationBegan(let receipt, _, _):
            for key in open.keys where key.hasPrefix("delivery/") { end(key, at: at) }
            begin(
                "verification/\(receipt.text)", "verification", in: Self.root, at: at,
                [.text("mesh.receipt.cid", receipt.text)])
        case .verificationEnded(let receipt, let finding, _):
            let key = "verification/\(receipt.text)"
            tell([.text("mesh.finding", finding.rawValue)], in: key)
            end(key, at: at, failure: [.refuted, .unverified].contains(finding) ? finding.rawValue : nil)
        case .settled(let settlement, _), .paymentRefused(let settlement, _), .lateReceipt(_, let settlement, _):
            begin(
                "settlement/\(settlement.body.receiptCID.text)", "settlement", .client,
                under: context(of: Self.root).spanID, at: at,
                [
                    .text("mesh.receipt.cid", settlement.body.receiptCID.text),
                    .count("mesh.paid", settlement.body.amountPaid.units),
                ])
        case .settlementDelivered(let receipt, let isKnown):
            end("settlement/\(receipt.text)", at: at, failure: isKnown ? nil : "not_acknowledged")
        default: takeEnd(event, in: Self.root)
        }
    }

    /// What both sides end with.
    private mutating func takeEnd(_ event: JobEvent, in parent: String) {
        switch event.kind {
        case .anchored: begin("anchoring", "anchoring", in: parent, at: event.at)
        case .anchorPublished(let isInTime):
            end("anchoring", at: event.at, failure: isInTime ? nil : "not_published")
        case .closed:
            endAll(at: event.at)
            end(Self.root, at: event.at)
            isOver = true
        default: break
        }
    }

    // MARK: The executor's side

    /// - Parameter heardAt: when this node heard of what the event answers.
    mutating func takeExecuted(_ event: JobEvent, heardAt: UnixMilliseconds? = nil) {
        let at = event.at
        switch event.kind {
        case .bidMade(let manifest, let bid):
            self.bid = bid.cid.text
            begin(
                "bid/\(self.bid)", "bid", .consumer, under: parentID, at: min(heardAt ?? at, at),
                [
                    .text("mesh.originator.did", manifest.body.originatorDID.text),
                    .count("mesh.price", bid.body.terms.price.units),
                ])
        case .bidClosed(let reason):
            tell([.text("mesh.bid.end", TraceWords.of(reason))], in: "bid/\(bid)")
            endAll(at: at)
            isOver = true
        case .assignmentAccepted(let manifest, _, let assignment):
            tell([.text("mesh.bid.end", "assigned")], in: "bid/\(bid)")
            end("bid/\(bid)", at: at)
            run = assignment.cid.text
            begin(
                "execution/\(run)", "execution", .server, under: parentID, at: min(heardAt ?? at, at),
                [
                    .text("mesh.originator.did", manifest.body.originatorDID.text),
                    .text("mesh.assignment.cid", assignment.cid.text), .count("mesh.attempt", assignment.body.attempt),
                ])
            begin("queue/\(run)", "queue", in: "execution/\(run)", at: at)
        case .executionStarted:
            end("queue/\(run)", at: at)
            if open["run/\(run)"] == nil { begin("fetch/\(run)", "fetch", in: "execution/\(run)", at: at) }
        case .executionProgressed(let status): takeProgress(status, at: at)
        case .stopRequested: note("stop_requested", in: "execution/\(run)", at: at)
        case .receiptSigned(let receipt, _):
            let failure = receipt.body.status == .completedSuccessfully ? nil : TraceWords.of(receipt.body.outcome)
            for key in ["queue", "fetch", "run"] { end("\(key)/\(run)", at: at, failure: failure) }
            open["execution/\(run)"]?.failure = failure
            tell(
                [
                    .text("mesh.receipt.cid", receipt.cid.text),
                    .text("mesh.outcome", TraceWords.of(receipt.body.outcome)),
                    .count("mesh.fuel", receipt.body.resourceUsage.fuel),
                ], in: "execution/\(run)")
            begin("receipt/\(run)", "receipt", .client, under: context(of: "execution/\(run)").spanID, at: at)
        case .receiptDelivered(let end, _): note(TraceWords.of(end), in: "receipt/\(run)", at: at)
        case .settlementReceived(let settlement):
            tell([.count("mesh.paid", settlement.body.amountPaid.units)], in: "receipt/\(run)")
            // The journal goes on for a while, but nobody waits for that.
            for key in ["receipt", "execution"] { end("\(key)/\(run)", at: at) }
        case .settlementOverdue:
            end("receipt/\(run)", at: at, failure: "settlement_overdue")
            end("execution/\(run)", at: at)
        default: takeEnd(event, in: "execution/\(run)")
        }
    }

    private mutating func takeProgress(_ status: JobStatus, at date: UnixMilliseconds) {
        guard [.running, .awaitingInputs, .producingOutputs].contains(status) else { return }
        end("queue/\(run)", at: date)
        end("fetch/\(run)", at: date)
        begin("run/\(run)", "run", in: "execution/\(run)", at: date)
        if status == .producingOutputs { note("outputs", in: "run/\(run)", at: date) }
    }
}

extension TraceSpan.Attribute {
    fileprivate static func text(_ key: String, _ text: String) -> Self { Self(key: key, value: .text(text)) }
    fileprivate static func count(_ key: String, _ count: UInt64) -> Self { Self(key: key, value: .count(count)) }
}
