package import MeshTypes
package import SignedObjects

/// The rules of a book, signed by its issuer as the first entry: its unit, its officers, its witnesses, its prices.
package struct IssuerCharter: Hashable, CreditObject {
    /// The bounds of a charter.
    package enum Limits {
        /// The most officers, and the most witnesses.
        package static let namedMax = 16
        /// How many officers have to approve an order at least.
        package static let approvalsMin: UInt64 = 2
        /// The longest time until a hold is in the log, in milliseconds.
        package static let logWithinMillisecondsMax: UInt64 = 3_600_000
    }

    /// Whose book it is.
    package var issuerDID: DID
    /// The unit of its members' lines.
    package var unit: CreditUnit
    /// Who approves what changes the rules of a line, sorted.
    package var officers: [DID]
    /// How many of them have to.
    package var approvals: UInt64
    /// Who dates what is lodged while the issuer is away, sorted; none where nobody does.
    package var witnesses: [DID]
    /// After how many milliseconds a hold is in the log that witnesses have.
    package var logWithinMilliseconds: UInt64
    /// Holds of an account each day that cost nothing.
    package var holdsFreePerDay: UInt64
    /// What each further one costs, in the unit of the debtor's line.
    package var holdFee: TokenAmount
    /// The least budget of a dispute, in the unit of the debtor's line.
    package var disputeBudgetMin: TokenAmount
    /// When the book was opened.
    package var openedAt: UnixMilliseconds

    package init(
        issuerDID: DID, unit: CreditUnit, officers: [DID], approvals: UInt64, witnesses: [DID] = [],
        logWithinMilliseconds: UInt64 = 60_000, holdsFreePerDay: UInt64 = 256, holdFee: TokenAmount = TokenAmount(1),
        disputeBudgetMin: TokenAmount = .zero, openedAt: UnixMilliseconds
    ) {
        self.issuerDID = issuerDID
        self.unit = unit
        self.officers = officers.sorted()
        self.approvals = approvals
        self.witnesses = witnesses.sorted()
        self.logWithinMilliseconds = logWithinMilliseconds
        self.holdsFreePerDay = holdsFreePerDay
        self.holdFee = holdFee
        self.disputeBudgetMin = disputeBudgetMin
        self.openedAt = openedAt
    }

    /// The type name that is signed.
    package static let typeName = "IssuerCharter"
    package static let bytesMax = 4_096
    /// The issuer signs.
    package var signerDID: DID { issuerDID }

    package var fieldOutOfBounds: String? {
        func isList(_ dids: [DID]) -> Bool {
            dids.count <= Limits.namedMax && !dids.contains(issuerDID)
                && zip(dids, dids.dropFirst()).allSatisfy { $0 < $1 }
        }
        if !unit.isPossible { return "unit" }
        if !isList(officers) { return "officers" }
        if approvals < Limits.approvalsMin || approvals > UInt64(officers.count) { return "approvals" }
        if !isList(witnesses) { return "witnesses" }
        if logWithinMilliseconds > Limits.logWithinMillisecondsMax { return "log_within_ms" }
        if holdFee > CreditLine.limitMax { return "hold_fee" }
        return disputeBudgetMin > CreditLine.limitMax ? "dispute_budget_min" : nil
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case unit
        case officers
        case approvals
        case witnesses
        case logWithinMilliseconds = "log_within_ms"
        case holdsFreePerDay = "holds_free_per_day"
        case holdFee = "hold_fee"
        case disputeBudgetMin = "dispute_budget_min"
        case openedAt = "opened_at"
    }
}
