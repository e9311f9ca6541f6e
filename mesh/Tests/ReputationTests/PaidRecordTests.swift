import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// What others' paid receipts are worth.
@Suite("Records of others") struct PaidRecordTests {
    private static func did(_ seed: UInt8) -> DID {
        // A seed of 32 bytes is always a key.
        (try? Identity(seed: Array(repeating: seed, count: 32)))?.did ?? Identity.generate().did
    }

    private static let keys = (1...12).map { did(UInt8($0)) }
    private static let hours = CreditUnit(name: "hours", decimals: 2)
    private static let date = UnixMilliseconds(10_000_000_000)
    private static let halfLife: UInt64 = 30 * 86_400_000

    private var subject: DID { Self.keys[0] }

    private func paid(
        _ number: UInt8, by payer: DID, to subject: DID? = nil, _ amount: UInt64 = 100, unit: CreditUnit = hours,
        issuer: DID = keys[11], at date: UnixMilliseconds = date
    ) -> ReputationEvidence {
        ReputationEvidence(
            subject: subject ?? self.subject, payer: payer, assignmentCID: CID.hashing([number, 1], codec: .dagCBOR),
            receiptCID: CID.hashing([number, 2], codec: .dagCBOR), verdict: .fulfilled, at: date,
            pay: ProvedPay(
                issuerDID: issuer, amount: amount, unit: unit,
                proofCID: CID.hashing([number, 3], codec: .dagCBOR)))
    }

    private func weight(_ records: [ReputationEvidence], for stake: Stake? = nil, at date: UnixMilliseconds = date)
        -> UInt64
    {
        var book = PaidRecords()
        for record in records { _ = book.record(record) }
        return book.weight(of: subject, at: date, for: stake, after: nil).total
    }

    @Test("One payer weighs what one receipt of this node's own does, and all together what five do")
    func caps() {
        #expect(weight([paid(1, by: Self.keys[1])]) == 1_000)
        #expect(weight((1...8).map { paid($0, by: Self.keys[1]) }) == 1_000)
        #expect(weight((1...3).map { paid($0, by: Self.keys[Int($0)]) }) == 3_000)
        #expect(weight((1...9).map { paid($0, by: Self.keys[Int($0)]) }) == 5_000)
        #expect(weight([paid(1, by: Self.keys[1]), paid(1, by: Self.keys[2])]) == 1_000, "one assignment")
        #expect(weight([paid(1, by: subject)]) == 0, "of itself")
        var unpaid = paid(1, by: Self.keys[1])
        unpaid.pay = nil
        #expect(weight([unpaid]) == 0)
        var failed = paid(1, by: Self.keys[1])
        failed.verdict = .abandoned
        #expect(weight([failed]) == 0, "failures do not travel")
        #expect(weight([paid(1, by: Self.keys[1], (1 << 53) + 1)]) == 0)
    }

    @Test("A score of others' records alone stays below that of five own receipts and one more")
    func score() {
        var book = ReputationBook()
        for number in UInt8(1)...9 { _ = book.recordElsewhere(paid(number, by: Self.keys[Int(number)])) }
        #expect(book.score(of: subject, at: Self.date) == 625)
        #expect(!book.isProven(subject), "only what this node saw proves somebody")
        let account = book.account(of: subject, at: Self.date)
        #expect(account.score == 625 && account.confidence == 625 && account.elsewhere.total == 5_000)
        #expect(account.items.isEmpty && book.subjects == [subject])
        var lie = paid(100, by: Self.keys[9])
        (lie.pay, lie.verdict) = (nil, .invalid)
        book.record(lie)
        #expect(book.score(of: subject, at: Self.date) == 0, "a lie takes away what others paid before it")
        _ = book.recordElsewhere(paid(101, by: Self.keys[10], at: Self.date.advanced(milliseconds: 1)))
        #expect(book.score(of: subject, at: Self.date.advanced(milliseconds: 1)) > 0)
    }

    @Test("What goes back does not count: directly, by way of one other, in part, and not in another unit")
    func flowsBack() {
        let (a, b) = (Self.keys[1], Self.keys[2])
        #expect(weight([paid(1, by: a), paid(2, by: subject, to: a)]) == 0)
        #expect(weight([paid(1, by: a), paid(2, by: subject, to: a, 25)]) == 750)
        #expect(weight([paid(1, by: a), paid(2, by: subject, to: b), paid(3, by: b, to: a)]) == 0)
        #expect(weight([paid(1, by: a), paid(2, by: subject, to: b), paid(3, by: b, to: a, 40)]) == 600)
        let other = CreditUnit(name: "kWh", decimals: 0)
        #expect(weight([paid(1, by: a), paid(2, by: subject, to: a, unit: other)]) == 1_000)
        var book = PaidRecords()
        for record in [paid(1, by: a), paid(2, by: subject, to: a, 25)] { _ = book.record(record) }
        let parts = book.weight(of: subject, at: Self.date, for: nil, after: nil).parts
        #expect(parts.map(\.keptPermille) == [750] && parts.map(\.payer) == [a])
    }

    @Test("What the subject paid is taken off once, and not from each of its payers")
    func flowsBackOnce() {
        let payers = Array(Self.keys[1...4])
        // The subject paid one other 100, who paid each of the four as much.
        var records = payers.enumerated().map { paid(UInt8($0.offset + 1), by: $0.element) }
        records.append(paid(10, by: subject, to: Self.keys[5]))
        records += payers.enumerated().map { paid(UInt8($0.offset + 11), by: Self.keys[5], to: $0.element) }
        #expect(weight(records) == 3_000)
    }

