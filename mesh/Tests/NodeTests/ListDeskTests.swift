import MeshStore
import MeshTypes
import NodeAPI
import P2PTesting
import Testing

@testable import PlanetaryMesh

/// What a node lists and counts of its past.
@Suite("Lists and counts", .serialized)
struct ListDeskTests {
    @Test("A count serves whoever asks the same for a while, and countsMax of them are kept")
    func counts() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let node = mesh.originator
            let fresh = ListDesk(auditor: ReceiptAuditor(node.parts), limits: .init())
            var limits = ListDesk.Limits()
            (limits.freshMilliseconds, limits.countsMax) = (0, 2)
            let stale = ListDesk(auditor: ReceiptAuditor(node.parts), limits: limits)
            let until = NodeClock.wallClock.value + 3_600_000
            func query(_ parts: Int) -> ActivityQuery {
                ActivityQuery(until: until, stepMilliseconds: 7_200_000, parts: parts)
            }
            var short = query(1)
            short.stepMilliseconds = 3_500_000
            func earned(_ desk: ListDesk, _ query: ActivityQuery) async throws -> UInt64 {
                try await desk.activity(query).parts.reduce(0) { $0 + $1.earned }
            }
            #expect(try await earned(fresh, query(1)) == 0)
            #expect(try await earned(stale, query(1)) == 0)
            let income = LedgerRow(
                debit: "income/did:key:x", credit: "wallet", amount: 5, jobID: nil, kind: "income",
                at: until - 1_000)
            try await node.store.commit([.ledger(income)])
            #expect(try await earned(fresh, query(1)) == 0, "what was counted a moment ago")
            #expect(try await earned(fresh, query(2)) == 5)
            #expect(try await earned(stale, query(1)) == 0, "parts of an hour and more are kept longer")
            #expect(try await earned(stale, short) == 5)
            let second = LedgerRow(
                debit: "income/did:key:x", credit: "wallet", amount: 7, jobID: nil, kind: "income", reference: "2",
                at: until - 1_000)
            try await node.store.commit([.ledger(second)])
            #expect(try await earned(stale, short) == 12, "it is not fresh any more")
            for parts in 3..<9 {
                _ = try await stale.activity(query(parts))
                #expect(stale.countsKept == 2)
            }
        }
    }
}
