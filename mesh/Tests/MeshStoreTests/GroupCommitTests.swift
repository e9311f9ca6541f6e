import Foundation
import Testing

@testable import MeshStore

@Suite struct GroupCommitTests {
    @Test func concurrentCommitsShareTransactions() async throws {
        let store = try StoreFolder().openKept()
        let clock = ContinuousClock()
        let writers = 32
        let commitsEach = 50
        let elapsed = try await clock.measure {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<writers {
                    group.addTask {
                        for number in 0..<commitsEach {
                            try await store.value.commit([.journal(entry(writer * 1_000 + number))])
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        let counters = store.value.counters
        #expect(counters.commits == writers * commitsEach)
        #expect(counters.transactions < counters.commits)
        #expect(try await store.value.journal(after: 0).count == writers * commitsEach)
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        print(
            "group commit: \(Int(Double(counters.commits) / seconds)) commits/s, "
                + "\(counters.commits) commits in \(counters.transactions) transactions")
    }

    @Test func whatNobodyWaitsForGoesWithTheNextThatSomebodyWaitsFor() async throws {
        var limits = StoreLimits()
        limits.lingerMilliseconds = 3_600_000
        let (batches, sink) = AsyncStream.makeStream(of: Int.self)
        let queue = GroupCommitQueue(limits: limits) { batch in
            sink.yield(batch.count)
            for commit in batch { commit.finished(.success(())) }
            return false
        }
        func submit(urgent: Bool) { queue.submit(.init(writes: [], bytes: 1, urgency: urgent ? .now : .soon) { _ in }) }
        var sizes = batches.makeAsyncIterator()
        for _ in 0..<5 { submit(urgent: false) }
        submit(urgent: true)
        #expect(await sizes.next() == 6)
        submit(urgent: false)
        submit(urgent: false)
        queue.close()
        #expect(await sizes.next() == 2)
        sink.finish()
        #expect(await sizes.next() == nil)
    }

    @Test func whatNobodyWaitsForIsWrittenAfterAWhile() async {
        let (batches, sink) = AsyncStream.makeStream(of: Int.self)
        let queue = GroupCommitQueue(limits: StoreLimits()) { batch in
            sink.yield(batch.count)
            for commit in batch { commit.finished(.success(())) }
            return false
        }
        queue.submit(.init(writes: [], bytes: 1, urgency: .soon) { _ in })
        var sizes = batches.makeAsyncIterator()
        #expect(await sizes.next() == 1)
        queue.close()
    }

    @Test("What a transaction holds back is asked for once, after a while or at the end")
    func heldBack() async {
        var limits = StoreLimits()
        limits.idleMilliseconds = 1
        for waits in [true, false] {
            let (batches, sink) = AsyncStream.makeStream(of: Int.self)
            let queue = GroupCommitQueue(limits: waits ? limits : StoreLimits()) { batch in
                sink.yield(batch.count)
                for commit in batch { commit.finished(.success(())) }
                return !batch.isEmpty
            }
            queue.submit(.init(writes: [], bytes: 1) { _ in })
            var sizes = batches.makeAsyncIterator()
            #expect(await sizes.next() == 1)
            if waits { #expect(await sizes.next() == 0) }
            queue.close()
            if !waits { #expect(await sizes.next() == 0) }
            sink.finish()
            #expect(await sizes.next() == nil)
        }
    }

    @Test func whatWaitsIsBoundedAndTheRestIsRefusedAtOnce() async throws {
        var limits = StoreLimits()
        limits.waitingCommitsMax = 2
        limits.commitsPerTransactionMax = 1
        let gate = DispatchSemaphore(value: 0)
        let entered = DispatchSemaphore(value: 0)
        let queue = GroupCommitQueue(limits: limits) { batch in
            entered.signal()
            gate.wait()
            for commit in batch { commit.finished(.success(())) }
            return false
        }
        let (results, sink) = AsyncStream.makeStream(of: String.self)
        func submit(_ name: String) {
            queue.submit(
                .init(writes: [], bytes: 1) { result in
                    if case .failure(let error) = result { sink.yield("\(name): \(error)") } else { sink.yield(name) }
                })
        }
        submit("first")
        wait(entered)
        submit("second")
        submit("third")
        submit("fourth")
        for _ in 0..<3 { gate.signal() }
        queue.close()
        submit("fifth")
        sink.finish()
        var seen: [String] = []
        for await result in results { seen.append(result) }
        #expect(
            seen == [
                "fourth: More than 2 commits wait for the disk; try again in a moment.", "first", "second", "third",
                "fifth: The store is closed.",
            ])
    }

    @Test func aTransactionTakesNoMoreBytesThanItsBound() {
        var limits = StoreLimits()
        limits.bytesPerTransactionMax = 10
        let gate = DispatchSemaphore(value: 0)
        let entered = DispatchSemaphore(value: 0)
        let sizes = Sizes()
        let queue = GroupCommitQueue(limits: limits) { batch in
            sizes.append(batch.map(\.bytes))
            entered.signal()
            gate.wait()
            return false
        }
        queue.submit(.init(writes: [], bytes: 1) { _ in })
        wait(entered)
        for bytes in [4, 6, 1, 50, 3] { queue.submit(.init(writes: [], bytes: bytes) { _ in }) }
        for _ in 0..<8 { gate.signal() }
        queue.close()
        #expect(sizes.all == [[1], [4, 6], [1], [50], [3]])
    }

    private func wait(_ semaphore: DispatchSemaphore) { semaphore.wait() }

    private final class Sizes: @unchecked Sendable {
        private let lock = NSLock()
        private var batches: [[Int]] = []
        func append(_ batch: [Int]) { lock.withLock { batches.append(batch) } }
        var all: [[Int]] { lock.withLock { batches } }
    }
}
