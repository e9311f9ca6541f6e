import CSandbox
import MeshTypes
import NIOConcurrencyHelpers

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// The process that holds a module's machine code and starts the processes of its runs (`RunWorker`).
///
/// It ends with the last reference to it. A process that was lost is never used again; the module is loaded anew.
// SAFETY: pointers are to values that live through the system call; descriptors are closed once, by their owner.
final class ModuleProcess: Sendable {
    private struct State {
        var isLost = false
    }

    private let control: Int32
    private let process: pid_t
    private let state = NIOLockedValueBox(State())
    private let answerMilliseconds: UInt64
    let bytes: Int

    private init(control: Int32, process: pid_t, answerMilliseconds: UInt64, bytes: Int) {
        self.answerMilliseconds = answerMilliseconds
        self.control = control
        self.process = process
        self.bytes = bytes
    }

    /// Starts the process, and waits until the module is loaded.
    static func start(
        _ worker: WorkerCommand, code: [UInt8], limits: CoVMConfiguration.Limits
    ) throws(EngineError) -> ModuleProcess {
        var sockets: [Int32] = [-1, -1]
        guard sandbox_sockets(&sockets) == 0 else { throw failure("no socket", errno) }
        let file = code.withUnsafeBytes { sandbox_sealed_file($0.baseAddress, $0.count) }
        defer { if file >= 0 { close(file) } }
        guard file >= 0 else {
            for socket in sockets { close(socket) }
            throw failure("no memory for its code", -file)
        }
        let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { if nothing >= 0 { close(nothing) } }
        let start = ProcessStart(
            executable: worker.executable, arguments: worker.arguments, environment: WorkerProcess.libraryPath,
            descriptors: [sockets[1], nothing, nothing, file])
        let started = start.run()
        // The child's end alone stays open, so that its own end is seen.
        close(sockets[1])
        switch started {
        case .failure(let refusal):
            close(sockets[0])
            throw EngineError(message: "the program \(worker.executable) could not be run: \(refusal.reason)")
        case .success(let child):
            guard answer(sockets[0], within: limits.moduleLoadMilliseconds) != nil else {
                close(sockets[0])
                throw EngineError(message: "its process did not load it\(end(of: child))")
            }
            return ModuleProcess(
                control: sockets[0], process: child, answerMilliseconds: limits.moduleAnswerMilliseconds,
                bytes: code.count)
        }
    }

    deinit {
        close(control)
        _ = Self.end(of: process)
    }

    private static func failure(_ what: String, _ code: Int32) -> EngineError {
        EngineError(message: "\(what) for the process of the module: \(String(cString: strerror(code)))")
    }

    /// Ends the process of a module, and says how it ended if that was by itself: one that is ending is not changed by
    /// being killed.
    private static func end(of process: pid_t) -> String {
        kill(process, SIGKILL)
        var status: Int32 = 0
        var found = pid_t()
        repeat { found = waitpid(process, &status, 0) } while found < 0 && errno == EINTR
        let signal = status & 0x7F
        if signal == SIGKILL { return "" }
        return signal == 0 ? " (exit code \((status >> 8) & 0xFF))" : " (signal \(signal))"
    }

    private static func answer(_ control: Int32, within milliseconds: UInt64) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: RunWorker.answerBytes)
        let deadline = SystemClock.nanoseconds() + milliseconds * 1_000_000
        var done = 0
        while done < bytes.count {
            let now = SystemClock.nanoseconds()
            guard now < deadline else { return nil }
            var polled = pollfd(fd: control, events: Int16(POLLIN), revents: 0)
            guard poll(&polled, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1)) > 0 else { continue }
            let left = bytes.count - done
            let got = bytes.withUnsafeMutableBytes { recv(control, $0.baseAddress.map { $0 + done }, left, 0) }
            guard got > 0 else { return nil }
            done += got
        }
        return Int32(truncatingIfNeeded: bytes.reversed().reduce(0) { $0 << 8 | Int64($1) })
    }

    /// Whether runs can still be started: a process that has ended since has closed its socket.
    var isAlive: Bool {
        state.withLockedValue { state in
            if !state.isLost { state.isLost = hasClosed }
            return !state.isLost
        }
    }

    /// While nothing is asked of it, nothing comes from it but the end.
    private var hasClosed: Bool {
        var byte: UInt8 = 0
        let got = recv(control, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)
    }

    private func order(
        _ order: RunWorker.Order, _ process: pid_t, descriptor: Int32 = -1, isAnswered: Bool
    ) -> Int32? {
        var bytes = [order.rawValue]
        withUnsafeBytes(of: UInt32(bitPattern: process).littleEndian) { bytes += $0 }
        return state.withLockedValue { state -> Int32? in
            guard !state.isLost else { return nil }
            let sent = bytes.withUnsafeBytes { sandbox_send(control, $0.baseAddress, $0.count, descriptor) }
            if sent == 0, !isAnswered { return 0 }
            if sent == 0, let answer = Self.answer(control, within: answerMilliseconds) { return answer }
            state.isLost = true
            return nil
        }
    }

    /// A run that was started.
    struct Run {
        let process: pid_t
        let link: RunLink
    }

    /// Starts a run, which then waits for its order.
    func start() throws(EngineError) -> Run {
        var sockets: [Int32] = [-1, -1]
        guard sandbox_sockets(&sockets) == 0 else { throw Self.failure("no socket", errno) }
        let answer = order(.start, 0, descriptor: sockets[1], isAnswered: true)
        close(sockets[1])
        if let answer, answer > 0 {
            return Run(process: answer, link: RunLink(socket: sockets[0]))
        }
        close(sockets[0])
        guard let answer else { throw EngineError(message: "the process that holds the module was lost") }
        throw EngineError(message: "the system has no process for the run: \(String(cString: strerror(-answer)))")
    }

    /// Ends a run that told its end.
    func end(_ run: Run) {
        close(run.link.socket)
        _ = order(.end, run.process, isAnswered: false)
    }

    /// Ends a run that told none; how it ended, if that was before and can be said.
    func judge(_ run: Run) -> LostRun {
        close(run.link.socket)
        guard let status = order(.judge, run.process, isAnswered: true) else { return .withItsModule }
        let signal = status & 0x7F
        return signal == 0 ? .ended(code: (status >> 8) & 0xFF) : .killed(signal: signal)
    }
}

/// How a run ended that did not tell its end.
enum LostRun: Hashable, CustomStringConvertible {
    case killed(signal: Int32)
    case ended(code: Int32)
    /// The process that started it has gone as well.
    case withItsModule

    /// What it means for the run: a process that could not begin is no crash, nor is one whose node took no answer.
    var outcome: ExecutionOutcome {
        if case .ended(let code) = self, RunWorker.ownCodes.contains(code) { return .nodeFailed(reason: description) }
        return .nodeFailed(reason: CrashedRun.reason(description))
    }

    var description: String {
        switch self {
        case .killed(let signal): "the process of the run was ended by signal \(signal)"
        case .ended(let code): "the process of the run ended with code \(code)"
        case .withItsModule: "the process that holds the module was lost"
        }
    }
}
