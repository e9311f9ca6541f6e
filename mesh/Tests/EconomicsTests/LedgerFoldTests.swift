import Determinism
import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// A book that forgets entries has the balances of one that does not.
@Suite("Folded entries")
struct LedgerFoldTests {
    private let date = UnixMilliseconds(1000)

    private func person(_ number: Int) throws -> DID {
        try Identity(seed: Array(repeating: UInt8(number), count: 32)).did
    }

    private func job(_ number: Int) -> JobID {
        JobID(CID.hashing(Array("job \(number)".utf8), codec: .dagCBOR))
    }

    private func names(_ ledger: Ledger) -> [String] {
        ledger.accounts.map { "\($0.account) \($0.balance)" }
    }

    private func signed(_ ledger: Ledger) -> [(account: LedgerAccount, balance: Int64)] {
        ledger.accounts.map { account, balance in
            (account, account.isSource ? -Int64(balance.units) : Int64(balance.units))
        }
    }

    private func randomEntry(_ dice: inout SeededGenerator, _ people: [DID]) -> LedgerEntry {
        let amount = TokenAmount(dice.next() >> (dice.next() % 64))
        let job = job(Int(dice.next() % 64))
        let cid = CID.hashing([UInt8(dice.next() % 256), UInt8(dice.next() % 4)], codec: .raw)
        let person = people[Int(dice.next() % UInt64(people.count))]
        return switch dice.next() % 5 {
        case 0: .grant(amount, reference: "\(dice.next() % 500)", at: date)
        case 1: .hold(amount, job: job, assignment: cid, at: date)
        case 2: .settle(amount, job: job, executor: person, at: date)
        case 3: .refund(amount, job: job, at: date)
        default: .income(amount, receipt: cid, payer: person, at: date)
        }
    }

