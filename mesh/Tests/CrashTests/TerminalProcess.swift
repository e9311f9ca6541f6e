import Foundation
import Testing

/// A program in a terminal of its own: the system's pseudo-terminal on one side, the test as its user on the other.
///
/// The terminal is the program's controlling one, so that Ctrl-C and a hang-up reach it as they reach a user's program.
/// Keys are echoed, as they would be.
final class TerminalProcess {
    /// What a finished program left.
    struct Finished {
        /// The exit code, or minus the number of the signal that ended it.
        let status: Int32
        let screen: TerminalScreen
    }

    /// What Ctrl-C sends.
    static let interruptKey = "\u{3}"
    /// What Ctrl-D sends.
    static let endKey = "\u{4}"
    /// POSIX_SPAWN_SETSID of glibc, which Swift does not import.
    private static let startsSession: Int16 = 0x80

    /// What is on the screen so far.
    private(set) var screen: TerminalScreen
    let processID: pid_t
    private let descriptor: Int32
    private var isClosed = false
    private var hasEnded = false

    /// Starts `mesh`, or another program, in a terminal of `columns`.
    init(
        _ arguments: [String], program executable: URL = NodeProcess.mesh, columns: Int,
        environment: [String: String] = [:]
    ) throws {
        screen = TerminalScreen(columns: columns)
        var size = winsize(ws_row: 50, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        var (user, program) = (Int32(-1), Int32(-1))
        try #require(openpty(&user, &program, nil, nil, &size) == 0, "openpty: \(errno)")
        descriptor = user
        // The program opens its side itself, and nobody else may inherit either.
        defer { close(program) }
        for end in [user, program] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // SAFETY: the name is copied before anybody else asks for one; these tests run one at a time.
        let name = try #require(ttyname(program).map { String(cString: $0) })
        var variables = ProcessInfo.processInfo.environment
        for name in ["COLUMNS", "LINES", "NO_COLOR"] { variables[name] = nil }
        variables["TERM"] = "xterm-256color"
        variables.merge(environment) { _, new in new }
        processID = try Self.spawn(executable.path, arguments, variables, terminal: name)
    }

    deinit {
        if !hasEnded {
            Foundation.kill(processID, SIGKILL)
            var status: Int32 = 0
            waitpid(processID, &status, 0)
        }
        if !isClosed { close(descriptor) }
    }

    /// Closes the terminal, as a user closes a window; whether the program has ended since.
    func hangUp() -> Bool {
        if !isClosed { close(descriptor) }
        isClosed = true
        var status: Int32 = 0
        if !hasEnded { hasEnded = waitpid(processID, &status, WNOHANG) == processID }
        return hasEnded
    }

    /// Starts a program as the leader of a session, whose controlling terminal becomes the one that it opens first.
    private static func spawn(
        _ program: String, _ arguments: [String], _ environment: [String: String], terminal: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, terminal, O_RDWR, 0)
        for output in [STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, output)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGHUP, SIGTERM, SIGPIPE, SIGQUIT] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, startsSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var words = ([program] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, program, &actions, &attributes, &words, &variables)
        try #require(failure == 0, "\(program): \(failure)")
        return process
    }

    /// Types keys.
    func type(_ keys: String) throws {
        var rest = Array(keys.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            try #require(count > 0, "typing: \(errno)")
            rest = rest.dropFirst(count)
        }
    }

    /// Sends the program a signal.
    func signal(_ number: Int32) {
        Foundation.kill(processID, number)
    }

    /// Waits until the program has printed a text, be it erased again or not.
    func wait(for text: String, seconds: Double = 60) throws {
        try wait(until: "\"\(text)\" is printed", seconds: seconds) { $0.printed.contains(text) }
    }

    /// Waits until the screen is as a test wants it.
    func wait(
        until what: String, seconds: Double = 60, _ condition: (TerminalScreen) throws -> Bool
    ) throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try !condition(screen) {
            guard try read(until: deadline) else {
                throw NotInTime(what: "\(what), on the screen:\n\(screen.text)\n", seconds: seconds)
            }
        }
    }

    /// Waits for the program's end and all that it wrote.
    func finish(seconds: Double = 120) throws -> Finished {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try read(until: deadline) {}
        guard ContinuousClock.now < deadline else {
            throw NotInTime(what: "the program ends, on the screen:\n\(screen.text)\n", seconds: seconds)
        }
        var status: Int32 = 0
        // The terminal ends with the last process that has it open, which is the program.
        try #require(waitpid(processID, &status, 0) == processID)
        hasEnded = true
        let signal = status & 0x7F
        return Finished(status: signal == 0 ? (status >> 8) & 0xFF : -signal, screen: screen)
    }

    /// Reads what has come, and waits for something if nothing has; false at the end of the terminal or in time.
    private func read(until deadline: ContinuousClock.Instant) throws -> Bool {
        while true {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return false }
            let milliseconds = left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&wanted, 1, Int32(clamping: milliseconds + 1))
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return false }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = Foundation.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            // EIO is the end: nobody has the other side open any more.
            guard count > 0 else { return false }
            screen.write(buffer[..<count])
            return true
        }
    }

    /// Runs `mesh` in a terminal to its end.
    static func run(
        _ arguments: [String], columns: Int, environment: [String: String] = [:]
    ) throws -> Finished {
        try TerminalProcess(arguments, columns: columns, environment: environment).finish()
    }
}

extension NodeProcess {
    /// Runs a command for this node in a terminal to its end.
    func run(_ arguments: [String], columns: Int) throws -> TerminalProcess.Finished {
        try TerminalProcess.run(arguments + ["--home", home.path], columns: columns)
    }
}
