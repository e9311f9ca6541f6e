import JobMarket
import MeshTypes

/// Words for failures in spans: few, and the program's own. What peers write goes into no span.
enum TraceWords {
    static func of(_ end: AttemptEnd) -> String {
        switch end {
        case .declined: "declined"
        case .unconfirmed: "unconfirmed"
        case .leaseExpired: "lease_expired"
        case .fetchTimedOut: "fetch_timed_out"
        case .executionTimedOut: "execution_timed_out"
        case .receiptTimedOut: "receipt_timed_out"
        case .nodeFailed: "node_failed"
        case .receiptInvalid: "receipt_invalid"
        case .refuted: "refuted"
        case .unverified: "unverified"
        case .outputsMissing: "outputs_missing"
        case .overtaken: "overtaken"
        case .hedged: "hedged"
        case .forgotten: "forgotten"
        case .dropped: "dropped"
        }
    }

    static func of(_ failure: JobFailure) -> String {
        switch failure {
        case .announcementTimedOut: "announcement_timed_out"
        case .noAcceptableBid: "no_acceptable_bid"
        case .nobodyReachable: "nobody_reachable"
        case .nobodyExecutes: "nobody_executes"
        case .noExecutor: "no_executor"
        case .attemptsExhausted: "attempts_exhausted"
        case .crashesEngine: "crashes_engine"
        case .unverified: "unverified"
        case .expired: "expired"
        case .cannotHold: "cannot_hold"
        case .originatorFailed: "originator_failed"
        }
    }

    static func of(_ end: BidEnd) -> String {
        switch end {
        case .refused: "refused"
        case .lapsed: "lapsed"
        case .notDelivered: "not_delivered"
        case .declinedAssignment: "declined_assignment"
        }
    }

    static func of(_ end: DeliveryEnd) -> String {
        switch end {
        case .acknowledged: "delivered"
        case .refused: "refused"
        case .expired: "not_delivered"
        }
    }

    static func of(_ outcome: ExecutionOutcome) -> String {
        switch outcome {
        case .exited: "exited"
        case .trapped: "trapped"
        case .limitExceeded: "limit_exceeded"
        case .cancelled: "cancelled"
        case .moduleRefused: "module_refused"
        case .filesRefused: "files_refused"
        case .fetchFailed: "fetch_failed"
        case .nodeFailed: "node_failed"
        }
    }
}
