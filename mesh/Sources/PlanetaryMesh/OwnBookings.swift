import Credit
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// A member's bookings, read from the entries that its issuer opened, and what they come to.
///
/// An entry counts only with what justifies it: the order that the debtor signed, or the approvals of enough officers.
struct OwnBookings: Sendable {
    /// An entry that nothing justifies.
    struct Unjustified: Error, CustomStringConvertible {
        let number: UInt64
        let reason: String

        /// One sentence without a full stop.
        var description: String { "entry \(number): \(reason)" }
    }

    private let did: DID
    private let charter: IssuerCharter
    private let charterCID: CID
    /// What the entries below a size change, by line.
    private(set) var sums: [LineID: Int128] = [:]
    /// Whether holds are among them, which are not added up here.
    private(set) var hasHolds = false
    private(set) var views: [BookingView] = []
    private var payments: [UInt64: [LineID: Int128]] = [:]
    /// The orders that were booked: each is booked once.
    private var booked: Set<CID> = []
    /// The number of the officers' last order.
    private var lastOrder: UInt64 = 0

    init(of did: DID, at charter: SignedObject<IssuerCharter>) {
        (self.did, self.charter, charterCID) = (did, charter.body, charter.bodyCID)
    }

    /// Adds the next entry; one of `size` or later is listed, and not added up.
    mutating func add(_ entry: BookEntry, below size: UInt64) throws(Unjustified) {
        var view = BookingView(number: entry.number, at: entry.at.value, kind: entry.event.name)
        var changes: [LineID: Int128] = [:]
        switch entry.event {
        case .transferred(let block):
            let order = try read(block, in: entry)
            changes = [
                order.debtorLine: -Int128(order.debit ?? 0), order.creditorLine: Int128(order.amount.units),
            ].filter { $0.key.did == did }
            payments[entry.number] = changes
            view.other = (order.debtorDID == did ? order.creditorDID : order.debtorDID).text
        case .ordered(let order, let approvals):
            try check(order, approvals, in: entry)
            (view.kind, view.note) = (order.action.name, order.action.note)
            changes = self.changes(order.action).filter { $0.key.did == did }
        case .opened, .caughtUp:
            throw Unjustified(number: entry.number, reason: "it is shown as this node's, and concerns nobody's line")
        case .holdGranted, .holdSettled, .holdReleased, .holdExpired, .claimLodged, .claimDisputed, .claimDecided,
            .claimPaid:
            hasHolds = true
        }
        if let (line, amount) = changes.first {
            (view.amount, view.unit, view.decimals) = (Int64(clamping: amount), line.unit.name, line.unit.decimals)
        }
        views.append(view)
        guard entry.number < size else { return }
        for (line, amount) in changes { sums[line, default: 0] += amount }
    }

    private mutating func read(_ block: [UInt8], in entry: BookEntry) throws(Unjustified) -> PaymentOrder {
        guard let signed = try? SignedObject<PaymentOrder>(reading: block), signed.body.hold == nil,
            signed.body.issuerDID == charter.issuerDID, signed.body.charterCID == charterCID
        else { throw Unjustified(number: entry.number, reason: "it pays without an order that its debtor signed") }
        guard booked.insert(signed.bodyCID).inserted else {
            throw Unjustified(number: entry.number, reason: "its order was booked before")
        }
        guard entry.at <= signed.body.validUntil else {
            throw Unjustified(number: entry.number, reason: "its order was over by then")
        }
        return signed.body
    }

