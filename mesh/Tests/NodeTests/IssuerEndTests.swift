import Credit
import LibP2P
import Logging
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What members and officers see of an account at a new key, of closed periods, and of the end of a book.
@Suite("The end of a book, at a node") struct IssuerEndTests {
    private func desk(_ stand: CreditStand, as identity: Identity, own: IssuerDesk? = nil) -> MemberDesk {
        let swarm = Swarm(
            configuration: SwarmConfiguration(), identity: identity,
            logger: Logger(label: "test") { _ in
                SwiftLogNoOpLogHandler()
            })
        return MemberDesk(identity: identity, host: swarm, own: own ?? stand.desk)
    }

    /// The entries that the issuer shows somebody.
    private func shown(_ stand: CreditStand, _ did: DID) async throws -> [BookEntry] {
        let size = await stand.desk.durable.size
        guard case .entries(let entries, _) = await stand.desk.answer(.statement(from: 0, size: size), for: did) else {
            throw NodeServiceError(.internalError, "no entries")
        }
        return entries.compactMap(\.opening.read)
    }

    /// A member's bookings as its node takes them, and whether they come to its balance.
    private func bookings(_ stand: CreditStand, _ did: DID) async throws -> (OwnBookings, Bool?) {
        let entries = try await shown(stand, did)
        let charter = try #require(await stand.desk.issuer?.book.charter)
        var bookings = OwnBookings(
            of: did, at: try SignedObject.sign(charter, with: stand.issuer),
            before: MemberBook.keys(before: did, in: entries))
        for entry in entries { try bookings.add(entry, below: .max) }
        return (bookings, bookings.comeTo(await stand.desk.lines(of: did)))
    }

    @Test("The new key is shown all that the old one was, comes to its balance, and the old one to nothing")
    func moved() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        let line = LineID(stand.members[0].did, CreditStand.unit)
        let order = try await stand.order(.move(line: line, to: stand.stranger.did, reason: "lost"))
        guard case .waits = try await stand.propose(order),
            case .waits = try await stand.approve(order, by: stand.officers[1])
        else { return #expect(Bool(false), "it waits for the new key") }
        // The new key is shown the order, and approves it.
        #expect(await stand.desk.answer(.orders, for: stand.stranger.did) != .orders(orders: []))
        #expect(CreditStand.reason(try await stand.approve(order, by: stand.members[1])) == .notForYou)
        guard case .taken = try await stand.approve(order, by: stand.stranger) else {
            return #expect(Bool(false), "it is not carried out")
        }
        for desk in [stand.desk, try await stand.again()] {
            #expect(await desk.lines(of: stand.stranger.did).map(\.balance) == [-250])
            #expect(await desk.lines(of: stand.members[0].did).map { $0.isFrozen ? $0.balance : 1 } == [0])
        }
        let (own, isComplete) = try await bookings(stand, stand.stranger.did)
        #expect(isComplete == true)
        #expect(own.views.map(\.kind) == ["limit", "transferred", "move"])
        #expect(own.views.map(\.amount) == [nil, -250, -250])
        #expect(own.views.map(\.other) == [nil, stand.members[1].did.text, stand.members[0].did.text])
        let (old, isOldComplete) = try await bookings(stand, stand.members[0].did)
        #expect(isOldComplete == true && old.views.last?.amount == 250)
        #expect(try await bookings(stand, stand.members[1].did).1 == true)
    }

    @Test("A period is closed by the balance that the treasurer's node makes; everybody is shown that")
    func closed() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        let treasurer = desk(stand, as: stand.issuer)
        var query = LedgerQuery(issuer: stand.issuer.did.text)
        let made = try #require(try await treasurer.ledger(query).balanceCID)
        query.until = 0
        #expect(try await treasurer.ledger(query).balanceCID != made)
        // The day of the founding is not over.
        let day = NodeClock.wallClock.value / 86_400_000 * 86_400_000
        var proposal = OfficerProposal(issuer: stand.issuer.did.text, action: .close)
        (proposal.until, proposal.balance) = (day + 86_400_000, made)
        let action = try ProposalFields.action(proposal, unit: CreditStand.unit)
        let order = try await stand.order(action)
        guard case .waits = try await stand.propose(order) else { return #expect(Bool(false), "it waits") }
        #expect(CreditStand.reason(try await stand.approve(order, by: stand.officers[1])) == .later)
        #expect(try await treasurer.issuer(stand.issuer.did.text).closedUntil == nil)
    }

