import Foundation
import GRDB
import Multiformats
import P2PTesting
import Testing

@testable import MeshStore

/// Another program, a backup for example, holds the database for a while.
@Suite struct LockTests {
    /// A second connection that can hold a lock.
    private func intruder(_ folder: StoreFolder) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        return try DatabaseQueue(path: folder.path, configuration: configuration)
    }

    @Test("A store that was closed can be opened again while a process that is being started has copies of its files")
    func copiedDescriptor() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        let links = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap(Int32.init)
        let held = try #require(
            links.first { number in
                let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
                return link == folder.path + ".lock"
            })
        let copy = dup(held)
        defer { close(copy) }
        #expect(throws: MeshStoreError.inUse(path: folder.path)) { try folder.open() }
        try store.close()
        try folder.open().close()
    }

    @Test("What waits for a lock is written when it ends, in its order, and meanwhile the store stands as locked")
    func writers() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.busyTimeoutMilliseconds = 5
        let store = try folder.open(limits: limits)
        try await store.commit([.journal(entry(0))])
        let other = try intruder(folder)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        #expect(store.standing == .open)
        let results = AsyncStream<Result<Void, MeshStoreError>>.makeStream()
        for number in 1...600 {
            store.enqueue([.journal(entry(number))], urgency: number % 3 != 0 ? .now : .soon) {
                results.continuation.yield($0)
            }
        }
        try await eventually("an attempt is made again") { store.counters.lockRetries > 0 }
        #expect(store.standing == .locked)
        #expect(store.counters.commits == 1)
        // Reading goes on.
        #expect(try await store.journal(after: 0).map(\.jobID) == [jobID(0)])
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        var count = 0
        for await result in results.stream {
            #expect(throws: Never.self) { try result.get() }
            count += 1
            if count == 600 { break }
        }
        #expect(store.standing == .open)
        #expect(try await store.journal(after: 0).map(\.jobID) == (0...600).map(jobID))
        #expect(store.counters.failedCommits == 0)
    }

    @Test("What nobody owes takes half of the places at most, so that what is owed still waits, in its order")
    func placesOfWhatIsOwed() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.busyTimeoutMilliseconds = 5
        limits.waitingCommitsMax = 8
        limits.waitingCommitsNotOwedMax = 4
        let store = try folder.open(limits: limits)
        let other = try intruder(folder)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        let (results, sink) = AsyncStream<String>.makeStream()
        func enqueue(_ name: String, _ write: StoreWrite, urgency: CommitUrgency) {
            store.enqueue([write], urgency: urgency) { result in
                if case .failure(let error) = result { sink.yield("\(name): \(error)") } else { sink.yield(name) }
            }
        }
        enqueue("owed 0", .journal(entry(0)), urgency: .now)
        // From here on it is with the thread that writes, and has no place any more.
        try await eventually("an attempt is made again") { store.counters.lockRetries > 0 }
        let stranger = try PeerID(bytes: [0, 36, 8, 1, 18, 32] + [UInt8](repeating: 1, count: 32))
        for number in 1...5 {
            for _ in 1...20 {
                enqueue("note", .peerMisbehaved(stranger, note: "bad", at: 1), urgency: number % 2 == 0 ? .now : .soon)
            }
            enqueue("owed \(number)", .journal(entry(number)), urgency: number % 2 == 0 ? .now : .soon)
        }
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try store.close()
        sink.finish()
        var seen: [String: Int] = [:]
        for await result in results { seen[result, default: 0] += 1 }
        let hint = "commits wait for the disk; try again in a moment."
        #expect(
            seen == [
                "note": 4, "note: More than 4 \(hint)": 76, "note: More than 8 \(hint)": 20, "owed 0": 1,
                "owed 1": 1, "owed 2": 1, "owed 3": 1, "owed 4": 1, "owed 5: More than 8 \(hint)": 1,
            ])
        let again = try folder.open()
        #expect(try await again.journal(after: 0).map(\.jobID) == (0...4).map(jobID))
        try again.close()
    }

    @Test("A lock that lasts for longer than lockedMillisecondsMax fails what waits, all of it once")
    func patienceEnds() async throws {
        let folder = try StoreFolder()
        var limits = StoreLimits()
        limits.busyTimeoutMilliseconds = 5
        limits.lockedMillisecondsMax = 50
        let store = try folder.open(limits: limits)
        let other = try intruder(folder)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        await withTaskGroup(of: MeshStoreError?.self) { group in
            for number in 0..<20 {
                group.addTask {
                    do throws(MeshStoreError) { try await store.commit([.journal(entry(number))]) } catch {
                        return error
                    }
                    return nil
                }
            }
            for await error in group { #expect(error == .locked(path: folder.path)) }
        }
        #expect(store.counters.failedCommits == 20)
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try await store.commit([.journal(entry(21))])
        #expect(store.standing == .open)
    }

    @Test("A read that finds the database busy is made again, on both ways to read")
    func readers() async throws {
        let folder = try StoreFolder()
        let store = try folder.open()
        let read = try await store.read { _ in
            if store.counters.lockRetries < 3 { throw DatabaseError(resultCode: .SQLITE_BUSY) }
            return store.counters.lockRetries
        }
        #expect(read == 3)
        let again = try store.readBlocking { _ in
            if store.counters.lockRetries < 5 { throw DatabaseError(resultCode: .SQLITE_BUSY) }
            return store.counters.lockRetries
        }
        #expect(again == 5)
    }

    @Test("A store is opened while another program has it locked, once that lets go")
    func opening() async throws {
        let folder = try StoreFolder()
        try folder.open().close()
        let other = try intruder(folder)
        try await other.writeWithoutTransaction { try $0.execute(sql: "BEGIN EXCLUSIVE") }
        var limits = StoreLimits()
        limits.busyTimeoutMilliseconds = 5
        limits.lockedMillisecondsMax = 50
        let short = limits
        #expect(throws: MeshStoreError.locked(path: folder.path)) { _ = try folder.open(limits: short) }
        limits.lockedMillisecondsMax = 60_000
        let patient = limits
        async let opened = folder.open(limits: patient)
        try await other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try await opened.commit([.journal(entry(1))])
    }
}
