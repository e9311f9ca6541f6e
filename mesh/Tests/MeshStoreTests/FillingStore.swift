import Synchronization

@testable import MeshStore

/// A clock that goes on when the test says so, and by a millisecond with each look.
final class TestClock: Sendable {
    private let now = Mutex<UInt64>(1_000_000)

    var time: UInt64 {
        now.withLock {
            $0 += 1
            return $0
        }
    }

    func advance(milliseconds: UInt64) { now.withLock { $0 += milliseconds } }
}

/// A suite on a store that has room for a few blocks, with a clock of its own.
protocol FillingStore {
    var folder: StoreFolder { get }
    var clock: TestClock { get }
    var limits: StoreLimits { get }
}

extension FillingStore {
    func open() throws -> MeshStore {
        try folder.open(limits: limits, clock: { [clock] in clock.time })
    }

    func job(
        _ number: Int, role: StoreRole = .executor, isTerminal: Bool = true, isUnsettled: Bool = false
    ) -> StoreWrite {
        .job(
            JobRow(
                jobID: jobID(number), role: role, status: "Completed", isTerminal: isTerminal, submittedAt: 1,
                updatedAt: clock.time, isUnsettled: isUnsettled))
    }

    func evidence(_ number: Int, of job: Int) -> StoreWrite {
        .evidence(cid: block(number).cid, bytes: block(number).bytes, jobID: jobID(job))
    }
}

extension StoreLimits {
    /// Room for 3,200 bytes of blocks.
    static var tight: StoreLimits {
        var limits = StoreLimits()
        limits.blockBytesTotalMax = 3_200
        limits.highWaterPercent = 50
        limits.roomRetryMilliseconds = 1
        return limits
    }
}
