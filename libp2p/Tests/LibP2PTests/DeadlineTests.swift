import NIOCore
import NIOPosix
import P2PTesting
import Synchronization
import Testing

@testable import LibP2P

/// Deadlines of operations, and the table of alarms behind them.
@Suite("Deadlines")
struct DeadlineTests {
    private struct Failed: Error {}

    @Test("What an operation returns or throws in time is passed on, and no alarm remains")
    func inTime() async throws {
        #expect(try await withDeadline(milliseconds: 3_600_000) { 7 } == 7)
        await #expect(throws: Failed.self) { try await withDeadline(milliseconds: 3_600_000) { throw Failed() } }
    }

    @Test("An operation is cancelled when its time is up, and its result is ignored")
    func late() async throws {
        let wasWarned = Mutex(false)
        await #expect(throws: TimedOut(milliseconds: 30)) {
            try await withDeadline(milliseconds: 30, warning: (1, { wasWarned.withLock { $0 = true } })) {
                // Ends when it is cancelled, without an error.
                await untilCancelled()
                return 1
            }
        }
        #expect(wasWarned.withLock { $0 })
    }

    @Test("Cancelling the waiting task cancels the operation, and is no timeout")
    func cancelled() async throws {
        let (started, starting) = AsyncStream.makeStream(of: Void.self)
        let error = await withTaskGroup(of: (any Error)?.self) { group in
            group.addTask {
                do {
                    try await withDeadline(milliseconds: 3_600_000) {
                        starting.yield()
                        await untilCancelled()
                        try Task.checkCancellation()
                    }
                    return nil
                } catch {
                    return error
                }
            }
            for await _ in started { break }
            group.cancelAll()
            return await group.next() ?? nil
        }
        #expect(error is CancellationError)
    }

    @Test("The last deadline of a task cancels that task itself, and only when it passes")
    func last() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                let seven = try? await withLastDeadline(milliseconds: 3_600_000) { 7 }
                #expect(seven == 7)
                await #expect(throws: Failed.self) {
                    try await withLastDeadline(milliseconds: 3_600_000) { throw Failed() }
                }
                #expect(!Task.isCancelled)
                await #expect(throws: TimedOut(milliseconds: 30)) {
                    try await withLastDeadline(milliseconds: 30) {
                        await untilCancelled()
                    }
                }
                #expect(Task.isCancelled)
            }
        }
    }

    @Test("A deadline that passes before the operation starts cancels it at once")
    func zero() async throws {
        await #expect(throws: TimedOut(milliseconds: 0)) {
            try await withDeadline(milliseconds: 0) {
                await untilCancelled()
            }
        }
    }

    @Test("An alarm is called once, or never if it is removed, and none is kept")
    func alarms() async throws {
        let alarms = Alarms(loop: MultiThreadedEventLoopGroup.singleton.any())
        let calls = Mutex<[Int: Int]>([:])
        var removed: [Alarms.AlarmID] = []
        // First an alarm in an hour, then earlier and earlier ones, each of which moves the timer.
        removed.append(alarms.add(milliseconds: 3_600_000) { calls.withLock { $0[-1, default: 0] += 1 } })
        for milliseconds in stride(from: 400, through: 0, by: -1) {
            _ = alarms.add(milliseconds: Int64(milliseconds)) { calls.withLock { $0[milliseconds, default: 0] += 1 } }
            let other = alarms.add(milliseconds: Int64(3_000_000 + milliseconds)) {
                calls.withLock { $0[-2, default: 0] += 1 }
            }
            if milliseconds % 2 == 0 { alarms.remove(other) } else { removed.append(other) }
        }
        try await eventually { alarms.count == removed.count }
        #expect(removed.count == 201)
        for alarm in removed { alarms.remove(alarm) }
        #expect(alarms.count == 0)
        let called = calls.withLock { $0 }
        #expect(called == Dictionary(uniqueKeysWithValues: (0...400).map { ($0, 1) }))
    }
}
