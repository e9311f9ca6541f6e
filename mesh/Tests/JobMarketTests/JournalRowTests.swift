import IPLD
import JobMarket
import MeshTypes
import SignedObjects
import Testing

/// The rows of the journal, which later versions must read: the names in them, and signed objects as their blocks.
@Suite("Rows of the journal")
struct JournalRowTests {
    /// Where rows of a kind hold signed objects.
    private static let blocks: [String: [String]] = [
        "submitted": ["manifest"], "bidReceived": ["bid"], "assignmentMade": ["assignment"],
        "receiptAccepted": ["receipt"], "lateReceipt": ["receipt", "settlement"], "settled": ["settlement"],
        "anchored": ["entry"], "bidMade": ["bid", "manifest"],
        "assignmentAccepted": ["assignment", "bid", "manifest"], "receiptSigned": ["receipt"],
        "settlementReceived": ["settlement"],
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
            #expect(try JobEvent.decode(row).encoded() == row)
        }
        #expect(seen.isSuperset(of: Set(Self.blocks.keys).subtracting(["lateReceipt"])), "\(seen)")
    }

    @Test func aRowWhoseBlockDoesNotReadIsToldApart() throws {
        let row = try #require(try rows().first)
        let others = try map(DAGCBOR.decode(row)).entries.filter { $0.key != "kind" }
        let kind = IPLDValue.map(["settlementReceived": .map(["settlement": .bytes([0xA0])])])
        let bytes = try DAGCBOR.encode(.map(IPLDMap(others + [IPLDMap.Entry(key: "kind", value: kind)])))
        #expect(throws: JobEventError.evidenceUnreadable(event: Settlement.typeName)) { try JobEvent.decode(bytes) }
    }
}