    @Test("A day later the time before midnight is closed by that balance, and members are shown the entry")
    func closedADayLater() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.pay(250)
        let day: UInt64 = 86_400_000
        let later = IssuerDesk(identity: stand.issuer, store: stand.store) {
            NodeClock.wallClock.advanced(milliseconds: 86_400_000)
        }
        try await later.load()
        let treasurer = desk(stand, as: stand.issuer, own: later)
        let midnight = (NodeClock.wallClock.value / day + 1) * day
        var query = LedgerQuery(issuer: stand.issuer.did.text)
        (query.from, query.until) = (midnight, midnight)
        let made = try #require(try await treasurer.ledger(query).balanceCID)
        let order = try await stand.order(
            .close(until: UnixMilliseconds(midnight), balance: try CID(parsing: made)))
        let approvals = try stand.officers.map { try stand.approval(order, by: $0, for: 2 * day) }
        let first = await later.answer(.propose(order: order, approval: approvals[0]), for: stand.officers[0].did)
        guard case .waits = first else { return #expect(Bool(false), "\(first)") }
        let cid = try #require(order.cid)
        let second = await later.answer(.approve(order: cid, approval: approvals[1]), for: stand.officers[1].did)
        guard case .taken(let entry, _, _) = second else { return #expect(Bool(false), "\(second)") }
        let view = try await treasurer.issuer(stand.issuer.did.text)
        #expect(view.closedUntil == midnight && view.balanceCID == made)
        let statement = CreditQuestion.statement(from: entry, size: entry + 1)
        #expect(CreditStand.numbers(await later.answer(statement, for: stand.members[0].did)) == [entry])
        #expect(try await treasurer.audit(stand.issuer.did.text).finding == nil)
    }

    @Test("Everybody is shown that a book winds down and ended; the issuer tells it, and its successor")
    func ended() async throws {
        let stand = try CreditStand()
        try await stand.found()
        try await stand.carryOut(.windDown(successor: stand.auditor.did, reason: "we part"))
        try await stand.carryOut(.end(reason: "done"))
        for did in [stand.members[0].did, stand.stranger.did] {
            let kinds = try await shown(stand, did).map(\.event.isPublic)
            #expect(kinds.suffix(2) == [true, true])
        }
        let (own, isComplete) = try await bookings(stand, stand.members[0].did)
        #expect(isComplete == true && own.views.map(\.kind) == ["limit", "wind_down", "end"])
        #expect(own.views.last?.note == "done")
        let view = try await desk(stand, as: stand.issuer).issuer(stand.issuer.did.text)
        #expect(view.successor == stand.auditor.did.text && view.endedAt != nil && view.windsDownSince != nil)
        let own2 = try await stand.again().view()
        #expect(own2.endedAt == view.endedAt && own2.successor == view.successor)
        let payment = try await stand.payment(1)
        let answer = await stand.desk.answer(
            .submit(event: .transferred(order: payment.bytes)), for: stand.members[0].did)
        #expect(answer == .refused(reason: .book, text: "The book does not take it: the book has ended."))
    }

    @Test("A proposal has the fields of its action and no others")
    func proposals() throws {
        let stand = try CreditStand()
        let did = stand.members[0].did.text
        func action(
            _ name: OfficerProposal.Action, _ change: (inout OfficerProposal) -> Void
        ) throws -> OfficerOrder.Action {
            var proposal = OfficerProposal(issuer: stand.issuer.did.text, action: name)
            change(&proposal)
            return try ProposalFields.action(proposal, unit: CreditStand.unit)
        }
        let line = LineID(stand.members[0].did, CreditStand.unit)
        #expect(
            try action(.move) { ($0.did, $0.to, $0.note) = (did, stand.stranger.did.text, "lost") }
                == .move(line: line, to: stand.stranger.did, reason: "lost"))
        #expect(try action(.windDown) { _ in } == .windDown(successor: nil, reason: ""))
        #expect(try action(.windDown) { $0.successor = did } == .windDown(successor: line.did, reason: ""))
        #expect(try action(.end) { $0.note = "done" } == .end(reason: "done"))
        let cid = CID.hashing([1], codec: .dagCBOR)
        #expect(
            try action(.close) { ($0.until, $0.balance) = (86_400_000, cid.text) }
                == .close(until: UnixMilliseconds(86_400_000), balance: cid))
        #expect(throws: NodeServiceError.self) { try action(.move) { $0.did = did } }
        #expect(throws: NodeServiceError.self) { try action(.end) { $0.did = did } }
        #expect(throws: NodeServiceError.self) { try action(.close) { ($0.until, $0.balance) = (0, "x") } }
        #expect(throws: NodeServiceError.self) {
            try action(.close) { ($0.until, $0.balance, $0.note) = (0, cid.text, "a") }
        }
        #expect(throws: NodeServiceError.self) { try action(.freeze) { ($0.did, $0.to) = (did, did) } }
    }
}
