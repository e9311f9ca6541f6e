import Credit
import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// Closing periods of a book, and its end.
@Suite("Closed periods, and the end of a book")
struct BookEndTests {
    private static let day: UInt64 = 86_400_000

    /// The midnight so many days after the book was opened.
    private func midnight(_ days: UInt64) -> UnixMilliseconds {
        UnixMilliseconds((CreditWorld.start.value / Self.day + days) * Self.day)
    }

    private func pay(_ world: inout CreditWorld, _ amount: UInt64, from debtor: Int = 0, to creditor: Int = 1) throws {
        let order = try world.payment(from: world.members[debtor], to: world.members[creditor].did, amount)
        try world.enter(.transferred(order: order.bytes))
    }

    // MARK: Periods

    @Test("A period is closed by the trial balance that the book had at its end, whatever came after")
    func closed() throws {
        var world = try CreditWorld()
        try pay(&world, 300)
        let first = TrialBalance(world.book).cid
        // Two quiet days, and then another movement.
        world.now = midnight(3).advanced(milliseconds: 5)
        try pay(&world, 20)
        let second = TrialBalance(world.book).cid
        #expect(first != second)
        #expect(world.refusal(try world.order(.close(until: midnight(3), balance: second))) == .otherBalance)
        #expect(world.refusal(try world.order(.close(until: midnight(4), balance: second))) == .notYet)
        let early = try world.order(.close(until: midnight(0), balance: first))
        #expect(world.refusal(early) == .periodOver)
        let odd = try world.order(.close(until: midnight(1).advanced(milliseconds: 1), balance: first))
        #expect(world.refusal(odd) == .malformed(.outOfBounds(field: "action")))
        let few = try world.order(.close(until: midnight(2), balance: first), by: [world.officers[0]])
        #expect(world.refusal(few) == .notApproved(given: 1))
        // Midnights between two entries have one balance.
        let close = try world.order(.close(until: midnight(2), balance: first))
        let entry = try world.enter(close)
        #expect(world.again(close) == entry.number)
        #expect(world.book.rules.closed?.until == midnight(2) && world.book.rules.closed?.entry == entry.number)
        #expect(world.refusal(try world.order(.close(until: midnight(2), balance: first))) == .periodOver)
        try world.enter(try world.order(.close(until: midnight(3), balance: first)))
        // A time without entries since is closed by what the accounts have.
        world.now = midnight(5)
        try world.enter(try world.order(.close(until: midnight(5), balance: second)))
        #expect(try IssuerBook(replaying: world.entries, origin: .arrived) == world.book)
    }

    @Test("Nothing is dated into a closed period: not by a clock that goes back, nor by what a replica is shown")
    func noBackDating() throws {
        var world = try CreditWorld()
        try pay(&world, 300)
        world.now = midnight(1)
        try world.enter(try world.order(.close(until: midnight(1), balance: TrialBalance(world.book).cid)))
        let order = try world.payment(from: world.members[0], to: world.members[1].did, 7)
        world.now = CreditWorld.start
        let entry = try world.enter(.transferred(order: order.bytes))
        #expect(entry.at == midnight(1))
        var changed = world.entries
        changed[changed.count - 1].at = CreditWorld.start
        let fault = #expect(throws: ReplayFault.self) { try IssuerBook(replaying: changed, origin: .arrived) }
        #expect(fault?.reason == .outOfOrder && fault?.entry == entry.number)
        // A correction of what is closed is booked now.
        world.now = midnight(1)
        let paid = try #require(world.entries.first { if case .transferred = $0.event { true } else { false } })
        #expect(try world.enter(try world.order(.reverse(entry: paid.number, reason: "twice"))).at == midnight(1))
    }

    @Test("An auditor names the close whose balance is not that of the entries")
    func audited() throws {
        var world = try CreditWorld()
        try pay(&world, 300)
        let honest = TrialBalance(world.book).cid
        world.now = midnight(1)
        try world.enter(try world.order(.close(until: midnight(1), balance: honest)))
        // The same history without the payment, from a backup of before: its balance is another one.
        var other = Array(world.entries.dropLast(2))
        let close = world.entries[world.entries.count - 1]
        other.append(BookEntry(number: close.number - 1, at: close.at, event: close.event))
        let fault = #expect(throws: ReplayFault.self) { try IssuerBook(replaying: other, origin: .arrived) }
        #expect(fault?.reason == .refused(.otherBalance))
    }

    @Test("So many days are remembered, and those before cannot be closed any more")
    func days() throws {
        var limits = IssuerBook.Limits()
        limits.daysMax = 3
        var world = try CreditWorld(limits: limits)
        var balances: [CID] = []
        for day in 1...5 as ClosedRange<UInt64> {
            balances.append(TrialBalance(world.book).cid)
            world.now = midnight(day)
            try pay(&world, 1)
        }
        #expect(world.refusal(try world.order(.close(until: midnight(2), balance: balances[1]))) == .periodOver)
        try world.enter(try world.order(.close(until: midnight(3), balance: balances[2])))
        try world.enter(try world.order(.close(until: midnight(5), balance: balances[4])))
    }

