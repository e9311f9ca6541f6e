/// The wall clock of one run, and whose doing it is when it passes.
///
/// It is the module's doing only when the module had its time: it is the node's when the node stood still for over a
/// second meanwhile, when the run's thread had less than half of the time, or when the executor gave less time than the
/// job asks for.
struct WallClockWatch {
    private let start: UInt64
    private let threadStart: UInt64
    private let deadline: UInt64
    /// The executor's own bound is shorter than the job's.
    private let isCutShort: Bool
    private let standstills: StandstillWatch
    private let processorPercentMin: UInt64
    private let threadNanoseconds: () -> UInt64

    /// The watch of a run that begins now on the calling thread.
    init(
        job: ExecutionJob, now: UInt64, standstills: StandstillWatch, processorPercentMin: UInt64,
        threadNanoseconds: @escaping () -> UInt64 = { SystemClock.threadNanoseconds() }
    ) {
        start = now
        threadStart = threadNanoseconds()
        let milliseconds = job.wallClockMillisecondsMax
        isCutShort = milliseconds < job.timeoutMilliseconds
        let (span, long) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        let (deadline, overflow) = now.addingReportingOverflow(span)
        self.deadline = long || overflow ? .max : deadline
        self.standstills = standstills
        self.processorPercentMin = min(100, processorPercentMin)
        self.threadNanoseconds = threadNanoseconds
    }

    /// The reason to stop, once the time is over.
    func stop(now: UInt64) -> HostStop? {
        guard now >= deadline else { return nil }
        if standstills.stoodStill(since: start) { return .nodeFailed("the executor stood still during the run") }
        let passed = now - start
        let had = threadNanoseconds() - threadStart
        if had < passed / 100 * processorPercentMin {
            let milliseconds = (had / 1_000_000, passed / 1_000_000)
            return .nodeFailed("the run had the processor for \(milliseconds.0) of \(milliseconds.1) ms only")
        }
        if isCutShort { return .nodeFailed("the executor had less time for the run than the job asks for") }
        return .wallClock
    }
}
