package import JobMarket
package import MeshTypes
package import Multiformats
package import SignedObjects

/// One line of a node's log about its work: an event, whose name does not change, and its fields (docs/log.md).
package struct WorkLine: Hashable, Sendable {
    /// What happened.
    package let event: WorkEvent
    /// The fields, in the order of the table in docs/log.md.
    package let fields: [Field]

    /// A field of a line.
    package struct Field: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// Its value, as it came: made safe by whoever writes it.
        package let value: String

        init(_ name: String, _ value: some CustomStringConvertible) {
            self.name = name
            self.value = value.description
        }

        /// An amount as programs read it, without the commas that people need.
        init(_ name: String, _ amount: TokenAmount) { self.init(name, amount.units) }
    }

    init(_ event: WorkEvent, _ fields: Field?...) {
        self.event = event
        self.fields = fields.compactMap(\.self)
    }
}

/// What a node logs of its work.
package enum WorkEvent: String, Hashable, Sendable, CaseIterable {
    // MARK: Jobs of the owner
    /// A job was submitted.
    case jobSubmitted = "job_submitted"
    /// A job was refused.
    case submissionRefused = "submission_refused"
    /// A job goes to an executor.
    case jobAssigned = "job_assigned"
    /// The executor took the job.
    case jobConfirmed = "job_confirmed"
    /// A job waits for tokens that other jobs hold.
    case fundsAwaited = "funds_awaited"
    /// An attempt at a job gave no result.
    case attemptEnded = "attempt_ended"
    /// A valid receipt came.
    case receiptAccepted = "receipt_accepted"
    /// A receipt came after the job had its result.
    case receiptLate = "receipt_late"
    /// A receipt was settled.
    case settlementMade = "settlement_made"
    /// An executor did not answer its settlement.
    case settlementUnanswered = "settlement_unanswered"
    /// A job ended.
    case jobEnded = "job_ended"

    // MARK: What others do
    /// A bid came.
    case bidReceived = "bid_received"
    /// A bid was refused.
    case bidRefused = "bid_refused"
    /// No bid was made.
    case bidWithheld = "bid_withheld"
    /// A bid was made.
    case bidMade = "bid_made"
    /// A bid was taken up.
    case bidWon = "bid_won"
    /// A bid came to nothing.
    case bidLost = "bid_lost"
    /// An assignment was declined.
    case assignmentDeclined = "assignment_declined"
    /// A run fetches its module and inputs.
    case runFetching = "run_fetching"
    /// A run began.
    case runStarted = "run_started"
    /// A run was asked to stop.
    case runStopping = "run_stopping"
    /// A run ended, and its receipt is signed.
    case runEnded = "run_ended"
    /// A receipt did not reach its originator.
    case receiptUndelivered = "receipt_undelivered"
    /// A receipt was settled by its originator.
    case paymentReceived = "payment_received"
    /// A receipt was not settled in time.
    case paymentOverdue = "payment_overdue"
    /// A peer connected.
    case peerConnected = "peer_connected"
    /// A peer is gone.
    case peerLost = "peer_lost"
    /// A peer misbehaved.
    case peerMisbehaved = "peer_misbehaved"
    /// A peer is shunned for a while.
    case peerShunned = "peer_shunned"

    // MARK: Where the owner sends the node
    /// A bootstrap address does not answer.
    case bootstrapFailed = "bootstrap_failed"

    // MARK: The log itself
    /// Lines were left out of the log.
    case linesLeftOut = "lines_left_out"

    /// The event in a sentence.
    package var sentence: String {
        switch self {
        case .jobSubmitted: "A job was submitted."
        case .submissionRefused: "A job was refused."
        case .jobAssigned: "A job goes to an executor."
        case .jobConfirmed: "The executor took the job."
        case .fundsAwaited: "A job waits for tokens that other jobs hold."
        case .attemptEnded: "An attempt at a job gave no result."
        case .receiptAccepted: "A valid receipt came."
        case .receiptLate: "A receipt came after the job had its result."
        case .settlementMade: "A receipt was settled."
        case .settlementUnanswered: "An executor did not answer its settlement."
        case .jobEnded: "A job ended."
        case .bidReceived: "A bid came."
        case .bidRefused: "A bid was refused."
        case .bidWithheld: "No bid was made."
        case .bidMade: "A bid was made."
        case .bidWon: "A bid was taken up."
        case .bidLost: "A bid came to nothing."
        case .assignmentDeclined: "An assignment was declined."
        case .runFetching: "A run fetches its module and inputs."
        case .runStarted: "A run began."
        case .runStopping: "A run was asked to stop."
        case .runEnded: "A run ended, and its receipt is signed."
        case .receiptUndelivered: "A receipt did not reach its originator."
        case .paymentReceived: "A receipt was settled by its originator."
        case .paymentOverdue: "A receipt was not settled in time."
        case .peerConnected: "A peer connected."
        case .peerLost: "A peer is gone."
        case .peerMisbehaved: "A peer misbehaved."
        case .peerShunned: "A peer is shunned for a while."
        case .bootstrapFailed: "A bootstrap address does not answer."
        case .linesLeftOut: "Lines were left out of the log."
        }
    }

    /// Whether strangers can make it happen as often as they like.
    package var isOfStrangers: Bool {
        switch self {
        case .jobSubmitted, .submissionRefused, .jobAssigned, .jobConfirmed, .fundsAwaited, .attemptEnded,
            .receiptAccepted, .receiptLate, .settlementMade, .settlementUnanswered, .jobEnded, .bootstrapFailed,
            .linesLeftOut:
            false
        case .bidReceived, .bidRefused, .bidWithheld, .bidMade, .bidWon, .bidLost, .assignmentDeclined, .runFetching,
            .runStarted, .runStopping, .runEnded, .receiptUndelivered, .paymentReceived, .paymentOverdue,
            .peerConnected, .peerLost, .peerMisbehaved, .peerShunned:
            true
        }
    }
}

