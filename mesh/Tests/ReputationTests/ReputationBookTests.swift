import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Reputation
import SignedObjects
import Testing

@Suite("Reputation")
struct ReputationBookTests {
    private func did(_ seed: UInt8) throws -> DID {
        try Identity(seed: Array(repeating: seed, count: 32)).did
    }

    @Test func reputationIsAPureFunctionOfTheSetOfReceipts() throws {
        let (subject, other) = (try did(1), try did(2))
        var items: [ReputationEvidence] = []
        for number in 0..<300 {
            items.append(
                ReputationEvidence(
                    subject: number % 3 == 0 ? other : subject, payer: try did(UInt8(10 + number / 6 % 12)),
                    // Every assignment has several receipts.
                    assignmentCID: CID.hashing([UInt8(number / 6), 1], codec: .dagCBOR),
                    receiptCID: CID.hashing([UInt8(number % 256), UInt8(number / 256)], codec: .dagCBOR),
                    verdict: number % 7 == 0 ? .abandoned : .fulfilled,
                    at: UnixMilliseconds(UInt64(number / 6) * 6_000_000)))
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

    /// Whoever adds up what the account says gets the score, and sees what a fraud took away.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func anAccountAddsUpToTheScore(_ seed: UInt64) throws {
        var dice = SeededGenerator(seed: seed)
        let subject = try did(1)
        var book = ReputationBook()
        for number in 0..<UInt8.random(in: 0...60, using: &dice) {
            let verdict = ReputationVerdict.allCases[[0, 0, 0, 0, 1, 2].randomElement(using: &dice) ?? 0]
            book.record(
                ReputationEvidence(
                    subject: subject, payer: try did(10 + number % 5),
                    assignmentCID: CID.hashing([number, 1], codec: .dagCBOR),
                    receiptCID: CID.hashing([number], codec: .dagCBOR), verdict: verdict,
                    at: UnixMilliseconds(UInt64.random(in: 0...10_000_000_000, using: &dice))))
        }
        let now = UnixMilliseconds(10_000_000_000)
        let account = book.account(of: subject, at: now)
        #expect(account.score == book.score(of: subject, at: now), "seed \(seed)")
        #expect(account.items.map(\.evidence) == book.evidence(about: subject))
        let frauds = account.items.filter { $0.evidence.verdict == .invalid }.map(\.evidence.at)
        for item in account.items {
            let isReset = item.evidence.verdict == .fulfilled && frauds.contains { $0 >= item.evidence.at }
            #expect(item.isReset == isReset && (item.weight == 0) == isReset, "seed \(seed)")
        }
        #expect(book.account(of: try did(2), at: now).score == 0)
    }

    @Test func reputationGrowsFallsAndDecays() throws {
        let subject = try did(1)
        var book = ReputationBook()
        let now = UnixMilliseconds(10_000_000_000)
        func evidence(_ number: UInt8, _ verdict: ReputationVerdict) throws -> ReputationEvidence {
            ReputationEvidence(
                subject: subject, payer: try did(number), assignmentCID: CID.hashing([number, 1], codec: .dagCBOR),
                receiptCID: CID.hashing([number], codec: .dagCBOR), verdict: verdict, at: now)
        }
        #expect(book.score(of: subject, at: now) == 0)
        for number in 2...4 { book.record(try evidence(UInt8(number), .fulfilled)) }
        #expect(book.score(of: subject, at: now) == 500)
        #expect(book.score(of: subject, at: now.advanced(milliseconds: 30 * 86_400_000)) == 333)
        book.record(try evidence(5, .abandoned))
        #expect(book.score(of: subject, at: now) == 272)
        book.record(
            ReputationEvidence(
                subject: subject, payer: subject, assignmentCID: CID.hashing([9, 1], codec: .dagCBOR),
                receiptCID: CID.hashing([9], codec: .dagCBOR), verdict: .fulfilled, at: now))
        #expect(book.evidence(about: subject).count == 4, "nobody vouches for oneself")
    }

    @Test func anAssignmentCountsOnceByTheWorstOfItsReceipts() throws {
        let (subject, payer) = (try did(1), try did(2))
        let now = UnixMilliseconds(10_000_000_000)
        let verdicts: [ReputationVerdict] = [.fulfilled, .abandoned, .invalid, .fulfilled]
        let items = verdicts.enumerated().map { number, verdict in
            ReputationEvidence(
                subject: subject, payer: payer, assignmentCID: CID.hashing([1], codec: .dagCBOR),
                receiptCID: CID.hashing([2, UInt8(number)], codec: .dagCBOR), verdict: verdict, at: now)
        }
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            var book = ReputationBook()
            for number in order { book.record(items[number]) }
            #expect(book.evidence(about: subject) == [items[2]], "order \(order)")
            #expect(!book.isProven(subject))
        }
        var alike = ReputationBook()
        for number in [3, 0, 3] { alike.record(items[number]) }
        #expect(alike.evidence(about: subject).count == 1, "two receipts of one run are one run")
        #expect(alike.score(of: subject, at: now) == 250)
    }

