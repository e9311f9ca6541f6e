public import Multiformats

/// The result of checking a receipt: one line per check, always all checks, in the same order.
public struct VerificationReport: Hashable, Sendable {
    /// How a check went.
    public enum Result: String, Hashable, Sendable, CaseIterable {
        /// It holds.
        case passed
        /// It does not hold.
        case failed
        /// It could not be made: a block is missing, or an earlier check that it depends on failed.
        case notCheckable = "not_checkable"
    }

    /// One check.
    public struct Line: Hashable, Sendable {
        /// A stable name for programs.
        public let code: String
        /// What was checked, in a few words for people.
        public let title: String
        /// How it went.
        public let result: Result
        /// What was found, as a sentence without a full stop.
        public let detail: String

        public init(code: String, title: String, result: Result, detail: String) {
            self.code = code
            self.title = title
            self.result = result
            self.detail = detail
        }
    }

    /// The receipt.
    public let receiptCID: CID
    /// The checks in their order.
    public let lines: [Line]

    public init(receiptCID: CID, lines: [Line]) {
        self.receiptCID = receiptCID
        self.lines = lines
    }

    /// All checks together: failed if one failed, passed if all passed. If the predecessor is gone, which happens to
    /// every receipt in time, the others decide.
    public var result: Result {
        if lines.contains(where: { $0.result == .failed }) { return .failed }
        let needed = lines.filter {
            $0.code != ReceiptCheckName.predecessor.rawValue || $0.result != .notCheckable
        }
        return !needed.isEmpty && needed.allSatisfy { $0.result == .passed } ? .passed : .notCheckable
    }

    /// Whether every check passed; only the predecessor's may be unknown.
    public var isVerified: Bool { result == .passed }

    /// The lines of failed checks.
    public var failures: [Line] { lines.filter { $0.result == .failed } }
}
