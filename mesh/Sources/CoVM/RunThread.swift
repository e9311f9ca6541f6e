#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A thread for one run, with a stack larger than the engine's own stack limit.
///
/// WebAssembly never runs on an event loop or on Swift's cooperative pool: it may compute for minutes, and it needs
/// more stack than the threads of the pool have.
enum RunThread {
    // A thread-local slot: the engine makes memories without saying for which store.
    private static let runKey: pthread_key_t = {
        var key = pthread_key_t()
        let failure = pthread_key_create(&key, nil)
        precondition(failure == 0, "pthread_key_create failed with \(failure)")
        return key
    }()

    /// The run that this thread executes.
    static var currentRun: Unmanaged<JobRun>? {
        pthread_getspecific(runKey).map { Unmanaged<JobRun>.fromOpaque($0) }
    }

    /// Makes `run` the current one of this thread while `body` runs.
    static func withCurrentRun<Result>(_ run: JobRun, _ body: () -> Result) -> Result {
        pthread_setspecific(runKey, Unmanaged.passUnretained(run).toOpaque())
        defer { pthread_setspecific(runKey, nil) }
        return withExtendedLifetime(run) { body() }
    }

    // SAFETY: the pointer carries the one reference that `start` retained.
    private final class Work: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }

        static func run(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            guard let pointer else { return nil }
            Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
            return nil
        }
    }

    /// Starts a detached thread that runs `body`; `false` if the system has no thread to give, and then never calls
    /// `body`.
    static func start(stackBytes: Int, _ body: @escaping @Sendable () -> Void) -> Bool {
        var attributes = pthread_attr_t()
        guard pthread_attr_init(&attributes) == 0 else { return false }
        defer { pthread_attr_destroy(&attributes) }
        guard pthread_attr_setstacksize(&attributes, stackBytes) == 0,
            pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED)) == 0
        else { return false }
        let work = Unmanaged.passRetained(Work(body))
        #if canImport(Darwin)
            var thread: pthread_t?
            let failure = pthread_create(&thread, &attributes, { Work.run($0) }, work.toOpaque())
        #else
            var thread = pthread_t()
            let failure = pthread_create(&thread, &attributes, { Work.run($0) }, work.toOpaque())
        #endif
        if failure != 0 { work.release() }
        return failure == 0
    }

    /// Makes the calling thread, and no other, give way to the rest of the machine; it cannot take that back.
    static func beNice(_ level: Int32) {
        guard level > 0 else { return }
        // On Linux a priority is a thread's own. Elsewhere it would be the node's.
        #if canImport(Musl)
            _ = setpriority(PRIO_PROCESS, 0, level)
        #elseif canImport(Glibc)
            _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, level)
        #endif
    }

    /// What `body` returns on a thread of its own; `nil` if the system has no thread to give.
    static func value<Value: Sendable>(stackBytes: Int, _ body: @escaping @Sendable () -> Value) async -> Value? {
        await withCheckedContinuation { continuation in
            let isStarted = start(stackBytes: stackBytes) { continuation.resume(returning: body()) }
            if !isStarted { continuation.resume(returning: nil) }
        }
    }
}

/// The system's monotonic clock, in nanoseconds.
enum SystemClock {
    static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The processor time that the calling thread has had, in nanoseconds.
    static func threadNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
