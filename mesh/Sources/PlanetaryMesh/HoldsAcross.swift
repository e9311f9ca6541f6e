import Credit
import MeshTypes
import Multiformats
import SignedObjects

/// The holds of this issuer's book for the lines of other issuers, which follow what becomes of them there.
struct HoldsAcross {
    // BOUNDED: by the holds of the book.
    private var ids: Set<CID> = []
    /// Of these, those that are over there.
    // BOUNDED: like `ids`.
    private var overBelow: Set<CID> = []

    /// None.
    init() {}

    /// Those of a book that are not over.
    init(of book: IssuerBook) { ids = Set(book.holds.values.filter { $0.isLive && !$0.isForExecutor }.map(\.id)) }

    /// Notes the hold of an order, if it is for another issuer's line.
    mutating func note(_ block: [UInt8], in book: IssuerBook) {
        guard let order = try? SignedObject<PaymentOrder>(reading: block, .stored),
            let hold = book.holds[order.bodyCID], !hold.isForExecutor
        else { return }
        ids.insert(hold.id)
    }

    /// Those that are not over; others are forgotten.
    mutating func live(in book: IssuerBook) -> [Hold] {
        let found = ids.compactMap { book.holds[$0] }.filter(\.isLive)
        ids = Set(found.map(\.id))
        overBelow.formIntersection(ids)
        return found
    }

    /// Whether a hold is for another issuer's line.
    func contains(_ hold: CID) -> Bool { ids.contains(hold) }

    /// Notes that nothing can be paid any more of what was held at another issuer for a hold.
    mutating func isOverBelow(_ hold: CID) { if ids.contains(hold) { overBelow.insert(hold) } }

    /// Whether nothing can be paid any more of what was held at another issuer for a hold.
    func isKnownOver(_ hold: CID) -> Bool { overBelow.contains(hold) }

    /// Whether what time alone decides has to wait for what becomes of the hold at the other issuer, whose dates are
    /// later by the margin: for a week at most.
    func waits(_ event: BookEvent, in book: IssuerBook, now: UnixMilliseconds) -> Bool {
        switch event {
        case .holdExpired, .claimPaid: break
        default: return false
        }
        guard let id = event.hold, ids.contains(id), !overBelow.contains(id), let due = book.holds[id]?.dueAt else {
            return false
        }
        return now <= due.advanced(milliseconds: HoldTerms.Limits.belowMilliseconds)
    }
}
