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
        /// Whether the receipt can hold only if this was checked. It cannot hold if this failed, needed or not.
        package let isNeeded: Bool

        package init(code: String, title: String, result: Result, detail: String, isNeeded: Bool = true) {
            self.code = code
            self.title = title
            self.result = result
            self.detail = detail
            self.isNeeded = isNeeded
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

    /// All checks together: failed if one failed, passed if all passed. Where one that is not needed could not be made,
    /// the others decide: the predecessor is gone, which happens to every receipt in time, or outputs were left out.
    package var result: Result {
        if lines.contains(where: { $0.result == .failed }) { return .failed }
        let needed = lines.filter { $0.isNeeded || $0.result != .notCheckable }
        return !needed.isEmpty && needed.allSatisfy { $0.result == .passed } ? .passed : .notCheckable
    }

    /// Whether every check passed; only those that are not needed may be unknown.
    package var isVerified: Bool { result == .passed }

    /// What a receipt that holds says nothing about, as one sentence (THREATS.md, "What is not defended yet").
    package static let doesNotShow =
        "It shows who agreed to what and who signed the result; it does not show that the result is right (mesh "
        + "receipt replay runs the job again), that the dates are true, or that the two sides are different people."

    /// The lines of failed checks.
    package var failures: [Line] { lines.filter { $0.result == .failed } }
}
