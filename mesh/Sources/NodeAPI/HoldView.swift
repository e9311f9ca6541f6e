/// What became of a hold by which an attempt of a job is paid, as far as this side of the job is concerned.
package struct HoldView: Hashable, Sendable, Codable {
    /// Where it is.
    package enum State: String, Hashable, Sendable, Codable, CaseIterable {
        /// The issuer holds the price.
        case held
        /// The issuer is to book what is due, or that nothing is.
        case due
        /// The executor claimed it; it is paid when the time for a dispute is over.
        case claimed
        /// The originator disputes the claim; its arbiter decides, or it is paid when its time is over.
        case disputed
        /// The issuer's log has the entry that paid it.
        case paid
        /// It is over, and nothing was paid.
        case released
        /// The issuer did not book it in time.
        case lost
    }

    /// The issuer.
    package var issuer: String
    /// The hold, by the CID of the order's body.
    package var hold: String
    /// The amount: what is held, or what is, or was, due of it.
    package var amount: UInt64
    /// What it is counted in.
    package var unit: String
    /// The decimal places of the unit.
    package var decimals: UInt64
    /// Where it is.
    package var state: State
    /// The entry of the issuer's log that says so, which was proved.
    package var entry: UInt64?
    /// When something is to be booked next, in milliseconds since the Unix epoch.
    package var dueAt: UInt64?
    /// Why it came to nothing.
    package var reason: String?

    package init(issuer: String, hold: String, amount: UInt64, unit: String, decimals: UInt64, state: State) {
        (self.issuer, self.hold, self.amount) = (issuer, hold, amount)
        (self.unit, self.decimals, self.state) = (unit, decimals, state)
    }

    private enum CodingKeys: String, CodingKey {
        case issuer, hold, amount, unit, decimals, state, entry, reason
        case dueAt = "due_at"
    }
}
