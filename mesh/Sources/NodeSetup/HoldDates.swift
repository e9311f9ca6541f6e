/// How long the holds last that pay for the owner's jobs by credit (PROTOCOL.md, "Jobs by credit"), and who hears what
/// became of them. The longer, the longer a line's credit is bound after a failure; the shorter, the less time has an
/// executor to prove that it delivered, and the owner to dispute that.
package struct HoldDates: Hashable, Sendable, Codable {
    /// How much later than its executor promises a result may be delivered, besides four times the job's timeout,
    /// in seconds.
    package var deliverySeconds: UInt64 = 600
    /// How long after that an executor may claim, in seconds.
    package var claimSeconds: UInt64 = 3_600
    /// How long a claim can be disputed, besides four times the job's timeout, in seconds.
    package var windowSeconds: UInt64 = 600
    /// How much longer a dispute may take, in seconds; no window is longer.
    package var decisionSeconds: UInt64 = 3_600
    /// Whether others are told that a receipt was paid, with the issuer's proof of it, which shows the two entries.
    package var tellsPaid = true

    /// The defaults.
    package init() {}

    private enum CodingKeys: String, CodingKey {
        case deliverySeconds = "delivery_seconds"
        case claimSeconds = "claim_seconds"
        case windowSeconds = "window_seconds"
        case decisionSeconds = "decision_seconds"
        case tellsPaid = "tell_paid"
    }

    /// Reads what is given; `ConfigurationRule` has checked it.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        try container.read(.deliverySeconds, into: &deliverySeconds)
        try container.read(.claimSeconds, into: &claimSeconds)
        try container.read(.windowSeconds, into: &windowSeconds)
        try container.read(.decisionSeconds, into: &decisionSeconds)
        try container.read(.tellsPaid, into: &tellsPaid)
    }

    /// What a configuration may say: executors take no window and no decision of more than an hour, and no less than
    /// a minute for a claim; the book takes no hold of more than a day.
    static let rule = ConfigurationRule.group([
        ("delivery_seconds", .count(5...21_600)),
        ("claim_seconds", .count(60...21_600)),
        ("window_seconds", .count(1...3_600)),
        ("decision_seconds", .count(60...3_600)),
        ("tell_paid", .flag),
    ])
}
