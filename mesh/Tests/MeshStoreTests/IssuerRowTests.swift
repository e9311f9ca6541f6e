import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// The book of an issuer on the disk.
@Suite struct IssuerRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private static func entered(_ number: UInt64, parties: [String] = []) -> StoreWrite {
        let byte = UInt8(truncatingIfNeeded: number)
        // As many hashes as a tree of this size makes.
        let hashes = (0...(~number).trailingZeroBitCount).map { _ in [UInt8](repeating: byte, count: 32) }
        return .issuer(
            .entered(
                IssuerEntryRow(
                    number: number, entry: [0xA0, byte], commitment: [UInt8](repeating: byte, count: 32)),
                parties: parties, hashes: hashes, root: [byte]))
    }

    @Test func entriesJoinInTheirOrderAndOfOneBook() async throws {
        let store = try folder.open()
        #expect(try await IssuerRow.read(in: store) == nil)
        await #expect(throws: MeshStoreError.logTaken(number: 0, size: 0)) {
            try await store.commit([Self.entered(0)])
        }
        try await store.commit([.issuer(.founded(secret: [7])), Self.entered(0), Self.entered(1, parties: ["a", "b"])])
        await #expect(throws: MeshStoreError.logTaken(number: 0, size: 1)) {
            try await store.commit([.issuer(.founded(secret: [8]))])
        }
        for number in [0, 1, 3] as [UInt64] {
            await #expect(throws: MeshStoreError.logTaken(number: number, size: 2)) {
                try await store.commit([Self.entered(number)])
            }
        }
        try await store.commit([Self.entered(2, parties: ["b"])])
        let row = try #require(try await IssuerRow.read(in: store))
        #expect(row == IssuerRow(secret: [7], size: 3, root: [2], isRestored: false))
        for (party, from, end, limit, bytesMax, numbers) in [
            (nil, 0, 3, 9, 99, [0, 1, 2]), ("b", 0, 3, 9, 99, [1, 2]), ("b", 2, 3, 9, 99, [2]), ("a", 0, 3, 9, 99, [1]),
            ("c", 0, 3, 9, 99, []), (nil, 0, 2, 9, 99, [0, 1]), (nil, 0, 3, 2, 99, [0, 1]), (nil, 0, 3, 9, 0, [0]),
            (nil, 1, 3, 9, 4, [1, 2]),
        ] as [(String?, UInt64, UInt64, Int, Int, [UInt64])] {
            let found = try await IssuerEntryRow.entries(
                from: from, of: party, below: end, limit: limit, bytesMax: bytesMax, in: store)
            #expect(found.map(\.number) == numbers)
        }
        #expect(
            try await IssuerEntryRow.commitments(from: 1, below: 3, limit: 9, in: store).map { $0[0] } == [1, 2])
        #expect(try await IssuerEntryRow.hashes(at: [0, 1, 9], in: store).mapValues { $0[0] } == [0: 0, 1: 1])
    }

    @Test func whatIsKnownOfIssuersAndPaidAtThem() async throws {
        let store = try folder.open()
        var row = KnownIssuerRow(issuer: "did:i", charter: [1], note: [2], lines: [3], toldAt: 4, fault: [5])
        try await store.commit([.issuer(.known(row))])
        (row.note, row.fault) = ([9], [6])
        try await store.commit([.issuer(.known(row))])
        row.fault = [5]
        #expect(try await KnownIssuerRow.all(in: store) == [row])
        let payments = [
            IssuerPaymentRow(key: "k", bytes: [1]), IssuerPaymentRow(key: "k", bytes: [1], entry: 8),
            IssuerPaymentRow(key: "k", bytes: [2], entry: 9),
        ]
        for payment in payments { try await store.commit([.issuer(.payment(payment))]) }
        #expect(try await IssuerPaymentRow.of("k", in: store) == payments[1])
        try await store.commit(
            (0..<IssuerPaymentRow.countMax).map { .issuer(.payment(IssuerPaymentRow(key: "\($0)", bytes: [3]))) })
        #expect(try await IssuerPaymentRow.of("k", in: store) == nil)
        #expect(try await IssuerPaymentRow.of("0", in: store) != nil)
        let cid = CID.hashing([1], codec: .dagCBOR)
        try await store.commit([.issuer(.order(cid, [1])), .issuer(.order(cid, [2]))])
        #expect(try await IssuerWrite.orders(in: store).map(\.bytes) == [[2]])
        try await store.commit([.issuer(.order(cid, nil))])
        #expect(try await IssuerWrite.orders(in: store).isEmpty)
    }

    @Test func aTokenIsGivenOnceUnderAKeyAndTheKeyGoesWithIt() async throws {
        let store = try folder.open()
        let (one, two) = (CID.hashing([1], codec: .dagCBOR), CID.hashing([2], codec: .dagCBOR))
        try await store.commit([
            .issuer(.givenToken(key: "k", one, [1])), .issuer(.givenToken(key: "k", two, [2])),
            .issuer(.givenToken(key: "l/0", two, [2])),
        ])
        #expect(try await IssuerWrite.givenToken(key: "k", in: store) == one)
        #expect(try await IssuerWrite.givenToken(key: "l/0", in: store) == two)
        #expect(try await IssuerWrite.tokens(in: store, limit: 9).count == 2)
        try await store.commit([.issuer(.token(one, nil)), .issuer(.givenToken(key: "k", two, [3]))])
        #expect(try await IssuerWrite.token(one, in: store) == nil)
        #expect(try await IssuerWrite.givenToken(key: "k", in: store) == two)
        #expect(try await IssuerWrite.tokens(in: store, limit: 9) == [[3]])
        try await store.commit([.issuer(.token(two, nil))])
        for key in ["k", "l/0"] { #expect(try await IssuerWrite.givenToken(key: key, in: store) == nil) }
    }

    @Test func aDatabaseOfVersionSeventeenGetsTheTables() async throws {
        try folder.open().close()
        try folder.change(
            """
            DROP TABLE issuer; DROP TABLE issuer_entries; DROP TABLE issuer_hashes; DROP TABLE issuer_parties;
            DROP TABLE issuer_orders; DROP TABLE known_issuers; DROP TABLE issuer_payments; PRAGMA user_version = 17;
            """)
        let store = try folder.open()
        try await store.commit([.issuer(.founded(secret: [7])), Self.entered(0)])
        #expect(try await IssuerRow.read(in: store)?.size == 1)
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }

    @Test func aRestoredBookIsMarked() async throws {
        let store = try folder.open()
        try await store.commit([.issuer(.founded(secret: [7])), Self.entered(0)])
        try store.close()
        try StoreCopy.accept(folder.path, owner: StoreFolder.owner, madeAt: 1)
        let again = try folder.open()
        #expect(try await IssuerRow.read(in: again)?.isRestored == true)
    }
}