    @Test(arguments: 1...12)
    func foldingMovesNoBalance(seed: Int) throws {
        var dice = SeededGenerator(seed: UInt64(seed))
        let people = try (1...5).map(person)
        var whole = Ledger()
        var folding = Ledger()
        var folded: Set<LedgerEntry.Key> = []
        for step in 0..<3000 {
            let entry = randomEntry(&dice, people)
            // What was folded does not come again: that is for the owner of the book to see to.
            if folded.contains(entry.key) { continue }
            #expect(whole.refusal(of: entry) == folding.refusal(of: entry), "seed \(seed)")
            let first = try? whole.post(entry)
            let second = try? folding.post(entry)
            #expect(first == second, "seed \(seed)")
            if dice.next() % 8 == 0 {
                let keys = folding.entries.map(\.key).filter { _ in dice.next() % 3 == 0 }
                folding.fold(keys)
                folded.formUnion(keys)
            }
            if step % 100 == 0 {
                folding.checkInvariants()
                #expect(names(folding) == names(whole), "seed \(seed)")
            }
        }
        #expect(folding.entryCount == whole.entryCount - folded.count, "seed \(seed)")
        let restarted = try Ledger(balances: signed(folding), entries: folding.entries)
        folding.fold(folding.entries.map(\.key))
        for ledger in [folding, restarted] {
            ledger.checkInvariants()
            #expect(names(ledger) == names(whole), "seed \(seed)")
            #expect(ledger.wallet == whole.wallet)
            #expect(ledger.escrowTotal == whole.escrowTotal)
            #expect(ledger.paid == whole.paid)
            #expect(ledger.earned == whole.earned)
            #expect(ledger.issued == whole.issued)
            let inside = ledger.wallet.units + ledger.escrowTotal.units + ledger.paid.units
            #expect(inside == ledger.issued.units + ledger.earned.units, "seed \(seed)")
        }
        #expect(folding.entryCount == 0)
        for entry in restarted.entries { #expect(restarted.refusal(of: entry) == nil, "it is there already") }
    }

    @Test func theHoldOfASettledJobLeavesNothingBehind() throws {
        var ledger = Ledger()
        try ledger.post(.grant(TokenAmount(100), reference: "start", at: date))
        let empty = names(ledger)
        for number in 0..<1000 {
            let assignment = CID.hashing(Array("assignment \(number)".utf8), codec: .dagCBOR)
            let entries: [LedgerEntry] = [
                .hold(TokenAmount(60), job: job(number), assignment: assignment, at: date),
                .refund(TokenAmount(60), job: job(number), at: date),
            ]
            for entry in entries { try ledger.post(entry) }
            ledger.fold(entries.map(\.key))
        }
        #expect(names(ledger) == empty)
        #expect(ledger.entryCount == 1)
        ledger.checkInvariants()
    }

    @Test func theSmallerHalfOfTooManyCounterpartiesIsNotToldApart() throws {
        var limits = Ledger.Limits()
        limits.counterpartiesMax = 8
        var ledger = Ledger(limits: limits)
        try ledger.post(.grant(TokenAmount(1_000_000), reference: "start", at: date))
        for number in 1...100 {
            let cid = CID.hashing([UInt8(number)], codec: .dagCBOR)
            let entries: [LedgerEntry] = [
                .hold(TokenAmount(UInt64(number)), job: job(number), assignment: cid, at: date),
                .settle(TokenAmount(UInt64(number)), job: job(number), executor: try person(number), at: date),
                .income(TokenAmount(UInt64(1000 - number)), receipt: cid, payer: try person(number), at: date),
            ]
            for entry in entries { try ledger.post(entry) }
            ledger.fold(entries.map(\.key))
            ledger.checkInvariants()
        }
        #expect(ledger.accounts.count <= 8 + 4, "the wallet, what was issued, the others on either side")
        #expect(ledger.paid == TokenAmount(5050))
        #expect(ledger.earned == TokenAmount(94_950))
        #expect(ledger.wallet == TokenAmount(1_000_000 + 94_950 - 5050))
        #expect(ledger.balance(of: .income(try person(1))) == TokenAmount(999), "the largest are told apart")
        #expect(ledger.balance(of: .paid(try person(1))) == .zero, "the smallest are not")
        let paid = ledger.accounts.filter { $0.account.description.hasPrefix("paid/") }
        #expect(paid.reduce(0) { $0 + $1.balance.units } == 5050)
        let restarted = try Ledger(balances: signed(ledger), entries: [], limits: limits)
        #expect(names(restarted) == names(ledger))
    }

    @Test func asManyCounterpartiesAsThereMayBeAreToldApart() throws {
        var limits = Ledger.Limits()
        limits.counterpartiesMax = 4
        var ledger = Ledger(limits: limits)
        func earn(_ number: Int) throws {
            let receipt = CID.hashing([UInt8(number)], codec: .dagCBOR)
            let entry = LedgerEntry.income(
                TokenAmount(UInt64(number)), receipt: receipt, payer: try person(number), at: date)
            try ledger.post(entry)
            ledger.fold([entry.key])
        }
        for number in 1...4 { try earn(number) }
        for number in 1...4 {
            #expect(ledger.balance(of: .income(try person(number))) == TokenAmount(UInt64(number)))
        }
        #expect(ledger.balance(of: .incomeFromOthers) == .zero)
        try earn(5)
        #expect(ledger.balance(of: .incomeFromOthers) == TokenAmount(1 + 2 + 3), "the two largest are told apart")
        ledger.checkInvariants()
    }

    @Test func balancesThatAreNoBookAreRefused() throws {
        func refusal(_ balances: [(LedgerAccount, Int64)], _ entries: [LedgerEntry] = []) -> LedgerRefusal? {
            do {
                _ = try Ledger(balances: balances.map { (account: $0.0, balance: $0.1) }, entries: entries)
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal([(.issuance, -5), (.wallet, 5)]) == nil)
        #expect(
            refusal([(.issuance, -5), (.wallet, 4)])
                == .contradiction("the accounts add up to -1 instead of zero"))
        #expect(refusal([(.wallet, -5), (.paidToOthers, 5)]) == .contradiction("wallet cannot have -5"))
        #expect(refusal([(.issuance, 5)]) == .contradiction("issuance cannot have 5"))
        let earned = LedgerEntry.income(
            TokenAmount(7), receipt: CID.hashing([1], codec: .dagCBOR), payer: try person(1), at: date)
        let whole = LedgerRefusal.contradiction("the accounts do not have what the entries gave them")
        #expect(refusal([(.issuance, -5), (.wallet, 5)], [earned]) == whole)
        #expect(refusal([(.issuance, -.max), (.wallet, .max), (earned.from, -7), (.paidToOthers, 7)]) == whole)
        #expect(
            refusal([(earned.from, -7), (.wallet, 7)], [earned, earned]) == .keyUsed(earned.key.description))
    }

    @Test func whatCameFromTheSourcesFitsIntoAStore() throws {
        var ledger = Ledger()
        try ledger.post(.grant(Ledger.broughtMax, reference: "start", at: date))
        let cid = CID.hashing([1], codec: .dagCBOR)
        let income = LedgerEntry.income(TokenAmount(1), receipt: cid, payer: try person(1), at: date)
        #expect(ledger.refusal(of: income) == .overflow("income/\(cid)"))
        try ledger.post(.hold(Ledger.broughtMax, job: job(1), assignment: cid, at: date))
        #expect(ledger.refusal(of: income) == .overflow("income/\(cid)"), "also when the wallet is empty")
    }
}
