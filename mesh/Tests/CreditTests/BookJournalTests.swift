import Credit
import MeshTypes
import SignedObjects
import Testing

/// A book as double entry.
@Suite("The postings of a book")
struct BookJournalTests {
    private func journal(of world: CreditWorld) throws -> (BookJournal, [[BookJournal.Posting]]) {
        var journal = try BookJournal(opening: world.entries[0])
        let postings = try world.entries.dropFirst().map { try journal.take($0) }
        return (journal, postings)
    }

    @Test("A payment, a hold's fee, its end, cash and a loss are posted, and come to zero each")
    func postings() throws {
        var world = try CreditWorld { ($0.holdsFreePerDay, $0.holdFee) = (0, TokenAmount(3)) }
        let lines = world.members.map { LineID($0.did, CreditWorld.unit) }
        let first = world.entries.count
        try world.enter(
            .transferred(order: try world.payment(from: world.members[0], to: world.members[1].did, 40).bytes))
        let (job, hold) = try world.held(1) { $0.feeMax = TokenAmount(3) }
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        let deposit = OfficerOrder.Action.deposit(line: lines[2], amount: TokenAmount(7), reference: "bank")
        try world.enter(try world.order(deposit, by: Array(world.officers.prefix(2)) + [world.members[2]]))
        try world.enter(try world.order(.writeOff(line: lines[0], amount: TokenAmount(5), reason: "gone")))
        let (journal, postings) = try journal(of: world)
        let moved = postings.dropFirst(first - 1).map { entry in
            Dictionary(uniqueKeysWithValues: entry.map { ($0.account, $0.amount) })
        }
        let own = { (account: BookAccounts.Own) in BookJournal.Account.own(account, CreditWorld.unit) }
        #expect(
            moved == [
                [.line(lines[0]): -40, .line(lines[1]): 40], [.line(lines[0]): -3, own(.fees): 3],
                [.line(lines[0]): -100, .line(lines[1]): 100], [.line(lines[2]): 7, own(.cash): -7],
                [.line(lines[0]): 5, own(.losses): -5],
            ])
        #expect(postings.allSatisfy { $0.reduce(0) { $0 + $1.amount } == 0 })
        #expect(journal.balances.reduce(0) { $0 + $1.amount } == 0)
        #expect(journal.balances.contains { $0.account == .line(lines[0]) && $0.amount == -138 })
        #expect(journal.book == world.book)
    }

    @Test("A journal does not take what its book does not")
    func order() throws {
        var world = try CreditWorld(lines: 0)
        let payment = try world.payment(from: world.members[0], to: world.members[1].did, 40)
        var journal = try BookJournal(opening: world.entries[0])
        let entry = BookEntry(number: 1, at: world.now, event: .transferred(order: payment.bytes))
        #expect(throws: ReplayFault.self) { try journal.take(entry) }
        #expect(throws: ReplayFault.self) { try BookJournal(opening: entry) }
    }
}
