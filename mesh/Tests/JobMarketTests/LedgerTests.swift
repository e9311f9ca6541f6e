import Determinism
import Economics
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@Suite("Ledger and reputation")
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

    @Test func reputationIsAPureFunctionOfTheSetOfReceipts() throws {
        let (subject, other) = (try did(1), try did(2))
        var items: [ReputationEvidence] = []
        for number in 0..<300 {
            items.append(
                ReputationEvidence(
                    subject: number % 3 == 0 ? other : subject, payer: try did(UInt8(10 + number % 12)),
                    receiptCID: CID.hashing([UInt8(number % 256), UInt8(number / 256)], codec: .dagCBOR),
                    verdict: number % 7 == 0 ? .abandoned : .fulfilled, at: UnixMilliseconds(UInt64(number) * 1_000_000)
                ))
        }
        let now = UnixMilliseconds(400_000_000)
        var scores: Set<[UInt64]> = []
        for seed in 1...5 {
            var dice = SeededGenerator(seed: UInt64(seed))
            var book = ReputationBook()
            for item in items.shuffled(using: &dice) + items.shuffled(using: &dice) { book.record(item) }
            scores.insert([book.score(of: subject, at: now), book.score(of: other, at: now)])
        }
        #expect(scores.count == 1)
    }

    @Test func reputationGrowsFallsAndDecays() throws {
        let subject = try did(1)
        var book = ReputationBook()
        let now = UnixMilliseconds(10_000_000_000)
        func evidence(_ number: UInt8, _ verdict: ReputationVerdict) throws -> ReputationEvidence {
            ReputationEvidence(
                subject: subject, payer: try did(number), receiptCID: CID.hashing([number], codec: .dagCBOR),
                verdict: verdict, at: now)
        }
        #expect(book.score(of: subject, at: now) == 0)
        for number in 2...4 { book.record(try evidence(UInt8(number), .fulfilled)) }
        #expect(book.score(of: subject, at: now) == 500)
        #expect(book.score(of: subject, at: now.advanced(milliseconds: 30 * 86_400_000)) == 333)
        book.record(try evidence(5, .abandoned))
        #expect(book.score(of: subject, at: now) == 272)
        book.record(
            ReputationEvidence(
                subject: subject, payer: subject, receiptCID: CID.hashing([9], codec: .dagCBOR), verdict: .fulfilled,
                at: now))
        #expect(book.evidence(about: subject).count == 4, "nobody vouches for oneself")
    }
}
