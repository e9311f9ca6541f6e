package import MeshTypes
package import SignedObjects

/// Which line of a book: with whom, and in which unit.
package struct LineID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The other side than the issuer.
    package let did: DID
    /// What the line counts.
    package let unit: CreditUnit

    package init(_ did: DID, _ unit: CreditUnit) {
        self.did = did
        self.unit = unit
    }

    /// The name of it.
    package var description: String { "\(did) in \(unit)" }

    package static func < (left: LineID, right: LineID) -> Bool { (left.did, left.unit) < (right.did, right.unit) }
}

/// What an issuer and one other owe each other, and how far either may: the only money that there is.
///
/// The balance is what the issuer owes; below zero it is owed. What is reserved, for holds that may still be paid,
/// counts as if it had been paid, on both sides of a hold: so a payment of a hold never finds a line exhausted. Both
/// books of two issuers have their line, with opposite balances.
package struct CreditLine: Hashable, Sendable {
    /// The most that either side of a line may owe: what every reader of integers can hold.
    package static let limitMax = TokenAmount(1 << 53)

    /// What the issuer owes, less what it is owed.
    package private(set) var balance: Int64 = 0
    /// The most that the other may owe the issuer.
    package private(set) var owedMax: TokenAmount
    /// The most that the issuer may owe the other.
    package private(set) var owingMax: TokenAmount
    /// What holds may still take off the balance.
    package private(set) var leaving: UInt64 = 0
    /// What holds may still add to it.
    package private(set) var coming: UInt64 = 0
    /// Whether the other may give no new orders. Holds that were given stand.
    package internal(set) var isFrozen = false
    /// Whether the other is an issuer, and gives and gets for its members.
    package internal(set) var isIssuer = false

    init(owedMax: TokenAmount, owingMax: TokenAmount) {
        self.owedMax = owedMax
        self.owingMax = owingMax
    }

    /// What the other can still give.
    package var spendable: UInt64 { UInt64(clamping: balance + Int64(owedMax.units) - Int64(leaving)) }

    /// What the other can still be given.
    package var room: UInt64 { UInt64(clamping: Int64(owingMax.units) - balance - Int64(coming)) }

    /// Changes the limits; `false` if what is owed or reserved exceeds them already.
    mutating func limit(owedMax: TokenAmount, owingMax: TokenAmount) -> Bool {
        guard balance + Int64(owedMax.units) >= Int64(leaving), Int64(owingMax.units) - balance >= Int64(coming) else {
            return false
        }
        (self.owedMax, self.owingMax) = (owedMax, owingMax)
        return true
    }

    /// What the other can give of what it is owed.
    var owed: UInt64 { UInt64(clamping: balance - Int64(leaving)) }

    // The book asks `spendable` and `room` first.
    mutating func give(_ amount: UInt64) { balance -= Int64(amount) }
    mutating func take(_ amount: UInt64) { balance += Int64(amount) }
    mutating func reserve(leaving amount: UInt64) { leaving += amount }
    mutating func reserve(coming amount: UInt64) { coming += amount }
    mutating func release(leaving amount: UInt64) { leaving -= amount }
    mutating func release(coming amount: UInt64) { coming -= amount }

    /// Stops the process if more is owed or reserved than the limits allow.
    func checkInvariants(_ name: LineID) {
        precondition(balance + Int64(owedMax.units) >= Int64(leaving), "\(name) owes more than it may: \(self)")
        precondition(Int64(owingMax.units) - balance >= Int64(coming), "\(name) is owed more than it may be: \(self)")
    }
}
