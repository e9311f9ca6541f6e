package import SignedObjects

extension BookEvent {
    /// Whose bookings it makes: who is shown its entry. Asked before the book takes it, since what it undoes or ends is
    /// known until then. What its blocks say is not checked here.
    package func parties(in book: IssuerBook) -> Set<DID> {
        switch self {
        case .opened, .caughtUp: return []
        case .ordered(let order, _): return Set(book.owners(of: order))
        case .transferred(let block), .holdGranted(let block):
            guard let order: SignedObject<PaymentOrder> = try? book.read(block, .stored) else { return [] }
            let parties = [order.body.debtorDID, order.body.creditorDID]
            return Set(parties + (order.body.hold.map { [$0.originatorDID, $0.executorDID, $0.arbiterDID] } ?? []))
        case .holdSettled(let hold, _, _, _), .holdReleased(let hold, _), .holdExpired(let hold),
            .claimLodged(let hold, _, _), .claimDisputed(let hold, _, _), .claimDecided(let hold, _, _),
            .claimPaid(let hold):
            guard let found = book.holds[hold] else { return [] }
            let terms = found.terms
            return [
                found.debtorLine.did, found.creditorLine.did, terms.originatorDID, terms.executorDID, terms.arbiterDID,
            ]
        }
    }
}
