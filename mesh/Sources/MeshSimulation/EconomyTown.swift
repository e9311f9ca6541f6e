import Credit
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

/// Who lives in a simulated economy: members, their socks, issuers with officers and an arbiter. It is the same for all
/// seeds, so the books are opened once.
package struct EconomyTown: Sendable {
    /// The members.
    let members: [Identity]
    /// Their further keys.
    let socks: [[Identity]]
    let issuers: [Identity]
    let officers: [[Identity]]
    let arbiter: Identity
    let issuerDIDs: [DID]
    let arbiterDID: DID
    private(set) var charters: [SignedObject<IssuerCharter>] = []
    private(set) var books: [IssuerBook] = []

    /// The issuer that tells two histories.
    static let rogue = EconomyTerms.honestIssuers

    /// What a member does.
    package static func strategy(of member: Int) -> EconomyStrategy {
        let place = member % EconomyTerms.block
        return place < EconomyStrategy.allCases.count ? EconomyStrategy.allCases[place] : .honest
    }

    /// Where a member has its line.
    static func issuer(of member: Int) -> Int {
        strategy(of: member) == .equivocatingIssuer
            ? rogue : (member / EconomyTerms.block + member) % EconomyTerms.honestIssuers
    }

    /// A town of so many members.
    package init(nodes: Int) throws {
        var number: UInt64 = 0
        func identity() throws -> Identity {
            number += 1
            let seed = CID.hashing(Array("economy \(number)".utf8), codec: .raw)
            return try Identity(seed: Array(seed.bytes.suffix(32)))
        }
        members = try (0..<nodes).map { _ in try identity() }
        socks = try (0..<nodes).map { node in try (0..<Self.strategy(of: node).socks).map { _ in try identity() } }
        issuers = try (0...Self.rogue).map { _ in try identity() }
        officers = try (0...Self.rogue).map { _ in try (0..<3).map { _ in try identity() } }
        arbiter = try identity()
        (issuerDIDs, arbiterDID) = (issuers.map(\.did), arbiter.did)
        for issuer in 0...Self.rogue { try open(issuer) }
    }

    func line(_ member: Int) -> LineID { LineID(members[member].did, EconomyTerms.unit) }
    func line(ofIssuer issuer: Int) -> LineID { LineID(issuerDIDs[issuer], EconomyTerms.unit) }

    private mutating func open(_ issuer: Int) throws {
        let insiders = members.indices.filter {
            Self.strategy(of: $0) == .insider && Self.issuer(of: $0) == issuer
        }.prefix(8)
        var charter = IssuerCharter(
            issuerDID: issuers[issuer].did, unit: EconomyTerms.unit,
            officers: officers[issuer].map(\.did) + insiders.map { members[$0].did }, approvals: 2,
            arbiters: [arbiter.did], openedAt: EconomyTerms.start)
        charter.holdsFreePerDay = EconomyTerms.holdsFreePerDay
        charter.holdFee = TokenAmount(EconomyTerms.holdFee)
        charter.disputeBudgetMin = TokenAmount(EconomyTerms.disputeBudget)
        let signed = try SignedObject.sign(charter, with: issuers[issuer])
        charters.append(signed)
        var book = try IssuerBook(opening: signed.bytes)
        let own = members.indices.filter { Self.issuer(of: $0) == issuer }
        for member in own {
            let event = try order(
                .limit(
                    line: line(member), owed: TokenAmount(EconomyTerms.lineMax),
                    owing: TokenAmount(EconomyTerms.lineMax), issuer: false), in: book, at: issuer)
            _ = try book.record(event, now: EconomyTerms.start).get()
        }
        let others = members.indices.count { Self.issuer(of: $0) == Self.rogue }
        for other in issuers.indices where other != issuer {
            let isRogue = issuer == Self.rogue || other == Self.rogue
            let smaller = isRogue ? others : members.count / EconomyTerms.honestIssuers
            let most = TokenAmount(EconomyTerms.issuerLineMaxPerMember * UInt64(max(1, smaller)))
            let event = try order(
                .limit(line: line(ofIssuer: other), owed: most, owing: most, issuer: true), in: book, at: issuer)
            _ = try book.record(event, now: EconomyTerms.start).get()
        }
        books.append(book)
    }

    /// An order of officers, approved by the first two, or by others.
    func order(
        _ action: OfficerOrder.Action, in book: IssuerBook, at issuer: Int, by approvers: [Identity]? = nil
    ) throws -> BookEvent {
        let order = OfficerOrder(
            issuerDID: book.issuer, charterCID: book.charterCID, number: book.rules.lastOrder + 1, action: action)
        guard let cid = order.cid else { return .ordered(order: order, approvals: []) }
        let approvals = try (approvers ?? Array(officers[issuer].prefix(2))).map { officer in
            try SignedObject.sign(
                Approval(
                    approverDID: officer.did, orderCID: cid, approvedAt: book.lastAt,
                    validUntil: book.lastAt.advanced(milliseconds: Approval.validMillisecondsMax)), with: officer
            ).bytes
        }
        return .ordered(order: order, approvals: approvals)
    }
}