    @Test("One lie resets what was earned before, and what is earned after it counts again")
    func lies() throws {
        let subject = try did(1)
        func evidence(_ number: UInt8, _ verdict: ReputationVerdict, _ hour: UInt64) throws -> ReputationEvidence {
            ReputationEvidence(
                subject: subject, payer: try did(number), assignmentCID: CID.hashing([number, 1], codec: .dagCBOR),
                receiptCID: CID.hashing([number], codec: .dagCBOR), verdict: verdict,
                at: UnixMilliseconds(10_000_000_000 + hour * 3_600_000))
        }
        let now = UnixMilliseconds(10_000_000_000 + 100 * 3_600_000)
        let items = try (2...9).map { try evidence(UInt8($0), .fulfilled, UInt64($0)) } + [evidence(10, .invalid, 20)]
        for order in [items, items.reversed()] {
            var book = ReputationBook()
            for item in order { book.record(item) }
            #expect(book.score(of: subject, at: now) == 0)
            #expect(!book.isProven(subject))
            book.record(try evidence(11, .fulfilled, 30))
            #expect(book.isProven(subject))
            #expect((1...100).contains(book.score(of: subject, at: now)))
        }
    }

    @Test("What was cancelled makes nobody proven, and nobody worse; an end does")
    func cancelled() throws {
        func evidence(_ outcome: ExecutionOutcome, isChecked: Bool) throws -> ReputationEvidence? {
            let cid = CID.hashing([1], codec: .dagCBOR)
            let receipt = ExecutionReceipt(
                jobID: JobID(cid), assignmentCID: cid, originatorDID: try did(1), executorDID: try did(2), attempt: 1,
                moduleCID: cid, inputCIDs: [:], outcome: outcome, resourceUsage: ResourceUsage(fuel: 1_000_000),
                price: TokenAmount(5), engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
                determinism: .deterministic, executionStartedAt: .epoch, executionEndedAt: .epoch)
            let evidence = ReputationEvidence(
                receipt: receipt, receiptCID: cid, isChecked: isChecked, takenAt: UnixMilliseconds(7))
            #expect(evidence.map { $0.at == UnixMilliseconds(7) } ?? true, "the executor dates nothing")
            return evidence
        }
        for isChecked in [false, true] {
            #expect(try evidence(.cancelled, isChecked: isChecked) == nil)
            #expect(try evidence(.exited(code: 1), isChecked: isChecked)?.verdict == .fulfilled)
            #expect(try evidence(.nodeFailed(reason: ""), isChecked: isChecked)?.verdict == .abandoned)
            #expect(try (evidence(.limitExceeded(.fuel), isChecked: isChecked) != nil) == isChecked)
        }
    }
}
