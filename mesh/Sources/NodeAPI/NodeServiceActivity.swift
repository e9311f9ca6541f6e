/// Which part of the past to count, and in how many equal parts.
package struct ActivityQuery: Hashable, Sendable {
    /// The most parts.
    package static let partsMax = 60
    /// How long a part may be, in milliseconds: a second to a day.
    package static let stepRange: ClosedRange<UInt64> = 1_000...86_400_000

    /// Where it ends, in milliseconds since the Unix epoch.
    package var until: UInt64
    /// How long a part is, in milliseconds.
    package var stepMilliseconds: UInt64
    /// How many parts there are.
    package var parts: Int

    /// A query, cut to its bounds.
    package init(until: UInt64, stepMilliseconds: UInt64, parts: Int) {
        self.until = until
        self.stepMilliseconds = min(max(stepMilliseconds, Self.stepRange.lowerBound), Self.stepRange.upperBound)
        self.parts = min(max(parts, 1), Self.partsMax)
    }

    /// Where it begins, in milliseconds since the Unix epoch.
    package var from: UInt64 {
        let length = stepMilliseconds * UInt64(parts)
        return until > length ? until - length : 0
    }
}

/// What ended at a node, and what it earned and paid, in equal parts of a time.
package struct ActivityView: Hashable, Sendable, Codable {
    /// One part of the time.
    package struct Part: Hashable, Sendable, Codable {
        /// Jobs that succeeded: those that this node asked for, and those that it ran for others.
        package var succeeded: UInt64 = 0
        /// Jobs that ended otherwise; a bid that came to nothing is no job.
        package var endedOtherwise: UInt64 = 0
        /// What was earned, in the smallest unit.
        package var earned: UInt64 = 0
        /// What was paid, in the smallest unit.
        package var paid: UInt64 = 0

        package init() {}

        private enum CodingKeys: String, CodingKey {
            case succeeded, earned, paid
            case endedOtherwise = "ended_otherwise"
        }
    }

    /// Where the first part begins, in milliseconds since the Unix epoch.
    package var from: UInt64
    /// How long a part is, in milliseconds.
    package var stepMilliseconds: UInt64
    /// The parts, the oldest first.
    package var parts: [Part]
    /// Whether everything is counted: of very much, only the newest is.
    package var isWhole: Bool

    package init(from: UInt64, stepMilliseconds: UInt64, parts: [Part], isWhole: Bool) {
        self.from = from
        self.stepMilliseconds = stepMilliseconds
        self.parts = parts
        self.isWhole = isWhole
    }

    private enum CodingKeys: String, CodingKey {
        case from, parts
        case stepMilliseconds = "step_ms"
        case isWhole = "whole"
    }
}
