import Credit
import Foundation
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// A member's bookings, read from the entries that its issuer opened, and what they come to.
struct OwnBookings: Sendable {
    private let did: DID
    /// This member's key, and those whose accounts were moved to it.
    private let keys: Set<DID>
    private var book: MemberBook
    /// What the entries below a size change, by line.
    private(set) var sums: [LineID: Int128] = [:]
    private(set) var views: [BookingView] = []

    /// A member's; `before` are the keys whose accounts the entries move to it.
    init(of did: DID, at charter: SignedObject<IssuerCharter>, before: Set<DID> = []) {
        (self.did, book) = (did, MemberBook(of: did, at: charter, before: before))
        keys = before.union([did])
    }

    /// Adds the next entry; one of `size` or later is listed, and not added up.
    mutating func add(_ entry: BookEntry, below size: UInt64) throws(MemberBook.Unjustified) {
        let changes = try book.take(entry)
        var view = BookingView(number: entry.number, at: entry.at.value, kind: entry.event.name)
        switch entry.event {
        case .transferred(let block), .holdGranted(let block), .holdGrantedByToken(let block, _, _):
            let order = (try? SignedObject<PaymentOrder>(reading: block, .stored))?.body
            let isDebtor = order.map { keys.contains($0.debtorDID) } ?? false
            view.other = (isDebtor ? order?.creditorDID : order?.debtorDID)?.text
            view.jobID = order?.hold?.jobID.cid.text
        case .ordered(let order, _):
            (view.kind, view.note) = (order.action.name, order.action.note)
            if let move = entry.event.move { view.other = (move.to == did ? move.from : move.to).text }
        default:
            guard let hold = book.hold(of: entry.event) else { break }
            view.other = (keys.contains(hold.debtorDID) ? hold.creditorLine.did : hold.debtorDID).text
            view.jobID = hold.terms.jobID.cid.text
        }
        if let (line, amount) = changes.first(where: { $0.key.did == did }) ?? changes.first {
            (view.amount, view.unit, view.decimals) = (Int64(clamping: amount), line.unit.name, line.unit.decimals)
        }
        views.append(view)
        guard entry.number < size else { return }
        for (line, amount) in changes { sums[line, default: 0] += amount }
    }

    /// Whether they come to the balances that the issuer told; nil where a part of them is not known here.
    func comeTo(_ lines: [LineState]) -> Bool? {
        if book.isUncertain { return nil }
        var rest = sums
        for state in lines where state.line.did == did {
            if rest.removeValue(forKey: state.line) ?? 0 != Int128(state.balance) { return false }
        }
        // What other keys had before is this one's by the entry that moved it.
        return rest.allSatisfy { $0.key.did != did || $0.value == 0 }
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
        case .move: "move"
        case .close: "close"
        case .windDown: "wind_down"
        case .end: "end"
        }
    }

    /// What officers wrote.
    var note: String? {
        switch self {
        case .limit, .freeze, .rate, .auditor, .close: nil
        case .reverse(_, let text), .writeOff(_, _, let text), .deposit(_, _, let text), .withdraw(_, _, let text),
            .move(_, _, let text), .windDown(_, let text), .end(let text):
            text
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
        case .move(let line, let did, let text):
            "gives the account of \(line.did) in \(line.unit.name) to the key \(did)\(reason(text))"
        case .close(let until, let balance):
            "closes all before \(Self.date(until)), with the trial balance \(balance)"
        case .windDown(let successor, let text):
            "winds the book down\(successor.map { ", for its successor \($0)" } ?? "")\(reason(text))"
        case .end(let text): "ends the book\(reason(text))"
        }
    }
    /// A midnight in UTC, as its date.
    private static func date(_ midnight: UnixMilliseconds) -> String {
        Date(timeIntervalSince1970: Double(midnight.value) / 1_000).formatted(.iso8601.year().month().day())
    }
}
