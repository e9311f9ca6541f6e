import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What issuers are to book, on the disk.
@Suite struct HoldBookingRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private static func cid(_ number: Int) -> CID {
        CID.hashing(withUnsafeBytes(of: number, Array.init), codec: .dagCBOR)
    }

    private static func row(_ number: Int, due: UInt64?, _ bytes: [UInt8] = [1]) -> HoldBookingRow {
        HoldBookingRow(
            hold: cid(number), issuer: "did:\(number % 2)", jobID: cid(number / 2), dueAt: due, bytes: bytes)
    }

    @Test func aHoldHasOneAndWhatIsDueComesFirst() async throws {
        let store = try folder.open()
        try await store.commit([
            .issuer(.booking(Self.row(1, due: 20))), .issuer(.booking(Self.row(2, due: 10))),
            .issuer(.booking(Self.row(3, due: nil))), .issuer(.booking(Self.row(1, due: 15, [2]))),
        ])
        #expect(try await HoldBookingRow.due(by: 14, limit: 9, in: store).map(\.hold) == [Self.cid(2)])
        #expect(
            try await HoldBookingRow.due(by: 99, limit: 9, in: store)
                == [Self.row(2, due: 10), Self.row(1, due: 15, [2])])
        #expect(try await HoldBookingRow.due(by: 99, limit: 1, in: store).count == 1)
        // Whom nobody can reach keeps nobody else waiting.
        #expect(
            try await HoldBookingRow.due(by: 99, besides: ["did:0", "did:7"], limit: 9, in: store).map(\.hold)
                == [Self.cid(1)])
        #expect(try await HoldBookingRow.of(Self.cid(1), in: store) == [Self.row(2, due: 10), Self.row(3, due: nil)])
        // What took its place meanwhile stays.
        try await store.commit([.issuer(.booked(Self.row(1, due: nil, [9]), was: [1]))])
        #expect(try await HoldBookingRow.of(Self.cid(0), in: store) == [Self.row(1, due: 15, [2])])
        try await store.commit([.issuer(.booked(Self.row(1, due: nil, [9]), was: [2]))])
        #expect(try await HoldBookingRow.of(Self.cid(0), in: store) == [Self.row(1, due: nil, [9])])
        try store.close()
        #expect(try await HoldBookingRow.due(by: 99, limit: 9, in: try folder.open()).map(\.dueAt) == [10])
    }

    @Test func theOldestThatAreOverAreForgottenAndNothingThatIsDue() async throws {
        let store = try folder.open()
        let count = HoldBookingRow.overMax + 3
        try await store.commit([.issuer(.booking(Self.row(-2, due: 5)))])
        for start in stride(from: 0, to: count, by: 1_000) {
            try await store.commit(
                (start..<min(start + 1_000, count)).map { .issuer(.booking(Self.row($0, due: nil))) })
        }
        #expect(
            try await store.read {
                try Int.fetchOne($0, sql: "SELECT count(*) FROM hold_bookings WHERE due_at IS NULL")
            }
                == HoldBookingRow.overMax)
        #expect(try await HoldBookingRow.of(Self.cid(0), in: store).isEmpty)
        #expect(try await HoldBookingRow.due(by: 5, limit: 9, in: store).count == 1)
    }

    @Test func aDatabaseOfVersionEighteenGetsTheTable() async throws {
        try folder.open().close()
        try folder.change("DROP TABLE hold_bookings; DROP TABLE hold_orders; PRAGMA user_version = 18;")
        let store = try folder.open()
        try await store.commit([.issuer(.booking(Self.row(1, due: 1)))])
        #expect(try await HoldBookingRow.due(by: 1, limit: 1, in: store).count == 1)
    }

    @Test func anAttemptKeepsItsFirstOrderAndTheOldestAreForgotten() async throws {
        let store = try folder.open()
        let first = HoldOrderRow(jobID: Self.cid(-1), attempt: 1, bytes: [1])
        try await store.commit([
            .issuer(.holdOrder(first)), .issuer(.holdOrder(HoldOrderRow(jobID: Self.cid(-1), attempt: 1, bytes: [2]))),
        ])
        #expect(try await HoldOrderRow.of(Self.cid(-1), attempt: 1, in: store) == first)
        #expect(try await HoldOrderRow.of(Self.cid(-1), attempt: 2, in: store) == nil)
        let count = HoldOrderRow.countMax
        for start in stride(from: 0, to: count, by: 1_000) {
            try await store.commit(
                (start..<start + 1_000).map {
                    .issuer(.holdOrder(HoldOrderRow(jobID: Self.cid($0), attempt: 1, bytes: [3])))
                })
        }
        #expect(try await HoldOrderRow.of(Self.cid(-1), attempt: 1, in: store) == nil)
        #expect(
            try await store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM hold_orders") } == count)
    }
}
