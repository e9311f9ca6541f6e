import Credit
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// An issuer in a scenario: the core, its disk, and what it carries between its book and the other issuer's.
struct IssuingPart: Sendable {
    /// A message, and to whom.
    typealias Letter = (to: Int, message: IssuerMessage)

    struct Asker: Sendable {
        let node: Int
        let number: UInt64
    }

    let index: Int
    let town: IssuerTown
    private(set) var issuer: Issuer
    /// What is on its disk: all that it answered.
    private(set) var entries: [BookEntry]
    /// The same as it can be opened.
    private(set) var openings: [EntryOpening] = []
    private(set) var violations: [String] = []
    /// Whether it shows some of its members another log.
    let tellsTwoHistories: Bool
    private var asks = IssuerAsks()
    /// Holds of this book for which there is one at the other issuer, and back.
    private(set) var below: [CID: CID] = [:]
    private var above: [CID: CID] = [:]
    private var certificatesBelow: [CID: [UInt8]] = [:]
    private var orders: [UInt64: CID] = [:]
    private var waiting: [CID: Asker] = [:]
    private var claims: [CID: [UInt8]] = [:]
    private var unpaidBelow: Set<CID> = []
    private var reports: [Int: (report: [UInt8], objects: [[UInt8]], statements: [[UInt8]])] = [:]
    private var ticks = 0

    init(_ index: Int, town: IssuerTown, tellsTwoHistories: Bool) throws {
        (self.index, self.town, self.tellsTwoHistories) = (index, town, tellsTwoHistories)
        (issuer, entries) = try town.opened(index)
        openings = try entries.map { try IssuerTown.salts(of: index).opening(of: $0) }
    }

    private var identity: Identity { town.identities[index] }
    private var other: Int { 1 - index }

    /// The issuer as it starts again, from its disk alone.
    mutating func restarted() {
        do {
            let again = try Issuer(replaying: entries, salts: IssuerTown.salts(of: index))
            if again.book != issuer.book || again.tree != issuer.tree {
                violations.append("issuer \(index) is another after a start")
            }
            issuer = again
        } catch {
            violations.append("issuer \(index) does not start: \(error)")
        }
        reports = [:]
    }

    // MARK: Events

    /// Whether the same may be taken later.
    private static func isForNow(_ refusal: BookRefusal) -> Bool {
        switch refusal {
        case .notNow, .unknownHold, .notCaughtUp, .notYet: true
        default: false
        }
    }

    mutating func asked(_ number: UInt64, _ event: BookEvent, by node: Int, now: UnixMilliseconds) -> [Letter] {
        var event = event
        if let hold = event.hold, issuer.book.holds[hold] == nil, let own = above[hold] {
            event = event.about(own, lodging: event.lodging)
        }
        let (result, letters) = take(event, now)
        switch result {
        case .failure(let refusal):
            if Self.isForNow(refusal) { return letters }
            return letters + [(node, .answer(number: number, refusal: "\(refusal)", certificate: nil))]
        case .success:
            guard case .holdGranted(let block) = event, let hold = Self.holdID(block) else {
                return letters + [(node, .answer(number: number, refusal: nil, certificate: nil))]
            }
            waiting[hold] = Asker(node: node, number: number)
            return letters + certify(hold)
        }
    }

    private static func holdID(_ order: [UInt8]) -> CID? {
        (try? SignedObject<PaymentOrder>(reading: order, .stored))?.bodyCID
    }

    /// Takes an event, and what follows from it.
    private mutating func take(
        _ event: BookEvent, _ now: UnixMilliseconds
    ) -> (result: Result<Issuer.Record, BookRefusal>, letters: [Letter]) {
        let result = issuer.record(event, now: now)
        guard case .success(.entered(let entry, let opening)) = result else { return (result, []) }
        entries.append(entry)
        openings.append(opening)
        if case .holdGranted(let block) = event { return (result, order(below: block, now)) }
        guard let hold = event.hold else { return (result, []) }
        if case .claimLodged(_, let claim, _) = event { claims[hold] = claim }
        return (result, carry(event, of: hold))
    }

    /// Hands an event to the other issuer, where that has a hold of the same attempt.
    private mutating func carry(_ event: BookEvent, of hold: CID) -> [Letter] {
        let isDebtorOther = issuer.book.holds[hold]?.debtorLine.did == town.did(other)
        guard let there = below[hold] ?? (isDebtorOther ? hold : nil) else { return [] }
        return [(other, asks.add(event.about(there), to: other).message)]
    }

    /// Orders at the other issuer what is held for its line.
    private mutating func order(below block: [UInt8], _ now: UnixMilliseconds) -> [Letter] {
        guard let order = try? SignedObject<PaymentOrder>(reading: block, .stored),
            let next = order.body.below(
                order.bodyCID, marginMilliseconds: issuer.book.charter.marginMilliseconds, under: town.charters[other]),
            let signed = try? SignedObject.sign(next, with: identity)
        else { return [] }
        (below[order.bodyCID], above[signed.bodyCID]) = (signed.bodyCID, order.bodyCID)
        let (number, message) = asks.add(.holdGranted(order: signed.bytes), to: other)
        orders[number] = order.bodyCID
        return [(other, message)]
    }

