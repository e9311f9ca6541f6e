import Credit
package import Determinism
import MeshTypes
import Multiformats
package import P2PTesting
import PeerIdentity
import SignedObjects

/// A witness in a scenario: it keeps what it is given, dates it, and reports. One may lie.
struct IssuerWitness: Sendable {
    /// How a witness lies.
    enum Lie: String, CaseIterable, Sendable {
        case none
        /// Reports nothing of what it was given.
        case forgetful
        /// Reports what nobody has.
        case inventive
        /// Reports a date that has not come.
        case hasty
    }

    private struct Kept: Sendable {
        let at: UnixMilliseconds
        let object: [UInt8]
        let statement: [UInt8]
    }

    let index: Int
    let town: IssuerTown
    let lie: Lie
    private var kept: [Int: [Kept]] = [:]
    private var reportedUntil = IssuerTown.start

    init(_ index: Int, town: IssuerTown, lie: Lie) { (self.index, self.town, self.lie) = (index, town, lie) }

    private var identity: Identity { town.identities[index] }

    mutating func received(
        _ message: IssuerMessage, from node: Int, now: UnixMilliseconds
    ) -> [IssuingPart.Letter] {
        switch message {
        case .lodge(let object, let issuer):
            let cid = CID.hashing(object, codec: .dagCBOR)
            if let known = kept[issuer]?.first(where: { $0.object == object }) {
                return [(node, .lodged(object: cid, issuer: issuer, statement: known.statement))]
            }
            // What it reported until a date is all that it was given until then, and no two have one date.
            let last = max(reportedUntil, kept[issuer]?.last?.at ?? .epoch)
            let at = max(now, last.advanced(milliseconds: 1))
            let word = LodgingStatement(
                witnessDID: identity.did, issuerDID: town.did(issuer), objectCID: cid, lodgedAt: at)
            guard IssuerTown.issuers.contains(issuer), let signed = try? SignedObject.sign(word, with: identity) else {
                return []
            }
            kept[issuer, default: []].append(Kept(at: at, object: object, statement: signed.bytes))
            return [(node, .lodged(object: cid, issuer: issuer, statement: signed.bytes))]
        case .reportWanted(let from): return report(to: node, from: UnixMilliseconds(from), now: now)
        default: return []
        }
    }

    private mutating func report(
        to issuer: Int, from: UnixMilliseconds, now: UnixMilliseconds
    ) -> [IssuingPart.Letter] {
        var until = max(now, reportedUntil)
        reportedUntil = until
        var found = (kept[issuer] ?? []).filter { $0.at > from && $0.at <= until }
        var named = found.map {
            WitnessReport.Lodged(objectCID: CID.hashing($0.object, codec: .dagCBOR), lodgedAt: $0.at)
        }
        switch lie {
        case .none: break
        case .forgetful: (found, named) = ([], [])
        case .inventive: named.insert(.init(objectCID: CID.hashing([1], codec: .dagCBOR), lodgedAt: from), at: 0)
        case .hasty: until = until.advanced(milliseconds: 10_000_000)
        }
        let body = WitnessReport(
            witnessDID: identity.did, issuerDID: town.did(issuer), from: from, until: until, lodged: named)
        guard until >= from, let signed = try? SignedObject.sign(body, with: identity) else { return [] }
        return [
            (
                issuer,
                .report(report: signed.bytes, objects: found.map(\.object), statements: found.map(\.statement))
            )
        ]
    }
}

/// An arbiter in a scenario: it keeps results, and finds which are wrong.
struct IssuerArbiter: Sendable {
    let town: IssuerTown

    func received(_ message: IssuerMessage, from node: Int, now: UnixMilliseconds) -> [IssuingPart.Letter] {
        let identity = town.identities[IssuerTown.arbiter]
        switch message {
        case .result(let block, let bid):
            guard let receipt = try? SignedObject<ExecutionReceipt>(verifying: block) else { return [] }
            let word = DeliveryStatement(
                keeperDID: identity.did, receiptCID: receipt.cid, bidCID: bid, deliveredAt: now)
            guard let signed = try? SignedObject.sign(word, with: identity) else { return [] }
            return [(node, .delivered(statement: signed.bytes))]
        case .disputed(let block):
            guard let claim = try? SignedObject<HoldClaim>(reading: block),
                let receipt = try? SignedObject<ExecutionReceipt>(verifying: claim.body.receipt)
            else { return [] }
            let payable = receipt.body.outputs["wrong"] == nil ? receipt.body.price : .zero
            let found = HoldDecision(
                arbiterDID: identity.did, claimCID: claim.bodyCID, payable: payable, decidedAt: now)
            guard let signed = try? SignedObject.sign(found, with: identity) else { return [] }
            return [(node, .decided(decision: signed.bytes))]
        default: return []
        }
    }
}

