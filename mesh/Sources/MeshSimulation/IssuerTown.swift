import Credit
import Determinism
import MeshTypes
import Multiformats
import P2PTesting
import PeerIdentity
import SignedObjects

/// Who lives in an issuer scenario: two issuers, four witnesses of both, an arbiter, and members of each.
struct IssuerTown: Sendable {
    static let issuers = 0..<2
    static let witnesses = 2..<6
    static let arbiter = 6
    static let members = 7..<19
    static let count = 19
    static let start = UnixMilliseconds(1_767_225_600_000)
    /// What every bid asks for a run, and the most that it may cost.
    static let price = TokenAmount(1_000)

    /// The identities, by node.
    let identities: [Identity]
    /// The charters, signed.
    let charters: [SignedObject<IssuerCharter>]
    private let nodes: [DID: Int]

    init(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed ^ 0x6973_7375_6572_7321)
        let identities = try (0..<Self.count).map { _ in try Identity(seed: generator.bytes(32)) }
        self.identities = identities
        nodes = Dictionary(uniqueKeysWithValues: identities.enumerated().map { ($1.did, $0) })
        charters = try Self.issuers.map { issuer in
            var charter = IssuerCharter(
                issuerDID: identities[issuer].did, unit: Self.unit(of: issuer),
                officers: Self.officers(of: issuer).map { identities[$0].did }, approvals: 2,
                witnesses: Self.witnesses.map { identities[$0].did }, arbiters: [identities[Self.arbiter].did],
                openedAt: Self.start)
            (charter.holdsFreePerDay, charter.holdFee, charter.disputeBudgetMin) = (
                10, TokenAmount(20), TokenAmount(50)
            )
            return try SignedObject.sign(charter, with: identities[issuer])
        }
    }

    func did(_ node: Int) -> DID { identities[node].did }
    func node(_ did: DID) -> Int? { nodes[did] }

    static func unit(of issuer: Int) -> CreditUnit {
        issuer == 0 ? CreditUnit(name: "kWh", decimals: 3) : CreditUnit(name: "EUR", decimals: 2)
    }
    static func officers(of issuer: Int) -> [Int] { Array(members.dropFirst(issuer * 6).prefix(3)) }
    static func issuer(of member: Int) -> Int { member < members.lowerBound + 6 ? 0 : 1 }
    static func salts(of issuer: Int) -> EntrySalts { EntrySalts(secret: [UInt8](repeating: UInt8(issuer), count: 32)) }

    /// What a member of a cooperative pays for the other's unit.
    static func rate(of issuer: Int) -> CreditRate {
        issuer == 0
            ? CreditRate(unit: unit(of: 0), debit: 10, credit: 3) : CreditRate(unit: unit(of: 1), debit: 3, credit: 10)
    }

    /// What opens a book: its charter, the lines of its members and of the other issuer, in both units, and its rate.
    func opened(_ issuer: Int) throws -> (issuer: Issuer, entries: [BookEntry]) {
        let opened = try Issuer.open(charter: charters[issuer].bytes, salts: Self.salts(of: issuer))
        var (book, entries) = (opened.issuer, [opened.entry])
        let other = did(1 - issuer)
        let lines =
            Self.members.filter { Self.issuer(of: $0) == issuer }.map { LineID(did($0), Self.unit(of: issuer)) }
            + Self.issuers.map { LineID(other, Self.unit(of: $0)) }
        let limits = lines.map { line in
            let most = TokenAmount(line.did == other ? 100_000 : 8_000)
            return OfficerOrder.Action.limit(line: line, owed: most, owing: most, issuer: line.did == other)
        }
        let rate = OfficerOrder.Action.rate(unit: Self.unit(of: 1 - issuer), rate: Self.rate(of: issuer))
        for (number, action) in (limits + [rate]).enumerated() {
            let order = OfficerOrder(
                issuerDID: did(issuer), charterCID: charters[issuer].bodyCID, number: UInt64(number + 1),
                action: action)
            guard let cid = order.cid else { continue }
            // Nobody counts for its own line.
            let approvals = try Self.officers(of: issuer).map { officer in
                try SignedObject.sign(
                    Approval(
                        approverDID: did(officer), orderCID: cid, approvedAt: Self.start, validUntil: Self.start),
                    with: identities[officer]
                ).bytes
            }
            let event = BookEvent.ordered(order: order, approvals: approvals)
            if case .entered(let entry, _) = try book.record(event, now: Self.start).get() { entries.append(entry) }
        }
        return (book, entries)
    }

    /// What a run uses: its receipt's price is by it.
    static func fuel(of job: UInt64) -> UInt64 { (job % 300) * 1_000_000 }
}

/// Events that an issuer has to be told until it answers; what it may be told by its witnesses is left with these, too,
/// when it is silent.
struct IssuerAsks: Sendable {
    struct Ask: Sendable {
        let issuer: Int
        var event: BookEvent
        var tries = 0
    }

    /// After how many tries an object is left with witnesses, and after how many the asker gives up.
    static let (triesAlone, triesMax) = (4, 900)

    private(set) var pending: [UInt64: Ask] = [:]
    private var next: UInt64 = 0

    var isEmpty: Bool { pending.isEmpty }

    mutating func add(_ event: BookEvent, to issuer: Int) -> (number: UInt64, message: IssuerMessage) {
        next += 1
        pending[next] = Ask(issuer: issuer, event: event)
        return (next, .ask(number: next, event: event))
    }

    mutating func answered(_ number: UInt64) -> Ask? { pending.removeValue(forKey: number) }

    /// What to send again, in order.
    mutating func again() -> [(to: Int, message: IssuerMessage)] {
        var sent: [(to: Int, message: IssuerMessage)] = []
        for number in pending.keys.sorted() {
            guard var ask = pending[number] else { continue }
            ask.tries += 1
            pending[number] = ask.tries > Self.triesMax ? nil : ask
            sent.append((ask.issuer, .ask(number: number, event: ask.event)))
            guard ask.tries > Self.triesAlone, ask.tries < 30, ask.event.lodging == nil, let object = ask.event.object
            else { continue }
            for witness in IssuerTown.witnesses { sent.append((witness, .lodge(object: object, issuer: ask.issuer))) }
        }
        return sent
    }

    /// A witness has what was left with it.
    mutating func lodged(_ object: CID, _ statement: [UInt8], for issuer: Int) {
        for (number, ask) in pending where ask.issuer == issuer && ask.event.lodging == nil {
            guard let block = ask.event.object, CID.hashing(block, codec: .dagCBOR) == object else { continue }
            if let hold = ask.event.hold { pending[number]?.event = ask.event.about(hold, lodging: statement) }
        }
    }
}

extension BookEvent {
    /// What of the event a witness takes for an issuer.
    var object: [UInt8]? {
        switch self {
        case .claimLodged(_, let block, _), .claimDisputed(_, let block, _), .claimDecided(_, let block, _): block
        default: nil
        }
    }

    var lodging: [UInt8]? {
        switch self {
        case .claimLodged(_, _, let lodging), .claimDisputed(_, _, let lodging), .claimDecided(_, _, let lodging):
            lodging
        default: nil
        }
    }

    /// The hold that it is about, if it ends one or claims it.
    var hold: CID? {
        switch self {
        case .claimLodged(let hold, _, _), .claimDisputed(let hold, _, _), .claimDecided(let hold, _, _),
            .holdSettled(let hold, _, _, _):
            hold
        default: nil
        }
    }
}
