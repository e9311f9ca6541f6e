import MeshTypes

/// The wall clock of one run, and who is responsible when it runs out.
///
/// The module is responsible only if it had its time. The node is, if it stood still for over a second meanwhile, if
/// the run's thread had the processor for less than half of the time, or if the executor gave less time than the job
/// asks for. The time of a repetition is always the node's own.
///
/// While the run waits for its mounts the clock stands still.
struct WallClockWatch {
    private let start: UInt64
    private let threadStart: UInt64
    private var deadline: UInt64
    /// Whether the executor's own bound is shorter than the job's.
    private var isCutShort: Bool
    /// What to say where the clock is that of a repetition.
    private var repetitionReason: String?
    private let standstills: StandstillWatch
    private let processorPercentMin: UInt64
    private let threadNanoseconds: () -> UInt64
    /// How long the clock stood still.
    private(set) var stillNanoseconds: UInt64 = 0

    /// Watches a run that begins now on the calling thread.
    init(
        job: ExecutionJob, now: UInt64, standstills: StandstillWatch, processorPercentMin: UInt64,
        threadNanoseconds: @escaping () -> UInt64 = { SystemClock.threadNanoseconds() }
    ) {
        start = now
        threadStart = threadNanoseconds()
        let milliseconds = job.wallClockMillisecondsMax
        isCutShort = milliseconds < job.timeoutMilliseconds
        repetitionReason = job.repetition.map { _ in "the repetition did not end in its \(milliseconds) ms" }
        let (span, long) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        let (deadline, overflow) = now.addingReportingOverflow(span)
        self.deadline = long || overflow ? .max : deadline
        self.standstills = standstills
        self.processorPercentMin = min(100, processorPercentMin)
        self.threadNanoseconds = threadNanoseconds
    }

    /// The clock stood still for so long.
    mutating func stoodStill(nanoseconds: UInt64) { stillNanoseconds += nanoseconds }

    /// The module has ended: from now on its files have what is left of the time, within these bounds.
    mutating func collectingBegins(now: UInt64, millisecondsMin: UInt64, millisecondsMax: UInt64) {
        let now = now - stillNanoseconds
        let left = deadline > now ? deadline - now : 0
        let most = millisecondsMax * 1_000_000
        deadline = now + min(most, max(left, millisecondsMin * 1_000_000))
        isCutShort = isCutShort && left < most
        repetitionReason = nil
    }

    /// The reason to stop, once the time is up.
    func stop(now: UInt64) -> HostStop? {
        let now = now - stillNanoseconds
        guard now >= deadline else { return nil }
        if standstills.stoodStill(since: start) { return .nodeFailed(StarvedRun.stoodStill) }
        let passed = now - start
        let had = threadNanoseconds() - threadStart
        if had < passed / 100 * processorPercentMin {
            return .nodeFailed(StarvedRun.processor(milliseconds: had / 1_000_000, of: passed / 1_000_000))
        }
        if let repetitionReason { return .nodeFailed(repetitionReason) }
        if isCutShort { return .nodeFailed("the executor had less time for the run than the job asks for") }
        return .wallClock
    }
}
