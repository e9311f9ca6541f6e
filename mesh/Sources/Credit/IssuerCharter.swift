package import MeshTypes
package import SignedObjects

/// The rules of a book, signed by its issuer as the first entry: its unit, its officers, its witnesses, its prices.
package struct IssuerCharter: Hashable, CreditObject {
    /// The bounds of a charter.
    package enum Limits {
        /// The most officers, the most witnesses, and the most arbiters.
        package static let namedMax = 16
        /// How many officers have to approve an order at least.
        package static let approvalsMin: UInt64 = 2
        /// The bounds of the time until a hold is in the log, in milliseconds: witnesses date by the second, and are
        /// not asked at once.
        package static let logWithinMilliseconds: ClosedRange<UInt64> = 60_000...3_600_000
        /// The bounds of the margin of holds downstream, in milliseconds.
        package static let marginMilliseconds: ClosedRange<UInt64> = 1_000...3_600_000
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
    /// Who may decide disputes, sorted; without any, the book holds nothing. The issuer may be one of them.
    package var arbiters: [DID]
    /// After how many milliseconds a hold is in the log that witnesses have.
    package var logWithinMilliseconds: UInt64
    /// Holds of an account each day that cost nothing.
    package var holdsFreePerDay: UInt64
    /// What each further one costs, in the unit of the debtor's line.
    package var holdFee: TokenAmount
    /// The least budget of a dispute, in the unit of the debtor's line.
    package var disputeBudgetMin: TokenAmount
    /// The largest budget of a dispute, in the unit of the debtor's line.
    package var disputeBudgetMax: TokenAmount
    /// How much earlier than its members' holds end those that it orders for them at other issuers, in milliseconds.
    package var marginMilliseconds: UInt64
    /// When the book was opened.
    package var openedAt: UnixMilliseconds

    package init(
        issuerDID: DID, unit: CreditUnit, officers: [DID], approvals: UInt64, witnesses: [DID] = [],
        arbiters: [DID], logWithinMilliseconds: UInt64 = 60_000, holdsFreePerDay: UInt64 = 256,
        holdFee: TokenAmount = TokenAmount(1),
        disputeBudgetMin: TokenAmount = .zero, disputeBudgetMax: TokenAmount = CreditLine.limitMax,
        marginMilliseconds: UInt64 = 30_000, openedAt: UnixMilliseconds
    ) {
        self.issuerDID = issuerDID
        self.unit = unit
        self.officers = officers.sorted()
        self.approvals = approvals
        self.witnesses = witnesses.sorted()
        self.arbiters = arbiters.sorted()
        self.logWithinMilliseconds = logWithinMilliseconds
        self.holdsFreePerDay = holdsFreePerDay
        self.holdFee = holdFee
        self.disputeBudgetMin = disputeBudgetMin
        self.disputeBudgetMax = disputeBudgetMax
        self.marginMilliseconds = marginMilliseconds
        self.openedAt = openedAt
    }

    /// The type name that is signed.
    package static let typeName = "IssuerCharter"
    package static let bytesMax = 4_096
    /// The issuer signs.
    package var signerDID: DID { issuerDID }

    package var fieldOutOfBounds: String? {
        func isList(_ dids: [DID]) -> Bool {
            dids.count <= Limits.namedMax
                && zip(dids, dids.dropFirst()).allSatisfy { $0 < $1 }
        }
        if !unit.isPossible { return "unit" }
        if !isList(officers) || officers.contains(issuerDID) { return "officers" }
        if approvals < Limits.approvalsMin || approvals > UInt64(officers.count) { return "approvals" }
        if !isList(witnesses) || witnesses.contains(issuerDID) { return "witnesses" }
        if !isList(arbiters) { return "arbiters" }
        if !Limits.logWithinMilliseconds.contains(logWithinMilliseconds) { return "log_within_ms" }
        if holdFee > CreditLine.limitMax { return "hold_fee" }
        if disputeBudgetMin > disputeBudgetMax { return "dispute_budget_min" }
        if disputeBudgetMax > CreditLine.limitMax { return "dispute_budget_max" }
        return Limits.marginMilliseconds.contains(marginMilliseconds) ? nil : "margin_ms"
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case unit
        case officers
        case approvals
        case witnesses
        case arbiters
        case logWithinMilliseconds = "log_within_ms"
        case holdsFreePerDay = "holds_free_per_day"
        case holdFee = "hold_fee"
        case disputeBudgetMin = "dispute_budget_min"
        case disputeBudgetMax = "dispute_budget_max"
        case marginMilliseconds = "margin_ms"
        case openedAt = "opened_at"
    }
}
