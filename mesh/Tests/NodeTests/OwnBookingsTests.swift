import Credit
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What a member takes of the entries that its issuer shows it.
@Suite("A member's own bookings") struct OwnBookingsTests {
    /// The reason for which entries are not taken; nil if they are.
    private func refusal(_ stand: CreditStand, of member: Int = 0, _ events: [BookEvent]) async throws -> String? {
        let charter = try SignedObject<IssuerCharter>(
            reading: try #require(
                await stand.desk.issuer.map { try SignedObject.sign($0.book.charter, with: stand.issuer).bytes }))
        var bookings = OwnBookings(of: stand.members[member].did, at: charter)
        do throws(MemberBook.Unjustified) {
            for (index, event) in events.enumerated() {
                let number = UInt64(index + 1)
                try bookings.add(
                    BookEntry(number: number, at: NodeClock.wallClock, event: event), below: number + 1)
            }
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("An order is booked once, in its time, and not where a hold's terms are in it")
    func payments() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let order = try await stand.payment(250)
        #expect(try await refusal(stand, [.transferred(order: order.bytes)]) == nil)
        let twice = [BookEvent](repeating: .transferred(order: order.bytes), count: 2)
        #expect(try await refusal(stand, twice) == "its order was booked before")
        var late = order.body
        late.validUntil = UnixMilliseconds(1)
        let over = try SignedObject.sign(late, with: stand.members[0])
        #expect(try await refusal(stand, [.transferred(order: over.bytes)]) != nil)
        #expect(
            try await refusal(stand, [.opened(charter: [1])])
                == "it is shown as this node's, and concerns nobody's line"
        )
    }

    @Test("Officers' orders count once, by enough others than whose line it is")
    func orders() async throws {
        let stand = try CreditStand()
        try await stand.found()
        func deposit(
            _ line: LineID, number: UInt64, by approvers: [Identity]
        ) async throws -> BookEvent {
            let order = OfficerOrder(
                issuerDID: stand.issuer.did, charterCID: try #require(await stand.desk.issuer?.book.charterCID),
                number: number, action: .deposit(line: line, amount: TokenAmount(10), reference: ""))
            return .ordered(order: order, approvals: try approvers.map { try stand.approval(order, by: $0) })
        }
        let (member, officers) = (stand.members[0], stand.officers)
        let line = LineID(member.did, CreditStand.unit)
        let good = try await deposit(line, number: 7, by: [officers[0], officers[1], member])
        #expect(try await refusal(stand, [good]) == nil)
        #expect(try await refusal(stand, [good, good]) == "its order was booked before")
        let alone = try await deposit(line, number: 7, by: [officers[0], member])
        #expect(try await refusal(stand, [alone]) == "1 officers approve, which is too few")
        let own = LineID(officers[0].did, CreditStand.unit)
        let selfish = try await deposit(own, number: 7, by: [officers[0], officers[1]])
        #expect(try await refusal(stand, [selfish]) == "1 officers approve, which is too few")
        let endless = LineID(member.did, CreditUnit(name: "x", decimals: .max))
        let impossible = try await deposit(endless, number: 7, by: [officers[0], officers[1], member])
        #expect(try await refusal(stand, [impossible]) != nil)
    }

    @Test("A unit without end harms nobody who reads an order of it")
    func endlessUnit() async throws {
        let stand = try CreditStand()
        try await stand.found()
        let line = LineID(stand.members[0].did, CreditUnit(name: "x", decimals: UInt64(Int64.max)))
        for action in [
            .deposit(line: line, amount: TokenAmount(1), reference: ""),
            .withdraw(line: line, amount: TokenAmount(1), reference: ""),
            .writeOff(line: line, amount: TokenAmount(1), reason: ""), .freeze(line: line, frozen: true),
            .limit(line: line, owed: TokenAmount(1), owing: TokenAmount(1), issuer: false),
        ] as [OfficerOrder.Action] {
            let order = try await stand.order(action)
            #expect(!order.isPossible)
            #expect(CreditStand.reason(try await stand.propose(order)) == .book, "it does not wait")
            #expect(!action.text.isEmpty)
        }
        #expect(await stand.desk.waiting.isEmpty)
        #expect(CreditAmount.text(UInt64(1), decimals: .max) == "0." + String(repeating: "0", count: 19) + "1")
        #expect(CreditAmount.units("1.5", decimals: 2) == 150 && CreditAmount.units("1", decimals: .max) == nil)
    }

    @Test("A home that was restored from a backup founds no book, which could be a second one of its key")
    func restored() async throws {
        let stand = try CreditStand()
        try await stand.store.commit([.setting(key: StoreCopy.restoredKey, value: [])])
        let error = await #expect(throws: NodeServiceError.self) { try await stand.found() }
        #expect(error?.code == .conflict)
        #expect(await stand.desk.issuer == nil)
    }
}
