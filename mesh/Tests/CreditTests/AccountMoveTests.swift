import Credit
import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// An account whose key is lost, given to another key by the officers.
@Suite("An account at a new key")
struct AccountMoveTests {
    private let heir = CreditWorld.identity(60)
    private var line: LineID { LineID(CreditWorld.identity(20).did, CreditWorld.unit) }
    private var new: LineID { LineID(heir.did, CreditWorld.unit) }

    private func move(_ line: LineID, to did: DID) -> OfficerOrder.Action {
        .move(line: line, to: did, reason: "lost its key")
    }

    private func member(_ world: CreditWorld, _ did: DID, _ entries: [BookEntry]) throws -> MemberBook {
        guard case .opened(let charter) = world.entries[0].event else { throw BookRefusal.otherBook }
        return MemberBook(
            of: did, at: try SignedObject(reading: charter), before: MemberBook.keys(before: did, in: entries))
    }

    @Test("Balance, limits and holds go along; what holds pay afterwards is the new key's")
    func moved() throws {
        var world = try CreditWorld()
        try world.enter(.transferred(order: world.payment(from: world.members[1], to: line.did, 300).bytes))
        let (paying, out) = try world.held(1)
        let (earning, coming) = try world.held(2, from: 2, to: 0)
        let before = try #require(world.book.accounts[line])
        try world.enter(try world.order(move(line, to: heir.did), by: Array(world.officers.prefix(2)) + [heir]))
        let after = try #require(world.book.accounts[new])
        #expect([after.balance, Int64(after.leaving), Int64(after.coming)] == [300, 1_000, 1_000])
        #expect(after.owedMax == before.owedMax && after.owingMax == before.owingMax)
        let old = try #require(world.book.accounts[line])
        #expect(old.isFrozen && old.balance == 0 && old.spendable == 0 && old.room == 0)
        try world.enter(try paying.settled(out, try paying.receipt(), pays: 100))
        try world.enter(try earning.settled(coming, try earning.receipt(), pays: 100))
        #expect(world.book.accounts[new]?.balance == 300 && world.balance(0) == 0 && world.balance(1) == -200)
        // The new key pays, and is paid; the old one does neither.
        try world.enter(.transferred(order: world.payment(from: heir, to: world.members[3].did, 40).bytes))
        let stolen = try world.payment(from: world.members[0], to: world.members[3].did, 1)
        #expect(world.refusal(.transferred(order: stolen.bytes)) == .moved)
        let late = try world.payment(from: world.members[3], to: line.did, 1)
        #expect(world.refusal(.transferred(order: late.bytes)) == .moved)
        #expect(throws: BookRefusal.moved) { try world.held(3) }
        for action: OfficerOrder.Action in [
            .freeze(line: line, frozen: false), .limit(line: line, owed: .zero, owing: .zero, issuer: false),
            .writeOff(line: line, amount: TokenAmount(1), reason: ""),
        ] { #expect(world.refusal(try world.order(action)) == .moved) }
        let again = try world.order(move(line, to: world.stranger.did), by: world.officers + [world.stranger])
        #expect(world.refusal(again) == .moved)
        #expect(try IssuerBook(replaying: world.entries, origin: .arrived) == world.book)
    }

    @Test("It takes enough officers beside its two keys, the new key's word, and a key that has no line")
    func refused() throws {
        var world = try CreditWorld()
        let enough = Array(world.officers.prefix(2))
        #expect(world.refusal(try world.order(move(line, to: heir.did), by: enough)) == .notCountersigned)
        let few = try world.order(move(line, to: heir.did), by: [world.officers[0], heir, world.members[0]])
        #expect(world.refusal(few) == .notApproved(given: 1))
        // An officer to whom it goes, or from whom, does not decide.
        let own = try world.order(move(line, to: world.officers[0].did), by: enough)
        #expect(world.refusal(own) == .notApproved(given: 1))
        let taken = try world.order(move(line, to: world.members[1].did), by: enough + [world.members[1]])
        #expect(world.refusal(taken) == .hasLine)
        let issuer = try world.order(move(line, to: world.issuer.did), by: enough + [world.issuer])
        #expect(world.refusal(issuer) == .otherBook)
        let itself = try world.order(move(line, to: line.did), by: enough + [world.members[0]])
        #expect(world.refusal(itself) == .malformed(.outOfBounds(field: "action")))
        let none = LineID(CreditWorld.identity(61).did, CreditWorld.unit)
        #expect(world.refusal(try world.order(move(none, to: heir.did), by: enough + [heir])) == .noLine)
        _ = try world.held(1)
        let arbiter = try world.order(move(line, to: world.arbiter.did), by: enough + [world.arbiter])
        #expect(world.refusal(arbiter) == .partyToHold)
        try world.open(none, owed: 5, owing: 5, isIssuer: true)
        #expect(world.refusal(try world.order(move(none, to: heir.did), by: enough + [heir])) == .issuersLine)
    }

    @Test("Two orders for one account race, one is told again, and one is for another book: it moves once")
    func races() throws {
        var world = try CreditWorld()
        let rival = world.stranger
        let first = try world.order(move(line, to: heir.did), by: world.officers + [heir])
        let second = try world.order(move(line, to: rival.did), by: world.officers + [rival])
        let entry = try world.enter(first)
        #expect(world.again(first) == entry.number)
        #expect(world.refusal(second) == .moved)
        guard case .ordered(var order, _) = first else { return }
        order.number += 7
        let replayed = BookEvent.ordered(order: order, approvals: try world.approvals(order, by: [heir]))
        #expect(world.refusal(replayed) == .notApproved(given: 0))
        var other = try CreditWorld(issuer: 9)
        #expect(other.refusal(first) == .otherBook)
    }

    @Test("What the thief of a key paid before is undone from where the accounts are now")
    func reversed() throws {
        var world = try CreditWorld()
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 500)
        let entry = try world.enter(.transferred(order: order.bytes))
        try world.enter(try world.order(move(line, to: heir.did), by: world.officers + [heir]))
        #expect(world.book.accounts[new]?.balance == -500)
        // The payment that was booked before it moved is the same entry again, and nothing is paid twice.
        #expect(world.again(.transferred(order: order.bytes)) == entry.number)
        try world.enter(try world.order(.reverse(entry: entry.number, reason: "stolen")))
        #expect(world.book.accounts[new]?.balance == 0 && world.balance(0) == 0 && world.balance(1) == 0)
    }