/// A node of an issuer scenario: an issuer, a witness, the arbiter or a member.
package struct IssuerNode: SimulatedNode {
    /// What a scenario can tell a member to do.
    package enum Command: Sendable {
        /// Have a job run by another member, for at most so much.
        case submit(UInt64, executor: Int, price: UInt64)
    }

    let town: IssuerTown
    private(set) var issuing: IssuingPart?
    private(set) var witness: IssuerWitness?
    private(set) var member: IssuerMember?
    private let arbiter: IssuerArbiter?
    private var tickAt = MonotonicInstant.zero

    init(
        _ town: IssuerTown, issuing: IssuingPart? = nil, witness: IssuerWitness? = nil, member: IssuerMember? = nil
    ) {
        self.town = town
        (self.issuing, self.witness, self.member) = (issuing, witness, member)
        arbiter = issuing == nil && witness == nil && member == nil ? IssuerArbiter(town: town) : nil
    }

    /// The node as it starts again: an issuer from its disk.
    func restarted() -> IssuerNode {
        var again = self
        again.issuing?.restarted()
        return again
    }

    package var nextDeadline: MonotonicInstant? { issuing != nil || member != nil ? tickAt : nil }

    package func checkInvariants() { issuing?.checkInvariants() }

    package mutating func started(_ context: inout SimulatedContext) {
        tickAt = context.now.advanced(milliseconds: 1_000)
    }

    package mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        guard let read = IssuerMessage(message.bytes) else { return }
        let (node, now) = (sender.index, UnixMilliseconds(context.wallClockMilliseconds))
        let letters: [IssuingPart.Letter] =
            if issuing != nil {
                tellIssuer(read, from: node, now: now)
            } else if witness != nil {
                witness?.received(read, from: node, now: now) ?? []
            } else if member != nil {
                member?.received(read, from: node, now: now) ?? []
            } else {
                arbiter?.received(read, from: node, now: now) ?? []
            }
        send(letters, &context)
    }

    private mutating func tellIssuer(
        _ message: IssuerMessage, from node: Int, now: UnixMilliseconds
    ) -> [IssuingPart.Letter] {
        switch message {
        case .ask(let number, let event): return issuing?.asked(number, event, by: node, now: now) ?? []
        case .answer(let number, let refusal, let certificate):
            return issuing?.answered(number, refusal, certificate) ?? []
        case .lodged(let object, let issuer, let statement): issuing?.lodged(object, statement, for: issuer)
        case .report(let report, let objects, let statements):
            issuing?.reported(report, objects, statements, by: node)
        case .outcomeWanted(let hold): return issuing?.outcomeWanted(hold) ?? []
        case .unpaid(let hold): issuing?.unpaid(hold)
        default: break
        }
        return []
    }

    private func send(_ letters: [IssuingPart.Letter], _ context: inout SimulatedContext) {
        for letter in letters {
            context.send(
                letter.message.bytes, to: SimulatedNodeID(letter.to), protocolID: IssuerMessage.protocolID,
                channel: .datagram)
        }
    }

    package mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {}

    package mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        guard case .submit(let number, let executor, let price) = command else { return }
        let letters = try? member?.submit(
            number, to: executor, price: TokenAmount(price), now: UnixMilliseconds(context.wallClockMilliseconds))
        send(letters ?? [], &context)
    }

    package mutating func deadlineReached(_ context: inout SimulatedContext) {
        tickAt = context.now.advanced(milliseconds: 1_000)
        let now = UnixMilliseconds(context.wallClockMilliseconds)
        send(issuing?.ticked(now: now) ?? member?.ticked(now: now) ?? [], &context)
    }
}