    @Test("For a job of more than was paid it counts for less, of another issuer for a quarter, and with time for less")
    func stakes() {
        let record = paid(1, by: Self.keys[1], 100)
        func stake(_ amount: UInt64, at issuer: DID? = Self.keys[11], _ unit: CreditUnit? = Self.hours) -> Stake {
            Stake(amount: amount, at: issuer, in: unit)
        }
        #expect(weight([record], for: stake(100)) == 1_000)
        #expect(weight([record], for: stake(400)) == 250)
        #expect(weight([record], for: stake(.max)) == 0)
        #expect(weight([record], for: stake(0)) == 1_000)
        #expect(weight([record], for: stake(1, CreditUnit(name: "kWh", decimals: 0))) == 250)
        #expect(weight([record], for: stake(1, at: Self.keys[10])) == 250, "its hours are others")
        #expect(weight([record], for: stake(1, at: nil, nil)) == 250, "tokens")
        #expect(weight([record], at: Self.date.advanced(milliseconds: Self.halfLife)) == 500)
        #expect(weight([record], at: Self.date.advanced(milliseconds: 2 * Self.halfLife)) == 250)
        // Eight of 100 together are as good as one of 400, for one payer.
        let many = (1...8).map { paid($0, by: Self.keys[1], 100) }
        #expect(weight(many, for: stake(400)) == 1_000)
    }

    @Test("Beyond the bounds the least go: of a payer, of the payer with the most, of an issuer, and of all")
    func bounds() {
        var limits = PaidRecords.Limits()
        (limits.recordsPerPayerMax, limits.recordsPerSubjectMax) = (2, 3)
        (limits.recordsPerIssuerMax, limits.recordsMax) = (5, 6)
        var book = PaidRecords(limits: limits)
        func put(
            _ number: UInt8, by payer: Int, to subject: Int = 0, _ amount: UInt64 = 100, issuer: Int = 11,
            after milliseconds: UInt64 = 0
        ) -> [CID]? {
            let date = Self.date.advanced(milliseconds: milliseconds + UInt64(number))
            return book.record(
                paid(
                    number, by: Self.keys[payer], to: Self.keys[subject], amount, issuer: Self.keys[issuer], at: date)
            )?.dropped.map(\.receiptCID)
        }
        func receipt(_ number: UInt8) -> CID { paid(number, by: subject).receiptCID }
        #expect(put(2, by: 1) == [] && put(3, by: 1, 500) == [])
        #expect(put(4, by: 1, 99) == nil, "worth less than all that there is room for")
        #expect(put(5, by: 1, 100) == [receipt(2)], "the oldest of the least")
        #expect(put(6, by: 2) == [])
        #expect(put(7, by: 3, 1) == [receipt(5)], "of the payer with the most")
        // After three half-lives 500 are worth less than 100.
        #expect(put(8, by: 1, 100, after: 3 * Self.halfLife) == [receipt(3)])
        #expect(put(8, by: 1) == nil, "twice")
        #expect(put(9, by: 3, to: 5) == [] && put(10, by: 3, to: 6) == [])
        #expect(put(11, by: 2, to: 7) == [8, 7, 6].map(receipt), "the issuer's that none came of for longest")
        #expect(book.count == 3 && book.subjects == [5, 6, 7].map { Self.keys[$0] })
        #expect(put(12, by: 2, to: 5) == [] && put(13, by: 2, to: 6) == [])
        #expect(put(14, by: 2, to: 8, issuer: 10) == [])
        #expect(put(15, by: 2, to: 9, issuer: 10) == [receipt(11)], "all together")
        #expect(!book.hasReceipt(receipt(11), of: Self.keys[7]) && book.hasReceipt(receipt(12), of: Self.keys[5]))
        let gone = book.forget { $0.pay?.issuerDID == Self.keys[10] }
        #expect(Set(gone.map(\.receiptCID)) == Set([14, 15].map(receipt)) && book.count == 4)
        #expect(book.forget { $0.payer == Self.keys[2] }.count == 2 && book.count == 2)
    }

    @Test("What is written down makes the same records, and the same weights", arguments: 1...30 as ClosedRange<UInt64>)
    func rows(_ seed: UInt64) {
        var dice = SeededGenerator(seed: seed)
        var limits = PaidRecords.Limits()
        (limits.recordsPerPayerMax, limits.recordsPerSubjectMax) = (3, 6)
        (limits.recordsPerIssuerMax, limits.recordsMax) = (14, 20)
        var book = PaidRecords(limits: limits)
        var rows: [ReputationEvidence] = []
        for _ in 0..<300 {
            let item = paid(
                UInt8.random(in: 0...60, using: &dice), by: Self.keys[Int.random(in: 0..<8, using: &dice)],
                to: Self.keys[Int.random(in: 0..<8, using: &dice)], UInt64.random(in: 1...1_000, using: &dice),
                issuer: Self.keys[Int.random(in: 10..<12, using: &dice)],
                at: UnixMilliseconds(UInt64.random(in: 0...10_000_000_000, using: &dice)))
            guard let change = book.record(item), let recorded = change.recorded else { continue }
            for gone in [recorded] + change.dropped {
                rows.removeAll { $0.subject == gone.subject && $0.assignmentCID == gone.assignmentCID }
            }
            rows.append(recorded)
        }
        var again = PaidRecords(limits: limits)
        for row in rows { _ = again.record(row) }
        #expect(again.count == book.count && again.count == rows.count, "seed \(seed)")
        for key in Self.keys {
            #expect(again.evidence(about: key) == book.evidence(about: key), "seed \(seed)")
            #expect(
                again.weight(of: key, at: Self.date, for: nil, after: nil)
                    == book.weight(of: key, at: Self.date, for: nil, after: nil), "seed \(seed)")
        }
    }
}