// MARK: The lines

extension WorkLine {
    /// The line about an event of a job; nil if the log leaves it out.
    package static func line(of event: JobEvent) -> WorkLine? {
        let job = Field("job", event.jobID)
        switch event.role {
        case .originator: return ofBids(event.kind, job) ?? ofAttempts(event.kind, job) ?? ofEnds(event.kind, job)
        case .executor: return ofOwnBids(event.kind, job) ?? ofRuns(event.kind, job)
        }
    }

    private static func ofBids(_ kind: JobEventKind, _ job: Field) -> WorkLine? {
        switch kind {
        case .submitted(let manifest, _, _, _):
            let params = manifest.body.params
            return WorkLine(
                .jobSubmitted, job, Field("module", params.wasmCID), Field("max_fuel", params.maxFuel),
                params.priceCeiling.map { Field("max_price", $0) })
        case .bidReceived(let bid, let refusal):
            let (bidder, price) = (Field("bidder", bid.body.bidderDID.short), Field("price", bid.body.terms.price))
            guard let refusal else { return WorkLine(.bidReceived, job, bidder, price) }
            return WorkLine(
                .bidRefused, job, bidder, price, Field("code", refusal.name.rawValue), Field("reason", refusal))
        default: return nil
        }
    }

    private static func ofAttempts(_ kind: JobEventKind, _ job: Field) -> WorkLine? {
        switch kind {
        case .assignmentMade(let assignment, _):
            let body = assignment.body
            return WorkLine(
                .jobAssigned, job, Field("executor", body.executorDID.short), Field("price", body.terms.price),
                Field("attempt", body.attempt), Field("assignment", assignment.cid))
        case .assignmentConfirmed(let assignment, _):
            return WorkLine(.jobConfirmed, job, Field("assignment", assignment))
        case .fundsAwaited(let needed, let available, _):
            return WorkLine(.fundsAwaited, job, Field("needed", needed), Field("available", available))
        case .attemptEnded(let assignment, let end):
            return WorkLine(.attemptEnded, job, Field("assignment", assignment), Field("reason", end))
        case .receiptAccepted(_, let receipt, _): return ofReceipt(.receiptAccepted, job, receipt)
        case .lateReceipt(let receipt, _, _): return ofReceipt(.receiptLate, job, receipt)
        default: return nil
        }
    }

    private static func ofEnds(_ kind: JobEventKind, _ job: Field) -> WorkLine? {
        switch kind {
        case .resultReached(let result, let outcome):
            let status =
                outcome.responsibility == .success ? "succeeded" : result == .cancelled ? "cancelled" : "failed"
            return WorkLine(.jobEnded, job, Field("status", status), Field("reason", outcome))
        case .failed(let failure):
            return WorkLine(
                .jobEnded, job, Field("status", "failed"), Field("code", failure.code), Field("reason", failure))
        case .cancelled(let reason):
            return WorkLine(.jobEnded, job, Field("status", "cancelled"), Field("reason", reason))
        case .settled(let settlement, _): return ofSettlement(.settlementMade, job, settlement.body)
        case .settlementDelivered(let receipt, acknowledged: false):
            return WorkLine(.settlementUnanswered, job, Field("receipt", receipt))
        default: return nil
        }
    }

