import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

/// What is written down of a book, and what silence is worth.
@Suite("Written conduct")
struct ConductTests {
    private static func did(_ seed: UInt8) -> DID {
        // A seed of 32 bytes is always a key.
        (try? Identity(seed: Array(repeating: seed, count: 32)))?.did ?? Identity.generate().did
    }

    private static let keys = (1...9).map { did($0) }

    private func evidence(
        _ subject: DID, _ number: UInt8, _ verdict: ReputationVerdict, at date: UInt64 = 10_000_000_000,
        payer: DID = keys[8]
    ) -> ReputationEvidence {
        ReputationEvidence(
            subject: subject, payer: payer, assignmentCID: CID.hashing([number, 1], codec: .dagCBOR),
            receiptCID: CID.hashing([number, UInt8(verdict == .undelivered ? 2 : 3)], codec: .dagCBOR),
            verdict: verdict, at: UnixMilliseconds(date))
    }

    /// One row for each subject and assignment, the newest last: as the store keeps it.
    private struct Rows {
        var rows: [ReputationEvidence] = []

        mutating func write(_ change: ReputationChange) {
            guard let added = change.recorded else { return }
            rows.removeAll { $0.subject == added.subject && $0.assignmentCID == added.assignmentCID }
            rows.append(added)
            for gone in change.dropped {
                rows.removeAll { $0.subject == gone.subject && $0.assignmentCID == gone.assignmentCID }
            }
        }
    }

    @Test(
        "What is written down makes the same book, whatever its bounds dropped",
        arguments: 1...40 as ClosedRange<UInt64>)
    func rows(_ seed: UInt64) {
        var dice = SeededGenerator(seed: seed)
        var limits = ReputationBook.Limits()
        (limits.receiptsPerSubjectMax, limits.receiptsPerPayerMax) = (6, 3)
        (limits.subjectsMax, limits.receiptsMax, limits.liesPerSubjectMax) = (5, 20, 2)
        var book = ReputationBook(limits: limits)
        var rows = Rows()
        for _ in 0..<400 {
            let (subject, payer) = (Self.keys.randomElement(using: &dice), Self.keys.randomElement(using: &dice))
            guard let subject, let payer, let verdict = ReputationVerdict.allCases.randomElement(using: &dice) else {
                continue
            }
            let item = evidence(
                subject, UInt8.random(in: 0...40, using: &dice), verdict,
                at: UInt64.random(in: 0...10_000_000_000, using: &dice), payer: payer)
            if let change = book.record(item) { rows.write(change) }
            #expect(book.receiptCount == rows.rows.count && book.receiptCount <= limits.receiptsMax, "seed \(seed)")
            #expect(book.subjectCount <= limits.subjectsMax)
        }
        var again = ReputationBook(limits: limits)
        for row in rows.rows { again.record(row) }
        #expect(again == book, "seed \(seed)")
        let now = UnixMilliseconds(10_000_000_000)
        for subject in Self.keys { #expect(again.account(of: subject, at: now) == book.account(of: subject, at: now)) }
    }

    @Test("What was signed about a run takes the place of its silence, in any order")
    func silence() {
        let (subject, now) = (Self.keys[0], UnixMilliseconds(10_000_000_000))
        let cases: [(ReputationVerdict, UInt64)] = [(.fulfilled, 250), (.abandoned, 0), (.invalid, 0)]
        for (verdict, score) in cases {
            let items = [evidence(subject, 1, .undelivered), evidence(subject, 1, verdict)]
            for order in [items, items.reversed()] {
                var book = ReputationBook()
                for item in order { book.record(item) }
                #expect(book.evidence(about: subject).map(\.verdict) == [verdict])
                #expect(book.score(of: subject, at: now) == score)
            }
        }
        var book = ReputationBook()
        for number in 1...3 { book.record(evidence(subject, UInt8(number), .fulfilled)) }
        book.record(evidence(subject, 4, .undelivered))
        #expect(book.account(of: subject, at: now).items.first { $0.penalty > 0 }?.weight == 5_000)
        #expect(book.score(of: subject, at: now) == 272, "as much as an abandoned job")
        #expect(book.isProven(subject))
    }

    @Test("No number of good receipts pushes a lie out, lies push out no receipt, and have few places of their own")
    func lies() {
        let (subject, payer, max) = (Self.keys[0], Self.keys[8], ReputationBook.Limits().liesPerSubjectMax)
        var book = ReputationBook()
        book.record(evidence(subject, 0, .invalid, at: 1_000))
        for number in 1...64 { book.record(evidence(subject, UInt8(number), .fulfilled, at: 1_000 + UInt64(number))) }
        #expect(book.evidence(about: subject).count { $0.payer == payer && $0.verdict == .fulfilled } == 32)
        #expect(book.evidence(about: subject).count { $0.verdict == .invalid } == 1)
        for number in 0..<2 * max { book.record(evidence(subject, UInt8(100 + number), .invalid, at: UInt64(number))) }
        #expect(book.evidence(about: subject).count { $0.verdict == .invalid } == max)
        #expect(book.evidence(about: subject).count { $0.verdict == .fulfilled } == 32)
        #expect(book.evidence(about: subject).contains { $0.verdict == .invalid && $0.at == UnixMilliseconds(1_000) })
        // What refutes something that was kept has room, however old it is.
        let change = book.record(evidence(subject, 64, .invalid, at: 0))
        #expect(change?.dropped.map(\.verdict) == [.invalid])
        #expect(book.evidence(about: subject).contains { $0.verdict == .invalid && $0.at == UnixMilliseconds(0) })
        #expect(book.evidence(about: subject).count { $0.verdict == .invalid } == max)
    }

    @Test("The same again about an assignment changes nothing, neither its date nor who was rated last")
    func again() {
        for verdict in ReputationVerdict.allCases {
            var book = ReputationBook()
            book.record(evidence(Self.keys[0], 1, verdict, at: 5))
            book.record(evidence(Self.keys[1], 1, .fulfilled, at: 5))
            let before = book
            for date: UInt64 in [4, 5, 6] {
                #expect(book.record(evidence(Self.keys[0], 1, verdict, at: date)) == nil, "\(verdict)")
            }
            #expect(book == before && book.subjects == [Self.keys[0], Self.keys[1]])
        }
    }

    @Test("What is older than all that there is room for changes nothing")
    func room() {
        var limits = ReputationBook.Limits()
        limits.receiptsPerSubjectMax = 2
        var book = ReputationBook(limits: limits)
        for number in 1...2 {
            let item = evidence(Self.keys[0], UInt8(number), .fulfilled, at: 5, payer: Self.keys[number])
            #expect(book.record(item) != nil)
        }
        let before = book
        #expect(book.record(evidence(Self.keys[0], 3, .abandoned, at: 4, payer: Self.keys[3])) == nil)
        #expect(book == before)
        let change = book.record(evidence(Self.keys[0], 4, .fulfilled, at: 6, payer: Self.keys[4]))
        #expect(change?.dropped.count == 1 && book.receiptCount == 2)
    }
}
