import Determinism
import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("Ledger")
struct LedgerTests {
    private let job = JobID(CID.hashing([1], codec: .dagCBOR))
    private let receipt = CID.hashing([2], codec: .dagCBOR)
    private let date = UnixMilliseconds(1000)

    private func did(_ seed: UInt8) throws -> DID {
        try Identity(seed: Array(repeating: seed, count: 32)).did
    }

    @Test func holdSettleRefund() throws {
        var ledger = Ledger()
        try ledger.post(.grant(TokenAmount(100), reference: "start", at: date))
        try ledger.post(.hold(TokenAmount(60), job: job, assignment: receipt, at: date))
        #expect(ledger.wallet == TokenAmount(40))
        #expect(ledger.escrow(of: job) == TokenAmount(60))
        try ledger.post(.settle(TokenAmount(25), job: job, executor: did(1), at: date))
        try ledger.post(.refund(TokenAmount(35), job: job, at: date))
        #expect(ledger.wallet == TokenAmount(75))
        #expect(ledger.escrowTotal == .zero)
        #expect(ledger.paid == TokenAmount(25))
        ledger.checkInvariants()
    }

    @Test func theSameEntryTwiceChangesNothingAndAnotherUnderItsKeyIsRefused() throws {
        var ledger = Ledger()
        try ledger.post(.grant(TokenAmount(100), reference: "start", at: date))
        let again = try ledger.post(.grant(TokenAmount(100), reference: "start", at: date))
        #expect(!again)
        #expect(ledger.wallet == TokenAmount(100))
        #expect(throws: LedgerRefusal.keyUsed("grant/start")) {
            try ledger.post(.grant(TokenAmount(101), reference: "start", at: date))
        }
        try ledger.post(.hold(TokenAmount(50), job: job, assignment: receipt, at: date))
        try ledger.post(.settle(TokenAmount(20), job: job, executor: did(1), at: date))
        #expect(throws: LedgerRefusal.keyUsed("settle/\(job)")) {
            try ledger.post(.settle(TokenAmount(20), job: job, executor: did(2), at: date))
        }
    }

    @Test func nothingGoesBackIntoASourceOrRoundInACircle() throws {
        var ledger = Ledger()
        try ledger.post(.grant(TokenAmount(10), reference: "start", at: date))
        let before = ledger
        func entry(from: LedgerAccount, to: LedgerAccount) -> LedgerEntry {
            LedgerEntry(kind: .refund, subject: "x", from: from, to: to, amount: TokenAmount(1), at: date)
        }
        #expect(throws: LedgerRefusal.sameAccount("wallet")) { try ledger.post(entry(from: .wallet, to: .wallet)) }
        #expect(throws: LedgerRefusal.intoSource("issuance")) { try ledger.post(entry(from: .wallet, to: .issuance)) }
        let payer = LedgerAccount.income(try did(1))
        #expect(throws: LedgerRefusal.intoSource("\(payer)")) { try ledger.post(entry(from: .wallet, to: payer)) }
        #expect(ledger == before)
    }

    @Test func nothingIsSpentThatIsNotThere() throws {
        var ledger = Ledger()
        try ledger.post(.grant(TokenAmount(10), reference: "start", at: date))
        #expect(
            throws: LedgerRefusal.insufficient(account: "wallet", available: TokenAmount(10), asked: TokenAmount(11))
        ) {
            try ledger.post(.hold(TokenAmount(11), job: job, assignment: receipt, at: date))
        }
        #expect(throws: LedgerRefusal.overflow("grant/more")) {
            try ledger.post(.grant(.max, reference: "more", at: date))
        }
    }

    @Test(arguments: 1...8)
    func theSumIsConservedOverRandomEntries(seed: Int) throws {
        var dice = SeededGenerator(seed: UInt64(seed))
        var ledger = Ledger()
        let people = try (1...4).map { try did(UInt8($0)) }
        for step in 0..<2000 {
            let amount = TokenAmount(dice.next() >> (dice.next() % 64))
            let job = JobID(CID.hashing([UInt8(dice.next() % 16)], codec: .dagCBOR))
            let cid = CID.hashing([UInt8(dice.next() % 256), 1], codec: .raw)
            let person = people[Int(dice.next() % 4)]
            let entry: LedgerEntry =
                switch dice.next() % 5 {
                case 0: .grant(amount, reference: "\(step % 50)", at: date)
                case 1: .hold(amount, job: job, assignment: cid, at: date)
                case 2: .settle(amount, job: job, executor: person, at: date)
                case 3: .refund(amount, job: job, at: date)
                default: .income(amount, receipt: cid, payer: person, at: date)
                }
            let refusal = ledger.refusal(of: entry)
            let posted = try? ledger.post(entry)
            #expect((posted == nil) == (refusal != nil), "seed \(seed)")
        }
        ledger.checkInvariants()
        let rebuilt = try Ledger(entries: ledger.entries)
        #expect(rebuilt == ledger)
        let (inside, overflow) = ledger.wallet.units.addingReportingOverflow(ledger.escrowTotal.units)
        #expect(!overflow)
        let total = UInt128(inside) + UInt128(ledger.paid.units)
        #expect(total == UInt128(ledger.issued.units) + UInt128(ledger.earned.units), "seed \(seed)")
    }

    @Test func priceIsCappedRoundedUpOnceAndNeverOverflows() {
        let terms = BidTerms(
            price: TokenAmount(50), basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(3),
            earliestStart: date,
            deadline: date)
        #expect(terms.due(fuel: 0) == TokenAmount(10))
        #expect(terms.due(fuel: 1) == TokenAmount(11))
        #expect(terms.due(fuel: 1_000_000) == TokenAmount(13))
        #expect(terms.due(fuel: 1_000_001) == TokenAmount(14))
        #expect(terms.due(fuel: .max) == TokenAmount(50))
        #expect(
            BidTerms.uncapped(basePrice: .max, pricePerMillionFuel: .max, fuel: .max) == .max)
        #expect(terms.due(for: .nodeFailed(reason: ""), fuel: 9) == .zero)
        #expect(terms.due(for: .cancelled, fuel: 0) == .zero)
        #expect(terms.due(for: .trapped(kind: .other, message: ""), fuel: 0) == TokenAmount(10))
    }
}