    private static func ofOwnBids(_ kind: JobEventKind, _ job: Field) -> WorkLine? {
        switch kind {
        case .bidMade(let manifest, let bid):
            let originator = manifest.body.originatorDID.short
            return WorkLine(.bidMade, job, Field("originator", originator), Field("price", bid.body.terms.price))
        case .bidClosed(.refused(let code, let reason, let winner)):
            return WorkLine(
                .bidLost, job, Field("code", code), winner.map { Field("winner", $0.did.short) },
                winner.map { Field("price", $0.price) }, Field("reason", reason))
        case .bidClosed(.declinedAssignment(let code, let reason)):
            return WorkLine(.assignmentDeclined, job, Field("code", code), Field("reason", reason))
        case .bidClosed(.lapsed):
            return WorkLine(.bidLost, job, Field("code", "lapsed"), Field("reason", BidEnd.lapsed))
        case .bidClosed(.notDelivered(let reason)):
            return WorkLine(.bidLost, job, Field("code", "not_delivered"), Field("reason", reason))
        case .assignmentAccepted(let manifest, _, let assignment):
            let body = assignment.body
            return WorkLine(
                .bidWon, job, Field("originator", manifest.body.originatorDID.short), Field("price", body.terms.price),
                Field("attempt", body.attempt))
        default: return nil
        }
    }

    private static func ofRuns(_ kind: JobEventKind, _ job: Field) -> WorkLine? {
        switch kind {
        case .executionStarted: return WorkLine(.runFetching, job)
        case .executionProgressed(.running): return WorkLine(.runStarted, job)
        case .stopRequested(let reason, let byOriginator):
            return WorkLine(
                .runStopping, job, Field("by", byOriginator ? "originator" : "owner"), Field("reason", reason))
        case .receiptSigned(let receipt, _): return ofReceipt(.runEnded, job, receipt)
        case .receiptDelivered(let end, _) where end != .acknowledged:
            return WorkLine(.receiptUndelivered, job, Field("reason", end))
        case .settlementReceived(let settlement): return ofSettlement(.paymentReceived, job, settlement.body)
        case .settlementOverdue: return WorkLine(.paymentOverdue, job)
        default: return nil
        }
    }

    private static func ofReceipt(
        _ event: WorkEvent, _ job: Field, _ signed: SignedObject<ExecutionReceipt>
    ) -> WorkLine {
        let receipt = signed.body
        let party =
            event == .runEnded
            ? Field("originator", receipt.originatorDID.short) : Field("executor", receipt.executorDID.short)
        return WorkLine(
            event, job, party, Field("receipt", signed.cid), Field("fuel", receipt.resourceUsage.fuel),
            Field("price", receipt.price), Field("reason", receipt.outcome))
    }

    private static func ofSettlement(_ event: WorkEvent, _ job: Field, _ settlement: Settlement) -> WorkLine {
        let party =
            event == .paymentReceived
            ? Field("originator", settlement.originatorDID.short) : Field("executor", settlement.executorDID.short)
        return WorkLine(
            event, job, party, Field("receipt", settlement.receiptCID), Field("paid", settlement.amountPaid),
            Field("refunded", settlement.amountRefunded), Field("verdict", settlement.verdict.rawValue))
    }

    /// The line about a job on which this node does not bid; nil for a job of its own.
    package static func line(of declined: DeclinedJob) -> WorkLine? {
        if case .ownJob = declined.reason { return nil }
        return WorkLine(
            .bidWithheld, Field("job", declined.jobID), Field("code", declined.reason.code),
            Field("reason", declined.reason))
    }

    /// The line about an assignment of a peer that this node does not take.
    package static func declinedAssignment(of peer: PeerID, _ refusal: Refusal) -> WorkLine {
        WorkLine(
            .assignmentDeclined, Field("peer", peer), Field("code", refusal.code), Field("reason", refusal.text))
    }

    /// The line about a job that the owner could not submit.
    package static func refusedSubmission(code: String, reason: String) -> WorkLine {
        WorkLine(.submissionRefused, Field("code", code), Field("reason", reason))
    }

    /// The line about a bootstrap address at which nobody, or somebody else, answered so many times in a row.
    package static func bootstrapFailed(_ address: String, times: UInt64, reason: String) -> WorkLine {
        WorkLine(.bootstrapFailed, Field("address", address), Field("times", times), Field("reason", reason))
    }

    /// The line about a peer that came, went or did something wrong.
    package static func peer(_ event: WorkEvent, _ peer: PeerID, node: DID?, reason: String? = nil) -> WorkLine {
        WorkLine(
            event, Field("peer", peer), node.map { Field("node", $0.short) }, reason.map { Field("reason", $0) })
    }
}
