import CSandbox
import GuestFiles
import Multiformats
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

// SAFETY: pointers are to values that live through the system call, and to a mapping that ends after its last use.
/// The process of a module, and of each of its runs: a program starts itself as a child with the hidden command
/// ``command``.
///
/// The child has two descriptors, a socket to its node and the machine code. It closes all others, gives up its rights
/// (CSandbox) while it still has one thread, loads the code, and then starts a copy of itself for each run, which gives
/// up more. So a run finds the module loaded, costs a copy of a small process, shares no memory with another, and can
/// reach nothing but the socket that it was given.
package enum RunWorker {
    /// The command that makes a program the worker.
    package static let command = "__run-worker"
    /// Whether this program answers to ``command``.
    static let isThisProgram = Atomic(false)
    /// Where a child finds its socket and the machine code.
    static let controlDescriptor: Int32 = 0
    static let codeDescriptor: Int32 = 3

    /// What a module's process is told; the descriptor of a run's socket comes along.
    enum Order: UInt8 {
        /// Start a run.
        case start = 1
        /// End a run, if it has not ended.
        case end = 2
        /// The same, and say how it ended.
        case judge = 3
    }

    /// Codes with which the process of a run ends by itself: its order was none, what must hold in it could not be
    /// had, or its node did not take its end.
    static let ownCodes: Set<Int32> = [64, 69, 74]

    /// Bytes of an order: its kind and the number of the run's process.
    static let orderBytes = 5
    /// Bytes of an answer: a number.
    static let answerBytes = 4

    /// This program, if it can be the worker.
    static var standard: WorkerCommand? {
        #if os(Linux)
            // The very file that runs, even after an upgrade replaced it.
            guard isThisProgram.load(ordering: .relaxed) else { return nil }
            return WorkerCommand(executable: "/proc/self/exe", arguments: [command])
        #else
            return nil
        #endif
    }

    /// Call this first in a program's `main`, beside `CompileWorker.runIfAsked`: in the worker it does not return.
    package static func runIfAsked() {
        guard CommandLine.arguments.dropFirst().first == command else {
            return isThisProgram.store(true, ordering: .relaxed)
        }
        sandbox_exit(serve())
    }

    private static func serve() -> Int32 {
        // The runtime would start a program that writes a backtrace, which the sandbox forbids, and wait for it.
        for number in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] { signal(number, SIG_DFL) }
        _ = sandbox_close_from(codeDescriptor + 1)
        guard sandbox_limit_files() == 0 else { return 69 }
        guard let code = mapped(codeDescriptor) else { return 74 }
        close(codeDescriptor)
        let engine: WasmEngine
        do {
            engine = try WasmEngine()
        } catch {
            return 69
        }
        // What the kernel has must hold; what it lacks is said by `mesh status`.
        let kernel = sandbox_of_kernel()
        guard sandbox_enter() & kernel == kernel else { return 69 }
        guard case .success(let module) = engine.load(trusted: code) else { return 65 }
        munmap(UnsafeMutableRawPointer(mutating: code.baseAddress), code.count)
        RunRehearsal(engine: engine).play()
        answer(0)
        return listen(engine, module, kernelLimitsCalls: kernel & Int32(SANDBOX_SYSTEM_CALLS) != 0)
    }

    private static func answer(_ number: Int32) {
        _ = withUnsafeBytes(of: number.littleEndian) {
            sandbox_send(controlDescriptor, $0.baseAddress, answerBytes, -1)
        }
    }

    /// The whole file, until it is loaded; nobody can change it (sealed).
    private static func mapped(_ descriptor: Int32) -> UnsafeRawBufferPointer? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size > 0 else { return nil }
        let start = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let start, start != MAP_FAILED else { return nil }
        return UnsafeRawBufferPointer(start: start, count: Int(status.st_size))
    }

    /// Starts and ends runs until the node closes its socket, or ends in whatever way; all runs end with this process.
    private static func listen(_ engine: WasmEngine, _ module: LoadedModule, kernelLimitsCalls: Bool) -> Int32 {
        while true {
            var order = [UInt8](repeating: 0, count: orderBytes)
            var socket: Int32 = -1
            let got = order.withUnsafeMutableBytes {
                sandbox_receive(controlDescriptor, $0.baseAddress, $0.count, &socket)
            }
            guard got == orderBytes, let kind = Order(rawValue: order[0]) else { return got == 0 ? 0 : 64 }
            let process = pid_t(order[1...].reversed().reduce(0) { $0 << 8 | UInt32($1) })
            switch kind {
            case .start:
                let parent = getpid()
                let child = sandbox_fork()
                if child == 0 {
                    close(controlDescriptor)
                    let run = RunProcess(
                        engine: engine, module: module, socket: socket, kernelLimitsCalls: kernelLimitsCalls)
                    sandbox_exit(run.run(parent))
                }
                close(socket)
                answer(child)
            case .end: _ = end(process)
            case .judge: answer(end(process))
            }
        }
    }

    /// Kills a run's process where it has not ended; how it ended, as `waitpid` has it.
    private static func end(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        guard process > 0 else { return status }
        kill(process, SIGKILL)
        var found = pid_t()
        repeat { found = waitpid(process, &status, 0) } while found < 0 && errno == EINTR
        return status
    }
}

/// One run in a process of its own.
struct RunProcess {
    let engine: WasmEngine
    let module: LoadedModule
    let socket: Int32
    /// Whether the kernel can limit system calls, and so must.
    let kernelLimitsCalls: Bool

