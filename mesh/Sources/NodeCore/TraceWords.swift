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
