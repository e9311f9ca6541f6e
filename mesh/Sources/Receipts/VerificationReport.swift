package import Multiformats

/// The result of checking a receipt: one line per check, always all checks, in the same order.
package struct VerificationReport: Hashable, Sendable {
    /// How a check went.
    package enum Result: String, Hashable, Sendable, CaseIterable {
        /// It holds.
        case passed
        /// It does not hold.
        case failed
        /// It could not be made: a block is missing, or an earlier check that it depends on failed.
        case notCheckable = "not_checkable"
    }

    /// One check.
    package struct Line: Hashable, Sendable {
        /// A stable name for programs.
        package let code: String
        /// What was checked, in a few words for people.
        package let title: String
        /// How it went.
        package let result: Result
        /// What was found, as a sentence without a full stop.
        package let detail: String

        package init(code: String, title: String, result: Result, detail: String) {
            self.code = code
            self.title = title
            self.result = result
            self.detail = detail
        }
    }

    /// The receipt.
    package let receiptCID: CID
    /// The checks in their order.
    package let lines: [Line]

    package init(receiptCID: CID, lines: [Line]) {
        self.receiptCID = receiptCID
        self.lines = lines
    }

    /// All checks together: failed if one failed, passed if all passed. If the predecessor is gone, which happens to
    /// every receipt in time, the others decide.
    package var result: Result {
        if lines.contains(where: { $0.result == .failed }) { return .failed }
        let needed = lines.filter {
            $0.code != ReceiptCheckName.predecessor.rawValue || $0.result != .notCheckable
        }
        return !needed.isEmpty && needed.allSatisfy { $0.result == .passed } ? .passed : .notCheckable
    }

    /// Whether every check passed; only the predecessor's may be unknown.
    package var isVerified: Bool { result == .passed }

    /// The lines of failed checks.
    package var failures: [Line] { lines.filter { $0.result == .failed } }
}