    /// Answers who asked for a hold, if its certificate is there: for a hold across, that of the other issuer.
    private mutating func certify(_ hold: CID) -> [Letter] {
        guard let asker = waiting[hold] else { return [] }
        if issuer.book.holds[hold]?.isLive != true {
            waiting[hold] = nil
            return [(asker.node, .answer(number: asker.number, refusal: "the hold is over", certificate: nil))]
        }
        var certificate = certificatesBelow[hold]
        if below[hold] == nil, let held = issuer.book.holds[hold],
            let body = try? issuer.certificate(of: entries[Int(held.entry)])
        {
            certificate = try? SignedObject.sign(body, with: identity).bytes
        }
        guard let certificate else { return [] }
        waiting[hold] = nil
        return [(asker.node, .answer(number: asker.number, refusal: nil, certificate: certificate))]
    }

    mutating func answered(_ number: UInt64, _ refusal: String?, _ certificate: [UInt8]?) -> [Letter] {
        guard asks.answered(number) != nil, let hold = orders.removeValue(forKey: number) else { return [] }
        if let certificate {
            certificatesBelow[hold] = certificate
            return certify(hold)
        }
        unpaidBelow.insert(hold)
        guard let asker = waiting.removeValue(forKey: hold) else { return [] }
        return [(asker.node, .answer(number: asker.number, refusal: refusal, certificate: nil))]
    }

    mutating func lodged(_ object: CID, _ statement: [UInt8], for issuer: Int) {
        asks.lodged(object, statement, for: issuer)
    }

    // MARK: The other issuer

    /// Says again what became of a hold here, to the issuer that ordered it.
    mutating func outcomeWanted(_ hold: CID) -> [Letter] {
        guard let held = issuer.book.holds[hold], !held.isLive else { return [] }
        let told = entries.map(\.event).filter { $0.hold == hold }
        if told.isEmpty { return [(other, .unpaid(hold: hold))] }
        return told.map { (other, asks.add($0.about(hold), to: other).message) }
    }

    mutating func unpaid(_ hold: CID) { if let own = above[hold] { unpaidBelow.insert(own) } }

    // MARK: Time

    mutating func reported(_ report: [UInt8], _ objects: [[UInt8]], _ statements: [[UInt8]], by witness: Int) {
        reports[witness] = (report, objects, statements)
    }

    mutating func ticked(now: UnixMilliseconds) -> [Letter] {
        ticks += 1
        var letters: [Letter] = asks.again()
        guard ticks % 5 == 0 else { return letters }
        letters += catchUp(now)
        for event in issuer.book.dueEvents(now: now) {
            if case .holdExpired(let hold) = event, let there = below[hold], !unpaidBelow.contains(hold) {
                letters.append((other, .outcomeWanted(hold: there)))
                continue
            }
            letters += take(event, now).letters
        }
        let from = issuer.book.caughtUpUntil.value
        letters += IssuerTown.witnesses.map { ($0, .reportWanted(from: from)) }
        for hold in issuer.book.holds.values.sorted(by: { $0.id < $1.id }) {
            guard case .claimed = hold.state, let claim = claims[hold.id],
                let originator = town.node(hold.terms.originatorDID)
            else { continue }
            letters.append((originator, .notice(claim: claim)))
        }
        return letters + (ticks % 20 == 0 ? heads() : [])
    }

    private mutating func catchUp(_ now: UnixMilliseconds) -> [Letter] {
        guard reports.count >= 3 else { return [] }
        let all = reports.sorted { $0.key < $1.key }.map(\.value)
        reports = [:]
        var letters: [Letter] = []
        var seen: Set<CID> = []
        var objects: [[UInt8]] = []
        for report in all {
            for (object, statement) in zip(report.objects, report.statements)
            where seen.insert(CID.hashing(object, codec: .dagCBOR)).inserted {
                objects.append(object)
                for event in events(of: object, statement) { letters += take(event, now).letters }
            }
        }
        // What is in the book need not be shown again.
        letters += take(.caughtUp(reports: all.map(\.report), refused: objects), now).letters
        return letters
    }

    /// The events that an object may be, for each hold that it may be about.
    private func events(of object: [UInt8], _ statement: [UInt8]) -> [BookEvent] {
        let live = issuer.book.holds.values.filter(\.isLive).sorted { $0.id < $1.id }
        if let claim = try? SignedObject<HoldClaim>(reading: object) {
            return live.filter { $0.terms.executorDID == claim.did && $0.claim == nil }.map {
                .claimLodged(hold: $0.id, claim: object, lodging: statement)
            }
        }
        if let dispute = try? SignedObject<HoldDispute>(reading: object) {
            return live.filter { $0.claim?.cid == dispute.body.claimCID }.map {
                .claimDisputed(hold: $0.id, dispute: object, lodging: statement)
            }
        }
        guard let decision = try? SignedObject<HoldDecision>(reading: object) else { return [] }
        return live.filter { $0.claim?.cid == decision.body.claimCID }.map {
            .claimDecided(hold: $0.id, decision: object, lodging: statement)
        }
    }

    // MARK: Heads

    /// Shows its members the head of its log; if it lies, every other one that of another.
    private func heads() -> [Letter] {
        guard let note = try? issuer.head(signedBy: identity) else { return [] }
        var shown = note
        if tellsTwoHistories {
            let root = MerkleHash.leaf(note.bytes)
            let forged = Checkpoint(
                origin: Issuer.logName(of: town.did(index)), head: TreeHead(size: issuer.tree.size, root: root))
            shown = (try? forged?.signed(with: identity)) ?? note
        }
        return IssuerTown.members.filter { IssuerTown.issuer(of: $0) == index }.map { member in
            (member, .head(note: (member % 2 == 0 ? note : shown).bytes, issuer: index))
        }
    }

    func checkInvariants() { issuer.book.checkInvariants() }
}
