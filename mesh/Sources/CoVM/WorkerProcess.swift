import NIOConcurrencyHelpers

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A child process that reads one file, writes to two pipes, and ends or is ended.
///
/// Whatever a machine can run out of (descriptors, processes, memory, threads) comes back as a value: a node that
/// cannot start a child goes on without it. It blocks its thread until the child is gone, so it runs on its own thread
/// (`RunThread`).
// SAFETY: pointers are to arrays and strings that live through the system call, with their lengths; every descriptor
// is closed once, by its owner.
struct WorkerProcess {
    let executable: String
    let arguments: [String]
    let environment: [String]
    /// The most bytes of standard output; one more ends the child.
    let outputBytesMax: Int
    /// The most bytes of standard error kept; the rest is read and dropped.
    let errorBytesMax: Int
    /// How long the child may take, in milliseconds; then it is killed.
    let wallMilliseconds: Int

    /// How it went.
    enum End: Sendable {
        /// It ended by itself, with this code.
        case exited(Int32, output: [UInt8], complaint: [UInt8])
        /// A signal from elsewhere ended it.
        case signaled(Int32, complaint: [UInt8])
        /// It was ended because it wrote too much.
        case tooMuchOutput
        /// It was ended because its time was up.
        case overdue
        /// It was ended because it was cancelled.
        case cancelled
        /// It was not started, or lost; the reason is for people.
        case failed(String)
    }

    /// Held while a pipe is created and while a child starts, so that no child inherits another's pipe.
    static let lock = NIOLock()

    /// Wakes the thread that waits for a child.
    final class Wake: Sendable {
        let reading: Int32
        private let writing: Int32

        init?() {
            guard let pipe = Self.pipe() else { return nil }
            (reading, writing) = pipe
        }

        deinit {
            close(reading)
            close(writing)
        }

        /// Takes what made ``reading`` readable; what comes later makes it so again.
        func rest() {
            var bytes = [UInt8](repeating: 0, count: 16)
            _ = bytes.withUnsafeMutableBytes { systemRead(reading, $0.baseAddress, $0.count) }
        }

        /// Makes ``reading`` readable until ``rest()``.
        func wake() {
            var byte: UInt8 = 1
            _ = systemWrite(writing, &byte, 1)
        }

        /// A pipe that children do not inherit, with descriptors above those of the standard streams.
        static func pipe() -> (reading: Int32, writing: Int32)? {
            lock.withLock {
                var ends: [Int32] = [-1, -1]
                guard systemPipe(&ends) == 0 else { return nil }
                guard let reading = moved(ends[0]) else {
                    close(ends[1])
                    return nil
                }
                guard let writing = moved(ends[1]) else {
                    close(reading)
                    return nil
                }
                return (reading, writing)
            }
        }

        private static func moved(_ descriptor: Int32) -> Int32? {
            let other = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
            close(descriptor)
            return other >= 0 ? other : nil
        }
    }

    /// Runs the child to its end. `input` becomes its standard input, and is closed here.
    func run(input: Int32, wake: Wake) -> End {
        guard let output = Wake.pipe() else {
            let reason = PrivateFile.reason()
            close(input)
            return .failed("no pipe for its output: \(reason)")
        }
        guard let complaint = Wake.pipe() else {
            let reason = PrivateFile.reason()
            for descriptor in [input, output.reading, output.writing] { close(descriptor) }
            return .failed("no pipe for its errors: \(reason)")
        }
        defer {
            close(output.reading)
            close(complaint.reading)
        }
        let start = SystemClock.nanoseconds()
        let child = ProcessStart(
            executable: executable, arguments: arguments, environment: environment,
            descriptors: [input, output.writing, complaint.writing]
        ).run()
        for descriptor in [input, output.writing, complaint.writing] { close(descriptor) }
        switch child {
        case .failure(let refusal): return .failed(refusal.reason)
        case .success(let child):
            return attend(child, output: output.reading, complaint: complaint.reading, wake: wake, since: start)
        }
    }

