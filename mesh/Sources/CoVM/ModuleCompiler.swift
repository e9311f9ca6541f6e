import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Compiles a module in a child process, so that a compilation that hangs, swells or crashes costs only the job that
/// brought the module. If no child can start, the run fails, never the node.
struct ModuleCompiler: Sendable {
    let worker: WorkerCommand
    let limits: CompileLimits
    let compiledBytesMax: Int
    let directory: String

    enum Failure: Error, CustomStringConvertible {
        case refused(ModuleRefusal)
        /// The compilation exceeds this node's limits; another node may do it.
        case beyond(CompileLimit)
        case cancelled
        case node(String)

        var description: String {
            switch self {
            case .refused(let refusal): refusal.description
            case .beyond(let limit): limit.reason
            case .cancelled: "the compilation was cancelled"
            case .node(let reason): reason
            }
        }
    }

    /// This program if it can be its own worker, else the `mesh` beside it.
    static func standardWorker() -> WorkerCommand {
        var program = workerBesideProgram() ?? "mesh"
        #if os(Linux)
            // The very file that runs, even after an upgrade replaced it.
            if CompileWorker.isThisProgram.load(ordering: .relaxed) { program = "/proc/self/exe" }
        #endif
        return WorkerCommand(executable: program, arguments: [CompileWorker.command])
    }

    /// The path of `mesh` beside the running program.
    // SAFETY: the system writes at most the given count of bytes into the array.
    private static func workerBesideProgram() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        #if canImport(Darwin)
            var size = UInt32(buffer.count)
            let isKnown = buffer.withUnsafeMutableBytes { raw in
                raw.withMemoryRebound(to: CChar.self) { _NSGetExecutablePath($0.baseAddress, &size) == 0 }
            }
            guard isKnown, let end = buffer.firstIndex(of: 0) else { return nil }
            let path = String(decoding: buffer[..<end], as: UTF8.self)
        #else
            let count = buffer.withUnsafeMutableBytes { raw in
                raw.withMemoryRebound(to: CChar.self) { text in
                    text.baseAddress.map { readlink("/proc/self/exe", $0, text.count) } ?? -1
                }
            }
            guard count > 0, count < buffer.count else { return nil }
            let path = String(decoding: buffer[..<count], as: UTF8.self)
        #endif
        guard let slash = path.lastIndex(of: "/") else { return nil }
        return path[...slash] + "mesh"
    }

    func compile(_ module: [UInt8], cancellation: ExecutionCancellation) async throws(Failure) -> [UInt8] {
        // The worker reads an unnamed file, not a pipe, so a worker that dies early cannot fail a write here.
        guard let file = PrivateFile.nameless(in: directory, with: module) else {
            throw .node("the module could not be written for the compile worker: \(PrivateFile.reason())")
        }
        guard let wake = WorkerProcess.Wake() else {
            let reason = PrivateFile.reason()
            close(file)
            throw .node("the compile worker \(worker.executable) could not be run: no pipe: \(reason)")
        }
        let process = WorkerProcess(
            executable: worker.executable,
            arguments: worker.arguments + CompileWorker.arguments(limits, moduleBytes: module.count),
            environment: workerEnvironment(), outputBytesMax: compiledBytesMax,
            errorBytesMax: Self.complaintBytesMax,
            wallMilliseconds: limits.wallMilliseconds(moduleBytes: module.count))
        let handler = cancellation.onCancel { wake.wake() }
        let end = await withCheckedContinuation { continuation in
            let isStarted = RunThread.start(stackBytes: Self.threadStackBytes) {
                continuation.resume(returning: process.run(input: file, wake: wake))
            }
            if !isStarted {
                close(file)
                continuation.resume(returning: WorkerProcess.End.failed("the system has no thread for it"))
            }
        }
        cancellation.removeHandler(handler)
        return try judge(end)
    }

    /// The stack of the thread that waits for a worker, in bytes.
    private static let threadStackBytes = 512 << 10
    /// The longest message of a worker about its failure, in bytes.
    private static let complaintBytesMax = 64 << 10

    /// The node's environment, reduced to the search path for libraries; and how many threads compile, with few heaps
    /// for them: each heap of glibc reserves address space, which the worker's memory limit counts.
    private func workerEnvironment() -> [String] {
        let threads = max(1, min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), limits.threadsMax))
        let own = ["RAYON_NUM_THREADS=\(threads)", "MALLOC_ARENA_MAX=2"]
        return own + WorkerProcess.libraryPath
    }

    /// Who is responsible for the missing machine code: the module by what it contains, or the node by its limits and
    /// by what happens to its processes.
    private func judge(_ end: WorkerProcess.End) throws(Failure) -> [UInt8] {
        switch end {
        case .exited(CompileWorker.ExitCode.success.rawValue, let output, _):
            guard !output.isEmpty else { throw .node("the compile worker returned nothing") }
            return output
        case .exited(CompileWorker.ExitCode.refused.rawValue, _, let bytes):
            let complaint = EngineError.printable(bytes)
            if Self.speaksOfMemory(complaint) { throw .beyond(.memory) }
            throw .refused(.invalid(message: complaint))
        case .exited(let code, _, let bytes):
            throw .node("the compile worker failed with code \(code): \(EngineError.printable(bytes))")
        case .signaled(SIGXCPU, _): throw .beyond(.cpu)
        case .signaled(let signal, let bytes):
            if Self.speaksOfMemory(EngineError.printable(bytes)) { throw .beyond(.memory) }
            // Signals that a compiler raises itself; any other came from outside.
            if [SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGTRAP, SIGFPE, SIGSYS].contains(signal) {
                throw .refused(.invalid(message: "the compiler crashed on it (signal \(signal))"))
            }
            throw .node("the compile worker was killed by signal \(signal)")
        case .tooMuchOutput: throw .beyond(.size)
        case .overdue: throw .beyond(.wallClock)
        case .cancelled: throw .cancelled
        case .failed(let reason):
            throw .node("the compile worker \(worker.executable) could not be run: \(reason)")
        }
    }

    /// What the runtimes of Rust, Swift and C say when the address space is used up.
    private static func speaksOfMemory(_ complaint: String) -> Bool {
        ["memory allocation of", "failed to allocate", "Cannot allocate memory"].contains { complaint.contains($0) }
    }
}
