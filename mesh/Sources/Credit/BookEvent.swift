package import MeshTypes
package import Multiformats
import SignedObjects

/// What happens to a book: each event carries the signed objects that justify it. Objects are whole blocks.
package enum BookEvent: Hashable, Sendable, Codable {
    /// The book is opened by its `IssuerCharter`.
    case opened(charter: [UInt8])
    /// Officers change a line, freeze it, or correct the book, by their `Approval`s.
    case ordered(order: OfficerOrder, approvals: [[UInt8]])
    /// A `PaymentOrder` is carried out.
    case transferred(order: [UInt8])
    /// The amount of a `PaymentOrder` with terms is held.
    case holdGranted(order: [UInt8])
    /// The same at the cost of a line whose owner gave the originator a token: the `PaymentOrder`, the chain of
    /// `ScopedResourceToken`s, and the job's `JobManifest` where a scope needs it.
    case holdGrantedByToken(order: [UInt8], tokens: [[UInt8]], manifest: [UInt8]?)
    /// Somebody who gave a token, or one above it, ends it by a `TokenRevocation`: with the chain down to the token.
    case tokenRevoked(revocation: [UInt8], tokens: [[UInt8]])
    /// The originator pays what is due: its `Settlement`, the `ExecutionReceipt` and the `Assignment`.
    case holdSettled(hold: CID, settlement: [UInt8], receipt: [UInt8], assignment: [UInt8])
    /// The executor gives a hold up by a `HoldRelease`.
    case holdReleased(hold: CID, release: [UInt8])
    /// Nobody claimed a hold in time.
    case holdExpired(hold: CID)
    /// The executor claims by a `HoldClaim`; with a witness's `LodgingStatement` if it lodged it earlier.
    case claimLodged(hold: CID, claim: [UInt8], lodging: [UInt8]?)
    /// The originator, or the debtor, disputes the claim by a `HoldDispute`.
    case claimDisputed(hold: CID, dispute: [UInt8], lodging: [UInt8]?)
    /// The arbiter decides by a `HoldDecision`.
    case claimDecided(hold: CID, decision: [UInt8], lodging: [UInt8]?)
    /// A claim is paid since nobody disputed it, or nobody decided in time.
    case claimPaid(hold: CID)
    /// All that was lodged with witnesses until some date is in the book, as a quorum of `WitnessReport`s shows.
    /// Objects that the book refuses come with them.
    case caughtUp(reports: [[UInt8]], refused: [[UInt8]])

    /// No fewer bytes than its entry has in DAG-CBOR: its blocks and texts, and what stands beside them.
    package var entryBytesMost: Int {
        func sum(_ blocks: [[UInt8]]) -> Int { blocks.reduce(1_024) { $0 + $1.count + 16 } }
        return switch self {
        case .opened(let charter): sum([charter])
        case .ordered(let order, let approvals): sum(approvals) + order.textBytes
        case .transferred(let order), .holdGranted(let order): sum([order])
        case .holdGrantedByToken(let order, let tokens, let manifest): sum([order, manifest ?? []] + tokens)
        case .tokenRevoked(let revocation, let tokens): sum([revocation] + tokens)
        case .holdSettled(_, let settlement, let receipt, let assignment): sum([settlement, receipt, assignment])
        case .holdReleased(_, let release): sum([release])
        case .holdExpired, .claimPaid: sum([])
        case .claimLodged(_, let block, let lodging), .claimDisputed(_, let block, let lodging),
            .claimDecided(_, let block, let lodging):
            sum([block, lodging ?? []])
        case .caughtUp(let reports, let refused): sum(reports) + sum(refused)
        }
    }

    /// The hold that it changes; nil if it changes none that was there before.
    package var hold: CID? {
        switch self {
        case .holdSettled(let id, _, _, _), .holdReleased(let id, _), .holdExpired(let id),
            .claimLodged(let id, _, _), .claimDisputed(let id, _, _), .claimDecided(let id, _, _), .claimPaid(let id):
            id
        case .opened, .ordered, .transferred, .holdGranted, .holdGrantedByToken, .tokenRevoked, .caughtUp: nil
        }
    }

    /// The `PaymentOrder` that it holds something by; nil if it holds nothing new.
    package var holdOrder: [UInt8]? {
        switch self {
        case .holdGranted(let order), .holdGrantedByToken(let order, _, _): order
        default: nil
        }
    }

    /// Whether who has to sign what becomes of a hold has signed it; what needs nobody's word is signed by nobody.
    package func isSigned(by terms: HoldTerms) -> Bool {
        switch self {
        case .holdSettled(_, let block, _, _):
            (try? SignedObject<Settlement>(verifying: block))?.did == terms.originatorDID
        case .holdReleased(_, let block): (try? SignedObject<HoldRelease>(reading: block))?.did == terms.executorDID
        case .claimLodged(_, let block, _): (try? SignedObject<HoldClaim>(reading: block))?.did == terms.executorDID
        case .claimDisputed(_, let block, _):
            (try? SignedObject<HoldDispute>(reading: block))?.did == terms.originatorDID
        case .claimDecided(_, let block, _):
            (try? SignedObject<HoldDecision>(reading: block))?.did == terms.arbiterDID
        case .opened, .ordered, .transferred, .holdGranted, .holdGrantedByToken, .tokenRevoked, .holdExpired,
            .claimPaid,
            .caughtUp:
            false
        }
    }

    /// The claim that a dispute or a decision is about, by the CID of its body; nil of all others.
    package var claim: CID? {
        switch self {
        case .claimDisputed(_, let block, _): (try? SignedObject<HoldDispute>(reading: block))?.body.claimCID
        case .claimDecided(_, let block, _): (try? SignedObject<HoldDecision>(reading: block))?.body.claimCID
        default: nil
        }
    }

    /// The same about another hold, as it is told to another issuer that holds for the same attempt.
    ///
    /// - Parameter lodging: what a witness of that issuer's said, if one did.
    package func about(_ other: CID, lodging: [UInt8]? = nil) -> BookEvent {
        switch self {
        case .holdSettled(_, let settlement, let receipt, let assignment):
            .holdSettled(hold: other, settlement: settlement, receipt: receipt, assignment: assignment)
        case .holdReleased(_, let release): .holdReleased(hold: other, release: release)
        case .holdExpired: .holdExpired(hold: other)
        case .claimLodged(_, let claim, _): .claimLodged(hold: other, claim: claim, lodging: lodging)
        case .claimDisputed(_, let dispute, _): .claimDisputed(hold: other, dispute: dispute, lodging: lodging)
        case .claimDecided(_, let decision, _): .claimDecided(hold: other, decision: decision, lodging: lodging)
        case .claimPaid: .claimPaid(hold: other)
        case .opened, .ordered, .transferred, .holdGranted, .holdGrantedByToken, .tokenRevoked, .caughtUp: self
        }
    }

    enum CodingKeys: String, CodingKey {
        case opened
        case ordered
        case transferred
        case holdGranted = "hold_granted"
        case holdGrantedByToken = "hold_granted_by_token"
        case tokenRevoked = "token_revoked"
        case holdSettled = "hold_settled"
        case holdReleased = "hold_released"
        case holdExpired = "hold_expired"
        case claimLodged = "claim_lodged"
        case claimDisputed = "claim_disputed"
        case claimDecided = "claim_decided"
        case claimPaid = "claim_paid"
        case caughtUp = "caught_up"
    }
}

/// One line of a book: an event that it took, in its place. Source: PROTOCOL.md, "Issuers".
package struct BookEntry: Hashable, Sendable, Codable {
    /// The most bytes of its DAG-CBOR (`BookEvent.entryBytesMost`), less than what is read again.
    package static let bytesMax = 3_670_016

    /// Counts from 0; the number of its leaf in the log.
    package var number: UInt64
    /// When the book took it; never before the entry before.
    package var at: UnixMilliseconds
    /// What happened.
    package var event: BookEvent

    package init(number: UInt64, at: UnixMilliseconds, event: BookEvent) {
        self.number = number
        self.at = at
        self.event = event
    }
}
