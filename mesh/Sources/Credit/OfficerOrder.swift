import IPLD
package import MeshTypes
package import Multiformats
package import SignedObjects

/// What officers of a cooperative order in its book. The order itself is not signed; each officer signs its CID
/// (`Approval`).
package struct OfficerOrder: Hashable, Sendable, Codable {
    /// The longest reason or reference, in bytes.
    package static let reasonBytesMax = 256
    /// The most approvals that come with an order.
    package static let approvalsMax = 2 * IssuerCharter.Limits.namedMax
    /// How far its number may be above that of the order before.
    package static let numberStepMax: UInt64 = 1 << 20

    /// What is ordered.
    package enum Action: Hashable, Sendable, Codable {
        /// Opens a line, or changes the limits of one, and whether it is that of another issuer.
        case limit(line: LineID, owed: TokenAmount, owing: TokenAmount, issuer: Bool)
        /// Takes no new orders from a line, or takes them again.
        case freeze(line: LineID, frozen: Bool)
        /// What the least is that debtors whose lines have the rate's unit pay for units of lines in another.
        case rate(unit: CreditUnit, rate: CreditRate)
        /// Undoes the payment of an entry, as far as the creditor still has it: all of it or nothing.
        case reverse(entry: UInt64, reason: String)
        /// Gives up a part of what a line owes.
        case writeOff(line: LineID, amount: TokenAmount, reason: String)
        /// Books what was paid in elsewhere; the line's owner approves it, too.
        case deposit(line: LineID, amount: TokenAmount, reference: String)
        /// Books what was paid out elsewhere; the line's owner approves it, too.
        case withdraw(line: LineID, amount: TokenAmount, reference: String)
        /// Shows somebody all entries from now on, or no more.
        case auditor(did: DID, appointed: Bool)
        /// Gives the account of a line whose key is lost or stolen to another key, which approves it, too.
        case move(line: LineID, to: DID, reason: String)
        /// Closes the time before a midnight in UTC, by the CID of its `TrialBalance`.
        case close(until: UnixMilliseconds, balance: CID)
        /// Begins the end of the book; a successor's book may take over what is left.
        case windDown(successor: DID?, reason: String)
        /// Ends the book.
        case end(reason: String)

        enum CodingKeys: String, CodingKey {
            case limit
            case freeze
            case rate
            case reverse
            case writeOff = "write_off"
            case deposit
            case withdraw
            case auditor
            case move
            case close
            case windDown = "wind_down"
            case end
        }
    }

    /// Whose book it is for.
    package var issuerDID: DID
    /// The CID of the body of that book's charter.
    package var charterCID: CID
    /// Higher than that of every order before, so that none is carried out again.
    package var number: UInt64
    /// What to do.
    package var action: Action

    package init(issuerDID: DID, charterCID: CID, number: UInt64, action: Action) {
        self.issuerDID = issuerDID
        self.charterCID = charterCID
        self.number = number
        self.action = action
    }

    /// What officers sign: the CID of the order's DAG-CBOR; `nil` if it has none.
    package var cid: CID? { (try? DAGCBOREncoder().encode(self)).map { CID.hashing($0, codec: .dagCBOR) } }

    /// Whose line, or who, it is about.
    package var subjects: [DID] {
        switch action {
        case .limit(let line, _, _, _), .freeze(let line, _), .writeOff(let line, _, _), .deposit(let line, _, _),
            .withdraw(let line, _, _):
            [line.did]
        case .auditor(let did, _): [did]
        case .move(let line, let did, _): [line.did, did]
        case .rate, .reverse, .close, .windDown, .end: []
        }
    }

    /// The line's owner, where it has to approve as well; where an account moves, its new one, which shows that it has
    /// that key and takes what the account owes.
    package var countersigner: DID? {
        switch action {
        case .deposit(let line, _, _), .withdraw(let line, _, _): line.did
        case .move(_, let did, _): did
        case .limit, .freeze, .rate, .reverse, .writeOff, .auditor, .close, .windDown, .end: nil
        }
    }

    /// Whether everybody may read it: what the book itself does.
    package var isPublic: Bool {
        switch action {
        case .close, .windDown, .end: true
        default: false
        }
    }

    /// How long its texts are.
    var textBytes: Int {
        switch action {
        case .limit(let line, _, _, _), .freeze(let line, _): line.unit.name.utf8.count
        case .rate(let unit, let rate): unit.name.utf8.count + rate.unit.name.utf8.count
        case .reverse(_, let text), .windDown(_, let text), .end(let text): text.utf8.count
        case .auditor, .close: 0
        case .move(let line, _, let text), .writeOff(let line, _, let text), .deposit(let line, _, let text),
            .withdraw(let line, _, let text):
            line.unit.name.utf8.count + text.utf8.count
        }
    }

    /// The line that it names.
    var line: LineID? {
        switch action {
        case .limit(let line, _, _, _), .freeze(let line, _), .writeOff(let line, _, _), .deposit(let line, _, _),
            .withdraw(let line, _, _), .move(let line, _, _):
            line
        case .rate, .reverse, .auditor, .close, .windDown, .end: nil
        }
    }

    /// The latest date that one names, in milliseconds since the Unix epoch.
    static let dateMax: UInt64 = 1 << 53

    /// Whether amounts, units and texts are within their bounds.
    package var isPossible: Bool {
        func isAmount(_ amount: TokenAmount) -> Bool { amount > .zero && amount <= CreditLine.limitMax }
        func isText(_ text: String) -> Bool { text.utf8.count <= Self.reasonBytesMax }
        return switch action {
        case .limit(let line, let owed, let owing, _):
            line.unit.isPossible && owed <= CreditLine.limitMax && owing <= CreditLine.limitMax
        case .freeze(let line, _): line.unit.isPossible
        case .auditor: true
        case .rate(let unit, let rate): unit.isPossible && rate.isPossible && rate.unit != unit
        case .reverse(_, let reason), .windDown(_, let reason), .end(let reason): isText(reason)
        case .move(let line, let did, let reason): line.unit.isPossible && line.did != did && isText(reason)
        case .close(let until, _): until.value % HoldUsage.dayMilliseconds == 0 && until.value <= Self.dateMax
        case .writeOff(let line, let amount, let text), .deposit(let line, let amount, let text),
            .withdraw(let line, let amount, let text):
            line.unit.isPossible && isAmount(amount) && isText(text)
        }
    }

    enum CodingKeys: String, CodingKey {
        case issuerDID = "issuer_did"
        case charterCID = "charter_cid"
        case number
        case action
    }
}

