import Credit
import LibP2P
import Logging
import MeshTypes
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// An issuer's book for its treasurer.
@Suite("The ledger of an issuer") struct LedgerTests {
    private func desk(
        _ stand: CreditStand, as identity: Identity, _ change: (inout MemberDesk.Limits) -> Void = { _ in }
    ) -> MemberDesk {
        var limits = MemberDesk.Limits()
        change(&limits)
        let swarm = Swarm(
            configuration: SwarmConfiguration(), identity: identity,
            logger: Logger(label: "test") { _ in
                SwiftLogNoOpLogHandler()
            })
        return MemberDesk(identity: identity, host: swarm, own: stand.desk, limits: limits)
    }

    @Test("It has every movement, in parts that go on from each other, and balances that come to zero")
    func parts() async throws {
        let stand = try CreditStand()
        try await stand.found()
        for amount in [250, 40, 7, 1] as [UInt64] { try await stand.pay(amount) }
        let line = LineID(stand.members[1].did, CreditStand.unit)
        let debtor = LineID(stand.members[0].did, CreditStand.unit)
        try await stand.carryOut(.writeOff(line: debtor, amount: TokenAmount(8), reason: "gone"))
        let treasurer = desk(stand, as: stand.issuer) { $0.ledgerEntriesMax = 2 }
        var query = LedgerQuery(issuer: stand.issuer.did.text)
        var pages: [LedgerView] = []
        repeat {
            pages.append(try await treasurer.ledger(query))
            query.after = pages.last?.next
        } while query.after != nil
        #expect(pages.map(\.entries.count) == [2, 2, 1])
        for (page, next) in zip(pages, pages.dropFirst()) { #expect(next.opening == page.closing) }
        let entries = pages.flatMap(\.entries)
        #expect(entries.map(\.kind) == ["transferred", "transferred", "transferred", "transferred", "write_off"])
        #expect(entries.last?.note == "gone")
        #expect(entries.allSatisfy { $0.postings.reduce(0) { $0 + $1.amount } == 0 })
        #expect(pages[0].opening.isEmpty)
        let closing = try #require(pages.last?.closing)
        #expect(Set(closing.map(\.amount)) == [298, -290, -8])
        #expect(closing.first { $0.did == line.did.text }?.amount == 298)
        #expect(closing.first { $0.account == .losses }?.amount == -8)
    }

    @Test("A period begins with the balances before it, and a date alone tells them")
    func period() async throws {
        let stand = try CreditStand()
        try await stand.found()
        for amount in [250, 40] as [UInt64] { try await stand.pay(amount) }
        let treasurer = desk(stand, as: stand.issuer)
        var query = LedgerQuery(issuer: stand.issuer.did.text)
        let whole = try await treasurer.ledger(query)
        let last = try #require(whole.entries.last)
        (query.from, query.until) = (last.at, last.at + 1)
        // Entries of one millisecond are on the same side of a date.
        let before = whole.entries.filter { $0.at < last.at }.flatMap(\.postings).reduce(into: [String?: Int64]()) {
            $0[$1.did, default: 0] += $1.amount
        }
        let period = try await treasurer.ledger(query)
        #expect(Dictionary(uniqueKeysWithValues: period.opening.map { ($0.did, $0.amount) }) == before)
        #expect(period.closing == whole.closing && period.entries.last == last)
        (query.from, query.until) = (UInt64(Int64.max), nil)
        let now = try await treasurer.ledger(query)
        #expect(now.entries.isEmpty && now.opening == whole.closing && now.closing == whole.closing)
        query.until = 1
        #expect(try await treasurer.ledger(query).closing.isEmpty)
    }
}
