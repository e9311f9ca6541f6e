import Multiformats
import Testing

@testable import MeshStore

/// The node's log on the disk.
@Suite struct AnchoredRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private static func hash(_ number: UInt8) -> [UInt8] { [UInt8](repeating: number, count: 32) }

    private static func row(_ number: UInt64, _ text: UInt8, hashes: [UInt8] = [0]) -> AnchoredRow {
        let bytes: [UInt8] = [0xA0, text]
        return AnchoredRow(
            number: number, entry: CID.hashing(bytes, codec: .dagCBOR), bytes: bytes,
            payload: [CID.hashing([text], codec: .raw), CID.hashing([0xFF], codec: .raw)],
            hashes: hashes.map(hash))
    }

    @Test func aNumberIsGivenOnce() async throws {
        let store = try folder.open()
        try await store.commit([.anchored(Self.row(0, 1, hashes: [1])), .anchored(Self.row(1, 2, hashes: [2, 3]))])
        for (number, size) in [(0, 2), (1, 2), (3, 2)] as [(UInt64, UInt64)] {
            await #expect(throws: MeshStoreError.logTaken(number: number, size: size)) {
                try await store.commit([.anchored(Self.row(number, 9))])
            }
        }
        #expect(try await AnchoredRow.count(in: store) == 2)
        #expect(
            try await AnchoredRow.hashes(at: [0, 1, 2, 3], in: store)
                == [0: Self.hash(1), 1: Self.hash(2), 2: Self.hash(3)])
    }

    @Test func anEntryIsFoundByWhatItAnchors() async throws {
        let store = try folder.open()
        try await store.commit((0..<3).map { .anchored(Self.row($0, UInt8($0))) })
        #expect(try await AnchoredRow.anchoring(CID.hashing([2], codec: .raw), in: store)?.number == 2)
        #expect(try await AnchoredRow.anchoring(CID.hashing([0xFF], codec: .raw), in: store)?.number == 0)
        #expect(try await AnchoredRow.anchoring(CID.hashing([7], codec: .raw), in: store) == nil)
        #expect(try await AnchoredRow.number(of: Self.row(1, 1).entry, in: store) == 1)
        #expect(try await AnchoredRow.newest(limit: 2, in: store).map(\.number) == [2, 1])
        #expect(try await AnchoredRow.newest(below: 1, limit: 2, in: store).map(\.number) == [0])
    }

    @Test func whatIsOwedIsRememberedUntilAnEntryHasIt() async throws {
        let store = try folder.open()
        let (receipt, workflow) = (CID.hashing([2], codec: .raw), CID.hashing([9], codec: .dagCBOR))
        try await store.commit([.anchorOwed(receipt, workflow: workflow), .anchored(Self.row(0, 1))])
        let owed = try await AnchoredRow.owed(in: store)
        #expect(owed.map(\.receipt) == [receipt] && owed.map(\.workflow) == [workflow])
        try await store.commit([.anchored(Self.row(1, 2))])
        #expect(try await AnchoredRow.owed(in: store).isEmpty)
    }
}