    @Test("Lines count as many as there may be, the moved ones too")
    func bounded() throws {
        var limits = IssuerBook.Limits()
        limits.linesMax = 6
        var world = try CreditWorld(limits: limits)
        let order = try world.order(move(line, to: heir.did), by: world.officers + [heir])
        #expect(world.refusal(order) == .tooMany(.lines))
    }

    @Test("Each key's own entries come to its balance, whoever looks", arguments: 1...4)
    func members(seed: UInt64) throws {
        var dice = SeededGenerator(seed: seed)
        var world = try CreditWorld(lines: 5_000)
        var shown: [DID: [BookEntry]] = [:]
        var owners = world.members
        var all = world.members
        var holds: [(job: HeldJob, hold: CID)] = []
        func enter(_ event: BookEvent) throws {
            let before = world.book
            guard let entry = try? world.enter(event) else { return }
            for party in event.parties(in: before) { shown[party, default: []].append(entry) }
            if let move = event.move {
                let known = Set(shown[move.to]?.map(\.number) ?? [])
                let old = (shown[move.from] ?? []).filter { !known.contains($0.number) }
                shown[move.to] = ((shown[move.to] ?? []) + old).sorted { $0.number < $1.number }
            }
        }
        for step in 0..<120 {
            let (one, other) = (Int.random(in: 0..<6, using: &dice), Int.random(in: 0..<6, using: &dice))
            switch Int.random(in: 0..<8, using: &dice) {
            case 0, 1, 2:
                let order = try world.payment(from: owners[one], to: owners[other].did, 1 + UInt64(step))
                try enter(.transferred(order: order.bytes))
            case 3, 4:
                guard one != other else { continue }
                let job = try HeldJob(
                    UInt64(step), from: owners[one], to: owners[other], arbiter: world.arbiter.did, price: 200,
                    now: world.now)
                let order = try world.order(job)
                try enter(.holdGranted(order: order.bytes))
                if world.book.holds[order.bodyCID] != nil { holds.append((job, order.bodyCID)) }
            case 5, 6:
                guard let index = holds.indices.randomElement(using: &dice) else { continue }
                let (job, hold) = holds.remove(at: index)
                try enter(try job.settled(hold, try job.receipt(), pays: 100))
            default:
                let fresh = CreditWorld.identity(UInt8(100 + step))
                let order = move(LineID(owners[one].did, CreditWorld.unit), to: fresh.did)
                try enter(try world.order(order, by: world.officers + [fresh]))
                owners[one] = fresh
                all.append(fresh)
            }
        }
        #expect(all.count > 6)
        for identity in all {
            let entries = shown[identity.did] ?? []
            var own = try member(world, identity.did, entries)
            let line = LineID(identity.did, CreditWorld.unit)
            var sum: Int128 = 0
            for entry in entries { sum += try own.take(entry)[line] ?? 0 }
            #expect(sum == Int128(world.book.accounts[line]?.balance ?? 0), "seed \(seed): \(line)")
        }
        #expect(try IssuerBook(replaying: world.entries, origin: .arrived) == world.book)
    }

    @Test("A member believes no move in a circle, nor one that nobody approved")
    func lies() throws {
        var world = try CreditWorld()
        let there = try world.order(move(line, to: heir.did), by: world.officers + [heir])
        let back = try world.order(move(new, to: line.did), by: world.officers + [world.members[0]])
        let entries = [there, back].enumerated().map {
            BookEntry(number: UInt64($0.offset + 10), at: world.now, event: $0.element)
        }
        var own = try member(world, heir.did, entries)
        _ = try own.take(entries[0])
        #expect(throws: MemberBook.Unjustified.self) { try own.take(entries[1]) }
        guard case .ordered(let order, let approvals) = there else { return }
        for some in [[], Array(approvals.dropLast()), [approvals[3]]] {
            var own = try member(world, heir.did, entries)
            let event = BookEvent.ordered(order: order, approvals: some)
            #expect(throws: MemberBook.Unjustified.self) {
                try own.take(BookEntry(number: 10, at: world.now, event: event))
            }
        }
    }
}

extension CreditWorld {
    /// Somebody without a line.
    var stranger: Identity { Self.identity(70) }
}
