package import MeshTypes
package import Multiformats
package import SignedObjects

/// What a node has to have booked at an issuer about a hold: a settlement, a claim or a release. It waits until its
/// date, is asked for until the book has it, and ends with the proof that the hold is over.
///
/// A book takes each event once, so what is asked again after a crash changes nothing. A later booking of the same hold
/// takes the place of an earlier one: the settlement of what was to be claimed.
package struct HoldBooking: Hashable, Sendable, Codable {
    /// The bounds of bookings.
    package enum Limits {
        /// How long after a claim's last date a booking is kept, in milliseconds: a day.
        package static let keptMilliseconds: UInt64 = 86_400_000
        /// The longest booking on the disk, in bytes: a claim and what stands around it.
        package static let bytesMax = 640 << 10
        /// How long after its date a booking that the issuer has not made is lodged with the charter's witnesses, in
        /// milliseconds.
        package static let lodgedAfterMilliseconds: UInt64 = 60_000
        /// How long before the last date of a claim that is done in any case, in milliseconds.
        package static let lodgedBeforeMilliseconds: UInt64 = 300_000
    }

    /// Where it is.
    package enum State: Hashable, Sendable, Codable {
        /// The event is to be given to the issuer.
        case due
        /// The claim is this entry; it is paid after the date, unless it is disputed or settled before.
        case claimed(entry: UInt64, after: UnixMilliseconds)
        /// The claim is disputed, by this entry; undecided, it is paid after the date.
        case disputed(entry: UInt64, after: UnixMilliseconds)
        /// The hold ended by this entry, which was proved, and so much was paid.
        case ended(entry: UInt64, paid: TokenAmount)
        /// It came to nothing, and why.
        case lost(reason: String)
    }

    /// The CID of the order's body.
    package let hold: CID
    /// Whose book.
    package let issuerDID: DID
    /// The entry that granted the hold.
    package let heldBy: UInt64
    /// The job.
    package let jobID: JobID
    /// What the issuer is to book; nil once it is over, as the evidence may be large.
    package private(set) var event: BookEvent?
    /// What that pays.
    package let amount: TokenAmount
    /// In which unit.
    package let unit: CreditUnit
    /// When it is due.
    package let notBefore: UnixMilliseconds
    /// After which date nothing can come of it any more.
    package let until: UnixMilliseconds
    /// How long a claim can be disputed, in milliseconds.
    package let windowMilliseconds: UInt64
    /// Where it is.
    package private(set) var state = State.due
    /// The signed certificate of the hold, which witnesses of the charter ask for; nil where nothing is lodged.
    package let certificate: [UInt8]?
    // BOUNDED: by the witnesses of a charter (`IssuerCharter.Limits.namedMax`).
    /// What witnesses said, one each: when they were given what is to be booked.
    package private(set) var lodgings: [[UInt8]]?

    /// A booking about the hold of a certificate.
    ///
    /// - Parameter block: the signed certificate, where the event can be lodged with witnesses.
    package init(
        _ event: BookEvent, of certificate: HoldCertificate, signed block: [UInt8]? = nil, paying amount: TokenAmount,
        notBefore: UnixMilliseconds
    ) {
        self.certificate = event.lodgeable == nil ? nil : block
        hold = certificate.holdCID
        issuerDID = certificate.issuerDID
        heldBy = certificate.entry
        jobID = certificate.terms.jobID
        self.event = event
        self.amount = amount
        unit = certificate.unit
        self.notBefore = notBefore
        let terms = certificate.terms
        windowMilliseconds = terms.windowMilliseconds
        until = terms.claimBy.advanced(milliseconds: terms.windowMilliseconds)
            .advanced(milliseconds: terms.extensionMilliseconds)
            .advanced(milliseconds: Limits.keptMilliseconds)
    }

    /// When there is something to ask; `nil` once it is over.
    package var dueAt: UnixMilliseconds? {
        switch state {
        case .due: notBefore
        case .claimed(_, let after), .disputed(_, let after): after
        case .ended, .lost: nil
        }
    }

    /// What to give to the issuer now; `nil` while there is nothing.
    package func next(now: UnixMilliseconds) -> BookEvent? {
        guard let dueAt, dueAt <= now else { return nil }
        switch state {
        case .claimed, .disputed: return .claimPaid(hold: hold)
        case .due, .ended, .lost: return firstLodging.map { event?.dated(by: $0.bytes) } ?? event
        }
    }

    // MARK: Witnesses

    /// What witnesses are given of it now, if its issuer has not booked it: nil while that has time, or where there is
    /// nothing of the kind.
    package func lodgeable(now: UnixMilliseconds) -> (certificate: [UInt8], object: [UInt8])? {
        guard state == .due, notBefore <= now, let certificate, let event, let object = event.lodgeable else {
            return nil
        }
        // How much time a dispute or a decision has, the issuer's book alone says.
        if case .claimLodged = event, let last = try? SignedObject<HoldCertificate>(reading: certificate, .stored) {
            let late = notBefore.advanced(milliseconds: Limits.lodgedAfterMilliseconds)
            let near = now.advanced(milliseconds: Limits.lodgedBeforeMilliseconds)
            let claimBy = last.body.terms.claimBy
            // Later no witness takes it.
            guard now <= claimBy, late <= now || claimBy <= near else { return nil }
        }
        return (certificate, object)
    }

    /// The witnesses of a charter that may date it, and have not.
    package func witnessesLeft(of charter: IssuerCharter) -> [DID] {
        guard let block = certificate, let signed = try? SignedObject<HoldCertificate>(reading: block, .stored) else {
            return []
        }
        let done = Set(statements.map(\.did))
        return charter.witnesses.filter { !done.contains($0) && !signed.body.isParty($0) }
    }

    /// Notes what a witness said; returns whether that is about what is to be booked, and new.
    package mutating func lodged(_ block: [UInt8], with witness: DID) -> Bool {
        guard let object = event?.lodgeable, let statement = try? SignedObject<LodgingStatement>(reading: block),
            statement.did == witness, statement.body.issuerDID == issuerDID,
            statement.body.objectCID == CID.hashing(object, codec: .dagCBOR),
            !statements.contains(where: { $0.did == witness }),
            statements.count < IssuerCharter.Limits.namedMax
        else { return false }
        lodgings = (lodgings ?? []) + [block]
        return true
    }

    private var statements: [SignedObject<LodgingStatement>] {
        (lodgings ?? []).compactMap { try? SignedObject(reading: $0, .stored) }
    }

    /// The earliest of what witnesses said.
    private var firstLodging: SignedObject<LodgingStatement>? {
        statements.min { $0.body.lodgedAt < $1.body.lodgedAt }
    }

    /// Notes that the issuer proved an entry of the hold.
    package mutating func proved(_ entry: BookEntry) {
        defer { forgetEvidence() }
        switch entry.event {
        case .claimLodged(hold, _, _):
            // Time passes for the book a moment later than for this node.
            let after = entry.at.advanced(milliseconds: windowMilliseconds).advanced(milliseconds: 1_000)
            state = .claimed(entry: entry.number, after: after)
        case .claimDisputed(hold, _, _):
            let end = UnixMilliseconds(until.value - min(Limits.keptMilliseconds, until.value))
            state = .disputed(entry: entry.number, after: end.advanced(milliseconds: 1_000))
        case .claimPaid(hold): state = .ended(entry: entry.number, paid: amount)
        case .holdSettled(hold, let block, _, _):
            let settled = (try? SignedObject<Settlement>(verifying: block))?.body.amountPaid
            state = .ended(entry: entry.number, paid: settled ?? .zero)
        case .claimDecided(hold, let block, _):
            let decided = (try? SignedObject<HoldDecision>(reading: block))?.body.payable
            state = .ended(entry: entry.number, paid: decided ?? .zero)
        case .holdExpired(hold) where amount > .zero:
            state = .lost(reason: "the hold expired, by entry \(entry.number), before this was booked")
        case .holdReleased(hold, _), .holdExpired(hold): state = .ended(entry: entry.number, paid: .zero)
        default: break
        }
    }

    /// Notes that the book does not take it, and why; it is asked again as long as something can come of it.
    package mutating func refused(_ reason: String, now: UnixMilliseconds) {
        if now >= until { state = .lost(reason: reason) }
        forgetEvidence()
    }

    private mutating func forgetEvidence() { if dueAt == nil { (event, lodgings) = (nil, nil) } }
}