    /// The search path for libraries, which is all that a child takes over from the node's environment.
    static var libraryPath: [String] {
        getenv("LD_LIBRARY_PATH").map { ["LD_LIBRARY_PATH=" + String(cString: $0)] } ?? []
    }

    // MARK: Waiting

    private func attend(_ child: pid_t, output: Int32, complaint: Int32, wake: Wake, since start: UInt64) -> End {
        var out = Intake(descriptor: output, bytesMax: outputBytesMax)
        var err = Intake(descriptor: complaint, bytesMax: errorBytesMax)
        var stopped: End?
        while stopped == nil {
            if out.isOver, err.isOver {
                // It closed its streams, so it is about to end, or else it is watched until its time is up.
                if let end = reap(child, out, err, options: WNOHANG) { return end }
            }
            let passed = (SystemClock.nanoseconds() - start) / 1_000_000
            guard passed < UInt64(max(0, wallMilliseconds)) else {
                stopped = .overdue
                break
            }
            let left = UInt64(max(0, wallMilliseconds)) - passed
            let pause = out.isOver && err.isOver ? min(left, Self.lookMilliseconds) : left
            var polled = [out, err].map {
                pollfd(fd: $0.isOver ? -1 : $0.descriptor, events: Int16(POLLIN), revents: 0)
            }
            polled.append(pollfd(fd: wake.reading, events: Int16(POLLIN), revents: 0))
            guard poll(&polled, nfds_t(polled.count), Int32(clamping: pause)) > 0 else { continue }
            if polled[2].revents != 0 { stopped = .cancelled }
            if polled[0].revents != 0, out.take() { stopped = .tooMuchOutput }
            if polled[1].revents != 0 { _ = err.take() }
        }
        kill(child, SIGKILL)
        _ = reap(child, out, err, options: 0)
        return stopped ?? .cancelled
    }

    /// How often to look at a child that closed its streams and has not ended, in milliseconds.
    private static let lookMilliseconds: UInt64 = 10

    /// How the child ended, if it has.
    private func reap(_ child: pid_t, _ out: Intake, _ err: Intake, options: Int32) -> End? {
        var status: Int32 = 0
        var found = pid_t()
        repeat { found = waitpid(child, &status, options) } while found < 0 && errno == EINTR
        if found == 0 { return nil }
        guard found == child else { return .failed("it was lost: \(PrivateFile.reason())") }
        let signal = status & 0x7F
        return signal == 0
            ? .exited((status >> 8) & 0xFF, output: out.bytes, complaint: err.bytes)
            : .signaled(signal, complaint: err.bytes)
    }

    /// What comes out of one pipe.
    private struct Intake {
        let descriptor: Int32
        let bytesMax: Int
        var bytes: [UInt8] = []
        var isOver = false
        private var chunk = [UInt8](repeating: 0, count: 64 << 10)

        init(descriptor: Int32, bytesMax: Int) {
            self.descriptor = descriptor
            self.bytesMax = bytesMax
        }

        /// Reads what is there; returns whether that is more than allowed.
        mutating func take() -> Bool {
            let count = chunk.count
            let got = chunk.withUnsafeMutableBytes { systemRead(descriptor, $0.baseAddress, count) }
            guard got > 0 else {
                isOver = got == 0 || (errno != EINTR && errno != EAGAIN)
                return false
            }
            let room = bytesMax - bytes.count
            bytes += chunk[..<min(got, room)]
            return got > room
        }
    }
}

#if canImport(Darwin)
    private let systemRead = Darwin.read
    private let systemWrite = Darwin.write
    private let systemPipe = Darwin.pipe
#elseif canImport(Musl)
    private let systemRead = Musl.read
    private let systemWrite = Musl.write
    private let systemPipe = Musl.pipe
#else
    private let systemRead = Glibc.read
    private let systemWrite = Glibc.write
    private let systemPipe = Glibc.pipe
#endif
