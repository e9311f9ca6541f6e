import Credit
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// Who is shown an entry, and who sees all.
@Suite struct IssuerPartyTests {
    @Test func auditorsAreTheOfficersToAppoint() throws {
        var limits = IssuerBook.Limits()
        limits.auditorsMax = 2
        var world = try CreditWorld(limits: limits, lines: 0)
        let auditors = world.members.prefix(3).map(\.did)
        for auditor in auditors.prefix(2) {
            try world.enter(try world.order(.auditor(did: auditor, appointed: true)))
        }
        #expect(world.book.rules.auditors == Set(auditors.prefix(2)))
        let third = OfficerOrder.Action.auditor(did: auditors[2], appointed: true)
        #expect(world.refusal(try world.order(third)) == .tooMany(.auditors))
        // One that is there is none more, and one that goes makes room.
        try world.enter(try world.order(.auditor(did: auditors[0], appointed: true)))
        try world.enter(try world.order(.auditor(did: auditors[0], appointed: false)))
        try world.enter(try world.order(third))
        #expect(world.book.rules.auditors == [auditors[1], auditors[2]])
        // An officer's own word does not appoint it.
        let own = OfficerOrder.Action.auditor(did: world.officers[0].did, appointed: true)
        #expect(world.refusal(try world.order(own)) == .notApproved(given: 1))
        let again = try Issuer(replaying: world.entries, salts: CreditWorld.salts, limits: limits)
        #expect(again.book == world.book && again.tree == world.core.tree)
    }

    @Test func anEntryConcernsThoseWhomItMoves() throws {
        var world = try CreditWorld()
        let members = world.members.map(\.did)
        let line = LineID(members[2], CreditWorld.unit)
        let freeze = try world.order(.freeze(line: line, frozen: true))
        #expect(freeze.parties(in: world.book) == [members[2]])
        let payment = BookEvent.transferred(
            order: try world.payment(from: world.members[0], to: members[1], 5).bytes)
        #expect(payment.parties(in: world.book) == [members[0], members[1]])
        let entry = try world.enter(payment)
        // What undoes it is known as such before it is carried out, and no more behind that.
        let reverse = try world.order(.reverse(entry: entry.number, reason: ""))
        #expect(reverse.parties(in: world.book) == [members[0], members[1]])
        try world.enter(reverse)
        let (_, hold) = try world.held(1)
        let all: Set<DID> = [members[0], members[1], world.arbiter.did]
        #expect(BookEvent.holdExpired(hold: hold).parties(in: world.book) == all)
        #expect(BookEvent.holdExpired(hold: CID.hashing([1], codec: .dagCBOR)).parties(in: world.book).isEmpty)
        #expect(BookEvent.caughtUp(reports: [], refused: []).parties(in: world.book).isEmpty)
        #expect(BookEvent.transferred(order: [0xA0]).parties(in: world.book).isEmpty)
    }

    @Test func entriesThatAreReplayedOneByOneHaveToFollow() throws {
        var world = try CreditWorld()
        try world.enter(
            .transferred(order: try world.payment(from: world.members[0], to: world.members[1].did, 5).bytes))
        var issuer = try Issuer(replayingFirst: world.entries[0], salts: CreditWorld.salts)
        #expect(throws: ReplayFault(entry: 1, reason: .outOfOrder)) { _ = try issuer.replay(world.entries[2]) }
        for (entry, opening) in zip(world.entries, world.openings).dropFirst() {
            #expect(try issuer.replay(entry) == opening)
        }
        #expect(issuer.book == world.book && issuer.tree == world.core.tree)
        #expect(throws: ReplayFault(entry: 0, reason: .outOfOrder)) {
            _ = try Issuer(replayingFirst: world.entries[1], salts: CreditWorld.salts)
        }
        #expect(throws: ReplayFault(entry: 0, reason: .notOpened)) {
            _ = try Issuer(replaying: [], salts: CreditWorld.salts)
        }
    }

    @Test func questionsAndAnswersAreReadAsTheyWereWritten() throws {
        var world = try CreditWorld()
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 5)
        guard
            case .ordered(let officers, let approvals) = try world.order(
                .auditor(did: world.members[0].did, appointed: true))
        else { return }
        let questions: [CreditQuestion] = [
            .head(since: 0, size: nil), .head(since: 1, size: 2), .charter(size: 1),
            .submit(event: .transferred(order: order.bytes)),
            .submit(event: .transferred(order: order.bytes), since: 7), .lines, .statement(from: 1, size: 2),
            .openings(from: 1, size: 2), .commitments(from: 1, size: 2), .token(chain: [[1]]), .totals, .orders,
            .number,
            .propose(order: officers, approval: approvals[0]), .approve(order: order.bodyCID, approval: approvals[0]),
        ]
        for question in questions {
            let bytes = try DAGCBOREncoder().encode(question)
            #expect(try DAGCBORDecoder().decode(CreditQuestion.self, from: bytes) == question)
        }
        let line = try #require(world.book.accounts.sorted.first)
        let answers: [CreditAnswer] = [
            .refused(reason: .notForYou, text: "no"), .head(note: [1], proof: []), .taken(entry: 1, certificate: nil),
            .taken(entry: 1, certificate: [2]),
            .taken(
                entry: 1, certificate: nil,
                shown: ShownEntry(
                    note: [1], continues: [2],
                    entry: OpenedEntry(number: 1, opening: EntryOpening(salt: [3], entry: [4]), proof: [5]))),
            .refused(reason: .held, text: "held"), .lines(lines: [LineState(line.id, line.line)], size: 3),
            .entries(entries: [OpenedEntry(number: 0, opening: world.openings[0], proof: [])], more: true),
            .token(state: TokenState(left: 5, revokedBy: 3, isFrozen: true)), .commitments(bytes: [1]),
            .totals(totals: UnitTotal.all(of: world.book.accounts)),
            .orders(orders: [WaitingOrder(order: officers, approvals: approvals)]), .number(next: 4),
            .waits(order: WaitingOrder(order: officers, approvals: approvals)),
        ]
        for answer in answers {
            let bytes = try DAGCBOREncoder().encode(answer)
            #expect(try DAGCBORDecoder().decode(CreditAnswer.self, from: bytes) == answer)
        }
    }
}
