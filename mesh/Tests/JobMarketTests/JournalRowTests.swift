import Economics
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// The rows of the journal, which later versions must read: the names in them, and signed objects as their blocks.
@Suite("Rows of the journal")
struct JournalRowTests {
    /// Where rows of a kind hold signed objects.
    private static let blocks: [String: [String]] = [
        "submitted": ["manifest"], "bidReceived": ["bid"], "assignmentMade": ["assignment"],
        "receiptAccepted": ["receipt"], "lateReceipt": ["receipt", "settlement"], "settled": ["settlement"],
        "anchored": ["entry"], "bidMade": ["bid", "manifest"],
        "assignmentAccepted": ["assignment", "bid", "manifest"], "receiptSigned": ["receipt"],
        "settlementReceived": ["settlement"], "acceptanceSigned": ["acceptance"],
    ]

    private func rows() throws -> [[UInt8]] {
        var world = MarketWorld(executors: 3)
        world.parties[1].run = .hang
        try world.submit()
        world.run(milliseconds: 600_000)
        let lost = try world.submit(MarketWorld.request("lost"))
        #expect(world.run(milliseconds: 9000) { $0.job(lost)?.status == .running })
        try world.cancel(lost)
        world.run(milliseconds: 600_000)
        return world.parties.flatMap(\.journal)
    }

    private func map(_ value: IPLDValue?) throws -> IPLDMap {
        guard case .map(let map)? = value else {
            Issue.record("not a map: \(String(describing: value))")
            return [:]
        }
        return map
    }

    @Test func rowsHoldBlocksUnderTheNamesThatTheyAlwaysHad() throws {
        var seen: Set<String> = []
        for row in try rows() {
            let whole = try map(DAGCBOR.decode(row))
            #expect(Set(whole.entries.map(\.key)) == ["job_id", "role", "at", "kind", "ledger"])
            let kind = try map(whole["kind"])
            let name = try #require(kind.entries.first?.key)
            #expect(kind.entries.count == 1)
            seen.insert(name)
            let fields = try map(kind.entries.first?.value)
            let blocks = fields.entries.compactMap { entry in
                if case .bytes = entry.value { entry.key } else { nil }
            }
            #expect(blocks.sorted() == Self.blocks[name] ?? [], "\(name)")
            let event = try JobEvent.decode(row)
            #expect(try event.encoded() == row)
            #expect(try DAGCBOREncoder().encode(JournalRow(event)) == row)
        }
        #expect(seen.isSuperset(of: Set(Self.blocks.keys).subtracting(["lateReceipt"])), "\(seen)")
    }

    /// Rows are written by hand; whatever is in them, the bytes are those of the encoder.
    @Test("Every row is what the encoder would write, for all sizes of its fields")
    func writtenByHand() throws {
        let numbers: [UInt64] = [0, 23, 24, 255, 256, 65_535, 65_536, 1 << 32, UInt64(Int64.max), .max]
        let texts = ["", "a", String(repeating: "é", count: 12), String(repeating: "x", count: 300)]
        let cid = CID.hashing([1], codec: .dagCBOR)
        let did = try Identity(seed: [UInt8](repeating: 3, count: 32)).did
        let accounts: [LedgerAccount] = [
            .issuance, .wallet, .escrow(JobID(cid)), .paid(did), .income(did), .paidToOthers, .incomeFromOthers,
        ]
        var kinds: [JournalRowKind] = [
            .closed, .settlementOverdue, .checkerMissing(reason: "nobody bid"),
            .trialBegan(assignment: cid, until: .epoch), .trialEnded(isRunnable: true, reason: "it ran"),
            .attemptResumed(assignment: cid, until: .epoch), .receiptChosen(receipt: cid),
            .bidDisplaced(bid: cid),
            .bidReceived(bid: [], refusal: .bidderDenied), .anchorPublished(inTime: false),
            .settlementDelivered(receipt: cid, acknowledged: false), .executionProgressed(status: .running),
            .bidClosed(reason: .lapsed), .receiptDelivered(.acknowledged, settleUntil: .epoch),
        ]
        for number in numbers {
            let date = UnixMilliseconds(number)
            let ranked = RankedBid(bid: cid, bidder: did, price: TokenAmount(number), score: number, parts: numbers)
            var behind = ranked
            behind.unprovenHeld = number
            kinds += [
                .biddingClosed(cause: .windowElapsed, ranking: [ranked, behind]),
                .announced(round: number, windowUntil: date, biddingUntil: date), .executionStarted(giveUpAt: date),
                .assignmentConfirmed(assignment: cid, fetchUntil: date), .bidReceived(bid: [1], refusal: nil),
                .biddingClosed(cause: .sufficientBids, ranking: Array(repeating: ranked, count: Int(number % 30))),
                .resultReached(
                    result: .failed,
                    outcome: .exited(code: Int32(truncatingIfNeeded: number) * (number % 2 == 0 ? 1 : -1))),
                .resultReached(result: .failed, outcome: .limitExceeded(.fuel)),
            ]
        }
        for text in texts {
            let block = Array(text.utf8)
            kinds += [
                .submitted(manifest: block, requester: did, idempotencyKey: text, announceUntil: .epoch),
                .assignmentMade(assignment: block, confirmUntil: .epoch),
                .receiptAccepted(assignment: cid, receipt: block, outputsUntil: .epoch),
                .lateReceipt(receipt: block, settlement: block, notifyUntil: .epoch),
                .settled(settlement: block, notifyUntil: .epoch), .anchored(entry: block, publishUntil: .epoch),
                .bidMade(manifest: block, bid: block), .settlementReceived(settlement: block),
                .assignmentAccepted(manifest: block, bid: block, assignment: block),
                .receiptSigned(receipt: block, deliverUntil: .epoch), .cancelled(reason: text),
                .bidClosed(reason: .refused(code: RefusalCode(text), reason: text)),
            ]
        }
        for (index, kind) in kinds.enumerated() {
            let entries = accounts.prefix(index % 8).map { account in
                LedgerEntry(
                    kind: .refund, subject: texts[index % texts.count], from: account,
                    to: accounts[(index + 3) % accounts.count], amount: TokenAmount(numbers[index % numbers.count]),
                    at: UnixMilliseconds(numbers[index % numbers.count]))
            }
            let row = JournalRow(
                jobID: JobID(cid), role: index % 2 == 0 ? .originator : .executor,
                at: UnixMilliseconds(numbers[index % numbers.count]), kind: kind, ledger: entries)
            #expect(try row.encoded() == DAGCBOREncoder().encode(row), "\(kind)")
        }
    }

    @Test func aRowWhoseBlockDoesNotReadIsToldApart() throws {
        let row = try #require(try rows().first)
        let others = try map(DAGCBOR.decode(row)).entries.filter { $0.key != "kind" }
        let kind = IPLDValue.map(["settlementReceived": .map(["settlement": .bytes([0xA0])])])
        let bytes = try DAGCBOR.encode(.map(IPLDMap(others + [IPLDMap.Entry(key: "kind", value: kind)])))
        #expect(throws: JobEventError.evidenceUnreadable(event: Settlement.typeName)) { try JobEvent.decode(bytes) }
    }
}