    func run(_ parent: pid_t) -> Int32 {
        let link = RunLink(socket: socket)
        guard sandbox_die_with(parent) == 0, let order = try? link.receive(RunOrder.self), let job = order.job else {
            return 64
        }
        if order.nice > 0 { sandbox_nice(order.nice) }
        guard sandbox_limit_memory(order.processBytesMax) == 0 else { return 69 }
        let limits = order.limits
        let standstills = StandstillWatch(
            tickMilliseconds: limits.watchTickMilliseconds, standstillMilliseconds: limits.standstillMilliseconds)
        // Its one thread besides this one: the sandbox of a run allows no further one.
        guard standstills.runBegins() else { return 71 }
        guard !kernelLimitsCalls || sandbox_enter_run() == 0 else { return 69 }
        let host = RemoteHost(link)
        let execution = RunExecution(
            engine: engine, loaded: module, call: order.call, limits: limits, standstills: standstills)
        let result = execution.run(
            job, host, ExecutionCancellation(elsewhere: { host.isCancelled }, held: { host.waitWhileHeld() }),
            waiter: host, source: .memory)
        return (try? link.send(RunRequest.ended(RunReport(result)))) == nil ? 74 : 0
    }
}

/// A run's node, at the other end of its socket.
// SAFETY: used by the run's one thread alone.
final class RemoteHost: ExecutionHost, MountWaiter, @unchecked Sendable {
    private let link: RunLink
    private var wasCancelled = false
    private var isHeld = false
    private var heldNanoseconds: UInt64 = 0
    private var toldNanoseconds: UInt64 = 0
    private var lookedNanoseconds: UInt64 = 0

    /// How often the node hears how far a run is, in nanoseconds.
    private static let tellNanoseconds: UInt64 = 10_000_000
    /// How soon after a look at the socket there is no need for another, in nanoseconds: host calls follow each other
    /// faster than a look costs.
    private static let lookNanoseconds: UInt64 = 200_000

    init(_ link: RunLink) { self.link = link }

    /// Whether the node has asked to stop. A node that has gone is the same.
    var isCancelled: Bool {
        look()
        return wasCancelled
    }

    /// Waits as long as the node lets the run stand still, for all that it has since the last call, in nanoseconds.
    func waitWhileHeld() -> UInt64 {
        look()
        defer { heldNanoseconds = 0 }
        return heldNanoseconds
    }

    /// Takes what the node says unasked, and waits while it says that the run is to stand still.
    private func look() {
        let start = SystemClock.nanoseconds()
        guard isHeld || start - lookedNanoseconds >= Self.lookNanoseconds else { return }
        defer { lookedNanoseconds = SystemClock.nanoseconds() }
        var waited = false
        while !wasCancelled, isHeld || link.hasNews {
            waited = waited || isHeld
            guard let news = try? link.receive(RunReply.self) else {
                wasCancelled = true
                break
            }
            take(news)
        }
        if waited { heldNanoseconds += SystemClock.nanoseconds() - start }
    }

    /// Notes what is no answer; whether it is none.
    @discardableResult private func take(_ news: RunReply) -> Bool {
        switch news {
        case .cancelled: wasCancelled = true
        case .held(let isHeld): self.isHeld = isHeld
        default: return false
        }
        return true
    }

    private func tell(_ request: RunRequest) { try? link.send(request) }

    private func ask(_ request: RunRequest) -> RunReply {
        guard (try? link.send(request)) != nil else { return .none }
        while true {
            guard let reply = try? link.receive(RunReply.self) else { return .none }
            if !take(reply) { return reply }
        }
    }

    func readInput(_ cid: CID) -> [UInt8]? {
        guard case .bytes(let bytes) = ask(.input(cid)) else { return nil }
        return bytes
    }

    func storeBlock(_ bytes: [UInt8]) -> CID? {
        guard case .cid(let cid) = ask(.store(bytes)) else { return nil }
        return cid
    }

    func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool {
        guard case .cid(cid) = ask(.keep(cid, bytes)) else { return false }
        return true
    }

    private(set) lazy var mounts = RunContent(
        ask: { [unowned self] request in
            guard case .blocks(let blocks) = ask(request) else { return [] }
            return blocks
        }, tell: { [unowned self] in tell($0) })

    var content: any MountSource { mounts }

    func fetch(_ wants: [ContentWant], _ finished: @escaping @Sendable (ContentFetch) -> Void) {
        finished(.failed(reason: "a run's process waits for its node"))
    }

    func wait(for wants: [ContentWant], keeping bytes: UInt64) -> MountWait {
        guard case .waited(let wait) = ask(.fetch(wants, keeping: bytes + UInt64(mounts.keptBytes))) else {
            return MountWait(end: .cancelled, nanoseconds: 0)
        }
        return wait
    }

    func hear(within nanoseconds: UInt64?, keeping bytes: UInt64) -> SessionWait {
        session(.hear(within: nanoseconds, keeping: bytes + UInt64(mounts.keptBytes)))
    }

    func tell(_ bytes: [UInt8], to stream: StreamWrite.Stream, keeping kept: UInt64) -> SessionWait {
        session(.tell(bytes, isError: stream == .standardError, keeping: kept + UInt64(mounts.keptBytes)))
    }

    private func session(_ request: RunRequest) -> SessionWait {
        guard case .session(let wait) = ask(request) else { return SessionWait(end: .cancelled) }
        return wait
    }

    func wrote(_ parts: [OutputPart]) { tell(.wrote(parts)) }

    func log(_ level: ExecutionLogLevel, _ text: String) { tell(.log(level.rawValue, text)) }

    func progress(permille: Int) { tell(.progress(permille)) }

    func burnt(fuel: UInt64) {
        let now = SystemClock.nanoseconds()
        guard now - toldNanoseconds >= Self.tellNanoseconds else { return }
        toldNanoseconds = now
        tell(.burnt(fuel))
    }
}
