import IPLD
import MeshTypes
package import Multiformats
import SignedObjects

/// What every account of a book had at some time that had anything: what a closed period is committed to. In each unit
/// all of them come to zero.
package struct TrialBalance: Hashable, Sendable, Codable {
    /// An account that is not at zero.
    struct Account: Hashable, Sendable, Codable {
        /// `line`, or which one of the issuer's own it is.
        let account: String
        /// Whose line.
        let did: DID?
        /// What it is counted in.
        let unit: CreditUnit
        /// What the issuer owes, in the smallest unit, as decimal digits; below zero it is owed.
        let balance: String
    }

    private let issuerDID: DID
    private let charterCID: CID
    /// The issuer's own first, each kind sorted.
    private let accounts: [Account]

    init(_ accounts: BookAccounts, issuer: DID, charter: CID) {
        (issuerDID, charterCID) = (issuer, charter)
        let own = accounts.ownSorted.map {
            Account(account: $0.account.rawValue, did: nil, unit: $0.unit, balance: "\($0.balance)")
        }
        let lines = accounts.sorted.filter { $0.line.balance != 0 }.map {
            Account(account: "line", did: $0.id.did, unit: $0.id.unit, balance: "\($0.line.balance)")
        }
        self.accounts = own + lines
    }

    /// That of a book as it is now.
    package init(_ book: IssuerBook) {
        self.init(book.accounts, issuer: book.issuer, charter: book.charterCID)
    }

    /// What officers approve as they close a period: the CID of its DAG-CBOR.
    package var cid: CID {
        guard let bytes = try? DAGCBOREncoder().encode(self) else { preconditionFailure("balances are text") }
        return CID.hashing(bytes, codec: .dagCBOR)
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case charterCID = "charter_cid"
        case accounts
    }
}

/// What the accounts had at each midnight in UTC that may still be closed: the CIDs of their trial balances.
struct DayBalances: Hashable, Sendable {
    private struct End: Hashable, Sendable {
        /// The last midnight, as days since the epoch, until which the accounts had this.
        let through: UInt64
        let balance: CID
    }

    // BOUNDED: by `IssuerBook.Limits.daysMax`.
    private var ends: [End] = []
    /// The midnight from which on nothing is known; the next one is.
    private var known: UInt64

    /// Those of a book that is opened.
    init(from date: UnixMilliseconds) { known = Self.day(of: date) }

    static func day(of date: UnixMilliseconds) -> UInt64 { date.value / HoldUsage.dayMilliseconds }

    /// Notes what the accounts had until an entry that is the first of its day.
    mutating func note(_ balance: CID, until date: UnixMilliseconds, daysMax: Int) {
        ends.append(End(through: Self.day(of: date), balance: balance))
        while ends.count > daysMax { known = max(known, ends.removeFirst().through) }
    }

    /// What the accounts had at a midnight; nil if that is not known any more, or too early. `now` is what they have,
    /// since `lastAt`.
    func balance(at midnight: UnixMilliseconds, lastAt: UnixMilliseconds, now: () -> CID) -> CID? {
        let day = Self.day(of: midnight)
        guard day > known else { return nil }
        if day > Self.day(of: lastAt) { return now() }
        return ends.first { $0.through >= day }?.balance
    }

    /// Forgets what is not asked for any more once the time before a midnight is closed.
    mutating func close(_ midnight: UnixMilliseconds) {
        known = max(known, Self.day(of: midnight))
        ends.removeAll { $0.through <= known }
    }
}
