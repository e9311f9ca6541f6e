import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Compiles a module in a child process, so that a compilation which hangs, swells or crashes costs the job that
/// brought the module and nobody else.
struct ModuleCompiler: Sendable {
    let worker: CompileWorkerCommand
    let limits: CompileLimits
    let compiledBytesMax: Int
    let directory: String

    enum Failure: Error {
        case refused(ModuleRefusal)
        case cancelled
        case node(String)
    }

    /// This program, where it can be its own worker, else the `mesh` that lies beside it.
    static func standardWorker() -> CompileWorkerCommand {
        var program = workerBesideProgram() ?? "mesh"
        #if os(Linux)
            // The very file that runs, also after an upgrade has put another one in its place.
            if CompileWorker.isThisProgram.load(ordering: .relaxed) { program = "/proc/self/exe" }
        #endif
        return CompileWorkerCommand(executable: program, arguments: [CompileWorker.command])
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

    private enum Race: Sendable {
        case ended(TerminationStatus, output: [UInt8], complaint: String)
        case failed(String)
        case tooMuchOutput
        case overdue
        case cancelled
    }

    func compile(_ module: [UInt8], cancellation: ExecutionCancellation) async throws(Failure) -> [UInt8] {
        let first = await withTaskGroup(of: Race.self) { group in
            group.addTask { await run(module) }
            group.addTask {
                do {
                    try await Task.sleep(for: .milliseconds(limits.wallMilliseconds))
                    return .overdue
                } catch {
                    return .cancelled
                }
            }
            group.addTask {
                await cancellation.wait()
                return .cancelled
            }
            // Cancelling the group kills the child; the group is only left when it is gone.
            defer { group.cancelAll() }
            return await group.next() ?? .cancelled
        }
        switch first {
        case .ended(let status, let output, let complaint):
            return try judge(status, output, complaint)
        case .failed(let reason): throw .node(reason)
        case .tooMuchOutput: throw .refused(.compileLimit(.size))
        case .overdue: throw .refused(.compileLimit(.wallClock))
        case .cancelled: throw .cancelled
        }
    }

    private func run(_ module: [UInt8]) async -> Race {
        // The worker reads a file without a name, not a pipe: a worker that dies early then cannot fail a write here.
        guard let file = PrivateFile.nameless(in: directory, with: module) else {
            return .failed("the module could not be written for the compile worker: \(PrivateFile.reason())")
        }
        do {
            let result = try await Subprocess.run(
                .path(FilePath(worker.executable)),
                arguments: Arguments(worker.arguments + CompileWorker.arguments(limits, moduleBytes: module.count)),
                environment: .custom(Self.workerEnvironment()),
                input: .fileDescriptor(FileDescriptor(rawValue: file), closeAfterSpawningProcess: true),
                output: .bytes(limit: compiledBytesMax), error: .bytes(limit: 64 << 10))
            return .ended(
                result.terminationStatus, output: result.standardOutput,
                complaint: EngineError.printable(result.standardError))
        } catch let error as SubprocessError where error.code == .outputLimitExceeded {
            return .tooMuchOutput
        } catch let error as SubprocessError {
            return .failed("the compile worker \(worker.executable) could not be run: \(error.description)")
        } catch {
            return .failed("the compile worker \(worker.executable) could not be run")
        }
    }

    /// Nothing of the node's environment but the search path for libraries.
    private static func workerEnvironment() -> [Environment.Key: String] {
        guard let value = getenv("LD_LIBRARY_PATH") else { return [:] }
        return ["LD_LIBRARY_PATH": String(cString: value)]
    }

    private func judge(
        _ status: TerminationStatus, _ output: [UInt8], _ complaint: String
    ) throws(Failure) -> [UInt8] {
        switch status {
        case .exited(CompileWorker.ExitCode.success.rawValue):
            guard !output.isEmpty else { throw .node("the compile worker returned nothing") }
            return output
        case .exited(CompileWorker.ExitCode.refused.rawValue):
            if Self.speaksOfMemory(complaint) { throw .refused(.compileLimit(.memory)) }
            throw .refused(.invalid(message: complaint))
        case .exited(let code):
            throw .node("the compile worker failed with code \(code): \(complaint)")
        case .signaled(SIGXCPU):
            throw .refused(.compileLimit(.cpu))
        case .signaled(let signal):
            if Self.speaksOfMemory(complaint) { throw .refused(.compileLimit(.memory)) }
            throw .refused(.invalid(message: "the compiler crashed on it (signal \(signal))"))
        }
    }

    /// What the runtimes of Rust, Swift and C say when the address space is used up.
    private static func speaksOfMemory(_ complaint: String) -> Bool {
        ["memory allocation of", "failed to allocate", "Cannot allocate memory"].contains { complaint.contains($0) }
    }
}

extension ExecutionCancellation {
    /// Returns at the cancellation, or when the waiting task is cancelled.
    func wait() async {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let key = onCancel { continuation.finish() }
        for await _ in stream {}
        removeHandler(key)
    }
}