    private mutating func check(
        _ order: OfficerOrder, _ approvals: [[UInt8]], in entry: BookEntry
    ) throws(Unjustified) {
        var approvers: Set<DID> = []
        for block in approvals.prefix(OfficerOrder.approvalsMax) {
            guard let approval = try? SignedObject<Approval>(reading: block), approval.body.orderCID == order.cid,
                entry.at <= approval.body.validUntil
            else { continue }
            approvers.insert(approval.did)
        }
        // About its own line an officer has no say.
        let officers = charter.officers.count { approvers.contains($0) && $0 != Self.subject(of: order) }
        guard order.issuerDID == charter.issuerDID, order.charterCID == charterCID, order.isPossible,
            officers >= charter.approvals
        else { throw Unjustified(number: entry.number, reason: "\(officers) officers approve it, which is too few") }
        guard order.number > lastOrder else {
            throw Unjustified(number: entry.number, reason: "its order was booked before")
        }
        lastOrder = order.number
        if let owner = order.countersigner, !approvers.contains(owner) {
            throw Unjustified(number: entry.number, reason: "the owner of the line does not approve it")
        }
    }

    /// Whose line, or who, an order of officers is about.
    static func subject(of order: OfficerOrder) -> DID? {
        switch order.action {
        case .limit(let line, _, _, _), .freeze(let line, _), .writeOff(let line, _, _), .deposit(let line, _, _),
            .withdraw(let line, _, _):
            line.did
        case .auditor(let did, _): did
        case .rate, .reverse: nil
        }
    }

    private func changes(_ action: OfficerOrder.Action) -> [LineID: Int128] {
        switch action {
        case .reverse(let entry, _): (payments[entry] ?? [:]).mapValues { -$0 }
        case .writeOff(let line, let amount, _), .deposit(let line, let amount, _): [line: Int128(amount.units)]
        case .withdraw(let line, let amount, _): [line: -Int128(amount.units)]
        case .limit, .freeze, .rate, .auditor: [:]
        }
    }

    /// Whether they come to the balances that the issuer told; nil where that is not known here.
    func comeTo(_ lines: [LineState]) -> Bool? {
        if hasHolds { return nil }
        var rest = sums
        for state in lines where state.line.did == did {
            if rest.removeValue(forKey: state.line) ?? 0 != Int128(state.balance) { return false }
        }
        return rest.values.allSatisfy { $0 == 0 }
    }
}

extension OfficerOrder.Action {
    /// The name of the action, as on the wire.
    var name: String {
        switch self {
        case .limit: "limit"
        case .freeze: "freeze"
        case .rate: "rate"
        case .reverse: "reverse"
        case .writeOff: "write_off"
        case .deposit: "deposit"
        case .withdraw: "withdraw"
        case .auditor: "auditor"
        }
    }

    /// What officers wrote.
    var note: String? {
        switch self {
        case .limit, .freeze, .rate, .auditor: nil
        case .reverse(_, let text), .writeOff(_, _, let text), .deposit(_, _, let text), .withdraw(_, _, let text): text
        }
    }

    /// What it does, in words.
    var text: String {
        func amount(_ units: TokenAmount, _ unit: CreditUnit) -> String {
            "\(CreditAmount.text(units.units, decimals: unit.decimals)) \(unit.name)"
        }
        func reason(_ text: String) -> String { text.isEmpty ? "" : ": \(text)" }
        return switch self {
        case .limit(let line, let owed, let owing, let isIssuer):
            "\(line.did)\(isIssuer ? ", an issuer," : "") may owe \(amount(owed, line.unit)) and be owed "
                + amount(owing, line.unit)
        case .freeze(let line, let isFrozen):
            isFrozen ? "takes no new orders of \(line.did)" : "takes orders of \(line.did) again"
        case .rate(let unit, let rate):
            "\(rate.debit) of the smallest \(rate.unit.name) pay \(rate.credit) of the smallest \(unit.name)"
        case .reverse(let entry, let text): "undoes the payment of entry \(entry)\(reason(text))"
        case .writeOff(let line, let units, let text):
            "gives up \(amount(units, line.unit)) that \(line.did) owes\(reason(text))"
        case .deposit(let line, let units, let text):
            "\(line.did) paid in \(amount(units, line.unit))\(reason(text))"
        case .withdraw(let line, let units, let text):
            "\(line.did) was paid out \(amount(units, line.unit))\(reason(text))"
        case .auditor(let did, let isAppointed): isAppointed ? "shows \(did) all entries" : "shows \(did) its own alone"
        }
    }
}
