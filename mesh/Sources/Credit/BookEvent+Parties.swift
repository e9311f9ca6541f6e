package import SignedObjects

extension BookEvent {
    /// Whether everybody is shown its entry.
    package var isPublic: Bool { if case .ordered(let order, _) = self { order.isPublic } else { false } }

    /// The key from which an account comes, and the one to which it goes; nil if none is moved.
    package var move: (from: DID, to: DID)? {
        guard case .ordered(let order, _) = self, case .move(let line, let did, _) = order.action else { return nil }
        return (line.did, did)
    }

    /// The line that it may open; nil if it opens none.
    package var openedLine: LineID? {
        guard case .ordered(let order, _) = self else { return nil }
        return switch order.action {
        case .limit(let line, _, _, _): line
        case .move(let line, let did, _): LineID(did, line.unit)
        default: nil
        }
    }

    /// Whose bookings it makes: who is shown its entry. Asked before the book takes it, since what it undoes or ends is
    /// known until then. What its blocks say is not checked here.
    package func parties(in book: IssuerBook) -> Set<DID> {
        switch self {
        case .opened, .caughtUp: return []
        case .ordered(let order, _): return Set(book.owners(of: order))
        case .transferred(let block), .holdGranted(let block): return Self.parties(to: block, in: book)
        case .holdGrantedByToken(let block, let tokens, _):
            return Self.parties(to: block, in: book).union(Self.parties(to: tokens))
        case .tokenRevoked(_, let tokens): return Self.parties(to: tokens)
        case .holdSettled(let hold, _, _, _), .holdReleased(let hold, _), .holdExpired(let hold),
            .claimLodged(let hold, _, _), .claimDisputed(let hold, _, _), .claimDecided(let hold, _, _),
            .claimPaid(let hold):
            guard let found = book.holds[hold] else { return [] }
            let terms = found.terms
            let parties = [
                found.debtorDID, found.creditorDID, found.debtorLine.did, found.creditorLine.did, terms.originatorDID,
                terms.executorDID, terms.arbiterDID,
            ]
            return Set(parties + found.givers)
        }
    }

    private static func parties(to block: [UInt8], in book: IssuerBook) -> Set<DID> {
        guard let order: SignedObject<PaymentOrder> = try? book.read(block, .stored) else { return [] }
        let parties = [order.body.debtorDID, order.body.creditorDID]
        return Set(parties + (order.body.hold.map { [$0.originatorDID, $0.executorDID, $0.arbiterDID] } ?? []))
    }

    /// Who gave tokens, and who holds them.
    private static func parties(to tokens: [[UInt8]]) -> Set<DID> {
        guard let chain = try? TokenChain(reading: tokens, .stored) else { return [] }
        return Set(chain.givers + [chain.holder])
    }
}
