import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What the store says to databases that are damaged, locked, full or somebody else's.
@Suite struct DamageTests {
    @Test func aFileThatIsNoDatabaseIsRefusedAndLeftAlone() throws {
        let folder = try StoreFolder()
        let text = Data(String(repeating: "not a database\n", count: 20).utf8)
        try text.write(to: URL(filePath: folder.path))
        #expect(throws: MeshStoreError.corrupt(path: folder.path, detail: "it does not begin like a database")) {
            _ = try folder.open()
        }
        #expect(try Data(contentsOf: URL(filePath: folder.path)) == text)
    }

    @Test func anotherApplicationsDatabaseIsRefusedAndLeftAlone() throws {
        let folder = try StoreFolder()
        let queue = try DatabaseQueue(path: folder.path)
        try queue.write { try $0.execute(sql: "PRAGMA application_id = 7; CREATE TABLE photos(id INTEGER)") }
        try queue.close()
        let before = try Data(contentsOf: URL(filePath: folder.path))
        #expect(throws: MeshStoreError.foreignDatabase(path: folder.path, applicationID: 7)) { _ = try folder.open() }
        #expect(try Data(contentsOf: URL(filePath: folder.path)) == before)
    }

    @Test func anotherNodesDatabaseIsRefused() async throws {
        let folder = try StoreFolder()
        try folder.open().close()
        #expect(throws: MeshStoreError.otherNode(path: folder.path, owner: StoreFolder.owner)) {
            _ = try folder.open(owner: "did:key:z6Mkother")
        }
    }

    @Test func aDatabaseOfANewerVersionIsRefused() throws {
        let folder = try StoreFolder()
        try folder.open().close()
        try folder.change("PRAGMA user_version = 99")
        let supported = StoreSchema.version
        #expect(throws: MeshStoreError.newerSchema(path: folder.path, found: 99, supported: supported)) {
            _ = try folder.open()
        }
    }

    @Test func aStoreInUseIsRefusedASecondTime() throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        #expect(throws: MeshStoreError.inUse(path: folder.path)) { _ = try folder.open() }
        try first.close()
    }

    @Test func aLockOfAnotherProgramIsNamed() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.busyTimeoutMilliseconds = 10
        limits.lockedMillisecondsMax = 100
        let store = try folder.open(limits: limits)
        try await store.commit([.journal(entry(1))])
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let intruder = try DatabaseQueue(path: folder.path, configuration: configuration)
        try await intruder.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        await #expect(throws: MeshStoreError.locked(path: folder.path)) { try await store.commit([.journal(entry(2))]) }
        try await intruder.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try await store.commit([.journal(entry(3))])
        #expect(try await store.journal(after: 0).map(\.jobID) == [jobID(1), jobID(3)])
    }

    @Test func aFolderThatIsNotThereIsNamed() {
        let path = "/nonexistent/mesh.sqlite"
        #expect(throws: MeshStoreError.unreadable(path: path, detail: "No such file or directory")) {
            _ = try MeshStore(path: path, owner: StoreFolder.owner)
        }
    }

    @Test func aDamagedBlockIsNeverServedAndIsRepairedByAddingItAgain() async throws {
        let folder = try StoreFolder()
        let (cid, bytes) = block(1)
        let first = try folder.open()
        try await first.commit([.block(cid: cid, bytes: bytes), .journal(entry(1))])
        try first.close()
        try folder.change("UPDATE blocks SET bytes = x'00'")
        let store = try folder.open()
        await #expect(throws: MeshStoreError.blockCorrupt(cid)) { _ = try await store.block(cid) }
        #expect(throws: MeshStoreError.blockCorrupt(cid)) { _ = try store.blockBlocking(cid) }
        #expect(store.counters.corruptBlocks == 2)
        #expect(try await store.journal(after: 0).count == 1)
        try await store.commit([.block(cid: cid, bytes: bytes)])
        #expect(try await store.block(cid) == bytes)
    }

    @Test func damagedJournalAndLedgerRowsAreNeverServed() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        let grant = LedgerRow(debit: "a", credit: "b", amount: 5, jobID: nil, kind: "grant", at: 1)
        try await first.commit([.journal(entry(1)), .ledger(grant)])
        try first.close()
        try folder.change("UPDATE journal SET reason = 'price 40 > max 50'; UPDATE ledger SET amount = 6")
        let store = try folder.open()
        await #expect(throws: MeshStoreError.recordCorrupt(table: "journal", row: 1)) {
            _ = try await store.journal(of: jobID(1))
        }
        await #expect(throws: MeshStoreError.recordCorrupt(table: "ledger", row: 1)) { _ = try await store.ledger() }
        #expect(store.counters.corruptRecords == 2)
    }

    @Test func aDamagedRowTakesNoOthersAlong() async throws {
        let folder = try StoreFolder()
        let first = try folder.open()
        for number in 1...3 {
            let row = JobRow(
                jobID: jobID(number), role: .originator, status: "Running", isTerminal: false, submittedAt: 1,
                updatedAt: 1, receiptCID: jobID(9))
            try await first.commit([.job(row), .journal(entry(1)), .journal(entry(2))])
        }
        try first.close()
        try folder.change(
            """
            UPDATE journal SET bytes = x'00' WHERE seq = 3;
            UPDATE jobs SET job_id = x'01' WHERE job_id = (SELECT job_id FROM jobs ORDER BY job_id LIMIT 1);
            UPDATE jobs SET receipt_cid = x'02'
            """)
        let store = try folder.open()
        let journal = try await store.readableJournal(of: jobID(1))
        #expect(journal.entries.map(\.sequence) == [1, 5])
        #expect(journal.damaged == [3])
        #expect(try await store.openJobs(role: .originator).count == 2)
        #expect(try await store.jobs()?.rows.map(\.receiptCID) == [nil, nil])
        #expect(store.counters.corruptRecords == 3)
    }

    @Test func flippedBitsAreNeverServedAsData() async throws {
        let folder = try StoreFolder()
        let blocks = (1...20).map { block($0, size: 600) }
        let first = try folder.open()
        for (number, (cid, bytes)) in blocks.enumerated() {
            try await first.commit([.block(cid: cid, bytes: bytes), .journal(entry(number))])
        }
        try first.close()
        let pristine = try Data(contentsOf: URL(filePath: folder.path))
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0 ... .max, using: &generator)
        print("flipped bits: seed \(seed)")
        var state = seed
        var refused = 0
        for _ in 0..<150 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let bit = Int(state >> 16) % (pristine.count * 8)
            var damaged = pristine
            damaged[bit / 8] ^= 1 << (bit % 8)
            try damaged.write(to: URL(filePath: folder.path))
            do {
                let store = try folder.open()
                for (cid, bytes) in blocks {
                    let read = try await store.block(cid)
                    #expect(read == nil || read == bytes, "bit \(bit) was served, seed \(seed)")
                }
                for (number, row) in try await store.journal(after: 0).enumerated() {
                    #expect(row.bytes == entry(number).bytes, "bit \(bit) was served, seed \(seed)")
                }
                try store.close()
            } catch is MeshStoreError {
                refused += 1
            }
        }
        print("flipped bits: \(refused) of 150 databases refused, none served wrongly")
    }

    @Test func aFullDiskRefusesTheCommitAndKeepsWhatWasAcknowledged() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.databasePagesMax = 120
        limits.fullMillisecondsMax = 20
        let store = try folder.open(limits: limits)
        var acknowledged: [CID] = []
        var failure: MeshStoreError?
        for number in 0..<200 {
            let (cid, bytes) = block(number, size: 4_000)
            do {
                try await store.commit([.block(cid: cid, bytes: bytes), .journal(entry(number))])
                acknowledged.append(cid)
            } catch {
                failure = error
                break
            }
        }
        #expect(failure == .full(path: folder.path))
        #expect(acknowledged.count > 10)
        try store.close()
        let reopened = try folder.open(limits: limits)
        for cid in acknowledged { #expect(try await reopened.block(cid) != nil) }
        #expect(try await reopened.journal(after: 0).count == acknowledged.count)
        try await reopened.commit([.removeBlock(acknowledged[0])])
        try await reopened.commit([.journal(entry(999))])
    }

    @Test func whatWasAcknowledgedIsThereAfterTheProcessVanishes() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                let (cid, bytes) = block(number)
                group.addTask { try await store.commit([.block(cid: cid, bytes: bytes), .journal(entry(number))]) }
            }
            try await group.waitForAll()
        }
        // The files as a process killed now would leave them: nothing closed, nothing checkpointed.
        let wreck = try StoreFolder()
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: folder.path + suffix, toPath: wreck.path + suffix)
        }
        let reopened = try wreck.open()
        #expect(Set(try await reopened.journal(after: 0).map(\.jobID)) == Set((0..<100).map(jobID)))
        for number in 0..<100 { #expect(try await reopened.block(block(number).cid) == block(number).bytes) }
        try store.close()
    }
}