/// Somebody's approval of an order: an officer's, or that of whose line it moves.
package struct Approval: Hashable, CreditObject {
    /// Who approves.
    package var approverDID: DID
    /// The order's CID.
    package var orderCID: CID
    /// When it was signed.
    package var approvedAt: UnixMilliseconds
    /// Until when it counts.
    package var validUntil: UnixMilliseconds

    package init(approverDID: DID, orderCID: CID, approvedAt: UnixMilliseconds, validUntil: UnixMilliseconds) {
        self.approverDID = approverDID
        self.orderCID = orderCID
        self.approvedAt = approvedAt
        self.validUntil = validUntil
    }

    /// The type name that is signed.
    package static let typeName = "Approval"
    /// How long an approval may count, in milliseconds: 30 days.
    package static let validMillisecondsMax: UInt64 = 30 * 86_400_000
    package static let bytesMax = 512
    /// Who approves signs.
    package var signerDID: DID { approverDID }
    package var fieldOutOfBounds: String? {
        validUntil < approvedAt || validUntil.milliseconds(since: approvedAt) > Self.validMillisecondsMax
            ? "valid_until" : nil
    }

    enum CodingKeys: String, CodingKey {
        case approverDID = "approver_did"
        case orderCID = "order_cid"
        case approvedAt = "approved_at"
        case validUntil = "valid_until"
    }
}