    @Test("A trial balance has every account that has something, in one form")
    func balance() throws {
        var world = try CreditWorld()
        let empty = TrialBalance(world.book)
        try pay(&world, 300)
        let line = LineID(world.members[0].did, CreditWorld.unit)
        try world.enter(try world.order(.writeOff(line: line, amount: TokenAmount(100), reason: "")))
        let moved = TrialBalance(world.book)
        #expect(moved != empty && moved.cid != empty.cid)
        try pay(&world, 300, from: 1, to: 0)
        #expect(TrialBalance(world.book).cid != empty.cid, "the loss is still there")
        var other = try CreditWorld(issuer: 9)
        #expect(TrialBalance(other.book).cid != empty.cid, "another issuer's book has another one")
        try other.enter(try other.order(.freeze(line: line, frozen: true)))
    }

    @Test("What officers sign has one form, which other programs can make")
    func pinned() throws {
        let world = try CreditWorld()
        let line = LineID(world.members[0].did, CreditWorld.unit)
        let balance = TrialBalance(world.book).cid
        let actions: [OfficerOrder.Action] = [
            .move(line: line, to: world.stranger.did, reason: "lost"), .close(until: midnight(1), balance: balance),
            .windDown(successor: nil, reason: ""), .windDown(successor: world.stranger.did, reason: "we part"),
            .end(reason: "done"),
        ]
        var cids = [balance.text]
        for action in actions {
            let order = OfficerOrder(
                issuerDID: world.issuer.did, charterCID: world.book.charterCID, number: 7, action: action)
            let bytes = try DAGCBOREncoder().encode(order)
            #expect(try DAGCBORDecoder().decode(OfficerOrder.self, from: bytes) == order)
            cids.append(try #require(order.cid).text)
        }
        #expect(cids == Self.pinned)
    }

    private static let pinned = [
        "bafyreidgnqgrdiyuqlzttkes4sgj6rgwzurjrcr3zvj7x4jty2yzowmjqy",
        "bafyreiafl44hlwuozribsdajt42n3vcsrpksgjevisknxzs22donr6vwyi",
        "bafyreicaarlcxfv5a6vsbrznb6xcuuqgjxxrmzbns5wyeiqegrk75fjmqa",
        "bafyreihpy2gf25e7uomm2qcusoukey532rm6xqjoqc433juqpit6qkk2c4",
        "bafyreigo3waolpa772eorbxqxs4i3rqdovnwmp3jxhjg2f3orz2obuqyuy",
        "bafyreici5kdb5myujisn5v6gothjepa6hsqyeyc4duqdqznphnymihuusy",
    ]

    // MARK: The end

    private func settle(_ world: inout CreditWorld) throws {
        for member in world.members {
            let line = LineID(member.did, CreditWorld.unit)
            guard let balance = world.book.accounts[line]?.balance, balance != 0 else { continue }
            let amount = TokenAmount(balance.magnitude)
            let action: OfficerOrder.Action =
                balance < 0
                ? .deposit(line: line, amount: amount, reference: "in cash")
                : .withdraw(line: line, amount: amount, reference: "in cash")
            try world.enter(try world.order(action, by: world.officers + [member]))
        }
    }

    @Test("A book that winds down takes on nothing new, lets holds end, and ends once all is settled")
    func ends() throws {
        var world = try CreditWorld()
        try pay(&world, 300)
        let (job, hold) = try world.held(1)
        #expect(world.refusal(try world.order(.end(reason: "early"))) == .windsDownFirst)
        let successor = world.stranger.did
        try world.enter(try world.order(.windDown(successor: successor, reason: "we part")))
        #expect(world.book.rules.winding?.successor == successor)
        // Another successor is none: the first one stands.
        let second = try world.order(.windDown(successor: world.members[0].did, reason: ""))
        #expect(world.refusal(second) == .windsDown)
        #expect(throws: BookRefusal.windsDown) { try world.held(2) }
        let line = LineID(world.members[0].did, CreditWorld.unit)
        let foreign = LineID(successor, CreditWorld.unit)
        for (line, owed) in [(line, UInt64(10_001)), (foreign, 1)] {
            let raise = OfficerOrder.Action.limit(
                line: line, owed: TokenAmount(owed), owing: TokenAmount(10_000), issuer: false)
            #expect(world.refusal(try world.order(raise)) == .windsDown)
        }
        try world.enter(
            try world.order(.limit(line: line, owed: TokenAmount(9_000), owing: TokenAmount(9_000), issuer: false)))
        // Who owes pays nothing from the line; who is owed does, as far as that goes.
        let debt = try world.payment(from: world.members[0], to: world.members[2].did, 1)
        #expect(world.refusal(.transferred(order: debt.bytes)) == .insufficient(spendable: 0))
        let over = try world.payment(from: world.members[1], to: world.members[2].did, 301)
        #expect(world.refusal(.transferred(order: over.bytes)) == .insufficient(spendable: 300))
        try pay(&world, 200, from: 1, to: 2)
        #expect(world.refusal(try world.order(.end(reason: ""))) == .holdsLeft(1))
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        #expect(world.refusal(try world.order(.end(reason: ""))) == .balancesLeft)
        try settle(&world)
        let end = try world.order(.end(reason: "done"))
        let entry = try world.enter(end)
        #expect(world.again(end) == entry.number)
        try expectNothing(&world)
        #expect(try IssuerBook(replaying: world.entries, origin: .arrived) == world.book)
    }

    private func expectNothing(_ world: inout CreditWorld) throws {
        let line = LineID(world.members[1].did, CreditWorld.unit)
        #expect(
            world.refusal(
                .transferred(
                    order: try world.payment(
                        from: world.members[1], to: world.members[2].did, 1
                    ).bytes)) == .ended)
        #expect(throws: BookRefusal.ended) { try world.held(9) }
        for action: OfficerOrder.Action in [
            .freeze(line: line, frozen: true), .end(reason: ""), .windDown(successor: nil, reason: ""),
        ] { #expect(world.refusal(try world.order(action)) == .ended) }
        #expect(world.refusal(.caughtUp(reports: [], refused: [])) == .ended)
        #expect(world.book.nextDeadline == nil)
    }

    @Test("Whoever does not settle keeps no book from its end: after its time it ends with what is left, in the log")
    func left() throws {
        var limits = IssuerBook.Limits()
        limits.windDownMilliseconds = 1_000
        var world = try CreditWorld(limits: limits)
        try pay(&world, 300)
        try world.enter(try world.order(.windDown(successor: nil, reason: "")))
        world.now = world.now.advanced(milliseconds: 999)
        #expect(world.refusal(try world.order(.end(reason: ""))) == .balancesLeft)
        world.now = world.now.advanced(milliseconds: 1)
        let few = try world.order(.end(reason: ""), by: [world.officers[2], world.issuer])
        #expect(world.refusal(few) == .notApproved(given: 1))
        try world.enter(try world.order(.end(reason: "nobody came")))
        #expect(world.balance(1) == 300, "what is owed is told for ever")
    }

    @Test("A key that is lost while the book winds down is moved, and what it had is settled by the new one")
    func movedMeanwhile() throws {
        var world = try CreditWorld()
        try pay(&world, 300)
        try world.enter(try world.order(.windDown(successor: nil, reason: "")))
        let (old, heir) = (LineID(world.members[1].did, CreditWorld.unit), world.stranger)
        try world.enter(try world.order(.move(line: old, to: heir.did, reason: ""), by: world.officers + [heir]))
        let line = LineID(heir.did, CreditWorld.unit)
        let paid = OfficerOrder.Action.withdraw(line: line, amount: TokenAmount(300), reference: "")
        let thief = try world.order(paid, by: world.officers + [world.members[1]])
        #expect(world.refusal(thief) == .notCountersigned)
        try world.enter(try world.order(paid, by: world.officers + [heir]))
        try settle(&world)
        try world.enter(try world.order(.end(reason: "")))
    }

    @Test("A successor takes the balances over: what leaves one book comes into the other, with each member's word")
    func succeeded() throws {
        var (old, new) = (try CreditWorld(), try CreditWorld(issuer: 9))
        try pay(&old, 300)
        try pay(&old, 120, from: 1, to: 2)
        let balances = old.members.map { LineID($0.did, CreditWorld.unit) }.map { old.book.accounts[$0]?.balance ?? 0 }
        try old.enter(try old.order(.windDown(successor: new.book.issuer, reason: "its key may be stolen")))
        for (member, balance) in zip(old.members, balances) where balance != 0 {
            let (line, amount) = (LineID(member.did, CreditWorld.unit), TokenAmount(balance.magnitude))
            let out = OfficerOrder.Action.withdraw(line: line, amount: amount, reference: "succession")
            let into = OfficerOrder.Action.deposit(line: line, amount: amount, reference: "succession")
            try old.enter(try old.order(balance > 0 ? out : into, by: old.officers + [member]))
            try new.enter(try new.order(balance > 0 ? into : out, by: new.officers + [member]))
        }
        try old.enter(try old.order(.end(reason: "taken over")))
        #expect(new.members.map { new.book.accounts[LineID($0.did, CreditWorld.unit)]?.balance ?? 0 } == balances)
        #expect(old.book.accounts.balance(of: .cash, CreditWorld.unit) == 0)
        #expect(new.book.accounts.balance(of: .cash, CreditWorld.unit) == 0)
    }
}
